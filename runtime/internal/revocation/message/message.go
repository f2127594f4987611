// Package message reads what brokers deliver about revoked tokens.
//
// What surprises: nobody agrees on the form. WSO2 sends JMS map messages, which
// arrive as XML, JSON or a binary table depending on the protocol; ActiveMQ's
// REST servlet turns a form into a text message without text whose fields are
// properties; other token services send JSON, a form or the bare id. All of
// these are understood, by what the message holds and not by what it says of
// itself alone: a content type helps, a wrong one does not hurt.
package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what is looked at.
const (
	MaxBody  = 1 << 20
	MaxID    = 32 << 10 // of an id, which may be a whole token
	maxItems = 10_000   // members of a map
	maxDepth = 8
)

// A Message is what a broker delivered.
type Message struct {
	ContentType string
	// Properties are the message's own (headers of a frame, application
	// properties), under their names.
	Properties map[string]any
	Body       []byte
	// Map is the body where the protocol has decoded it already.
	Map map[string]any
}

// A Revocation is one token that is not to be accepted any more.
type Revocation struct {
	ID      string
	TTL     time.Duration // 0: not said
	Expires time.Time     // of the token; zero: not said
	Type    string        // what the sender calls the kind of token; "" if nothing
}

// ErrNothing says that a message names no token.
var ErrNothing = errors.New("no member named revokedToken in the message")

// Decode returns what m revokes. If it is a list of which not all can be taken, the
// error says why the first of the others cannot, beside those that can; without an
// error there is one at least. How many there may be, MaxBody bounds.
func Decode(m Message) ([]Revocation, error) {
	if len(m.Body) > MaxBody {
		return nil, fmt.Errorf("message of %d bytes: more than %d", len(m.Body), MaxBody)
	}
	var all []Revocation
	add := func(members map[string]any) error {
		r, err := fromMembers(members)
		if err == nil {
			all = append(all, r)
		}
		return err
	}
	if m.Map != nil {
		if err := add(m.Map); err == nil || !errors.Is(err, ErrNothing) {
			return all, err
		}
	}
	// Properties first: a message that has them means them, and its body is
	// empty or for people.
	if err := add(m.Properties); err == nil || !errors.Is(err, ErrNothing) {
		return all, err
	}
	if len(m.Body) == 0 {
		return nil, ErrNothing
	}
	err := decodeBody(m, add)
	return all, err
}

func decodeBody(m Message, add func(map[string]any) error) error {
	kind, _, _ := strings.Cut(strings.ToLower(m.ContentType), ";")
	kind = strings.TrimSpace(kind)
	if kind == "amqp/map" || kind == "jms/map-message" {
		members, err := amqpMap(m.Body)
		if err != nil {
			return err
		}
		return add(members)
	}
	if !utf8.Valid(m.Body) {
		if members, err := amqpMap(m.Body); err == nil {
			return add(members)
		}
		return errors.New("neither text nor a map")
	}
	body := bytes.TrimSpace(bytes.TrimPrefix(m.Body, []byte("\xef\xbb\xbf")))
	switch {
	case len(body) == 0:
		return ErrNothing
	case body[0] == '{' || body[0] == '[' || body[0] == '"':
		return decodeJSON(body, add)
	case body[0] == '<':
		members, err := xmlMap(body)
		if err != nil {
			return err
		}
		return add(members)
	case bytes.IndexByte(body, 0) >= 0:
		// A small map may happen to be valid UTF-8; text has no NUL.
		members, err := amqpMap(m.Body)
		if err != nil {
			return errors.New("neither text nor a map")
		}
		return add(members)
	case bytes.IndexByte(body, '=') >= 0 && (kind == "application/x-www-form-urlencoded" || formNames(body)):
		return addForm(string(body), add)
	case body[0] != '=':
		id, err := checkID(string(body))
		if err != nil {
			return err
		}
		// What there is to say of it beside the text is in the properties.
		members := maps.Clone(m.Properties)
		if members == nil {
			members = map[string]any{}
		}
		members["revokedToken"] = id
		return add(members)
	}
	return ErrNothing
}

// addForm adds what a form names: if a member is there several times, all of them.
// A part that is not well-formed does not keep the others from being revoked.
func addForm(body string, add func(map[string]any) error) (first error) {
	failed := func(err error) {
		if first == nil {
			first = err
		}
	}
	all := map[string][]string{}
	for part := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		m := member(name)
		if err != nil || m == "" {
			continue // of somebody else
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			failed(errors.New("form: a value is not well-formed"))
			if m == "revokedToken" {
				value = "" // names nothing, and what belongs to the others stays theirs
			}
		}
		all[m] = append(all[m], value)
	}
	for i := range max(1, len(all["revokedToken"])) {
		members := map[string]any{}
		for name, values := range all {
			members[name] = values[min(i, len(values)-1)]
		}
		if err := add(members); err != nil {
			failed(err)
		}
	}
	return first
}

// formNames reports whether body has one of our members where a form has names.
func formNames(body []byte) bool {
	for part := range bytes.SplitSeq(body, []byte("&")) {
		name, _, ok := bytes.Cut(part, []byte("="))
		if ok && member(string(name)) != "" {
			return true
		}
	}
	return false
}

// member returns which of the members a name is, in whichever of the ways that
// it is written ("revoked_token", "RevokedToken").
func member(name string) string {
	if len(name) > 32 {
		return ""
	}
	switch strings.ToLower(joints.Replace(name)) {
	case "revokedtoken":
		return "revokedToken"
	case "ttl":
		return "ttl"
	case "expirytime":
		return "expiryTime"
	case "type", "tokentype":
		return "type"
	}
	return ""
}

var joints = strings.NewReplacer("_", "", "-", "")

func fromMembers(members map[string]any) (r Revocation, err error) {
	if len(members) > maxItems {
		return r, errors.New("too many members")
	}
	// The exact name wins over one that is only like it.
	found := map[string]any{}
	for name, value := range members {
		if m := member(name); m != "" {
			if _, ok := found[m]; !ok || name == m {
				found[m] = value
			}
		}
	}
	id, ok := text(found["revokedToken"])
	if !ok || id == "" {
		return r, ErrNothing
	}
	if r.ID, err = checkID(id); err != nil {
		return r, err
	}
	if s, ok := text(found["ttl"]); ok && s != "" {
		// Not a number: the token is revoked none the less.
		if f, ok := number(s); ok && f > 0 {
			r.TTL = time.Duration(min(f, maxSeconds) * float64(time.Second))
		}
	}
	if s, ok := text(found["expiryTime"]); ok && s != "" {
		// A small number is no date but, say, seconds to live: the token is revoked
		// none the less.
		if f, ok := number(s); ok && f >= firstDate {
			r.Expires = date(f)
		}
	}
	if s, ok := text(found["type"]); ok && len(s) <= 64 {
		r.Type = s
	}
	return r, nil
}

// maxSeconds is 100 years.
const maxSeconds = 100 * 365 * 24 * 3600

// firstDate is in 2001, when there were no such tokens; in seconds.
const firstDate = 1e9

func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && !math.IsNaN(f)
}

// date reads a date: milliseconds since 1970 as WSO2 has it, or seconds if it
// would be in 1973 otherwise.
func date(f float64) time.Time {
	if f >= 1e11 {
		f /= 1000
	}
	return time.Unix(int64(min(f, 253402300799)), 0)
}

func checkID(id string) (string, error) {
	id = strings.TrimSpace(id)
	// The value of an Authorization field, or of a text message for people.
	if len(id) > 7 && strings.EqualFold(id[:7], "bearer ") {
		id = strings.TrimSpace(id[7:])
	}
	switch {
	case id == "":
		return "", ErrNothing
	case len(id) > MaxID:
		return "", fmt.Errorf("the id is longer than %d bytes", MaxID)
	case strings.IndexFunc(id, unicode.IsControl) >= 0:
		return "", errors.New("the id has a control character in it")
	}
	return id, nil
}

// text returns what a value says as a text.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), utf8.Valid(v)
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int8:
		return strconv.Itoa(int(v)), true
	case int16:
		return strconv.Itoa(int(v)), true
	case int32:
		return strconv.FormatInt(int64(v), 10), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint8:
		return strconv.Itoa(int(v)), true
	case uint16:
		return strconv.Itoa(int(v)), true
	case uint32:
		return strconv.FormatUint(uint64(v), 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case time.Time:
		return strconv.FormatInt(v.UnixMilli(), 10), true
	}
	return "", false
}

// decodeJSON reads an object with our members, one in WSO2's envelope
// ({"event":{"payloadData":{...}}}), a map message as ActiveMQ writes it as JSON,
// or a list of these or of ids; or several of them, one after the other.
func decodeJSON(body []byte, add func(map[string]any) error) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var first error
	for n := 0; ; n++ {
		var v any
		err := d.Decode(&v)
		if n > 0 && err == io.EOF {
			return first
		}
		last := err != nil
		if last {
			err = fmt.Errorf("JSON: %w", err)
		} else {
			err = fromJSON(v, add, 0)
		}
		if first == nil {
			first = err
		}
		if last {
			return first
		}
	}
}

func fromJSON(v any, add func(map[string]any) error, depth int) error {
	if depth > maxDepth {
		return errors.New("JSON: too deep")
	}
	switch v := v.(type) {
	case string:
		return add(map[string]any{"revokedToken": v})
	case []any:
		if len(v) == 0 {
			return ErrNothing
		}
		// One that names no token must not keep the others from being revoked.
		var first error
		for _, e := range v {
			if err := fromJSON(e, add, depth+1); err != nil && first == nil {
				first = err
			}
		}
		return first
	case map[string]any:
		err := add(v)
		if !errors.Is(err, ErrNothing) {
			return err
		}
		if inner, ok := v["map"].(map[string]any); ok {
			if members := entries(inner["entry"]); members != nil {
				return add(members)
			}
		}
		for _, name := range []string{"event", "payloadData"} {
			if inner, ok := v[name].(map[string]any); ok {
				return fromJSON(inner, add, depth+1)
			}
		}
		return err
	}
	return ErrNothing
}

// entries reads the entries of a map as XStream writes it as JSON. Each is an
// object of types; a key and a value of the same type share a list
// ({"string":["k","v"]}), others do not ({"string":"k","long":1}). A map of one
// entry has no list around it.
func entries(v any) map[string]any {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	members := map[string]any{}
	for _, e := range list {
		object, ok := e.(map[string]any)
		if !ok || len(object) > 2 {
			return nil
		}
		var key, value any
		switch s := object["string"].(type) {
		case []any:
			if len(s) != 2 {
				return nil
			}
			key, value = s[0], s[1]
		default:
			key = s
			for typ, v := range object {
				if typ != "string" {
					value = v
				}
			}
		}
		// A key that looks like a number was made one.
		name, ok := text(key)
		if !ok {
			return nil
		}
		members[name] = value
	}
	return members
}
