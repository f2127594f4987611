package tree_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

func parse(name, text string) (*tree.Node, string) {
	var l diag.List
	n := tree.Parse(name, []byte(text), &l)
	var b strings.Builder
	for _, d := range l {
		fmt.Fprintln(&b, d)
		if d.Hint != "" {
			fmt.Fprintln(&b, "\thint:", d.Hint)
		}
	}
	return n, strings.TrimSpace(b.String())
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.json", "", `a.json:1:1: the file is empty`},
		{"a.json", " \n", `a.json:1:1: the file is empty`},
		{"a.json", "{", `a.json:1:2: a key in double quotes is missing: found end of file`},
		{"a.json", `{"a":1,}`, `a.json:1:8: a comma before the closing brace`},
		{"a.json", `{"a":1 "b":2}`, `a.json:1:8: a comma or a closing brace is missing: found '"'`},
		{"a.json", "{\n  \"é\": x}", `a.json:2:8: a value is missing: found 'x'`},
		{"a.json", `[1,]`, `a.json:1:4: a comma before the closing bracket`},
		{"a.json", `[1`, `a.json:1:3: the list that begins at line 1, column 1 is not closed`},
		{"a.json", `[01]`, `a.json:1:3: a comma or a closing bracket is missing: found '1'`},
		{"a.json", `[1.]`, `a.json:1:4: a digit is missing after the point: found ']'`},
		{"a.json", `[-]`, `a.json:1:3: a digit is missing: found ']'`},
		{"a.json", `["a`, `a.json:1:4: a string is not closed`},
		{"a.json", `["\x"]`, `a.json:1:3: an unknown escape in a string: \x`},
		{"a.json", `["\u12"]`, `a.json:1:3: \u needs four hexadecimal digits`},
		{"a.json", "[\"a\tb\"]", `a.json:1:4: a control character (0x09) in a string`},
		{"a.json", `{"a":1} x`, `a.json:1:9: 'x' after the end of the document`},
		{"a.json", "{\"a\":1,\n \"b\":2,\n \"a\":3, \"b\": 4}", "a.json:3:2: the key \"a\" is here twice: first at line 1, column 2\na.json:3:9: the key \"b\" is here twice: first at line 2, column 2"},
		{"a.json", strings.Repeat("[", 1000), `a.json:1:257: nested deeper than 256 levels`},
		{"a.yaml", "", `a.yaml:1:1: the file is empty`},
		{"a.yaml", "# only a comment\n", `a.yaml:1:1: the file is empty`},
		{"a.yaml", "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "a.yaml:4:3: the key \"c\" is here twice: first at line 3, column 3\na.yaml:5:1: the key \"a\" is here twice: first at line 1, column 1"},
		{"a.yaml", "a: 1\n---\nb: 1\n", `a.yaml:2:1: a second YAML document in one file`},
		{"a.yaml", "a: &x [*x]\n", `a.yaml:1:8: the alias "*x" contains itself`},
		{"a.yaml", "? [a]\n: 1\n", `a.yaml:1:3: a key that is not a plain value`},
		{"a.yaml", "a:\n  type: http:\n", "a.yaml:2:1: not YAML: mapping values are not allowed in this context\n\thint: a value with \": \" in it needs quotes, and keys of one object need the same indent"},
		{"a.yaml", "a:\n\tb: 1\n", "a.yaml:2:1: not YAML: found character that cannot start any token\n\thint: indent with spaces, not with tabs"},
		{"a.yaml", "a: [1\n", "a.yaml:1:1: not YAML: did not find expected ',' or ']'"},
		{"a.yaml", "a: 1\nb: *none\n", "a.yaml:2:1: not YAML: unknown anchor 'none' referenced"},
		{"a.yaml", "a: 1\nb\xff: 1\n", "a.yaml:2:2: byte 0xff is not UTF-8\n\thint: save it as UTF-8"},
		{"a.yaml", "\xff\xfea\x00", "a.yaml:1:1: the file is UTF-16, not UTF-8\n\thint: save it as UTF-8"},
		{"a.yaml", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), `a.yaml:1:258: nested deeper than 256 levels`},
		{"a.yaml", bomb(), `a.yaml:1:5: aliases make the document much larger than the file`},
		{"a.yaml", "a: &a {<<: 1}\n", `a.yaml:1:12: "<<" merges objects only`},
	} {
		n, got := parse(c.name, c.text)
		if got != c.want {
			t.Errorf("%.40q:\n got %s\nwant %s", c.text, got, c.want)
		}
		if n != nil {
			t.Errorf("%.40q: a tree beside errors", c.text)
		}
	}
}

// bomb is the "billion laughs".
func bomb() string {
	s := "a0: &a0 lol\n"
	for i := 1; i < 12; i++ {
		s += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	return s
}

func TestPositions(t *testing.T) {
	for name, text := range map[string]string{
		"a.yaml": "é: 1\nb:\n  - x: y\n    \"z\": null\n",
		"a.json": "{\"é\": 1,\n\"b\": [\n  {\n    \"x\": \"y\",\n \"z\": null}]}",
	} {
		n, errs := parse(name, text)
		if errs != "" {
			t.Fatal(errs)
		}
		var got []string
		var walk func(n *tree.Node)
		walk = func(n *tree.Node) {
			for i, item := range n.Items {
				if n.Kind == tree.Object {
					got = append(got, fmt.Sprint(n.Keys[i].Name, n.KeyAt(i, "")))
				}
				got = append(got, fmt.Sprint(item.Describe(), item.At("")))
				walk(item)
			}
		}
		walk(n)
		want := map[string]string{
			"a.yaml": `éa.yaml:1:1 1a.yaml:1:4 ba.yaml:2:1 a lista.yaml:3:3 an objecta.yaml:3:5 xa.yaml:3:5 "y"a.yaml:3:8 za.yaml:4:5 nulla.yaml:4:10`,
			"a.json": `éa.json:1:2 1a.json:1:7 ba.json:2:1 a lista.json:2:6 an objecta.json:3:3 xa.json:4:5 "y"a.json:4:10 za.json:5:2 nulla.json:5:7`,
		}[name]
		if strings.Join(got, " ") != want {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, " "), want)
		}
	}
}

// What YAML means is what comes out as JSON, with sorted keys.
func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"b": 1, "a": [true, null, "\u00e9\ud83d\ude00\n\"\\\/"]}`: `{"a":[true,null,"é😀\n\"\\/"],"b":1}`,
		`{"a": "\ud800"}`:                    "{\"a\":\"\ufffd\"}",
		`[1e5, -0.25, 12345678901234567890]`: `[1e5,-0.25,12345678901234567890]`,
		"a: 0x1F\nb: 1_000\nc: .inf\nd: yes\ne: ~\nf: 2020-01-02\ng: 1.50\nh: +1\ni: 0o17\nj: .5\nk: true": `{"a":31,"b":1000,"c":".inf","d":"yes","e":null,"f":"2020-01-02","g":1.50,"h":1,"i":15,"j":0.5,"k":true}`,
		"200: x\n~: y\ntrue: z\n":                             `{"200":"x","true":"z","~":"y"}`,
		"a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x":        `{"a":{"p":1,"q":2},"b":{"p":1,"q":3},"c":{"p":1,"q":2}}`,
		"a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y]}": `{"a":{"p":1},"b":{"p":2,"r":3},"c":{"p":1,"r":3}}`,
		"a: |\n  two\n  lines\n":                              `{"a":"two\nlines\n"}`,
	} {
		n, errs := parse("a.yaml", in)
		if errs != "" {
			t.Errorf("%s: %s", in, errs)
			continue
		}
		if got := string(n.AppendJSON(nil)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestPointer(t *testing.T) {
	n, _ := parse("a.json", `{"paths": {"/a~b": {"get": [1, {"x": 2}]}}, "": 3}`)
	for pointer, want := range map[string]string{
		"":                           `an object`,
		"/":                          `3`,
		"/paths/~1a~0b/get/1/x":      `2`,
		"/paths/~1a~0b/get/2":        `lacks "2"`,
		"/paths/~1a~0b/get/01":       `lacks "01"`,
		"/paths/~1a~0b/post/x":       `lacks "post"`,
		"/paths/~1a~0b/get/1/x/none": `lacks "none"`,
		"paths":                      `lacks "paths"`,
	} {
		found, _, lacks := n.Pointer(pointer)
		got := fmt.Sprintf("lacks %q", lacks)
		if found != nil {
			got = found.Describe()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", pointer, got, want)
		}
	}
}

// A long line must not cost more than many short ones.
func TestOneLine(t *testing.T) {
	text := "[" + strings.Repeat(`{"a":"b"},`, 300_000) + "1]"
	start := time.Now()
	n, errs := parse("a.json", text)
	if errs != "" || len(n.Items) != 300_001 {
		t.Fatal(errs)
	}
	if d := time.Since(start); d > 2*time.Minute {
		t.Errorf("3 MB on one line took %v", d)
	}
	// Of YAML too: 64 MiB took minutes.
	const size = 2 << 20
	if n, errs := parse("a.yaml", `a: "`+strings.Repeat("x", size)+`"`); errs != "" || len(n.Get("a").Text) != size {
		t.Fatal(errs)
	}
	last := n.Items[len(n.Items)-1]
	if last.Col != uint32(len(text)-1) {
		t.Errorf("column %d, want %d", last.Col, len(text)-1)
	}
}

// Whatever the input: no panic, every diagnostic has a position inside the
// file, and what is accepted means the same to the usual decoders.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1", `{"a":[1,"x\u0041",null,true]}`, "a: &x [1]\nb: *x", "{a: b", "a:\n  <<: {b: c}", "\ta", `{"a":1,"a":2}`, "- 1\n- !!binary aGk=", "!!float 1: 2", "a: 1e400", bomb()} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, asJSON bool) {
		name := "a.yaml"
		if asJSON {
			name = "a.json"
		}
		var l diag.List
		n := tree.Parse(name, []byte(text), &l)
		if (n == nil) != l.HasErrors() {
			t.Fatalf("tree %v, diagnostics %v", n, l)
		}
		for _, d := range l {
			if d.File != name || !inside(text, d.Line, d.Column) {
				t.Fatalf("not in the file: %v", d)
			}
		}
		if n == nil {
			return
		}
		out := n.AppendJSON(nil)
		var got any
		err := json.Unmarshal(out, &got)
		var number *json.UnmarshalTypeError
		if errors.As(err, &number) {
			return // 1e444 is JSON, but nothing that Go can compare
		}
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if asJSON {
			var want any
			if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &want); err != nil {
				t.Fatalf("encoding/json refuses what we accept: %v", err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %v, encoding/json reads %v", got, want)
			}
			return
		}
		var want yaml.Node
		if err := yaml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &want); err != nil && !strings.Contains(text, "{") {
			t.Fatalf("yaml refuses what we accept: %v", err)
		}
	})
}

// inside reports whether a position is in a text, or just behind its end. YAML
// knows line breaks that JSON does not; where the text has such, only the text
// as a whole bounds the column.
func inside(text string, line, column int) bool {
	odd := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	lines := strings.Split(odd.Replace(text), "\n")
	switch {
	case line < 1 || column < 1 || line > len(lines)+1:
		return false
	case len(lines) != strings.Count(text, "\n")+1:
		return column <= len(text)+2
	case line > len(lines):
		return column == 1
	}
	return column <= utf8.RuneCountInString(lines[line-1])+2
}

func TestLargeFile(t *testing.T) {
	for _, name := range []string{"a.json", "a.yaml"} {
		var l diag.List
		n := tree.Parse(name, make([]byte, tree.MaxSize+1), &l)
		if want := name + ":1:1: the file is larger than 64 MiB"; n != nil || len(l) != 1 || l[0].String() != want {
			t.Errorf("got %v, want %q", l, want)
		}
	}
}

// A copy has all that the original has, and changing it leaves that alone.
func TestClone(t *testing.T) {
	text := "a: &a {b: [1, x, null, true], c: *a0}\nbig: {" + strings.Repeat("k", 1)
	text = strings.Replace(text, ", c: *a0", "", 1)
	for i := range 20 {
		text += fmt.Sprintf("%d: %d, k", i, i)
	}
	n, errs := parse("a.yaml", text+"z: *a}")
	if errs != "" {
		t.Fatal(errs)
	}
	before := string(n.AppendJSON(nil))
	c := n.Clone()
	if !reflect.DeepEqual(c, n) {
		t.Error("the copy is another")
	}
	big := c.Get("big")
	big.Set("k3", c.Get("a"))
	big.Set("new", c)
	big.Drop([]int{0, 1})
	c.Get("a").Get("b").Items[0].Text = "2"
	if after := string(n.AppendJSON(nil)); after != before || n.Get("big").Find("new") >= 0 {
		t.Errorf("the original has changed:\n%s\n%s", before, after)
	}
}

// A value of one byte costs a hundred in memory, so values are counted.
func TestManyValues(t *testing.T) {
	for name, text := range map[string]string{
		"a.yaml": strings.Repeat("-\n", 3_000_001),
		"b.yaml": "[" + strings.Repeat("0,", 3_000_001) + "0]",
	} {
		n, got := parse(name, text)
		if want := name + ":1:1: more than 3000000 values in one file"; n != nil || got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
