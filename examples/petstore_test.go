package examples

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPetstore is the main job: a definition becomes a project, an artifact, and
// served, secured traffic. Once with the bundled definition, once with the
// Swagger petstore where it lies beside the repository.
func TestPetstore(t *testing.T) {
	t.Run("bundled", func(t *testing.T) {
		petstore(t, "", "/petstore/v1", "/v2")
	})
	t.Run("real", func(t *testing.T) {
		file := filepath.Join(root(t), "..", "shared", "corpus", "petstore", "petstore3.yaml")
		if _, err := os.Stat(file); err != nil {
			t.Skip("there is no ../shared/corpus/petstore here")
		}
		petstore(t, file, "/api/v3", "/api/v3")
	})
}

func petstore(t *testing.T, definition, base, upstreamBase string) {
	dir := t.TempDir()
	mockPort, gwPort := port(t), port(t)
	if definition == "" {
		must(t, dir, "micro-gw", "init", "petstore")
		must(t, dir, "micro-gw", "build", "petstore")
	} else {
		must(t, dir, "micro-gw", "init", "petstore", "-a", definition)
		must(t, dir, "micro-gw", "build", "petstore")
	}
	start(t, dir, "micro-gw", "mock", "petstore", "--port", mockPort).listening(mockPort)
	var inside struct{ Endpoints []struct{ Name string } }
	if err := json.Unmarshal([]byte(must(t, dir, "micro-gw", "inspect", "petstore/target/petstore.mgw", "--output", "json")), &inside); err != nil {
		t.Fatal(err)
	}
	gw := start(t, dir, "runtime", append(local(gwPort), "--artifact", "petstore/target/petstore.mgw", "--dev",
		"-e", inside.Endpoints[0].Name+"_prod_endpoint_0=http://127.0.0.1:"+mockPort+upstreamBase)...).listening(gwPort)

	both := must(t, dir, "micro-gw", "token", "petstore", "--scope", "read:pets write:pets")
	none := must(t, dir, "micro-gw", "token", "petstore")
	url := "http://127.0.0.1:" + gwPort + base
	for _, c := range []struct {
		method, path, token, body string
		status, code              int
	}{
		{"GET", "/pet/42", "", "", 401, 900902},
		{"GET", "/pet/42", "x.y.z", "", 401, 900901},
		{"GET", "/pet/42", both[:len(both)-4] + "AAAA", "", 401, 900901},
		{"GET", "/pet/42", both, "", 200, 0},
		{"GET", "/pet/42", none, "", 403, 900910},
		{"GET", "/pet/findByStatus?status=available", both, "", 200, 0},
		{"POST", "/pet", both, `{"name":"doggie","photoUrls":[]}`, 200, 0},
		{"POST", "/pet", none, `{"name":"doggie","photoUrls":[]}`, 403, 900910},
		{"PATCH", "/pet", both, `{}`, 405, 405},
		{"GET", "/nothing/here", both, "", 404, 404},
		{"GET", "/pet/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc", both, "", 400, 400},
		{"GET", "/pet/a%2fb", both, "", 400, 400},
	} {
		got := call(t, c.method, url+c.path, c.token, c.body)
		if got.status != c.status {
			t.Errorf("%s %s: got %d %s, want %d", c.method, c.path, got.status, got.body, c.status)
			continue
		}
		if c.code == 0 {
			if !json.Valid([]byte(got.body)) {
				t.Errorf("%s %s: the mock's answer is not JSON: %s", c.method, c.path, got.body)
			}
			continue
		}
		var f struct {
			Fault struct {
				Code                 int
				Message, Description string
			}
		}
		if err := json.Unmarshal([]byte(got.body), &f); err != nil || f.Fault.Code != c.code {
			t.Errorf("%s %s: got %s, want code %d", c.method, c.path, got.body, c.code)
		}
		if challenge := got.header.Get("WWW-Authenticate"); (c.status == 401 || c.code == 900910) != strings.Contains(challenge, "Bearer ") {
			t.Errorf("%s %s: WWW-Authenticate is %q", c.method, c.path, challenge)
		}
	}
	gw.stop()
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "\n"); n < 12 {
		t.Errorf("the access log has %d lines:\n%s", n, log)
	}
	if strings.Contains(string(log)+gw.output(), strings.Split(both, ".")[1]) {
		t.Error("a log holds a token")
	}
}
