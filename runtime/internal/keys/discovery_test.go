package keys_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/keys"
)

// site is an HTTP transport with an issuer per URL; others are 404.
type site struct {
	mu    sync.Mutex
	pages map[string]*issuer
}

func (s *site) at(url string) *issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil {
		s.pages = map[string]*issuer{}
	}
	if s.pages[url] == nil {
		s.pages[url] = &issuer{err: errAway}
	}
	return s.pages[url]
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.at(r.URL.String()).RoundTrip(r)
}

const (
	me       = "https://issuer.example/realm"
	metadata = "https://issuer.example/realm/.well-known/openid-configuration"
)

func discovered(t *testing.T, s *site, log *syncBuffer) *keys.Remote {
	t.Helper()
	r, err := keys.NewRemote(keys.RemoteOptions{Discovery: metadata, Issuer: me, Transport: s, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func page(issuer, jwks string) []byte {
	return fmt.Appendf(nil, `{"issuer":%q,"authorization_endpoint":"https://issuer.example/a","jwks_uri":%q,"scopes_supported":["a"]}`, issuer, jwks)
}

func TestDiscoveryURL(t *testing.T) {
	for issuer, want := range map[string]string{
		me: metadata, me + "/": metadata,
		"https://accounts.example": "https://accounts.example/.well-known/openid-configuration",
	} {
		if got := keys.DiscoveryURL(issuer); got != want {
			t.Errorf("%s: got %s, want %s", issuer, got, want)
		}
	}
	if got, ok := keys.IssuerOf(metadata); !ok || got != me {
		t.Errorf("got %s, %v", got, ok)
	}
}

// Metadata and keys come and go; what was good goes on.
func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := &site{}, &syncBuffer{}
		r := discovered(t, s, log)
		defer r.Close()
		good := func(kid string) error { _, err := r.Keys(kid, "RS256"); return err }

		// Nobody answers: not loaded, and asked again with pauses.
		time.Sleep(10 * time.Minute)
		if err := good("a"); !errors.Is(err, keys.ErrNeverLoaded) || r.Loaded() {
			t.Errorf("without metadata: %v", err)
		}
		if n := s.at(metadata).count(); n < 10 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		// The metadata is there, the keys are not.
		s.at(metadata).set(page(me, "https://keys.example/1"), nil, 0)
		time.Sleep(2 * time.Minute)
		if err := good("a"); !errors.Is(err, keys.ErrNeverLoaded) {
			t.Errorf("without keys: %v", err)
		}
		s.at("https://keys.example/1").set(rsaSet("a"), nil, 0)
		time.Sleep(2 * time.Minute)
		if err := good("a"); err != nil {
			t.Errorf("with both: %v", err)
		}

		// The metadata is asked once an hour, the keys every five minutes.
		before, keysBefore := s.at(metadata).count(), s.at("https://keys.example/1").count()
		time.Sleep(50 * time.Minute)
		if n := s.at(metadata).count() - before; n > 1 {
			t.Errorf("metadata asked %d times", n)
		}
		if n := s.at("https://keys.example/1").count() - keysBefore; n < 9 {
			t.Errorf("keys asked %d times", n)
		}

		// A storm of unknown kids is one load.
		before = s.at("https://keys.example/1").count()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _ = good("unknown") })
		}
		wg.Wait()
		if n := s.at("https://keys.example/1").count() - before; n > 1 {
			t.Errorf("%d loads for a storm", n)
		}

		// The metadata goes away: a key that is new where the keys were is found.
		s.at(metadata).set(nil, errAway, 0)
		s.at("https://keys.example/1").set(rsaSet("a", "b"), nil, 0)
		time.Sleep(3 * time.Hour)
		if err := good("b"); err != nil {
			t.Errorf("metadata away: %v", err)
		}
		// The keys move.
		s.at("https://keys.example/1").set(nil, errAway, 0)
		s.at("https://keys.example/2").set(rsaSet("c"), nil, 0)
		s.at(metadata).set(page(me, "https://keys.example/2"), nil, 0)
		time.Sleep(5 * time.Minute)
		if err := good("c"); err != nil {
			t.Errorf("moved keys: %v", err)
		}
		if err := good("a"); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("a key that did not move: %v", err)
		}
		// Metadata that turns bad is not followed, whatever it says.
		s.at("https://evil.example/").set(rsaSet("evil"), nil, 0)
		s.at(metadata).set(page("https://evil.example", "https://evil.example/"), nil, 0)
		time.Sleep(3 * time.Hour)
		if err := good("c"); err != nil {
			t.Errorf("the last good keys: %v", err)
		}
		if err := good("evil"); err == nil || s.at("https://evil.example/").count() > 0 {
			t.Error("keys of metadata that is another issuer's")
		}
	})
}

// Metadata that lies, or is none, lets nobody in.
func TestDiscoveryRefuses(t *testing.T) {
	const set = "https://keys.example/1"
	for name, c := range map[string]struct{ body, log string }{
		"another issuer":       {string(page("https://evil.example", set)), `is of the issuer`},
		"issuer with a slash":  {string(page(me+"/", set)), `is of the issuer`},
		"issuer in upper case": {string(page(strings.ToUpper(me), set)), `is of the issuer`},
		"no issuer":            {`{"jwks_uri":"` + set + `"}`, `is of the issuer`},
		"issuer twice":         {`{"issuer":"` + me + `","issuer":"` + me + `","jwks_uri":"` + set + `"}`, `twice`},
		"issuer a list":        {`{"issuer":["` + me + `"],"jwks_uri":"` + set + `"}`, `issuer is not a string`},
		"no jwks_uri":          {`{"issuer":"` + me + `"}`, `no jwks_uri`},
		"jwks_uri a number":    {`{"issuer":"` + me + `","jwks_uri":1}`, `jwks_uri is not a string`},
		"jwks_uri over http":   {string(page(me, "http://keys.example/1")), `is not https`},
		"jwks_uri a file":      {string(page(me, "file:///etc/passwd")), `must be https or http`},
		"jwks_uri relative":    {string(page(me, "/jwks")), `must be https or http`},
		"jwks_uri, password":   {string(page(me, "https://u:p@keys.example/1")), `ends up in logs`},
		"not JSON":             {`<html>`, `not an issuer's metadata`},
		"a list":               {`[]`, `not an issuer's metadata`},
		"too long":             {`{"issuer":"` + me + `","x":"` + strings.Repeat("x", 600<<10) + `"}`, `larger than`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := &site{}, &syncBuffer{}
				s.at(metadata).set([]byte(c.body), nil, 0)
				s.at(set).set(rsaSet("a"), nil, 0)
				s.at("http://keys.example/1").set(rsaSet("a"), nil, 0)
				r := discovered(t, s, log)
				defer r.Close()
				time.Sleep(time.Minute)
				if _, err := r.Keys("a", "RS256"); !errors.Is(err, keys.ErrNeverLoaded) {
					t.Errorf("got %v", err)
				}
				if !strings.Contains(log.String(), c.log) || strings.Contains(log.String(), "u:p@") {
					t.Errorf("log:\n%s", log)
				}
				if n := s.at(set).count(); n > 0 {
					t.Errorf("%d attempts to load the keys all the same", n)
				}
			})
		})
	}
	for _, u := range []string{"issuer.example", "ftp://issuer.example/", "https://u:p@issuer.example/", ":"} {
		if r, err := keys.NewRemote(keys.RemoteOptions{Discovery: u, Issuer: me}); err == nil {
			r.Close()
			t.Errorf("%q: accepted", u)
		}
	}
}
