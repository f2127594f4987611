package diff_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diff"
	"github.com/microgw/microgw/toolkit/internal/diff/contract"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

func side(t testing.TB, dir string) diff.Side {
	t.Helper()
	res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
	if err != nil {
		t.Fatal(err)
	}
	if res.Artifact == nil {
		t.Fatalf("%s does not build: %v", dir, res.Diagnostics)
	}
	return diff.Side{Artifact: res.Artifact}
}

func compare(t testing.TB, old, new diff.Side) *diff.Report {
	t.Helper()
	r, err := diff.Compare(old, new)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t testing.TB, r *diff.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// changes are the files of testdata/changes: two projects, old/ and new/, and
// what is said of them in both directions.
func changes(t testing.TB, f func(t testing.TB, name string, archive *txtar.Archive, old, new diff.Side)) {
	files, err := filepath.Glob("testdata/changes/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, x := range archive.Files {
			projecttest.Write(t, dir, x.Name, x.Data)
		}
		f(t, file, archive, side(t, filepath.Join(dir, "old")), side(t, filepath.Join(dir, "new")))
	}
}

func TestChanges(t *testing.T) {
	changes(t, func(t testing.TB, file string, archive *txtar.Archive, old, new diff.Side) {
		got := map[string]string{
			"want":          text(t, compare(t, old, new)),
			"want-reversed": text(t, compare(t, new, old)),
		}
		if *update {
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want") })
			for _, name := range []string{"want", "want-reversed"} {
				archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(got[name])})
			}
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		found := 0
		for _, f := range archive.Files {
			if g, ok := got[f.Name]; ok {
				found++
				if g != string(f.Data) {
					t.Errorf("%s: %s: got:\n%s\nwant:\n%s", file, f.Name, g, f.Data)
				}
			}
		}
		if found != 2 {
			t.Errorf("%s: it wants nothing", file)
		}
	})
}

// inverses are codes of the way back. What is not here is its own.
var inverses = func() map[string]string {
	m := make(map[string]string)
	both := func(a, b string) { m[a], m[b] = b, a }
	for _, c := range diff.Codes() {
		for _, words := range [][2]string{
			{"-added-required", "-removed-required"}, {"-added", "-removed"}, {"-narrowed", "-widened"}, {"-refused", "-allowed"},
			{"-became-required", "-became-optional"}, {"-closed", "-opened"}, {"-weakened", "-strengthened"}, {"-lowered", "-raised"},
			{"-shortened", "-lengthened"}, {"-enforced", "-relaxed"}, {"-deprecated", "-revived"},
		} {
			for i, end := range words {
				if before, ok := strings.CutSuffix(c.ID, end); ok && m[c.ID] == "" {
					m[c.ID] = before + words[1-i]
				}
			}
		}
		for _, x := range []string{"enum", "pattern", "condition", "runtime-feature", "signature"} {
			if before, ok := strings.CutSuffix(c.ID, x+"-dropped"); ok {
				both(c.ID, before+x+"-added")
			}
		}
	}
	both("mutual-tls-replaces-token", "mutual-tls-token-required")
	both("mutual-tls-required", "mutual-tls-weakened")
	m["mutual-tls-offered"] = "mutual-tls-weakened"
	m["request-property-refused"] = "request-property-added"
	m["response-removed-error"] = "response-added"
	for _, t := range []string{"transport-http-added", "transport-https-added"} {
		m[t] = "transport-removed"
	}
	return m
}()

// The way back has the same changes, with before and after exchanged, and the
// code that says the opposite: what breaks one way because it takes less breaks
// responses the other way.
func TestReversed(t *testing.T) {
	changes(t, func(t testing.TB, file string, _ *txtar.Archive, old, new diff.Side) {
		count := make(map[[3]string]int)
		for _, c := range compare(t, old, new).Changes {
			// Weaker than before by two steps, or back by one.
			count[[3]string{family(c.Code), c.Before, c.After}]++
		}
		for _, c := range compare(t, new, old).Changes {
			code, ok := inverses[c.Code]
			if !ok {
				code = c.Code
			}
			count[[3]string{family(code), c.After, c.Before}]--
		}
		for key, n := range count {
			if n != 0 && key[0] != "" {
				t.Errorf("%s: %q is there %+d times more than its opposite on the way back", file, key, n)
			}
		}
	})
}

// family puts together what has several opposites, and leaves out what is said
// in one direction only.
func family(code string) string {
	switch code {
	case "endpoint-tls-dropped":
		return ""
	case "mutual-tls-required", "mutual-tls-offered":
		return "mutual-tls"
	case "transport-http-added", "transport-https-added":
		return "transport-added"
	case "request-property-refused":
		return "request-property-removed"
	case "response-removed-error":
		return "response-removed"
	}
	return code
}

// What is equal has no changes, whatever it is; and neither the order of APIs
// nor where a project lies makes a difference.
func TestSame(t *testing.T) {
	changes(t, func(t testing.TB, file string, _ *txtar.Archive, old, new diff.Side) {
		for _, s := range []diff.Side{old, new} {
			if r := compare(t, s, diff.Side{Artifact: proto.CloneOf(s.Artifact)}); len(r.Changes) > 0 {
				t.Errorf("%s: %s", file, text(t, r))
			}
			turned := proto.CloneOf(s.Artifact)
			slices.Reverse(turned.Apis)
			if r := compare(t, s, diff.Side{Artifact: turned}); len(r.Changes) > 0 {
				t.Errorf("%s: in another order: %s", file, text(t, r))
			}
		}
	})
}

// Every document of the corpus is the same as itself, also read anew.
func TestCorpus(t *testing.T) {
	const corpus = "../../../../shared/corpus"
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("there is no corpus beside the repository")
	}
	compared := 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := d.Name()
		if short, ok := strings.CutSuffix(name, ".gz"); ok {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if data, err = io.ReadAll(z); err != nil {
				return err
			}
			name = short
		}
		switch filepath.Ext(name) {
		case ".json", ".yaml", ".yml":
		default:
			return nil
		}
		if len(data) > 4<<20 {
			// Building it takes longer than all others together, and package
			// build does so in its tests.
			compared++
			documents(t, path, data)
			return nil
		}
		dir := t.TempDir()
		projecttest.Write(t, dir, "api_definitions/"+name, data)
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
		if err != nil {
			return err
		}
		if res.Artifact == nil {
			return nil
		}
		compared++
		if r := compare(t, diff.Side{Artifact: res.Artifact}, diff.Side{Artifact: proto.CloneOf(res.Artifact)}); len(r.Changes) > 0 {
			t.Errorf("%s: %s", path, text(t, r))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared < 20 {
		t.Errorf("only %d documents were compared", compared)
	}
}

// documents compares an OpenAPI 3 document in JSON with itself, operation by
// operation.
func documents(t *testing.T, path string, data []byte) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	old, err := contract.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	new, err := contract.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	c := contract.Compare(old, new)
	n := 0
	for key, item := range doc.Paths {
		tmpl, err := pathtmpl.Parse(key)
		if err != nil {
			continue
		}
		for method := range item {
			n++
			target := contract.Target{Method: strings.ToUpper(method), Path: key, Params: tmpl.Params()}
			c.Operation(n, target, target)
		}
	}
	if f := c.Findings(); n == 0 || len(f) > 0 {
		t.Errorf("%s: %d operations, %v", path, n, f)
	}
}

// made are pairs that no project of today builds.
var made = []struct {
	name     string
	old, new diff.Side
	want     string // codes in order
}{
	{"features", fileOf(func(a *artifactpb.Artifact) { a.RequiredFeatures = []artifactpb.Feature{1} }),
		fileOf(func(a *artifactpb.Artifact) { a.RequiredFeatures = []artifactpb.Feature{2} }), "runtime-feature-added runtime-feature-dropped"},
	{"gRPC", fileOf(nil), fileOf(func(a *artifactpb.Artifact) { op(a).Grpc = true }), "operation-protocol-changed"},
	{"signed", fileOf(nil), signed("aa"), "signature-added"},
	{"not signed any more", signed("aa"), fileOf(nil), "signature-dropped"},
	{"signed by another", signed("aa"), signed("bb"), "signer-changed"},
	{"a project is not signed", signed("aa"), diff.Side{Artifact: fileOf(nil).Artifact}, ""},
	{"validation", fileOf(nil), fileOf(stages(validate(true, true))), "check-added check-added"},
	{"validation of responses", fileOf(stages(validate(true, true))), fileOf(stages(validate(true, false))), "check-removed"},
	{"subscription", fileOf(stages(subscription)), fileOf(nil), "check-removed"},
	{"backend JWT", fileOf(nil), fileOf(stages(backendJWT)), "stage-added"},
	{"no backend JWT", fileOf(stages(backendJWT)), fileOf(nil), "stage-removed"},
	{"order", fileOf(stages(backendJWT, subscription)), fileOf(stages(subscription, backendJWT)), "stages-reordered"},
	{"order of interceptors", fileOf(intercept(0, 1)), fileOf(intercept(1, 0)), "interceptors-reordered"},
	{"sandbox only", fileOf(func(a *artifactpb.Artifact) { op(a).ProductionCluster = 1 }),
		fileOf(func(a *artifactpb.Artifact) { op(a).SandboxCluster = 1 }), "endpoint-removed endpoint-added"},
}

func fileOf(change func(*artifactpb.Artifact)) diff.Side {
	a := &artifactpb.Artifact{
		Sources:   []*artifactpb.Source{{Path: "api_definitions/a.yaml"}},
		Documents: []*artifactpb.Document{{Json: []byte(`{"openapi": "3.0.3"}`)}},
		Clusters:  []*artifactpb.Cluster{{Name: "c", Endpoints: []*artifactpb.Endpoint{{Url: "https://c.internal"}}}},
		Apis: []*artifactpb.Api{{Title: "A", Version: "1", BasePath: "/a", Operations: []*artifactpb.Operation{
			{Method: "GET", Path: "/x", Security: &artifactpb.Security{Disabled: true}},
		}}},
	}
	if change != nil {
		change(a)
	}
	return diff.Side{Artifact: a, File: true}
}

func signed(key string) diff.Side {
	s := fileOf(nil)
	s.Signer = key
	return s
}

func op(a *artifactpb.Artifact) *artifactpb.Operation { return a.Apis[0].Operations[0] }

func stages(list ...*artifactpb.Stage) func(*artifactpb.Artifact) {
	return func(a *artifactpb.Artifact) { op(a).Stages = list }
}

func intercept(order ...uint32) func(*artifactpb.Artifact) {
	return func(a *artifactpb.Artifact) {
		const d = artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_REQUEST
		a.Interceptors = []*artifactpb.Interceptor{{Name: "first", Direction: d}, {Name: "second", Direction: d}}
		op(a).RequestInterceptors = order
	}
}

func validate(request, response bool) *artifactpb.Stage {
	return &artifactpb.Stage{Name: "validate", Kind: &artifactpb.Stage_Validate{Validate: &artifactpb.ValidateStage{Request: request, Response: response}}}
}

var (
	subscription = &artifactpb.Stage{Name: "subscription", Kind: &artifactpb.Stage_Subscription{Subscription: &artifactpb.SubscriptionStage{}}}
	backendJWT   = &artifactpb.Stage{Name: "backend-jwt", Kind: &artifactpb.Stage_BackendJwt{BackendJwt: &artifactpb.BackendJwtStage{}}}
)

func TestMade(t *testing.T) {
	for _, c := range made {
		var got []string
		for _, x := range compare(t, c.old, c.new).Changes {
			got = append(got, x.Code)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// Every code happens in some test, is in the documentation as it is in the
// table, and nothing else is.
func TestCodes(t *testing.T) {
	seen := make(map[string]bool)
	note := func(r *diff.Report) {
		for _, c := range r.Changes {
			seen[c.Code] = true
		}
	}
	for _, c := range made {
		note(compare(t, c.old, c.new))
	}
	changes(t, func(t testing.TB, _ string, _ *txtar.Archive, old, new diff.Side) {
		note(compare(t, old, new))
		note(compare(t, new, old))
	})
	page, err := os.ReadFile("../../../docs/diff.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- codes -->\n", "<!-- end of codes -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("docs/diff.md has no %q and %q", begin, end)
	}
	var b strings.Builder
	b.WriteString(before + begin)
	var kind diff.Kind
	for _, c := range diff.Codes() {
		if !seen[c.ID] {
			t.Errorf("%s: no test has it", c.ID)
		}
		delete(seen, c.ID)
		if c.Kind != kind {
			fmt.Fprintf(&b, "\n### %s%s\n\n| code | severity | meaning |\n|---|---|---|\n", strings.ToUpper(string(c.Kind[:1])), c.Kind[1:])
			kind = c.Kind
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.ID, c.Severity, c.Text)
	}
	b.WriteString("\n" + end + after)
	for code := range seen {
		t.Errorf("%s: it happens, and is not in the table", code)
	}
	if *update {
		if err := os.WriteFile("../../../docs/diff.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(page) {
		t.Error("docs/diff.md: the codes are others; -update writes them")
	}
}

// The JSON names are stable.
func TestJSON(t *testing.T) {
	golden(t, "testdata/report.json", func(r *diff.Report) []byte {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	})
}

// Nothing in a definition is markup in the comment.
func TestMarkdown(t *testing.T) {
	golden(t, "testdata/report.md", func(r *diff.Report) []byte {
		var b bytes.Buffer
		if err := r.WriteMarkdown(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	})
}

func golden(t *testing.T, file string, render func(*diff.Report) []byte) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/report.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range archive.Files {
		projecttest.Write(t, dir, f.Name, f.Data)
	}
	r := compare(t, side(t, filepath.Join(dir, "old")), side(t, filepath.Join(dir, "new")))
	got := render(r)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A comment has a limit; what breaks comes first and stays.
func TestMarkdownIsBounded(t *testing.T) {
	old, new := fileOf(nil), fileOf(nil)
	for i := range 2000 {
		new.Artifact.Apis[0].Operations = append(new.Artifact.Apis[0].Operations, &artifactpb.Operation{
			Method: "GET", Path: fmt.Sprintf("/%d/%s", i, strings.Repeat("x", 40)), Security: &artifactpb.Security{Disabled: true}})
	}
	new.Artifact.Apis[0].BasePath = "/b"
	var b strings.Builder
	if err := compare(t, old, new).WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if n := b.Len(); n > 65_536 {
		t.Errorf("%d bytes", n)
	}
	if s := b.String(); !strings.Contains(s, "api-base-path-changed") || !strings.Contains(s, "that did not fit here") {
		t.Errorf("%.500s", s)
	}
}

// What a definition says stays on its line: it must not look like another result.
func TestTextStaysOnItsLine(t *testing.T) {
	r := diff.Report{
		APIs:    []diff.Match{{Old: "A\nno changes", New: "A\nno changes"}},
		Changes: []diff.Change{{API: "/a\n/b", What: "x", Code: "y", Before: "1\n2\t3", After: "\x1b[31m"}},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = "API A\ufffdno changes\n\nbreaking: /a\ufffd/b: x [y]\n\t1\ufffd2\ufffd3 -> \ufffd[31m\n\n1 change: 0 breaking, 0 warnings, 0 notes\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}
