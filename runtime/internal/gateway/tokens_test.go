package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// exchangeWith sends a request and returns what came back, following nothing.
func exchangeWith(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp, string(b)
}

// announce returns the status for a body that is only announced.
func announce(t *testing.T, address string, length int) int {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// The token endpoints go to the key manager as they are, on both ports with TLS,
// unless an API has the path; what is no answer is a 502.
func TestTokenEndpoints(t *testing.T) {
	dir := t.TempDir()
	path, access := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "access.log")
	p := project("pets", echo(t, "up").URL, nil)
	p.Apis[0].BasePath = "/userinfo" // an API with a path of theirs
	put(t, path, p)
	km := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // too long, and cut off
		}
		if strings.Contains(r.Header.Get("Cookie"), "token=") {
			w.WriteHeader(418) // not for it
			return
		}
		switch r.URL.Path {
		case "/km/oauth2/authorize":
			http.Redirect(w, r, "https://login.example/?x=1", http.StatusFound)
		case "/km/oauth2/token/huge":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 5<<20))
		default:
			w.Header().Set("X-Km", "1")
			w.WriteHeader(201)
			fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("X-Any"), body)
		}
	}))
	defer km.Close()
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl="+km.URL+"/km/", "listenerConfig.tokenListenerPort=0", "authConfig.cookie=token",
		"accessLog.enabled=true", "accessLog.path="+access)}})
	basic := []string{"Authorization", "Basic Y2xpZW50OnNlc2FtZQ==", "X-Any", "thing", "Cookie", "a=1; token=tt"}
	for _, base := range []string{"https://" + g.at.Tokens, "https://" + g.at.HTTPS} {
		for _, tt := range []struct{ method, path, body, want string }{
			{"POST", "/token", "grant_type=password&password=sesame", "POST /km/oauth2/token Basic Y2xpZW50OnNlc2FtZQ== thing grant_type=password&password=sesame"},
			{"POST", "/token/sub/x?a=sesame", "", "POST /km/oauth2/token/sub/x?a=sesame Basic Y2xpZW50OnNlc2FtZQ== thing "},
			{"DELETE", "/revoke", "", "DELETE /km/oauth2/revoke Basic Y2xpZW50OnNlc2FtZQ== thing "},
		} {
			resp, got := exchangeWith(t, tt.method, base+tt.path, tt.body, basic...)
			if resp.StatusCode != 201 || got != tt.want || resp.Header.Get("X-Km") != "1" {
				t.Errorf("%s %s%s: got %d %s, want %s", tt.method, base, tt.path, resp.StatusCode, got, tt.want)
			}
		}
		resp, _ := exchangeWith(t, "GET", base+"/authorize?client_id=c", "")
		if resp.StatusCode != 302 || resp.Header.Get("Location") != "https://login.example/?x=1" {
			t.Errorf("a redirect: got %d %v", resp.StatusCode, resp.Header)
		}
		if got := announce(t, strings.TrimPrefix(base, "https://"), 1<<20+1); got != 413 {
			t.Errorf("a long body: got %d", got)
		}
		for _, path := range []string{"/tokens", "/token/../x", "/other"} {
			if resp, got := exchangeWith(t, "GET", base+path, ""); resp.StatusCode != 404 {
				t.Errorf("%s: got %d %s", path, resp.StatusCode, got)
			}
		}
		// A servlet container cuts parameters off, and then goes up.
		for _, path := range []string{"/token/..;/..;/services/Version", "/token/%2e%2e;/services", "/token/..%3b/services", "/token/..%5c..%5cservices"} {
			if resp, got := exchangeWith(t, "GET", base+path, ""); resp.StatusCode != 400 {
				t.Errorf("%s: got %d %s", path, resp.StatusCode, got)
			}
		}
	}
	// An answer that does not end is not passed on as if it had.
	r, err := client.Get("https://" + g.at.Tokens + "/token/huge")
	if err == nil {
		n, failed := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode == 200 && failed == nil {
			t.Errorf("a huge answer: %d bytes of it", n)
		}
	}
	// A body of unknown length is counted.
	c, err := tls.Dial("tcp", g.at.Tokens, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		for range 40 {
			if _, err := fmt.Fprintf(c, "10000\r\n%s\r\n", strings.Repeat("x", 0x10000)); err != nil {
				return
			}
		}
	}()
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode != 413 && resp.StatusCode != 502 {
		t.Errorf("an endless body: got %d", resp.StatusCode)
	}

	// The API that has the path keeps it, and all below it; the plain port has
	// none of them.
	if resp, got := exchangeWith(t, "GET", "https://"+g.at.HTTPS+"/userinfo/open", ""); resp.StatusCode != 200 || got != "up /open" {
		t.Errorf("the API: got %d %s", resp.StatusCode, got)
	}
	if resp, _ := exchangeWith(t, "GET", "https://"+g.at.HTTPS+"/userinfo/x", ""); resp.StatusCode != 404 {
		t.Errorf("below the API: got %d", resp.StatusCode)
	}
	if resp, got := exchangeWith(t, "GET", "https://"+g.at.Tokens+"/userinfo", ""); resp.StatusCode != 201 || !strings.HasPrefix(got, "GET /km/oauth2/userinfo") {
		t.Errorf("the token port: got %d %s", resp.StatusCode, got)
	}
	if resp, _ := exchangeWith(t, "GET", "https://"+g.at.Tokens+"/userinfo/open", ""); resp.StatusCode != 201 {
		t.Errorf("an API on the token port: got %d", resp.StatusCode)
	}
	if resp, _ := exchangeWith(t, "POST", "http://"+g.at.HTTP+"/token", ""); resp.StatusCode != 404 {
		t.Errorf("without TLS: got %d", resp.StatusCode)
	}

	// They are listed and counted, and no requests without a route.
	g.untilServed("http://"+g.at.Admin+"/routes", `(?m)^\*  +/revoke  +key manager +token-endpoint,backend-jwt,token-cookie  +http://127.0.0.1:\d+  +-  +2  +2 `)
	g.untilServed("http://"+g.at.Admin+"/routes", `(?m)^\*  +/token/\*  +key manager `)

	km.CloseClientConnections()
	km.Close()
	for path, name := range map[string]string{"/token": "token", "/revoke": "revoke", "/authorize/x": "authorize", "/userinfo": "user info"} {
		resp, got := exchangeWith(t, "POST", "https://"+g.at.Tokens+path, "a=b")
		if resp.StatusCode != 502 || got != `{"error":"error occurred while invoking the `+name+` endpoint"}` || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, key manager dead: got %d %s", path, resp.StatusCode, got)
		}
	}
	g.stop()
	log, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sesame", "Y2xpZW50", "grant_type"} {
		if strings.Contains(string(log)+g.log.String(), secret) {
			t.Errorf("%s was logged:\n%s%s", secret, log, g.log)
		}
	}
	if !strings.Contains(string(log), "POST /token") {
		t.Errorf("the access log has no token endpoint:\n%s", log)
	}
}

// A key manager that takes its time is given up, and one that talks nonsense is
// no answer.
func TestTokenEndpointsInTrouble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answers := make(chan string, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, <-answers) // and nothing more
		}
	}()
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl=http://"+l.Addr().String(),
		"listenerConfig.tokenListenerPort=0", "httpClients.responseTimeout=500ms")}})
	for what, answer := range map[string]string{"slow": "", "nonsense": "220 smtp ready\r\n"} {
		answers <- answer
		resp, got := exchangeWith(t, "POST", "https://"+g.at.Tokens+"/token", "a=b")
		if resp.StatusCode != 502 || !strings.Contains(got, "invoking the token endpoint") {
			t.Errorf("%s: got %d %s", what, resp.StatusCode, got)
		}
	}

	// Somebody else in its place is told nothing.
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent to a stranger", r.URL) }))
	defer other.Close()
	other.Config.ErrorLog = log.New(io.Discard, "", 0)
	g = start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl="+other.URL, "listenerConfig.tokenListenerPort=0")}})
	if resp, got := exchangeWith(t, "POST", "https://"+g.at.Tokens+"/token", "a=b"); resp.StatusCode != 502 || !strings.Contains(got, "invoking the token endpoint") {
		t.Errorf("a certificate that nobody trusts: got %d %s", resp.StatusCode, got)
	}
}

// Nothing of it is there where no key manager is configured, or the port is off;
// and a certificate that APIs ask for is not asked for on the token port.
func TestTokenPort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	run := func(set ...string) *running {
		return start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(append(set, "listenerConfig.tokenListenerPort=0")...)}})
	}
	for _, set := range [][]string{nil, {"keyManager.serverUrl=https://localhost:9443"}, {"keyManager.serverUrl=https://km", "keyManager.enabled=false"}} {
		g := run(set...)
		if g.at.Tokens != "" {
			t.Errorf("%q: a token port", set)
		}
		g.expect("https://"+g.at.HTTPS+"/token", 404, "")
	}
	up := echo(t, "km")
	ca := newAuthority(t, "ca")
	g := run("keyManager.serverUrl="+up.URL, "mutualSSLConfig.sslVerifyClient=require", "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"))
	if status, _ := ask(caller(nil), "https://"+g.at.HTTPS+"/token"); status != "TLS" {
		t.Errorf("the HTTPS port without a certificate: %s", status)
	}
	g.expect("https://"+g.at.Tokens+"/token", 200, "^km /oauth2/token$")
	g.untilLogged(`token listener is active on port \d+`)

	told := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header["Client-Cert"]) }))
	defer told.Close()
	g = run("keyManager.serverUrl="+told.URL, "mutualSSLConfig.sslVerifyClient=optional", "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"), "mutualSSLConfig.upstreamHeader=Client-Cert")
	g.expect("https://"+g.at.Tokens+"/token", 200, `^\[\]$`, "Client-Cert", ":AAAA:")
	g.expect("https://"+g.at.HTTPS+"/token", 200, `^\[\]$`, "client-cert", ":AAAA:")
	if _, got := ask(caller(ca.client("somebody")), "https://"+g.at.HTTPS+"/token", "Client-Cert", ":AAAA:"); !strings.HasPrefix(got, "[:MII") {
		t.Errorf("the connection's certificate: got %s", got)
	}

	g = start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl="+up.URL, "listenerConfig.tokenListenerPort=-1")}})
	if g.at.Tokens != "" {
		t.Error("a token port that is off")
	}
	g.expect("https://"+g.at.HTTPS+"/token", 200, "^km /oauth2/token$")
	g = run("keyManager.serverUrl="+up.URL, "listenerConfig.httpsPort=-1")
	g.expect("https://"+g.at.Tokens+"/revoke", 200, "^km /oauth2/revoke$")
}

// What belongs to the client's connection stays there, and so does what only the
// gateway may say; the key manager's answer is treated alike.
func TestTokenEndpointsFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	got := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(r.Body)
		var b strings.Builder
		_ = r.Header.Write(&b)
		got <- fmt.Sprintf("%s %s\r\n%s\r\n%s", r.Method, r.RequestURI, b.String(), body)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nX-End: 1\r\nContent-Length: 2\r\n\r\n{}")
	}()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("keyManager.serverUrl=http://"+l.Addr().String(),
		"listenerConfig.tokenListenerPort=0", "jwtGeneratorConfig.jwtGeneratorEnabled=true", "jwtGeneratorConfig.privateKeyFile="+keyFile(t, key))}})
	c, err := tls.Dial("tcp", g.at.Tokens, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /token HTTP/1.1\r\nHost: x\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: x\r\n"+
		"TE: gzip\r\nUpgrade: h2c\r\nX-JWT-Assertion: forged\r\nX_Jwt_Assertion: forged\r\nX-End: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	sent := strings.ToLower(<-got)
	for _, field := range []string{"x-hop", "keep-alive", "proxy-", "te:", "upgrade", "x-jwt", "x_jwt", "forged"} {
		if strings.Contains(sent, "\n"+field) || field == "forged" && strings.Contains(sent, field) {
			t.Errorf("the key manager was sent %s:\n%s", field, sent)
		}
	}
	if !strings.HasPrefix(sent, "post /oauth2/token\r\n") || !strings.Contains(sent, "x-end: 1") || !strings.HasSuffix(sent, "\na=b") {
		t.Errorf("the key manager was sent:\n%s", sent)
	}
	if h := resp.Header; resp.StatusCode != 200 || h.Get("X-End") != "1" || h.Get("X-Hop")+h.Get("Keep-Alive")+h.Get("Proxy-Authenticate") != "" {
		t.Errorf("the client was sent %d %v", resp.StatusCode, h)
	}
}

// Who takes a token back through the gateway sees it refused at once, although it
// was remembered; but only if the key manager has agreed.
func TestRevokeForgets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	var mu sync.Mutex
	gone := map[string]bool{}
	km := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := r.FormValue("token")
		switch r.URL.Path {
		case "/oauth2/introspect":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"active":%t}`, !gone[token])
		case "/oauth2/revoke":
			if _, _, ok := r.BasicAuth(); !ok {
				gone[token] = true // and yet it says that it does not know who asks
				w.WriteHeader(401)
				return
			}
			if access, ok := strings.CutPrefix(token, "refresh-"); ok {
				token = access
				w.Header().Set("RevokedAccessToken", access)
			}
			gone[token] = true
		}
	}))
	defer km.Close()
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(unhurried, "keyManager.serverUrl="+km.URL, "keyManager.external=true",
		"keyManager.username=u", "keyManager.password=p", "listenerConfig.tokenListenerPort=0")}})
	pet := "http://" + g.at.HTTP + "/v1/pet"
	client := []string{"Authorization", "Basic YTpi", "Content-Type", "application/x-www-form-urlencoded"}
	for name, tt := range map[string]struct {
		token, path, body string
		header            []string
		status, then      int
	}{
		"the token":           {"t1", "/revoke", "token_type_hint=access_token&token=t1", client, 200, 401},
		"escaped":             {"t~2", "/revoke", "token=t%7E2", client, 200, 401},
		"in the query":        {"t3", "/revoke?token=t3", "x=", client, 200, 401},
		"its refresh token":   {"t4", "/revoke", "token=refresh-t4", client, 200, 401},
		"another":             {"t5", "/revoke", "token=t6", client, 200, 200},
		"by nobody":           {"t7", "/revoke", "token=t7", client[2:], 401, 200},
		"longer than any one": {"t8", "/revoke", "token=t8&x=" + strings.Repeat("x", 64<<10), client, 413, 200},
	} {
		g.expect(pet, 200, "^up", "Authorization", "Bearer "+tt.token)
		if resp, got := exchangeWith(t, "POST", "https://"+g.at.Tokens+tt.path, tt.body, tt.header...); resp.StatusCode != tt.status {
			t.Errorf("%s: got %d %s", name, resp.StatusCode, got)
		}
		g.expect(pet, tt.then, "", "Authorization", "Bearer "+tt.token)
	}
	// Pieces of unknown number, announced and waited for.
	g.expect(pet, 200, "^up", "Authorization", "Bearer t9")
	c, err := tls.Dial("tcp", g.at.Tokens, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "POST /revoke HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 100 {
		t.Fatal("no 100 (Continue): ", err)
	}
	fmt.Fprint(c, "4\r\ntoke\r\n4\r\nn=t9\r\n0\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	g.expect(pet, 401, "900901", "Authorization", "Bearer t9")
	// The connection goes on.
	fmt.Fprint(c, "GET /revoke HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
		t.Error(resp, err)
	}
}
