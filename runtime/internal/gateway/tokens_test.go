package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
