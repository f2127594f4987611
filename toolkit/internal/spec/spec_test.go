package spec_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

const corpus = "../../../../shared/corpus"

// The document that an artifact carries can be loaded by the library that mocks
// and validates with it, also where the original could not: what is wrong in a
// schema is left out.
func TestCarriedDocuments(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("there is no corpus beside the repository")
	}
	loaded := 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".md") {
			return err
		}
		name := strings.TrimSuffix(d.Name(), ".gz")
		data := read(t, path)
		var l diag.List
		docs := spec.Loader{Read: func(string) ([]byte, error) { return data, nil }}.Load(t.Context(), []string{name}, &l)
		if l.HasErrors() || len(docs) != 1 {
			t.Errorf("%s: %v", path, l)
			return nil
		}
		if strings.HasSuffix(path, ".gz") && testing.Short() {
			return nil // loading it takes the library seconds
		}
		if _, err := openapi3.NewLoader().LoadFromData(docs[0].JSON); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		loaded++
		return nil
	})
	if err != nil || loaded < 100 {
		t.Errorf("%d loaded, %v", loaded, err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Wrong keywords of schemas do not get into the carried document.
func TestWrongKeywordsAreLeftOut(t *testing.T) {
	const text = `openapi: 3.0.0
info: {title: A, version: 1.10}
paths: {}
components:
  schemas:
    S: {type: object, required: true, nullable: "yes", properties: {a: {maxLength: ten, type: string}}}
`
	var l diag.List
	docs := spec.Loader{Read: func(string) ([]byte, error) { return []byte(text), nil }}.Load(t.Context(), []string{"a.yaml"}, &l)
	want := `{"components":{"schemas":{"S":{"nullable":true,"properties":{"a":{"type":"string"}},"type":"object"}}},"info":{"title":"A","version":"1.10"},"openapi":"3.0.0","paths":{}}`
	if got := string(docs[0].JSON); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if l.Count(diag.Warning) != 3 || l.HasErrors() {
		t.Errorf("%v", l)
	}
}

func TestCheckURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://h":                "",
		"https://h:8443/a?b=c":    "",
		"http://[::1]:80/":        "",
		"":                        "the URL is empty",
		"h":                       `"h" has no scheme`,
		"//h":                     `"//h" has no scheme`,
		"h:80":                    `"h:80" has no scheme`,
		"http:/h":                 `"http:/h" has no host`,
		"http://:80":              `"http://:80" has no host`,
		"http://h:0":              `0 is not a port`,
		"http://h:x":              `"http://h:x" is not a URL`,
		"ftp://h":                 `unsupported scheme "ftp"`,
		"http://u:p@h":            "credentials in a URL end up in logs",
		"http://h/#f":             `"http://h/#f" has a fragment, which is never sent`,
		"http://{zone}.h":         `"http://{zone}.h" is not a URL`,
		"http://h\x7f/":           `"http://h\x7f/" is not a URL`,
		"mailto:someone@internal": `unsupported scheme "mailto"`,
	} {
		if _, got, _ := spec.CheckURL(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func BenchmarkGitHub(b *testing.B) {
	path := corpus + "/github/api.github.com.json.gz"
	if _, err := os.Stat(path); err != nil {
		b.Skip("there is no corpus beside the repository")
	}
	data := read(b, path)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var l diag.List
		spec.Loader{Read: func(string) ([]byte, error) { return data, nil }}.Load(b.Context(), []string{"a.json"}, &l)
	}
}

// What Swagger 2.0 becomes. Each line is what follows the head of a definition,
// and what is carried of it beside the head.
func TestSwagger2(t *testing.T) {
	const head = "swagger: '2.0'\ninfo: {title: A, version: '1'}\nhost: h\n"
	for _, c := range []struct{ in, want string }{
		{"paths: {}", `"components":{"schemas":{}},"paths":{}`},
		{"paths: {x-p: 2, /a: {x-q: 1, get: {x-r: [1], responses: {x-s: 1, 200: {description: 5}}}}}",
			`"components":{"schemas":{}},"paths":{"/a":{"get":{"responses":{"200":{"description":"5"},"x-s":1},"x-r":[1]},"x-q":1},"x-p":2}`},
		{"paths: {/a: {$ref: '#/x-items/a'}}\nx-items: {a: {get: {responses: {}}}}",
			`"components":{"schemas":{}},"paths":{"/a":{"get":{"responses":{}}}},"x-items":{"a":{"get":{"responses":{}}}}`},
		{"paths: {/a: {parameters: [{name: a, in: body, schema: {type: object}}], post: {responses: {default: {}}}, put: {consumes: [text/a, text/b], parameters: [{name: b, in: body, required: true}], responses: {}}}}",
			`"components":{"schemas":{}},"paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object"}}}},"responses":{"default":{"description":""}}},"put":{"requestBody":{"content":{"text/a":{},"text/b":{}},"required":true},"responses":{}}}}`},
		{"consumes: [application/x-www-form-urlencoded]\npaths: {/a: {post: {parameters: [{name: f, in: formData, type: file, required: true}, {name: g, in: formData, type: string, description: d}], responses: {}}}}",
			`"components":{"schemas":{}},"paths":{"/a":{"post":{"requestBody":{"content":{"multipart/form-data":{"schema":{"properties":{"f":{"format":"binary","type":"string"},"g":{"description":"d","type":"string"}},"required":["f"],"type":"object"}}},"required":true},"responses":{}}}}`},
		{"paths: {/a: {get: {parameters: [{$ref: '#/parameters/P'}, {name: q, in: query, type: array, items: {type: string, collectionFormat: csv}, collectionFormat: pipes}, {name: r, in: path, type: array, items: {type: integer}}], responses: {}}}}\nparameters: {P: {name: p, in: query, type: string, enum: [a], default: a}}",
			`"components":{"parameters":{"P":{"in":"query","name":"p","schema":{"default":"a","enum":["a"],"type":"string"}}},"schemas":{}},"paths":{"/a":{"get":{"parameters":[{"$ref":"#/components/parameters/P"},{"explode":false,"in":"query","name":"q","schema":{"items":{"type":"string"},"type":"array"},"style":"pipeDelimited"},{"in":"path","name":"r","required":true,"schema":{"items":{"type":"integer"},"type":"array"}}],"responses":{}}}}`},
		{"paths: {/a: {get: {responses: {200: {$ref: '#/responses/R'}}}}}\nproduces: [text/x]\nresponses: {R: {description: d, schema: {type: file}, headers: {X: {type: integer}}, examples: {text/y: 1}}}",
			`"components":{"responses":{"R":{"content":{"text/x":{"schema":{"format":"binary","type":"string"}},"text/y":{"example":1}},"description":"d","headers":{"X":{"schema":{"type":"integer"}}}}},"schemas":{}},"paths":{"/a":{"get":{"responses":{"200":{"$ref":"#/components/responses/R"}}}}}`},
		{"paths: {/a: {get: {responses: {200: {description: x, schema: {$ref: '#/paths/~1a/get/responses/201/schema'}}, 201: {description: y, schema: {properties: {me: {$ref: '#/paths/~1a/get/responses/201/schema'}}}}}}}}",
			`"components":{"schemas":{"paths__1a_get_responses_201_schema":{"properties":{"me":{"$ref":"#/components/schemas/paths__1a_get_responses_201_schema"}}}}},"paths":{"/a":{"get":{"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/paths__1a_get_responses_201_schema"}}},"description":"x"},"201":{"content":{"application/json":{"schema":{"properties":{"me":{"$ref":"#/components/schemas/paths__1a_get_responses_201_schema"}}}}},"description":"y"}}}}}`},
		{"paths: {}\ndefinitions: {D: {discriminator: kind, properties: {kind: {type: string, x-nullable: true}, items: {type: array, items: {$ref: '#/definitions/D'}}}, allOf: [{$ref: '#/definitions/E'}], additionalProperties: true}, E: {additionalProperties: {type: string, maxLength: 1.5, minLength: 2.0}}}",
			`"components":{"schemas":{"D":{"additionalProperties":true,"allOf":[{"$ref":"#/components/schemas/E"}],"discriminator":{"propertyName":"kind"},"properties":{"items":{"items":{"$ref":"#/components/schemas/D"},"type":"array"},"kind":{"nullable":true,"type":"string"}}},"E":{"additionalProperties":{"minLength":2,"type":"string"}}}},"paths":{}`},
		{"paths: {}\nsecurityDefinitions: {a: {type: oauth2, flow: accessCode, tokenUrl: 't', authorizationUrl: 'a', scopes: {r: r}}, b: {type: basic}, i: {type: oauth2, flow: implicit, authorizationUrl: 'a'}, k: {type: apiKey, in: query, name: k}}",
			`"components":{"schemas":{},"securitySchemes":{"a":{"flows":{"authorizationCode":{"authorizationUrl":"a","scopes":{"r":"r"},"tokenUrl":"t"}},"type":"oauth2"},"b":{"scheme":"basic","type":"http"},"i":{"flows":{"implicit":{"authorizationUrl":"a","scopes":{}}},"type":"oauth2"},"k":{"in":"query","name":"k","type":"apiKey"}}},"paths":{}`},
	} {
		var l diag.List
		docs := spec.Loader{Read: func(string) ([]byte, error) { return []byte(head + c.in + "\n"), nil }}.Load(t.Context(), []string{"a.yaml"}, &l)
		if l.HasErrors() {
			t.Errorf("%s: %v", c.in, l)
			continue
		}
		got := string(docs[0].JSON)
		for _, same := range []string{`"info":{"title":"A","version":"1"},`, `"openapi":"3.0.3",`, `,"servers":[{"url":"https://h"}]`} {
			got = strings.Replace(got, same, "", 1)
		}
		if got = strings.TrimSuffix(strings.TrimPrefix(got, "{"), "}"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.in, got, c.want)
		}
		if _, err := openapi3.NewLoader().LoadFromData(docs[0].JSON); err != nil {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}
