package examples

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const keyDefinition = `openapi: 3.0.3
info: {title: Coffee, version: "1.0.0"}
x-wso2-basePath: /coffee
x-wso2-production-endpoints: {urls: ["http://127.0.0.1:1"]}
components:
  securitySchemes:
    header: {type: apiKey, in: header, name: api_key}
    query: {type: apiKey, in: query, name: api_key}
paths:
  /menu:
    get:
      security: [{header: []}]
      responses: {"200": {description: good, content: {application/json: {example: [espresso]}}}}
  /order:
    get:
      security: [{query: []}]
      responses: {"200": {description: good, content: {application/json: {example: [espresso]}}}}
  /staff:
    get:
      responses: {"200": {description: good, content: {application/json: {example: []}}}}
`

// TestAPIKeys is docs/authentication/api-keys.md, with both programs: keys of
// development without any configuration, keys of an issuer with it, and neither
// of them where the other counts.
func TestAPIKeys(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "coffee.yaml", keyDefinition)
	must(t, dir, "micro-gw", "init", "coffee", "-a", "coffee.yaml")
	must(t, dir, "micro-gw", "build", "coffee")
	mockPort := port(t)
	start(t, dir, "micro-gw", "mock", "coffee", "--port", mockPort).listening(mockPort)
	must(t, dir, "micro-gw", "keygen", "keys")
	conf := write(t, dir, "micro-gw.conf", `
[apikey.tokenConfigs]
issuer = "https://keys.example.com"
publicKeyFile = "keys.pub"
`)
	var inside struct{ Endpoints []struct{ Name string } }
	if err := json.Unmarshal([]byte(must(t, dir, "micro-gw", "inspect", "coffee/target/coffee.mgw", "--output", "json")), &inside); err != nil {
		t.Fatal(err)
	}
	upstream := []string{"--artifact", "coffee/target/coffee.mgw", "-e", inside.Endpoints[0].Name + "_prod_endpoint_0=http://127.0.0.1:" + mockPort, "-e", "b7a.log.level=TRACE"}

	keys := map[string]string{
		"development": must(t, dir, "micro-gw", "apikey", "coffee"),
		"production":  must(t, dir, "micro-gw", "apikey", "--key", "keys.key", "--issuer", "https://keys.example.com", "--application", "shop", "--api", "Coffee:1.0.0"),
		"other API":   must(t, dir, "micro-gw", "apikey", "--key", "keys.key", "--issuer", "https://keys.example.com", "--api", "Tea"),
		"other place": must(t, dir, "micro-gw", "apikey", "--key", "keys.key", "--issuer", "https://keys.example.com", "--ip", "192.0.2.0/24"),
		"a token":     must(t, dir, "micro-gw", "token", "coffee"),
	}
	for mode, c := range map[string]struct {
		args []string
		want map[string]int
	}{
		"development": {[]string{"--dev"}, map[string]int{"development": 200, "production": 401, "other API": 401, "other place": 401, "a token": 401}},
		"production":  {[]string{"--conf", conf}, map[string]int{"development": 401, "production": 200, "other API": 403, "other place": 403, "a token": 401}},
	} {
		t.Run(mode, func(t *testing.T) {
			gwPort := port(t)
			args := append(local(gwPort), upstream...)
			gw := start(t, dir, "runtime", append(args, c.args...)...).listening(gwPort)
			at := "http://127.0.0.1:" + gwPort + "/coffee"
			for name, want := range c.want {
				if got := withKey(t, at+"/menu", keys[name]); got != want {
					t.Errorf("%s in a header: %d, want %d", name, got, want)
				}
				if got := call(t, "GET", at+"/order?size=1&api_key="+keys[name], "", ""); got.status != want {
					t.Errorf("%s in the query: %d %s, want %d", name, got.status, got.body, want)
				}
				staff := map[bool]int{true: 200, false: 401}[name == "a token" && mode == "development"]
				if got := call(t, "GET", at+"/staff", keys[name], ""); got.status != staff {
					t.Errorf("%s as a token: %d %s, want %d", name, got.status, got.body, staff)
				}
			}
			gw.stop()
			access, err := os.ReadFile(filepath.Join(dir, "access.log"))
			if err != nil || !strings.Contains(string(access), "/coffee/order") {
				t.Errorf("access log: %v\n%s", err, access)
			}
			for name, key := range keys {
				secret := key[strings.LastIndex(key, ".")+1:]
				if strings.Contains(string(access)+gw.output(), secret) {
					t.Errorf("the logs have %s", name)
				}
			}
		})
	}
}

func withKey(t *testing.T, url, key string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("api_key", key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
