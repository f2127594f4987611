package devkey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/microgw/microgw/toolkit/internal/devkey"
)

func ensure(t *testing.T, dir string, wantCreated bool) *devkey.Key {
	t.Helper()
	k, created, err := devkey.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	if created != wantCreated {
		t.Fatalf("created = %v, want %v", created, wantCreated)
	}
	return k
}

func TestEnsure(t *testing.T) {
	dir := t.TempDir()
	k := ensure(t, dir, true)
	info, err := os.Stat(filepath.Join(dir, devkey.PrivateFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("private key has mode %o, want 600", got)
	}
	again := ensure(t, dir, false)
	if again.ID() != k.ID() {
		t.Error("a second Ensure gave another key")
	}
	entries, err := os.ReadDir(filepath.Join(dir, devkey.Folder))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("files left behind: %v", entries)
	}

	// A public half that was lost or belongs to another key is mended.
	pub := filepath.Join(dir, devkey.PublicFile)
	for _, broken := range []string{"", "{}"} {
		if err := os.WriteFile(pub, []byte(broken), 0o644); err != nil {
			t.Fatal(err)
		}
		ensure(t, dir, false)
		if got, _ := os.ReadFile(pub); string(got) != string(k.JWK())+"\n" {
			t.Errorf("public half after %q: %s", broken, got)
		}
	}

	if other := ensure(t, t.TempDir(), true); other.ID() == k.ID() {
		t.Error("two projects have one key")
	}
}

func TestEnsureAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			k, _, err := devkey.Ensure(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
}

func TestEnsureRefusesBrokenKey(t *testing.T) {
	for _, content := range []string{
		"",
		"not a key",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		// An Ed25519 key.
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
		strings.Repeat("x", 1<<20),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, devkey.PrivateFile)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := devkey.Ensure(dir)
		if err == nil || !strings.Contains(err.Error(), "dev-key.pem") {
			t.Errorf("%.30q: error %v", content, err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%.30q: the file was changed", content)
		}
	}
}

func TestMint(t *testing.T) {
	k := ensure(t, t.TempDir(), true)
	now := time.Now()
	raw, err := k.Mint(devkey.Claims{
		Subject:  "alice",
		Scopes:   []string{"read:pets", "write:pets"},
		KeyType:  devkey.Sandbox,
		IssuedAt: now,
		Lifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}

	// Verified with the public JWK alone, as the runtime does.
	var jwk map[string]string
	if err := json.Unmarshal(k.JWK(), &jwk); err != nil {
		t.Fatal(err)
	}
	point := []byte{4} // uncompressed: x, y
	for _, name := range []string{"x", "y"} {
		b, err := base64.RawURLEncoding.DecodeString(jwk[name])
		if err != nil || len(b) != 32 {
			t.Fatalf("%s: %d bytes, %v", name, len(b), err)
		}
		point = append(point, b...)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return pub, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(devkey.Issuer), jwt.WithAudience(devkey.Audience),
		jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	if token.Header["kid"] != jwk["kid"] || token.Header["typ"] != "JWT" || jwk["kid"] != k.ID() {
		t.Errorf("header %v, jwk %v", token.Header, jwk)
	}
	claims := token.Claims.(jwt.MapClaims)
	for name, want := range map[string]any{
		"sub": "alice", "scope": "read:pets write:pets", "keytype": "SANDBOX",
		"iat": float64(now.Unix()), "nbf": float64(now.Unix()), "exp": float64(now.Add(time.Hour).Unix()),
	} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}

	second, err := k.Mint(devkey.Claims{IssuedAt: now, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, err := jwt.NewParser().ParseUnverified(second, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	other := parsed.Claims.(jwt.MapClaims)
	if other["keytype"] != "PRODUCTION" {
		t.Errorf("default key type %v", other["keytype"])
	}
	if _, has := other["scope"]; has {
		t.Error("a token without scopes has a scope claim")
	}
	if other["jti"] == claims["jti"] || other["jti"] == "" {
		t.Errorf("jti %v is not unique", other["jti"])
	}
	if _, err := k.Mint(devkey.Claims{IssuedAt: now}); err == nil {
		t.Error("a token without a lifetime was minted")
	}
}
