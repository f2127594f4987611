package spec

import (
	"fmt"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Swagger 2.0 is converted to OpenAPI 3.0 for the artifact to carry. Everything
// else the build knows of such a definition it has read from the original.
//
// This is our own, since the library's converter refuses definitions that are
// right (an extension among the paths, a reference into an operation), drops
// references between path items, and has no positions for what it refuses.
//
// The input is bundled: all references are within the document.

type converter struct {
	c    *checker
	root *tree.Node
	// hoisted are schemas that are referred to where 3.0 has none, such as
	// "#/paths/~1a/get/responses/200/schema". They become components.
	hoisted map[*tree.Node]string
	schemas *tree.Node
	// consumes and produces of the root, for operations that have none.
	consumes, produces []string
}

func (c *checker) convert(root *tree.Node) *tree.Node {
	v := &converter{c: c, root: root, hoisted: make(map[*tree.Node]string)}
	v.consumes, v.produces = mediaTypes(root.Get("consumes")), mediaTypes(root.Get("produces"))
	out := v.object()
	out.Set("openapi", v.text("3.0.3"))
	v.copy(out, root, "info", "tags", "externalDocs", "security")
	v.extensions(out, root)
	if servers := v.servers(); servers != nil {
		out.Set("servers", servers)
	}
	components := v.object()
	v.schemas = v.object()
	components.Set("schemas", v.schemas)
	v.each(root.Get("definitions"), func(name string, n *tree.Node) { v.schemas.Set(name, v.schema(n)) })
	v.each(root.Get("parameters"), func(name string, n *tree.Node) {
		if p := v.deref(n); p != nil && !isBody(p) {
			v.member(components, "parameters").Set(name, v.parameter(p))
		}
	})
	v.each(root.Get("responses"), func(name string, n *tree.Node) {
		v.member(components, "responses").Set(name, v.response(n, v.produces))
	})
	v.each(root.Get("securityDefinitions"), func(name string, n *tree.Node) {
		v.member(components, "securitySchemes").Set(name, v.scheme(n))
	})
	paths := v.object()
	if all := root.Get("paths"); all != nil && all.Kind == tree.Object {
		v.extensions(paths, all)
		for i, item := range all.Items {
			if name := all.Keys[i].Name; strings.HasPrefix(name, "/") && item.Kind == tree.Object {
				var p *place
				paths.Set(name, v.pathItem(item, p.key("paths").key(name)))
			}
		}
	}
	out.Set("paths", paths)
	out.Set("components", components)
	return out
}

func (v *converter) object() *tree.Node {
	return &tree.Node{Kind: tree.Object, Line: 1, Col: 1, File: v.root.File}
}

func (v *converter) list(items ...*tree.Node) *tree.Node {
	return &tree.Node{Kind: tree.Array, Line: 1, Col: 1, File: v.root.File, Items: items}
}

func (v *converter) text(s string) *tree.Node {
	return &tree.Node{Kind: tree.String, Line: 1, Col: 1, File: v.root.File, Text: s}
}

func (v *converter) yes(b bool) *tree.Node {
	return &tree.Node{Kind: tree.Bool, Line: 1, Col: 1, File: v.root.File, Text: fmt.Sprint(b)}
}

// member is an object within an object, made if it is not there.
func (v *converter) member(n *tree.Node, name string) *tree.Node {
	m := n.Get(name)
	if m == nil {
		m = v.object()
		n.Set(name, m)
	}
	return m
}

// copy takes members over as they are. Those with nothing behind them are left
// out.
func (v *converter) copy(to, from *tree.Node, names ...string) {
	for _, name := range names {
		if n := from.Get(name); n != nil && n.Kind != tree.Null {
			to.Set(name, n)
		}
	}
}

func (v *converter) extensions(to, from *tree.Node) {
	for i, item := range from.Items {
		if name := from.Keys[i].Name; isExtension(name) {
			to.Set(name, item)
		}
	}
}

// each visits the objects of a map.
func (v *converter) each(n *tree.Node, visit func(name string, n *tree.Node)) {
	if n == nil || n.Kind != tree.Object {
		return
	}
	for i, item := range n.Items {
		if item.Kind == tree.Object {
			visit(n.Keys[i].Name, item)
		}
	}
}

func mediaTypes(n *tree.Node) []string {
	var types []string
	if n != nil {
		for _, item := range n.Items {
			if item.Kind == tree.String && item.Text != "" {
				types = append(types, item.Text)
			}
		}
	}
	return types
}

// target is what an object refers to, or nil if it does not.
func (v *converter) target(n *tree.Node) (pointer string, target *tree.Node) {
	ref := n.Get("$ref")
	if ref == nil || ref.Kind != tree.String {
		return "", nil
	}
	_, fragment, _ := strings.Cut(ref.Text, "#")
	pointer = unescape(fragment)
	target, _, _ = v.root.Pointer(pointer)
	return pointer, target
}

// deref follows references to their end. check has refused loops.
func (v *converter) deref(n *tree.Node) *tree.Node {
	for range maxChain + 1 {
		if n.Get("$ref") == nil {
			return n
		}
		if _, n = v.target(n); n == nil || n.Kind != tree.Object {
			return nil
		}
	}
	return nil
}

func (v *converter) ref(text string) *tree.Node {
	out := v.object()
	out.Set("$ref", v.text(text))
	return out
}

func (v *converter) schema(n *tree.Node) *tree.Node {
	if n.Kind != tree.Object {
		return n // additionalProperties: true
	}
	if n.Get("$ref") != nil {
		pointer, target := v.target(n)
		if target == nil {
			return v.object()
		}
		name, ok := strings.CutPrefix(pointer, "/definitions/")
		if ok && !strings.Contains(name, "/") {
			return v.ref("#/components/schemas/" + name)
		}
		return v.ref("#/components/schemas/" + v.hoist(pointer, target))
	}
	out := v.object()
	for i, item := range n.Items {
		name := n.Keys[i].Name
		switch {
		case item.Kind == tree.Null && name != "default" && name != "example":
		case name == "items" || name == "additionalProperties":
			out.Set(name, v.schema(item))
		case name == "properties":
			properties := v.object()
			v.each(item, func(name string, n *tree.Node) { properties.Set(name, v.schema(n)) })
			out.Set(name, properties)
		case name == "allOf":
			all := v.list()
			for _, one := range item.Items {
				all.Items = append(all.Items, v.schema(one))
			}
			out.Set(name, all)
		case name == "discriminator":
			d := v.object()
			d.Set("propertyName", item)
			out.Set(name, d)
		case name == "type" && item.Text == "file":
			out.Set("type", v.text("string"))
			out.Set("format", v.text("binary"))
		case name == "format" && out.Get("format") != nil:
		case name == "x-nullable" && item.Kind == tree.Bool:
			out.Set("nullable", item)
		case name == "collectionFormat":
		default:
			out.Set(name, item)
		}
	}
	return out
}

// hoist makes a component of a schema that is somewhere else.
func (v *converter) hoist(pointer string, target *tree.Node) string {
	if name, done := v.hoisted[target]; done {
		return name
	}
	base := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, pointer), "_")
	name := base
	for i := 2; v.root.Get("definitions").Get(name) != nil || v.schemas.Get(name) != nil; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	v.hoisted[target] = name
	v.schemas.Set(name, v.object()) // taken, while its own references are followed
	v.schemas.Set(name, v.schema(target))
	return name
}

func isBody(p *tree.Node) bool {
	in := p.Get("in")
	return in != nil && (in.Text == "body" || in.Text == "formData")
}

// valueKeys are the keys of a parameter or header that say what its value is.
var valueKeys = []string{"type", "format", "items", "default", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "enum", "multipleOf"}

// value is the schema of a parameter or header.
func (v *converter) value(n *tree.Node) *tree.Node {
	flat := v.object()
	v.copy(flat, n, valueKeys...)
	return v.schema(flat)
}

// parameter converts one that is neither body nor form.
func (v *converter) parameter(p *tree.Node) *tree.Node {
	out := v.object()
	v.copy(out, p, "name", "in", "description", "required", "allowEmptyValue")
	v.extensions(out, p)
	if in := p.Get("in"); in != nil && in.Text == "path" {
		out.Set("required", v.yes(true))
	}
	out.Set("schema", v.value(p))
	if typ := p.Get("type"); typ != nil && typ.Text == "array" {
		format := "csv"
		if f := p.Get("collectionFormat"); f != nil && f.Kind == tree.String {
			format = f.Text
		}
		if in := p.Get("in"); in != nil && in.Text == "query" {
			style := map[string]string{"ssv": "spaceDelimited", "pipes": "pipeDelimited"}[format]
			if style == "" {
				style = "form"
			}
			out.Set("style", v.text(style))
			out.Set("explode", v.yes(format == "multi"))
		}
	}
	return out
}

func (v *converter) pathItem(item *tree.Node, p *place) *tree.Node {
	n := v.deref(item)
	if n == nil {
		return v.object()
	}
	out := v.object()
	v.extensions(out, n)
	shared := v.parameters(n.Get("parameters"), out)
	for _, m := range methods[:7] {
		// What stands beside a reference wins.
		op := item.Get(m)
		if op == nil {
			op = n.Get(m)
		}
		if op != nil && op.Kind == tree.Object {
			out.Set(m, v.operation(op, shared, p.key(m)))
		}
	}
	return out
}

// parameters converts a list into out, and returns those that make up a body.
func (v *converter) parameters(n, out *tree.Node) (bodies []*tree.Node) {
	if n == nil || n.Kind != tree.Array {
		return nil
	}
	list := v.list()
	for _, item := range n.Items {
		if item.Kind != tree.Object {
			continue
		}
		p := v.deref(item)
		switch {
		case p == nil:
		case isBody(p):
			bodies = append(bodies, p)
		default:
			pointer, _ := v.target(item)
			if name, ok := strings.CutPrefix(pointer, "/parameters/"); ok && !strings.Contains(name, "/") {
				list.Items = append(list.Items, v.ref("#/components/parameters/"+name))
			} else {
				list.Items = append(list.Items, v.parameter(p))
			}
		}
	}
	if len(list.Items) > 0 {
		out.Set("parameters", list)
	}
	return bodies
}

func (v *converter) operation(op *tree.Node, shared []*tree.Node, p *place) *tree.Node {
	out := v.object()
	v.copy(out, op, "tags", "summary", "description", "externalDocs", "operationId", "deprecated", "security")
	v.extensions(out, op)
	bodies := v.parameters(op.Get("parameters"), out)
	if len(bodies) == 0 {
		bodies = shared
	}
	consumes, produces := v.consumes, v.produces
	if n := op.Get("consumes"); n != nil {
		consumes = mediaTypes(n)
	}
	if n := op.Get("produces"); n != nil {
		produces = mediaTypes(n)
	}
	if body := v.body(bodies, consumes, p); body != nil {
		out.Set("requestBody", body)
	}
	responses := v.object()
	if all := op.Get("responses"); all != nil && all.Kind == tree.Object {
		for i, item := range all.Items {
			switch name := all.Keys[i].Name; {
			case isExtension(name):
				responses.Set(name, item)
			case item.Kind == tree.Object:
				responses.Set(name, v.response(item, produces))
			}
		}
	}
	out.Set("responses", responses)
	return out
}

// body makes a request body of a body parameter or of all form parameters.
func (v *converter) body(params []*tree.Node, consumes []string, p *place) *tree.Node {
	if len(params) == 0 {
		return nil
	}
	out, content := v.object(), v.object()
	out.Set("content", content)
	first := params[0].Get("in").Text
	for _, other := range params[1:] {
		if first == "body" || other.Get("in").Text == "body" {
			v.c.diags.Warnf(other.At(p.key("parameters").String()), "a request has one body: this one is left out of the document that is carried")
		}
	}
	if first == "body" {
		b := params[0]
		v.copy(out, b, "description", "required")
		v.extensions(out, b)
		if len(consumes) == 0 {
			consumes = []string{"application/json"}
		}
		for _, t := range consumes {
			media := v.object()
			if s := b.Get("schema"); s != nil && s.Kind == tree.Object {
				media.Set("schema", v.schema(s))
			}
			content.Set(t, media)
		}
		return out
	}
	schema, properties, required := v.object(), v.object(), v.list()
	schema.Set("type", v.text("object"))
	schema.Set("properties", properties)
	file := false
	for _, f := range params {
		name := f.Get("name")
		if f.Get("in").Text != "formData" || name == nil {
			continue
		}
		s := v.value(f)
		v.copy(s, f, "description")
		properties.Set(name.Text, s)
		if r := f.Get("required"); r != nil && r.Text == "true" {
			required.Items = append(required.Items, name)
		}
		if t := f.Get("type"); t != nil && t.Text == "file" {
			file = true
		}
	}
	if len(required.Items) > 0 {
		schema.Set("required", required)
		out.Set("required", v.yes(true))
	}
	const multipart, urlencoded = "multipart/form-data", "application/x-www-form-urlencoded"
	var types []string
	for _, t := range consumes {
		if t == multipart || t == urlencoded && !file {
			types = append(types, t)
		}
	}
	switch {
	case len(types) > 0:
	case file:
		types = []string{multipart}
	default:
		types = []string{urlencoded}
	}
	for _, t := range types {
		media := v.object()
		media.Set("schema", schema)
		content.Set(t, media)
	}
	return out
}

func (v *converter) response(n *tree.Node, produces []string) *tree.Node {
	if n.Get("$ref") != nil {
		pointer, _ := v.target(n)
		if name, ok := strings.CutPrefix(pointer, "/responses/"); ok && !strings.Contains(name, "/") {
			return v.ref("#/components/responses/" + name)
		}
		if n = v.deref(n); n == nil {
			return v.object()
		}
	}
	out := v.object()
	out.Set("description", v.text(""))
	v.copy(out, n, "description")
	v.extensions(out, n)
	v.each(n.Get("headers"), func(name string, h *tree.Node) {
		header := v.object()
		v.copy(header, h, "description")
		v.extensions(header, h)
		header.Set("schema", v.value(h))
		v.member(out, "headers").Set(name, header)
	})
	examples := n.Get("examples")
	if s := n.Get("schema"); s != nil && s.Kind == tree.Object {
		if len(produces) == 0 {
			produces = []string{"application/json"}
		}
		for _, t := range produces {
			v.member(v.member(out, "content"), t).Set("schema", v.schema(s))
		}
	}
	if examples != nil && examples.Kind == tree.Object {
		for i, item := range examples.Items {
			if t := examples.Keys[i].Name; strings.Contains(t, "/") {
				v.member(v.member(out, "content"), t).Set("example", item)
			}
		}
	}
	return out
}

func (v *converter) scheme(n *tree.Node) *tree.Node {
	out := v.object()
	v.copy(out, n, "description")
	v.extensions(out, n)
	typ := n.Get("type")
	if typ == nil {
		return out
	}
	out.Set("type", typ)
	switch typ.Text {
	case "basic":
		out.Set("type", v.text("http"))
		out.Set("scheme", v.text("basic"))
	case "apiKey":
		v.copy(out, n, "name", "in")
	case "oauth2":
		flows := v.object()
		out.Set("flows", flows)
		flow := n.Get("flow")
		if flow == nil {
			break
		}
		name := map[string]string{"implicit": "implicit", "password": "password", "application": "clientCredentials", "accessCode": "authorizationCode"}[flow.Text]
		if name == "" {
			break
		}
		f := v.object()
		v.copy(f, n, "authorizationUrl", "tokenUrl", "scopes")
		v.member(f, "scopes")
		flows.Set(name, f)
	}
	return out
}

func (v *converter) servers() *tree.Node {
	text := func(name string) string {
		if n := v.root.Get(name); n != nil && n.Kind == tree.String {
			return strings.TrimSpace(n.Text)
		}
		return ""
	}
	base := text("basePath")
	if base != "" && base[0] != '/' {
		base = "/" + base
	}
	list := v.list()
	add := func(url string) {
		s := v.object()
		s.Set("url", v.text(url))
		list.Items = append(list.Items, s)
	}
	host, schemes := text("host"), mediaTypes(v.root.Get("schemes"))
	switch {
	case host == "" && base == "":
		return nil
	case host == "":
		add(base)
	case len(schemes) == 0:
		add("https://" + host + base)
	default:
		for _, s := range schemes {
			add(s + "://" + host + base)
		}
	}
	return list
}
