package contract_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/microgw/microgw/toolkit/internal/diff"
	"github.com/microgw/microgw/toolkit/internal/diff/contract"
)

// document is an operation with one schema, in its request and its response.
func document(schema, components string) []byte {
	return fmt.Appendf(nil, `{"openapi": "3.1.0", "paths": {"/x": {"post": {
		"requestBody": {"content": {"application/json": {"schema": %s}}},
		"responses": {"200": {"content": {"application/json": {"schema": %[1]s}}}}
	}}}, "components": {"schemas": %s}}`, schema, components)
}

func findings(t testing.TB, old, new []byte) []contract.Finding {
	t.Helper()
	o, err := contract.Parse(old)
	if err != nil {
		t.Fatal(err)
	}
	n, err := contract.Parse(new)
	if err != nil {
		t.Fatal(err)
	}
	c := contract.Compare(o, n)
	c.Operation(0, contract.Target{Method: "POST", Path: "/x"}, contract.Target{Method: "POST", Path: "/x"})
	return c.Findings()
}

// A maker makes small schemas from a few words, so that two of them often have
// something to do with each other.
type maker struct{ *rand.Rand }

func (m maker) one(words ...string) string { return words[m.IntN(len(words))] }

func (m maker) schema(depth int) string {
	var words []string
	add := func(word string) { words = append(words, word) }
	addf := func(format string, args ...any) { add(fmt.Sprintf(format, args...)) }
	if m.IntN(4) > 0 {
		addf(`"type": %s`, m.one(`"string"`, `"integer"`, `"number"`, `"object"`, `"array"`, `["string", "null"]`, `"boolean"`, `["integer", "string"]`))
	}
	if m.IntN(3) == 0 {
		add(m.one(`"minimum": 1`, `"minimum": 2`, `"exclusiveMinimum": 1`, `"maximum": 3`, `"exclusiveMaximum": 3`, `"multipleOf": 2`, `"multipleOf": 1`, `"multipleOf": 3`))
	}
	if m.IntN(3) == 0 {
		add(m.one(`"minLength": 1`, `"minLength": 2`, `"maxLength": 1`, `"maxLength": 3`, `"pattern": "^a"`, `"pattern": "b"`))
	}
	if m.IntN(6) == 0 {
		add(m.one(`"enum": ["a", 1]`, `"enum": ["a", "ab", 2, null]`, `"const": "a"`, `"const": 2`, `"enum": [[1], {"a": 1}, 1]`))
	}
	if depth > 0 {
		sub := func() string { return m.schema(depth - 1) }
		for range m.IntN(3) {
			switch m.IntN(14) {
			case 0, 1:
				addf(`"properties": {"a": %s, "b": %s}`, sub(), sub())
			case 2:
				addf(`"required": %s`, m.one(`["a"]`, `["a", "b"]`, `["c"]`))
			case 3:
				addf(`"additionalProperties": %s`, m.one("false", "true", sub()))
			case 4:
				addf(`"items": %s`, sub())
			case 5:
				addf(`"prefixItems": [%s, %s]`, sub(), sub())
			case 6:
				add(m.one(`"minItems": 1`, `"maxItems": 1`, `"uniqueItems": true`, `"minProperties": 1`, `"maxProperties": 1`))
			case 7:
				addf(`"anyOf": [%s, %s]`, sub(), sub())
			case 8:
				addf(`"allOf": [%s, %s]`, sub(), sub())
			case 9:
				addf(`"not": %s`, sub())
			case 10:
				addf(`"if": %s, "then": %s`, sub(), sub())
			case 11:
				addf(`"patternProperties": {"^a": %s}`, sub())
			case 12:
				addf(`"contains": %s`, sub())
			case 13:
				add(m.one(`"dependentRequired": {"a": ["b"]}`, `"dependentSchemas": {"a": `+sub()+`}`, `"propertyNames": `+sub(), `"oneOf": [{"type": "null"}, `+sub()+`]`,
					`"$ref": "#/components/schemas/A"`, `"anyOf": [{"$ref": "#/components/schemas/B"}, `+sub()+`]`))
			}
		}
	}
	// The last of two keywords of one name holds.
	seen := map[string]bool{}
	kept := words[:0]
	for _, w := range words {
		name, _, _ := strings.Cut(w, ":")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, w)
		}
	}
	return "{" + strings.Join(kept, ", ") + "}"
}

var instances = func() []any {
	var out []any
	for _, s := range []string{
		`null`, `true`, `0`, `1`, `1.5`, `2`, `3`, `4`, `6`, `""`, `"a"`, `"b"`, `"ab"`, `"abcd"`, `[]`, `[1]`, `["a"]`, `[1, 1]`, `["a", 2]`, `[null, "ab", 3]`,
		`{}`, `{"a": 1}`, `{"a": "a"}`, `{"b": "ab"}`, `{"a": 2, "b": 3}`, `{"c": "a"}`, `{"a": null, "b": "b", "c": 1}`, `{"a": {"a": 1}}`, `{"a": [1], "c": "x"}`, `{"b": {"b": "a"}}`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
		if err != nil {
			panic(err)
		}
		out = append(out, v)
	}
	return out
}()

// accepted says which instances a validator lets through.
func accepted(t testing.TB, schema, components string) []bool {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"$defs": {"x": ` + schema + `}, "components": {"schemas": ` + components + `}}`))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("test.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("test.json#/$defs/x")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	out := make([]bool, len(instances))
	for i, v := range instances {
		out[i] = s.Validate(v) == nil
	}
	return out
}

// What is said to be compatible is: a value that the old request took is taken by
// the new one, and one that the new response may have was possible in the old
// one. A validator is the judge. (Not everything that is said to break does.)
func TestSound(t *testing.T) {
	components := `{"A": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/B"}}}, "B": {"type": ["string", "object"], "properties": {"b": {"$ref": "#/components/schemas/A"}}}}`
	other := `{"A": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/B"}}}, "B": {"type": ["string", "object"], "minLength": 1, "properties": {"b": {"$ref": "#/components/schemas/A"}}}}`
	severity := make(map[string]diff.Severity)
	for _, c := range diff.Codes() {
		severity[c.ID] = c.Severity
	}
	m := maker{rand.New(rand.NewPCG(1, 2))}
	compatible, breaking := 0, 0
	for i := range 400 {
		old, new := m.schema(2), m.schema(2)
		if i%2 == 0 {
			// A part of the other one, so that there is something in common.
			new = m.one(`{"allOf": [`+old+`, `+m.schema(1)+`]}`, `{"anyOf": [`+old+`, `+m.schema(1)+`]}`, `{"properties": {"a": `+old+`}}`)
			if m.IntN(2) == 0 {
				old, new = new, old
			}
		}
		oc, nc := components, m.one(components, other)
		a, b := document(old, oc), document(new, nc)
		if f := findings(t, a, a); len(f) > 0 {
			t.Fatalf("%s is not itself: %v", old, f)
		}
		safe := map[string]bool{"request": true, "response": true}
		var said []string
		for _, f := range findings(t, a, b) {
			dir, _, _ := strings.Cut(f.Code, "-")
			// Members that are not declared are not expected; a validator sees it
			// otherwise.
			if severity[f.Code] != diff.Note || strings.HasSuffix(f.Code, "property-added") {
				safe[dir] = false
			}
			said = append(said, f.Code+" "+f.Place)
		}
		was, is := accepted(t, old, oc), accepted(t, new, nc)
		for k, v := range instances {
			text, _ := json.Marshal(v)
			if safe["request"] && was[k] && !is[k] {
				t.Errorf("%s\n-> %s: a request of %s was right and is not: %q", old, new, text, said)
			}
			if safe["response"] && is[k] && !was[k] {
				t.Errorf("%s\n-> %s: a response of %s is new: %q", old, new, text, said)
			}
		}
		for _, ok := range safe {
			if ok {
				compatible++
			} else {
				breaking++
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d compatible, %d not", compatible, breaking)
	if compatible < 100 || breaking < 100 {
		t.Errorf("%d compatible and %d others prove little", compatible, breaking)
	}
}

// Whatever stands in a document, comparing ends, finds nothing between a thing
// and itself, and finds the same twice.
func FuzzCompare(f *testing.F) {
	f.Add(`{"type": "string"}`, `{"$ref": "#/components/schemas/A"}`, `{"A": {"allOf": [{"$ref": "#/components/schemas/A"}]}}`)
	f.Add(`{"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]}`, `{"oneOf": [{}]}`, `{"A": {"items": {"$ref": "#/components/schemas/B"}}, "B": {"not": {"$ref": "#/components/schemas/A"}}}`)
	// Schemas that contain themselves, by every way there is.
	f.Add(`{"$ref": "#/components/schemas/A"}`, `{"$ref": "#/components/schemas/B"}`, `{"A": {"items": {"allOf": [{"$ref": "#/components/schemas/A"}, {"minLength": 1}]}}, "B": {"items": {"$ref": "#/components/schemas/B", "minLength": 2}}}`)
	f.Add(`{"$ref": "#/components/schemas/A"}`, `{"$ref": "#/components/schemas/A"}`, `{"A": {"allOf": [{"$ref": "#/components/schemas/A", "maxItems": 1}], "properties": {"a": {"allOf": [{"$ref": "#/components/schemas/A"}, {}]}, "b": {"anyOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/A"}]}, "c": {"not": {"$ref": "#/components/schemas/A"}}}}}`)
	f.Add(`{}`, `{"$ref": "#/components/schemas/B"}`, `{"B": {"items": {"$ref": "#/components/schemas/B", "minLength": 2}, "additionalProperties": {"allOf": [{"$ref": "#/components/schemas/B"}, {}]}}}`)
	f.Add(`{"$ref": "#/components/schemas/A"}`, `{"$ref": "#/components/schemas/A"}`, `{"A": {"properties": {"a": {"allOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/A"}, {"items": {"$ref": "#/components/schemas/A"}}]}}}}`)
	f.Add(`{"minimum": 1e999999999, "enum": [{"a": [1.0]}]}`, `{"minimum": 2, "const": 1}`, `{}`)
	f.Add(`{"properties": {"a": false}, "required": [1, "b"]}`, `{"type": ["string", 1], "prefixItems": {}}`, `[]`)
	f.Fuzz(func(t *testing.T, a, b, components string) {
		old, new := document(a, components), document(b, components)
		if !json.Valid(old) || !json.Valid(new) {
			return
		}
		for _, doc := range [][]byte{old, new} {
			if got := findings(t, doc, doc); len(got) > 0 {
				t.Errorf("%s is not itself: %v", doc, got)
			}
		}
		if x, y := fmt.Sprint(findings(t, old, new)), fmt.Sprint(findings(t, old, new)); x != y {
			t.Errorf("%s and %s", x, y)
		}
	})
}
