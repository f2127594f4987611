package ledger

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

const (
	maxNames    = 6 // keywords in a line, if not all are asked for
	maxSections = 5 // operations in a heading
)

// WriteText prints the ledger for people. Operations and components whose
// keywords have the same verdicts for the same reasons are printed together; all
// lists each on its own, every keyword with its places.
func (l *Ledger) WriteText(w io.Writer, all bool) error {
	t := bufio.NewWriter(w)
	line := func(format string, args ...any) { fmt.Fprintln(t, clean(fmt.Sprintf(format, args...))) }
	for i, api := range l.APIs {
		if i > 0 {
			line("")
		}
		line("API %s %s: %s, %s", api.Title, api.Version, api.Definition, api.Dialect)
		line("%s", api.Keywords)
		if all {
			for _, s := range api.Sections {
				writeAll(t, s)
			}
			continue
		}
		for _, g := range group(api.Sections) {
			line("")
			line("%s", g.heading())
			for _, r := range g.rows {
				line("  %-15s %6d  %s", r.verdict, r.count, r.text())
			}
		}
	}
	return t.Flush()
}

// String is the counts in words: "12 keywords: 3 enforced, 1 refused, 8
// documented only".
func (c Counts) String() string {
	var parts []string
	total := 0
	for _, v := range Verdicts {
		if n := c.Of(v); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
			total += n
		}
	}
	word := "keywords"
	if total == 1 {
		word = "keyword"
	}
	if total == 0 {
		return "no keywords"
	}
	return fmt.Sprintf("%d %s: %s", total, word, strings.Join(parts, ", "))
}

func writeAll(t io.Writer, s Section) {
	heading := string(s.Kind) + " " + s.Name
	if s.Kind == Definition {
		heading = s.Name
	}
	if s.Position != "" {
		heading += " (" + s.Position + ")"
	}
	fmt.Fprintf(t, "\n%s: %s\n", clean(heading), s.Keywords)
	for _, r := range slices.Concat(s.Rows, s.Shared) {
		in := ""
		if r.In != "" {
			in = " in " + r.In
		}
		fmt.Fprintln(t, clean(fmt.Sprintf("  %-15s %6d  %s%s%s", r.Verdict, r.Count, r.name(), in, colon(r.Why))))
		for _, p := range r.Pointers {
			fmt.Fprintln(t, clean("                            #"+p))
		}
		for _, p := range r.Positions {
			fmt.Fprintln(t, clean("                            "+p))
		}
		if len(r.Pointers)+len(r.Positions) == 0 {
			fmt.Fprintln(t, "                            by reference")
		}
	}
}

func colon(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// name is a row's keyword as people call it: the kind of object is said where
// the keyword alone does not tell.
func (r Row) name() string {
	name := r.Keyword
	switch r.Object {
	case "Root", "Operation", "PathItem", "Schema", "Paths":
	default:
		name = strings.ToLower(r.Object[:1]) + r.Object[1:] + "." + r.Keyword
	}
	if r.From != "" {
		name += " (" + r.From + ")"
	}
	return name
}

// A line is what is printed of all keywords with one verdict for one reason.
type line struct {
	verdict Verdict
	why     string
	count   int
	keys    []string
}

func (l *line) text() string {
	keys := l.keys
	more := ""
	if len(keys) > maxNames {
		more = fmt.Sprintf(" and %d more", len(keys)-maxNames)
		keys = keys[:maxNames]
	}
	text := strings.Join(keys, ", ") + more
	return text + colon(l.why)
}

type sections struct {
	kind  Kind
	names []string
	rows  []*line
}

func (g *sections) heading() string {
	if g.kind == Definition {
		return g.names[0]
	}
	names, more := g.names, ""
	if len(names) > maxSections {
		more = fmt.Sprintf(" and %d more", len(names)-maxSections)
		names = names[:maxSections]
	}
	word := string(g.kind)
	if len(g.names) > 1 {
		word = fmt.Sprintf("%d %ss", len(g.names), g.kind)
	}
	return word + " " + strings.Join(names, ", ") + more
}

// group puts sections together whose keywords have the same verdicts for the
// same reasons.
func group(list []Section) []*sections {
	var groups []*sections
	index := make(map[string]*sections)
	for _, s := range list {
		key, made := lines(s)
		key = string(s.Kind) + "\x00" + key
		g := index[key]
		if g == nil {
			g = &sections{kind: s.Kind, rows: made}
			index[key] = g
			groups = append(groups, g)
		} else {
			for i, l := range made {
				g.rows[i].count += l.count
				for _, k := range l.keys {
					if !slices.Contains(g.rows[i].keys, k) {
						g.rows[i].keys = append(g.rows[i].keys, k)
					}
				}
			}
		}
		g.names = append(g.names, s.Name)
	}
	slices.SortStableFunc(groups, func(a, b *sections) int { return order(a.kind) - order(b.kind) })
	return groups
}

func order(k Kind) int { return slices.Index([]Kind{Definition, Path, Operation, Component}, k) }

// lines are a section's rows by verdict and reason, and a text that is equal for
// sections that have the same ones.
func lines(s Section) (key string, list []*line) {
	type id struct {
		verdict Verdict
		why     string
	}
	index := make(map[id]*line)
	for _, r := range slices.Concat(s.Rows, s.Shared) {
		k := id{r.Verdict, r.Why}
		if r.describes {
			k.why = describes // whatever the reader wants it for
		}
		l := index[k]
		if l == nil {
			l = &line{verdict: r.Verdict, why: k.why}
			index[k] = l
			list = append(list, l)
		}
		l.count += r.Count
		if name := r.name(); !slices.Contains(l.keys, name) {
			l.keys = append(l.keys, name)
		}
	}
	slices.SortStableFunc(list, func(a, b *line) int {
		if d := slices.Index(Verdicts, a.verdict) - slices.Index(Verdicts, b.verdict); d != 0 {
			return d
		}
		return strings.Compare(a.why, b.why)
	})
	var b strings.Builder
	for _, l := range list {
		b.WriteString(string(l.verdict) + "\x00" + l.why + "\x01")
	}
	return b.String(), list
}

// clean keeps a text from a definition from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && diag.Unprintable(r) {
			return '\ufffd'
		}
		return r
	}, s)
}
