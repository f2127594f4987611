// Package eventhub asks the event hub of WSO2 API Manager (3.2) for the tokens
// that are revoked.
//
// WSO2's gateway asks once, when it starts. Asked again every minute, the hub also
// tells of what a broker that was away did not.
package eventhub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/message"
)

const (
	every     = time.Minute
	retry     = 15 * time.Second // as WSO2
	timeout   = 30 * time.Second
	maxAnswer = 256 << 20
	slack     = 15 * time.Minute
)

// Options for New.
type Options struct {
	URL                string // of the internal data API
	Username, Password string
	TLS                *tls.Config
	Retention          time.Duration // of who has no expiry
	Revoke             func(id string, until, now time.Time) bool
	Log                *slog.Logger
}

// A Source is an event hub. Make one with New, then Run it.
type Source struct {
	o     Options
	url   string
	http  *http.Client
	tried chan struct{}

	mu    sync.Mutex
	state State // guarded by mu
}

// State is for those who look after the gateway.
type State struct {
	Source    string
	Connected bool
	Since     time.Time
	Error     string
	Messages  int64 // answers
	Last      time.Time
}

// New connects to nobody.
func New(o Options) *Source {
	u := strings.TrimSuffix(o.URL, "/") + "/revokedjwt"
	return &Source{
		o: o, url: u, tried: make(chan struct{}), state: State{Source: u, Since: time.Now(), Error: "not asked yet"},
		http: &http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Tried is closed after the first answer, or failure.
func (s *Source) Tried() <-chan struct{} { return s.tried }

// State is how things stand.
func (s *Source) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run asks again and again until ctx is done.
func (s *Source) Run(ctx context.Context) {
	tried := sync.OnceFunc(func() { close(s.tried) })
	defer tried()
	logged := ""
	for ctx.Err() == nil {
		n, err := s.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := every
		s.mu.Lock()
		if was := s.state.Connected; was != (err == nil) {
			s.state.Since = time.Now()
		}
		s.state.Connected, s.state.Error = err == nil, ""
		if err == nil {
			s.state.Messages++
			s.state.Last = time.Now()
		} else {
			s.state.Error = err.Error()
			wait = retry
		}
		first := s.state.Messages == 1 && err == nil
		s.mu.Unlock()
		switch {
		case err != nil && err.Error() != logged:
			logged = err.Error()
			s.o.Log.Warn("[TokenRevocation] [-] revoked tokens cannot be read from the event hub; it is tried again and again", "url", s.url, "error", err)
		case err == nil && (first || logged != ""):
			logged = ""
			s.o.Log.Info("[TokenRevocation] [-] revoked tokens were read from the event hub", "url", s.url, "tokens", n)
		}
		tried()
		t := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// ask reads the list as it comes, so that its length costs no memory.
func (s *Source) ask(ctx context.Context) (n int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept", "application/json")
	if s.o.Username != "" {
		r.SetBasicAuth(s.o.Username, s.o.Password)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answers %d", s.url, resp.StatusCode)
	}
	d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return 0, fmt.Errorf("%s: the answer is not a list", s.url)
	}
	for d.More() {
		var e struct {
			Signature  string      `json:"jwt_signature"`
			Signature2 string      `json:"jwtSignature"`
			Expiry     json.Number `json:"expiry_time"`
			Expiry2    json.Number `json:"expiryTime"`
		}
		if err := d.Decode(&e); err != nil {
			return n, fmt.Errorf("%s: %w", s.url, err)
		}
		now := time.Now()
		id, until := e.Signature+e.Signature2, now.Add(s.o.Retention)
		if ms, err := json.Number(e.Expiry + e.Expiry2).Int64(); err == nil && ms > 0 {
			until = time.UnixMilli(ms).Add(slack)
		}
		if id != "" && len(id) <= message.MaxID {
			n++
			s.o.Revoke(id, until, now)
		}
	}
	// A list that is cut short is not one.
	_, err = d.Token()
	return n, err
}
