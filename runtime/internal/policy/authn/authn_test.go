package authn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/authn"
)

// A scheme says what it was told to, and counts.
type scheme struct {
	name          string
	err           error
	asked, hidden int
}

func (s *scheme) Prove(*exchange.Exchange) (*exchange.Principal, error) {
	s.asked++
	if s.err != nil {
		return nil, s.err
	}
	return &exchange.Principal{Scheme: s.name}, nil
}
func (s *scheme) Hide(*exchange.Exchange) { s.hidden++ }
func (s *scheme) Challenge() string {
	if s.name == exchange.Certificate {
		return ""
	}
	return strings.ToUpper(s.name)
}

var (
	forbidden   = fault.ScopeMissing
	refused     = fault.InvalidCredentials
	missing     = fault.MissingCredentials
	wrong       = fault.InvalidScheme
	unavailable = fault.KeysUnavailable
	noCert      = fault.InvalidCredentials.Because(exchange.ErrNoCredentials)
)

// Every pair of outcomes of two schemes a and b, as alternatives and together.
func TestEveryPair(t *testing.T) {
	outcomes := []struct {
		name string
		err  error
	}{{"good", nil}, {"missing", missing}, {"no certificate", noCert}, {"wrong scheme", wrong}, {"refused", refused}, {"forbidden", forbidden}, {"unavailable", unavailable}}
	// Rows are a's outcome, columns b's.
	const (
		or = `
			a       a       a       a       a       a       a
			b       missing missing wrong   refused forbid  unavail
			b       missing nocert  wrong   refused forbid  unavail
			b       wrong   wrong   wrong   refused forbid  unavail
			b       refused refused refused refused forbid  unavail
			b       forbid  forbid  forbid  forbid  forbid  unavail
			b       unavail unavail unavail unavail unavail unavail`
		and = `
			a       missing nocert  wrong   refused forbid  unavail
			missing missing missing missing missing missing missing
			nocert  missing nocert  nocert  nocert  nocert  nocert
			wrong   missing nocert  wrong   wrong   wrong   wrong
			refused missing nocert  wrong   refused refused refused
			forbid  missing nocert  wrong   refused forbid  forbid
			unavail missing nocert  wrong   refused forbid  unavail`
	)
	code := map[string]*fault.Fault{"missing": missing, "wrong": wrong, "nocert": noCert, "refused": refused, "forbid": forbidden, "unavail": unavailable}
	for form, table := range map[string]string{"or": or, "and": and} {
		want := strings.Fields(table)
		for i, x := range outcomes {
			for j, y := range outcomes {
				a, b := &scheme{name: "a", err: x.err}, &scheme{name: "b", err: y.err}
				alternatives := [][]authn.Requirement{{{Scheme: a}}, {{Scheme: b}}}
				if form == "and" {
					alternatives = [][]authn.Requirement{{{Scheme: a}, {Scheme: b}}}
				}
				n, err := authn.New(alternatives, "Authorization")
				if err != nil {
					t.Fatal(err)
				}
				e := &exchange.Exchange{}
				err = n.Request(e)
				got := ""
				switch w := want[i*len(outcomes)+j]; {
				case err == nil:
					got = e.Principal.Scheme
					if a.hidden != 1 || b.hidden != 1 {
						t.Errorf("%s, %s %s %s: hidden %d and %d times", form, x.name, form, y.name, a.hidden, b.hidden)
					}
					fallthrough
				default:
					if f := code[w]; got != w && (f == nil || !errors.Is(err, f)) {
						t.Errorf("a %s %s b %s: got %q, %v; want %s", x.name, form, y.name, got, err, w)
					}
				}
				if err != nil && e.Principal != nil {
					t.Errorf("a %s %s b %s: refused, with a principal", x.name, form, y.name)
				}
				var f *fault.Fault
				if errors.As(err, &f) && f.Status == 401 && f.Code != refused.Code && f.Challenge != "A, B" {
					t.Errorf("a %s %s b %s: challenge %q", x.name, form, y.name, f.Challenge)
				}
			}
		}
	}
}

// Scopes belong to the requirement that names them.
func TestScopesOfARequirement(t *testing.T) {
	a, b := &scheme{name: "a"}, &scheme{name: "b", err: missing}
	no := func(*exchange.Principal) error { return forbidden }
	n, err := authn.New([][]authn.Requirement{{{Scheme: a, Allows: no}}, {{Scheme: b}}}, "Authorization")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Request(&exchange.Exchange{}); !errors.Is(err, forbidden) {
		t.Errorf("got %v", err)
	}
	b.err = nil
	e := &exchange.Exchange{}
	if err := n.Request(e); err != nil || e.Principal.Scheme != "b" {
		t.Errorf("got %v, %v", e.Principal, err)
	}
}

// A scheme in several alternatives is asked once.
func TestAskedOnce(t *testing.T) {
	a, b := &scheme{name: "a"}, &scheme{name: "b", err: missing}
	no := func(*exchange.Principal) error { return forbidden }
	n, err := authn.New([][]authn.Requirement{{{Scheme: a, Allows: no}}, {{Scheme: a}, {Scheme: b}}, {{Scheme: a}}}, "Authorization")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Request(&exchange.Exchange{}); err != nil || a.asked != 1 || b.asked != 1 || a.hidden != 1 {
		t.Errorf("%v; a asked %d, b %d; a hidden %d", err, a.asked, b.asked, a.hidden)
	}
}

// A certificate says by whom a token was brought; the request acts for the
// token's user.
func TestPrincipalBesideACertificate(t *testing.T) {
	cert, token := &scheme{name: exchange.Certificate}, &scheme{name: "jwt"}
	for _, alt := range [][]authn.Requirement{{{Scheme: cert}, {Scheme: token}}, {{Scheme: token}, {Scheme: cert}}} {
		n, err := authn.New([][]authn.Requirement{alt}, "Authorization")
		if err != nil {
			t.Fatal(err)
		}
		e := &exchange.Exchange{}
		if err := n.Request(e); err != nil || e.Principal.Scheme != "jwt" {
			t.Errorf("got %+v, %v", e.Principal, err)
		}
	}
}

// What could come of a list that got lost on the way must not open anything.
func TestNewRefuses(t *testing.T) {
	var many [][]authn.Requirement
	for i := range authn.MaxSchemes + 1 {
		many = append(many, []authn.Requirement{{Scheme: &scheme{name: fmt.Sprint(i)}}})
	}
	for name, alternatives := range map[string][][]authn.Requirement{
		"no alternative": nil, "alternative without requirements": {{{Scheme: &scheme{}}}, {}}, "too many schemes": many,
	} {
		if _, err := authn.New(alternatives, "Authorization"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A scheme that proves nobody is a bug, and not an open door.
	n, err := authn.New([][]authn.Requirement{{{Scheme: nobody{}}}}, "Authorization")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Request(&exchange.Exchange{}); !errors.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
}

type nobody struct{}

func (nobody) Prove(*exchange.Exchange) (*exchange.Principal, error) { return nil, nil }
func (nobody) Hide(*exchange.Exchange)                               {}
func (nobody) Challenge() string                                     { return "" }
