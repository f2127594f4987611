package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/microgw/microgw/runtime/internal/keys"
)

// Keys are slow to make: one of each for all tests.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PublicKey { return ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// member of a JWK, in order not to fight over maps in tests.
type jwk map[string]any

func rsaJWK(pub *rsa.PublicKey, more jwk) jwk {
	return with(jwk{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())}, more)
}

func ecJWK(pub *ecdsa.PublicKey, more jwk) jwk {
	point := must(pub.Bytes())[1:]
	return with(jwk{"kty": "EC", "crv": pub.Curve.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}, more)
}

func edJWK(pub ed25519.PublicKey, more jwk) jwk {
	return with(jwk{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}, more)
}

func with(k, more jwk) jwk {
	for n, v := range more {
		k[n] = v
	}
	return k
}

func jwks(list ...jwk) []byte { return must(json.Marshal(map[string]any{"keys": list})) }

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkix(pub crypto.PublicKey) []byte {
	return pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(pub)))
}

func TestFromPEM(t *testing.T) {
	rsaPub := must(os.ReadFile("testdata/rsa.pem"))
	ecPub := must(os.ReadFile("testdata/ec.pem"))
	for name, c := range map[string]struct {
		data []byte
		alg  string
		good []string
	}{
		"RSA certificate":       {rsaPub, "", []string{"RS256", "RS384", "RS512"}},
		"RSA certificate PS256": {rsaPub, "PS256", []string{"PS256"}},
		"RSA certificate RS384": {rsaPub, "RS384", []string{"RS384"}},
		"EC certificate":        {ecPub, "", []string{"ES256"}},
		"both":                  {slices.Concat(rsaPub, []byte("some text\n"), ecPub), "", []string{"RS256", "RS384", "RS512", "ES256"}},
		"PKIX":                  {pkix(&rsaKey().PublicKey), "", []string{"RS256", "RS384", "RS512"}},
		"PKCS1":                 {pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), "", []string{"RS256", "RS384", "RS512"}},
		"Ed25519":               {pkix(edKey()), "", []string{"EdDSA"}},
	} {
		set, err := keys.FromPEM(c.data, c.alg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, alg := range allAlgs {
			list, err := set.Keys("whatever", alg)
			if slices.Contains(c.good, alg) {
				if err != nil || len(list) != 1 {
					t.Errorf("%s: %s: %v, %v", name, alg, list, err)
				}
			} else if !errors.Is(err, keys.ErrUnknownKey) {
				t.Errorf("%s: %s: got %v, %v", name, alg, list, err)
			}
		}
	}
	// During a rotation one issuer has two certificates: both may fit.
	set := must(keys.FromPEM(slices.Concat(pkix(&rsaKey().PublicKey), pkix(&otherRSA().PublicKey), pkix(&rsaKey().PublicKey)), ""))
	if list, err := set.Keys("", "RS256"); len(list) != 2 || err != nil {
		t.Errorf("two keys: %v, %v", list, err)
	}
}

var allAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "none", "None", ""}

func TestFromPEMRefuses(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	for name, c := range map[string]struct{ data, alg, want string }{
		"empty":         {"", "", "no certificate or public key"},
		"text":          {"hello", "", "no certificate or public key"},
		"1024 bits":     {string(pkix(&small.PublicKey)), "", "1024 bits"},
		"P-224":         {string(pkix(&must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).PublicKey)), "", "P-224"},
		"private key":   {string(pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey())))), "", "private key"},
		"request":       {string(pemOf("CERTIFICATE REQUEST", nil)), "", "neither a certificate"},
		"cut short":     {string(pkix(edKey())[:60]), "", "broken PEM"},
		"second broken": {string(pkix(edKey())) + "-----BEGIN PUBLIC KEY-----\n", "", "broken PEM"},
		"not DER":       {string(pemOf("PUBLIC KEY", []byte("x"))), "", "block 1"},
		"HS256":         {string(pkix(&rsaKey().PublicKey)), "HS256", "does not fit"},
		"none":          {string(pkix(&rsaKey().PublicKey)), "none", "does not fit"},
		"ES256 for RSA": {string(pkix(&rsaKey().PublicKey)), "ES256", "does not fit"},
		"ES384 P-256":   {string(pkix(&ecKey().PublicKey)), "ES384", "does not fit"},
	} {
		if _, err := keys.FromPEM([]byte(c.data), c.alg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ...%s...", name, err, c.want)
		}
	}
}

func TestFromJWKS(t *testing.T) {
	pub := &rsaKey().PublicKey
	set := must(keys.FromJWKS(jwks(
		rsaJWK(pub, jwk{"kid": "r", "alg": "RS256", "use": "sig"}),
		rsaJWK(&otherRSA().PublicKey, jwk{"kid": "p", "alg": "PS512", "key_ops": []string{"verify"}, "x5c": []string{"x"}}),
		ecJWK(&ecKey().PublicKey, jwk{"kid": "e"}),
		edJWK(edKey(), jwk{"kid": "r"}), // one kid for two kinds is allowed (RFC 7517, section 4.5)
		rsaJWK(pub, jwk{"kid": "enc", "use": "enc"}),
		rsaJWK(pub, jwk{"kid": "oaep", "alg": "RSA-OAEP-256"}),
		ecJWK(&ecKey().PublicKey, jwk{"kid": "ecdh", "alg": "ECDH-ES"}),
		rsaJWK(pub, jwk{"kid": "ops", "key_ops": []string{"encrypt"}}),
		jwk{"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x"},
		jwk{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "k1"},
		jwk{"kty": "LWE", "kid": "future"},
	)))
	if set.Len() != 4 {
		t.Errorf("%d keys, want 4", set.Len())
	}
	for _, c := range []struct {
		kid, alg string
		ok       bool
	}{
		{"r", "RS256", true}, {"r", "RS384", false}, {"r", "PS256", false}, {"r", "EdDSA", true}, {"p", "PS512", true},
		{"p", "RS256", false}, {"e", "ES256", true}, {"e", "RS256", false}, {"R", "RS256", false}, {"enc", "RS256", false},
		{"oaep", "RS256", false}, {"ops", "RS256", false}, {"ecdh", "ES256", false}, {"", "ES256", true}, {"", "HS256", false},
	} {
		list, err := set.Keys(c.kid, c.alg)
		if (err == nil && len(list) == 1) != c.ok || err != nil && !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("%q %s: %v, %v", c.kid, c.alg, list, err)
		}
	}
	two := must(keys.FromJWKS(jwks(rsaJWK(pub, jwk{"kid": "1"}), rsaJWK(&otherRSA().PublicKey, jwk{"kid": "2"}))))
	if _, err := two.Keys("", "RS256"); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("no kid and two keys: %v", err)
	}
	single := must(json.Marshal(ecJWK(&ecKey().PublicKey, nil)))
	if list, err := must(keys.FromJWKS(single)).Keys("any", "ES256"); err != nil || len(list) != 1 {
		t.Errorf("single key: %v, %v", list, err)
	}
}

func TestFromJWKSRefuses(t *testing.T) {
	pub := &rsaKey().PublicKey
	ec := ecJWK(&ecKey().PublicKey, nil)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {[]byte{}, "not a JSON object"},
		"list":            {[]byte("[]"), "not a JSON object"},
		"other object":    {[]byte(`{"error":"x"}`), "neither a key set"},
		"no keys":         {[]byte(`{"keys":[]}`), "no key for signatures"},
		"keys null":       {jwks(), "not a JSON array"},
		"keys no list":    {[]byte(`{"keys":{}}`), "not a JSON array"},
		"symmetric":       {jwks(jwk{"kty": "oct", "k": "AAAA", "kid": "s"}), "symmetric"},
		"private":         {jwks(with(ecJWK(&ecKey().PublicKey, nil), jwk{"d": "AAAA"})), "private"},
		"same kid":        {jwks(rsaJWK(pub, jwk{"kid": "a"}), rsaJWK(&otherRSA().PublicKey, jwk{"kid": "a"})), "several keys"},
		"kid number":      {jwks(rsaJWK(pub, jwk{"kid": 1})), "kid is not a string"},
		"no n":            {jwks(jwk{"kty": "RSA", "e": "AQAB"}), "no n"},
		"n padded":        {jwks(rsaJWK(pub, jwk{"n": b64(pub.N.Bytes()) + "="})), "n is not base64url"},
		"n with newline":  {jwks(rsaJWK(pub, jwk{"n": b64(pub.N.Bytes()) + "\n"})), "n is not base64url"},
		"n huge":          {jwks(rsaJWK(pub, jwk{"n": strings.Repeat("_", 3000)})), "n is too long"},
		"e one":           {jwks(rsaJWK(pub, jwk{"e": "AQ"})), "not an RSA key"},
		"e even":          {jwks(rsaJWK(pub, jwk{"e": "BA"})), "not an RSA key"},
		"e huge":          {jwks(rsaJWK(pub, jwk{"e": "_______________"})), "e is"},
		"HS256 on RSA":    {jwks(rsaJWK(pub, jwk{"alg": "HS256"})), "does not fit"},
		"none on RSA":     {jwks(rsaJWK(pub, jwk{"alg": "none"})), "does not fit"},
		"ES384 on P-256":  {jwks(with(ecJWK(&ecKey().PublicKey, nil), jwk{"alg": "ES384"})), "does not fit"},
		"off the curve":   {jwks(jwk{"kty": "EC", "crv": "P-256", "x": ec["x"], "y": ec["x"]}), ""},
		"x too short":     {jwks(jwk{"kty": "EC", "crv": "P-256", "x": "AA", "y": ec["y"]}), "do not fit"},
		"wrong curve":     {jwks(jwk{"kty": "EC", "crv": "P-384", "x": ec["x"], "y": ec["y"]}), "do not fit"},
		"Ed25519 short":   {jwks(jwk{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), "not an Ed25519"},
		"KTY":             {jwks(jwk{"KTY": "RSA"}), "no kty"},
		"duplicate kty":   {[]byte(`{"keys":[{"kty":"RSA","kty":"EC"}]}`), "occurs twice"},
		"too many":        {jwks(slices.Repeat([]jwk{{"kty": "LWE"}}, 65)...), "more than 64"},
		"trailing":        {append(jwks(rsaJWK(pub, nil)), "x"...), "text after"},
		"key_ops no list": {jwks(rsaJWK(pub, jwk{"key_ops": "verify"})), "key_ops"},
	} {
		if _, err := keys.FromJWKS(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ...%s...", name, err, c.want)
		}
	}
}

// The verdicts of Wycheproof on keys: each group is a key set and a token that
// it verifies or not. Here only the sets are judged; jws has the tokens.
func TestWycheproofKeys(t *testing.T) {
	file := filepath.Join("..", "..", "..", "..", "shared", "wycheproof", "json_web_key_test.json")
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/wycheproof beside the repository")
	}
	var vectors struct {
		TestGroups []struct {
			Comment string
			Public  json.RawMessage
			Tests   []struct{ Result string }
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, g := range vectors.TestGroups {
		if g.Public == nil {
			continue // symmetric
		}
		judged++
		_, err := keys.FromJWKS(g.Public)
		if good := g.Tests[0].Result == "valid"; good != (err == nil) {
			t.Errorf("%s: %s, and we say %v", g.Comment, g.Tests[0].Result, err)
		}
	}
	if judged == 0 {
		t.Error("no vectors in the file")
	}
}

// No input makes a panic or a key that is not fit for use.
func FuzzFromJWKS(f *testing.F) {
	f.Add(jwks(rsaJWK(&rsaKey().PublicKey, jwk{"kid": "a", "alg": "RS256"})))
	f.Add(jwks(ecJWK(&ecKey().PublicKey, nil), edJWK(edKey(), nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := keys.FromJWKS(data)
		if err != nil {
			return
		}
		for _, alg := range allAlgs {
			list, err := set.Keys("", alg)
			if err != nil {
				continue
			}
			if alg == "" || alg[0] == 'H' || alg[0] == 'n' {
				t.Fatalf("a key for %q", alg)
			}
			for _, k := range list {
				if pub, ok := k.Public.(*rsa.PublicKey); ok && pub.N.BitLen() < 2048 {
					t.Fatalf("RSA key of %d bits", pub.N.BitLen())
				}
			}
		}
	})
}
