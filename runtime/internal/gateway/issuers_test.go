package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// issue makes an access token of the claims, which are given dates.
func (s *signer) issue(t testing.TB, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"aud": "gw", "sub": "me", "exp": time.Now().Unix() + 600}
	for k, v := range claims {
		all[k] = v
	}
	return s.Sign(t, "at+jwt", all)
}

// provider is an issuer with metadata, which may say that it is another.
func provider(t *testing.T, s *signer) (issuer string, claims *atomic.Pointer[string]) {
	claims = &atomic.Pointer[string]{}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer = server.URL + "/realm"
	claims.Store(&issuer)
	mux.HandleFunc("/realm/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, *claims.Load(), server.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"keys":[%s]}`, s.JWK) })
	return issuer, claims
}

// Three issuers side by side: one found by its metadata, with names of its own;
// one of WSO2's kind, whose tokens list APIs; one whose tokens are bound.
func TestIssuers(t *testing.T) {
	a, b, c, ca := newSigner(t), newSigner(t), newSigner(t), newAuthority(t, "ours")
	issuerA, claims := provider(t, a)
	issuerB, _ := provider(t, b)
	issuerC, _ := provider(t, c)
	liar := "https://evil.example"
	claims.Store(&liar)

	p := project("issuers", echo(t, "up").URL, nil)
	p.SecuritySchemes = append(p.SecuritySchemes, &artifactpb.SecurityScheme{Name: "known", Kind: &artifactpb.SecurityScheme_OpenIdConnect{
		OpenIdConnect: &artifactpb.OpenIdConnectScheme{DiscoveryUrl: issuerA + "/.well-known/openid-configuration"}}},
		&artifactpb.SecurityScheme{Name: "unknown", Kind: &artifactpb.SecurityScheme_OpenIdConnect{
			OpenIdConnect: &artifactpb.OpenIdConnectScheme{DiscoveryUrl: "https://login.example/.well-known/openid-configuration"}}})
	scoped := proto.CloneOf(p.Apis[0].Operations[1])
	scoped.Id, scoped.Path = "GET /scoped", "/scoped"
	scoped.Stages = append(scoped.Stages, &artifactpb.Stage{Name: "scope", Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: []string{"read"}}}})
	p.Apis[0].Operations = append(p.Apis[0].Operations, scoped)
	path := filepath.Join(t.TempDir(), "issuers.mgw")
	put(t, path, p)
	file := filepath.Join(t.TempDir(), "micro-gw.conf")
	if err := os.WriteFile(file, []byte(`
[mutualSSLConfig]
sslVerifyClient = "optional"
authoritiesFile = "`+ca.file("ca.pem")+`"
[[jwtTokenConfig]]
issuer = "`+issuerA+`"
audience = "gw"
discovery = true
usernameClaim = "email"
[[jwtTokenConfig.claims]]
remoteClaim = "permissions"
localClaim = "scope"
[[jwtTokenConfig]]
issuer = "`+issuerB+`"
audience = "gw"
jwksURL = "`+strings.TrimSuffix(issuerB, "/realm")+`/keys"
validateSubscription = true
[[jwtTokenConfig]]
issuer = "`+issuerC+`"
audience = "gw"
openidConfigurationURL = "`+issuerC+`/.well-known/openid-configuration"
profile = "fapi"
tokenType = "at+jwt"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	g.untilLogged(`security scheme .*unknown.*: its issuer \(https://login.example/.well-known/openid-configuration\) is not configured`)
	if strings.Contains(g.log.String(), "known\\\": its issuer ("+issuerA) {
		t.Error("a configured issuer is warned of")
	}

	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	mine, other := ca.client("mine"), ca.client("other")
	sum := sha256.Sum256(mine.Leaf.Raw)
	cnf := map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	api := func(name, version string) []map[string]string {
		return []map[string]string{{"name": name, "version": version}}
	}

	// The metadata is somebody else's: its tokens cannot be judged.
	token := a.issue(t, map[string]any{"iss": issuerA, "permissions": []string{"read"}})
	g.untilLogged("is of the issuer")
	if got, body := ask(client, "http://"+g.at.HTTP+"/v1/scoped", bearer(token)...); got != "503 900900" {
		t.Errorf("metadata that lies: %s %s", got, body)
	}
	claims.Store(&issuerA)
	g.until("the metadata is right", func() bool {
		got, _ := ask(client, "http://"+g.at.HTTP+"/v1/scoped", bearer(token)...)
		return got == "200"
	})
	g.until("all keys are there", func() bool {
		got, _ := ask(client, "http://"+g.at.Admin+"/ready")
		return got == "200" && strings.Count(g.log.String(), "keys loaded") == 3
	})

	plain, withMine, withOther := caller(nil), caller(mine), caller(other)
	for _, k := range []struct {
		what   string
		by     *signer
		claims map[string]any
		path   string
		via    *http.Client
		want   string
	}{
		{"scope by its own name", a, map[string]any{"iss": issuerA, "scope": "read"}, "/v1/scoped", plain, "200"},
		{"scope by both names: its own name is taken", a, map[string]any{"iss": issuerA, "scope": "read", "permissions": "write"}, "/v1/scoped", plain, "403 900910"},
		{"another issuer's name for scopes", b, map[string]any{"iss": issuerB, "permissions": "read", "subscribedAPIs": api("Pets", "1")}, "/v1/scoped", plain, "403 900910"},
		{"another issuer's key", b, map[string]any{"iss": issuerA, "permissions": "read"}, "/v1/scoped", plain, "401 900901"},
		{"subscribed", b, map[string]any{"iss": issuerB, "subscribedAPIs": api("Pets", "1")}, "/v1/pet", plain, "200"},
		{"subscribed to another version", b, map[string]any{"iss": issuerB, "subscribedAPIs": api("Pets", "2")}, "/v1/pet", plain, "403 900908"},
		{"not subscribed", b, map[string]any{"iss": issuerB}, "/v1/pet", plain, "403 900908"},
		{"listed, where it is not asked for", a, map[string]any{"iss": issuerA, "subscribedAPIs": api("Shop", "1")}, "/v1/pet", plain, "403 900908"},
		{"none listed, where it is not asked for", a, map[string]any{"iss": issuerA, "subscribedAPIs": []int{}}, "/v1/pet", plain, "200"},
		{"bound", c, map[string]any{"iss": issuerC, "cnf": cnf}, "/v1/pet", withMine, "200"},
		{"unbound", c, map[string]any{"iss": issuerC}, "/v1/pet", plain, "401 900901"},
		{"bound, another certificate", c, map[string]any{"iss": issuerC, "cnf": cnf}, "/v1/pet", withOther, "401 900901"},
		{"no token, a certificate", c, nil, "/v1/pet", withMine, "401 900902"},
		{"a certificate, and a token without the scope", a, map[string]any{"iss": issuerA, "permissions": "write"}, "/v1/scoped", withMine, "403 900910"},
		{"bound, no certificate", c, map[string]any{"iss": issuerC, "cnf": cnf}, "/v1/pet", plain, "401 900901"},
		{"bound, of an issuer that does not ask for it", a, map[string]any{"iss": issuerA, "cnf": cnf}, "/v1/pet", plain, "401 900901"},
		{"DPoP", a, map[string]any{"iss": issuerA, "cnf": map[string]any{"jkt": "x"}}, "/v1/pet", plain, "401 900901"},
	} {
		var with []string
		if k.claims != nil {
			with = bearer(k.by.issue(t, k.claims))
		}
		got, body := ask(k.via, "https://"+g.at.HTTPS+k.path, with...)
		if got != k.want {
			t.Errorf("%s: got %s (%s), want %s", k.what, got, body, k.want)
		}
	}
	for _, c := range []*http.Client{plain, withMine, withOther} {
		c.CloseIdleConnections()
	}
}

// A browser's cookie opens what its token opens, for pages that may, and no
// upstream ever sees it.
func TestTokenCookie(t *testing.T) {
	s := newSigner(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "cookies: %s", r.Header.Values("Cookie"))
	}))
	defer backend.Close()
	p := project("cookie", backend.URL, s.JWK)
	post := proto.CloneOf(p.Apis[0].Operations[1])
	post.Id, post.Method = "POST /pet", "POST"
	p.Apis[0].Operations = append(p.Apis[0].Operations, post)
	path := filepath.Join(t.TempDir(), "cookie.mgw")
	put(t, path, p)
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("authConfig.cookie=token", "authConfig.cookieOrigins=https://shop.test")}})
	for _, k := range []struct{ method, path, cookie, origin, want string }{
		{"GET", "/v1/pet", s.token(t, ""), "", "200 cookies: [theme=dark]"},
		{"GET", "/v1/pet", "x", "", "401"},
		{"GET", "/v1/open", s.token(t, ""), "", "200 cookies: [theme=dark]"},
		{"POST", "/v1/pet", s.token(t, ""), "https://shop.test", "200 cookies: [theme=dark]"},
		{"POST", "/v1/pet", s.token(t, ""), "http://" + g.at.HTTP, "200 cookies: [theme=dark]"},
		{"POST", "/v1/pet", s.token(t, ""), "https://evil.test", "401"},
		{"POST", "/v1/pet", s.token(t, ""), "", "401"},
	} {
		r, err := http.NewRequest(k.method, "http://"+g.at.HTTP+k.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", "theme=dark; token="+k.cookie)
		if k.origin != "" {
			r.Header.Set("Origin", k.origin)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, body); !strings.HasPrefix(got, k.want) {
			t.Errorf("%s %s from %q: got %s, want %s", k.method, k.path, k.origin, got, k.want)
		}
	}
}
