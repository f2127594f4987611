// Package projecttest makes projects for tests: of texts, of txtar files that
// say what is to come of them, and of the real definitions beside the repository.
package projecttest

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Write writes a file of a project.
func Write[T string | []byte](t testing.TB, dir, name string, data T) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Stories takes each txtar file that pattern names, at least so many, for a
// project and, as "want", what tell has to say of it. With update that is
// written anew.
func Stories(t *testing.T, pattern string, least int, update bool, tell func(t *testing.T, dir string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var want string
			var project []txtar.File
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				project = append(project, f)
				Write(t, dir, f.Name, f.Data)
			}
			got := tell(t, dir)
			if update {
				archive.Files = append(project, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// corpus is a folder of real definitions beside the repository. They are not
// ours to copy, so tests read them where they are.
const corpus = "../../../../shared/corpus"

// Corpus calls with each real definition, by its place in the corpus and its
// file's name. Where there are none the test is left out.
func Corpus(t *testing.T, with func(label, name string, data []byte)) {
	t.Helper()
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("there is no corpus beside the repository")
	}
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimSuffix(d.Name(), ".gz")
		if !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(name)) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && name != d.Name() {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
				data, err = io.ReadAll(z)
			}
		}
		if err != nil {
			return err
		}
		label, err := filepath.Rel(corpus, path)
		with(label, name, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Twin reports whether the definition at a place in the corpus, in JSON, is there
// in YAML as well.
func Twin(label string) bool {
	const json = ".json"
	if filepath.Ext(label) != json {
		return false
	}
	_, err := os.Stat(filepath.Join(corpus, strings.TrimSuffix(strings.ReplaceAll(label, "/json/", "/yaml/"), json)+".yaml"))
	return err == nil
}
