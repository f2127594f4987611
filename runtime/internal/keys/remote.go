package keys

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxJWKSBody  = 512 << 10
	maxRedirects = 3

	defaultRefresh     = 5 * time.Minute
	defaultMinInterval = 10 * time.Second
	defaultTimeout     = 5 * time.Second
	// defaultWait leaves room below the 50 ms within which a token with an
	// unknown kid is to be refused.
	defaultWait = 30 * time.Millisecond

	firstRetry = 250 * time.Millisecond
	lastRetry  = time.Minute
)

// RemoteOptions says where a Remote finds its keys. Zero durations stand for
// the defaults.
type RemoteOptions struct {
	URL string // http or https; plain http beyond this machine is warned of
	// Discovery is the URL of the metadata of Issuer, which says where the set
	// is, instead of URL.
	Discovery, Issuer string
	// RSA is the algorithm of the RSA keys of which the set does not say it; "":
	// RS256, RS384 and RS512.
	RSA string

	// RootCAs are the roots that the endpoint's certificate is checked
	// against; nil stands for the system's.
	RootCAs *x509.CertPool
	// Transport replaces the HTTP transport, RootCAs included.
	Transport http.RoundTripper

	Refresh     time.Duration // between two loads when all is well; 5 min
	MinInterval time.Duration // between loads that unknown kids ask for; 10 s
	Timeout     time.Duration // of one load; 5 s
	Wait        time.Duration // that a token may wait for a load under way; 30 ms

	Logger *slog.Logger // nil: silent
}

// A Remote is the key set behind a JWKS URL, loaded in the background:
//
//   - It starts without the endpoint. Until a first load has worked Keys
//     returns ErrNeverLoaded.
//   - It loads again and again, with jitter so that many gateways do not call
//     at once. When the endpoint is away, or answers with anything but a set
//     with a usable key, the last good keys go on, for ever.
//   - A token with an unknown kid asks for a load, as the issuer may have
//     changed its keys. One load serves all who ask, there is at most one each
//     MinInterval, and nobody waits for it longer than Wait.
//   - Keys that are gone from a newly loaded set are retired.
//   - Where the set is may itself be loaded, from the issuer's metadata, which
//     must be of that issuer. It goes on as the keys do.
type Remote struct {
	opts   RemoteOptions
	client *http.Client
	log    *slog.Logger

	current atomic.Pointer[set] // nil until loaded

	found   string    // where the metadata says that the set is; "" if there is none yet
	foundAt time.Time // when it was asked last

	mu      sync.Mutex
	loading chan struct{} // closed when the load that is wanted or under way ends; nil if none is
	started time.Time     // of the last load

	wanted chan struct{} // wakes run; holds one
	stop   context.CancelFunc
	ended  chan struct{}
}

// NewRemote checks the options and starts to load. Close ends it.
func NewRemote(o RemoteOptions) (*Remote, error) {
	what, from := "jwks", o.URL
	if o.Discovery != "" {
		what, from = "metadata", o.Discovery
	}
	u, err := checkURL(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	setDefault(&o.Refresh, defaultRefresh)
	setDefault(&o.MinInterval, defaultMinInterval)
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.Wait, defaultWait)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true, // minutes lie between two loads
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Remote{
		opts:    o,
		client:  &http.Client{Transport: o.Transport, CheckRedirect: checkRedirect},
		log:     o.Logger.With(what, shown(u)),
		loading: make(chan struct{}),
		wanted:  make(chan struct{}, 1),
		stop:    stop,
		ended:   make(chan struct{}),
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		r.log.Warn("keys are loaded over plain http: whoever sits on the way can let anybody in")
	}
	go r.run(ctx)
	return r, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Close ends the background work and waits for it. The keys go on.
func (r *Remote) Close() {
	r.stop()
	<-r.ended
}

// Loaded reports whether there are keys.
func (r *Remote) Loaded() bool { return r.current.Load() != nil }

// Keys implements KeySet.
func (r *Remote) Keys(kid, alg string) ([]*Key, error) {
	list, fresh, err := r.find(kid, alg)
	if err == nil || !fresh {
		return list, err
	}
	done := r.want()
	if done == nil {
		return nil, err
	}
	timer := time.NewTimer(r.opts.Wait)
	defer timer.Stop()
	select {
	case <-done:
		list, _, err = r.find(kid, alg)
		return list, err
	case <-timer.C:
	case <-r.ended:
	}
	return nil, err
}

func (r *Remote) find(kid, alg string) (list []*Key, fresh bool, err error) {
	s := r.current.Load()
	if s == nil {
		return nil, true, ErrNeverLoaded
	}
	return s.find(kid, alg)
}

// want asks for a load and returns a channel that is closed when it has ended,
// or nil if it is too early for another.
func (r *Remote) want() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loading != nil {
		return r.loading
	}
	if time.Since(r.started) < r.opts.MinInterval {
		return nil
	}
	r.loading = make(chan struct{})
	select {
	case r.wanted <- struct{}{}:
	default:
	}
	return r.loading
}

// run loads now, then when asked or when it is time.
func (r *Remote) run(ctx context.Context) {
	defer close(r.ended)
	failures := 0
	for {
		if r.load(ctx) {
			failures = 0
		} else {
			failures++
		}
		timer := time.NewTimer(r.pause(failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.wanted:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pause is the time to the next load: the usual one less up to a tenth, or
// after failures one that doubles, less up to a half.
func (r *Remote) pause(failures int) time.Duration {
	if failures == 0 {
		return r.opts.Refresh - rand.N(r.opts.Refresh/10+1)
	}
	limit := min(lastRetry, r.opts.Refresh)
	d := min(firstRetry<<min(failures-1, 20), limit)
	return d - rand.N(d/2+1)
}

// load fetches the set once and tells whoever waits.
func (r *Remote) load(ctx context.Context) bool {
	r.mu.Lock()
	if r.loading == nil {
		r.loading = make(chan struct{})
	}
	r.started = time.Now()
	select {
	case <-r.wanted: // this load is the one that was asked for
	default:
	}
	r.mu.Unlock()

	list, problems, err := r.fetch(ctx)
	if err != nil {
		r.foundAt = time.Time{} // perhaps the set has moved
	}
	switch {
	case err == nil:
		r.replace(list, problems)
	case ctx.Err() != nil: // closing
	case r.Loaded():
		r.log.Warn("keys not refreshed; the last good ones go on", "error", err)
	default:
		r.log.Warn("keys not loaded; this issuer's tokens cannot be checked yet", "error", err)
	}

	r.mu.Lock()
	close(r.loading)
	r.loading = nil
	r.mu.Unlock()
	return err == nil
}

// replace makes list the current set. A key that was there before stays the
// same *Key, so that what was verified under it stays good.
func (r *Remote) replace(list []*Key, problems []error) {
	var before []*Key
	if s := r.current.Load(); s != nil {
		before = s.keys
	}
	kept := 0
	for i, k := range list {
		if j := slices.IndexFunc(before, k.same); j >= 0 {
			list[i] = before[j]
			kept++
		}
	}
	changed := kept != len(list) || kept != len(before)
	if changed || len(before) == 0 {
		r.current.Store(newSet(list))
		for _, k := range before {
			if !slices.Contains(list, k) {
				k.retired.Store(true)
			}
		}
		var ids []string
		for _, k := range list {
			ids = append(ids, fmt.Sprintf("%.64q", k.ID))
		}
		r.log.Info("keys loaded", "keys", len(list), "kids", strings.Join(ids, " "))
		for _, p := range problems {
			r.log.Warn("key left out", "error", p)
		}
	}
}

// fetch gets and reads the set, within the limits of size and time.
func (r *Remote) fetch(ctx context.Context) ([]*Key, []error, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	location, err := r.location(ctx)
	if err != nil {
		return nil, nil, err
	}
	body, err := r.get(ctx, location, "application/jwk-set+json, application/json")
	if err != nil {
		return nil, nil, err
	}
	list, problems, err := parseJWKS(body, r.opts.RSA)
	if err != nil {
		return nil, nil, fmt.Errorf("answer is not a key set: %w", err)
	}
	if len(list) == 0 {
		return nil, nil, errors.Join(append([]error{errors.New("no usable key in the answer")}, problems...)...)
	}
	return list, problems, nil
}

// get returns what is at a URL, within the limits.
func (r *Remote) get(ctx context.Context, from, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, withoutQuery(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKSBody {
		return nil, fmt.Errorf("answer larger than %d bytes", maxJWKSBody)
	}
	return body, nil
}

// shown is a URL as it is logged: what stands in a query may be a secret.
func shown(u *url.URL) string {
	c := *u
	if c.RawQuery != "" {
		c.RawQuery = "..."
	}
	return c.Redacted()
}

// withoutQuery is an error of the HTTP client, which names the URL, perhaps one
// that it was sent to.
func withoutQuery(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	u, bad := url.Parse(failed.URL)
	if bad != nil {
		return failed.Err
	}
	return fmt.Errorf("%s: %w", shown(u), failed.Err)
}

// checkRedirect follows a few redirects, never from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirected from https to " + req.URL.Scheme)
	}
	return nil
}
