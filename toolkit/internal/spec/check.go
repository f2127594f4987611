package spec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// place is a path in a document. It is linked, not text: a large definition has
// a million places, of which next to none are ever printed.
type place struct {
	up    *place
	name  string
	index int // if name is empty
}

func (p *place) key(name string) *place { return &place{up: p, name: name} }
func (p *place) item(i int) *place      { return &place{up: p, index: i} }

// String is the place as authors see it: "paths./pet/{petId}.get", and an
// extension after a colon: "paths./pet.get: x-wso2-throttling-tier".
func (p *place) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

func (p *place) write(b *strings.Builder) {
	if p == nil {
		return
	}
	p.up.write(b)
	switch {
	case p.name == "":
		fmt.Fprintf(b, "[%d]", p.index)
		return
	case b.Len() == 0:
	case isExtension(p.name):
		b.WriteString(": ")
	default:
		b.WriteString(".")
	}
	b.WriteString(p.name)
}

// checker walks one definition with everything it refers to.
type checker struct {
	files   *files
	grammar *grammar
	version string // for messages: "OpenAPI 3.0"
	main    *file
	diags   *diag.List

	done    map[visit]bool
	pending []pending
	looped  map[*tree.Node]bool // $ref nodes of a loop already reported
	outside bool                // a $ref leads to another file
	repeats map[repeat]*repetition
	said    map[string]bool     // notes about extensions at path items, by name
	ids     map[string]diag.At  // operationIds
	items   map[*tree.Node]bool // path items whose parameters were checked
	omitted []Omission
}

// visit is an object that was walked by a table. One node may stand for several
// things, if references of different kinds lead to it.
type visit struct {
	node   *tree.Node
	object *object
}

// pending is an object that a $ref leads to. It is walked after the document,
// if it was not met there: its place is its own, not that of the reference.
type pending struct {
	visit
	file    *file
	pointer string
}

// repeat is what messages have in common that are counted rather than repeated.
type repeat struct{ object, key, what string }

type repetition struct {
	severity diag.Severity
	at       diag.At
	hint     string
	count    int
}

// again reports a warning once for all its occurrences: real definitions repeat
// a mistake a hundred times, and authors should not have to look for the others
// between them.
func (c *checker) again(object, key, what string, at func() diag.At, hint string) {
	c.count(diag.Warning, object, key, what, at, hint)
}

func (c *checker) count(s diag.Severity, object, key, what string, at func() diag.At, hint string) {
	r := repeat{object, key, what}
	if c.repeats[r] == nil {
		c.repeats[r] = &repetition{severity: s, at: at(), hint: hint}
	}
	c.repeats[r].count++
}

func (c *checker) flush() {
	keys := slices.SortedFunc(maps.Keys(c.repeats), func(a, b repeat) int {
		return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.key, b.key), cmp.Compare(a.what, b.what))
	})
	for _, k := range keys {
		r := c.repeats[k]
		msg := k.what
		switch {
		case r.count == 2:
			msg += " (and one more like it)"
		case r.count > 2:
			msg += fmt.Sprintf(" (and %d more like it)", r.count-1)
		}
		c.diags.Report(r.severity, r.at, r.hint, msg)
	}
}

// check walks the whole document.
func (c *checker) check() {
	c.object(c.main.root, c.grammar.root, nil, c.main)
	for len(c.pending) > 0 {
		next := c.pending[0]
		c.pending = c.pending[1:]
		if !c.done[next.visit] {
			c.object(next.node, next.object, pointerPlace(next.file.root, next.pointer), next.file)
		}
	}
}

// pointerPlace is a JSON pointer as a place.
func pointerPlace(n *tree.Node, pointer string) *place {
	var p *place
	if !strings.HasPrefix(pointer, "/") {
		return p
	}
	for _, token := range strings.Split(pointer[1:], "/") {
		if n != nil && n.Kind == tree.Array {
			if i, err := strconv.Atoi(token); err == nil {
				p = p.item(i)
			}
		} else {
			p = p.key(strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
		}
		n, _, _ = n.Pointer("/" + token)
		if n == nil {
			break
		}
	}
	return p
}

func (s *shape) String() string {
	text := s.kind.String()
	switch {
	case s.any:
		text = "anything"
	case s.count:
		text = "a whole number from 0"
	}
	if s.or != nil {
		text += " or " + s.or.String()
	}
	return text
}

// fits reports whether n may stand for s, as far as its kind goes.
func (s *shape) fits(n *tree.Node) bool {
	switch {
	case s.any, n.Kind == tree.Null, n.Kind == s.kind:
		// A key with nothing behind it is as if it were not there.
		return true
	case s.kind == tree.String && (n.Kind == tree.Number || n.Kind == tree.Bool):
		return true
	case s.object != nil && s.object.bool && n.Kind == tree.Bool:
		return true
	}
	return s.or != nil && s.or.fits(n)
}

// value walks n, which stands in a place for s. It returns false if it may not
// stand there.
func (c *checker) value(n *tree.Node, s *shape, p *place, f *file) bool {
	if s.any || n.Kind == tree.Null {
		return true
	}
	if s.kind == tree.Bool && n.Kind == tree.String && c.truth(n, p) {
		return true
	}
	if !s.fits(n) || s.count && !whole(n) {
		return false
	}
	for s.or != nil && n.Kind != s.kind && s.or.fits(n) {
		s = s.or
	}
	switch {
	case s.kind == tree.String && n.Kind != tree.String:
		// YAML authors leave the quotes off: "version: 1.0". The document that
		// is carried has to have the right type.
		n.Kind = tree.String
	case s.object != nil:
		if n.Kind == tree.Object {
			c.object(n, s.object, p, f)
		}
	case s.kind == tree.Array:
		for i, item := range n.Items {
			if item.Kind == tree.Null && s.elem.object != nil || !c.value(item, s.elem, p.item(i), f) {
				c.diags.Errorf(item.At(p.item(i).String()), "want %s, not %s", s.elem, item.Describe())
			}
		}
	case s.kind == tree.Object:
		if s.elem.object != nil {
			n, f = c.include(n, p, f)
		}
		for i, item := range n.Items {
			name := n.Keys[i].Name
			if strings.HasPrefix(name, "x-") && s.elem.object != nil && !s.elem.fits(item) {
				continue
			}
			present(item, s.elem)
			if at := p.key(name); !c.value(item, s.elem, at, f) {
				c.diags.Errorf(item.At(at.String()), "want %s, not %s", s.elem, item.Describe())
			}
		}
	}
	return true
}

// whole reports whether n is a whole number from 0, and mends "3.0", which is
// one as well (JSON Schema 2020-12, section 4.2.3) but not for every reader.
func whole(n *tree.Node) bool {
	text, zeros, point := strings.Cut(n.Text, ".")
	if point && strings.Trim(zeros, "0") == "" {
		n.Text = text
	}
	_, err := strconv.ParseUint(n.Text, 10, 63)
	return err == nil
}

// present makes an empty object of a member of a map that has a name and nothing
// else ("200:" and then the next response): there it is named, so it is meant.
func present(n *tree.Node, s *shape) {
	if n.Kind == tree.Null && s.object != nil {
		n.Kind = tree.Object
	}
}

// truth reads a boolean that was written as text: in quotes, or in the words of
// YAML 1.1 that YAML 1.2 takes for text.
func (c *checker) truth(n *tree.Node, p *place) bool {
	value := ""
	switch strings.ToLower(n.Text) {
	case "true", "yes", "on":
		value = "true"
	case "false", "no", "off":
		value = "false"
	default:
		return false
	}
	c.again("", p.name, fmt.Sprintf("want a boolean, not %s: it is read as %s", n.Describe(), value), func() diag.At { return n.At(p.String()) }, "write "+value+" without quotes")
	n.Kind, n.Text = tree.Bool, value
	return true
}

// include follows a $ref that stands for a whole map ("paths: {$ref: ...}").
// The standard knows of none, but bundlers do, and so do authors.
func (c *checker) include(n *tree.Node, p *place, f *file) (*tree.Node, *file) {
	for range 20 {
		ref := n.Get("$ref")
		if len(n.Keys) != 1 || ref == nil || ref.Kind != tree.String {
			return n, f
		}
		to, target := c.files.target(f, ref, ref.At(p.key("$ref").String()))
		if target == nil || target.Kind != tree.Object {
			return &tree.Node{Kind: tree.Object, File: n.File, Line: n.Line, Col: n.Col}, f
		}
		c.outside = true
		n, f = target, to
	}
	c.diags.Errorf(n.At(p.String()), "the $ref leads back to itself")
	return &tree.Node{Kind: tree.Object, File: n.File, Line: n.Line, Col: n.Col}, f
}

func (c *checker) object(n *tree.Node, o *object, p *place, f *file) {
	if c.done[visit{n, o}] {
		return
	}
	c.done[visit{n, o}] = true
	if o.ref {
		if ref := n.Get("$ref"); ref != nil {
			c.reference(n, o, p, f)
			// Beside a $ref stands nothing, except in a path item, and in
			// schemas since 3.1.
			if o.name != "PathItem" && !o.bool {
				return
			}
		}
	} else if o.each != nil {
		if m, g := c.include(n, p, f); m != n {
			n, f = m, g
		}
	}
	var drop []int
	for i, item := range n.Items {
		name := n.Keys[i].Name
		s := o.keys[name]
		switch {
		case s != nil:
			if o.name == "PathItem" && s.object != nil && item.Kind == tree.Null {
				c.diags.ErrorHint(n.KeyAt(i, p.key(name).String()), "write "+name+": {} if that is meant", "the operation is empty")
				continue
			}
			if c.value(item, s, p.key(name), f) {
				continue
			}
			if !o.soft {
				c.diags.Errorf(item.At(p.key(name).String()), "want %s, not %s", s, item.Describe())
				continue
			}
			found := item.Kind.String()
			if item.Kind == tree.Number {
				found = item.Describe()
			}
			what := fmt.Sprintf("want %s, not %s: the key is ignored", s, found)
			c.again(o.name, name, what, func() diag.At { return item.At(p.key(name).String()) }, "")
			drop = append(drop, i)
			c.omit(o.name, name, n.KeyAt(i, ""), "its value is not "+s.String())
		case isExtension(name):
			c.extension(o, n, i, p)
		case name == "$ref" && o.ref:
		case o.paths && !strings.HasPrefix(name, "/"):
			c.diags.ErrorHint(n.KeyAt(i, p.String()), fmt.Sprintf("write it as %q", "/"+name), "the path %q does not begin with a slash", name)
		case o.each != nil:
			present(item, o.each)
			if !c.value(item, o.each, p.key(name), f) {
				c.diags.Errorf(item.At(p.key(name).String()), "want %s, not %s", o.each, item.Describe())
			}
		case o.open:
		default:
			c.unknown(o, name, n.KeyAt(i, p.String()))
		}
	}
	if drop != nil {
		n.Drop(drop)
	}
	switch o.name {
	case "Root":
		c.dialect(n, "jsonSchemaDialect", o, p)
	case "Schema":
		if c.grammar == grammar31 {
			c.dialect(n, "$schema", o, p)
			if nullable := n.Get("nullable"); nullable != nil && nullable.Text == "true" {
				hint := `write type: [..., "null"]`
				if t := n.Get("type"); t != nil && t.Kind == tree.String {
					hint = fmt.Sprintf(`write type: [%s, "null"]`, t.Text)
				}
				c.again(o.name, "nullable", `"nullable" is of OpenAPI 3.0 and means nothing here: null is not allowed`, func() diag.At { return nullable.At(p.key("nullable").String()) }, hint)
			}
		}
	case "Parameter":
		c.parameter(n, p)
	case "Operation":
		if n.Get("responses") == nil && c.grammar != grammar31 { // optional since 3.1
			c.again(o.name, "responses", "no responses", func() diag.At { return n.At(p.String()) }, "")
		}
	}
}

// unknown reports a key that the standard does not know. It is a warning, since
// it changes nothing, unless a route would be missing without anyone noticing.
func (c *checker) unknown(o *object, name string, at diag.At) {
	if o.name == "PathItem" {
		near, lower := diag.Nearest(name, o.names), strings.ToLower(name)
		if o.keys[lower] != nil {
			near = lower
		}
		switch {
		case near != "":
			c.diags.ErrorHint(at, fmt.Sprintf("did you mean %q?", near), "%q is not a method", name)
			return
		case lower == "trace" || lower == "query" || lower == "connect":
			c.diags.Errorf(at, "%s does not know the method %q", c.version, name)
			return
		}
	}
	if o.name == "Operation" && name == "$ref" {
		// Its security, endpoints and limits would be lost without a trace.
		c.diags.ErrorHint(at, "refer to the whole path item instead", "an operation cannot be a $ref")
		return
	}
	hint := c.files.spell.DidYouMean(name, func() []string { return o.names })
	c.again(o.name, name, fmt.Sprintf("%s does not know the key %q here: it is ignored", c.version, name), func() diag.At { return at }, hint)
}

// dialect warns where schemas ask for a dialect that is not ours.
func (c *checker) dialect(n *tree.Node, key string, o *object, p *place) {
	d := n.Get(key)
	if d == nil || d.Kind != tree.String || o.keys[key] == nil {
		return
	}
	switch name := strings.TrimSuffix(d.Text, "#"); {
	case name == "https://json-schema.org/draft/2020-12/schema":
	case strings.HasPrefix(name, "https://spec.openapis.org/oas/3.1/dialect/"), strings.HasPrefix(name, "https://spec.openapis.org/oas/3.1/schema-base"):
	default:
		c.again(o.name, key, fmt.Sprintf("the dialect %q is not known: schemas are read as JSON Schema 2020-12", d.Text), func() diag.At { return d.At(p.key(key).String()) }, "")
		n.Drop([]int{n.Find(key)}) // whoever validates by the document has to agree
	}
}

func (c *checker) parameter(n *tree.Node, p *place) {
	in, name := n.Get("in"), n.Get("name")
	// Of a body the name is for people only (Swagger 2.0).
	if (name == nil || name.Text == "") && (in == nil || in.Text != "body") {
		c.diags.Errorf(n.At(p.String()), "the parameter has no name")
	}
	allowed := []string{"query", "header", "path", "cookie"}
	if c.grammar == grammar20 {
		allowed = []string{"query", "header", "path", "formData", "body"}
	}
	switch {
	case in == nil:
		c.diags.Errorf(n.At(p.String()), `the parameter lacks "in": one of %s`, strings.Join(allowed, ", "))
	case !slices.Contains(allowed, in.Text):
		c.diags.ErrorHint(in.At(p.key("in").String()), diag.DidYouMean(in.Text, allowed), "%s is none of %s", in.Describe(), strings.Join(allowed, ", "))
	}
}

// maxChain bounds references that lead to references. People write two or three.
const maxChain = 100

// reference checks a $ref: it must lead somewhere, and not back to itself. What
// it leads to is walked there, or here if it is in another file.
func (c *checker) reference(n *tree.Node, o *object, p *place, f *file) {
	ref := n.Get("$ref")
	if ref.Kind != tree.String {
		c.diags.Errorf(ref.At(p.key("$ref").String()), "want a string, not %s", ref.Describe())
		return
	}
	at := ref.At(p.key("$ref").String())
	to, target, pointer := c.files.follow(f, ref, at)
	if target == nil {
		return
	}
	if to != c.main {
		c.outside = true
	}
	if target.Kind != tree.Object && !(o.bool && target.Kind == tree.Bool) {
		c.diags.Errorf(at, "%q leads to %s, not to an object", ref.Text, target.Describe())
		return
	}
	if kind := c.grammar.kind(ref.Text); kind != nil && o.home != "" && kind.home != o.home {
		home := o.home
		if c.grammar != grammar20 {
			home = "components." + home
		}
		c.diags.ErrorHint(at, "refer to one of "+home, "%q leads to a %s, not to a %s", ref.Text, kind.name, o.name)
		return
	}
	// A chain of references must end.
	steps := []*tree.Node{n}
	trail := []string{ref.Text}
	next, from := target, to
	for {
		if c.looped[next] {
			// Said already; it holds for all that leads there.
			for _, s := range steps {
				c.looped[s] = true
			}
			return
		}
		if len(steps) > maxChain {
			for _, s := range steps {
				c.looped[s] = true
			}
			c.diags.Errorf(at, "more than %d references lead from one to the next", maxChain)
			return
		}
		if i := slices.Index(steps, next); i >= 0 {
			for _, s := range steps {
				c.looped[s] = true
			}
			if len(trail) == 1 {
				c.diags.Errorf(at, "the $ref leads to itself")
			} else {
				c.diags.Errorf(at, "the $ref leads back to itself: %s", strings.Join(trail, " -> "))
			}
			return
		}
		r := next.Get("$ref")
		if r == nil || r.Kind != tree.String {
			break
		}
		steps = append(steps, next)
		trail = append(trail, r.Text)
		g, m := c.files.quiet().target(from, r, at)
		if m == nil {
			break // reported where it stands
		}
		next, from = m, g
	}
	if v := (visit{target, o}); target.Kind == tree.Object && !c.done[v] {
		c.pending = append(c.pending, pending{v, to, pointer})
	}
}

// deref follows references from n without reporting: check has done that. The
// file is the one the result stands in. It returns nil where they lead nowhere.
func (c *checker) deref(n *tree.Node, f *file) (*tree.Node, *file) {
	silent := c.files.quiet()
	for range maxChain + 1 {
		ref := n.Get("$ref")
		if ref == nil || ref.Kind != tree.String {
			return n, f
		}
		to, target := silent.target(f, ref, diag.At{})
		if target == nil {
			return nil, nil
		}
		n, f = target, to
	}
	return nil, nil
}
