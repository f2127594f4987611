package conf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A target is what a name means.
type target struct {
	name   string // the one spelling of it
	config *key[Config]
	issuer *key[Issuer]
	index  int // of the issuer
	row    *rowKey
	unused *unused
}

// A pattern is a known key's name in parts. A part # is the number of an array's
// element and may be left out, which means the first; a part * is one or more
// parts that the operator chooses.
type pattern struct {
	name   string
	parts  []string
	target target
}

// match reports whether parts is the name of p, or with table whether it is the
// beginning of such a name. Then it also returns the parts in full, with the
// numbers that were left out; sep joins those that stand for a *.
func match(p, parts []string, table bool, sep string) ([]string, bool) {
	then := func(first string, p, parts []string) ([]string, bool) {
		rest, ok := match(p, parts, table, sep)
		return append([]string{first}, rest...), ok
	}
	switch {
	case len(p) == 0:
		return nil, len(parts) == 0 && !table
	case len(parts) == 0:
		return nil, table
	case p[0] == "#":
		if isNumber(parts[0]) {
			return then(parts[0], p[1:], parts[1:])
		}
		return then("0", p[1:], parts)
	case p[0] == "*":
		for n := 1; n <= len(parts); n++ {
			if full, ok := then(strings.Join(parts[:n], sep), p[1:], parts[n:]); ok {
				return full, true
			}
		}
		return nil, false
	case p[0] != parts[0]:
		return nil, false
	}
	return then(p[0], p[1:], parts[1:])
}

// isNumber reports whether s can number an array's element.
func isNumber(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 0 && n <= 9999 && strconv.Itoa(n) == s
}

// names is all that is known, made once from the tables of keys.
type names struct {
	exact    map[string]target
	patterns []pattern // with # or *
	all      []pattern
	display  []string          // to suggest
	env      map[string]string // environment name -> name, without patterns
	roots    []string          // first parts of names that have several
}

var known = sync.OnceValue(func() *names {
	n := &names{exact: map[string]target{}, env: map[string]string{}}
	add := func(name string, t target) {
		p := pattern{name: name, parts: strings.Split(name, "."), target: t}
		n.all = append(n.all, p)
		n.display = append(n.display, strings.ReplaceAll(name, ".#", ""))
		if slices.Contains(p.parts, "#") || slices.Contains(p.parts, "*") {
			n.patterns = append(n.patterns, p)
		} else {
			n.exact[name] = t
			n.env[environment(name)] = name
		}
		if len(p.parts) > 1 && !slices.Contains(n.roots, p.parts[0]) {
			n.roots = append(n.roots, p.parts[0])
		}
	}
	for i := range configKeys {
		k := &configKeys[i]
		add(k.name, target{name: k.name, config: k})
		for _, old := range k.old {
			add(old, target{name: k.name, config: k})
		}
	}
	for i := range issuerKeys {
		k := &issuerKeys[i]
		add(issuerTable+".#."+k.name, target{issuer: k})
	}
	for _, r := range rowTables {
		r.each(func(name string, old []string) {
			k := &rowKey{rows: r, key: name}
			add(r.pattern()+"."+name, target{row: k})
			for _, o := range old {
				add(r.pattern()+"."+o, target{row: k})
			}
		})
	}
	for i := range unusedKeys {
		u := &unusedKeys[i]
		add(u.name, target{unused: u})
	}
	return n
})

// environment returns the name of the variable that sets the key called name.
func environment(name string) string { return strings.ReplaceAll(name, ".", "_") }

// resolve finds what name means.
func (n *names) resolve(name string) (target, bool) {
	if t, ok := n.exact[name]; ok {
		return t.called(name), true
	}
	parts := strings.Split(name, ".")
	for _, p := range n.patterns {
		if full, ok := match(p.parts, parts, false, "."); ok {
			return p.target.called(strings.Join(full, ".")), true
		}
	}
	return target{}, false
}

// resolveEnv finds what the variable called name means. No pattern has an
// underscore of its own.
func (n *names) resolveEnv(name string) (target, bool) {
	if dotted, ok := n.env[name]; ok {
		return n.exact[dotted].called(dotted), true
	}
	parts := strings.Split(name, "_")
	for _, p := range n.patterns {
		if full, ok := match(p.parts, parts, false, "_"); ok {
			return p.target.called(strings.Join(full, ".")), true
		}
	}
	return target{}, false
}

// called returns t for one name, which is in full.
func (t target) called(name string) target {
	switch {
	case t.issuer != nil:
		t.name = name
		t.index, _ = strconv.Atoi(strings.Split(name, ".")[1])
	case t.row != nil:
		t.name = name
		k := *t.row
		k.id = idOf(k.rows.pattern(), last(name), name)
		t.row = &k
	case t.unused != nil:
		t.name = name
	}
	return t
}

func issuerKey(index int, name string) string {
	return issuerTable + "." + strconv.Itoa(index) + "." + name
}

// isTable reports whether keys may stand in the table called name.
func (n *names) isTable(name string) bool {
	parts := strings.Split(name, ".")
	for _, p := range n.all {
		if _, ok := match(p.parts, parts, true, "."); ok {
			return true
		}
	}
	return false
}

// hint says what was probably meant by name, in the spelling that edit gives it.
func (n *names) hint(name string, edit func(string) string) string {
	if s := nearest(withoutNumbers(name), n.display); s != "" {
		return "did you mean " + edit(s) + "?"
	}
	return ""
}

var number = regexp.MustCompile(`\.[0-9]+(\.|$)`)

func withoutNumbers(name string) string { return number.ReplaceAllString(name, "$1") }

// tables returns the names of the tables that keys may stand in.
func (n *names) tables() []string {
	var all []string
	for _, d := range n.display {
		for i := range len(d) {
			if d[i] == '.' && !slices.Contains(all, d[:i]) && !strings.Contains(d[:i], "*") {
				all = append(all, d[:i])
			}
		}
	}
	return all
}

// dynamic matches the keys that an API's name is a part of.
var dynamic = regexp.MustCompile(`^.+_(?:prod|sand)_(?:endpoint_[0-9]{1,4}|[0-9]{1,4}_etcdKey|basic_username|(basic_password))$`)
