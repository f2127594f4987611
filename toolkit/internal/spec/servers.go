package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// expand puts the defaults of server variables into the URL. Whether what is
// wrong with it matters depends on whether the server is called; what is only
// odd about its variables is said here.
func (c *checker) expand(u, variables *tree.Node, p *place, s *Server) {
	problem := func(hint, format string, args ...any) {
		if s.Problem == "" {
			s.Problem, s.Hint = fmt.Sprintf(format, args...), hint
		}
	}
	vars := p.key("variables")
	used := make(map[string]bool)
	var b strings.Builder
	for text := strings.TrimSpace(u.Text); ; {
		before, rest, open := strings.Cut(text, "{")
		b.WriteString(before)
		if !open {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			problem("", `"{" is never closed`)
			break
		}
		used[name] = true
		v := variables.Get(name)
		value := v.Get("default")
		switch {
		case v == nil:
			problem(diag.DidYouMean(name, variables.Names()), "the server variable %q is not among the variables", name)
		case value == nil || value.Kind == tree.Null:
			problem("", "the server variable %q has no default", name)
		default:
			b.WriteString(value.Text)
			c.variable(v, value, vars.key(name))
		}
		text = after
	}
	s.URL = b.String()
	for i, name := range variables.Names() {
		if !used[name] && !strings.HasPrefix(name, "x-") {
			c.again("Server", name, fmt.Sprintf("the server variable %q is not in the URL", name), func() diag.At { return variables.KeyAt(i, vars.String()) }, "")
		}
	}
}

// variable checks that the default is one of the values, if these are listed.
// OpenAPI 3.1 demands it, 3.0 advises it.
func (c *checker) variable(v, value *tree.Node, p *place) {
	enum := v.Get("enum")
	if enum == nil || enum.Kind != tree.Array {
		return
	}
	if len(enum.Items) == 0 {
		c.again("ServerVariable", p.name, "the list of values is empty", func() diag.At { return enum.At(p.key("enum").String()) }, "")
		return
	}
	if !slices.ContainsFunc(enum.Items, func(n *tree.Node) bool { return n.Text == value.Text }) {
		var names []string
		for _, n := range enum.Items {
			names = append(names, n.Text)
		}
		c.again("ServerVariable", p.name, fmt.Sprintf("the default %q is none of the variable's values", value.Text), func() diag.At { return value.At(p.key("default").String()) }, diag.DidYouMean(value.Text, names))
	}
}
