// Package pathtmpl reads the path templates of OpenAPI documents, such as
// "/pet/{petId}/photos/*".
//
// The toolkit uses it to find operations that conflict, the runtime to match
// requests; both must agree on every byte, which is why it is in pkg.
//
// The rules are those of WSO2 API Microgateway where it has any:
//
//   - A template is split at its slashes and matched segment by segment.
//     Comparison is case-sensitive.
//   - "{x}" stands for one or more bytes of a single segment. It may share the
//     segment with literals and other parameters: "{id}.json", "{a}-{b}".
//   - "*" is allowed only as the last segment, and stands for one or more
//     further segments. "/*" alone also answers the root.
//   - A slash at the end means nothing and is dropped.
//
// What surprises: literals are kept percent-encoded, in the form that
// pkg/urlpath gives to request paths (unreserved characters decoded, the rest
// encoded with upper-case digits), so that matching compares bytes and decodes
// nothing. A template that no normalised path could ever match, because it
// contains a dot segment, an encoded slash or the like, is an error.
package pathtmpl

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/microgw/microgw/pkg/urlpath"
)

// A Template is a parsed path template. The zero value is the root, "/".
type Template struct {
	segments []Segment
	wildcard bool
}

// A Segment is what stands between two slashes. It has at least one part, and
// no two parameters are neighbours.
type Segment struct {
	Parts []Part
}

// A Part is a piece of a segment: exactly one of the two fields is set.
type Part struct {
	Literal string // percent-encoded, in normal form
	Param   string // name of a parameter, as written between the braces
}

// A SyntaxError says what is wrong with a template and where.
type SyntaxError struct {
	Offset int // in bytes, from 0
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s (at character %d)", e.Msg, e.Offset+1)
}

// Parse reads a template. Its error is a *SyntaxError.
func Parse(s string) (Template, error) {
	var t Template
	if !strings.HasPrefix(s, "/") {
		return t, &SyntaxError{0, `a path starts with "/"`}
	}
	seen := make(map[string]bool)
	for pos := 1; pos < len(s); {
		end := segmentEnd(s, pos)
		raw := s[pos:end]
		last := end >= len(s)-1 // nothing follows but perhaps a slash
		switch {
		case raw == "":
			return Template{}, &SyntaxError{pos, "empty path segment"}
		case raw == "*":
			if !last {
				return Template{}, &SyntaxError{pos, `"*" is allowed only as the last segment`}
			}
			t.wildcard = true
		default:
			seg, err := parseSegment(s, pos, end, seen)
			if err != nil {
				return Template{}, err
			}
			t.segments = append(t.segments, seg)
		}
		pos = end + 1
	}
	return t, nil
}

// segmentEnd returns where the segment that starts at pos ends. A slash within
// braces does not end it; parseSegment reports it with a better message than
// "never closed".
func segmentEnd(s string, pos int) int {
	for i := pos; i < len(s); i++ {
		switch s[i] {
		case '/':
			return i
		case '{':
			if n := strings.IndexAny(s[i+1:], "{}"); n >= 0 && s[i+1+n] == '}' {
				i += 1 + n
			}
		}
	}
	return len(s)
}

// parseSegment reads s[pos:end], which holds no slash outside of braces. It
// adds the names of parameters to seen.
func parseSegment(s string, pos, end int, seen map[string]bool) (Segment, error) {
	var seg Segment
	start := pos
	for pos < end {
		if s[pos] == '{' {
			name := s[pos+1 : end]
			n := strings.IndexAny(name, "{}")
			if n < 0 || name[n] == '{' {
				return seg, &SyntaxError{pos, `"{" is never closed`}
			}
			name = name[:n]
			if err := checkName(name, pos+1); err != nil {
				return seg, err
			}
			if seen[name] {
				return seg, &SyntaxError{pos, fmt.Sprintf("parameter %q occurs twice", name)}
			}
			if k := len(seg.Parts); k > 0 && seg.Parts[k-1].Param != "" {
				return seg, &SyntaxError{pos, fmt.Sprintf(
					"parameters %q and %q need something between them", seg.Parts[k-1].Param, name)}
			}
			seen[name] = true
			seg.Parts = append(seg.Parts, Part{Param: name})
			pos += n + 2
			continue
		}
		stop := end
		if n := strings.IndexByte(s[pos:end], '{'); n >= 0 {
			stop = pos + n
		}
		lit, err := literal(s, pos, stop)
		if err != nil {
			return seg, err
		}
		seg.Parts = append(seg.Parts, Part{Literal: lit})
		pos = stop
	}
	return seg, reachable(seg, start)
}

// reachable refuses a segment that no request path can have once it is
// normalised: a template with it would be dead.
func reachable(seg Segment, pos int) error {
	path := []byte{'/'}
	for _, p := range seg.Parts {
		if p.Param != "" {
			path = append(path, 'x')
		} else {
			path = append(path, p.Literal...)
		}
	}
	normal, err := urlpath.Normalize(nil, path)
	if err == nil && bytes.Equal(normal, path) {
		return nil
	}
	if err == nil || err == urlpath.ErrClimb {
		return &SyntaxError{pos, fmt.Sprintf("a path has no segment %q", path[1:])}
	}
	return &SyntaxError{pos, fmt.Sprintf("nothing would match, request paths are refused for this: %v", err)}
}

func checkName(name string, pos int) error {
	if name == "" {
		return &SyntaxError{pos - 1, `"{}" has no name`}
	}
	if !utf8.ValidString(name) {
		return &SyntaxError{pos, "not UTF-8"}
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '/':
			return &SyntaxError{pos + i, `"/" in the name of a parameter`}
		case c == '?', c == '#':
			return &SyntaxError{pos + i, fmt.Sprintf(
				"%q in the name of a parameter: a template is a path only, without query or fragment", string(c))}
		case c < ' ', c == 0x7f:
			return &SyntaxError{pos + i, "control character in the name of a parameter"}
		}
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// literal brings s[pos:end] into the normal form of request paths.
func literal(s string, pos, end int) (string, error) {
	var b strings.Builder
	for i := pos; i < end; {
		c := s[i]
		switch {
		case c == '}':
			return "", &SyntaxError{i, `"}" without "{"`}
		case c == '?':
			return "", &SyntaxError{i, "a template is a path only, without a query"}
		case c == '#':
			return "", &SyntaxError{i, "a template is a path only, without a fragment"}
		case c == '*':
			// WSO2 takes "abc*" for a prefix. Nobody is served by a star that
			// silently means itself here and anything there.
			return "", &SyntaxError{i, `"*" is allowed only as the last segment, alone; write "%2A" for the character itself`}
		case c == '%':
			if end-i < 3 || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", &SyntaxError{i, `"%" is not followed by two hexadecimal digits; write "%25" for the character itself`}
			}
			d := byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			if refused(d) {
				return "", &SyntaxError{i, fmt.Sprintf("%q is refused in request paths, so nothing would match", s[i:i+3])}
			}
			if unreserved(d) {
				b.WriteByte(d)
			} else {
				b.Write([]byte{'%', upperHex[d>>4], upperHex[d&15]})
			}
			i += 3
		case refused(c):
			return "", &SyntaxError{i, fmt.Sprintf("%q is refused in request paths, so nothing would match", string(c))}
		case unreserved(c), strings.IndexByte("!$&'()+,;=:@", c) >= 0: // pchar of RFC 3986
			b.WriteByte(c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:end])
			if r == utf8.RuneError && n == 1 {
				return "", &SyntaxError{i, "not UTF-8"}
			}
			for ; n > 0; n-- {
				b.Write([]byte{'%', upperHex[s[i]>>4], upperHex[s[i]&15]})
				i++
			}
		}
	}
	return b.String(), nil
}

// refused reports whether a request path with c in it, as it is or encoded,
// never gets as far as matching.
func refused(c byte) bool {
	return c < ' ' || c == 0x7f || c == '/' || c == '\\'
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// String returns the template in normal form: literals encoded, no slash at
// the end. Parse reads it back as the same template.
func (t Template) String() string {
	return t.format(func(name string) string { return "{" + name + "}" })
}

// Shape returns the template with the names of its parameters erased. Two
// templates of the same shape match the same paths, and two operations with
// the same shape and method conflict.
func (t Template) Shape() string {
	return t.format(func(string) string { return "{}" })
}

func (t Template) format(param func(name string) string) string {
	if len(t.segments) == 0 && !t.wildcard {
		return "/"
	}
	var b strings.Builder
	for _, seg := range t.segments {
		b.WriteByte('/')
		for _, p := range seg.Parts {
			if p.Param != "" {
				b.WriteString(param(p.Param))
			} else {
				b.WriteString(p.Literal)
			}
		}
	}
	if t.wildcard {
		b.WriteString("/*")
	}
	return b.String()
}

// Segments returns the segments without the wildcard. The caller must not
// change them.
func (t Template) Segments() []Segment { return t.segments }

// Wildcard reports whether the template ends in "/*", which stands for one or
// more further segments. A template that is nothing else matches "/" too.
func (t Template) Wildcard() bool { return t.wildcard }

// Params returns the names of the parameters in the order of their places.
func (t Template) Params() []string {
	var names []string
	for _, seg := range t.segments {
		for _, p := range seg.Parts {
			if p.Param != "" {
				names = append(names, p.Param)
			}
		}
	}
	return names
}

// Literal returns the segment's text if it has no parameters.
func (s Segment) Literal() (string, bool) {
	if len(s.Parts) == 1 && s.Parts[0].Param == "" {
		return s.Parts[0].Literal, true
	}
	return "", false
}

// Match reports whether seg, one segment of a normalised path, can be split so
// that every literal stands where the template has it and every parameter gets
// at least one byte. It does not allocate.
//
// Taking the leftmost place for each literal is enough: whatever a later place
// would leave to the rest, the leftmost leaves too, and more. So there is no
// backtracking, and hostile segments cost no more than a search.
func (s Segment) Match(seg []byte) bool {
	pos := 0 // everything before it is taken
	last := len(s.Parts) - 1
	for i, p := range s.Parts {
		switch {
		case p.Param != "":
			if i == last {
				return pos < len(seg)
			}
			// The literal that follows looks after the rest.
		case i == 0:
			if len(seg) < len(p.Literal) || string(seg[:len(p.Literal)]) != p.Literal {
				return false
			}
			pos = len(p.Literal)
			if i == last {
				return pos == len(seg)
			}
		case i == last:
			at := len(seg) - len(p.Literal)
			return at > pos && string(seg[at:]) == p.Literal && !insideEscape(seg, at)
		default:
			at := index(seg, p.Literal, pos+1)
			if at < 0 {
				return false
			}
			pos = at + len(p.Literal)
		}
	}
	return false
}

// index returns the first place at or after from where lit stands in seg, not
// counting places inside of a percent-encoded byte: the "2" of "%2A" is no 2.
func index(seg []byte, lit string, from int) int {
	for from+len(lit) <= len(seg) {
		n := bytes.IndexByte(seg[from:], lit[0])
		if n < 0 {
			break
		}
		from += n
		if from+len(lit) <= len(seg) && string(seg[from:from+len(lit)]) == lit && !insideEscape(seg, from) {
			return from
		}
		from++
	}
	return -1
}

// insideEscape reports whether seg[at] is one of the two digits of an escape.
func insideEscape(seg []byte, at int) bool {
	return at >= 1 && seg[at-1] == '%' || at >= 2 && seg[at-2] == '%'
}
