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
		docs := spec.Load([]string{name}, func(string) ([]byte, error) { return data, nil }, &l)
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
	docs := spec.Load([]string{"a.yaml"}, func(string) ([]byte, error) { return []byte(text), nil }, &l)
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
		spec.Load([]string{"a.json"}, func(string) ([]byte, error) { return data, nil }, &l)
	}
}
