package tree

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// A strict JSON reader (RFC 8259). It exists because encoding/json gives no
// positions and accepts duplicate keys; it is also several times faster, which
// the 12 MB definitions of large services notice. It stops at the first error
// of syntax, since everything after it is a guess, but goes on after a
// duplicate key.
//
// Columns count characters. They are worked out as the reader advances, from
// the last position asked for, so that a file on one line costs no more than
// one on many.

type jsonReader struct {
	maker
	src string
	pos int
	l   *diag.List
	bad int // problems reported

	line     uint32
	markPos  int    // position of the last mark
	markCol  uint32 // its column
	interned map[string]string
}

// syntaxError ends the reading.
type syntaxError struct{}

func parseJSON(file *string, src string, l *diag.List) (root *Node) {
	r := &jsonReader{maker: maker{file: file}, src: src, l: l, line: 1, markCol: 1, interned: make(map[string]string)}
	// Duplicate keys are reported without ending the reading; the tree is
	// refused all the same.
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(syntaxError); !ok {
				panic(p)
			}
			root = nil
		}
	}()
	r.space()
	root = r.value(0)
	r.space()
	if r.pos < len(r.src) {
		r.fail("%s after the end of the document", r.seen())
	}
	if r.bad > 0 {
		return nil
	}
	return root
}

func (r *jsonReader) fail(format string, args ...any) {
	line, col := r.mark()
	r.l.Errorf(diag.At{File: *r.file, Line: int(line), Column: int(col)}, format, args...)
	panic(syntaxError{})
}

// mark is the position of r.pos.
func (r *jsonReader) mark() (line, col uint32) {
	r.markCol += uint32(utf8.RuneCountInString(r.src[r.markPos:r.pos]))
	r.markPos = r.pos
	return r.line, r.markCol
}

// seen describes what stands at the reader's position.
func (r *jsonReader) seen() string {
	if r.pos >= len(r.src) {
		return "end of file"
	}
	c, _ := utf8.DecodeRuneInString(r.src[r.pos:])
	return strconv.QuoteRune(c)
}

func (r *jsonReader) space() {
	for r.pos < len(r.src) {
		switch r.src[r.pos] {
		case '\n':
			r.pos++
			r.line++
			r.markPos, r.markCol = r.pos, 1
		case ' ', '\t', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *jsonReader) value(depth int) *Node {
	if r.pos >= len(r.src) {
		r.fail("a value is missing: end of file")
	}
	if r.nodes >= maxNodes {
		r.fail("more than %d values in one file", maxNodes)
	}
	line, col := r.mark()
	switch c := r.src[r.pos]; {
	case c == '{':
		return r.object(line, col, depth)
	case c == '[':
		return r.array(line, col, depth)
	case c == '"':
		n := r.node(String, line, col)
		n.Text = r.str()
		return n
	case c == '-' || c >= '0' && c <= '9':
		n := r.node(Number, line, col)
		n.Text = r.number()
		return n
	case r.word("true"), r.word("false"):
		n := r.node(Bool, line, col)
		n.Text = "false"
		if c == 't' {
			n.Text = "true"
		}
		return n
	case r.word("null"):
		return r.node(Null, line, col)
	}
	r.fail("a value is missing: found %s", r.seen())
	return nil
}

func (r *jsonReader) word(w string) bool {
	if !strings.HasPrefix(r.src[r.pos:], w) {
		return false
	}
	r.pos += len(w)
	return true
}

func (r *jsonReader) deep(depth int) {
	if depth > MaxDepth {
		r.fail("nested deeper than %d levels", MaxDepth)
	}
}

func (r *jsonReader) object(line, col uint32, depth int) *Node {
	r.deep(depth + 1)
	n := r.node(Object, line, col)
	r.pos++
	r.space()
	if r.pos < len(r.src) && r.src[r.pos] == '}' {
		r.pos++
		return n
	}
	// Large objects find their duplicates through a map.
	var seen map[string]int
	for {
		if r.pos >= len(r.src) || r.src[r.pos] != '"' {
			if r.pos < len(r.src) && r.src[r.pos] == '}' {
				r.fail("a comma before the closing brace")
			}
			r.fail("a key in double quotes is missing: found %s", r.seen())
		}
		kl, kc := r.mark()
		key := Key{Name: r.intern(r.str()), Line: kl, Col: kc}
		r.space()
		if r.pos >= len(r.src) || r.src[r.pos] != ':' {
			r.fail("a colon is missing after the key %q: found %s", key.Name, r.seen())
		}
		r.pos++
		r.space()
		v := r.value(depth + 1)
		first, again := -1, false
		if seen != nil {
			first, again = seen[key.Name]
		} else if first = slices.IndexFunc(n.Keys, func(k Key) bool { return k.Name == key.Name }); first >= 0 {
			again = true
		}
		if again {
			if r.bad++; r.bad <= maxProblems {
				duplicate(r.l, n, first, key)
			}
		} else {
			n.Keys = append(n.Keys, key)
			n.Items = append(n.Items, v)
			if seen != nil {
				seen[key.Name] = len(n.Keys) - 1
			} else if len(n.Keys) == indexFrom {
				seen = make(map[string]int, 2*indexFrom)
				for i, k := range n.Keys {
					seen[k.Name] = i
				}
			}
		}
		r.space()
		if r.pos >= len(r.src) {
			r.fail("the object that begins at line %d, column %d is not closed", line, col)
		}
		switch r.src[r.pos] {
		case ',':
			r.pos++
			r.space()
		case '}':
			r.pos++
			n.Keys, n.Items = slices.Clip(n.Keys), slices.Clip(n.Items)
			n.index = seen
			return n
		default:
			r.fail("a comma or a closing brace is missing: found %s", r.seen())
		}
	}
}

func (r *jsonReader) array(line, col uint32, depth int) *Node {
	r.deep(depth + 1)
	n := r.node(Array, line, col)
	r.pos++
	r.space()
	if r.pos < len(r.src) && r.src[r.pos] == ']' {
		r.pos++
		return n
	}
	for {
		if r.pos < len(r.src) && r.src[r.pos] == ']' {
			r.fail("a comma before the closing bracket")
		}
		n.Items = append(n.Items, r.value(depth+1))
		r.space()
		if r.pos >= len(r.src) {
			r.fail("the list that begins at line %d, column %d is not closed", line, col)
		}
		switch r.src[r.pos] {
		case ',':
			r.pos++
			r.space()
		case ']':
			r.pos++
			return n
		default:
			r.fail("a comma or a closing bracket is missing: found %s", r.seen())
		}
	}
}

// intern shares the text of keys: a definition has few different ones.
func (r *jsonReader) intern(s string) string {
	if len(s) > 64 {
		return s
	}
	if t, ok := r.interned[s]; ok {
		return t
	}
	r.interned[s] = s
	return s
}

// str reads a string. The text is a part of the source unless it has escapes.
func (r *jsonReader) str() string {
	r.pos++
	start := r.pos
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; {
		case c == '"':
			s := r.src[start:r.pos]
			r.pos++
			return s
		case c == '\\':
			return r.escaped(start)
		case c < 0x20:
			r.fail("a control character (0x%02x) in a string", c)
		default:
			r.pos++
		}
	}
	r.fail("a string is not closed")
	return ""
}

// escaped reads on from the first backslash.
func (r *jsonReader) escaped(start int) string {
	b := append(make([]byte, 0, 2*(r.pos-start)+32), r.src[start:r.pos]...)
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		switch {
		case c == '"':
			r.pos++
			return string(b)
		case c < 0x20:
			r.fail("a control character (0x%02x) in a string", c)
		case c != '\\':
			b = append(b, c)
			r.pos++
			continue
		}
		if r.pos+1 >= len(r.src) {
			break
		}
		e := r.src[r.pos+1]
		if i := strings.IndexByte(`"\/bfnrt`, e); i >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[i])
			r.pos += 2
			continue
		}
		if e != 'u' {
			r.fail("an unknown escape in a string: \\%s", string(rune(e)))
		}
		u := r.hex4(r.pos + 2)
		r.pos += 6
		if utf16.IsSurrogate(u) && strings.HasPrefix(r.src[r.pos:], `\u`) {
			if pair := utf16.DecodeRune(u, r.hex4(r.pos+2)); pair != utf8.RuneError {
				u = pair
				r.pos += 6
			}
		}
		// A lone surrogate becomes U+FFFD, as in encoding/json.
		b = utf8.AppendRune(b, u)
	}
	r.fail("a string is not closed")
	return ""
}

func (r *jsonReader) hex4(at int) rune {
	if at+4 <= len(r.src) {
		if u, err := strconv.ParseUint(r.src[at:at+4], 16, 16); err == nil {
			return rune(u)
		}
	}
	r.fail(`\u needs four hexadecimal digits`)
	return 0
}

// number reads a number as it is written (RFC 8259, section 6).
func (r *jsonReader) number() string {
	start := r.pos
	if r.src[r.pos] == '-' {
		r.pos++
	}
	digits := func() int {
		from := r.pos
		for r.pos < len(r.src) && r.src[r.pos] >= '0' && r.src[r.pos] <= '9' {
			r.pos++
		}
		return r.pos - from
	}
	if r.pos < len(r.src) && r.src[r.pos] == '0' {
		r.pos++
	} else if digits() == 0 {
		r.fail("a digit is missing: found %s", r.seen())
	}
	if r.pos < len(r.src) && r.src[r.pos] == '.' {
		r.pos++
		if digits() == 0 {
			r.fail("a digit is missing after the point: found %s", r.seen())
		}
	}
	if r.pos < len(r.src) && (r.src[r.pos] == 'e' || r.src[r.pos] == 'E') {
		r.pos++
		if r.pos < len(r.src) && (r.src[r.pos] == '+' || r.src[r.pos] == '-') {
			r.pos++
		}
		if digits() == 0 {
			r.fail("a digit is missing in the exponent: found %s", r.seen())
		}
	}
	return r.src[start:r.pos]
}
