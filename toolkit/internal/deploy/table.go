package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A table reads one table of the file. Every key that is asked for becomes a
// known one, and close reports those that nobody has asked for.
//
// WSO2's template writes nearly every value as a string, also numbers and
// booleans, and leaves empty strings where it means nothing. Both the string
// and the right type are taken here, and an empty string is no value.
type table struct {
	n     *tree.Node // nil if the table is not there
	place string
	l     *diag.List
	known []string
	moved map[string]string // hints for keys that belong elsewhere
}

// under is a key's place.
func (t *table) under(key string) string {
	if t.place == "" {
		return key
	}
	return t.place + "." + key
}

// node is a key's value, or nil if there is none.
func (t *table) node(key string) *tree.Node {
	t.known = append(t.known, key)
	n := t.n.Get(key)
	if n != nil && n.Kind == tree.String && n.Text == "" {
		return nil
	}
	return n
}

// has says whether a key has a value.
func (t *table) has(key string) bool { return t.node(key) != nil }

// at is where a key is, or its table if it is not there.
func (t *table) at(key string) diag.At {
	if n := t.n.Get(key); n != nil {
		return n.At(t.under(key))
	}
	return t.n.At(t.place)
}

func (t *table) errorf(key, hint, format string, args ...any) {
	t.l.ErrorHint(t.at(key), hint, format, args...)
}

func (t *table) warnf(key, hint, format string, args ...any) {
	t.l.WarnHint(t.at(key), hint, format, args...)
}

// text is a string, or def.
func (t *table) text(key, def string) string {
	n := t.node(key)
	switch {
	case n == nil:
		return def
	case n.Kind == tree.Object || n.Kind == tree.Array:
		t.errorf(key, "", "want a string, not %s", n.Describe())
		return def
	}
	return n.Text
}

// checked is a string that check finds nothing wrong with, or def.
func (t *table) checked(key, def string, check func(string) (problem, hint string)) string {
	s := t.text(key, def)
	if s != def {
		if problem, hint := check(s); problem != "" {
			t.errorf(key, hint, "%s", problem)
			return def
		}
	}
	return s
}

// choice is one of several words, in any case; the word as it is listed.
func (t *table) choice(key, def string, words ...string) string {
	s := t.text(key, def)
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return w
		}
	}
	if s != def {
		t.errorf(key, diag.DidYouMean(s, words), "%q is none of %s", s, strings.Join(words, ", "))
	}
	return def
}

// flag is a boolean, or a string that says one. WSO2's Kubernetes keys once were
// "enable" and "disable".
func (t *table) flag(key string, def bool) bool {
	n := t.node(key)
	if n == nil {
		return def
	}
	if n.Kind == tree.Bool || n.Kind == tree.String {
		switch strings.ToLower(n.Text) {
		case "true", "enable":
			return true
		case "false", "disable":
			return false
		}
	}
	t.errorf(key, "", "want true or false, not %s", n.Describe())
	return def
}

// number is a whole number from least to most, or a string that says one.
func (t *table) number(key string, def, least, most int) int {
	n := t.node(key)
	if n == nil {
		return def
	}
	v, err := strconv.Atoi(n.Text)
	if n.Kind != tree.Number && n.Kind != tree.String || err != nil {
		t.errorf(key, "", "want a whole number, not %s", n.Describe())
		return def
	}
	if v < least || v > most {
		t.errorf(key, "", "%d is out of range: want %d to %d", v, least, most)
		return def
	}
	return v
}

// An item is a string with its position.
type item struct {
	text string
	at   diag.At
}

// list is a list of strings.
func (t *table) list(key string) []item {
	n := t.node(key)
	if n == nil {
		return nil
	}
	if n.Kind != tree.Array {
		t.errorf(key, `write ["`+n.Text+`"]`, "want a list of strings, not %s", n.Describe())
		return nil
	}
	var items []item
	for i, e := range n.Items {
		place := fmt.Sprintf("%s[%d]", t.under(key), i)
		if e.Kind != tree.String || e.Text == "" {
			t.l.Errorf(e.At(place), "want a string, not %s", e.Describe())
			continue
		}
		items = append(items, item{e.Text, e.At(place)})
	}
	return items
}

// A pair is an entry of a map, with its position.
type pair struct {
	key   string
	value *tree.Node
	at    diag.At
}

// pairs is a map: a table, or as WSO2 has it the text of one,
// '{"team": "shop"}', whose parts have the position of the text.
func (t *table) pairs(key string) []pair {
	n := t.node(key)
	if n == nil {
		return nil
	}
	m := n
	if n.Kind == tree.String {
		var within diag.List
		// Ballerina's literals need no quotes around the names; YAML reads
		// both.
		m = tree.Parse(t.place, []byte(n.Text), &within)
		if m == nil || m.Kind != tree.Object {
			t.errorf(key, `write { NAME = "value" }, or the same as a string: '{"NAME": "value"}'`, "want a map, not %s", n.Describe())
			return nil
		}
		relocate(m, n)
	}
	if m.Kind != tree.Object {
		t.errorf(key, `write { NAME = "value" }`, "want a map, not %s", n.Describe())
		return nil
	}
	pairs := make([]pair, 0, len(m.Keys))
	for i, k := range m.Keys {
		pairs = append(pairs, pair{k.Name, m.Items[i], m.KeyAt(i, t.under(key)+"."+k.Name)})
	}
	return pairs
}

// relocate gives all of a tree the position of another node.
func relocate(n, to *tree.Node) {
	n.Line, n.Col, n.File = to.Line, to.Col, to.File
	for i := range n.Keys {
		n.Keys[i].Line, n.Keys[i].Col = to.Line, to.Col
	}
	for _, item := range n.Items {
		relocate(item, to)
	}
}

// words is a map of strings that check finds nothing wrong with.
func (t *table) words(key string, check func(key, value string) string) map[string]string {
	var m map[string]string
	for _, p := range t.pairs(key) {
		if p.value.Kind == tree.Object || p.value.Kind == tree.Array || p.value.Kind == tree.Null {
			t.l.Errorf(p.at, "want a string, not %s", p.value.Describe())
			continue
		}
		if problem := check(p.key, p.value.Text); problem != "" {
			t.l.Errorf(p.at, "%s", problem)
			continue
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[p.key] = p.value.Text
	}
	return m
}

// table is a table inside; it may be missing.
func (t *table) table(key string) *table {
	n := t.node(key)
	if n != nil && n.Kind != tree.Object {
		t.errorf(key, "write ["+t.under(key)+"] and its keys below it", "want a table, not %s", n.Describe())
		n = nil
	}
	return &table{n: n, place: t.under(key), l: t.l}
}

// tables is a list of tables.
func (t *table) tables(key string) []*table {
	n := t.node(key)
	if n == nil {
		return nil
	}
	if n.Kind == tree.Object {
		t.errorf(key, "write [["+t.under(key)+"]] with two brackets", "want a list of tables, not a table")
		return nil
	}
	if n.Kind != tree.Array {
		t.errorf(key, "write [["+t.under(key)+"]] and its keys below it", "want a list of tables, not %s", n.Describe())
		return nil
	}
	var all []*table
	for i, e := range n.Items {
		place := fmt.Sprintf("%s[%d]", t.under(key), i)
		if e.Kind != tree.Object {
			t.l.Errorf(e.At(place), "want a table, not %s", e.Describe())
			continue
		}
		all = append(all, &table{n: e, place: place, l: t.l})
	}
	return all
}

// close reports the keys that are unknown.
func (t *table) close() {
	if t.n == nil {
		return
	}
	for i, k := range t.n.Keys {
		if slices.Contains(t.known, k.Name) {
			continue
		}
		hint := t.moved[k.Name]
		if hint == "" {
			hint = diag.DidYouMean(k.Name, t.known)
		}
		t.l.ErrorHint(t.n.KeyAt(i, t.place), hint, "unknown key %q", k.Name)
	}
}

// quoted is a string as JSON has it, which Dockerfiles understand as well.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string can always be written
	return string(b)
}
