package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// The tables of the standard for those who walk a document themselves: the
// ledger, which has the document of an artifact, and lint.

// A Place is a path in a document. Nil is its root.
type Place = place

// Pointer is the place as a JSON pointer (RFC 6901).
func (p *place) Pointer() string {
	if p == nil {
		return ""
	}
	var b strings.Builder
	p.pointer(&b)
	return b.String()
}

func (p *place) pointer(b *strings.Builder) {
	if p == nil {
		return
	}
	p.up.pointer(b)
	b.WriteByte('/')
	if p.name == "" {
		b.WriteString(strconv.Itoa(p.index))
		return
	}
	pointerToken.WriteString(b, p.name)
}

var pointerToken = strings.NewReplacer("~", "~0", "/", "~1")

// Key is the place of a member.
func (p *place) Key(name string) *Place { return p.key(name) }

// A Keyword is a key that the standard gives to a kind of object: "minLength" to
// a "Schema".
type Keyword struct{ Object, Key string }

// A Grammar is the tables of a dialect.
type Grammar struct{ g *grammar }

// Grammar is the tables of the dialect.
func (d Dialect) Grammar() Grammar {
	switch d {
	case Swagger20:
		return Grammar{grammar20}
	case OpenAPI30:
		return Grammar{grammar30}
	default:
		return Grammar{grammar31}
	}
}

// Keywords are all that the tables know, sorted by kind of object.
func (g Grammar) Keywords() []Keyword {
	var all []Keyword
	for _, name := range sortedKeys(g.g.objects) {
		for _, key := range g.g.objects[name].names {
			all = append(all, Keyword{name, key})
		}
	}
	return all
}

// Known reports whether the standard gives the key to that kind of object.
func (g Grammar) Known(k Keyword) bool {
	o := g.g.objects[k.Object]
	return o != nil && o.keys[k.Key] != nil
}

// Home is the name under "components" (in Swagger 2.0: at the root) of the place
// where objects of that kind are shared, or "" if there is none.
func (g Grammar) Home(kind string) string {
	if o := g.g.objects[kind]; o != nil {
		return o.home
	}
	return ""
}

// Extensions are all that are read, by the kind of object that they are read at.
func Extensions() []Keyword {
	var all []Keyword
	for _, name := range sortedKeys(extensions) {
		for _, level := range extensions[name] {
			all = append(all, Keyword{map[rune]string{'A': "Root", 'P': "PathItem", 'O': "Operation"}[level], name})
		}
	}
	return all
}

// Foreign says what an extension of API Manager's is that we know and do not
// read; "" if it is none.
func Foreign(name string) string { return foreign[name] }

// IsExtension reports whether a key is an extension rather than a keyword.
func IsExtension(name string) bool { return isExtension(name) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// A Visitor is told what Walk meets. Nil functions are not called.
type Visitor struct {
	// Enter is called for an object before its members. False leaves out what is
	// inside, and Leave too.
	Enter func(kind string, n *tree.Node, p *Place) bool
	// Member is called for each key of an object that is a keyword, an extension
	// or unknown, before what is behind it; not for names that authors choose
	// (of paths, properties, components, responses), and not for $ref.
	Member func(kind string, n *tree.Node, i int, p *Place)
	// Ref is called for an object that is a $ref. What it leads to is not
	// visited.
	Ref func(kind string, n *tree.Node, p *Place)
	// Leave is called after an object's members.
	Leave func(kind string, n *tree.Node)
}

// Walk visits the object n of the given kind and all objects inside of it, in
// document order. Whatever the tables call free of form (examples, defaults, the
// values of extensions) is not looked into.
func (g Grammar) Walk(kind string, n *tree.Node, p *Place, v Visitor) {
	if o := g.g.objects[kind]; o != nil && n != nil {
		v.object(n, o, p)
	}
}

func (v *Visitor) object(n *tree.Node, o *object, p *place) {
	if n.Kind != tree.Object {
		return
	}
	if v.Enter != nil && !v.Enter(o.name, n, p) {
		return
	}
	ref := n.Get("$ref")
	if ref != nil && ref.Kind == tree.String && (o.ref || o.each != nil && len(n.Keys) == 1) {
		if v.Ref != nil {
			v.Ref(o.name, n, p)
		}
	} else {
		ref = nil
	}
	for i, item := range n.Items {
		name := n.Keys[i].Name
		s := o.keys[name]
		if name == "$ref" && ref != nil {
			continue
		}
		if s == nil && o.each != nil && !isExtension(name) && (!o.paths || strings.HasPrefix(name, "/")) {
			v.value(item, o.each, p, name)
			continue
		}
		if v.Member != nil {
			v.Member(o.name, n, i, p)
		}
		// Beside a $ref stands nothing that counts, except in a path item, and in
		// schemas since 3.1.
		if s != nil && (ref == nil || o.name == "PathItem" || o.bool) {
			v.value(item, s, p, name)
		}
	}
	if v.Leave != nil {
		v.Leave(o.name, n)
	}
}

func (v *Visitor) value(n *tree.Node, s *shape, p *place, name string) {
	if s.any {
		return
	}
	for s.or != nil && n.Kind != s.kind && s.or.fits(n) {
		s = s.or
	}
	switch {
	case n.Kind != s.kind:
	case s.object != nil:
		v.object(n, s.object, p.key(name))
	case s.elem == nil || !s.elem.holdsObjects():
	case s.kind == tree.Array:
		p = p.key(name)
		for i, item := range n.Items {
			if s.elem.object != nil && item.Kind == tree.Object {
				v.object(item, s.elem.object, p.item(i))
			}
		}
	case s.kind == tree.Object:
		p = p.key(name)
		for i, item := range n.Items {
			v.value(item, s.elem, p, n.Keys[i].Name)
		}
	}
}

func (s *shape) holdsObjects() bool {
	return s.object != nil || s.elem != nil && s.elem.holdsObjects() || s.or != nil && s.or.holdsObjects()
}

// ExpandServer puts the defaults of a server's variables into its URL. Those
// that have none stay as they are: the build has refused them where they count.
func ExpandServer(url string, variables *tree.Node) string {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(url, "{")
		name, after, closed := strings.Cut(rest, "}")
		b.WriteString(before)
		if !open || !closed {
			b.WriteString(url[len(before):])
			return b.String()
		}
		if v := variables.Get(name).Get("default"); v != nil && v.Kind != tree.Null {
			b.WriteString(v.Text)
		} else {
			b.WriteString("{" + name + "}")
		}
		url = after
	}
}

// Name is the last key of the place, or "" if it is an item of a list.
func (p *place) Name() string {
	if p == nil {
		return ""
	}
	return p.name
}

// Up is the place that this one is in.
func (p *place) Up() *Place {
	if p == nil {
		return nil
	}
	return p.up
}
