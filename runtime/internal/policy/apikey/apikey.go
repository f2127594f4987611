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
	key, found := s.read(x)
	switch {
	case found > 1:
		return nil, s.repeated
	case len(key) == 0:
		return nil, s.missing
	}
	return s.v.Verify(x, key)
}

// read returns the key in the place, and how many there are.
func (s *Scheme) read(x *exchange.Exchange) (key []byte, found int) {
	switch s.in.where {
	case Header:
		for i := range x.Request.Fields {
			if h := &x.Request.Fields[i]; !h.Deleted() && exchange.EqualFold(h.Name, s.in.lower) {
				key = exchange.Trim(h.Value)
				found++
			}
		}
	case Query:
		for part := range bytes.SplitSeq(x.Query, []byte("&")) {
			if name, value, _ := bytes.Cut(part, []byte("=")); s.parameter(name) {
				key = value
				if plain, err := url.QueryUnescape(string(value)); err == nil {
					key = []byte(plain)
				}
				found++
			}
		}
	case Cookie:
		return x.Request.Cookie(s.in.name)
	}
	return key, found
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

// Hide takes the key out of the forwarded request.
func (s *Scheme) Hide(x *exchange.Exchange) {
	switch s.in.where {
	case Header:
		// Also as an upstream that takes "_" for "-" would read it.
		x.Request.DeleteAlike(s.in.lower)
	case Query:
		x.Query = s.without(x)
		x.HasQuery = x.HasQuery && len(x.Query) > 0
	case Cookie:
		x.DeleteCookie(s.in.name)
	}
}

// without returns the query without the key. What has none is returned as it is.
func (s *Scheme) without(x *exchange.Exchange) []byte {
	var kept []byte
	changed := false
	for rest, more := x.Query, len(x.Query) > 0; more; {
		var part []byte
		before := len(x.Query) - len(rest)
		part, rest, more = bytes.Cut(rest, []byte("&"))
		switch name, _, _ := bytes.Cut(part, []byte("=")); {
		case s.parameter(name):
			if !changed {
				changed = true
				// All before it is kept as it was.
				kept = append(x.Bytes(len(x.Query))[:0], bytes.TrimSuffix(x.Query[:before], []byte("&"))...)
			}
		case changed:
			if len(kept) > 0 {
				kept = append(kept, '&')
			}
			kept = append(kept, part...)
		}
	}
	if !changed {
		return x.Query
	}
	return kept
}

// Nobody is the verifier where no keys are given out.
type Nobody struct{}

// Verify implements Verifier.
func (Nobody) Verify(*exchange.Exchange, []byte) (*exchange.Principal, error) {
	return nil, fault.InvalidCredentials.Because(fmt.Errorf("no issuer of API keys is configured")).Challenging(Challenge)
}
