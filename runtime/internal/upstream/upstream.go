// Package upstream sends exchanges to clusters: it picks an endpoint, keeps its
// connections, and decides what may be tried again.
//
// A connection that could not be made has carried nothing, so the next endpoint
// is tried whatever the method. A request that may have been received is
// repeated only if that is safe: an idempotent method (RFC 9110, section 9.2.2),
// no content, and not one byte of an answer; and once.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// Balance says how a cluster picks an endpoint.
type Balance uint8

const (
	Single     Balance = iota // the first, always
	RoundRobin                // in turn, passing over those that are down
	Failover                  // the first that is not down
)

// downFor is how long an endpoint that could not be reached is passed over,
// as long as there is another.
const downFor = 5 * time.Second

// Options are shared by all clusters.
type Options struct {
	Limits         http1.Limits
	ConnectTimeout time.Duration
	IdleTimeout    time.Duration // of a pooled connection
	MaxIdle        int           // pooled connections for each endpoint
	MaxActive      int           // connections for each endpoint; 0 or less for no limit
	TLS            *tls.Config   // for https endpoints; ServerName is set by the endpoint
	Dog            *watchdog.Dog
}

// A Cluster is a named set of endpoints.
type Cluster struct {
	Name      string
	balance   Balance
	endpoints []*endpoint
	turn      atomic.Uint32
	o         *Options
	limits    http1.Limits
	auth      []byte // field line with the gateway's own credentials
	closed    atomic.Bool
}

// Settings make a Cluster.
type Settings struct {
	Name    string
	Balance Balance
	URLs    []string
	// Authorization is the value of that field for every request, "" for
	// none.
	Authorization string
	// Timeout for an answer; 0 for the default.
	Timeout time.Duration
}

// New returns a cluster. Errors name the URL that is wrong.
func New(s Settings, o *Options) (*Cluster, error) {
	c := &Cluster{Name: s.Name, balance: s.Balance, o: o, limits: o.Limits}
	if s.Timeout > 0 {
		c.limits.AnswerTimeout = s.Timeout
	}
	if s.Authorization != "" {
		c.auth = []byte("Authorization: " + s.Authorization + "\r\n")
	}
	for _, u := range s.URLs {
		e, err := newEndpoint(c, u)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, e)
	}
	if len(c.endpoints) == 0 {
		return nil, errors.New("cluster " + s.Name + " has no endpoint")
	}
	if c.balance == Single {
		c.endpoints = c.endpoints[:1]
	}
	return c, nil
}

// Endpoints returns the endpoints' addresses, for logs and the admin port.
func (c *Cluster) Endpoints() []string {
	var list []string
	for _, e := range c.endpoints {
		list = append(list, e.name)
	}
	return list
}

// Close ends idle connections; those in use end with their exchange.
func (c *Cluster) Close() {
	c.closed.Store(true)
	for _, e := range c.endpoints {
		e.sweep(0)
	}
}

// Sweep ends connections that have been idle for too long. The owner calls it
// now and then.
func (c *Cluster) Sweep(now int64) {
	for _, e := range c.endpoints {
		e.sweep(now - int64(c.o.IdleTimeout))
	}
}

// Forward sends x and reads the head of the answer into it. cut is how much of
// the path's beginning is the gateway's own. The error is a *fault.Fault.
func (c *Cluster) Forward(x *exchange.Exchange, cut int) error {
	first := c.pick()
	again := x.RequestBody == nil && idempotent(x.Method)
	last := errAllDown
	for i := range c.endpoints {
		e := c.endpoints[(first+i)%len(c.endpoints)]
		if i > 0 && !e.up(c.o.Dog.Now()) && i+1 < len(c.endpoints) {
			continue
		}
		next, err := e.try(x, cut, &again)
		if err == nil {
			return nil
		}
		last = err
		if !next {
			break
		}
		if err != errBusy {
			e.markDown(c.o.Dog.Now())
		}
	}
	var f *fault.Fault
	switch {
	case errors.As(last, &f):
		return f
	case isTimeout(last):
		return fault.UpstreamTimeout.Because(last)
	}
	return fault.UpstreamUnavailable.Because(last)
}

// try sends x to e. again says whether x may be sent once more after it may
// have been received; try uses that up. next says whether another endpoint may
// be tried.
func (e *endpoint) try(x *exchange.Exchange, cut int, again *bool) (next bool, err error) {
	x.Endpoint = e.name
	target := e.target
	target.Path, target.Auth = x.Path[cut:], e.c.auth
	for {
		x.Attempts++
		out, reused, err := e.get(x.Shard, *again)
		if err != nil {
			return true, err // nothing was sent
		}
		if err = out.Send(x, &target); err == nil {
			x.Call = out
			return false, nil
		}
		silent := !out.Answered()
		out.Release()
		x.Uploading = false // Release has waited for it
		// A pooled connection may have been closed by the upstream while it
		// was idle; the write succeeds then. Repeat only what is safe to repeat
		// and only if not one byte of an answer has arrived (RFC 9110, section
		// 9.2.2).
		if !*again || !silent || errors.Is(err, fault.UpstreamTimeout) {
			return false, err
		}
		*again = false
		if !reused {
			return true, err
		}
		// The endpoint may be well: another connection tells.
	}
}

var (
	errAllDown = errors.New("no endpoint is up")
	errBusy    = errors.New("as many connections as allowed are in use")
)

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// idempotent is RFC 9110, section 9.2.2.
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// pick returns the index of the endpoint to try first.
func (c *Cluster) pick() int {
	n := len(c.endpoints)
	if n == 1 {
		return 0
	}
	start := 0
	if c.balance == RoundRobin {
		start = int((c.turn.Add(1) - 1) % uint32(n))
	}
	now := c.o.Dog.Now()
	for i := range n {
		if k := (start + i) % n; c.endpoints[k].up(now) {
			return k
		}
	}
	return start
}

// shardCount is a power of two.
const shardCount = 8

// An endpoint is one address with its idle connections.
type endpoint struct {
	c      *Cluster
	name   string // scheme://host:port, for the log
	addr   string // host:port
	tls    *tls.Config
	target http1.Target

	down   atomic.Int64 // on the watchdog's clock: passed over until then
	idle   atomic.Int32
	active atomic.Int32 // connections, idle or not

	shards [shardCount]struct {
		mu    sync.Mutex
		conns []*http1.Outbound // newest last; guarded by mu
		_     [24]byte
	}
}

func newEndpoint(c *Cluster, raw string) (*endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	e := &endpoint{c: c, name: u.Scheme + "://" + u.Host, addr: u.Host}
	port := "80"
	switch u.Scheme {
	case "http":
	case "https":
		port = "443"
		conf := &tls.Config{}
		if c.o.TLS != nil {
			conf = c.o.TLS.Clone()
		}
		conf.ServerName = u.Hostname()
		conf.NextProtos = []string{"http/1.1"}
		if conf.ClientSessionCache == nil {
			conf.ClientSessionCache = tls.NewLRUClientSessionCache(32)
		}
		e.tls = conf
	default:
		return nil, errors.New("endpoint " + raw + ": scheme is neither http nor https")
	}
	if u.Hostname() == "" {
		return nil, errors.New("endpoint " + raw + ": no host")
	}
	if u.Port() == "" {
		e.addr = net.JoinHostPort(u.Hostname(), port)
	}
	e.target = http1.Target{
		Host:   []byte(u.Host),
		Prefix: []byte(strings.TrimRight(u.EscapedPath(), "/")),
		Query:  []byte(u.RawQuery),
	}
	return e, nil
}

func (e *endpoint) up(now int64) bool { return e.down.Load() <= now }

func (e *endpoint) markDown(now int64) { e.down.Store(now + int64(downFor)) }

// get returns a connection, and whether it has been used before. A pooled one
// is checked first: it may have been closed, or the upstream may have sent what
// nobody asked for, which would pass for the next answer. The check is a system
// call, so it is left out where the request is repeatable, the connection came
// back in this very tick of the clock, and its last answer gave no reason.
func (e *endpoint) get(shard uint32, repeatable bool) (o *http1.Outbound, reused bool, err error) {
	for i := uint32(0); i < shardCount && e.idle.Load() > 0; i++ {
		s := &e.shards[(shard+i)%shardCount]
		s.mu.Lock()
		for n := len(s.conns); n > 0; n = len(s.conns) {
			o := s.conns[n-1]
			s.conns[n-1] = nil
			s.conns = s.conns[:n-1]
			s.mu.Unlock()
			e.idle.Add(-1)
			if repeatable && o.Since == e.c.o.Dog.Now() && !o.Doubtful() || !o.Stale() {
				return o, true, nil
			}
			e.end(o)
			s.mu.Lock()
		}
		s.mu.Unlock()
	}
	o, err = e.dial()
	return o, false, err
}

func (e *endpoint) dial() (*http1.Outbound, error) {
	if n := e.active.Add(1); e.c.o.MaxActive > 0 && int(n) > e.c.o.MaxActive {
		e.active.Add(-1)
		return nil, errBusy
	}
	// One time for looking the name up, connecting and TLS.
	ctx, cancel := context.WithTimeout(context.Background(), e.c.o.ConnectTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		e.active.Add(-1)
		return nil, err
	}
	if e.tls != nil {
		t := tls.Client(conn, e.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			e.active.Add(-1)
			return nil, err
		}
		conn = t
	}
	e.down.Store(0)
	return http1.NewOutbound(conn, e.c.o.Dog, &e.c.limits, e), nil
}

func (e *endpoint) end(o *http1.Outbound) {
	o.Close()
	e.active.Add(-1)
}

// Back implements http1.Home: an exchange is done with o.
func (e *endpoint) Back(o *http1.Outbound, shard uint32, usable bool) {
	if !usable || e.c.closed.Load() {
		e.end(o)
		return
	}
	if int(e.idle.Add(1)) > e.c.o.MaxIdle {
		e.idle.Add(-1)
		e.end(o)
		return
	}
	o.Since = e.c.o.Dog.Now()
	s := &e.shards[shard%shardCount]
	s.mu.Lock()
	s.conns = append(s.conns, o)
	s.mu.Unlock()
	if e.c.closed.Load() {
		e.sweep(0) // closed in between: nobody else will look
	}
}

// sweep ends connections that became idle before a time; 0 for all.
func (e *endpoint) sweep(before int64) {
	for i := range e.shards {
		s := &e.shards[i]
		var old []*http1.Outbound
		s.mu.Lock()
		// The oldest are first: the pool is a stack.
		n := 0
		for n < len(s.conns) && (before == 0 || s.conns[n].Since < before) {
			n++
		}
		if n > 0 {
			old = append(old, s.conns[:n]...)
			s.conns = append(s.conns[:0], s.conns[n:]...)
		}
		s.mu.Unlock()
		e.idle.Add(int32(-n))
		for _, o := range old {
			e.end(o)
		}
	}
}
