package http1

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// This file reads message heads (RFC 9112, sections 2 to 5), in place: fields
// are views into the buffer. It is strict where two readers could come to two
// meanings, and never repairs: lines end in CRLF, names are tokens, nothing is
// folded, a blank before the colon is refused.

// ErrMore says that the head is not complete yet.
var ErrMore = errors.New("head is incomplete")

// framing is what a head says about the message around it. It is decided once,
// here, and not derived again.
type framing struct {
	length    int64 // -1 if not known in advance
	chunked   bool
	untilEOF  bool // an answer that ends with its connection
	none      bool // an answer without content, whatever length says
	keepAlive bool
	expect    bool // Expect: 100-continue
	websocket bool // a request to upgrade to WebSocket, and in order
	trailers  bool // TE: trailers
}

// hasBody reports whether content follows the head.
func (f *framing) hasBody() bool { return !f.none && (f.chunked || f.untilEOF || f.length > 0) }

// Byte classes of RFC 9110, section 5.6.2 (token).
var isToken = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return
}()

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// validValue reports whether v has only bytes that a field value may have
// (RFC 9110, section 5.5): no control bytes but HTAB. It looks at eight bytes
// at a time; tokens are long.
func validValue(v []byte) bool {
	if len(v) < 8 {
		return validBytes(v)
	}
	rest := v
	for ; len(rest) >= 32; rest = rest[32:] {
		if suspect(rest)|suspect(rest[8:])|suspect(rest[16:])|suspect(rest[24:]) != 0 {
			return validBytes(v)
		}
	}
	for ; len(rest) >= 8; rest = rest[8:] {
		if suspect(rest) != 0 {
			return validBytes(v)
		}
	}
	if suspect(v[len(v)-8:]) != 0 {
		return validBytes(v)
	}
	return true
}

// suspect looks at eight bytes. The result is not 0 if one of them is below
// 0x20 or is 0x7f, and seldom else: borrows make false alarms.
func suspect(v []byte) uint64 {
	w := binary.LittleEndian.Uint64(v)
	del := w ^ 0x7f*lows
	return ((w-0x20*lows)&^w | (del-lows)&^del) & highs
}

func validBytes(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// line cuts the line at the beginning of buf, without its CRLF. n is 0 if the
// line is not complete.
func line(buf []byte) (l []byte, n int, err error) {
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		return nil, 0, nil
	}
	if i == 0 || buf[i-1] != '\r' {
		return nil, 0, errBareLF
	}
	return buf[:i-1], i + 1, nil
}

var (
	errBareLF      = errors.New("line does not end in CRLF")
	errRequestLine = errors.New("malformed request line")
	errStatusLine  = errors.New("malformed status line")
	errFieldName   = errors.New("malformed field name")
	errFieldValue  = errors.New("control byte in a field value")
	errFolded      = errors.New("folded field line")
	errNoColon     = errors.New("field line without a colon")
	errHost        = errors.New("missing, doubled or malformed Host")
	errLength      = errors.New("malformed or repeated Content-Length")
	errBothFraming = errors.New("both Content-Length and Transfer-Encoding")
	errCoding      = errors.New("malformed Transfer-Encoding")
	errTooMany     = errors.New("too many fields")
)

// parseFields reads field lines up to and with the empty line. n is 0 if that
// has not arrived.
func parseFields(buf []byte, h *exchange.Header, limit int) (n int, err error) {
	for {
		// As in line, which is too large to be inlined.
		l := buf[n:]
		end := bytes.IndexByte(l, '\n')
		if end < 0 {
			return 0, nil
		}
		if end == 0 || l[end-1] != '\r' {
			return 0, errBareLF
		}
		n += end + 1
		l = l[:end-1]
		if len(l) == 0 {
			return n, nil
		}
		if len(h.Fields) >= limit {
			return 0, errTooMany
		}
		colon := len(l)
		for i, c := range l {
			if !isToken[c] {
				colon = i
				break
			}
		}
		switch {
		case colon == len(l):
			return 0, errNoColon
		case colon == 0 && (l[0] == ' ' || l[0] == '\t'):
			return 0, errFolded
		case colon == 0 || l[colon] != ':':
			return 0, errFieldName
		}
		name, value := l[:colon], l[colon+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:] // nearly always this one and no other
		}
		if len(value) > 0 && (value[0] <= ' ' || value[len(value)-1] <= ' ') {
			value = exchange.Trim(value)
		}
		if !validValue(value) {
			return 0, errFieldValue
		}
		h.Fields = append(h.Fields, exchange.Field{Name: name, Value: value, ID: exchange.FieldIDOf(name)})
	}
}

// parseRequest reads a request head at the beginning of buf into x. It returns
// the head's length, or ErrMore, or a *fault.Fault.
func parseRequest(buf []byte, x *exchange.Exchange, lim *Limits) (n int, fr framing, err error) {
	// One empty line before a request is ignored (RFC 9112, section 2.2).
	if len(buf) >= 2 && buf[0] == '\r' && buf[1] == '\n' {
		n = 2
	}
	l, used, err := line(buf[n:])
	if err != nil {
		return 0, fr, fault.BadRequest.Because(err)
	}
	if used == 0 {
		if len(buf)-n > lim.TargetBytes+64 {
			return 0, fr, tooLongLine(buf[n:])
		}
		return 0, fr, ErrMore
	}
	if err := parseRequestLine(l, x, lim); err != nil {
		return 0, fr, err
	}
	n += used
	x.Request.Reset()
	used, err = parseFields(buf[n:], &x.Request, lim.Fields)
	switch {
	case err == errTooMany:
		return 0, fr, fault.HeaderTooLarge.Because(err)
	case err != nil:
		return 0, fr, fault.BadRequest.Because(err)
	case used == 0 && len(buf) >= lim.HeadBytes, n+used > lim.HeadBytes:
		return 0, fr, fault.HeaderTooLarge
	case used == 0:
		return 0, fr, ErrMore
	}
	x.Request.Received = len(x.Request.Fields)
	fr, err = requestFraming(x)
	return n + used, fr, err
}

// tooLongLine tells a request line that is too long from one that is none.
func tooLongLine(buf []byte) error {
	if sp := bytes.IndexByte(buf, ' '); sp > 0 && sp < 32 {
		return fault.URITooLong
	}
	return fault.BadRequest.Because(errRequestLine)
}

func parseRequestLine(l []byte, x *exchange.Exchange, lim *Limits) error {
	// method SP request-target SP HTTP-version (RFC 9112, section 3)
	sp := 0
	for sp < len(l) && isToken[l[sp]] {
		sp++
	}
	if sp == 0 || sp > 32 || sp == len(l) || l[sp] != ' ' {
		return fault.BadRequest.Because(errRequestLine)
	}
	x.Method = l[:sp]
	rest := l[sp+1:]
	sp = bytes.IndexByte(rest, ' ')
	if sp <= 0 {
		return fault.BadRequest.Because(errRequestLine)
	}
	x.Target = rest[:sp]
	if len(x.Target) > lim.TargetBytes {
		return fault.URITooLong
	}
	for _, c := range x.Target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return fault.BadRequest.Because(errRequestLine)
		}
	}
	switch v := rest[sp+1:]; {
	case string(v) == "HTTP/1.1":
		x.Proto = exchange.HTTP11
	case string(v) == "HTTP/1.0":
		x.Proto = exchange.HTTP10
	case len(v) == 8 && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]):
		return fault.VersionUnsupported
	default:
		return fault.BadRequest.Because(errRequestLine)
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// requestFraming decides where the request ends and what it asks of the
// connection (RFC 9112, sections 3.2, 6 and 9).
func requestFraming(x *exchange.Exchange) (fr framing, err error) {
	var host, length, coding, connection, expect, upgrade, te *exchange.Field
	for i := range x.Request.Fields {
		f := &x.Request.Fields[i]
		switch f.ID {
		case exchange.Host:
			if host != nil {
				return fr, fault.BadRequest.Because(errHost)
			}
			host = f
		case exchange.ContentLength:
			if length != nil {
				return fr, fault.BadRequest.Because(errLength)
			}
			length = f
		case exchange.TransferEncoding:
			if coding != nil {
				return fr, fault.BadRequest.Because(errCoding)
			}
			coding = f
		case exchange.Connection:
			connection = f
		case exchange.Expect:
			expect = f
		case exchange.Upgrade:
			upgrade = f
		case exchange.TE:
			te = f
		}
	}

	if x.Host, err = authority(x, host); err != nil {
		return fr, err
	}

	switch {
	case coding != nil && length != nil:
		return fr, fault.BadRequest.Because(errBothFraming)
	case coding != nil && x.Proto != exchange.HTTP11:
		// A 1.0 client cannot know the coding; someone else wrote it.
		return fr, fault.BadRequest.Because(errCoding)
	case coding != nil:
		if !exchange.EqualFold(coding.Value, "chunked") {
			if isTokenList(coding.Value) && !listHas(coding.Value, "chunked") {
				return fr, fault.UnknownCoding
			}
			return fr, fault.BadRequest.Because(errCoding)
		}
		fr.chunked, fr.length = true, -1
	case length != nil:
		if fr.length = parseLength(length.Value); fr.length < 0 {
			return fr, fault.BadRequest.Because(errLength)
		}
	}

	fr.keepAlive = x.Proto == exchange.HTTP11
	if connection != nil {
		upgrades, closing := false, false
		for i := range x.Request.Fields {
			f := &x.Request.Fields[i]
			if f.ID != exchange.Connection {
				continue
			}
			closing = closing || listHas(f.Value, "close")
			if x.Proto == exchange.HTTP10 && listHas(f.Value, "keep-alive") {
				fr.keepAlive = true
			}
			upgrades = upgrades || listHas(f.Value, "upgrade")
		}
		fr.keepAlive = fr.keepAlive && !closing
		fr.websocket = upgrades && upgrade != nil && exchange.EqualFold(upgrade.Value, "websocket") &&
			x.Proto == exchange.HTTP11 && string(x.Method) == "GET" && !fr.hasBody()
	}
	if expect != nil && x.Proto == exchange.HTTP11 {
		if !exchange.EqualFold(expect.Value, "100-continue") {
			return fr, fault.ExpectationFailed
		}
		fr.expect = fr.hasBody()
	}
	fr.trailers = te != nil && listHas(te.Value, "trailers")
	return fr, nil
}

// authority finds whom the request is for and cuts an absolute target down to
// its path (RFC 9112, section 3.2.2).
func authority(x *exchange.Exchange, host *exchange.Field) ([]byte, error) {
	var name []byte
	if host != nil {
		name = host.Value
		if !validHost(name) {
			return nil, fault.BadRequest.Because(errHost)
		}
	} else if x.Proto == exchange.HTTP11 {
		return nil, fault.BadRequest.Because(errHost)
	}
	if x.Target[0] == '/' {
		return name, nil
	}
	scheme := 0
	switch t := x.Target; {
	case len(t) > 7 && exchange.EqualFold(t[:7], "http://"):
		scheme = 7
	case len(t) > 8 && exchange.EqualFold(t[:8], "https://"):
		scheme = 8
	default:
		// "*", an authority (CONNECT), something else: the path normaliser
		// refuses it.
		return name, nil
	}
	rest := x.Target[scheme:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	abs := rest[:end]
	// A Host that differs is a trap for whoever reads the other one.
	if len(abs) == 0 || !validHost(abs) || host != nil && !bytes.EqualFold(abs, name) {
		return nil, fault.BadRequest.Because(errHost)
	}
	x.Target = rest[end:]
	if len(x.Target) == 0 || x.Target[0] == '?' {
		// An empty path is "/" (RFC 9110, section 4.2.3).
		t := append(x.Bytes(1 + len(x.Target))[:0], '/')
		x.Target = append(t, x.Target...)
	}
	return abs, nil
}

// validHost accepts uri-host [ ":" port ] (RFC 9110, section 7.2) by its
// characters; user information and separators are refused. An empty Host is
// allowed.
func validHost(h []byte) bool {
	if len(h) > 0 && h[0] == '[' { // IP-literal
		i := bytes.IndexByte(h, ']')
		if i < 2 {
			return false
		}
		for _, c := range h[1:i] {
			if !isHostByte[c] && c != ':' {
				return false
			}
		}
		h = h[i+1:]
		if len(h) > 0 && h[0] != ':' {
			return false
		}
	}
	for i, c := range h {
		if c == ':' {
			return validPort(h[i+1:])
		}
		if !isHostByte[c] {
			return false
		}
	}
	return true
}

// isHostByte are the token characters that a name may have: separators of
// lists and parameters are left out although the grammar has them.
var isHostByte = func() (t [256]bool) {
	t = isToken
	t['|'], t['^'], t['`'], t['#'] = false, false, false, false
	return
}()

func validPort(p []byte) bool {
	for _, c := range p {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// parseLength reads a Content-Length, digits only (RFC 9110, section 8.6); -1
// if it is not one.
func parseLength(v []byte) int64 {
	if len(v) == 0 || len(v) > 18 {
		return -1
	}
	n := int64(0)
	for _, c := range v {
		if !isDigit(c) {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// nextToken cuts the first member off a comma-separated list.
func nextToken(list []byte) (member, rest []byte) {
	i := bytes.IndexByte(list, ',')
	if i < 0 {
		return exchange.Trim(list), nil
	}
	return exchange.Trim(list[:i]), list[i+1:]
}

// listHas reports whether a comma-separated list has a member, given in lower
// case.
func listHas(list []byte, lower string) bool {
	for len(list) > 0 {
		var m []byte
		m, list = nextToken(list)
		if exchange.EqualFold(m, lower) {
			return true
		}
	}
	return false
}

func isTokenList(list []byte) bool {
	for more := true; more; more = len(list) > 0 {
		var m []byte
		m, list = nextToken(list)
		if len(m) == 0 {
			return false
		}
		for _, c := range m {
			if !isToken[c] {
				return false
			}
		}
	}
	return true
}

// parseResponse reads an answer's head at the beginning of buf. head says
// whether the request was HEAD. It returns the head's length, or ErrMore, or
// an error that is not a fault: the caller knows whose it is.
func parseResponse(buf []byte, status *int, h *exchange.Header, head bool, lim *Limits) (n int, fr framing, err error) {
	l, n, err := line(buf)
	if err != nil {
		return 0, fr, err
	}
	if n == 0 {
		if len(buf) > lim.LineBytes {
			return 0, fr, errStatusLine
		}
		return 0, fr, ErrMore
	}
	// HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112, section 4).
	// The blank before an empty reason is often left out.
	if len(l) > lim.LineBytes || len(l) < 12 || string(l[:7]) != "HTTP/1." || l[7] != '0' && l[7] != '1' || l[8] != ' ' ||
		len(l) > 12 && l[12] != ' ' || !validValue(l) {
		return 0, fr, errStatusLine
	}
	code := 0
	for _, c := range l[9:12] {
		if !isDigit(c) {
			return 0, fr, errStatusLine
		}
		code = code*10 + int(c-'0')
	}
	if code < 100 || code > 599 {
		return 0, fr, errStatusLine
	}
	*status = code
	http10 := l[7] == '0'
	h.Reset()
	used, err := parseFields(buf[n:], h, lim.Fields)
	if err != nil {
		return 0, fr, err
	}
	if used == 0 && len(buf) >= lim.HeadBytes || n+used > lim.HeadBytes {
		return 0, fr, errHeadTooLong
	}
	if used == 0 {
		return 0, fr, ErrMore
	}
	h.Received = len(h.Fields)
	fr, err = responseFraming(code, http10, h, head)
	return n + used, fr, err
}

var errHeadTooLong = errors.New("head is longer than allowed")

// responseFraming decides where an answer ends (RFC 9112, section 6.3).
func responseFraming(status int, http10 bool, h *exchange.Header, head bool) (fr framing, err error) {
	var length, coding *exchange.Field
	fr.keepAlive = !http10
	closing := false
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.ID {
		case exchange.ContentLength:
			if length != nil {
				return fr, errLength
			}
			length = f
		case exchange.TransferEncoding:
			if coding != nil {
				return fr, errCoding
			}
			coding = f
		case exchange.Connection:
			closing = closing || listHas(f.Value, "close")
			if http10 && listHas(f.Value, "keep-alive") {
				fr.keepAlive = true
			}
		}
	}
	fr.keepAlive = fr.keepAlive && !closing
	if length != nil {
		if fr.length = parseLength(length.Value); fr.length < 0 {
			return fr, errLength
		}
	}
	switch {
	case coding != nil && length != nil:
		return fr, errBothFraming
	case status == 101:
		fr.none = true
	case head || status < 200 || status == 204 || status == 304:
		// No content, whatever the fields say. What they say is kept for
		// the client: it is about the content that a GET would have had.
		fr.none = true
		if length == nil {
			fr.length = -1
		}
	case coding != nil:
		if http10 || !exchange.EqualFold(coding.Value, "chunked") {
			return fr, errCoding
		}
		fr.chunked, fr.length = true, -1
	case length == nil:
		fr.untilEOF, fr.length, fr.keepAlive = true, -1, false
	}
	return fr, nil
}
