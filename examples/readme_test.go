package examples

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sh runs a line as the README's reader would.
func sh(t *testing.T, dir, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", line)
	c.Dir = dir
	c.WaitDelay = 10 * time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("$ %s\n%v\n%s", line, err, out)
	}
	return string(out)
}

// TestREADME executes every line in the README's code blocks, in order and in a
// folder like the reader's: one with bin/ in it. Only `make test` is not
// executed, as it is what runs this test.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("the README has %d code blocks, there were 3", len(blocks))
	}
	work := t.TempDir()
	if err := os.Symlink(binaries(t), filepath.Join(work, "bin")); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, b := range blocks {
		for line := range strings.Lines(string(b[1])) {
			line = strings.TrimSpace(line)
			switch {
			case line == "make test":
				said[line] = ""
			case strings.HasPrefix(line, "make"):
				said[line] = sh(t, root(t), line)
			default:
				said[line] = sh(t, work, line)
			}
		}
	}
	for _, must := range []string{"make demo", "make test"} {
		if _, ok := said[must]; !ok {
			t.Errorf("the README does not give the command %q", must)
		}
	}
	for _, want := range []string{"< 401", "< 200", "< 403", "900901", "900902", "900910"} {
		if !strings.Contains(said["make demo"], want) {
			t.Errorf("make demo does not print %q:\n%s", want, said["make demo"])
		}
	}
}

// TestReadmeLinks: what the README, the docs and the examples point at is there,
// headings included.
func TestReadmeLinks(t *testing.T) {
	files := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "examples/README.md", "examples/*/README.md"} {
		more, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range more {
			f, err := filepath.Rel(root(t), f)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	anchors := map[string][]string{} // by page
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]+)?\)`)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(root(t), f))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to, heading := m[1], m[2]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			path := f
			if to != "" {
				path = filepath.Join(filepath.Dir(f), to)
			}
			if _, err := os.Stat(filepath.Join(root(t), path)); err != nil {
				t.Errorf("%s points at %s, which is not there", f, to)
				continue
			}
			if heading == "" || filepath.Ext(path) != ".md" {
				continue
			}
			if anchors[path] == nil {
				page, err := os.ReadFile(filepath.Join(root(t), path))
				if err != nil {
					t.Error(err)
					continue
				}
				anchors[path] = headings(string(page))
			}
			if !slices.Contains(anchors[path], heading) {
				t.Errorf("%s points at %s%s, and there is no such heading", f, to, heading)
			}
		}
	}
}

// headings returns a page's headings as links write them.
func headings(page string) (anchors []string) {
	page = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		// What is no letter, digit, blank, hyphen or underscore goes, in all
		// letter cases: github.com has it so.
		text := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, "#"+strings.ReplaceAll(text, " ", "-"))
	}
	return anchors
}

// TestCIRunsTheREADMEsTests: CI calls the very command that the README gives.
func TestCIRunsTheREADMEsTests(t *testing.T) {
	ci, err := os.ReadFile(filepath.Join(root(t), ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^(step )?make test$`).Match(ci) {
		t.Error(".ci/run does not call `make test`, which the README gives as the test command")
	}
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(makefile, []byte("\ntest:")) {
		t.Error("the Makefile has no target test")
	}
}
