package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamples does what the README of each example says, to the letter but for
// the ports, and holds what is printed against what the README shows.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 {
		t.Fatalf("there are %d examples, there were 6", len(files))
	}
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(string(index), "("+file+")") {
			t.Errorf("README.md does not lead to %s", file)
		}
		t.Run(filepath.Dir(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := readREADME(t, string(text))
			if len(r.blocks) == 0 {
				t.Fatal("the README has no commands")
			}
			needs(t, append(r.programs(), "sh")...)
			newSession(t, filepath.Dir(file)).tell(r)
		})
	}
}

// needs skips a test on a machine that lacks programs which CI has.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI has to install %s: %v", p, err)
			}
			t.Skipf("%s is not installed; CI has it", p)
		}
	}
}
