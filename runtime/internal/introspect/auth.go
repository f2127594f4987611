package introspect

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/keys/sign"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// An Auth proves to a server who the gateway is.
type Auth interface {
	// authenticate adds to the form or to the header.
	authenticate(ctx context.Context, form url.Values, h http.Header) error
}

type authFunc func(ctx context.Context, form url.Values, h http.Header) error

func (f authFunc) authenticate(ctx context.Context, form url.Values, h http.Header) error {
	return f(ctx, form, h)
}

// Basic is a name and a password as they stand (RFC 7617): a user of WSO2's.
func Basic(user, password string) Auth {
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return authFunc(func(_ context.Context, _ url.Values, h http.Header) error {
		h.Set("Authorization", value)
		return nil
	})
}

// ClientSecretBasic is a client's name and secret, each encoded as in a form
// before they are joined (RFC 6749, section 2.3.1).
func ClientSecretBasic(id, secret string) Auth {
	return Basic(url.QueryEscape(id), url.QueryEscape(secret))
}

// ClientSecretPost is a client's name and secret in the body.
func ClientSecretPost(id, secret string) Auth {
	return authFunc(func(_ context.Context, form url.Values, _ http.Header) error {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
		return nil
	})
}

// Bearer is an access token of the gateway's own.
func Bearer(token string) Auth {
	return authFunc(func(_ context.Context, _ url.Values, h http.Header) error {
		h.Set("Authorization", "Bearer "+token)
		return nil
	})
}

// ClientCertificate names the client; the proof is the certificate of Server.TLS
// (RFC 8705, section 2).
func ClientCertificate(id string) Auth {
	return authFunc(func(_ context.Context, form url.Values, _ http.Header) error {
		form.Set("client_id", id)
		return nil
	})
}

// Latest is whoever current says, asked for each question: a key may be replaced.
func Latest(current func() Auth) Auth {
	return authFunc(func(ctx context.Context, form url.Values, h http.Header) error {
		return current().authenticate(ctx, form, h)
	})
}

// assertionLife is how long an assertion is good for.
const assertionLife = time.Minute

// PrivateKeyJWT proves who the gateway is by a token that it signs (RFC 7523,
// section 2.2). audience is what that token is for, as a rule the server's
// issuer or its introspection endpoint; keyID may be "".
func PrivateKeyJWT(id, keyID, audience string, key crypto.Signer, now func() time.Time) (Auth, error) {
	alg, err := sign.Algorithm(key.Public())
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	head := map[string]string{"alg": alg, "typ": "JWT"}
	if keyID != "" {
		head["kid"] = keyID
	}
	header, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	return authFunc(func(_ context.Context, form url.Values, _ http.Header) error {
		at := now()
		claims, err := json.Marshal(map[string]any{
			"iss": id, "sub": id, "aud": audience, "jti": rand.Text(),
			"iat": at.Unix(), "exp": at.Add(assertionLife).Unix(),
		})
		if err != nil {
			return err
		}
		signed := b64(header) + "." + b64(claims)
		signature, err := sign.Sign(key, signed)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", signed+"."+b64(signature))
		form.Set("client_id", id)
		return nil
	}), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ClientCredentials is an access token that the gateway fetches for itself (RFC
// 6749, section 4.4), as client, and fetches anew before it ends.
func ClientCredentials(c *tls.Config, tokenURL string, client Auth, scopes string) (Auth, error) {
	if err := checkURL(tokenURL); err != nil {
		return nil, err
	}
	return &credentials{
		url: tokenURL, scopes: scopes, auth: client,
		client: newClient(newTransport(c, &Options{Concurrent: 1})),
	}, nil
}

type credentials struct {
	url, scopes string
	auth        Auth
	client      *http.Client

	mu    sync.Mutex // held while a token is fetched: all need the same one
	token string
	until time.Time
}

func (c *credentials) authenticate(ctx context.Context, _ url.Values, h http.Header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.token == "" || !now.Before(c.until) {
		if err := c.fetch(ctx, now); err != nil {
			return err
		}
	}
	h.Set("Authorization", "Bearer "+c.token)
	return nil
}

// again asks once more with a new token if the server refuses the one there is,
// which it may have taken back. ask is given the header of its question.
func again(a Auth, ask func(http.Header) (*answer, error)) (*answer, error) {
	h := http.Header{}
	found, err := ask(h)
	if c, ok := a.(*credentials); ok && errors.Is(err, errCredentials) {
		c.discard(h.Get("Authorization"))
		return ask(http.Header{})
	}
	return found, err
}

// discard lets go of the token that was refused. Those that are refused at one
// time need one new token, and not one each.
func (c *credentials) discard(refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused == "Bearer "+c.token {
		c.token = ""
	}
}

// fetch needs mu.
func (c *credentials) fetch(ctx context.Context, now time.Time) error {
	form := url.Values{"grant_type": {"client_credentials"}}
	if c.scopes != "" {
		form.Set("scope", c.scopes)
	}
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if err := c.auth.authenticate(ctx, form, h); err != nil {
		return err
	}
	data, err := post(ctx, c.client, c.url, h, form.Encode(), "application/json")
	if err != nil {
		return fmt.Errorf("token endpoint: %w", err)
	}
	r := reader{members: map[string][]byte{}}
	if err := strictjson.Object(data, func(name, value []byte) error {
		r.members[string(name)] = value
		return nil
	}); err != nil {
		return fmt.Errorf("token endpoint: %w", err)
	}
	token, seconds := r.text("access_token"), r.date("expires_in")/1000
	if r.err != nil || token == "" {
		return errors.New("token endpoint: no access_token in the answer")
	}
	// Half a minute stands for what is on the way; a token of unknown life is
	// used for a minute.
	life := time.Minute
	if seconds > 0 {
		life = time.Duration(min(seconds, 86400)) * time.Second
		life -= min(life/2, 30*time.Second)
	}
	c.token, c.until = token, now.Add(life)
	return nil
}
