// Package ledger says of every keyword in a project's definitions whether the
// gateway enforces it.
//
// A ledger is made from an artifact alone: it walks the documents that the
// artifact carries by the tables of the standard, so that nothing in them is
// left out, and gives each keyword a verdict by the rules in rules.go. Where a
// verdict depends on what the build has decided, it is read off the operation:
// its stages, its security, its endpoints. Where it depends on what this version
// can do at all, it is read off compile.Feature, which the compiler warns by as
// well.
//
// What surprises: a keyword in a component counts once, in the component's
// section, and again in the sums of every operation that reaches it (Shared),
// since one operation may enforce what another does not. A Swagger 2.0
// definition is judged as the OpenAPI 3.0 document that the artifact has of it;
// From names the keyword that the author wrote.
package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A Verdict is what becomes of a keyword.
type Verdict string

const (
	// Enforced: the gateway acts on it, and what it says holds for every call.
	Enforced Verdict = "enforced"
	// Documented: it is in the artifact for readers of the document, and changes
	// nothing for a call.
	Documented Verdict = "documented only"
	// Refused: the gateway does not do what it says, and is stricter instead.
	Refused Verdict = "refused"
)

// Verdicts in the order in which they are printed.
var Verdicts = []Verdict{Enforced, Refused, Documented}

// Counts are numbers of keywords by verdict.
type Counts struct {
	Enforced   int `json:"enforced"`
	Refused    int `json:"refused"`
	Documented int `json:"documented_only"`
}

// Add counts n keywords.
func (c *Counts) Add(v Verdict, n int) {
	switch v {
	case Enforced:
		c.Enforced += n
	case Refused:
		c.Refused += n
	default:
		c.Documented += n
	}
}

// Of is the number with a verdict.
func (c Counts) Of(v Verdict) int {
	switch v {
	case Enforced:
		return c.Enforced
	case Refused:
		return c.Refused
	default:
		return c.Documented
	}
}

func (c *Counts) sum(d Counts) {
	c.Enforced += d.Enforced
	c.Refused += d.Refused
	c.Documented += d.Documented
}

// A Ledger is that of a project. The JSON names are stable.
type Ledger struct {
	Project string `json:"project"`
	// Keywords counts every keyword of every document once.
	Keywords Counts `json:"keywords"`
	APIs     []API  `json:"apis"`
}

// An API is a definition and what the project makes of it.
type API struct {
	Title      string `json:"title"`
	Version    string `json:"version"`
	BasePath   string `json:"base_path"`
	Definition string `json:"definition"`
	Dialect    string `json:"dialect"`
	Keywords   Counts `json:"keywords"`
	// Sections in document order: the definition as a whole, then each path with
	// its operations, then components.
	Sections []Section `json:"sections"`
}

// Kind says what a section is about.
type Kind string

const (
	Definition Kind = "definition"
	Path       Kind = "path"
	Operation  Kind = "operation"
	Component  Kind = "component"
)

// A Section is a part of a document.
type Section struct {
	Kind Kind `json:"kind"`
	// Name is "METHOD PATH" of an operation, the path, or "schemas/Pet".
	Name    string `json:"name"`
	Pointer string `json:"pointer"`
	// Position of an operation in the project's files: "shop.yaml:7:5".
	Position string `json:"position,omitempty"`
	Keywords Counts `json:"keywords"`
	// Rows are the keywords that stand in this part.
	Rows []Row `json:"rows"`
	// Uses are the components that it refers to, sorted.
	Uses []string `json:"uses,omitempty"`
	// Shared are the keywords of components that an operation reaches, and of
	// its path: their verdicts for this operation. They are not counted in
	// Keywords, and have no places: those are in the components' sections.
	Shared []Row `json:"shared,omitempty"`
}

// A Row is a keyword with its verdict.
type Row struct {
	// Object is the kind of object in the words of the standard: "Schema".
	Object  string `json:"object"`
	Keyword string `json:"keyword"`
	// From is the keyword of Swagger 2.0 that it was made from.
	From string `json:"from,omitempty"`
	// In says what the keyword is about: "parameters", "request body",
	// "responses", "callbacks", "webhooks"; empty for the operation itself.
	In      string  `json:"in,omitempty"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
	Count   int     `json:"count"`
	// Positions are where a keyword stands in the project's files that the
	// document of the artifact has lost: "shop.yaml:7:5".
	Positions []string `json:"positions,omitempty"`
	// Pointers are the objects that have the keyword, in document order, as JSON
	// pointers into the document of the artifact.
	Pointers []string `json:"pointers,omitempty"`

	describes bool // it is for readers only, in any version
}

// Of makes the ledger of an artifact. It fails only if a document of the
// artifact is no JSON, which no artifact of a build has.
func Of(a *artifactpb.Artifact) (*Ledger, error) {
	l := &Ledger{Project: a.GetProject(), APIs: []API{}}
	for _, api := range a.GetApis() {
		if int(api.GetDocument()) >= len(a.GetDocuments()) {
			return nil, fmt.Errorf("API %q: no document %d", api.GetTitle(), api.GetDocument())
		}
		doc := a.GetDocuments()[api.GetDocument()]
		file := ""
		if s := a.GetSources(); int(doc.GetSource()) < len(s) {
			file = s[doc.GetSource()].GetPath()
		}
		var problems diag.List
		root := tree.Parse("document.json", doc.GetJson(), &problems)
		if root == nil {
			return nil, fmt.Errorf("API %q: the document cannot be read: %v", api.GetTitle(), problems)
		}
		d := newDocument(a, api, doc, root)
		out := API{
			Title: api.GetTitle(), Version: api.GetVersion(), BasePath: api.GetBasePath(),
			Definition: file, Dialect: d.written.String(),
		}
		out.Sections = d.sections()
		for _, s := range out.Sections {
			out.Keywords.sum(s.Keywords)
		}
		l.Keywords.sum(out.Keywords)
		l.APIs = append(l.APIs, out)
	}
	return l, nil
}

// document is what is known of one document while its ledger is made.
type document struct {
	artifact *artifactpb.Artifact
	api      *artifactpb.Api
	root     *tree.Node
	written  spec.Dialect // by the author
	grammar  spec.Grammar
	ops      map[string]*operation // by method and path in the document
	all      []*operation
	usage    map[string]*usage // of what operations reach, by pointer
	reached  map[target]*summary
	keys     []spec.Keyword
	keyIndex map[spec.Keyword]int
	omitted  []*artifactpb.Omission
	refs     *spec.Resolver
}

// operation is an operation of the artifact with the node it was made from.
type operation struct {
	pb   *artifactpb.Operation
	node *tree.Node // nil if the document has no such operation
	item *tree.Node // its path item
}

// area is what a keyword is about.
type area uint8

const (
	itself area = iota // the operation, or the API
	parameters
	requestBody
	responses
	callbacks
	webhooks
	numAreas
)

func (a area) String() string {
	return [numAreas]string{"", "parameters", "request body", "responses", "callbacks", "webhooks"}[a]
}

// enter is the area inside of an object that stands in a.
func (a area) enter(kind string) area {
	if a >= callbacks {
		return a
	}
	switch kind {
	case "Parameter":
		return parameters
	case "RequestBody":
		return requestBody
	case "Response":
		return responses
	case "Callback":
		return callbacks
	}
	return a
}

// usage counts how operations use a component: how many of them validate what it
// is in, by area, and how many do not.
type usage struct {
	yes, no [numAreas]int
}

// summary is what is within something that a $ref leads to, without what that
// refers to in turn. Large definitions have operations that reach thousands of
// them, so they are numbered, and so are keywords.
type summary struct {
	number   int
	pointer  string
	kind     string
	read     bool
	usage    *usage
	keywords []tally
	refs     []reference
}

type tally struct {
	key   int  // index into document.keys
	area  area // itself: that of whoever refers to the summary
	count int
}

type reference struct {
	to   *summary
	area area
}

func newDocument(a *artifactpb.Artifact, api *artifactpb.Api, doc *artifactpb.Document, root *tree.Node) *document {
	d := &document{
		artifact: a, api: api, root: root, written: spec.OpenAPI31, omitted: doc.GetOmitted(),
		ops: make(map[string]*operation), usage: make(map[string]*usage), reached: make(map[target]*summary), keyIndex: make(map[spec.Keyword]int),
	}
	switch doc.GetDialect() {
	case artifactpb.Dialect_DIALECT_OPENAPI_3_0:
		d.written = spec.OpenAPI30
	case artifactpb.Dialect_DIALECT_SWAGGER_2_0:
		d.written = spec.Swagger20
	}
	d.grammar = d.written.Grammar()
	if d.written == spec.Swagger20 {
		d.grammar = spec.OpenAPI30.Grammar()
	}
	d.refs = spec.NewResolver(root, d.written)
	for _, pb := range api.GetOperations() {
		// One operation may stand for several paths of the document.
		paths := pb.GetDocumentPaths()
		if len(paths) == 0 {
			paths = []string{pb.GetPath()}
		}
		for _, path := range paths {
			op := &operation{pb: pb}
			op.item = d.deref(root.Get("paths").Get(path))
			op.node = op.item.Get(strings.ToLower(pb.GetMethod()))
			if op.node == nil { // written beside a $ref
				op.item = root.Get("paths").Get(path)
				op.node = op.item.Get(strings.ToLower(pb.GetMethod()))
			}
			d.ops[pb.GetMethod()+" "+path] = op
			d.all = append(d.all, op)
		}
	}
	return d
}

// deref follows references to their end, or to nil.
func (d *document) deref(n *tree.Node) *tree.Node {
	for range 100 {
		ref := n.Get("$ref")
		if ref == nil || ref.Kind != tree.String {
			return n
		}
		n, _ = d.refs.Follow(n)
	}
	return nil
}

// target is what a $ref leads to, with the kind that it stands for.
type target struct{ pointer, kind string }

// summary is that of a target, not read yet if it is new.
func (d *document) summary(t target) *summary {
	s := d.reached[t]
	if s == nil {
		u := d.usage[t.pointer]
		if u == nil {
			u = new(usage)
			d.usage[t.pointer] = u
		}
		s = &summary{number: len(d.reached), pointer: t.pointer, kind: t.kind, usage: u}
		d.reached[t] = s
	}
	return s
}

func (d *document) keyword(k spec.Keyword) int {
	i, ok := d.keyIndex[k]
	if !ok {
		i = len(d.keys)
		d.keyIndex[k] = i
		d.keys = append(d.keys, k)
	}
	return i
}

// scan adds up what is within an object.
func (d *document) scan(kind string, n *tree.Node, s *summary) {
	type key struct {
		key  int
		area area
	}
	index := make(map[key]int)
	seen := make(map[reference]bool)
	areas := []area{itself}
	d.grammar.Walk(kind, n, nil, spec.Visitor{
		Enter: func(kind string, _ *tree.Node, _ *spec.Place) bool {
			areas = append(areas, areas[len(areas)-1].enter(kind))
			return true
		},
		Leave: func(string, *tree.Node) { areas = areas[:len(areas)-1] },
		Member: func(kind string, n *tree.Node, i int, _ *spec.Place) {
			k := key{d.keyword(spec.Keyword{Object: kind, Key: n.Keys[i].Name}), areas[len(areas)-1]}
			at, ok := index[k]
			if !ok {
				at = len(s.keywords)
				index[k] = at
				s.keywords = append(s.keywords, tally{key: k.key, area: k.area})
			}
			s.keywords[at].count++
		},
		Ref: func(kind string, n *tree.Node, _ *spec.Place) {
			if n, pointer := d.refs.Follow(n); n != nil {
				r := reference{d.summary(target{pointer, kind}), areas[len(areas)-1]}
				if !seen[r] {
					seen[r] = true
					s.refs = append(s.refs, r)
				}
			}
		},
	})
}

// sections walks the document, each part of it once.
func (d *document) sections() []Section {
	var list []Section
	// Operations come first, since components are judged by who uses them.
	var paths []Section
	covered := make(map[*tree.Node]bool)
	all := d.root.Get("paths")
	if m := d.deref(all); m != nil {
		all = m
	}
	var top *spec.Place
	if all != nil && all.Kind == tree.Object {
		for i, item := range all.Items {
			if path := all.Keys[i].Name; strings.HasPrefix(path, "/") && item.Kind == tree.Object {
				paths = append(paths, d.path(path, item, top.Key("paths").Key(path), covered)...)
			}
		}
	}
	whole := d.section(Definition, "", "Root", d.root, nil, itself, d.all, nil, func(kind string, p *spec.Place) bool {
		return kind == "PathItem" || inComponents(p)
	})
	whole.Name = "the definition"
	for _, o := range d.omitted {
		v := documented(o.GetWhy())
		whole.Rows = append(whole.Rows, Row{
			Object: o.GetObject(), Keyword: o.GetKeyword(), Verdict: v.verdict, Why: v.why,
			Count: 1, Positions: []string{d.at(o.GetPosition())},
		})
		whole.Keywords.Add(v.verdict, 1)
	}
	whole.Rows = merge(whole.Rows)
	list = append(list, whole)
	list = append(list, paths...)
	list = append(list, d.webhooks()...)
	return append(list, d.components(covered)...)
}

func inComponents(p *spec.Place) bool {
	return p != nil && strings.HasPrefix(p.Pointer(), "/components/")
}

// path makes the sections of a path item: of itself, if it has something of its
// own, and of its operations.
func (d *document) path(path string, item *tree.Node, p *spec.Place, covered map[*tree.Node]bool) []Section {
	var list []Section
	var ops []*operation
	home := item
	if item.Get("$ref") != nil {
		if n, pointer := d.refs.Follow(item); n != nil {
			home, p = n, placeOf(pointer)
		}
	}
	covered[home] = true
	names := make(map[*tree.Node]string)
	for _, n := range []*tree.Node{item, home} {
		for i, k := range n.Keys {
			if isMethod(k.Name) && n.Items[i].Kind == tree.Object {
				id := strings.ToUpper(k.Name) + " " + path
				if op := d.ops[id]; op != nil && op.node == n.Items[i] {
					ops = append(ops, op)
				}
				names[n.Items[i]] = id
			}
		}
	}
	own := d.section(Path, path, "PathItem", home, p, itself, ops, nil, func(kind string, _ *spec.Place) bool { return kind == "Operation" })
	if len(own.Rows) > 0 || len(own.Uses) > 0 {
		list = append(list, own)
	}
	nodes := []*tree.Node{home}
	if item != home {
		nodes = append(nodes, item)
	}
	for _, n := range nodes {
		for i, k := range n.Keys {
			id := names[n.Items[i]]
			if id == "" {
				continue
			}
			op := d.ops[id]
			if op != nil && op.node != n.Items[i] {
				op = nil // the same method stands beside the $ref
			}
			s := d.section(Operation, id, "Operation", n.Items[i], p.Key(k.Name), itself, some(op), nil, nil)
			s.Position = d.position(op)
			// The method is a keyword of the path item, and belongs here.
			s.add(d.row("PathItem", k.Name, itself, d.method(op, k.Name)), p.Pointer())
			if op != nil {
				s.Shared = d.shared(op)
			}
			list = append(list, s)
		}
	}
	return list
}

func placeOf(pointer string) *spec.Place {
	var p *spec.Place
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		p = p.Key(strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
	}
	return p
}

func (d *document) position(op *operation) string {
	if op == nil {
		return ""
	}
	return d.at(op.pb.GetPosition())
}

func (d *document) at(pos *artifactpb.Position) string {
	if s := d.artifact.GetSources(); pos.GetLine() > 0 && int(pos.GetSource()) < len(s) {
		return fmt.Sprintf("%s:%d:%d", s[pos.GetSource()].GetPath(), pos.GetLine(), pos.GetColumn())
	}
	return ""
}

// webhooks are operations of others: none of them is routed.
func (d *document) webhooks() []Section {
	var list []Section
	hooks := d.root.Get("webhooks")
	if hooks == nil || hooks.Kind != tree.Object {
		return nil
	}
	var top *spec.Place
	for i, item := range hooks.Items {
		name := hooks.Keys[i].Name
		s := d.section(Path, name+" (webhook)", "PathItem", item, top.Key("webhooks").Key(name), webhooks, nil, nil, nil)
		if len(s.Rows) > 0 || len(s.Uses) > 0 {
			list = append(list, s)
		}
	}
	return list
}

// components are judged by the operations that reach them.
func (d *document) components(covered map[*tree.Node]bool) []Section {
	var list []Section
	homes := make(map[string]string)
	for _, k := range d.grammar.Keywords() {
		if home := d.grammar.Home(k.Object); home != "" {
			homes[home] = k.Object
		}
	}
	// A map of path items has no keywords of its own.
	homes["callbacks"] = "Callback"
	all := d.root.Get("components")
	if all == nil || all.Kind != tree.Object {
		return nil
	}
	var top *spec.Place
	for i, home := range all.Items {
		name := all.Keys[i].Name
		if homes[name] == "" || home.Kind != tree.Object {
			continue
		}
		for j, item := range home.Items {
			if covered[item] || item.Kind != tree.Object {
				continue
			}
			entry := home.Keys[j].Name
			p := top.Key("components").Key(name).Key(entry)
			used := d.usage[p.Pointer()]
			if used == nil {
				used = new(usage)
			}
			var callers []*operation
			if name == "securitySchemes" {
				callers = d.callers(entry)
			}
			in := itself
			if name == "callbacks" {
				in = callbacks
			}
			s := d.section(Component, name+"/"+entry, homes[name], item, p, in, callers, used, nil)
			if len(s.Rows) > 0 || len(s.Uses) > 0 {
				list = append(list, s)
			}
		}
	}
	return list
}

// callers are the operations that ask for a security scheme.
func (d *document) callers(scheme string) []*operation {
	var list []*operation
	for _, op := range d.all {
		if slices.ContainsFunc(d.effective(op).Items, func(alt *tree.Node) bool { return alt.Get(scheme) != nil }) || d.accepts(op, scheme) {
			list = append(list, op)
		}
	}
	return list
}

// section makes a section of what is in an object, apart from what skip says,
// and notes who uses the components it refers to.
func (d *document) section(kind Kind, name, object string, n *tree.Node, p *spec.Place, in area, ops []*operation, used *usage, skip func(kind string, p *spec.Place) bool) Section {
	s := Section{Kind: kind, Name: name, Pointer: p.Pointer(), Rows: []Row{}}
	root := n
	rows := &rows{index: make(map[rowKey]int)}
	type cached struct {
		kind, key string
		area      area
	}
	memo := make(map[cached]verdict)
	areas := []area{in}
	uses := make(map[string]bool)
	d.grammar.Walk(object, n, p, spec.Visitor{
		Enter: func(kind string, _ *tree.Node, p *spec.Place) bool {
			if skip != nil && skip(kind, p) {
				return false
			}
			areas = append(areas, areas[len(areas)-1].enter(kind))
			return true
		},
		Leave: func(string, *tree.Node) { areas = areas[:len(areas)-1] },
		Member: func(kind string, n *tree.Node, i int, p *spec.Place) {
			if s.Kind == Path && n == root && in == itself && n.Items[i].Kind == tree.Object && isMethod(n.Keys[i].Name) {
				return // in the operation's section
			}
			x := context{document: d, kind: kind, key: n.Keys[i].Name, node: n, value: n.Items[i], place: p, area: areas[len(areas)-1], ops: ops, usage: used}
			rule, fixed := d.rule(&x)
			var v verdict
			if fixed {
				k := cached{kind, x.key, x.area}
				var ok bool
				if v, ok = memo[k]; !ok {
					v = rule(&x)
					memo[k] = v
				}
			} else {
				v = rule(&x)
			}
			pointer := p.Pointer()
			rows.add(d.row(kind, x.key, x.area, v), pointer)
			s.Keywords.Add(v.verdict, 1)
			for _, inner := range v.inner {
				rows.add(d.row(inner.object, inner.key, x.area, inner.verdict), pointer+inner.pointer)
				s.Keywords.Add(inner.verdict.verdict, 1)
			}
		},
		Ref: func(_ string, n *tree.Node, _ *spec.Place) {
			if _, pointer := d.refs.Follow(n); pointer != "" {
				uses[pointer] = true
			}
		},
	})
	s.Rows = append(s.Rows, rows.list...)
	for pointer := range uses {
		s.Uses = append(s.Uses, pointer)
	}
	slices.Sort(s.Uses)
	sortRows(s.Rows)
	return s
}

// add puts a row among those of the section.
func (s *Section) add(r Row, pointer string) {
	r.Count, r.Pointers = 1, []string{pointer}
	s.Rows = append(s.Rows, r)
	s.Keywords.Add(r.Verdict, 1)
	sortRows(s.Rows)
}

type rowKey struct {
	object, keyword, in string
	verdict             Verdict
	why                 string
}

type rows struct {
	list  []Row
	index map[rowKey]int
}

func (r *rows) add(row Row, pointer string) {
	k := rowKey{row.Object, row.Keyword, row.In, row.Verdict, row.Why}
	i, ok := r.index[k]
	if !ok {
		i = len(r.list)
		r.index[k] = i
		r.list = append(r.list, row)
	}
	r.list[i].Count++
	if pointer != "" || row.Object == "Root" {
		r.list[i].Pointers = append(r.list[i].Pointers, pointer)
	}
}

func (d *document) row(object, key string, in area, v verdict) Row {
	row := Row{Object: object, Keyword: key, In: in.String(), Verdict: v.verdict, Why: v.why, describes: v.describes}
	if d.written == spec.Swagger20 {
		row.From = from[spec.Keyword{Object: object, Key: key}]
	}
	return row
}

// merge makes one row of those that differ in their positions only.
func merge(list []Row) []Row {
	var out []Row
	index := make(map[rowKey]int)
	for _, r := range list {
		k := rowKey{r.Object, r.Keyword, r.In, r.Verdict, r.Why}
		i, ok := index[k]
		if !ok {
			index[k] = len(out)
			out = append(out, r)
			continue
		}
		out[i].Count += r.Count
		out[i].Pointers = append(out[i].Pointers, r.Pointers...)
		out[i].Positions = append(out[i].Positions, r.Positions...)
	}
	sortRows(out)
	return out
}

func sortRows(list []Row) {
	slices.SortStableFunc(list, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(slices.Index(Verdicts, a.Verdict), slices.Index(Verdicts, b.Verdict)),
			cmp.Compare(a.In, b.In), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Keyword, b.Keyword), cmp.Compare(a.Why, b.Why),
		)
	})
}

// shared adds up what an operation reaches by references, and what its path item
// says for it.
func (d *document) shared(op *operation) []Row {
	counts := make([]int, 0, len(d.keys)*int(numAreas))
	seen := make([]bool, 0, len(d.reached)*int(numAreas))
	var queue []reference
	add := func(s *summary, in area) {
		for _, t := range s.keywords {
			a := t.area
			if a == itself || in >= callbacks {
				a = in
			}
			*slot(&counts, t.key*int(numAreas)+int(a)) += t.count
		}
		for _, r := range s.refs {
			if r.area == itself || in >= callbacks {
				r.area = in
			}
			if first := slot(&seen, r.to.number*int(numAreas)+int(r.area)); !*first {
				*first = true
				queue = append(queue, r)
			}
		}
	}
	own := &summary{}
	d.scan("Operation", op.node, own)
	own.keywords = nil // they are the section's rows
	add(own, itself)
	// Parameters of the path item hold for the operation as well.
	if list := op.item.Get("parameters"); list != nil {
		for _, item := range list.Items {
			s := &summary{}
			d.scan("Parameter", item, s)
			add(s, parameters)
		}
	}
	request, response := validates(op, true), validates(op, false)
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		if !r.to.read {
			r.to.read = true
			n, _, _ := d.root.Pointer(r.to.pointer)
			d.scan(r.to.kind, n, r.to)
		}
		in := r.area.enter(r.to.kind)
		if in == responses && response || in != responses && in < callbacks && request {
			r.to.usage.yes[in]++
		} else {
			r.to.usage.no[in]++
		}
		add(r.to, in)
	}
	rows := &rows{index: make(map[rowKey]int)}
	for i, n := range counts {
		if n == 0 {
			continue
		}
		k, in := d.keys[i/int(numAreas)], area(i%int(numAreas))
		x := context{document: d, kind: k.Object, key: k.Key, area: in, ops: some(op)}
		rule, _ := d.rule(&x)
		row := d.row(k.Object, k.Key, in, rule(&x))
		row.Count = n
		id := rowKey{row.Object, row.Keyword, row.In, row.Verdict, row.Why}
		if at, ok := rows.index[id]; ok {
			rows.list[at].Count += n
			continue
		}
		rows.index[id] = len(rows.list)
		rows.list = append(rows.list, row)
	}
	sortRows(rows.list)
	return rows.list
}

// slot is an element of a slice that grows as needed.
func slot[T any](list *[]T, i int) *T {
	if more := i + 1 - len(*list); more > 0 {
		*list = append(*list, make([]T, more)...)
	}
	return &(*list)[i]
}

// some is the operation in a list, if there is one.
func some(op *operation) []*operation {
	if op == nil {
		return nil
	}
	return []*operation{op}
}
