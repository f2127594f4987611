package tree

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// YAML is read by a library into its own nodes, which have positions, and
// converted from there. The conversion is where aliases grow, so it counts what
// it makes and gives up when that is out of proportion to what was written.

type yamlReader struct {
	maker
	l       *diag.List
	bad     int
	made    int // nodes
	limit   int
	size    int // bytes of text
	maxSize int
	stopped bool
	// expanding are the anchors on the way down: an alias to one of them would
	// never end.
	expanding map[*yaml.Node]bool
}

var yamlLine = regexp.MustCompile(`^line (\d+): (.*)$`)

func parseYAML(file *string, src string, l *diag.List) *Node {
	// The library builds all of its nodes before we see one. Each begins behind
	// one of these.
	if n := strings.Count(src, "\n") + strings.Count(src, ",") + strings.Count(src, ":") + strings.Count(src, "[") + strings.Count(src, "{") + strings.Count(src, "- "); n > maxNodes {
		l.Errorf(diag.At{File: *file, Line: 1, Column: 1}, "more than %d values in one file", maxNodes)
		return nil
	}
	in := &lineReader{src: src}
	dec := yaml.NewDecoder(in)
	var doc yaml.Node
	err := dec.Decode(&doc)
	if err != nil && !errors.Is(err, io.EOF) {
		yamlError(file, src, in, err, l)
		return nil
	}
	if len(doc.Content) == 0 {
		l.Errorf(diag.At{File: *file, Line: 1, Column: 1}, "the file is empty")
		return nil
	}
	r := &yamlReader{maker: maker{file: file}, l: l, expanding: make(map[*yaml.Node]bool)}
	r.limit = max(maxFree, maxGrowth*count(&doc))
	r.maxSize = max(maxFreeSize, maxGrowth*len(src))
	root := r.convert(doc.Content[0], 0)
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			yamlError(file, src, in, err, l)
		} else {
			l.Errorf(diag.At{File: *file, Line: max(1, more.Line), Column: max(1, more.Column)}, "a second YAML document in one file")
		}
		return nil
	}
	if r.bad > 0 {
		return nil
	}
	return root
}

// lineReader gives the scanner one line at a time, so that the number of lines
// it took says where it was when it gave up.
type lineReader struct {
	src   string
	lines int
}

func (r *lineReader) Read(p []byte) (int, error) {
	if r.src == "" {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	// Not further than p: a line may be as long as the file.
	n := copy(p, r.src)
	if i := strings.IndexByte(r.src[:n], '\n'); i >= 0 {
		n = i + 1
	}
	if r.src[n-1] == '\n' || n == len(r.src) {
		r.lines++
	}
	r.src = r.src[n:]
	return n, nil
}

// yamlError turns the library's error into a diagnostic. The library names the
// line on which the surrounding construct begins, or none, and no column.
func yamlError(file *string, src string, in *lineReader, err error, l *diag.List) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := diag.At{File: *file, Line: max(1, in.lines), Column: 1}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		msg = m[2]
		if line, err := strconv.Atoi(m[1]); err == nil {
			at.Line = max(1, min(line, in.lines))
		}
	}
	hint := ""
	switch {
	case strings.Contains(msg, "cannot start any token") && indentedByTab(src, at.Line):
		hint = "indent with spaces, not with tabs"
	case strings.Contains(msg, "mapping values are not allowed"):
		hint = `a value with ": " in it needs quotes, and keys of one object need the same indent`
	}
	l.ErrorHint(at, hint, "not YAML: %s", msg)
}

// indentedByTab reports whether a tab stands among the blanks that a line begins
// with. The library does not say which character it stumbled over.
func indentedByTab(src string, line int) bool {
	for range line - 1 {
		_, src, _ = strings.Cut(src, "\n")
	}
	return strings.HasPrefix(strings.TrimLeft(src, " "), "\t")
}

func count(n *yaml.Node) int {
	sum := 1
	for _, c := range n.Content {
		sum += count(c)
	}
	return sum
}

func (r *yamlReader) problem(n *yaml.Node, format string, args ...any) {
	if r.bad++; r.bad <= maxProblems && !r.stopped {
		r.l.Errorf(diag.At{File: *r.file, Line: max(1, n.Line), Column: max(1, n.Column)}, format, args...)
	}
}

func (r *yamlReader) convert(y *yaml.Node, depth int) *Node {
	line, col := uint32(max(1, y.Line)), uint32(max(1, y.Column))
	if r.stopped {
		return r.node(Null, line, col)
	}
	if depth > MaxDepth {
		r.problem(y, "nested deeper than %d levels", MaxDepth)
		r.stopped = true
		return r.node(Null, line, col)
	}
	r.made++
	r.size += len(y.Value)
	if r.made > r.limit || r.size > r.maxSize {
		r.problem(y, "aliases make the document much larger than the file")
		r.stopped = true
		return r.node(Null, line, col)
	}
	switch y.Kind {
	case yaml.AliasNode:
		// The copy keeps the positions of the anchor: that is where what is
		// wrong with it has to be mended.
		if r.expanding[y.Alias] {
			r.problem(y, "the alias %q contains itself", "*"+y.Value)
			return r.node(Null, line, col)
		}
		r.expanding[y.Alias] = true
		n := r.convert(y.Alias, depth)
		delete(r.expanding, y.Alias)
		return n
	case yaml.SequenceNode:
		n := r.node(Array, line, col)
		n.Items = make([]*Node, 0, len(y.Content))
		for _, c := range y.Content {
			n.Items = append(n.Items, r.convert(c, depth+1))
		}
		return n
	case yaml.MappingNode:
		if y.Anchor != "" && !r.expanding[y] {
			r.expanding[y] = true
			defer delete(r.expanding, y)
		}
		return r.object(y, line, col, depth)
	case yaml.ScalarNode:
		return r.scalar(y, line, col)
	}
	return r.node(Null, line, col)
}

func (r *yamlReader) object(y *yaml.Node, line, col uint32, depth int) *Node {
	n := r.node(Object, line, col)
	n.Keys = make([]Key, 0, len(y.Content)/2)
	n.Items = make([]*Node, 0, len(y.Content)/2)
	first := make(map[string]int, len(y.Content)/2)
	var merges []*Node
	for i := 0; i+1 < len(y.Content) && !r.stopped; i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.problem(y.Content[i], "a key that is not a plain value")
			continue
		}
		if k.ShortTag() == "!!merge" {
			m := r.convert(v, depth+1)
			switch {
			case m.Kind == Object:
				merges = append(merges, m)
			case m.Kind == Array:
				for _, item := range m.Items {
					if item.Kind != Object {
						r.problem(v, `"<<" merges objects only`)
						break
					}
					merges = append(merges, item)
				}
			case r.bad == 0:
				r.problem(v, `"<<" merges objects only`)
			}
			continue
		}
		key := Key{Name: k.Value, Line: uint32(max(1, k.Line)), Col: uint32(max(1, k.Column))}
		value := r.convert(v, depth+1)
		if at, again := first[key.Name]; again {
			if r.bad++; r.bad <= maxProblems {
				duplicate(r.l, n, at, key)
			}
			continue
		}
		first[key.Name] = len(n.Keys)
		n.Keys = append(n.Keys, key)
		n.Items = append(n.Items, value)
	}
	// What is written beats what is merged, and of several merged objects the
	// first one wins.
	for _, m := range merges {
		for i, key := range m.Keys {
			if _, have := first[key.Name]; !have {
				first[key.Name] = len(n.Keys)
				n.Keys = append(n.Keys, key)
				n.Items = append(n.Items, m.Items[i])
			}
		}
	}
	n.finish()
	return n
}

func (r *yamlReader) scalar(y *yaml.Node, line, col uint32) *Node {
	n := r.node(String, line, col)
	n.Text = y.Value
	switch y.ShortTag() {
	case "!!null":
		n.Kind, n.Text = Null, ""
	case "!!bool":
		var b bool
		if y.Decode(&b) == nil {
			n.Kind, n.Text = Bool, strconv.FormatBool(b)
		}
	case "!!int", "!!float":
		// .inf and .nan have no equal in JSON and stay text.
		if isJSONNumber(y.Value) {
			n.Kind = Number
			break
		}
		var i int64
		var u uint64
		var f float64
		whole := y.ShortTag() == "!!int"
		switch {
		case whole && y.Decode(&i) == nil:
			n.Kind, n.Text = Number, strconv.FormatInt(i, 10)
		case whole && y.Decode(&u) == nil:
			n.Kind, n.Text = Number, strconv.FormatUint(u, 10)
		case y.Decode(&f) == nil:
			if s := strconv.FormatFloat(f, 'g', -1, 64); isJSONNumber(s) {
				n.Kind, n.Text = Number, s
			}
		}
	}
	return n
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func isJSONNumber(s string) bool { return jsonNumber.MatchString(s) }

// YAML is n as a YAML file for people: block style, keys in their order.
//
// Two YAML libraries seldom agree on every scalar, nor does one with itself (long
// numbers, odd line breaks), so what is written is read back. Where that gives
// anything else, the text is JSON, which is YAML too.
func (n *Node) YAML() []byte {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if enc.Encode(n.yaml()) == nil && enc.Close() == nil {
		var l diag.List
		if back := Parse("x.yaml", out.Bytes(), &l); back != nil && bytes.Equal(back.appendJSON(nil, false), n.appendJSON(nil, false)) {
			return out.Bytes()
		}
	}
	return n.JSON()
}

func (n *Node) yaml() *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Value: n.Text}
	switch n.Kind {
	case Null:
		y.Tag, y.Value = "!!null", "null"
	case Bool:
		y.Tag = "!!bool"
	case Number:
		y.Tag = "!!int"
		if strings.ContainsAny(n.Text, ".eE") {
			y.Tag = "!!float"
		}
	case String:
		y.Tag = "!!str"
	case Array:
		y.Kind, y.Tag = yaml.SequenceNode, "!!seq"
		for _, item := range n.Items {
			y.Content = append(y.Content, item.yaml())
		}
	case Object:
		y.Kind, y.Tag = yaml.MappingNode, "!!map"
		for i, item := range n.Items {
			y.Content = append(y.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Keys[i].Name}, item.yaml())
		}
	}
	return y
}
