package build_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

// remoteProject is a project with one reference.
func remoteProject(t *testing.T, ref string) string {
	t.Helper()
	dir := t.TempDir()
	projecttest.Write(t, dir, "api_definitions/shop.yaml", fmt.Sprintf(`openapi: 3.0.3
info: {title: Shop, version: "1"}
x-wso2-basePath: /shop
x-wso2-production-endpoints: {urls: ["http://shop.internal"]}
paths:
  /cart:
    get:
      responses:
        "200": {description: ok, content: {application/json: {schema: {$ref: %q}}}}
`, ref))
	return dir
}

// A $ref to a URL is fetched only if that is allowed, once for each URL, with
// bounds on everything, and never leads to a file of this machine.
func TestRemoteReferences(t *testing.T) {
	var calls atomic.Int64
	stop := make(chan struct{})
	mux := http.NewServeMux()
	serve := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			fmt.Fprint(w, text)
		})
	}
	serve("/schemas.yaml", `
Cart: {type: object, properties: {items: {type: array, items: {$ref: "deep/item.json"}}, self: {$ref: "#/Cart"}, again: {$ref: "/schemas.yaml#/Cart"}}}
`)
	serve("/deep/item.json", `{"type": "object", "properties": {"price": {"$ref": "../price.yaml?v=1#/Price"}}}`)
	serve("/price.yaml", `Price: {type: string}`)
	serve("/to-file.yaml", `{type: object, properties: {a: {$ref: "file:///etc/passwd"}}}`)
	serve("/odd.yaml", `{type: object, properties: {a: {$ref: "gopher://x/y"}}}`)
	serve("/broken.yaml", "a: [\n")
	serve("/large.yaml", "a: "+strings.Repeat("x", 1000))
	redirect := func(path, to string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	redirect("/moved", "/new/place.yaml")
	serve("/new/place.yaml", `{$ref: "near.yaml"}`)
	serve("/new/near.yaml", `{type: object}`)
	redirect("/loop", "/loop")
	redirect("/redirect-to-file", "file:///etc/passwd")
	redirect("/redirect-with-password", "http://ann:secret@127.0.0.1:1/")
	mux.HandleFunc("/slow.yaml", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(stop)
	url := server.URL

	for _, tt := range []struct {
		ref  string
		want string // what is said; empty if it builds
		hint string
	}{
		{ref: url + "/schemas.yaml#/Cart"},
		{ref: url + "/moved"},
		{ref: url + "/none.yaml", want: ": the server answered 404 Not Found"},
		{ref: url + "/slow.yaml", want: ": not there after 300ms"},
		{ref: url + "/large.yaml", want: ": it is larger than 500 bytes"},
		{ref: url + "/loop", want: ": more than 5 redirects"},
		{ref: url + "/redirect-to-file", want: ": it redirects from http to file"},
		{ref: url + "/redirect-with-password", want: ": it redirects to a URL with a password"},
		{ref: url + "/broken.yaml", want: "/broken.yaml:1:1: not YAML"},
		{ref: url + "/to-file.yaml", want: `"file:///etc/passwd" is not a file of the project`},
		{ref: url + "/odd.yaml", want: `"gopher://x/y" is not a file of the project`},
		{ref: url + "/schemas.yaml#/Car", want: `leads nowhere: no "Car"`, hint: `did you mean "Cart"?`},
		{ref: "file:///etc/passwd", want: `"file:///etc/passwd" is not a file of the project`, hint: "refer to the file by its relative path"},
		{ref: "FILE:/etc/passwd", want: `"FILE:/etc/passwd" is not a file of the project`},
		{ref: "//example.com/x.yaml", want: `"//example.com/x.yaml" is not a file of the project`},
		{ref: "http://ann:secret@" + strings.TrimPrefix(url, "http://") + "/schemas.yaml", want: "is not fetched: want a URL with a host, without a password"},
		{ref: "http:///x", want: "is not fetched"},
		{ref: "http://127.0.0.1:1/x.yaml", want: "connection refused"},
		{ref: "../../../../etc/passwd", want: "is outside of the project"},
	} {
		t.Run(strings.ReplaceAll(tt.ref, url, ""), func(t *testing.T) {
			dir := remoteProject(t, tt.ref)
			opts := build.Options{Dir: dir, AllowRemoteRefs: true, References: fetch.References{MaxSize: 500, Timeout: 30 * time.Second}}
			if strings.Contains(tt.want, "300ms") {
				opts.References.Timeout = 300 * time.Millisecond
			}
			res, err := build.Project(context.Background(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if res.Artifact == nil {
					t.Error(res.Diagnostics)
				}
				return
			}
			if res.Artifact != nil || res.Lock != nil {
				t.Fatalf("it builds: %v", res.Diagnostics)
			}
			if d := res.Diagnostics[0]; !strings.Contains(d.String(), tt.want) || !strings.Contains(d.Hint, tt.hint) || d.Line == 0 {
				t.Errorf("got  %s\n%s\nwant %s\n%s", d, d.Hint, tt.want, tt.hint)
			}
		})
	}

	t.Run("not allowed", func(t *testing.T) {
		before := calls.Load()
		res, err := build.Project(context.Background(), build.Options{Dir: remoteProject(t, url+"/schemas.yaml#/Cart")})
		if err != nil || res.Artifact != nil || !strings.Contains(res.Diagnostics[0].Hint, "--allow-remote-refs") {
			t.Errorf("%v, %v", err, res.Diagnostics)
		}
		if calls.Load() != before {
			t.Error("it was fetched all the same")
		}
	})

	t.Run("lock", func(t *testing.T) {
		dir := remoteProject(t, url+"/schemas.yaml#/Cart")
		// A second definition asks for the same.
		projecttest.Write(t, dir, "api_definitions/other.yaml", strings.ReplaceAll(read(t, dir, "api_definitions/shop.yaml"), "hop", "hop2"))
		opts := build.Options{Dir: dir, AllowRemoteRefs: true}
		before := calls.Load()
		res, err := build.Project(context.Background(), opts)
		if err != nil || res.Artifact == nil {
			t.Fatal(err, res.Diagnostics)
		}
		if n := calls.Load() - before; n != 3 {
			t.Errorf("%d calls for 3 URLs", n)
		}
		var urls []string
		for _, s := range res.Artifact.Sources {
			urls = append(urls, strings.TrimPrefix(s.Path, url))
		}
		if got, want := strings.Join(urls, " "), "api_definitions/other.yaml api_definitions/shop.yaml /deep/item.json /price.yaml?v=1 /schemas.yaml"; got != want {
			t.Errorf("sources: %s\nwant     %s", got, want)
		}
		first, err := artifact.Marshal(res.Artifact)
		if err == nil {
			_, err = artifact.Parse(first)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(res.Lock), "\n"); n != 4 {
			t.Errorf("lock:\n%s", res.Lock)
		}
		projecttest.Write(t, dir, build.LockFile, string(res.Lock))
		if res, err = build.Project(context.Background(), opts); err != nil || res.Artifact == nil || res.Lock != nil {
			t.Errorf("with the lock: %v, %v, lock %s", err, res.Diagnostics, res.Lock)
		}
		second, err := artifact.Marshal(res.Artifact)
		if err != nil || string(first) != string(second) {
			t.Errorf("two builds, two artifacts (%v)", err)
		}
		// What is there now is another.
		lock := read(t, dir, build.LockFile)
		i := strings.Index(lock, " "+url+"/price")
		projecttest.Write(t, dir, build.LockFile, lock[:i-1]+map[bool]string{true: "1", false: "0"}[lock[i-1] == '0']+lock[i:])
		res, err = build.Project(context.Background(), opts)
		if err != nil || res.Artifact != nil || !strings.Contains(res.Diagnostics[0].Message, "/price.yaml?v=1: it is not what it was: delete its line in remote-refs.lock to accept what is there now") {
			t.Errorf("changed: %v, %v", err, res.Diagnostics)
		}
		projecttest.Write(t, dir, build.LockFile, "# a\nsha:1 x\n")
		res, err = build.Project(context.Background(), opts)
		if err != nil || res.Artifact != nil || res.Diagnostics[len(res.Diagnostics)-1].At().String() != "remote-refs.lock:2:1" {
			t.Errorf("malformed: %v, %v", err, res.Diagnostics)
		}
	})

	// An answer is bounded, and so is the number of questions.
	t.Run("many", func(t *testing.T) {
		serve("/many/", "{type: object}")
		dir := t.TempDir()
		var b strings.Builder
		b.WriteString("openapi: 3.0.3\ninfo: {title: A, version: \"1\"}\nx-wso2-basePath: /a\npaths: {}\ncomponents:\n  schemas:\n")
		for i := range 250 {
			fmt.Fprintf(&b, "    S%d: {$ref: %q}\n", i, fmt.Sprintf("%s/many/%d", url, i))
		}
		projecttest.Write(t, dir, "api_definitions/a.yaml", b.String())
		before := calls.Load()
		res, err := build.Project(context.Background(), build.Options{Dir: dir, AllowRemoteRefs: true})
		if n := calls.Load() - before; err != nil || res.Artifact != nil || n != 200 || !strings.Contains(res.Diagnostics[0].Message, "more than 200 URLs in one build") {
			t.Errorf("%v, %d calls, %v", err, n, res.Diagnostics[0])
		}
	})
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
