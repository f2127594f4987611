package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A rows is a table that there may be several of, told apart by a number
// ([[mutualSSLConfig.api.certificates]]: "#") or by a name that the operator
// chooses ([b7a.users.alice]: "*"). Each becomes a T. (Issuers, which are older
// and depend on each other, have their own way.)
type rows[T any] struct {
	table string // with # and *
	since string
	doc   string // Markdown, for the reference
	keys  []key[T]
	all   func(*Config) *[]T
	id    func(*T) *string // where the name or the number goes
	// check looks for what no value shows by itself, in the i-th of all.
	check func(c *Config, i int, r report)
}

// A report says something of one of a row's keys, or with "" of the row.
type report struct{ problem, warn func(key, msg string) }

// A rowTable is a rows of any T.
type rowTable interface {
	pattern() string
	each(func(name string, old []string))
	apply(l *loader)
	lines(c *Config) []line
	reference(b *strings.Builder)
	shapes(add func(name string, s *shape))
	types(add func(name, typ string))
}

// rowTables is all of them.
var rowTables = []rowTable{
	&users,
	&apiKeyIssuers,
	&apiCertificates,
	&claimNames,
}

func (r *rows[T]) pattern() string { return r.table }

func (r *rows[T]) each(f func(name string, old []string)) {
	for i := range r.keys {
		f(r.keys[i].name, r.keys[i].old)
	}
}

// A row is one of them as it was written.
type row struct {
	id  string // the parts that stand for # and *, with dots between
	set map[string]assignment
	at  origin // of the first
}

// apply sets what was assigned to rows of r.
func (r *rows[T]) apply(l *loader) {
	found := map[string]*row{}
	for _, a := range l.set {
		if a.target.row == nil || a.target.row.rows != rowTable(r) {
			continue
		}
		id := a.target.row.id
		if found[id] == nil {
			found[id] = &row{id: id, set: map[string]assignment{}, at: a.at}
		}
		f := found[id]
		f.set[a.target.row.key] = a
		if a.at.compare(f.at) < 0 {
			f.at = a.at
		}
	}
	sorted := make([]*row, 0, len(found))
	for _, f := range found {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b *row) int { return compareIDs(a.id, b.id) })
	for _, found := range sorted {
		var t T
		if r.id != nil {
			*r.id(&t) = found.id
		}
		for i := range r.keys {
			if a, ok := found.set[r.keys[i].name]; ok {
				applyTo(l, &r.keys[i].codec, &t, a)
			}
		}
		if r.check != nil && !l.alone {
			say := func(f func(at origin, name, msg string)) func(key, msg string) {
				return func(key, msg string) {
					if a, ok := found.set[key]; !ok {
						f(found.at, rowName(r.table, found.id), msg)
					} else if !l.broken[a.target.name] {
						f(a.at, a.written, msg)
					}
				}
			}
			i := len(*r.all(l.c))
			l.rowChecks = append(l.rowChecks, func() {
				r.check(l.c, i, report{
					problem: say(func(at origin, name, msg string) { l.problem(at, name, msg, "") }),
					warn:    say(l.warn),
				})
			})
		}
		*r.all(l.c) = append(*r.all(l.c), t)
	}
}

// compareIDs orders numbers as numbers.
func compareIDs(a, b string) int {
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1
		}
		return n
	}
	for p, q := strings.Split(a, "."), strings.Split(b, "."); len(p) > 0 && len(q) > 0; p, q = p[1:], q[1:] {
		x, y := number(p[0]), number(q[0])
		if x < 0 || y < 0 {
			break
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return strings.Compare(a, b)
}

// rowName puts the id in for # or *; of several # each takes a part of it.
func rowName(table, id string) string {
	for strings.Count(table, "#") > 1 {
		var first string
		first, id, _ = strings.Cut(id, ".")
		table = strings.Replace(table, "#", first, 1)
	}
	return strings.NewReplacer("#", id, "*", id).Replace(table)
}

func (r *rows[T]) lines(c *Config) []line {
	var all []line
	list := *r.all(c)
	for i := range list {
		id := strconv.Itoa(i)
		if r.id != nil {
			id = *r.id(&list[i])
		}
		for j := range r.keys {
			name := rowName(r.table, id) + "." + r.keys[j].name
			all = append(all, line{name, r.keys[j].codec.get(&list[i]), c.Source(name)})
		}
	}
	return all
}

func (r *rows[T]) reference(b *strings.Builder) {
	shown := strings.NewReplacer(".#", "", "*", "<name>").Replace(r.table)
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", shown, r.doc)
	referenceTable(b)
	for i := range r.keys {
		k := &r.keys[i]
		env := environment(strings.NewReplacer("#", "0", "*", "<name>").Replace(r.table)) + "_" + k.name
		referenceRow(b, shown+"."+k.name, k.old, k.codec.typ, k.codec.unit, "none", env, r.since, k.doc)
	}
}

func (r *rows[T]) shapes(add func(name string, s *shape)) {
	for i := range r.keys {
		k := &r.keys[i]
		for _, name := range append([]string{k.name}, k.old...) {
			s := described(&k.codec, k.doc)
			if k.codec.path {
				s = pathShape(s, k.name)
			}
			add(r.table+"."+name, s)
		}
	}
}

func (r *rows[T]) types(add func(name, typ string)) {
	for i := range r.keys {
		add(r.table+"."+r.keys[i].name, r.keys[i].codec.typ)
	}
}

// A rowKey is what a name means that stands in one of several tables.
type rowKey struct {
	rows rowTable
	key  string
	id   string
}

// keysOf returns the keys of the tables with a name of the operator's choice that
// name stands in: what is misspelt there would pass for a table.
func keysOf(name string) string {
	for _, r := range rowTables {
		before, _, chosen := strings.Cut(r.pattern(), "*")
		if rest, ok := strings.CutPrefix(name, before); chosen && ok && strings.Contains(rest, ".") {
			var keys []string
			r.each(func(name string, _ []string) { keys = append(keys, name) })
			return strings.Join(keys, ", ")
		}
	}
	return ""
}

// idOf returns what stands for # or * in the name of a key, which is in full.
func idOf(table, key, name string) string {
	if strings.Count(table, "#") > 1 {
		var id []string
		parts := strings.Split(name, ".")
		for i, p := range strings.Split(table, ".") {
			if p == "#" {
				id = append(id, parts[i])
			}
		}
		return strings.Join(id, ".")
	}
	before, after, numbered := strings.Cut(table, "#")
	if !numbered {
		before, after, _ = strings.Cut(table, "*")
	}
	return strings.TrimSuffix(strings.TrimPrefix(name, before), after+"."+key)
}
