// Package diff says what changed between two artifacts, for those who call the
// APIs in them (the contract) and for those who answer for them (the policies),
// in one list.
//
// A change is breaking if a caller who did everything right before may be refused
// or misled now. A change that loosens something (security, a limit, CORS) or
// sends calls elsewhere breaks nobody, and is a warning. The rest are notes. What
// is what is decided by the change's code alone; Codes has the table.
//
// How the sides are put beside each other:
//
//   - APIs by base path, then by title and version, by title, by file; at last,
//     if one is left on either side, those two. What is left is added or removed.
//   - Operations by method and the shape of the path: the names of its parameters
//     do not count. Another base path does not make other operations; it is one
//     change of the API.
//   - Everything else by what it says. Indexes into the artifact are followed, so
//     that two files may hold the same in another order.
//
// One change is one entry with all the operations that it concerns: a tier of
// the API, or a component that many bodies use, is told of once.
package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diff/contract"
)

// A Side is one of the two things that are compared. The artifact has passed
// artifact.Parse, or is fresh from a build: its indexes are in range.
type Side struct {
	Artifact *artifactpb.Artifact
	// File is true for an artifact file. A project is not signed by anybody,
	// which is no news.
	File bool
	// Signer is who signed the file, in hex; empty if nobody did.
	Signer string
}

// A Position is where an operation stands in its definition.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func (p *Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// A Change is one entry of the list. The JSON names are stable.
type Change struct {
	Code     string   `json:"code"`
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Breaking bool     `json:"breaking"`
	// API is the base path of the API, on the new side if it is there.
	API string `json:"api,omitempty"`
	// Operations are those that it concerns ("GET /pet/{id}"); none if it
	// concerns the API or the whole project.
	Operations []string `json:"operations,omitempty"`
	// All says that these are all the operations that both sides have.
	All    bool   `json:"all_operations,omitempty"`
	Place  string `json:"place,omitempty"`
	What   string `json:"message"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Old and New are positions of the first of the operations.
	Old *Position `json:"old,omitempty"`
	New *Position `json:"new,omitempty"`

	api, op int // for sorting
}

// A Match says which APIs were compared. Old or New is empty if there was no
// partner.
type Match struct {
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	By  string `json:"by,omitempty"`
}

// A Report is all that changed, sorted: what breaks first, then by API and
// operation.
type Report struct {
	APIs     []Match  `json:"apis"`
	Changes  []Change `json:"changes"`
	Breaking int      `json:"breaking"`
	Warnings int      `json:"warnings"`
	Notes    int      `json:"notes"`
}

// Policies counts the changes of policies.
func (r *Report) Policies() int {
	n := 0
	for _, c := range r.Changes {
		if c.Kind == Policy {
			n++
		}
	}
	return n
}

// Compare compares two sides. An error is about a document that is not JSON,
// which no build makes.
func Compare(old, new Side) (*Report, error) {
	c := &comparison{old: old.Artifact, new: new.Artifact, report: &Report{APIs: []Match{}, Changes: []Change{}}}
	c.signatures(old, new)
	c.project()
	for i, m := range match(c.old, c.new) {
		c.report.APIs = append(c.report.APIs, m.Match)
		a := &apis{comparison: c, number: i + 1, old: m.old, new: m.new}
		if err := a.compare(); err != nil {
			return nil, err
		}
	}
	r := c.report
	slices.SortStableFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.api, b.api),
			cmp.Compare(a.op, b.op),
			cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Place, b.Place),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Before, b.Before),
			cmp.Compare(a.After, b.After),
		)
	})
	for _, x := range r.Changes {
		switch x.Severity {
		case Breaking:
			r.Breaking++
		case Warning:
			r.Warnings++
		default:
			r.Notes++
		}
	}
	return r, nil
}

type comparison struct {
	old, new *artifactpb.Artifact
	report   *Report
}

// add appends a change that is about no operation in particular.
func (c *comparison) add(api *apis, code, place, before, after string) {
	x := newChange(code, place, before, after)
	if api != nil {
		x.API, x.api = api.base(), api.number
	}
	c.report.Changes = append(c.report.Changes, x)
}

func newChange(code, place, before, after string) Change {
	is := about(code)
	return Change{Code: code, Kind: is.Kind, Severity: is.Severity, Breaking: is.Severity == Breaking,
		Place: place, What: is.Text, Before: before, After: after}
}

type matched struct {
	Match
	old, new *artifactpb.Api
}

// match finds partners.
func match(old, new *artifactpb.Artifact) []matched {
	partner := make(map[*artifactpb.Api]*artifactpb.Api) // by both
	by := make(map[*artifactpb.Api]string)
	pass := func(why string, key func(*artifactpb.Artifact, *artifactpb.Api) string) {
		// A key that two APIs of a side share would be a guess.
		index := func(a *artifactpb.Artifact) map[string][]*artifactpb.Api {
			m := make(map[string][]*artifactpb.Api)
			for _, api := range a.GetApis() {
				if partner[api] == nil {
					k := key(a, api)
					m[k] = append(m[k], api)
				}
			}
			return m
		}
		o, n := index(old), index(new)
		for k, list := range o {
			if others := n[k]; len(list) == 1 && len(others) == 1 {
				partner[list[0]], partner[others[0]] = others[0], list[0]
				by[list[0]] = why
			}
		}
	}
	pass("base path", func(_ *artifactpb.Artifact, a *artifactpb.Api) string { return a.GetBasePath() })
	pass("title and version", func(_ *artifactpb.Artifact, a *artifactpb.Api) string {
		return a.GetTitle() + "\x00" + a.GetVersion()
	})
	pass("title", func(_ *artifactpb.Artifact, a *artifactpb.Api) string { return a.GetTitle() })
	pass("file", func(f *artifactpb.Artifact, a *artifactpb.Api) string {
		return f.GetSources()[f.GetDocuments()[a.GetDocument()].GetSource()].GetPath()
	})
	pass("the only ones left", func(*artifactpb.Artifact, *artifactpb.Api) string { return "" })

	words := func(a *artifactpb.Api) string {
		return fmt.Sprintf("%s %s at %s", a.GetTitle(), a.GetVersion(), a.GetBasePath())
	}
	var out []matched
	for _, n := range new.GetApis() {
		m := matched{Match: Match{New: words(n)}, new: n}
		if o := partner[n]; o != nil {
			m.Old, m.By, m.old = words(o), by[o], o
		}
		out = append(out, m)
	}
	for _, o := range old.GetApis() {
		if partner[o] == nil {
			out = append(out, matched{Match: Match{Old: words(o)}, old: o})
		}
	}
	return out
}

// apis is a pair of APIs while it is compared.
type apis struct {
	*comparison
	number   int // from 1, in the order of the report
	old, new *artifactpb.Api
	ops      []pair
	found    map[identity]int // index into changes
	changes  []Change
	members  [][]int // of changes: the operations
}

type identity struct{ code, place, before, after string }

// A pair is an operation on both sides, or on one.
type pair struct {
	old, new *artifactpb.Operation
}

func (p pair) id() string {
	if p.new != nil {
		return p.new.GetMethod() + " " + p.new.GetPath()
	}
	return p.old.GetMethod() + " " + p.old.GetPath()
}

func (a *apis) base() string {
	if a.new != nil {
		return a.new.GetBasePath()
	}
	return a.old.GetBasePath()
}

func (a *apis) compare() error {
	switch {
	case a.old == nil:
		a.add(a, "api-added", "", "", fmt.Sprintf("%s %s, %s", a.new.GetTitle(), a.new.GetVersion(), operations(len(a.new.GetOperations()))))
		return nil
	case a.new == nil:
		a.add(a, "api-removed", "", fmt.Sprintf("%s %s, %s", a.old.GetTitle(), a.old.GetVersion(), operations(len(a.old.GetOperations()))), "")
		return nil
	}
	a.found = make(map[identity]int)
	a.pairs()
	a.settings()
	for i, p := range a.ops {
		switch {
		case p.old == nil:
			a.note(i, "operation-added", "", "", "")
		case p.new == nil:
			a.note(i, "operation-removed", "", "", "")
		default:
			a.policies(i, p)
		}
	}
	if err := a.contract(); err != nil {
		return err
	}
	a.flush()
	return nil
}

func operations(n int) string {
	if n == 1 {
		return "1 operation"
	}
	return fmt.Sprintf("%d operations", n)
}

// shape is what operations are matched by.
func shape(op *artifactpb.Operation) string {
	t, err := pathtmpl.Parse(op.GetPath())
	if err != nil {
		return op.GetMethod() + " " + op.GetPath()
	}
	return op.GetMethod() + " " + t.Shape()
}

func (a *apis) pairs() {
	old := make(map[string]*artifactpb.Operation)
	for _, op := range a.old.GetOperations() {
		old[shape(op)] = op
	}
	for _, op := range a.new.GetOperations() {
		key := shape(op)
		a.ops = append(a.ops, pair{old[key], op})
		delete(old, key)
	}
	for _, op := range a.old.GetOperations() {
		if old[shape(op)] == op {
			a.ops = append(a.ops, pair{op, nil})
		}
	}
}

// note records a change of one operation; the same change of another joins it.
func (a *apis) note(op int, code, place, before, after string) {
	a.notes([]int{op}, code, place, before, after)
}

func (a *apis) notes(ops []int, code, place, before, after string) {
	key := identity{code, place, before, after}
	i, ok := a.found[key]
	if !ok || code == "operation-added" || code == "operation-removed" {
		i = len(a.changes)
		a.found[key] = i
		a.changes = append(a.changes, newChange(code, place, before, after))
		a.members = append(a.members, nil)
	}
	a.members[i] = append(a.members[i], ops...)
}

// flush hands the changes of operations over.
func (a *apis) flush() {
	both := 0
	for _, p := range a.ops {
		if p.old != nil && p.new != nil {
			both++
		}
	}
	for i, x := range a.changes {
		members := a.members[i]
		slices.Sort(members)
		members = slices.Compact(members)
		x.API, x.api, x.op = a.base(), a.number, members[0]+1
		x.All = both > 1 && len(members) == both
		for _, m := range members {
			x.Operations = append(x.Operations, a.ops[m].id())
		}
		first := a.ops[members[0]]
		x.Old, x.New = position(a.comparison.old, first.old), position(a.comparison.new, first.new)
		a.report.Changes = append(a.report.Changes, x)
	}
}

func position(a *artifactpb.Artifact, op *artifactpb.Operation) *Position {
	p := op.GetPosition()
	if p.GetLine() == 0 || int(p.GetSource()) >= len(a.GetSources()) {
		return nil
	}
	return &Position{File: a.GetSources()[p.GetSource()].GetPath(), Line: int(p.GetLine()), Column: int(p.GetColumn())}
}

// contract compares what the documents say.
func (a *apis) contract() error {
	parse := func(f *artifactpb.Artifact, api *artifactpb.Api) (*contract.Document, error) {
		return contract.Parse(f.GetDocuments()[api.GetDocument()].GetJson())
	}
	old, err := parse(a.comparison.old, a.old)
	if err != nil {
		return fmt.Errorf("%s: %w", a.old.GetTitle(), err)
	}
	new, err := parse(a.comparison.new, a.new)
	if err != nil {
		return fmt.Errorf("%s: %w", a.new.GetTitle(), err)
	}
	c := contract.Compare(old, new)
	for i, p := range a.ops {
		if p.old == nil || p.new == nil {
			continue
		}
		old, new := targets(p.old), targets(p.new)
		if len(old) == 1 && len(new) == 1 {
			c.Operation(i, old[0], new[0])
			continue
		}
		// Several keys of the document's paths are one operation here, such as
		// "/jobs?v=1" and "/jobs?v=2". Which of them is renamed would be a guess.
		for _, o := range old {
			if n := slices.IndexFunc(new, func(t contract.Target) bool { return t.Path == o.Path }); n >= 0 {
				c.Operation(i, o, new[n])
			} else {
				a.note(i, "operation-removed", o.Path, "", "")
			}
		}
		for _, n := range new {
			if !slices.ContainsFunc(old, func(t contract.Target) bool { return t.Path == n.Path }) {
				a.note(i, "operation-added", n.Path, "", "")
			}
		}
	}
	for _, f := range c.Findings() {
		a.notes(f.Operations, f.Code, f.Place, f.Before, f.After)
	}
	return nil
}

// targets are where the documents have the operation.
func targets(op *artifactpb.Operation) []contract.Target {
	paths := op.GetDocumentPaths()
	if len(paths) == 0 {
		paths = []string{op.GetPath()}
	}
	var params []string
	if tmpl, err := pathtmpl.Parse(op.GetPath()); err == nil {
		params = tmpl.Params()
	}
	out := make([]contract.Target, len(paths))
	for i, path := range paths {
		out[i] = contract.Target{Method: op.GetMethod(), Path: path, Params: params}
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// list is a few words of a list, for a cell.
func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
