package build_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// Every document of the corpus is built, or refused for a reason that is in the
// document. `go test -v -run Corpus ./internal/build` prints the table.
func TestCorpus(t *testing.T) {
	var table strings.Builder
	built, refused := 0, 0
	projecttest.Corpus(t, func(label, name string, data []byte) {
		dir := t.TempDir()
		projecttest.Write(t, dir, "api_definitions/"+name, data)
		start := time.Now()
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
		took := time.Since(start)
		if err != nil {
			t.Errorf("%s: %v", label, err)
			return
		}
		verdict := "built"
		if res.Artifact == nil {
			verdict = "refused"
			refused++
		} else {
			built++
			data, err := artifact.Marshal(res.Artifact)
			if err == nil {
				_, err = artifact.Parse(data)
			}
			if err != nil {
				t.Errorf("%s: the runtime would refuse the artifact: %v", label, err)
			}
		}
		fmt.Fprintf(&table, "%-8s %-55s %4d operations %3d warnings %6d ms\n", verdict, label,
			res.Summary.Operations, res.Diagnostics.Count(diag.Warning), took.Milliseconds())
		if (res.Artifact == nil) != res.Diagnostics.HasErrors() {
			t.Errorf("%s: artifact %v with diagnostics %v", label, res.Artifact != nil, res.Diagnostics)
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, d := range res.Diagnostics {
			fmt.Fprintf(&table, "         %s\n", d)
			if d.Hint != "" {
				fmt.Fprintf(&table, "           hint: %s\n", d.Hint)
			}
			if d.File != "api_definitions/"+name || d.Line < 1 || d.Line > lines || d.Column < 1 {
				t.Errorf("%s: not a position in the file: %v", label, d)
			}
			for _, word := range []string{"internal", "panic", "runtime error", "cannot be read", "cannot be converted"} {
				if strings.Contains(d.Message, word) {
					t.Errorf("%s: not the author's business: %v", label, d)
				}
			}
		}
	})
	t.Logf("%d built, %d refused\n%s", built, refused, table.String())
}
