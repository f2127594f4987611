package lint_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/lint"
)

const corpus = "../../../../shared/corpus"

// twin reports whether a definition in JSON is there in YAML as well.
func twin(path string) bool {
	const json = ".json"
	if filepath.Ext(path) != json {
		return false
	}
	_, err := os.Stat(strings.TrimSuffix(strings.ReplaceAll(path, "/json/", "/yaml/"), json) + ".yaml")
	return err == nil
}

// Real definitions do not bury their authors: what is printed of each stays
// within a few screens, and every position is one. `go test -v -run Corpus` prints
// how often which rule speaks.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("there is no corpus beside the repository")
	}
	count := make(map[string]int)
	files := make(map[string]int)
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(name)) || twin(path) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := t.TempDir()
		write(t, dir, "api_definitions/"+name, string(data))
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000", Keep: true})
		if err != nil {
			return err
		}
		list := lint.Project(res, nil)
		if n := len(lint.Lines(list, false)); n > 150 {
			t.Errorf("%s: %d lines", path, n)
		}
		seen := make(map[string]bool)
		for _, f := range list {
			count[f.Rule]++
			if !seen[f.Rule] {
				seen[f.Rule] = true
				files[f.Rule]++
			}
			if f.Line < 1 || f.Column < 1 {
				t.Errorf("%s: no position: %v", path, f)
			}
			if f.Severity == lint.Warning && f.Rule != lint.BuildRule {
				t.Logf("%s: %v", d.Name(), f)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, id := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&table, "%-24s %6d in %3d files\n", id, count[id], files[id])
	}
	t.Log("\n" + table.String())
}
