package cli_test

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/testport"
	"github.com/microgw/microgw/toolkit/internal/apim/apimtest"
	"github.com/microgw/microgw/toolkit/internal/cli"
	"github.com/microgw/microgw/toolkit/internal/scaffold"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"micro-gw": func() { os.Exit(cli.Main()) },
		"runtime":  func() { os.Exit(fakeRuntime(os.Args[1:])) },
	})
}

// TestStories runs the stories in testdata. Beside testscript's own they have
// these commands:
//
//	claims NAME VALUE ...     the token on the last stdout has these claims
//	empty FOLDER              nothing is in FOLDER
//	exits CODE PROGRAM ARG... runs it to its end, expects its exit code
//	mode FILE OCTAL           FILE has these permissions
//	env-subst FILE [FROM]     puts variables into FILE, or what FROM has with them
//	freeport NAME             puts a free port of this machine in $NAME
//	get URL STATUS [REGEXP]   waits until URL is answered so
//	sameledger BUILT LEDGER   the ledger of a build in JSON is that of inspect
//	touch-url URL             calls URL, whatever comes of it
//	zip FILE FOLDER           makes an archive of a folder's files
//
// $SERVER is the URL of a server that hands out definitions, $APIM that of an API
// Manager with a certificate of its own: ca.pem and ca.p12 are to be trusted,
// $USER and $PASS get in.
func TestStories(t *testing.T) {
	srv := httptest.NewServer(definitions())
	t.Cleanup(srv.Close)
	manager := apimtest.New(apimtest.Catalogue())
	t.Cleanup(func() {
		manager.Close()
		if c := manager.Complaints(); len(c) > 0 {
			t.Errorf("API Manager complains: %q", c)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SERVER", srv.URL)
			env.Setenv("APIM", manager.URL)
			env.Setenv("APIM_HOST", strings.TrimPrefix(manager.URL, "https://"))
			env.Setenv("USER", apimtest.User)
			env.Setenv("PASS", apimtest.Password)
			for name, data := range map[string][]byte{"ca.pem": manager.CA, "ca.p12": manager.Store} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o644); err != nil {
					return err
				}
			}
			env.Setenv("NO_PROXY", "127.0.0.1")
			// Under the race detector every process would sleep a second before
			// it ends, to let late reports out.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"claims":     claims,
			"empty":      empty,
			"exits":      exits,
			"mode":       mode,
			"env-subst":  envSubst,
			"freeport":   freePort,
			"get":        get,
			"sameledger": sameLedger,
			"touch-url":  touchURL,
			"zip":        makeZip,
		},
	})
}

func definitions() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/petstore.yaml", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(scaffold.Sample())
	})
	mux.HandleFunc("/private/api-docs", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("X-Tenant") != "shop" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"openapi": "3.0.3"}`)
	})
	mux.HandleFunc("/private/pets.yaml", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("X-Tenant") != "shop" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		_, _ = w.Write(scaffold.Sample())
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<html>Log in first</html>")
	})
	return mux
}

func claims(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args)%2 != 0 {
		ts.Fatalf("usage: claims NAME VALUE ...")
	}
	parts := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), ".")
	if len(parts) != 3 {
		ts.Fatalf("standard output is not a token and nothing else")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	ts.Check(err)
	var got map[string]any
	ts.Check(json.Unmarshal(payload, &got))
	if exp, ok := got["exp"].(float64); ok {
		got["lifetime"] = exp - got["iat"].(float64)
	}
	for i := 0; i < len(args); i += 2 {
		if s := fmt.Sprint(got[args[i]]); s != args[i+1] {
			ts.Fatalf("%s is %q, want %q", args[i], s, args[i+1])
		}
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

func envSubst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: env-subst FILE [FROM]")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[len(args)-1]), func(name string) string {
		if value := ts.Getenv(name); value != "" {
			return value
		}
		return "$" + name
	})), 0o644))
}

func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	port, err := testport.Free()
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// patience bounds every wait; it is only ever used up by a failure.
const patience = time.Minute

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get URL STATUS [REGEXP]")
	}
	want := regexp.MustCompile("")
	if len(args) > 2 {
		want = regexp.MustCompile(args[2])
	}
	last := "nothing"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodGet, args[0], nil)
		ts.Check(err)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		ts.Check(err)
		last = res.Status + " " + string(body)
		if strings.HasPrefix(res.Status, args[1]) && want.Match(body) {
			return
		}
	}
	ts.Fatalf("%s is answered %s", args[0], last)
}

func sameLedger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sameledger BUILT LEDGER")
	}
	var built struct{ Ledger any }
	var alone any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &built))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &alone))
	if built.Ledger == nil || !reflect.DeepEqual(built.Ledger, alone) {
		ts.Fatalf("%s has another ledger than %s", args[0], args[1])
	}
}

func touchURL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: touch-url URL")
	}
	if res, err := http.Get(args[0]); err == nil {
		res.Body.Close()
	}
}

func makeZip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: zip FILE FOLDER")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	z := zip.NewWriter(f)
	ts.Check(z.AddFS(os.DirFS(ts.MkAbs(args[1]))))
	ts.Check(z.Close())
	ts.Check(f.Close())
}

func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty FOLDER")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s has %v in it", args[0], entries)
	}
}

// fakeRuntime stands for the real one in the stories of `micro-gw run`, which is
// in another module: it takes the same flags, serves the artifact's first API
// without any security, and reads the artifact again for every request.
func fakeRuntime(args []string) int {
	fmt.Println("fake runtime:", strings.Join(args, " "))
	var file string
	set := map[string]string{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--artifact":
			i++
			file = args[i]
		case "-e":
			i++
			key, value, _ := strings.Cut(args[i], "=")
			set[key] = value
		}
	}
	if set["fail"] != "" {
		fmt.Fprintln(os.Stderr, "fake runtime: refused to start")
		return 1
	}
	srv := &http.Server{Addr: net.JoinHostPort(set["listenerConfig.host"], set["listenerConfig.httpPort"])}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := artifact.Open(file)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if r.URL.Path == "/exit" {
			os.Exit(7)
		}
		target, err := url.Parse(f.GetClusters()[0].GetEndpoints()[0].GetUrl())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.StripPrefix(f.GetApis()[0].GetBasePath(), httputil.NewSingleHostReverseProxy(target)).ServeHTTP(w, r)
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "fake runtime:", err)
		return 1
	}
	fmt.Println("fake runtime: stopped")
	return 0
}

// Every flag of every command is in the documentation, and nothing is there that
// no command has.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	output := func(args ...string) string {
		var out, errs strings.Builder
		if code := cli.Run(t.Context(), args, &out, &errs); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	commands := regexp.MustCompile(`(?m)^  ([a-z]+)  +`).FindAllStringSubmatch(output("help"), -1)
	if len(commands) < 8 {
		t.Fatalf("commands %q", commands)
	}
	flag := regexp.MustCompile(`--[a-z][a-z-]+`)
	known := map[string]bool{"--version": true}
	for _, c := range commands {
		section := "\n## " + c[1]
		if !strings.Contains(string(doc), section) && !regexp.MustCompile("\n## .*"+c[1]).Match(doc) {
			t.Errorf("no section for %s", c[1])
		}
		text := output("help", c[1])
		_, flags, _ := strings.Cut(text, "\nFlags:\n")
		for _, f := range flag.FindAllString(flags, -1) {
			known[f] = true
			if f != "--help" && !strings.Contains(string(doc), f) {
				t.Errorf("%s: %s is not in docs/cli.md", c[1], f)
			}
		}
	}
	for _, f := range flag.FindAllString(string(doc), -1) {
		if !known[f] {
			t.Errorf("docs/cli.md has %s, and no command does", f)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A result that cannot be written is no success: "token > file" on a full disk
// must not look as if there were a token.
func TestLostOutput(t *testing.T) {
	dir := t.TempDir() + "/shop"
	var out, errs strings.Builder
	for _, args := range [][]string{{"init", dir}, {"build", dir}} {
		if code := cli.Run(t.Context(), args, &out, &errs); code != 0 {
			t.Fatal(args, code, errs.String())
		}
	}
	for _, args := range [][]string{
		{"build", dir}, {"build", dir, "--output", "json"}, {"inspect", dir + "/target/shop.mgw"},
		{"build", dir, "--ledger"}, {"inspect", "--ledger", dir + "/target/shop.mgw"}, {"lint", dir}, {"lint", dir, "--output", "sarif"},
		{"token", dir}, {"version"}, {"--version"}, {"help"}, {"help", "build"}, {"completion", "bash"},
	} {
		errs.Reset()
		if code := cli.Run(t.Context(), args, full{}, &errs); code != 1 || !strings.HasSuffix(errs.String(), ": no space left on device\n") {
			t.Errorf("%q: exit code %d: %q", args, code, errs.String())
		}
	}
}
