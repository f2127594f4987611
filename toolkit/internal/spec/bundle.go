package spec

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A definition may be spread over files; what the artifact carries is one
// document. bundle copies the tree, and what its references to other files lead
// to it puts among the document's own components under a name of its own.
// Where the standard has no such components (path items before 3.1), the target
// takes the place of the reference.
type bundler struct {
	c         *checker
	names     map[bundled]string
	homes     map[string]*tree.Node // new components by home
	inlining  map[*tree.Node]bool
	main      *tree.Node
	unbounded bool
	dynamic   bool // $id is needed
	// path is where the path item is that comes next, if it is one of "paths";
	// placed is where those of other files were put.
	path   string
	placed map[*tree.Node]string
	made   int
}

type bundled struct {
	target *tree.Node
	home   string
}

// maxInlined bounds a bundled document: path items that are put in place many
// times grow it.
const maxInlined = 5_000_000

func (c *checker) bundle() *tree.Node {
	b := &bundler{c: c, names: make(map[bundled]string), homes: make(map[string]*tree.Node), inlining: make(map[*tree.Node]bool), placed: make(map[*tree.Node]string), main: c.main.root}
	if ids := c.main.identified(c.files); ids != nil {
		b.dynamic = ids.dynamic
	}
	root := b.object(c.main.root, c.grammar.root, c.main)
	if b.unbounded {
		c.diags.Errorf(c.main.root.At(""), "the references to other files make the document too large, or have no end")
		return root
	}
	if len(b.homes) == 0 {
		return root
	}
	parent := root
	if c.grammar != grammar20 {
		parent = root.Get("components")
		if parent == nil || parent.Kind != tree.Object {
			parent = b.member(root, "components")
		}
	}
	// In the order of the table, so that the copy does not depend on a map's
	// order; the bytes do not either, since they are written with sorted keys.
	for _, o := range c.grammar.objects {
		extra := b.homes[o.home]
		if extra == nil || o.home == "" {
			continue
		}
		delete(b.homes, o.home)
		home := parent.Get(o.home)
		if home == nil || home.Kind != tree.Object {
			home = b.member(parent, o.home)
		}
		for i, k := range extra.Keys {
			home.Set(k.Name, extra.Items[i])
		}
	}
	return root
}

func (b *bundler) like(n *tree.Node) *tree.Node {
	b.made++
	if b.made > maxInlined {
		b.unbounded = true
	}
	return &tree.Node{Kind: n.Kind, Line: n.Line, Col: n.Col, Text: n.Text, File: n.File}
}

func (b *bundler) member(parent *tree.Node, name string) *tree.Node {
	n := b.like(parent)
	n.Kind = tree.Object
	parent.Set(name, n)
	return n
}

func (b *bundler) value(n *tree.Node, s *shape, f *file) *tree.Node {
	if s.any || b.unbounded {
		return n
	}
	for s.or != nil && n.Kind != s.kind && s.or.fits(n) {
		s = s.or
	}
	switch {
	case s.object != nil && n.Kind == tree.Object:
		return b.object(n, s.object, f)
	case s.kind == tree.Array && n.Kind == tree.Array:
		out := b.like(n)
		for _, item := range n.Items {
			out.Items = append(out.Items, b.value(item, s.elem, f))
		}
		return out
	case s.kind == tree.Object && n.Kind == tree.Object:
		if s.elem.object != nil {
			n, f = b.include(n, f)
		}
		out := b.like(n)
		for i, item := range n.Items {
			out.Set(n.Keys[i].Name, b.value(item, s.elem, f))
		}
		return out
	}
	return n
}

func (b *bundler) include(n *tree.Node, f *file) (*tree.Node, *file) {
	if ref := n.Get("$ref"); len(n.Keys) == 1 && ref != nil && ref.Kind == tree.String {
		if target, to := b.c.deref(n, f); target != nil {
			return target, to
		}
	}
	return n, f
}

func (b *bundler) object(n *tree.Node, o *object, f *file) *tree.Node {
	out := b.like(n)
	here := b.path
	b.path = ""
	if o.ref {
		if ref := n.Get("$ref"); ref != nil && ref.Kind == tree.String {
			if !b.reference(out, ref, o, f) {
				// Put in place.
				b.inline(out, n, o, f, here)
				return out
			}
			if o.name != "PathItem" && !o.bool {
				return out
			}
		}
	} else if o.each != nil {
		n, f = b.include(n, f)
	}
	for i, item := range n.Items {
		name := n.Keys[i].Name
		switch s := o.keys[name]; {
		case name == "$ref" && o.ref:
		case name == "$id" && o.name == "Schema" && !b.dynamic:
			// No reference needs it any more, and those within would start from it.
		case s != nil && name == "mapping" && o.name == "Discriminator":
			out.Set(name, b.mapping(item, f))
		case s != nil:
			out.Set(name, b.value(item, s, f))
		case o.each != nil && !isExtension(name):
			if o.paths {
				b.path = (&trail{&trail{nil, "paths"}, name}).String()
			}
			out.Set(name, b.value(item, o.each, f))
		default:
			out.Set(name, item)
		}
	}
	return out
}

// reference writes the $ref that n has in f as it reads in the bundled document.
// It returns false if the target has to be put in place.
func (b *bundler) reference(out, ref *tree.Node, o *object, f *file) bool {
	text, ok := b.text(ref, o, f)
	if !ok {
		return false
	}
	r := b.like(ref)
	r.Text = text
	out.Set("$ref", r)
	return true
}

func (b *bundler) text(ref *tree.Node, o *object, f *file) (string, bool) {
	to, target, pointer := b.c.files.quiet().follow(f, ref, diag.At{})
	if target == nil {
		return ref.Text, true // reported by check
	}
	if to == b.c.main {
		name, fragment, _ := strings.Cut(ref.Text, "#")
		if name == "" && unescape(fragment) == pointer || pointer == "" || fragment != "" && fragment[0] != '/' {
			return "#" + fragment, true
		}
		return "#" + (&url.URL{Fragment: pointer}).EscapedFragment(), true
	}
	if o.home == "" {
		return "", false
	}
	key := bundled{target, o.home}
	name := b.names[key]
	if name == "" {
		name = b.name(to, ref.Text, o)
		b.names[key] = name
		home := b.homes[o.home]
		if home == nil {
			home = &tree.Node{Kind: tree.Object, Line: 1, Col: 1, File: b.main.File}
			b.homes[o.home] = home
		}
		home.Set(name, nil) // taken, while its own references are followed
		if target.Kind == tree.Object {
			home.Set(name, b.object(target, o, to))
		} else {
			home.Set(name, target)
		}
	}
	prefix := "#/components/"
	if b.c.grammar == grammar20 {
		prefix = "#/"
	}
	return prefix + o.home + "/" + name, true
}

// name makes a free name for a component out of the reference.
func (b *bundler) name(to *file, ref string, o *object) string {
	base := strings.TrimSuffix(path.Base(to.name), path.Ext(to.name))
	if _, fragment, _ := strings.Cut(ref, "#"); fragment != "" {
		base = path.Base(unescape(fragment))
	}
	base = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, base)
	home := b.main.Get(o.home)
	if b.c.grammar != grammar20 {
		home = b.main.Get("components").Get(o.home)
	}
	name := base
	for i := 2; home.Get(name) != nil || b.homes[o.home].Find(name) >= 0; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	return name
}

// inline copies what n refers to into out, which stands here if it is one of
// "paths". The second of several paths that refer to the same gets a reference to
// the first.
func (b *bundler) inline(out, n *tree.Node, o *object, f *file, here string) {
	target, to := b.c.deref(n, f)
	if target == nil || target.Kind != tree.Object || b.unbounded {
		return
	}
	if len(n.Keys) == 1 {
		if placed := b.placed[target]; placed != "" {
			out.Set("$ref", &tree.Node{Kind: tree.String, Line: n.Line, Col: n.Col, File: n.File, Text: "#" + (&url.URL{Fragment: placed}).EscapedFragment()})
			return
		}
		if here != "" {
			b.placed[target] = here
		}
	}
	if b.inlining[target] {
		// A callback that leads back to its own path item, in a version that
		// cannot say so in one document.
		return
	}
	b.inlining[target] = true
	defer delete(b.inlining, target)
	copied := b.object(target, o, to)
	for i, k := range copied.Keys {
		out.Set(k.Name, copied.Items[i])
	}
	for i, item := range n.Items {
		if name := n.Keys[i].Name; name != "$ref" && o.keys[name] != nil {
			out.Set(name, b.value(item, o.keys[name], f))
		}
	}
}

// mapping rewrites the references of a discriminator. Its values are names of
// schemas or references, and nothing tells which but the look of them.
func (b *bundler) mapping(n *tree.Node, f *file) *tree.Node {
	if n.Kind != tree.Object {
		return n
	}
	out := b.like(n)
	for i, item := range n.Items {
		value := item
		if item.Kind == tree.String && strings.ContainsAny(item.Text, "#/.") {
			if text, ok := b.text(item, b.c.grammar.objects["Schema"], f); ok {
				value = b.like(item)
				value.Text = text
			}
		}
		out.Set(n.Keys[i].Name, value)
	}
	return out
}
