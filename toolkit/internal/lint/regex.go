package lint

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Regular expressions of schemas are run on what strangers send. Two things can
// be wrong with one that is right otherwise:
//
//   - It needs an engine that backtracks: lookaround, backreferences, possessive
//     and atomic groups are beyond the regular languages, and beyond engines that
//     take linear time (RE2, Go's).
//   - An engine that backtracks takes exponential time on some input: two paths
//     lead through a loop for one and the same text, as in (a+)+. Validators in
//     front of us and behind us, in JavaScript, Java or Python, are such engines.
//
// For the second, the expression becomes the automaton of its positions
// (Glushkov), and exponential ambiguity is what it is for automata: a state p
// with two different ways from p to p over the same text. That is a strongly
// connected component of the square of the automaton with a pair (p, p) and a
// pair (q, r), q other than r, in it (Weber and Seidl, On the degree of ambiguity
// of finite automata, 1991).

// A PatternProblem is a rule that a pattern breaks.
type PatternProblem struct {
	Rule, Message, Hint string
}

// CheckPattern looks for what is wrong with a regular expression of a schema. It
// returns nil if nothing is.
func CheckPattern(pattern string) *PatternProblem {
	text, construct := toRE2(pattern)
	if construct != "" {
		return &PatternProblem{"regex-not-re2", fmt.Sprintf("the pattern %s needs an engine that backtracks: it has %s", quoteShort(pattern), construct),
			"write it without, or check that part in the upstream"}
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		var e *syntax.Error
		if errors.As(err, &e) && e.Code == syntax.ErrInvalidRepeatSize {
			if lo, hi, ok := counts(e.Expr); ok && lo <= hi {
				return &PatternProblem{"regex-not-re2", fmt.Sprintf("the pattern %s counts further than engines of linear time do (1000): it has %s", quoteShort(pattern), e.Expr),
					"bound the length with maxLength"}
			}
		}
		what := "it cannot be read"
		if e != nil {
			what = strings.TrimSuffix(fmt.Sprintf("%s %q", e.Code, e.Expr), ` ""`)
		}
		return &PatternProblem{"regex-invalid", fmt.Sprintf("the pattern %s is no regular expression: %s", quoteShort(pattern), what), ""}
	}
	if loop := exponential(re); loop != "" {
		return &PatternProblem{"regex-catastrophic", fmt.Sprintf("the pattern %s takes exponential time in engines that backtrack: %s can match the same text in many ways", quoteShort(pattern), loop),
			"let each repetition begin or end with something that the rest of it cannot match"}
	}
	return nil
}

func quoteShort(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return strconv.Quote(s)
}

// counts reads "{2,3000}".
func counts(s string) (lo, hi int, ok bool) {
	a, b, two := strings.Cut(strings.Trim(s, "{}"), ",")
	lo, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0, false
	}
	if !two || b == "" {
		return lo, lo, true
	}
	hi, err = strconv.Atoi(b)
	return lo, hi, err == nil
}

// toRE2 writes a pattern of ECMA-262, which schemas speak, as Go's package reads
// it, and names the first construct that no engine of linear time has. Groups
// that do not capture become groups that do, since the parser would otherwise
// simplify (?:a+)+ to a+, which it is to Go but not to others.
func toRE2(p string) (text, construct string) {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		rest := p[i:]
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			i++
			switch c := rest[1]; {
			case c == 'u' && len(rest) >= 6 && hex(rest[2:6]):
				b.WriteString(`\x{` + rest[2:6] + "}")
				i += 4
			case c == 'u' && len(rest) > 3 && rest[2] == '{':
				b.WriteString(`\x`)
			case c == 'c' && len(rest) > 2:
				fmt.Fprintf(&b, `\x%02x`, rest[2]&31)
				i++
			case c >= '1' && c <= '9' && !class:
				return "", fmt.Sprintf(`a backreference, \%c`, c)
			case c == 'k' && !class && len(rest) > 2 && rest[2] == '<':
				name, _, _ := strings.Cut(rest[3:], ">")
				return "", fmt.Sprintf(`a backreference, \k<%s>`, name)
			default:
				b.WriteString(rest[:2])
			}
		case class:
			class = rest[0] != ']'
			b.WriteByte(rest[0])
		case rest[0] == '[':
			class = true
			b.WriteByte('[')
			if strings.HasPrefix(rest, "[^") {
				b.WriteByte('^')
				i++
			}
		case strings.HasPrefix(rest, "(?="):
			return "", "a lookahead, (?=...)"
		case strings.HasPrefix(rest, "(?!"):
			return "", "a negative lookahead, (?!...)"
		case strings.HasPrefix(rest, "(?<="):
			return "", "a lookbehind, (?<=...)"
		case strings.HasPrefix(rest, "(?<!"):
			return "", "a negative lookbehind, (?<!...)"
		case strings.HasPrefix(rest, "(?>"):
			return "", "an atomic group, (?>...)"
		case strings.HasPrefix(rest, "(?("):
			return "", "a conditional, (?(...)...)"
		case strings.HasPrefix(rest, "(?:"):
			b.WriteByte('(')
			i += 2
		case len(rest) > 1 && rest[1] == '+' && (strings.IndexByte("*+?", rest[0]) >= 0 || rest[0] == '}' && quantifier(p[:i+1])):
			return "", "a possessive quantifier, " + rest[:2]
		default:
			b.WriteByte(rest[0])
		}
	}
	return b.String(), ""
}

func hex(s string) bool {
	_, err := strconv.ParseUint(s, 16, 32)
	return err == nil
}

// quantifier reports whether s ends with one in braces.
func quantifier(s string) bool {
	i := strings.LastIndexByte(s, '{')
	if i < 0 {
		return false
	}
	_, _, ok := counts(s[i:])
	return ok
}

// automaton has a state for each character position of an expression.
type automaton struct {
	classes [][]rune      // pairs of first and last, as in package syntax
	follow  []map[int]int // with the number of ways
	tooBig  bool
}

// part is what is known of a part of an expression.
type part struct {
	first, last []int
	empty       bool // it matches the empty text
}

const (
	maxPositions = 100
	maxPairs     = 400_000 // edges of the square
)

func (a *automaton) position(class []rune) part {
	if len(a.classes) >= maxPositions {
		a.tooBig = true
		return part{empty: true}
	}
	a.classes = append(a.classes, class)
	a.follow = append(a.follow, make(map[int]int))
	i := len(a.classes) - 1
	return part{first: []int{i}, last: []int{i}}
}

func (a *automaton) link(from, to []int) {
	for _, p := range from {
		for _, q := range to {
			a.follow[p][q]++
		}
	}
}

func (a *automaton) concat(x, y part) part {
	a.link(x.last, y.first)
	out := part{first: x.first, last: y.last, empty: x.empty && y.empty}
	if x.empty {
		out.first = slices.Concat(x.first, y.first)
	}
	if y.empty {
		out.last = slices.Concat(y.last, x.last)
	}
	return out
}

func (a *automaton) loop(x part) part {
	a.link(x.last, x.first)
	return x
}

func (a *automaton) build(re *syntax.Regexp) part {
	if a.tooBig {
		return part{empty: true}
	}
	switch re.Op {
	case syntax.OpLiteral:
		out := part{empty: true}
		for _, r := range re.Rune {
			out = a.concat(out, a.position([]rune{r, r}))
		}
		return out
	case syntax.OpCharClass:
		return a.position(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return a.position([]rune{0, 0x10ffff})
	case syntax.OpEndText, syntax.OpEndLine:
		// It fails where the text goes on: a position that no character takes.
		return a.position([]rune{-1, -1})
	case syntax.OpCapture:
		return a.build(re.Sub[0])
	case syntax.OpConcat:
		out := part{empty: true}
		for _, sub := range re.Sub {
			out = a.concat(out, a.build(sub))
		}
		return out
	case syntax.OpAlternate:
		var out part
		for _, sub := range re.Sub {
			x := a.build(sub)
			out.first = append(out.first, x.first...)
			out.last = append(out.last, x.last...)
			out.empty = out.empty || x.empty
		}
		return out
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		x := a.build(re.Sub[0])
		if re.Op != syntax.OpQuest {
			x = a.loop(x)
		}
		x.empty = x.empty || re.Op != syntax.OpPlus
		return x
	case syntax.OpRepeat:
		return a.repeat(re)
	default: // nothing, "^", "\b"
		return part{empty: true}
	}
}

// repeat copies what is counted, but three times at most: whether a loop around
// it is ambiguous shows by then.
func (a *automaton) repeat(re *syntax.Regexp) part {
	lo, hi := min(re.Min, 2), re.Max
	switch {
	case hi == re.Min:
		hi = lo
	case hi > 0:
		hi = max(lo+1, min(hi, 3))
	}
	out := part{empty: true}
	for range lo {
		out = a.concat(out, a.build(re.Sub[0]))
	}
	if hi < 0 {
		x := a.loop(a.build(re.Sub[0]))
		x.empty = true
		return a.concat(out, x)
	}
	// What may follow is nested, (x(x)?)?, so that there is one way to each
	// count.
	before, reached := out.last, out.empty
	for range hi - lo {
		x := a.build(re.Sub[0])
		a.link(before, x.first)
		if reached {
			out.first = slices.Concat(out.first, x.first)
		}
		out.last = slices.Concat(out.last, x.last)
		reached = reached && x.empty
		if x.empty {
			before = slices.Concat(before, x.last)
		} else {
			before = x.last
		}
	}
	return out
}

// exponential returns the smallest loop of an expression that makes it
// exponentially ambiguous, or "".
func exponential(re *syntax.Regexp) string {
	a := &automaton{}
	whole := a.build(re)
	if a.tooBig || !a.ambiguous(whole.last) {
		return ""
	}
	// Name the loop: the smallest that is so by itself.
	best := ""
	var visit func(*syntax.Regexp)
	visit = func(re *syntax.Regexp) {
		for _, sub := range re.Sub {
			visit(sub)
		}
		if re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat && re.Max < 0 {
			b := &automaton{}
			b.build(re)
			if text := re.String(); (best == "" || len(text) < len(best)) && b.ambiguous(nil) {
				best = text
			}
		}
	}
	visit(re)
	if best == "" {
		best = "a loop"
	}
	return best
}

// ambiguous reports whether there are two ways round a loop over the same text.
// Loops after which the expression has matched already do not count: an engine
// stops there.
func (a *automaton) ambiguous(final []int) bool {
	n := len(a.classes)
	reach := a.reach()
	for p := range n {
		for q, ways := range a.follow[p] {
			if ways > 1 && reach[q*n+p] && !slices.Contains(final, p) {
				return true
			}
		}
	}
	// Strongly connected components of the square, by Tarjan's algorithm, from
	// the diagonal.
	common := make([]bool, n*n)
	for p := range n {
		for q := range n {
			common[p*n+q] = overlap(a.classes[p], a.classes[q])
		}
	}
	follow := make([][]int, n)
	for p := range n {
		for q := range a.follow[p] {
			if reach[q*n+p] { // within a loop
				follow[p] = append(follow[p], q)
			}
		}
		slices.Sort(follow[p])
	}
	t := &tarjan{index: make([]int32, n*n), low: make([]int32, n*n), on: make([]bool, n*n)}
	t.next = func(v int, visit func(int)) {
		for _, p := range follow[v/n] {
			for _, q := range follow[v%n] {
				if t.edges++; common[p*n+q] && t.edges < maxPairs {
					visit(p*n + q)
				}
			}
		}
	}
	found := false
	t.component = func(list []int) {
		on, off := false, false
		for _, v := range list {
			if p, q := v/n, v%n; p != q {
				off = true
			} else if !slices.Contains(final, p) {
				on = true
			}
		}
		found = found || on && off
	}
	for p := range n {
		if t.index[p*n+p] == 0 {
			t.visit(p*n + p)
		}
	}
	return found && t.edges < maxPairs
}

// reach is which position leads to which, in one step or more.
func (a *automaton) reach() []bool {
	n := len(a.classes)
	out := make([]bool, n*n)
	for p := range n {
		stack := []int{p}
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for q := range a.follow[at] {
				if !out[p*n+q] {
					out[p*n+q] = true
					stack = append(stack, q)
				}
			}
		}
	}
	return out
}

// overlap reports whether two classes have a character in common.
func overlap(a, b []rune) bool {
	for i := 0; i+1 < len(a); i += 2 {
		for j := 0; j+1 < len(b); j += 2 {
			if a[i] <= b[j+1] && b[j] <= a[i+1] {
				return true
			}
		}
	}
	return false
}

type tarjan struct {
	index, low []int32
	on         []bool
	stack      []int
	count      int32
	edges      int
	next       func(v int, visit func(int))
	component  func([]int)
}

func (t *tarjan) visit(v int) {
	t.count++
	t.index[v], t.low[v] = t.count, t.count
	t.stack = append(t.stack, v)
	t.on[v] = true
	t.next(v, func(w int) {
		switch {
		case t.index[w] == 0:
			t.visit(w)
			t.low[v] = min(t.low[v], t.low[w])
		case t.on[w]:
			t.low[v] = min(t.low[v], t.index[w])
		}
	})
	if t.low[v] != t.index[v] {
		return
	}
	i := slices.Index(t.stack, v)
	list := t.stack[i:]
	for _, w := range list {
		t.on[w] = false
	}
	t.component(list)
	t.stack = t.stack[:i]
}

// boundedRegex reports whether what matches a pattern has a greatest length.
func boundedRegex(pattern string) bool {
	text, construct := toRE2(pattern)
	if construct != "" {
		return false
	}
	re, err := syntax.Parse(text, syntax.Perl)
	return err == nil && begins(re) && ends(re) && finite(re)
}

func begins(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture, syntax.OpConcat:
		return begins(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !begins(s) })
	}
	return false
}

func ends(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEndText:
		return true
	case syntax.OpCapture, syntax.OpConcat:
		return ends(re.Sub[len(re.Sub)-1])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !ends(s) })
	}
	return false
}

func finite(re *syntax.Regexp) bool {
	if re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat && re.Max < 0 {
		return false
	}
	return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !finite(s) })
}
