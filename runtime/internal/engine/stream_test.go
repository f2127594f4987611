package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
)

// echo answers each request with the content it had.
func echo(b *backend, w *wire) {
	for {
		_, body, good := b.request(w)
		if !good || w.trySend(ok(body)) != nil {
			return
		}
	}
}

func TestKeepAlive(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		b := newBackend(t, echo)
		g := newGateway(t, o, b.url)
		c := g.dial()
		for i := range 20 {
			body := strings.Repeat("x", i*i*i)
			switch i % 3 {
			case 0:
				c.send(getRequest)
				c.wantAnswer(200, "")
			case 1:
				c.send(postRequest(body))
				c.wantAnswer(200, body)
			case 2:
				c.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body))
				c.wantAnswer(200, body)
			}
		}
		if n := b.conns.Load(); n != 1 {
			t.Errorf("%d connections to the upstream, want 1", n)
		}
	})
}

func TestOneByteAtATime(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		b := newBackend(t, echo)
		g := newGateway(t, o, b.url)
		c := g.dial()
		for _, s := range []string{postRequest("hi"),
			"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x\r\ni\r\n0\r\nA: b\r\n\r\n"} {
			for i := range len(s) {
				c.send(s[i : i+1])
			}
			c.wantAnswer(200, "hi")
		}
	})
}

func TestPipelining(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		b := newBackend(t, echo)
		g := newGateway(t, o, b.url)
		c := g.dial()
		c.send(postRequest("1") + getRequest + postRequest("2") + "GET /../ HTTP/1.1\r\nHost: h\r\n\r\n" +
			"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n3\r\n0\r\n\r\n" + postRequest("4"))
		c.wantAnswer(200, "1")
		c.wantAnswer(200, "")
		c.wantAnswer(200, "2")
		c.wantFault(fault.BadPath)
		c.wantAnswer(200, "3")
		c.wantAnswer(200, "4")
	})
}

// Requests that do not wait for answers are served only so many in a row.
func TestPipeliningLimit(t *testing.T) {
	b := newBackend(t, echo)
	g := newGateway(t, options{limits: func(l *http1.Limits) { l.Pipelined = 3 }}, b.url)
	c := g.dial()
	c.send(strings.Repeat(getRequest, 10))
	for i := range 4 { // the first, and three behind it
		if a := c.wantAnswer(200, ""); a.Close != (i == 3) {
			t.Errorf("answer %d: close is %v", i, a.Close)
		}
	}
	c.wantEnd()
	if n := len(b.got()); n != 4 {
		t.Errorf("upstream got %d requests, want 4", n)
	}
}

// A request far larger than the read buffer leaves the next one in step.
func TestPipelinedBehindLargeBody(t *testing.T) {
	b := newBackend(t, echo)
	g := newGateway(t, options{}, b.url)
	c := g.dial()
	body := strings.Repeat("0123456789abcdef", 16<<10)
	go func() { _ = c.trySend(postRequest(body) + postRequest("next")) }()
	c.wantAnswer(200, body)
	c.wantAnswer(200, "next")
}

// Events pass at once: each is awaited before the next is made.
func TestEventsPassAtOnce(t *testing.T) {
	framings := []struct {
		name, head string
		event      func(string) string
	}{
		{"chunks", "Transfer-Encoding: chunked\r\n", func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }},
		{"until close", "", func(s string) string { return s }},
		{"length", "Content-Length: 1000000\r\n", func(s string) string { return s }},
	}
	both(t, func(t *testing.T, o options) {
		for _, f := range framings {
			t.Run(f.name, func(t *testing.T) {
				next := make(chan string)
				b := newBackend(t, func(b *backend, w *wire) {
					b.request(w)
					w.send("HTTP/1.1 200 OK\r\n" + f.head + "\r\n")
					for s := range next {
						w.send(f.event(s))
					}
				})
				g := newGateway(t, o, b.url)
				c := g.dial()
				c.send(getRequest)
				head := c.head() // before there is any event
				chunked := strings.Contains(head, "chunked")
				for i := range 10 {
					s := fmt.Sprintf("data: %d\n\n", i)
					next <- s
					if chunked {
						s = fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
					}
					c.want(s)
				}
				close(next)
			})
		}
	})
}

// A request body streams as well: what the client has sent arrives before it
// sends more.
func TestUploadPassesAtOnce(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		got := make(chan string)
		b := newBackend(t, func(b *backend, w *wire) {
			b.record(w.head())
			got <- "head"
			for range 5 {
				got <- w.take(len("2\r\nhi\r\n"))
			}
			got <- w.take(len("0\r\n\r\n"))
			w.send(ok("done"))
		})
		g := newGateway(t, o, b.url)
		c := g.dial()
		c.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := range 5 {
			c.send("2;x=y\r\nhi\r\n")
			if i == 0 {
				<-got // the head goes with the first piece
			}
			if s := <-got; s != "2\r\nhi\r\n" {
				t.Errorf("upstream got %q", s)
			}
		}
		c.send("0\r\n\r\n")
		if s := <-got; s != "0\r\n\r\n" {
			t.Errorf("upstream got %q", s)
		}
		c.wantAnswer(200, "done")
	})
}

// An upstream that answers while it reads does not lock anybody up.
func TestEchoWhileReading(t *testing.T) {
	const size = 8 << 20
	both(t, func(t *testing.T, o options) {
		b := newBackend(t, func(b *backend, w *wire) {
			head := w.head()
			w.send("HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(size) + "\r\n\r\n")
			if strings.Contains(head, "chunked") {
				for n := int64(1); n > 0; {
					if _, err := fmt.Fscanf(w.r, "%x\r\n", &n); err != nil {
						t.Error(err)
						return
					}
					if _, err := io.CopyN(w.Conn, w.r, n); err != nil {
						t.Error(err)
					}
					w.want("\r\n")
				}
			} else if _, err := io.CopyN(w.Conn, w.r, size); err != nil {
				t.Error(err)
			}
		})
		g := newGateway(t, o, b.url)
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		for _, chunked := range []bool{false, true} {
			c := g.dial()
			go func() {
				if !chunked {
					_ = c.trySend("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(size) + "\r\n\r\n")
					_ = c.trySend(string(body))
					return
				}
				_ = c.trySend("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 100_000)
					_ = c.trySend(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
					rest = rest[n:]
				}
				_ = c.trySend("0\r\n\r\n")
			}()
			c.wantAnswer(200, string(body))
		}
	})
}

func TestExpect(t *testing.T) {
	const head = "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
	const chunkedHead = "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	both(t, func(t *testing.T, o options) {
		var passed atomic.Bool
		var refuse atomic.Bool
		o.stages = []engine.Stage{{Request: func(x *exchange.Exchange) error {
			if refuse.Load() {
				return fault.MissingCredentials
			}
			passed.Store(true)
			return nil
		}}}
		b := newBackend(t, echo)
		g := newGateway(t, o, b.url)
		t.Run("waits", func(t *testing.T) {
			c := g.dial()
			for _, s := range []string{head + "|hi", chunkedHead + "|2\r\nhi\r\n0\r\n\r\n"} {
				head, body, _ := strings.Cut(s, "|")
				passed.Store(false)
				c.send(head)
				c.want(goOn)
				if !passed.Load() {
					t.Error("told to go on before the stages")
				}
				c.send(body)
				c.wantAnswer(200, "hi")
			}
		})
		t.Run("does not wait", func(t *testing.T) {
			c := g.dial()
			c.send(head + "hi")
			c.wantAnswer(200, "hi")
		})
		t.Run("1.0", func(t *testing.T) {
			c := g.dial()
			c.send(strings.Replace(head, "1.1", "1.0", 1))
			c.send("hi")
			c.wantAnswer(200, "hi")
		})
		t.Run("refused", func(t *testing.T) {
			refuse.Store(true)
			defer refuse.Store(false)
			c := g.dial()
			c.send(head)
			if a := c.wantFault(fault.MissingCredentials); !a.Close {
				t.Error("the connection would go on; nobody knows whether the body comes")
			}
			if !o.tls {
				c.closeWrite()
			}
			c.wantEnd()
		})
		for _, h := range b.got() {
			if strings.Contains(h, "Expect") {
				t.Errorf("upstream got\n%s", h)
			}
		}
	})
	t.Run("upstream refused", func(t *testing.T) {
		g := newGateway(t, options{}, "http://"+refusing(t))
		c := g.dial()
		c.send(head)
		if a := c.wantFault(fault.UpstreamUnavailable); !a.Close {
			t.Error("the connection would go on")
		}
	})
}

// A body that nobody wants is read up to a limit, or the connection closes:
// rule 4 of the engine. In no case is it taken for the next request.
func TestUnreadBody(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	body := strings.Repeat(smuggled, 100)
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	tests := []struct {
		name, request string
		discard       int64
		closes        bool
	}{
		{"length", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), 64 << 10, false},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n" + chunked, 64 << 10, false},
		{"long", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), 100, true},
		{"long in chunks", "Transfer-Encoding: chunked\r\n\r\n" + chunked, 100, true},
		{"malformed chunks", "Transfer-Encoding: chunked\r\n\r\nx\r\n" + smuggled, 64 << 10, true},
	}
	both(t, func(t *testing.T, o options) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				o := o
				o.limits = func(l *http1.Limits) { l.DiscardBytes = test.discard }
				o.stages = []engine.Stage{{Request: func(x *exchange.Exchange) error {
					if string(x.Path) == "/refused" {
						return fault.ScopeMissing
					}
					return nil
				}}}
				b := newBackend(t, echo)
				g := newGateway(t, o, b.url)
				c := g.dial()
				c.send("POST /refused HTTP/1.1\r\nHost: h\r\n" + test.request + getRequest)
				c.wantFault(fault.ScopeMissing)
				if test.closes {
					if !o.tls {
						c.closeWrite()
					}
					c.wantEnd()
				} else {
					c.wantAnswer(200, "")
				}
				for _, h := range b.got() {
					if strings.Contains(h, "smuggled") {
						t.Errorf("upstream got\n%s", h)
					}
				}
			})
		}
	})
}

const (
	upgrade  = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: v\r\n\r\n"
)

func TestTunnel(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		patiently(t, func(t testing.TB, unit time.Duration) {
			o.limits = func(l *http1.Limits) {
				l.HeadTimeout, l.IdleTimeout, l.AnswerTimeout = 2*unit, 2*unit, 2*unit
			}
			b := newBackend(t, func(b *backend, w *wire) {
				b.record(w.head())
				w.send(switched + "hello")
				w.want("early")
				for range 3 {
					w.want("ping")
					w.send("pong")
				}
				// The client has no more to say, which is no reason to be silent.
				if s, _ := w.rest(); s != "last" {
					t.Errorf("upstream got %q", s)
				}
				w.send("goodbye")
			})
			g := newGateway(t, o, b.url)
			c := g.dial()
			c.send(upgrade + "early")
			c.want("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: v\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
			for range 3 {
				// None of the exchange's time-outs is a tunnel's.
				now := g.dog.Now()
				waitFor(t, "time passes", func() bool { return g.dog.Now() > now+int64(4*unit) })
				c.send("ping")
				c.want("pong")
			}
			c.send("last")
			c.closeWrite()
			c.want("goodbye")
			c.wantEnd()
			head := b.got()[0]
			for _, want := range []string{"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Key: k\r\n"} {
				if !strings.Contains(head, want) {
					t.Errorf("upstream got\n%s", head)
				}
			}
		})
	})
}

func TestTunnelEndsFromUpstream(t *testing.T) {
	got := make(chan string, 1)
	b := newBackend(t, func(b *backend, w *wire) {
		w.head()
		w.send(switched)
		w.closeWrite()
		s, _ := w.rest()
		got <- s
	})
	g := newGateway(t, options{}, b.url)
	c := g.dial()
	c.send(upgrade)
	c.want("HTTP/1.1 101 Switching Protocols\r\n")
	c.head()
	c.wantEnd() // of what the upstream has to say
	c.send("still here")
	c.closeWrite()
	if s := <-got; s != "still here" {
		t.Errorf("upstream got %q", s)
	}
}

// An upstream that stays although the client has gone is left.
func TestTunnelEndsWithoutUpstream(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		hold := make(chan struct{})
		b := newBackend(t, func(b *backend, w *wire) {
			w.head()
			w.send(switched)
			w.gone()
			<-hold
		})
		t.Cleanup(func() { close(hold) })
		o.limits = func(l *http1.Limits) { l.BodyTimeout = tick }
		g := newGateway(t, o, b.url)
		c := g.dial()
		c.send(upgrade)
		c.head()
		c.Close()
		waitFor(t, "the exchange ends", func() bool { return g.seen.count.Load() == 1 })
	})
}

// A client that breaks off does not leave the upstream hanging.
func TestTunnelBreaks(t *testing.T) {
	ended := make(chan struct{})
	b := newBackend(t, func(b *backend, w *wire) {
		w.head()
		w.send(switched)
		w.gone()
		close(ended)
	})
	g := newGateway(t, options{}, b.url)
	c := g.dial()
	c.send(upgrade)
	c.head()
	c.reset()
	<-ended
	waitFor(t, "the exchange ends", func() bool { return g.seen.count.Load() == 1 })
}

func TestUpgradeNotTaken(t *testing.T) {
	tests := []struct {
		name, request, answer string
		status                int
		asked                 bool
	}{
		{"refused", upgrade, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, true},
		{"ignored", upgrade, ok("plain"), 200, true},
		{"something else", upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502, true},
		{"nothing", upgrade, "HTTP/1.1 101 Switching Protocols\r\n\r\n", 502, true},
		{"with content", "POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi", ok(""), 200, false},
		{"h2c", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", ok(""), 200, false},
		{"1.0", strings.Replace(strings.Replace(upgrade, "1.1", "1.0", 1), "Upgrade\r\n", "Upgrade, keep-alive\r\n", 1), ok(""), 200, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(t, always(test.answer))
			g := newGateway(t, options{}, b.url)
			c := g.dial()
			c.send(test.request)
			if a := c.answer("GET"); a.StatusCode != test.status {
				t.Errorf("got %d, want %d", a.StatusCode, test.status)
			}
			if asked := strings.Contains(b.got()[0], "Upgrade: websocket\r\n"); asked != test.asked {
				t.Errorf("upstream got\n%s", b.got()[0])
			}
			c.send("GET /../ HTTP/1.1\r\nHost: h\r\n\r\n")
			c.wantFault(fault.BadPath)
		})
	}
}

// Large bodies go through in both directions and memory stays flat.
func TestLargeBodies(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled {
		size = 128 << 20
	}
	piece := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	pour := func(w *wire, size int64) {
		for ; size > 0; size -= int64(len(piece)) {
			if _, err := w.Write(piece); err != nil {
				t.Error(err)
				return
			}
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC() // what is not garbage
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	drain := func(w *wire, size int64) (most int64) {
		buf := make([]byte, 256<<10)
		for i := 0; size > 0; i++ {
			n, err := w.r.Read(buf[:min(size, int64(len(buf)))])
			size -= int64(n)
			if err != nil {
				t.Errorf("%d bytes are missing: %v", size, err)
				return
			}
			if i%256 == 0 {
				most = max(most, heap())
			}
		}
		return most
	}
	b := newBackend(t, func(b *backend, w *wire) {
		for {
			head := w.head()
			switch {
			case head == "":
				return
			case strings.HasPrefix(head, "GET"):
				w.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
				pour(w, size)
			default:
				w.send(ok(fmt.Sprint(drain(w, size))))
			}
		}
	})
	g := newGateway(t, options{}, b.url)
	c := g.dial()
	c.send(getRequest) // warm
	c.head()
	drain(c, size/16)
	before := heap()
	most := drain(c, size-size/16)
	go func() {
		c.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size))
		pour(c, size)
	}()
	var up int64
	if _, err := fmt.Sscan(c.answer("POST").body, &up); err != nil {
		t.Error(err)
	}
	for _, peak := range []int64{most, up} {
		if grown := peak - before; grown > 4<<20 {
			t.Errorf("the heap grew by %d KiB", grown>>10)
		}
	}
}

// Heads larger than the read buffer, where the limits allow them, with bodies
// behind them.
func TestLargeHeads(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		o.limits = func(l *http1.Limits) { l.HeadBytes = 100_000 }
		field := "X-Large: " + strings.Repeat("x", 90_000) + "\r\n"
		b := newBackend(t, func(b *backend, w *wire) {
			for {
				head, body, good := b.request(w)
				if !good {
					return
				}
				if !strings.Contains(head, field) {
					t.Error("the field has not arrived")
				}
				if w.trySend(strings.Replace(ok(body), "\r\n", "\r\n"+field, 1)) != nil {
					return
				}
			}
		})
		g := newGateway(t, o, b.url)
		c := g.dial()
		for _, body := range []string{"", "hi", strings.Repeat("0123456789abcdef", 32<<10)} {
			go func() { _ = c.trySend(strings.Replace(postRequest(body), "Host", field+"Host", 1)) }()
			if a := c.wantAnswer(200, body); len(a.Header.Get("X-Large")) != 90_000 {
				t.Error("the field has not come back")
			}
		}
	})
}
