package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

type direction string

const (
	request  direction = "request"
	response direction = "response"
)

type frameKey struct {
	old, new string
	dir      direction
	null     bool // null is compared where the components are used
}

// A relation says how the values of the new side differ from those of the old.
type relation struct {
	narrowed, widened bool
}

func (r relation) same() bool { return !r.narrowed && !r.widened }

// relations are of the codes without their direction. What is not here is no
// difference between sets of values.
var relations = map[string]relation{
	"type-narrowed":             {narrowed: true},
	"type-widened":              {widened: true},
	"type-changed":              {true, true},
	"null-refused":              {narrowed: true},
	"null-allowed":              {widened: true},
	"enum-value-removed":        {narrowed: true},
	"enum-value-added":          {widened: true},
	"enum-added":                {narrowed: true},
	"enum-dropped":              {widened: true},
	"bound-narrowed":            {narrowed: true},
	"bound-widened":             {widened: true},
	"bound-changed":             {true, true},
	"pattern-added":             {narrowed: true},
	"pattern-dropped":           {widened: true},
	"pattern-changed":           {true, true},
	"format-narrowed":           {narrowed: true},
	"format-widened":            {widened: true},
	"format-changed":            {true, true},
	"property-added":            {true, true}, // of the members that are not declared it takes some away
	"property-added-required":   {narrowed: true},
	"property-removed":          {true, true},
	"property-refused":          {true, true},
	"property-removed-required": {widened: true},
	"property-became-required":  {narrowed: true},
	"property-became-optional":  {widened: true},
	"object-closed":             {narrowed: true},
	"object-opened":             {widened: true},
	"alternative-removed":       {narrowed: true},
	"alternative-added":         {widened: true},
	"condition-added":           {narrowed: true},
	"condition-dropped":         {widened: true},
	"condition-changed":         {true, true},
}

// comparer is one walk through a pair of schemas.
type comparer struct {
	*Comparison
	f   *frame
	dir direction
}

func (c comparer) add(code, place, before, after string) {
	c.f.add(string(c.dir)+"-"+code, strings.TrimSuffix(place, ": "), before, after)
}

func (c *Comparison) schemas(f *frame, dir direction, place string, o, n node) {
	comparer{c, f, dir}.nodes(place+": ", o, n)
}

// maxQuiet bounds the pairs of components that are tried as partners: a document
// could be made so that every one is compared with every other.
const maxQuiet = 20_000

// relate compares two schemas without a word. A cycle is taken for equal.
func (c *Comparison) relate(o, n node) relation {
	key := [2]string{o.key(), n.key()}
	if r, ok := c.quiet.relation[key]; ok && o.null == n.null {
		return r
	}
	if len(c.quiet.order) > maxQuiet {
		return relation{true, true}
	}
	if o.null == n.null {
		c.quiet.relation[key] = relation{}
	}
	f := &frame{}
	comparer{c.quiet, f, request}.nodes("", o, n)
	var r relation
	seen := make(map[*frame]bool)
	var collect func(*frame)
	collect = func(f *frame) {
		if seen[f] {
			return
		}
		seen[f] = true
		for _, x := range f.findings {
			is := relations[strings.TrimPrefix(x.code, "request-")]
			r.narrowed, r.widened = r.narrowed || is.narrowed, r.widened || is.widened
		}
		for _, child := range f.children {
			collect(child)
		}
	}
	collect(f)
	if o.null == n.null {
		c.quiet.relation[key] = r
	}
	return r
}

// nodes compares what stands at one place of both sides.
func (c comparer) nodes(place string, o, n node) {
	on, oldRef := c.old.direct(o)
	nn, newRef := c.new.direct(n)
	null := on.null || nn.null
	if null {
		a, b := c.old.normal(on).types, c.new.normal(nn).types
		c.nulls(place, a, b)
	}
	on.null, nn.null = false, false
	if oldRef == "" && newRef == "" {
		c.compare(place, on, nn, null)
		return
	}
	// A component, on one side at least: once for all who use it. Without it a
	// schema that contains itself would not end either.
	key := frameKey{on.key(), nn.key(), c.dir, null}
	f, ok := c.frames[key]
	if !ok {
		f = &frame{name: componentName(oldRef, newRef)}
		if oldRef == "" || newRef == "" {
			// It became a component, or is none any more: the place says more.
			f.name = strings.TrimSuffix(place, ": ")
			if c.f.name != "" {
				f.name = c.f.name + ": " + f.name
			}
		}
		c.frames[key] = f
		c.order = append(c.order, f)
		comparer{c.Comparison, f, c.dir}.compare("", on, nn, null)
	}
	if !slices.Contains(f.parents, c.f) {
		f.parents = append(f.parents, c.f)
		c.f.children = append(c.f.children, f)
	}
}

func componentName(old, new string) string {
	name := func(ref string) string {
		if i := strings.LastIndexByte(ref, '/'); i >= 0 {
			return strings.NewReplacer("~1", "/", "~0", "~").Replace(ref[i+1:])
		}
		return ref
	}
	if a, b := name(old), name(new); a != b {
		return "schema " + b + " (was " + a + ")"
	}
	return "schema " + name(new)
}

func (c comparer) nulls(place string, a, b types) {
	switch {
	case a&typeNull != 0 && b&typeNull == 0:
		c.add("null-refused", place, "null", "no null")
	case a&typeNull == 0 && b&typeNull != 0:
		c.add("null-allowed", place, "no null", "null")
	}
}

// maxTimes is how often one pair of schemas is compared for one component. It
// may stand at several places there, by allOf; without a bound their number could
// grow with every step.
const maxTimes = 4

// maxSteps bounds the pairs of schemas that are compared. GitHub's description, of
// 1,200 operations, takes 16,000.
const maxSteps = 300_000

// compare compares what two schemas say.
func (c comparer) compare(place string, on, nn node, skipNull bool) {
	// A schema that contains itself by an allOf is no component of its own.
	key := frameKey{on.key(), nn.key(), c.dir, skipNull}
	if c.f.open[key] || c.f.times[key] == maxTimes {
		return
	}
	if c.steps++; c.steps > maxSteps {
		// Nobody writes that. It is not said to be the same, since nobody knows.
		if c.steps == maxSteps+1 || c.quiet == c.Comparison {
			c.add("condition-changed", place, "", "more than can be compared")
		}
		return
	}
	if c.f.open == nil {
		c.f.open, c.f.times = make(map[frameKey]bool), make(map[frameKey]int)
	}
	c.f.open[key] = true
	c.f.times[key]++
	defer delete(c.f.open, key)
	o, n := c.old.normal(on), c.new.normal(nn)
	if c.alternatives(place, o, n, on, nn) {
		return
	}
	a, b := o.types&^typeNull, n.types&^typeNull
	if !skipNull && o.types != typeAny && n.types != typeAny {
		c.nulls(place, o.types, n.types)
	}
	switch {
	case a == b:
	case a&b == b:
		// An enum that came says it better than the types of its values; so does
		// one that went, below.
		if o.closedEnum || !n.closedEnum || b == 0 {
			c.add("type-narrowed", place, o.types.String(), n.types.String())
		}
	case a&b == a:
		if n.closedEnum || !o.closedEnum || a == 0 {
			c.add("type-widened", place, o.types.String(), n.types.String())
		}
	default:
		c.add("type-changed", place, o.types.String(), n.types.String())
	}
	both := a & b
	if both == 0 && (a != 0 || b != 0) {
		return // nothing in common to compare
	}
	c.enums(place, o, n)
	c.defaults(place, o, n)
	if both&typeNumber != 0 {
		c.bounds(place, o, n, "minimum", "maximum")
		c.multiples(place, o, n)
	}
	if both&typeString != 0 {
		c.bounds(place, o, n, "minLength", "maxLength")
		c.lists("pattern", place, o.patterns, n.patterns)
	}
	if both&(typeString|typeNumber) != 0 {
		c.formats(place, o.formats, n.formats)
	}
	if both&typeArray != 0 {
		c.bounds(place, o, n, "minItems", "maxItems", "minContains", "maxContains")
		switch {
		case n.unique && !o.unique:
			c.add("bound-narrowed", place, "repeated items", "unique items")
		case o.unique && !n.unique:
			c.add("bound-widened", place, "unique items", "repeated items")
		}
		c.items(place, o, n)
	}
	if both&typeObject != 0 {
		c.bounds(place, o, n, "minProperties", "maxProperties")
		c.object(place, o, n)
	}
	c.others(place, o, n)
}

func (c comparer) enums(place string, o, n *schema) {
	switch {
	case !o.closedEnum && !n.closedEnum:
	case !o.closedEnum:
		c.add("enum-added", place, "any value", values(n.enum))
	case !n.closedEnum:
		c.add("enum-dropped", place, values(o.enum), "any value")
	default:
		without := func(a, b []any) []any {
			// Null is said of already.
			return slices.DeleteFunc(slices.Clone(a), func(v any) bool { return v == nil || contains(b, v) })
		}
		if gone := without(o.enum, n.enum); len(gone) > 0 {
			c.add("enum-value-removed", place, values(gone), "")
		}
		if more := without(n.enum, o.enum); len(more) > 0 {
			c.add("enum-value-added", place, "", values(more))
		}
	}
}

// maxText bounds what is quoted of a value.
const maxText = 120

func values(list []any) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = value(v)
	}
	slices.Sort(words)
	return cut(strings.Join(words, ", "))
}

func value(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "?"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cut(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText-3]) + "..."
	}
	return s
}

// defaults of requests are what the server assumes for callers who say nothing.
func (c comparer) defaults(place string, o, n *schema) {
	if c.dir != request || o.hasDefault == n.hasDefault && equal(o.dflt, n.dflt) {
		return
	}
	word := func(s *schema) string {
		if !s.hasDefault {
			return "none"
		}
		return cut(value(s.dflt))
	}
	c.add("default-changed", place, word(o), word(n))
}

func (c comparer) bounds(place string, o, n *schema, words ...string) {
	say := func(word string, b bound, ok bool) string {
		switch {
		case !ok:
			return "no " + word
		case b.exclusive:
			return "exclusive " + word + " " + b.value.String()
		}
		return word + " " + b.value.String()
	}
	for _, word := range words {
		a, inOld := o.bounds[word]
		b, inNew := n.bounds[word]
		before, after := say(word, a, inOld), say(word, b, inNew)
		switch {
		case !inOld && !inNew:
		case !inOld, inNew && tighter(word, b, a):
			c.add("bound-narrowed", place, before, after)
		case !inNew, tighter(word, a, b):
			c.add("bound-widened", place, before, after)
		}
	}
}

func (c comparer) multiples(place string, o, n *schema) {
	if slices.Equal(o.multiples, n.multiples) {
		return
	}
	say := func(list []string) string {
		if len(list) == 0 {
			return "no multipleOf"
		}
		return "multipleOf " + strings.Join(list, " and ")
	}
	code := "bound-changed"
	switch {
	case len(o.multiples) == 0:
		code = "bound-narrowed"
	case len(n.multiples) == 0:
		code = "bound-widened"
	case len(o.multiples) == 1 && len(n.multiples) == 1:
		switch a, b := o.multiples[0], n.multiples[0]; {
		case compareNumbers(json.Number(a), json.Number(b)) == 0:
			return
		case divides(a, b):
			code = "bound-narrowed"
		case divides(b, a):
			code = "bound-widened"
		}
	}
	c.add(code, place, say(o.multiples), say(n.multiples))
}

// divides reports whether b is a multiple of a.
func divides(a, b string) bool {
	if len(a) > 32 || len(b) > 32 || strings.ContainsAny(a+b, "eE") {
		return false
	}
	x, ok := new(big.Rat).SetString(a)
	y, also := new(big.Rat).SetString(b)
	return ok && also && x.Sign() != 0 && y.Quo(y, x).IsInt()
}

// lists compares patterns.
func (c comparer) lists(word, place string, o, n []string) {
	if slices.Equal(o, n) {
		return
	}
	code := word + "-changed"
	switch {
	case subset(o, n):
		code = word + "-added"
	case subset(n, o):
		code = word + "-dropped"
	}
	c.add(code, place, orNone(cut(strings.Join(o, " and "))), orNone(cut(strings.Join(n, " and "))))
}

// wider are formats whose values are all values of the other one.
var wider = map[string]string{"int32": "int64", "float": "double"}

func (c comparer) formats(place string, o, n []string) {
	if slices.Equal(o, n) {
		return
	}
	code := "format-changed"
	switch {
	case subset(o, n), len(o) == 1 && len(n) == 1 && wider[n[0]] == o[0]:
		code = "format-narrowed"
	case subset(n, o), len(o) == 1 && len(n) == 1 && wider[o[0]] == n[0]:
		code = "format-widened"
	}
	c.add(code, place, orNone(strings.Join(o, " and ")), orNone(strings.Join(n, " and ")))
}

func subset(a, b []string) bool {
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}

// of is a node of parts that may be none, in which case it stands for anything.
func of(parts []part) node {
	if len(parts) == 0 {
		return anything()
	}
	return node{parts: parts}
}

func (c comparer) items(place string, o, n *schema) {
	oi, ni := of(o.items), of(n.items)
	at := func(s *schema, i string, rest node) node {
		if p, ok := s.prefix[i]; ok {
			return p
		}
		return rest
	}
	for _, i := range union(o.prefix, n.prefix) {
		c.nodes(place+"["+i+"]", at(o, i, oi), at(n, i, ni))
	}
	if len(o.items)+len(n.items) > 0 {
		c.nodes(place+"[]", oi, ni)
	}
}

func (c comparer) object(place string, o, n *schema) {
	visible := func(d *Document, p node) bool {
		s := d.normal(p)
		return c.dir == request && !s.readOnly || c.dir == response && !s.writeOnly
	}
	for _, name := range union(o.properties, n.properties) {
		a, inOld := o.properties[name]
		b, inNew := n.properties[name]
		inOld, inNew = inOld && visible(c.old, a), inNew && visible(c.new, b)
		place := place + member(name)
		switch {
		case !inOld && !inNew:
		case !inOld && n.required[name]:
			c.add("property-added-required", place, "", "")
		case !inOld:
			c.add("property-added", place, "", "")
		case !inNew && n.shut && c.dir == request:
			c.add("property-refused", place, "", "")
		case !inNew && o.required[name]:
			c.add("property-removed-required", place, "", "")
		case !inNew:
			c.add("property-removed", place, "", "")
		default:
			switch {
			case n.required[name] && !o.required[name]:
				c.add("property-became-required", place, "", "")
			case o.required[name] && !n.required[name]:
				c.add("property-became-optional", place, "", "")
			}
			c.nodes(place, a, b)
		}
	}
	switch {
	case n.shut && !o.shut:
		c.add("object-closed", place, "", "")
	case o.shut && !n.shut:
		c.add("object-opened", place, "", "")
	case !o.shut && len(o.additional)+len(n.additional) > 0:
		c.nodes(place+".*", of(o.additional), of(n.additional))
	}
	if len(o.names)+len(n.names) > 0 {
		c.nodes(place+" names", of(o.names), of(n.names))
	}
	for _, re := range union(o.patternProp, n.patternProp) {
		a, inOld := o.patternProp[re]
		b, inNew := n.patternProp[re]
		if !inOld {
			a = anything()
		}
		if !inNew {
			b = anything()
		}
		c.nodes(place+"./"+re+"/", a, b)
	}
	add := func(code string, m, other map[string]bool, added bool) {
		for _, rule := range keys(m) {
			switch {
			case other[rule]:
			case added:
				c.add(code, place, "", rule)
			default:
				c.add(code, place, rule, "")
			}
		}
	}
	add("condition-dropped", o.dependent, n.dependent, false)
	add("condition-added", n.dependent, o.dependent, true)
}

// member is a property in a place.
func member(name string) string {
	plain := name != ""
	for i, r := range name {
		plain = plain && (r == '_' || r == '-' && i > 0 || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9')
	}
	if plain {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

// others are the conditions that are looked at as a whole: only whether they
// are there, and whether they say the same.
func (c comparer) others(place string, o, n *schema) {
	for _, word := range union(o.others, n.others) {
		a, inOld := o.others[word]
		b, inNew := n.others[word]
		switch {
		case !inOld:
			c.add("condition-added", place, "", word)
		case !inNew:
			c.add("condition-dropped", place, word, "")
		default:
			r := c.relate(a, b)
			switch {
			case strings.HasPrefix(word, "$"):
				if !equal(a.parts[0].v, b.parts[0].v) {
					r = relation{true, true}
				}
			case word == "not":
				r.narrowed, r.widened = r.widened, r.narrowed
			case word == "if" && !r.same():
				r = relation{true, true}
			}
			if r.same() {
				continue
			}
			switch {
			case r.narrowed == r.widened:
				c.add("condition-changed", place, word, word)
			case r.narrowed:
				c.add("condition-added", place, "", "a narrower "+word)
			default:
				c.add("condition-dropped", place, "a narrower "+word, "")
			}
		}
	}
}

// An alternative is a member of a group on its way to a partner.
type alternative struct {
	node
	name  string // of its component
	label string
	taken bool
}

func (d *Document) alternatives(g group) []*alternative {
	out := make([]*alternative, len(g))
	for i, p := range g {
		n, ref := d.direct(single(p))
		a := &alternative{node: single(p), name: ref}
		switch s := d.normal(n); {
		case ref != "":
			a.label = strings.TrimPrefix(componentName(ref, ref), "schema ")
		case s.title != "":
			a.label = s.title
		case s.types != typeAny && s.types != typeObject:
			a.label = s.types.String()
		default:
			a.label = fmt.Sprintf("#%d", i+1)
		}
		out[i] = a
	}
	return out
}

// alternatives compares anyOf and oneOf. It returns true if there is nothing
// else to compare.
func (c comparer) alternatives(place string, o, n *schema, on, nn node) bool {
	switch {
	case len(o.groups) == 0 && len(n.groups) == 0:
		return false
	case len(o.groups) == len(n.groups):
		for i := range o.groups {
			c.group(place, c.old.alternatives(o.groups[i]), c.new.alternatives(n.groups[i]))
		}
		return !o.more && !n.more
	case len(o.groups) == 0 && len(n.groups) == 1 && !n.more:
		// A schema that becomes one of several, or was the only one left.
		c.group(place, []*alternative{{node: on, label: "the only one"}}, c.new.alternatives(n.groups[0]))
		return true
	case len(n.groups) == 0 && len(o.groups) == 1 && !o.more:
		c.group(place, c.old.alternatives(o.groups[0]), []*alternative{{node: nn, label: "the only one"}})
		return true
	case len(o.groups) < len(n.groups):
		c.add("condition-added", place, "", "alternatives")
	default:
		c.add("condition-dropped", place, "alternatives", "")
	}
	return false
}

// group finds partners: components of one name, schemas that say the same, and
// what is left over, in order, if there are as many of a kind on both sides.
func (c comparer) group(place string, old, new []*alternative) {
	pair := func(fits func(a, b *alternative) bool) {
		for _, a := range old {
			for _, b := range new {
				if !a.taken && !b.taken && fits(a, b) {
					a.taken, b.taken = true, true
					c.nodes(place+"("+b.label+")", a.node, b.node)
				}
			}
		}
	}
	pair(func(a, b *alternative) bool { return a.name != "" && a.name == b.name })
	pair(func(a, b *alternative) bool {
		if a.name != "" && b.name != "" {
			// A component that is still there has not become another one.
			if _, still := c.new.find(a.name); still {
				return false
			}
		}
		return c.relate(a.node, b.node).same()
	})
	kind := func(d *Document, a *alternative) types {
		n, _ := d.direct(a.node)
		return d.normal(n).types
	}
	left := func(d *Document, list []*alternative) map[types]int {
		m := make(map[types]int)
		for _, a := range list {
			if !a.taken {
				m[kind(d, a)]++
			}
		}
		return m
	}
	lo, ln := left(c.old, old), left(c.new, new)
	pair(func(a, b *alternative) bool {
		k := kind(c.old, a)
		return (a.name == "" || b.name == "") && k == kind(c.new, b) && lo[k] == ln[k]
	})
	for _, a := range old {
		covered := func(b *alternative) bool { return !c.relate(a.node, b.node).narrowed }
		if !a.taken && !slices.ContainsFunc(new, covered) {
			c.add("alternative-removed", place, a.label, "")
		}
	}
	for _, b := range new {
		covered := func(a *alternative) bool { return !c.relate(a.node, b.node).widened }
		if !b.taken && !slices.ContainsFunc(old, covered) {
			c.add("alternative-added", place, "", b.label)
		}
	}
}
