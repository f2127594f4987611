// Package deptest holds the lines between packages in tests.
//
// What surprises: only direct imports count, and imports made by tests count
// only where a rule says so. A boundary is about who may name a thing; whatever
// stands behind that name comes along anyway.
package deptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A Rule forbids an import. Patterns are import paths, or end in "/..." for a
// path and all below it.
type Rule struct {
	In     string   // packages that the rule is about
	Import []string // what they must not import
	Except []string // packages of In to which the rule does not apply
	Tests  bool     // holds for test files too
	Reason string   // the message; says what to do instead if it is not plain
}

// Forbid fails the test for every import that breaks a rule. It looks at the
// module in whose folder the test runs.
func Forbid(t testing.TB, rules ...Rule) {
	t.Helper()
	var patterns []string
	for _, r := range rules {
		if !slices.Contains(patterns, r.In) {
			patterns = append(patterns, r.In)
		}
	}
	packages, err := list(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		seen := false
		for _, p := range packages {
			if !match(r.In, p.ImportPath) {
				continue
			}
			seen = true
			if slices.ContainsFunc(r.Except, func(e string) bool { return match(e, p.ImportPath) }) {
				continue
			}
			imports := p.Imports
			if r.Tests {
				imports = slices.Concat(imports, p.TestImports, p.XTestImports)
				slices.Sort(imports)
				imports = slices.Compact(imports)
			}
			for _, path := range imports {
				if slices.ContainsFunc(r.Import, func(f string) bool { return match(f, path) }) {
					t.Errorf("%s imports %s: %s", p.ImportPath, path, r.Reason)
				}
			}
		}
		// A rule about nothing is a misspelt one.
		if !seen {
			t.Errorf("no package matches %s", r.In)
		}
	}
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func list(patterns []string) ([]listed, error) {
	// -e, because a package that does not build fails its own tests; here it
	// would only hide what else there is to say.
	args := append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "--"}, patterns...)
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

func match(pattern, path string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == dir || strings.HasPrefix(path, dir+"/")
	}
	return path == pattern
}
