// Package toml reads TOML into the same tree as YAML and JSON, so that a message
// about a conf file has a position as well. For files that are values and no more
// there is Decode.
//
// The library's decoder stops at the first thing it dislikes and knows no
// position afterwards, so this walks the syntax tree instead. Behind a syntax
// error it goes on with the next table, to report what is wrong there, too.
//
// What surprises: dates are strings here, as nothing that the toolkit reads has
// any.
package toml

import (
	"bytes"
	"errors"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	lib "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// MaxSize bounds a file.
const MaxSize = 1 << 20

// maxDepth bounds the parts of a key, and so the depth of the tree.
const maxDepth = 64

// Parse reads a file. What is wrong with it is appended to l; the tree is nil if
// there was anything. An empty file is an empty object.
func Parse(name string, data []byte, l *diag.List) *tree.Node {
	if len(data) > MaxSize {
		l.Errorf(diag.At{File: name}, "the file is larger than %d MiB", MaxSize>>20)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	d := &document{file: tree.NewFile(name), data: data, lines: []int{0}, l: l}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	if !utf8.Valid(data) {
		i := 0
		for {
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			i += size
		}
		d.problem(i, "this is not UTF-8")
		return nil
	}
	d.root = d.node(tree.Object, 0)
	before := l.Count(diag.Error)
	for base := 0; base >= 0; {
		base = d.walk(base)
	}
	if l.Count(diag.Error) == before {
		d.checkStructure()
	}
	if l.Count(diag.Error) > before {
		return nil
	}
	return d.root
}

type document struct {
	file  *string
	data  []byte
	lines []int // offsets at which lines begin
	root  *tree.Node
	l     *diag.List
}

// position returns where the byte at offset is. Columns count characters.
func (d *document) position(offset int) (line, col uint32) {
	n := sort.SearchInts(d.lines, offset+1)
	return uint32(n), uint32(utf8.RuneCount(d.data[d.lines[n-1]:offset])) + 1
}

func (d *document) node(kind tree.Kind, offset int) *tree.Node {
	line, col := d.position(offset)
	return &tree.Node{Kind: kind, Line: line, Col: col, File: d.file}
}

func (d *document) problem(offset int, msg string) {
	line, col := d.position(offset)
	d.l.Errorf(diag.At{File: *d.file, Line: int(line), Column: int(col)}, "%s", msg)
}

// checkStructure lets the library look for what the syntax does not show: tables
// defined twice, dates that do not exist, and so on. It stops at the first.
func (d *document) checkStructure() {
	var all any
	err := lib.Unmarshal(d.data, &all)
	if err == nil {
		return
	}
	at := diag.At{File: *d.file, Line: 1, Column: 1}
	var de *lib.DecodeError
	if errors.As(err, &de) {
		at.Line, at.Column = de.Position()
	}
	d.l.Errorf(at, "%s", strings.TrimPrefix(err.Error(), "toml: "))
}

var tableLine = regexp.MustCompile(`(?m)^[ \t]*\[\[?[A-Za-z0-9_."'\t -]+\]\]?[ \t]*(?:#.*)?\r?$`)

// walk reads expressions from offset base on. It returns where to go on, or -1
// at the end.
func (d *document) walk(base int) int {
	var p unstable.Parser
	p.Reset(d.data[base:])
	current := d.root
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			if next := d.open(d.root, e.Key(), base, e.Kind == unstable.ArrayTable); next != nil {
				current = next
			}
		case unstable.KeyValue:
			d.set(current, e, base)
		}
	}
	var pe *unstable.ParserError
	if !errors.As(p.Error(), &pe) {
		if err := p.Error(); err != nil {
			d.problem(base, err.Error())
		}
		return -1
	}
	offset := base
	// The highlight is a part of the data; how much of it lies behind is the
	// one thing that tells where it begins.
	if o := cap(d.data[base:]) - cap(pe.Highlight); pe.Highlight != nil && o >= 0 && o <= len(d.data)-base {
		offset += o
	}
	d.problem(offset, pe.Message)
	end := bytes.IndexByte(d.data[offset:], '\n')
	if end < 0 {
		return -1
	}
	offset += end + 1
	if next := tableLine.FindIndex(d.data[offset:]); next != nil {
		return offset + next[0]
	}
	return -1
}

// open goes from n down the parts of a key and makes the objects that are not
// there. What is there already and is no table, checkStructure reports.
func (d *document) open(n *tree.Node, parts unstable.Iterator, base int, array bool) *tree.Node {
	depth := 0
	for parts.Next() {
		offset := base + int(parts.Node().Raw.Offset)
		if depth++; depth > maxDepth {
			d.problem(offset, "the key has too many parts")
			return nil
		}
		last := array && parts.IsLast()
		next := n.Get(string(parts.Node().Data))
		if next == nil {
			next = d.node(tree.Object, offset)
			if last {
				next.Kind = tree.Array
			}
			d.member(n, parts.Node(), base, next)
		}
		switch {
		case last && next.Kind == tree.Array:
			item := d.node(tree.Object, offset)
			next.Items = append(next.Items, item)
			next = item
		case next.Kind == tree.Array && len(next.Items) > 0:
			next = next.Items[len(next.Items)-1]
		}
		if next.Kind != tree.Object {
			return nil
		}
		n = next
	}
	return n
}

// member adds a member whose key is a node of the syntax.
func (d *document) member(n *tree.Node, key *unstable.Node, base int, value *tree.Node) {
	name := string(key.Data)
	if n.Find(name) >= 0 {
		return // twice: checkStructure says so
	}
	n.Set(name, value)
	line, col := d.position(base + int(key.Raw.Offset))
	i := n.Find(name)
	n.Keys[i].Line, n.Keys[i].Col = line, col
}

// set notes what an expression KEY = VALUE says.
func (d *document) set(n *tree.Node, e *unstable.Node, base int) {
	depth := 0
	for parts := e.Key(); parts.Next(); {
		offset := base + int(parts.Node().Raw.Offset)
		if depth++; depth > maxDepth {
			d.problem(offset, "the key has too many parts")
			return
		}
		if parts.IsLast() {
			d.member(n, parts.Node(), base, d.value(e.Value(), base, offset, 0))
			return
		}
		next := n.Get(string(parts.Node().Data))
		if next == nil {
			next = d.node(tree.Object, offset)
			d.member(n, parts.Node(), base, next)
		}
		if next.Kind != tree.Object {
			return
		}
		n = next
	}
}

// value is what stands behind "="; where the library does not say at which
// offset, it is around.
func (d *document) value(v *unstable.Node, base, around, depth int) *tree.Node {
	if v.Raw.Length > 0 {
		around = base + int(v.Raw.Offset)
	}
	n := d.node(tree.String, around)
	if depth > maxDepth {
		d.problem(around, "this is nested too deeply")
		return n
	}
	n.Text = string(v.Data)
	switch v.Kind {
	case unstable.Integer, unstable.Float:
		n.Kind = tree.Number
	case unstable.Bool:
		n.Kind = tree.Bool
	case unstable.Array:
		n.Kind, n.Text = tree.Array, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				n.Items = append(n.Items, d.value(it.Node(), base, around, depth+1))
			}
		}
	case unstable.InlineTable:
		n.Kind, n.Text = tree.Object, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				d.set(n, it.Node(), base)
			}
		}
	}
	return n
}
