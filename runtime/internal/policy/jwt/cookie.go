package jwt

import (
	"bytes"
	"slices"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Cookie is a token that a browser carries. A browser sends it by itself, also
// when another site's page makes it call: so a request that may change something
// must show that it was made by a page that may.
type Cookie struct {
	Name string
	// Origins are the ones, beside the request's own, whose pages may call: scheme,
	// host and port as a browser writes them in Origin, in lower case.
	Origins []string
}

var (
	errTwoCookies = fault.InvalidCredentials.Becausef("several cookies of the token's name")
	errForeign    = fault.InvalidCredentials.Becausef("the token's cookie came with a request of another site")
)

// Accept makes b take a token from a cookie where the header is absent. It is
// called before b is used.
func (b *Bearer) Accept(c *Cookie) { b.cookie = c }

// read returns the token, or nothing if there is none.
func (c *Cookie) read(x *exchange.Exchange) ([]byte, error) {
	token, found := x.Request.Cookie(c.Name)
	switch {
	case found > 1:
		return nil, errTwoCookies
	case found == 0 || len(token) == 0:
		return nil, nil
	case !c.trusts(x):
		return nil, errForeign
	}
	return token, nil
}

// trusts reports whether the request was made by a page that may. A page that
// another site has opened or embedded may read with GET, and its browser keeps
// what comes from it; what comes with Origin was made by a script or a form, and a
// WebSocket is open to whatever is said later, although it begins with GET.
func (c *Cookie) trusts(x *exchange.Exchange) bool {
	switch x.Request.Count("origin") {
	case 0:
	case 1:
		origin, _ := x.Request.Get("origin")
		return own(x, origin) || slices.ContainsFunc(c.Origins, func(o string) bool { return string(origin) == o })
	default:
		return false
	}
	switch string(x.Method) {
	case "GET", "HEAD", "OPTIONS": // safe: RFC 9110, section 9.2.1
		if !x.WebSocket {
			return true
		}
	}
	site, _ := x.Request.Get("sec-fetch-site")
	return x.Request.Count("sec-fetch-site") == 1 && string(site) == "same-origin"
}

// own reports whether origin is the one that the request was made to.
func own(x *exchange.Exchange, origin []byte) bool {
	scheme := []byte("http://")
	if x.TLS != nil {
		scheme = []byte("https://")
	}
	host, ok := bytes.CutPrefix(origin, scheme)
	return ok && len(host) > 0 && bytes.EqualFold(host, x.Host)
}

// Hide is the request half of a stage that takes the cookie out of the forwarded
// request, on every operation: a browser sends it to open ones, too.
func (c *Cookie) Hide(x *exchange.Exchange) error {
	x.DeleteCookie(c.Name)
	return nil
}
