package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCommandsDocumented holds docs/cli.md against the program: each command has
// its section, with all of its flags and no other.
func TestCommandsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(page), "\n## ")[1:] {
		title, text, _ := strings.Cut(s, "\n")
		for name := range strings.SplitSeq(title, ", ") {
			sections[name] = text
		}
	}
	_, list, ok := strings.Cut(must(t, "", "micro-gw", "help"), "Available Commands:\n")
	if !ok {
		t.Fatal("help lists no commands")
	}
	list, _, _ = strings.Cut(list, "\n\n")
	flag := regexp.MustCompile(`(?m)^ +(?:-[a-z], |    )--([a-z-]+)`)
	named := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for line := range strings.Lines(list) {
		name := strings.Fields(line)[0]
		section, ok := sections[name]
		if !ok {
			t.Errorf("docs/cli.md has no section %q", name)
			continue
		}
		delete(sections, name)
		_, help, ok := strings.Cut(must(t, "", "micro-gw", name, "--help"), "\nFlags:\n")
		if !ok {
			continue // help has none
		}
		flags := []string{"help"}
		for _, m := range flag.FindAllStringSubmatch(help, -1) {
			flags = append(flags, m[1])
			if m[1] != "help" && !regexp.MustCompile("--"+m[1]+`\b`).MatchString(section) {
				t.Errorf("docs/cli.md says nothing of micro-gw %s --%s", name, m[1])
			}
		}
		// What a table of flags has. In the text there may be those of others.
		for line := range strings.Lines(section) {
			cell, ok := strings.CutPrefix(line, "| `-")
			if !ok {
				continue
			}
			cell, _, _ = strings.Cut(cell, " | ")
			for _, m := range named.FindAllStringSubmatch("-"+cell, -1) {
				if !slices.Contains(flags, m[1]) {
					t.Errorf("docs/cli.md: micro-gw %s has no flag --%s", name, m[1])
				}
			}
		}
	}
	for name := range sections {
		t.Errorf("docs/cli.md: micro-gw has no command %q", name)
	}
}

// TestRuntimeDocumented: docs/runtime.md names the runtime's flags and commands.
func TestRuntimeDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "runtime.md"))
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(filepath.Join(binaries(t), "runtime"), "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	flags := regexp.MustCompile(`(?m)^  (--?[a-z-]+)`).FindAllStringSubmatch(string(help), -1)
	if len(flags) < 6 {
		t.Fatalf("runtime --help has %d flags", len(flags))
	}
	for _, m := range flags {
		if m[1] != "-h" && m[1] != "--output" && !strings.Contains(string(page), m[1]) {
			t.Errorf("docs/runtime.md says nothing of %s", m[1])
		}
	}
}

// TestKeysDocumented: the keys of the conf that pages and examples name are in
// docs/conf.md, which is made from the runtime's own tables.
func TestKeysDocumented(t *testing.T) {
	conf, err := os.ReadFile(filepath.Join(root(t), "docs", "conf.md"))
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"upstream"} // there was one
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z0-9]+)\\.").FindAllStringSubmatch(string(conf), -1) {
		tables = append(tables, m[1])
	}
	key := regexp.MustCompile("(?:`|-e )([A-Za-z0-9]+)((?:\\.[A-Za-z0-9]+)+)")
	file := regexp.MustCompile(`\.(conf|json|key|md|mgw|pem|p12|pub|toml|yaml)$`)
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "examples/*/README.md"} {
		pages, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range key.FindAllStringSubmatch(string(text), -1) {
				name := m[1] + m[2]
				if slices.Contains(tables, m[1]) && !file.MatchString(name) && !strings.Contains(string(conf), "`"+name) {
					t.Errorf("%s names the key %s, which the conf does not have", p, name)
				}
			}
		}
	}
}

// TestDocsIndex: docs/README.md leads to every page, once.
func TestDocsIndex(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root(t), "docs", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(index)) {
		if strings.HasPrefix(line, "| ") {
			_, to, _ := strings.Cut(line, " | ")
			if rows[to] {
				t.Errorf("docs/README.md leads there twice: %s", line)
			}
			rows[to] = !strings.HasPrefix(to, "page ")
		}
	}
	for _, pattern := range []string{"*.md", "*/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root(t), "docs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			name, err := filepath.Rel(filepath.Join(root(t), "docs"), p)
			if err != nil {
				t.Fatal(err)
			}
			if name != "README.md" && !strings.Contains(string(index), "]("+filepath.ToSlash(name)) {
				t.Errorf("docs/README.md does not lead to %s", name)
			}
		}
	}
}

// TestPages does what pages of the docs say, in an empty folder: the blocks of
// type sh, as in the READMEs of examples. Each scheme's page has some.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root(t), "docs", "authentication", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 8 {
		t.Fatalf("there are %d pages, there were 8", len(pages))
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		r := readREADME(t, string(text))
		name := filepath.Base(page)
		if len(r.blocks) == 0 {
			if name != "README.md" && !strings.Contains(string(text), "../../examples/issuer/README.md") {
				t.Errorf("%s has nothing to try", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			needs(t, append(r.programs(), "sh")...)
			dir := t.TempDir()
			write(t, dir, "page.md", string(text)) // for its ports
			newSession(t, dir).tell(r)
		})
	}
}
