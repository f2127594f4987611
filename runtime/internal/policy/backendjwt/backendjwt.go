// Package backendjwt tells upstreams who calls: a token that the gateway signs
// itself, in a header field of the forwarded request, with the claims that WSO2
// API Manager's backends read.
//
// What surprises:
//
//   - What a client has sent in that field is taken out of every request, on open
//     operations, too, and in every spelling that an upstream may take for it. An
//     upstream that believes the field would else believe anybody.
//   - A token is made once for a caller and an API and then used again, until
//     three quarters of its time are over. It never lives longer than what the
//     caller has proved who it is with.
//   - A caller is told apart by the principal that its credentials proved, as it
//     lies in memory: whoever remembers credentials hands out the same one again.
//     Nothing is compared, so nobody can be taken for somebody else.
package backendjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/sign"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// Options for New.
type Options struct {
	Header   string        // of the forwarded request
	Dialect  string        // stands, with a slash, before the names of our own claims
	Issuer   string        // iss
	Audience []string      // aud
	Expiry   time.Duration // of a token
	// Restricted lists the caller's claims that are not passed on.
	Restricted []string
	// Key signs: RSA of 2048 bits or more (RS256), or P-256 (ES256).
	Key crypto.Signer
	// Certificate is of the key, and named in the tokens; nil: none is.
	Certificate *x509.Certificate
	// Entries bounds the tokens that are remembered; 0: none is.
	Entries int
	Now     func() time.Time // nil: the request's own time
}

// A Generator makes tokens. It is safe for concurrent use.
type Generator struct {
	o       Options
	lower   string
	name    []byte
	header  string // of the tokens, encoded, with the dot behind it
	jwks    []byte
	dropped map[string]bool // claims that are not passed on

	mu         sync.RWMutex
	young, old map[key]*entry // guarded by mu; old are those of before young was full
}

// key is who calls what.
type key struct {
	principal *exchange.Principal
	api       *API
}

type entry struct {
	once  sync.Once
	value []byte
	until int64 // to be used, in milliseconds since 1970
	done  atomic.Bool
}

// An API is what tokens tell of one.
type API struct{ Name, Version, Context string }

// own claims decide things, or are made anew. The rest of them are WSO2's list.
var own = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "active", "token_type", "backendJwt",
	"application", "tierInfo", "subscribedAPIs", "keytype"}

// New checks the options.
func New(o Options) (*Generator, error) {
	g := &Generator{o: o, lower: strings.ToLower(o.Header), name: []byte(o.Header), dropped: map[string]bool{}}
	switch {
	case o.Header == "":
		return nil, errors.New("backend JWT: no header field")
	case o.Expiry <= 0:
		return nil, errors.New("backend JWT: no time to live")
	case o.Key == nil:
		return nil, errors.New("backend JWT: no key")
	}
	alg, err := sign.Algorithm(o.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("backend JWT: %w", err)
	}
	var jwk any // members in the order of their names, as RFC 7638 has them
	switch pub := o.Key.Public().(type) {
	case *rsa.PublicKey:
		jwk = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{b64(big.NewInt(int64(pub.E)).Bytes()), "RSA", b64(pub.N.Bytes())}
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("backend JWT: %w", err)
		}
		jwk = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{"P-256", "EC", b64(point[1:33]), b64(point[33:])}
	default: // EdDSA, which WSO2's backends do not know
		return nil, fmt.Errorf("backend JWT: a key of the kind %T cannot be used", pub)
	}
	member, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("backend JWT: %w", err)
	}
	sum := sha256.Sum256(member)
	kid := b64(sum[:])
	g.jwks = fmt.Appendf(nil, `{"keys":[{"alg":%q,"kid":%q,"use":"sig",%s]}`, alg, kid, member[1:])
	header := fmt.Appendf(nil, `{"alg":%q,"typ":"JWT","kid":%q`, alg, kid)
	if o.Certificate != nil {
		print := sha1.Sum(o.Certificate.Raw)
		header = fmt.Appendf(header, `,"x5t":%q`, b64(print[:]))
	}
	g.header = b64(append(header, '}')) + "."
	for _, name := range append(slices.Clone(own), o.Restricted...) {
		g.dropped[name] = true
	}
	g.young = map[key]*entry{}
	return g, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWKS is the set with the public half of the key (RFC 7517).
func (g *Generator) JWKS() []byte { return slices.Clone(g.jwks) }

// Clear returns the request half of a stage that tells upstreams nothing, and takes
// out what a client has sent in a header field of that name, as Stage does.
func Clear(header string) func(*exchange.Exchange) error {
	lower := strings.ToLower(header)
	return func(x *exchange.Exchange) error {
		x.Request.DeleteAlike(lower)
		return nil
	}
}

// Stage returns the request half of a stage for the operations of an API. It
// stands behind those that say who calls.
func (g *Generator) Stage(api API) func(*exchange.Exchange) error {
	return func(x *exchange.Exchange) error {
		x.Request.DeleteAlike(g.lower)
		if x.Principal == nil {
			return nil
		}
		now := x.Start
		if g.o.Now != nil {
			now = g.o.Now()
		} else if now.IsZero() {
			now = time.Now()
		}
		value, err := g.token(key{x.Principal, &api}, now.UnixMilli())
		if err != nil {
			return fault.Internal.Because(fmt.Errorf("backend JWT: %w", err))
		}
		x.Request.Add(g.name, value)
		return nil
	}
}

// token returns the one that is remembered, or makes one. Who asks for the same
// at one time waits for the first.
func (g *Generator) token(k key, now int64) ([]byte, error) {
	if g.o.Entries <= 0 {
		value, _, err := g.sign(k, now)
		return value, err
	}
	g.mu.RLock()
	e := g.young[k]
	g.mu.RUnlock()
	if e != nil && e.usable(now) {
		return e.value, nil
	}
	return g.renew(k, now)
}

// usable reports whether e holds a token, and one that is good for a while.
func (e *entry) usable(now int64) bool { return e.done.Load() && now < e.until }

func (g *Generator) renew(k key, now int64) ([]byte, error) {
	g.mu.Lock()
	e := g.young[k]
	if e == nil || e.done.Load() && !e.usable(now) {
		// One that was used before young was full comes along.
		if e = g.old[k]; e == nil || e.done.Load() && !e.usable(now) {
			e = &entry{}
		}
		if len(g.young) >= max(1, g.o.Entries/2) {
			g.young, g.old = map[key]*entry{}, g.young
		}
		delete(g.old, k)
		g.young[k] = e
	}
	g.mu.Unlock()
	var err error
	e.once.Do(func() {
		if e.value, e.until, err = g.sign(k, now); err == nil {
			e.done.Store(true)
		}
	})
	if err == nil && !e.done.Load() {
		err = errors.New("not signed")
	}
	if err != nil {
		g.mu.Lock()
		if g.young[k] == e {
			delete(g.young, k)
		}
		g.mu.Unlock()
		return nil, err
	}
	return e.value, nil
}

// sign makes a token and says how long it is to be used.
func (g *Generator) sign(k key, now int64) (value []byte, until int64, err error) {
	life := g.o.Expiry.Milliseconds()
	expires, until := now+life, now+life*3/4
	if at := k.principal.Expires; !at.IsZero() && at.UnixMilli() < expires {
		expires = at.UnixMilli()
		until = expires // a new one would not live longer
	}
	claims, err := g.claims(k, now/1000, expires/1000)
	if err != nil {
		return nil, 0, err
	}
	signed := g.header + b64(claims)
	signature, err := sign.Sign(g.o.Key, signed)
	if err != nil {
		return nil, 0, err
	}
	return []byte(signed + "." + b64(signature)), until, nil
}

// claims makes the payload.
func (g *Generator) claims(k key, now, expires int64) ([]byte, error) {
	p, api := k.principal, k.api
	all := map[string]any{
		"iss": g.o.Issuer, "jti": rand.Text(), "iat": now, "exp": expires,
	}
	if len(g.o.Audience) == 1 {
		all["aud"] = g.o.Audience[0]
	} else if len(g.o.Audience) > 1 {
		all["aud"] = g.o.Audience
	}
	if p.Subject != "" {
		all["sub"] = p.Subject
	}
	prefix := g.o.Dialect + "/"
	tier := ""
	if s := p.Subscribed(api.Name, api.Version); s != nil {
		tier = s.Tier
	}
	for name, value := range map[string]string{
		"enduser": p.Username, "enduserTenantDomain": "carbon.super", "usertype": "Application_User", "keytype": p.KeyType,
		"applicationid": p.Application.ID, "applicationUUId": p.Application.UUID, "applicationname": p.Application.Name,
		"applicationtier": p.Application.Tier, "subscriber": p.Application.Owner,
		"apiname": api.Name, "version": api.Version, "apicontext": api.Context, "tier": tier,
	} {
		if value != "" {
			all[prefix+name] = value
		}
	}
	if len(p.Claims) > 0 {
		err := strictjson.Object(p.Claims, func(name, value []byte) error {
			n := string(name)
			// Names of our dialect are ours: a caller's claim must not pass for one.
			if !g.dropped[n] && !strings.HasPrefix(n, prefix) {
				all[n] = json.RawMessage(value)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("claims of the caller: %w", err)
		}
	}
	return json.Marshal(all)
}
