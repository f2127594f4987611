package pathtmpl_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/pkg/urlpath"
)

func mustParse(t *testing.T, s string) pathtmpl.Template {
	t.Helper()
	tmpl, err := pathtmpl.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return tmpl
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in, want, shape string
		params          []string
		wildcard        bool
	}{
		{in: "/", want: "/", shape: "/"},
		{in: "/pet", want: "/pet", shape: "/pet"},
		{in: "/pet/", want: "/pet", shape: "/pet"},
		{in: "/pet/{petId}", want: "/pet/{petId}", shape: "/pet/{}", params: []string{"petId"}},
		{in: "/pet/{petId}/", want: "/pet/{petId}", shape: "/pet/{}", params: []string{"petId"}},
		{in: "/{x}", want: "/{x}", shape: "/{}", params: []string{"x"}}, // WSO2 refuses one-letter names; we do not
		{in: "/{pet-id}", want: "/{pet-id}", shape: "/{}", params: []string{"pet-id"}},
		{in: "/{id}.json", want: "/{id}.json", shape: "/{}.json", params: []string{"id"}},
		{in: "/test.{petId}", want: "/test.{petId}", shape: "/test.{}", params: []string{"petId"}},
		{in: "/{a}-{b}", want: "/{a}-{b}", shape: "/{}-{}", params: []string{"a", "b"}},
		{in: "/compare/{base}...{head}", want: "/compare/{base}...{head}", shape: "/compare/{}...{}", params: []string{"base", "head"}},
		{in: "/{name}:cancel", want: "/{name}:cancel", shape: "/{}:cancel", params: []string{"name"}},
		{in: "/*", want: "/*", shape: "/*", wildcard: true},
		{in: "/*/", want: "/*", shape: "/*", wildcard: true},
		{in: "/pet/*", want: "/pet/*", shape: "/pet/*", wildcard: true},
		{in: "/{a}/*", want: "/{a}/*", shape: "/{}/*", params: []string{"a"}, wildcard: true},
		{in: "/a b", want: "/a%20b", shape: "/a%20b"},
		{in: "/straße", want: "/stra%C3%9Fe", shape: "/stra%C3%9Fe"},
		{in: "/a%2db%3a", want: "/a-b%3A", shape: "/a-b%3A"},
		{in: "/%7Bid%7D", want: "/%7Bid%7D", shape: "/%7Bid%7D"},
		{in: "/%2A", want: "/%2A", shape: "/%2A"},
		{in: `/"<>^|` + "`", want: "/%22%3C%3E%5E%7C%60", shape: "/%22%3C%3E%5E%7C%60"},
		{in: "/f(a='{a}',b=@x)", want: "/f(a='{a}',b=@x)", shape: "/f(a='{}',b=@x)", params: []string{"a"}},
		{in: "/...", want: "/...", shape: "/..."},
		{in: "/.{x}", want: "/.{x}", shape: "/.{}", params: []string{"x"}},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got := mustParse(t, tt.in)
			if got.String() != tt.want {
				t.Errorf("String() = %q, want %q", got, tt.want)
			}
			if got.Shape() != tt.shape {
				t.Errorf("Shape() = %q, want %q", got.Shape(), tt.shape)
			}
			if !slices.Equal(got.Params(), tt.params) {
				t.Errorf("Params() = %q, want %q", got.Params(), tt.params)
			}
			if got.Wildcard() != tt.wildcard {
				t.Errorf("Wildcard() = %v, want %v", got.Wildcard(), tt.wildcard)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
		msg    string
	}{
		{"", 0, `starts with "/"`},
		{"pet", 0, `starts with "/"`},
		{"*", 0, `starts with "/"`},
		{"//", 1, "empty path segment"},
		{"/a//b", 3, "empty path segment"},
		{"/*/a", 1, `"*" is allowed only as the last segment`},
		{"/abc*", 4, `"*" is allowed only as the last segment`},
		{"/{a}*", 4, `"*" is allowed only as the last segment`},
		{"/pet/{petId", 5, `"{" is never closed`},
		{"/pet/{a/b", 5, `"{" is never closed`},
		{"/pet/{a{b}", 5, `"{" is never closed`},
		{"/pet/petId}", 10, `"}" without "{"`},
		{"/pet/{a}}", 8, `"}" without "{"`},
		{"/pet/{}", 5, `"{}" has no name`},
		{"/{a/b}", 3, `"/" in the name of a parameter`},
		{"/{?q}", 2, "without query or fragment"},
		{"/{a\x00}", 3, "control character"},
		{"/{\xff}", 2, "not UTF-8"},
		{"/{a}{b}", 4, `"a" and "b" need something between them`},
		{"/{a}/x/{a}", 7, `parameter "a" occurs twice`},
		{"/pet?x=1", 4, "without a query"},
		{"/pet#x", 4, "without a fragment"},
		{"/pet/.", 5, `no segment "."`},
		{"/../pet", 1, `no segment ".."`},
		{"/%2e%2E/pet", 1, `no segment ".."`},
		{"/a%2Fb", 2, "refused in request paths"},
		{"/a%5cb", 2, "refused in request paths"},
		{`/a\b`, 2, "refused in request paths"},
		{"/a\nb", 2, "refused in request paths"},
		{"/a%00b", 2, "refused in request paths"},
		{"/a%7fb", 2, "refused in request paths"},
		{"/100%", 4, "two hexadecimal digits"},
		{"/%zz", 1, "two hexadecimal digits"},
		{"/%4{a}", 1, "two hexadecimal digits"},
		{"/a\xffb", 2, "not UTF-8"},
		{"/x/%ff", 3, "not UTF-8"},
		{"/%C3{a}", 1, "not UTF-8"},
		{"/..;{v}", 1, "dot segment with a parameter"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			_, err := pathtmpl.Parse(tt.in)
			var syntax *pathtmpl.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if syntax.Offset != tt.offset || !strings.Contains(syntax.Msg, tt.msg) {
				t.Errorf("got offset %d, %q; want offset %d, %q", syntax.Offset, syntax.Msg, tt.offset, tt.msg)
			}
		})
	}
}

func TestSegmentMatch(t *testing.T) {
	for _, tt := range []struct {
		segment, in string
		want        bool
	}{
		{"pet", "pet", true},
		{"pet", "Pet", false},
		{"pet", "pets", false},
		{"pet", "pe", false},
		{"pet", "", false},
		{"{x}", "a", true},
		{"{x}", "", false},
		{"{x}.json", "a.json", true},
		{"{x}.json", ".json", false},
		{"{x}.json", "a.jsonx", false},
		{"{x}.json", "a.json.json", true},
		{"test.{x}", "test.1", true},
		{"test.{x}", "test.", false},
		{"test.{x}", "text.1", false},
		{"{a}-{b}", "1-2", true},
		{"{a}-{b}", "-1-", false},
		{"{a}-{b}", "-1-2", true},
		{"{a}-{b}", "--", false},
		{"{a}-{b}", "---", true},
		{"{a}...{b}", "main...next", true},
		{"{a}...{b}", "....", false},
		{"{a}...{b}", ".....", true},
		{"{a}...{b}", "a..b", false},
		{"x{a}y{b}z", "x1y2z", true},
		{"x{a}y{b}z", "xyyyz", true},
		{"x{a}y{b}z", "xyyz", false},
		{"x{a}y{b}z", "x1y2", false},
		{"x{a}x", "xx", false},
		{"x{a}x", "xxx", true},
		{"{a}ab{b}ab{c}", "1aababab2", true}, // any split will do
		{"{a}2{b}", "%252", false},           // neither digit of the escape is a 2
		{"{a}2{b}", "%2522", true},
		{"{a}5", "%25", false},
		{"{a}5", "%255", true},
		{"{a}%20{b}", "1%202", true},
	} {
		t.Run(tt.segment+"/"+tt.in, func(t *testing.T) {
			seg := mustParse(t, "/"+tt.segment).Segments()[0]
			if got := seg.Match([]byte(tt.in)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	seg := mustParse(t, "/x{a}-{b}...{c}.json").Segments()[0]
	in := []byte("x1-2-3...4.json")
	if n := testing.AllocsPerRun(100, func() {
		if !seg.Match(in) {
			t.Error("no match")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzParse holds that a template survives printing, that a path made from a
// template matches it, and that Match agrees with the plainest matcher there
// is.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"/", "/pet/{petId}/", "/{a}-{b}.json/*", "/%7e%2A/ß", "/{a}...{b}", "/{a/b}", "/x{a}2{b}", "/{\xff}"} {
		f.Add(s, "1", "a-b.json")
	}
	f.Fuzz(func(t *testing.T, s, value, seg string) {
		tmpl, err := pathtmpl.Parse(s)
		if err != nil {
			var syntax *pathtmpl.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(s) {
				t.Fatalf("Parse(%q): bad error %v", s, err)
			}
			return
		}
		again, err := pathtmpl.Parse(tmpl.String())
		if err != nil || again.String() != tmpl.String() || again.Shape() != tmpl.Shape() ||
			again.Wildcard() != tmpl.Wildcard() || !slices.Equal(again.Params(), tmpl.Params()) {
			t.Fatalf("Parse(%q) = %q, which reads back as %q, %v", s, tmpl, again, err)
		}
		for _, s := range tmpl.Segments() {
			if wellFormed(value) {
				var concrete strings.Builder
				for _, p := range s.Parts {
					if p.Param != "" {
						concrete.WriteString("v" + value)
					} else {
						concrete.WriteString(p.Literal)
					}
				}
				if !s.Match([]byte(concrete.String())) {
					t.Errorf("%q does not match %q, which was made from it", s.Parts, concrete.String())
				}
				// What is matched is a normalised path, so a literal must
				// already look as normalisation leaves it.
				if lit, ok := s.Literal(); ok {
					if got, err := urlpath.Normalize(nil, []byte("/"+lit)); err != nil || string(got) != "/"+lit {
						t.Errorf("literal %q is %q, %v as a request path", lit, got, err)
					}
				}
			}
			if len(seg) < 32 && len(s.Parts) < 6 {
				if got, want := s.Match([]byte(seg)), naive(s.Parts, seg); wellFormed(seg) && got != want {
					t.Errorf("%q on %q: got %v, want %v", s.Parts, seg, got, want)
				}
			}
		}
	})
}

// wellFormed reports whether every "%" begins an escape, as in any normalised
// path.
func wellFormed(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 >= len(s) || strings.Trim(s[i+1:i+3], "0123456789ABCDEF") != "" {
				return false
			}
			i += 2
		}
	}
	return true
}

// naive tries every split.
func naive(parts []pathtmpl.Part, s string) bool {
	if len(parts) == 0 {
		return s == ""
	}
	if parts[0].Param == "" {
		rest, ok := strings.CutPrefix(s, parts[0].Literal)
		return ok && naive(parts[1:], rest)
	}
	for i := 1; i <= len(s); i++ {
		if wellFormed(s[:i]) && naive(parts[1:], s[i:]) {
			return true
		}
	}
	return false
}
