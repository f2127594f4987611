// Package introspect judges tokens that say nothing themselves, by asking the
// server that gave them out: by OAuth 2.0 token introspection (RFC 7662), or by
// the key-validation call of WSO2 API Manager.
//
// What surprises:
//
//   - A token is good if the server has said so in so many words: 200, JSON, and
//     an active that is the boolean true. Anything else that is not a plain "no"
//     (an error, a redirect, HTML, "true" as a string, no answer in time) is a
//     failure of the asking. The client is told 503, and nobody is let in.
//   - What a server has said is remembered: a yes until the token's exp or for
//     Options.Expiry, whichever ends first, a no for a few seconds. So a token
//     that is revoked at the server is good until the time is over, and a server
//     that is away is not missed until then. What depends on the request, the
//     dates and the certificate that a token is bound to, is judged each time.
//   - What is remembered is found by a keyed hash. No token is kept.
//   - Whoever asks about a token that is being asked about waits for that answer.
//   - Questions of one client's network wait for each other first, so that made-up
//     tokens of one are not in the way of others' new ones.
//   - After several failures in a row nobody is asked for a second or more, and
//     then one request is sent ahead. That the server does not like one token (400
//     and its like) is no such failure: anybody can make such tokens.
package introspect

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/flight"
	"github.com/microgw/microgw/runtime/internal/keys/confirm"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// MaxToken is the length of the longest token that is asked about.
const MaxToken = 4 << 10

const (
	defaultTimeout        = 2 * time.Second
	defaultExpiry         = 15 * time.Minute
	defaultNegativeExpiry = 5 * time.Second
	defaultEntries        = 10_000
	defaultConcurrent     = 64

	// cacheBytes bounds what is remembered of good tokens, and of bad ones.
	cacheBytes = 32 << 20
)

// Options bound how a server is asked and what is remembered of its answers. Zero
// values stand for the defaults.
type Options struct {
	Timeout    time.Duration // from the question to the answer, all waiting included; 2 s
	Concurrent int           // questions at one time; 64. Of one client's network half of them

	NoCache        bool          // ask each time
	Expiry         time.Duration // that a yes is remembered at most; 15 min
	NegativeExpiry time.Duration // that a no is remembered; 5 s
	Entries        int           // tokens remembered, of each kind; 10,000

	// Leeway is how far the server's clock may be from ours.
	Leeway time.Duration

	Logger *slog.Logger     // nil: silent
	Now    func() time.Time // nil: time.Now; when an outage is over
}

// A question is what a server is asked.
type question struct {
	token string
	// Where the token is to be good, if the answer depends on it.
	context, version, resource, method string
}

// An answer is what a server has said of a token. The error of whoever asks
// means that nobody knows.
type answer struct {
	principal *exchange.Principal // nil: the token is not good
	refused   *fault.Fault        // then: what the client is told

	// Dates in milliseconds since 1970; 0 for none.
	expires, notBefore, issued int64
	bound                      *confirm.Certificate // nil: to none
}

func (a *answer) size() int64 {
	n := int64(512)
	if p := a.principal; p != nil {
		n += int64(len(p.Claims) + len(p.Subject) + len(p.Username) + len(p.ConsumerKey) + 16*len(p.Scopes))
		for _, s := range p.Scopes {
			n += int64(len(s))
		}
	}
	return n
}

// An Introspector judges tokens. It is safe for concurrent use.
type Introspector struct {
	o         Options
	log       *slog.Logger
	now       func() time.Time
	ask       func(context.Context, question) (*answer, error)
	transport http.RoundTripper
	// perOperation says that answers are for an operation and not for all.
	perOperation bool

	gate    *gate
	circuit circuit
	seed    []byte
	macs    sync.Pool // of hash.Hash, keyed with seed
	good    *cache    // nil if nothing is remembered
	bad     *cache

	flights flight.Group[asked, *answer]
}

type key [sha256.Size]byte

// asked is what a question under way is about.
type asked struct {
	key   key
	token string
}

func newIntrospector(o Options, transport http.RoundTripper) *Introspector {
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.Concurrent, defaultConcurrent)
	setDefault(&o.Expiry, defaultExpiry)
	setDefault(&o.NegativeExpiry, defaultNegativeExpiry)
	setDefault(&o.Entries, defaultEntries)
	in := &Introspector{
		o: o, log: o.Logger, now: o.Now, transport: transport,
		gate: newGate(o.Concurrent),
		seed: make([]byte, 32),
	}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if in.now == nil {
		in.now = time.Now
	}
	_, _ = rand.Read(in.seed) // never fails
	in.macs.New = func() any { return hmac.New(sha256.New, in.seed) }
	if !o.NoCache {
		in.good, in.bad = newCache(o.Entries, cacheBytes), newCache(o.Entries, cacheBytes)
	}
	return in
}

func setDefault[N ~int | ~int64](n *N, value N) {
	if *n <= 0 {
		*n = value
	}
}

// Close lets go of idle connections.
func (in *Introspector) Close() {
	if t, ok := in.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Judge returns who a token that came with x speaks for. The error is a
// *fault.Fault. The principal is shared and read only. It may wait for the
// server, as long as Options.Timeout.
func (in *Introspector) Judge(x *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error) {
	if len(token) > MaxToken {
		return nil, fault.InvalidCredentials.Becausef("opaque token longer than %d bytes", MaxToken)
	}
	// A bearer token is of these characters (RFC 6750, section 2.1), and a server
	// shall not be asked about what is none.
	for _, c := range token {
		if c <= ' ' || c >= 0x7f {
			return nil, fault.InvalidCredentials.Becausef("opaque token with a byte that no token has")
		}
	}
	q := question{token: string(token)}
	if in.perOperation {
		if x.Route == nil {
			return nil, fault.Internal.Becausef("token of a request without an operation")
		}
		q.context, q.version = x.Route.BasePath, x.Route.APIVersion
		// "METHOD /template": that of the operation, which may be GET for HEAD.
		q.method, q.resource, _ = strings.Cut(x.Route.ID, " ")
	}
	k := in.key(&q)
	ms := now.UnixMilli()
	a := in.remembered(k, ms)
	if a == nil {
		var err error
		if a, err = in.wait(k, q, x.Client, ms); err != nil {
			return nil, fault.IntrospectionUnavailable.Because(err)
		}
	}
	return in.verdict(a, x, ms)
}

// verdict judges what depends on the request.
func (in *Introspector) verdict(a *answer, x *exchange.Exchange, now int64) (*exchange.Principal, error) {
	if a.principal == nil {
		return nil, a.refused
	}
	leeway := in.o.Leeway.Milliseconds()
	switch {
	case a.expires != 0 && now-leeway >= a.expires:
		return nil, fault.InvalidCredentials.Becausef("opaque token has expired")
	case a.notBefore != 0 && now+leeway < a.notBefore:
		return nil, fault.InvalidCredentials.Becausef("opaque token is not valid yet")
	case a.issued != 0 && now+leeway < a.issued:
		return nil, fault.InvalidCredentials.Becausef("opaque token was issued in the future")
	case a.bound != nil:
		if err := a.bound.Allows(x); err != nil {
			return nil, err
		}
	}
	return a.principal, nil
}

func (in *Introspector) key(q *question) (k key) {
	mac := in.macs.Get().(hash.Hash)
	defer in.macs.Put(mac)
	mac.Reset()
	var n [4]byte
	for _, s := range [...]string{q.token, q.context, q.version, q.resource, q.method} {
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		mac.Write(n[:])
		mac.Write([]byte(s))
	}
	mac.Sum(k[:0])
	return k
}

func (in *Introspector) remembered(k key, now int64) *answer {
	if in.good == nil {
		return nil
	}
	if a := in.good.get(k, now); a != nil {
		return a
	}
	return in.bad.get(k, now)
}

// remember keeps an answer for as long as it may be kept.
func (in *Introspector) remember(k key, q *question, a *answer, now int64) {
	if in.good == nil {
		return
	}
	if a.principal == nil {
		in.bad.put(k, k, a, now, now+in.o.NegativeExpiry.Milliseconds())
		return
	}
	until := now + in.o.Expiry.Milliseconds()
	if a.expires != 0 {
		until = min(until, a.expires+in.o.Leeway.Milliseconds())
	}
	if until <= now { // the server calls it active, and its exp is over
		in.bad.put(k, k, a, now, now+in.o.NegativeExpiry.Milliseconds())
		return
	}
	token := k
	if in.perOperation {
		token = in.key(&question{token: q.token})
	}
	in.good.put(k, token, a, now, until)
}

// wait asks, or waits for the answer that somebody else has asked for, which takes
// no longer than Options.Timeout.
func (in *Introspector) wait(k key, q question, client netip.Addr, now int64) (*answer, error) {
	old := false
	return in.flights.Do(asked{k, q.token}, func() (*answer, error) {
		// It may have landed since the answer was looked for.
		if a := in.remembered(k, now); a != nil {
			old = true
			return a, nil
		}
		return in.askOne(q, client)
	}, func(a *answer) {
		if !old {
			in.remember(k, &q, a, now)
		}
	})
}

// Forget has the server asked anew about a token that may have been revoked just
// now. An answer that is on its way is for those who wait for it already.
func (in *Introspector) Forget(token string) {
	in.flights.Forget(func(a asked) bool { return a.token == token }, func() {
		if in.good != nil {
			in.good.forget(in.key(&question{token: token}))
		}
	})
}

// Failing is why tokens that are not known yet cannot be checked; nil if they can,
// as far as anybody has tried.
func (in *Introspector) Failing() error {
	in.circuit.mu.Lock()
	defer in.circuit.mu.Unlock()
	if in.circuit.failures < failuresToOpen {
		return nil
	}
	return in.circuit.last
}

var (
	errOut  = errors.New("the server failed several times in a row; it is not asked for a while")
	errFull = errors.New("too many questions under way")

	errPanic = errors.New("asking ended in a panic")
)

// askOne asks if that is of any use, and learns from how it went.
func (in *Introspector) askOne(q question, client netip.Addr) (a *answer, err error) {
	if in.circuit.open(in.now()) {
		return nil, errOut
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.o.Timeout)
	defer cancel()
	line := in.gate.line(client)
	// The other half of the time is the server's.
	begin := time.Now()
	leave := in.gate.enter(line, in.o.Timeout/2)
	if leave == nil {
		return nil, errFull
	}
	defer leave()
	waited := time.Since(begin) > in.o.Timeout/10
	if !in.circuit.enter(in.now()) { // it was opened meanwhile
		return nil, errOut
	}
	ended := false
	defer func() {
		if !ended {
			in.circuit.failed(in.now(), errPanic)
		}
	}()
	a, err = in.ask(ctx, q)
	ended = true
	if err == nil {
		line.judged(a.principal != nil)
		if in.circuit.worked() {
			in.log.Info("opaque tokens can be checked again")
		}
		return a, nil
	}
	var refused *tokenError
	switch {
	case errors.As(err, &refused):
		line.judged(false)
		if in.circuit.odd(in.now()) {
			in.log.Warn("the server does not say whether an opaque token is good", "error", err)
		}
	case waited && errors.Is(err, context.DeadlineExceeded):
		// It had less time than it is given.
		in.circuit.leave()
	case in.circuit.failed(in.now(), err):
		in.log.Warn("opaque tokens cannot be checked; those not known yet are answered 503", "error", err)
	}
	return nil, err
}

const (
	failuresToOpen = 5
	firstPause     = time.Second
	longestPause   = 15 * time.Second
)

// A circuit is open while asking is of no use.
type circuit struct {
	mu       sync.Mutex
	failures int // in a row
	pause    time.Duration
	until    time.Time
	probing  bool
	reported bool
	told     time.Time // when a line was written about a token
	last     error     // of the failures
}

// open reports whether nobody may ask just now.
func (c *circuit) open(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed(now)
}

// closed, to those who want in. It needs mu.
func (c *circuit) closed(now time.Time) bool {
	return c.failures >= failuresToOpen && (c.probing || now.Before(c.until) && c.until.Sub(now) <= longestPause)
}

// enter reports whether somebody may ask. Who may calls failed, worked or leave.
func (c *circuit) enter(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed(now) {
		return false
	}
	c.probing = c.failures >= failuresToOpen
	return true
}

// odd says that the server is there and has not judged a token, and returns
// whether that is worth a line in the log.
func (c *circuit) odd(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = false
	if !c.told.IsZero() && now.Sub(c.told) < time.Minute && !now.Before(c.told) {
		return false
	}
	c.told = now
	return true
}

// leave says that nothing was learnt.
func (c *circuit) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = false
}

// failed returns whether that is worth a line in the log.
func (c *circuit) failed(now time.Time, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	c.last = err
	if c.failures >= failuresToOpen && (c.probing || c.until.IsZero() || c.pause == 0) {
		c.pause = min(max(2*c.pause, firstPause), longestPause)
		c.until = now.Add(c.pause)
	}
	c.probing = false
	first := !c.reported
	c.reported = true
	return first
}

// worked returns whether it did not before.
func (c *circuit) worked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.reported
	c.failures, c.pause, c.until, c.probing, c.reported, c.last = 0, 0, time.Time{}, false, false, nil
	return again
}

var errCredentials = errors.New("the server refuses the gateway's own credentials")

// A tokenError is an answer without a verdict that says something of the question and
// not of the server.
type tokenError struct {
	status int
	code   string
}

func (e *tokenError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered with status %d %s", e.status, e.code))
}

// codes are those of RFC 6749, section 5.2, RFC 7009, section 2.2.1, and RFC 6750,
// section 3.1. Another text is not repeated: a server that echoes what it was asked
// would have the token in a log.
var codes = []string{
	"invalid_request", "invalid_grant", "unsupported_grant_type", "invalid_scope",
	"unsupported_token_type", "invalid_token", "insufficient_scope",
}

// statusError is an answer that is none. body is its beginning.
func statusError(status int, body []byte) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (status %d)", errCredentials, status)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		code := ""
		if strictjson.Object(body, func(name, value []byte) error {
			if string(name) == "error" {
				code, _ = strictjson.String(value)
			}
			return nil
		}) != nil {
			code = ""
		}
		// Which is 401 only for those who are named in the header (RFC 6749, section
		// 5.2).
		if strings.HasPrefix(code, "invalid_client") || code == "unauthorized_client" {
			return fmt.Errorf("%w (status %d)", errCredentials, status)
		}
		if !slices.Contains(codes, code) {
			code = ""
		}
		return &tokenError{status, code}
	}
	return fmt.Errorf("the server answered with status %d", status)
}
