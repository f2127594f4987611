package build_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/microgw/microgw/toolkit/internal/build"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Each file in testdata/mistakes is a project and, as "want", all that its
// build says.
func TestMistakes(t *testing.T) {
	cases, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(cases) < 90 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var want string
			var files []txtar.File
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				files = append(files, f)
				write(t, dir, f.Name, string(f.Data))
			}
			res, err := build.Project(context.Background(), build.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := res.Diagnostics.WriteText(&out, "build"); err != nil {
				t.Fatal(err)
			}
			if res.Artifact == nil {
				out.WriteString("no artifact\n")
			}
			if *update {
				archive.Files = append(files, txtar.File{Name: "want", Data: out.Bytes()})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if out.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
			}
			if len(res.Diagnostics) == 0 {
				t.Error("a mistake that is not one")
			}
			for _, d := range res.Diagnostics {
				if d.Line == 0 && strings.HasPrefix(d.File, "api_definitions/") {
					t.Errorf("no position: %v", d)
				}
			}
		})
	}
}
