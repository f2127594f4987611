package examples

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpaqueClients has the gateway prove who it is to a real provider in the ways
// that need a key: by tokens signed with each kind of key, and by a certificate. Over
// TLS, with an authority that only this machine knows. And it holds the provider's
// bound tokens to the certificate that they are bound to.
func TestOpaqueClients(t *testing.T) {
	provider := provider(t)
	dir := t.TempDir()
	ca := newCA(t, dir)
	ca.issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	ca.issue("gateway", &x509.Certificate{DNSNames: []string{"gateway.example"}})
	app := ca.issue("app", &x509.Certificate{DNSNames: []string{"app.example"}})
	other := ca.issue("other", &x509.Certificate{DNSNames: []string{"other.example"}})

	keys := map[string]string{} // files by algorithm
	var jwks []map[string]string
	for alg, key := range clientKeys(t) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		keys[alg] = write(t, dir, alg+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		jwks = append(jwks, publicJWK(t, alg, key))
	}
	set, err := json.Marshal(jwks)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CLIENT_JWK", string(set))
	t.Setenv("TLS_DIR", dir)
	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.pem"))

	mockPort, idpPort := port(t), port(t)
	issuer := "https://127.0.0.1:" + idpPort
	must(t, dir, "micro-gw", "init", "petstore")
	// Else a certificate would take the place of the token.
	definition := filepath.Join(dir, "petstore", "api_definitions", "petstore.yaml")
	text, err := os.ReadFile(definition)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "petstore/api_definitions/petstore.yaml", string(text)+"\nx-wso2-mutual-ssl: optional\nx-wso2-application-security: {optional: false}\n")
	must(t, dir, "micro-gw", "build", "petstore")
	start(t, dir, "micro-gw", "mock", "petstore", "--port", mockPort).listening(mockPort)
	provider(idpPort)
	conf := write(t, dir, "micro-gw.conf", `
[introspection]
url = "`+issuer+`/token/introspection"
issuer = "`+issuer+`"
audience = "gateway"
timeout = "30s"

[mutualSSLConfig]
sslVerifyClient = "optional"
authoritiesFile = "ca.pem"
`)
	// fetch returns an opaque token for a client of the provider.
	fetch := func(client *http.Client, id, secret string) string {
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read:pets"}, "resource": {"urn:opaque"}, "client_id": {id}}
		r, err := http.NewRequest("POST", issuer+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if secret != "" {
			r.SetBasicAuth(id, secret)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if json.Unmarshal(body, &answer) != nil || answer.AccessToken == "" {
			t.Fatalf("no token: %d %s", resp.StatusCode, body)
		}
		return answer.AccessToken
	}
	ask := func(client *http.Client, url, token string) int {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	serve := func(args ...string) (gw *program, plain, secure string) {
		http, https := port(t), port(t)
		gw = start(t, dir, "runtime", append(append(local(http), "--artifact", "petstore/target/petstore.mgw", "--conf", conf,
			"-e", "listenerConfig.httpsPort="+https, "-e", "petstore_prod_endpoint_0=http://127.0.0.1:"+mockPort+"/v2"), args...)...).listening(http)
		return gw, "http://127.0.0.1:" + http + "/petstore/v1/pet/42", "https://127.0.0.1:" + https + "/petstore/v1/pet/42"
	}
	anybody := ca.client(nil)
	token := fetch(anybody, "app1", "app1secret")

	for alg, file := range keys {
		gw, pet, _ := serve("-e", "introspection.authMethod=private_key_jwt", "-e", "introspection.clientId=gateway-with-key", "-e", "introspection.keyFile="+file)
		if got := ask(anybody, pet, token); got != 200 {
			t.Errorf("%s: a good token: %d", alg, got)
		}
		if got := ask(anybody, pet, "of-nobody"); got != 401 {
			t.Errorf("%s: a token of nobody: %d", alg, got)
		}
		gw.stop()
	}
	// A certificate of the right authority with another name is somebody else.
	gw, pet, _ := serve("-e", "introspection.authMethod=tls_client_auth", "-e", "introspection.clientId=gateway-with-certificate",
		"-e", "introspection.certificateFile=other.pem", "-e", "introspection.keyFile=other.key")
	if got := ask(anybody, pet, token); got != 503 {
		t.Errorf("as somebody else: %d", got)
	}
	gw.await("a line in the log", func() bool {
		return strings.Contains(gw.output(), "the server refuses the gateway's own credentials (status 40")
	})
	gw.stop()

	gw, pet, secure := serve("-e", "introspection.authMethod=tls_client_auth", "-e", "introspection.clientId=gateway-with-certificate",
		"-e", "introspection.certificateFile=gateway.pem", "-e", "introspection.keyFile=gateway.key")
	if got := ask(anybody, pet, token); got != 200 {
		t.Errorf("by certificate: a good token: %d", got)
	}
	if got := ask(anybody, pet, "of-nobody"); got != 401 {
		t.Errorf("by certificate: a token of nobody: %d", got)
	}

	// The provider makes the thumbprint in a way that Node 18 does not have.
	if out, err := exec.Command("node", "-p", "typeof require('crypto').hash").Output(); err == nil && strings.TrimSpace(string(out)) != "function" {
		t.Log("bound tokens are left out: this Node is older than 20.12")
	} else {
		bound := fetch(ca.client(app), "app-bound", "")
		for name, tt := range map[string]struct {
			client *http.Client
			url    string
			want   int
		}{
			"with its certificate":      {ca.client(app), secure, 200},
			"without a certificate":     {anybody, secure, 401},
			"with somebody else's":      {ca.client(other), secure, 401},
			"over the port without TLS": {anybody, pet, 401},
		} {
			if got := ask(tt.client, tt.url, bound); got != tt.want {
				t.Errorf("a bound token %s: %d, want %d", name, got, tt.want)
			}
		}
	}
	gw.stop()
	for what, secret := range map[string]string{"a token": token, "an assertion": "eyJ", "a key": "PRIVATE"} {
		if strings.Contains(gw.output(), secret) {
			t.Errorf("%s is in the log", what)
		}
	}
}

// clientKeys are of the kinds that assertions can be signed with.
func clientKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"RS256": r, "ES256": e, "EdDSA": ed}
}

func publicJWK(t *testing.T, alg string, key crypto.Signer) map[string]string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"alg": alg, "use": "sig"}
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(pub)
	}
	return jwk
}

// A certificateAuthority of a test's, with its files in a folder.
type certificateAuthority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

func newCA(t *testing.T, dir string) *certificateAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &certificateAuthority{t: t, dir: dir, key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	ca.save("ca", ca.cert, key)
	return ca
}

// save signs a certificate and writes NAME.pem and NAME.key.
func (ca *certificateAuthority) save(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) *tls.Certificate {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, key.Public(), ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	write(ca.t, ca.dir, name+".pem", string(chain))
	write(ca.t, ca.dir, name+".key", string(private))
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		ca.t.Fatal(err)
	}
	return &pair
}

// issue makes a certificate with the names of like.
func (ca *certificateAuthority) issue(name string, like *x509.Certificate) *tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	ca.made++
	like.SerialNumber, like.Subject = big.NewInt(1+ca.made), pkix.Name{CommonName: name}
	like.NotBefore, like.NotAfter, like.KeyUsage = ca.cert.NotBefore, ca.cert.NotAfter, x509.KeyUsageDigitalSignature
	like.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return ca.save(name, like, key)
}

// client is one with a certificate, or with none.
func (ca *certificateAuthority) client(cert *tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	data, err := os.ReadFile(filepath.Join(ca.dir, "ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(data) {
		ca.t.Fatal("no authority: ", err)
	}
	// The gateway's own certificate is one that it has made up; the provider's is
	// looked at by the gateway.
	c := &tls.Config{RootCAs: pool, InsecureSkipVerify: true}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	transport := &http.Transport{TLSClientConfig: c}
	ca.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}
