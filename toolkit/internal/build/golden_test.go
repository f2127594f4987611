package build_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// Each folder in testdata/golden is a project; NAME.json beside it is its
// artifact and what the build says. `go test -update` rewrites them.
func TestGolden(t *testing.T) {
	for _, dir := range golden(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			res := buildGolden(t, dir)
			got := render(t, res)
			file := dir + ".json"
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
				t.Errorf("%s: the artifact is another; -update shows the difference in the working tree\n%s", file, firstDifference(got, want))
			}
		})
	}
}

func golden(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join("testdata/golden", e.Name()))
		}
	}
	return dirs
}

// The bytes of an artifact depend on the project alone: not on where it is, and
// not on when or how often it is built.
func TestDeterminism(t *testing.T) {
	for _, dir := range golden(t) {
		elsewhere := filepath.Join(t.TempDir(), "deep", "er", filepath.Base(dir))
		if err := os.CopyFS(elsewhere, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		here, there := bytesOf(t, buildGolden(t, dir)), bytesOf(t, buildGolden(t, elsewhere))
		if !bytes.Equal(here, there) {
			t.Errorf("%s: two builds give two artifacts", dir)
		}
		if _, err := artifact.Parse(here); err != nil {
			t.Errorf("%s: the artifact is refused: %v", dir, err)
		}
		if bytes.Contains(here, []byte(filepath.Dir(elsewhere))) {
			t.Errorf("%s: the artifact holds a path of this machine", dir)
		}
	}
}

func bytesOf(t *testing.T, res build.Result) []byte {
	t.Helper()
	data, err := artifact.Marshal(res.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func buildGolden(t *testing.T, dir string) build.Result {
	t.Helper()
	opts := build.Options{Dir: dir}
	if text, err := os.ReadFile(filepath.Join(dir, "default-endpoint")); err == nil {
		opts.DefaultEndpoint = strings.TrimSpace(string(text))
	}
	res, err := build.Project(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if res.Artifact == nil {
		t.Fatal(res.Diagnostics)
	}
	return res
}

// render is the artifact as JSON with what the build said, and with the JSON in
// it readable too.
func render(t *testing.T, res build.Result) []byte {
	t.Helper()
	text, err := protojson.Marshal(res.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	var a map[string]any
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	open := func(m map[string]any, key string) {
		encoded, ok := m[key].(string)
		if !ok {
			return
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		m[key] = json.RawMessage(raw)
	}
	for _, d := range a["documents"].([]any) {
		open(d.(map[string]any), "json")
	}
	open(a, "developmentKey")
	var said []string
	for _, d := range res.Diagnostics {
		said = append(said, d.String())
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		Said     []string       `json:"said"`
		Artifact map[string]any `json:"artifact"`
	}{said, a}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "first difference:\n got " + g[i] + "\nwant " + w[i]
		}
	}
	return "one is longer"
}

// An artifact is only handed out for a project without errors, and a project
// that is not there is an error of its own kind.
func TestProject(t *testing.T) {
	if _, err := build.Project(context.Background(), build.Options{Dir: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "no project") {
		t.Errorf("missing folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	projecttest.Write(t, filepath.Dir(file), "file", "")
	if _, err := build.Project(context.Background(), build.Options{Dir: file}); err == nil || !strings.Contains(err.Error(), "not a project folder") {
		t.Errorf("a file: %v", err)
	}
	if _, err := build.Project(context.Background(), build.Options{Dir: "testdata/golden/plain", DefaultEndpoint: "localhost:9000"}); err == nil || err.Error() != `default endpoint: "localhost:9000" has no scheme (write "http://localhost:9000")` {
		t.Errorf("default endpoint: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := build.Project(ctx, build.Options{Dir: "testdata/golden/plain"}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	res, err := build.Project(context.Background(), build.Options{Dir: "testdata/golden/security"})
	if err != nil {
		t.Fatal(err)
	}
	s := res.Summary
	if s.Project != "security" || s.APIs != 3 || s.Operations != 29 || s.Clusters != 3 || strings.Join(s.Files, " ") != "api_definitions/desk.yaml api_definitions/open.yaml api_definitions/scoped.yaml" {
		t.Errorf("summary %+v", s)
	}
}

// A private key in the place of the public one must not get into an artifact.
func TestPrivateDevelopmentKey(t *testing.T) {
	dir := t.TempDir()
	projecttest.Write(t, dir, "api_definitions/a.yaml", "openapi: 3.0.0\ninfo: {title: A, version: 1}\nservers: [{url: http://a/a}]\npaths: {/x: {get: {responses: {}}}}\n")
	projecttest.Write(t, dir, ".micro-gw/dev-key.pub.jwk", `{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"secret"}`)
	res, err := build.Project(context.Background(), build.Options{Dir: dir})
	if err != nil || res.Artifact != nil || !strings.Contains(res.Diagnostics[0].Message, "private key") {
		t.Errorf("%v, %v", res.Diagnostics, err)
	}
}
