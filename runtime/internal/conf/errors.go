package conf

import (
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with what an operator wrote.
type Problem struct {
	Where string // FILE:LINE:COL, "env NAME" or "-e"
	Key   string // "" if it is about none
	Msg   string
	Hint  string

	at origin
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString("runtime: " + p.Where + ": ")
	if p.Key != "" {
		b.WriteString(printable(p.Key) + ": ")
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString("\n\thint: " + p.Hint)
	}
	return b.String()
}

// Errors is all that is wrong, in the order of the file, then of the
// environment, then of the command line. As an error it is a line or two for
// each, ready to be printed.
type Errors []*Problem

func (e Errors) Error() string {
	all := make([]string, 0, len(e))
	for _, p := range e {
		all = append(all, p.Error())
	}
	return strings.Join(all, "\n")
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Problem) int { return a.at.compare(b.at) })
}

// printable keeps what somebody wrote from breaking a line of ours.
func printable(s string) string {
	if isPrintable(s) {
		return s
	}
	return strconv.Quote(s)
}
