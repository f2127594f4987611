package importer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/apim"
	"github.com/microgw/microgw/toolkit/internal/apim/apimtest"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/importer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const policy = "resourcePolicies:\n- 10kPerMin: {count: 10000, unitTime: 1, timeUnit: min}\n- 20kPerMin: {count: 20000, unitTime: 1, timeUnit: min}\n- 50kPerMin: {count: 50000, unitTime: 1, timeUnit: min}\n"

func project(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	write(t, dir, "policy.yaml", policy)
	return dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents are all files below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// server starts an API Manager of that version and logs on as admin.
func server(t *testing.T, apis []apimtest.API, version string) (*apim.Server, *apimtest.Server) {
	t.Helper()
	fake := apimtest.New(apis)
	t.Cleanup(func() {
		fake.Close()
		if c := fake.Complaints(); len(c) > 0 {
			t.Errorf("API Manager complains: %q", c)
		}
	})
	addresses, err := apim.Setup{BaseURL: fake.URL, APIM: version}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(fake.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &apim.Server{
		Addresses: addresses, Username: apimtest.User, Password: apimtest.Password,
		HTTP: &http.Client{Transport: transport}, Timeout: time.Minute,
	}, fake
}

var cors = &apim.CORS{Enabled: true, Origins: []string{"*"}, Headers: []string{"authorization"}, Methods: []string{"GET"}}

// What API Manager says is what is built, whichever version says it. Each golden
// file has the definitions as imported, what was noted, and what a build makes of
// them.
func TestGolden(t *testing.T) {
	for _, c := range []struct{ name, version, label string }{
		{"v2.6", "2.6", "all"},
		{"v3.2", "3.2", "all"},
		{"v4.1", "4.1", "Edge"},
		{"archives-2.6", "2.6", ""},
		{"archives-3", "3", ""},
		{"archives-4", "4", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := project(t)
			again := func() (importer.Result, error) {
				if c.label == "" {
					var sources []fetch.Source
					for _, a := range apimtest.Catalogue() {
						if a.Status == "PUBLISHED" && a.Type == "HTTP" {
							name := a.Name + "-" + a.Version + ".zip"
							write(t, filepath.Dir(dir), name, string(apimtest.Zip(a.Files(c.version))))
							sources = append(sources, fetch.Source{Location: filepath.Join(filepath.Dir(dir), name)})
						}
					}
					return importer.Files(t.Context(), dir, sources)
				}
				s, _ := server(t, apimtest.Catalogue(), c.version)
				return importer.Server(t.Context(), dir, s, apim.Query{Label: c.label}, cors)
			}
			res, err := again()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, a := range res.APIs {
				fmt.Fprintf(&out, "imported %s %s as %s: %s\n", a.Name, a.Version, a.File, a.State)
			}
			for _, s := range res.Skipped {
				fmt.Fprintf(&out, "left out %s %s: %s\n", s.Name, s.Version, s.Reason)
			}
			for _, n := range res.Notes {
				fmt.Fprintf(&out, "note %s\n", n)
			}
			built, err := build.Project(t.Context(), build.Options{Dir: dir})
			if err != nil || built.Artifact == nil {
				t.Fatalf("%v\n%v\n%v", err, built.Diagnostics, contents(t, dir))
			}
			out.WriteString(facts(built.Artifact))
			first := contents(t, dir)
			for _, name := range slices.Sorted(func(yield func(string) bool) {
				for name := range first {
					if strings.HasPrefix(name, "gen/") && !yield(name) {
						return
					}
				}
			}) {
				fmt.Fprintf(&out, "-- %s --\n%s", name, first[name])
			}
			if strings.Contains(out.String(), "s3cr3t") {
				t.Error("the upstream's password is in the project")
			}
			golden(t, c.name, out.Bytes())

			res, err = again()
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range res.APIs {
				if a.State != "unchanged" {
					t.Errorf("the second time %s is %s", a.Name, a.State)
				}
			}
			second := contents(t, dir)
			for name := range first {
				if first[name] != second[name] {
					t.Errorf("%s is another after the second import", name)
				}
			}
			if len(first) != len(second) {
				t.Errorf("%d files became %d", len(first), len(second))
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: -update shows the difference in the working tree; got\n%s", file, got)
	}
}

// facts are what an import has to get right, and no more of the artifact.
func facts(a *artifactpb.Artifact) string {
	var b strings.Builder
	short := func(s fmt.Stringer) string {
		words := strings.Split(s.String(), "_")
		return strings.ToLower(words[len(words)-1])
	}
	tier := func(i uint32) string {
		if i == 0 {
			return ""
		}
		return " tier " + a.ThrottlePolicies[i-1].Name
	}
	cluster := func(what string, i uint32) string {
		if i == 0 {
			return ""
		}
		c := a.Clusters[i-1]
		var urls []string
		for _, e := range c.Endpoints {
			urls = append(urls, e.Url)
		}
		auth := ""
		if c.Auth != nil {
			auth = fmt.Sprintf(" as %s %q", short(c.Auth.Type), c.Auth.Username)
		}
		return fmt.Sprintf("    %s %s %s%s\n", what, short(c.Balance), strings.Join(urls, " "), auth)
	}
	for _, api := range a.Apis {
		fmt.Fprintf(&b, "api %s %s at %s owner %s auth-header %q%s\n", api.Title, api.Version, api.BasePath, api.Owner, api.AuthHeader, tier(api.ThrottlePolicy))
		var transports []string
		for _, tr := range api.Transports {
			transports = append(transports, short(tr))
		}
		fmt.Fprintf(&b, "  transports %s\n", strings.Join(transports, " "))
		if c := api.Cors; c != nil {
			fmt.Fprintf(&b, "  cors origins %q methods %q headers %q credentials %v\n", c.AllowOrigins, c.AllowMethods, c.AllowHeaders, c.AllowCredentials)
		}
		if m := api.MutualTls; m != nil {
			fmt.Fprintf(&b, "  mutual TLS %s\n", m)
		}
		if c := api.ResponseCache; c != nil {
			fmt.Fprintf(&b, "  cache %v %d ms\n", c.Enabled, c.TimeoutMs)
		}
		for _, op := range api.Operations {
			security := "closed"
			if op.Security.Disabled {
				security = "open"
			}
			var scopes []string
			for _, alt := range op.Security.Alternatives {
				for _, r := range alt.Requirements {
					scopes = append(scopes, r.Scopes...)
				}
			}
			fmt.Fprintf(&b, "  %s %s %s scopes %q%s\n", op.Method, op.Path, security, scopes, tier(op.ThrottlePolicy))
			b.WriteString(cluster("production", op.ProductionCluster) + cluster("sandbox", op.SandboxCluster))
		}
	}
	return b.String()
}

// One of many with similar names, and page after page of a long list.
func TestQueries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		query   apim.Query
		want    int
		asked   int // pages of the list
		err     string
	}{
		{"2.6", apim.Query{Name: "PizzaShack", Version: "1.0.0"}, 1, 1, ""},
		{"3.1", apim.Query{Name: "PizzaShack", Version: "1.0.0"}, 1, 1, ""},
		{"4.2", apim.Query{Label: "Default", Name: "PizzaShack", Version: "1.0.0"}, 1, 1, ""},
		{"2.6", apim.Query{Label: "many"}, 501, 2, ""},
		{"2.6", apim.Query{Name: "Pizza", Version: "1.0.0"}, 0, 1, `no published API "Pizza" version "1.0.0"`},
		{"3.2", apim.Query{Label: "nobody"}, 0, 1, `no published API with the label "nobody"`},
		{"4.0", apim.Query{Label: "nowhere"}, 0, 1, `no published API is deployed to the gateway environment "nowhere"`},
		{"4.1", apim.Query{Label: "Edge", Name: "PizzaShack", Version: "1.0.0"}, 0, 1, `no published API "PizzaShack" version "1.0.0" is deployed to the gateway environment "Edge"`},
	} {
		t.Run(fmt.Sprint(c.version, " ", c.query), func(t *testing.T) {
			t.Parallel()
			apis := apimtest.Catalogue()
			if c.query.Label == "many" {
				apis = apimtest.Many(501)
			} else if c.query.Label == "nowhere" {
				apis = apimtest.Many(3)
			}
			s, fake := server(t, apis, c.version)
			dir := project(t)
			res, err := importer.Server(t.Context(), dir, s, c.query, nil)
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				if got := contents(t, dir); len(got) != 1 {
					t.Errorf("left behind: %q", got)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if len(res.APIs) != c.want {
				t.Errorf("%d APIs, want %d", len(res.APIs), c.want)
			}
			pages := 0
			for _, r := range fake.Requests() {
				if strings.Contains(r, "/apis?") {
					pages++
				}
			}
			if pages != c.asked {
				t.Errorf("%d lists asked for, want %d", pages, c.asked)
			}
		})
	}
}

const petstore = "openapi: 3.0.3 # theirs\ninfo: {title: Pets, version: '1'}\nservers: [{url: http://pets.internal/v1}]\npaths: {/x: {get: {responses: {}}}}\n"

// An import replaces what is there of the same APIs, in whatever format it was,
// and keeps everything else.
func TestReplace(t *testing.T) {
	dir, elsewhere := project(t), t.TempDir()
	write(t, dir, "gen/api_definitions/mine.yaml", "kept")
	write(t, dir, "api_definitions/own.yaml", "kept")
	write(t, elsewhere, "pets.yml", petstore)
	imported := func(name string) importer.API {
		t.Helper()
		res, err := importer.Files(t.Context(), dir, []fetch.Source{{Location: filepath.Join(elsewhere, name)}})
		if err != nil {
			t.Fatal(err)
		}
		return res.APIs[0]
	}
	first := imported("pets.yml")
	if first.State != "new" || !strings.HasSuffix(first.File, "openAPI.yaml") {
		t.Errorf("first %+v", first)
	}
	if got := contents(t, dir)[first.File]; got != petstore {
		t.Errorf("a definition is copied as it is, not %q", got)
	}
	if again := imported("pets.yml"); again.State != "unchanged" {
		t.Errorf("again %+v", again)
	}
	write(t, elsewhere, "pets.json", `{"swagger": "2.0", "info": {"title": "Pets", "version": "1"}}`)
	second := imported("pets.json")
	if second.State != "changed" || second.ID != first.ID || !strings.HasSuffix(second.File, "swagger.json") {
		t.Errorf("second %+v", second)
	}
	got := contents(t, dir)
	if _, old := got[first.File]; old || len(got) != 4 || got["gen/api_definitions/mine.yaml"] != "kept" || got["api_definitions/own.yaml"] != "kept" {
		t.Errorf("files %q", got)
	}
}

// Whatever fails, the project is as it was, and nothing lies around.
func TestAllOrNothing(t *testing.T) {
	good := func(t *testing.T, dir string) fetch.Source {
		write(t, filepath.Dir(dir), "pets.yaml", petstore)
		return fetch.Source{Location: filepath.Join(filepath.Dir(dir), "pets.yaml")}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) fetch.Source
		want    string
	}{
		{"second source missing", func(t *testing.T, dir string) fetch.Source { return fetch.Source{Location: "none.yaml"} }, "definition none.yaml does not exist"},
		{"second source the same API", good, "two definitions are of one API, Pets 1"},
		{"no title", func(t *testing.T, dir string) fetch.Source {
			write(t, filepath.Dir(dir), "x.yaml", "openapi: 3.0.0\ninfo: {version: 1}\n")
			return fetch.Source{Location: filepath.Join(filepath.Dir(dir), "x.yaml")}
		}, "x.yaml: info.title or info.version is missing: an imported API is known by them"},
		{"duplicate key", func(t *testing.T, dir string) fetch.Source {
			write(t, filepath.Dir(dir), "x.json", `{"openapi": "3.0.0", "info": {}, "info": {}}`)
			return fetch.Source{Location: filepath.Join(filepath.Dir(dir), "x.json")}
		}, `x.json:1:34: the key "info" is here twice: first at line 1, column 22`},
		{"a folder", func(t *testing.T, dir string) fetch.Source { return fetch.Source{Location: t.TempDir()} }, "not a file"},
		{"gen is a file", func(t *testing.T, dir string) fetch.Source {
			write(t, dir, "gen", "")
			write(t, filepath.Dir(dir), "x.yaml", strings.Replace(petstore, "Pets", "Others", 1))
			return fetch.Source{Location: filepath.Join(filepath.Dir(dir), "x.yaml")}
		}, "not a directory"},
		{"gen leads out", func(t *testing.T, dir string) fetch.Source {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(t.TempDir(), filepath.Join(dir, "gen")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Dir(dir), "x.yaml", strings.Replace(petstore, "Pets", "Others", 1))
			return fetch.Source{Location: filepath.Join(filepath.Dir(dir), "x.yaml")}
		}, "escapes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t)
			sources := []fetch.Source{good(t, dir), c.prepare(t, dir)}
			before := contents(t, dir)
			_, err := importer.Files(t.Context(), dir, sources)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			after := contents(t, dir)
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("files became %q", after)
			}
			if _, err := os.Stat(filepath.Join(dir, ".micro-gw-import")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a working folder is left")
			}
		})
	}
}

// An import that is interrupted, or finds something in its way, touches nothing.
func TestUntouched(t *testing.T) {
	dir := project(t)
	other := strings.Replace(petstore, "Pets", "Zebras", 1)
	var sources []fetch.Source
	for name, content := range map[string]string{"a.yaml": petstore, "b.yaml": other} {
		write(t, filepath.Dir(dir), name, content)
		sources = append(sources, fetch.Source{Location: filepath.Join(filepath.Dir(dir), name)})
	}
	res, err := importer.Files(t.Context(), dir, sources)
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	write(t, filepath.Dir(dir), "a.yaml", petstore+"# newer\n")
	write(t, filepath.Dir(dir), "b.yaml", other+"# newer\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := importer.Files(ctx, dir, sources); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// The second API's file is a folder now, in its other format: it is found
	// out before anything is touched.
	blocked := strings.Replace(res.APIs[1].File, "openAPI.yaml", "swagger.json", 1)
	if err := os.MkdirAll(filepath.Join(dir, blocked), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := importer.Files(t.Context(), dir, sources); err == nil || err.Error() != blocked+": not a file" {
		t.Errorf("error %v", err)
	}
	if after := contents(t, dir); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("files became %q", after)
	}
}

// Imports into one project at the same time do not get into each other's way.
func TestTogether(t *testing.T) {
	dir := project(t)
	write(t, dir, "../a.yaml", "openapi: 3.0.3\ninfo: {title: A, version: \"1\"}\npaths: {}\n")
	source := fetch.Source{Location: filepath.Join(dir, "../a.yaml")}
	errs := make(chan error)
	const imports = 8
	for range imports {
		go func() {
			_, err := importer.Files(t.Context(), dir, []fetch.Source{source})
			errs <- err
		}()
	}
	for range imports {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".micro-gw-import")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a working folder is left")
	}
	entries, err := os.ReadDir(filepath.Join(dir, importer.Folder))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
