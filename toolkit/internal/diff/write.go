package diff

import (
	"fmt"
	"io"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// where is what a change is about: operations, or the API, or nothing.
func (c Change) where() string {
	switch n := len(c.Operations); {
	case c.All && n == 2:
		return "both operations"
	case c.All:
		return fmt.Sprintf("all %d operations", n)
	case n == 0:
		return ""
	case n == 1:
		return c.Operations[0]
	case n == 2:
		return c.Operations[0] + " and " + c.Operations[1]
	default:
		return fmt.Sprintf("%s and %d more operations", c.Operations[0], n-1)
	}
}

// at is the position, on the new side if the operation is still there.
func (c Change) at() string {
	switch {
	case c.New != nil:
		return c.New.String()
	case c.Old != nil:
		return c.Old.String() + " (old)"
	}
	return ""
}

// fromTo is what it was and what it is.
func (c Change) fromTo() string {
	switch {
	case c.Before == "" && c.After == "":
		return ""
	case c.Before == "":
		return "+ " + c.After
	case c.After == "":
		return "- " + c.Before
	}
	return c.Before + " -> " + c.After
}

// Summary is the report in numbers.
func (r *Report) Summary() string {
	if len(r.Changes) == 0 {
		return "no changes"
	}
	return fmt.Sprintf("%s: %d breaking, %s, %s", plural(len(r.Changes), "change", "changes"), r.Breaking,
		plural(r.Warnings, "warning", "warnings"), plural(r.Notes, "note", "notes"))
}

// WriteText prints the report for people:
//
//	breaking: api_definitions/shop.yaml:12:5: /shop: GET /pets: query parameter limit: the parameter is required now [request-parameter-became-required]
//		10 -> 5
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(format string, a ...any) { b.WriteString(diag.Printable(fmt.Sprintf(format, a...)) + "\n") }
	for _, m := range r.APIs {
		switch {
		case m.Old == "":
			line("API %s: new", m.New)
		case m.New == "":
			line("API %s: gone", m.Old)
		case m.Old == m.New:
			line("API %s", m.New)
		default:
			line("API %s, before %s (matched by %s)", m.New, m.Old, m.By)
		}
	}
	for i, c := range r.Changes {
		if i == 0 {
			b.WriteByte('\n')
		}
		head := c.Severity.String()
		for _, part := range []string{c.at(), c.API, c.where(), c.Place} {
			if part != "" {
				head += ": " + part
			}
		}
		line("%s: %s [%s]", head, c.What, c.Code)
		if change := c.fromTo(); change != "" {
			b.WriteByte('\t')
			line("%s", change)
		}
	}
	if len(r.Changes) > 0 {
		b.WriteByte('\n')
	}
	line("%s", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// maxMarkdown is less than GitHub takes for a comment (65,536 characters).
const maxMarkdown = 60_000

// WriteMarkdown prints the report as a comment for a pull request. All that
// comes from definitions stands in code spans, where nothing in it is markup, a
// link, or a call for somebody.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	switch {
	case len(r.Changes) == 0:
		b.WriteString("### micro-gw diff: no changes\n")
	case r.Breaking > 0:
		fmt.Fprintf(&b, "### micro-gw diff: %s\n", plural(r.Breaking, "breaking change", "breaking changes"))
	default:
		b.WriteString("### micro-gw diff: nothing breaking\n")
	}
	if len(r.Changes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", r.Summary())
	}
	for _, m := range r.APIs {
		if m.Old != "" && m.New != "" && m.Old != m.New {
			fmt.Fprintf(&b, "\n%s is compared with %s (matched by %s).\n", span(m.New), span(m.Old), m.By)
		}
	}
	if len(r.Changes) > 0 {
		b.WriteString("\n| | where | what | before | after |\n|---|---|---|---|---|\n")
	}
	for i, c := range r.Changes {
		var where []string
		for _, part := range []string{c.API, c.where(), c.Place} {
			if part != "" {
				where = append(where, span(part))
			}
		}
		severity := c.Severity.String()
		if c.Breaking {
			severity = "**breaking**"
		}
		row := fmt.Sprintf("| %s | %s | %s (`%s`) | %s | %s |\n", severity, strings.Join(where, " "), c.What, c.Code, span(c.Before), span(c.After))
		if b.Len()+len(row) > maxMarkdown {
			fmt.Fprintf(&b, "\nAnd %s that did not fit here.\n", plural(len(r.Changes)-i, "change", "changes"))
			break
		}
		b.WriteString(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// span is a text as a code span in a cell of a table. What a span in a cell
// cannot hold is written in HTML, with every character that could be markup as
// a reference.
func span(s string) string {
	s = diag.Printable(s)
	switch {
	case s == "":
		return ""
	case !strings.ContainsAny(s, "`|\\") && strings.TrimSpace(s) == s:
		return "`" + s + "`"
	}
	var b strings.Builder
	for _, r := range s {
		if r == ' ' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r > 0x7e {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return "<code>" + b.String() + "</code>"
}
