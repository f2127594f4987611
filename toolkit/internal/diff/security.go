package diff

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/schema/artifactpb"
)

// Security is compared by who gets in. An operation asks for any one of its
// alternatives, and all requirements of that one. So one side lets in everybody
// whom the other lets in if each alternative there is met by whoever meets some
// alternative here. That is exact for what a build makes, and errs on the side
// of "something else" where it is not.

// A need is a requirement, free of indexes.
type need struct {
	scheme string // what is checked, in bytes; not its name
	words  string
	scopes []string // sorted
	all    bool     // of the scopes; else any one
}

// An access is the alternatives of an operation; nil if it is open.
type access [][]need

func accessOf(a *artifactpb.Artifact, s *artifactpb.Security) access {
	if s.GetDisabled() {
		return nil
	}
	out := access{}
	for _, alt := range s.GetAlternatives() {
		needs := []need{}
		for _, r := range alt.GetRequirements() {
			n := need{all: r.GetAllScopes() && len(r.GetScopes()) > 1, scopes: slices.Clone(r.GetScopes())}
			n.scheme, n.words = schemeOf(a.GetSecuritySchemes()[r.GetScheme()])
			slices.Sort(n.scopes)
			n.scopes = slices.Compact(n.scopes)
			needs = append(needs, n)
		}
		out = append(out, needs)
	}
	return out
}

// schemeOf is what is checked. The name of a scheme is the definition's own
// affair, and a bearer token is checked alike whatever kind of scheme asks for
// it.
func schemeOf(s *artifactpb.SecurityScheme) (id, words string) {
	s = proto.CloneOf(s)
	s.Name = ""
	switch k := s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Oauth2:
		words = "token"
		k.Oauth2.Bearer = false
	case *artifactpb.SecurityScheme_OpenIdConnect:
		words = "token of " + k.OpenIdConnect.GetDiscoveryUrl()
	case *artifactpb.SecurityScheme_Basic:
		words = "user and password"
	case *artifactpb.SecurityScheme_ApiKey:
		words = fmt.Sprintf("API key in %s %s", word(k.ApiKey.GetIn().String(), "LOCATION_"), k.ApiKey.GetName())
	case *artifactpb.SecurityScheme_MutualTls:
		words = "client certificate"
	default:
		words = "another scheme"
	}
	// It was unmarshalled, or is about to be written: it can be marshalled.
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	return string(b), words
}

func (n need) String() string {
	switch {
	case len(n.scopes) == 0:
		return n.words
	case len(n.scopes) == 1:
		return n.words + " with scope " + n.scopes[0]
	case n.all:
		return n.words + " with scopes " + strings.Join(n.scopes, " and ")
	}
	return n.words + " with scope " + strings.Join(n.scopes, " or ")
}

func (a access) String() string {
	if a == nil {
		return "open"
	}
	alternatives := make([]string, len(a))
	for i, alt := range a {
		words := make([]string, len(alt))
		for i, n := range alt {
			words[i] = n.String()
		}
		alternatives[i] = strings.Join(words, " and ")
	}
	return strings.Join(alternatives, "; or ")
}

// implies reports whether whoever meets n meets m.
func (n need) implies(m need) bool {
	if n.scheme != m.scheme {
		return false
	}
	has := func(list []string, s string) bool { return slices.Contains(list, s) }
	every := func(a, b []string) bool { // of a is in b
		return !slices.ContainsFunc(a, func(s string) bool { return !has(b, s) })
	}
	switch {
	case len(m.scopes) == 0:
		return true
	case len(n.scopes) == 0:
		return false
	case (n.all || len(n.scopes) == 1) && m.all: // has all of n; needs all of m
		return every(m.scopes, n.scopes)
	case n.all: // has all of n; needs one of m
		return slices.ContainsFunc(m.scopes, func(s string) bool { return has(n.scopes, s) })
	case m.all: // has one of several; needs several
		return false
	}
	return every(n.scopes, m.scopes)
}

// within reports whether b lets in everybody whom a lets in.
func (a access) within(b access) bool {
	if b == nil {
		return true
	}
	if a == nil {
		return false
	}
	for _, x := range a {
		meets := func(y []need) bool {
			for _, m := range y {
				if !slices.ContainsFunc(x, func(n need) bool { return n.implies(m) }) {
					return false
				}
			}
			return true
		}
		if !slices.ContainsFunc(b, meets) {
			return false
		}
	}
	return true
}

// schemes are the alternatives without their scopes.
func (a access) schemes() access {
	if a == nil {
		return nil
	}
	out := access{}
	for _, alt := range a {
		var needs []need
		for _, n := range alt {
			n.scopes, n.all = nil, false
			needs = append(needs, n)
		}
		out = append(out, needs)
	}
	return out
}

// security compares what the operation asks for and reports whether it differs.
func (a *apis) security(i int, p pair) bool {
	o, n := accessOf(a.comparison.old, p.old.GetSecurity()), accessOf(a.comparison.new, p.new.GetSecurity())
	weaker, stronger := o.within(n), n.within(o)
	if weaker && stronger {
		return false
	}
	word := "security"
	if so, sn := o.schemes(), n.schemes(); so.within(sn) && sn.within(so) {
		word = "scopes"
	}
	switch {
	case n == nil:
		word = "security-removed"
	case o == nil:
		word = "security-added"
	case weaker:
		word += "-weakened"
	case stronger:
		word += "-strengthened"
	default:
		word += "-changed"
	}
	a.note(i, word, "security", o.String(), n.String())
	return true
}
