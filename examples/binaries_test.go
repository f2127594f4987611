package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "micro-gw-bin-")
	if err != nil {
		return "", err
	}
	built = dir
	for name, pkg := range map[string]string{
		"micro-gw": "github.com/microgw/microgw/toolkit/cmd/micro-gw",
		"runtime":  "github.com/microgw/microgw/runtime/cmd/runtime",
	} {
		c := exec.Command("go", "build", "-pgo=off", "-o", filepath.Join(dir, name), pkg)
		c.Dir = ".."
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			os.Stderr.Write(out)
			return "", err
		}
	}
	return dir, nil
})

// binaries returns a folder with both programs, built once for all tests.
func binaries(t *testing.T) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// built is the folder to remove at the end, if it was needed at all.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}
