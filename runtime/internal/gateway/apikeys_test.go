package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// usual makes a token of the usual claims; a change to nil takes one away.
func (s *signer) usual(t testing.TB, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"aud": conf.DevelopmentAudience, "sub": "shop", "iat": now, "exp": now + 600, "jti": "k1", "keytype": "PRODUCTION", "token_type": "apiKey"}
	for name, v := range change {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	return s.Sign(t, "JWT", claims)
}

// key is an API key of an issuer, development's if it is "".
func (s *signer) apiKey(t testing.TB, issuer string, change map[string]any) string {
	if issuer == "" {
		issuer = conf.DevelopmentKeyIssuer
	}
	all := map[string]any{"iss": issuer}
	for name, v := range change {
		all[name] = v
	}
	return s.usual(t, all)
}

func (s *signer) pem(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.pub")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyProject has, beside /v1/open and /v1/pet (a token), operations of the API
// Pets 1 that take a key in a header (/v1/header), the query (/v1/query), a cookie
// (/v1/cookie), and either a key or a token (/v1/either).
func keyProject(upstream string, key []byte) *artifactpb.Artifact {
	a := project("keys", upstream, key)
	a.RequiredFeatures = []artifactpb.Feature{artifactpb.Feature_FEATURE_SECURITY_ALTERNATIVES}
	alternatives := map[string][]uint32{"/either": {1, 0}}
	for i, in := range []artifactpb.Location{artifactpb.Location_LOCATION_HEADER, artifactpb.Location_LOCATION_QUERY, artifactpb.Location_LOCATION_COOKIE} {
		a.SecuritySchemes = append(a.SecuritySchemes, &artifactpb.SecurityScheme{Kind: &artifactpb.SecurityScheme_ApiKey{ApiKey: &artifactpb.ApiKeyScheme{In: in, Name: "api_key"}}})
		alternatives["/"+strings.ToLower(strings.TrimPrefix(in.String(), "LOCATION_"))] = []uint32{uint32(i + 1)}
	}
	for path, schemes := range alternatives {
		op := &artifactpb.Operation{
			Id: "GET " + path, Method: "GET", Path: path, Position: &artifactpb.Position{Line: 3, Column: 1}, ProductionCluster: 1,
			Security: &artifactpb.Security{},
			Stages:   []*artifactpb.Stage{{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}}},
		}
		for _, s := range schemes {
			op.Security.Alternatives = append(op.Security.Alternatives, &artifactpb.SecurityAlternative{Requirements: []*artifactpb.SecurityRequirement{{Scheme: s}}})
		}
		a.Apis[0].Operations = append(a.Apis[0].Operations, op)
	}
	return a
}

// teller answers with all that reached it that may hold a key.
func teller(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "query %q header %q cookie %q bearer %q", r.URL.RawQuery, r.Header["Api_key"], r.Header["Cookie"], r.Header["Authorization"])
	}))
	t.Cleanup(s.Close)
	return s
}

const (
	untold    = `^query "" header \[\] cookie \[\] bearer \[\]$`
	notGood   = `"code":900901.*"Invalid Credentials"`
	forbidden = `"code":900908`
)

// In development the project's key signs both, and neither passes for the other.
func TestDevelopmentAPIKeys(t *testing.T) {
	s := newSigner(t)
	path := filepath.Join(t.TempDir(), "keys.mgw")
	put(t, path, keyProject(teller(t).URL, s.JWK))
	access := filepath.Join(t.TempDir(), "access.log")
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("accessLog.enabled=true", "accessLog.path="+access, "b7a.log.level=TRACE")}})
	at := "http://" + g.at.HTTP + "/v1"

	secrets := []string{}
	key := func(change map[string]any) string {
		k := s.apiKey(t, "", change)
		secrets = append(secrets, k)
		return k
	}
	good := key(nil)
	g.expect(at+"/header", 200, untold, "api_key", good)
	g.expect(at+"/query?api_key="+good, 200, untold)
	g.expect(at+"/cookie", 200, untold, "Cookie", "api_key="+good)
	g.expect(at+"/either", 200, untold, "api_key", good)
	g.expect(at+"/either", 200, untold, "Authorization", "Bearer "+s.token(t, ""))
	g.expect(at+"/pet", 200, untold, "Authorization", "Bearer "+s.token(t, ""))
	g.expect(at+"/header", 401, `"code":900902`)
	g.expect(at+"/query?x=1", 401, `"code":900902.*your API request provides required credentials`)

	// A token is no key, wherever it claims to be from, and a key is no token.
	for _, token := range []string{
		s.token(t, ""), s.token(t, conf.DevelopmentKeyIssuer),
		key(map[string]any{"token_type": nil}), key(map[string]any{"token_type": "Bearer"}), key(map[string]any{"aud": "other"}),
		key(map[string]any{"exp": time.Now().Unix() - 60}), key(map[string]any{"exp": nil}), newSigner(t).apiKey(t, "", nil),
		s.apiKey(t, conf.DevelopmentIssuer, nil), "x",
	} {
		secrets = append(secrets, token)
		g.expect(at+"/header", 401, notGood, "api_key", token)
		g.expect(at+"/query?api_key="+url.QueryEscape(token), 401, notGood)
	}
	for _, k := range []string{good, s.apiKey(t, conf.DevelopmentIssuer, nil)} {
		g.expect(at+"/pet", 401, notGood, "Authorization", "Bearer "+k)
		g.expect(at+"/either", 401, notGood, "Authorization", "Bearer "+k)
	}

	// What a key is restricted to, remembered or not.
	pets := []map[string]any{{"name": "Pets", "version": "1"}}
	for range 2 {
		for _, c := range []struct {
			change map[string]any
			status int
			fields []string
		}{
			{map[string]any{"allowedAPIs": pets}, 200, nil},
			{map[string]any{"allowedAPIs": []map[string]any{{"name": "Pets", "version": "2"}}}, 403, nil},
			{map[string]any{"allowedAPIs": "Pets"}, 401, nil},
			{map[string]any{"permittedIP": "127.0.0.1"}, 200, nil},
			{map[string]any{"permittedIP": "192.0.2.0/24"}, 403, nil},
			// Nobody has said that this peer is a proxy.
			{map[string]any{"permittedIP": "192.0.2.0/24"}, 403, []string{"X-Forwarded-For", "192.0.2.1"}},
			{map[string]any{"permittedIP": "everywhere"}, 401, nil},
			{map[string]any{"permittedReferer": "https://shop.example/*"}, 403, nil},
			{map[string]any{"permittedReferer": "https://shop.example/*"}, 200, []string{"Referer", "https://shop.example/cart"}},
			{map[string]any{"permittedReferer": "https://shop.example/*"}, 403, []string{"Referer", "https://evil.example/https://shop.example/"}},
		} {
			want := map[int]string{200: "^query", 401: notGood, 403: forbidden}[c.status]
			g.expect(at+"/header", c.status, want, append([]string{"api_key", key(c.change)}, c.fields...)...)
		}
	}

	// No log has seen one, not even cut off.
	g.stop()
	lines, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(lines), "/v1/query") {
		t.Errorf("access log:\n%s", lines)
	}
	for _, secret := range secrets {
		_, signature, _ := strings.Cut(secret, ".")
		for name, log := range map[string]string{"access": string(lines), "process": g.log.String()} {
			if len(signature) > 0 && (strings.Contains(log, secret) || strings.Contains(log, signature[:20])) {
				t.Fatalf("the %s log has an API key:\n%s", name, log)
			}
		}
	}
}

func TestAPIKeysOfAnIssuer(t *testing.T) {
	s, dev := newSigner(t), newSigner(t)
	path := filepath.Join(t.TempDir(), "keys.mgw")
	put(t, path, keyProject(teller(t).URL, dev.JWK))
	for name, c := range map[string]struct {
		set  []string
		dev  bool
		want map[string]int // by what the key says
	}{
		"as it is": {nil, false, map[string]int{"": 200, "no mark": 200, "no exp": 401, "no APIs": 200, "proxied": 403, "development": 401, "token": 200}},
		"strict": {[]string{"apikey.tokenConfigs.validateAllowedAPIs=true", "apikey.tokenConfigs.audience=elsewhere,micro-gw"}, false,
			map[string]int{"": 200, "no APIs": 401, "no audience": 401}},
		"lasting, behind a proxy": {[]string{"apikey.tokenConfigs.allowWithoutExpiry=true", "listenerConfig.trustedProxies=127.0.0.1"}, false,
			map[string]int{"": 200, "no exp": 200, "proxied": 200}},
		"in development, too": {nil, true, map[string]int{"": 200, "development": 200}},
		"of an issuer of tokens": {[]string{"jwtTokenConfig.issuer=https://keys.example", "jwtTokenConfig.audience=micro-gw", "jwtTokenConfig.publicKeyFile=" + s.pem(t)}, false,
			map[string]int{"": 200, "no mark": 401, "token": 401}},
	} {
		t.Run(name, func(t *testing.T) {
			set := append([]string{"apikey.tokenConfigs.issuer=https://keys.example", "apikey.tokenConfigs.publicKeyFile=" + s.pem(t)}, c.set...)
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(set...), Dev: c.dev}})
			if strings.Contains(g.log.String(), "need an API key") {
				t.Error("a warning that nobody can have a key")
			}
			own := map[string]any{"allowedAPIs": []map[string]any{{"name": "Pets", "version": "*"}}}
			with := func(name string, v any) map[string]any {
				return map[string]any{"allowedAPIs": own["allowedAPIs"], name: v}
			}
			for what, status := range c.want {
				var key string
				switch what {
				case "":
					key = s.apiKey(t, "https://keys.example", own)
				case "no mark":
					key = s.apiKey(t, "https://keys.example", with("token_type", nil))
				case "no exp":
					key = s.apiKey(t, "https://keys.example", with("exp", nil))
				case "no audience":
					key = s.apiKey(t, "https://keys.example", with("aud", nil))
				case "no APIs":
					key = s.apiKey(t, "https://keys.example", nil)
				case "proxied":
					key = s.apiKey(t, "https://keys.example", with("permittedIP", "192.0.2.0/24"))
				case "development":
					key = dev.apiKey(t, "", own)
				case "token":
					key = s.token(t, "https://keys.example")
				}
				g.expect("http://"+g.at.HTTP+"/v1/header", status, "", "api_key", key, "X-Forwarded-For", "192.0.2.9")
				// Nobody's key is a token here.
				g.expect("http://"+g.at.HTTP+"/v1/pet", map[bool]int{true: 200, false: 401}[len(c.set) > 2 && (what == "token" || what == "no mark")], "", "Authorization", "Bearer "+key)
			}
		})
	}
}

// Several issuers, each with its own key, audience and rules; none of them can sign
// for another.
func TestAPIKeysOfIssuers(t *testing.T) {
	one, two := newSigner(t), newSigner(t)
	path := filepath.Join(t.TempDir(), "keys.mgw")
	put(t, path, keyProject(teller(t).URL, nil))
	file := filepath.Join(t.TempDir(), "micro-gw.conf")
	text := fmt.Sprintf(`
[[apikey.tokenConfigs]]
issuer = "https://one.example"
publicKeyFile = %q
audience = "one"
validateAllowedAPIs = true
[[apikey.tokenConfigs]]
issuer = "https://two.example"
publicKeyFile = %q
allowWithoutExpiry = true
[[jwtTokenConfig]]
issuer = "https://two.example"
audience = "micro-gw"
publicKeyFile = %q
`, one.pem(t), two.pem(t), two.pem(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	pets := []map[string]any{{"name": "Pets", "version": "1"}}
	for name, c := range map[string]struct {
		by     *signer
		issuer string
		change map[string]any
		status int
	}{
		"the first's":                      {one, "https://one.example", map[string]any{"aud": "one", "allowedAPIs": pets}, 200},
		"the first's, without APIs":        {one, "https://one.example", map[string]any{"aud": "one"}, 401},
		"the first's, for others":          {one, "https://one.example", map[string]any{"allowedAPIs": pets}, 401},
		"the first's, for ever":            {one, "https://one.example", map[string]any{"aud": "one", "allowedAPIs": pets, "exp": nil}, 401},
		"the second's":                     {two, "https://two.example", nil, 200},
		"the second's, for ever":           {two, "https://two.example", map[string]any{"exp": nil}, 200},
		"the second's, without the mark":   {two, "https://two.example", map[string]any{"token_type": nil}, 401},
		"the second's by the first's key":  {one, "https://two.example", nil, 401},
		"the first's by the second's key":  {two, "https://one.example", map[string]any{"aud": "one", "allowedAPIs": pets}, 401},
		"nobody's":                         {two, "https://three.example", nil, 401},
		"of an issuer with another ending": {two, "https://two.example/", nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			g.expect("http://"+g.at.HTTP+"/v1/header", c.status, "", "api_key", c.by.apiKey(t, c.issuer, c.change))
		})
	}
}

// An artifact without its issuer's keys, and a key of the wrong kind of file.
func TestAPIKeysConf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weak.pub")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.mgw")
	put(t, path, keyProject("http://127.0.0.1:9", nil))
	_, err = gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Set: local("apikey.tokenConfigs.issuer=i", "apikey.tokenConfigs.publicKeyFile="+file)}})
	if err == nil || !strings.Contains(err.Error(), "apikey.tokenConfigs: issuer \"i\": publicKeyFile: ") {
		t.Errorf("P-224: %v", err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local()}})
	g.untilLogged(`no issuer of API keys is configured \(apikey.tokenConfigs\): 3 of 6 operations need an API key and answer 401 to everybody`)
	g.expect("http://"+g.at.HTTP+"/v1/header", 401, notGood, "api_key", newSigner(t).apiKey(t, "", nil))
}
