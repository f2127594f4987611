package lint

import (
	"math/big"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// document is one definition while it is linted.
type document struct {
	*linter
	doc       *spec.Document
	grammar   spec.Grammar
	muted     [][]string          // rules that are ignored here, by object
	errors    map[*tree.Node]bool // shared responses that were looked at
	tiers     int                 // operations that have one
	tierNames map[string]bool

	visited map[*tree.Node]bool // by requests
	owners  []*owner
	shared  map[*tree.Node]*owner // components
}

// owner is what findings of the same kind are put together for: an operation,
// or a component that requests have.
type owner struct {
	place    string
	offences map[string][]offence // by rule
}

type offence struct {
	label string
	at    diag.At
}

// job is something that a $ref leads to, to be walked.
type job struct {
	kind  string
	node  *tree.Node
	place *spec.Place
	owner *owner
	label string
}

func newDocument(l *linter, doc *spec.Document) *document {
	return &document{
		linter: l, doc: doc, grammar: doc.Dialect.Grammar(), errors: make(map[*tree.Node]bool), tierNames: make(map[string]bool),
		visited: make(map[*tree.Node]bool), shared: make(map[*tree.Node]*owner),
	}
}

func (d *document) lint() {
	root := d.doc.Root()
	d.push(root)
	d.whole()
	d.endpoints()
	for _, op := range d.doc.Operations {
		if op.Method == "TRACE" {
			continue
		}
		node, item := op.Node()
		d.push(item)
		d.push(node)
		d.operation(op, node)
		d.request(op, node, item)
		d.pop()
		d.pop()
	}
	d.pop()
	d.everywhere(root)
	d.push(root)
	d.bounds()
	d.pop()
}

// push enters an object, and with it what it says is to be ignored.
func (d *document) push(n *tree.Node) { d.muted = append(d.muted, ignores(n)) }
func (d *document) pop()              { d.muted = d.muted[:len(d.muted)-1] }

// asComponent leaves the operation for something that it shares with others,
// until the function it returns is called.
func (d *document) asComponent() (back func()) {
	muted := d.muted
	d.muted = muted[:1:1] // the root
	return func() { d.muted = muted }
}

// ignores are the rules that an object says are to be ignored in it.
func ignores(n *tree.Node) []string {
	list := n.Get(ignoreKey)
	if list == nil {
		return nil
	}
	if list.Kind == tree.String {
		return []string{list.Text}
	}
	var ids []string
	for _, item := range list.Items {
		ids = append(ids, item.Text)
	}
	return ids
}

func (d *document) silent(rule string) bool {
	return slices.ContainsFunc(d.muted, func(ids []string) bool { return slices.Contains(ids, rule) })
}

// ignored reports whether an object, or what is around us, ignores a rule.
func (d *document) ignored(n *tree.Node, rule string) bool {
	return slices.Contains(ignores(n), rule) || d.silent(rule)
}

func (d *document) report(rule string, at diag.At, hint, format string, args ...any) {
	if !d.silent(rule) {
		d.linter.report(rule, at, hint, format, args...)
	}
}

// ignoreList checks the names of rules.
func (d *document) ignoreList(n *tree.Node, p *spec.Place) {
	list := n.Get(ignoreKey)
	if list == nil {
		return
	}
	at := func(n *tree.Node) diag.At { return n.At(p.Key(ignoreKey).String()) }
	items := list.Items
	switch list.Kind {
	case tree.String:
		items = []*tree.Node{list}
	case tree.Array:
	default:
		d.report("lint-ignore", at(list), "", "want a list of rules, not %s", list.Describe())
		return
	}
	for _, item := range items {
		switch _, known := Find(item.Text); {
		case item.Text == BuildRule:
			d.report("lint-ignore", at(item), "", "what a build says cannot be ignored")
		case !known || item.Kind != tree.String:
			d.report("lint-ignore", at(item), diag.DidYouMean(item.Text, IDs()), "no rule %s", item.Describe())
		}
	}
}

func (d *document) deref(n *tree.Node) *tree.Node {
	for range 100 {
		if n == nil || n.Get("$ref") == nil {
			return n
		}
		n, _ = d.doc.Follow(n)
	}
	return nil
}

// everywhere looks at all objects of the definition, and of what it refers to in
// other files.
func (d *document) everywhere(root *tree.Node) {
	type seen struct {
		node *tree.Node
		kind string
	}
	done := make(map[seen]bool)
	queue := []job{{kind: "Root", node: root}}
	for len(queue) > 0 {
		j := queue[0]
		queue = queue[1:]
		if k := (seen{j.node, j.kind}); done[k] {
			continue
		} else {
			done[k] = true
		}
		d.grammar.Walk(j.kind, j.node, j.place, spec.Visitor{
			Enter: func(kind string, n *tree.Node, p *spec.Place) bool {
				d.push(n)
				d.ignoreList(n, p)
				d.object(kind, n, p)
				return true
			},
			Leave: func(string, *tree.Node) { d.pop() },
			Member: func(_ string, n *tree.Node, i int, p *spec.Place) {
				name := n.Keys[i].Name
				if spec.IsExtension(name) {
					d.hidden(n.Items[i])
				}
				if strings.HasPrefix(name, "x-micro-gw-") && name != ignoreKey {
					d.report("lint-ignore", n.KeyAt(i, p.String()), diag.DidYouMean(name, []string{ignoreKey}), "unknown extension %q", name)
				}
			},
			Ref: func(kind string, n *tree.Node, _ *spec.Place) {
				target, p := d.doc.Follow(n)
				if target == nil {
					return
				}
				d.refer(target)
				if *target.File != *root.File {
					queue = append(queue, job{kind: kind, node: target, place: p})
				}
			},
		})
	}
}

func (d *document) object(kind string, n *tree.Node, p *spec.Place) {
	switch kind {
	case "SecurityScheme", "OAuthFlows", "OAuthFlow":
		d.scheme(kind, n, p)
	case "Parameter":
		d.parameter(n, p)
	case "Discriminator":
		if mapping := n.Get("mapping"); mapping != nil {
			for _, v := range mapping.Items {
				d.mapped(v)
			}
		}
	}
	if d.isSchema(kind, n) {
		d.schema(n, p)
	}
}

// hidden marks what the value of an extension refers to: other tools read it.
func (d *document) hidden(n *tree.Node) {
	if ref := n.Get("$ref"); ref != nil && ref.Kind == tree.String {
		if target, _ := d.doc.Follow(n); target != nil {
			d.refer(target)
		}
	}
	for _, item := range n.Items {
		d.hidden(item)
	}
}

// mapped marks what a discriminator's mapping names: a reference, or the bare
// name of a schema.
func (d *document) mapped(v *tree.Node) {
	ref := v.Text
	if !strings.ContainsAny(ref, "#/.") {
		ref = "#/components/schemas/" + ref
	}
	n := &tree.Node{Kind: tree.Object, File: v.File}
	n.Set("$ref", &tree.Node{Kind: tree.String, Text: ref, File: v.File})
	if target, _ := d.doc.Follow(n); target != nil {
		d.refer(target)
	}
}

// isSchema reports whether an object says which values are valid. In Swagger 2.0
// parameters, their items and headers do so themselves.
func (d *document) isSchema(kind string, n *tree.Node) bool {
	switch kind {
	case "Schema":
		return true
	case "Parameter", "Items", "Header":
		return d.doc.Dialect == spec.Swagger20 && n.Get("schema") == nil
	}
	return false
}

func typesOf(n *tree.Node) []string {
	t := n.Get("type")
	switch {
	case t == nil:
		return nil
	case t.Kind == tree.String:
		return []string{t.Text}
	}
	var types []string
	for _, item := range t.Items {
		types = append(types, item.Text)
	}
	return types
}

func (d *document) schema(n *tree.Node, p *spec.Place) {
	if pattern := n.Get("pattern"); pattern != nil && pattern.Kind == tree.String {
		if problem := CheckPattern(pattern.Text); problem != nil {
			d.report(problem.Rule, pattern.At(p.Key("pattern").String()), problem.Hint, "%s", problem.Message)
		}
	}
	types := typesOf(n)
	if enum := n.Get("enum"); enum != nil && enum.Kind == tree.Array && len(types) > 0 {
		var odd []string
		var at *tree.Node
		for _, item := range enum.Items {
			if item.Kind != tree.Null && !slices.ContainsFunc(types, func(t string) bool { return isA(item, t) }) {
				if odd = append(odd, item.Describe()); at == nil {
					at = item
				}
			}
		}
		want := strings.Join(types, " or ")
		switch len(odd) {
		case 0:
		case 1:
			d.report("enum-type", at.At(p.Key("enum").String()), "", "%s is not of the type %s, so it is never valid", odd[0], want)
		default:
			d.report("enum-type", at.At(p.Key("enum").String()), "", "%d values are not of the type %s, so they are never valid: %s", len(odd), want, listed(odd))
		}
	}
	if slices.Contains(types, "array") && len(types) == 1 && n.Get("items") == nil && n.Get("$ref") == nil && d.doc.Dialect != spec.OpenAPI31 {
		d.report("array-without-items", n.Get("type").At(p.Key("type").String()), "", `"items" is missing: the standard requires it beside type: array`)
	}
	for _, pair := range [][2]string{{"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}, {"minimum", "maximum"}} {
		lo, hi := n.Get(pair[0]), n.Get(pair[1])
		if a, b := number(lo), number(hi); a != nil && b != nil && a.Cmp(b) > 0 {
			d.report("contradictory-bounds", lo.At(p.Key(pair[0]).String()), "", "nothing can be valid: %s is %s, and %s is %s", pair[0], lo.Text, pair[1], hi.Text)
		}
	}
}

func number(n *tree.Node) *big.Rat {
	// An exponent of a million digits is no bound that anyone means.
	if n == nil || n.Kind != tree.Number || len(n.Text) > 40 || strings.ContainsAny(n.Text, "eE") && len(n.Text) > 12 {
		return nil
	}
	if i := strings.IndexAny(n.Text, "eE"); i >= 0 && len(n.Text)-i > 4 {
		return nil
	}
	r, ok := new(big.Rat).SetString(n.Text)
	if !ok {
		return nil
	}
	return r
}

// isA reports whether a value is of a type. Types that nobody knows fit all.
func isA(n *tree.Node, typ string) bool {
	switch typ {
	case "string":
		return n.Kind == tree.String
	case "number":
		return n.Kind == tree.Number
	case "integer":
		r := number(n)
		return n.Kind == tree.Number && (r == nil || r.IsInt())
	case "boolean":
		return n.Kind == tree.Bool
	case "array":
		return n.Kind == tree.Array
	case "object":
		return n.Kind == tree.Object
	case "null":
		return n.Kind == tree.Null
	}
	return true
}

// request walks what callers of an operation may send.
func (d *document) request(op *spec.Operation, node, item *tree.Node) {
	own := &owner{place: op.At.Place, offences: make(map[string][]offence)}
	d.owners = append(d.owners, own)
	var queue []job
	add := func(kind string, n *tree.Node, label string) {
		if n != nil && n.Kind == tree.Object {
			queue = append(queue, job{kind: kind, node: n, owner: own, label: label})
		}
	}
	for _, n := range []*tree.Node{item, node} {
		if list := n.Get("parameters"); list != nil {
			for _, p := range list.Items {
				add("Parameter", p, "")
			}
		}
	}
	if d.doc.Dialect != spec.Swagger20 {
		add("RequestBody", node.Get("requestBody"), "")
	}
	for len(queue) > 0 {
		j := queue[0]
		queue = queue[1:]
		back := func() {}
		if j.owner != own {
			back = d.asComponent()
		}
		labels := []string{j.label}
		d.grammar.Walk(j.kind, j.node, j.place, spec.Visitor{
			Enter: func(kind string, n *tree.Node, p *spec.Place) bool {
				if readOnly := n.Get("readOnly"); d.visited[n] || kind == "Header" && d.doc.Dialect != spec.Swagger20 || readOnly != nil && readOnly.Text == "true" {
					return false
				}
				d.visited[n] = true
				d.push(n)
				labels = append(labels, label(labels[len(labels)-1], kind, n, p))
				if d.isSchema(kind, n) {
					d.unbounded(j.owner, labels[len(labels)-1], n)
				}
				return true
			},
			Leave: func(string, *tree.Node) {
				d.pop()
				labels = labels[:len(labels)-1]
			},
			Ref: func(kind string, n *tree.Node, _ *spec.Place) {
				target, p := d.doc.Follow(n)
				if target == nil || target.Kind != tree.Object || d.visited[target] {
					return
				}
				next := job{kind: kind, node: target, place: p, owner: j.owner, label: labels[len(labels)-1]}
				if component(p) {
					// It has a place of its own, which many operations share.
					o := d.shared[target]
					if o == nil {
						o = &owner{place: p.String(), offences: make(map[string][]offence)}
						d.shared[target] = o
						d.owners = append(d.owners, o)
					}
					next.owner, next.label = o, ""
				}
				queue = append(queue, next)
			},
		})
		back()
	}
}

// component reports whether a place is that of a shared object: it lies two or
// three levels down.
func component(p *spec.Place) bool {
	depth := 0
	top := ""
	for q := p; q != nil; q = q.Up() {
		depth++
		top = q.Name()
	}
	return depth == 3 && top == "components" || depth == 2 && slices.Contains([]string{"definitions", "parameters", "responses"}, top)
}

// label is what a value is called: "owner.tags[]".
func label(up, kind string, n *tree.Node, p *spec.Place) string {
	if kind == "Parameter" {
		if name := n.Get("name"); name != nil {
			return name.Text
		}
	}
	switch {
	case p == nil:
	case p.Up() != nil && (p.Up().Name() == "properties" || p.Up().Name() == "patternProperties"):
		if up == "" {
			return p.Name()
		}
		return up + "." + p.Name()
	case p.Name() == "items", p.Up() != nil && p.Up().Name() == "prefixItems":
		return up + "[]"
	case p.Name() == "additionalProperties":
		return up + ".*"
	}
	return up
}

// boundedFormats are those whose values have a greatest length, or that the
// limit on bodies bounds.
var boundedFormats = []string{"date", "date-time", "time", "uuid", "ipv4", "ipv6", "ip", "hostname", "idn-hostname", "email", "idn-email", "mac", "binary", "int32", "int64", "decimal"}

// unbounded notes what has no bound.
func (d *document) unbounded(o *owner, label string, n *tree.Node) {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return n.Get(k) != nil })
	}
	note := func(rule string) {
		if d.silent(rule) {
			return
		}
		if label == "" {
			label = "the value itself"
		}
		o.offences[rule] = append(o.offences[rule], offence{label, n.At(o.place)})
	}
	if has("enum", "const", "$ref") {
		return
	}
	format := ""
	if f := n.Get("format"); f != nil {
		format = f.Text
	}
	for _, t := range typesOf(n) {
		switch t {
		case "string":
			pattern := n.Get("pattern")
			if !has("maxLength") && !slices.Contains(boundedFormats, format) && (pattern == nil || !boundedRegex(pattern.Text)) {
				note("unbounded-string")
			}
		case "array":
			if !has("maxItems") {
				note("unbounded-array")
			}
		case "integer":
			if format != "int32" && format != "int64" && (!has("minimum", "exclusiveMinimum") || !has("maximum", "exclusiveMaximum")) {
				note("unbounded-integer")
			}
		case "object":
			extra := n.Get("additionalProperties")
			open := extra == nil || extra.Kind != tree.Bool || extra.Text == "true"
			if open && !has("properties", "patternProperties", "maxProperties", "propertyNames", "allOf", "oneOf", "anyOf") {
				note("unbounded-object")
			}
		}
	}
}

var unbounded = []struct{ rule, one, many, hint string }{
	{"unbounded-string", "callers may send a string of any length", "callers may send strings of any length", "add maxLength, an enum, or a format or pattern that bounds the length"},
	{"unbounded-array", "callers may send a list of any length", "callers may send lists of any length", "add maxItems"},
	{"unbounded-integer", "callers may send any whole number", "callers may send any whole numbers", "add minimum and maximum, or the format int32 or int64"},
	{"unbounded-object", "callers may send an object with any keys", "callers may send objects with any keys", "describe its properties, or add maxProperties"},
}

// bounds reports what has no bound, together for each operation and component.
func (d *document) bounds() {
	for _, o := range d.owners {
		for _, u := range unbounded {
			list := o.offences[u.rule]
			if len(list) == 0 {
				continue
			}
			text := u.one
			if len(list) > 1 {
				text = u.many
			}
			var labels []string
			for _, x := range list {
				labels = append(labels, x.label)
			}
			d.report(u.rule, list[0].at, u.hint, "%s: %s", text, listed(labels))
		}
	}
}

// homes are where shared objects are, and what one of them is called.
var homes = []struct{ name, word string }{
	{"schemas", "schema"}, {"definitions", "schema"}, {"responses", "response"}, {"parameters", "parameter"}, {"examples", "example"},
	{"requestBodies", "request body"}, {"headers", "header"}, {"links", "link"}, {"callbacks", "callback"}, {"pathItems", "path item"},
	{"securitySchemes", "security scheme"}, {"securityDefinitions", "security scheme"},
}

// unused looks for components that nothing refers to. All definitions have been
// walked by now: one may refer to another.
func (d *document) unused() {
	top := d.doc.Root()
	var p *spec.Place
	d.push(top)
	defer d.pop()
	if d.doc.Dialect != spec.Swagger20 {
		top, p = top.Get("components"), p.Key("components")
		d.push(top)
		defer d.pop()
	}
	asked := make(map[string]bool)
	note := func(s *spec.Security) {
		if s != nil {
			for _, a := range s.Alternatives {
				for _, r := range a.Requirements {
					asked[r.Scheme] = true
				}
			}
		}
	}
	note(d.doc.Security)
	for _, op := range d.doc.Operations {
		note(op.Security)
	}
	for _, home := range homes {
		list := top.Get(home.name)
		if list == nil || list.Kind != tree.Object || list.Get("$ref") != nil {
			continue
		}
		for i, item := range list.Items {
			name := list.Keys[i].Name
			if item.Kind != tree.Object || spec.IsExtension(name) || d.referred[spotOf(item)] {
				continue
			}
			what := "nothing refers to the " + home.word
			if home.word == "security scheme" {
				if asked[name] {
					continue
				}
				what = "no security list names the scheme"
			}
			if home.word == "schema" && d.subtype(item) || d.ignored(item, "unused-component") {
				continue
			}
			d.report("unused-component", list.KeyAt(i, p.Key(home.name).Key(name).String()), "", "%s", what)
		}
	}
}

// subtype reports whether a schema extends one that has a discriminator: its name
// is a value of that, which refers to it.
func (d *document) subtype(n *tree.Node) bool { return d.extends(n, 0) }

func (d *document) extends(n *tree.Node, depth int) bool {
	all := n.Get("allOf")
	if all == nil || depth > 20 {
		return false
	}
	return slices.ContainsFunc(all.Items, func(item *tree.Node) bool {
		base := d.deref(item)
		return base != nil && item.Get("$ref") != nil && (base.Get("discriminator") != nil || d.extends(base, depth+1))
	})
}
