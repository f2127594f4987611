package engine_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/upstream"
)

// What an upstream gets, byte by byte. PEER, HOST stand for addresses that the
// system chooses.
func TestForwardedHead(t *testing.T) {
	const forwarded = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" +
		"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\nX-Forwarded-Host: h\r\nVia: 1.1 micro-gw\r\n"
	head := func(line, fields, tail string) string {
		return line + " HTTP/1.1\r\nHost: BACKEND\r\n" + fields + forwarded + tail + "\r\n"
	}
	get := func(fields string) string { return "GET /api/a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" }
	tests := []struct{ name, request, want string }{
		{"path", "GET /api/v/1?x=%20&y HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/v/1?x=%20&y", "", "")},
		{"base path alone", "GET /api HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base", "", "")},
		{"base path and slash", "GET /api/ HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/", "", "")},
		{"empty query", "GET /api/a? HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/a?", "", "")},
		{"question marks", "GET /api/a??b=/../c? HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/a??b=/../c?", "", "")},
		{"normalised", "GET /api/%61/./b/../c%2a%2A/ HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/a/c%2A%2A/", "", "")},
		{"climbs and comes back", "GET /x/../api/a HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/a", "", "")},
		{"absolute form", "GET http://h/api/a?b HTTP/1.1\r\nHost: h\r\n\r\n", head("GET /base/a?b", "", "")},

		{"order, case and repetition stay", get("b: 1\r\nA:2\r\nB:  3 \r\n"), head("GET /base/a", "b: 1\r\nA: 2\r\nB: 3\r\n", "")},
		{"hop-by-hop fields", get("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\n" +
			"TE: gzip\r\nUpgrade: h2c\r\nTrailer: x\r\nExpect: 100-continue\r\nA: b\r\n"), head("GET /base/a", "A: b\r\n", "")},
		{"nominated", get("A: 1\r\nConnection: a, close , B\r\nb: 2\r\nC: 3\r\n"), head("GET /base/a", "C: 3\r\n", "")},
		{"nominated by many", get("A: 1\r\nConnection: a\r\nConnection: b\r\nConnection: c\r\nConnection: d\r\nConnection: e\r\nE: 2\r\nF: 3\r\n"),
			head("GET /base/a", "F: 3\r\n", "")},
		{"nominated Host and Content-Length", "POST /api/a HTTP/1.1\r\nHost: h\r\nConnection: Host, Content-Length, X-Forwarded-For, Via\r\nContent-Length: 2\r\n\r\nhi",
			head("POST /base/a", "", "Content-Length: 2\r\n")},
		{"h2c settings", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), head("GET /base/a", "", "")},

		{"forwarding fields of a stranger", get("X-Forwarded-For: 1.2.3.4\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n"),
			head("GET /base/a", "", "")},
		{"forwarding fields with underscores", get("X_Forwarded_For: 1.2.3.4\r\nx_forwarded-proto: https\r\nX-Forwarded_HOST: evil\r\n" +
			"X_Forwarded_By: a\r\nY_Forwarded_For: b\r\nX-Forwarded_Forx: c\r\nX_A: d\r\nX-Forwarded-Port: e\r\n"),
			head("GET /base/a", "X_Forwarded_By: a\r\nY_Forwarded_For: b\r\nX-Forwarded_Forx: c\r\nX_A: d\r\nX-Forwarded-Port: e\r\n", "")},
		{"Via of others stays", get("Via: 1.1 a\r\nVia: 1.0 b\r\n"), head("GET /base/a", "Via: 1.1 a\r\nVia: 1.0 b\r\n", "")},
		{"empty Host", "GET /api/a HTTP/1.1\r\nHost:\r\n\r\n", "GET /base/a HTTP/1.1\r\nHost: BACKEND\r\n" +
			"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nForwarded: for=127.0.0.1;proto=http\r\nVia: 1.1 micro-gw\r\n\r\n"},
		{"1.0", "GET /api/a HTTP/1.0\r\nHost: h\r\n\r\n", strings.Replace(head("GET /base/a", "", ""), "1.1 micro-gw", "1.0 micro-gw", 1)},

		{"length 0 is kept", "GET /api/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", head("GET /base/a", "", "Content-Length: 0\r\n")},
		{"POST without content", "POST /api/a HTTP/1.1\r\nHost: h\r\n\r\n", head("POST /base/a", "", "Content-Length: 0\r\n")},
		{"DELETE without content", "DELETE /api/a HTTP/1.1\r\nHost: h\r\n\r\n", head("DELETE /base/a", "", "")},
		{"length in odd digits", "POST /api/a HTTP/1.1\r\nHost: h\r\nContent-Length: 002\r\n\r\nhi", head("POST /base/a", "", "Content-Length: 2\r\n")},
		{"chunks", "POST /api/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n1;x\r\nh\r\n1\r\ni\r\n0\r\nA: b\r\n\r\n",
			head("POST /base/a", "", "Transfer-Encoding: chunked\r\n")},
		{"GET with content", "GET /api/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", head("GET /base/a", "", "Content-Length: 2\r\n")},
		{"trailers wanted", get("TE: trailers, gzip\r\n"), head("GET /base/a", "", "Connection: TE\r\nTE: trailers\r\n")},
		{"HEAD", "HEAD /api/a HTTP/1.1\r\nHost: h\r\n\r\n", head("HEAD /base/a", "", "")},
	}
	b := newBackend(t, always("HTTP/1.1 204 No Content\r\n\r\n"))
	g := newGateway(t, options{basePath: "/api"}, b.url+"/base/")
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := g.dial()
			c.send(test.request)
			if a := c.answer("HEAD"); a.StatusCode != 204 {
				t.Fatalf("got %s %s", a.Status, a.body)
			}
			got := b.got()[i]
			if want := strings.ReplaceAll(test.want, "BACKEND", b.host); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestForwardedByTrustedPeer(t *testing.T) {
	b := newBackend(t, always(ok("")))
	client := make(chan string, 1)
	g := newGateway(t, options{
		server: trust,
		stages: []engine.Stage{{Request: func(x *exchange.Exchange) error { client <- x.Client.String(); return nil }}},
	}, b.url)
	tests := []struct{ name, fields, want, client string }{
		{"nothing said", "", "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" +
			"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\n", "127.0.0.1"},
		{"all said", "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\nForwarded: for=1.2.3.4\r\n",
			"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\n" +
				"Forwarded: for=1.2.3.4, for=127.0.0.1;proto=http;host=\"h\"\r\n", "1.2.3.4"},
		{"proxies behind proxies", "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\nX-Forwarded-For: 127.0.0.7\r\n",
			"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 127.0.0.7, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" +
				"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\n", "1.2.3.4"},
		{"no address", "X-Forwarded-For: 1.2.3.4, unknown, 127.0.0.7\r\n",
			"X-Forwarded-For: 1.2.3.4, unknown, 127.0.0.7, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" +
				"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\n", "127.0.0.7"},
		{"IPv6", "X-Forwarded-For: 2001:db8::1\r\n",
			"X-Forwarded-For: 2001:db8::1, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" +
				"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\n", "2001:db8::1"},
		{"empty", "X-Forwarded-For:\r\n",
			"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n" +
				"Forwarded: for=127.0.0.1;proto=http;host=\"h\"\r\n", "127.0.0.1"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := g.dial()
			c.send("GET /a HTTP/1.1\r\nHost: h\r\n" + test.fields + "\r\n")
			c.wantAnswer(200, "")
			got := b.got()[i]
			want := "GET /a HTTP/1.1\r\nHost: " + b.host + "\r\n" + test.want + "Via: 1.1 micro-gw\r\n\r\n"
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if got := <-client; got != test.client {
				t.Errorf("client is %s, want %s", got, test.client)
			}
		})
	}
}

func TestForwardedOverTLS(t *testing.T) {
	b := newBackend(t, always(ok("")))
	g := newGateway(t, options{tls: true}, b.url)
	c := g.dial()
	c.send(getRequest)
	c.wantAnswer(200, "")
	for _, want := range []string{"X-Forwarded-Proto: https\r\n", "Forwarded: for=127.0.0.1;proto=https;host=\"h\"\r\n"} {
		if got := b.got()[0]; !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwithout %s", got, want)
		}
	}
}

// What stages add is the gateway's own: the client cannot have it dropped.
func TestStageFieldsCannotBeNominated(t *testing.T) {
	b := newBackend(t, always("HTTP/1.1 200 OK\r\nConnection: X-Ours, X-Theirs\r\nX-Theirs: 1\r\nContent-Length: 0\r\n\r\n"))
	g := newGateway(t, options{stages: []engine.Stage{{
		Request: func(x *exchange.Exchange) error {
			x.Request.Delete("x-ours")
			x.Request.Add([]byte("X-Ours"), []byte("proved"))
			return nil
		},
		Response: func(x *exchange.Exchange) error {
			x.Response.Add([]byte("X-Ours"), []byte("proved"))
			return nil
		},
	}}}, b.url)
	c := g.dial()
	c.send("GET /a HTTP/1.1\r\nHost: h\r\nConnection: X-Ours, X-Mine\r\nX-Ours: forged\r\nX-Mine: 1\r\n\r\n")
	a := c.wantAnswer(200, "")
	if got := b.got()[0]; !strings.Contains(got, "X-Ours: proved\r\n") || strings.Contains(got, "forged") || strings.Contains(got, "X-Mine") {
		t.Errorf("upstream got\n%s", got)
	}
	if a.Header.Get("X-Ours") != "proved" || a.Header.Get("X-Theirs") != "" {
		t.Errorf("client got %v", a.Header)
	}
}

func TestOwnCredentials(t *testing.T) {
	b := newBackend(t, always(ok("")))
	g := newGateway(t, options{cluster: func(s *upstream.Settings) { s.Authorization = "Basic Z3c6Z3c=" }}, b.url+"/base?key=1")
	c := g.dial()
	c.send("GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: Authorization\r\nAuthorization: Bearer t\r\n\r\n")
	c.wantAnswer(200, "")
	c.send(getRequest)
	c.wantAnswer(200, "")
	got := b.got()
	if !strings.HasPrefix(got[0], "GET /base/a?key=1&b HTTP/1.1\r\n") || !strings.HasPrefix(got[1], "GET /base/a?key=1 HTTP/1.1\r\n") {
		t.Errorf("got %q", got)
	}
	if strings.Count(got[0], "Authorization") != 1 || !strings.Contains(got[0], "\r\nAuthorization: Basic Z3c6Z3c=\r\n") {
		t.Errorf("got\n%s", got[0])
	}
}

// What a client gets, byte by byte, for what an upstream says.
func TestAnswer(t *testing.T) {
	const get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	const get10 = "GET /a HTTP/1.0\r\n\r\n"
	const keep10 = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	const head = "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"
	const te = "GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n"
	const dated = "Date: DATE\r\n"
	told := string(fault.UpstreamBroken.Body())
	broken := "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n" + dated +
		"Content-Length: " + strconv.Itoa(len(told)) + "\r\n\r\n" + told
	tests := []struct {
		name, request, answer, want string
		ends                        bool // the client's connection, after the answer
	}{
		{"length", get, "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nA: b\r\n\r\nhi", "HTTP/1.1 200 OK\r\nA: b\r\n" + dated + "Content-Length: 2\r\n\r\nhi", false},
		{"Date of the upstream", get, "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 0\r\n\r\n", false},
		{"chunks are made anew", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n02;x=y\r\nhi\r\n0;z\r\nA: b\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{"trailers wanted", te, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\nContent-Length: 5\r\nHost: x\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", false},
		{"chunks for 1.0", get10, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Connection: close\r\n\r\nhi", true},
		{"chunks for 1.0 that would stay", keep10, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Connection: close\r\n\r\nhi", true},
		{"length for 1.0", get10, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\nConnection: close\r\n\r\nhi", true},
		{"length for 1.0 that stays", keep10, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", false},
		{"until close", get, "HTTP/1.1 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{"until close, nothing", get, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"1.0 upstream", get, "HTTP/1.0 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{"1.0 both", get10, "HTTP/1.0 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\n" + dated + "Connection: close\r\n\r\nhi", true},
		{"client closes", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 0\r\nConnection: close\r\n\r\n", true},
		{"upstream closes", get, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 0\r\n\r\n", false},

		{"HEAD", head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\n\r\n", false},
		{"HEAD in chunks", head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n" + dated + "\r\n", false},
		{"HEAD answered with content", head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\n\r\n", false},
		{"HEAD, broken", head, "x\r\n\r\n", strings.SplitAfter(broken, "\r\n\r\n")[0], false},
		{"204", get, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n" + dated + "\r\n", false},
		{"204 with a length", get, "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 204 No Content\r\n" + dated + "\r\n", false},
		{"304", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n" + dated + "Content-Length: 2\r\n\r\n", false},
		{"304 in chunks", get, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n" + dated + "\r\n", false},
		{"status without a name", get, "HTTP/1.1 299 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 299 \r\n" + dated + "Content-Length: 0\r\n\r\n", false},

		{"interim answers", get, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\n\r\nhi", false},
		{"as many as allowed", get, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 8) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 0\r\n\r\n", false},
		{"one more", get, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 9) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", broken, false},
		{"101 unasked", get, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", broken, false},

		{"hop-by-hop fields", get, "HTTP/1.1 200 OK\r\nConnection: A, keep-alive\r\nKeep-Alive: x\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nTrailer: x\r\nA: 1\r\nB: 2\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nB: 2\r\n" + dated + "Content-Length: 0\r\n\r\n", false},
		{"nominated Content-Length and Date", get, "HTTP/1.1 200 OK\r\nConnection: Content-Length, Date\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\n" + dated + "Content-Length: 2\r\n\r\nhi", false},

		// Broken before anything was sent: the client is told.
		{"nothing", get, "", broken, false},
		{"no HTTP", get, "SSH-2.0-OpenSSH\r\n\r\n", broken, false},
		{"half a head", get, "HTTP/1.1 200 OK\r\nContent-Le", broken, false},
		{"both framings", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", broken, false},
		{"two lengths", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", broken, false},
		{"bare LF", get, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", broken, false},
		{"folded", get, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", broken, false},
		{"splitting", get, "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\nContent-Length: 2\r\n\r\nhi", broken, false},
		{"head too long", get, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 9000) + "\r\nContent-Length: 0\r\n\r\n", broken, false},
		{"head without end", get, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 30000), broken, false},
		{"too many fields", get, "HTTP/1.1 200 OK\r\n" + strings.Repeat("A:\r\n", 101) + "Content-Length: 0\r\n\r\n", broken, false},
		{"first chunk malformed", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", broken, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(t, once(test.answer))
			g := newGateway(t, options{}, b.url)
			c := g.dial()
			c.send(test.request)
			want := test.want
			length := len(want)
			if strings.Contains(want, dated) {
				length += len("Sat, 21 Nov 2026 19:45:31 GMT") - len("DATE")
			}
			got := date.ReplaceAllString(c.take(length), dated)
			if got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
			if test.ends {
				c.wantEnd()
				return
			}
			// The connection is in step: the next request has its own answer.
			c.send("GET /../x HTTP/1.1\r\nHost: h\r\n\r\n")
			c.wantFault(fault.BadPath)
		})
	}
}

// Refused before anything reaches an upstream, and the connection ends: rules
// 1, 3 and 8 of the engine.
func TestRefused(t *testing.T) {
	post := func(fields, body string) string {
		return "POST /a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + body
	}
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	tests := []struct {
		name, input string
		fault       *fault.Fault
	}{
		{"CL.TE", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n"+smuggled+"\r\n0\r\n\r\n"), fault.BadRequest},
		{"TE.TE", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE blank", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE after a bare LF", post("A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled), fault.BadRequest},
		{"TE after a bare CR", post("A: b\rTransfer-Encoding: chunked\r\n", smuggled), fault.BadRequest},
		{"TE unknown", post("Transfer-Encoding: xchunked\r\n", smuggled), fault.UnknownCoding},
		{"TE in 1.0", "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, fault.BadRequest},
		{"CL twice", post("Content-Length: 0\r\nContent-Length: 44\r\n", smuggled), fault.BadRequest},
		{"CL list", post("Content-Length: 0, 44\r\n", smuggled), fault.BadRequest},
		{"CL plus", post("Content-Length: +44\r\n", smuggled), fault.BadRequest},
		{"CL wraps", post("Content-Length: 18446744073709551616\r\n", smuggled), fault.BadRequest},
		{"CL NUL", post("Content-Length: 44\x00\r\n", smuggled), fault.BadRequest},
		{"no Host", "GET /a HTTP/1.1\r\n\r\n" + smuggled, fault.BadRequest},
		{"two Hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n" + smuggled, fault.BadRequest},
		{"Host and target differ", "GET http://i/a HTTP/1.1\r\nHost: h\r\n\r\n" + smuggled, fault.BadRequest},
		{"bare LF", "GET /a HTTP/1.1\nHost: h\n\n" + smuggled, fault.BadRequest},
		{"version", "GET /a HTTP/3.0\r\nHost: h\r\n\r\n" + smuggled, fault.VersionUnsupported},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", fault.VersionUnsupported},
		{"expectation", post("Expect: x\r\nContent-Length: 2\r\n", "hi"), fault.ExpectationFailed},
		{"target", "GET /" + strings.Repeat("a", 5000) + " HTTP/1.1\r\nHost: h\r\n\r\n" + smuggled, fault.URITooLong},
		{"target without end", "GET /" + strings.Repeat("a", 60000), fault.URITooLong},
		{"head", "GET /a HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 9000) + "\r\n\r\n" + smuggled, fault.HeaderTooLarge},
		{"head without end", "GET /a HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 60000), fault.HeaderTooLarge},
		{"fields", "GET /a HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A:\r\n", 200) + "\r\n" + smuggled, fault.HeaderTooLarge},
		{"declared length", post("Content-Length: 1000001\r\n", "hi"), fault.ContentTooLarge},
		{"chunked length", post("Transfer-Encoding: chunked\r\n", "f4241\r\n"+strings.Repeat("a", 1000001)), fault.ContentTooLarge},
		{"chunk size", post("Transfer-Encoding: chunked\r\n", "2x\r\nhi\r\n0\r\n\r\n"+smuggled), fault.BadRequest},
		{"chunk end", post("Transfer-Encoding: chunked\r\n", "2\r\nhi!\r\n0\r\n\r\n"+smuggled), fault.BadRequest},
		{"chunk line", post("Transfer-Encoding: chunked\r\n", "2;"+strings.Repeat("a", 2000)+"\r\nhi\r\n0\r\n\r\n"+smuggled), fault.BadRequest},
		{"chunk extension", post("Transfer-Encoding: chunked\r\n", "2;\nxx\r\nhi\r\n0\r\n\r\n"+smuggled), fault.BadRequest},
		{"trailers", post("Transfer-Encoding: chunked\r\n", "0\r\n"+strings.Repeat("A: "+strings.Repeat("b", 90)+"\r\n", 60)+"\r\n"+smuggled), fault.BadRequest},
		{"empty lines", "\r\n\r\n" + smuggled, fault.BadRequest},
	}
	both(t, func(t *testing.T, o options) {
		o.limits = func(l *http1.Limits) { l.BodyBytes = 1000000 }
		b := newBackend(t, func(b *backend, w *wire) { w.gone() })
		g := newGateway(t, o, b.url)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c := g.dial()
				c.t = t
				c.send(test.input)
				c.wantFault(test.fault)
				if !o.tls {
					c.closeWrite()
				}
				c.wantEnd()
			})
		}
		for _, h := range b.got() {
			t.Errorf("upstream got\n%s", h)
		}
	})
}
