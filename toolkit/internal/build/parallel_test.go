package build_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// many is a project of definitions in all dialects that share files, and refer to
// each other. With mistakes it has some of them in each, and in what they share.
func many(t *testing.T, n int, mistakes bool) string {
	t.Helper()
	dir := t.TempDir()
	wrong := func(text string) string {
		if mistakes {
			return text
		}
		return ""
	}
	projecttest.Write(t, dir, "shared/common.yaml", `
Item: &item
  type: object
  properties:
    id: {type: integer, minimum: 0, exclusiveMinimum: "no"}
    more: {$ref: "#/Item"}
    other: {$ref: "deep/other.json#/Other"}
Old: *item
`+wrong("Loop: {$ref: '#/Loop'}\nBad: {type: object, propertys: {}, uniqueItems: 7}\n"))
	projecttest.Write(t, dir, "shared/deep/other.json", `{"Other": {"type": "object", "properties": {"up": {"$ref": "../common.yaml#/Old"}}}}`)
	if mistakes {
		projecttest.Write(t, dir, "shared/broken.yaml", "a: [\n")
		projecttest.Write(t, dir, "api_definitions/stray.yaml", "a: b\n")
	}
	for i := range n {
		head := []string{`openapi: 3.0.3`, `openapi: "3.1.0"`, `swagger: "2.0"`}[i%3]
		body := `content: {application/json: {schema: {$ref: "../shared/common.yaml#/Item"}}}`
		if i%3 == 2 {
			body = `schema: {$ref: "../shared/common.yaml#/Item"}`
		}
		text := fmt.Sprintf(`%s
info: {title: API %03d, version: "1"}
x-wso2-basePath: /a%03d
x-wso2-production-endpoints: {urls: ["http://a%d.internal"]}
paths:
  /items/{id}:
    get:
      responses:
        "200": {description: ok, %s}
  /next:
    $ref: "a%03d.yaml#/paths/~1items~1{id}"
`, head, i, i, i, body, (i+3)%n/3*3+i%3)
		text += wrong(fmt.Sprintf("  /wrong%d:\n    gett: {}\n    post: {x-wso2-throttling-tier: none, responses: {\"200\": {$ref: \"../shared/broken.yaml#/a\"}, \"201\": {$ref: \"../shared/common.yaml#/Loop\"}, \"202\": {$ref: none.yaml}}}\n", i))
		projecttest.Write(t, dir, fmt.Sprintf("api_definitions/a%03d.yaml", i), text)
	}
	return dir
}

// However many definitions are read at a time, artifact and diagnostics are the
// same, and so they are the next time.
func TestParallelIsDeterministic(t *testing.T) {
	for _, mistakes := range []bool{false, true} {
		t.Run(fmt.Sprintf("mistakes=%v", mistakes), func(t *testing.T) {
			dir := many(t, 30, mistakes)
			var first build.Result
			for i, jobs := range []int{1, 8, 3} {
				calls, last := 0, 0
				opts := build.Options{Dir: dir, Jobs: jobs, Progress: func(done, of int) {
					if done != last+1 || of < 30 {
						t.Errorf("progress: %d of %d after %d", done, of, last)
					}
					last = done
					calls++
				}}
				res, err := build.Project(context.Background(), opts)
				if err != nil {
					t.Fatal(err)
				}
				if (res.Artifact == nil) != mistakes {
					t.Fatalf("artifact %v: %v", res.Artifact != nil, res.Diagnostics)
				}
				if calls != last || calls < 30 {
					t.Errorf("%d calls of progress", calls)
				}
				if i == 0 {
					first = res
					continue
				}
				if !reflect.DeepEqual(res.Diagnostics, first.Diagnostics) {
					t.Errorf("%d at a time, other diagnostics:\n%v\nwant\n%v", jobs, res.Diagnostics, first.Diagnostics)
				}
				if mistakes {
					continue
				}
				want, err := artifact.Marshal(first.Artifact)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := artifact.Marshal(res.Artifact); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d at a time, another artifact (%v)", jobs, err)
				}
			}
			if mistakes {
				count := make(map[string]int)
				for _, d := range first.Diagnostics {
					count[d.Message]++
				}
				for message, want := range map[string]int{
					`not YAML: did not find expected node content`: 1, // of a file that 30 refer to
					`"gett" is not a method`:                       30,
					`no file "api_definitions/none.yaml"`:          30,
				} {
					if count[message] != want {
						t.Errorf("%q is said %d times, want %d", message, count[message], want)
					}
				}
			}
		})
	}
}

// A build that is interrupted ends soon, and without a result.
func TestInterrupted(t *testing.T) {
	dir := many(t, 30, false)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := build.Options{Dir: dir, Jobs: 1, Progress: func(done, of int) {
		if done == 2 {
			cancel()
		}
		if done > 4 {
			t.Errorf("it goes on: %d of %d", done, of)
		}
	}}
	if res, err := build.Project(ctx, opts); err == nil || !strings.Contains(err.Error(), "canceled") || res.Artifact != nil {
		t.Errorf("%v, %v", res.Artifact != nil, err)
	}
}
