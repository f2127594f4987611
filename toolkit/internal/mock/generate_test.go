package mock_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/microgw/microgw/schema/artifactpb"
)

func answerFor(t testing.TB, schema string) (string, bool) {
	t.Helper()
	m := newMock(t, artifactOf(t, `
paths: {/x: {get: {responses: {"200": {content: {application/json: {schema: `+schema+`}}}}}}}
components:
  schemas:
    Name: {type: string, example: Rex}
    Node: {type: object, required: [id], properties: {id: {type: integer}, next: {$ref: "#/components/schemas/Node"}}}
    List: {type: array, items: {$ref: "#/components/schemas/List"}}
    Must: {type: object, required: [next], properties: {next: {$ref: "#/components/schemas/Must"}}}
    Self: {$ref: "#/components/schemas/Self"}
`, "http://h"))
	res := call(m, "GET", "/x")
	return body(t, res), res.StatusCode == http.StatusOK
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`{type: string}`, `"string"`},
		{`{type: string, example: a, default: b, enum: [c]}`, `"a"`},
		{`{type: string, default: b, enum: [c]}`, `"b"`},
		{`{type: string, enum: [c, d]}`, `"c"`},
		{`{const: 5}`, `5`},
		{`{examples: [x, y]}`, `"x"`},
		{`{type: string, format: date-time}`, `"2026-01-01T00:00:00Z"`},
		{`{type: string, format: uuid}`, `"00000000-0000-4000-8000-000000000000"`},
		{`{type: string, minLength: 8}`, `"stringst"`},
		{`{type: string, maxLength: 3}`, `"str"`},
		{`{type: string, maxLength: 0}`, `""`},
		{`{type: integer}`, `1`},
		{`{type: integer, minimum: 10}`, `10`},
		{`{type: integer, minimum: 10, exclusiveMinimum: true}`, `11`},
		{`{type: integer, exclusiveMinimum: 10}`, `11`},
		{`{type: integer, maximum: -3}`, `-3`},
		{`{type: integer, multipleOf: 7}`, `7`},
		{`{type: integer, minimum: 1.5}`, `2`},
		{`{type: number, maximum: 0.25}`, `0.25`},
		{`{type: number, minimum: 1.0e+308}`, `1` + strings.Repeat("0", 308)},
		{`{type: boolean}`, `true`},
		{`{type: "null"}`, `null`},
		{`{type: [string, "null"]}`, `"string"`},
		{`{type: ["null", integer]}`, `1`},
		{`{}`, `{}`},
		{`true`, `{}`},
		{`false`, `null`},
		{`{type: object}`, `{}`},
		{`{properties: {b: {type: integer}, a: {type: string}}}`, `{"a":"string","b":1}`},
		{`{type: object, properties: {a: {type: string, writeOnly: true}, b: {type: string, readOnly: true}}}`, `{"b":"string"}`},
		{`{type: object, additionalProperties: {type: integer}}`, `{"key":1}`},
		{`{type: object, additionalProperties: true}`, `{}`},
		{`{type: array, items: {type: integer}}`, `[1]`},
		{`{type: array, items: {type: integer}, minItems: 3}`, `[1,1,1]`},
		{`{type: array, items: {type: integer}, minItems: 1000000}`, `[1,1,1,1,1,1,1,1,1,1]`},
		{`{type: array, items: {type: integer}, maxItems: 0}`, `[]`},
		{`{type: array}`, `[]`},
		{`{prefixItems: [{type: string}, {type: integer}]}`, `["string",1]`},
		{`{$ref: "#/components/schemas/Name"}`, `"Rex"`},
		{`{$ref: "#/components/schemas/Missing"}`, `null`},
		{`{$ref: "#/components/schemas/Self"}`, `null`},
		{`{$ref: "other.yaml#/x"}`, `null`},
		{`{allOf: [{properties: {a: {type: string}}}, {properties: {b: {type: integer}}}], properties: {c: {type: boolean}}}`, `{"a":"string","b":1,"c":true}`},
		{`{allOf: [{$ref: "#/components/schemas/Name"}]}`, `"Rex"`},
		{`{oneOf: [{$ref: "#/components/schemas/Missing"}, {type: integer}, {type: string}]}`, `1`},
		{`{anyOf: [{properties: {a: {type: string}}}], properties: {b: {type: integer}}}`, `{"a":"string","b":1}`},
		{`{type: object, properties: {x: {allOf: [{type: string}], nullable: true}}}`, `{"x":"string"}`},
	} {
		if got, ok := answerFor(t, c.schema); !ok || got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.schema, got, c.want)
		}
	}
}

// Schemas that refer to themselves end, and what can be left out at the end is.
func TestRecursion(t *testing.T) {
	for schema, want := range map[string]string{
		`{$ref: "#/components/schemas/Node"}`:                                  `{"id":1,"next":{"id":1}}`,
		`{$ref: "#/components/schemas/List"}`:                                  `[[]]`,
		`{$ref: "#/components/schemas/Must"}`:                                  `{"next":null}`,
		`{type: object, properties: {m: {$ref: "#/components/schemas/Must"}}}`: `{}`,
	} {
		if got, _ := answerFor(t, schema); got != want {
			t.Errorf("%s\n got %s\nwant %s", schema, got, want)
		}
	}
}

func FuzzSchema(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"$ref":"#/components/schemas/S"},"b":{"$ref":"#/components/schemas/S"}},"required":["a"]}`,
		`{"oneOf":[{"$ref":"#/components/schemas/S"},{"$ref":"#/components/schemas/S"}]}`,
		`{"allOf":[{"$ref":"#/components/schemas/S"},{"type":"array","minItems":5,"items":{"$ref":"#"}}]}`,
		`{"type":"array","items":{"$ref":"#/components/schemas/S"},"minItems":9}`,
		`{"type":"string","minLength":999999999,"maxLength":-1}`,
		`{"type":"integer","minimum":1e400,"maximum":-5,"multipleOf":0}`,
		`{"type":"number","multipleOf":1e-300,"exclusiveMinimum":true}`,
		`{"$ref":"#/components/schemas/S"}`,
		`{"example":{"$ref":"#/x"},"type":7,"enum":"x"}`,
		`{"prefixItems":[{"$ref":"#/components/schemas/S"},{"$ref":"#/components/schemas/S"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, schema []byte) {
		if len(schema) > 1<<12 || !json.Valid(schema) {
			return
		}
		a := &artifactpb.Artifact{
			Documents: []*artifactpb.Document{{Json: []byte(`{"paths":{"/x":{"get":{"responses":{"200":{
				"headers":{"X-A":{"schema":{"$ref":"#/components/schemas/S"}}},
				"content":{"application/json":{"schema":{"$ref":"#/components/schemas/S"}},"text/xml":{"schema":{"$ref":"#/components/schemas/S"}}}}}}}},
				"components":{"schemas":{"S":` + string(schema) + `}}}`)}},
			Apis:     []*artifactpb.Api{{Operations: []*artifactpb.Operation{{Id: "GET /x", Method: "GET", Path: "/x", ProductionCluster: 1}}}},
			Clusters: []*artifactpb.Cluster{{Endpoints: []*artifactpb.Endpoint{{Url: "http://h"}}}},
		}
		m := newMock(t, a)
		first := call(m, "GET", "/x")
		got := body(t, first)
		if first.StatusCode != http.StatusOK || !json.Valid([]byte(got)) {
			t.Fatalf("%d %s", first.StatusCode, got)
		}
		// What is written once may be answered many times, but not without end.
		if len(got) > 8<<20 {
			t.Fatalf("%d bytes from a schema of %d", len(got), len(schema))
		}
		if again := body(t, call(m, "GET", "/x")); again != got {
			t.Fatalf("two answers to one request:\n%s\n%s", got, again)
		}
		call(m, "GET", "/x", "Accept", "text/xml")
	})
}
