// Package authn decides who may call an operation that knows several ways to
// prove it: any one alternative suffices, and within an alternative everything
// must hold (OpenAPI, "Security Requirement Object"). It is the one place that
// combines; how a single kind of credentials is checked is a Scheme, and those
// live in packages of their own.
//
// What surprises:
//
//   - Alternatives are tried in the order given (plan puts them into WSO2's), and
//     the first that holds counts. Credentials of another kind that came along are not looked
//     at, and still not forwarded: Hide is called for every scheme of the
//     operation.
//   - Scopes belong to the requirement that names them. A caller who has proved
//     a password is not asked for the scopes of the token beside it.
//   - Of several refusals the client is told the one that brings it furthest:
//     "you lack a scope" before "your token is not valid" before "not with this
//     scheme" before "nothing given". But if somebody could not be asked whether
//     credentials are good, that is the answer, and no verdict on them.
package authn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Scheme proves who calls by one kind of credentials.
type Scheme interface {
	// Prove returns who the request's credentials of this kind speak for. The
	// error is a *fault.Fault: 900902 or caused by exchange.ErrNoCredentials if
	// there are none of this kind, 900917 if there are some of another in their
	// place.
	Prove(*exchange.Exchange) (*exchange.Principal, error)
	// Hide takes them out of the request that is forwarded.
	Hide(*exchange.Exchange)
	// Challenge is what WWW-Authenticate says of this scheme (RFC 9110, section
	// 11.6.1); "" if no client could act upon it.
	Challenge() string
}

// A Requirement is one thing that must be proved. It is given what was, and
// says whether that will do: the scopes of package scope.
type Requirement struct {
	Scheme Scheme
	// Allows judges the principal that the scheme has proved; nil: it will do.
	// The error is a *fault.Fault.
	Allows func(*exchange.Principal) error
}

// MaxSchemes bounds how many different schemes an operation may ask for.
const MaxSchemes = 8

// An Authn decides for one operation, or for several that ask for the same. It
// is safe for concurrent use.
type Authn struct {
	schemes      []Scheme
	alternatives [][]requirement
	missing      *fault.Fault // nothing given
	wrong        *fault.Fault // something that none of the schemes takes
}

type requirement struct {
	scheme int
	allows func(*exchange.Principal) error
}

// New checks the alternatives. header is named to those who send nothing.
func New(alternatives [][]Requirement, header string) (*Authn, error) {
	a := &Authn{}
	var challenges []string
	for _, alt := range alternatives {
		if len(alt) == 0 {
			// "Nothing is needed" must not come about by a list that got lost.
			return nil, errors.New("an alternative without requirements would let everybody in")
		}
		var own []requirement
		for _, r := range alt {
			own = append(own, requirement{a.scheme(r.Scheme), r.Allows})
			if c := r.Scheme.Challenge(); c != "" && !slices.Contains(challenges, c) {
				challenges = append(challenges, c)
			}
		}
		a.alternatives = append(a.alternatives, own)
	}
	if len(a.alternatives) == 0 {
		return nil, errors.New("no alternative: nobody could call")
	}
	if len(a.schemes) > MaxSchemes {
		return nil, fmt.Errorf("%d different security schemes; %d at most", len(a.schemes), MaxSchemes)
	}
	challenge := strings.Join(challenges, ", ")
	a.missing = fault.MissingCredentialsIn(header).Becausef("no credentials of any kind").Challenging(challenge)
	a.wrong = fault.InvalidScheme.Becausef("credentials of a kind that the operation does not take").Challenging(challenge)
	return a, nil
}

func (a *Authn) scheme(s Scheme) int {
	if i := slices.Index(a.schemes, s); i >= 0 {
		return i
	}
	a.schemes = append(a.schemes, s)
	return len(a.schemes) - 1
}

// proof is what a scheme has said about a request. Each is asked once.
type proof struct {
	principal *exchange.Principal
	err       error
	asked     bool
}

// Request is the request half of a stage. It sets the exchange's principal.
func (a *Authn) Request(x *exchange.Exchange) error {
	var proofs [MaxSchemes]proof
	var why refusal
	for _, alt := range a.alternatives {
		p, err := a.try(x, alt, &proofs)
		if err == nil {
			x.Principal = p
			for _, s := range a.schemes {
				s.Hide(x)
			}
			return nil
		}
		why.consider(err)
	}
	return a.refuse(&why)
}

// try judges one alternative. The principal is the first that is somebody: a
// certificate beside a token only says by whom the token was brought.
func (a *Authn) try(x *exchange.Exchange, alt []requirement, proofs *[MaxSchemes]proof) (*exchange.Principal, error) {
	var who *exchange.Principal
	var failed refusal
	for _, r := range alt {
		p := &proofs[r.scheme]
		if !p.asked {
			p.principal, p.err = a.schemes[r.scheme].Prove(x)
			p.asked = true
			if p.err == nil && p.principal == nil {
				p.err = fault.Internal.Becausef("scheme %T proved nobody", a.schemes[r.scheme])
			}
		}
		err := p.err
		if err == nil && r.allows != nil {
			err = r.allows(p.principal)
		}
		if err != nil {
			failed.weakest(err)
			continue
		}
		if who == nil || who.Scheme == exchange.Certificate {
			who = p.principal
		}
	}
	if failed.err != nil {
		return nil, failed.err
	}
	return who, nil
}

// refuse makes the answer.
func (a *Authn) refuse(why *refusal) error {
	if len(a.schemes) == 1 {
		return why.err // the scheme knows best what to say
	}
	switch why.rank {
	case rankAbsent:
		if errors.Is(why.err, exchange.ErrNoCredentials) {
			return why.err // everything else was there
		}
		return a.missing
	case rankScheme:
		return a.wrong
	}
	return why.err
}

// A refusal is the reason that counts of several.
type refusal struct {
	err  error
	rank rank
}

type rank uint8

const (
	rankNone rank = iota
	rankAbsent
	rankScheme      // credentials of a kind that is not for this operation
	rankRefused     // credentials that are not good
	rankForbidden   // good ones that do not suffice
	rankUnavailable // nobody knows
)

func rankOf(err error) rank {
	var f *fault.Fault
	switch {
	case errors.Is(err, exchange.ErrNoCredentials):
		return rankAbsent
	case !errors.As(err, &f) || f.Status >= 500:
		return rankUnavailable
	case f.Status == 403:
		return rankForbidden
	case f.Code == fault.MissingCredentials.Code:
		return rankAbsent
	case f.Code == fault.InvalidScheme.Code:
		return rankScheme
	}
	return rankRefused
}

// consider keeps err if it tells the client more than what is there: between
// alternatives.
func (r *refusal) consider(err error) {
	if k := rankOf(err); k > r.rank || k == r.rank && r.silent(err) {
		r.err, r.rank = err, k
	}
}

// weakest keeps err if it stands closer to the beginning: of things that must
// all hold, what is missing comes before what is lacking. That nobody could be
// asked does not matter where something else has been refused for good.
func (r *refusal) weakest(err error) {
	if k := rankOf(err); r.rank == rankNone || k < r.rank || k == r.rank && r.silent(err) {
		r.err, r.rank = err, k
	}
}

// silent reports whether err can be acted upon and what is there cannot: to send
// a header field is easier than to come by a certificate.
func (r *refusal) silent(err error) bool {
	return r.rank == rankAbsent && errors.Is(r.err, exchange.ErrNoCredentials) && !errors.Is(err, exchange.ErrNoCredentials)
}
