package project_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/project"
)

func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Shop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string) *project.Project {
	t.Helper()
	p, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestDefinitions(t *testing.T) {
	p := open(t, folder(t,
		"api_definitions/b.yaml", "api_definitions/a.json", "api_definitions/sub/c.yml",
		"api_definitions/README.md", "api_definitions/.hidden.yaml", "api_definitions/.git/d.yaml",
		"gen/api_definitions/e.yaml", "gen/f.yaml", "other/g.yaml", "policy.yaml"))
	if p.Name != "Shop" {
		t.Errorf("name %q", p.Name)
	}
	names, err := p.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	want := "api_definitions/a.json api_definitions/b.yaml api_definitions/sub/c.yml gen/api_definitions/e.yaml"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if name, err := p.Policies(); name != "policy.yaml" || err != nil {
		t.Errorf("policies: %q, %v", name, err)
	}
}

func TestSources(t *testing.T) {
	p := open(t, folder(t, "b", "a", "c"))
	for _, name := range []string{"b", "a", "b"} {
		if data, err := p.Read(name); err != nil || string(data) != name {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := p.Peek("c"); err != nil {
		t.Error(err)
	}
	if s := p.Sources(); len(s) != 2 || s[0].Name != "a" || s[1].Name != "b" || s[0].SHA256 == s[1].SHA256 {
		t.Errorf("%v", s)
	}
}

// Nothing outside of the folder can be read, and nothing that never ends.
func TestConfinement(t *testing.T) {
	dir := folder(t, "api_definitions/a.yaml", "inside/b.yaml")
	outside := filepath.Join(filepath.Dir(dir), "secret.yaml")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"api_definitions/absolute.yaml": outside,
		"api_definitions/climbing.yaml": "../../secret.yaml",
		"api_definitions/dangling.yaml": "none.yaml",
		"api_definitions/inside.yaml":   "../inside/b.yaml",
		"folder":                        filepath.Dir(dir),
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "api_definitions/pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := open(t, dir)
	names, err := p.Definitions()
	if err != nil || len(names) != 5 {
		t.Errorf("%q, %v", names, err)
	}
	for name, want := range map[string]string{
		"api_definitions/absolute.yaml": "it leads out of the project",
		"api_definitions/climbing.yaml": "it leads out of the project",
		"folder/secret.yaml":            "it leads out of the project",
		"../secret.yaml":                "it leads out of the project",
		outside:                         "it leads out of the project",
		"api_definitions/pipe.yaml":     "not a regular file",
		"api_definitions":               "not a regular file",
		"api_definitions/dangling.yaml": "no such file or directory",
	} {
		if data, err := p.Read(name); err == nil || err.Error() != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := p.Read("api_definitions/dangling.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dangling: %v", err)
	}
	if data, err := p.Read("api_definitions/inside.yaml"); string(data) != "inside/b.yaml" {
		t.Errorf("inside: %q, %v", data, err)
	}
}
