package conf

import (
	"bytes"
	"errors"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A setting is a key that somebody gave a value. Its name is the path of the
// key, joined by dots, so that [a] b.c, [a.b] c and ["a.b"] c, all of which WSO2's
// files use, are the same; the elements of an array of tables have their number
// as one more part.
type setting struct {
	name string
	v    value
	at   origin
	solo bool // one part that stands in no table, even if it has dots
}

// A document is a conf file taken apart, with every part's position.
type document struct {
	settings []setting
	headers  []header
	problems Errors // against TOML itself

	file   string
	data   []byte
	lines  []int // offsets at which lines begin
	arrays map[string]int
}

// A header is [name] or [[name]], or an inline table in their stead.
type header struct {
	name  string
	array bool // name ends in the element's number
	at    origin
}

// parse reads data, the contents of file.
//
// The library's decoder stops at the first thing it dislikes and knows no
// position afterwards, so this walks the syntax tree instead. Behind a syntax
// error it goes on with the next table, to report what is wrong there, too.
func parse(file string, data []byte) *document {
	d := &document{file: file, data: data, lines: []int{0}, arrays: map[string]int{}}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	for base := 0; base >= 0; {
		base = d.walk(base)
	}
	return d
}

// checkStructure lets the library look for what the tree does not show: tables
// defined twice, dates that do not exist, and so on. It stops at the first, and
// has nothing new to say of a line that has a problem already.
func (d *document) checkStructure(problems Errors) {
	if len(d.problems) > 0 {
		return
	}
	var tree any
	err := toml.Unmarshal(d.data, &tree)
	if err == nil {
		return
	}
	line, col := 1, 1
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, col = de.Position()
	}
	at := origin{file: d.file, line: line, col: col}
	for _, p := range problems {
		if p.at.isFile() && p.at.line == line {
			return
		}
	}
	d.problem(at, strings.TrimPrefix(err.Error(), "toml: "))
}

func (d *document) problem(at origin, msg string) {
	d.problems = append(d.problems, &Problem{Where: at.String(), Msg: printable(msg), at: at})
}

// position returns where the byte at offset is.
func (d *document) position(offset int) origin {
	line := sort.SearchInts(d.lines, offset+1)
	return origin{file: d.file, line: line, col: offset - d.lines[line-1] + 1}
}

var tableLine = regexp.MustCompile(`(?m)^[ \t]*\[\[?[A-Za-z0-9_."'\t -]+\]\]?[ \t]*(?:#.*)?\r?$`)

// walk reads expressions from offset base on. It returns where to go on, or -1
// at the end.
func (d *document) walk(base int) int {
	var p unstable.Parser
	p.Reset(d.data[base:])
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, at := d.key("", e.Key(), base, e.Kind == unstable.ArrayTable)
			d.headers = append(d.headers, header{name, e.Kind == unstable.ArrayTable, at})
			prefix = name
		case unstable.KeyValue:
			name, at := d.key(prefix, e.Key(), base, false)
			before := len(d.settings)
			d.set(name, at, e.Value(), false)
			parts := 0
			for it := e.Key(); it.Next(); {
				parts++
			}
			if len(d.settings) == before+1 && prefix == "" && parts == 1 && e.Value().Kind != unstable.InlineTable {
				d.settings[before].solo = true
			}
		}
	}
	var pe *unstable.ParserError
	if !errors.As(p.Error(), &pe) {
		if err := p.Error(); err != nil {
			d.problem(d.position(base), err.Error())
		}
		return -1
	}
	offset := base
	// The highlight is a part of the data; how much of it lies behind is the
	// one thing that tells where it begins.
	if o := cap(d.data[base:]) - cap(pe.Highlight); pe.Highlight != nil && o >= 0 && o <= len(d.data)-base {
		offset += o
	}
	d.problem(d.position(offset), pe.Message)
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

// key joins the parts of a key to prefix, and returns where the first is.
func (d *document) key(prefix string, parts unstable.Iterator, base int, array bool) (string, origin) {
	name, at := prefix, origin{}
	for parts.Next() {
		n := parts.Node()
		if at.line == 0 {
			at = d.position(base + int(n.Raw.Offset))
		}
		name = join(name, string(n.Data))
		if count, ok := d.arrays[name]; ok && !(array && parts.IsLast()) {
			name = join(name, strconv.Itoa(count-1))
		}
	}
	if array {
		count := d.arrays[name]
		d.arrays[name] = count + 1
		name = join(name, strconv.Itoa(count))
	}
	return name, at
}

func join(prefix, part string) string {
	if prefix == "" {
		return part
	}
	return prefix + "." + part
}

// set notes a key's value. Tables written inline are taken apart as the others
// are; all that is in
// them has the position of the key. element says that n is one of an array.
func (d *document) set(name string, at origin, n *unstable.Node, element bool) {
	switch n.Kind {
	case unstable.InlineTable:
		d.headers = append(d.headers, header{name, element, at})
		for it := n.Children(); it.Next(); {
			if kv := it.Node(); kv.Kind == unstable.KeyValue {
				inner := name
				for k := kv.Key(); k.Next(); {
					inner = join(inner, string(k.Node().Data))
				}
				d.set(inner, at, kv.Value(), false)
			}
		}
		return
	case unstable.Array:
		tables, all := 0, 0
		for it := n.Children(); it.Next(); {
			switch it.Node().Kind {
			case unstable.Comment:
			case unstable.InlineTable:
				tables++
				all++
			default:
				all++
			}
		}
		if tables == 0 || tables < all {
			break
		}
		i := 0
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.InlineTable {
				d.set(join(name, strconv.Itoa(i)), at, it.Node(), true)
				i++
			}
		}
		return
	}
	d.settings = append(d.settings, setting{name: name, v: valueOf(n), at: at})
}

func valueOf(n *unstable.Node) value {
	v := value{s: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.kind = str
	case unstable.Integer:
		v.kind = integer
	case unstable.Float:
		v.kind = float
	case unstable.Bool:
		v.kind = boolean
	case unstable.InlineTable:
		v.kind = table
	case unstable.Array:
		v.kind = list
		for it := n.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				v.list = append(v.list, valueOf(it.Node()))
			}
		}
	default:
		v.kind = other
	}
	return v
}
