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

// trusts reports whether the request was made by a page that may. What comes with
// Origin was made by a script or a form, and a WebSocket is open to whatever is
// said later, although it begins with GET. What comes without is a link that
// somebody has followed, or a part of a page: another site's page must not have
// parts from here, for it can run them as a script, or measure them, although it
// cannot read them (Fetch Metadata Request Headers, section 1.2).
func (c *Cookie) trusts(x *exchange.Exchange) bool {
	switch x.Request.Count("origin") {
	case 0:
	case 1:
		origin, _ := x.Request.Get("origin")
		return own(x, origin) || slices.ContainsFunc(c.Origins, func(o string) bool { return string(origin) == o })
	default:
		return false
	}
	site, _ := x.Request.Get("sec-fetch-site")
	sites := x.Request.Count("sec-fetch-site")
	if sites == 1 && string(site) == "same-origin" {
		return true
	}
	switch string(x.Method) {
	case "GET", "HEAD", "OPTIONS": // safe: RFC 9110, section 9.2.1
	default:
		return false
	}
	switch {
	case x.WebSocket, sites > 1:
		return false
	case string(site) == "cross-site":
		return followed(x)
	}
	return true
}

// followed reports whether a browser is on its way to what is asked for, and will
// show it: a link, an address typed in, a frame.
func followed(x *exchange.Exchange) bool {
	mode, _ := x.Request.Get("sec-fetch-mode")
	to, _ := x.Request.Get("sec-fetch-dest")
	return string(mode) == "navigate" && string(to) != "object" && string(to) != "embed"
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
