package jwt_test

import (
	"errors"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// Access tokens and API keys are never taken for each other.
func TestKinds(t *testing.T) {
	c := newClock()
	const in = "in"
	for _, tt := range []struct {
		typ  string
		mark any // nil: none
		want map[jwt.Kind]string
	}{
		{"JWT", nil, map[jwt.Kind]string{jwt.AccessTokens: in, jwt.APIKeys: in, jwt.MarkedAPIKeys: "no token_type"}},
		{"JWT", "apiKey", map[jwt.Kind]string{jwt.AccessTokens: "an API key", jwt.APIKeys: in, jwt.MarkedAPIKeys: in}},
		{"JWT", "APIKEY", map[jwt.Kind]string{jwt.AccessTokens: "an API key", jwt.APIKeys: in, jwt.MarkedAPIKeys: in}},
		{"JWT", "Bearer", map[jwt.Kind]string{jwt.AccessTokens: in, jwt.APIKeys: "token_type", jwt.MarkedAPIKeys: "token_type"}},
		{"JWT", 1, map[jwt.Kind]string{jwt.AccessTokens: "not a string", jwt.APIKeys: "not a string", jwt.MarkedAPIKeys: "not a string"}},
		{"at+jwt", "apiKey", map[jwt.Kind]string{jwt.AccessTokens: "an API key", jwt.APIKeys: "an access token", jwt.MarkedAPIKeys: "an access token"}},
		{"application/AT+JWT", nil, map[jwt.Kind]string{jwt.AccessTokens: in, jwt.APIKeys: "an access token", jwt.MarkedAPIKeys: "an access token"}},
	} {
		change := map[string]any{}
		if tt.mark != nil {
			change["token_type"] = tt.mark
		}
		token := []byte(sign(keyA(), "RS256", map[string]any{"typ": tt.typ}, c.claims(change)))
		for kind, want := range tt.want {
			v := newVerifier(t, c, func(o *jwt.Options) { o.Issuers[0].Gives = kind })
			for range 2 { // from the cache, too
				_, err := v.Verify(token)
				if want == in {
					if err != nil {
						t.Errorf("%s, %v as kind %d: %v", tt.typ, tt.mark, kind, err)
					}
					continue
				}
				refused(t, tt.typ, err, fault.InvalidCredentials, want)
			}
		}
	}
}

func TestLasting(t *testing.T) {
	c := newClock()
	token := []byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"exp": nil})))
	_, err := newVerifier(t, c, nil).Verify(token)
	refused(t, "no exp", err, fault.InvalidCredentials, "exp")
	v := newVerifier(t, c, func(o *jwt.Options) { o.Issuers[0].Lasting = true })
	for range 2 {
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
		c.add(10 * 365 * 24 * time.Hour)
	}
	// Who has an expiry is held to it.
	if _, err := v.Verify([]byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"exp": c.at(-time.Minute)})))); err == nil {
		t.Error("an expired token is accepted")
	}
}

// What an issuer's tokens say beyond that is read once.
func TestRefine(t *testing.T) {
	c, calls := newClock(), 0
	v := newVerifier(t, c, func(o *jwt.Options) {
		o.Issuers[0].Refine = func(p *exchange.Principal) error {
			calls++
			p.Scheme = "refined"
			if p.Subject == "bad" {
				return errors.New("not to be understood")
			}
			return nil
		}
	})
	good := []byte(sign(keyA(), "RS256", nil, c.claims(nil)))
	for range 3 {
		if p, err := v.Verify(good); err != nil || p.Scheme != "refined" {
			t.Errorf("%v, %v", p, err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	_, err := v.Verify([]byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"sub": "bad"}))))
	refused(t, "bad", err, fault.InvalidCredentials, "not to be understood")
}
