package compile_test

import (
	"crypto/sha256"
	"io/fs"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// The golden artifacts and the table of author mistakes are with package build,
// which reads whole projects.

func TestID(t *testing.T) {
	// printf 'a:b' | sha256sum
	if got, want := compile.ID("a", "b"), "api_6783a31eabf68ccc0660f935c0826282bdd2241f3a80a9f2d10d59aea9ebb5d8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Whatever stands in a definition and in a policy file: no panic and no hang,
// every diagnostic has a position inside of a file, nothing blames the author
// for what the toolkit cannot do, and what compiles without an error is an
// artifact that the runtime accepts.
func FuzzArtifact(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "resourcePolicies: [{Gold: {count: 1, unitTime: 1, timeUnit: min}}]")
	}
	f.Fuzz(func(t *testing.T, definition, limits string) {
		const name, policyName = "api_definitions/a.yaml", "policy.yaml"
		sources := map[string]string{name: definition, policyName: limits}
		var l diag.List
		pol := policies.Parse(policyName, []byte(limits), &l)
		docs := spec.Load([]string{name}, func(n string) ([]byte, error) {
			if n == name {
				return []byte(definition), nil
			}
			return nil, fs.ErrNotExist
		}, &l)
		in := compile.Input{Project: "p", ToolkitVersion: "v", Documents: docs, Policies: pol, DefaultEndpoint: "http://127.0.0.1:9000"}
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
			lines := strings.Split(text, "\n")
			if d.Line < 1 || d.Line > len(lines)+1 || d.Column < 1 {
				t.Fatalf("not in the file: %v", d)
			}
			if d.Line <= len(lines) && d.Column > len([]rune(lines[d.Line-1]))+2 {
				t.Fatalf("not on the line: %v", d)
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
	})
}

var seeds = []string{
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\npaths: {/a/{b}: {get: {responses: {}}}}\n",
	`{"swagger": "2.0", "info": {"title": "A", "version": "1"}, "host": "h", "basePath": "/b", "paths": {"/a": {"get": {"parameters": [{"name": "x", "in": "body", "schema": {"$ref": "#/definitions/D"}}], "responses": {"200": {"description": "d", "schema": {"type": "array", "items": {"$ref": "#/definitions/D"}}}}}}}, "definitions": {"D": {"type": "object", "properties": {"d": {"$ref": "#/definitions/D"}}}}, "securityDefinitions": {"k": {"type": "apiKey", "in": "header", "name": "k"}}}`,
	"openapi: 3.1.0\ninfo: {title: A, version: 1}\nservers: [{url: 'https://{x}.y/z', variables: {x: {default: d}}}]\nwebhooks: {w: {post: {}}}\npaths:\n  /a:\n    $ref: '#/components/pathItems/p'\ncomponents:\n  pathItems: {p: {get: {security: [{s: [r]}, {}]}}}\n  schemas: {S: {$ref: '#anchor', $anchor: anchor}, T: true}\n  securitySchemes: {s: {type: oauth2, flows: {implicit: {scopes: {r: r}}}}}\n",
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\nx-wso2-basePath: /x/{version}\nx-wso2-production-endpoints: {urls: ['etcd(k, http://a)', 'http://b/?q'], type: failover, securityConfig: {type: basic}, advanceEndpointConfig: {timeoutInMillis: 1, retryConfig: {count: 1}}}\nx-wso2-sandbox-endpoints: '#/x-wso2-endpoints/e'\nx-wso2-endpoints: [{e: {urls: ['http://e']}}]\nx-wso2-throttling-tier: Gold\nx-wso2-cors: {access-control-allow-origins: ['*']}\nx-wso2-mutual-ssl: mandatory\nx-wso2-transports: [http]\nx-wso2-response-cache: {enabled: true}\nx-wso2-application-security: {security-types: [oauth2, api_key], optional: true}\npaths: {/a/*: {get: {x-wso2-disable-security: true}, put: {x-scope: s, x-auth-type: None}}, /a/{b}.{c}: {get: {}}}\n",
	"openapi: 3.0.0\ninfo: {title: A, version: 1}\npaths: {$ref: '#/x'}\nx: {/a: {$ref: 'b.yaml#/x'}, /b: {$ref: '#/paths/~1b'}}\n",
}
