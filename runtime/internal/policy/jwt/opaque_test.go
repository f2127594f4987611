package jwt_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
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
