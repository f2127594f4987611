package compile_test

import (
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/interceptor"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// The golden artifacts and the table of author mistakes are with package build,
// which reads whole projects.

func TestID(t *testing.T) {
	// printf 'a:b' | sha256sum
	if got, want := compile.ID("a", "b"), "api_6783a31eabf68ccc0660f935c0826282bdd2241f3a80a9f2d10d59aea9ebb5d8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Real mistakes are wrong types and missing keys rather than wrong bytes: the
// golden definitions with a few values exchanged, moved or left out.
func TestMutations(t *testing.T) {
	files, err := filepath.Glob("../build/testdata/golden/*/api_definitions/*")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		var l diag.List
		n := tree.Parse(file, data, &l)
		if n == nil {
			t.Fatal(l)
		}
		original := n.AppendJSON(nil)
		for range rounds {
			var doc any
			if err := json.Unmarshal(original, &doc); err != nil {
				t.Fatal(err)
			}
			for range 1 + random.IntN(3) {
				mutate(random, doc)
			}
			text, err := json.MarshalIndent(doc, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			check(t, string(text), "resourcePolicies: [{10kPerMin: {count: 1, unitTime: 1, timeUnit: min}}, {Burst: {count: 1, unitTime: 1, timeUnit: sec}}]")
			if t.Failed() {
				t.Fatalf("%s:\n%s", file, text)
			}
		}
	}
}

// mutate changes one value somewhere in a document.
func mutate(random *rand.Rand, doc any) {
	var spots []func(any)
	var values []any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				spots = append(spots, func(to any) {
					switch random.IntN(5) {
					case 0:
						delete(v, k)
					case 1:
						v[k+"x"] = v[k]
						delete(v, k)
					default:
						v[k] = to
					}
				})
				values = append(values, v[k], k)
				walk(v[k])
			}
		case []any:
			for i := range v {
				spots = append(spots, func(to any) { v[i] = to })
				values = append(values, v[i])
				walk(v[i])
			}
		}
	}
	walk(doc)
	if len(spots) == 0 {
		return
	}
	to := []any{nil, true, -1, 1.5, "", "x", "#/", "#/paths", "/", "{}", []any{}, []any{nil}, map[string]any{}, map[string]any{"$ref": "#/paths"}, values[random.IntN(len(values))], values[random.IntN(len(values))]}
	// A copy, or the document could come to contain itself.
	text, _ := json.Marshal(to[random.IntN(len(to))])
	var value any
	_ = json.Unmarshal(text, &value)
	spots[random.IntN(len(spots))](value)
}

// Whatever stands in a definition and in a policy file: no panic and no hang,
// every diagnostic has a position inside of a file, nothing blames the author
// for what the toolkit cannot do, and what compiles without an error is an
// artifact that the runtime accepts.
func FuzzArtifact(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "resourcePolicies: [{Gold: {count: 1, unitTime: 1, timeUnit: min}}]")
	}
	f.Fuzz(check)
}

// check compiles a definition and holds what comes of it to the properties of
// FuzzArtifact.
func check(t *testing.T, definition, limits string) {
	const name, policyName = "api_definitions/a.yaml", "policy.yaml"
	sources := map[string]string{name: definition, policyName: limits}
	var l diag.List
	pol := policies.Parse(policyName, []byte(limits), &l)
	docs := spec.Loader{Read: func(n string) ([]byte, error) {
		if n == name {
			return []byte(definition), nil
		}
		return nil, fs.ErrNotExist
	}}.Load(t.Context(), []string{name}, &l)
	lib := new(interceptor.Library)
	if err := lib.Add("interceptors/a.bal", []byte("function f(http:Request r) {}\nfunction g(http:Response r) {}\nfunction g(http:Response r) {}")); err != nil {
		t.Fatal(err)
	}
	in := compile.Input{Project: "p", ToolkitVersion: "v", Documents: docs, Policies: pol, Interceptors: lib, DefaultEndpoint: "http://127.0.0.1:9000"}
	for _, n := range []string{name, policyName} {
		sum := sha256.Sum256([]byte(sources[n]))
		in.Sources = append(in.Sources, compile.Source{Name: n, SHA256: sum[:]})
	}
	a := compile.Artifact(in, &l)
	for _, d := range l {
		text, known := sources[d.File]
		if !known {
			t.Fatalf("not in a file: %v", d)
		}
		if !inside(text, d.Line, d.Column) {
			t.Fatalf("not in the file: %v", d)
		}
		for _, word := range []string{"panic", "runtime error", "nil pointer", "cannot be read"} {
			if strings.Contains(d.Message, word) && !strings.Contains(text, word) {
				t.Fatalf("not the author's fault: %v", d)
			}
		}
	}
	if l.HasErrors() {
		return
	}
	data, err := artifact.Marshal(a)
	if err != nil {
		t.Fatalf("an artifact without errors cannot be written: %v", err)
	}
	if _, err := artifact.Parse(data); err != nil {
		t.Fatalf("an artifact without errors is refused: %v", err)
	}
}

var seeds = []string{
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\npaths: {/a/{b}: {get: {responses: {}}}}\n",
	`{"swagger": "2.0", "info": {"title": "A", "version": "1"}, "host": "h", "basePath": "/b", "paths": {"/a": {"get": {"parameters": [{"name": "x", "in": "body", "schema": {"$ref": "#/definitions/D"}}], "responses": {"200": {"description": "d", "schema": {"type": "array", "items": {"$ref": "#/definitions/D"}}}}}}}, "definitions": {"D": {"type": "object", "properties": {"d": {"$ref": "#/definitions/D"}}}}, "securityDefinitions": {"k": {"type": "apiKey", "in": "header", "name": "k"}}}`,
	"openapi: 3.1.0\ninfo: {title: A, version: 1}\nservers: [{url: 'https://{x}.y/z', variables: {x: {default: d}}}]\nwebhooks: {w: {post: {}}}\npaths:\n  /a:\n    $ref: '#/components/pathItems/p'\ncomponents:\n  pathItems: {p: {get: {security: [{s: [r]}, {}]}}}\n  schemas: {S: {$ref: '#anchor', $anchor: anchor}, T: true}\n  securitySchemes: {s: {type: oauth2, flows: {implicit: {scopes: {r: r}}}}}\n",
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\nx-wso2-basePath: /x/{version}\nx-wso2-production-endpoints: {urls: ['etcd(k, http://a)', 'http://b/?q'], type: failover, securityConfig: {type: basic}, advanceEndpointConfig: {timeoutInMillis: 1, retryConfig: {count: 1}}}\nx-wso2-sandbox-endpoints: '#/x-wso2-endpoints/e'\nx-wso2-endpoints: [{e: {urls: ['http://e']}}]\nx-wso2-throttling-tier: Gold\nx-wso2-cors: {access-control-allow-origins: ['*']}\nx-wso2-mutual-ssl: mandatory\nx-wso2-transports: [http]\nx-wso2-response-cache: {enabled: true}\nx-wso2-application-security: {security-types: [oauth2, api_key], optional: true}\npaths: {/a/*: {get: {x-wso2-disable-security: true}, put: {x-scope: s, x-auth-type: None}}, /a/{b}.{c}: {get: {}}}\n",
	"openapi: 3.1.0\ninfo: {title: A, version: 1}\nx-wso2-basePath: /x\nx-wso2-request-interceptor: f\nx-wso2-response-interceptor: org/m/1.0:f\nservers: [{url: 'http://{a}/{b}', variables: {a: {default: d, enum: [d]}, c: {}}}]\npaths:\n  /a/{b}:\n    $ref: '#/components/pathItems/p'\n    x-wso2-production-endpoints: {urls: ['http://p'], name: n}\n    x-wso2-throttling-tier: Gold\n    parameters: [{name: b, in: path, required: true}, {name: b, in: path}]\n  /{c}/d: {get: {operationId: o, servers: [{url: 'http://s'}], x-wso2-request-interceptor: f, x-wso2-response-interceptor: g, x-throttling-tier: Unlimited}}\n  /e/:f*: {}\ncomponents:\n  pathItems: {p: {get: {operationId: o}, x-wso2-throttling-tier: Gold, x-wso2-response-interceptor: java:a.B}}\n",
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\npaths: {$ref: '#/x'}\nx: {/a: {$ref: 'b.yaml#/x'}, /b: {$ref: '#/paths/~1b'}}\n",
}

// inside reports whether a position is in a text, or just behind its end. YAML
// knows line breaks that JSON does not; where the text has such, only the text
// as a whole bounds the column.
func inside(text string, line, column int) bool {
	odd := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	lines := strings.Split(odd.Replace(text), "\n")
	switch {
	case line < 1 || column < 1 || line > len(lines)+1:
		return false
	case len(lines) != strings.Count(text, "\n")+1:
		return column <= len(text)+2
	case line > len(lines):
		return column == 1
	}
	return column <= utf8.RuneCountInString(lines[line-1])+2
}
