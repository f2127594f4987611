package engine_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// A script is a connection without a network: it says the same thing count
// times, whenever it is asked, and forgets what it is told.
type script struct {
	text  []byte
	rest  []byte // of the current time
	count int
	done  chan struct{}
	once  sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.count == 0 {
			s.once.Do(func() { close(s.done) })
			return 0, io.EOF
		}
		s.count--
		s.rest = s.text
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// scripted forwards to an upstream that is a script, over one connection.
type scripted struct{ out *http1.Outbound }

func (s *scripted) Forward(x *exchange.Exchange, cut int) error {
	t := http1.Target{Host: []byte("127.0.0.1:9000"), Prefix: []byte("/v2"), Path: x.Path[cut:]}
	x.Call = s.out
	return s.out.Send(x, &t)
}
func (s *scripted) Back(*http1.Outbound, uint32, bool) {}

// onlyOne is a listener with one connection.
type onlyOne struct {
	conn net.Conn
	stop chan struct{}
}

func (o *onlyOne) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.stop
	return nil, net.ErrClosed
}
func (o *onlyOne) Close() error   { return nil }
func (o *onlyOne) Addr() net.Addr { return &net.TCPAddr{} }

// BenchmarkUserTime is what the gateway's own code costs for a request, without
// the system calls around it.
func BenchmarkUserTime(b *testing.B) {
	dog := watchdog.New()
	defer dog.Close()
	lim := http1.DefaultLimits()
	answer := append([]byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 19:00:00 GMT\r\n"+
		"Content-Type: application/json\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n"), bytes.Repeat([]byte("x"), 1024)...)
	up := &script{text: answer, count: 1 << 62, done: make(chan struct{})}
	f := &scripted{}
	f.out = http1.NewOutbound(up, dog, &lim, f)
	table, err := engine.NewTable([]*engine.Route{{
		Route:  exchange.Route{ID: "GET /pet/{petId}", BasePath: "/petstore/v1"},
		Method: "GET", Template: "/pet/{petId}", Production: f, HTTP: true,
	}})
	if err != nil {
		b.Fatal(err)
	}
	e := engine.New(engine.Options{})
	e.SetTable(table)
	s := http1.NewServer(http1.Options{Handler: e, Limits: lim, Dog: dog})
	client := &script{
		text: []byte("GET /petstore/v1/pet/42 HTTP/1.1\r\nHost: 127.0.0.1:7090\r\nAccept: application/json\r\n" +
			"User-Agent: bench/1.0\r\nAccept-Encoding: gzip\r\n\r\n"),
		count: b.N, done: make(chan struct{}),
	}
	stop := make(chan struct{})
	defer close(stop)
	b.ReportAllocs()
	b.ResetTimer()
	go s.Serve(&onlyOne{conn: client, stop: stop}, nil)
	<-client.done
}
