package importer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A step that fails takes back all steps before it: what was new is gone, what was
// there is as it was.
func TestSwapTakesBack(t *testing.T) {
	for _, before := range []map[string]string{
		{},
		{Folder + "/changed": "old", Folder + "/other-format": "old", Folder + "/kept": "kept"},
	} {
		dir := t.TempDir()
		for name, content := range before {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		items := []item{{API: API{File: Folder + "/new"}, content: []byte("new")}, {API: API{File: Folder + "/changed"}, content: []byte("new")}}
		gone := []string{Folder + "/not-there"}
		if len(before) > 0 {
			gone = []string{Folder + "/other-format", Folder + "/not-there"}
		}
		if err := swap(root, items, gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
		found := 0
		err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || file == dir {
				return err
			}
			name, _ := filepath.Rel(dir, file)
			if len(before) == 0 {
				t.Errorf("%s is left", name)
			}
			if d.IsDir() {
				return nil
			}
			found++
			if data, err := os.ReadFile(file); err != nil || string(data) != before[filepath.ToSlash(name)] {
				t.Errorf("%s is %q, %v", name, data, err)
			}
			return nil
		})
		if err != nil || found != len(before) {
			t.Errorf("%d files, %v", found, err)
		}
	}
}
