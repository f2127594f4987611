package jwt_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// taken is revocations of names as they stand.
type taken map[string]bool

func (taken) Key(name []byte) (k [2]uint64) {
	for _, b := range name {
		k[0] = k[0]*1099511628211 + uint64(b)
	}
	return k
}

func (r taken) Revoked(key [2]uint64, _ int64) bool {
	for name := range r {
		if r.Key([]byte(name)) == key {
			return true
		}
	}
	return false
}

// Which tokens somebody else is asked about, and what can still be said against
// them here.
func TestOpaque(t *testing.T) {
	c := newClock()
	expired := sign(keyA(), "RS256", nil, c.claims(map[string]any{"exp": c.at(-time.Hour)}))
	elsewhere := sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": "https://elsewhere"}))
	forged := sign(keyB(), "RS256", nil, c.claims(nil))
	good := sign(keyA(), "RS256", nil, c.claims(nil))
	for _, tt := range []struct {
		name, token string
		too         bool
		revoked     string
		asked       bool
		ok          bool
	}{
		{name: "no dot", token: "abc", asked: true, ok: true},
		{name: "one dot", token: "abc.def", asked: true, ok: true},
		{name: "a dot at the end", token: "abc.", asked: true, ok: true},
		{name: "two dots", token: "a.b.c"},
		{name: "two dots and nothing", token: ".."},
		{name: "five parts", token: "a.b.c.d.e"},
		{name: "two dots", token: "a.b.c", too: true},
		{name: "signed", token: good, ok: true},
		{name: "signed", token: good, too: true, ok: true},
		{name: "of another issuer", token: elsewhere},
		{name: "of another issuer", token: elsewhere, too: true, asked: true, ok: true},
		{name: "of another issuer, revoked", token: elsewhere, too: true, revoked: elsewhere[:len(elsewhere)-342]},
		{name: "expired", token: expired, too: true},
		{name: "forged", token: forged, too: true},
		{name: "revoked", token: "abc", revoked: "abc"},
		{name: "revoked by its id", token: "abc", revoked: "jti-of-abc", asked: true},
	} {
		asked := false
		v, err := jwt.New(jwt.Options{
			Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: pemKeys(keyA().Public())}}, Now: c.now, Revoked: taken{tt.revoked: true}, OpaqueToo: tt.too,
			Opaque: func(_ *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error) {
				asked = true
				if !now.Equal(c.now()) || string(token) != tt.token {
					t.Errorf("%s: asked about %s at %v", tt.name, token, now)
				}
				return &exchange.Principal{TokenID: "jti-of-" + tt.token}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Request.Add([]byte("Authorization"), []byte("Bearer "+tt.token))
		err = v.Bearer("Authorization", true).Request(x)
		if asked != tt.asked || (err == nil) != tt.ok || err != nil && !errors.Is(err, fault.InvalidCredentials) {
			t.Errorf("%s, too=%t: asked %t, %v; want %t and %t", tt.name, tt.too, asked, err, tt.asked, tt.ok)
		}
		if err == nil && x.Principal == nil {
			t.Errorf("%s: nobody", tt.name)
		}
	}
}

// A token of a known issuer whose key is not known here is not asked about if it is held
// to something that the answer would not say: it would be good for more than it is.
func TestOpaqueHeldByDemands(t *testing.T) {
	c := newClock()
	set := must(keys.FromPEM(publicPEM(keyB().Public()), "RS384")) // and so not for RS256
	for _, tt := range []struct {
		name   string
		issuer jwt.Issuer
		claims map[string]any
		asked  bool
	}{
		{name: "nothing demanded", asked: true},
		{name: "by subscription, and none listed", issuer: jwt.Issuer{Demands: jwt.Demands{Subscriptions: jwt.SubscriptionsListed}}, asked: true},
		{name: "by subscription, and an empty list", issuer: jwt.Issuer{Demands: jwt.Demands{Subscriptions: jwt.SubscriptionsListed}}, claims: map[string]any{"subscribedAPIs": []any{}}, asked: true},
		{name: "subscriptions ignored", claims: map[string]any{"subscribedAPIs": []any{map[string]any{"name": "Pets", "version": "1"}}}, asked: true},
		{name: "by subscription, and some listed", issuer: jwt.Issuer{Demands: jwt.Demands{Subscriptions: jwt.SubscriptionsListed}},
			claims: map[string]any{"subscribedAPIs": []any{map[string]any{"name": "Pets", "version": "1"}}}},
		{name: "by subscription, and of another form", issuer: jwt.Issuer{Demands: jwt.Demands{Subscriptions: jwt.SubscriptionsListed}}, claims: map[string]any{"subscribedAPIs": "all"}},
		{name: "subscription required", issuer: jwt.Issuer{Demands: jwt.Demands{Subscriptions: jwt.SubscriptionsRequired}}},
		{name: "bound required", issuer: jwt.Issuer{Demands: jwt.Demands{Bound: true}}, claims: map[string]any{"cnf": map[string]any{"x5t#S256": b64(make([]byte, 32))}}},
		{name: "bound", claims: map[string]any{"cnf": map[string]any{"x5t#S256": b64(make([]byte, 32))}}},
		{name: "renamed claims", issuer: jwt.Issuer{Renamed: map[string]string{"permissions": "scope"}}},
	} {
		tt.issuer.Issuer, tt.issuer.Keys = issuerA, set
		asked := false
		v, err := jwt.New(jwt.Options{Issuers: []jwt.Issuer{tt.issuer}, Now: c.now, OpaqueToo: true,
			Opaque: func(*exchange.Exchange, []byte, time.Time) (*exchange.Principal, error) {
				asked = true
				return &exchange.Principal{}, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		err = v.Bearer("Authorization", true).Request(bearer(sign(keyA(), "RS256", nil, c.claims(tt.claims))))
		if asked != tt.asked || (err == nil) != tt.asked || err != nil && !errors.Is(err, fault.InvalidCredentials) {
			t.Errorf("%s: asked %t, %v; want %t", tt.name, asked, err, tt.asked)
		}
	}
}

// Of an opaque token, too, that is bound to a certificate, an open connection is of
// no more use once that is revoked.
func TestOpaqueBoundToRevoked(t *testing.T) {
	mine := &x509.Certificate{Raw: []byte("mine"), NotAfter: time.Now().Add(time.Hour)}
	b := must(jwt.New(jwt.Options{Opaque: func(_ *exchange.Exchange, token []byte, _ time.Time) (*exchange.Principal, error) {
		return &exchange.Principal{Bound: string(token) == "bound"}, nil
	}})).Bearer("Authorization", true)
	gone := false
	b.Withdrawn(func(chain []*x509.Certificate) bool { return gone && chain[0] == mine })
	for _, gone = range []bool{false, true} {
		for _, token := range []string{"bound", "unbound"} {
			x := bearer(token)
			x.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}, VerifiedChains: [][]*x509.Certificate{{mine}}}
			if err := b.Request(x); gone && token == "bound" {
				refused(t, token, err, fault.InvalidCredentials, "is revoked")
			} else if err != nil {
				t.Errorf("%s, revoked %v: %v", token, gone, err)
			}
		}
	}
}
