// Package http1 is a strict HTTP/1.1 codec (RFC 9112) and the connection loops
// on top of it: Server towards clients, Outbound towards upstreams.
//
// One goroutine serves a client connection and does the upstream's I/O as
// well, so that no exchange is handed from one goroutine to another. Heads are
// parsed in place, fields are views into the read buffer, and nothing is
// allocated for a request. A connection that waits for its next request holds
// no buffers.
//
// What surprises: heads are refused rather than repaired (see parse.go), and
// deadlines are coarse (see package watchdog).
package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/quota"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// A Handler serves one exchange: it fills the answer and has w send it.
type Handler interface {
	Serve(x *exchange.Exchange, w Responder)
}

// A Responder is the client's side of an exchange.
type Responder interface {
	// Respond sends the answer, streaming its body. An error means that the
	// client did not get all of it; there is nobody left to tell.
	Respond(x *exchange.Exchange) error
}

// KeepAlive is the policy for connections after an answer.
type KeepAlive uint8

const (
	KeepAliveAuto   KeepAlive = iota // as the client asks
	KeepAliveAlways                  // also for HTTP/1.0 clients that do not ask
	KeepAliveNever
)

// Options make a Server.
type Options struct {
	Handler Handler
	Limits  Limits
	// TrustedProxies are peers whose X-Forwarded-* and Forwarded fields are
	// believed. From others these fields are replaced.
	TrustedProxies []netip.Prefix
	KeepAlive      KeepAlive
	// Server is the value of the Server field in the gateway's own answers; ""
	// for none. An upstream's stays as it is.
	Server string
	// MaxConnections that are served at a time; 0 for no limit. Beyond it one
	// for each listener waits accepted, and the others in the kernel's queue.
	MaxConnections int
	// LastCall is how long Shutdown leaves idle connections open. Whoever sends
	// a request in that time, or has sent it already, is served and told that
	// the connection ends; closed at once it would look like a failure.
	LastCall time.Duration
	Dog      *watchdog.Dog
	Log      *slog.Logger
}

// A Server serves connections of any number of listeners.
type Server struct {
	o     Options
	units sync.Pool // of *unit
	slots chan struct{}

	handshakes quota.Quota // of lines about those that failed

	draining atomic.Bool // answers say that their connection ends
	closing  atomic.Bool // idle connections end

	mu        sync.Mutex
	listeners map[net.Listener]struct{} // guarded by mu
	conns     map[*conn]struct{}        // guarded by mu
	wg        sync.WaitGroup
}

// NewServer returns a server that serves nothing yet.
func NewServer(o Options) *Server {
	s := &Server{
		o:         o,
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	if s.o.Log == nil {
		s.o.Log = slog.New(slog.DiscardHandler)
	}
	s.units.New = func() any { return newUnit(&s.o.Limits) }
	if o.MaxConnections > 0 {
		s.slots = make(chan struct{}, o.MaxConnections)
	}
	return s
}

// ErrClosed is returned by Serve after Shutdown.
var ErrClosed = errors.New("http1: server is shut down")

// Serve accepts connections from l until Shutdown. With a TLS configuration
// they are TLS. It always returns an error.
func (s *Server) Serve(l net.Listener, tlsConf *tls.Config) error {
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()

	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.draining.Load() {
				return ErrClosed
			}
			var ne net.Error
			if !errors.As(err, &ne) || errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors, as a rule: wait for some to come back.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.o.Log.Warn("accept", "err", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		if s.slots != nil {
			// Not before: a listener to which nobody comes would keep a slot
			// from the other.
			s.slots <- struct{}{}
		}
		c := newConn(s, nc, tlsConf)
		if !s.add(c) {
			_ = nc.Close()
			s.freeSlot()
			return ErrClosed
		}
		go c.start()
	}
}

// handshakeFailed tells the log, of each client so many times in a minute.
func (s *Server) handshakeFailed(peer netip.AddrPort, err error) {
	if !s.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	ok, last := s.handshakes.Take(peer.Addr(), time.Now())
	if !ok {
		return
	}
	args := []any{"peer", peer, "err", err}
	if last {
		args = append(args, "note", quota.Note)
	}
	s.o.Log.Debug("TLS handshake", args...)
}

func (s *Server) freeSlot() {
	if s.slots != nil {
		<-s.slots
	}
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.freeSlot()
	s.wg.Done()
}

// Connections returns how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting, closes idle connections after the last call, lets
// requests in flight finish and waits for them. When ctx ends first the rest is cut off and ctx's
// error returned. Either way no goroutine of the server is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	call := time.NewTimer(s.o.LastCall)
	defer call.Stop()
	select {
	case <-done:
		return ctx.Err() // the last may have ended because others cut it off, too
	case <-ctx.Done():
	case <-call.C:
	}
	s.mu.Lock()
	s.closing.Store(true)
	for c := range s.conns {
		// A connection is idle or sees the flag before it becomes idle.
		if c.idle.Load() {
			c.guard.Interrupt()
		}
	}
	s.mu.Unlock()
	select {
	case <-done:
		return ctx.Err()
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
