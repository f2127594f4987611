package engine_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
)

// A quick is a client or backend that allocates nothing while it runs: what is
// counted is the gateway's.
type quick struct {
	net.Conn
	buf []byte
}

// exchange sends a request and reads an answer of known size.
func (q *quick) exchange(request []byte, size int) error {
	if _, err := q.Write(request); err != nil {
		return err
	}
	for n := 0; n < size; {
		m, err := q.Read(q.buf)
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}

// serve answers requests, each of which ends with end, until the connection
// does.
func (q *quick) serve(end, answer []byte) {
	n := 0
	for {
		m, err := q.Read(q.buf[n:])
		if err != nil {
			return
		}
		n += m
		if bytes.HasSuffix(q.buf[:n], end) {
			n = 0
			if _, err := q.Write(answer); err != nil {
				return
			}
		}
	}
}

// quickSetup is a gateway with one stage between a quick client and a quick
// backend. size is that of the answer as the client gets it.
func quickSetup(t testing.TB, o options, request, answer string) (q *quick, size int) {
	end := request[len(request)-4:]
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go (&quick{c, make([]byte, 64<<10)}).serve([]byte(end), []byte(answer))
		}
	}()
	o.quiet = true
	principal := &exchange.Principal{Subject: "s"}
	o.stages = []engine.Stage{{
		Name:     "stub",
		Request:  func(x *exchange.Exchange) error { x.Principal = principal; return nil },
		Response: func(x *exchange.Exchange) error { return nil },
	}}
	g := newGateway(t, o, "http://"+ln.Addr().String())
	return dialQuick(t, g), firstAnswer(t, g, request)
}

func dialQuick(t testing.TB, g *gateway) *quick {
	var c net.Conn
	var err error
	if g.tls {
		c, err = tls.Dial("tcp", g.addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		c, err = net.Dial("tcp", g.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &quick{c, make([]byte, 64<<10)}
}

// firstAnswer returns how many bytes an answer has on the wire.
func firstAnswer(t testing.TB, g *gateway, request string) int {
	w := g.dial()
	var raw bytes.Buffer
	w.r.Reset(io.TeeReader(w.Conn, &raw))
	w.send(request)
	if a := w.answer("GET"); a.StatusCode != 200 || a.err != nil {
		t.Fatalf("got %d, %v", a.StatusCode, a.err)
	}
	w.Close()
	return raw.Len()
}

var quickCases = []struct{ name, request, answer string }{
	{"GET", "GET /v1/pets/1?limit=10 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer t\r\n\r\n",
		ok(`{"id":1,"name":"doggie"}`)},
	{"POST", postRequest(`{"id":1,"name":"doggie","end":true}` + "\r\n\r\n"), ok(`{"id":1}`)},
	{"chunks", "GET /v1/pets HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n"},
}

// A proxied request allocates nothing, on either side of the gateway.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, test := range quickCases {
		t.Run(test.name, func(t *testing.T) {
			q, size := quickSetup(t, options{}, test.request, test.answer)
			request := []byte(test.request)
			var err error
			if n := testing.AllocsPerRun(2000, func() {
				if e := q.exchange(request, size); e != nil {
					err = e
				}
			}); n != 0 {
				t.Errorf("%v allocations for a request, want 0", n)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkProxy is the whole way through the gateway over loopback, client
// and backend included.
func BenchmarkProxy(b *testing.B) {
	for _, c := range quickCases {
		b.Run(c.name, func(b *testing.B) { benchmark(b, options{}, c.request, c.answer) })
	}
	b.Run("TLS", func(b *testing.B) { benchmark(b, options{tls: true}, quickCases[0].request, quickCases[0].answer) })
}

func benchmark(b *testing.B, o options, request, answer string) {
	q, size := quickSetup(b, o, request, answer)
	raw := []byte(request)
	b.ReportAllocs()
	for b.Loop() {
		if err := q.exchange(raw, size); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMatch is the cost of finding a route among few and many.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 609, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := engine.New(engine.Options{})
			e.SetTable(manyRoutes(b, n))
			x := &exchange.Exchange{}
			method, target := []byte("GET"), []byte("/v1/group0/items/17/parts")
			b.ReportAllocs()
			for b.Loop() {
				x.Reset()
				x.Method, x.Target = method, target
				e.Serve(x, discard{})
				if x.Status != 204 {
					b.Fatal(x.Status)
				}
			}
		})
	}
}
