package exchange_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// Every name that has an ID is recognised in any letter case, and nothing that
// only resembles one.
func TestFieldIDOf(t *testing.T) {
	names := map[exchange.FieldID]string{
		exchange.Accept: "Accept", exchange.Authorization: "Authorization", exchange.Connection: "Connection",
		exchange.ContentLength: "Content-Length", exchange.ContentType: "Content-Type", exchange.Cookie: "Cookie",
		exchange.Date: "Date", exchange.Expect: "Expect", exchange.Forwarded: "Forwarded", exchange.Host: "Host",
		exchange.KeepAlive: "Keep-Alive", exchange.ProxyAuthenticate: "Proxy-Authenticate",
		exchange.ProxyAuthorization: "Proxy-Authorization", exchange.ProxyConnection: "Proxy-Connection",
		exchange.Referer: "Referer", exchange.Server: "Server", exchange.TE: "TE", exchange.Trailer: "Trailer",
		exchange.TransferEncoding: "Transfer-Encoding", exchange.Upgrade: "Upgrade", exchange.UserAgent: "User-Agent",
		exchange.Via: "Via", exchange.XForwardedFor: "X-Forwarded-For", exchange.XForwardedHost: "X-Forwarded-Host",
		exchange.XForwardedProto: "X-Forwarded-Proto",
	}
	for id, name := range names {
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := exchange.FieldIDOf([]byte(n)); got != id {
				t.Errorf("%s: got %d, want %d", n, got, id)
			}
		}
		for i := range name {
			b := []byte(name)
			b[i] ^= 0x20 // letters change case, the rest changes altogether
			want := exchange.Other
			if c := name[i] | 0x20; 'a' <= c && c <= 'z' {
				want = id
			}
			if got := exchange.FieldIDOf(b); got != want {
				t.Errorf("%q: got %d, want %d", b, got, want)
			}
		}
		for _, n := range []string{name + "x", "x" + name, name[1:], name[:len(name)-1], strings.ReplaceAll(name, "-", "_") + "_"} {
			if got := exchange.FieldIDOf([]byte(n)); got != exchange.Other {
				t.Errorf("%s: got %d", n, got)
			}
		}
	}
	for _, n := range []string{"", "-", "\x00", strings.Repeat("x", 1000)} {
		if got := exchange.FieldIDOf([]byte(n)); got != exchange.Other {
			t.Errorf("%q: got %d", n, got)
		}
	}
}

func list(h *exchange.Header) (s string) {
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Deleted() {
			s += fmt.Sprintf("%s=%s ", f.Name, f.Value)
		}
	}
	return strings.TrimSpace(s)
}

func TestHeader(t *testing.T) {
	var h exchange.Header
	for _, nv := range []string{"Accept=a", "X=1", "ACCEPT=b", "x=2"} {
		name, value, _ := strings.Cut(nv, "=")
		h.Add([]byte(name), []byte(value))
	}
	if v, ok := h.Get("x"); !ok || string(v) != "1" {
		t.Errorf("Get: %s, %v", v, ok)
	}
	if n := h.Count("accept"); n != 2 {
		t.Errorf("Count: %d", n)
	}
	if f := h.Find(exchange.Accept); f == nil || string(f.Value) != "a" {
		t.Errorf("Find: %v", f)
	}
	h.Delete("accept")
	if h.Find(exchange.Accept) != nil || h.Count("accept") != 0 || list(&h) != "X=1 x=2" {
		t.Errorf("after Delete: %s", list(&h))
	}
	if _, ok := h.Get("accept"); ok {
		t.Error("Get finds what was deleted")
	}
	h.Add([]byte("Accept"), []byte("c"))
	h.DeleteID(exchange.Accept)
	h.Received = 4
	if list(&h) != "X=1 x=2" {
		t.Errorf("after DeleteID: %s", list(&h))
	}
	h.Reset()
	if len(h.Fields) != 0 || h.Received != 0 {
		t.Error("not empty after Reset")
	}
}

// Memory of an exchange is not handed out twice before Reset, whatever the
// sizes.
func TestBytes(t *testing.T) {
	var x exchange.Exchange
	for range 3 {
		var all [][]byte
		for i := range 200 {
			b := x.Bytes(i * 7 % 300)
			for k := range b {
				b[k] = byte(i)
			}
			all = append(all, b)
			_ = append(b, 0xff) // cannot reach a neighbour
		}
		for i, b := range all {
			if len(b) != i*7%300 || bytes.Count(b, []byte{byte(i)}) != len(b) {
				t.Fatalf("piece %d was overwritten", i)
			}
		}
		x.Reset()
	}
}

func TestAnswerAndFail(t *testing.T) {
	var x exchange.Exchange
	x.Response.Add([]byte("Set-Cookie"), []byte("secret"))
	x.Trailer.Add([]byte("A"), []byte("b"))
	x.Fail(fault.MethodNotAllowed.Allowing("GET"))
	if x.Status != 405 || list(&x.Response) != "Content-Type=application/json Allow=GET" || len(x.Trailer.Fields) != 0 {
		t.Errorf("got %d, %s", x.Status, list(&x.Response))
	}
	p, err := x.ResponseBody.Next()
	if !bytes.Equal(p, fault.MethodNotAllowed.Body()) || err != nil || int64(len(p)) != x.ResponseLength {
		t.Errorf("body is %s, %v", p, err)
	}
	if _, err := x.ResponseBody.Next(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	x.Fail(fault.KeysUnavailable)
	if got := list(&x.Response); got != "Content-Type=application/json Retry-After=5" {
		t.Errorf("got %s", got)
	}
	x.Fail(fault.MissingCredentials)
	if v, _ := x.Response.Get("www-authenticate"); string(v) != fault.MissingCredentials.Challenge {
		t.Errorf("got %s", v)
	}
	x.Answer(204, "", nil)
	if x.ResponseBody != nil || x.ResponseLength != 0 || list(&x.Response) != "" {
		t.Errorf("got %v, %d, %s", x.ResponseBody, x.ResponseLength, list(&x.Response))
	}
	x.Shard = 3
	x.Principal = &exchange.Principal{Scopes: []string{"a"}}
	if !x.Principal.HasScope("a") || x.Principal.HasScope("b") {
		t.Error("HasScope")
	}
	x.Reset()
	if x.Status != 0 || x.Fault != nil || x.Principal != nil || x.Shard != 3 {
		t.Errorf("after Reset: %+v", x)
	}
}
