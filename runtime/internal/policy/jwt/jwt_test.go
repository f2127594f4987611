package jwt_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	golang "github.com/golang-jwt/jwt/v5"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

const (
	issuerA = "https://a.example/token"
	issuerB = "https://b.example/token"
	gateway = "http://org.wso2.apimgt/gateway"
)

var (
	keyA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	keyB = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	keyE = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func publicPEM(pub crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(pub))})
}

func pemKeys(pub crypto.PublicKey) keys.KeySet { return must(keys.FromPEM(publicPEM(pub), "")) }

// clock is a time that tests set.
type clock struct{ ms atomic.Int64 }

func newClock() *clock               { c := &clock{}; c.ms.Store(1_800_000_000_000); return c }
func (c *clock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) at(d time.Duration) float64 {
	return float64(c.ms.Load()+d.Milliseconds()) / 1000
}

// claims makes good claims of issuer A, with changes; a nil value takes one
// out.
func (c *clock) claims(change map[string]any) golang.MapClaims {
	m := golang.MapClaims{"iss": issuerA, "aud": gateway, "sub": "alice", "exp": c.at(time.Hour), "iat": c.at(0), "scope": "read write"}
	for k, v := range change {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return m
}

func sign(key crypto.Signer, alg string, header map[string]any, claims golang.MapClaims) string {
	t := golang.NewWithClaims(golang.GetSigningMethod(alg), claims)
	for k, v := range header {
		if t.Header[k] = v; v == nil {
			delete(t.Header, k)
		}
	}
	return must(t.SignedString(key))
}

// signRaw signs header and payload as they are written.
func signRaw(header, payload string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	return signed + "." + b64(must(rsa.SignPKCS1v15(rand.Reader, keyA(), crypto.SHA256, sum[:])))
}

func newVerifier(t testing.TB, c *clock, change func(*jwt.Options)) *jwt.Verifier {
	t.Helper()
	o := jwt.Options{
		Issuers: []jwt.Issuer{
			{Issuer: issuerA, Audience: []string{gateway, "other"}, Keys: pemKeys(keyA().Public())},
			{Issuer: issuerB, Audience: []string{gateway}, Keys: pemKeys(keyB().Public())},
		},
		Now: c.now,
	}
	if change != nil {
		change(&o)
	}
	return must(jwt.New(o))
}

func request(fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Add([]byte(fields[i]), []byte(fields[i+1]))
	}
	return x
}

func bearer(token string) *exchange.Exchange { return request("Authorization", "Bearer "+token) }

// refused fails the test unless err is want, with a cause that has the words.
func refused(t *testing.T, what string, err error, want *fault.Fault, words string) {
	t.Helper()
	var f *fault.Fault
	switch {
	case !errors.As(err, &f) || !errors.Is(f, want):
		t.Errorf("%s: got %v, want %v", what, err, want)
	case f.Unwrap() == nil || !strings.Contains(f.Unwrap().Error(), words):
		t.Errorf("%s: cause %v, want ...%s...", what, f.Unwrap(), words)
	case !bytes.Equal(f.Body(), want.Body()) || f.Challenge != want.Challenge:
		t.Errorf("%s: the client is told more than it should: %s, %s", what, f.Body(), f.Challenge)
	}
}

func TestAcceptedToken(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, nil)
	token := sign(keyA(), "RS256", map[string]any{"kid": "whatever"}, c.claims(map[string]any{
		"aud": []string{"x", gateway}, "name": "Alice A.", "azp": "app1", "client_id": "app2", "jti": "id1", "keytype": "SANDBOX",
		"scope": "read  write read", "scp": []string{"write", "admin"}, "nbf": c.at(0),
	}))
	for range 2 { // the second time from memory
		x := request("Accept", "*/*", "authorization", "Bearer "+token, "X-Other", "1")
		if err := v.Bearer("Authorization", true).Request(x); err != nil {
			t.Fatal(err)
		}
		p := x.Principal
		if p.Scheme != "jwt" || p.Issuer != issuerA || p.Subject != "alice" || p.Username != "Alice A." || p.ConsumerKey != "app1" ||
			p.KeyType != "SANDBOX" || p.TokenID != "id1" || !slices.Equal(p.Scopes, []string{"read", "write", "admin"}) ||
			!p.Expires.Equal(c.now().Add(time.Hour)) {
			t.Errorf("principal %+v", p)
		}
		var claims map[string]any
		if json.Unmarshal(p.Claims, &claims) != nil || claims["name"] != "Alice A." {
			t.Errorf("claims %s", p.Claims)
		}
		if x.Request.Find(exchange.Authorization) != nil || x.Request.Count("x-other") != 1 {
			t.Errorf("fields %v", x.Request.Fields)
		}
	}
	x := bearer(token)
	if err := v.Bearer("Authorization", false).Request(x); err != nil || x.Request.Find(exchange.Authorization) == nil {
		t.Errorf("header to be kept: %v", err)
	}
}

func TestPrincipalDefaults(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, func(o *jwt.Options) { o.Issuers[1].ConsumerKeyClaim = "aud" })
	p := must(v.Verify([]byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"client_id": "app2", "scope": nil, "name": 7})))))
	if p.Username != "alice" || p.KeyType != "PRODUCTION" || p.ConsumerKey != "app2" || p.Scopes != nil || p.TokenID != "" {
		t.Errorf("principal %+v", p)
	}
	p = must(v.Verify([]byte(sign(keyB(), "RS256", nil, c.claims(map[string]any{"iss": issuerB, "azp": "app1", "aud": []string{gateway, "z"}, "sub": nil})))))
	if p.ConsumerKey != gateway || p.Subject != "" {
		t.Errorf("principal %+v", p)
	}
}

func TestCustomHeader(t *testing.T) {
	c := newClock()
	token := sign(keyA(), "RS256", nil, c.claims(nil))
	stage := newVerifier(t, c, nil).Bearer("X-API-Token", true).Request
	// Those with "_" are not read, and an upstream may take them for it.
	x := request("Authorization", "Basic for-the-backend", "x-api-token", "bearer   "+token, "X_API-Token", "Bearer "+token, "x_api_token", "forged")
	if err := stage(x); err != nil {
		t.Fatal(err)
	}
	if x.Request.Count("x-api-token") != 0 || x.Request.Count("x_api-token") != 0 || x.Request.Count("x_api_token") != 0 || x.Request.Count("authorization") != 1 {
		t.Errorf("forwarded %v", x.Request.Fields)
	}
	err := stage(bearer(token))
	var f *fault.Fault
	if !errors.As(err, &f) || f.Code != 900902 || !strings.Contains(string(f.Body()), `header: \"X-API-Token\"`) {
		t.Errorf("token in the wrong header: %v", err)
	}
}

// What the header may look like, and what each wrong form is answered with.
func TestHeader(t *testing.T) {
	c := newClock()
	token := sign(keyA(), "RS256", nil, c.claims(nil))
	stage := newVerifier(t, c, nil).Bearer("Authorization", true).Request
	for _, good := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token, " Bearer\t" + token + " "} {
		if err := stage(request("Authorization", good)); err != nil {
			t.Errorf("%.12q: %v", good, err)
		}
	}
	for _, x := range []*exchange.Exchange{request(), request("Authorization", ""), request("Authorization", " "), request("Authorization", "Bearer"),
		request("Authorization", "Bearer "), request("Authorization", token), request("Cookie", "Authorization=Bearer "+token)} {
		refused(t, fmt.Sprint(x.Request.Fields), stage(x), fault.MissingCredentials, "no credentials in Authorization")
	}
	for _, value := range []string{"Basic YTpi", "basic", "Basic " + token, "Digest x", "Token " + token, "Bearer: " + token, "NotBearer " + token} {
		refused(t, fmt.Sprintf("%.12q", value), stage(request("Authorization", value)), fault.InvalidScheme, "Bearer")
	}
	for _, value := range []string{"Bearer d9b1a9c2-0d5e-3a8a", "Bearer " + token + " " + token, "Bearer " + token + ",", "Bearer Bearer " + token, "Bearer \"" + token + "\""} {
		refused(t, fmt.Sprintf("%.12q", value), stage(request("Authorization", value)), fault.InvalidCredentials, "token")
	}
	refused(t, "twice", stage(request("Authorization", "Bearer "+token, "authorization", "Bearer "+token)), fault.InvalidCredentials, "several")
	x := request("Authorization", "Bearer bad", "Authorization", "Bearer "+token)
	x.Request.Fields[0].ID = 0xff // taken out by an earlier stage
	if err := stage(x); err != nil {
		t.Errorf("deleted field counted: %v", err)
	}
}

func TestForgedTokens(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, func(o *jwt.Options) {
		o.Issuers = append(o.Issuers, jwt.Issuer{Issuer: "jwks", Keys: must(keys.FromJWKS(fmt.Appendf(nil,
			`{"keys":[{"kty":"RSA","kid":"a","alg":"RS256","n":%q,"e":"AQAB"},{"kty":"RSA","kid":"b","alg":"PS256","n":%q,"e":"AQAB"}]}`,
			b64(keyA().N.Bytes()), b64(keyB().N.Bytes()))))})
	})
	good := sign(keyA(), "RS256", nil, c.claims(nil))
	part := strings.Split(good, ".")
	exp := int64(c.at(time.Hour))
	payload := fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%d`, issuerA, gateway, exp) // without the brace
	const header = `{"alg":"RS256"}`
	hs256 := func(secret []byte) string {
		signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + b64(mac.Sum(nil))
	}
	jwksClaims := func() golang.MapClaims { return c.claims(map[string]any{"iss": "jwks"}) }
	if _, err := v.Verify([]byte(signRaw(header, payload+"}"))); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	if _, err := v.Verify([]byte(sign(keyA(), "RS256", map[string]any{"kid": "a"}, jwksClaims()))); err != nil {
		t.Fatalf("the good one from a key set: %v", err)
	}
	for _, f := range []struct{ name, token, cause string }{
		{"none, no signature", b64([]byte(`{"alg":"none"}`)) + "." + part[1] + ".", "three parts"},
		{"none, signature", b64([]byte(`{"alg":"none"}`)) + "." + part[1] + "." + part[2], `"none"`},
		{"nOnE", b64([]byte(`{"alg":"nOnE"}`)) + "." + part[1] + "." + part[2], `"nOnE"`},
		{"HS256 with the public key in PEM", hs256(publicPEM(keyA().Public())), `"HS256"`},
		{"HS256 with the public key in DER", hs256(x509.MarshalPKCS1PublicKey(&keyA().PublicKey)), `"HS256"`},
		{"HS256 with nothing", hs256(nil), `"HS256"`},
		{"embedded jwk", sign(keyB(), "RS256", map[string]any{"jwk": map[string]string{"kty": "RSA", "n": b64(keyB().N.Bytes()), "e": "AQAB"}}, c.claims(nil)), "does not verify"},
		{"jku and x5u", sign(keyB(), "RS256", map[string]any{"jku": "https://evil.example/", "x5u": "https://evil.example/"}, c.claims(nil)), "does not verify"},
		{"another issuer's key", sign(keyB(), "RS256", nil, c.claims(nil)), "does not verify"},
		{"another issuer's name", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": issuerB})), "does not verify"},
		{"unknown issuer", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": "https://evil.example"})), "not configured"},
		{"issuer with a slash more", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": issuerA + "/"})), "not configured"},
		{"issuer in upper case", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": strings.ToUpper(issuerA)})), "not configured"},
		{"issuer list", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": []string{issuerA}})), "iss is not a string"},
		{"no issuer", sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": nil})), "no iss"},
		{"PS256 with the key of RS256", sign(keyA(), "PS256", nil, c.claims(nil)), "no key"},
		{"ES256", sign(keyE(), "ES256", nil, c.claims(nil)), "no key"},
		{"kid of another key", sign(keyA(), "RS256", map[string]any{"kid": "b"}, jwksClaims()), "not for"},
		{"kid of another key, its alg", sign(keyA(), "PS256", map[string]any{"kid": "b"}, jwksClaims()), "does not verify"},
		{"unknown kid", sign(keyA(), "RS256", map[string]any{"kid": "../a"}, jwksClaims()), "no key"},
		{"kid in upper case", sign(keyA(), "RS256", map[string]any{"kid": "A"}, jwksClaims()), "no key"},
		{"payload changed", part[0] + "." + b64([]byte(payload+`,"scope":"admin"}`)) + "." + part[2], "does not verify"},
		{"header changed", b64([]byte(`{"alg":"RS512"}`)) + "." + part[1] + "." + part[2], "does not verify"},
		{"signature changed", part[0] + "." + part[1] + "." + strings.Repeat("A", len(part[2])), "does not verify"},
		{"signature of another token", part[0] + "." + part[1] + "." + strings.Split(signRaw(header, payload+"}"), ".")[2], "does not verify"},
		{"signature cut", part[0] + "." + part[1] + "." + part[2][:40], "does not verify"},
		{"unused bits", good[:len(good)-1] + "_", "base64url"},
		{"padding", good + "==", "base64url"},
		{"duplicate exp", signRaw(header, payload+`,"exp":1}`), "twice"},
		{"duplicate, escaped", signRaw(header, payload+`,"\u0065xp":1}`), "twice"},
		{"EXP", signRaw(header, strings.Replace(payload, `"exp"`, `"EXP"`, 1)+"}"), "no exp"},
		{"ISS", signRaw(header, strings.Replace(payload, `"iss"`, `"ISS"`, 1)+"}"), "no iss"},
		{"alg and ALG", signRaw(`{"ALG":"RS256"}`, payload+"}"), "algorithm"},
		{"crit", signRaw(`{"alg":"RS256","crit":["x"],"x":1}`, payload+"}"), "crit"},
		{"b64", signRaw(`{"alg":"RS256","b64":false}`, payload+"}"), "b64"},
		{"trailing data", signRaw(header, payload+"}{}"), "text after"},
		{"payload list", signRaw(header, "["+payload+"}]"), "not a JSON object"},
		{"payload null", signRaw(header, "null"), "not a JSON object"},
		{"payload not UTF-8", signRaw(header, payload+",\"x\":\"\xc3\"}"), "UTF-8"},
		{"payload deep", signRaw(header, payload+`,"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+"}"), "nested"},
		{"nested token", signRaw(`{"alg":"RS256","cty":"JWT"}`, payload+"}"), "inside"},
		{"token as payload", signRaw(header, good), "not a JSON object"},
		{"ID of a logout", signRaw(`{"alg":"RS256","typ":"logout+jwt"}`, payload+"}"), "not an access token"},
		{"DPoP proof", signRaw(`{"alg":"RS256","typ":"dpop+jwt"}`, payload+"}"), "not an access token"},
		{"no exp", signRaw(header, `{"iss":"`+issuerA+`","aud":"`+gateway+`"}`), "no exp"},
		{"exp text", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":"%d"}`, issuerA, gateway, exp)), "exp is not a date"},
		{"exp null", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":null}`, issuerA, gateway)), "exp is not a date"},
		{"exp 1e300", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":1e300}`, issuerA, gateway)), "exp is not a date"},
		{"exp 1e999", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":1e999}`, issuerA, gateway)), "exp is not a date"},
		{"exp negative", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":-9e15}`, issuerA, gateway)), "expired"},
		{"exp list", signRaw(header, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":[%d]}`, issuerA, gateway, exp)), "exp is not a date"},
		{"nbf text", signRaw(header, payload+`,"nbf":"0"}`), "nbf is not a date"},
		{"nbf far", signRaw(header, payload+`,"nbf":9e15}`), "not valid yet"},
		{"iat null", signRaw(header, payload+`,"iat":null}`), "iat is not a date"},
		{"no aud", signRaw(header, fmt.Sprintf(`{"iss":%q,"exp":%d}`, issuerA, exp)), "audience"},
		{"aud of others", sign(keyA(), "RS256", nil, c.claims(map[string]any{"aud": []string{"x", gateway + "/"}})), "audience"},
		{"aud long", sign(keyA(), "RS256", nil, c.claims(map[string]any{"aud": manyMembers(500)})), "(of 500)"},
		{"aud empty", sign(keyA(), "RS256", nil, c.claims(map[string]any{"aud": []string{}})), "audience"},
		{"aud mixed", sign(keyA(), "RS256", nil, c.claims(map[string]any{"aud": []any{gateway, 1}})), "aud is neither"},
		{"aud object", sign(keyA(), "RS256", nil, c.claims(map[string]any{"aud": map[string]any{"0": gateway}})), "aud is neither"},
		{"sub number", sign(keyA(), "RS256", nil, c.claims(map[string]any{"sub": 1})), "sub is not"},
		{"jti number", sign(keyA(), "RS256", nil, c.claims(map[string]any{"jti": 1})), "jti is not"},
		{"keytype list", sign(keyA(), "RS256", nil, c.claims(map[string]any{"keytype": []string{"PRODUCTION"}})), "keytype is not"},
		{"scope number", sign(keyA(), "RS256", nil, c.claims(map[string]any{"scope": 1})), "scope is neither"},
		{"scp object", sign(keyA(), "RS256", nil, c.claims(map[string]any{"scp": map[string]any{"a": 1}})), "scp is neither"},
		{"too many claims", signRaw(header, payload+strings.Join(manyMembers(200), "")+"}"), "more than"},
		{"a megabyte", "a." + strings.Repeat("A", 1<<20) + ".b", "longer"},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), "longer"},
	} {
		for range 2 { // a refusal is not remembered as anything else
			err := v.Bearer("Authorization", true).Request(bearer(f.token))
			refused(t, f.name, err, fault.InvalidCredentials, f.cause)
			// Nothing of the token that could be used, and nothing long, in the log.
			if s := err.Error(); len(s) > 1000 || len(f.token) > 100 && strings.Contains(s, f.token[len(f.token)-40:]) {
				t.Errorf("%s: the cause says too much: %.200s", f.name, s)
			}
		}
	}
	// A bent copy of a token that has just been let in.
	if _, err := v.Verify([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		bent := []byte(good)
		bent[i] ^= 1
		if _, err := v.Verify(bent); err == nil {
			t.Errorf("bent at %d: accepted", i)
		}
	}
}

func manyMembers(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(`,"m%d":0`, i))
	}
	return list
}

func TestTypes(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, nil)
	for _, typ := range []any{nil, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt", ""} {
		if _, err := v.Verify([]byte(sign(keyA(), "RS256", map[string]any{"typ": typ}, c.claims(nil)))); err != nil {
			t.Errorf("typ %v: %v", typ, err)
		}
	}
}

// Clocks that differ: inside the leeway a token is good, beyond it is not, on
// each of the three dates and to the millisecond, the cached token included.
func TestClockSkew(t *testing.T) {
	const leeway = 5 * time.Second
	for _, c := range []struct {
		claim string
		date  time.Duration // from now
		good  bool
	}{
		{"exp", time.Second, true}, {"exp", 0, true}, {"exp", -4 * time.Second, true}, {"exp", -5 * time.Second, false}, {"exp", -6 * time.Second, false},
		{"exp", -4998 * time.Millisecond, true}, {"exp", -5001 * time.Millisecond, false},
		{"nbf", 0, true}, {"nbf", 5 * time.Second, true}, {"nbf", 5001 * time.Millisecond, false}, {"nbf", 6 * time.Second, false}, {"nbf", -time.Hour, true},
		{"iat", 5 * time.Second, true}, {"iat", 6 * time.Second, false}, {"iat", -1000 * time.Hour, true},
	} {
		clock := newClock()
		v := newVerifier(t, clock, func(o *jwt.Options) { o.Issuers[0].Leeway = leeway })
		token := []byte(sign(keyA(), "RS256", nil, clock.claims(map[string]any{c.claim: clock.at(c.date)})))
		for range 2 {
			_, err := v.Verify(token)
			if (err == nil) != c.good {
				t.Errorf("%s %v from now: %v", c.claim, c.date, err)
			}
		}
	}
	for _, far := range []string{"253402300799", "9223372036854775", "9.2e15", "9007199254740991.0"} {
		clock := newClock()
		v := newVerifier(t, clock, nil)
		p, err := v.Verify([]byte(signRaw(`{"alg":"RS256"}`, fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":%s}`, issuerA, gateway, far))))
		if err != nil || p.Expires.Year() != 9999 {
			t.Errorf("exp %s: %+v, %v", far, p, err)
		}
	}
}

// A remembered token is good as long as its dates and the clock say so, and not
// a moment longer.
func TestCachedTokenExpires(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, nil)
	token := []byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"nbf": c.at(0)})))
	ok := func(what string, want bool) {
		t.Helper()
		if _, err := v.Verify(token); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	ok("new", true)
	ok("again", true)
	c.add(time.Hour - time.Millisecond)
	ok("last moment", true)
	c.add(time.Millisecond)
	ok("expired", false)
	ok("expired again", false)
	c.add(-time.Second)
	ok("clock set back a little", true)
	c.add(-time.Hour)
	ok("clock set back before nbf", false)
	c.add(100 * 365 * 24 * time.Hour)
	ok("clock gone mad", false)
}

// counting counts how often keys were asked for: once for each verification.
type counting struct {
	keys.KeySet
	n atomic.Int32
}

func (k *counting) Keys(kid, alg string) ([]*keys.Key, error) {
	k.n.Add(1)
	return k.KeySet.Keys(kid, alg)
}

func TestCacheBounds(t *testing.T) {
	c := newClock()
	set := &counting{KeySet: pemKeys(keyE().Public())}
	v := must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: set}}, Cache: jwt.CacheOptions{Entries: 10, Expiry: time.Minute}}))
	token := func(i int) []byte {
		return []byte(sign(keyE(), "ES256", nil, c.claims(map[string]any{"jti": fmt.Sprint(i)})))
	}
	verify := func(tok []byte, n int32) {
		t.Helper()
		before := set.n.Load()
		if _, err := v.Verify(tok); err != nil {
			t.Error(err)
		}
		if got := set.n.Load() - before; got != n {
			t.Errorf("verified %d times, want %d", got, n)
		}
	}
	first := token(-1)
	verify(first, 1)
	verify(first, 0)
	for i := range 100 { // a stream of others does not push out what is in use
		verify(token(i), 1)
		verify(first, 0)
	}
	c.add(time.Minute)
	verify(first, 1) // remembered no longer than Expiry
	verify(first, 0)
	c.add(-30 * time.Second)
	before := set.n.Load()
	if _, err := v.Verify(first); err != nil || set.n.Load() == before {
		t.Errorf("remembered from the future: %v", err)
	}

	// Disabled means disabled.
	v = must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: set}}, Cache: jwt.CacheOptions{Disabled: true}}))
	verify(first, 1)
	verify(first, 1)

	// Tokens too large for the bytes allowed are verified each time, and count.
	v = must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: set}}, Cache: jwt.CacheOptions{Bytes: 4096}}))
	large := []byte(sign(keyE(), "ES256", nil, c.claims(map[string]any{"x": strings.Repeat("y", 8000)})))
	verify(large, 1)
	verify(large, 1)
	small := token(0)
	verify(small, 1)
	verify(small, 0)
	for i := range 10 {
		verify(token(i+1), 1)
	}
	verify(small, 1)
}

// roundTrip is an issuer without a network.
type roundTrip func() []byte

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(f())), Request: r}, nil
}

// A key that its issuer withdraws takes its tokens with it, also the remembered
// ones; the tokens of the other keys stay remembered.
func TestWithdrawnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jwk := func(kid string, k *rsa.PrivateKey) string {
			return fmt.Sprintf(`{"kty":"RSA","kid":%q,"alg":"RS256","n":%q,"e":"AQAB"}`, kid, b64(k.N.Bytes()))
		}
		var set atomic.Value
		set.Store(jwk("a", keyA()) + "," + jwk("b", keyB()))
		r := must(keys.NewRemote(keys.RemoteOptions{URL: "https://a.example/jwks", Transport: roundTrip(func() []byte {
			return []byte(`{"keys":[` + set.Load().(string) + `]}`)
		})}))
		defer r.Close()
		counted := &counting{KeySet: r}
		v := must(jwt.New(jwt.Options{Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: counted}}}))
		claims := golang.MapClaims{"iss": issuerA, "exp": time.Now().Add(24 * time.Hour).Unix()}
		a := []byte(sign(keyA(), "RS256", map[string]any{"kid": "a"}, claims))
		b := []byte(sign(keyB(), "RS256", map[string]any{"kid": "b"}, claims))
		for range 2 {
			for _, token := range [][]byte{a, b} {
				if _, err := v.Verify(token); err != nil {
					t.Fatal(err)
				}
			}
		}
		set.Store(jwk("b", keyB()))
		time.Sleep(6 * time.Minute)
		before := counted.n.Load()
		if _, err := v.Verify(b); err != nil || counted.n.Load() != before {
			t.Errorf("token of a key that stays: %v, verified %d times", err, counted.n.Load()-before)
		}
		_, err := v.Verify(a)
		refused(t, "token of a withdrawn key", err, fault.InvalidCredentials, "no key")
		// The same kid with another key does not bring it back.
		set.Store(jwk("a", keyB()))
		time.Sleep(6 * time.Minute)
		_, err = v.Verify(a)
		refused(t, "kid given to another key", err, fault.InvalidCredentials, "does not verify")
	})
}

func TestNoKeysYet(t *testing.T) {
	c := newClock()
	r := must(keys.NewRemote(keys.RemoteOptions{URL: "http://127.0.0.1:1/jwks"}))
	defer r.Close()
	v := must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Keys: r}}}))
	stage := v.Bearer("Authorization", true).Request
	refused(t, "keys never loaded", stage(bearer(sign(keyA(), "RS256", nil, c.claims(nil)))), fault.KeysUnavailable, "never loaded")
	// What can be refused without keys is refused without them.
	refused(t, "expired", stage(bearer(sign(keyA(), "RS256", nil, c.claims(map[string]any{"exp": 1})))), fault.InvalidCredentials, "expired")
	refused(t, "garbage", stage(bearer("a.b.c")), fault.InvalidCredentials, "token")
}

func TestNewRefuses(t *testing.T) {
	set := pemKeys(keyE().Public())
	for want, list := range map[string][]jwt.Issuer{
		"without a name": {{Keys: set}},
		"twice":          {{Issuer: "a", Keys: set}, {Issuer: "a", Keys: set}},
		"no keys":        {{Issuer: "a"}},
		"leeway":         {{Issuer: "a", Keys: set, Leeway: 2 * time.Hour}},
	} {
		if _, err := jwt.New(jwt.Options{Issuers: list}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ...%s...", err, want)
		}
	}
	v := must(jwt.New(jwt.Options{}))
	refused(t, "no issuers", v.Bearer("Authorization", true).Request(bearer(sign(keyA(), "RS256", nil, newClock().claims(nil)))), fault.InvalidCredentials, "not configured")
}

// Many goroutines, few places in the cache, keys that come and go: run with
// -race.
func TestConcurrent(t *testing.T) {
	c := newClock()
	v := newVerifier(t, c, func(o *jwt.Options) {
		o.Cache.Entries = 8
		o.Issuers[0].Keys = pemKeys(keyE().Public())
	})
	var tokens [][]byte
	for i := range 16 {
		tokens = append(tokens, []byte(sign(keyE(), "ES256", nil, c.claims(map[string]any{"sub": fmt.Sprint(i)}))))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 200 {
				i := (n*7 + g) % len(tokens)
				if p, err := v.Verify(tokens[i]); err != nil || p.Subject != fmt.Sprint(i) {
					t.Errorf("token %d: %+v, %v", i, p, err)
				}
				if n%50 == 0 {
					bad := bytes.Clone(tokens[i])
					bad[len(bad)-5] ^= 1
					if _, err := v.Verify(bad); err == nil {
						t.Error("bent token accepted")
					}
				}
			}
		})
	}
	wg.Wait()
}

// The second request with a token allocates nothing.
func TestHitAllocatesNothing(t *testing.T) {
	c := newClock()
	stage := newVerifier(t, c, func(o *jwt.Options) { o.Revoked = revoked{"x": true} }).Bearer("Authorization", true).Request
	name, value := []byte("Authorization"), []byte("Bearer "+sign(keyA(), "RS256", nil, c.claims(nil)))
	x := &exchange.Exchange{}
	run := func() {
		x.Reset()
		x.Request.Add(name, value)
		if err := stage(x); err != nil || x.Principal == nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever is accepted golang-jwt accepts under the same key and at the same
// time, with the same claims.
func FuzzVerify(f *testing.F) {
	golang.TimePrecision = time.Millisecond // as ours
	c := newClock()
	v := newVerifier(f, c, func(o *jwt.Options) { o.Cache.Disabled = true })
	parser := golang.NewParser(golang.WithJSONNumber(), golang.WithStrictDecoding(), golang.WithExpirationRequired(), golang.WithIssuedAt(),
		golang.WithTimeFunc(c.now), golang.WithIssuer(issuerA), golang.WithValidMethods([]string{"RS256", "RS384", "RS512"}))
	for _, change := range []map[string]any{nil, {"aud": []string{gateway, "x"}}, {"nbf": 1.5, "iat": 0}, {"scp": []string{"a"}, "azp": "x", "jti": "ä"}} {
		f.Add(`{"alg":"RS256","typ":"JWT"}`, string(must(json.Marshal(c.claims(change)))))
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		// Signed as it is, so that the fuzzer gets past the signature.
		token := signRaw(header, payload)
		p, err := v.Verify([]byte(token))
		if err != nil {
			return
		}
		got, err := parser.Parse(token, func(*golang.Token) (any, error) { return &keyA().PublicKey, nil })
		if err != nil {
			t.Fatalf("%s %s: accepted, golang-jwt says %v", header, payload, err)
		}
		claims := got.Claims.(golang.MapClaims)
		text := func(name string) string { s, _ := claims[name].(string); return s }
		if p.Issuer != text("iss") || p.Subject != text("sub") || p.TokenID != text("jti") {
			t.Fatalf("%s: %+v, golang-jwt %v", payload, p, claims)
		}
		aud, err := claims.GetAudience()
		if err != nil || !slices.Contains(aud, gateway) && !slices.Contains(aud, "other") {
			t.Fatalf("%s: golang-jwt reads the audience %q, %v", payload, aud, err)
		}
		if exp := must(claims.GetExpirationTime()); p.Expires.Year() < 9999 && p.Expires.Sub(exp.Time).Abs() > time.Millisecond {
			t.Fatalf("%s: expires %v, golang-jwt %v", payload, p.Expires, exp)
		}
	})
}
