// Package scope lets a request pass if its token grants the scopes that the
// operation asks for: any one of them, as in WSO2 API Microgateway since 3.0.2,
// or all where the definition says so.
//
// Nothing is remembered between requests: what a token may do is judged each
// time, for the operation at hand.
package scope

import (
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Scope is the scopes that an operation asks for.
type Scope struct {
	names   []string
	all     bool
	missing *fault.Fault
}

// New makes a stage that asks for any one of the scopes, or for all of them. No
// scope at all is one that nobody has: a list that got lost on the way must not
// open an operation.
func New(scopes []string, all bool) *Scope {
	s := &Scope{names: slices.Clone(scopes), all: all, missing: fault.ScopeMissing}
	// The scopes that would do (RFC 6750, section 3). Names that do not fit
	// into a quoted string as they are, which RFC 6749, section 3.3 does not
	// allow anyway, are left out.
	var names []string
	for _, n := range scopes {
		if n != "" && !strings.ContainsFunc(n, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }) {
			names = append(names, n)
		}
	}
	if len(names) > 0 {
		s.missing = fault.ScopeMissing.Challenging(`Bearer realm="micro-gw", error="insufficient_scope", scope="` + strings.Join(names, " ") + `"`)
	}
	return s
}

// Request refuses x with 403 unless its principal has the scopes, and with 401
// if it has no principal: nobody has been granted anything then.
func (s *Scope) Request(x *exchange.Exchange) error {
	p := x.Principal
	if p == nil {
		return fault.MissingCredentials.Becausef("scopes %q asked of a request without a principal", s.names)
	}
	return s.Allows(p)
}

// Allows refuses p with 403 unless it has the scopes.
func (s *Scope) Allows(p *exchange.Principal) error {
	if p.ScopesJudged {
		return nil
	}
	granted := 0
	for _, n := range s.names {
		if p.HasScope(n) {
			granted++
		}
	}
	if granted > 0 && (!s.all || granted == len(s.names)) {
		return nil
	}
	how := "any"
	if s.all {
		how = "all"
	}
	return s.missing.Because(fmt.Errorf("token has %.100q (of %d), %s of %q needed", p.Scopes[:min(len(p.Scopes), 20)], len(p.Scopes), how, s.names))
}
