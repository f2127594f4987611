// Package strictjson reads the JSON of tokens and keys: text that somebody
// else wrote and that decides who may come in.
//
// encoding/json is the wrong tool there. It matches "ALG" to alg, lets the
// last of two equal names win where other readers take the first, and mends
// broken UTF-8, so that two programs can read one signed text in two ways
// (RFC 8725, section 2.6 and 3.7; RFC 7515, section 4 leaves the choice between
// refusing duplicate names and taking the last; we refuse). Here names compare
// byte for byte, a name occurs once, text is UTF-8 without lone surrogates
// (RFC 7493, section 2.1), and depth and number of members are bounded.
//
// Only the outer object is taken apart. Values inside it are checked for
// syntax and handed over as they stand.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Limits on what Object reads. Real tokens stay far below them.
const (
	MaxDepth   = 32
	MaxMembers = 128
)

// Object checks that data is exactly one JSON object and calls member for
// each of its members in order. The name is unescaped, the value raw; both are
// views into data or into memory of their own and may be kept as long as data.
// An error from member ends the reading.
func Object(data []byte, member func(name, value []byte) error) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return errors.New("not a JSON object")
	}
	if err := s.object(1, member); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.errorf("text after the object")
	}
	return nil
}

// Elements checks that data is exactly one JSON array and calls element for
// each raw value in it.
func Elements(data []byte, element func(value []byte) error) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '[' {
		return errors.New("not a JSON array")
	}
	if err := s.array(1, element); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.errorf("text after the array")
	}
	return nil
}

// String returns the text of a raw value that Object handed over, and whether
// it is a string at all.
func String(value []byte) (string, bool) {
	b, ok := Bytes(value)
	return string(b), ok
}

// Text puts the text of the member called name where to points, and is an error if
// it is none. A nil to stands for a member that nobody asks for.
func Text(name, value []byte, to *string) error {
	if to == nil {
		return nil
	}
	text, ok := String(value)
	if !ok {
		return fmt.Errorf("%s is not a string", name)
	}
	*to = text
	return nil
}

// Bytes is String without the copy: a view into value if nothing in it is
// escaped.
func Bytes(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	return unescape(value[1 : len(value)-1]), true
}

// Strings returns the texts of a value that is a string or an array of
// strings, as aud is (RFC 7519, section 4.1.3).
func Strings(value []byte) ([]string, bool) {
	if s, ok := String(value); ok {
		return []string{s}, true
	}
	var list []string
	err := Elements(value, func(v []byte) error {
		s, ok := String(v)
		if !ok {
			return errors.New("not a string")
		}
		list = append(list, s)
		return nil
	})
	return list, err == nil
}

// Null reports whether a raw value is null.
func Null(value []byte) bool { return len(value) == 4 && value[0] == 'n' }

// scanner walks over text that is known to be UTF-8.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("%s at byte %d", fmt.Sprintf(format, args...), s.pos)
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// object reads from "{" to "}". member is nil for inner objects, whose names
// are not compared.
func (s *scanner) object(depth int, member func(name, value []byte) error) error {
	if depth > MaxDepth {
		return s.errorf("nested deeper than %d", MaxDepth)
	}
	var few [24][]byte
	names := few[:0]
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.errorf("no member name")
		}
		start := s.pos
		if err := s.text(); err != nil {
			return err
		}
		rawName := s.data[start+1 : s.pos-1]
		s.space()
		if s.peek() != ':' {
			return s.errorf("no colon")
		}
		s.pos++
		s.space()
		start = s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if member != nil {
			name := unescape(rawName)
			for _, other := range names {
				if bytes.Equal(name, other) {
					return s.errorf("member %.40q occurs twice", name)
				}
			}
			if len(names) == MaxMembers {
				return s.errorf("more than %d members", MaxMembers)
			}
			names = append(names, name)
			if err := member(name, s.data[start:s.pos:s.pos]); err != nil {
				return err
			}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			return nil
		default:
			return s.errorf("no comma or closing brace")
		}
	}
}

func (s *scanner) array(depth int, element func(value []byte) error) error {
	if depth > MaxDepth {
		return s.errorf("nested deeper than %d", MaxDepth)
	}
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		start := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if element != nil {
			if err := element(s.data[start:s.pos:s.pos]); err != nil {
				return err
			}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return nil
		default:
			return s.errorf("no comma or closing bracket")
		}
	}
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); c {
	case '"':
		return s.text()
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(depth, nil)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) error {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return s.errorf("not a value")
	}
	s.pos += len(w)
	return nil
}

// number reads RFC 8259, section 6: no leading zero or plus, digits on both
// sides of the point.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch c := s.peek(); {
	case c == '0':
		s.pos++
	case '1' <= c && c <= '9':
		s.digits()
	default:
		return s.errorf("not a value")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.errorf("no digit after the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.errorf("no digit in the exponent")
		}
	}
	return nil
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// text reads from quote to quote.
func (s *scanner) text() error {
	s.pos++
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c < 0x20:
			return s.errorf("control character in a string")
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			s.pos++
		}
	}
	return s.errorf("string without an end")
}

func (s *scanner) escape() error {
	if s.pos+1 >= len(s.data) {
		return s.errorf("string without an end")
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		r, ok := hex4(s.data[s.pos:])
		if !ok {
			return s.errorf("bad \\u escape")
		}
		switch {
		case 0xd800 <= r && r < 0xdc00:
			low, ok := hex4(s.data[s.pos+6:])
			if !ok || low < 0xdc00 || low > 0xdfff {
				return s.errorf("lone surrogate")
			}
			s.pos += 12
		case 0xdc00 <= r && r <= 0xdfff:
			return s.errorf("lone surrogate")
		default:
			s.pos += 6
		}
		return nil
	}
	return s.errorf("unknown escape")
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape returns the text between the quotes of a string that text has
// passed.
func unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i:])
			if 0xd800 <= r && r < 0xdc00 {
				low, _ := hex4(raw[i+6:])
				r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
				i += 6
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}
