package tree_test

import (
	"bytes"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Whatever is read, and written for people, is read again as the same.
func FuzzPrint(f *testing.F) {
	for _, s := range []string{
		`{"200": {"b": 1, "a": [true, null, "true", "null", "~", "", " x ", "1", "1e3", "0x10", "012", "1_000", "2001-01-01", "=", "<<", "*a", "&a", "!t"]}}`,
		`{"n": [0, -0, 1.50, 1e5, 1E400, 123456789012345678901234567890, 0.1e-7], "<<": {"a": 1}}`,
		`{"t": "a\nb\n", "u": "a\r\nb", "v": "\u2028\u0085\ufeff", "w": "\t x", "x": "a: b # c", "y": "- a", "z": "a\n\n  b\n "}`,
		`[]`, `{}`, `"x"`, `{"": {"": []}}`, "a: &x {b: 1}\nc: *x\nd: 0o17\ne: .inf\nf: yes\n", `{"\u0000": "\u0007\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var l diag.List
		n := tree.Parse("in.yaml", data, &l)
		if n == nil {
			return
		}
		want := n.AppendJSON(nil)
		for name, text := range map[string][]byte{"x.json": n.JSON(), "x.yaml": n.YAML()} {
			back := tree.Parse(name, text, &l)
			if back == nil || !bytes.Equal(back.AppendJSON(nil), want) {
				t.Errorf("%s: %q is read as something else: %v", name, text, l)
			}
		}
	})
}

// Keys keep their order, and what is read twice is written the same.
func TestPrint(t *testing.T) {
	const in = `{"openapi": "3.0.0", "info": {"version": "1.0", "title": "A"}, "paths": {"/b": {}, "/a": {"get": {"responses": {"200": {"description": "two\nlines"}}}}}}`
	const want = `openapi: 3.0.0
info:
  version: "1.0"
  title: A
paths:
  /b: {}
  /a:
    get:
      responses:
        "200":
          description: |-
            two
            lines
`
	var l diag.List
	n := tree.Parse("in.json", []byte(in), &l)
	if got := string(n.YAML()); got != want {
		t.Errorf("got %s", got)
	}
	if got := string(tree.Parse("again.yaml", []byte(want), &l).YAML()); got != want {
		t.Errorf("the second time: %s", got)
	}
}
