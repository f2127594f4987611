package telemetry

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// A record is made of what a client sent, and a client would like to write
// lines of its own, or to have its token written for it. Hence:
//
//   - Everything is ASCII without control bytes; quotes and backslashes are
//     escaped. A line cannot be forged and a terminal cannot be driven.
//   - Only the path of the target is written. Query strings hold tokens, API
//     keys and addresses of people too often; the same goes for the query of
//     Referer. Of the header only Referer and User-Agent are written.
//   - A value is cut at maxValue bytes, so a line is bounded.

// maxValue bounds each value before it is escaped.
const maxValue = 1024 // bytes

// stamp is the time of a record, formatted once a second.
type stamp struct {
	second int64
	text   [32]byte
	n      int
}

// at returns the text for t in the given layout.
func (s *stamp) at(t time.Time, layout string) []byte {
	if sec := t.Unix(); sec != s.second || s.n == 0 {
		s.second = sec
		s.n = len(t.AppendFormat(s.text[:0], layout))
	}
	return s.text[:s.n]
}

const (
	layoutCombined = "02/Jan/2006:15:04:05 -0700"
	layoutJSON     = "2006-01-02T15:04:05" // in UTC; milliseconds and zone are added
)

// appendCombined appends x in the combined format of Apache httpd:
//
//	client - - [time] "METHOD path PROTO" status bytes "referer" "user agent"
//
// The user is never given: names are facts about people, and the subject of a
// token is not the user that the format's readers expect.
func appendCombined(b []byte, x *exchange.Exchange, end time.Time, s *stamp) []byte {
	b = appendClient(b, x)
	b = append(b, " - - ["...)
	b = append(b, s.at(end, layoutCombined)...)
	b = append(b, `] "`...)
	if len(x.Method) == 0 {
		// No request could be read: Apache writes "-" for the request line.
		b = append(b, '-')
	} else {
		b = appendHex(b, limit(x.Method))
		b = append(b, ' ')
		b = appendHex(b, path(x))
		b = append(b, ' ')
		b = append(b, x.Proto.String()...)
	}
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(x.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.Sent, 10)
	b = append(b, ` "`...)
	b = appendHex(b, referer(x))
	b = append(b, `" "`...)
	b = appendHex(b, userAgent(x))
	return append(b, '"', '\n')
}

// appendJSON appends x as one line of JSON. Every key is always there, in this
// order; a text that is unknown is "", a number 0.
func appendJSON(b []byte, x *exchange.Exchange, end time.Time, s *stamp) []byte {
	b = append(b, `{"time":"`...)
	b = append(b, s.at(end.UTC(), layoutJSON)...)
	b = append(b, '.')
	b = appendThree(b, end.Nanosecond()/int(time.Millisecond))
	b = append(b, `Z","client":"`...)
	b = appendClient(b, x)
	b = append(b, `","method":"`...)
	b = appendEscaped(b, limit(x.Method))
	b = append(b, `","path":"`...)
	b = appendEscaped(b, path(x))
	b = append(b, `","proto":"`...)
	b = append(b, x.Proto.String()...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(x.Status), 10)
	b = append(b, `,"bytes_in":`...)
	b = strconv.AppendInt(b, x.Received, 10)
	b = append(b, `,"bytes_out":`...)
	b = strconv.AppendInt(b, x.Sent, 10)
	b = append(b, `,"api":"`...)
	if x.Route != nil {
		b = appendEscaped(b, limit([]byte(x.Route.API)))
	}
	b = append(b, `","route":"`...)
	if x.Route != nil {
		b = appendEscaped(b, limit([]byte(x.Route.ID)))
	}
	b = append(b, `","code":`...)
	if x.Fault != nil {
		b = strconv.AppendInt(b, int64(x.Fault.Code), 10)
		b = append(b, `,"origin":"`...)
		b = append(b, x.Fault.Origin.String()...)
	} else {
		b = append(b, `0,"origin":"`...)
	}
	b = append(b, `","endpoint":"`...)
	b = appendEscaped(b, limit([]byte(x.Endpoint)))
	b = append(b, `","attempts":`...)
	b = strconv.AppendInt(b, int64(x.Attempts), 10)
	b = append(b, `,"dur_ms":`...)
	b = appendMillis(b, end.Sub(x.Start))
	b = append(b, `,"user_agent":"`...)
	b = appendEscaped(b, userAgent(x))
	b = append(b, `","referer":"`...)
	b = appendEscaped(b, referer(x))
	return append(b, '"', '}', '\n')
}

func appendClient(b []byte, x *exchange.Exchange) []byte {
	addr := x.Client
	if !addr.IsValid() {
		addr = x.Peer.Addr()
	}
	if !addr.IsValid() {
		return append(b, '-')
	}
	// An IPv6 zone is free text, and may have come in X-Forwarded-For.
	return addr.Unmap().WithZone("").AppendTo(b)
}

// path is the path as matched, or as sent if it was not fit to be matched.
func path(x *exchange.Exchange) []byte {
	p := x.Path
	if len(p) == 0 {
		p = cutQuery(x.Target)
		// Other forms of target (an authority, a URL) may hold a password.
		if len(p) == 0 || p[0] != '/' && !(len(p) == 1 && p[0] == '*') {
			return dash
		}
	}
	return limit(p)
}

var dash = []byte("-")

// referer is where the client came from, without what may be secret in a URL.
func referer(x *exchange.Exchange) []byte {
	f := x.Request.Find(exchange.Referer)
	if f == nil {
		return nil
	}
	v := cutQuery(f.Value)
	if bytes.IndexByte(v, '@') >= 0 {
		// RFC 9110, section 10.1.3, forbids userinfo here; not everyone listens.
		return dash
	}
	return limit(v)
}

func userAgent(x *exchange.Exchange) []byte {
	if f := x.Request.Find(exchange.UserAgent); f != nil {
		return limit(f.Value)
	}
	return nil
}

func cutQuery(v []byte) []byte {
	if i := bytes.IndexByte(v, '?'); i >= 0 {
		v = v[:i]
	}
	if i := bytes.IndexByte(v, '#'); i >= 0 {
		v = v[:i]
	}
	return v
}

func limit(v []byte) []byte {
	if len(v) > maxValue {
		return v[:maxValue]
	}
	return v
}

const hex = "0123456789abcdef"

// plain says which bytes need no escape in either format.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// plainWords returns how many bytes at the start of v are plain, looking at
// eight at once; it may stop early. Nearly all values are plain to the end.
func plainWords(v []byte) (n int) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(v); n += 8 {
		w := binary.LittleEndian.Uint64(v[n:])
		quote, slash, del := w^(ones*'"'), w^(ones*'\\'), w^(ones*0x7f)
		// A byte that is less than b borrows from its high bit in w-ones*b; so
		// does a zero byte in v-ones.
		if (w|(w-ones*0x20)|(quote-ones)&^quote|(slash-ones)&^slash|(del-ones)&^del)&highs != 0 {
			return n
		}
	}
	return n
}

// appendHex escapes as Apache and nginx do, byte by byte: \xHH. An absent value
// is "-".
func appendHex(b []byte, v []byte) []byte {
	if len(v) == 0 {
		return append(b, '-')
	}
	from := 0
	for i := plainWords(v); i < len(v); i++ {
		c := v[i]
		if plain[c] {
			continue
		}
		b = append(b, v[from:i]...)
		b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		from = i + 1
	}
	return append(b, v[from:]...)
}

// appendEscaped escapes for JSON and leaves ASCII only: U+2028 ends a line for
// some readers, and the bidirectional controls make others see another text.
func appendEscaped(b, v []byte) []byte {
	from := 0
	for i := plainWords(v); i < len(v); {
		c := v[i]
		if plain[c] {
			i++
			continue
		}
		b = append(b, v[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < utf8.RuneSelf:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		default:
			r, size := utf8.DecodeRune(v[i:])
			if r >= 0x10000 {
				r -= 0x10000
				b = appendUnit(b, 0xd800+(r>>10))
				r = 0xdc00 + r&0x3ff
			}
			b = appendUnit(b, r)
			i += size
		}
		from = i
	}
	return append(b, v[from:]...)
}

func appendUnit(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// appendMillis writes d in milliseconds with three digits after the point.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(0, d.Microseconds())
	b = strconv.AppendInt(b, us/1000, 10)
	b = append(b, '.')
	return appendThree(b, int(us%1000))
}

func appendThree(b []byte, n int) []byte {
	return append(b, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}
