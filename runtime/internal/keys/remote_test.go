package keys_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/keys"
)

// issuer is an HTTP transport that answers as it is told: no network, so that
// it works under synctest's clock.
type issuer struct {
	mu    sync.Mutex
	body  []byte
	err   error
	delay time.Duration
	calls int
}

func (i *issuer) set(body []byte, err error, delay time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.body, i.err, i.delay = body, err, delay
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.calls++
	body, err, delay := i.body, i.err, i.delay
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{Status: "200 OK", StatusCode: 200, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{}, Request: r}, nil
}

func newRemote(t *testing.T, i *issuer) *keys.Remote {
	t.Helper()
	r, err := keys.NewRemote(keys.RemoteOptions{URL: "https://issuer.example/jwks", Transport: i})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rsaSet(kids ...string) []byte {
	var list []jwk
	for i, kid := range kids {
		pub := &rsaKey().PublicKey
		if i%2 == 1 {
			pub = &otherRSA().PublicKey
		}
		list = append(list, rsaJWK(pub, jwk{"kid": kid, "alg": "RS256"}))
	}
	return jwks(list...)
}

var errAway = errors.New("connection refused")

// The endpoint is down at start: the set says so, at once, and heals by itself.
func TestRemoteStartsWithoutIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{err: errAway}
		r := newRemote(t, i)
		defer r.Close()
		start := time.Now()
		if _, err := r.Keys("a", "RS256"); !errors.Is(err, keys.ErrNeverLoaded) {
			t.Errorf("got %v, want ErrNeverLoaded", err)
		}
		if d := time.Since(start); d > 50*time.Millisecond {
			t.Errorf("answered after %v", d)
		}
		time.Sleep(10 * time.Minute)
		if n := i.count(); n < 10 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		i.set(rsaSet("a"), nil, 0)
		time.Sleep(time.Minute)
		if _, err := r.Keys("a", "RS256"); err != nil || !r.Loaded() {
			t.Errorf("after the endpoint came up: %v", err)
		}
	})
}

// A request that comes while the first load is under way waits for it a little.
func TestRemoteFirstLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: rsaSet("a"), delay: 20 * time.Millisecond}
		r := newRemote(t, i)
		defer r.Close()
		if _, err := r.Keys("a", "RS256"); err != nil {
			t.Error(err)
		}
		if n := i.count(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// Whatever the endpoint does later, the last good keys go on.
func TestRemoteLastGood(t *testing.T) {
	big := append(rsaSet("b"), bytes.Repeat([]byte(" "), 600<<10)...)
	for name, bad := range map[string]struct {
		body  []byte
		err   error
		delay time.Duration
	}{
		"away":       {nil, errAway, 0},
		"slow":       {rsaSet("b"), nil, time.Hour},
		"empty body": {nil, nil, 0},
		"HTML":       {[]byte("<html>maintenance</html>"), nil, 0},
		"empty set":  {[]byte(`{"keys":[]}`), nil, 0},
		"only oct":   {jwks(jwk{"kty": "oct", "k": "AAAA", "kid": "b"}), nil, 0},
		"too large":  {big, nil, 0},
		"cut short":  {rsaSet("b")[:200], nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &issuer{body: rsaSet("a")}
				r := newRemote(t, i)
				defer r.Close()
				list, err := r.Keys("a", "RS256")
				if err != nil {
					t.Fatal(err)
				}
				i.set(bad.body, bad.err, bad.delay)
				time.Sleep(3 * time.Hour)
				if again, err := r.Keys("a", "RS256"); err != nil || again[0] != list[0] || list[0].Retired() {
					t.Errorf("hours later: %v", err)
				}
				if _, err := r.Keys("b", "RS256"); !errors.Is(err, keys.ErrUnknownKey) {
					t.Errorf("key of a refused set: %v", err)
				}
			})
		})
	}
}

// A rotation: the new key is found by asking for it, the old one is retired
// when it is gone from the set, and what stays is the same key as before.
func TestRemoteRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: rsaSet("a", "b")}
		r := newRemote(t, i)
		defer r.Close()
		a, err := r.Keys("a", "RS256")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := r.Keys("b", "RS256")
		time.Sleep(20 * time.Second)
		i.set(rsaSet("c", "b"), nil, 5*time.Millisecond)
		c, err := r.Keys("c", "RS256")
		if err != nil {
			t.Fatalf("new key: %v", err)
		}
		if !a[0].Retired() || b[0].Retired() || c[0].Retired() {
			t.Errorf("retired: a %v, b %v, c %v; want only a", a[0].Retired(), b[0].Retired(), c[0].Retired())
		}
		if again, _ := r.Keys("b", "RS256"); again[0] != b[0] {
			t.Error("a key that stayed is another one now")
		}
		if _, err := r.Keys("a", "RS256"); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("old key: %v", err)
		}
		// The same kid with another key is another key.
		time.Sleep(20 * time.Second)
		i.set(rsaSet("b"), nil, 0)
		time.Sleep(6 * time.Minute)
		if again, err := r.Keys("b", "RS256"); err != nil || again[0] == b[0] || !b[0].Retired() {
			t.Errorf("replaced under its kid: %v, retired %v", err, b[0].Retired())
		}
	})
}

// A storm of unknown kids: one load serves all, there is no second one before
// its time, and each is refused within 50 ms however slow the endpoint is.
func TestRemoteStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: rsaSet("a")}
		r := newRemote(t, i)
		defer r.Close()
		r.Keys("a", "RS256")
		time.Sleep(time.Minute)
		i.set(rsaSet("a"), nil, 3*time.Second)
		before := i.count()
		var wg sync.WaitGroup
		var late atomic.Int32
		for n := range 200 {
			wg.Go(func() {
				for round := range 50 {
					start := time.Now()
					if _, err := r.Keys(fmt.Sprintf("kid-%d-%d", n, round), "RS256"); !errors.Is(err, keys.ErrUnknownKey) {
						t.Errorf("got %v", err)
					}
					if time.Since(start) > 50*time.Millisecond {
						late.Add(1)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		wg.Wait() // some six seconds
		if n := i.count() - before; n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
		if n := late.Load(); n != 0 {
			t.Errorf("%d answers took longer than 50 ms", n)
		}
	})
}

// An alg that a known kid is not for, or a token without kid, asks for nothing.
func TestRemoteNoNeedlessLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: rsaSet("a", "b")}
		r := newRemote(t, i)
		defer r.Close()
		r.Keys("a", "RS256")
		time.Sleep(time.Minute)
		for _, h := range [][2]string{{"a", "ES256"}, {"a", "PS256"}, {"", "RS256"}, {"", "EdDSA"}} {
			if _, err := r.Keys(h[0], h[1]); !errors.Is(err, keys.ErrUnknownKey) {
				t.Errorf("%q: %v", h, err)
			}
		}
		synctest.Wait()
		if n := i.count(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

func TestRemoteRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: rsaSet("a")}
		r := newRemote(t, i)
		defer r.Close()
		time.Sleep(time.Hour + time.Minute)
		if n := i.count(); n < 12 || n > 15 {
			t.Errorf("%d loads in an hour, want 13 or a bit more", n)
		}
	})
}

// Close during a load does not wait for the endpoint.
func TestRemoteClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{delay: time.Hour}
		r := newRemote(t, i)
		start := time.Now()
		r.Close()
		if d := time.Since(start); d > 0 {
			t.Errorf("closed after %v", d)
		}
		if _, err := r.Keys("a", "RS256"); !errors.Is(err, keys.ErrNeverLoaded) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestNewRemoteRefuses(t *testing.T) {
	for _, u := range []string{"", "issuer.example/jwks", "ftp://issuer.example/", "file:///etc/passwd", "https://", "https://u:p@issuer.example/", "https://a b/", ":"} {
		if r, err := keys.NewRemote(keys.RemoteOptions{URL: u}); err == nil {
			r.Close()
			t.Errorf("%q: accepted", u)
		}
	}
}

// wait polls a condition that another goroutine brings about.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timed out: " + what)
		}
	}
}

// Real servers: TLS with its own root, redirects, statuses, a plain-http
// warning.
func TestRemoteOverHTTP(t *testing.T) {
	var hits atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) { hits.Add(1); w.Write(rsaSet("a")) })
	mux.HandleFunc("/503", func(w http.ResponseWriter, r *http.Request) { hits.Add(1); w.WriteHeader(503); w.Write(rsaSet("a")) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", 302) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/keys?code=s3cret", 302)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { hits.Add(1); http.Redirect(w, r, "/loop", 302) })
	plain := httptest.NewServer(mux)
	defer plain.Close()
	mux.HandleFunc("/downgrade", func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, plain.URL+"/jwks", 302)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		for {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
				return
			}
		}
	})
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())

	for _, c := range []struct {
		url   string
		roots *x509.CertPool
		good  bool
		log   string
	}{
		{plain.URL + "/jwks", nil, true, "keys loaded"},
		{secure.URL + "/jwks", roots, true, "keys loaded"},
		{secure.URL + "/moved", roots, true, "keys loaded"},
		{secure.URL + "/jwks", nil, false, "certificate"},
		{secure.URL + "/503", roots, false, "503"},
		{secure.URL + "/loop", roots, false, "redirects"},
		{secure.URL + "/downgrade", roots, false, "from https to http"},
		{secure.URL + "/endless", roots, false, "larger than"},
		{secure.URL + "/absent", roots, false, "404"},
		{"http://127.0.0.1:1/?p=s3cret", nil, false, "refused"},
		{plain.URL + "/away?p=s3cret", nil, false, `http://127.0.0.1:1/keys?...: `},
	} {
		log := &syncBuffer{}
		r, err := keys.NewRemote(keys.RemoteOptions{URL: c.url, RootCAs: c.roots, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, c.url+": "+c.log, func() bool { return strings.Contains(log.String(), c.log) })
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: a query is logged:\n%s", c.url, log)
		}
		if r.Loaded() != c.good {
			t.Errorf("%s: loaded %v, want %v", c.url, r.Loaded(), c.good)
		}
		r.Close()
	}
	log := &syncBuffer{}
	for u, warned := range map[string]bool{"http://issuer.invalid/": true, plain.URL + "/jwks": false, "http://localhost:1/": false} {
		r, err := keys.NewRemote(keys.RemoteOptions{URL: u, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "plain http"); got != warned {
			t.Errorf("%s: warned %v, want %v", u, got, warned)
		}
		r.Close()
		log.Reset()
	}
}

// What RSA keys are for that do not say it is for whoever asks to say; those that
// do are taken at their word.
func TestRemoteRSA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		i.set(jwks(rsaJWK(&rsaKey().PublicKey, jwk{"kid": "silent"}), rsaJWK(&otherRSA().PublicKey, jwk{"kid": "says", "alg": "RS512"})), nil, 0)
		for rsa, want := range map[string]map[string]string{
			"":      {"silent": "RS256 RS384 RS512", "says": "RS512"},
			"PS256": {"silent": "PS256", "says": "RS512"},
		} {
			r := must(keys.NewRemote(keys.RemoteOptions{URL: "https://issuer.example/jwks", Transport: i, RSA: rsa}))
			synctest.Wait()
			for kid, algs := range want {
				var got []string
				for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"} {
					if _, err := r.Keys(kid, alg); err == nil {
						got = append(got, alg)
					}
				}
				if strings.Join(got, " ") != algs {
					t.Errorf("RSA %q, key %s: good for %s, want %s", rsa, kid, got, algs)
				}
			}
			r.Close()
		}
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }
func (b *syncBuffer) Reset()         { b.mu.Lock(); defer b.mu.Unlock(); b.b.Reset() }
