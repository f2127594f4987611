package exchange

import "strings"

// Credentials is the request header field that carries a scheme and what proves
// who calls (RFC 9110, section 11.4): Authorization, or the one that an API
// names instead.
type Credentials struct {
	Name  string
	lower string
	id    FieldID
	alike bool // there are names that an upstream may take for it
}

// CredentialsIn returns the field of that name.
func CredentialsIn(name string) *Credentials {
	return &Credentials{Name: name, lower: strings.ToLower(name), id: FieldIDOf([]byte(name)), alike: strings.ContainsAny(name, "-_")}
}

// Read returns the scheme and what follows it after one or more blanks, and how
// many fields of that name there are. Whoever reads more than one may pick
// another than the upstream does (RFC 9110, section 5.3: a sender must not
// repeat such a field), so the caller refuses them.
func (c *Credentials) Read(h *Header) (scheme, rest []byte, found int) {
	var value []byte
	for i := range h.Fields {
		if f := &h.Fields[i]; c.is(f) {
			value = f.Value
			found++
		}
	}
	scheme, rest = cutScheme(value)
	return scheme, rest, found
}

// cutScheme parts a field's value at the first blank.
func cutScheme(value []byte) (scheme, rest []byte) {
	value = Trim(value)
	for i, b := range value {
		if b == ' ' || b == '\t' {
			return value[:i], Trim(value[i:])
		}
	}
	return value, nil
}

// Uses reports whether a field of that name has the scheme, which must be in lower
// case.
func (c *Credentials) Uses(h *Header, scheme string) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; c.is(f) {
			if name, _ := cutScheme(f.Value); EqualFold(name, scheme) {
				return true
			}
		}
	}
	return false
}

// Delete takes the field out of h, and those that an upstream may take for it.
func (c *Credentials) Delete(h *Header) {
	switch {
	case c.alike:
		h.DeleteAlike(c.lower)
	case c.id != Other:
		h.DeleteID(c.id)
	default:
		h.Delete(c.lower)
	}
}

func (c *Credentials) is(f *Field) bool {
	return f.ID == c.id && (c.id != Other || EqualFold(f.Name, c.lower))
}
