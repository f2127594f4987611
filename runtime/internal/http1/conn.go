package http1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// A conn is one client connection. It is small: what a request needs is in a
// unit, which the connection holds only while it has one.
type conn struct {
	srv *Server
	nc  net.Conn
	r   io.Reader // of nc, and w its writer
	w   io.Writer
	socket
	tcp   *net.TCPConn // nil for other transports
	raw   syscall.RawConn
	await func(fd uintptr) bool // reads the first bytes of a request
	tls   *tls.Conn             // nil on plaintext
	state tls.ConnectionState
	guard watchdog.Guard
	peer  netip.AddrPort
	// forwarded is Exchange.Forwarded for every request.
	forwarded []byte
	trusted   bool
	small     []byte // first bytes of a request over TLS

	u       *unit
	got     int
	gotErr  error
	piped   int  // requests served in a row without waiting for one
	started bool // something of the answer has been sent
	keep    bool // the connection goes on after this answer

	idle   atomic.Bool
	mu     sync.Mutex
	tunnel io.Closer // guarded by mu: upstream's end, to cut a tunnel off
	gone   bool      // guarded by mu: cut
}

// A unit is the memory of a connection that has a request.
type unit struct {
	x    exchange.Exchange
	in   stream
	out  []byte
	body body
	fr   framing
	vec  [2][]byte
	bufs net.Buffers
	conn *conn
	// lift is an io.LimitedReader kept here so that splicing allocates
	// nothing.
	lift io.LimitedReader
	// continued says that the client need not be told to go on.
	continued bool
}

func newUnit(lim *Limits) *unit {
	u := &unit{out: make([]byte, 0, bufferSize)}
	u.x.Shard = shards.Add(1)
	u.in.buf = make([]byte, bufferSize)
	u.x.Request.Fields = make([]exchange.Field, 0, 32)
	u.x.Response.Fields = make([]exchange.Field, 0, 32)
	u.body.before = u.beforeBody
	u.body.after = u.afterBody
	u.body.interrupt = u.interruptBody
	return u
}

// shards numbers units, see Exchange.Shard.
var shards atomic.Uint32

// beforeBody runs before the request's body is waited for.
func (u *unit) beforeBody() {
	c := u.conn
	if !u.continued {
		// The request got past the stages and its body is wanted
		// (RFC 9110, section 10.1.1).
		u.continued = true
		c.guard.WriteWithin(c.srv.o.Limits.WriteTimeout)
		_, _ = c.nc.Write(continueLine)
		c.guard.WriteWithin(0)
	}
	c.guard.ReadWithin(c.srv.o.Limits.BodyTimeout)
}

func (u *unit) afterBody() { u.conn.guard.ReadWithin(0) }

func (u *unit) interruptBody() { u.conn.guard.Interrupt() }

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Interrupt wakes a Next that waits for the client.
func (b *body) Interrupt() {
	if b.interrupt != nil {
		b.interrupt()
	}
}

func newConn(s *Server, nc net.Conn, tlsConf *tls.Config) *conn {
	c := &conn{srv: s, nc: nc}
	c.tcp, _ = nc.(*net.TCPConn)
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.peer = a.AddrPort()
	}
	addr := c.peer.Addr().Unmap()
	for _, p := range s.o.TrustedProxies {
		if p.Contains(addr) {
			c.trusted = true
			break
		}
	}
	if tlsConf != nil {
		c.tls = tls.Server(nc, tlsConf)
		c.nc = c.tls
		c.small = make([]byte, 64)
	} else if c.tcp != nil {
		if raw, err := c.tcp.SyscallConn(); err == nil && canAwait {
			c.raw, c.await = raw, c.readFirst
		}
	}
	if c.small == nil && c.raw == nil {
		c.small = make([]byte, 64)
	}
	c.r, c.w = c.socket.of(c.nc)
	s.o.Dog.Watch(&c.guard, nc)
	return c
}

// start begins the life of the connection.
func (c *conn) start() {
	if c.tls == nil {
		c.serve()
		return
	}
	c.guard.ReadWithin(c.srv.o.Limits.HeadTimeout)
	c.guard.WriteWithin(c.srv.o.Limits.HeadTimeout)
	if err := c.tls.Handshake(); err != nil {
		c.srv.handshakeFailed(c.peer, err)
		c.close()
		return
	}
	c.guard.ReadWithin(0)
	c.guard.WriteWithin(0)
	c.state = c.tls.ConnectionState()
	// A handshake grows the stack to several times of what serving needs, and
	// an idle connection would keep it: go on with a fresh one.
	go c.serve()
}

// serve is the life of the connection after its handshake.
func (c *conn) serve() {
	defer c.close()
	defer func() {
		if r := recover(); r != nil {
			c.srv.o.Log.Error("panic in the gateway", "panic", r, "stack", string(debug.Stack()))
			if u := c.u; u != nil {
				// The upstream's connection has its own owner to go back to;
				// the unit may be in any state and is not used again.
				c.u = nil
				if u.x.Call != nil {
					u.x.Call.Release()
				}
			}
		}
	}()
	for c.next() {
		if !c.exchange() {
			return
		}
	}
}

func (c *conn) close() {
	c.guard.Release()
	_ = c.nc.Close()
	c.putUnit()
	c.srv.remove(c)
}

// cut ends the connection from outside, whatever it is doing.
func (c *conn) cut() {
	c.mu.Lock()
	c.gone = true
	if c.tunnel != nil {
		_ = c.tunnel.Close()
	}
	c.mu.Unlock()
	if c.tcp != nil {
		_ = c.tcp.Close()
	} else {
		_ = c.nc.Close()
	}
}

func (c *conn) getUnit() {
	u := c.srv.units.Get().(*unit)
	u.conn = c
	u.in.src = c.r
	u.in.base, u.in.r, u.in.w = 0, 0, 0
	c.u = u
}

func (c *conn) putUnit() {
	u := c.u
	if u == nil {
		return
	}
	c.u = nil
	u.conn, u.in.src, u.body.in = nil, nil, nil
	// exchange resets the rest when it begins; a pooled unit only must not
	// keep others' memory alive.
	x := &u.x
	x.TLS, x.Call, x.Tunnel, x.Principal, x.Route = nil, nil, nil, nil, nil
	if cap(u.out) > 4*bufferSize {
		u.out = make([]byte, 0, bufferSize)
	}
	if len(u.in.buf) != bufferSize {
		u.in.buf = make([]byte, bufferSize)
	}
	c.srv.units.Put(u)
}

// next waits for the first bytes of the next request. Until they come the
// connection holds no unit.
func (c *conn) next() bool {
	if u := c.u; u != nil {
		u.in.rewind()
		if u.in.w > 0 {
			c.piped++
			return true
		}
		c.putUnit()
	}
	c.piped = 0
	c.idle.Store(true)
	if c.srv.closing.Load() {
		return false
	}
	c.guard.ReadWithin(c.srv.o.Limits.IdleTimeout)
	if c.raw != nil {
		runtime.Gosched() // as in Outbound.readHead
		c.got, c.gotErr = 0, nil
		if err := c.raw.Read(c.await); err != nil || c.gotErr != nil || c.got <= 0 {
			return false
		}
		c.busy()
		return true
	}
	n, err := c.nc.Read(c.small)
	if n <= 0 || err != nil && n == 0 {
		return false
	}
	c.busy()
	c.getUnit()
	c.u.in.w = copy(c.u.in.buf, c.small[:n])
	return true
}

// busy ends being idle. If Shutdown has begun it may have interrupted this
// connection at the very moment that the request arrived; it is served all the
// same.
func (c *conn) busy() {
	c.idle.Store(false)
	if c.srv.closing.Load() {
		// Shutdown interrupts under this lock, and not those that are busy.
		c.srv.mu.Lock()
		_ = c.nc.SetReadDeadline(time.Time{})
		c.srv.mu.Unlock()
	}
}

// exchange serves one request and reports whether the connection goes on.
func (c *conn) exchange() bool {
	u := c.u
	x := &u.x
	x.Reset()
	x.Start = c.srv.o.Dog.Time()
	x.Peer, x.Client = c.peer, c.peer.Addr().Unmap()
	x.Trusted = c.trusted
	if c.tls != nil {
		x.TLS = &c.state
	}
	if c.forwarded == nil {
		c.forwarded = appendForwarded(nil, x)
	}
	x.Forwarded = c.forwarded
	c.started, c.keep = false, false
	u.fr, u.continued = framing{}, true

	n, err := c.readHead()
	if err != nil {
		var f *fault.Fault
		if !errors.As(err, &f) {
			return false // the client went away
		}
		x.Fail(f)
		u.body.start(&u.in, &framing{}, &c.srv.o.Limits, nil)
		c.srv.o.Handler.Serve(x, c)
		c.linger()
		return false
	}
	// The time for the head, or between requests, is over. Left standing it
	// would cut a long answer's connection, or a tunnel.
	c.guard.ReadWithin(0)
	u.in.r += n
	u.in.hold()
	u.body.start(&u.in, &u.fr, &c.srv.o.Limits, nil)
	u.continued = !u.fr.expect
	x.RequestLength = u.fr.length
	if u.fr.hasBody() {
		x.RequestBody = &u.body
	}
	x.WebSocket, x.Trailers = u.fr.websocket, u.fr.trailers && x.Proto == exchange.HTTP11
	if c.trusted {
		x.Client = c.believe(x)
	}
	if max := c.srv.o.Limits.BodyBytes; max > 0 && u.fr.length > max {
		x.Fail(fault.ContentTooLarge)
	}
	c.keep = c.mayKeep()

	c.srv.o.Handler.Serve(x, c)

	if x.Tunnel != nil {
		return false
	}
	if !c.keep {
		c.linger()
		return false
	}
	return c.finishBody()
}

// mayKeep decides whether the connection goes on after the answer, as far as
// the request tells.
func (c *conn) mayKeep() bool {
	switch {
	case c.srv.draining.Load(), c.srv.o.KeepAlive == KeepAliveNever:
		return false
	case c.piped >= c.srv.o.Limits.Pipelined:
		return false
	case c.srv.o.KeepAlive == KeepAliveAlways && c.u.x.Proto == exchange.HTTP10:
		return !closeAsked(&c.u.x.Request)
	}
	return c.u.fr.keepAlive
}

func closeAsked(h *exchange.Header) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == exchange.Connection && listHas(f.Value, "close") {
			return true
		}
	}
	return false
}

// readHead reads until the head can be parsed. Errors are faults, but for a
// client that went away.
func (c *conn) readHead() (n int, err error) {
	u, lim := c.u, &c.srv.o.Limits
	// One time for the whole head: a client that drips bytes does not get
	// more by dripping.
	timed := false
	for {
		n, u.fr, err = parseRequest(u.in.unread(), &u.x, lim)
		if err != ErrMore {
			return n, err
		}
		if !timed {
			timed = true
			c.guard.ReadWithin(lim.HeadTimeout)
		}
		for {
			had := u.in.w
			if !u.in.room(lim.HeadBytes + lim.TargetBytes + 64) {
				return 0, fault.HeaderTooLarge
			}
			had = min(had, u.in.w)
			if err := u.in.fill(); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) && !c.srv.closing.Load() {
					return 0, fault.RequestTimeout
				}
				return 0, err
			}
			if u.in.w-u.in.r > lim.HeadBytes {
				break
			}
			// Parse again only when a head's end has arrived, or what is
			// surely none: the work is bounded by the bytes.
			if bytes.Contains(u.in.buf[max(u.in.r, had-3):u.in.w], []byte("\n\r\n")) ||
				bytes.Contains(u.in.buf[max(u.in.r, had-3):u.in.w], []byte("\n\n")) {
				break
			}
		}
	}
}

// believe finds the client behind trusted proxies: the last address of
// X-Forwarded-For that is not one of them.
func (c *conn) believe(x *exchange.Exchange) netip.Addr {
	client := x.Client
	for i := len(x.Request.Fields) - 1; i >= 0; i-- {
		f := &x.Request.Fields[i]
		if f.ID != exchange.XForwardedFor {
			continue
		}
		list := f.Value
		for len(list) > 0 {
			k := bytes.LastIndexByte(list, ',')
			a, err := netip.ParseAddr(string(exchange.Trim(list[k+1:])))
			if err != nil {
				return client
			}
			list = list[:max(k, 0)]
			client = a.Unmap()
			trusted := false
			for _, p := range c.srv.o.TrustedProxies {
				trusted = trusted || p.Contains(client)
			}
			if !trusted {
				return client
			}
		}
	}
	return client
}

// Received returns how many bytes of content have arrived.
func (b *body) Received() int64 { return b.total }

// finishBody reads the rest of a request body that nobody wanted, up to a
// limit, so that the next request begins where it should.
func (c *conn) finishBody() bool {
	u := c.u
	u.body.settleIfDone()
	left := c.srv.o.Limits.DiscardBytes
	for u.body.state != bodyDone {
		p, err := u.body.Next()
		if err == io.EOF {
			break
		}
		if left -= int64(len(p)); err != nil || left < 0 {
			c.linger()
			return false
		}
	}
	return !c.guard.Late()
}

// linger closes the sending side and reads on for a moment: closing with bytes
// unread resets the connection, and the reset may overtake the answer.
func (c *conn) linger() {
	u := c.u
	if c.guard.Late() || u == nil {
		return
	}
	u.body.settleIfDone()
	if u.body.state == bodyDone && u.in.r == u.in.w && u.x.Fault == nil {
		return // nothing unread, nothing on its way that we know of
	}
	if closeWrite(c.nc) != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{}) // an upload may have been interrupted
	c.guard.ReadWithin(2 * time.Second)
	for total := 0; total < 256<<10; {
		n, err := c.nc.Read(u.in.buf)
		total += n
		if err != nil {
			return
		}
	}
}

// Respond implements Responder.
func (c *conn) Respond(x *exchange.Exchange) error {
	u := c.u
	out := u.out[:0]
	if x.Tunnel != nil {
		c.keep = false
		out = appendResponseHead(out, x, true, false, c.srv.o.Dog.Date(), c.srv.o.Server)
		if err := c.send(out); err != nil {
			return err
		}
		return c.runTunnel(x)
	}
	if x.Fault != nil && x.Fault.Close || c.srv.draining.Load() {
		c.keep = false
	}
	if c.keep && !c.bodyWillEnd() {
		c.keep = false
	}
	body := x.ResponseBody
	if bodyless(x) {
		body = nil
	}
	chunked := false
	if body != nil && x.ResponseLength < 0 {
		if x.Proto == exchange.HTTP11 {
			chunked = true
		} else {
			c.keep = false
		}
	}
	out = appendResponseHead(out, x, c.keep, chunked, c.srv.o.Dog.Date(), c.srv.o.Server)
	out, err := c.sendBody(x, body, out, chunked)
	if err == nil && len(out) > 0 {
		// What is left to send is all in out, so the upstream's connection can
		// go back first: who has the whole answer may ask again at once, and
		// must not find it still in use. Not while the request is being sent:
		// Release waits for that, and the client should not.
		if call := x.Call; call != nil && !x.Uploading {
			x.Call = nil
			call.Release()
		}
		err = c.send(out)
	}
	u.out = out[:0]
	if err != nil {
		c.keep = false
		if body != nil && x.ResponseLength < 0 && !chunked && c.tcp != nil {
			// The end of the connection would say that this was all: a reset
			// does not.
			_ = c.tcp.SetLinger(0)
			_ = c.tcp.Close()
		}
	}
	return err
}

// bodyWillEnd reports whether what is left of the request's body can be
// expected to be read after the answer.
func (c *conn) bodyWillEnd() bool {
	if c.u.x.Uploading {
		return true // what comes of it shows after the answer
	}
	b := &c.u.body
	switch b.state {
	case bodyDone:
		return true
	case bodyBroken:
		return false
	}
	if !c.u.continued {
		// The client may wait for 100 or send anyway: nobody can tell what
		// the next byte is.
		return false
	}
	return b.state != bodyLength || b.remain <= c.srv.o.Limits.DiscardBytes
}

// sendBody streams the body behind what is in out. It returns what is still to
// be sent.
func (c *conn) sendBody(x *exchange.Exchange, body exchange.Body, out []byte, chunked bool) ([]byte, error) {
	if body == nil {
		return out, nil
	}
	left := x.ResponseLength
	for {
		if len(out) > 0 && !body.Ready() {
			if err := c.send(out); err != nil {
				return nil, err
			}
			out = out[:0]
		}
		if left >= spliceBytes && len(out) == 0 {
			n, err := c.splice(x, body, left)
			x.Sent += n
			left -= n
			if err != nil {
				return nil, err
			}
			if n > 0 {
				continue
			}
		}
		p, err := body.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			var f *fault.Fault
			if !c.started && errors.As(err, &f) {
				// Nothing has left yet: the client can be told.
				x.Fail(f)
				c.keep = c.keep && !f.Close && c.bodyWillEnd()
				out = appendResponseHead(out[:0], x, c.keep, false, c.srv.o.Dog.Date(), c.srv.o.Server)
				return append(out, f.Body()...), nil
			}
			return nil, err
		}
		x.Sent += int64(len(p))
		left -= int64(len(p))
		if chunked {
			out = appendChunkSize(out, len(p))
		}
		if len(out)+len(p) <= cap(out) {
			out = append(out, p...)
		} else {
			if err := c.sendBoth(out, p); err != nil {
				return nil, err
			}
			out = out[:0]
		}
		if chunked {
			out = append(out, "\r\n"...)
		}
	}
	if chunked {
		out = append(out, "0\r\n"...)
		for i := range x.Trailer.Fields {
			if f := &x.Trailer.Fields[i]; !f.Deleted() && !notInTrailer[f.ID] {
				out = appendField(out, f)
			}
		}
		out = append(out, "\r\n"...)
	}
	return out, nil
}

// notInTrailer are fields that frame or route a message; a trailer section
// cannot have them (RFC 9110, section 6.5.1).
var notInTrailer = func() (t [256]bool) {
	t = hopByHop
	t[exchange.Host], t[exchange.Authorization], t[exchange.ContentType] = true, true, true
	t[exchange.Cookie], t[exchange.Date], t[exchange.Expect] = true, true, true
	return
}()

func (c *conn) send(p []byte) error {
	c.started = true
	c.guard.WriteWithin(c.srv.o.Limits.WriteTimeout)
	_, err := c.w.Write(p)
	c.guard.WriteWithin(0)
	return err
}

// sendBoth sends two pieces, in one system call where that is possible.
func (c *conn) sendBoth(a, b []byte) error {
	if c.tls != nil || c.tcp == nil {
		if len(a) > 0 {
			if err := c.send(a); err != nil {
				return err
			}
		}
		return c.send(b)
	}
	c.started = true
	u := c.u
	u.vec = [2][]byte{a, b}
	u.bufs = u.vec[:]
	c.guard.WriteWithin(c.srv.o.Limits.WriteTimeout)
	_, err := u.bufs.WriteTo(c.tcp)
	c.guard.WriteWithin(0)
	return err
}

// spliceBytes is from where on a body is worth the system calls of splicing.
const spliceBytes = 64 << 10

// splicePiece is how much is spliced at once, and so what a client must take
// within one time for writing.
const splicePiece = 64 << 10

// splice moves a large body from one plaintext connection to another within
// the kernel, if that is possible. It leaves the end to the caller, who sees it
// as usual.
func (c *conn) splice(x *exchange.Exchange, b exchange.Body, left int64) (n int64, err error) {
	o, ok := b.(*Outbound)
	if !ok || c.tcp == nil || c.tls != nil || !canSplice {
		return 0, nil
	}
	up, ok := o.conn.(*net.TCPConn)
	if !ok || o.body.state != bodyLength || o.lim.BodyBytes > 0 {
		return 0, nil
	}
	o.body.settle()
	if o.in.r != o.in.w {
		return 0, nil // bytes at hand go first
	}
	u := c.u
	want := min(left, splicePiece)
	u.lift = io.LimitedReader{R: up, N: want}
	// How far a piece has come is only seen when the call ends. So its time for
	// reading is a deadline that can be set anew, which one of the watchdog
	// cannot: an upstream that sends a little now and then is slow, not silent.
	// What was read when the time ended has been written. A client that is late
	// is cut off: what it did not take is lost in the kernel's pipe. Its time
	// does not run while the upstream is waited for.
	for n < want {
		_ = up.SetReadDeadline(time.Now().Add(o.lim.AnswerTimeout))
		if o.guard.Late() { // woken just before
			err = os.ErrDeadlineExceeded
			break
		}
		c.guard.WriteWithin(o.lim.AnswerTimeout + c.srv.o.Limits.WriteTimeout)
		var k int64
		k, err = c.tcp.ReadFrom(&u.lift)
		n += k
		if err == nil && n < want {
			err = errTruncated
		}
		if err != nil && (k == 0 || c.guard.Late() || !errors.Is(err, os.ErrDeadlineExceeded)) {
			break
		}
		err = nil
	}
	c.guard.WriteWithin(0)
	_ = up.SetReadDeadline(time.Time{})
	o.body.remain -= n
	o.body.total += n
	if err != nil {
		o.broken = true
	}
	return n, err
}

// runTunnel carries bytes both ways until both sides have ended.
func (c *conn) runTunnel(x *exchange.Exchange) error {
	up := x.Tunnel
	c.mu.Lock()
	c.tunnel = up
	gone := c.gone
	c.mu.Unlock()
	if gone {
		return net.ErrClosed
	}
	u := c.u
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if rest := u.in.unread(); len(rest) > 0 {
			_, err = up.Write(rest)
			u.in.r = u.in.w
		}
		if err == nil {
			var n int64
			n, err = io.Copy(up, onlyReader{c.nc})
			x.Received += n
		}
		if err != nil {
			// Not an end but an accident: nobody waits for the other side.
			_ = up.Close()
			return
		}
		if w, ok := up.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
		// WebSocket does not know half of a connection: an upstream that does
		// not end its own half has not understood. It gets as long as the
		// client does below.
		if w, ok := up.(interface{ readWithin(time.Duration) }); ok {
			w.readWithin(c.srv.o.Limits.BodyTimeout)
		}
	}()
	n, err := io.Copy(onlyWriter{c.nc}, onlyReader{up})
	x.Sent += n
	_ = closeWrite(c.nc)
	if err != nil {
		_ = up.Close()
	}
	// The upstream has said its last: the client gets as long as a body does
	// to say its own.
	c.guard.ReadWithin(c.srv.o.Limits.BodyTimeout)
	<-done
	return err
}

// onlyReader and onlyWriter keep io.Copy from going round our own reading.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }
