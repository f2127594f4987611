package build_test

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// Every example of docs/extensions.md, put into a definition that lacks nothing
// else, builds without an error, and each extension in its table has one.
func TestDocumentedExtensions(t *testing.T) {
	text, err := os.ReadFile("../../../docs/extensions.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	examples := strings.Split(page, "```yaml\n")[1:]
	if len(examples) < 15 {
		t.Fatalf("%d examples", len(examples))
	}
	named := make(map[string]bool)
	for i, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		for _, word := range strings.FieldsFunc(example, func(r rune) bool { return r == ' ' || r == '\n' || r == ':' || r == '{' }) {
			named[word] = true
		}
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			definition := "openapi: 3.0.3\ninfo: {title: Shop, version: 1.2.0}\n" + example
			for key, value := range map[string]string{
				"x-wso2-basePath":             " /shop\n",
				"x-wso2-production-endpoints": " {urls: [\"http://shop.internal\"]}\n",
				"paths":                       "\n  /x:\n    get: {responses: {\"200\": {description: ok}}}\n",
			} {
				if !strings.Contains("\n"+example, "\n"+key+":") {
					definition += key + ":" + value
				}
			}
			dir := t.TempDir()
			projecttest.Write(t, dir, "api_definitions/shop.yaml", definition)
			projecttest.Write(t, dir, "policy.yaml", "resourcePolicies:\n  - 10kPerMin: {count: 10000, unitTime: 1, timeUnit: min}\n  - 20kPerMin: {count: 20000, unitTime: 1, timeUnit: min}\n")
			projecttest.Write(t, dir, "interceptors/a.bal", "function addTrace(http:Caller c, http:Request r) {}\nfunction checkBody(http:Caller c, http:Request r) {}\nfunction hideServer(http:Caller c, http:Response r) {}\n")
			res, err := build.Project(context.Background(), build.Options{Dir: dir})
			if err != nil || res.Artifact == nil {
				t.Errorf("%v %v\n%s", err, res.Diagnostics, definition)
			}
		})
	}
	for _, line := range strings.Split(page, "\n") {
		if !strings.HasPrefix(line, "| [`x-") {
			continue
		}
		for _, name := range strings.Split(strings.SplitN(line, "]", 2)[0], "`") {
			if strings.HasPrefix(name, "x-") && !named[name] {
				t.Errorf("no example has %s", name)
			}
		}
	}
}

// The page says carried of what this version does not enforce, and of nothing
// else that it might.
func TestDocumentedVersion(t *testing.T) {
	text, err := os.ReadFile("../../../docs/extensions.md")
	if err != nil {
		t.Fatal(err)
	}
	features := map[string]compile.Feature{
		"x-wso2-throttling-tier":     compile.Throttling,
		"x-throttling-tier":          compile.Throttling,
		"x-wso2-request-interceptor": compile.Interceptors,
		"x-wso2-cors":                compile.CORS,
		"x-wso2-response-cache":      compile.ResponseCaching,
		"x-wso2-mutual-ssl":          compile.MutualTLS,
	}
	found := 0
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 8 {
			continue
		}
		_, name, _ := strings.Cut(cells[1], "`")
		name, _, _ = strings.Cut(name, "`")
		f, listed := features[name]
		if !listed {
			continue
		}
		found++
		want := "enforced"
		if !f.Enforced() {
			want = "carried"
		}
		if got := strings.TrimSpace(cells[6]); got != want {
			t.Errorf("%s: the page says %s, this version has it %s", name, got, want)
		}
	}
	if found != len(features) {
		t.Errorf("%d of %d extensions are in the table", found, len(features))
	}
}

// A class that is in a JAR twice over is taken from the first, with a warning.
func TestClassInTwoJARs(t *testing.T) {
	dir := t.TempDir()
	projecttest.Write(t, dir, "api_definitions/shop.yaml", `openapi: 3.0.3
info: {title: Shop, version: "1"}
x-wso2-basePath: /shop
x-wso2-production-endpoints: {urls: ["http://shop.internal"]}
x-wso2-request-interceptor: java:com.example.AddTrace
paths: {/x: {get: {responses: {"200": {description: ok}}}}}
`)
	for _, name := range []string{"a.jar", "b.jar"} {
		projecttest.Write(t, dir, "lib/"+name, "")
		f, err := os.Create(filepath.Join(dir, "lib", name))
		if err != nil {
			t.Fatal(err)
		}
		z := zip.NewWriter(f)
		if _, err := z.Create("com/example/AddTrace.class"); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	res, err := build.Project(context.Background(), build.Options{Dir: dir})
	if err != nil || res.Artifact == nil {
		t.Fatal(err, res.Diagnostics)
	}
	want := `the class "com.example.AddTrace" is there twice: lib/a.jar is taken, lib/b.jar is not`
	if !strings.Contains(fmt.Sprint(res.Diagnostics), want) {
		t.Errorf("%v, want %s", res.Diagnostics, want)
	}
	var files []string
	for _, s := range res.Artifact.GetSources() {
		files = append(files, s.GetPath())
	}
	pb := res.Artifact.GetInterceptors()[0]
	if got := files[pb.GetSource()-1]; got != "lib/a.jar" || pb.GetJava().GetClassName() != "com.example.AddTrace" {
		t.Errorf("%v from %s", pb, got)
	}
}
