package apikey_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/apikey"
)

// limited is a request for an API, from an address, of a page; "" for none.
func limited(client string, referer ...string) *exchange.Exchange {
	x := request("")
	x.Route = &exchange.Route{API: "Pets", APIVersion: "1.0.0"}
	if client != "" {
		x.Client = netip.MustParseAddr(client)
	}
	for _, r := range referer {
		x.Request.Add([]byte("Referer"), []byte(r))
	}
	return x
}

func TestLimits(t *testing.T) {
	for claims, c := range map[string]struct {
		in  []*exchange.Exchange
		out []*exchange.Exchange
	}{
		`{"permittedIP":"","permittedReferer":""}`:                                                           {in: []*exchange.Exchange{limited(""), {}}},
		`{"permittedIP":null}`:                                                                               {in: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"Pets","version":"1.0.0"}]}`:                                                {in: []*exchange.Exchange{limited("")}, out: []*exchange.Exchange{{}}},
		`{"allowedAPIs":[{"name":"Pets","version":"*"}]}`:                                                    {in: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"Pets","versions":"v1,*"}]}`:                                                {in: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"Pets","versions":["2"]}]}`:                                                 {out: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"pets","version":"1.0.0"}]}`:                                                {out: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"*","version":"*"}]}`:                                                       {out: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[]}`:                                                                                 {out: []*exchange.Exchange{limited("")}},
		`{"allowedAPIs":[{"name":"A","versions":"2, 1.0.0"},{"name":"Pets","versions":"2, 1.0.0"}]}`:         {in: []*exchange.Exchange{limited("")}},
		`{"subscribedAPIs":[{"name":"Pets","version":"1.0.0","context":"/pets","subscriptionTier":"Gold"}]}`: {in: []*exchange.Exchange{limited("")}},
		`{"subscribedAPIs":[{"name":"Other","version":"1"}]}`:                                                {out: []*exchange.Exchange{limited("")}},
		`{"subscribedAPIs":[{"name":"Pets","version":"*"}],"allowedAPIs":[{"name":"Other","version":"*"}]}`:  {out: []*exchange.Exchange{limited("")}},
		`{"permittedIP":"192.0.2.7, 10.0.0.0/8,2001:db8::/32"}`: {
			in:  []*exchange.Exchange{limited("192.0.2.7"), limited("10.9.9.9"), limited("::ffff:10.1.1.1"), limited("2001:db8::1")},
			out: []*exchange.Exchange{limited("192.0.2.8"), limited("11.0.0.1"), limited("::1"), limited(""), {}},
		},
		`{"permittedIP":["10.1.2.3/8"]}`: {in: []*exchange.Exchange{limited("10.9.9.9")}, out: []*exchange.Exchange{limited("11.0.0.1")}},
		`{"permittedReferer":"https://shop.example/*, https://www.example/exact"}`: {
			in: []*exchange.Exchange{limited("", "https://shop.example/"), limited("", "https://shop.example/a?b=c"), limited("", "https://www.example/exact")},
			out: []*exchange.Exchange{limited(""), limited("", "https://shop.example"), limited("", "https://www.example/exactly"), limited("", "https://shop.example/a b"),
				limited("", "https://shop.example/", "https://shop.example/"), limited("", "x https://shop.example/"), limited("", "https://shopxexample/")},
		},
		`{"permittedReferer":["*.example/*/end"]}`: {
			in:  []*exchange.Exchange{limited("", "https://a.example/x/end"), limited("", "https://a.example/b.example/c/end/end")},
			out: []*exchange.Exchange{limited("", "https://a.example/end"), limited("", "https://a.example/x/end/")},
		},
		`{"permittedReferer":"https://*.shop.example/*"}`: {
			in: []*exchange.Exchange{limited("", "https://a.shop.example/"), limited("", "https://a.b.shop.example/x?y#z")},
			out: []*exchange.Exchange{limited("", "https://shop.example/"), limited("", "https://evil.example/.shop.example/"), limited("", "https://evil.example/a/.shop.example/"),
				limited("", "https://evil.example?.shop.example/"), limited("", "https://evil.example#.shop.example/"), limited("", "https://a.shop.example@evil.example/"),
				limited("", "https://a.shop.example"), limited("", "https:///a.shop.example/"), limited("", "https://evil.example://.shop.example/")},
		},
		`{"permittedReferer":"*.shop.example/*"}`: {
			in:  []*exchange.Exchange{limited("", "https://a.shop.example/x"), limited("", "a.shop.example/x")},
			out: []*exchange.Exchange{limited("", "https://evil.example/a.shop.example/x")},
		},
		`{"permittedReferer":"*/cart/*"}`:       {in: []*exchange.Exchange{limited("", "https://a/b/cart/c")}, out: []*exchange.Exchange{limited("", "https://a/b/carts/c")}},
		`{"permittedReferer":"https://shop.*"}`: {in: []*exchange.Exchange{limited("", "https://shop.example"), limited("", "https://shop.test/x")}, out: []*exchange.Exchange{limited("", "https://a/shop.x")}},
		`{"permittedReferer":"*"}`:              {in: []*exchange.Exchange{limited("", "https://a/b"), limited("", "about:blank")}, out: []*exchange.Exchange{limited("")}},
		`{"permittedIP":"10.0.0.0/8","permittedReferer":"https://a/*"}`: {
			in:  []*exchange.Exchange{limited("10.0.0.1", "https://a/")},
			out: []*exchange.Exchange{limited("10.0.0.1"), limited("11.0.0.1", "https://a/")},
		},
	} {
		l, err := apikey.ParseLimits([]byte(claims), false)
		if err != nil {
			t.Errorf("%s: %v", claims, err)
			continue
		}
		for i, x := range c.in {
			if err := l.Allow(x); err != nil {
				t.Errorf("%s: request %d: %v", claims, i, err)
			}
		}
		for i, x := range c.out {
			if err := l.Allow(x); !errors.Is(err, fault.SubscriptionMissing) {
				t.Errorf("%s: refused request %d: %v", claims, i, err)
			}
		}
	}
}

// A limit that cannot be understood is not taken for none.
func TestMalformedLimits(t *testing.T) {
	for _, claims := range []string{
		`[]`, `{"allowedAPIs":null}`, `{"allowedAPIs":"Pets"}`, `{"allowedAPIs":{"name":"Pets","version":"1"}}`, `{"allowedAPIs":["Pets"]}`,
		`{"allowedAPIs":[{"name":"Pets"}]}`, `{"allowedAPIs":[{"version":"*"}]}`, `{"allowedAPIs":[{"name":1,"version":"*"}]}`,
		`{"allowedAPIs":[{"name":"Pets","version":1}]}`, `{"allowedAPIs":[{"name":"Pets","version":""}]}`, `{"allowedAPIs":[{"name":"Pets","versions":"1,,2"}]}`,
		`{"allowedAPIs":[{"name":"Pets","version":"1","versions":"*"}]}`, `{"allowedAPIs":[{"name":"Pets","name":"Other","version":"1"}]}`,
		`{"allowedAPIs":[],"allowedAPIs":[{"name":"Pets","version":"*"}]}`, `{"subscribedAPIs":1}`, `{"allowedAPIs":1,"subscribedAPIs":[]}`,
		`{"permittedIP":7}`, `{"permittedIP":[]}`, `{"permittedIP":"10.0.0.0/33"}`, `{"permittedIP":"10.0.0"}`, `{"permittedIP":"10.0.0.1,"}`, `{"permittedIP":"localhost"}`,
		`{"permittedIP":"fe80::1%eth0"}`, `{"permittedIP":"::ffff:10.0.0.0/104"}`, `{"permittedIP":["",""]}`, `{"permittedIP":{"a":"b"}}`,
		`{"permittedReferer":true}`, `{"permittedReferer":[]}`, `{"permittedReferer":","}`, `{"permittedReferer":"https://a b/*"}`,
		`{"permittedIP":[` + strings.Repeat(`"10.0.0.1",`, 1000) + `"10.0.0.1"]}`,
	} {
		if _, err := apikey.ParseLimits([]byte(claims), false); err == nil {
			t.Errorf("%.100s: taken", claims)
		}
	}
	if _, err := apikey.ParseLimits([]byte(`{"sub":"me"}`), true); err == nil {
		t.Error("a key without APIs is taken although it must name them")
	}
}

// A pattern means what WSO2 makes of it, a regular expression in which * is any
// text without blanks, or less: with an asterisk in the host.
func FuzzReferer(f *testing.F) {
	f.Add("https://shop.example/*", "https://shop.example/a")
	f.Add("https://*.shop.example/*", "https://evil.example/.shop.example/")
	f.Add("*a*b*", "xaxbx")
	f.Add("a**a", "aa")
	f.Add("a*a", "a")
	plainHost := regexp.MustCompile(`^[a-z]+://[^*/?#:]+[/?#]`)
	f.Fuzz(func(t *testing.T, pattern, referer string) {
		if strings.ContainsAny(referer, "\r\n\x00") || strings.TrimSpace(referer) != referer || strings.ToValidUTF8(referer, "") != referer || strings.ToValidUTF8(pattern, "") != pattern {
			return
		}
		claims, err := json.Marshal(map[string]any{"permittedReferer": []string{pattern}})
		if err != nil {
			t.Fatal(err)
		}
		l, err := apikey.ParseLimits(claims, false)
		if err != nil || referer == "" {
			return
		}
		pattern = strings.TrimSpace(pattern)
		re := regexp.MustCompile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^ ]*`) + `)$`)
		got, want := l.Allow(limited("", referer)) == nil, re.MatchString(referer)
		if got && !want || want && !got && plainHost.MatchString(pattern) {
			t.Errorf("%q, %q: %v, want %v", pattern, referer, got, want)
		}
	})
}
