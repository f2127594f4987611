package mock_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/mock"
)

// corpus is a folder of definitions by others, which is not part of this
// repository.
const corpus = "../../../../shared/corpus"

// Whatever builds can be mocked: every operation answers to a call made up for
// it, with the declared kind of body.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus beside this checkout")
	}
	var files []string
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (filepath.Ext(path) == ".yaml" || filepath.Ext(path) == ".json") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "api_definitions"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "api_definitions", filepath.Base(file)), content, 0o644); err != nil {
			t.Fatal(err)
		}
		result, err := build.Project(t.Context(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:1/base"})
		if err != nil {
			t.Fatal(err)
		}
		if result.Artifact == nil {
			continue
		}
		m, err := mock.New(result.Artifact)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, api := range result.Artifact.GetApis() {
			for _, op := range api.GetOperations() {
				operations++
				endpoint := result.Artifact.GetClusters()[op.GetProductionCluster()-1].GetEndpoints()[0].GetUrl()
				_, base, _ := strings.Cut(strings.TrimSuffix(endpoint, "/"), "://")
				if i := strings.IndexByte(base, '/'); i >= 0 {
					base = base[i:]
				} else {
					base = ""
				}
				target := base + m.Target(api, op)
				res := call(m, op.GetMethod(), target)
				got := body(t, res)
				switch {
				case strings.HasPrefix(got, `{"error":"the definition`) || res.StatusCode == http.StatusBadRequest && strings.Contains(got, "malformed path"):
					t.Errorf("%s: %s at %s: %d %s", file, op.GetId(), target, res.StatusCode, got)
				case res.Header.Get("Content-Type") == "application/json" && !json.Valid([]byte(got)):
					t.Errorf("%s: %s: not JSON: %.100s", file, op.GetId(), got)
				}
			}
		}
	}
	t.Logf("%d operations of %d files", operations, len(files))
}
