// Package tree reads YAML and JSON into one small tree in which every key and
// every value knows its file, line and column.
//
// The build reads everything through it: a message about a definition is only
// as good as its position, and the usual decoders lose it. Both readers give
// the same tree for the same data, refuse duplicate keys, bound nesting and the
// growth that YAML aliases can cause, and never panic.
package tree

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

const (
	// MaxDepth bounds nesting. Real definitions stay below 50; everything that
	// walks a tree may recurse.
	MaxDepth = 256
	// MaxSize bounds a file. The largest public definition, of
	// Microsoft's graph, has 47 MB.
	MaxSize = 64 << 20
	// maxNodes bounds the values in a file, since each costs some hundred
	// bytes, also one of a single byte. GitHub's definition, 12 MB,
	// has 260,000.
	maxNodes = 3_000_000
	// maxGrowth and maxFree bound what aliases make of a YAML file: at most
	// maxFree nodes and maxFreeSize bytes of text, or maxGrowth times what is
	// written, if that is more.
	maxGrowth   = 10
	maxFree     = 100_000
	maxFreeSize = 8 << 20
	// maxProblems bounds the list of one file's problems.
	maxProblems = 50
)

// Kind is the type of a node, as JSON has them.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "a list"
	default:
		return "an object"
	}
}

// A Node is a value.
type Node struct {
	Kind Kind
	// Line and Col are where the value begins, from 1.
	Line, Col uint32
	// Text is a string's value, a number as it was written, "true" or "false".
	Text string
	// Keys and Items are an object's keys and, at the same index, its values;
	// an array has Items only.
	Keys  []Key
	Items []*Node
	// File is the name of the file, as given to Parse.
	File *string

	index map[string]int // made for large objects when they are read
}

// Key is the name of a member with its position.
type Key struct {
	Name      string
	Line, Col uint32
}

// indexFrom is the number of members from which an object gets an index.
const indexFrom = 12

// Get is the value of an object's member, or nil if there is none (or n is no
// object, or nil).
func (n *Node) Get(name string) *Node {
	i := n.Find(name)
	if i < 0 {
		return nil
	}
	return n.Items[i]
}

// Find is the index of a member in Keys and Items, or -1.
func (n *Node) Find(name string) int {
	if n == nil || n.Kind != Object {
		return -1
	}
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range n.Keys {
		if n.Keys[i].Name == name {
			return i
		}
	}
	return -1
}

// Names are the keys of an object in the order of the file.
func (n *Node) Names() []string {
	if n == nil {
		return nil
	}
	names := make([]string, len(n.Keys))
	for i, k := range n.Keys {
		names[i] = k.Name
	}
	return names
}

// At is the position of the value.
func (n *Node) At(place string) diag.At {
	return diag.At{File: *n.File, Line: int(n.Line), Column: int(n.Col), Place: place}
}

// KeyAt is the position of the i-th key of an object.
func (n *Node) KeyAt(i int, place string) diag.At {
	return diag.At{File: *n.File, Line: int(n.Keys[i].Line), Column: int(n.Keys[i].Col), Place: place}
}

// Pointer follows a JSON pointer (RFC 6901) from n. Where it leads nowhere, the
// node is nil and the second result is the deepest node that was reached, with
// the name that it lacks.
func (n *Node) Pointer(pointer string) (found, reached *Node, lacks string) {
	if pointer == "" {
		return n, n, ""
	}
	if pointer[0] != '/' {
		return nil, n, pointer
	}
	for _, token := range strings.Split(pointer[1:], "/") {
		name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var next *Node
		switch n.Kind {
		case Object:
			next = n.Get(name)
		case Array:
			// An index has no leading zero (RFC 6901, section 4).
			if i, err := strconv.ParseUint(name, 10, 31); err == nil && strconv.FormatUint(i, 10) == name && int(i) < len(n.Items) {
				next = n.Items[i]
			}
		}
		if next == nil {
			return nil, n, name
		}
		n = next
	}
	return n, n, ""
}

// finish completes an object: large ones get an index.
func (n *Node) finish() {
	if len(n.Keys) < indexFrom {
		return
	}
	n.index = make(map[string]int, len(n.Keys))
	for i := range n.Keys {
		n.index[n.Keys[i].Name] = i
	}
}

// Parse reads a file. What is wrong with it is appended to l; the tree is nil
// if there was anything. The name decides the format (".json" is JSON), except
// that a file which begins with "{" is tried as JSON first: YAML says that it
// reads JSON, but its reader is slower and its messages say less.
func Parse(name string, data []byte, l *diag.List) *Node {
	file := &name
	data, ok := text(file, data, l)
	if !ok {
		return nil
	}
	source := string(data) // the one copy: texts of the tree are parts of it
	trimmed := strings.TrimLeft(source, " \t\r\n")
	if trimmed == "" {
		l.Errorf(diag.At{File: name, Line: 1, Column: 1}, "the file is empty")
		return nil
	}
	if path.Ext(name) == ".json" {
		return parseJSON(file, source, l)
	}
	if trimmed[0] == '{' {
		var asJSON diag.List
		if n := parseJSON(file, source, &asJSON); n != nil {
			return n
		}
	}
	return parseYAML(file, source, l)
}

// text checks what is common to both formats: size and encoding.
func text(file *string, data []byte, l *diag.List) ([]byte, bool) {
	if len(data) > MaxSize {
		l.Errorf(diag.At{File: *file, Line: 1, Column: 1}, "the file is larger than %d MiB", MaxSize>>20)
		return nil, false
	}
	at := diag.At{File: *file, Line: 1, Column: 1}
	if len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff) {
		l.ErrorHint(at, "save it as UTF-8", "the file is UTF-16, not UTF-8")
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if utf8.Valid(data) {
		return data, true
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			l.ErrorHint(at, "save it as UTF-8", "byte 0x%02x is not UTF-8", data[i])
			return nil, false
		}
		if r == '\n' {
			at.Line++
			at.Column = 0
		}
		at.Column++
		i += size
	}
	return nil, false
}

// maker hands out nodes in blocks: a large file has a million of them.
type maker struct {
	file  *string
	block []Node
	nodes int
}

func (m *maker) node(kind Kind, line, col uint32) *Node {
	if len(m.block) == 0 {
		m.block = make([]Node, 128)
	}
	m.nodes++
	n := &m.block[0]
	m.block = m.block[1:]
	n.Kind, n.Line, n.Col, n.File = kind, line, col, m.file
	return n
}

// Clone is a copy that shares nothing that could change.
func (n *Node) Clone() *Node {
	m := &maker{file: n.File}
	return m.clone(n)
}

func (m *maker) clone(n *Node) *Node {
	c := m.node(n.Kind, n.Line, n.Col)
	c.Text, c.File = n.Text, n.File
	c.Keys = slices.Clone(n.Keys)
	if n.Items != nil {
		c.Items = make([]*Node, len(n.Items))
		for i, item := range n.Items {
			c.Items[i] = m.clone(item)
		}
	}
	c.index = maps.Clone(n.index)
	return c
}

func duplicate(l *diag.List, n *Node, first int, again Key) {
	at := diag.At{File: *n.File, Line: int(again.Line), Column: int(again.Col)}
	l.Errorf(at, "the key %q is here twice: first at line %d, column %d", again.Name, n.Keys[first].Line, n.Keys[first].Col)
}

// NewFile makes the name that nodes share.
func NewFile(name string) *string { return &name }

// Describe is a node in a few words, for messages: its value if that is short,
// else its kind.
func (n *Node) Describe() string {
	switch n.Kind {
	case String:
		if len(n.Text) <= 80 {
			return strconv.Quote(n.Text)
		}
	case Number, Bool:
		if len(n.Text) <= 80 {
			return n.Text
		}
	}
	return fmt.Sprint(n.Kind)
}

// Drop removes the members with the given indexes, in rising order.
func (n *Node) Drop(indexes []int) {
	keys, items := n.Keys[:0:0], n.Items[:0:0]
	for i := range n.Keys {
		if len(indexes) > 0 && indexes[0] == i {
			indexes = indexes[1:]
			continue
		}
		keys = append(keys, n.Keys[i])
		items = append(items, n.Items[i])
	}
	n.Keys, n.Items, n.index = keys, items, nil
	n.finish()
}

// Set gives an object a member, in place of one of that name if there is one.
// The position of the new key is that of the object.
func (n *Node) Set(name string, value *Node) {
	if i := n.Find(name); i >= 0 {
		n.Items[i] = value
		return
	}
	n.Keys = append(n.Keys, Key{Name: name, Line: n.Line, Col: n.Col})
	n.Items = append(n.Items, value)
	if n.index != nil {
		n.index[name] = len(n.Keys) - 1
	} else if len(n.Keys) >= indexFrom {
		n.finish()
	}
}
