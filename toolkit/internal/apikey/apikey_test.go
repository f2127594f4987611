package apikey_test

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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/microgw/microgw/toolkit/internal/apikey"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func file(t *testing.T, block string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every kind of key signs with its algorithm, and its public half verifies.
func TestSign(t *testing.T) {
	now := time.Now()
	for alg, key := range map[string]crypto.Signer{
		"RS256": must(rsa.GenerateKey(rand.Reader, 2048)),
		"ES256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	} {
		s, err := apikey.Open(file(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))))
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		c := apikey.Claims{Issuer: "i", Subject: "s", KeyType: "PRODUCTION", APIs: []apikey.API{{Name: "Pets", Version: "*"}}}
		signed, err := s.Sign(&c, now, time.Hour)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		token, err := jwt.Parse(signed, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{alg}), jwt.WithIssuer("i"), jwt.WithExpirationRequired())
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if token.Header["kid"] != s.ID || token.Header["typ"] != "JWT" || c.ID == "" {
			t.Errorf("%s: header %v, claims %v", alg, token.Header, c)
		}
		// What it is not restricted to it does not speak of.
		payload := must(base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1]))
		var members map[string]any
		if err := json.Unmarshal(payload, &members); err != nil || len(members) != 8 {
			t.Errorf("%s: %v, %s", alg, err, payload)
		}
		if _, err := s.Sign(&c, now, time.Millisecond); err == nil {
			t.Errorf("%s: a key of a millisecond", alg)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	for name, path := range map[string]string{
		"-":                  filepath.Join(t.TempDir(), "none"),
		"no such file":       filepath.Join(t.TempDir(), "none"),
		"not a key file":     t.TempDir(),
		"encrypted":          file(t, "ENCRYPTED PRIVATE KEY", []byte("x")),
		"certificate, which": file(t, "CERTIFICATE", []byte("x")),
		"damaged":            file(t, "PRIVATE KEY", []byte("x")),
		"OPENSSH":            file(t, "OPENSSH PRIVATE KEY", []byte("x")),
		"P-224":              file(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))))),
		"1024 bits":          file(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(weak))),
	} {
		_, err := apikey.Open(path)
		if err == nil || name != "-" && !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The examples of RFC 7638, section 3.1, and RFC 8037, appendix A.3.
func TestThumbprint(t *testing.T) {
	x := must(base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
	if id := must(apikey.Thumbprint(ed25519.PublicKey(x))); id != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("Ed25519: %s", id)
	}
}
