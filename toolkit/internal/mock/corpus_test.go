package mock_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/mock"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// Whatever builds can be mocked: every operation answers to a call made up for
// it, with the declared kind of body.
func TestCorpus(t *testing.T) {
	operations, files := 0, 0
	projecttest.Corpus(t, func(file, name string, data []byte) {
		if len(data) > 4<<20 {
			return // it has nothing that smaller ones have not, a thousand times
		}
		files++
		dir := t.TempDir()
		projecttest.Write(t, dir, "api_definitions/"+name, data)
		result, err := build.Project(t.Context(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:1/base"})
		if err != nil {
			t.Fatal(err)
		}
		if result.Artifact == nil {
			return
		}
		m, err := mock.New(result.Artifact)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
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
	})
	t.Logf("%d operations of %d files", operations, files)
}
