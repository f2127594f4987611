package spec

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Schemas of OpenAPI 3.1 may have names beside their places: $anchor and
// $dynamicAnchor within a file, and $id, which makes of a schema a resource of its
// own: references in it start from there (JSON Schema 2020-12, section 8.2).

// anchored is a schema with an anchor.
type anchored struct {
	node    *tree.Node
	pointer string
}

// anchor finds a schema by its $anchor or $dynamicAnchor.
func (f *file) anchor(name string) (anchored, bool) {
	if f.anchors == nil {
		f.anchors = make(map[string]anchored)
		f.collect(f.root, nil)
	}
	a, ok := f.anchors[name]
	return a, ok
}

func (f *file) collect(n *tree.Node, p *trail) {
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if a := n.Get(key); a != nil && a.Kind == tree.String {
			if _, taken := f.anchors[a.Text]; !taken {
				f.anchors[a.Text] = anchored{n, p.String()}
			}
		}
	}
	for i, item := range n.Items {
		f.collect(item, p.to(n, i))
	}
}

// resources are the schemas of a file that have an $id.
type resources struct {
	byID map[string]*resource
	// refs are the values of $ref and the like in them: those elsewhere start
	// from the file.
	refs map[*tree.Node]*resource
	// dynamic says that there are dynamic references.
	dynamic bool
}

type resource struct {
	id      string // resolved
	root    *tree.Node
	pointer string
}

// identified are the resources of a file; nil if it has none, which is the rule.
func (f *file) identified(fs *files) *resources {
	if !fs.ids || f.root == nil {
		return nil
	}
	if f.ids == nil {
		f.ids = &resources{byID: make(map[string]*resource), refs: make(map[*tree.Node]*resource)}
		f.ids.collect(f.root, nil, nil)
	}
	if len(f.ids.byID) == 0 {
		return nil
	}
	return f.ids
}

func (r *resources) collect(n *tree.Node, p *trail, in *resource) {
	// An $id that is a fragment only is an anchor of older dialects.
	if id := n.Get("$id"); id != nil && id.Kind == tree.String && id.Text != "" && id.Text[0] != '#' {
		in = &resource{id: strings.TrimSuffix(in.resolve(id.Text), "#"), root: n, pointer: p.String()}
		if r.byID[in.id] == nil {
			r.byID[in.id] = in
		}
	}
	for i, item := range n.Items {
		if n.Kind == tree.Object && item.Kind == tree.String {
			switch n.Keys[i].Name {
			case "$ref":
				if in != nil {
					r.refs[item] = in
				}
			case "$dynamicRef":
				r.dynamic = true
			}
		}
		if item.Items != nil {
			r.collect(item, p.to(n, i), in)
		}
	}
}

// resolve is a reference as it reads in r (RFC 3986, section 5).
func (r *resource) resolve(ref string) string {
	if r == nil {
		return ref
	}
	base, err := url.Parse(r.id)
	if err != nil {
		return ref
	}
	u, err := base.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}

// of is the resource that a reference stands in, or nil.
func (r *resources) of(ref *tree.Node) *resource { return r.refs[ref] }

// named is the resource that a reference in another names, or nil.
func (r *resources) named(in *resource, name string) *resource { return r.byID[in.resolve(name)] }

// trail is a JSON pointer while it is made. It is linked, since next to none of
// them are ever written.
type trail struct {
	up    *trail
	token string
}

func (t *trail) to(n *tree.Node, i int) *trail {
	if n.Kind == tree.Object {
		return &trail{t, n.Keys[i].Name}
	}
	return &trail{t, strconv.Itoa(i)}
}

func (t *trail) String() string {
	if t == nil {
		return ""
	}
	return t.up.String() + "/" + strings.ReplaceAll(strings.ReplaceAll(t.token, "~", "~0"), "/", "~1")
}
