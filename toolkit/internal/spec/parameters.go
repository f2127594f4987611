package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// parameters checks an operation's parameters against each other and its path,
// and its operationId against those before. The standard forbids all that is
// found here; but none of it changes where a request goes, and real definitions
// are full of it. So it is a warning where somebody will look for something that
// is not there, and a note otherwise.
func (c *checker) parameters(o *Operation, op located, p *place) {
	if id := op.node.Get("operationId"); id != nil && id.Text != "" {
		at := id.At(p.key("operationId").String())
		if first, taken := c.ids[id.Text]; taken {
			c.diags.Warnf(at, "the operationId %q is taken: first at %s", id.Text, first)
		} else {
			if c.ids == nil {
				c.ids = make(map[string]diag.At)
			}
			c.ids[id.Text] = at
		}
	}
	template, err := pathtmpl.Parse(o.Path.Value)
	if err != nil {
		return // for compile to say
	}
	names := template.Params()
	declared := make(map[string]bool) // names of path parameters
	complete := true                  // no parameter is a reference that leads nowhere
	list := func(owner *tree.Node, p *place, say bool) {
		seen := make(map[[2]string]bool)
		params := owner.Get("parameters")
		if params == nil || params.Kind != tree.Array {
			return
		}
		for i, item := range params.Items {
			n, _ := c.deref(item, op.file)
			if n == nil || n.Kind != tree.Object {
				complete = false
				continue
			}
			at := func() diag.At { return item.At(p.key("parameters").item(i).String()) }
			in, name := n.Get("in"), n.Get("name")
			if in == nil || name == nil || name.Text == "" {
				continue // said by check
			}
			key := [2]string{in.Text, name.Text}
			if in.Text == "header" {
				key[1] = strings.ToLower(key[1])
			}
			if seen[key] && say {
				c.diags.Warnf(at(), "the %s parameter %q is here twice", in.Text, name.Text)
			}
			seen[key] = true
			if in.Text != "path" {
				continue
			}
			declared[name.Text] = true
			if !say {
				continue
			}
			if !slices.Contains(names, name.Text) {
				c.diags.WarnHint(at(), diag.DidYouMean(name.Text, names), "the path has no %q: the parameter is in no request", "{"+name.Text+"}")
			} else if required := n.Get("required"); required == nil || required.Text != "true" {
				c.count(diag.Note, "Parameter", "required", "a path parameter must be required: true", at, "")
			}
		}
	}
	first := !c.items[op.item]
	if c.items == nil {
		c.items = make(map[*tree.Node]bool)
	}
	c.items[op.item] = true
	list(op.item, p.up, first)
	list(op.node, p, true)
	for _, name := range names {
		if !declared[name] && complete {
			c.count(diag.Note, "Operation", "path", fmt.Sprintf("the path's %q is not among the parameters", "{"+name+"}"), func() diag.At { return o.At }, "")
		}
	}
}
