package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/upstream"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// These tests drive the data path as a whole: raw clients on one side, raw
// backends that record what they get on the other, both byte by byte, and
// between them Server, Engine and Cluster as the gateway puts them together.

// patience bounds every wait of a test. It is for tests that fail.
const patience = time.Minute

// tick is how fine time-outs are.
const tick = watchdog.Tick

// options vary a gateway. The zero value is one with default limits and a
// route for everything.
type options struct {
	limits   func(*http1.Limits)
	server   func(*http1.Options)
	upstream func(*upstream.Options)
	cluster  func(*upstream.Settings)
	stages   []engine.Stage
	basePath string // "/" if empty
	tls      bool
	quiet    bool // nobody observes: observing allocates
}

// A gateway is a running data path.
type gateway struct {
	t       testing.TB
	addr    string
	tls     bool
	dog     *watchdog.Dog
	server  *http1.Server
	engine  *engine.Engine
	cluster *upstream.Cluster
	stopped bool
	seen    *observer
}

// An observer counts exchanges that have ended.
type observer struct {
	mu    sync.Mutex
	ended []string // "status endpoint attempts"
	count atomic.Int64
}

func (o *observer) Observe(x *exchange.Exchange, route int, end time.Time) {
	o.mu.Lock()
	o.ended = append(o.ended, fmt.Sprintf("%d after %d", x.Status, x.Attempts))
	o.mu.Unlock()
	o.count.Add(1)
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// newGateway starts a gateway in front of backends' URLs.
func newGateway(t testing.TB, o options, urls ...string) *gateway {
	t.Helper()
	limits := http1.DefaultLimits()
	if o.limits != nil {
		o.limits(&limits)
	}
	g := &gateway{t: t, dog: watchdog.New(), seen: &observer{}, tls: o.tls}
	up := &upstream.Options{
		Limits: limits, ConnectTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, MaxIdle: 100,
		TLS: &tls.Config{InsecureSkipVerify: true}, Dog: g.dog,
	}
	up.Limits.BodyBytes = 0
	if o.upstream != nil {
		o.upstream(up)
	}
	settings := upstream.Settings{Name: "test", URLs: urls, Balance: upstream.Failover}
	if o.cluster != nil {
		o.cluster(&settings)
	}
	var err error
	if g.cluster, err = upstream.New(settings, up); err != nil {
		t.Fatal(err)
	}
	if o.basePath == "" {
		o.basePath = "/"
	}
	var routes []*engine.Route
	for _, m := range methods {
		routes = append(routes, &engine.Route{
			Route:  exchange.Route{ID: m + " /*", BasePath: o.basePath},
			Method: m, Template: "/*", Stages: o.stages, Production: g.cluster, HTTP: true, HTTPS: true,
		})
	}
	table, err := engine.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	table.Upstreams = append(table.Upstreams, g.cluster)
	eo := engine.Options{Observers: []engine.Observer{g.seen}}
	if o.quiet {
		eo.Observers = nil
	}
	g.engine = engine.New(eo)
	g.engine.SetTable(table)
	so := http1.Options{Handler: g.engine, Limits: limits, Dog: g.dog}
	if o.server != nil {
		o.server(&so)
	}
	g.server = http1.NewServer(so)
	ln := listen(t)
	g.addr = ln.Addr().String()
	var conf *tls.Config
	if o.tls {
		conf = serverTLS()
	}
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(ln, conf) }()
	t.Cleanup(func() {
		g.stop()
		if err := <-served; err != http1.ErrClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return g
}

// stop shuts the gateway down and checks that nothing of it is left.
func (g *gateway) stop() {
	if g.stopped {
		return
	}
	g.stopped = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no grace: tests that want one call Shutdown themselves
	defer context.AfterFunc(ctx, g.dog.Cut)()
	_ = g.server.Shutdown(ctx)
	if n := g.server.Connections(); n != 0 {
		g.t.Errorf("%d connections are left after Shutdown", n)
	}
	g.engine.Table().Close()
	g.dog.Close()
	if s := goroutines(); s != "" {
		g.t.Errorf("goroutines are left after Shutdown:\n%s", s)
	}
}

// goroutines returns the stacks of goroutines that run the gateway's code, if
// there are still some after a while. Tests are not parallel, so they are of
// the gateway that was stopped last.
func goroutines() string {
	var left []string
	ok := poll(func() bool {
		left = left[:0]
		buf := make([]byte, 1<<20)
		for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(s, "internal/http1.(*conn)") || strings.Contains(s, "internal/http1.(*Outbound)") ||
				strings.Contains(s, "internal/http1.(*pump)") || strings.Contains(s, "internal/upstream.(*") {
				left = append(left, s)
			}
		}
		return len(left) == 0
	})
	if ok {
		return ""
	}
	return strings.Join(left, "\n\n")
}

// poll waits for a condition that nobody announces.
func poll(cond func() bool) bool {
	for end := time.Now().Add(patience); ; {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !poll(cond) {
		t.Fatalf("waited in vain: %s", what)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// refusing returns an address of this machine at which nobody listens, and
// nobody else can until the test ends: the port is bound.
func refusing(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// patiently runs what depends on two sides being quick enough: an upstream that
// has to answer within a time-out, a client that has to speak before it is idle
// for too long. A machine that stops the test for longer than that is no mistake
// of the gateway, so what fails is tried again with longer times. A mistake
// fails with any.
func patiently(t *testing.T, f func(t testing.TB, unit time.Duration)) {
	t.Helper()
	for _, unit := range []time.Duration{tick, 5 * tick, 25 * tick} {
		a := &attempt{TB: t}
		a.run(func() { f(a, unit) })
		if len(a.said) == 0 {
			return
		}
		t.Logf("with times of %v:\n%s", unit, strings.Join(a.said, "\n"))
	}
	t.Error("failed with all times")
}

// An attempt is a test that may fail.
type attempt struct {
	testing.TB
	mu       sync.Mutex
	said     []string // guarded by mu
	cleanups []func()
}

// run runs f, as Fatal ends the goroutine, and then what f left to clean up.
func (a *attempt) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	for i := len(a.cleanups) - 1; i >= 0; i-- {
		a.cleanups[i]()
	}
}

func (a *attempt) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }

func (a *attempt) Error(args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprint(args...))
}
func (a *attempt) Errorf(format string, args ...any) { a.Error(fmt.Sprintf(format, args...)) }
func (a *attempt) Fatal(args ...any)                 { a.Error(args...); runtime.Goexit() }
func (a *attempt) Fatalf(format string, args ...any) { a.Fatal(fmt.Sprintf(format, args...)) }

// serverTLS is a configuration with a certificate made for the tests.
var serverTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"http/1.1"},
	}
})

func tlsListener(ln net.Listener) net.Listener { return tls.NewListener(ln, serverTLS()) }

// A wire is one end of a connection, for tests to speak and listen by hand.
type wire struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
	n int // number of the connection, at a backend
}

func newWire(t testing.TB, c net.Conn) *wire {
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &wire{Conn: c, t: t, r: bufio.NewReader(c)}
}

// dial connects a client.
func (g *gateway) dial() *wire {
	g.t.Helper()
	var c net.Conn
	var err error
	if g.tls {
		c, err = tls.Dial("tcp", g.addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		c, err = net.Dial("tcp", g.addr)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	return newWire(g.t, c)
}

// send writes s.
func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, s); err != nil {
		w.t.Errorf("sending %s: %v", short(s), err)
	}
}

// trySend writes s to a peer that may have gone.
func (w *wire) trySend(s string) error {
	_, err := io.WriteString(w.Conn, s)
	return err
}

// head reads up to and with an empty line. It returns "" at the end of the
// connection.
func (w *wire) head() string {
	var b strings.Builder
	for {
		l, err := w.r.ReadString('\n')
		b.WriteString(l)
		if err != nil {
			if b.Len() > 0 {
				w.t.Errorf("connection ended after %s: %v", short(b.String()), err)
			}
			return ""
		}
		if l == "\r\n" {
			return b.String()
		}
	}
}

// take reads n bytes.
func (w *wire) take(n int) string {
	w.t.Helper()
	b := make([]byte, n)
	if m, err := io.ReadFull(w.r, b); err != nil {
		w.t.Errorf("wanted %d bytes, got %s: %v", n, short(string(b[:m])), err)
	}
	return string(b)
}

// want reads s.
func (w *wire) want(s string) {
	w.t.Helper()
	if got := w.take(len(s)); got != s {
		w.t.Errorf("got %s, want %s", short(got), short(s))
	}
}

// rest reads to the end and returns what came, and whether the end was a
// reset.
func (w *wire) rest() (string, bool) {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	reset := errors.Is(err, syscall.ECONNRESET)
	if err != nil && !reset {
		w.t.Errorf("reading to the end: %v after %s", err, short(string(b)))
	}
	return string(b), reset
}

// wantEnd wants the connection to end here, in whatever way.
func (w *wire) wantEnd() {
	w.t.Helper()
	if s, _ := w.rest(); s != "" {
		w.t.Errorf("got %s, want the end of the connection", short(s))
	}
}

// gone waits for the end of the connection and does not mind what comes before.
func (w *wire) gone() { _, _ = io.Copy(io.Discard, w.r) }

// reset makes Close a reset.
func (w *wire) reset() {
	_ = w.Conn.(*net.TCPConn).SetLinger(0)
	_ = w.Conn.Close()
}

func (w *wire) closeWrite() {
	_ = w.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// An answer is what a client got.
type answer struct {
	*http.Response
	body string
	err  error // of the body
}

// answer reads an answer to a request with the given method.
func (w *wire) answer(method string) answer {
	w.t.Helper()
	r, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("reading the answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	return answer{r, string(body), err}
}

// wantAnswer wants a whole answer to a GET.
func (w *wire) wantAnswer(status int, body string) answer {
	w.t.Helper()
	a := w.answer("GET")
	if a.StatusCode != status || a.body != body || a.err != nil {
		w.t.Errorf("got %d %s, %v, want %d %s", a.StatusCode, short(a.body), a.err, status, short(body))
	}
	return a
}

// wantFault wants one of the gateway's own answers.
func (w *wire) wantFault(f *fault.Fault) answer {
	w.t.Helper()
	a := w.wantAnswer(f.Status, string(f.Body()))
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		w.t.Errorf("Content-Type is %q", got)
	}
	if f.Close && !a.Close {
		w.t.Error("the answer does not close the connection")
	}
	return a
}

func short(s string) string {
	if len(s) > 500 {
		return fmt.Sprintf("%q...(%d bytes)...%q", s[:200], len(s), s[len(s)-50:])
	}
	return fmt.Sprintf("%q", s)
}

// A backend accepts connections and hands each to a script.
type backend struct {
	t    testing.TB
	ln   net.Listener
	url  string
	host string

	conns atomic.Int64 // accepted so far
	open  atomic.Int64
	mu    sync.Mutex
	heads []string // heads of requests in order of arrival; guarded by mu
	wg    sync.WaitGroup

	// gatewayGone is for scripts that wait for the end of a test.
	gatewayGone chan struct{}
}

// newBackend starts a backend. The script has the connection until it returns.
func newBackend(t testing.TB, script func(b *backend, w *wire)) *backend {
	t.Helper()
	return newBackendOn(t, listen(t), script)
}

func newBackendOn(t testing.TB, ln net.Listener, script func(b *backend, w *wire)) *backend {
	b := &backend{t: t, ln: ln, host: ln.Addr().String(), gatewayGone: make(chan struct{})}
	b.url = "http://" + b.host
	// Counted as well: a connection that is accepted while the cleanup waits
	// must be waited for.
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w := newWire(t, c)
			w.n = int(b.conns.Add(1)) - 1
			b.open.Add(1)
			b.wg.Add(1)
			go func() {
				defer b.wg.Done()
				defer b.open.Add(-1)
				defer c.Close()
				script(b, w)
			}()
		}
	})
	// Cleanups run newest first: the gateway is gone when this one runs.
	t.Cleanup(func() {
		ln.Close()
		b.wg.Wait()
	})
	return b
}

// request reads a request whole and records its head. It returns false at the
// end of the connection.
func (b *backend) request(w *wire) (head, body string, ok bool) {
	head = w.head()
	if head == "" {
		return "", "", false
	}
	b.record(head)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		b.t.Errorf("backend got %s: %v", short(head), err)
		return head, "", false
	}
	switch {
	case len(r.TransferEncoding) > 0:
		body, err = readChunks(w.r)
	case r.ContentLength > 0:
		p := make([]byte, r.ContentLength)
		_, err = io.ReadFull(w.r, p)
		body = string(p)
	}
	return head, body, err == nil
}

func (b *backend) record(head string) {
	b.mu.Lock()
	b.heads = append(b.heads, head)
	b.mu.Unlock()
}

// got returns the heads that have arrived.
func (b *backend) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.heads...)
}

// readChunks reads a chunked body without extensions and trailers: the gateway
// sends none.
func readChunks(r *bufio.Reader) (string, error) {
	var body bytes.Buffer
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return body.String(), err
		}
		var n int64
		if _, err := fmt.Sscanf(l, "%x\r\n", &n); err != nil || l != fmt.Sprintf("%x\r\n", n) {
			return body.String(), fmt.Errorf("chunk line %q", l)
		}
		if _, err := io.CopyN(&body, r, n); err != nil {
			return body.String(), err
		}
		if l, err := r.ReadString('\n'); err != nil || l != "\r\n" {
			return body.String(), fmt.Errorf("chunk end %q, %v", l, err)
		}
		if n == 0 {
			return body.String(), nil
		}
	}
}

// always answers every request on every connection with the same bytes.
func always(answer string) func(*backend, *wire) {
	return func(b *backend, w *wire) {
		for {
			if _, _, ok := b.request(w); !ok {
				return
			}
			if w.trySend(answer) != nil {
				return
			}
		}
	}
}

// once answers one request with the bytes and closes the connection.
func once(answer string) func(*backend, *wire) {
	return func(b *backend, w *wire) {
		if _, _, ok := b.request(w); ok {
			_ = w.trySend(answer)
		}
	}
}

// ok is an answer with a body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

const getRequest = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

func postRequest(body string) string {
	return fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// trust makes the tests' clients trusted proxies.
func trust(o *http1.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

var date = regexp.MustCompile(`Date: [A-Z][a-z][a-z], \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// both runs a test over plaintext and over TLS.
func both(t *testing.T, f func(t *testing.T, o options)) {
	for _, o := range []options{{}, {tls: true}} {
		name := "plaintext"
		if o.tls {
			name = "TLS"
		}
		t.Run(name, func(t *testing.T) { f(t, o) })
	}
}
