package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/testport"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
	"github.com/microgw/microgw/schema/artifactpb"
)

// patience is how long a test waits for what happens at once as a rule.
const patience = time.Minute

// project is an artifact with an open and a secured operation on one upstream.
func project(name, upstream string, key []byte) *artifactpb.Artifact {
	digest := sha256.Sum256([]byte(name))
	return &artifactpb.Artifact{
		Build:     &artifactpb.Build{ToolkitVersion: "test"},
		Project:   name,
		Sources:   []*artifactpb.Source{{Path: "api_definitions/pets.yaml", Sha256: digest[:]}},
		Documents: []*artifactpb.Document{{Dialect: artifactpb.Dialect_DIALECT_OPENAPI_3_0, Json: []byte(`{}`)}},
		Apis: []*artifactpb.Api{{
			Id: "api_1", Title: "Pets", Version: "1", BasePath: "/v1",
			Transports: []artifactpb.Transport{artifactpb.Transport_TRANSPORT_HTTP, artifactpb.Transport_TRANSPORT_HTTPS},
			Operations: []*artifactpb.Operation{{
				Id: "GET /open", Method: "GET", Path: "/open", Position: &artifactpb.Position{Line: 1, Column: 1}, ProductionCluster: 1,
				Security: &artifactpb.Security{Disabled: true},
			}, {
				Id: "GET /pet", Method: "GET", Path: "/pet", Position: &artifactpb.Position{Line: 2, Column: 1}, ProductionCluster: 1,
				Security: &artifactpb.Security{Alternatives: []*artifactpb.SecurityAlternative{{Requirements: []*artifactpb.SecurityRequirement{{}}}}},
				Stages:   []*artifactpb.Stage{{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{}}}},
			}},
		}},
		Clusters: []*artifactpb.Cluster{{
			Name: "api_1", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_SINGLE,
			Endpoints: []*artifactpb.Endpoint{{Url: upstream}},
		}},
		SecuritySchemes: []*artifactpb.SecurityScheme{{Kind: &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{}}}},
		DevelopmentKey:  key,
	}
}

func put(t testing.TB, path string, a *artifactpb.Artifact) {
	t.Helper()
	if err := artifact.Write(path, a); err != nil {
		t.Fatal(err)
	}
}

// signer is a development key.
type signer struct{ *gatewaytest.Signer }

func newSigner(t testing.TB) *signer {
	t.Helper()
	s, err := gatewaytest.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	return &signer{s}
}

// token is signed for the given issuer, development's if it is "".
func (s *signer) token(t testing.TB, issuer string) string {
	t.Helper()
	if issuer == "" {
		issuer = conf.DevelopmentIssuer
	}
	now := time.Now().Unix()
	return s.Sign(t, "JWT", map[string]any{"iss": issuer, "aud": conf.DevelopmentAudience, "sub": "me", "iat": now, "nbf": now, "exp": now + 600, "jti": "1"})
}

// running is a gateway in this process.
type running struct {
	t       testing.TB
	log     *gatewaytest.Log
	signals chan os.Signal
	at      gateway.Addresses
	done    chan error
	cancel  context.CancelFunc
}

// unhurried is for who asks a server that answers, on a machine that may not let it.
const unhurried = "introspection.timeout=1m"

// local is the -e values that let gateways run side by side.
func local(more ...string) []string {
	return append([]string{"listenerConfig.host=127.0.0.1", "listenerConfig.httpPort=0", "listenerConfig.httpsPort=0",
		"admin.address=127.0.0.1:0", "accessLog.enabled=false"}, more...)
}

// start runs a gateway until the test ends.
func start(t testing.TB, o gateway.Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &running{t: t, log: &gatewaytest.Log{}, signals: make(chan os.Signal, 8), done: make(chan error, 1), cancel: cancel}
	ready := make(chan gateway.Addresses, 1)
	o.Stderr, o.Signals, o.Ready = g.log, g.signals, func(a gateway.Addresses) { ready <- a }
	go func() { g.done <- gateway.Run(ctx, o) }()
	select {
	case g.at = <-ready:
	case err := <-g.done:
		cancel()
		t.Fatalf("not started: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatal("not started in time")
	}
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", g.log)
		}
	})
	return g
}

// stop ends the gateway in order, if it has not ended.
func (g *running) stop() {
	g.cancel()
	if err := g.wait(); err != nil {
		g.t.Errorf("Run: %v", err)
	}
}

func (g *running) wait() error {
	g.t.Helper()
	select {
	case err := <-g.done:
		g.done <- nil // for whoever asks again
		return err
	case <-time.After(patience):
		g.t.Fatal("the gateway does not end")
		return nil
	}
}

// until waits for a condition.
func (g *running) until(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			g.t.Fatalf("in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (g *running) untilLogged(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	g.until("log has "+pattern, func() bool { return re.MatchString(g.log.String()) })
}

var client = &http.Client{
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	Timeout:   patience,
}

// get returns status and body, "" and 0 if there is no answer.
func get(url string, header ...string) (int, string, error) {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (g *running) expect(url string, code int, pattern string, header ...string) {
	g.t.Helper()
	got, body, err := get(url, header...)
	if err != nil || got != code || !regexp.MustCompile(pattern).MatchString(body) {
		g.t.Errorf("GET %s: got %d %q %v, want %d and %s", url, got, body, err, code, pattern)
	}
}

// untilServed waits for an answer that matches: a request is counted after its
// answer.
func (g *running) untilServed(url, pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	var last string
	defer func() {
		if g.t.Failed() {
			g.t.Logf("GET %s: got %s", url, last)
		}
	}()
	g.until(url+" has "+pattern, func() bool {
		code, body, err := get(url)
		last = body
		return err == nil && code == 200 && re.MatchString(body)
	})
}

// echo is an upstream that answers with its name and the path.
func echo(t testing.TB, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", name, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	path, access := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "access.log")
	dev := newSigner(t)
	put(t, path, project("pets", echo(t, "up").URL+"/v2", dev.JWK))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{
		Set: local("accessLog.enabled=true", "accessLog.format=json", "accessLog.path="+access),
	}})
	for _, base := range []string{"http://" + g.at.HTTP, "https://" + g.at.HTTPS} {
		g.expect(base+"/v1/open", 200, "^up /v2/open$")
		g.expect(base+"/v1/pet", 401, `"code":900902`)
		g.expect(base+"/v1/pet", 401, `"code":900901`, "Authorization", "Bearer "+newSigner(t).token(t, ""))
		g.expect(base+"/v1/pet", 200, "^up /v2/pet$", "Authorization", "Bearer "+dev.token(t, ""))
		g.expect(base+"/nothing", 404, `"code":404`)
		g.expect(base+"/health", 200, `^{"status":"healthy"}$`)
	}
	if _, err := tls.Dial("tcp", g.at.HTTPS, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
		t.Error("h2 was agreed on")
	}

	admin := "http://" + g.at.Admin
	g.expect(admin+"/health", 200, "healthy")
	g.expect(admin+"/ready", 200, `"status": "ready"[^$]*"development": true`)
	g.expect(admin+"/version", 200, `"project": "pets"[^$]*"digest": "sha256:[0-9a-f]{64}"`)
	g.untilServed(admin+"/routes", `GET +/v1/open +Pets 1 +- +http://[0-9.:]+ +- +2 +2 +0 +0 +0 `)
	g.untilServed(admin+"/routes", `GET +/v1/pet +Pets 1 +authn +http://[0-9.:]+ +- +6 +2 +0 +4 +0 `)
	g.untilServed(admin+"/routes", `- +\(no route\).* 4 +2 +0 +2 +0 `)

	for _, want := range []string{
		"level=WARN msg=\"DEVELOPMENT MODE", "level=WARN msg=\"no certificate is configured .* self-signed",
		`level=INFO msg="artifact loaded" project=pets .* apis=1 operations=2`,
		`level=INFO msg="HTTP listener is active on port \d+" address=` + g.at.HTTP, `level=INFO msg="HTTPS listener is active on port \d+" address=` + g.at.HTTPS,
		`level=INFO msg="admin listener is active on port \d+" address=` + g.at.Admin, `level=INFO msg="gateway started"`,
	} {
		g.untilLogged(want)
	}

	g.stop()
	b, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("\n")); n != 12 {
		t.Errorf("%d lines in the access log, want 12:\n%s", n, b)
	}
	if want := `"path":"/v1/pet","proto":"HTTP/1.1","status":401,"bytes_in":0,`; !bytes.Contains(b, []byte(want)) {
		t.Errorf("no %s in the access log:\n%s", want, b)
	}
	if bytes.Contains(b, []byte("eyJ")) || strings.Contains(g.log.String(), "eyJ") {
		t.Error("a token was logged")
	}
}

// A process that cannot serve says why and has bound nothing.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.mgw"), filepath.Join(dir, "bad.mgw")
	put(t, good, project("pets", "http://127.0.0.1:1", nil))
	if err := os.WriteFile(bad, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())

	for _, tt := range []struct {
		name, artifact, conf string
		set                  []string
		want                 string
	}{
		{"no artifact", filepath.Join(dir, "none.mgw"), "", nil, `^.*none.mgw: no such file or directory$`},
		{"not an artifact", bad, "", nil, `^.*bad.mgw: not a micro-gw artifact$`},
		{"no conf", good, filepath.Join(dir, "none.conf"), nil, `none.conf`},
		{"unknown key", good, file("a.conf", "[listenerConfig]\nhttpsPrt = 1\n"), nil, `a.conf:2:1: listenerConfig.httpsPrt: .*\n\thint: .*httpsPort`},
		{"no port at all", good, "", []string{"listenerConfig.httpPort=-1", "listenerConfig.httpsPort=-1"}, `no port is left`},
		{"HTTP port in use", good, "", []string{"listenerConfig.httpPort=" + port}, `^listenerConfig.httpPort: 127.0.0.1:` + port + ` is in use by another process$`},
		{"HTTPS port in use", good, "", []string{"listenerConfig.httpsPort=" + port}, `^listenerConfig.httpsPort: 127.0.0.1:` + port + ` is in use by another process$`},
		{"admin port in use", good, "", []string{"admin.address=127.0.0.1:" + port}, `^admin.address: 127.0.0.1:` + port + ` is in use by another process$`},
		{"not our address", good, "", []string{"listenerConfig.host=192.0.2.1"}, `^listenerConfig.httpPort: 192.0.2.1:0 is not an address of this machine$`},
		{"certificate without key", good, "", []string{"listenerConfig.certificateFile=" + file("c.pem", "x")}, `privateKeyFile`},
		{"access log in no folder", good, "", []string{"accessLog.enabled=true", "accessLog.path=" + filepath.Join(dir, "no", "log")}, `^accessLog.path: .*no such file or directory$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := gateway.Options{Artifact: tt.artifact, Conf: conf.Options{Path: tt.conf, Set: local(tt.set...)}, Stderr: io.Discard,
				Ready: func(gateway.Addresses) { t.Error("it serves") }}
			err := gateway.Run(context.Background(), o)
			if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}

	// No port stays bound by a start that failed at a later one.
	freePort, err := testport.Free()
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{Artifact: good, Conf: conf.Options{Set: local("listenerConfig.httpPort="+freePort, "admin.address=127.0.0.1:"+port)}}
	if err := gateway.Run(context.Background(), o); err == nil {
		t.Fatal("no error")
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+freePort)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	log := filepath.Join(dir, "access.log")
	var stderr gatewaytest.Log
	// The default ports: nothing is bound, so it does not matter who uses them.
	got, err := gateway.Check(gateway.Options{Artifact: path, Stderr: &stderr, Conf: conf.Options{Set: []string{"accessLog.path=" + log}}})
	if err != nil || !regexp.MustCompile(`^.*pets.mgw: good: project pets, 1 API, 2 operations, sha256:[0-9a-f]{64}$`).MatchString(got) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("an access log was made")
	}
	if !strings.Contains(stderr.String(), "self-signed") {
		t.Errorf("warnings are missing:\n%s", &stderr)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.Check(gateway.Options{Artifact: path}); err == nil {
		t.Error("a truncated artifact is good")
	}
}

// slow is an upstream that answers when it is told to.
type slow struct {
	*httptest.Server
	arrived chan struct{}
	answer  chan struct{}
}

func newSlow(t testing.TB) *slow {
	t.Helper()
	s := &slow{arrived: make(chan struct{}, 16), answer: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.arrived <- struct{}{}
		select {
		case <-s.answer:
		case <-r.Context().Done():
		}
		io.WriteString(w, "late")
	}))
	t.Cleanup(s.Close)
	return s
}

type answer struct {
	code int
	body string
	err  error
}

func background(url string) chan answer {
	c := make(chan answer, 1)
	go func() {
		code, body, err := get(url)
		c <- answer{code, body, err}
	}()
	return c
}

// SIGTERM: not ready, no new connections, the request in flight gets its whole
// answer, and Run returns without an error.
func TestTerminate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	up := newSlow(t)
	put(t, path, project("pets", up.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local()}})
	inFlight := background("http://" + g.at.HTTP + "/v1/open")
	<-up.arrived
	g.signals <- syscall.SIGTERM
	g.until("/ready is 503", func() bool {
		code, body, _ := get("http://" + g.at.Admin + "/ready")
		return code == 503 && strings.Contains(body, "the gateway is shutting down")
	})
	g.until("no new connections", func() bool {
		c, err := net.Dial("tcp", g.at.HTTP)
		if err != nil {
			return true
		}
		c.Close()
		return false
	})
	select {
	case err := <-g.done:
		t.Fatalf("ended with a request in flight: %v", err)
	default:
	}
	close(up.answer)
	if a := <-inFlight; a.err != nil || a.code != 200 || a.body != "late" {
		t.Errorf("request in flight: %+v", a)
	}
	if err := g.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := net.Dial("tcp", g.at.Admin); err == nil {
		t.Error("the admin port is still open")
	}
}

func TestTerminateTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	up := newSlow(t)
	put(t, path, project("pets", up.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local()}})
	inFlight := background("http://" + g.at.HTTP + "/v1/open")
	<-up.arrived
	g.signals <- syscall.SIGTERM
	g.signals <- syscall.SIGUSR1 // does not count as the second
	g.untilLogged("shutting down")
	g.signals <- syscall.SIGINT
	if err := g.wait(); !errors.Is(err, gateway.ErrInterrupted) {
		t.Errorf("Run: %v", err)
	}
	if a := <-inFlight; a.code == 200 {
		t.Errorf("the request was not cut off: %+v", a)
	}
}

func TestGraceIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	up := newSlow(t)
	put(t, path, project("pets", up.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("shutdown.grace=50ms")}})
	inFlight := background("http://" + g.at.HTTP + "/v1/open")
	<-up.arrived
	g.signals <- syscall.SIGTERM
	if err := g.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	g.untilLogged("level=WARN msg=\"the grace is over")
	<-inFlight
}

// Twenty swaps under load: every request is answered, by the old routes or the
// new ones.
func TestSwapLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	a, b := echo(t, "a"), echo(t, "b")
	put(t, path, project("pets", a.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local()}})

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var fromA, fromB atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, body, err := get("http://" + g.at.HTTP + "/v1/open")
				switch {
				case err != nil || code != 200:
					t.Errorf("lost: %d %q %v", code, body, err)
					return
				case body == "a /open":
					fromA.Add(1)
				case body == "b /open":
					fromB.Add(1)
				default:
					t.Errorf("got %q", body)
				}
			}
		})
	}
	for i := range 20 {
		next, count := b, &fromB
		if i%2 == 1 {
			next, count = a, &fromA
		}
		put(t, path, project("pets", next.URL, nil))
		before := count.Load()
		g.signals <- syscall.SIGHUP
		g.until("requests on the new routes", func() bool { return count.Load() >= before+5 || t.Failed() })
	}
	close(stop)
	wg.Wait()
	g.until("20 swaps are logged", func() bool { return strings.Count(g.log.String(), `msg="artifact swapped"`) == 20 })
	// Counters go on over swaps.
	g.untilServed("http://"+g.at.Admin+"/routes", fmt.Sprintf(`/v1/open .* - +%d +%[1]d +0 `, fromA.Load()+fromB.Load()))
}

func TestBadArtifactIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	up := echo(t, "up")
	put(t, path, project("pets", up.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local()}})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	g.signals <- syscall.SIGHUP
	g.untilLogged(`level=ERROR msg="artifact refused, the one before goes on" error=".*pets.mgw: .*" reason=SIGHUP`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^up ")
	g.expect("http://"+g.at.Admin+"/ready", 200, "an artifact was refused, the one before it is served: .*pets.mgw")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	g.signals <- syscall.SIGHUP
	g.untilLogged(`level=ERROR msg="artifact refused.*no such file`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^up ")

	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	g.signals <- syscall.SIGHUP
	g.untilLogged(`msg="artifact unchanged"`)
	g.expect("http://"+g.at.Admin+"/ready", 200, `"warnings": \[\s+"development mode[^"]*"\s+\]`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^up ")
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	a, b := echo(t, "a"), echo(t, "b")
	put(t, path, project("pets", a.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Watch: true, Conf: conf.Options{Set: local()}})
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^a ")
	put(t, path, project("pets", b.URL, nil))
	g.untilLogged(`msg="artifact swapped".* reason="the file changed"`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^b ")
}

func TestReopenAccessLog(t *testing.T) {
	dir := t.TempDir()
	path, access := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "access.log")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("accessLog.enabled=true", "accessLog.path="+access)}})
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "up")
	if err := os.Rename(access, access+".1"); err != nil {
		t.Fatal(err)
	}
	// The line is written after the answer: wait for it, lest it come after
	// the signal.
	g.until("the first line", func() bool { b, _ := os.ReadFile(access + ".1"); return len(b) > 0 })
	g.signals <- syscall.SIGUSR1
	g.untilLogged("access log reopened")
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, "")
	g.stop()
	for name, want := range map[string]string{access + ".1": `"GET /v1/open HTTP/1.1" 200`, access: `"GET /v1/pet HTTP/1.1" 401`} {
		b, err := os.ReadFile(name)
		if err != nil || bytes.Count(b, []byte("\n")) != 1 || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s: %q, %v; want one line with %s", name, b, err, want)
		}
	}
}

func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("accessLog.enabled=true", "accessLog.path=/dev/full")}})
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "up")
	g.untilLogged(`level=WARN msg="access log: lines are being dropped, traffic goes on"`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "up")
	g.expect("http://"+g.at.Admin+"/ready", 200, "access log lines could not be written")
}

// A conf file turns development mode off, and then nobody gets in without an
// issuer; the log says so.
func TestConfFileEndsDevelopment(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "micro-gw.conf")
	dev := newSigner(t)
	put(t, path, project("pets", echo(t, "up").URL, dev.JWK))
	if err := os.WriteFile(file, []byte("[shutdown]\ngrace = \"1s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, "900901", "Authorization", "Bearer "+dev.token(t, ""))
	g.expect("http://"+g.at.Admin+"/ready", 200, `"development": false`)
	g.untilLogged(`level=WARN msg="no issuer of tokens is configured \(jwtTokenConfig\): 1 of 2 operations`)
	if strings.Contains(g.log.String(), "DEVELOPMENT") {
		t.Error("development mode is on")
	}
	g.stop()

	g = start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local(), Dev: true}})
	g.expect("http://"+g.at.HTTP+"/v1/pet", 200, "up", "Authorization", "Bearer "+dev.token(t, ""))
	g.untilLogged("level=WARN msg=\"DEVELOPMENT MODE")
}

// A JWKS endpoint that is down at the start keeps nobody from starting: tokens
// get 503, open operations are served, /ready names the issuer. When the
// endpoint comes, all is well.
func TestJWKSDownAtStart(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "micro-gw.conf")
	key := newSigner(t)
	put(t, path, project("pets", echo(t, "up").URL, nil))
	// Down is to close every connection without a word: a port that is free for
	// a while may be somebody else's then.
	var up atomic.Bool
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, `{"keys":[%s]}`, key.JWK)
	}))
	defer jwks.Close()
	text := fmt.Sprintf("[jwtTokenConfig]\nissuer = \"https://issuer.example\"\naudience = %q\njwksURL = \"%s/jwks\"\n", conf.DevelopmentAudience, jwks.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	token := "Bearer " + key.token(t, "https://issuer.example")
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "up")
	g.expect("http://"+g.at.HTTP+"/v1/pet", 503, "900900", "Authorization", token)
	g.expect("http://"+g.at.Admin+"/ready", 503, `the keys of issuer \\"https://issuer.example\\" were never loaded`)

	up.Store(true)
	g.until("ready", func() bool { code, _, _ := get("http://" + g.at.Admin + "/ready"); return code == 200 })
	g.expect("http://"+g.at.HTTP+"/v1/pet", 200, "up", "Authorization", token)
}

func TestLogAsJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("log.format=json")}})
	g.stop()
	lines := bufio.NewScanner(strings.NewReader(g.log.String()))
	for lines.Scan() {
		if !json.Valid(lines.Bytes()) {
			t.Errorf("not JSON: %s", lines.Bytes())
		}
	}
}
