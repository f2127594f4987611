package scaffold_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/scaffold"
)

const minimal = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\n"

// tree lists the files under dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	definition, err := scaffold.Init(t.Context(), scaffold.Options{Dir: filepath.Join(dir, "shop")})
	if err != nil {
		t.Fatal(err)
	}
	if definition != "api_definitions/petstore.yaml" {
		t.Errorf("definition %q", definition)
	}
	want := []string{
		"shop/.gitignore",
		"shop/.micro-gw/dev-key.pem",
		"shop/.micro-gw/dev-key.pub.jwk",
		"shop/README.md",
		"shop/api_definitions/petstore.yaml",
		"shop/conf/deployment-config.toml", "shop/conf/micro-gw.conf",
		"shop/conf/policy.schema.json",
		"shop/interceptors/.keep",
		"shop/policy.yaml",
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("files\n got %q\nwant %q", got, want)
	}
	for _, name := range []string{"README.md", "conf/micro-gw.conf"} {
		data, err := os.ReadFile(filepath.Join(dir, "shop", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "{{") || !strings.Contains(string(data), "target/shop.mgw") {
			t.Errorf("%s does not name the project's artifact", name)
		}
	}
}

func TestInitNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", ".git", "a b", "a\tb", "a\x1b[31m", "a;b", "x" + strings.Repeat("y", 100)} {
		dir := t.TempDir()
		target := name
		if len(name) > 2 {
			target = filepath.Join(dir, name)
		}
		_, err := scaffold.Init(t.Context(), scaffold.Options{Dir: target, Force: true})
		var ne *scaffold.NameError
		if !errors.As(err, &ne) {
			t.Errorf("%q: error %v", name, err)
		}
		if left := tree(t, dir); len(left) != 0 {
			t.Errorf("%q left %q behind", name, left)
		}
	}
	for _, name := range []string{"shop", "Shop-2.0", "größe_1"} {
		if _, err := scaffold.Init(t.Context(), scaffold.Options{Dir: filepath.Join(t.TempDir(), name)}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Force replaces a project and nothing that merely has its name.
func TestInitForce(t *testing.T) {
	dir := t.TempDir()
	project := filepath.Join(dir, "shop")
	if _, err := scaffold.Init(t.Context(), scaffold.Options{Dir: project}); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(project, "mine.txt")
	if err := os.WriteFile(mine, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// A replacement that fails leaves the old project.
	opts := scaffold.Options{Dir: project, Force: true, Definition: fetch.Source{Location: filepath.Join(dir, "none.yaml")}}
	if _, err := scaffold.Init(t.Context(), opts); err == nil {
		t.Fatal("a missing definition was accepted")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Fatal("a failed init touched the old project")
	}
	if _, err := scaffold.Init(t.Context(), scaffold.Options{Dir: project, Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mine); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the old project's files are still there")
	}

	for name, make := range map[string]func(path string) error{
		"file":    func(path string) error { return os.WriteFile(path, []byte("x"), 0o644) },
		"symlink": func(path string) error { return os.Symlink(project, path) },
		"other folder": func(path string) error {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(path, "main.c"), nil, 0o644)
		},
	} {
		path := filepath.Join(t.TempDir(), "taken")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		_, err := scaffold.Init(t.Context(), scaffold.Options{Dir: path, Force: true})
		var ee *scaffold.ExistsError
		if !errors.As(err, &ee) || ee.Reason == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// The name of a downloaded file is chosen by a stranger.
func TestDownloadNames(t *testing.T) {
	for _, c := range []struct{ path, disposition, body, want string }{
		{"/petstore.yaml", "", minimal, "petstore.yaml"},
		{"/petstore.yml?x=1", "", minimal, "petstore.yml"},
		{"/Petstore.JSON", "", `{"openapi":"3.0.0"}`, "Petstore.json"},
		{"/v3/api-docs", "", `{"openapi":"3.0.0"}`, "api-docs.json"},
		{"/v3/api-docs", "", minimal, "api-docs.yaml"},
		{"/", "", minimal, "api.yaml"},
		{"/x", `attachment; filename="shop.yaml"`, minimal, "shop.yaml"},
		{"/x", `attachment; filename="../../../etc/passwd"`, minimal, "passwd.yaml"},
		{"/x", `attachment; filename="..\\..\\boot.ini"`, minimal, "boot.ini.yaml"},
		{"/x", `attachment; filename=".bashrc"`, minimal, "bashrc.yaml"},
		{"/x", `attachment; filename="a;b$(c).yaml"`, minimal, "a_b__c_.yaml"},
		{"/x", `attachment; filename=".yaml"`, minimal, "yaml.yaml"},
		{"/x", `attachment; filename="` + strings.Repeat("n", 300) + `.yaml"`, minimal, strings.Repeat("n", 80) + ".yaml"},
	} {
		t.Run(c.path+" "+c.disposition, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.disposition != "" {
					w.Header().Set("Content-Disposition", c.disposition)
				}
				fmt.Fprint(w, c.body)
			}))
			defer srv.Close()
			dir := filepath.Join(t.TempDir(), "p")
			got, err := scaffold.Init(t.Context(), scaffold.Options{Dir: dir, Definition: fetch.Source{Location: srv.URL + c.path}})
			if err != nil {
				t.Fatal(err)
			}
			if got != "api_definitions/"+c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if data, err := os.ReadFile(filepath.Join(dir, got)); err != nil || string(data) != c.body {
				t.Errorf("content %q, %v", data, err)
			}
		})
	}
}

func TestDownloadRefused(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "" {
			t.Error("a given header was sent on to another host")
		}
		fmt.Fprint(w, minimal)
	}))
	defer other.Close()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string // in the error; empty: accepted
	}{
		{"404", http.NotFound, "the server answered 404 Not Found"},
		{"201", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); fmt.Fprint(w, minimal) }, "answered 201"},
		{"empty", func(w http.ResponseWriter, r *http.Request) {}, "empty"},
		{"error page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html><body>Sorry</body></html>") }, "not an API definition"},
		{"list", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "[1]") }, "not an API definition"},
		{"broken YAML", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "openapi: [") }, "neither JSON nor YAML"},
		{"loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", 302) }, "more than 10 redirects"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			chunk := []byte(strings.Repeat("# more\n", 1<<17))
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "larger than 64 MiB"},
		{"cut", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, minimal)
		}, "unexpected EOF"},
		{"other host", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/api.yaml", 302) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			dir := t.TempDir()
			location := strings.Replace(srv.URL, "http://", "http://ann:secret@", 1) + "/x?key=secret"
			_, err := scaffold.Init(t.Context(), scaffold.Options{
				Dir:        filepath.Join(dir, "p"),
				Definition: fetch.Source{Location: location, Header: http.Header{"X-Key": {"secret"}}},
			})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

func TestDownloadStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	_, err := scaffold.Init(ctx, scaffold.Options{
		Dir:        filepath.Join(t.TempDir(), "p"),
		Definition: fetch.Source{Location: srv.URL + "/x"},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestDownloadHeadersAndTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, minimal)
	}))
	srv.Config.ErrorLog = nil
	defer srv.Close()
	source := fetch.Source{Location: srv.URL + "/api.yaml", Header: http.Header{"Authorization": {"Bearer t"}}}
	if _, err := scaffold.Init(t.Context(), scaffold.Options{Dir: filepath.Join(t.TempDir(), "p"), Definition: source}); err == nil {
		t.Error("an unknown certificate was accepted without Insecure")
	}
	source.Insecure = true
	if _, err := scaffold.Init(t.Context(), scaffold.Options{Dir: filepath.Join(t.TempDir(), "p"), Definition: source}); err != nil {
		t.Error(err)
	}
}
