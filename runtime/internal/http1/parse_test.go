package http1

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// summary says what a request head means, in a line.
func summary(x *exchange.Exchange, fr *framing) string {
	s := fmt.Sprintf("%s %s %s %q", x.Method, x.Target, x.Proto, x.Host)
	switch {
	case fr.chunked:
		s += " chunked"
	case fr.length > 0:
		s += " length=" + strconv.FormatInt(fr.length, 10)
	}
	for _, f := range []struct {
		is   bool
		name string
	}{{!fr.keepAlive, " close"}, {fr.expect, " expect"}, {fr.websocket, " websocket"}, {fr.trailers, " trailers"}} {
		if f.is {
			s += f.name
		}
	}
	return s
}

// readRequest parses input and returns its summary and length, or the status
// of the refusal, or "more".
func readRequest(input []byte, lim *Limits) (string, int) {
	var x exchange.Exchange
	n, fr, err := parseRequest(input, &x, lim)
	var f *fault.Fault
	switch {
	case err == nil:
		return summary(&x, &fr), n
	case err == ErrMore:
		return "more", 0
	case errors.As(err, &f):
		if !f.Close {
			return "fault that does not close", 0
		}
		return strconv.Itoa(f.Status), 0
	}
	return "error that is no fault: " + err.Error(), 0
}

// oneLine shows an input as the name of its case.
func oneLine(s string) string {
	if len(s) > 90 {
		return strconv.Quote(s[:60]) + "..." + strconv.Itoa(len(s))
	}
	return strconv.Quote(s)
}

type headCase struct{ input, want string }

// get is a request with the given lines after its request line and Host.
func get(lines string) string { return "GET / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n" }

func post(lines string) string { return "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n" }

const plain = `GET / HTTP/1.1 "h"`

var requestLines = []headCase{
	// RFC 9112, section 3.
	{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", plain},
	{"GET /a/b?c=d&e HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a/b?c=d&e HTTP/1.1 "h"`},
	{"get / HTTP/1.1\r\nHost: h\r\n\r\n", `get / HTTP/1.1 "h"`}, // methods are case-sensitive, not refused
	{"M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n", `M-SEARCH / HTTP/1.1 "h"`},
	{"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", `OPTIONS * HTTP/1.1 "h"`},
	{"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", `CONNECT h:443 HTTP/1.1 "h:443"`},
	{"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{" GET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "400"},
	{"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\rHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "400"},
	{"GET /\rX HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET /\r\nHost: h\r\n\r\n", "400"}, // HTTP/0.9
	{"GET\r\n\r\n", "400"},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"}, // TLS on a plaintext port
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\nHost: h\r\n\r\n", `ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1 "h"`},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},

	// One empty line before the request is ignored (section 2.2), no more.
	{"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", plain},
	{"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400"},

	// Versions (RFC 9112, section 2.3).
	{"GET / HTTP/1.0\r\n\r\n", `GET / HTTP/1.0 "" close`},
	{"GET / HTTP/1.0\r\nHost: h\r\n\r\n", `GET / HTTP/1.0 "h" close`},
	{"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "505"},
	{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
	{"GET / HTTP/0.9\r\nHost: h\r\n\r\n", "505"},
	{"GET / http/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.10\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/11\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1,1\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTPS/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET / \r\nHost: h\r\n\r\n", "400"},

	// Absolute form (section 3.2.2): it must say what Host says.
	{"GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a?b HTTP/1.1 "h"`},
	{"GET HTTPS://h:1/a HTTP/1.1\r\nHost: h:1\r\n\r\n", `GET /a HTTP/1.1 "h:1"`},
	{"GET http://H/a HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a HTTP/1.1 "H"`},
	{"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", plain},
	{"GET http://h?a HTTP/1.1\r\nHost: h\r\n\r\n", `GET /?a HTTP/1.1 "h"`},
	{"GET http://h/ HTTP/1.0\r\n\r\n", `GET / HTTP/1.0 "h" close`},
	{"GET http://h/ HTTP/1.1\r\n\r\n", "400"},
	{"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET http://h:80/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n", "400"},
	{"GET http:/// HTTP/1.1\r\nHost:\r\n\r\n", "400"},
	{"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	{"GET http://u:p@h/ HTTP/1.1\r\nHost: u:p@h\r\n\r\n", "400"},
	{"GET http://h\\@x/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
	// What is neither path nor absolute is left to the path normaliser.
	{"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", `GET ftp://h/ HTTP/1.1 "h"`},
	{"GET http:h/ HTTP/1.1\r\nHost: h\r\n\r\n", `GET http:h/ HTTP/1.1 "h"`},
	{"GET //h/a HTTP/1.1\r\nHost: x\r\n\r\n", `GET //h/a HTTP/1.1 "x"`},
}

var hosts = []headCase{
	// RFC 9112, section 3.2; RFC 9110, section 7.2.
	{"GET / HTTP/1.1\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h\r\nhOST: x\r\n\r\n", "400"},
	{"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", `GET / HTTP/1.1 ""`},
	{"GET / HTTP/1.1\r\nHost: \t h \t\r\n\r\n", plain},
	{"GET / HTTP/1.1\r\nHost: h:8080\r\n\r\n", `GET / HTTP/1.1 "h:8080"`},
	{"GET / HTTP/1.1\r\nHost: h:\r\n\r\n", `GET / HTTP/1.1 "h:"`},
	{"GET / HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", `GET / HTTP/1.1 "127.0.0.1:9090"`},
	{"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", `GET / HTTP/1.1 "[::1]"`},
	{"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\n\r\n", `GET / HTTP/1.1 "[fe80::1%25eth0]:80"`},
	{"GET / HTTP/1.1\r\nHost: my_service\r\n\r\n", `GET / HTTP/1.1 "my_service"`},
	{"GET / HTTP/1.1\r\nHost: h:80:80\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h:8o\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h:-1\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: []\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a]b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a;b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h?a\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h#a\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "400"},
}

var fieldLines = []headCase{
	// RFC 9112, section 5; RFC 9110, section 5.
	{get("A: b\r\n"), plain},
	{get("A:b\r\n"), plain},
	{get("A:\r\n"), plain},
	{get("A: \t \r\n"), plain},
	{get("A: \xff\xfe\r\n"), plain}, // obs-text
	{get("A: b\tc\r\n"), plain},
	{get("!#$%&'*+-.^_`|~09azAZ: b\r\n"), plain},
	{get("A : b\r\n"), "400"},
	{get("A\t: b\r\n"), "400"},
	{get(" A: b\r\n"), "400"},
	{get("\tA: b\r\n"), "400"},
	{get("A: b\r\n c\r\n"), "400"},
	{get("A: b\r\n\tc\r\n"), "400"},
	{"GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400"},
	{get(": b\r\n"), "400"},
	{get("A\r\n"), "400"},
	{get("A b: c\r\n"), "400"},
	{get("A(: c\r\n"), "400"},
	{get("A\x00: c\r\n"), "400"},
	{get("A\x80: c\r\n"), "400"},
	{get("A\x7f: c\r\n"), "400"},
	{get("A\r: c\r\n"), "400"},
	{get("A: b\x00\r\n"), "400"},
	{get("A: b\x00c12345678\r\n"), "400"},
	{get("A: b\x01\r\n"), "400"},
	{get("A: b\x1f12345678\r\n"), "400"},
	{get("A: b\x7f\r\n"), "400"},
	{get("A: b\x7f12345678\r\n"), "400"},
	{get("A: b\x0b\r\n"), "400"},
	{get("A: b\x0c\r\n"), "400"},
	{get("A: b\rc\r\n"), "400"},
	{get("A: b\r\r\n"), "400"},
	{get("A: b\nB: c\r\n"), "400"},
	{get("A: b\n"), "400"},
	{"GET / HTTP/1.1\r\nHost: h\r\n\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h\r\n\rX\r\n\r\n", "400"},
	{"GET / HTTP/1.1\r\nHost: h\n\n", "400"},
}

var requestFramings = []headCase{
	// RFC 9112, section 6. Rule 1 of the engine.
	{post("Content-Length: 5\r\n"), `POST / HTTP/1.1 "h" length=5`},
	{post("content-LENGTH:5\r\n"), `POST / HTTP/1.1 "h" length=5`},
	{post("Content-Length:  5 \r\n"), `POST / HTTP/1.1 "h" length=5`}, // white space around, not within
	{post("Content-Length: 005\r\n"), `POST / HTTP/1.1 "h" length=5`},
	{post("Content-Length: 0\r\n"), `POST / HTTP/1.1 "h"`},
	{post("Content-Length: 999999999999999999\r\n"), `POST / HTTP/1.1 "h" length=999999999999999999`},
	{post("Content-Length: 1000000000000000000\r\n"), "400"},
	{post("Content-Length: 18446744073709551621\r\n"), "400"}, // 5 modulo 2 to the 64
	{post("Content-Length: 99999999999999999999999999999999\r\n"), "400"},
	{post("Content-Length:\r\n"), "400"},
	{post("Content-Length: +5\r\n"), "400"},
	{post("Content-Length: -5\r\n"), "400"},
	{post("Content-Length: 5,\r\n"), "400"},
	{post("Content-Length: 5, 5\r\n"), "400"},
	{post("Content-Length: 5,6\r\n"), "400"},
	{post("Content-Length: 5 5\r\n"), "400"},
	{post("Content-Length: 5;\r\n"), "400"},
	{post("Content-Length: 0x5\r\n"), "400"},
	{post("Content-Length: 5.0\r\n"), "400"},
	{post("Content-Length: 5_0\r\n"), "400"},
	{post("Content-Length: \"5\"\r\n"), "400"},
	{post("Content-Length: five\r\n"), "400"},
	{post("Content-Length: \xd9\xa5\r\n"), "400"}, // an Arabic five
	{post("Content-Length: 5\r\nContent-Length: 5\r\n"), "400"},
	{post("Content-Length: 5\r\nContent-Length: 6\r\n"), "400"},
	{post("Content-Length: 5\r\nContent-length: 0\r\n"), "400"},
	{post("Content_Length: 5\r\n"), `POST / HTTP/1.1 "h"`},
	{get("Content-Length: 5\r\n"), plain + " length=5"},

	{post("Transfer-Encoding: chunked\r\n"), `POST / HTTP/1.1 "h" chunked`},
	{post("transfer-encoding:ChUnKeD\r\n"), `POST / HTTP/1.1 "h" chunked`},
	{post("Transfer-Encoding: \t chunked \r\n"), `POST / HTTP/1.1 "h" chunked`},
	{get("Transfer-Encoding: chunked\r\n"), plain + " chunked"},
	{post("Transfer-Encoding: gzip\r\n"), "501"},
	{post("Transfer-Encoding: identity\r\n"), "501"},
	{post("Transfer-Encoding: xchunked\r\n"), "501"},
	{post("Transfer-Encoding: chunked-\r\n"), "501"},
	{post("Transfer-Encoding: gzip, deflate\r\n"), "501"},
	{post("Transfer-Encoding: gzip, chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked, gzip\r\n"), "400"},
	{post("Transfer-Encoding: chunked, chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked, identity\r\n"), "400"},
	{post("Transfer-Encoding: chunked,\r\n"), "400"},
	{post("Transfer-Encoding: ,chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked;q=1\r\n"), "400"},
	{post("Transfer-Encoding: \"chunked\"\r\n"), "400"},
	{post("Transfer-Encoding: chunked chunked\r\n"), "400"},
	{post("Transfer-Encoding:\r\n"), "400"},
	{post("Transfer-Encoding: \x0bchunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked\x00\r\n"), "400"},
	{post("Transfer-Encoding:\r\n chunked\r\n"), "400"},
	{post("Transfer-Encoding : chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400"},
	{post("Transfer_Encoding: chunked\r\n"), `POST / HTTP/1.1 "h"`},
	{"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},

	{post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"},
	{post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400"},
	{post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), "400"},
	{post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), "400"},
	{"POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", `POST / HTTP/1.0 "" length=5 close`},
}

var requestOptions = []headCase{
	// Persistence: RFC 9112, section 9.3.
	{get("Connection: close\r\n"), plain + " close"},
	{get("Connection: CLOSE\r\n"), plain + " close"},
	{get("Connection: keep-alive, close\r\n"), plain + " close"},
	{get("Connection: close\r\nConnection: keep-alive\r\n"), plain + " close"},
	{get("Connection: a,,b, , close ,\r\n"), plain + " close"},
	{get("Connection: closed\r\n"), plain},
	{get("Connection: keep-alive\r\n"), plain},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `GET / HTTP/1.0 ""`},
	{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", `GET / HTTP/1.0 ""`},
	{"GET / HTTP/1.0\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n", `GET / HTTP/1.0 ""`},
	{"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", `GET / HTTP/1.0 "" close`},
	{"GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", `GET / HTTP/1.0 "" close`},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", `GET / HTTP/1.0 "" close`},

	// Expect: RFC 9110, section 10.1.1.
	{post("Expect: 100-continue\r\nContent-Length: 5\r\n"), `POST / HTTP/1.1 "h" length=5 expect`},
	{post("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n"), `POST / HTTP/1.1 "h" chunked expect`},
	{post("Expect: 100-continue\r\nContent-Length: 0\r\n"), `POST / HTTP/1.1 "h"`},
	{get("Expect: 100-continue\r\n"), plain},
	{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", `POST / HTTP/1.0 "" length=5 close`},
	{post("Expect: a-pony\r\nContent-Length: 5\r\n"), "417"},
	{post("Expect: 100-continue, a-pony\r\nContent-Length: 5\r\n"), "417"},
	{post("Expect:\r\nContent-Length: 5\r\n"), "417"},

	// Upgrade: rule 7 of the engine; RFC 6455, section 4.1.
	{get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), plain + " websocket"},
	{get("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n"), plain + " websocket"},
	{get("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"), plain + " websocket"},
	{get("Upgrade: websocket\r\n"), plain},
	{get("Connection: Upgrade\r\n"), plain},
	{get("Connection: Upgrade\r\nUpgrade: h2c\r\n"), plain},
	{get("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), plain},
	{get("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"), plain + " length=5"},
	{get("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"), plain + " chunked"},
	{post("Connection: Upgrade\r\nUpgrade: websocket\r\n"), `POST / HTTP/1.1 "h"`},
	{"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", `GET / HTTP/1.0 "" close`},

	// TE: RFC 9110, section 10.1.4.
	{get("TE: trailers\r\n"), plain + " trailers"},
	{get("TE: gzip;q=0.5, trailers\r\n"), plain + " trailers"},
	{get("TE: trailer\r\n"), plain},
	{get("TE: gzip\r\n"), plain},
}

func TestRequestHead(t *testing.T) {
	lim := DefaultLimits()
	groups := []struct {
		name  string
		cases []headCase
	}{
		{"line", requestLines}, {"Host", hosts}, {"field", fieldLines},
		{"framing", requestFramings}, {"options", requestOptions},
	}
	for _, g := range groups {
		for _, test := range g.cases {
			t.Run(g.name+"/"+oneLine(test.input), func(t *testing.T) { checkRequest(t, test, &lim) })
		}
	}
}

// checkRequest reads an input whole, with something behind it, and in two
// pieces cut at every byte.
func checkRequest(t *testing.T, test headCase, lim *Limits) {
	t.Helper()
	refused := len(test.want) == 3
	got, n := readRequest([]byte(test.input), lim)
	if got != test.want {
		t.Fatalf("got %s, want %s", got, test.want)
	}
	if !refused && n != len(test.input) {
		t.Errorf("head has %d bytes, want %d", n, len(test.input))
	}
	got, m := readRequest([]byte(test.input+"\r\n0\r\nGET / HTTP/1.1\r\n"), lim)
	if got != test.want || m != n {
		t.Errorf("with more behind it: got %s of %d bytes, want %s of %d", got, m, test.want, n)
	}
	for i := range len(test.input) {
		got, _ := readRequest([]byte(test.input[:i]), lim)
		if got == "more" || refused && got == test.want {
			continue
		}
		t.Errorf("the first %d bytes: got %s, want more", i, got)
	}
}

func TestRequestLimits(t *testing.T) {
	lim := DefaultLimits()
	lim.TargetBytes, lim.HeadBytes, lim.Fields = 100, 400, 5
	a := func(n int) string { return strings.Repeat("a", n) }
	head := func(n int) string { // of exactly n bytes
		s := "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n"
		return strings.Replace(s, "A: ", "A: "+a(n-len(s)), 1)
	}
	tests := []headCase{
		{"GET /" + a(99) + " HTTP/1.1\r\nHost: h\r\n\r\n", "GET /" + a(99) + ` HTTP/1.1 "h"`},
		{"GET /" + a(100) + " HTTP/1.1\r\nHost: h\r\n\r\n", "414"},
		{"GET /" + a(1000) + " HTTP/1.1\r\nHost: h\r\n\r\n", "414"},
		{"GET http://h/" + a(100) + " HTTP/1.1\r\nHost: h\r\n\r\n", "414"},
		{"GET /" + a(1000), "414"},
		{a(1000), "400"},
		{a(1000) + " / HTTP/1.1\r\n\r\n", "400"},
		{head(400), plain},
		{head(401), "431"},
		{"GET / HTTP/1.1\r\nHost: h\r\nA: " + a(400), "431"},
		{"GET / HTTP/1.1\r\nHost: h\r\n" + a(400), "431"},
		{get("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"), plain},
		{get("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n"), "431"},
		{get(strings.Repeat("A:\r\n", 1000)), "431"},
	}
	for _, test := range tests {
		t.Run(oneLine(test.input), func(t *testing.T) {
			if got, _ := readRequest([]byte(test.input), &lim); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// The views of a head are what was sent, in order, without the white space
// around values.
func TestRequestFields(t *testing.T) {
	var x exchange.Exchange
	lim := DefaultLimits()
	input := "GET / HTTP/1.1\r\nhost: h\r\nX-A:  b c\t\r\nx-a:\r\nAUTHORIZATION: t\r\n\r\n"
	if _, _, err := parseRequest([]byte(input), &x, &lim); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range x.Request.Fields {
		got = append(got, fmt.Sprintf("%s=%s/%d", f.Name, f.Value, f.ID))
	}
	want := fmt.Sprintf("[host=h/%d X-A=b c/0 x-a=/0 AUTHORIZATION=t/%d]", exchange.Host, exchange.Authorization)
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if x.Request.Received != 4 {
		t.Errorf("Received is %d, want 4", x.Request.Received)
	}
}

// readResponse is readRequest for answers.
func readResponse(input []byte, head bool, lim *Limits) (string, int) {
	var h exchange.Header
	status := 0
	n, fr, err := parseResponse(input, &status, &h, head, lim)
	switch {
	case err == ErrMore:
		return "more", 0
	case err != nil:
		return "refused", 0
	}
	s := strconv.Itoa(status)
	switch {
	case fr.none:
		s += " none"
		if fr.length >= 0 {
			s += " length=" + strconv.FormatInt(fr.length, 10)
		}
	case fr.chunked:
		s += " chunked"
	case fr.untilEOF:
		s += " until close"
	default:
		s += " length=" + strconv.FormatInt(fr.length, 10)
	}
	if !fr.keepAlive {
		s += " close"
	}
	return s, n
}

func TestResponseHead(t *testing.T) {
	lim := DefaultLimits()
	ok := func(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n" }
	tests := []headCase{
		// RFC 9112, section 4.
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 length=0"}, // common, and nobody reads it differently
		{"HTTP/1.1 200 Very  well \xe9\r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n", "599 length=0"},
		{"HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 20 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 2000 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 +20 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1  200 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1\t200 x\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 200\tx\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 200 a\x00\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 200 a\rb\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "refused"},
		{"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"ICY 200 OK\r\n\r\n", "refused"},
		{" HTTP/1.1 200 OK\r\n\r\n", "refused"},
		{"\r\nHTTP/1.1 200 OK\r\n\r\n", "refused"},
		{"<html>\r\n\r\n", "refused"},

		// Fields are as strict as a request's.
		{ok("A: b\r\n c\r\n"), "refused"},
		{ok("A : b\r\n"), "refused"},
		{ok("A: b\x00\r\n"), "refused"},
		{ok("A: b\rSet-Cookie: c\r\n"), "refused"},
		{ok("A: b\nSet-Cookie: c\r\n"), "refused"},
		{ok("Set Cookie: c\r\n"), "refused"},
		{ok("A\r\n"), "refused"},

		// RFC 9112, section 6.3.
		{ok("Content-Length: 5\r\n"), "200 length=5"},
		{ok("Transfer-Encoding: chunked\r\n"), "200 chunked"},
		{ok("Transfer-Encoding: Chunked\r\n"), "200 chunked"},
		{ok(""), "200 until close close"},
		{"HTTP/1.0 200 OK\r\n\r\n", "200 until close close"},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "200 until close close"},
		{ok("Content-Length: 5\r\nContent-Length: 5\r\n"), "refused"},
		{ok("Content-Length: 5, 5\r\n"), "refused"},
		{ok("Content-Length: +5\r\n"), "refused"},
		{ok("Content-Length: \r\n"), "refused"},
		{ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "refused"},
		{ok("Transfer-Encoding: gzip\r\n"), "refused"},
		{ok("Transfer-Encoding: gzip, chunked\r\n"), "refused"},
		{ok("Transfer-Encoding: chunked, chunked\r\n"), "refused"},
		{ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "refused"},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "refused"},

		// No content, whatever the fields say.
		{"HTTP/1.1 100 Continue\r\n\r\n", "100 none"},
		{"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", "103 none"},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "101 none length=0"},
		{"HTTP/1.1 204 No Content\r\n\r\n", "204 none"},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 none length=5"},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 none length=5"},
		{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 none"},

		// Persistence.
		{ok("Content-Length: 5\r\nConnection: close\r\n"), "200 length=5 close"},
		{ok("Content-Length: 5\r\nConnection: Keep-Alive, Close\r\n"), "200 length=5 close"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length=5 close"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", "200 length=5"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", "200 length=5 close"},
	}
	for _, test := range tests {
		t.Run(oneLine(test.input), func(t *testing.T) {
			got, n := readResponse([]byte(test.input), false, &lim)
			if got != test.want {
				t.Fatalf("got %s, want %s", got, test.want)
			}
			if got != "refused" && n != len(test.input) {
				t.Errorf("head has %d bytes, want %d", n, len(test.input))
			}
			for i := range len(test.input) {
				got, _ := readResponse([]byte(test.input[:i]), false, &lim)
				if got != "more" && (got != "refused" || test.want != "refused") {
					t.Errorf("the first %d bytes: got %s, want more", i, got)
				}
			}
		})
	}
}

func TestResponseToHEAD(t *testing.T) {
	lim := DefaultLimits()
	tests := []headCase{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 none length=5"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 none"},
		{"HTTP/1.1 200 OK\r\n\r\n", "200 none"},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 none length=0"},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "refused"},
	}
	for _, test := range tests {
		if got, _ := readResponse([]byte(test.input), true, &lim); got != test.want {
			t.Errorf("%s: got %s, want %s", oneLine(test.input), got, test.want)
		}
	}
}

func TestResponseLimits(t *testing.T) {
	lim := DefaultLimits()
	lim.LineBytes, lim.HeadBytes, lim.Fields = 100, 300, 3
	a := func(n int) string { return strings.Repeat("a", n) }
	tests := []headCase{
		{"HTTP/1.1 200 " + a(87) + "\r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"HTTP/1.1 200 " + a(88) + "\r\nContent-Length: 0\r\n\r\n", "refused"},
		{"HTTP/1.1 200 " + a(1000), "refused"},
		{"HTTP/1.1 200 OK\r\nA: " + a(200), "more"},
		{"HTTP/1.1 200 OK\r\nA: " + a(300), "refused"},
		{"HTTP/1.1 200 OK\r\nA: " + a(300) + "\r\n\r\n", "refused"},
		{"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nContent-Length: 0\r\n\r\n", "refused"},
	}
	for _, test := range tests {
		if got, _ := readResponse([]byte(test.input), false, &lim); got != test.want {
			t.Errorf("%s: got %s, want %s", oneLine(test.input), got, test.want)
		}
	}
}
