package diag

import (
	"fmt"
	"strings"
)

// alike is how many diagnostics of one kind in one file people get to see.
const alike = 20

// Fold leaves out what repeats without end: of each file and kind of problem the
// first twenty remain, and the last of them is followed by the number of the
// others. Two are of a kind if their messages differ in no more than what is
// quoted or counted in them. Programs get the whole list.
func (l List) Fold() List {
	type kind struct {
		severity Severity
		file     string
		message  string
	}
	seen := make(map[kind]int)
	for _, d := range l {
		seen[kind{d.Severity, d.File, shape(d.Message)}]++
	}
	var out List
	shown := make(map[kind]int)
	for _, d := range l {
		k := kind{d.Severity, d.File, shape(d.Message)}
		// "1 more like it" in place of the one would be no gain.
		if seen[k] <= alike+1 {
			out = append(out, d)
			continue
		}
		if shown[k] >= alike {
			continue
		}
		shown[k]++
		out = append(out, d)
		if shown[k] == alike {
			message := fmt.Sprintf("... and %d more like it", seen[k]-alike)
			if d.Line > 0 {
				message = fmt.Sprintf("... and %d more like the one in line %d", seen[k]-alike, d.Line)
			}
			out = append(out, Diagnostic{Severity: d.Severity, File: d.File, Message: message})
		}
	}
	return out
}

// shape is a message without what is quoted in it and without its numbers.
func shape(message string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range message {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case quoted, r >= '0' && r <= '9':
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
