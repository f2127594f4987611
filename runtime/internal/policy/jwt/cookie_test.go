package jwt_test

import (
	"crypto/tls"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// Which requests a cookie opens. What is sent by a page of another site must not
// act for the user whose browser it runs in.
func TestCookie(t *testing.T) {
	c := newClock()
	b := newVerifier(t, c, nil).Bearer("Authorization", true)
	b.Accept(&jwt.Cookie{Name: "__Host-token", Origins: []string{"https://shop.test"}})
	good := sign(keyA(), "RS256", nil, c.claims(nil))
	expired := sign(keyA(), "RS256", nil, c.claims(map[string]any{"exp": c.at(-3600e9)}))
	const name, self = "__Host-token=", "https://api.test"
	for what, k := range map[string]struct {
		method  string
		fields  []string // beside the cookie
		cookie  string
		plain   bool // no TLS
		socket  bool
		want    *fault.Fault // nil: let in
		because string
	}{
		"GET":                       {cookie: name + good},
		"quoted":                    {cookie: `a=1; __Host-token="` + good + `"; b=2`},
		"HEAD":                      {method: "HEAD", cookie: name + good},
		"no cookie":                 {cookie: "a=1", want: fault.MissingCredentials, because: "no credentials"},
		"empty":                     {cookie: name, want: fault.MissingCredentials, because: "no credentials"},
		"letter case":               {cookie: "__host-token=" + good, want: fault.MissingCredentials, because: "no credentials"},
		"expired":                   {cookie: name + expired, want: fault.InvalidCredentials, because: "expired"},
		"noise":                     {cookie: name + "x", want: fault.InvalidCredentials, because: "token"},
		"two":                       {cookie: name + good + "; " + name + good, want: fault.InvalidCredentials, because: "several"},
		"POST, own page":            {method: "POST", cookie: name + good, fields: []string{"Origin", self}},
		"POST, own page, upper":     {method: "POST", cookie: name + good, fields: []string{"Origin", "https://API.test"}},
		"POST, listed":              {method: "POST", cookie: name + good, fields: []string{"Origin", "https://shop.test"}},
		"POST, metadata":            {method: "POST", cookie: name + good, fields: []string{"Sec-Fetch-Site", "same-origin"}},
		"DELETE, nothing":           {method: "DELETE", cookie: name + good, want: fault.InvalidCredentials, because: "another site"},
		"POST, another site":        {method: "POST", cookie: name + good, fields: []string{"Origin", "https://evil.test"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, both":                {method: "POST", cookie: name + good, fields: []string{"Origin", "https://evil.test", "Sec-Fetch-Site", "same-origin"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, same site":           {method: "POST", cookie: name + good, fields: []string{"Sec-Fetch-Site", "same-site"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, no site":             {method: "POST", cookie: name + good, fields: []string{"Sec-Fetch-Site", "none"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, metadata twice":      {method: "POST", cookie: name + good, fields: []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, null":                {method: "POST", cookie: name + good, fields: []string{"Origin", "null"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, two origins":         {method: "POST", cookie: name + good, fields: []string{"Origin", self, "Origin", self}, want: fault.InvalidCredentials, because: "another site"},
		"POST, without TLS":         {method: "POST", cookie: name + good, fields: []string{"Origin", "http://api.test"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, page without TLS":    {method: "POST", plain: true, cookie: name + good, fields: []string{"Origin", "http://api.test"}},
		"POST, another port":        {method: "POST", cookie: name + good, fields: []string{"Origin", self + ":8443"}, want: fault.InvalidCredentials, because: "another site"},
		"POST, longer host":         {method: "POST", cookie: name + good, fields: []string{"Origin", self + ".evil.test"}, want: fault.InvalidCredentials, because: "another site"},
		"GET by another site":       {cookie: name + good, fields: []string{"Origin", "https://evil.test"}, want: fault.InvalidCredentials, because: "another site"},
		"link on another site":      {cookie: name + good, fields: []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		"script of another site":    {cookie: name + good, fields: []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, want: fault.InvalidCredentials, because: "another site"},
		"object of another site":    {cookie: name + good, fields: []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"}, want: fault.InvalidCredentials, because: "another site"},
		"image, no mode":            {cookie: name + good, fields: []string{"Sec-Fetch-Site", "cross-site"}, want: fault.InvalidCredentials, because: "another site"},
		"image of a sister":         {cookie: name + good, fields: []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"}},
		"address typed in":          {cookie: name + good, fields: []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}},
		"form of another site":      {method: "POST", cookie: name + good, fields: []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, want: fault.InvalidCredentials, because: "another site"},
		"GET, two sites":            {cookie: name + good, fields: []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, want: fault.InvalidCredentials, because: "another site"},
		"get":                       {method: "get", cookie: name + good, want: fault.InvalidCredentials, because: "another site"},
		"WebSocket, own page":       {socket: true, cookie: name + good, fields: []string{"Origin", self}},
		"WebSocket, another site":   {socket: true, cookie: name + good, fields: []string{"Origin", "https://evil.test"}, want: fault.InvalidCredentials, because: "another site"},
		"WebSocket, nothing":        {socket: true, cookie: name + good, want: fault.InvalidCredentials, because: "another site"},
		"header beside it":          {method: "POST", cookie: name + expired, fields: []string{"Authorization", "Bearer " + good}},
		"bad header beside it":      {cookie: name + good, fields: []string{"Authorization", "Bearer " + expired}, want: fault.InvalidCredentials, because: "expired"},
		"empty header beside it":    {cookie: name + good, fields: []string{"Authorization", ""}, want: fault.MissingCredentials, because: "no credentials"},
		"password beside it":        {cookie: name + good, fields: []string{"Authorization", "Basic eA=="}, want: fault.InvalidScheme, because: "scheme"},
		"another field of the name": {fields: []string{"X-Cookie", name + good}, want: fault.MissingCredentials, because: "no credentials"},
	} {
		x := request(k.fields...)
		x.Request.Add([]byte("Cookie"), []byte(k.cookie))
		x.Method, x.Host, x.WebSocket = []byte("GET"), []byte("api.test"), k.socket
		if k.method != "" {
			x.Method = []byte(k.method)
		}
		if !k.plain {
			x.TLS = &tls.ConnectionState{}
		}
		switch err := b.Request(x); {
		case k.want != nil:
			refused(t, what, err, k.want, k.because)
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case x.Principal == nil || x.Principal.Subject != "alice":
			t.Errorf("%s: %+v", what, x.Principal)
		}
	}
}

// The cookie does not reach the upstream, the others do.
func TestCookieHidden(t *testing.T) {
	x := request("Cookie", "a=1; token=x; b=2", "Cookie", "token=x")
	if err := (&jwt.Cookie{Name: "token"}).Hide(x); err != nil {
		t.Fatal(err)
	}
	if f := x.Request.Fields; string(f[0].Value) != "a=1; b=2" || !f[1].Deleted() {
		t.Errorf("left %q, %q", f[0].Value, f[1].Value)
	}
}

func TestCookieHitAllocatesNothing(t *testing.T) {
	c := newClock()
	b := newVerifier(t, c, nil).Bearer("Authorization", true)
	cookie := &jwt.Cookie{Name: "token"}
	b.Accept(cookie)
	n, v := []byte("Cookie"), []byte("a=1; token="+sign(keyA(), "RS256", nil, c.claims(nil)))
	on, ov := []byte("Origin"), []byte("http://api.test")
	method, host := []byte("POST"), []byte("api.test")
	x := &exchange.Exchange{}
	run := func() {
		x.Reset()
		x.Method, x.Host = method, host
		x.Request.Add(n, v)
		x.Request.Add(on, ov)
		if err := b.Request(x); err != nil {
			t.Fatal(err)
		}
		_ = cookie.Hide(x)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
