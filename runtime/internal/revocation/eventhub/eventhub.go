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
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation"
	"github.com/microgw/microgw/runtime/internal/revocation/message"
	"github.com/microgw/microgw/runtime/internal/revocation/source"
)

const (
	every     = time.Minute
	retry     = 15 * time.Second // as WSO2
	timeout   = 30 * time.Second
	maxAnswer = 256 << 20
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

// A Source is an event hub. Make one with New, then Run it. Its messages are
// answers.
type Source struct {
	*source.Status
	o    Options
	url  string
	http *http.Client
}

// New connects to nobody.
func New(o Options) *Source {
	u := strings.TrimSuffix(o.URL, "/") + "/revokedjwt"
	return &Source{
		Status: source.New(u), o: o, url: u,
		http: &http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Run asks again and again until ctx is done.
func (s *Source) Run(ctx context.Context) {
	defer s.SetTried()
	var complaint, odd source.Complaint
	first := true
	for wait := every; ctx.Err() == nil; source.Sleep(ctx, wait) {
		n, bad, err := s.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = retry
			s.Down(err)
			if complaint.Due(err) {
				s.o.Log.Warn("[TokenRevocation] [-] revoked tokens cannot be read from the event hub; it is tried again and again", "url", s.url, "error", err)
			}
		} else {
			wait = every
			s.Heard()
			s.Up()
			if complaint.Settle() || first {
				s.o.Log.Info("[TokenRevocation] [-] revoked tokens were read from the event hub", "url", s.url, "tokens", n)
			}
			first = false
		}
		if bad == nil {
			odd.Settle()
		} else if odd.Due(bad) {
			s.o.Log.Warn("[TokenRevocation] [-] the event hub's list has entries that are not understood; they are passed over", "url", s.url, "error", bad)
		}
		s.SetTried()
	}
}

// ask reads the list as it comes, so that its length costs no memory. An entry
// that is none must not keep the others from being revoked: bad says what is the
// matter with the first of them.
func (s *Source) ask(ctx context.Context) (n int, bad, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if s.o.Username != "" {
		r.SetBasicAuth(s.o.Username, s.o.Password)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, nil, fmt.Errorf("%s answers %d", s.url, resp.StatusCode)
	}
	d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return 0, nil, fmt.Errorf("%s: the answer is not a list", s.url)
	}
	for d.More() {
		s.Step()
		var e struct {
			Signature  any `json:"jwt_signature"`
			Signature2 any `json:"jwtSignature"`
			Expiry     any `json:"expiry_time"`
			Expiry2    any `json:"expiryTime"`
		}
		if err := d.Decode(&e); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
			return n, bad, fmt.Errorf("%s: %w", s.url, err)
		}
		id, ok := e.Signature.(string)
		if !ok || id == "" {
			id, _ = e.Signature2.(string)
		}
		if id == "" || len(id) > message.MaxID {
			if bad == nil {
				bad = fmt.Errorf("entry %d has no signature", n+1)
			}
			continue
		}
		now := time.Now()
		until := now.Add(s.o.Retention)
		for _, v := range []any{e.Expiry2, e.Expiry} {
			if t, ok := message.Expiry(v); ok {
				until = t.Add(revocation.Slack)
			}
		}
		n++
		s.o.Revoke(id, until, now)
	}
	// A list that is cut short is not one.
	_, err = d.Token()
	return n, bad, err
}
