package project_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

// What is behind a link to a folder would be missing without a word.
func TestLinkedFolders(t *testing.T) {
	elsewhere := t.TempDir()
	for name, c := range map[string]struct{ link, target, want string }{
		"inside":          {"api_definitions/more", "../shared", "api_definitions: more is a link to a folder, which is not followed"},
		"outside":         {"api_definitions/more", elsewhere, "api_definitions: more is a link to a folder, which is not followed"},
		"all of them":     {"api_definitions", elsewhere, "api_definitions: it leads out of the project"},
		"in a loop":       {"api_definitions/more", ".", "api_definitions: more is a link to a folder, which is not followed"},
		"some other file": {"api_definitions/notes.txt", filepath.Join(elsewhere, "notes.txt"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "shared/a.yaml", "conf/keep")
			if strings.Contains(c.link, "/") {
				if err := os.Mkdir(filepath.Join(dir, "api_definitions"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(c.target, filepath.Join(dir, c.link)); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, dir).Definitions()
			if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	dir := folder(t, "api_definitions/a.yaml")
	if err := os.Symlink(filepath.Join(elsewhere, "policy.yaml"), filepath.Join(dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Policies(); err == nil || err.Error() != "policy.yaml: it leads out of the project" {
		t.Errorf("policy.yaml: %v", err)
	}
}

// Endings count in any letter case, as file systems have them.
func TestFolders(t *testing.T) {
	p := open(t, folder(t,
		"api_definitions/a.YAML", "interceptors/a.bal", "interceptors/sub/b.wasm", "interceptors/README.md", "lib/a.jar", "lib/.keep",
		"grpc_definitions/a.proto", "extensions/extension_filter.bal", "extensions/notes.txt", "services/token.bal",
		"stray.yaml", ".hidden.yaml", "policies.yaml", "notes.md"))
	list := func(files []string, err error) string {
		if err != nil {
			t.Error(err)
		}
		return strings.Join(files, " ")
	}
	grpc, extensions, services, err := p.Foreign()
	for _, tt := range []struct{ what, got, want string }{
		{"definitions", list(p.Definitions()), "api_definitions/a.YAML"},
		{"interceptors", list(p.Interceptors()), "interceptors/a.bal interceptors/sub/b.wasm"},
		{"JARs", list(p.JARs()), "lib/a.jar"},
		{"gRPC", list(grpc, err), "grpc_definitions/a.proto"},
		{"extensions", list(extensions, err), "extensions/extension_filter.bal"},
		{"services", list(services, err), "services/token.bal"},
		{"strays", list(p.Strays(), nil), "stray.yaml"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	if err := p.Note("lib/a.jar"); err != nil {
		t.Error(err)
	}
	read, err := p.Read("interceptors/a.bal")
	if err != nil || string(read) != "interceptors/a.bal" {
		t.Errorf("%q, %v", read, err)
	}
	if s := p.Sources(); len(s) != 2 || s[1].Name != "lib/a.jar" || s[1].SHA256 != sha256.Sum256([]byte("lib/a.jar")) {
		t.Errorf("%v", s)
	}
	if err := p.Note("../elsewhere"); err == nil {
		t.Error("a file outside of the project is noted")
	}
}
