package spec

import (
	"cmp"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// An Omission is a keyword that an author wrote and that the document in the
// artifact does not have. The ledger says so: what it does not mention is not in
// the definition either.
type Omission struct {
	At     diag.At
	Object string
	Key    string
	Why    string
}

func (c *checker) omit(object, key string, at diag.At, why string) {
	c.omitted = append(c.omitted, Omission{At: at, Object: object, Key: key, Why: why})
}

// omissions are in the order of the files.
func (c *checker) omissions() []Omission {
	slices.SortStableFunc(c.omitted, func(a, b Omission) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column), cmp.Compare(a.Key, b.Key))
	})
	return c.omitted
}

// lost notes what the conversion of Swagger 2.0 has no place for.
func (c *checker) lost(root *tree.Node) {
	Grammar{grammar20}.Walk("Root", root, nil, Visitor{Member: func(kind string, n *tree.Node, i int, p *Place) {
		key, value := n.Keys[i].Name, n.Items[i]
		if why := lost20(kind, key, n, value); why != "" {
			c.omit(kind, key, n.KeyAt(i, p.key(key).String()), why)
		}
	}})
}

func lost20(kind, key string, n, value *tree.Node) string {
	in := ""
	if kind == "Parameter" && n.Get("in") != nil {
		in = n.Get("in").Text
	}
	switch {
	case value.Kind == tree.Null:
		return "it has no value"
	case kind == "Operation" && key == "schemes":
		return "an operation is served on all the transports of its API"
	case key == "collectionFormat" && (kind != "Parameter" || in != "query"):
		if value.Text == "csv" {
			return "it is the only format that OpenAPI 3.0 has here"
		}
		return "OpenAPI 3.0 has no such format"
	case key == "collectionFormat" && value.Text == "tsv":
		return "OpenAPI 3.0 has no such format"
	case in == "formData" && (key == "allowEmptyValue" || isExtension(key)):
		return "a form parameter becomes a property of the body"
	case in == "body" && key == "name":
		return "a body has no name"
	case in == "body" && key != "in" && key != "schema" && key != "description" && key != "required" && !isExtension(key):
		return "a body is described by its schema"
	case kind == "Response" && key == "examples":
		for _, k := range value.Names() {
			if !strings.Contains(k, "/") {
				return "some of them name no media type"
			}
		}
	case !isExtension(key) && kind != "Schema" && kind != "Items" && grammar20.objects[kind].keys[key] == nil:
		return "the standard does not know it"
	}
	return ""
}
