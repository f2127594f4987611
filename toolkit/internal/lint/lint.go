// Package lint looks at a project for what a build lets pass: what the author
// most likely did not mean, or what those who call the API will miss.
//
// The rules are the table in rules.go, with a page in docs/lint.md. They are few,
// and each is silent unless it is nearly sure: a list that nobody reads to the
// end helps nobody. What many places have in common is one finding for each
// operation or component.
//
// What surprises: lint reads the definitions as they were written, in all their
// files, while the ledger judges what the artifact has of them; and a definition
// that the build refuses is linted all the same, so that an author sees
// everything at once.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Severity is how bad a finding is.
type Severity uint8

const (
	Off Severity = iota
	Advice
	Warning
	Error
)

var severities = []string{"off", "advice", "warning", "error"}

func (s Severity) String() string { return severities[s] }

// MarshalText makes severities readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity is the inverse of String.
func ParseSeverity(text string) (Severity, error) {
	if i := slices.Index(severities, text); i >= 0 {
		return Severity(i), nil
	}
	return Off, fmt.Errorf("want one of %s", strings.Join(severities, ", "))
}

// A Finding is one thing to tell the author. The JSON names are stable.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Place    string   `json:"place,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// A Rule is something to look for.
type Rule struct {
	ID string `json:"id"`
	// Severity of its findings, unless the author wants another.
	Severity Severity `json:"severity"`
	// Short says what it is about, in a few words.
	Short string `json:"short"`
}

// BuildRule is the rule of what the build has to say.
const BuildRule = "build"

// Find is the rule with the given ID.
func Find(id string) (Rule, bool) {
	i := slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return Rules[i], true
}

// IDs are those of all rules.
func IDs() []string {
	ids := make([]string, len(Rules))
	for i, r := range Rules {
		ids[i] = r.ID
	}
	return ids
}

// Project lints what was built with Options.Keep. Levels are severities by rule
// that differ from the table's.
func Project(res build.Result, levels map[string]Severity) []Finding {
	l := &linter{levels: levels, referred: make(map[spot]bool)}
	for _, d := range res.Diagnostics {
		s := Advice
		switch d.Severity {
		case diag.Error:
			s = Error
		case diag.Warning:
			s = Warning
		}
		l.findings = append(l.findings, Finding{
			Rule: BuildRule, Severity: s, File: d.File, Line: d.Line, Column: d.Column, Place: d.Place, Message: d.Message, Hint: d.Hint,
		})
	}
	var all []*document
	for _, doc := range res.Documents {
		d := newDocument(l, doc)
		all = append(all, d)
		d.lint()
		if d.tiers > 0 {
			l.tiers = true
		}
		for name := range d.tierNames {
			l.used = append(l.used, name)
		}
	}
	for _, d := range all {
		d.unused()
	}
	l.policies(res)
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Rule, b.Rule))
	})
	// What several definitions refer to is wrong once.
	return slices.Compact(l.findings)
}

type linter struct {
	levels   map[string]Severity
	findings []Finding
	tiers    bool     // some operation has one
	used     []string // names of tiers
	referred map[spot]bool
}

// spot tells nodes apart across definitions, each of which has its own copies of
// shared files.
type spot struct {
	file      string
	line, col uint32
}

func spotOf(n *tree.Node) spot { return spot{*n.File, n.Line, n.Col} }

func (l *linter) refer(n *tree.Node) { l.referred[spotOf(n)] = true }

func (l *linter) level(rule string) Severity {
	if s, ok := l.levels[rule]; ok {
		return s
	}
	r, ok := Find(rule)
	if !ok {
		panic("no rule " + rule) // a mistake of ours: each has a test
	}
	return r.Severity
}

func (l *linter) report(rule string, at diag.At, hint, format string, args ...any) {
	s := l.level(rule)
	if s == Off {
		return
	}
	l.findings = append(l.findings, Finding{
		Rule: rule, Severity: s, File: at.File, Line: at.Line, Column: at.Column, Place: at.Place,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// Count is the number of findings of a severity.
func Count(list []Finding, s Severity) int {
	n := 0
	for _, f := range list {
		if f.Severity == s {
			n++
		}
	}
	return n
}
