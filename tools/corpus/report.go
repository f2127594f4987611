package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// A row is a line of the table: an outcome, and a reason for it.
type row struct {
	outcome   Outcome
	reason    string
	documents int
	example   string
}

var outcomes = []Outcome{Built, Refused, Defect}

// rows counts. A document that is refused for several reasons counts for each.
func rows(all []result) []row {
	var table []row
	at := make(map[string]int)
	count := func(o Outcome, reason, example string) {
		key := string(o) + reason
		i, known := at[key]
		if !known {
			i = len(table)
			at[key] = i
			table = append(table, row{outcome: o, reason: reason, example: example})
		}
		table[i].documents++
	}
	for _, r := range all {
		switch {
		case r.Outcome == Built && len(r.Warnings) == 0:
			count(Built, "without a warning", "")
		case r.Outcome == Built:
			count(Built, "with warnings", "")
		default:
			for _, why := range r.Reasons {
				count(r.Outcome, why.Kind, r.Name)
			}
		}
	}
	slices.SortStableFunc(table, func(a, b row) int {
		return cmp.Or(
			cmp.Compare(slices.Index(outcomes, a.outcome), slices.Index(outcomes, b.outcome)),
			cmp.Compare(b.documents, a.documents),
			cmp.Compare(a.reason, b.reason),
		)
	})
	return table
}

const top = 10

// print writes the report for people.
func print(out io.Writer, all []result, took time.Duration, o options) {
	// Writing to standard output: there is nowhere left to complain.
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "outcome\tdocuments\twhy\tfor example\n")
	for _, r := range rows(all) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", r.outcome, r.documents, short(r.reason, 100), r.example)
	}
	_ = w.Flush()

	fmt.Fprintf(out, "\nslowest:\n")
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(b.Millis, a.Millis) })
	ranked(out, all)
	fmt.Fprintf(out, "\nlargest in memory:\n")
	slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(b.Memory, a.Memory) })
	ranked(out, all[:min(3, len(all))])

	count := make(map[Outcome]int)
	operations := 0
	for _, r := range all {
		count[r.Outcome]++
		operations += r.Operations
	}
	fmt.Fprintf(out, "\n%d documents with %d operations in %.0f s, %d at a time: %d built (%.2f %%), %d refused with positions, %d defects; peak memory %d MiB\n",
		len(all), operations, took.Seconds(), o.jobs, count[Built], 100*float64(count[Built])/float64(len(all)), count[Refused], count[Defect], all[0].Memory>>20)
}

func ranked(out io.Writer, all []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range all[:min(top, len(all))] {
		fmt.Fprintf(w, "%.2f s\t%d MiB\t%.1f MB\t%d operations\t  %s\n", float64(r.Millis)/1000, r.Memory>>20, float64(r.Size)/1e6, r.Operations, r.Name)
	}
	_ = w.Flush()
}

// short cuts a text that is too long for a column.
func short(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}

func writeReport(name string, all []result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	for _, r := range all {
		if err := enc.Encode(r); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// progress tells how far it has got: on a terminal on one line that changes,
// else a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	shown    bool
	last     time.Time
}

const (
	often  = 200 * time.Millisecond // on a terminal
	seldom = 20 * time.Second       // in a log
)

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb", last: time.Now()}
}

func (p *progress) show(done, of, built, refused, defects int) {
	every := seldom
	if p.terminal {
		every = often
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	text := fmt.Sprintf("%d of %d documents: %d built, %d refused, %d defects", done, of, built, refused, defects)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.shown = true
		return
	}
	fmt.Fprintln(p.w, text)
}

// say writes a line that stays.
func (p *progress) say(format string, args ...any) {
	p.end()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// end clears the line that changes.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
