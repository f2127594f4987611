package conf

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Formats of Print.
const (
	Text = "text"
	JSON = "json"
)

// A line is a key with what is in force.
type line struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// Print writes what is in force and where each value is from, with secrets
// masked. As Text it is a conf file that sets everything, so that what two
// gateways do differently is a diff.
func (c *Config) Print(w io.Writer, format string) error {
	lines := c.lines()
	switch format {
	case Text:
		width := 0
		texts := make([]string, len(lines))
		for i, l := range lines {
			texts[i] = keyLiteral(l.Key) + " = " + literal(l.Value)
			if l.Key == "development.enabled" && c.Development {
				texts[i] = "# " + texts[i] // which a file cannot say
			}
			if len(texts[i]) <= 72 {
				width = max(width, len(texts[i]))
			}
		}
		var b strings.Builder
		for i, l := range lines {
			fmt.Fprintf(&b, "%-*s  # %s\n", width, texts[i], printable(l.Source))
		}
		for _, warning := range c.Warnings {
			fmt.Fprintf(&b, "# warning: %s\n", comment(warning))
		}
		_, err := io.WriteString(w, b.String())
		return err
	case JSON:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			File     string   `json:"file"`
			Settings []line   `json:"settings"`
			Warnings []string `json:"warnings"`
		}{c.path, lines, append([]string{}, c.Warnings...)})
	}
	return fmt.Errorf("format %q is neither text nor json", format)
}

// comment makes text fit for a TOML comment, which has no control characters but
// tabs: the name of a variable may have some.
func comment(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
	return strings.ReplaceAll(s, "\n", "\n#")
}

// Source says where the value of the key called name is from: FILE:LINE:COL,
// "env NAME", "-e", "--dev" or "default". It knows the keys of Overrides, too.
func (c *Config) Source(name string) string {
	if at, ok := c.sources[name]; ok {
		return at.String()
	}
	return "default"
}

func (c *Config) lines() []line {
	var all []line
	// The names without a table come first: in a file they have to.
	for _, name := range slices.Sorted(maps.Keys(c.Overrides)) {
		var v any = c.Overrides[name]
		if m := dynamic.FindStringSubmatch(name); m != nil && m[1] != "" {
			v = NewSecret(c.Overrides[name])
		} else if u, err := url.Parse(c.Overrides[name]); err == nil && u.User != nil {
			v = u.Redacted()
		}
		all = append(all, line{name, v, c.Source(name)})
	}
	for i := range configKeys {
		k := &configKeys[i]
		all = append(all, line{k.name, k.codec.get(c), c.Source(k.name)})
	}
	for i := range c.Issuers {
		for j := range issuerKeys {
			k := &issuerKeys[j]
			name := issuerKey(i, k.name)
			all = append(all, line{name, k.codec.get(&c.Issuers[i]), c.Source(name)})
		}
	}
	for _, r := range rowTables {
		all = append(all, r.lines(c)...)
	}
	return all
}

// literal writes v as TOML does.
func literal(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case Secret:
		return quote(v.String())
	case []string:
		all := make([]string, len(v))
		for i, s := range v {
			all[i] = quote(s)
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return quote(fmt.Sprint(v))
}

func keyLiteral(name string) string {
	bare := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	if dynamic.MatchString(name) && strings.Contains(name, ".") ||
		strings.IndexFunc(name, func(r rune) bool { return !bare(r) }) >= 0 {
		return quote(name)
	}
	return name
}

// quote writes a TOML basic string, whose escapes are fewer than Go's.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
