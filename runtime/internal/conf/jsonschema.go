package conf

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A shape is a JSON Schema, as far as it is needed here. Editors check a conf
// file by the one that JSONSchema writes; Load does not, since it knows more: what
// files there are, what contradicts what, and where everything stands.
type shape struct {
	Ref                  string            `json:"$ref,omitempty"`
	Description          string            `json:"description,omitempty"`
	Default              any               `json:"default,omitempty"`
	Deprecated           bool              `json:"deprecated,omitempty"`
	Type                 string            `json:"type,omitempty"`
	Enum                 []any             `json:"enum,omitempty"`
	Pattern              string            `json:"pattern,omitempty"`
	Minimum              *int64            `json:"minimum,omitempty"`
	Maximum              *int64            `json:"maximum,omitempty"`
	Items                *shape            `json:"items,omitempty"`
	Contains             *shape            `json:"contains,omitempty"`
	Not                  *shape            `json:"not,omitempty"`
	AnyOf                []*shape          `json:"anyOf,omitempty"`
	Properties           map[string]*shape `json:"properties,omitempty"`
	PatternProperties    map[string]*shape `json:"patternProperties,omitempty"`
	AdditionalProperties any               `json:"additionalProperties,omitempty"`
}

func textShape(pattern string) *shape { return &shape{Type: "string", Pattern: pattern} }

func numberShape(lo, hi int64) *shape {
	s := &shape{Type: "integer", Minimum: &lo}
	if hi < math.MaxInt64 { // which editors read as a float
		s.Maximum = &hi
	}
	return s
}

// wordsShape is one of some words in any letter case; editors offer them as they
// are.
func wordsShape(words []string) *shape {
	var all []string
	s := &shape{AnyOf: []*shape{{}}}
	for _, w := range words {
		s.AnyOf[0].Enum = append(s.AnyOf[0].Enum, w)
		all = append(all, anyCase(w))
	}
	s.AnyOf = append(s.AnyOf, textShape("^("+strings.Join(all, "|")+")$"))
	return s
}

// listShape is a list of strings, or one string with commas.
func listShape(element string, contains string) *shape {
	list := &shape{Type: "array", Items: textShape("^(" + element + ")$")}
	one := textShape(`^\s*((` + element + `)?\s*,\s*)*(` + element + `)?\s*$`)
	if contains == "" {
		return &shape{AnyOf: []*shape{list, one}}
	}
	list.Contains = textShape("^(" + contains + ")$")
	one = textShape(`^\s*((` + element + `)?\s*,\s*)*(` + contains + `)(\s*,\s*(` + element + `)?)*\s*$`)
	return &shape{AnyOf: []*shape{list, one}}
}

// anyCase is a pattern for a word in any letter case. The patterns of JSON Schema
// have no flag for it.
func anyCase(word string) string {
	var b strings.Builder
	for _, c := range word {
		if up, low := strings.ToUpper(string(c)), strings.ToLower(string(c)); up != low {
			b.WriteString("[" + low + up + "]")
		} else {
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

// Patterns are read both by Go and by ECMAScript: neither look-ahead nor \p.
const (
	control    = "\x00-\x1f\u007f-\u009f"
	portNumber = `(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	dnsName    = `[^:/\[\]@ \t"` + control + `]+`
	ipv4       = `((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv6       = `[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*`
	hostName   = `(` + dnsName + `|` + ipv6 + `(%[^"/\s]+)?)`
	urlPattern = `[hH][tT][tT][pP][sS]?://([^/?#@:\[\]\s]+|\[[0-9A-Fa-f:.]+(%25[^\]]+)?\])(:(0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)?([/?][^#` + control + `]*)?`
	reference  = `\$\{(env|file):[^}]*\}`
	homePath   = `\$\{(mgw-runtime|ballerina|b7a)\.home\}`
	durations  = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
)

// shippedPath is the path of one of the stores in WSO2's own distribution.
func shippedPath(file string) string {
	return homePath + `.*/bre/security/` + regexp.QuoteMeta(file) + `$`
}

// JSONSchema writes schema/micro-gw.conf.schema.json, from the same tables that
// Load reads by.
func JSONSchema(w io.Writer) error {
	g := schemaMaker{tables: map[string]*shape{"": newTable("")}}
	c := Default()
	for i := range configKeys {
		k := &configKeys[i]
		s := described(&k.codec, k.doc)
		if v := k.codec.get(c); k.name != "development.enabled" && k.name != "mutualSSLConfig.ciphers" {
			if _, secret := v.(Secret); !secret && v != "" {
				s.Default = v
			}
		}
		if k.codec.path {
			s = pathShape(s, k.name)
		}
		g.add(k.name, s)
		for _, old := range k.old {
			g.add(old, &shape{Description: "Now " + k.name + ". " + k.doc, Deprecated: true, AnyOf: s.AnyOf, Not: s.Not, Type: s.Type})
		}
	}
	for i := range issuerKeys {
		k := &issuerKeys[i]
		s := described(&k.codec, k.doc)
		if k.codec.path {
			s = pathShape(s, k.name)
		}
		g.add(issuerTable+".#."+k.name, s)
	}
	for _, r := range rowTables {
		r.shapes(g.add)
	}
	for i := range unusedKeys {
		g.add(unusedKeys[i].name, unusedKeys[i].shape())
	}
	root := g.tables[""]
	defs := map[string]*shape{
		"reference": {
			Description: "A value from the environment or from a file: ${env:NAME}, ${file:PATH}.",
			Type:        "string", Pattern: reference,
		},
	}
	for name, t := range g.tables {
		if name == "" {
			continue
		}
		defs[name] = t
		// "a.b" in quotes is the same table as a.b; WSO2's files have some.
		if quoted := strings.TrimSuffix(name, ".#"); strings.Contains(quoted, ".") && !strings.ContainsAny(quoted, "#*") {
			root.PatternProperties["^"+regexp.QuoteMeta(quoted)+"$"] = g.ref(name)
		}
		if before, ok := strings.CutSuffix(name, ".*"); ok {
			root.PatternProperties["^"+regexp.QuoteMeta(before)+`\..+$`] = g.ref(name)
		}
	}
	text := textShape("")
	for p, s := range map[string]*shape{
		"endpoint_[0-9]{1,4}":       {AnyOf: []*shape{textShape("^" + urlPattern + "$"), {Ref: "#/$defs/reference"}}},
		"[0-9]{1,4}_etcdKey":        text,
		"basic_(username|password)": text,
	} {
		root.PatternProperties["^.+_(prod|sand)_"+p+"$"] = s
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(struct {
		Schema string `json:"$schema"`
		ID     string `json:"$id"`
		Title  string `json:"title"`
		Defs   any    `json:"$defs"`
		*shape
	}{"https://json-schema.org/draft/2020-12/schema", "urn:micro-gw:schema:conf", "micro-gw.conf", defs, root})
}

// schemaMaker holds the tables of the file by their names, "#" for an element of
// an array and "*" for a name that the operator chooses.
type schemaMaker struct{ tables map[string]*shape }

func newTable(name string) *shape {
	s := &shape{Type: "object", Properties: map[string]*shape{}, PatternProperties: map[string]*shape{}, AdditionalProperties: false}
	if strings.HasSuffix(name, "#") {
		s.Description = "Also written as one table, if there is one only."
	}
	return s
}

func (g *schemaMaker) ref(name string) *shape {
	one := &shape{Ref: "#/$defs/" + strings.ReplaceAll(strings.ReplaceAll(name, "#", "%23"), "*", "%2A")}
	if strings.HasSuffix(name, "#") {
		return &shape{AnyOf: []*shape{{Type: "array", Items: one}, one}}
	}
	return one
}

// add puts a key into the table that its name leads to, and makes the tables on
// the way.
func (g *schemaMaker) add(name string, s *shape) {
	parts := strings.Split(name, ".")
	table := ""
	for i := 0; i < len(parts)-1; i++ {
		inner := join(table, parts[i])
		if i+1 < len(parts)-1 && parts[i+1] == "#" {
			inner += ".#"
		}
		if g.tables[inner] == nil {
			g.tables[inner] = newTable(inner)
		}
		g.put(table, parts[i], g.ref(inner))
		if strings.HasSuffix(inner, "#") {
			i++
		}
		table = inner
	}
	g.put(table, parts[len(parts)-1], s)
}

func (g *schemaMaker) put(table, name string, s *shape) {
	t := g.tables[table]
	if name == "*" {
		// One or more parts that the operator chooses: the name may have dots of
		// its own, with or without quotes.
		t.AdditionalProperties = s
		return
	}
	t.Properties[name] = s
}

// described is the shape of a key that this version acts on. Any value may come
// from elsewhere.
func described[T any](c *codec[T], doc string) *shape {
	s := &shape{Description: doc}
	if c.shape == nil { // any value, as far as editors know
		return s
	}
	if c.unit != "" {
		s.Description = strings.TrimSuffix(doc, ".") + " (" + c.unit + ")."
	}
	if c.shape.Type == "string" && c.shape.Pattern == "" && c.shape.Not == nil {
		s.Type = "string"
		return s
	}
	s.AnyOf = append(slices.Clone(alternatives(c.shape)), &shape{Ref: "#/$defs/reference"})
	return s
}

func alternatives(s *shape) []*shape {
	if s.Type == "" && s.Not == nil {
		return s.AnyOf
	}
	return []*shape{s}
}

// pathShape adds that WSO2's placeholder is not expanded, except where it names
// what can be left out.
func pathShape(s *shape, key string) *shape {
	home := textShape(homePath)
	s.Not = home
	file := map[string]string{"listenerConfig.keyStorePath": wso2KeyStore, "listenerConfig.trustStorePath": wso2TrustStore}[key]
	if file == "" {
		return s
	}
	return &shape{Description: s.Description, AnyOf: []*shape{{Type: "string", Not: home}, textShape(shippedPath(file))}}
}

// shape lets everything pass that Load does. A key without effect may have any
// value, unless passing over it would open something.
func (u *unused) shape() *shape {
	s := &shape{Description: fmt.Sprintf("Without effect: %s.", u.note), Deprecated: true}
	if u.refuse == "" {
		return s
	}
	s.Description = fmt.Sprintf("Refused where it asks for something: %s.", u.note)
	if len(u.harmless) == 0 {
		s.Not = &shape{}
		return s
	}
	for _, h := range u.harmless {
		switch {
		case strings.HasSuffix(h, ".p12"):
			s.AnyOf = append(s.AnyOf, textShape(shippedPath(h)))
		case h == "false":
			s.AnyOf = append(s.AnyOf, &shape{Enum: []any{false, h}})
		default:
			s.AnyOf = append(s.AnyOf, &shape{Enum: []any{h}})
		}
	}
	s.AnyOf = append(s.AnyOf, &shape{Ref: "#/$defs/reference"})
	return s
}
