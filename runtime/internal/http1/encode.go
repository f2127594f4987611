package http1

import (
	"net/http"
	"strconv"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// This file writes message heads. A message that is passed on gets framing of
// its own: what its sender said of framing and connection stays behind
// (RFC 9110, section 7.6.1; RFC 9112, section 6).

// statusLines holds "HTTP/1.1 200 OK\r\n" for every status.
var statusLines = func() (t [600][]byte) {
	for code := range t {
		if code < 100 {
			continue
		}
		t[code] = []byte("HTTP/1.1 " + strconv.Itoa(code) + " " + http.StatusText(code) + "\r\n")
	}
	return
}()

// nominated collects the names that Connection fields nominate for dropping.
// The list is short; each name is looked for in it only if there is one.
type nominated struct{ lists [4][]byte }

func (n *nominated) collect(h *exchange.Header) bool {
	k := 0
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != exchange.Connection || common(f.Value) {
			continue
		}
		if k == len(n.lists) {
			return false
		}
		n.lists[k] = f.Value
		k++
	}
	return true
}

// common recognises values that nominate nothing that would be sent anyway.
func common(v []byte) bool {
	return exchange.EqualFold(v, "keep-alive") || exchange.EqualFold(v, "close") || exchange.EqualFold(v, "upgrade")
}

// has reports whether a field is to be dropped. Host and Content-Length cannot
// be (rule 6 of the engine: they are ours).
func (n *nominated) has(f *exchange.Field) bool {
	for _, list := range n.lists {
		for len(list) > 0 {
			var m []byte
			m, list = nextToken(list)
			if len(m) == len(f.Name) && equalFold(m, f.Name) {
				return f.ID != exchange.Host && f.ID != exchange.ContentLength
			}
		}
	}
	return false
}

func equalFold(a, b []byte) bool {
	for i := range a {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		if 'A' <= y && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}

// hopByHop are fields about the connection that the message came by, and about
// framing, which is re-made.
var hopByHop = func() (t [256]bool) {
	for _, id := range []exchange.FieldID{
		exchange.Connection, exchange.KeepAlive, exchange.ProxyConnection,
		exchange.ProxyAuthenticate, exchange.ProxyAuthorization, exchange.TE,
		exchange.Trailer, exchange.TransferEncoding, exchange.Upgrade,
		exchange.ContentLength,
	} {
		t[id] = true
	}
	t[0xff] = true // deleted
	return
}()

// notForwarded are the request fields that are dropped or re-made.
var notForwarded = func() (t [256]bool) {
	t = hopByHop
	t[exchange.Host], t[exchange.Expect], t[exchange.Via] = true, true, true
	t[exchange.Forwarded], t[exchange.XForwardedFor] = true, true
	t[exchange.XForwardedHost], t[exchange.XForwardedProto] = true, true
	return
}()

// imitates reports whether an upstream that hands fields on as variables, where
// "-" becomes "_" (RFC 3875, section 4.1.18), takes this one for a forwarding
// field of ours: X_Forwarded_For and the like. Nobody sends them in good faith.
func imitates(name []byte) bool {
	// Names that are no such field are nearly all told by these two looks.
	if n := len(name); n < len("x-forwarded-for") || n > len("x-forwarded-proto") || name[0]|0x20 != 'x' {
		return false
	}
	if name[1] != '_' && name[11] != '_' {
		return false
	}
	var b [len("x-forwarded-proto")]byte
	k := copy(b[:], name)
	b[1], b[11] = '-', '-'
	switch exchange.FieldIDOf(b[:k]) {
	case exchange.XForwardedFor, exchange.XForwardedHost, exchange.XForwardedProto:
		return true
	}
	return false
}

func appendField(b []byte, f *exchange.Field) []byte {
	b = append(b, f.Name...)
	b = append(b, ": "...)
	b = append(b, f.Value...)
	return append(b, "\r\n"...)
}

// A Target is what a request line to an upstream is made of.
type Target struct {
	Host   []byte // authority for the Host field
	Prefix []byte // path of the endpoint, without a slash at the end
	Path   []byte // rest of the request's path, with its leading slash, or empty
	Query  []byte // of the endpoint, "" for none; the request's own is added
	Auth   []byte // complete field line with the gateway's own credentials, or empty
}

// appendRequestHead writes the head of x as it goes to an upstream.
func appendRequestHead(b []byte, x *exchange.Exchange, t *Target) []byte {
	b = append(b, x.Method...)
	b = append(b, ' ')
	b = append(b, t.Prefix...)
	b = append(b, t.Path...)
	if len(t.Prefix)+len(t.Path) == 0 {
		b = append(b, '/')
	}
	switch {
	case len(t.Query) > 0:
		b = append(b, '?')
		b = append(b, t.Query...)
		if len(x.Query) > 0 {
			b = append(b, '&')
			b = append(b, x.Query...)
		}
	case x.HasQuery:
		b = append(b, '?')
		b = append(b, x.Query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, t.Host...)
	b = append(b, "\r\n"...)

	var drop nominated
	all := drop.collect(&x.Request)
	var xfh, xfp *exchange.Field
	for i := range x.Request.Fields {
		f := &x.Request.Fields[i]
		if notForwarded[f.ID] {
			switch f.ID {
			case exchange.Via:
				b = appendField(b, f) // ours follows behind it
			case exchange.XForwardedHost:
				xfh = f
			case exchange.XForwardedProto:
				xfp = f
			}
			continue
		}
		if len(t.Auth) > 0 && f.ID == exchange.Authorization || f.ID == exchange.Other && imitates(f.Name) {
			continue
		}
		if i < x.Request.Received && (drop.lists[0] != nil || !all) && (drop.has(f) || !all && nominatedAnywhere(&x.Request, f)) {
			continue
		}
		b = appendField(b, f)
	}
	if x.Trusted {
		b = appendTrusted(b, x, xfh, xfp)
	} else {
		b = append(b, x.Forwarded...)
		if len(x.Host) > 0 {
			b = append(b, ";host=\""...)
			b = append(b, x.Host...)
			b = append(b, "\"\r\nX-Forwarded-Host: "...)
			b = append(b, x.Host...)
		}
		b = append(b, "\r\n"...)
	}
	if x.Proto == exchange.HTTP10 {
		b = append(b, "Via: 1.0 micro-gw\r\n"...)
	} else {
		b = append(b, "Via: 1.1 micro-gw\r\n"...)
	}
	b = append(b, t.Auth...)
	switch {
	case x.WebSocket:
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case x.Trailers:
		b = append(b, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	switch {
	case x.RequestBody == nil:
		// A length of 0 was said, or is expected of these methods (RFC 9110,
		// section 8.6).
		if m := x.Method; x.Request.Find(exchange.ContentLength) != nil || string(m) == "POST" || string(m) == "PUT" || string(m) == "PATCH" {
			b = append(b, "Content-Length: 0\r\n"...)
		}
	case x.RequestLength >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, x.RequestLength, 10)
		b = append(b, "\r\n"...)
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...)
}

// nominatedAnywhere is the slow form of nominated.has for heads with many
// Connection fields.
func nominatedAnywhere(h *exchange.Header, f *exchange.Field) bool {
	for i := range h.Fields {
		if c := &h.Fields[i]; c.ID == exchange.Connection {
			n := nominated{lists: [4][]byte{c.Value}}
			if n.has(f) {
				return true
			}
		}
	}
	return false
}

// appendTrusted adds to the forwarding fields of a peer that is believed
// (RFC 7239, section 4): ours come last.
func appendTrusted(b []byte, x *exchange.Exchange, xfh, xfp *exchange.Field) []byte {
	peer := x.Peer.Addr().Unmap().WithZone("")
	list := func(name string, id exchange.FieldID) {
		b = append(b, name...)
		for i := range x.Request.Fields {
			if f := &x.Request.Fields[i]; f.ID == id && len(f.Value) > 0 {
				b = append(b, f.Value...)
				b = append(b, ", "...)
			}
		}
	}
	list("X-Forwarded-For: ", exchange.XForwardedFor)
	b = peer.AppendTo(b)
	b = append(b, "\r\n"...)
	// The first hop knows the client's view of host and scheme; it stands.
	if xfp != nil {
		b = appendField(b, xfp)
	} else {
		b = append(b, "X-Forwarded-Proto: "...)
		b = append(b, scheme(x)...)
		b = append(b, "\r\n"...)
	}
	if xfh != nil {
		b = appendField(b, xfh)
	} else if len(x.Host) > 0 {
		b = append(b, "X-Forwarded-Host: "...)
		b = append(b, x.Host...)
		b = append(b, "\r\n"...)
	}
	list("Forwarded: ", exchange.Forwarded)
	b = appendNode(append(b, "for="...), x)
	b = append(append(b, ";proto="...), scheme(x)...)
	if len(x.Host) > 0 {
		b = append(b, ";host=\""...)
		b = append(b, x.Host...)
		b = append(b, '"')
	}
	return append(b, "\r\n"...)
}

func scheme(x *exchange.Exchange) string {
	if x.TLS != nil {
		return "https"
	}
	return "http"
}

// appendNode writes the peer as a node of Forwarded: an IPv6 address is quoted
// and in brackets (RFC 7239, section 6).
func appendNode(b []byte, x *exchange.Exchange) []byte {
	peer := x.Peer.Addr().Unmap()
	if peer.Is4() {
		return peer.AppendTo(b)
	}
	return append(peer.WithZone("").AppendTo(append(b, `"[`...)), `]"`...)
}

// appendForwarded writes the forwarding fields that are the same for all
// requests of a connection. It ends within Forwarded, so that the host can
// follow.
func appendForwarded(b []byte, x *exchange.Exchange) []byte {
	b = append(b, "X-Forwarded-For: "...)
	b = x.Peer.Addr().Unmap().WithZone("").AppendTo(b)
	b = append(b, "\r\nX-Forwarded-Proto: "...)
	b = append(b, scheme(x)...)
	b = append(b, "\r\nForwarded: for="...)
	b = appendNode(b, x)
	b = append(b, ";proto="...)
	return append(b, scheme(x)...)
}

// bodyless reports whether an answer to x cannot have content (RFC 9110,
// sections 9.3.2, 15.3.5, 15.4.5; RFC 9112, section 6.3).
func bodyless(x *exchange.Exchange) bool {
	return x.Status < 200 || x.Status == 204 || x.Status == 304 || string(x.Method) == "HEAD"
}

// appendResponseHead writes the head of the answer as it goes to the client.
// server names the gateway in answers of its own, if it is to be named.
// chunked says whether the content follows in chunks.
func appendResponseHead(b []byte, x *exchange.Exchange, keepAlive, chunked bool, date []byte, server string) []byte {
	b = append(b, statusLines[x.Status]...)
	var drop nominated
	all := drop.collect(&x.Response)
	dated := false
	for i := range x.Response.Fields {
		f := &x.Response.Fields[i]
		if hopByHop[f.ID] {
			continue
		}
		if i < x.Response.Received && (drop.lists[0] != nil || !all) && (drop.has(f) || !all && nominatedAnywhere(&x.Response, f)) {
			continue
		}
		dated = dated || f.ID == exchange.Date
		b = appendField(b, f)
	}
	if !dated && x.Status >= 200 {
		// RFC 9110, section 6.6.1: one is added where it is missing.
		b = append(b, "Date: "...)
		b = append(b, date...)
		b = append(b, "\r\n"...)
	}
	if x.Call == nil && server != "" {
		b = append(b, "Server: "...)
		b = append(b, server...)
		b = append(b, "\r\n"...)
	}
	switch {
	case x.Status == 101:
		return append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	case chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case x.ResponseLength >= 0 && x.Status != 204 && x.Status >= 200:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, x.ResponseLength, 10)
		b = append(b, "\r\n"...)
	}
	if !keepAlive {
		b = append(b, "Connection: close\r\n"...)
	} else if x.Proto == exchange.HTTP10 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendChunkSize writes a chunk's first line.
func appendChunkSize(b []byte, n int) []byte {
	b = strconv.AppendInt(b, int64(n), 16)
	return append(b, "\r\n"...)
}
