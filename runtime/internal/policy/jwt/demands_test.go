package jwt_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// only makes a verifier of one issuer with the key of issuer A.
func only(t testing.TB, c *clock, change func(*jwt.Issuer)) *jwt.Verifier {
	t.Helper()
	return newVerifier(t, c, func(o *jwt.Options) {
		change(&o.Issuers[0])
		o.Issuers = o.Issuers[:1]
	})
}

// What the issuer calls otherwise counts as what it is mapped to.
func TestClaimMapping(t *testing.T) {
	c := newClock()
	type want struct{ user, consumer, scopes, keyType string }
	for name, k := range map[string]struct {
		is     func(*jwt.Issuer)
		claims map[string]any
		want   want
	}{
		"as it comes": {func(*jwt.Issuer) {}, map[string]any{"name": "Alice A.", "azp": "web"}, want{"Alice A.", "web", "read write", "PRODUCTION"}},
		"scope of another name, a list": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"permissions": "scope"} },
			map[string]any{"permissions": []string{"a", "b:c"}}, want{"alice", "", "a b:c", "PRODUCTION"}},
		"scope of another name, text": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"permissions": "scope"} },
			map[string]any{"permissions": "a b:c"}, want{"alice", "", "a b:c", "PRODUCTION"}},
		"mapped, but absent": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"permissions": "scope"} },
			nil, want{"alice", "", "read write", "PRODUCTION"}},
		"away from scope": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"scope": "unused"} }, nil, want{"alice", "", "", "PRODUCTION"}},
		"exchanged": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"sub": "azp", "azp": "sub"} },
			map[string]any{"azp": "web"}, want{"web", "alice", "read write", "PRODUCTION"}},
		"scp": {func(*jwt.Issuer) {}, map[string]any{"scope": nil, "scp": []string{"x"}}, want{"alice", "", "x", "PRODUCTION"}},
		"consumer key": {func(is *jwt.Issuer) { is.ConsumerKeyClaim = "aud" }, map[string]any{"azp": "web"},
			want{"alice", gateway, "read write", "PRODUCTION"}},
		"consumer key, mapped": {func(is *jwt.Issuer) {
			is.ConsumerKeyClaim, is.Renamed = "key", map[string]string{"appid": "key"}
		}, map[string]any{"appid": "7"}, want{"alice", "7", "read write", "PRODUCTION"}},
		"user name": {func(is *jwt.Issuer) { is.UsernameClaim = "email" }, map[string]any{"email": "a@b.test", "name": "admin"},
			want{"a@b.test", "", "read write", "PRODUCTION"}},
		"user name, absent": {func(is *jwt.Issuer) { is.UsernameClaim = "email" }, map[string]any{"name": "admin"},
			want{"alice", "", "read write", "PRODUCTION"}},
		"key type": {func(is *jwt.Issuer) { is.Renamed = map[string]string{"https://b.test/env": "keytype"} },
			map[string]any{"https://b.test/env": "SANDBOX", "keytype": "PRODUCTION"}, want{"alice", "", "read write", "SANDBOX"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := only(t, c, k.is).Verify([]byte(sign(keyA(), "RS256", nil, c.claims(k.claims))))
			if err != nil {
				t.Fatal(err)
			}
			if got := (want{p.Username, p.ConsumerKey, strings.Join(p.Scopes, " "), p.KeyType}); got != k.want {
				t.Errorf("got %+v, want %+v", got, k.want)
			}
			var m map[string]any
			if err := json.Unmarshal(p.Claims, &m); err != nil || m["iss"] != issuerA {
				t.Errorf("claims %s: %v", p.Claims, err)
			}
		})
	}
	// What is passed on has our names, once each.
	v := only(t, c, func(is *jwt.Issuer) { is.Renamed = map[string]string{"a\"b": "c"} })
	p, err := v.Verify([]byte(signRaw(`{"alg":"RS256"}`, fmt.Sprintf(`{"c": 1, "iss":%q, "aud":%q, "exp":%d, "a\"b": {"x": [1]}}`, issuerA, gateway, int64(c.at(3600e9))))))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%d,"c":{"x": [1]}}`, issuerA, gateway, int64(c.at(3600e9))); string(p.Claims) != want {
		t.Errorf("got  %s\nwant %s", p.Claims, want)
	}
}

// What decides whether a token is good cannot be renamed.
func TestMappingRefused(t *testing.T) {
	for want, names := range map[string]map[string]string{
		`"x" cannot be renamed to "iss"`:        {"x": "iss"},
		`"exp" cannot be renamed to "x"`:        {"exp": "x"},
		`"cnf" cannot be renamed to "x"`:        {"cnf": "x"},
		`"a" and "b" are both renamed to "sub"`: {"a": "sub", "b": "sub"},
		`without a name`:                        {"a": ""},
	} {
		_, err := jwt.New(jwt.Options{Issuers: []jwt.Issuer{{Issuer: "i", Keys: pemKeys(keyA().Public()), Renamed: names}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", names, err, want)
		}
	}
	c := newClock()
	_, err := only(t, c, func(is *jwt.Issuer) { is.UsernameClaim = "email" }).Verify([]byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"email": 1}))))
	refused(t, "user name of another form", err, fault.InvalidCredentials, "email is not a string")
}

// The table of WSO2 API Microgateway 3.0 for subscribedAPIs, and what 3.1's
// validateSubscription makes of it.
func TestSubscriptions(t *testing.T) {
	c := newClock()
	pets := map[string]any{"name": "Pets", "version": "1", "subscriptionTier": "Gold", "context": "/pets/1"}
	other := map[string]any{"name": "Shop", "version": "1"}
	const pass, forbidden, invalid = "pass", "900908", "900901"
	for name, k := range map[string]struct {
		claim                     any
		ignored, listed, required string
	}{
		"absent":          {nil, pass, pass, forbidden},
		"empty":           {[]any{}, pass, pass, forbidden},
		"this API":        {[]any{pets}, pass, pass, pass},
		"among others":    {[]any{other, pets}, pass, pass, pass},
		"another API":     {[]any{other}, pass, forbidden, forbidden},
		"another version": {[]any{map[string]any{"name": "Pets", "version": "2"}}, pass, forbidden, forbidden},
		"letter case":     {[]any{map[string]any{"name": "PETS", "version": "1"}}, pass, forbidden, forbidden},
		"no version":      {[]any{map[string]any{"name": "Pets"}}, pass, forbidden, forbidden},
		"no name":         {[]any{map[string]any{"version": "1"}}, pass, invalid, invalid},
		"a text":          {"Pets", pass, invalid, invalid},
		"an object":       {pets, pass, invalid, invalid},
		"a list of texts": {[]any{"Pets"}, pass, invalid, invalid},
		"name a number":   {[]any{map[string]any{"name": 1, "version": "1"}}, pass, invalid, invalid},
	} {
		for check, want := range map[jwt.Subscriptions]string{jwt.SubscriptionsIgnored: k.ignored, jwt.SubscriptionsListed: k.listed, jwt.SubscriptionsRequired: k.required} {
			stage := only(t, c, func(is *jwt.Issuer) { is.Demands.Subscriptions = check }).Bearer("Authorization", true).Request
			token := sign(keyA(), "RS256", nil, c.claims(map[string]any{"subscribedAPIs": k.claim}))
			for range 2 { // then from the cache
				x := bearer(token)
				x.Route = &exchange.Route{API: "Pets", APIVersion: "1"}
				err := stage(x)
				got := pass
				if err != nil {
					got = strings.Fields(err.Error())[0]
				}
				if got != want {
					t.Errorf("%s, %d: got %v, want %s", name, check, err, want)
				}
				if err != nil && x.Principal != nil {
					t.Errorf("%s: refused, and it has a principal", name)
				}
			}
		}
	}
	// One token is judged anew for each API.
	v := only(t, c, func(is *jwt.Issuer) { is.Demands.Subscriptions = jwt.SubscriptionsListed })
	token := sign(keyA(), "RS256", nil, c.claims(map[string]any{"subscribedAPIs": []any{pets},
		"application": map[string]any{"id": 7, "uuid": "u", "name": "Web", "owner": "bob", "tier": "Unlimited", "x": nil}}))
	for api, good := range map[string]bool{"Pets": true, "Shop": false, "": false} {
		x := bearer(token)
		x.Route = &exchange.Route{API: api, APIVersion: "1"}
		if err := v.Bearer("Authorization", true).Request(x); (err == nil) != good {
			t.Errorf("%q: %v", api, err)
		} else if !good {
			var f *fault.Fault = err.(*fault.Fault)
			if f.Status != 403 || string(f.Body()) != `{"fault":{"code":900908, "message":"Resource forbidden ", "description":"Resource forbidden . Unclassified Authentication Failure"}}` {
				t.Errorf("%q: %d %s", api, f.Status, f.Body())
			}
		}
	}
	p, err := v.Verify([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	if want := (exchange.Application{ID: "7", UUID: "u", Name: "Web", Owner: "bob", Tier: "Unlimited"}); p.Application != want {
		t.Errorf("application %+v, want %+v", p.Application, want)
	}
	if want := []exchange.Subscription{{API: "Pets", Version: "1", Tier: "Gold"}}; !reflect.DeepEqual(p.Subscriptions, want) {
		t.Errorf("subscriptions %+v, want %+v", p.Subscriptions, want)
	}
}

// A token that names a certificate is good with that one only, from the cache,
// too; one that names another way to confirm it is good for nobody.
func TestBoundTokens(t *testing.T) {
	c := newClock()
	mine, other := &x509.Certificate{Raw: []byte("mine")}, &x509.Certificate{Raw: []byte("other")}
	sum := sha256.Sum256(mine.Raw)
	print := b64(sum[:])
	with := func(certs ...*x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: certs}
	}
	bound := map[string]any{"x5t#S256": print}
	for name, k := range map[string]struct {
		cnf   any
		must  bool
		tls   *tls.ConnectionState
		cause string // "": let in
	}{
		"its certificate":             {bound, false, with(mine, other), ""},
		"its certificate, bound only": {bound, true, with(mine), ""},
		"another certificate":         {bound, false, with(other, mine), "another client certificate"},
		"no certificate":              {bound, false, with(), "the connection has none"},
		"plaintext":                   {bound, false, nil, "the connection has none"},
		"unbound":                     {nil, false, with(mine), ""},
		"unbound, bound only":         {nil, true, with(mine), "only bound tokens"},
		"DPoP":                        {map[string]any{"jkt": print}, false, with(mine), "not supported"},
		"both":                        {map[string]any{"x5t#S256": print, "jkt": print}, false, with(mine), "not supported"},
		"jwk":                         {map[string]any{"jwk": map[string]any{}}, false, with(mine), "not supported"},
		"x5t":                         {map[string]any{"x5t": print}, false, with(mine), "not supported"},
		"letter case":                 {map[string]any{"X5T#s256": print}, false, with(mine), "not supported"},
		"nothing":                     {map[string]any{}, false, with(mine), "no way to confirm"},
		"text":                        {print, false, with(mine), "not a JSON object"},
		"number":                      {map[string]any{"x5t#S256": 1}, false, with(mine), "no thumbprint"},
		"padding":                     {map[string]any{"x5t#S256": print + "="}, false, with(mine), "no thumbprint"},
		"short":                       {map[string]any{"x5t#S256": print[:40]}, false, with(mine), "no thumbprint"},
		"hex":                         {map[string]any{"x5t#S256": fmt.Sprintf("%x", sum)}, false, with(mine), "no thumbprint"},
	} {
		t.Run(name, func(t *testing.T) {
			stage := only(t, c, func(is *jwt.Issuer) { is.Demands.Bound = k.must }).Bearer("Authorization", true).Request
			token := sign(keyA(), "RS256", nil, c.claims(map[string]any{"cnf": k.cnf}))
			for range 2 {
				x := bearer(token)
				x.TLS = k.tls
				switch err := stage(x); {
				case k.cause != "":
					refused(t, name, err, fault.InvalidCredentials, k.cause)
				case err != nil:
					t.Error(err)
				}
			}
		})
	}
	err := newVerifier(t, c, nil).Bearer("Authorization", true).Request(bearer(signRaw(`{"alg":"RS256"}`,
		fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%d,"cnf":{"x5t#S256":%q,"x5t#S256":%q}}`, issuerA, gateway, int64(c.at(3600e9)), print, print))))
	refused(t, "thumbprint twice", err, fault.InvalidCredentials, "twice")
}

// A connection that was open when its certificate expired, or that of its
// authority, is of no use to a bound token any more; others do not mind.
func TestBoundToExpired(t *testing.T) {
	c := newClock()
	sum := sha256.Sum256([]byte("mine"))
	bound := sign(keyA(), "RS256", nil, c.claims(map[string]any{"cnf": map[string]any{"x5t#S256": b64(sum[:])}}))
	unbound := sign(keyA(), "RS256", nil, c.claims(nil))
	signed := newVerifier(t, c, nil).Bearer("Authorization", true)
	opaque := newVerifier(t, c, func(o *jwt.Options) {
		o.Opaque = func(_ *exchange.Exchange, token []byte, _ time.Time) (*exchange.Principal, error) {
			return &exchange.Principal{Bound: string(token) == "bound"}, nil
		}
	}).Bearer("Authorization", true)
	until := func(d time.Duration) *x509.Certificate {
		return &x509.Certificate{Raw: []byte("mine"), NotAfter: c.now().Add(d)}
	}
	valid, past := until(time.Hour), until(-time.Second)
	for name, k := range map[string]struct {
		chains [][]*x509.Certificate
		good   bool
	}{
		"valid":                 {[][]*x509.Certificate{{valid, valid}}, true},
		"in its last second":    {[][]*x509.Certificate{{until(0), valid}}, true},
		"expired":               {[][]*x509.Certificate{{past, valid}}, false},
		"its authority expired": {[][]*x509.Certificate{{valid, past}}, false},
		"one of two ways":       {[][]*x509.Certificate{{valid, past}, {valid, valid}}, true},
	} {
		for _, token := range []string{bound, unbound, "bound", "unbound"} {
			b, isBound := signed, token == bound
			if len(token) < 10 {
				b, isBound = opaque, token == "bound"
			}
			for range 2 { // the second time from memory
				x := bearer(token)
				x.TLS = &tls.ConnectionState{PeerCertificates: k.chains[0][:1], VerifiedChains: k.chains}
				if err := b.Request(x); isBound && !k.good {
					refused(t, name, err, fault.InvalidCredentials, "has expired since")
				} else if err != nil {
					t.Errorf("%s, %.10s: %v", name, token, err)
				}
			}
		}
	}
}

// A connection that was open when its certificate was revoked is of no use to a
// bound token any more; others do not mind.
func TestBoundToRevoked(t *testing.T) {
	c := newClock()
	mine := &x509.Certificate{Raw: []byte("mine"), NotAfter: c.now().Add(time.Hour)}
	sum := sha256.Sum256(mine.Raw)
	b := newVerifier(t, c, nil).Bearer("Authorization", true)
	gone := false
	b.Withdrawn(func(chain []*x509.Certificate) bool { return gone && chain[0] == mine })
	bound := sign(keyA(), "RS256", nil, c.claims(map[string]any{"cnf": map[string]any{"x5t#S256": b64(sum[:])}}))
	unbound := sign(keyA(), "RS256", nil, c.claims(nil))
	for _, gone = range []bool{false, true} {
		for name, token := range map[string]string{"bound": bound, "unbound": unbound} {
			x := bearer(token)
			x.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}, VerifiedChains: [][]*x509.Certificate{{mine}}}
			if err := b.Request(x); gone && name == "bound" {
				refused(t, name, err, fault.InvalidCredentials, "is revoked")
			} else if err != nil {
				t.Errorf("%s, revoked %v: %v", name, gone, err)
			}
		}
	}
}

// A token may be bound and for some APIs: both is judged.
func TestBoundAndSubscribed(t *testing.T) {
	c := newClock()
	cert := &x509.Certificate{Raw: []byte("mine")}
	sum := sha256.Sum256(cert.Raw)
	stage := only(t, c, func(is *jwt.Issuer) { is.Demands.Subscriptions = jwt.SubscriptionsRequired }).Bearer("Authorization", true).Request
	token := sign(keyA(), "RS256", nil, c.claims(map[string]any{"cnf": map[string]any{"x5t#S256": b64(sum[:])},
		"subscribedAPIs": []any{map[string]any{"name": "Pets", "version": "1"}}}))
	for _, k := range []struct {
		api  string
		cert *x509.Certificate
		want *fault.Fault
	}{{"Pets", cert, nil}, {"Pets", &x509.Certificate{}, fault.InvalidCredentials}, {"Shop", cert, fault.SubscriptionMissing}, {"Shop", &x509.Certificate{}, fault.InvalidCredentials}} {
		x := bearer(token)
		x.Route = &exchange.Route{API: k.api, APIVersion: "1"}
		x.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{k.cert}}
		if err := stage(x); k.want == nil && err != nil {
			t.Error(err)
		} else if k.want != nil {
			refused(t, k.api, err, k.want, "")
		}
	}
}

// at+jwt, and the algorithms of a profile.
func TestDemandedHeader(t *testing.T) {
	c := newClock()
	typed := only(t, c, func(is *jwt.Issuer) { is.Demands.Typed = true })
	for typ, good := range map[any]bool{nil: false, "JWT": false, "at+jwt": true, "AT+jwt": true, "application/at+jwt": true, "": false, "jwt": false} {
		_, err := typed.Verify([]byte(sign(keyA(), "RS256", map[string]any{"typ": typ}, c.claims(nil))))
		if good && err != nil {
			t.Errorf("typ %v: %v", typ, err)
		} else if !good {
			refused(t, fmt.Sprint(typ), err, fault.InvalidCredentials, "at+jwt is wanted")
		}
	}
	fapi := only(t, c, func(is *jwt.Issuer) { is.Demands.Algorithms = []string{"PS256", "ES256"} })
	_, err := fapi.Verify([]byte(sign(keyA(), "RS256", nil, c.claims(nil))))
	refused(t, "RS256", err, fault.InvalidCredentials, `algorithm "RS256"`)
	fapi = only(t, c, func(is *jwt.Issuer) {
		is.Demands.Algorithms, is.Keys = []string{"PS256", "ES256"}, pemKeys(keyE().Public())
	})
	if _, err := fapi.Verify([]byte(sign(keyE(), "ES256", nil, c.claims(nil)))); err != nil {
		t.Error(err)
	}
}

// Judging what a remembered token is restricted to allocates nothing.
func TestRestrictedHitAllocatesNothing(t *testing.T) {
	c := newClock()
	cert := &x509.Certificate{Raw: []byte("mine")}
	sum := sha256.Sum256(cert.Raw)
	stage := only(t, c, func(is *jwt.Issuer) { is.Demands.Subscriptions = jwt.SubscriptionsRequired }).Bearer("Authorization", true).Request
	name, value := []byte("Authorization"), []byte("Bearer "+sign(keyA(), "RS256", nil, c.claims(map[string]any{
		"cnf": map[string]any{"x5t#S256": b64(sum[:])}, "subscribedAPIs": []any{map[string]any{"name": "Pets", "version": "1"}}})))
	state, route := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, &exchange.Route{API: "Pets", APIVersion: "1"}
	x := &exchange.Exchange{}
	run := func() {
		x.Reset()
		x.TLS, x.Route = state, route
		x.Request.Add(name, value)
		if err := stage(x); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
