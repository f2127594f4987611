package backendjwt_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/backendjwt"
)

var start = time.Unix(1_800_000_000, 0)

// counting is a key that counts what it signs, and may fail.
type counting struct {
	crypto.Signer
	calls atomic.Int32
	fail  atomic.Bool
	wait  chan struct{} // nil: do not
}

func (c *counting) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	c.calls.Add(1)
	if c.wait != nil {
		<-c.wait
	}
	if c.fail.Load() {
		return nil, errors.New("the key is away")
	}
	return c.Signer.Sign(r, digest, o)
}

func ec(t testing.TB) *counting {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &counting{Signer: k}
}

func options(k crypto.Signer) backendjwt.Options {
	return backendjwt.Options{Header: "X-JWT-Assertion", Dialect: "http://wso2.org/claims", Issuer: "gw", Audience: []string{"up"},
		Expiry: 15 * time.Minute, Key: k, Entries: 100}
}

func generator(t testing.TB, o backendjwt.Options) *backendjwt.Generator {
	t.Helper()
	g, err := backendjwt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var pets = backendjwt.API{Name: "Pets", Version: "1", Context: "/pets/1"}

func call(p *exchange.Principal, at time.Time, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Principal: p, Start: at}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Add([]byte(fields[i]), []byte(fields[i+1]))
	}
	return x
}

// sent returns the assertions that the upstream sees, however they are spelt.
func sent(x *exchange.Exchange) (all []string) {
	for _, f := range x.Request.Fields {
		if !f.Deleted() && strings.EqualFold(strings.ReplaceAll(string(f.Name), "_", "-"), "X-JWT-Assertion") {
			all = append(all, string(f.Value))
		}
	}
	return all
}

// verify checks a token by the published keys and returns its header and claims.
func verify(t *testing.T, g *backendjwt.Generator, token string) (header, claims map[string]any) {
	t.Helper()
	set, err := keys.FromJWKS(g.JWKS())
	if err != nil {
		t.Fatalf("%s: %v", g.JWKS(), err)
	}
	part := strings.Split(token, ".")
	if len(part) != 3 {
		t.Fatalf("token %q", token)
	}
	for i, to := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(part[i])
		if err == nil {
			err = json.Unmarshal(b, to)
		}
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	}
	list, err := set.Keys(header["kid"].(string), header["alg"].(string))
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	sum := crypto.SHA256.New()
	sum.Write([]byte(part[0] + "." + part[1]))
	sig, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		t.Fatal(err)
	}
	good := false
	switch pub := list[0].Public.(type) {
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum.Sum(nil), sig) == nil
	case *ecdsa.PublicKey:
		good = len(sig) == 64 && ecdsa.Verify(pub, sum.Sum(nil), new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	if !good {
		t.Error("the signature does not verify")
	}
	return header, claims
}

func TestClaims(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ec(t)} {
		t.Run(alg, func(t *testing.T) {
			o := options(key)
			o.Certificate = &x509.Certificate{Raw: []byte("cert")}
			o.Restricted = []string{"secret"}
			g := generator(t, o)
			p := &exchange.Principal{
				Scheme: "jwt", Subject: "s1", Username: "alice", KeyType: "PRODUCTION", Expires: start.Add(time.Hour),
				Application:   exchange.Application{ID: "7", UUID: "u-7", Name: "Web", Owner: "bob", Tier: "Unlimited"},
				Subscriptions: []exchange.Subscription{{API: "Shop", Version: "1", Tier: "Silver"}, {API: "Pets", Version: "1", Tier: "Gold"}},
				Claims: []byte(`{"iss":"idp","sub":"x","aud":"y","exp":1,"nbf":1,"iat":1,"jti":"j","cnf":{"x5t#S256":"x"},"keytype":"SANDBOX","application":{},"subscribedAPIs":[],` +
					`"scope":"read","secret":"s","email":"a@b.test","n":1.50,"list":[1,{"a":null}],"http://wso2.org/claims/enduser":"admin","http://wso2.org/claims/role":"admin"}`),
			}
			x := call(p, start)
			if err := g.Stage(pets)(x); err != nil {
				t.Fatal(err)
			}
			tokens := sent(x)
			if len(tokens) != 1 {
				t.Fatalf("sent %q", tokens)
			}
			header, claims := verify(t, g, tokens[0])
			print := sha1.Sum([]byte("cert"))
			if header["alg"] != alg || header["typ"] != "JWT" || header["x5t"] != base64.RawURLEncoding.EncodeToString(print[:]) {
				t.Errorf("header %v", header)
			}
			if j, _ := claims["jti"].(string); len(j) < 20 || j == "j" {
				t.Errorf("jti %v", claims["jti"])
			}
			delete(claims, "jti")
			got, _ := json.Marshal(claims)
			want := fmt.Sprintf(`{"aud":"up","email":"a@b.test","exp":%d,"http://wso2.org/claims/apicontext":"/pets/1","http://wso2.org/claims/apiname":"Pets","http://wso2.org/claims/applicationUUId":"u-7",`+
				`"http://wso2.org/claims/applicationid":"7","http://wso2.org/claims/applicationname":"Web","http://wso2.org/claims/applicationtier":"Unlimited","http://wso2.org/claims/enduser":"alice",`+
				`"http://wso2.org/claims/enduserTenantDomain":"carbon.super","http://wso2.org/claims/keytype":"PRODUCTION","http://wso2.org/claims/subscriber":"bob","http://wso2.org/claims/tier":"Gold",`+
				`"http://wso2.org/claims/usertype":"Application_User","http://wso2.org/claims/version":"1","iat":%d,"iss":"gw","list":[1,{"a":null}],"n":1.5,"scope":"read","sub":"s1"}`,
				start.Unix()+900, start.Unix())
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// What clients send in the field never reaches an upstream, whoever calls.
func TestInboundRemoved(t *testing.T) {
	g := generator(t, options(ec(t)))
	forged := []string{"X-JWT-Assertion", "forged", "x-jwt-assertion", "forged", "X_JWT_ASSERTION", "forged", "x-jwt_assertion", "forged", "X-Other", "kept"}
	for name, p := range map[string]*exchange.Principal{"nobody": nil, "somebody": {Subject: "s"}} {
		x := call(p, start, forged...)
		if err := g.Stage(pets)(x); err != nil {
			t.Fatal(err)
		}
		tokens := sent(x)
		if (len(tokens) == 1) != (p != nil) || strings.Contains(strings.Join(tokens, ""), "forged") {
			t.Errorf("%s: sent %q", name, tokens)
		}
		if v, _ := x.Request.Get("x-other"); string(v) != "kept" {
			t.Errorf("%s: another field is gone", name)
		}
	}
}

// A token is used again until three quarters of its time are over, and never
// outlives what the caller came with.
func TestCache(t *testing.T) {
	k := ec(t)
	g := generator(t, options(k))
	stage, shop := g.Stage(pets), g.Stage(backendjwt.API{Name: "Shop"})
	alice, bob := &exchange.Principal{Subject: "alice"}, &exchange.Principal{Subject: "bob"}
	use := func(stage func(*exchange.Exchange) error, p *exchange.Principal, at time.Duration) (string, map[string]any) {
		t.Helper()
		x := call(p, start.Add(at))
		if err := stage(x); err != nil {
			t.Fatal(err)
		}
		_, claims := verify(t, g, sent(x)[0])
		return sent(x)[0], claims
	}
	first, _ := use(stage, alice, 0)
	for _, c := range []struct {
		what  string
		stage func(*exchange.Exchange) error
		p     *exchange.Principal
		at    time.Duration
		same  bool
	}{
		{"again", stage, alice, time.Minute, true},
		{"just before", stage, alice, 11*time.Minute + 14*time.Second, true},
		{"somebody else", stage, bob, 0, false},
		{"another API", shop, alice, 0, false},
		{"the same name, proved anew", stage, &exchange.Principal{Subject: "alice"}, 0, false},
		{"after three quarters", stage, alice, 11*time.Minute + 15*time.Second, false},
	} {
		if token, _ := use(c.stage, c.p, c.at); (token == first) != c.same {
			t.Errorf("%s: the same token: %v, want %v", c.what, token == first, c.same)
		}
	}
	short := &exchange.Principal{Subject: "short", Expires: start.Add(time.Minute)}
	token, claims := use(stage, short, 0)
	if claims["exp"] != float64(start.Add(time.Minute).Unix()) {
		t.Errorf("exp %v: longer than the caller's own token", claims["exp"])
	}
	if again, _ := use(stage, short, 59*time.Second); again != token {
		t.Error("made anew although it cannot live longer")
	}

	none := options(k)
	none.Entries = 0
	g = generator(t, none)
	before := k.calls.Load()
	a, _ := use(g.Stage(pets), alice, 0)
	if b, _ := use(g.Stage(pets), alice, 0); a == b || k.calls.Load() != before+2 {
		t.Error("remembered without a cache")
	}
}

// The cache is bounded, and who is there all the time stays in it.
func TestCacheBound(t *testing.T) {
	k := ec(t)
	stage := generator(t, options(k)).Stage(pets)
	always := &exchange.Principal{Subject: "always"}
	for range 1000 {
		for _, p := range []*exchange.Principal{always, {Subject: "once"}} {
			if err := stage(call(p, start)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := k.calls.Load(); n != 1001 {
		t.Errorf("%d signatures, want 1001", n)
	}
}

// Many who ask for one token at a time get one.
func TestCoalesced(t *testing.T) {
	k := ec(t)
	k.wait = make(chan struct{})
	stage := generator(t, options(k)).Stage(pets)
	p := &exchange.Principal{Subject: "s"}
	var wg sync.WaitGroup
	tokens := make([]string, 50)
	for i := range tokens {
		wg.Go(func() {
			x := call(p, start)
			if err := stage(x); err != nil {
				t.Error(err)
				return
			}
			tokens[i] = sent(x)[0]
		})
	}
	close(k.wait)
	wg.Wait()
	for _, s := range tokens {
		if s != tokens[0] {
			t.Fatal("two tokens")
		}
	}
	if n := k.calls.Load(); n != 1 {
		t.Errorf("%d signatures", n)
	}
}

// A key that fails fails the request, nothing is sent in the field, and the next
// one tries again.
func TestKeyFails(t *testing.T) {
	k := ec(t)
	k.fail.Store(true)
	stage := generator(t, options(k)).Stage(pets)
	p := &exchange.Principal{Subject: "s"}
	for range 2 {
		x := call(p, start, "X-JWT-Assertion", "forged")
		if err := stage(x); !errors.Is(err, fault.Internal) || len(sent(x)) > 0 {
			t.Errorf("got %v, sent %q", err, sent(x))
		}
	}
	k.fail.Store(false)
	x := call(p, start)
	if err := stage(x); err != nil || len(sent(x)) != 1 {
		t.Errorf("after that: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil { // this Go does not even make one
		small = &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*backendjwt.Options){
		"no key":                  func(o *backendjwt.Options) { o.Key = nil },
		"no header field":         func(o *backendjwt.Options) { o.Header = "" },
		"no time to live":         func(o *backendjwt.Options) { o.Expiry = 0 },
		"RSA key of 1024 bits":    func(o *backendjwt.Options) { o.Key = small },
		"a key of the curve P-38": func(o *backendjwt.Options) { o.Key = p384 },
	} {
		o := options(ec(t))
		change(&o)
		if _, err := backendjwt.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Nothing private is published.
func TestJWKS(t *testing.T) {
	k := ec(t)
	set := generator(t, options(k)).JWKS()
	d, err := k.Signer.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(set, []byte(`"d"`)) || bytes.Contains(set, []byte(base64.RawURLEncoding.EncodeToString(d))) || !json.Valid(set) {
		t.Errorf("%s", set)
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	stage := generator(t, options(ec(t))).Stage(pets)
	p := &exchange.Principal{Subject: "s"}
	x := &exchange.Exchange{}
	run := func() {
		x.Reset()
		x.Principal, x.Start = p, start
		if err := stage(x); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHit(b *testing.B) {
	stage := generator(b, options(ec(b))).Stage(pets)
	p := &exchange.Principal{Subject: "s"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := &exchange.Exchange{}
		for pb.Next() {
			x.Reset()
			x.Principal, x.Start = p, start
			if err := stage(x); err != nil {
				b.Error(err)
			}
		}
	})
}
