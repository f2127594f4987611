package deptest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/microgw/microgw/pkg/deptest"
)

// recorder notes failures in place of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestForbid(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":       "module m\n\ngo 1.24\n",
		"a/a.go":       "package a\n\nimport _ \"net/http\"\n",
		"a/a_test.go":  "package a_test\n\nimport _ \"os\"\n",
		"b/b.go":       "package b\n\nimport _ \"m/a\"\n",
		"b/c/c.go":     "package c\n\nimport _ \"net/http/httptest\"\n",
		"broken/br.go": "package broken\n\nimport _ \"net/http\"\n\nfunc {\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")

	for _, tt := range []struct {
		name string
		rule deptest.Rule
		want []string
	}{
		{"one package", deptest.Rule{In: "m/a", Import: []string{"net/http"}, Reason: "why"},
			[]string{"m/a imports net/http: why"}},
		{"exact import", deptest.Rule{In: "m/b/...", Import: []string{"net/http"}}, nil},
		{"below", deptest.Rule{In: "m/b/...", Import: []string{"net/http/..."}, Reason: "why"},
			[]string{"m/b/c imports net/http/httptest: why"}},
		{"except", deptest.Rule{In: "m/...", Import: []string{"net/http/..."}, Except: []string{"m/b/...", "m/broken"}, Reason: "why"},
			[]string{"m/a imports net/http: why"}},
		{"direct only", deptest.Rule{In: "m/b", Import: []string{"net/http"}}, nil},
		{"tests not meant", deptest.Rule{In: "m/a", Import: []string{"os"}}, nil},
		{"tests meant", deptest.Rule{In: "m/a", Import: []string{"os"}, Tests: true, Reason: "why"},
			[]string{"m/a imports os: why"}},
		{"nothing matches", deptest.Rule{In: "m/nothing/...", Import: []string{"os"}},
			[]string{"no package matches m/nothing/..."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{TB: t}
			deptest.Forbid(r, tt.rule)
			if !slices.Equal(r.errors, tt.want) {
				t.Errorf("got  %q\nwant %q", r.errors, tt.want)
			}
		})
	}
}
