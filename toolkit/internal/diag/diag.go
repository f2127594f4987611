// Package diag holds what a build has to tell the author of a project:
// positioned errors, warnings and notes, collected as data and printed once,
// in file order.
//
// File names are relative to the project folder, with forward slashes, so that
// two checkouts of one project say the same thing. Lines and columns count from
// 1; columns count characters, not bytes, as editors do.
package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity says whether a diagnostic stops the build.
type Severity uint8

const (
	Error   Severity = iota // no artifact is written
	Warning                 // the artifact does something other than the author may expect
	Note                    // worth knowing
)

func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return "note"
	}
}

// MarshalText makes severities readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Severity) UnmarshalText(text []byte) error {
	return Named(s, text, Error, Warning, Note)
}

// Named sets to to the one that text names. Each command has severities of its
// own; what reads them is this.
func Named[S fmt.Stringer](to *S, text []byte, known ...S) error {
	for _, k := range known {
		if k.String() == string(text) {
			*to = k
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q", text)
}

// At is where something stands: a position in a file and, for people, the
// place in the document ("paths./pet/{petId}.get: x-wso2-throttling-tier").
// File may be empty for what concerns the project as a whole, Line may be 0
// for what concerns a file as a whole.
type At struct {
	File   string
	Line   int
	Column int
	Place  string
}

// String is "file:line:col", as far as known.
func (a At) String() string {
	switch {
	case a.File == "":
		return ""
	case a.Line == 0:
		return a.File
	case a.Column == 0:
		return fmt.Sprintf("%s:%d", a.File, a.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", a.File, a.Line, a.Column)
	}
}

// A Diagnostic is one thing to tell the author.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Place    string   `json:"place,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// At is the diagnostic's position.
func (d Diagnostic) At() At {
	return At{File: d.File, Line: d.Line, Column: d.Column, Place: d.Place}
}

// String is the diagnostic on one line, without its hint:
// "file:line:col: place: message", with "warning: " or "note: " after the
// position if it is one.
func (d Diagnostic) String() string {
	var b strings.Builder
	if pos := d.At().String(); pos != "" {
		b.WriteString(pos)
		b.WriteString(": ")
	}
	if d.Severity != Error {
		b.WriteString(d.Severity.String())
		b.WriteString(": ")
	}
	if d.Place != "" {
		b.WriteString(d.Place)
		b.WriteString(": ")
	}
	b.WriteString(d.Message)
	return b.String()
}

// A List collects diagnostics. The zero value is ready to use.
type List []Diagnostic

// Add appends d as it is.
func (l *List) Add(d Diagnostic) { *l = append(*l, d) }

// Report appends a diagnostic with a hint; an empty hint means none.
func (l *List) Report(s Severity, at At, hint, message string) {
	l.Add(Diagnostic{
		Severity: s, File: at.File, Line: at.Line, Column: at.Column, Place: at.Place,
		Message: message, Hint: hint,
	})
}

// Errorf appends an error.
func (l *List) Errorf(at At, format string, args ...any) {
	l.Report(Error, at, "", fmt.Sprintf(format, args...))
}

// ErrorHint appends an error with a hint; an empty hint means none.
func (l *List) ErrorHint(at At, hint, format string, args ...any) {
	l.Report(Error, at, hint, fmt.Sprintf(format, args...))
}

// Warnf appends a warning.
func (l *List) Warnf(at At, format string, args ...any) {
	l.Report(Warning, at, "", fmt.Sprintf(format, args...))
}

// WarnHint appends a warning with a hint; an empty hint means none.
func (l *List) WarnHint(at At, hint, format string, args ...any) {
	l.Report(Warning, at, hint, fmt.Sprintf(format, args...))
}

// Notef appends a note.
func (l *List) Notef(at At, format string, args ...any) {
	l.Report(Note, at, "", fmt.Sprintf(format, args...))
}

// HasErrors reports whether anything in the list stops the build.
func (l List) HasErrors() bool { return l.Count(Error) > 0 }

// Count is the number of diagnostics of severity s.
func (l List) Count(s Severity) int {
	n := 0
	for _, d := range l {
		if d.Severity == s {
			n++
		}
	}
	return n
}

// Sort orders the list by file, line and column, and drops exact repetitions
// (a definition used twice is wrong once). Equal positions keep the order in
// which they were found.
func (l *List) Sort() {
	slices.SortStableFunc(*l, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity),
		)
	})
	seen := make(map[Diagnostic]bool, len(*l))
	*l = slices.DeleteFunc(*l, func(d Diagnostic) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

// WriteText prints the list for people, each line starting with the command's
// name:
//
//	build: petstore.yaml:7:7: paths./pet/{petId}.get: x-wso2-throttling-tier: no policy "10kPerMn" in policy.yaml
//		hint: did you mean "10kPerMin"?
//
// What repeats without end is counted instead, see Fold.
func (l List) WriteText(w io.Writer, command string) error {
	var b strings.Builder
	for _, d := range l.Fold() {
		fmt.Fprintf(&b, "%s: %s\n", command, Printable(d.String()))
		if d.Hint != "" {
			fmt.Fprintf(&b, "\thint: %s\n", Printable(d.Hint))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Printable keeps a text on its line, and from steering the terminal: names in it
// come from files, or from somebody else's server.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

// Unprintable reports whether a character does something to a terminal or to
// the order of what stands around it: controls, line separators and the marks of
// bidirectional text.
func Unprintable(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// WriteJSON prints the list for programs: one object with the diagnostics, in
// order, and their numbers by severity. The field names are stable.
func (l List) WriteJSON(w io.Writer) error {
	if l == nil {
		l = List{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Diagnostics List `json:"diagnostics"`
		Errors      int  `json:"errors"`
		Warnings    int  `json:"warnings"`
	}{l, l.Count(Error), l.Count(Warning)})
}
