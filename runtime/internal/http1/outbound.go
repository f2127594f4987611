package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// inlineBytes is how much of a request body is sent before the answer is
// looked at. What is longer is sent by a goroutine of its own, so that an
// upstream that answers while it reads cannot lock us up.
const inlineBytes = 64 << 10

// An Outbound is a connection to an upstream. One goroutine uses it at a time.
type Outbound struct {
	conn net.Conn
	socket
	guard watchdog.Guard
	lim   *Limits
	in    stream
	out   io.Writer
	mem   *[]byte // in.buf's home while the connection is in use

	body     body
	fr       framing
	sent     bool // the request was sent whole
	answered bool // something of an answer has arrived
	broken   bool
	pump     *pump
	raw      syscall.RawConn // to peek at; nil if that is not possible
	peek     func(fd uintptr) bool
	stale    bool

	// Since is when it became idle, on the watchdog's clock. It belongs to
	// the pool.
	Since int64
	home  Home
	shard uint32
}

// A Home takes a connection back when an exchange has ended. shard is the
// exchange's.
type Home interface {
	Back(o *Outbound, shard uint32, usable bool)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// NewOutbound makes conn ready for requests.
func NewOutbound(conn net.Conn, dog *watchdog.Dog, lim *Limits, home Home) *Outbound {
	o := &Outbound{conn: conn, lim: lim, home: home}
	o.in.src, o.out = o.socket.of(conn)
	o.body.before = func() { o.guard.ReadWithin(o.lim.AnswerTimeout) }
	o.body.after = func() { o.guard.ReadWithin(0) } // a slow client is no slow upstream
	o.raw, o.peek = rawConn(conn), o.peekOnce
	dog.Watch(&o.guard, conn)
	return o
}

// Close ends the connection.
func (o *Outbound) Close() {
	o.guard.Release()
	_ = o.conn.Close()
}

// Stale reports whether the upstream has closed the idle connection or sent
// something that nobody asked for. It costs a system call.
func (o *Outbound) Stale() bool {
	o.stale = false
	o.peekConn()
	return o.stale
}

// Doubtful reports whether the last answer announced content that it could not
// have (to HEAD, or with 204 or 304): an upstream that sends it all the same
// does so any moment now.
func (o *Outbound) Doubtful() bool { return o.fr.none && o.fr.length != 0 }

// Answered reports whether anything of an answer to the last request arrived.
func (o *Outbound) Answered() bool { return o.answered }

// Send sends x and reads the answer's head into it. The error is a
// *fault.Fault. Whatever happens, Release must follow.
func (o *Outbound) Send(x *exchange.Exchange, t *Target) error {
	o.mem = buffers.Get().(*[]byte)
	o.in.buf = *o.mem
	o.shard = x.Shard
	o.in.base, o.in.r, o.in.w = 0, 0, 0
	o.sent, o.answered, o.broken, o.pump = false, false, false, nil
	// The request leaves before anything is read, so one buffer does for both.
	out := appendRequestHead(o.in.buf[:0], x, t)
	if err := o.sendRequest(x, out); err != nil {
		o.broken = true
		return err
	}
	if err := o.readHead(x); err != nil {
		o.broken = true
		if p := o.pump; p != nil {
			// The request may have ended first, by the client's fault.
			if f := p.fault(); f != nil {
				return f
			}
		}
		return err
	}
	return nil
}

// sendRequest sends the head and as much of the body as can be sent without
// losing sight of the answer.
func (o *Outbound) sendRequest(x *exchange.Exchange, out []byte) error {
	b := x.RequestBody
	chunked := x.RequestLength < 0
	left := x.RequestLength
	for b != nil {
		p, err := b.Next()
		if err == io.EOF {
			if chunked {
				out = append(out, "0\r\n\r\n"...)
			}
			b = nil
			break
		}
		if err != nil {
			return clientFault(err)
		}
		if chunked {
			out = appendChunkSize(out, len(p))
		}
		out = append(out, p...)
		if chunked {
			out = append(out, "\r\n"...)
		}
		left -= int64(len(p))
		if b.Ready() && len(out) < inlineBytes {
			continue
		}
		if chunked || left > inlineBytes {
			if err := o.write(out); err != nil {
				return err
			}
			x.Uploading = true
			o.pump = startPump(o, x, chunked)
			return nil
		}
		if len(out) >= inlineBytes {
			if err := o.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	if len(out) > 0 {
		if err := o.write(out); err != nil {
			return err
		}
	}
	o.sent = true
	return nil
}

func (o *Outbound) write(p []byte) error {
	o.guard.WriteWithin(o.lim.WriteTimeout)
	_, err := o.out.Write(p)
	o.guard.WriteWithin(0)
	if err != nil {
		return o.fault(err)
	}
	return nil
}

// fault says what an error of the connection means to the client.
func (o *Outbound) fault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.UpstreamTimeout.Because(err)
	}
	if err == io.EOF {
		err = errNoAnswer
	}
	return fault.UpstreamBroken.Because(err)
}

var (
	errNoAnswer = errors.New("upstream closed the connection without an answer")
	errSwitched = errors.New("upstream switched protocols unasked")
	errInterim  = errors.New("too many interim answers")
)

// clientFault says what an error of a request body means.
func clientFault(err error) error {
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return f
	case err == errTooLarge:
		return fault.ContentTooLarge.Because(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.RequestTimeout.Because(err)
	default:
		return fault.BadRequest.Because(err)
	}
}

// readHead reads the head of the final answer into x.
func (o *Outbound) readHead(x *exchange.Exchange) error {
	isHead := string(x.Method) == "HEAD"
	if o.pump == nil {
		// Else the time begins when the request has been sent.
		o.guard.ReadWithin(o.lim.AnswerTimeout)
	}
	// The answer is not here yet. Let others run first: under load it will be
	// when this goroutine's turn comes, which saves a failing read and a trip
	// through the poller, together a twentieth of a request.
	runtime.Gosched()
	for interim := 0; ; interim++ {
		n, err := o.parseHead(x, isHead)
		if err != nil {
			return err
		}
		o.in.r += n
		if x.Status >= 200 {
			break
		}
		if x.Status == 101 {
			if !x.WebSocket || !websocketAnswer(&x.Response) {
				return fault.UpstreamBroken.Because(errSwitched)
			}
			o.guard.ReadWithin(0)
			o.in.hold()
			o.broken = true // for requests, from now on
			x.ResponseBody, x.ResponseLength = nil, 0
			x.Tunnel = &outboundTunnel{o}
			return nil
		}
		if interim >= o.lim.Interim {
			return fault.UpstreamBroken.Because(errInterim)
		}
	}
	if o.pump != nil {
		o.pump.heard()
	}
	o.guard.ReadWithin(0)
	o.in.hold()
	x.ResponseLength = o.fr.length
	var trailer *exchange.Header
	if x.Trailers {
		trailer = &x.Trailer
	}
	o.body.start(&o.in, &o.fr, o.lim, trailer)
	x.ResponseBody = nil
	if o.fr.hasBody() {
		if o.lim.BodyBytes > 0 && o.fr.length > o.lim.BodyBytes {
			return fault.UpstreamBroken.Because(errTooLarge)
		}
		x.ResponseBody = o
	}
	return nil
}

func websocketAnswer(h *exchange.Header) bool {
	u := h.Find(exchange.Upgrade)
	return u != nil && exchange.EqualFold(u.Value, "websocket")
}

// parseHead reads until a head can be parsed.
func (o *Outbound) parseHead(x *exchange.Exchange, isHead bool) (n int, err error) {
	for {
		if o.in.r < o.in.w {
			n, o.fr, err = parseResponse(o.in.unread(), &x.Status, &x.Response, isHead, o.lim)
			if err == nil {
				return n, nil
			}
			if err != ErrMore {
				return 0, fault.UpstreamBroken.Because(err)
			}
			if !o.in.room(o.in.r + o.lim.HeadBytes + 1) {
				return 0, fault.UpstreamBroken.Because(errHeadTooLong)
			}
		}
		if err := o.in.fill(); err != nil {
			return 0, o.fault(err)
		}
		o.answered = true
	}
}

// Next implements exchange.Body: it is the answer's body.
func (o *Outbound) Next() ([]byte, error) {
	p, err := o.body.Next()
	if err != nil && err != io.EOF {
		o.broken = true
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fault.UpstreamTimeout.Because(err)
		}
		return nil, fault.UpstreamBroken.Because(err)
	}
	return p, err
}

// Ready implements exchange.Body.
func (o *Outbound) Ready() bool { return o.body.Ready() }

// Release implements exchange.Call. The connection goes on only if the request
// was sent whole, the answer read whole, and nothing more has arrived.
func (o *Outbound) Release() {
	if o.pump != nil {
		o.sent = o.pump.end() && !o.broken
		o.pump = nil
	}
	o.guard.ReadWithin(0)
	o.body.settleIfDone()
	usable := o.sent && !o.broken && o.fr.keepAlive && o.body.state == bodyDone && o.in.r == o.in.w && !o.guard.Late()
	if o.mem != nil {
		if cap(o.in.buf) == bufferSize {
			*o.mem = o.in.buf
		}
		buffers.Put(o.mem)
		o.mem, o.in.buf = nil, nil
	}
	o.in.base, o.in.r, o.in.w = 0, 0, 0
	o.home.Back(o, o.shard, usable)
}

// settleIfDone ends a body of known length whose last piece was handed out, so
// that nobody has to ask for the end.
func (b *body) settleIfDone() {
	if b.in != nil && b.state == bodyLength && b.remain == int64(b.last) {
		b.settle()
		b.state = bodyDone
	}
}

// A pump sends the rest of a request body while its owner reads the answer.
type pump struct {
	o    *Outbound
	body exchange.Body
	done chan struct{}

	mu       sync.Mutex
	err      *fault.Fault // the client's; guarded by mu
	ok       bool         // guarded by mu
	answered bool         // guarded by mu
}

func startPump(o *Outbound, x *exchange.Exchange, chunked bool) *pump {
	p := &pump{o: o, body: x.RequestBody, done: make(chan struct{})}
	go p.run(chunked)
	return p
}

func (p *pump) run(chunked bool) {
	defer close(p.done)
	defer p.sent()
	var frame []byte
	for {
		piece, err := p.body.Next()
		if err == io.EOF {
			if chunked && p.o.write([]byte("0\r\n\r\n")) != nil {
				return
			}
			p.mu.Lock()
			p.ok = true
			p.mu.Unlock()
			return
		}
		if err != nil {
			var f *fault.Fault
			errors.As(clientFault(err), &f)
			p.mu.Lock()
			p.err = f
			p.mu.Unlock()
			// The owner waits for an answer to a request that will never be
			// whole.
			p.o.guard.Interrupt()
			return
		}
		out := piece
		if chunked {
			frame = appendChunkSize(frame[:0], len(piece))
			frame = append(frame, piece...)
			frame = append(frame, "\r\n"...)
			out = frame
		}
		if p.o.write(out) != nil {
			return // an upstream that answers early may stop reading: look at the answer
		}
	}
}

// sent begins the time for the answer. Only now does the upstream owe one:
// until here a slow client may have been the reason for silence, and it has a
// time-out of its own.
func (p *pump) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.answered {
		p.o.guard.ReadWithin(p.o.lim.AnswerTimeout)
	}
}

// heard says that the answer has begun: its reader minds the time from now on.
func (p *pump) heard() {
	p.mu.Lock()
	p.answered = true
	p.mu.Unlock()
}

// fault returns why the request did not end, if it was the client's fault.
func (p *pump) fault() *fault.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// end waits for the pump after the answer and reports whether the request was
// sent whole. One that is not nearly done is stopped: the upstream has answered
// without it.
func (p *pump) end() bool {
	select {
	case <-p.done:
	default:
		t := time.NewTimer(50 * time.Millisecond)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
			_ = p.o.conn.SetWriteDeadline(time.Unix(1, 0))
			if i, ok := p.body.(interface{ Interrupt() }); ok {
				i.Interrupt()
			}
			<-p.done
			// Even if it has come to its end in this very moment: the
			// connection's deadline for writing is in the past now.
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ok
}

// An outboundTunnel is the upstream's end of a tunnel.
type outboundTunnel struct{ o *Outbound }

// Read implements io.Reader: first what arrived with the answer's head.
func (t *outboundTunnel) Read(p []byte) (int, error) {
	if in := &t.o.in; in.r < in.w {
		n := copy(p, in.unread())
		in.r += n
		return n, nil
	}
	return t.o.conn.Read(p)
}

// Write implements io.Writer.
func (t *outboundTunnel) Write(p []byte) (int, error) { return t.o.conn.Write(p) }

// Close implements io.Closer.
func (t *outboundTunnel) Close() error { return t.o.conn.Close() }

// readWithin bounds what Read waits from now on.
func (t *outboundTunnel) readWithin(d time.Duration) { t.o.guard.ReadWithin(d) }

// CloseWrite says that nothing more will be sent.
func (t *outboundTunnel) CloseWrite() error { return closeWrite(t.o.conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
