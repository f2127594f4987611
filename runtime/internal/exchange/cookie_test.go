package exchange_test

import (
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		fields []string
		value  string
		found  int
		rest   string // what is left, fields with | between
	}{
		{nil, "", 0, ""},
		{[]string{"t=abc"}, "abc", 1, ""},
		{[]string{"a=1; t=abc; b=2"}, "abc", 1, "a=1; b=2"},
		{[]string{"t=abc; b=2"}, "abc", 1, "b=2"},
		{[]string{"a=1; t=abc"}, "abc", 1, "a=1"},
		{[]string{`a=1;t="abc";b=2`}, "abc", 1, "a=1;b=2"},
		{[]string{"t = abc "}, "abc", 1, ""},
		{[]string{"t=a=b"}, "a=b", 1, ""},
		{[]string{"t="}, "", 1, ""},
		{[]string{"t"}, "", 0, ""},
		{[]string{"T=abc; tt=1; xt=2"}, "", 0, "T=abc; tt=1; xt=2"},
		{[]string{"a=t; b=t=1"}, "", 0, "a=t; b=t=1"},
		{[]string{"t=1; t=2"}, "2", 2, ""},
		{[]string{"a=1; t=1", "t=2", "b=2"}, "2", 2, "a=1|b=2"},
		{[]string{"t=1;;; ;"}, "1", 1, ""},
		{[]string{""}, "", 0, ""},
	} {
		x := &exchange.Exchange{}
		x.Request.Add([]byte("X-T"), []byte("t=no cookie"))
		for _, f := range c.fields {
			x.Request.Add([]byte("cookie"), []byte(f))
		}
		if v, n := x.Request.Cookie("t"); string(v) != c.value || n != c.found {
			t.Errorf("%q: got %q, %d; want %q, %d", c.fields, v, n, c.value, c.found)
		}
		x.DeleteCookie("t")
		var rest []string
		for _, f := range x.Request.Fields {
			if !f.Deleted() && f.ID == exchange.Cookie {
				rest = append(rest, string(f.Value))
			}
		}
		if got := strings.Trim(strings.Join(rest, "|"), "; "); got != c.rest {
			t.Errorf("%q: left %q, want %q", c.fields, got, c.rest)
		}
		if v, n := x.Request.Cookie("t"); n != 0 {
			t.Errorf("%q: still %q", c.fields, v)
		}
	}
}

// However a cookie is written, it is gone after DeleteCookie.
func FuzzDeleteCookie(f *testing.F) {
	for _, s := range []string{"t=1; a=2", `t="1";;t`, "t=1;t = 2", "\tt=1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		x := &exchange.Exchange{}
		x.Request.Add([]byte("Cookie"), value)
		others := func() (n int) {
			_, n = x.Request.Cookie("a")
			return n
		}
		before := others()
		x.DeleteCookie("t")
		if v, n := x.Request.Cookie("t"); n != 0 {
			t.Errorf("%q: left %q", value, v)
		}
		if others() != before {
			t.Errorf("%q: another cookie went with it", value)
		}
	})
}
