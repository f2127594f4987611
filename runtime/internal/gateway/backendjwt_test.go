package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// assertions is an upstream that answers with the assertions that it gets, one a
// line.
func assertions(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "X-JWT-Assertion") {
				fmt.Fprintln(w, strings.Join(values, "\n"))
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func keyFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "signing.pem")
	replace(t, path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return path
}

// An upstream learns who calls from a token that it can verify by the gateway's
// published key, and from nobody else.
func TestBackendJWT(t *testing.T) {
	s := newSigner(t)
	path := filepath.Join(t.TempDir(), "backend.mgw")
	put(t, path, project("backend", assertions(t).URL, s.JWK))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local(
		"jwtGeneratorConfig.jwtGeneratorEnabled=true", "jwtGeneratorConfig.publishKeys=true", "jwtGeneratorConfig.privateKeyFile="+keyFile(t, key))}})
	forged := []string{"X-JWT-Assertion", "forged", "X_JWT_Assertion", "forged", "Connection", "X-JWT-Assertion"}

	if got, body := ask(client, "http://"+g.at.HTTP+"/v1/open", forged...); got != "200" || body != "" {
		t.Errorf("open operation: %s, upstream got %q", got, body)
	}
	bearer := append([]string{"Authorization", "Bearer " + s.token(t, "")}, forged...)
	got, token := ask(client, "http://"+g.at.HTTP+"/v1/pet", bearer...)
	token = strings.TrimSpace(token)
	part := strings.Split(token, ".")
	if got != "200" || len(part) != 3 || strings.Contains(token, "forged") {
		t.Fatalf("%s, upstream got %q", got, token)
	}
	if _, again := ask(client, "http://"+g.at.HTTP+"/v1/pet", bearer[:2]...); strings.TrimSpace(again) != token {
		t.Error("made anew for the same caller")
	}

	// Whoever verifies tokens as we do is content with it.
	for _, at := range []string{g.at.Admin, g.at.HTTP} {
		got, body := ask(client, "http://"+at+"/.well-known/jwks.json")
		set, err := keys.FromJWKS([]byte(body))
		if got != "200" || err != nil {
			t.Fatalf("%s: %s %s, %v", at, got, body, err)
		}
		v, err := jwt.New(jwt.Options{Issuers: []jwt.Issuer{{Issuer: "wso2.org/products/am", Audience: []string{"http://org.wso2.apimgt/gateway"}, Keys: set,
			UsernameClaim: "http://wso2.org/claims/enduser"}}})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := v.Verify([]byte(token)); err != nil || p.Username != "me" {
			t.Errorf("%s: %+v, %v", at, p, err)
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(part[1])
	for _, want := range []string{`"iss":"wso2.org/products/am"`, `"aud":"http://org.wso2.apimgt/gateway"`, `"sub":"me"`, `"http://wso2.org/claims/apiname":"Pets"`,
		`"http://wso2.org/claims/apicontext":"/v1"`, `"http://wso2.org/claims/enduser":"me"`} {
		if !strings.Contains(string(payload), want) {
			t.Errorf("no %s in %s", want, payload)
		}
	}
	if got, _ := ask(client, "http://"+g.at.Admin+"/ready"); got != "200" {
		t.Errorf("the rest of the admin port: %s", got)
	}
	if log := g.log.String(); strings.Contains(log, part[2]) || strings.Contains(log, "PRIVATE") {
		t.Error("the log holds a token or a key")
	}
}

// Of an opaque token upstreams are told who it is for, what the operator has named,
// and nothing else that the server has told the gateway.
func TestBackendJWTOfOpaque(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backend.mgw")
	put(t, path, project("backend", assertions(t).URL, nil))
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"active":true,"sub":"u1","username":"alice","client_id":"app","scope":"read","exp":4102444800,"jti":"j","iss":"https://idp","risk":"low","email":"a@b.test",
			"cnf":null,"http://wso2.org/claims/role":"admin"}`)
	}))
	defer idp.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(unhurried, "introspection.url="+idp.URL, "introspection.clientId=g", "introspection.clientSecret=s",
		"introspection.claims=email,http://wso2.org/claims/role", "jwtGeneratorConfig.jwtGeneratorEnabled=true", "jwtGeneratorConfig.privateKeyFile="+keyFile(t, key))}})
	status, token := ask(client, "http://"+g.at.HTTP+"/v1/pet", "Authorization", "Bearer opaque")
	part := strings.Split(token, ".")
	if status != "200" || len(part) != 3 {
		t.Fatalf("%s %s", status, token)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(part[1])
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "exp", "jti"} {
		delete(claims, name)
	}
	got, _ := json.Marshal(claims)
	const dialect = "http://wso2.org/claims/"
	want := `{"aud":"http://org.wso2.apimgt/gateway","client_id":"app","email":"a@b.test","` + dialect + `apicontext":"/v1","` + dialect + `apiname":"Pets","` + dialect + `enduser":"alice","` +
		dialect + `enduserTenantDomain":"carbon.super","` + dialect + `keytype":"PRODUCTION","` + dialect + `usertype":"Application_User","` + dialect + `version":"1","iss":"wso2.org/products/am","scope":"read","sub":"u1","username":"alice"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Where the feature is off, and there is no key manager, the field is any field. No key
// is published.
func TestNoBackendJWT(t *testing.T) {
	s := newSigner(t)
	path := filepath.Join(t.TempDir(), "backend.mgw")
	put(t, path, project("backend", assertions(t).URL, s.JWK))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local()}})
	if got, body := ask(client, "http://"+g.at.HTTP+"/v1/open", "X-JWT-Assertion", "passed"); got != "200" || body != "passed\n" {
		t.Errorf("%s %q", got, body)
	}
	for _, at := range []string{g.at.Admin, g.at.HTTP} {
		if got, body := ask(client, "http://"+at+"/.well-known/jwks.json"); !strings.HasPrefix(got, "404") {
			t.Errorf("%s: %s %s", at, got, body)
		}
	}
}

// In front of a key manager or an introspection endpoint upstreams may look for WSO2's
// token in that field. They are told nothing, and nothing by clients either.
func TestNoAssertionOfClients(t *testing.T) {
	up := assertions(t)
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"active":true}`)
	}))
	t.Cleanup(idp.Close)
	path := filepath.Join(t.TempDir(), "backend.mgw")
	put(t, path, project("backend", up.URL, nil))
	forged := []string{"X-JWT-Assertion", "forged", "X_JWT_Assertion", "forged", "x-jwt_assertion", "forged"}
	for name, set := range map[string][]string{
		"introspection":          {"introspection.url=" + idp.URL, "introspection.clientId=g", "introspection.clientSecret=s", "introspection.timeout=1m"},
		"key manager":            {"keyManager.serverUrl=" + idp.URL, "keyManager.username=u", "keyManager.password=p", "keyManager.external=true", "introspection.timeout=1m"},
		"key manager, not asked": {"keyManager.serverUrl=" + idp.URL},
	} {
		g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(append(set, "listenerConfig.tokenListenerPort=0")...)}})
		at := "http://" + g.at.HTTP + "/v1"
		if got, body := ask(client, at+"/open", forged...); got != "200" || body != "" {
			t.Errorf("%s: %s, upstream got %q", name, got, body)
		}
		if got, body := ask(client, at+"/pet", append([]string{"Authorization", "Bearer opaque"}, forged...)...); len(set) > 1 && got != "200" || strings.Contains(body, "forged") {
			t.Errorf("%s: %s, upstream got %q", name, got, body)
		}
	}
	// Another field may be named; that one is the gateway's then.
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl="+idp.URL, "listenerConfig.tokenListenerPort=0", "jwtConfig.header=X-Other")}})
	if got, body := ask(client, "http://"+g.at.HTTP+"/v1/open", "X-JWT-Assertion", "passed", "X-Other", "forged"); got != "200" || body != "passed\n" {
		t.Errorf("%s %q", got, body)
	}
}

// Keys that cannot sign end the start.
func TestBackendJWTRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backend.mgw")
	put(t, path, project("backend", "http://127.0.0.1:1", nil))
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(t.TempDir(), "junk.pem")
	replace(t, junk, []byte("junk"))
	locked := filepath.Join(t.TempDir(), "locked.pem")
	replace(t, locked, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	for want, set := range map[string][]string{
		"no private key in PEM form":      {"jwtGeneratorConfig.privateKeyFile=" + junk},
		"it is encrypted":                 {"jwtGeneratorConfig.privateKeyFile=" + locked},
		"only P-256 can be used":          {"jwtGeneratorConfig.privateKeyFile=" + keyFile(t, p384)},
		"ES256 does not fit the RSA key":  {"jwtGeneratorConfig.privateKeyFile=" + keyFile(t, good), "jwtGeneratorConfig.signingAlgorithm=ES256"},
		"RS256 does not fit the EC key":   {"jwtGeneratorConfig.privateKeyFile=" + keyFile(t, p384), "jwtGeneratorConfig.signingAlgorithm=SHA256withRSA"},
		"needs a key to sign with: set j": nil,
	} {
		_, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Set: local(append(set, "jwtGeneratorConfig.jwtGeneratorEnabled=true")...)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Set: local("jwtGeneratorConfig.jwtGeneratorEnabled=true",
		"jwtGeneratorConfig.signingAlgorithm=SHA256withRSA", "jwtGeneratorConfig.privateKeyFile="+keyFile(t, good))}}); err != nil {
		t.Error(err)
	}
}
