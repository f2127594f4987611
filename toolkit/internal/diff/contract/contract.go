// Package contract compares what two OpenAPI documents promise of one operation:
// its parameters, bodies, responses and their schemas.
//
// It knows what a value of a schema may be and asks of every difference whether
// the new side takes fewer values than the old one ("narrowed"), more
// ("widened") or others. A request breaks by what is narrowed, a response by what
// is widened; package diff has the table. What the comparison cannot decide (a
// condition that was rewritten, a pattern that is another one) counts as both.
//
// What surprises:
//
//   - Schemas are compared by what they say, not by how they are written: allOf
//     is merged, a schema moved into a component or out of it is the same, and
//     so are "nullable" of OpenAPI 3.0 and the type "null" of 3.1.
//   - A difference within a component is one finding with all the operations
//     that reach it, not one for each of them.
//   - In requests properties that are readOnly do not count, in responses those
//     that are writeOnly (OpenAPI 3.0.4, section 4.7.24.2).
//   - Members that an object does not declare are not expected: a response that
//     gains a property is not widened.
//
// Callbacks, webhooks, links and the encoding of form fields are not compared:
// the gateway does not route the first two.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A Finding is one difference.
type Finding struct {
	// Code is an entry of package diff's table.
	Code string
	// Operations are those that it concerns, as numbers given to Operation,
	// ascending.
	Operations []int
	// Place is where: "query parameter limit", "schema Pet: .name".
	Place string
	// Before and After are empty where the code says it all.
	Before, After string
}

// A Document is an OpenAPI 3 document, ready to be compared.
type Document struct {
	root     map[string]any
	siblings bool // keywords beside a $ref count (3.1)
	merged   int  // parts of the schema that is being merged
	schemas  map[string]*schema
}

// Parse reads a document in JSON. What is not as OpenAPI has it is taken for
// absent: a build has checked it.
func Parse(data []byte) (*Document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	doc := &Document{schemas: make(map[string]*schema)}
	if err := d.Decode(&doc.root); err != nil {
		return nil, fmt.Errorf("the document: %w", err)
	}
	doc.siblings = !strings.HasPrefix(text(doc.root["openapi"]), "3.0")
	return doc, nil
}

// A Target names an operation of a document.
type Target struct {
	Method string // upper case
	Path   string // as in the document
	// Params are the names of the path's parameters, in order. They are compared
	// by position: their names are not the caller's business.
	Params []string
}

// A Comparison collects the findings of one pair of documents.
type Comparison struct {
	old, new *Document
	frames   map[frameKey]*frame
	order    []*frame // in the order in which they were made
	quiet    *Comparison
	relation map[[2]string]relation
	steps    int
}

// Compare begins a comparison.
func Compare(old, new *Document) *Comparison {
	c := begin(old, new)
	c.quiet = begin(old, new)
	c.quiet.quiet = c.quiet
	return c
}

func begin(old, new *Document) *Comparison {
	return &Comparison{old: old, new: new, frames: make(map[frameKey]*frame), relation: make(map[[2]string]relation)}
}

// Operation compares one operation of both sides. The number stands for it in
// the findings.
func (c *Comparison) Operation(number int, old, new Target) {
	f := &frame{ops: []int{number}}
	c.order = append(c.order, f)
	o, n := c.old.operation(old), c.new.operation(new)
	if a, b := o.get("operationId"), n.get("operationId"); text(a) != text(b) {
		f.add("operation-id-changed", "", orNone(text(a)), orNone(text(b)))
	}
	switch a, b := truth(o.get("deprecated")), truth(n.get("deprecated")); {
	case b && !a:
		f.add("operation-deprecated", "", "", "")
	case a && !b:
		f.add("operation-revived", "", "", "")
	}
	c.parameters(f, c.old.parameters(old, o), c.new.parameters(new, n))
	c.requestBody(f, o, n)
	c.responses(f, o, n)
}

// Findings are all that was found, in a stable order.
func (c *Comparison) Findings() []Finding {
	var out []Finding
	for _, f := range c.order {
		if len(f.findings) == 0 {
			continue
		}
		ops := f.operations()
		seen := make(map[identity]bool)
		for _, x := range f.findings {
			x := Finding{Code: x.code, Operations: ops, Place: x.place, Before: x.before, After: x.after}
			switch {
			case f.name != "" && x.Place == "":
				x.Place = f.name
			case f.name != "":
				x.Place = f.name + ": " + x.Place
			}
			// Two responses may share one media type, two names one schema.
			if key := (identity{x.Code, x.Place, x.Before, x.After}); !seen[key] {
				seen[key] = true
				out = append(out, x)
			}
		}
	}
	return out
}

// An identity is a Finding without its operations.
type identity [4]string

// A frame is where findings are collected: an operation, or a pair of components
// in one direction, which is compared once however many lead to it.
type frame struct {
	name     string
	ops      []int // of an operation: itself
	parents  []*frame
	children []*frame
	open     map[frameKey]bool // being compared
	times    map[frameKey]int
	findings []found
}

type found struct{ code, place, before, after string }

func (f *frame) add(code, place, before, after string) {
	f.findings = append(f.findings, found{code, place, before, after})
}

// operations walks up to all operations that lead here.
func (f *frame) operations() []int {
	var ops []int
	seen := map[*frame]bool{f: true}
	for todo := []*frame{f}; len(todo) > 0; todo = todo[1:] {
		ops = append(ops, todo[0].ops...)
		for _, p := range todo[0].parents {
			if !seen[p] {
				seen[p] = true
				todo = append(todo, p)
			}
		}
	}
	slices.Sort(ops)
	return slices.Compact(ops)
}

// An object is a JSON object and where it stands in its document.
type object struct {
	v   map[string]any
	ptr string
}

func (o object) get(key string) any { return o.v[key] }

func (o object) child(key string) part {
	return part{o.v[key], o.ptr + "/" + escape(key)}
}

// A part is any value and where it stands.
type part struct {
	v   any
	ptr string
}

func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// maxHops bounds a chain of references.
const maxHops = 64

// object follows references and returns the object there, empty if there is none.
func (d *Document) object(p part) object {
	for range maxHops {
		m, ok := p.v.(map[string]any)
		if !ok {
			return object{}
		}
		ref, ok := m["$ref"].(string)
		if !ok {
			return object{m, p.ptr}
		}
		if p, ok = d.find(ref); !ok {
			return object{}
		}
	}
	return object{}
}

// find looks up a reference into the document itself; the build has bundled all
// others.
func (d *Document) find(ref string) (part, bool) {
	ptr, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return part{}, false
	}
	if s, err := url.PathUnescape(ptr); err == nil {
		ptr = s
	}
	var v any = d.root
	if ptr == "" {
		return part{v, ""}, true
	}
	if ptr[0] != '/' {
		return part{}, false
	}
	for key := range strings.SplitSeq(ptr[1:], "/") {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		switch x := v.(type) {
		case map[string]any:
			if v, ok = x[key]; !ok {
				return part{}, false
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				return part{}, false
			}
			v = x[i]
		default:
			return part{}, false
		}
	}
	return part{v, ptr}, true
}

func (d *Document) pathItem(t Target) object {
	return d.object(d.object(object{d.root, ""}.child("paths")).child(t.Path))
}

func (d *Document) operation(t Target) object {
	return d.object(d.pathItem(t).child(strings.ToLower(t.Method)))
}

// A parameter is one as it holds for an operation.
type parameter struct {
	in, name string
	label    string // for people
	required bool
	style    string
	explode  bool
	schema   part
	media    string // of "content"; empty for a schema
}

// parameters are those of the operation and of its path, by key.
func (d *Document) parameters(t Target, op object) map[string]parameter {
	out := make(map[string]parameter)
	for _, list := range []part{d.pathItem(t).child("parameters"), op.child("parameters")} {
		items, _ := list.v.([]any)
		for i, v := range items {
			o := d.object(part{v, fmt.Sprintf("%s/%d", list.ptr, i)})
			p := parameter{in: text(o.get("in")), name: text(o.get("name")), required: truth(o.get("required"))}
			key := p.name
			switch p.in {
			case "header":
				key = strings.ToLower(key)
				// OpenAPI 3.0.4, section 4.7.12.1: such a definition is ignored.
				if key == "accept" || key == "content-type" || key == "authorization" {
					continue
				}
			case "path":
				i := slices.Index(t.Params, p.name)
				if i < 0 {
					continue // it is in no path: nobody sends it
				}
				key, p.required = strconv.Itoa(i), true
			case "query", "cookie":
			default:
				continue
			}
			p.label = p.in + " parameter " + p.name
			p.style = text(o.get("style"))
			if p.style == "" {
				p.style = "simple"
				if p.in == "query" || p.in == "cookie" {
					p.style = "form"
				}
			}
			p.explode = p.style == "form"
			if v, ok := o.get("explode").(bool); ok {
				p.explode = v
			}
			p.schema = o.child("schema")
			if content := d.object(o.child("content")); len(content.v) > 0 {
				p.media = keys(content.v)[0]
				p.schema = d.object(content.child(p.media)).child("schema")
			}
			out[p.in+" "+key] = p
		}
	}
	return out
}

func (c *Comparison) parameters(f *frame, old, new map[string]parameter) {
	for _, key := range union(old, new) {
		o, inOld := old[key]
		n, inNew := new[key]
		switch {
		case !inOld && n.required:
			f.add("request-parameter-added-required", n.label, "", "")
		case !inOld:
			f.add("request-parameter-added", n.label, "", "")
		case !inNew && o.required:
			f.add("request-parameter-removed-required", o.label, "", "")
		case !inNew:
			f.add("request-parameter-removed", o.label, "", "")
		default:
			if o.in == "path" && o.name != n.name {
				f.add("path-parameter-renamed", n.label, "{"+o.name+"}", "{"+n.name+"}")
			}
			switch {
			case n.required && !o.required:
				f.add("request-parameter-became-required", n.label, "", "")
			case o.required && !n.required:
				f.add("request-parameter-became-optional", n.label, "", "")
			}
			on, nn := single(o.schema), single(n.schema)
			if a, b := c.old.serialization(o, on), c.new.serialization(n, nn); a != b {
				f.add("request-parameter-style-changed", n.label, a, b)
			}
			c.schemas(f, request, n.label, on, nn)
		}
	}
}

// serialization is how a value is written, as far as it matters for the schema:
// all styles of one place write a plain string alike, except in a path.
func (d *Document) serialization(p parameter, n node) string {
	if p.media != "" {
		return p.media
	}
	if d.normal(n).types&(typeArray|typeObject) == 0 {
		if p.in == "path" {
			return p.style
		}
		return "plain"
	}
	return fmt.Sprintf("style %s, explode %t", p.style, p.explode)
}

func (c *Comparison) requestBody(f *frame, o, n object) {
	ob, nb := c.old.object(o.child("requestBody")), c.new.object(n.child("requestBody"))
	a, b := truth(ob.get("required")), truth(nb.get("required"))
	const place = "request body"
	switch {
	case ob.v == nil && nb.v == nil:
	case ob.v == nil && b:
		f.add("request-body-added-required", place, "", "")
	case ob.v == nil:
		f.add("request-body-added", place, "", "")
	case nb.v == nil && a:
		f.add("request-body-removed-required", place, "", "")
	case nb.v == nil:
		f.add("request-body-removed", place, "", "")
	default:
		switch {
		case b && !a:
			f.add("request-body-became-required", place, "", "")
		case a && !b:
			f.add("request-body-became-optional", place, "", "")
		}
		c.content(f, request, place, ob, nb)
	}
}

// content compares what is under "content" of a body.
func (c *Comparison) content(f *frame, dir direction, place string, o, n object) {
	old, new := c.old.media(o), c.new.media(n)
	for _, name := range union(old, new) {
		a, b := cover(old, name), cover(new, name)
		switch {
		case a.ptr == "":
			f.add(string(dir)+"-media-type-added", place, "", name)
		case b.ptr == "":
			f.add(string(dir)+"-media-type-removed", place, name, "")
		default:
			c.schemas(f, dir, place+" "+name, single(a), single(b))
		}
	}
}

// media are the schemas under "content", by media type without its parameters.
func (d *Document) media(o object) map[string]part {
	out := make(map[string]part)
	content := d.object(o.child("content"))
	for _, name := range keys(content.v) {
		short, _, _ := strings.Cut(name, ";")
		short = strings.ToLower(strings.TrimSpace(short))
		if _, again := out[short]; !again {
			out[short] = d.object(content.child(name)).child("schema")
		}
	}
	return out
}

// cover is the entry for a media type: its own, or that of a range it is in.
func cover(m map[string]part, name string) part {
	if p, ok := m[name]; ok {
		return p
	}
	typ, _, _ := strings.Cut(name, "/")
	if p, ok := m[typ+"/*"]; ok {
		return p
	}
	return m["*/*"]
}

func (c *Comparison) responses(f *frame, o, n object) {
	ro, rn := c.old.object(o.child("responses")), c.new.object(n.child("responses"))
	for _, status := range union(ro.v, rn.v) {
		if status == "" || strings.HasPrefix(status, "x-") {
			continue
		}
		a, b := c.old.response(ro, status), c.new.response(rn, status)
		place := "response " + status
		switch {
		case a.v == nil:
			f.add("response-added", place, "", "")
		case b.v == nil && status[0] == '2':
			f.add("response-removed", place, "", "")
		case b.v == nil:
			f.add("response-removed-error", place, "", "")
		default:
			c.headers(f, place, a, b)
			c.content(f, response, place, a, b)
		}
	}
}

// response is the entry for a status: its own, that of its class, or the default.
func (d *Document) response(responses object, status string) object {
	for _, name := range []string{status, status[:1] + "XX", "default"} {
		if _, ok := responses.v[name]; ok && (name == status || status != "default") {
			return d.object(responses.child(name))
		}
	}
	return object{}
}

func (c *Comparison) headers(f *frame, place string, o, n object) {
	old, new := c.old.headers(o), c.new.headers(n)
	for _, key := range union(old, new) {
		a, inOld := old[key]
		b, inNew := new[key]
		place := place + " header " + key
		required, also := truth(a.get("required")), truth(b.get("required"))
		switch {
		case !inOld && also:
			f.add("response-header-added-required", place, "", "")
		case !inOld:
			f.add("response-header-added", place, "", "")
		case !inNew && required:
			f.add("response-header-removed-required", place, "", "")
		case !inNew:
			f.add("response-header-removed", place, "", "")
		default:
			switch {
			case also && !required:
				f.add("response-header-became-required", place, "", "")
			case required && !also:
				f.add("response-header-became-optional", place, "", "")
			}
			c.schemas(f, response, place, single(a.child("schema")), single(b.child("schema")))
		}
	}
}

func (d *Document) headers(o object) map[string]object {
	out := make(map[string]object)
	list := d.object(o.child("headers"))
	for _, name := range keys(list.v) {
		if key := strings.ToLower(name); key != "content-type" {
			out[key] = d.object(list.child(name))
		}
	}
	return out
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func union[V any](a, b map[string]V) []string {
	out := keys(a)
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

func text(v any) string { s, _ := v.(string); return s }
func truth(v any) bool  { b, _ := v.(bool); return b }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
