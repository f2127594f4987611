package spec

import (
	"io/fs"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// What was read stays with a document for those who look further than the build
// does (lint), if Loader.Keep is set, until Forget.

// Root is the definition as it was read, without what it refers to.
func (d *Document) Root() *tree.Node { return d.source.main.root }

// Node is the operation as it was read, and item the path item it stands in.
func (o *Operation) Node() (operation, item *tree.Node) { return o.node, o.item }

// Follow is what the $ref of n leads to, one step, with its place in its own
// file; nil if it leads nowhere, which the build has reported.
func (d *Document) Follow(n *tree.Node) (*tree.Node, *Place) {
	ref := n.Get("$ref")
	if ref == nil || ref.Kind != tree.String {
		return nil, nil
	}
	c := d.source
	from := c.files.open[*n.File]
	if from == nil {
		return nil, nil
	}
	to, target, pointer := c.files.quiet().follow(from, ref, diag.At{})
	if target == nil {
		return nil, nil
	}
	return target, pointerPlace(to.root, pointer)
}

// Forget lets go of what was read.
func (d *Document) Forget() {
	d.source = nil
	for _, op := range d.Operations {
		op.node, op.item = nil, nil
	}
}

// A Resolver follows the references of a document that is all by itself, as that
// of an artifact is.
type Resolver struct {
	files *files
	file  *file
}

// NewResolver makes the resolver of a document with that root.
func NewResolver(root *tree.Node, d Dialect) *Resolver {
	f := &file{name: *root.File, base: *root.File, root: root}
	alone := func(name string) ([]byte, error) { return nil, fs.ErrNotExist }
	return &Resolver{
		files: &files{store: &store{read: alone, files: make(map[string]*stored)}, diags: new(diag.List), open: map[string]*file{f.name: f}, ids: d == OpenAPI31},
		file:  f,
	}
}

// Follow is what the $ref of n leads to, one step, with the JSON pointer to it;
// nil if it leads nowhere.
func (r *Resolver) Follow(n *tree.Node) (target *tree.Node, pointer string) {
	ref := n.Get("$ref")
	if ref == nil || ref.Kind != tree.String {
		return nil, ""
	}
	_, target, pointer = r.files.quiet().follow(r.file, ref, diag.At{})
	return target, pointer
}
