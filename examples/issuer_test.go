package examples

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestIssuer holds the gateway against a real OpenID Connect provider: tokens by
// its JWKS URL and by discovery, a key rotation, the issuer gone, and the issuer absent at the
// start.
func TestIssuer(t *testing.T) {
	provider := provider(t)
	pets := newPets(t)
	dir, idpPort := pets.dir, port(t)
	issuer := "http://127.0.0.1:" + idpPort
	conf := write(t, dir, "micro-gw.conf", `
[[jwtTokenConfig]]
issuer = "`+issuer+`"
audience = "gateway"
jwksURL = "`+issuer+`/jwks"
`)
	gw, pet := pets.serve("--conf", conf)

	// The issuer is not there yet: nobody is let in, and it is not the
	// client's fault.
	dev := must(t, dir, "micro-gw", "token", "petstore", "--scope", "read:pets")
	if got := call(t, "GET", pet, dev, ""); got.status != 401 {
		t.Fatalf("a development token with a conf file: got %d %s, want 401", got.status, got.body)
	}
	idp := provider(idpPort)
	first := token(t, issuer, "read:pets")
	gw.await("acceptance of a token after the issuer came up", func() bool {
		return call(t, "GET", pet, first, "").status == 200
	})
	if got := call(t, "GET", pet, token(t, issuer, "write:pets"), ""); got.status != 403 || !strings.Contains(got.body, "900910") {
		t.Errorf("without the scope: got %d %s", got.status, got.body)
	}

	// A new signing key: the first token with it asks for the set anew.
	if resp, err := http.Post(issuer+"/rotate", "", nil); err != nil || resp.StatusCode != 200 {
		t.Fatal("rotate: ", err)
	}
	second := token(t, issuer, "read:pets")
	gw.await("acceptance of a token with the new key", func() bool {
		return call(t, "GET", pet, second, "").status == 200
	})
	if got := call(t, "GET", pet, first, ""); got.status != 200 {
		t.Errorf("a token with the old key: got %d %s", got.status, got.body)
	}

	// The same issuer by its name alone: its metadata says where the keys are.
	byName := write(t, dir, "discovery.conf", `
[[jwtTokenConfig]]
issuer = "`+issuer+`"
audience = "gateway"
discovery = true
`)
	byDiscovery, found := pets.serve("--conf", byName)
	byDiscovery.await("acceptance of a token by discovery", func() bool {
		return call(t, "GET", found, second, "").status == 200
	})

	// The issuer dies: last good keys go on, for tokens seen and not seen.
	third := token(t, issuer, "read:pets")
	_ = idp.cmd.Process.Kill()
	<-idp.done
	for i, tok := range []string{first, second, third} {
		if got := call(t, "GET", pet, tok, ""); got.status != 200 {
			t.Errorf("token %d with the issuer gone: got %d %s", i+1, got.status, got.body)
		}
	}

	// A gateway that starts while it is gone answers 503, not 401, for its
	// tokens, and is not ready.
	_, other := pets.serve("--conf", conf)
	if got := call(t, "GET", other, first, ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("keys never loaded: got %d %s", got.status, got.body)
	}
	gw.stop()
}

// pets is the petstore, built, with a mock in place of its upstream.
type pets struct {
	t        *testing.T
	dir      string
	mockPort string
}

func newPets(t *testing.T) *pets {
	t.Helper()
	p := &pets{t, t.TempDir(), port(t)}
	must(t, p.dir, "micro-gw", "init", "petstore")
	must(t, p.dir, "micro-gw", "build", "petstore")
	start(t, p.dir, "micro-gw", "mock", "petstore", "--port", p.mockPort).listening(p.mockPort)
	return p
}

// serve starts a gateway, and returns it with the URL of a pet.
func (p *pets) serve(args ...string) (gw *program, pet string) {
	p.t.Helper()
	at := port(p.t)
	args = append(args, "--artifact", "petstore/target/petstore.mgw", "-e", "petstore_prod_endpoint_0=http://127.0.0.1:"+p.mockPort+"/v2")
	return start(p.t, p.dir, "runtime", append(local(at), args...)...).listening(at), "http://127.0.0.1:" + at + "/petstore/v1/pet/42"
}

// provider installs the provider and returns what starts it on a port.
func provider(t *testing.T) func(port string) *program {
	t.Helper()
	needs(t, "node", "npm")
	dir := t.TempDir()
	for _, f := range []string{"package.json", "package-lock.json", "issuer.mjs"} {
		b, err := os.ReadFile(filepath.Join("issuer", f))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, f, string(b))
	}
	c := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return func(port string) *program {
		t.Helper()
		node, err := exec.LookPath("node")
		if err != nil {
			t.Fatal(err)
		}
		return startAt(t, dir, node, "issuer.mjs", port).listening(port)
	}
}

// token gets an access token by client credentials, for a resource if one is
// named.
func token(t *testing.T, issuer, scope string, resource ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": resource}
	r, err := http.NewRequest("POST", issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("app1", "app1secret")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("token endpoint: %d %s", resp.StatusCode, body)
	}
	return answer.AccessToken
}
