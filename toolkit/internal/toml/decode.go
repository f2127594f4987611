package toml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	lib "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// Decode reads a file into what into points at, a struct whose fields have toml
// tags: for files that are values and no more. What is wrong is appended to l, an
// unknown key with the one that is meant.
func Decode(file string, data []byte, into any, l *diag.List) {
	err := lib.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(into)
	var (
		strict *lib.StrictMissingError
		one    *lib.DecodeError
	)
	switch {
	case errors.As(err, &strict):
		for i := range strict.Errors {
			e := &strict.Errors[i]
			key := e.Key()
			l.ErrorHint(position(file, e), near(key, names("", reflect.TypeOf(into).Elem())), "unknown key %q", strings.Join(key, "."))
		}
	case errors.As(err, &one):
		at, msg := position(file, one), strings.TrimPrefix(one.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(msg); m != nil {
			at.Place = strings.Join(one.Key(), ".")
			msg = fmt.Sprintf("want %s, not %s", cmp.Or(types[m[2]], m[2]), cmp.Or(types[m[1]], m[1]))
		}
		l.Errorf(at, "%s", msg)
	case err != nil:
		l.Errorf(diag.At{File: file}, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
}

// wrongType is what the library says of a value of another type than wanted. It
// speaks of Go, which authors need not know.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\S+) into .* of type (\S+)$`)

var types = map[string]string{
	"string": "a string", "int64": "a whole number", "integer": "an integer", "bool": "true or false", "boolean": "a boolean",
	"[]string": "a list", "array": "a list", "float": "a number", "inline": "a table", "table": "a table",
}

func position(file string, e *lib.DecodeError) diag.At {
	line, col := e.Position()
	return diag.At{File: file, Line: line, Column: col}
}

// near is a hint: the known key that is meant. A word alone is compared with the
// last parts, since most slips are keys in a wrong table.
func near(key, known []string) string {
	name := strings.Join(key, ".")
	for _, k := range known {
		if strings.EqualFold(k[strings.LastIndexByte(k, '.')+1:], key[len(key)-1]) {
			return fmt.Sprintf("did you mean %q?", k)
		}
	}
	return diag.DidYouMean(name, known)
}

// names are the keys of a struct's fields, those of tables too.
func names(prefix string, t reflect.Type) (all []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("toml")
		if f.Type.Kind() == reflect.Struct {
			all = append(all, names(name+".", f.Type)...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// Blank empties the strings that stand at those keys, in whatever letter case.
// All else, comments too, stays as it is, byte for byte. The data is known to be
// TOML.
func Blank(data []byte, keys []string) []byte {
	type span struct{ from, to int }
	var spans []span
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = dotted("", e.Key())
		case unstable.KeyValue:
			var note func(prefix string, e *unstable.Node)
			note = func(prefix string, e *unstable.Node) {
				name, v := dotted(prefix, e.Key()), e.Value()
				if v.Kind == unstable.InlineTable {
					for it := v.Children(); it.Next(); {
						if it.Node().Kind == unstable.KeyValue {
							note(name, it.Node())
						}
					}
				}
				if v.Kind == unstable.String && slices.ContainsFunc(keys, func(b string) bool { return strings.EqualFold(b, name) }) {
					from := int(v.Raw.Offset)
					spans = append(spans, span{from, from + int(v.Raw.Length)})
				}
			}
			note(table, e)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, s := range spans {
		out = append(append(out, data[at:s.from]...), `""`...)
		at = s.to
	}
	return append(out, data[at:]...)
}

func dotted(prefix string, key unstable.Iterator) string {
	name := prefix
	for key.Next() {
		if name != "" {
			name += "."
		}
		name += string(key.Node().Data)
	}
	return name
}
