package exchange

import "bytes"

// Cookie returns the value of the cookie of that name, and how many there are
// (RFC 6265, section 5.4). Whoever reads more than one may pick another than the
// upstream does.
func (h *Header) Cookie(name string) (value []byte, found int) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != Cookie {
			continue
		}
		for rest, more := f.Value, true; more; {
			var pair []byte
			pair, rest, more = bytes.Cut(rest, semicolon)
			if n, v, ok := bytes.Cut(pair, equals); ok && string(Trim(n)) == name {
				value = unquoted(Trim(v))
				found++
			}
		}
	}
	return value, found
}

var semicolon, equals = []byte{';'}, []byte{'='}

// unquoted cuts off the quotes that a cookie's value may be in (RFC 6265, section
// 4.1.1).
func unquoted(v []byte) []byte {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// DeleteCookie takes every cookie of that name out of the request.
func (x *Exchange) DeleteCookie(name string) {
	for i := range x.Request.Fields {
		f := &x.Request.Fields[i]
		if f.ID != Cookie || !bytes.Contains(f.Value, []byte(name)) {
			continue
		}
		kept := x.Bytes(len(f.Value))[:0]
		for rest, more := f.Value, true; more; {
			var pair []byte
			pair, rest, more = bytes.Cut(rest, semicolon)
			if n, _, _ := bytes.Cut(pair, equals); string(Trim(n)) == name {
				continue
			}
			if len(kept) > 0 {
				kept = append(kept, ';')
			} else {
				pair = Trim(pair)
			}
			kept = append(kept, pair...)
		}
		if len(Trim(kept)) == 0 {
			f.Delete()
		} else {
			f.Value = kept
		}
	}
}
