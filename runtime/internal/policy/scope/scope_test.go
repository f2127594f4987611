package scope_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/scope"
)

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		need string
		all  bool
		have string
		pass bool
	}{
		{"read", false, "read", true},
		{"read", false, "write read", true},
		{"read write", false, "write", true},
		{"read write", false, "admin", false},
		{"read", false, "", false},
		{"read", false, "READ", false},
		{"read", false, "readonly", false},
		{"read:pets", false, "read", false},
		{"read write", true, "read", false},
		{"read write", true, "write x read", true},
		{"read", true, "read", true},
		{"", false, "read", false},
		{"", true, "read", false},
	} {
		s := scope.New(strings.Fields(c.need), c.all)
		x := &exchange.Exchange{Principal: &exchange.Principal{Scopes: strings.Fields(c.have)}}
		err := s.Request(x)
		if (err == nil) != c.pass || err != nil && !errors.Is(err, fault.ScopeMissing) {
			t.Errorf("need %q (all %v), have %q: %v", c.need, c.all, c.have, err)
		}
	}
}

// The client learns which scopes would do, and nothing about the token.
func TestChallenge(t *testing.T) {
	x := &exchange.Exchange{Principal: &exchange.Principal{Scopes: []string{"secret-scope"}}}
	for _, c := range []struct {
		need []string
		want string
	}{
		{[]string{"read:pets", "write:pets"}, `Bearer realm="micro-gw", error="insufficient_scope", scope="read:pets write:pets"`},
		{[]string{`a"b`, "c d", `e\`, "f\r\nSet-Cookie: x", "ä", "", "good"}, `Bearer realm="micro-gw", error="insufficient_scope", scope="good"`},
		{[]string{`"`}, `Bearer realm="micro-gw", error="insufficient_scope"`},
	} {
		var f *fault.Fault
		if err := scope.New(c.need, false).Request(x); !errors.As(err, &f) || f.Challenge != c.want || f.Status != 403 || f.Code != 900910 {
			t.Errorf("%q: got %v, challenge %q, want %q", c.need, err, f.Challenge, c.want)
		}
		if strings.Contains(string(f.Body())+f.Challenge, "secret") || !strings.Contains(f.Unwrap().Error(), "secret-scope") {
			t.Errorf("body %s, cause %v", f.Body(), f.Unwrap())
		}
	}
}

func TestNoPrincipal(t *testing.T) {
	if err := scope.New([]string{"read"}, false).Request(&exchange.Exchange{}); !errors.Is(err, fault.MissingCredentials) {
		t.Errorf("got %v", err)
	}
}

func TestPassAllocatesNothing(t *testing.T) {
	s := scope.New([]string{"read", "write"}, false)
	x := &exchange.Exchange{Principal: &exchange.Principal{Scopes: []string{"openid", "write"}}}
	if n := testing.AllocsPerRun(100, func() {
		if s.Request(x) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
