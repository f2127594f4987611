package buildinfo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/microgw/microgw/pkg/buildinfo"
)

func TestString(t *testing.T) {
	want := "micro-gw dev (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	if got := buildinfo.String("micro-gw"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The Makefile and the release scripts name the variable in a string, which
// the linker ignores without a word if it is wrong.
func TestLinkerSetsVersion(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	err := os.WriteFile(src, []byte(`package main

import "github.com/microgw/microgw/pkg/buildinfo"

func main() { print(buildinfo.Version()) }
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", "-ldflags", "-X github.com/microgw/microgw/pkg/buildinfo.version=v1.2.3", src).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := string(out), "v1.2.3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
