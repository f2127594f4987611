package compile

import (
	"fmt"
	"slices"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

// maxOverlaps bounds the paths of one length that are compared with each other:
// beyond it the answer would cost more than it is worth.
const maxOverlaps = 2000

// overlaps tells of paths that both match some requests although neither is a
// special case of the other: "/{kind}/me" and "/books/{id}". OpenAPI leaves it to
// the tool which one takes them, so the author should hear it.
func (a *api) overlaps() {
	methods := make(map[string][]string)
	for _, op := range a.doc.Operations {
		path, _ := matched(op.Path.Value)
		same := oneSlash(path)
		methods[same] = append(methods[same], op.Method)
	}
	groups := make(map[int][]template)
	var lengths []int
	for _, t := range a.templates {
		n := len(t.tmpl.Segments())
		if t.tmpl.Wildcard() || len(t.tmpl.Params()) == 0 {
			continue
		}
		if groups[n] == nil {
			lengths = append(lengths, n)
		}
		groups[n] = append(groups[n], t)
	}
	var at diag.At
	text, count := "", 0
	for _, n := range lengths {
		group := groups[n]
		if len(group) > maxOverlaps {
			continue
		}
		for i, t := range group {
			for _, before := range group[:i] {
				first := overlap(before.tmpl.Segments(), t.tmpl.Segments())
				if first == 0 || !slices.ContainsFunc(methods[t.same], func(m string) bool { return slices.Contains(methods[before.same], m) }) {
					continue
				}
				winner := before.path.Value
				if first > 0 {
					winner = t.path.Value
				}
				if count++; count == 1 {
					at, text = t.path.At, fmt.Sprintf("some requests match %q at %s as well: %q takes them", before.path.Value, before.path.At, winner)
				}
				break // one is enough to look at
			}
		}
	}
	switch {
	case count == 2:
		text += " (and one more path is like this)"
	case count > 2:
		text += fmt.Sprintf(" (and %d more paths are like this)", count-1)
	}
	if count > 0 {
		a.c.diags.Report(diag.Note, at, "", text)
	}
}

// overlap is 0 unless both match some path and neither is the special case; then
// it is negative if the first takes these paths, positive if the second does.
// What is literal beats what is not, from the left.
func overlap(x, y []pathtmpl.Segment) int {
	verdict, xWins, yWins := 0, false, false
	for i := range x {
		if !meet(x[i], y[i]) {
			return 0
		}
		d := rank(x[i]) - rank(y[i])
		xWins, yWins = xWins || d < 0, yWins || d > 0
		if verdict == 0 {
			verdict = d
		}
	}
	if !xWins || !yWins {
		return 0
	}
	return verdict
}

// rank orders kinds of segments as the router prefers them.
func rank(s pathtmpl.Segment) int {
	switch _, literal := s.Literal(); {
	case literal:
		return 0
	case len(s.Parts) > 1:
		return 1
	default:
		return 2
	}
}

// meet reports whether some text matches both. Two that mix literals with
// parameters are taken to have nothing in common.
func meet(x, y pathtmpl.Segment) bool {
	if rank(x) > rank(y) {
		x, y = y, x
	}
	switch rank(x) + 3*rank(y) {
	case 0:
		a, _ := x.Literal()
		b, _ := y.Literal()
		return a == b
	case 3, 6:
		text, _ := x.Literal()
		return y.Match([]byte(text))
	case 4:
		return false
	default:
		return true
	}
}
