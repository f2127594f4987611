package toml_test

import (
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/toml"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       `{}`,
		"a = 1\nb = 'x'\nc = true\nd = [1, 'y']": `{"a":1,"b":"x","c":true,"d":[1,"y"]}`,
		"[a]\nb.c = 1\n[a.d]\ne = 2":             `{"a":{"b":{"c":1},"d":{"e":2}}}`,
		"[[a.b]]\nc = 1\n[[a.b]]\nc = 2":         `{"a":{"b":[{"c":1},{"c":2}]}}`,
		"[[a]]\n[a.b]\nc = 1\n[[a]]":             `{"a":[{"b":{"c":1}},{}]}`,
		"a = { b = 1, c.d = [{ e = 2 }] }":       `{"a":{"b":1,"c":{"d":[{"e":2}]}}}`,
		"# only a comment\n\n":                   `{}`,
		"a = '''x\ny'''":                         `{"a":"x\ny"}`,
		"\"a b\" = \"\\u00e9\"\n'c.d' = 1\n":     `{"a b":"é","c.d":1}`,
	} {
		var l diag.List
		n := toml.Parse("x.toml", []byte(text), &l)
		if n == nil {
			t.Errorf("%q: %v", text, l)
		} else if got := string(n.AppendJSON(nil)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestPositions(t *testing.T) {
	n := toml.Parse("x.toml", []byte("[a.b]\n  'ü' = 1\n  'ö' = [ 'x',\n 'y' ]"), new(diag.List))
	if n == nil {
		t.Fatal("refused")
	}
	b := n.Get("a").Get("b")
	for _, c := range []struct {
		at   diag.At
		want string
	}{
		{n.KeyAt(0, ""), "x.toml:1:2"},
		{n.Get("a").KeyAt(0, ""), "x.toml:1:4"},
		{b.KeyAt(0, ""), "x.toml:2:3"},
		{b.Get("ü").At(""), "x.toml:2:9"},
		{b.Get("ö").Items[0].At(""), "x.toml:3:11"},
		{b.Get("ö").Items[1].At(""), "x.toml:4:2"},
	} {
		if got := c.at.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// All that is wrong with the syntax of different tables is said at once.
func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"a = \n[b]\nc = 'x\n[d]\ne = 1":   "x.toml:1:5: unexpected character U+000A at start of value|x.toml:3:7: literal strings cannot have new lines",
		"a = 1\na = 2":                    "x.toml:2:1: ",
		"[a]\n[a]":                        "x.toml:2:",
		"a = 1\n[a]\nb = 1":               "x.toml:2:",
		"a = \xff":                        "x.toml:1:5: this is not UTF-8",
		strings.Repeat("a.", 100) + "b=1": "x.toml:1:129: the key has too many parts",
		"a = " + strings.Repeat("[", 100) + strings.Repeat("]", 100): "x.toml:1:",
	} {
		var l diag.List
		if n := toml.Parse("x.toml", []byte(text), &l); n != nil {
			t.Errorf("%q: accepted", text)
		}
		var got []string
		for _, d := range l {
			got = append(got, d.String())
		}
		all := strings.Join(got, "|")
		for i, w := range strings.Split(want, "|") {
			if i >= len(got) || !strings.HasPrefix(got[i], w) {
				t.Errorf("%.40q: got %s, want %s", text, all, want)
				break
			}
		}
	}
}

// Whatever is in a file, it is either refused with a position or a tree of
// objects, lists and scalars within the bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"[a]\nb = 1", "[[a]]\n[a.b]\nc = [{d = 'x'}]", "a.b.c = 1", "a = 1979-05-27", "\"\\u0000\" = ''", "[a", "x = [[[["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var l diag.List
		n := toml.Parse("x.toml", data, &l)
		if (n == nil) != l.HasErrors() {
			t.Fatalf("%v, %v", n, l)
		}
		for _, d := range l {
			if d.Line < 1 || d.Column < 1 {
				t.Errorf("no position: %v", d)
			}
		}
		if n != nil {
			walk(t, n, 0)
		}
	})
}

func walk(t *testing.T, n *tree.Node, depth int) {
	if n.Line < 1 || n.Col < 1 || depth > 500 || n.Kind == tree.Object && len(n.Keys) != len(n.Items) {
		t.Fatalf("%+v at depth %d", n, depth)
	}
	for _, item := range n.Items {
		walk(t, item, depth+1)
	}
}
