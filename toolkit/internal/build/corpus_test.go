package build_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

// corpus is a folder of real definitions beside the repository. They are not
// ours to copy, so the test reads them where they are, and is silent where they
// are not.
const corpus = "../../../../shared/corpus"

// Every document of the corpus is built, or refused for a reason that is in the
// document. `go test -v -run Corpus ./internal/build` prints the table.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("there is no corpus beside the repository")
	}
	var table strings.Builder
	built, refused := 0, 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, data := d.Name(), []byte(nil)
		switch {
		case strings.HasSuffix(name, ".json.gz"):
			name = strings.TrimSuffix(name, ".gz")
			data = gunzip(t, path)
		case strings.HasSuffix(name, ".json"), strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		default:
			return nil
		}
		label, _ := filepath.Rel(corpus, path)
		dir := t.TempDir()
		write(t, dir, "api_definitions/"+name, string(data))
		start := time.Now()
		res, err := build.Project(context.Background(), build.Options{Dir: dir, DefaultEndpoint: "http://127.0.0.1:9000"})
		took := time.Since(start)
		if err != nil {
			t.Errorf("%s: %v", label, err)
			return nil
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
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d built, %d refused\n%s", built, refused, table.String())
}

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
