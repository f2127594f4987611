package examples

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestOpaque holds the gateway against a real provider for tokens that only the
// provider can read: good, without the scope, revoked, and the provider gone and
// back.
func TestOpaque(t *testing.T) {
	provider := provider(t)
	pets := newPets(t)
	dir, idpPort := pets.dir, port(t)
	issuer := "http://127.0.0.1:" + idpPort
	conf := write(t, dir, "micro-gw.conf", `
[introspection]
url = "`+issuer+`/token/introspection"
clientId = "gateway"
clientSecret = "${env:INTROSPECTION_SECRET}"
issuer = "`+issuer+`"
audience = "gateway"
timeout = "30s"

[caching]
tokenCacheExpiryTime = 3000
`)
	t.Setenv("INTROSPECTION_SECRET", "gatewaysecret")
	gw, pet := pets.serve("--conf", conf)
	status := func(token string) int { return call(t, "GET", pet, token, "").status }
	opaque := func(scope string) string {
		tok := token(t, issuer, scope, "urn:opaque")
		if strings.Contains(tok, ".") {
			t.Fatal("the provider's token is not opaque")
		}
		return tok
	}

	// Nobody can be asked yet, and that is not the client's fault.
	if got := call(t, "GET", pet, "of-nobody", ""); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "900900") {
		t.Fatalf("provider absent: got %d %s", got.status, got.body)
	}
	keyFile, jwk := clientKey(t, dir)
	t.Setenv("CLIENT_JWK", jwk)
	idp := provider(idpPort)
	first := opaque("read:pets")
	gw.await("acceptance of a token after the provider came up", func() bool { return status(first) == 200 })
	if got := call(t, "GET", pet, opaque("write:pets"), ""); got.status != 403 || !strings.Contains(got.body, "900910") {
		t.Errorf("without the scope: got %d %s", got.status, got.body)
	}
	if got := call(t, "GET", pet, "of-nobody", ""); got.status != 401 || !strings.Contains(got.body, "900901") {
		t.Errorf("of nobody: got %d %s", got.status, got.body)
	}
	// A gateway that proves who it is with a key instead of a secret.
	_, byKey := pets.serve("--conf", conf,
		"-e", "introspection.authMethod=private_key_jwt", "-e", "introspection.clientId=gateway-with-key", "-e", "introspection.keyFile="+keyFile)
	if got := call(t, "GET", byKey, opaque("read:pets"), ""); got.status != 200 {
		t.Errorf("by private_key_jwt: got %d %s", got.status, got.body)
	}
	if got := call(t, "GET", byKey, "of-nobody", ""); got.status != 401 {
		t.Errorf("by private_key_jwt, of nobody: got %d %s", got.status, got.body)
	}
	// The provider does not introspect signed tokens, and is not asked to.
	if got := call(t, "GET", pet, token(t, issuer, "read:pets"), ""); got.status != 401 {
		t.Errorf("a signed token: got %d %s", got.status, got.body)
	}

	// Revoked at the provider, a token is good for as long as it is remembered,
	// and not longer.
	r, err := http.NewRequest("POST", issuer+"/token/revocation", strings.NewReader(url.Values{"token": {first}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("app1", "app1secret")
	if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != 200 {
		t.Fatal("revocation: ", err, resp)
	}
	gw.await("refusal of the revoked token", func() bool { return status(first) == 401 })

	// The provider dies: what is known goes on until the time is over, then
	// nobody knows.
	second := opaque("read:pets")
	if got := status(second); got != 200 {
		t.Fatalf("before the provider dies: got %d", got)
	}
	_ = idp.cmd.Process.Kill()
	<-idp.done
	gw.await("503 for a token that is not remembered any more", func() bool {
		got := status(second)
		if got != 200 && got != 503 {
			t.Errorf("provider gone: got %d, want 200 and then 503", got)
		}
		return got == 503
	})
	provider(idpPort)
	third := opaque("read:pets")
	gw.await("acceptance of a token after the provider came back", func() bool { return status(third) == 200 })
	gw.stop()
	for name, secret := range map[string]string{"a token": second, "the secret": "gatewaysecret"} {
		if strings.Contains(gw.output(), secret) {
			t.Errorf("%s is in the log", name)
		}
	}
}

// clientKey writes a private key and returns its file and the public half as a
// JWK.
func clientKey(t *testing.T, dir string) (file, jwk string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return write(t, dir, "client.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		`{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","x":"` + b64(point[1:33]) + `","y":"` + b64(point[33:]) + `"}`
}
