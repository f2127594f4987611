package jws_test

import (
	"bytes"
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
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt/jws"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func keySet(pub crypto.PublicKey, alg string) keys.KeySet {
	der := must(x509.MarshalPKIXPublicKey(pub))
	return must(keys.FromPEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), alg))
}

// verify is what the policy does with a token as far as this package goes.
func verify(token string, set keys.KeySet) error {
	t, err := jws.Parse([]byte(token))
	if err != nil {
		return err
	}
	list, err := set.Keys(t.KeyID, t.Algorithm)
	for _, k := range list {
		if err = t.Verify(k); err == nil {
			return nil
		}
	}
	return err
}

// The verdicts of Wycheproof on signatures.
func TestWycheproof(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "..", "..", "shared", "wycheproof")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		t.Skip("no ../shared/wycheproof beside the repository")
	}
	// Valid by the RFC, and yet not for us: docs/authentication/jwt.md has the list.
	exceptions := map[string]string{
		"emptyPayload": "the payload of a JWT is a JSON object, so it is never empty (RFC 7519, section 7.2)",
		"Figure20":     "a key for PS256 and a token with PS384: the key is for one algorithm (RFC 8725, section 3.1)",
		"Figure27":     "its key says ES521, which is no algorithm (RFC 7518, section 3.4 has ES512)",
		symmetric:      "whoever verifies with a shared secret can sign with it",
	}
	stricter := map[string]int{}
	for _, file := range []string{"json_web_signature_test.json", "json_web_crypto_test.json", "json_web_key_test.json"} {
		var vectors struct {
			TestGroups []struct {
				Comment string
				Public  json.RawMessage
				Private json.RawMessage
				Tests   []struct {
					TcID    int
					Comment string
					JWS     json.RawMessage
					Result  string
				}
			}
		}
		if err := json.Unmarshal(must(os.ReadFile(filepath.Join(dir, file))), &vectors); err != nil {
			t.Fatal(err)
		}
		valid, invalid := 0, 0
		for _, g := range vectors.TestGroups {
			if g.Public == nil {
				g.Public = g.Private // a symmetric key: nothing may verify
			}
			set, keyErr := keys.FromJWKS(g.Public)
			for _, c := range g.Tests {
				if c.JWS == nil {
					continue // encryption
				}
				var token string
				if json.Unmarshal(c.JWS, &token) != nil {
					token = string(c.JWS) // JSON serialisation
				}
				err := keyErr
				if err == nil {
					err = verify(token, set)
				}
				switch {
				case c.Result == "valid" && err == nil:
					valid++
				case c.Result == "valid":
					why := c.Comment
					if bytes.Contains(g.Public, []byte(`"oct"`)) {
						why = symmetric
					}
					if stricter[why]++; exceptions[why] == "" {
						t.Errorf("%s %d, %s, %s: refused: %v", file, c.TcID, g.Comment, c.Comment, err)
					}
				case c.Result == "invalid" && err == nil:
					t.Errorf("%s %d, %s, %s: accepted", file, c.TcID, g.Comment, c.Comment)
				case err != nil:
					invalid++
				}
			}
		}
		t.Logf("%s: %d accepted, %d refused, as they should be", file, valid, invalid)
		if valid == 0 || invalid == 0 {
			t.Errorf("%s: no vectors", file)
		}
	}
	for name, why := range exceptions {
		if stricter[name] == 0 {
			t.Errorf("no vector is an exception for %s", name)
		}
		t.Logf("%d valid ones refused, %s: %s", stricter[name], name, why)
	}
}

const symmetric = "symmetric key"

func TestAlgorithms(t *testing.T) {
	r := must(rsa.GenerateKey(rand.Reader, 2048))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	signers := map[string]crypto.Signer{"EdDSA": ed}
	for alg, c := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		signers[alg] = must(ecdsa.GenerateKey(c, rand.Reader))
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		signers[alg] = r
	}
	for alg, signer := range signers {
		token := must(jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{"iss": "x"}).SignedString(signer))
		for other, key := range signers {
			set := keySet(key.Public(), other)
			err := verify(token, set)
			if (err == nil) != (alg == other) {
				t.Errorf("%s token, key for %s: %v", alg, other, err)
			}
		}
		dot := strings.LastIndexByte(token, '.') + 1
		sig := must(base64.RawURLEncoding.DecodeString(token[dot:]))
		if err := verify(token[:dot]+b64(string(sig[:len(sig)-1])), keySet(signer.Public(), alg)); !errors.Is(err, jws.ErrSignature) {
			t.Errorf("%s, signature cut: %v", alg, err)
		}
	}
	// The salt of RSASSA-PSS is as long as the hash (RFC 7518, section 3.5).
	long := &jwt.SigningMethodRSAPSS{SigningMethodRSA: &jwt.SigningMethodRSA{Name: "PS256", Hash: crypto.SHA256}, Options: &rsa.PSSOptions{SaltLength: 20}}
	token := must(jwt.NewWithClaims(long, jwt.MapClaims{}).SignedString(r))
	if err := verify(token, keySet(r.Public(), "PS256")); !errors.Is(err, jws.ErrSignature) {
		t.Errorf("PS256 with another salt: %v", err)
	}
	// A key is not used beyond what it is fixed to even if a caller errs.
	list := must(keySet(r.Public(), "RS512").Keys("", "RS512"))
	parsed := must(jws.Parse([]byte(must(jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{}).SignedString(r)))))
	if err := parsed.Verify(list[0]); err == nil {
		t.Error("RS256 under a key for RS512")
	}
}

func TestParseRefuses(t *testing.T) {
	h, p, s := b64(`{"alg":"RS256"}`), b64(`{}`), b64("sig")
	header := func(json string) string { return b64(json) + "." + p + "." + s }
	if _, err := jws.Parse([]byte(h + "." + p + "." + s)); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"empty":                  "",
		"opaque":                 "d9b1a9c2-0d5e-3a8a",
		"one dot":                h + "." + p,
		"no signature":           h + "." + p + ".",
		"no payload":             h + ".." + s,
		"no header":              "." + p + "." + s,
		"dots":                   "..",
		"four parts":             h + "." + p + "." + s + "." + s,
		"encrypted":              h + "." + p + "." + s + "." + s + "." + s,
		"trailing dot":           h + "." + p + "." + s + ".",
		"leading blank":          " " + h + "." + p + "." + s,
		"trailing blank":         h + "." + p + "." + s + " ",
		"trailing newline":       h + "." + p + "." + s + "\n",
		"newline inside":         h[:4] + "\n" + h[4:] + "." + p + "." + s,
		"return inside":          h + "." + p + "." + s[:2] + "\r" + s[2:],
		"padding":                h + "." + p + "=." + s,
		"standard alphabet":      h + "." + p + ".+/+/",
		"unused bits header":     b64(`{"alg":"RS256" }`)[:21] + "h." + p + "." + s,
		"unused bits payload":    h + ".e31." + s,
		"unused bits signature":  h + "." + p + ".QR",
		"part of length 1 mod 4": h + "." + p + ".AAAAA",
		"NUL":                    h + "." + p + ".\x00AAA",
		"too long":               h + "." + p + "." + strings.Repeat("A", jws.MaxSize),
		"header not JSON":        header(`alg`),
		"header list":            header(`["RS256"]`),
		"header string":          header(`"RS256"`),
		"header trailing":        header(`{"alg":"RS256"}{}`),
		"header not UTF-8":       header("{\"alg\":\"RS256\",\"x\":\"\xff\"}"),
		"no alg":                 header(`{}`),
		"none":                   header(`{"alg":"none"}`),
		"None":                   header(`{"alg":"None"}`),
		"HS256":                  header(`{"alg":"HS256"}`),
		"rs256":                  header(`{"alg":"rs256"}`),
		"ES256K":                 header(`{"alg":"ES256K"}`),
		"RS1":                    header(`{"alg":"RS1"}`),
		"RSA-OAEP":               header(`{"alg":"RSA-OAEP","enc":"A256GCM"}`),
		"alg number":             header(`{"alg":256}`),
		"alg null":               header(`{"alg":null}`),
		"alg list":               header(`{"alg":["RS256"]}`),
		"alg twice":              header(`{"alg":"none","alg":"RS256"}`),
		"alg escaped twice":      header(`{"alg":"RS256","\u0061lg":"none"}`),
		"Alg":                    header(`{"Alg":"RS256"}`),
		"ALG":                    header(`{"ALG":"RS256"}`),
		"alg with Kelvin sign":   header(`{"al\u212a":"RS256"}`),
		"crit":                   header(`{"alg":"RS256","crit":["exp"],"exp":1}`),
		"crit empty":             header(`{"alg":"RS256","crit":[]}`),
		"crit null":              header(`{"alg":"RS256","crit":null}`),
		"b64":                    header(`{"alg":"RS256","b64":false}`),
		"zip":                    header(`{"alg":"RS256","zip":"DEF"}`),
		"enc":                    header(`{"alg":"RS256","enc":"A256GCM"}`),
		"kid number":             header(`{"alg":"RS256","kid":1}`),
		"kid null":               header(`{"alg":"RS256","kid":null}`),
		"typ list":               header(`{"alg":"RS256","typ":["JWT"]}`),
		"deep":                   header(`{"alg":"RS256","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`),
		"JSON serialisation":     `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`,
	} {
		if _, err := jws.Parse([]byte(in)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := jws.Parse(bytes.Repeat([]byte("."), 1<<20)); err == nil {
		t.Error("a megabyte of dots: accepted")
	}
	// What a header says about keys is not looked at, not even for its form.
	tok, err := jws.Parse([]byte(header(`{"alg":"RS256","kid":"k","typ":"JWT","jwk":1,"jku":[],"x5u":{},"x5c":"","x5t":"a","unknown":null}`)))
	if err != nil || tok.KeyID != "k" || tok.Type != "JWT" || tok.Algorithm != "RS256" || string(tok.Payload) != "{}" {
		t.Errorf("got %+v, %v", tok, err)
	}
}

// Whatever Parse accepts golang-jwt takes apart in the same way.
func FuzzParse(f *testing.F) {
	f.Add(b64(`{"alg":"RS256","kid":"a"}`) + "." + b64(`{"iss":"i"}`) + "." + b64("sig"))
	f.Add(b64(`{"alg":"EdDSA","typ":"at+jwt"}`) + "." + b64(`{}`) + ".AA")
	f.Add("a.b.c")
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding())
	f.Fuzz(func(t *testing.T, in string) {
		got, err := jws.Parse([]byte(in))
		if err != nil {
			return
		}
		var header map[string]any
		first, rest, _ := strings.Cut(in, ".")
		if err := json.Unmarshal(must(base64.RawURLEncoding.Strict().DecodeString(first)), &header); err != nil {
			t.Fatalf("%q: header: %v", in, err)
		}
		if header["alg"] != got.Algorithm {
			t.Fatalf("%q: alg %q, encoding/json %q", in, got.Algorithm, header["alg"])
		}
		if kid, _ := header["kid"].(string); kid != got.KeyID {
			t.Fatalf("%q: kid %q, encoding/json %q", in, got.KeyID, kid)
		}
		_, signature, _ := strings.Cut(rest, ".")
		if sig, err := parser.DecodeSegment(signature); err != nil || !bytes.Equal(sig, got.Signature) {
			t.Fatalf("%q: signature %x, golang-jwt %x, %v", in, got.Signature, sig, err)
		}
	})
}
