package apikey_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/apikey"
)

// keys knows one key.
type keys struct{}

func (keys) Verify(_ *exchange.Exchange, key []byte) (*exchange.Principal, error) {
	if string(key) == "k1" {
		return &exchange.Principal{Scheme: "apikey"}, nil
	}
	return nil, fault.InvalidCredentials
}

func request(query string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Query: []byte(query), HasQuery: query != ""}
	for i := 0; i < len(fields); i += 2 {
		x.Request.Add([]byte(fields[i]), []byte(fields[i+1]))
	}
	return x
}

func TestKeys(t *testing.T) {
	for name, c := range map[string]struct {
		in     apikey.In
		query  string
		fields []string
		want   *fault.Fault // nil: in
		left   string       // of the query, or of the fields
	}{
		"header":                     {apikey.Header, "", []string{"Accept", "*/*", "X-Key", " k1 "}, nil, "Accept: */*"},
		"header in another case":     {apikey.Header, "", []string{"x-KEY", "k1"}, nil, ""},
		"header, wrong":              {apikey.Header, "", []string{"X-Key", "k2"}, fault.InvalidCredentials, ""},
		"header, twice":              {apikey.Header, "", []string{"X-Key", "k1", "x-key", "k1"}, fault.InvalidCredentials, ""},
		"header, empty":              {apikey.Header, "", []string{"X-Key", ""}, fault.MissingCredentials, ""},
		"header, none":               {apikey.Header, "X-Key=k1", []string{"Cookie", "X-Key=k1"}, fault.MissingCredentials, ""},
		"query":                      {apikey.Query, "X-Key=k1", nil, nil, ""},
		"query, first":               {apikey.Query, "X-Key=k1&a=1&b=2", nil, nil, "a=1&b=2"},
		"query, in between":          {apikey.Query, "a=1&X-Key=k1&b=2", nil, nil, "a=1&b=2"},
		"query, last":                {apikey.Query, "a=1&&X-Key=k1", nil, nil, "a=1&"},
		"query, escaped name":        {apikey.Query, "a=1&X%2DKey=k1", nil, nil, "a=1"},
		"query, escaped value":       {apikey.Query, "X-Key=%6b1", nil, nil, ""},
		"query, other kept":          {apikey.Query, "X-Keys=z&X-Key=k1&x-key=y&a=%zz", nil, nil, "X-Keys=z&x-key=y&a=%zz"},
		"query, twice":               {apikey.Query, "X-Key=k1&X-Key=k1", nil, fault.InvalidCredentials, ""},
		"query, twice, once escaped": {apikey.Query, "X-Key=k1&%58-Key=k2", nil, fault.InvalidCredentials, ""},
		"query, no value":            {apikey.Query, "X-Key", nil, fault.MissingCredentials, ""},
		"query, bad escape":          {apikey.Query, "X-Key=%zz", nil, fault.InvalidCredentials, ""},
		"query, none":                {apikey.Query, "", []string{"X-Key", "k1"}, fault.MissingCredentials, ""},
		"cookie":                     {apikey.Cookie, "", []string{"Cookie", "X-Key=k1"}, nil, ""},
		"cookie among others":        {apikey.Cookie, "", []string{"Cookie", "a=1; X-Key=k1; b=2"}, nil, "Cookie: a=1; b=2"},
		"cookie in quotes":           {apikey.Cookie, "", []string{"Cookie", `X-Key="k1"; b=2`}, nil, "Cookie: b=2"},
		"cookie in a second field":   {apikey.Cookie, "", []string{"Cookie", "a=1", "Cookie", "X-Key=k1"}, nil, "Cookie: a=1"},
		"cookie, twice":              {apikey.Cookie, "", []string{"Cookie", "X-Key=k1", "Cookie", "X-Key=k1"}, fault.InvalidCredentials, ""},
		"cookie in another case":     {apikey.Cookie, "", []string{"Cookie", "x-key=k1"}, fault.MissingCredentials, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := apikey.New(c.in, "X-Key", keys{})
			x := request(c.query, c.fields...)
			p, err := s.Prove(x)
			if c.want != nil {
				if !errors.Is(err, c.want) || p != nil {
					t.Fatalf("got %v, %v; want %v", p, err, c.want)
				}
				var f *fault.Fault
				if errors.As(err, &f) && f.Code == 900902 && f.Challenge != s.Challenge() {
					t.Errorf("challenge %q", f.Challenge)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Hide(x)
			got := string(x.Query)
			if c.in != apikey.Query {
				var left []string
				for _, f := range x.Request.Fields {
					if !f.Deleted() {
						left = append(left, string(f.Name)+": "+string(f.Value))
					}
				}
				got = strings.Join(left, "\n")
			} else if x.HasQuery != (got != "") {
				t.Errorf("HasQuery %v beside %q", x.HasQuery, got)
			}
			if got != c.left {
				t.Errorf("left %q, want %q", got, c.left)
			}
		})
	}
}

func TestNobody(t *testing.T) {
	if _, err := apikey.New(apikey.Header, "X-Key", apikey.Nobody{}).Prove(request("", "X-Key", "k1")); !errors.Is(err, fault.InvalidCredentials) {
		t.Errorf("got %v", err)
	}
}

// Whatever the query, no key is left in it, and nothing else is lost.
func FuzzHideQuery(f *testing.F) {
	for _, s := range []string{"X-Key=1&a=2", "&&X-Key&", "%58-Key=1", "a=1&X-Key=2&b", "=&X%2dKey"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		x := request(query)
		apikey.New(apikey.Query, "X-Key", keys{}).Hide(x)
		var want []string
		for _, part := range strings.Split(query, "&") {
			name, _, _ := strings.Cut(part, "=")
			plain, err := url.QueryUnescape(name)
			if err != nil || plain != "X-Key" {
				want = append(want, part)
			} else {
				continue
			}
		}
		got := string(x.Query)
		if strings.Trim(got, "&") != strings.Trim(strings.Join(want, "&"), "&") {
			t.Errorf("%q became %q, want %q", query, got, strings.Join(want, "&"))
		}
	})
}
