package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/ledger"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Every keyword of the standards' tables has a rule, and there is no rule for
// what is in none. A Swagger 2.0 keyword has that of what it is converted to.
func TestEveryKeyword(t *testing.T) {
	known := make(map[string]bool)
	for _, d := range []spec.Dialect{spec.OpenAPI30, spec.OpenAPI31} {
		for _, k := range d.Grammar().Keywords() {
			known[k.Object+" "+k.Key] = true
			if !ledger.HasRule(k) {
				t.Errorf("%s: %s.%s has no verdict", d, k.Object, k.Key)
			}
		}
	}
	v3 := spec.OpenAPI30.Grammar()
	for _, k := range spec.Swagger20.Grammar().Keywords() {
		known[k.Object+" "+k.Key] = true
		to, moved := ledger.Converted(k)
		switch {
		case moved && to == spec.Keyword{}: // lost
		case moved && !v3.Known(to):
			t.Errorf("%s.%s becomes %v, which OpenAPI 3.0 does not know", k.Object, k.Key, to)
		case !moved && !v3.Known(k):
			t.Errorf("Swagger 2.0: %s.%s: nothing says what becomes of it", k.Object, k.Key)
		}
	}
	for _, name := range ledger.Rules() {
		if object, key, _ := strings.Cut(name, " "); !known[name] && !spec.IsExtension(key) {
			t.Errorf("a rule for %s.%s, which no standard knows", object, key)
		}
	}
}

// Every extension has a rule at each level where it is read.
func TestEveryExtension(t *testing.T) {
	for _, k := range spec.Extensions() {
		if !ledger.HasRule(k) {
			t.Errorf("%s.%s has no verdict", k.Object, k.Key)
		}
	}
}

func of(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
	if err != nil {
		t.Fatal(err)
	}
	if res.Artifact == nil {
		t.Fatal(res.Diagnostics)
	}
	l, err := ledger.Of(res.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Each file in testdata is a project and, as "want", its ledger.
func TestLedgers(t *testing.T) {
	projecttest.Stories(t, "testdata/*.txtar", 5, *update, func(t *testing.T, dir string) string {
		l := of(t, dir)
		check(t, l)
		var out bytes.Buffer
		if err := l.WriteText(&out, true); err != nil {
			t.Fatal(err)
		}
		return out.String()
	})
}

// check is what holds for the ledger of any build.
func check(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	for _, api := range l.APIs {
		for _, s := range api.Sections {
			for _, r := range slices.Concat(s.Rows, s.Shared) {
				if strings.Contains(r.Why, ledger.NoVerdict) {
					t.Errorf("%s: %s: %s.%s has no verdict", api.Definition, s.Name, r.Object, r.Keyword)
				}
			}
		}
	}
	sums(t, l)
}

// sums is what holds for any ledger.
func sums(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	var all ledger.Counts
	for _, api := range l.APIs {
		var sum ledger.Counts
		for _, s := range api.Sections {
			var own ledger.Counts
			for _, r := range slices.Concat(s.Rows, s.Shared) {
				if !slices.Contains(ledger.Verdicts, r.Verdict) {
					t.Errorf("%s: %s: %s.%s: verdict %q", api.Definition, s.Name, r.Object, r.Keyword, r.Verdict)
				}
			}
			for _, r := range s.Rows {
				own.Add(r.Verdict, r.Count)
				if r.Count != len(r.Pointers)+len(r.Positions) {
					t.Errorf("%s: %s: %s.%s is there %d times, in %d places", api.Definition, s.Name, r.Object, r.Keyword, r.Count, len(r.Pointers))
				}
			}
			if own != s.Keywords {
				t.Errorf("%s: %s: the rows add up to %v, not %v", api.Definition, s.Name, own, s.Keywords)
			}
			for _, v := range ledger.Verdicts {
				sum.Add(v, own.Of(v))
				all.Add(v, own.Of(v))
			}
		}
		if sum != api.Keywords {
			t.Errorf("%s: the sections add up to %v, not %v", api.Definition, sum, api.Keywords)
		}
	}
	if all != l.Keywords {
		t.Errorf("the APIs add up to %v, not %v", all, l.Keywords)
	}
}

// The verdict follows the artifact: once an operation has the stage, what it
// enforces is enforced, and nothing has to be said here for that.
func TestFollowsTheArtifact(t *testing.T) {
	dir := t.TempDir()
	projecttest.Write(t, dir, "policy.yaml", []byte("resourcePolicies: [Slow: {count: 1, unitTime: 1, timeUnit: min}]\n"))
	projecttest.Write(t, dir, "interceptors/cut.bal", []byte("public function cut (http:Caller caller, http:Request req) {\n}\n"))
	projecttest.Write(t, dir, "api_definitions/a.yaml", []byte(`openapi: 3.0.3
info: {title: A, version: "1"}
x-wso2-basePath: /a
x-wso2-cors: {accessControlAllowOrigins: ["*"]}
paths:
  /x:
    post:
      x-wso2-throttling-tier: Slow
      x-wso2-request-interceptor: cut
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/S"}}}}
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/S"}}}}}
  /y:
    get:
      responses: {"200": {description: ok}}
components: {schemas: {S: {type: string, maxLength: 5}}}
`))
	res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
	if err != nil || res.Artifact == nil {
		t.Fatal(err, res.Diagnostics)
	}
	op := res.Artifact.Apis[0].Operations[0]
	op.Stages = append(op.Stages,
		&artifactpb.Stage{Name: "cors", Kind: &artifactpb.Stage_Cors{Cors: &artifactpb.CorsStage{}}},
		&artifactpb.Stage{Name: "throttle", Kind: &artifactpb.Stage_Throttle{Throttle: &artifactpb.ThrottleStage{}}},
		&artifactpb.Stage{Name: "intercept", Kind: &artifactpb.Stage_Intercept{Intercept: &artifactpb.InterceptStage{}}},
		&artifactpb.Stage{Name: "validate", Kind: &artifactpb.Stage_Validate{Validate: &artifactpb.ValidateStage{Request: true}}})
	l, err := ledger.Of(res.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	check(t, l)
	got := make(map[string]ledger.Verdict)
	for _, s := range l.APIs[0].Sections {
		for _, r := range s.Rows {
			got[s.Name+" "+r.Object+"."+r.Keyword] = r.Verdict
		}
		for _, r := range s.Shared {
			got[s.Name+" "+r.Object+"."+r.Keyword+" in "+r.In] = r.Verdict
		}
	}
	for name, want := range map[string]ledger.Verdict{
		"the definition Root.x-wso2-cors":              ledger.Enforced,
		"POST /x Operation.x-wso2-throttling-tier":     ledger.Enforced,
		"POST /x Operation.x-wso2-request-interceptor": ledger.Enforced,
		"POST /x Operation.requestBody":                ledger.Enforced,
		"POST /x RequestBody.content":                  ledger.Enforced,
		"POST /x Schema.maxLength in request body":     ledger.Enforced,
		"POST /x Schema.maxLength in responses":        ledger.Documented,
		"POST /x Operation.responses":                  ledger.Documented,
		"GET /y Operation.responses":                   ledger.Documented,
		// It is enforced in one of its two uses, and that is said.
		"schemas/S Schema.maxLength": ledger.Documented,
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

// No keyword of a real definition is without a verdict, and the same artifact
// gives the same ledger, byte for byte.
func TestCorpus(t *testing.T) {
	projecttest.Corpus(t, func(label, name string, data []byte) {
		if projecttest.Twin(label) {
			return
		}
		dir := t.TempDir()
		projecttest.Write(t, dir, "api_definitions/"+name, data)
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Artifact == nil {
			return // refused: the corpus test of build says why
		}
		l, err := ledger.Of(res.Artifact)
		if err != nil {
			t.Fatal(err)
		}
		check(t, l)
		if len(data) < 100<<10 { // for the largest it takes its time
			first, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ledger.Of(res.Artifact)
			if err != nil {
				t.Fatal(err)
			}
			second, err := json.Marshal(again)
			if err != nil || !bytes.Equal(first, second) {
				t.Errorf("%s: another ledger the second time: %v", name, err)
			}
		}
		// Whatever the document has is in the ledger: as many keywords as a walk
		// of the whole document meets.
		if n, want := l.Keywords.Enforced+l.Keywords.Refused+l.Keywords.Documented, members(t, res.Artifact, l); n < want {
			t.Errorf("%s: %d keywords in the ledger, %d in the document", name, n, want)
		}
	})
}

// members counts the keywords of an artifact's documents in one go.
func members(t *testing.T, a *artifactpb.Artifact, l *ledger.Ledger) int {
	t.Helper()
	n := 0
	for i, doc := range a.GetDocuments() {
		d := spec.OpenAPI30
		if l.APIs[i].Dialect == spec.OpenAPI31.String() {
			d = spec.OpenAPI31
		}
		root := tree.Parse("document.json", doc.GetJson(), new(diag.List))
		d.Grammar().Walk("Root", root, nil, spec.Visitor{Member: func(string, *tree.Node, int, *spec.Place) { n++ }})
	}
	return n
}

// An artifact may come from anywhere: whatever its document is, there is a
// ledger whose sums are right, or an error.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"openapi":"3.0.3","paths":{"/x":{"get":{"security":[{"a":[]},null,3],"servers":[{"url":"//h"}],"x-wso2-throttling-tier":1}}}}`), uint8(1))
	f.Add([]byte(`{"paths":{"$ref":"#/paths","/x":{"$ref":"#/components/pathItems/p"}},"components":{"pathItems":{"p":{"get":{"$ref":"#/x"}}},"securitySchemes":{"a":{"type":"http"}}},"servers":[{"variables":{"v":{"default":3}}}]}`), uint8(2))
	f.Add([]byte(`{"x-wso2-endpoints":[{"a":{"urls":["etcd(a,b)"],"advanceEndpointConfig":[]}},7],"x-wso2-production-endpoints":"#/x-wso2-endpoints/a","paths":{"/x":{"get":{"responses":{"200":{"$ref":"#/paths/~1x/get/responses/200"}}},"trace":{}}}}`), uint8(3))
	f.Fuzz(func(t *testing.T, doc []byte, dialect uint8) {
		a := &artifactpb.Artifact{
			Documents: []*artifactpb.Document{{Json: doc, Dialect: artifactpb.Dialect(dialect % 4)}},
			Apis: []*artifactpb.Api{{Operations: []*artifactpb.Operation{{
				Id: "GET /x", Method: "GET", Path: "/x", ProductionCluster: 9,
				Security: &artifactpb.Security{Alternatives: []*artifactpb.SecurityAlternative{{Requirements: []*artifactpb.SecurityRequirement{{Scheme: 5}}}}},
			}}}},
		}
		l, err := ledger.Of(a)
		if err != nil {
			return
		}
		sums(t, l)
		if err := l.WriteText(io.Discard, true); err != nil {
			t.Error(err)
		}
	})
}
