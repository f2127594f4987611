package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// dialect reads the version that a definition claims.
func dialect(root *tree.Node, l *diag.List) (Dialect, *grammar) {
	if v := root.Get("openapi"); v != nil {
		at := v.At("openapi")
		major, minor, _ := strings.Cut(v.Text, ".")
		minor, _, _ = strings.Cut(minor, ".")
		switch {
		case v.Kind != tree.String && v.Kind != tree.Number:
			l.Errorf(at, "want a version such as 3.0.3, not %s", v.Describe())
		case root.Get("swagger") != nil:
			l.Errorf(at, `both "openapi" and "swagger" are here; keep one`)
		case major == "3" && minor == "0":
			return OpenAPI30, grammar30
		case major == "3" && minor == "1":
			return OpenAPI31, grammar31
		default:
			hint := ""
			if major == "3" {
				hint = "write 3.1.1 if it has nothing that came later"
			}
			l.ErrorHint(at, hint, "OpenAPI %s is not supported: 3.0 and 3.1 are, and Swagger 2.0", v.Text)
		}
		return 0, nil
	}
	v := root.Get("swagger")
	if v.Text == "2.0" || v.Text == "2" {
		// "swagger: 2.0" without quotes is a number, and means the same.
		v.Kind, v.Text = tree.String, "2.0"
		return Swagger20, grammar20
	}
	l.Errorf(v.At("swagger"), "Swagger %s is not supported: 2.0 is, and OpenAPI 3.0 and 3.1", v.Describe())
	return 0, nil
}

func load(fs *files, f *file, l *diag.List) *Document {
	root := f.root
	before := l.Count(diag.Error)
	kind, g := dialect(root, l)
	if g == nil {
		return nil
	}
	fs.ids = g == grammar31
	c := &checker{
		files: fs, grammar: g, version: kind.String(), main: f, diags: l,
		done: make(map[visit]bool), looped: make(map[*tree.Node]bool), repeats: make(map[repeat]*repetition),
	}
	c.check()
	doc := &Document{File: f.name, Dialect: kind, At: diag.At{File: f.name, Line: int(root.Line), Column: int(root.Col)}}
	doc.source = c
	c.info(doc)
	r := &reader{diags: l, omit: c.omit}
	doc.Extensions = r.root(root)
	doc.Servers = c.servers(doc, root)
	doc.Schemes = c.schemes()
	doc.Security = c.security(root, nil)
	c.paths(doc, r)
	c.flush()
	if l.Count(diag.Error) > before {
		return doc // the document's JSON is not wanted any more
	}
	// Where a schema has an $id, references in it are made to start from the
	// document, as in all others. With dynamic ones that cannot be done.
	ids := f.identified(fs)
	if c.outside || ids != nil && !ids.dynamic {
		root = c.bundle()
	}
	if kind == Swagger20 {
		c.lost(root)
		root = c.convert(root)
	}
	doc.Omitted = c.omissions()
	doc.JSON = root.AppendJSON(make([]byte, 0, f.size+f.size/8))
	return doc
}

func (c *checker) info(doc *Document) {
	root := c.main.root
	info := root.Get("info")
	if info == nil || info.Kind != tree.Object {
		if info == nil || info.Kind == tree.Null {
			c.diags.Errorf(doc.At, `"info" is missing: title and version name the API`)
		}
		return
	}
	for _, name := range []string{"title", "version"} {
		to := &doc.Title
		if name == "version" {
			to = &doc.Version
		}
		n := info.Get(name)
		if n == nil || n.Text == "" {
			*to = Text{At: info.At("info")}
			switch {
			case n != nil && n.Kind != tree.Null && n.Kind != tree.String: // said already
			case name == "title":
				// Some real definitions have none. A name nobody else has does no
				// harm, and the file's is the one that the author knows it by.
				to.Value = strings.TrimSuffix(path.Base(doc.File), path.Ext(doc.File))
				c.diags.Warnf(info.At("info"), `"title" is missing: the API is called %q, after its file`, to.Value)
				info.Set(name, &tree.Node{Kind: tree.String, Text: to.Value, Line: info.Line, Col: info.Col, File: info.File})
			default:
				c.diags.Errorf(info.At("info"), "%q is missing", name)
			}
			continue
		}
		*to = Text{n.Text, n.At("info." + name)}
	}
}

// methods in the order of the standard.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (c *checker) paths(doc *Document, r *reader) {
	root := c.main.root
	paths := root.Get("paths")
	if paths == nil || paths.Kind != tree.Object {
		if (paths == nil || paths.Kind == tree.Null) && root.Get("webhooks") == nil && root.Get("components") == nil {
			c.diags.Errorf(doc.At, `"paths" is missing`)
		}
		return
	}
	f := c.main
	if ref := paths.Get("$ref"); len(paths.Keys) == 1 && ref != nil {
		if paths, f = c.deref(paths, f); paths == nil {
			return
		}
	}
	var top *place
	top = top.key("paths")
	for i, item := range paths.Items {
		key := paths.Keys[i].Name
		if !strings.HasPrefix(key, "/") {
			continue
		}
		p := top.key(key)
		at := paths.KeyAt(i, p.String())
		found, chain := c.operations(item, f)
		shared := r.pathItem(chain, p)
		for _, op := range found {
			place := p.key(op.method)
			o := &Operation{
				Method: strings.ToUpper(op.method), node: op.node, item: op.item,
				Path: Text{key, at},
				At:   op.item.KeyAt(op.item.Find(op.method), place.String()),
			}
			if id := op.node.Get("operationId"); id != nil {
				o.OperationID = id.Text
			}
			o.Security = c.security(op.node, place)
			o.Extensions = r.operation(op.node, place)
			o.PathItem = shared
			c.parameters(o, op, place)
			if c.grammar != grammar20 {
				o.Servers = c.serverList(op.node.Get("servers"), place.key("servers"))
				if o.Servers == nil {
					o.Servers = c.serverList(op.item.Get("servers"), p.key("servers"))
				}
			}
			doc.Operations = append(doc.Operations, o)
		}
	}
}

type located struct {
	method string
	node   *tree.Node
	item   *tree.Node // the path item it stands in
	file   *file      // and its file
}

// operations collects the methods of a path item. Where the item is a reference
// what it leads to adds the methods that are not written beside it. The chain is
// the item with all that it leads to.
func (c *checker) operations(item *tree.Node, f *file) (list []located, chain []*tree.Node) {
	found := make(map[string]located)
	for range maxChain + 1 {
		if item == nil || item.Kind != tree.Object {
			break
		}
		chain = append(chain, item)
		for _, m := range methods {
			if c.grammar.objects["PathItem"].keys[m] == nil {
				continue
			}
			if n := item.Get(m); n != nil && n.Kind == tree.Object && found[m].node == nil {
				found[m] = located{m, n, item, f}
			}
		}
		ref := item.Get("$ref")
		if ref == nil || ref.Kind != tree.String {
			break
		}
		f, item = c.files.quiet().target(f, ref, diag.At{})
	}
	for _, m := range methods {
		if found[m].node != nil {
			list = append(list, found[m])
		}
	}
	return list, chain
}

// servers are the root's.
func (c *checker) servers(doc *Document, root *tree.Node) []Server {
	var p *place
	if doc.Dialect != Swagger20 {
		return c.serverList(root.Get("servers"), p.key("servers"))
	}
	host, base, schemes := root.Get("host"), root.Get("basePath"), root.Get("schemes")
	text := func(n *tree.Node) string {
		if n == nil || n.Kind != tree.String {
			return ""
		}
		return strings.TrimSpace(n.Text)
	}
	prefix := text(base)
	if prefix != "" && prefix[0] != '/' {
		prefix = "/" + prefix
	}
	if text(host) == "" {
		if prefix == "" {
			return nil
		}
		return []Server{{URL: prefix, At: base.At("basePath")}}
	}
	// The schemes are ways to one host: of two ways the safe one is taken, not
	// both in turn.
	var names []string
	if schemes != nil {
		for _, s := range schemes.Items {
			names = append(names, strings.ToLower(s.Text))
		}
	}
	scheme := "https"
	switch {
	case slices.Contains(names, "https"):
	case slices.Contains(names, "http"):
		scheme = "http"
	case len(names) > 0:
		scheme = names[0]
	}
	name := text(host)
	if strings.ContainsAny(name, "/?#") {
		c.diags.ErrorHint(host.At("host"), "the scheme belongs into schemes, the path into basePath", "%q is not a host", name)
		if _, rest, ok := strings.Cut(name, "://"); ok {
			name = rest
		}
		name, _, _ = strings.Cut(name, "/")
	}
	return []Server{{URL: scheme + "://" + name + prefix, At: host.At("host")}}
}

func (c *checker) serverList(n *tree.Node, p *place) []Server {
	if n == nil || n.Kind != tree.Array {
		return nil
	}
	var list []Server
	for i, item := range n.Items {
		if item.Kind != tree.Object {
			continue
		}
		p := p.item(i)
		u := item.Get("url")
		if u == nil || u.Kind != tree.String {
			if u == nil || u.Kind == tree.Null {
				c.diags.Errorf(item.At(p.String()), `"url" is missing`)
			}
			continue
		}
		s := Server{At: u.At(p.key("url").String())}
		c.expand(u, item.Get("variables"), p, &s)
		if rest, name, ok := placeholder(s.URL); ok && s.Problem == "" {
			c.diags.WarnHint(s.At, "give the variable a real value as its default", "the host of the server %q is not known: %q stands for itself; only its path counts", s.URL, "{"+name+"}")
			s.URL = rest
		}
		list = append(list, s)
	}
	return list
}

// placeholder recognises a server whose host is still a template after the
// variables' defaults were put in, since their defaults are templates
// ("accountName: {default: "{accountName}"}"). It names no host, so it is what a
// relative server is: a path.
func placeholder(url string) (rest, name string, ok bool) {
	scheme, after, absolute := strings.Cut(url, "//")
	if !absolute || scheme != "" && !strings.HasSuffix(scheme, ":") {
		return "", "", false
	}
	host, rest, _ := strings.Cut(after, "/")
	_, name, open := strings.Cut(scheme+host, "{")
	name, _, closed := strings.Cut(name, "}")
	return "/" + rest, name, open && closed
}

// schemes reads the security schemes.
func (c *checker) schemes() []SecurityScheme {
	root := c.main.root
	list, top := root.Get("components").Get("securitySchemes"), "components.securitySchemes."
	if c.grammar == grammar20 {
		list, top = root.Get("securityDefinitions"), "securityDefinitions."
	}
	if list == nil || list.Kind != tree.Object {
		return nil
	}
	list, f := c.includeQuietly(list)
	var schemes []SecurityScheme
	for i, item := range list.Items {
		name := list.Keys[i].Name
		if strings.HasPrefix(name, "x-") && item.Kind != tree.Object {
			continue
		}
		s := SecurityScheme{Name: name, At: list.KeyAt(i, top+name)}
		if n, _ := c.deref(item, f); n != nil && n.Kind == tree.Object {
			c.scheme(n, &s)
		}
		schemes = append(schemes, s)
	}
	return schemes
}

func (c *checker) includeQuietly(n *tree.Node) (*tree.Node, *file) {
	if ref := n.Get("$ref"); len(n.Keys) == 1 && ref != nil && ref.Kind == tree.String {
		if to, f := c.deref(n, c.main); to != nil {
			return to, f
		}
	}
	return n, c.main
}

func (c *checker) scheme(n *tree.Node, s *SecurityScheme) {
	text := func(key string) string {
		if v := n.Get(key); v != nil && v.Kind == tree.String {
			return v.Text
		}
		return ""
	}
	at := func(key string) diag.At {
		if v := n.Get(key); v != nil {
			return v.At(s.At.Place + "." + key)
		}
		return n.At(s.At.Place)
	}
	known := []string{"apiKey", "http", "oauth2", "openIdConnect"}
	switch c.grammar {
	case grammar20:
		known = []string{"basic", "apiKey", "oauth2"}
	case grammar31:
		known = append(known, "mutualTLS")
	}
	typ := text("type")
	s.Type = typ
	if !slices.Contains(known, typ) {
		// There will be no artifact; whatever refers to it shall not be called
		// something that cannot be checked on top of that.
		s.Kind = OAuth2
		if typ == "" {
			c.diags.Errorf(at("type"), `the security scheme lacks "type": one of %s`, strings.Join(known, ", "))
		} else {
			hint := diag.DidYouMean(typ, known)
			if typ == "mutualTLS" {
				hint = "OpenAPI 3.1 has it; here x-wso2-mutual-ssl: mandatory asks for client certificates"
			}
			c.diags.ErrorHint(at("type"), hint, "%q is none of %s", typ, strings.Join(known, ", "))
		}
		return
	}
	switch typ {
	case "oauth2":
		s.Kind = OAuth2
		flows := []*tree.Node{n} // Swagger 2.0 has one, and it is the scheme
		if c.grammar != grammar20 {
			flows = nil
			if all := n.Get("flows"); all != nil {
				flows = all.Items
			}
		}
		for _, flow := range flows {
			for _, scope := range flow.Get("scopes").Names() {
				if !strings.HasPrefix(scope, "x-") {
					s.Scopes = append(s.Scopes, scope)
				}
			}
		}
	case "openIdConnect":
		s.Kind, s.URL = OpenIDConnect, text("openIdConnectUrl")
	case "basic":
		s.Kind = Basic
	case "mutualTLS":
		s.Kind = MutualTLS
	case "apiKey":
		s.Kind, s.In, s.Key = APIKey, text("in"), text("name")
		places := []string{"header", "query", "cookie"}
		if c.grammar == grammar20 {
			places = places[:2]
		}
		if !slices.Contains(places, s.In) {
			c.diags.ErrorHint(at("in"), diag.DidYouMean(s.In, places), `want "in" to be one of %s`, strings.Join(places, ", "))
		}
		switch {
		case s.Key == "":
			c.diags.Errorf(at("name"), "the API key has no name")
		case s.In != "query" && !fieldName.MatchString(s.Key):
			// RFC 9110, section 5.1; RFC 6265, section 4.1.1.
			c.diags.Warnf(at("name"), "no %s can have the name %q, so nobody can send this key", s.In, s.Key)
		}
	case "http":
		switch scheme := strings.ToLower(text("scheme")); scheme {
		case "":
			s.Kind = OAuth2 // as above
			c.diags.Errorf(at("scheme"), `the http security scheme lacks "scheme": bearer or basic`)
		case "bearer", "jwt":
			s.Kind = Bearer
		case "basic":
			s.Kind = Basic
		default:
			s.Type = "http " + scheme
		}
	}
}

// security reads a "security" list. What is malformed is reported and tightened
// rather than loosened: WSO2 tolerates it, and so do definitions written for it.
func (c *checker) security(n *tree.Node, p *place) *Security {
	list := n.Get("security")
	if list == nil {
		return nil
	}
	p = p.key("security")
	s := &Security{At: list.At(p.String())}
	if list.Kind == tree.Null {
		return nil
	}
	if list.Kind != tree.Array {
		c.diags.Errorf(s.At, "want a list, not %s", list.Describe())
		return nil
	}
	for i, item := range list.Items {
		p := p.item(i)
		a := Alternative{At: item.At(p.String())}
		switch item.Kind {
		case tree.String:
			c.diags.WarnHint(a.At, fmt.Sprintf("write \"%s: []\"", item.Text), "want an object, not %s: it is read as the name of a scheme", item.Describe())
			a.Requirements = []Requirement{{Scheme: item.Text, At: a.At}}
			// The document that is carried says what was understood.
			name := item.Text
			item.Kind, item.Text = tree.Object, ""
			item.Set(name, &tree.Node{Kind: tree.Array, Line: item.Line, Col: item.Col, File: item.File})
		case tree.Object:
			for k, scopes := range item.Items {
				name := item.Keys[k].Name
				r := Requirement{Scheme: name, At: item.KeyAt(k, p.String())}
				switch {
				case scopes.Kind == tree.Array:
					for j, scope := range scopes.Items {
						if scope.Kind != tree.String && scope.Kind != tree.Number {
							c.diags.Errorf(scope.At(p.key(name).item(j).String()), "want a scope, not %s", scope.Describe())
							continue
						}
						scope.Kind = tree.String
						r.Scopes = append(r.Scopes, scope.Text)
					}
				case scopes.Kind == tree.String:
					c.diags.Warnf(scopes.At(p.key(name).String()), "want a list of scopes, not %s: its words are read as scopes", scopes.Describe())
					r.Scopes = strings.Fields(strings.ReplaceAll(scopes.Text, ",", " "))
					scopes.Kind, scopes.Text = tree.Array, ""
					for _, s := range r.Scopes {
						scopes.Items = append(scopes.Items, &tree.Node{Kind: tree.String, Text: s, Line: scopes.Line, Col: scopes.Col, File: scopes.File})
					}
				case scopes.Kind == tree.Null:
				default:
					c.diags.Errorf(scopes.At(p.key(name).String()), "want a list of scopes, not %s", scopes.Describe())
				}
				a.Requirements = append(a.Requirements, r)
			}
		default:
			c.diags.Errorf(a.At, "want an object, not %s", item.Describe())
			continue
		}
		s.Alternatives = append(s.Alternatives, a)
	}
	return s
}
