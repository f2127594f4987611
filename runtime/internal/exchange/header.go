package exchange

// FieldID names the header fields that the gateway itself looks at, so that a
// name is compared once, when the head is parsed.
type FieldID uint8

const (
	Other FieldID = iota
	Accept
	Authorization
	Connection
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	KeepAlive
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Referer
	Server
	TE
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Via
	XForwardedFor
	XForwardedHost
	XForwardedProto
	numFieldIDs
	deleted FieldID = 0xff
)

var fieldNames = [numFieldIDs]string{
	Accept: "accept", Authorization: "authorization", Connection: "connection",
	ContentLength: "content-length", ContentType: "content-type", Cookie: "cookie",
	Date: "date", Expect: "expect", Forwarded: "forwarded", Host: "host",
	KeepAlive: "keep-alive", ProxyAuthenticate: "proxy-authenticate",
	ProxyAuthorization: "proxy-authorization", ProxyConnection: "proxy-connection",
	Referer: "referer", Server: "server", TE: "te", Trailer: "trailer",
	TransferEncoding: "transfer-encoding", Upgrade: "upgrade", UserAgent: "user-agent",
	Via: "via", XForwardedFor: "x-forwarded-for", XForwardedHost: "x-forwarded-host",
	XForwardedProto: "x-forwarded-proto",
}

// slot is where a name of n bytes is looked for, by its first and last letter
// in lower case. The multipliers were chosen so that no two known names share
// a slot, and that names often seen find theirs empty.
func slot(n int, first, last byte) uint8 {
	return uint8(n + int(first)*3 + int(last)*15)
}

// slots holds the one field that a slot may be.
var slots = func() (t [256]FieldID) {
	for id := FieldID(1); id < numFieldIDs; id++ {
		n := fieldNames[id]
		s := slot(len(n), n[0], n[len(n)-1])
		if t[s] != Other {
			panic("exchange: " + n + " and " + fieldNames[t[s]] + " share a slot")
		}
		t[s] = id
	}
	return
}()

// FieldIDOf classifies a field name, in any letter case.
func FieldIDOf(name []byte) FieldID {
	if len(name) < 2 {
		return Other
	}
	id := slots[slot(len(name), name[0]|0x20, name[len(name)-1]|0x20)]
	if id != Other && EqualFold(name, fieldNames[id]) {
		return id
	}
	return Other
}

// EqualFold reports whether name is lower, which must be in lower case,
// ignoring the case of ASCII letters.
func EqualFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Trim cuts optional white space (RFC 9110, section 5.6.3) off both ends.
func Trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// A Field is one header field: views that live as long as the exchange.
type Field struct {
	Name, Value []byte
	ID          FieldID
}

// Deleted reports whether the field has been taken out; it is to be skipped.
func (f *Field) Deleted() bool { return f.ID == deleted }

// Delete takes the field out.
func (f *Field) Delete() { f.ID = deleted }

// A Header is an ordered list of fields. The zero value is empty.
type Header struct {
	Fields []Field
	// Received is how many of the fields came with the message. Those behind
	// are the gateway's own: the sender's Connection field has no power over
	// them.
	Received int
}

// Reset empties h and keeps its memory.
func (h *Header) Reset() { h.Fields, h.Received = h.Fields[:0], 0 }

// Append adds a field that is already classified.
func (h *Header) Append(f Field) { h.Fields = append(h.Fields, f) }

// Add adds a field. Name and value must live as long as the exchange.
func (h *Header) Add(name, value []byte) {
	h.Fields = append(h.Fields, Field{Name: name, Value: value, ID: FieldIDOf(name)})
}

// Find returns the first field with the given ID, or nil.
func (h *Header) Find(id FieldID) *Field {
	for i := range h.Fields {
		if h.Fields[i].ID == id {
			return &h.Fields[i]
		}
	}
	return nil
}

// Get returns the value of the first field of that name, which must be in
// lower case, and whether there is one.
func (h *Header) Get(lower string) ([]byte, bool) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != deleted && EqualFold(f.Name, lower) {
			return f.Value, true
		}
	}
	return nil, false
}

// Count returns how many fields have that name, which must be in lower case.
func (h *Header) Count(lower string) (n int) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != deleted && EqualFold(f.Name, lower) {
			n++
		}
	}
	return n
}

// Delete takes out every field of that name, which must be in lower case.
func (h *Header) Delete(lower string) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != deleted && EqualFold(f.Name, lower) {
			f.ID = deleted
		}
	}
}

// DeleteAlike takes out every field of that name, which must be in lower case,
// and those with "_" for "-": many an upstream takes one for the other (RFC 3875,
// section 4.1.18).
func (h *Header) DeleteAlike(lower string) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID != deleted && alike(f.Name, lower) {
			f.ID = deleted
		}
	}
}

func alike(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if w := lower[i]; c != w && !(c == '_' && w == '-' || c == '-' && w == '_') {
			return false
		}
	}
	return true
}

// DeleteID takes out every field with that ID.
func (h *Header) DeleteID(id FieldID) {
	for i := range h.Fields {
		if h.Fields[i].ID == id {
			h.Fields[i].ID = deleted
		}
	}
}
