package conf

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what a value was written as. Only text says nothing about what is
// meant: it comes from the environment, the command line or a ${...} reference,
// and becomes what its key wants.
type kind uint8

const (
	text kind = iota
	str
	integer
	float
	boolean
	list
	table // an inline table, or an array that holds one, where a value is due
	other // dates and times: no key wants them
)

func (k kind) String() string {
	return [...]string{"text", "a string", "an integer", "a float", "a boolean", "a list", "a table", "a date"}[k]
}

// A value is what somebody wrote for a key.
type value struct {
	kind kind
	s    string // what it says; a number as it was written
	list []value

	dir  string       // what a relative path is relative to
	warn func(string) // tells the operator something about this value
}

// An origin is where a value was written.
type origin struct {
	file      string // the conf file; "" for the others
	line, col int
	env       string // the variable's name
	flag      string // of the command line, if it is not -e
}

func (o origin) isFile() bool { return o.file != "" }

func (o origin) String() string {
	switch {
	case o.isFile():
		return o.file + ":" + strconv.Itoa(o.line) + ":" + strconv.Itoa(o.col)
	case o.env != "":
		return "env " + o.env
	case o.flag != "":
		return o.flag
	}
	return "-e"
}

// compare orders origins as an operator goes through them: the file from its
// top, the environment, the command line.
func (o origin) compare(p origin) int {
	rank := func(o origin) int {
		switch {
		case o.isFile():
			return 0
		case o.env != "":
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(o), rank(p)), cmp.Compare(o.line, p.line), cmp.Compare(o.col, p.col),
		strings.Compare(o.env, p.env))
}

// A codec reads a key's value into its place in T, and back.
type codec[T any] struct {
	typ   string // for the reference
	unit  string
	shape *shape // for editors: no narrower than set
	// set returns what is wrong, in words that go on after the key's name.
	set func(*T, value) string
	// get returns a bool, int64, string, []string or Secret.
	get func(*T) any
	// path is set if the value names a file.
	path bool
}

func (v value) wrong(want string) string {
	if v.kind == text {
		return fmt.Sprintf("%q is not %s", v.s, want)
	}
	return "want " + want + ", got " + v.kind.String()
}

func (v value) integer() (int64, string) {
	if v.kind != integer && v.kind != text {
		return 0, v.wrong("an integer")
	}
	s, base := v.s, 10
	if v.kind == integer {
		// TOML writes 1_000, 0x1F, 0o17, 0b1 as Go does; 017 is not TOML.
		base = 0
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), base, 64)
	if err != nil {
		if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
			return 0, s + " does not fit in 64 bits"
		}
		return 0, v.wrong("an integer")
	}
	return n, ""
}

func (v value) boolean() (bool, string) {
	if v.kind == boolean || v.kind == text {
		switch v.s {
		case "true":
			return true, ""
		case "false":
			return false, ""
		}
	}
	return false, v.wrong("true or false")
}

func (v value) string() (string, string) {
	if v.kind != str && v.kind != text {
		return "", v.wrong("a string")
	}
	return v.s, ""
}

// strings reads a list of strings, or one string with commas, which is how
// WSO2 writes lists. Blanks around an element and empty elements do not count.
func (v value) strings() ([]string, string) {
	if v.kind != list {
		s, bad := v.string()
		if bad != "" {
			return nil, v.wrong("a list of strings")
		}
		var all []string
		for _, e := range strings.Split(s, ",") {
			if e = strings.TrimSpace(e); e != "" {
				all = append(all, e)
			}
		}
		return all, ""
	}
	var all []string
	for _, e := range v.list {
		s, bad := e.string()
		if bad != "" {
			return nil, "want a list of strings, got one that holds " + e.kind.String()
		}
		all = append(all, s)
	}
	return all, ""
}

func (v value) duration() (time.Duration, string) {
	if v.kind != str && v.kind != text {
		return 0, v.wrong(`a duration such as "10s"`)
	}
	d, err := time.ParseDuration(v.s)
	if err != nil {
		return 0, fmt.Sprintf(`%q is not a duration such as "10s" or "1m30s"`, v.s)
	}
	return d, ""
}

// file returns the path that v is, as it shall be opened.
func (v value) file() (string, string) {
	s, bad := v.string()
	if bad != "" || s == "" || s == Standard || filepath.IsAbs(s) {
		return s, bad
	}
	return filepath.Join(v.dir, s), ""
}

// within returns what is wrong with n, if it shall be between lo and hi.
func within(n, lo, hi int64, what string) string {
	switch {
	case n < lo:
		return fmt.Sprintf("%d is too small: at least %d%s", n, lo, what)
	case n > hi:
		return fmt.Sprintf("%d is too large: at most %d%s", n, hi, what)
	}
	return ""
}

func intOf[T any, N int | int64](lo, hi int64, unit string, p func(*T) *N) codec[T] {
	return codec[T]{
		typ: "integer", unit: unit, shape: numberShape(lo, hi),
		set: func(t *T, v value) string {
			n, bad := v.integer()
			if bad == "" {
				bad = within(n, lo, hi, "")
			}
			if bad == "" {
				*p(t) = N(n)
			}
			return bad
		},
		get: func(t *T) any { return int64(*p(t)) },
	}
}

// limitOf is an integer of which -1 says that there is no limit.
func limitOf[T any, N int | int64](unit string, p func(*T) *N) codec[T] {
	c := intOf(-1, math.MaxInt32, unit, p)
	if _, ok := any(N(0)).(int64); ok {
		c = intOf(-1, math.MaxInt64, unit, p)
	}
	c.shape.Not = &shape{Enum: []any{0}}
	set := c.set
	c.set = func(t *T, v value) string {
		bad := set(t, v)
		if bad == "" && *p(t) == 0 {
			return "0 would allow nothing; -1 means no limit"
		}
		return bad
	}
	return c
}

func portOf[T any](p func(*T) *int) codec[T] {
	return codec[T]{
		typ: "port", shape: numberShape(Off, 65535),
		set: func(t *T, v value) string {
			n, bad := v.integer()
			if bad == "" && (n < Off || n > 65535) {
				bad = fmt.Sprintf("%d is not a port", n)
			}
			if bad == "" {
				*p(t) = int(n)
			}
			return bad
		},
		get: func(t *T) any { return int64(*p(t)) },
	}
}

func boolOf[T any](p func(*T) *bool) codec[T] {
	return codec[T]{
		typ: "boolean", shape: &shape{Type: "boolean"},
		set: func(t *T, v value) string {
			b, bad := v.boolean()
			if bad == "" {
				*p(t) = b
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

// A rule is what a string must be like.
type rule struct {
	check func(string) string // says what is wrong
	shape *shape              // for editors: the same, or less
}

// anything is no rule.
var anything = rule{func(string) string { return "" }, textShape("")}

func stringOf[T any](p func(*T) *string, r rule) codec[T] {
	return codec[T]{
		typ: "string", shape: r.shape,
		set: func(t *T, v value) string {
			s, bad := v.string()
			if bad == "" {
				bad = r.check(s)
			}
			if bad == "" {
				*p(t) = s
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

// listOf is any strings.
func listOf[T any](p func(*T) *[]string) codec[T] {
	return codec[T]{
		typ: "list of strings", shape: listShape("[^,]*", ""),
		set: func(t *T, v value) string {
			all, bad := v.strings()
			if bad == "" {
				*p(t) = all
			}
			return bad
		},
		get: func(t *T) any { return append([]string{}, *p(t)...) },
	}
}

func secretOf[T any](p func(*T) *Secret) codec[T] {
	return codec[T]{
		typ: "secret", shape: textShape(""),
		set: func(t *T, v value) string {
			s, bad := v.string()
			if bad == "" {
				*p(t) = NewSecret(s)
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

// choiceOf is one of some words, in any letter case; the empty one says that
// nothing is chosen.
func choiceOf[T any](words []string, p func(*T) *string) codec[T] {
	shown := strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), ", ")
	c := codec[T]{
		typ: shown, shape: wordsShape(words),
		set: func(t *T, v value) string {
			s, bad := v.string()
			if bad != "" {
				return bad
			}
			for _, w := range words {
				if strings.EqualFold(s, w) {
					*p(t) = w
					return ""
				}
			}
			return fmt.Sprintf("%q is not one of %s", s, shown)
		},
		get: func(t *T) any { return *p(t) },
	}
	return c
}

// durationOf is one of our own keys: a string with a unit.
func durationOf[T any](lo, hi time.Duration, p func(*T) *time.Duration) codec[T] {
	s := textShape(durations)
	if lo > 0 {
		s.Not = textShape("^[^1-9]*$")
	}
	return codec[T]{
		typ: "duration", shape: s,
		set: func(t *T, v value) string {
			d, bad := v.duration()
			switch {
			case bad != "":
			case d < lo:
				bad = fmt.Sprintf("%s is too short: at least %s", short(d), short(lo))
			case d > hi:
				bad = fmt.Sprintf("%s is too long: at most %s", short(d), short(hi))
			default:
				*p(t) = d
			}
			return bad
		},
		get: func(t *T) any { return short(*p(t)) },
	}
}

// millisOf is one of WSO2's keys: a number of milliseconds.
func millisOf[T any](lo, hi time.Duration, p func(*T) *time.Duration) codec[T] {
	return codec[T]{
		typ: "integer", unit: "milliseconds", shape: numberShape(lo.Milliseconds(), hi.Milliseconds()),
		set: func(t *T, v value) string {
			n, bad := v.integer()
			if bad == "" {
				bad = within(n, lo.Milliseconds(), hi.Milliseconds(), " milliseconds")
			}
			if bad == "" {
				*p(t) = time.Duration(n) * time.Millisecond
			}
			return bad
		},
		get: func(t *T) any { return p(t).Milliseconds() },
	}
}

// short writes d without the zero units that time.Duration's String ends in.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
