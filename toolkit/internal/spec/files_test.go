package spec_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// Whatever stands in a definition, in a file that it refers to, and behind a URL: no
// panic, and what is read without an error is one document, which reads as itself
// without the other files.
func FuzzFiles(f *testing.F) {
	const head30, head31, head20 = "openapi: 3.0.3\ninfo: {title: A, version: '1'}\n", "openapi: 3.1.0\ninfo: {title: A, version: '1'}\n", "swagger: '2.0'\ninfo: {title: A, version: '1'}\n"
	f.Add(head30+"paths: {/a: {$ref: 'other.yaml#/p'}}\n", "p: {get: {responses: {200: {$ref: 'https://example.com/x#/r'}}}}\n", "r: {description: d, content: {a/b: {schema: {$ref: y}}}}\n")
	f.Add(head30+"paths: {}\ncomponents: {schemas: {A: {$ref: 'other.yaml'}, B: {discriminator: {propertyName: p, mapping: {a: 'other.yaml#/properties/a', b: B}}}}}\n", "properties: {a: {$ref: '#'}, b: {$ref: 'a.yaml#/components/schemas/B'}}\n", "")
	f.Add(head31+"paths: {}\ncomponents: {schemas: {A: {$id: 'https://example.com/a', $ref: '#/$defs/x', $defs: {x: true, y: {$ref: b}}}, B: {$ref: 'https://example.com/a#/$defs/x'}, C: {$id: 'https://example.com/b', $dynamicAnchor: n}}}\n", "", "")
	f.Add(head31+"paths: {}\ncomponents: {pathItems: {P: {$ref: 'other.yaml'}}, schemas: {A: {$ref: '#a', type: string}, B: {$anchor: a}, C: {$ref: 'other.yaml#b'}}}\n", "$anchor: b\nget: {callbacks: {c: {x: {$ref: 'a.yaml#/components/pathItems/P'}}}}\n", "")
	f.Add(head20+"paths: {/a: {$ref: 'other.yaml#/p'}}\ndefinitions: {D: {$ref: 'https://example.com/x'}}\n", "p: {get: {parameters: [{in: body, name: b, schema: {$ref: 'https://example.com/x#/items'}}], responses: {}}}\n", "{type: array, items: {$ref: '#'}}\n")
	f.Fuzz(func(t *testing.T, definition, other, remote string) {
		read := func(name string) ([]byte, error) {
			switch name {
			case "a.yaml":
				return []byte(definition), nil
			case "other.yaml":
				return []byte(other), nil
			}
			return nil, fs.ErrNotExist
		}
		fetch := func(url string) ([]byte, string, error) {
			if strings.HasPrefix(url, "https://example.com/") {
				return []byte(remote), url, nil
			}
			return nil, "", errors.New("no such host")
		}
		var l diag.List
		docs := spec.Loader{Read: read, Remote: fetch, Jobs: 1}.Load(context.Background(), []string{"a.yaml"}, &l)
		for _, d := range l {
			if strings.Contains(d.Message, "the definition cannot be read") {
				t.Fatal(d)
			}
		}
		if l.HasErrors() || len(docs) == 0 {
			return
		}
		first := docs[0].JSON
		if !json.Valid(first) {
			t.Fatalf("not JSON: %s", first)
		}
		l = nil
		docs = spec.Loader{Read: func(name string) ([]byte, error) {
			if name == "b.json" {
				return first, nil
			}
			return nil, fs.ErrNotExist
		}}.Load(t.Context(), []string{"b.json"}, &l)
		if l.HasErrors() {
			t.Fatalf("what is carried has errors: %v\n%s", l, first)
		}
		if second := docs[0].JSON; string(second) != string(first) {
			t.Fatalf("it reads as another:\n%s\n%s", first, second)
		}
	})
}
