package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/urlpath"
	"github.com/microgw/microgw/runtime/internal/exchange"
)

// net/http is the second opinion: what we accept it accepts too and takes to
// mean the same. The exceptions are in the code below, each with its reason.

// sameFields compares fields with a http.Header, name by name. net/http takes
// some fields out: skip.
func sameFields(t *testing.T, got exchange.Header, want http.Header, skip ...string) {
	t.Helper()
	ours := http.Header{}
	for _, f := range got.Fields {
		name := http.CanonicalHeaderKey(string(f.Name))
		ours[name] = append(ours[name], string(f.Value))
	}
	for _, name := range skip {
		delete(ours, name)
		delete(want, name)
	}
	if ours.Get("Pragma") == "no-cache" && ours["Cache-Control"] == nil {
		delete(want, "Cache-Control") // net/http adds it, for 1.0's sake
	}
	for name := range ours {
		if !slices.Equal(ours[name], want[name]) {
			t.Errorf("field %q: got %q, net/http says %q", name, ours[name], want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("net/http has more fields: %q", want)
	}
}

func FuzzRequestHead(f *testing.F) {
	for _, g := range [][]headCase{requestLines, hosts, fieldLines, requestFramings, requestOptions} {
		for _, c := range g {
			f.Add([]byte(c.input))
		}
	}
	lim := DefaultLimits()
	f.Fuzz(func(t *testing.T, input []byte) {
		var x exchange.Exchange
		n, fr, err := parseRequest(input, &x, &lim)
		if err != nil {
			return
		}
		head := input[:n]
		// One empty line before the request: net/http's server skips none
		// here, though RFC 9112, section 2.2 wants it to.
		head = bytes.TrimPrefix(head, []byte("\r\n"))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			// net/url is part of net/http's parser. Here what it refuses is
			// left to the path normaliser, behind the parser.
			path, _, _ := strings.Cut(string(x.Target), "?")
			if _, bad := urlpath.Normalize(nil, []byte(path)); bad != nil {
				return
			}
			// A Host's pct-encoding is looked at by net/url if the target is
			// absolute, and by us never: it is no more than a label.
			if bytes.IndexByte(x.Host, '%') >= 0 || bytes.IndexByte(x.Host, '[') >= 0 {
				return
			}
			// The names in Trailer are refused if they cannot be trailers. We
			// drop the field, and such trailers as well.
			if strings.Contains(err.Error(), "bad trailer key") {
				return
			}
			t.Fatalf("net/http refuses it: %v", err)
		}
		if string(x.Method) != r.Method {
			t.Errorf("method %q, net/http says %q", x.Method, r.Method)
		}
		if want := r.RequestURI; strings.HasPrefix(want, "/") {
			if string(x.Target) != want {
				t.Errorf("target %q, net/http says %q", x.Target, want)
			}
		} else if r.URL.Host != "" && r.Method != "CONNECT" {
			if i := strings.Index(want, "://"); (strings.EqualFold(want[:i], "http") || strings.EqualFold(want[:i], "https")) &&
				!strings.HasSuffix(want, strings.TrimPrefix(string(x.Target), "/")) {
				t.Errorf("target %q of %q", x.Target, want)
			}
		}
		if r.Method != "CONNECT" && !strings.EqualFold(string(x.Host), r.Host) &&
			// Of an absolute target with another scheme we take Host, and the
			// path normaliser refuses the target.
			(x.Target[0] == '/' || r.URL.Host == "") {
			t.Errorf("host %q, net/http says %q", x.Host, r.Host)
		}
		if fr.length != r.ContentLength {
			t.Errorf("length %d, net/http says %d", fr.length, r.ContentLength)
		}
		if fr.chunked != slices.Equal(r.TransferEncoding, []string{"chunked"}) {
			t.Errorf("chunked is %v, net/http says %q", fr.chunked, r.TransferEncoding)
		}
		if closes := r.Close; closes == fr.keepAlive {
			t.Errorf("keep-alive is %v, net/http says close %v", fr.keepAlive, closes)
		}
		sameFields(t, x.Request, r.Header, "Host", "Transfer-Encoding", "Trailer")

		// Cut anywhere, the head is not complete.
		for _, i := range []int{1, n / 2, n - 1} {
			var y exchange.Exchange
			if _, _, err := parseRequest(input[:i], &y, &lim); i < n && err != ErrMore {
				t.Errorf("the first %d of %d bytes: %v", i, n, err)
			}
		}
	})
}

func FuzzResponseHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 204\r\nA: b\r\na:  c \r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nPragma: no-cache\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTrailer: A\r\nConnection: close, x\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	lim := DefaultLimits()
	f.Fuzz(func(t *testing.T, input []byte, head bool) {
		var h exchange.Header
		status := 0
		n, fr, err := parseResponse(input, &status, &h, head, &lim)
		if err != nil {
			return
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(input[:n])), &http.Request{Method: method})
		if err != nil {
			if strings.Contains(err.Error(), "bad trailer key") {
				return // we drop Trailer, and such trailers as well
			}
			// Where there is no content we do not look at how it would be
			// coded.
			if fr.none && h.Find(exchange.TransferEncoding) != nil {
				return
			}
			t.Fatalf("net/http refuses it: %v", err)
		}
		if status != r.StatusCode {
			t.Errorf("status %d, net/http says %d", status, r.StatusCode)
		}
		if fr.hasBody() {
			if fr.length != r.ContentLength {
				t.Errorf("length %d, net/http says %d", fr.length, r.ContentLength)
			}
			if fr.chunked != slices.Equal(r.TransferEncoding, []string{"chunked"}) {
				t.Errorf("chunked is %v, net/http says %q", fr.chunked, r.TransferEncoding)
			}
		}
		if fr.keepAlive && r.Close {
			t.Error("net/http would close the connection")
		}
		skip := []string{"Transfer-Encoding", "Trailer"}
		if r.Close {
			skip = append(skip, "Connection") // taken out, it being said
		}
		sameFields(t, h, r.Header, skip...)
	})
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint16(3), uint16(7))
	f.Add([]byte("5;a=b\r\nhello\r\n6 ;c\r\n world\r\n0;d\r\nA: b\r\n\r\nrest"), uint16(8), uint16(20))
	f.Add([]byte("0000a\r\n0123456789\r\n000\r\n\r\n"), uint16(1), uint16(2))
	f.Add([]byte("fffffffffffffff\r\nx"), uint16(0), uint16(0))
	lim := DefaultLimits()
	lim.BodyBytes = 1 << 20
	fr := framing{chunked: true, length: -1}
	f.Fuzz(func(t *testing.T, input []byte, i, j uint16) {
		got, left, err := readBody(fr, &lim, nil, input)
		a := int(i) % (len(input) + 1)
		b := a + int(j)%(len(input)-a+1)
		got2, left2, err2 := readBody(fr, &lim, nil, input[:a], input[a:b], input[b:])
		if (err == nil) != (err2 == nil) || err == nil && (got != got2 || left != left2) {
			t.Fatalf("whole: %q, %q, %v; cut at %d and %d: %q, %q, %v", got, left, err, a, b, got2, left2, err2)
		}
		if err != nil {
			return
		}
		rest := bufio.NewReader(bytes.NewReader(input))
		want, err := io.ReadAll(httputil.NewChunkedReader(rest))
		if err != nil {
			if strings.Contains(err.Error(), "too much non-data") {
				return // its limit on extensions is over all chunks, ours is for each
			}
			if blank := bytes.Contains(input, []byte(" ;")) || bytes.Contains(input, []byte("\t;")); blank &&
				strings.Contains(err.Error(), "invalid byte in chunk length") {
				return // the grammar has bad white space before extensions (RFC 9112, section 7.1.1)
			}
			t.Fatalf("net/http refuses it: %v", err)
		}
		if got != string(want) {
			t.Fatalf("got %q, net/http says %q", got, want)
		}
		// It leaves the trailer section unread.
		behind, _ := io.ReadAll(rest)
		if !strings.HasSuffix(string(behind), left) {
			t.Fatalf("%q is left, net/http leaves %q with the trailers", left, behind)
		}
	})
}

// What we send is what we would take, and no field of the sender's framing or
// connection goes through.
func FuzzForward(f *testing.F) {
	for _, g := range [][]headCase{requestLines, hosts, requestFramings, requestOptions} {
		for _, c := range g {
			f.Add([]byte(c.input), true)
		}
	}
	f.Add([]byte(get("Connection: Host, Content-Length, a\r\nA: b\r\nForwarded: for=x\r\nX-Forwarded-For: 1.2.3.4\r\n")), false)
	lim := DefaultLimits()
	f.Fuzz(func(t *testing.T, input []byte, trusted bool) {
		var x exchange.Exchange
		_, fr, err := parseRequest(input, &x, &lim)
		if err != nil {
			return
		}
		path, query, has := strings.Cut(string(x.Target), "?")
		normal, err := urlpath.Normalize(nil, []byte(path))
		if err != nil {
			return
		}
		x.Path, x.Query, x.HasQuery = normal, []byte(query), has
		x.RequestLength, x.WebSocket, x.Trailers, x.Trusted = fr.length, fr.websocket, fr.trailers, trusted
		if fr.hasBody() {
			x.RequestBody = &exchange.Bytes{}
		}
		x.Forwarded = appendForwarded(nil, &x)
		out := appendRequestHead(nil, &x, &Target{Host: []byte("up:80"), Path: x.Path})

		var y exchange.Exchange
		loose := lim
		loose.HeadBytes, loose.TargetBytes, loose.Fields = 1<<20, 1<<20, 1000
		n, fr2, err := parseRequest(out, &y, &loose)
		if err != nil || n != len(out) {
			t.Fatalf("we would not take %q: %d of %d bytes, %v", out, n, len(out), err)
		}
		if string(y.Method) != string(x.Method) || string(y.Host) != "up:80" || !fr2.keepAlive {
			t.Errorf("sent %q", out)
		}
		if fr2.chunked != fr.chunked || fr2.length != fr.length || fr2.websocket != fr.websocket || fr2.expect {
			t.Errorf("framing %+v became %+v", fr, fr2)
		}
	})
}
