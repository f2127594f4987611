package mock

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Values are made from a schema without chance: the same schema always gives
// the same value, so that an answer can be compared in a test. What the author
// wrote comes first (example, const, default, enum); what is left is the
// simplest value of the type that keeps the limits that are easy to keep.
// Patterns, conditions and the like are not looked at.
//
// A schema may refer to itself, or double its size with each level; both are
// bounded by a depth and by a budget that every value made takes from.
const (
	maxDepth  = 12
	maxBudget = 20000
	// maxNested is how often a schema may stand within itself.
	maxNested = 2
	// maxText bounds texts that are filled up to a minLength.
	maxText = 1024
	// maxItems bounds lists that are filled up to a minItems.
	maxItems = 10
)

type generator struct {
	doc    document
	budget int
	open   map[string]int // references being followed, how often
	cuts   int            // values not made because of a bound
}

// value makes a value; nil stands for null and for what cannot be made.
func (g *generator) value(schema any, depth int) any {
	if g.budget--; g.budget < 0 || depth > maxDepth {
		g.cuts++
		return nil
	}
	if m, ok := schema.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			if g.open[ref] >= maxNested {
				g.cuts++
				return nil
			}
			g.open[ref]++
			defer func() { g.open[ref]-- }()
		}
	}
	if allowed, ok := schema.(bool); ok && allowed {
		return map[string]any{} // "true" allows anything
	}
	s := g.doc.object(schema)
	if s == nil {
		return nil
	}
	if v, ok := written(s); ok {
		g.budget -= size(v)
		return v
	}

	var v any
	if parts, ok := s["allOf"].([]any); ok {
		for _, part := range parts {
			v = merge(v, g.value(part, depth+1))
		}
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		choices, _ := s[key].([]any)
		for _, choice := range choices {
			if made := g.value(choice, depth+1); made != nil {
				v = merge(v, made)
				break
			}
		}
	}
	own := g.typed(s, depth, v == nil)
	return merge(v, own)
}

// written is what the schema itself gives as a value.
func written(s map[string]any) (any, bool) {
	if v, ok := s["example"]; ok {
		return v, true
	}
	if list, ok := s["examples"].([]any); ok && len(list) > 0 { // JSON Schema
		return list[0], true
	}
	for _, key := range []string{"const", "default"} {
		if v, ok := s[key]; ok {
			return v, true
		}
	}
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[0], true
	}
	return nil, false
}

// merge joins the parts of an allOf: objects by their members, of anything else
// the first.
func merge(a, b any) any {
	if a == nil {
		return b
	}
	am, ok := a.(map[string]any)
	if !ok {
		return a
	}
	bm, ok := b.(map[string]any)
	if !ok {
		return a
	}
	joined := maps.Clone(am)
	for k, v := range bm {
		joined[k] = merge(joined[k], v)
	}
	return joined
}

// typed makes a value by the schema's type. Without one it is told by what else
// the schema has; alone says whether a schema without any such sign needs a
// value.
func (g *generator) typed(s map[string]any, depth int, alone bool) any {
	switch typeOf(s) {
	case "object":
		return g.object(s, depth)
	case "array":
		return g.array(s, depth)
	case "string":
		return text(s)
	case "integer":
		return integer(s)
	case "number":
		return number(s)
	case "boolean":
		return true
	case "null":
		return nil
	}
	if alone {
		return map[string]any{}
	}
	return nil
}

func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any: // JSON Schema: any of them
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
		return "null"
	}
	for _, sign := range []struct{ key, means string }{
		{"properties", "object"}, {"additionalProperties", "object"}, {"items", "array"}, {"prefixItems", "array"},
		{"format", "string"}, {"pattern", "string"}, {"minLength", "string"}, {"maxLength", "string"},
		{"minimum", "number"}, {"maximum", "number"}, {"multipleOf", "number"},
	} {
		if _, ok := s[sign.key]; ok {
			return sign.means
		}
	}
	return ""
}

func (g *generator) object(s map[string]any, depth int) any {
	made := map[string]any{}
	properties := g.doc.object(s["properties"])
	required, _ := s["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if p := g.doc.object(properties[name]); p["writeOnly"] == true {
			continue // for requests: passwords mostly
		}
		cuts := g.cuts
		v := g.value(properties[name], depth+1)
		if v == nil {
			if !slices.Contains(required, any(name)) {
				continue
			}
			if g.cuts > cuts && depth > 0 {
				return nil // whoever asked may do without
			}
		}
		made[name] = v
	}
	if len(properties) == 0 {
		if extra := g.doc.object(s["additionalProperties"]); len(extra) > 0 {
			if v := g.value(extra, depth+1); v != nil {
				made["key"] = v
			}
		}
	}
	return made
}

func (g *generator) array(s map[string]any, depth int) any {
	made := []any{}
	prefix, _ := s["prefixItems"].([]any)
	for _, item := range prefix {
		if g.budget <= 0 {
			return made
		}
		made = append(made, g.value(item, depth+1))
	}
	items, ok := s["items"]
	if !ok {
		return made
	}
	want := max(1, limit(s, "minItems", maxItems))
	if n, ok := numeric(s["maxItems"]); ok && n < float64(want) {
		want = int(max(0, n))
	}
	for len(made) < want {
		v := g.value(items, depth+1)
		if v == nil {
			break
		}
		made = append(made, v)
	}
	return made
}

var formats = map[string]string{
	"date-time":     "2026-01-01T00:00:00Z",
	"date":          "2026-01-01",
	"time":          "00:00:00Z",
	"duration":      "PT1H",
	"email":         "user@example.com",
	"idn-email":     "user@example.com",
	"hostname":      "host.example.com",
	"idn-hostname":  "host.example.com",
	"ipv4":          "192.0.2.1",
	"ipv6":          "2001:db8::1",
	"uri":           "https://example.com/",
	"url":           "https://example.com/",
	"iri":           "https://example.com/",
	"uri-reference": "/",
	"iri-reference": "/",
	"uri-template":  "/{id}",
	"json-pointer":  "/a",
	"uuid":          "00000000-0000-4000-8000-000000000000",
	"byte":          "bW9jaw==",
	"regex":         ".*",
}

func text(s map[string]any) string {
	format, _ := s["format"].(string)
	if v, ok := formats[format]; ok {
		return v
	}
	v := "string"
	if n := limit(s, "minLength", maxText); n > len(v) {
		v = strings.Repeat(v, n/len(v)+1)[:n]
	}
	if n, ok := numeric(s["maxLength"]); ok && n < float64(len(v)) {
		v = v[:int(max(0, n))]
	}
	return v
}

// limit reads a count, bounded by most.
func limit(s map[string]any, key string, most int) int {
	n, ok := numeric(s[key])
	if !ok {
		return 0
	}
	return int(min(max(0, n), float64(most)))
}

// number is 1 if that is allowed, else the nearest allowed value.
func number(s map[string]any) any {
	v := 1.0
	low, high := bounds(s)
	if v < low {
		v = low
	}
	if v > high {
		v = high
	}
	if step, ok := numeric(s["multipleOf"]); ok && step > 0 {
		if up := math.Ceil(v/step) * step; up <= high {
			v = up
		} else {
			v = math.Floor(v/step) * step
		}
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return json.Number("1")
	}
	return json.Number(strconv.FormatFloat(v, 'f', -1, 64))
}

func integer(s map[string]any) any {
	v, err := number(s).(json.Number).Float64()
	if err != nil || math.Abs(v) > 1<<53 {
		return json.Number("1")
	}
	low, _ := bounds(s)
	whole := math.Ceil(v)
	if floor := math.Floor(v); floor >= low {
		whole = floor
	}
	return json.Number(strconv.FormatFloat(whole, 'f', -1, 64))
}

// bounds reads the limits of a number. Those that exclude their value are
// booleans in OpenAPI 3.0 and numbers in JSON Schema; half a step inside is far
// enough for the values made here.
func bounds(s map[string]any) (low, high float64) {
	step := 0.5
	if typeOf(s) == "integer" {
		step = 1
	}
	low, high = math.Inf(-1), math.Inf(1)
	if n, ok := numeric(s["minimum"]); ok {
		low = n
		if s["exclusiveMinimum"] == true {
			low += step
		}
	}
	if n, ok := numeric(s["exclusiveMinimum"]); ok {
		low = max(low, n+step)
	}
	if n, ok := numeric(s["maximum"]); ok {
		high = n
		if s["exclusiveMaximum"] == true {
			high -= step
		}
	}
	if n, ok := numeric(s["exclusiveMaximum"]); ok {
		high = min(high, n-step)
	}
	return low, high
}

func numeric(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// size is about how much a written value adds to an answer.
func size(v any) int {
	switch v := v.(type) {
	case map[string]any:
		n := 1
		for key, member := range v {
			n += 1 + len(key)/64 + size(member)
		}
		return n
	case []any:
		n := 1
		for _, item := range v {
			n += size(item)
		}
		return n
	case string:
		return 1 + len(v)/64
	}
	return 1
}
