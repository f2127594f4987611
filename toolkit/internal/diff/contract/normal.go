package contract

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A node is a schema to be: the parts all hold, each given by its place in the
// document. null says that null is allowed beside what the parts allow.
type node struct {
	parts []part
	null  bool
}

func single(p part) node { return node{parts: []part{p}} }

// anything is the schema that is not there. It is the same wherever it is not,
// or a side that ends would have no end beside one that contains itself.
func anything() node { return single(part{nil, "anything"}) }

func (n node) key() string {
	if len(n.parts) == 1 {
		return n.parts[0].ptr
	}
	words := make([]string, len(n.parts))
	for i, p := range n.parts {
		words[i] = p.ptr
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// with is the parts and another one, unless it is there already: what contains
// itself twice would have twice as many at each step.
func with(parts []part, p part) []part {
	if slices.ContainsFunc(parts, func(q part) bool { return p.ptr == q.ptr }) {
		return parts
	}
	return append(slices.Clip(parts), p)
}

// direct strips what only leads to another schema: a reference, an allOf of one,
// "anyOf: [X, {type: null}]". It returns the name of the last reference.
func (d *Document) direct(n node) (node, string) {
	name := ""
	for range maxHops {
		if len(n.parts) != 1 {
			break
		}
		m, ok := n.parts[0].v.(map[string]any)
		if !ok {
			break
		}
		next, null, ok := d.leads(n.parts[0], m)
		if !ok {
			break
		}
		if ref, isRef := m["$ref"].(string); isRef {
			name = ref
		}
		n = node{parts: []part{next}, null: n.null || null}
	}
	return n, name
}

func (d *Document) leads(p part, m map[string]any) (next part, null, ok bool) {
	if ref, is := m["$ref"].(string); is {
		if d.siblings && constrains(m, "$ref") {
			return part{}, false, false
		}
		next, ok = d.find(ref)
		return next, false, ok
	}
	if list, is := m["allOf"].([]any); is && len(list) == 1 && !constrains(m, "allOf", "nullable") {
		return part{list[0], p.ptr + "/allOf/0"}, truth(m["nullable"]), true
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		list, is := m[word].([]any)
		if !is || constrains(m, word, "nullable") {
			continue
		}
		left, null := withoutNull(p, word, list)
		if len(left) == 1 {
			return left[0], null || truth(m["nullable"]), true
		}
	}
	return part{}, false, false
}

// withoutNull takes the alternative {type: null} out.
func withoutNull(p part, word string, list []any) (left []part, null bool) {
	for i, v := range list {
		if m, ok := v.(map[string]any); ok && m["type"] == "null" && !constrains(m, "type") {
			null = true
			continue
		}
		left = append(left, part{v, p.ptr + "/" + word + "/" + strconv.Itoa(i)})
	}
	return left, null
}

// annotations do not say which values are allowed.
var annotations = []string{
	"title", "description", "example", "examples", "default", "deprecated", "externalDocs", "xml",
	"$comment", "$id", "$schema", "$anchor", "$defs", "definitions", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "contentSchema", "discriminator",
}

// constrains reports whether a schema says more than the given keywords and
// annotations.
func constrains(m map[string]any, but ...string) bool {
	for key := range m {
		if !slices.Contains(but, key) && !slices.Contains(annotations, key) && !strings.HasPrefix(key, "x-") {
			return true
		}
	}
	return false
}

// types is a set of JSON types. An integer is a number, so those of numbers are
// whole and broken ones.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeWhole
	typeBroken
	typeString
	typeArray
	typeObject

	typeNumber = typeWhole | typeBroken
	typeAny    = typeNull | typeBoolean | typeNumber | typeString | typeArray | typeObject
)

func typeOf(name string) types {
	switch name {
	case "null":
		return typeNull
	case "boolean":
		return typeBoolean
	case "integer":
		return typeWhole
	case "number":
		return typeNumber
	case "string":
		return typeString
	case "array":
		return typeArray
	case "object":
		return typeObject
	case "file": // Swagger 2.0
		return typeString
	}
	return typeAny
}

func (t types) String() string {
	switch t {
	case typeAny, typeAny &^ typeNull:
		return "any"
	case 0:
		return "none"
	}
	var words []string
	for _, x := range []struct {
		t    types
		word string
	}{{typeString, "string"}, {typeNumber, "number"}, {typeWhole, "integer"}, {typeBroken, "fraction"}, {typeBoolean, "boolean"},
		{typeArray, "array"}, {typeObject, "object"}, {typeNull, "null"}} {
		if t&x.t == x.t {
			words = append(words, x.word)
			t &^= x.t
		}
	}
	return strings.Join(words, " or ")
}

// A schema is what the parts of a node say together.
type schema struct {
	types       types
	enum        []any // if closed
	closedEnum  bool
	bounds      map[string]bound
	multiples   []string
	patterns    []string
	formats     []string
	unique      bool
	required    map[string]bool
	properties  map[string]node
	patternProp map[string]node
	additional  []part // schemas of additionalProperties
	shut        bool   // additionalProperties: false
	names       []part
	items       []part
	prefix      map[string]node // by index
	groups      []group
	others      map[string]node // conditions that are compared as a whole
	dependent   map[string]bool // "x needs y"
	readOnly    bool
	writeOnly   bool
	dflt        any
	hasDefault  bool
	title       string
	more        bool // anything beside groups
}

// A group is an anyOf or oneOf.
type group []part

// A bound is a limit; for numbers it may exclude its value.
type bound struct {
	value     json.Number
	exclusive bool
}

func newSchema() *schema {
	return &schema{
		types: typeAny, bounds: make(map[string]bound), required: make(map[string]bool),
		properties: make(map[string]node), patternProp: make(map[string]node), prefix: make(map[string]node),
		others: make(map[string]node), dependent: make(map[string]bool),
	}
}

// normal merges the parts of a node.
func (d *Document) normal(n node) *schema {
	key := n.key()
	s, ok := d.schemas[key]
	if !ok {
		s = newSchema()
		d.merged = 0
		for _, p := range n.parts {
			d.merge(s, p, make(map[string]bool))
		}
		s.settle()
		d.schemas[key] = s
	}
	if n.null && s.types&typeNull == 0 {
		with := *s
		with.types |= typeNull
		return &with
	}
	return s
}

// upper are the bounds that are tighter if lower.
func upper(word string) bool { return strings.HasPrefix(word, "max") }

func (s *schema) tighten(word string, b bound) {
	old, ok := s.bounds[word]
	if !ok || tighter(word, b, old) {
		s.bounds[word] = b
	}
}

func tighter(word string, a, b bound) bool {
	c := compareNumbers(a.value, b.value)
	if c == 0 {
		return a.exclusive && !b.exclusive
	}
	return (c < 0) == upper(word)
}

// maxMerged bounds the parts of one schema: an allOf of two references to an
// allOf of two, and so on, is soon more than there is memory for.
const maxMerged = 10_000

// merge adds what p says. seen holds the references on the way, since an allOf
// may lead back to itself.
func (d *Document) merge(s *schema, p part, seen map[string]bool) {
	if d.merged++; d.merged > maxMerged {
		return
	}
	switch x := p.v.(type) {
	case bool:
		if !x {
			s.types, s.more = 0, true
		}
		return
	case map[string]any:
		d.mergeObject(s, p, x, seen)
	}
}

func (d *Document) mergeObject(s *schema, p part, m map[string]any, seen map[string]bool) {
	if ref, ok := m["$ref"].(string); ok {
		if target, ok := d.find(ref); !ok {
			s.others["$ref "+ref] = anything()
		} else if !seen[target.ptr] {
			seen[target.ptr] = true
			d.merge(s, target, seen)
			delete(seen, target.ptr)
		}
		if !d.siblings {
			return
		}
	}
	if constrains(m, "anyOf", "oneOf", "nullable", "$ref", "allOf") {
		s.more = true
	}
	child := func(word string) part { return object{m, p.ptr}.child(word) }
	list := func(word string) []part {
		items, _ := m[word].([]any)
		out := make([]part, len(items))
		for i, v := range items {
			out[i] = part{v, p.ptr + "/" + word + "/" + strconv.Itoa(i)}
		}
		return out
	}
	each := func(word string, f func(key string, p part)) {
		members, _ := m[word].(map[string]any)
		for _, key := range keys(members) {
			f(key, object{members, p.ptr + "/" + word}.child(key))
		}
	}

	set := typeAny
	switch x := m["type"].(type) {
	case string:
		set = typeOf(x)
	case []any:
		set = 0
		for _, v := range x {
			set |= typeOf(text(v))
		}
	}
	if v, ok := m["nullable"]; (ok || !d.siblings) && set != typeAny {
		if truth(v) {
			set |= typeNull
		}
	}
	enum, closed := m["enum"].([]any)
	if v, ok := m["const"]; ok {
		enum, closed = []any{v}, true
	}
	if closed {
		if truth(m["nullable"]) && !slices.Contains(enum, nil) {
			// OpenAPI 3.0.3 wants null among the values as well; hardly anybody
			// writes it, and everybody means it.
			enum = append(slices.Clone(enum), nil)
		}
		if s.closedEnum {
			enum = slices.DeleteFunc(slices.Clone(enum), func(v any) bool { return !contains(s.enum, v) })
		}
		s.enum, s.closedEnum = enum, true
	}
	s.types &= set

	for _, word := range []string{"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"} {
		v, ok := m[word].(json.Number)
		if !ok {
			continue
		}
		exclusive := false
		switch word {
		case "minimum":
			exclusive = truth(m["exclusiveMinimum"])
		case "maximum":
			exclusive = truth(m["exclusiveMaximum"])
		case "minLength", "minItems", "minProperties":
			if compareNumbers(v, "0") == 0 {
				continue // it says nothing
			}
		}
		s.tighten(word, bound{v, exclusive})
	}
	if v, ok := m["exclusiveMinimum"].(json.Number); ok {
		s.tighten("minimum", bound{v, true})
	}
	if v, ok := m["exclusiveMaximum"].(json.Number); ok {
		s.tighten("maximum", bound{v, true})
	}
	if v, ok := m["multipleOf"].(json.Number); ok {
		s.multiples = insert(s.multiples, v.String())
	}
	if v := text(m["pattern"]); v != "" {
		s.patterns = insert(s.patterns, v)
	}
	if v := text(m["format"]); v != "" {
		s.formats = insert(s.formats, v)
	}
	s.unique = s.unique || truth(m["uniqueItems"])
	s.readOnly = s.readOnly || truth(m["readOnly"])
	s.writeOnly = s.writeOnly || truth(m["writeOnly"])
	if v, ok := m["default"]; ok && !s.hasDefault {
		s.dflt, s.hasDefault = v, true
	}
	if s.title == "" {
		s.title = text(m["title"])
	}

	for _, r := range list("required") {
		if name, ok := r.v.(string); ok {
			s.required[name] = true
		}
	}
	join := func(m map[string]node) func(string, part) {
		return func(key string, p part) {
			n := m[key]
			n.parts = with(n.parts, p)
			m[key] = n
		}
	}
	each("properties", join(s.properties))
	each("patternProperties", join(s.patternProp))
	switch x := m["additionalProperties"].(type) {
	case bool:
		s.shut = s.shut || !x
	case map[string]any:
		s.additional = with(s.additional, child("additionalProperties"))
	}
	if _, ok := m["propertyNames"]; ok {
		s.names = with(s.names, child("propertyNames"))
	}
	switch m["items"].(type) {
	case map[string]any, bool:
		s.items = with(s.items, child("items"))
	}
	for i, p := range list("prefixItems") {
		join(s.prefix)(strconv.Itoa(i), p)
	}
	each("dependentRequired", func(key string, p part) {
		names, _ := p.v.([]any)
		for _, v := range names {
			s.dependent[key+" needs "+text(v)] = true
		}
	})
	each("dependentSchemas", func(key string, p part) { join(s.others)("dependentSchemas "+key, p) })
	for _, word := range []string{"not", "if", "then", "else", "contains", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"} {
		if _, ok := m[word]; ok {
			join(s.others)(word, child(word))
		}
	}
	for _, p := range list("allOf") {
		d.merge(s, p, seen)
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if alternatives, ok := m[word].([]any); ok {
			left, null := withoutNull(p, word, alternatives)
			switch {
			case !null:
			case len(left) == 0:
				s.types &= typeNull
				continue
			default:
				// Null beside the others: the others decide on all else.
				left = append(left, part{map[string]any{"type": "null"}, p.ptr + "/" + word + "/null"})
			}
			s.groups = append(s.groups, left)
		}
	}
}

// settle draws the conclusions once all is merged.
func (s *schema) settle() {
	if s.closedEnum {
		var set types
		for _, v := range s.enum {
			set |= typeOfValue(v)
		}
		s.enum = slices.DeleteFunc(slices.Clone(s.enum), func(v any) bool { return typeOfValue(v)&s.types == 0 })
		s.types &= set
	}
	// Of whole numbers "more than 0" is "at least 1".
	if s.types&typeNumber == typeWhole {
		for word, step := range map[string]int64{"minimum": 1, "maximum": -1} {
			if b, ok := s.bounds[word]; ok && b.exclusive {
				if i, err := strconv.ParseInt(b.value.String(), 10, 32); err == nil {
					s.bounds[word] = bound{value: json.Number(strconv.FormatInt(i+step, 10))}
				}
			}
		}
	}
	for name := range s.required {
		if _, ok := s.properties[name]; !ok {
			s.properties[name] = anything()
		}
	}
}

func typeOfValue(v any) types {
	switch v := v.(type) {
	case nil:
		return typeNull
	case bool:
		return typeBoolean
	case string:
		return typeString
	case []any:
		return typeArray
	case map[string]any:
		return typeObject
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return typeNumber
		}
		return typeWhole
	}
	return typeAny
}

func insert(list []string, s string) []string {
	if i, found := slices.BinarySearch(list, s); !found {
		return slices.Insert(list, i, s)
	}
	return list
}

func contains(list []any, v any) bool {
	return slices.ContainsFunc(list, func(x any) bool { return equal(x, v) })
}

// equal compares values as JSON Schema does: 1 and 1.0 are one number.
func equal(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		return ok && compareNumbers(x, y) == 0
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

// compareNumbers is exact for what people write, and cheap for what they do not:
// 1e999999999 would take all memory there is.
func compareNumbers(a, b json.Number) int {
	if a == b {
		return 0
	}
	const digits = 64
	if len(a) <= digits && len(b) <= digits && !strings.ContainsAny(string(a+b), "eE") {
		x, okX := new(big.Rat).SetString(string(a))
		y, okY := new(big.Rat).SetString(string(b))
		if okX && okY {
			return x.Cmp(y)
		}
	}
	x, _ := strconv.ParseFloat(string(a), 64)
	y, _ := strconv.ParseFloat(string(b), 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
