package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/upstream"
)

// Time-outs: each with its status, and never for somebody else's slowness.
func TestTimeouts(t *testing.T) {
	silent := func(b *backend, w *wire) { b.request(w); w.gone() }
	both(t, func(t *testing.T, o options) {
		run := func(name string, set func(*http1.Limits, time.Duration), script func(*backend, *wire), f func(t testing.TB, unit time.Duration, g *gateway, c *wire)) {
			t.Run(name, func(t *testing.T) {
				patiently(t, func(t testing.TB, unit time.Duration) {
					o := o
					o.limits = func(l *http1.Limits) { set(l, unit) }
					b := newBackend(t, script)
					g := newGateway(t, o, b.url)
					f(t, unit, g, g.dial())
				})
			})
		}
		head := func(l *http1.Limits, unit time.Duration) { l.HeadTimeout = unit }
		body := func(l *http1.Limits, unit time.Duration) { l.BodyTimeout = unit }
		idle := func(l *http1.Limits, unit time.Duration) { l.IdleTimeout = unit }
		answer := func(l *http1.Limits, unit time.Duration) { l.AnswerTimeout = unit }

		run("half a head", head, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("GET /a HTTP/1.1\r\nHos")
			c.wantFault(fault.RequestTimeout)
			c.wantEnd()
		})
		run("half a line", head, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("G")
			c.wantFault(fault.RequestTimeout)
			c.wantEnd()
		})
		run("a head in drips", head, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("GET /a HTTP/1.1\r\nA: ")
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(unit / 10):
						_ = c.trySend("a")
					}
				}
			}()
			c.wantFault(fault.RequestTimeout)
			close(stop)
		})
		run("nothing", idle, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.wantEnd()
		})
		run("nothing after an answer", idle, echo, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send(getRequest)
			c.wantAnswer(200, "")
			c.wantEnd()
		})
		run("half a body", body, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh")
			c.wantFault(fault.RequestTimeout)
			c.wantEnd()
		})
		run("half a chunked body", body, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
			c.wantFault(fault.RequestTimeout)
			c.wantEnd()
		})
		run("half a long body", body, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nhi")
			c.wantFault(fault.RequestTimeout)
			c.wantEnd()
		})
		run("no body after 100", body, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
			c.want("HTTP/1.1 100 Continue\r\n\r\n")
			c.wantFault(fault.RequestTimeout)
		})
		run("no answer", answer, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			for range 2 { // the client's connection goes on
				c.send(getRequest)
				c.wantFault(fault.UpstreamTimeout)
			}
		})
		run("no answer to a POST", answer, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send(postRequest("hi"))
			c.wantFault(fault.UpstreamTimeout)
		})
		run("no answer to a long POST", answer, silent, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			for range 2 {
				c.send(postRequest(strings.Repeat("x", 300_000)))
				c.wantFault(fault.UpstreamTimeout)
			}
		})
		run("half an answer's head", answer, func(b *backend, w *wire) {
			b.request(w)
			w.send("HTTP/1.1 200 OK\r\nConte")
			w.gone()
		}, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send(getRequest)
			c.wantFault(fault.UpstreamTimeout)
		})
		run("half an answer's body", answer, func(b *backend, w *wire) {
			b.request(w)
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			w.gone()
		}, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send(getRequest)
			if a := c.answer("GET"); a.body != "hel" || a.err == nil {
				t.Errorf("got %q, %v", a.body, a.err)
			}
		})
		// Neither the upstream nor the client pays for the other's pace.
		run("slow upload, impatient with the upstream", answer, echo, func(t testing.TB, unit time.Duration, g *gateway, c *wire) {
			c.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 2 {
				c.send("2\r\nhi\r\n")
				g.pass(4 * unit)
			}
			c.send("0\r\n\r\n")
			c.wantAnswer(200, "hihi")
		})
	})
}

// pass waits until d has gone by.
func (g *gateway) pass(d time.Duration) {
	g.t.Helper()
	now := g.dog.Now()
	waitFor(g.t, "time passes", func() bool { return g.dog.Now() > now+int64(d) })
}

// The client's time-outs are not running while the upstream thinks or speaks.
func TestLongAnswer(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		patiently(t, func(t testing.TB, unit time.Duration) {
			o.limits = func(l *http1.Limits) {
				l.HeadTimeout, l.BodyTimeout, l.IdleTimeout, l.WriteTimeout = 2*unit, 2*unit, 2*unit, 2*unit
			}
			var g *gateway
			b := newBackend(t, func(b *backend, w *wire) {
				for {
					if _, _, good := b.request(w); !good {
						return
					}
					g.pass(3 * unit)
					_ = w.trySend("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
					g.pass(3 * unit)
					_ = w.trySend("hi")
				}
			})
			g = newGateway(t, o, b.url)
			c := g.dial()
			c.send(postRequest("x"))
			c.wantAnswer(200, "hihi")
			c.send(getRequest)
			c.wantAnswer(200, "hihi")
		})
	})
}

// A client that takes nothing is cut off, and the upstream with it.
func TestClientDoesNotRead(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		o.limits = func(l *http1.Limits) { l.WriteTimeout = tick }
		cut := make(chan struct{})
		b := newBackend(t, func(b *backend, w *wire) {
			b.request(w)
			_ = w.trySend("HTTP/1.1 200 OK\r\n\r\n")
			for w.trySend(strings.Repeat("x", 1<<20)) == nil {
			}
			close(cut)
		})
		g := newGateway(t, o, b.url)
		c := g.dial()
		c.send(getRequest)
		<-cut
	})
}

func TestUpstreamDoesNotRead(t *testing.T) {
	hold := make(chan struct{})
	b := newBackend(t, func(b *backend, w *wire) { <-hold })
	t.Cleanup(func() { close(hold) })
	g := newGateway(t, options{limits: func(l *http1.Limits) { l.WriteTimeout, l.AnswerTimeout = tick, tick }}, b.url)
	c := g.dial()
	go func() { _ = c.trySend(postRequest(strings.Repeat("x", 64<<20))) }()
	c.wantFault(fault.UpstreamTimeout)
}

// A client that goes away in the middle of its request: the upstream sees a
// request cut short, never one that seems whole, and its connection is not used
// again.
func TestClientAbortsRequest(t *testing.T) {
	tests := []struct{ name, request string }{
		{"length", "Content-Length: 100\r\n\r\nhi"},
		{"long", "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 200_000)},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"},
		{"within a chunk", "Transfer-Encoding: chunked\r\n\r\nf\r\nhi"},
		{"no end", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"},
	}
	ways := []struct {
		name string
		end  func(*wire)
	}{
		{"end", func(w *wire) { w.Close() }},
		{"half", func(w *wire) { w.closeWrite() }},
		{"reset", func(w *wire) { w.reset() }},
	}
	for _, test := range tests {
		for _, way := range ways {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				var whole atomic.Int64
				b := newBackend(t, func(b *backend, w *wire) {
					for {
						head, _, good := b.request(w)
						if good && strings.HasPrefix(head, "POST") {
							whole.Add(1)
						}
						if !good || w.trySend(ok("")) != nil {
							return
						}
					}
				})
				g := newGateway(t, options{}, b.url)
				c := g.dial()
				c.send(getRequest) // so that there is a pooled connection
				c.wantAnswer(200, "")
				c.send("POST /a HTTP/1.1\r\nHost: h\r\n" + test.request)
				waitFor(t, "the upload begins", func() bool { return len(b.got()) == 2 || test.name == "length" })
				way.end(c)
				if way.name == "half" {
					c.wantFault(fault.BadRequest)
				}
				waitFor(t, "the exchange ends", func() bool { return g.seen.count.Load() == 2 })
				waitFor(t, "the upstream's connection ends", func() bool { return b.open.Load() == 0 })
				if n := whole.Load(); n != 0 {
					t.Errorf("upstream took %d requests for whole", n)
				}
			})
		}
	}
}

func TestClientAbortsDuringAnswer(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n", "\r\n"} {
		t.Run(framing, func(t *testing.T) {
			b := newBackend(t, func(b *backend, w *wire) {
				b.request(w)
				_ = w.trySend("HTTP/1.1 200 OK\r\n" + framing)
				for w.trySend(strings.Repeat("x", 1<<16)) == nil {
				}
			})
			g := newGateway(t, options{}, b.url)
			c := g.dial()
			c.send(getRequest)
			c.head()
			c.take(1000)
			c.reset()
			waitFor(t, "the upstream's connection ends", func() bool { return b.open.Load() == 0 })
			waitFor(t, "the exchange ends", func() bool { return g.seen.count.Load() == 1 })
			waitFor(t, "the client's connection ends", func() bool { return g.server.Connections() == 0 })
		})
	}
}

// An answer that breaks off after its beginning has been passed on cannot be
// taken for whole by anybody.
func TestUpstreamAbortsAnswer(t *testing.T) {
	const get11, get10 = getRequest, "GET /a HTTP/1.0\r\n\r\n"
	tests := []struct{ name, request, answer string }{
		{"length", get11, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"},
		{"length of 1.0", get10, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"},
		{"chunk", get11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"},
		{"between chunks", get11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"},
		{"before the last line", get11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n"},
		{"malformed chunk", get11, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n|x\r\n"},
		{"chunks for 1.0", get10, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"},
		{"long", get11, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 300_000)},
	}
	both(t, func(t *testing.T, o options) {
		for _, test := range tests {
			for _, reset := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/reset=%v", test.name, reset), func(t *testing.T) {
					passed := make(chan struct{})
					b := newBackend(t, func(b *backend, w *wire) {
						b.request(w)
						first, rest, _ := strings.Cut(test.answer, "|")
						w.send(first)
						<-passed
						w.send(rest)
						if reset {
							w.reset()
						}
					})
					g := newGateway(t, o, b.url)
					c := g.dial()
					c.send(test.request)
					head := c.head()
					c.take(1)
					close(passed)
					rest, err := io.ReadAll(c.r)
					if strings.HasSuffix(string(rest), "0\r\n\r\n") {
						t.Error("the answer seems whole")
					}
					if err == nil && !strings.Contains(head, "Content-Length") && !strings.Contains(head, "chunked") {
						t.Errorf("the answer ends as if whole, after %s%s", head, rest)
					}
				})
			}
		}
	})
}

// An upstream that answers without having read the request, as with 413: the
// answer reaches the client, who may still be sending.
func TestEarlyAnswer(t *testing.T) {
	const early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge"
	ways := []struct {
		name   string
		script func(*backend, *wire)
	}{
		{"and closes", func(b *backend, w *wire) { b.record(w.head()); w.send(early) }},
		{"and waits", func(b *backend, w *wire) { b.record(w.head()); w.send(early); <-b.gatewayGone }},
		{"and reads", func(b *backend, w *wire) { b.record(w.head()); w.send(early); w.gone() }},
	}
	both(t, func(t *testing.T, o options) {
		for _, way := range ways {
			for _, framing := range []string{"Content-Length: 1000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n"} {
				t.Run(way.name+"/"+strings.Fields(framing)[0], func(t *testing.T) {
					b := newBackend(t, way.script)
					g := newGateway(t, o, b.url)
					c := g.dial()
					defer close(b.gatewayGone)
					sent := make(chan error)
					go func() {
						err := c.trySend("POST /a HTTP/1.1\r\nHost: h\r\n" + framing)
						for range 1000 {
							if err == nil {
								err = c.trySend(strings.Repeat("x", 1<<20))
							}
						}
						sent <- err
					}()
					a := c.answer("POST")
					if a.StatusCode != 413 || a.body != "large" {
						t.Errorf("got %d %q %v", a.StatusCode, a.body, a.err)
					}
					if err := <-sent; err == nil && way.name != "and reads" {
						t.Error("the client could send it all")
					}
				})
			}
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	g := newGateway(t, options{}, "http://"+refusing(t))
	c := g.dial()
	for _, r := range []string{getRequest, postRequest("hi"), getRequest} {
		c.send(r)
		c.wantFault(fault.UpstreamUnavailable)
	}
}

// Rule 5: a connection goes back to the pool only after a whole exchange and
// if nothing more has arrived.
func TestReuse(t *testing.T) {
	const late = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	tests := []struct {
		name, first, answer string
		conns               int64
	}{
		{"in order", getRequest, ok("hi"), 1},
		{"in chunks", getRequest, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 1},
		{"no content", getRequest, "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"1.0 that stays", getRequest, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 1},
		{"1.0", getRequest, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 2},
		{"close", getRequest, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 2},
		{"another answer behind", getRequest, ok("hi") + late, 2},
		{"a blank line behind", getRequest, ok("hi") + "\r\n", 2},
		{"another answer behind chunks", getRequest, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + late, 2},
		{"content behind 204", getRequest, "HTTP/1.1 204 No Content\r\nContent-Length: 73\r\n\r\n" + late, 2},
		{"content behind 304", getRequest, "HTTP/1.1 304 Not Modified\r\nContent-Length: 73\r\n\r\n" + late, 2},
		{"content behind HEAD", "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 73\r\n\r\n" + late, 2},
		{"another answer later", getRequest, ok("hi") + "|" + late, 2},
		{"content of HEAD later", "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 73\r\n\r\n|" + late, 2},
	}
	for _, second := range []string{getRequest, postRequest("hi")} {
		for _, test := range tests {
			t.Run(test.name+" then "+second[:4], func(t *testing.T) {
				later, sent := make(chan struct{}), make(chan struct{})
				b := newBackend(t, func(b *backend, w *wire) {
					if w.n > 0 {
						always(ok("real"))(b, w)
						return
					}
					b.request(w)
					first, rest, more := strings.Cut(test.answer, "|")
					w.send(first)
					<-later
					if more {
						w.send(rest)
					}
					close(sent)
					always(ok("real"))(b, w)
				})
				g := newGateway(t, options{}, b.url)
				c := g.dial()
				c.send(test.first)
				method, _, _ := strings.Cut(test.first, " ")
				c.answer(method)
				waitFor(t, "the exchange ends", func() bool { return g.seen.count.Load() == 1 })
				close(later)
				<-sent
				if strings.HasPrefix(second, "GET") && strings.HasPrefix(test.first, "GET") || strings.Contains(test.answer, "|") {
					// A connection that has just come back is trusted for
					// requests that may be repeated; and what comes later has to
					// have come.
					g.pass(tick)
				}
				c.send(second)
				c.wantAnswer(200, "real")
				if n := b.conns.Load(); n != test.conns {
					t.Errorf("%d connections to the upstream, want %d", n, test.conns)
				}
			})
		}
	}
}

// What may be sent twice, and what never is.
func TestRetry(t *testing.T) {
	get, head, del := getRequest, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n"
	post, put := postRequest("hi"), strings.Replace(postRequest("hi"), "POST", "PUT", 1)
	emptyPost, patch := "POST /a HTTP/1.1\r\nHost: h\r\n\r\n", "PATCH /a HTTP/1.1\r\nHost: h\r\n\r\n"
	const (
		silent = "" // closes without a word
		half   = "HTTP/1.1 2"
	)
	tests := []struct {
		name, request string
		answers       []string // to requests on the pooled connection, on the next, and so on
		status, sent  int
	}{
		{"GET", get, []string{silent, ok("")}, 200, 2},
		{"HEAD", head, []string{silent, ok("")}, 200, 2},
		{"DELETE", del, []string{silent, ok("")}, 200, 2},
		{"GET, once only", get, []string{silent, silent, ok("")}, 502, 2},
		{"GET, half answered", get, []string{half, ok("")}, 502, 1},
		{"GET, malformed answer", get, []string{"x\r\n\r\n", ok("")}, 502, 1},
		{"POST", post, []string{silent, ok("")}, 502, 1},
		{"POST without content", emptyPost, []string{silent, ok("")}, 502, 1},
		{"PATCH", patch, []string{silent, ok("")}, 502, 1},
		{"PUT with content", put, []string{silent, ok("")}, 502, 1}, // its content is gone
		{"GET with content", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", []string{silent, ok("")}, 502, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(t, func(b *backend, w *wire) {
				if w.n == 0 {
					b.request(w) // the one that makes it a pooled connection
					w.send(ok("first"))
				}
				if _, _, good := b.request(w); good {
					w.send(test.answers[w.n])
				}
			})
			g := newGateway(t, options{}, b.url)
			c := g.dial()
			c.send(get)
			c.wantAnswer(200, "first")
			c.send(test.request)
			method, _, _ := strings.Cut(test.request, " ")
			if a := c.answer(method); a.StatusCode != test.status {
				t.Errorf("got %d, want %d", a.StatusCode, test.status)
			}
			if n := len(b.got()) - 1; n != test.sent {
				t.Errorf("sent %d times, want %d", n, test.sent)
			}
		})
	}
}

// An upstream may close a connection while it is idle. Whatever the method,
// the next request does not notice.
func TestSilentlyClosed(t *testing.T) {
	for _, request := range []string{getRequest, postRequest("hi"), "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reset=%v", request[:4], reset), func(t *testing.T) {
				b := newBackend(t, func(b *backend, w *wire) {
					if _, _, good := b.request(w); !good {
						return
					}
					w.send(ok("real"))
					if reset {
						<-time.After(time.Millisecond) // the answer is to arrive before the reset
						w.reset()
					}
				})
				g := newGateway(t, options{}, b.url)
				c := g.dial()
				for i := range 5 {
					c.send(request)
					c.wantAnswer(200, "real")
					waitFor(t, "the upstream closes", func() bool { return b.open.Load() == 0 })
					if n := len(b.got()); n != i+1 {
						t.Errorf("upstream got %d requests, want %d", n, i+1)
					}
				}
			})
		}
	}
}

// names answers with the name of the backend.
func names(name string) func(*backend, *wire) { return always(ok(name)) }

func (g *gateway) ask(c *wire) string {
	c.send(getRequest)
	return c.answer("GET").body
}

func TestRoundRobin(t *testing.T) {
	a, b, c := newBackend(t, names("a")), newBackend(t, names("b")), newBackend(t, names("c"))
	g := newGateway(t, options{cluster: func(s *upstream.Settings) { s.Balance = upstream.RoundRobin }},
		a.url, b.url, "http://"+refusing(t), c.url)
	w := g.dial()
	var got string
	for range 12 {
		got += g.ask(w)
	}
	// The third is passed over: its turn is the fourth's.
	if got != "abccabccabcc" {
		t.Errorf("got %s", got)
	}
}

func TestFailover(t *testing.T) {
	// An endpoint that is down is passed over for some seconds. Whoever cannot
	// ask a few times in that learns nothing, and tries again.
	for try := range 10 {
		begin := time.Now()
		b := newBackend(t, names("b"))
		g := newGateway(t, options{}, "http://"+refusing(t), b.url)
		w := g.dial()
		for range 3 {
			if got := g.ask(w); got != "b" {
				t.Errorf("got %q, want the second", got)
			}
		}
		w.send(postRequest("hi")) // carried nothing to the first, so any method will do
		w.wantAnswer(200, "b")
		waitFor(t, "the exchanges end", func() bool { return g.seen.count.Load() == 4 })
		got := fmt.Sprint(g.seen.list())
		if got == "[200 after 2 200 after 1 200 after 1 200 after 1]" {
			return
		}
		if time.Since(begin) < 4*time.Second || try == 9 {
			t.Fatalf("got %s", got)
		}
	}
}

func (o *observer) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.ended...)
}

// An endpoint that closes without answering: another one is asked, once, if
// the request may be repeated.
func TestFailoverAfterSilence(t *testing.T) {
	dead := func(b *backend, w *wire) { b.request(w) }
	t.Run("GET", func(t *testing.T) {
		a, b := newBackend(t, dead), newBackend(t, names("b"))
		g := newGateway(t, options{}, a.url, b.url)
		if got := g.ask(g.dial()); got != "b" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("POST", func(t *testing.T) {
		a, b := newBackend(t, dead), newBackend(t, names("b"))
		g := newGateway(t, options{}, a.url, b.url)
		c := g.dial()
		c.send(postRequest("hi"))
		c.wantFault(fault.UpstreamBroken)
		if n := len(a.got()) + len(b.got()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
	t.Run("GET, both dead", func(t *testing.T) {
		a, b, d := newBackend(t, dead), newBackend(t, dead), newBackend(t, names("d"))
		g := newGateway(t, options{}, a.url, b.url, d.url)
		c := g.dial()
		c.send(getRequest)
		c.wantFault(fault.UpstreamBroken)
		if n := len(a.got()) + len(b.got()) + len(d.got()); n != 2 {
			t.Errorf("sent %d times, want 2", n)
		}
	})
}

func TestMaxActive(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, func(b *backend, w *wire) {
		for {
			if _, _, good := b.request(w); !good {
				return
			}
			<-release
			_ = w.trySend(ok(""))
		}
	})
	g := newGateway(t, options{upstream: func(o *upstream.Options) { o.MaxActive = 1 }}, b.url)
	one, two := g.dial(), g.dial()
	one.send(getRequest)
	waitFor(t, "the first request arrives", func() bool { return len(b.got()) == 1 })
	two.send(getRequest)
	two.wantFault(fault.UpstreamUnavailable)
	close(release)
	one.wantAnswer(200, "")
	// Who has the whole answer does not use the connection any more, so the
	// other one can have it at once.
	for range 50 {
		two.send(getRequest)
		two.wantAnswer(200, "")
		one.send(getRequest)
		one.wantAnswer(200, "")
	}
}

func TestIdleConnectionsOfThePool(t *testing.T) {
	b := newBackend(t, names("b"))
	g := newGateway(t, options{upstream: func(o *upstream.Options) { o.IdleTimeout = tick }}, b.url)
	c := g.dial()
	g.ask(c)
	if n := b.open.Load(); n != 1 {
		t.Errorf("%d connections are open, want 1", n)
	}
	g.dog.Every(g.engine.Table().Sweep)
	waitFor(t, "the idle connection ends", func() bool { return b.open.Load() == 0 })
	g.ask(c)
	g.cluster.Close()
	waitFor(t, "Close ends what is idle", func() bool { return b.open.Load() == 0 })
	g.ask(c) // a table that was replaced still serves what it has begun
	waitFor(t, "nothing is kept after Close", func() bool { return b.open.Load() == 0 })
}

func TestMaxIdle(t *testing.T) {
	var waiting atomic.Int64
	b := newBackend(t, func(b *backend, w *wire) {
		for {
			if _, _, good := b.request(w); !good {
				return
			}
			waiting.Add(1)
			for waiting.Load() < 5 {
				time.Sleep(time.Millisecond)
			}
			_ = w.trySend(ok(""))
		}
	})
	g := newGateway(t, options{upstream: func(o *upstream.Options) { o.MaxIdle = 2 }}, b.url)
	var clients []*wire
	for range 5 {
		c := g.dial()
		c.send(getRequest)
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.wantAnswer(200, "")
	}
	waitFor(t, "all but two end", func() bool { return b.open.Load() <= 2 })
}

// Requests in flight are finished, idle connections closed, and no more
// accepted.
func TestShutdown(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		release := make(chan struct{})
		b := newBackend(t, func(b *backend, w *wire) {
			b.request(w)
			<-release
			_ = w.trySend(ok("done"))
		})
		var begun atomic.Int64
		o.stages = []engine.Stage{{Request: func(*exchange.Exchange) error { begun.Add(1); return nil }}}
		g := newGateway(t, o, b.url)
		idle, fresh, busy, uploading := g.dial(), g.dial(), g.dial(), g.dial()
		idle.send("GET /../ HTTP/1.1\r\nHost: h\r\n\r\n")
		idle.wantFault(fault.BadPath)
		busy.send(getRequest)
		uploading.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh")
		waitFor(t, "all are there", func() bool { return g.server.Connections() == 4 && begun.Load() == 2 })
		done := make(chan error)
		go func() { done <- g.server.Shutdown(context.Background()) }()
		idle.wantEnd()
		fresh.wantEnd()
		uploading.send("i")
		close(release)
		for _, c := range []*wire{busy, uploading} {
			if a := c.wantAnswer(200, "done"); !a.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.wantEnd()
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if c, err := net.Dial("tcp", g.addr); err == nil {
			c.Close()
			t.Error("still accepts")
		}
	})
}

// Who sends a request while the gateway has begun to shut down, on a connection
// that was told to stay, is served once more and told better.
func TestLastCall(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		b := newBackend(t, names("b"))
		o.server = func(o *http1.Options) { o.LastCall = patience }
		g := newGateway(t, o, b.url)
		used, fresh := g.dial(), g.dial()
		if g.ask(used) != "b" {
			t.Fatal("not served")
		}
		waitFor(t, "both are there", func() bool { return g.server.Connections() == 2 })
		done := make(chan error)
		go func() { done <- g.server.Shutdown(context.Background()) }()
		waitFor(t, "nobody is let in", func() bool {
			c, err := net.Dial("tcp", g.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		for _, c := range []*wire{used, fresh} {
			c.send(getRequest)
			if a := c.wantAnswer(200, "b"); !a.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.wantEnd()
		}
		// Nobody is left, so nobody is waited for.
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// When the grace is over what is left is cut: clients, waits for upstreams,
// tunnels.
func TestShutdownCuts(t *testing.T) {
	b := newBackend(t, func(b *backend, w *wire) {
		if head := w.head(); strings.Contains(head, "Upgrade: websocket") {
			w.send(switched)
		}
		w.gone()
	})
	g := newGateway(t, options{}, b.url)
	tunnel, waits, half := g.dial(), g.dial(), g.dial()
	tunnel.send(upgrade)
	tunnel.head()
	waits.send(getRequest)
	half.send("GET / HTT")
	waitFor(t, "all are there", func() bool { return g.server.Connections() == 3 && b.open.Load() == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), tick)
	defer cancel()
	defer context.AfterFunc(ctx, g.dog.Cut)()
	if err := g.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	tunnel.wantEnd()
	half.wantEnd()
	// Its upstream is cut as well, at the same time: it may be told so.
	waits.gone()
	waitFor(t, "the upstream's connections end", func() bool { return b.open.Load() == 0 })
}

func TestMaxConnections(t *testing.T) {
	b := newBackend(t, names("b"))
	g := newGateway(t, options{server: func(o *http1.Options) { o.MaxConnections = 2 }}, b.url)
	one, two, three := g.dial(), g.dial(), g.dial()
	g.ask(one)
	g.ask(two)
	three.send(getRequest)
	if n := g.server.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	one.Close()
	three.wantAnswer(200, "b")
	if n := g.server.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A listener to which nobody comes does not take a connection from another.
func TestMaxConnectionsOfTwoListeners(t *testing.T) {
	b := newBackend(t, names("b"))
	g := newGateway(t, options{server: func(o *http1.Options) { o.MaxConnections = 1 }}, b.url)
	ln := listen(t)
	go func() { _ = g.server.Serve(ln, nil) }()
	first := g.addr
	for _, addr := range []string{ln.Addr().String(), first, ln.Addr().String()} {
		g.addr = addr
		c := g.dial()
		g.ask(c)
		c.Close()
	}
}

func TestKeepAlivePolicy(t *testing.T) {
	const get10 = "GET /a HTTP/1.0\r\n\r\n"
	tests := []struct {
		name    string
		policy  http1.KeepAlive
		request string
		closes  bool
	}{
		{"auto", http1.KeepAliveAuto, getRequest, false},
		{"auto, 1.0", http1.KeepAliveAuto, get10, true},
		{"always, 1.0", http1.KeepAliveAlways, get10, false},
		{"always, 1.0 that closes", http1.KeepAliveAlways, "GET /a HTTP/1.0\r\nConnection: close\r\n\r\n", true},
		{"never", http1.KeepAliveNever, getRequest, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(t, names("b"))
			g := newGateway(t, options{server: func(o *http1.Options) { o.KeepAlive = test.policy }}, b.url)
			c := g.dial()
			c.send(test.request)
			if a := c.wantAnswer(200, "b"); strings.EqualFold(a.Header.Get("Connection"), "keep-alive") == (test.closes || test.policy == http1.KeepAliveAuto) {
				t.Errorf("Connection: %s", a.Header.Get("Connection"))
			}
			if test.closes {
				c.wantEnd()
			} else {
				g.ask(c)
			}
		})
	}
}

// A panic is a bug of the gateway: one connection pays for it, and nothing is
// lost for good.
func TestPanic(t *testing.T) {
	var when atomic.Value
	when.Store("")
	half := func(name string) func(x *exchange.Exchange) error {
		return func(x *exchange.Exchange) error {
			if when.Load() == name {
				panic("bug")
			}
			return nil
		}
	}
	b := newBackend(t, echo)
	g := newGateway(t, options{
		stages:   []engine.Stage{{Request: half("request"), Response: half("response")}},
		upstream: func(o *upstream.Options) { o.MaxActive = 1 },
	}, b.url)
	for _, name := range []string{"request", "response", "request", "response"} {
		when.Store(name)
		c := g.dial()
		c.send(postRequest("hi"))
		c.wantEnd()
		when.Store("")
		c = g.dial()
		c.send(postRequest("hi"))
		c.wantAnswer(200, "hi")
		c.Close()
	}
}

// HTTPS towards the upstream.
// An upstream that takes the connection and does not say a word of TLS.
func TestUpstreamHandshakeStalls(t *testing.T) {
	b := newBackend(t, func(b *backend, w *wire) { w.gone() })
	g := newGateway(t, options{upstream: func(o *upstream.Options) { o.ConnectTimeout = tick }}, "https://"+b.host)
	c := g.dial()
	c.send(getRequest)
	c.wantFault(fault.UpstreamTimeout)
}

func TestTLSUpstream(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		ln := listen(t)
		b := newBackendOn(t, tlsListener(ln), echo)
		g := newGateway(t, o, "https://"+ln.Addr().String())
		c := g.dial()
		body := strings.Repeat("0123456789abcdef", 64<<10)
		for range 3 {
			c.send(getRequest)
			c.wantAnswer(200, "")
			go func() { _ = c.trySend(postRequest(body)) }()
			c.wantAnswer(200, body)
		}
		if n := b.conns.Load(); n != 1 {
			t.Errorf("%d connections to the upstream, want 1", n)
		}
	})
}

// A client may close its sending side once it has asked.
func TestHalfClosedClient(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		release := make(chan struct{})
		b := newBackend(t, func(b *backend, w *wire) {
			b.request(w)
			<-release
			w.send(ok("late"))
		})
		g := newGateway(t, o, b.url)
		c := g.dial()
		c.send(getRequest)
		c.closeWrite()
		waitFor(t, "the request arrives", func() bool { return len(b.got()) == 1 })
		close(release)
		c.wantAnswer(200, "late")
		c.wantEnd()
	})
}

// Connections that never get as far as TLS end like those that never send a
// head.
func TestHandshake(t *testing.T) {
	for _, input := range []string{"", "\x16\x03\x01", getRequest} {
		t.Run(input, func(t *testing.T) {
			b := newBackend(t, echo)
			g := newGateway(t, options{tls: true, limits: func(l *http1.Limits) { l.HeadTimeout = tick }}, b.url)
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w := newWire(t, c)
			w.send(input)
			w.gone()
			waitFor(t, "the connection ends", func() bool { return g.server.Connections() == 0 })
		})
	}
}

// A client that takes its time over a large answer is not the upstream's
// fault.
func TestSlowReader(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		const size = 16 << 20
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", size), "\r\n"} {
			answer := "HTTP/1.1 200 OK\r\n" + framing + strings.Repeat("x", size)
			t.Run(framing, func(t *testing.T) {
				patiently(t, func(t testing.TB, unit time.Duration) {
					o.limits = func(l *http1.Limits) { l.AnswerTimeout = 2 * unit }
					b := newBackend(t, once(answer))
					g := newGateway(t, o, b.url)
					c := g.dial()
					c.send(getRequest)
					g.pass(6 * unit)
					if a := c.answer("GET"); len(a.body) != size || a.err != nil {
						t.Errorf("got %d bytes, %v", len(a.body), a.err)
					}
				})
			})
		}
	})
}

// An upstream that sends a little now and then is slow, not silent, however
// long it takes altogether.
func TestSlowUpstream(t *testing.T) {
	both(t, func(t *testing.T, o options) {
		patiently(t, func(t testing.TB, unit time.Duration) {
			const size, pieces = 200_000, 12 // so large a body would be spliced
			o.limits = func(l *http1.Limits) { l.AnswerTimeout, l.WriteTimeout = 2*unit, 2*unit }
			var g *gateway
			b := newBackend(t, func(b *backend, w *wire) {
				for {
					if _, _, good := b.request(w); !good {
						return
					}
					_ = w.trySend(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
					for range pieces {
						g.pass(unit / 2)
						_ = w.trySend(strings.Repeat("x", 1000))
					}
					_ = w.trySend(strings.Repeat("x", size-pieces*1000))
				}
			})
			g = newGateway(t, o, b.url)
			c := g.dial()
			for range 2 {
				c.send(getRequest)
				if a := c.answer("GET"); len(a.body) != size || a.err != nil {
					t.Fatalf("got %d bytes, %v", len(a.body), a.err)
				}
			}
			if n := b.conns.Load(); n != 1 {
				t.Errorf("%d connections to the upstream, want 1", n)
			}
		})
	})
}

// One that falls silent in the middle of a large answer is late.
func TestUpstreamFallsSilent(t *testing.T) {
	patiently(t, func(t testing.TB, unit time.Duration) {
		hold := make(chan struct{})
		b := newBackend(t, func(b *backend, w *wire) {
			b.request(w)
			_ = w.trySend("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 100_000))
			<-hold
		})
		t.Cleanup(func() { close(hold) })
		g := newGateway(t, options{limits: func(l *http1.Limits) { l.AnswerTimeout = unit }}, b.url)
		c := g.dial()
		c.send(getRequest)
		if a := c.answer("GET"); len(a.body) != 100_000 || a.err != io.ErrUnexpectedEOF {
			t.Errorf("got %d bytes, %v", len(a.body), a.err)
		}
	})
}

// The end of a request that is still being sent while its answer is read does
// not begin a time for the answer, which is on its way.
func TestSlowReaderWhileSending(t *testing.T) {
	patiently(t, func(t testing.TB, unit time.Duration) {
		const size, upload = 16 << 20, 200_000
		b := newBackend(t, func(b *backend, w *wire) {
			w.head()
			read := make(chan struct{})
			go func() {
				defer close(read)
				_, _ = io.CopyN(io.Discard, w.r, upload)
			}()
			_ = w.trySend(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size)))
			<-read
		})
		g := newGateway(t, options{limits: func(l *http1.Limits) { l.AnswerTimeout = 2 * unit }}, b.url)
		c := g.dial()
		request := postRequest(strings.Repeat("x", upload))
		c.send(request[:len(request)/2])
		c.want("HTTP/1.1 200 OK\r\n")
		c.send(request[len(request)/2:])
		g.pass(6 * unit)
		c.head()
		if body, err := readChunks(c.r); len(body) != size || err != nil {
			t.Errorf("got %d bytes, %v", len(body), err)
		}
	})
}
