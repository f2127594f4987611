// Package urlpath brings request paths into the one form that is matched,
// authorised and forwarded.
//
// Two servers that read one path differently are how a request gets past the
// first of them, so a path is normalised once, and what could be read in two
// ways is refused rather than repaired: encoded slashes, backslashes, control
// bytes, dot segments that climb above the root, byte sequences that are not
// UTF-8 (overlong forms among them), and dot segments with parameters ("..;x"),
// which some servers climb on after cutting the parameter off.
//
// The normal form is that of RFC 3986, section 6.2.2: escapes of unreserved
// characters are decoded, other escapes have upper-case digits, dot segments
// are removed. Printable characters that a path may not contain but clients
// send all the same are escaped, so that a path with them has one form, too.
// Letter case, empty segments and a slash at the end are kept.
package urlpath

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// The reasons to refuse a path.
var (
	ErrRelative  = errors.New(`path does not begin with "/"`)
	ErrEscape    = errors.New(`"%" is not followed by two hexadecimal digits`)
	ErrSeparator = errors.New("encoded slash or backslash")
	ErrByte      = errors.New("byte that a path cannot contain")
	ErrEncoding  = errors.New("escaped bytes are not UTF-8")
	ErrClimb     = errors.New("dot segments climb above the root")
	ErrDotParam  = errors.New("dot segment with a parameter")
)

const (
	plain   = iota // stands for itself
	refused        // never in a path
	percent
	dot
	escaped // stands in a path only escaped
)

// classes sorts bytes by RFC 3986, section 3.3 (pchar).
var classes = func() (t [256]uint8) {
	for c := range t {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' || c == '?' {
			t[c] = refused
		}
	}
	for _, c := range "\"<>[]^`{|}" {
		t[c] = escaped
	}
	t['%'], t['.'] = percent, dot
	return
}()

// Normalize returns the normal form of raw, which is the path of a request
// target, without its query. It returns raw itself if that is normal already,
// else it appends to dst, which must not overlap raw.
func Normalize(dst, raw []byte) ([]byte, error) {
	if len(raw) == 0 || raw[0] != '/' {
		return nil, ErrRelative
	}
	for i, c := range raw {
		switch classes[c] {
		case refused:
			if c == '\\' {
				return nil, ErrSeparator
			}
			return nil, ErrByte
		case percent, escaped:
			return normalize(dst, raw)
		case dot:
			// A dot that begins a segment may be a dot segment. Index 0
			// is a slash, so i is never 0 here.
			if raw[i-1] == '/' {
				return normalize(dst, raw)
			}
		}
	}
	return raw, nil
}

func normalize(dst, raw []byte) ([]byte, error) {
	start := len(dst)
	for len(raw) > 0 {
		// raw begins with a slash here: take it and the segment after it.
		raw = raw[1:]
		segment := raw
		if i := bytes.IndexByte(raw, '/'); i >= 0 {
			segment, raw = raw[:i], raw[i:]
		} else {
			raw = nil
		}
		slash := len(dst)
		dst = append(dst, '/')
		var err error
		if dst, err = appendSegment(dst, segment); err != nil {
			return nil, err
		}
		switch s := dst[slash+1:]; {
		case len(s) == 1 && s[0] == '.':
			dst = dst[:slash]
		case len(s) == 2 && s[0] == '.' && s[1] == '.':
			if slash == start {
				return nil, ErrClimb
			}
			dst = dst[:start+bytes.LastIndexByte(dst[start:slash], '/')]
		case hasDotParam(s):
			return nil, ErrDotParam
		default:
			continue
		}
		// A dot segment at the end leaves its directory: "/a/." is "/a/".
		if raw == nil {
			dst = append(dst, '/')
		}
	}
	return dst[start:], nil
}

// hasDotParam reports whether s is "." or ".." followed by a ";", escaped or
// not.
func hasDotParam(s []byte) bool {
	n := 0
	for n < len(s) && n < 2 && s[n] == '.' {
		n++
	}
	return n > 0 && (bytes.HasPrefix(s[n:], []byte(";")) || bytes.HasPrefix(s[n:], []byte("%3B")))
}

func appendSegment(dst, s []byte) ([]byte, error) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch classes[c] {
		case refused:
			if c == '\\' {
				return nil, ErrSeparator
			}
			return nil, ErrByte
		case percent:
			b, ok := unescape(s[i:])
			if !ok {
				return nil, ErrEscape
			}
			switch {
			case b == '/' || b == '\\':
				return nil, ErrSeparator
			case b < ' ' || b == 0x7f:
				return nil, ErrByte
			case b >= 0x80:
				n, err := runeLen(s[i:])
				if err != nil {
					return nil, err
				}
				for ; n > 0; n-- {
					b, _ = unescape(s[i:])
					dst = appendEscape(dst, b)
					i += 3
				}
				i--
				continue
			case unreserved(b):
				dst = append(dst, b)
			default:
				dst = appendEscape(dst, b)
			}
			i += 2
		case escaped:
			dst = appendEscape(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst, nil
}

// runeLen returns how many escapes at the beginning of s make one character.
func runeLen(s []byte) (int, error) {
	var buf [utf8.UTFMax]byte
	n := 0
	for n < len(buf) {
		b, ok := unescape(s[3*n:])
		if !ok {
			break
		}
		buf[n] = b
		n++
	}
	r, size := utf8.DecodeRune(buf[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0, ErrEncoding
	}
	return size, nil
}

func unescape(s []byte) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, lo := unhex(s[1]), unhex(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

func appendEscape(dst []byte, b byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[b>>4], digits[b&15])
}

// unreserved is RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
