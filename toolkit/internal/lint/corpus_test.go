package lint_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/lint"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// Real definitions do not bury their authors: what is printed of each stays
// within a few screens, and every position is one. `go test -v -run Corpus` prints
// how often which rule speaks.
func TestCorpus(t *testing.T) {
	count := make(map[string]int)
	files := make(map[string]int)
	projecttest.Corpus(t, func(label, name string, data []byte) {
		if projecttest.Twin(label) || len(data) > 4<<20 {
			return
		}
		dir := t.TempDir()
		projecttest.Write(t, dir, "api_definitions/"+name, data)
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000", Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		list := lint.Project(res, nil)
		if n := len(lint.Lines(list, false)); n > 150 {
			t.Errorf("%s: %d lines", label, n)
		}
		seen := make(map[string]bool)
		for _, f := range list {
			count[f.Rule]++
			if !seen[f.Rule] {
				seen[f.Rule] = true
				files[f.Rule]++
			}
			if f.Line < 1 || f.Column < 1 {
				t.Errorf("%s: no position: %v", label, f)
			}
			if f.Severity == lint.Warning && f.Rule != lint.BuildRule {
				t.Logf("%s: %v", name, f)
			}
		}
	})
	var table strings.Builder
	for _, id := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&table, "%-24s %6d in %3d files\n", id, count[id], files[id])
	}
	t.Log("\n" + table.String())
}
