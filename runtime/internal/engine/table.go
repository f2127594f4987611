package engine

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/runtime/internal/exchange"
)

// This file finds the route of a request. A table is a tree of base paths, and
// under each a tree of path templates, both by segment, so that the cost of a
// look-up follows the length of the path and not the number of operations.
//
// The longest base path wins, whether or not the API under it has the path.
// Within an API a literal segment beats a template, a template with literal
// parts beats a bare one, and a wildcard comes last; if the better branch has
// no end for the path, the next is tried. Every node is reached by one way
// only, so the search is bounded by the size of the API's tree.

// A Forwarder sends an exchange to its upstream. cut is how much of the path's
// beginning is the gateway's own.
type Forwarder interface {
	Forward(x *exchange.Exchange, cut int) error
}

// A Route is an operation made ready to run.
type Route struct {
	exchange.Route
	Method   string
	Template string // relative to the base path
	Index    int    // place in Table.Routes; numbers counters
	Builtin  bool   // of the gateway's own (Options.Builtin)
	Stages   []Stage

	// Where calls go, by the caller's key type. Nil for nowhere.
	Production, Sandbox Forwarder
	// Listeners the route is served on.
	HTTP, HTTPS bool

	cut int // length of the base path
}

// A Table is all routes of an artifact. It is never changed once made.
type Table struct {
	Routes []*Route
	// Counters observe the exchanges of this table; nil for none.
	Counters Observer
	// Upstreams are what its routes forward to.
	Upstreams []Upstream

	root *base
}

// An Upstream is looked after as long as its table is in use.
type Upstream interface {
	Forwarder
	// Sweep ends what has been idle for too long by the watchdog's clock.
	Sweep(now int64)
	// Close ends what is idle now; what is in use ends with its exchange.
	Close()
}

// A base is a node of the tree of base paths.
type base struct {
	next map[string]*base
	api  *node // nil if no API is mounted here
	cut  int   // length of the base path that ends here
}

// A node is a node of an API's tree of templates.
type node struct {
	few   []literal // literal children, if there are few
	many  map[string]*node
	mixed []mixed // templates with literal parts, most specific first
	any   *node   // a bare template
	end   *leaf   // the template ends here
	rest  *leaf   // a wildcard follows
}

type literal struct {
	segment string
	node    *node
}

type mixed struct {
	segment pathtmpl.Segment
	shape   string
	node    *node
}

// fewLiterals is up to how many literals are compared one by one.
const fewLiterals = 4

// A leaf is the routes of one template.
type leaf struct {
	routes []*Route
	get    *Route // serves HEAD too, if nothing else does
	allow  string // value of Allow
}

// NewTable builds the table of routes. Their order gives them their Index.
func NewTable(routes []*Route) (*Table, error) {
	t := &Table{Routes: routes, root: &base{}}
	var leaves []*leaf
	for i, r := range routes {
		r.Index = i
		b := t.root
		if r.BasePath != "/" {
			r.cut = len(r.BasePath)
			for _, s := range strings.Split(r.BasePath[1:], "/") {
				next := b.next[s]
				if next == nil {
					next = &base{cut: b.cut + 1 + len(s)}
					if b.next == nil {
						b.next = map[string]*base{}
					}
					b.next[s] = next
				}
				b = next
			}
		}
		if b.api == nil {
			b.api = &node{}
		}
		tmpl, err := pathtmpl.Parse(r.Template)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", r.ID, err)
		}
		l := b.api.insert(tmpl)
		for _, other := range l.routes {
			if other.Method == r.Method {
				return nil, fmt.Errorf("routes %s and %s of %s are the same", other.ID, r.ID, r.BasePath)
			}
		}
		if len(l.routes) == 0 {
			leaves = append(leaves, l)
		}
		l.routes = append(l.routes, r)
	}
	for _, l := range leaves {
		l.finish()
	}
	return t, nil
}

// insert returns the leaf of a template, which it makes if need be.
func (n *node) insert(t pathtmpl.Template) *leaf {
	for _, s := range t.Segments() {
		n = n.child(s)
	}
	at := &n.end
	if t.Wildcard() {
		at = &n.rest
	}
	if *at == nil {
		*at = &leaf{}
	}
	return *at
}

func (n *node) child(s pathtmpl.Segment) *node {
	if lit, ok := s.Literal(); ok {
		if c := n.literal([]byte(lit)); c != nil {
			return c
		}
		c := &node{}
		if n.many == nil && len(n.few) < fewLiterals {
			n.few = append(n.few, literal{lit, c})
			return c
		}
		if n.many == nil {
			n.many = map[string]*node{}
			for _, l := range n.few {
				n.many[l.segment] = l.node
			}
			n.few = nil
		}
		n.many[lit] = c
		return c
	}
	if len(s.Parts) == 1 {
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	shape, _ := segmentShape(s)
	for _, m := range n.mixed {
		if m.shape == shape {
			return m.node
		}
	}
	c := &node{}
	n.mixed = append(n.mixed, mixed{s, shape, c})
	sort.SliceStable(n.mixed, func(i, j int) bool {
		_, a := segmentShape(n.mixed[i].segment)
		_, b := segmentShape(n.mixed[j].segment)
		return a > b
	})
	return c
}

// segmentShape is a segment without its names, and how much of it is literal.
func segmentShape(s pathtmpl.Segment) (shape string, literal int) {
	for _, p := range s.Parts {
		if p.Param != "" {
			shape += "{}"
		} else {
			shape += p.Literal
			literal += len(p.Literal)
		}
	}
	return shape, literal
}

func (n *node) literal(s []byte) *node {
	if n.many != nil {
		return n.many[string(s)]
	}
	for i := range n.few {
		if n.few[i].segment == string(s) {
			return n.few[i].node
		}
	}
	return nil
}

// finish decides what does not depend on the request.
func (l *leaf) finish() {
	var methods []string
	head, options := false, false
	for _, r := range l.routes {
		methods = append(methods, r.Method)
		switch r.Method {
		case "GET":
			l.get = r
		case "HEAD":
			head = true
		case "OPTIONS":
			options = true
		}
	}
	if l.get != nil && !head {
		methods = append(methods, "HEAD")
	}
	if !options {
		methods = append(methods, "OPTIONS")
	}
	sort.Strings(methods)
	l.allow = strings.Join(methods, ", ")
}

// find returns the leaf that path, in normal form, leads to, or nil.
func (t *Table) find(path []byte) *leaf {
	// Walk down the base paths as far as they go, remembering the last API.
	b, rest := t.root, path
	api, apiRest := b.api, rest
	for b.next != nil && len(rest) > 0 {
		segment, after := cutSegment(rest)
		b = b.next[string(segment)]
		if b == nil {
			break
		}
		rest = after
		if b.api != nil {
			api, apiRest = b.api, rest
		}
	}
	if api == nil {
		return nil
	}
	if len(apiRest) <= 1 && api.end == nil {
		return api.rest // "/*" alone also answers the root
	}
	return api.find(apiRest)
}

// claims reports whether an API is mounted at path or above it, the root apart.
func (t *Table) claims(path []byte) bool {
	b := t.root
	for b.next != nil && len(path) > 0 {
		segment, rest := cutSegment(path)
		if b = b.next[string(segment)]; b == nil {
			return false
		}
		if b.api != nil {
			return true
		}
		path = rest
	}
	return false
}

// cutSegment cuts the first segment off a path that begins with a slash.
func cutSegment(path []byte) (segment, rest []byte) {
	path = path[1:]
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, nil
}

// find looks for path below n. A slash at the end does not matter.
func (n *node) find(path []byte) *leaf {
	if len(path) <= 1 {
		return n.end // a wildcard wants a segment of its own
	}
	segment, rest := cutSegment(path)
	if c := n.literal(segment); c != nil {
		if l := c.find(rest); l != nil {
			return l
		}
	}
	if len(segment) > 0 {
		for i := range n.mixed {
			if m := &n.mixed[i]; m.segment.Match(segment) {
				if l := m.node.find(rest); l != nil {
					return l
				}
			}
		}
		if n.any != nil {
			if l := n.any.find(rest); l != nil {
				return l
			}
		}
	}
	return n.rest
}

// route returns the route for a method, or nil.
func (l *leaf) route(method []byte) *Route {
	for _, r := range l.routes {
		if r.Method == string(method) {
			return r
		}
	}
	if string(method) == "HEAD" {
		return l.get
	}
	return nil
}

// Sweep looks after the table's upstreams.
func (t *Table) Sweep(now int64) {
	for _, u := range t.Upstreams {
		u.Sweep(now)
	}
}

// Close ends what belongs to the table. Exchanges that still use it finish.
func (t *Table) Close() {
	for _, u := range t.Upstreams {
		u.Close()
	}
}
