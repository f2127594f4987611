// Package apikey lets a request in that carries an API key in a header field, a
// query parameter or a cookie.
//
// A key is a token that the gateway's operator has signed for an application
// (the JWT form of WSO2 API Microgateway 3.1), so it is checked like one,
// without asking anybody. What surprises: the key never reaches the upstream,
// wherever it was, and a place that holds more than one is refused, for the
// upstream might look at the other.
package apikey

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// In is where keys are.
type In uint8

const (
	Header In = iota
	Query
	Cookie
)

func (i In) String() string { return [...]string{"header", "query parameter", "cookie"}[i] }

// A Verifier says whom a key was given to. The error is a *fault.Fault.
type Verifier interface {
	Verify(x *exchange.Exchange, key []byte) (*exchange.Principal, error)
}

// A Scheme is keys in one place. It is safe for concurrent use.
type Scheme struct {
	in                in
	v                 Verifier
	missing, repeated *fault.Fault
}

type in struct {
	where In
	name  string
	lower string // of a header
}

// New returns the keys in the place of that name.
func New(where In, name string, v Verifier) *Scheme {
	s := &Scheme{in: in{where, name, strings.ToLower(name)}, v: v}
	missing := fault.MissingCredentialsIn(name)
	if where != Header {
		// The text of WSO2 3.1, which knows more places than headers.
		missing = missing.Describing("Missing Credentials. Make sure your API request provides required credentials")
	}
	s.missing = missing.Becausef("no API key in the %s %s", where, name).Challenging(Challenge)
	s.repeated = fault.InvalidCredentials.Becausef("several API keys in the %s %s", where, name).Challenging(Challenge)
	return s
}

// Challenge is what WWW-Authenticate says of keys. There is no registered scheme
// for them. One must be named (RFC 9110, section 15.5.2), and this one is in
// wide use.
const Challenge = `ApiKey realm="micro-gw"`

// Challenge is what WWW-Authenticate says of keys.
func (s *Scheme) Challenge() string { return Challenge }

// Prove returns whom the request's key was given to.
func (s *Scheme) Prove(x *exchange.Exchange) (*exchange.Principal, error) {
	var key []byte
	found := 0
	s.each(x, func(value []byte) { key = value; found++ })
	switch {
	case found > 1:
		return nil, s.repeated
	case len(key) == 0:
		return nil, s.missing
	}
	return s.v.Verify(x, key)
}

// each calls f with every key in the place.
func (s *Scheme) each(x *exchange.Exchange, f func(value []byte)) {
	switch s.in.where {
	case Header:
		for i := range x.Request.Fields {
			if h := &x.Request.Fields[i]; !h.Deleted() && exchange.EqualFold(h.Name, s.in.lower) {
				f(exchange.Trim(h.Value))
			}
		}
	case Query:
		for part := range bytes.SplitSeq(x.Query, []byte("&")) {
			if name, value, _ := bytes.Cut(part, []byte("=")); s.parameter(name) {
				if plain, err := url.QueryUnescape(string(value)); err == nil {
					f([]byte(plain))
				} else {
					f(value)
				}
			}
		}
	case Cookie:
		for i := range x.Request.Fields {
			if h := &x.Request.Fields[i]; h.ID == exchange.Cookie {
				for part := range bytes.SplitSeq(h.Value, []byte(";")) {
					if name, value, _ := bytes.Cut(exchange.Trim(part), []byte("=")); string(name) == s.in.name {
						f(unquote(value))
					}
				}
			}
		}
	}
}

// parameter reports whether name is the parameter's, however it is escaped: an
// upstream reads api%5Fkey as api_key.
func (s *Scheme) parameter(name []byte) bool {
	if string(name) == s.in.name {
		return true
	}
	if bytes.IndexByte(name, '%') < 0 && bytes.IndexByte(name, '+') < 0 {
		return false
	}
	plain, err := url.QueryUnescape(string(name))
	return err == nil && plain == s.in.name
}

// unquote cuts off the quotes that a cookie's value may be in (RFC 6265,
// section 4.1.1).
func unquote(v []byte) []byte {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// Hide takes the key out of the forwarded request.
func (s *Scheme) Hide(x *exchange.Exchange) {
	switch s.in.where {
	case Header:
		x.Request.Delete(s.in.lower)
	case Query:
		x.Query = without(x, x.Query, '&', s.parameter)
		x.HasQuery = x.HasQuery && len(x.Query) > 0
	case Cookie:
		for i := range x.Request.Fields {
			h := &x.Request.Fields[i]
			if h.ID != exchange.Cookie {
				continue
			}
			rest := without(x, h.Value, ';', func(name []byte) bool { return string(exchange.Trim(name)) == s.in.name })
			if rest = exchange.Trim(rest); len(rest) == 0 {
				h.Delete()
			} else {
				h.Value = rest
			}
		}
	}
}

// without returns list, parted by sep, without the members of such names. What
// has none is returned as it is.
func without(x *exchange.Exchange, list []byte, sep byte, drop func(name []byte) bool) []byte {
	var kept []byte
	changed := false
	for rest, more := list, len(list) > 0; more; {
		var part []byte
		part, rest, more = bytes.Cut(rest, []byte{sep})
		name, _, _ := bytes.Cut(part, []byte("="))
		if drop(name) {
			if !changed {
				changed = true
				// All before it is kept as it was.
				n := len(list) - len(rest) - len(part)
				if more {
					n--
				}
				kept = append(x.Bytes(len(list))[:0], bytes.TrimSuffix(list[:n], []byte{sep})...)
			}
			continue
		}
		if changed {
			if len(kept) > 0 {
				kept = append(kept, sep)
			}
			kept = append(kept, part...)
		}
	}
	if !changed {
		return list
	}
	return kept
}

// Nobody is the verifier where no keys are given out.
type Nobody struct{}

// Verify implements Verifier.
func (Nobody) Verify(*exchange.Exchange, []byte) (*exchange.Principal, error) {
	return nil, fault.InvalidCredentials.Because(fmt.Errorf("no issuer of API keys is configured")).Challenging(Challenge)
}
