package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/introspect"
	"github.com/microgw/microgw/runtime/internal/policy/backendjwt"
	"github.com/microgw/microgw/runtime/internal/policy/clientcert"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/upstream"
)

// This file makes the key manager's token endpoints part of the gateway, as in
// WSO2 API Microgateway: /token and its like, and whatever is below them, go to
// the key manager as they are. No policy looks at them. They are routes of the
// engine, so that every limit of the listener holds for them.

// maxTokenBody bounds what is sent to a token endpoint, and maxTokenAnswer what
// comes back: /authorize may answer with a page.
const (
	maxTokenBody   = 1 << 20
	maxTokenAnswer = 4 << 20
	// maxRevocation bounds a request to /revoke, which is read before it is passed
	// on.
	maxRevocation = 64 << 10
)

// tokenEndpoints are the paths and how WSO2 names them where they fail.
var tokenEndpoints = []struct{ path, name string }{
	{"/token", "token"}, {"/revoke", "revoke"}, {"/authorize", "authorize"}, {"/userinfo", "user info"},
}

var tokenMethods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// newTokens returns the routes; nil if no key manager is configured.
func (g *gateway) newTokens() (*engine.Table, error) {
	k := &g.cfg.KeyManager
	if !k.Enabled {
		return nil, nil
	}
	o := *g.upstreamOptions()
	o.TLS = keyManagerTLS(g.cfg, g.issuers.trusted)
	o.TLS.NextProtos = []string{"http/1.1"}
	// A POST cannot be sent again if an idle connection turns out to be closed,
	// and tokens are not asked for so often that a new one matters.
	o.MaxIdle = 0
	if o.Limits.BodyBytes == 0 || o.Limits.BodyBytes > maxTokenAnswer {
		o.Limits.BodyBytes = maxTokenAnswer
	}
	url := strings.TrimSuffix(k.ServerURL, "/")
	if k.TokenContext != "" {
		url += "/" + k.TokenContext
	}
	c, err := upstream.New(upstream.Settings{Name: "keyManager", URLs: []string{url}}, &o)
	if err != nil {
		return nil, fmt.Errorf("keyManager.serverUrl: %w", err)
	}
	var routes []*engine.Route
	for _, e := range tokenEndpoints {
		stages := []engine.Stage{{Name: "token-endpoint", Request: boundTokenBody, Response: tokenFailure(e.name)}}
		if e.path == "/revoke" && g.issuers.opaque != nil {
			stages = append(stages, engine.Stage{Name: "revocation", Request: holdRevocation, Response: forgetRevoked(g.issuers.opaque.Forget)})
		}
		// Nobody is known here.
		stages = append(stages, engine.Stage{Name: "backend-jwt", Request: backendjwt.Clear(g.cfg.BackendJWT.Header)})
		if name := g.cfg.Auth.Cookie; name != "" {
			stages = append(stages, engine.Stage{Name: "token-cookie", Request: (&jwt.Cookie{Name: name}).Hide})
		}
		if h := g.cfg.Mutual.UpstreamHeader; h != "" {
			// An upstream is told no certificate but the connection's.
			s := &clientcert.Scheme{}
			if g.clients != nil {
				s.Revoked = g.clients.withdrawn
			}
			stages = append(stages, engine.Stage{Name: "client-certificate", Request: s.Forward(h)})
		}
		for _, template := range []string{e.path, e.path + "/*"} {
			for _, method := range tokenMethods {
				routes = append(routes, &engine.Route{
					Route:  exchange.Route{ID: method + " " + template, API: "key manager", BasePath: "/"},
					Method: method, Template: template, Builtin: true, Stages: stages, Production: c, HTTPS: true,
				})
			}
		}
	}
	t, err := engine.NewTable(routes)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(t.Routes))
	for i, r := range t.Routes {
		ids[i] = "key manager " + r.Template // whatever the method
	}
	g.tokenCounters = g.counters.Routes(ids)
	t.Counters = g.tokenCounters
	t.Upstreams = []engine.Upstream{c}
	return t, nil
}

// tokenRoutes is for /routes: one for each path, as all methods are served alike.
func (g *gateway) tokenRoutes() (list []admin.Route) {
	if g.tokens == nil {
		return nil
	}
	counts := g.tokenCounters.Snapshot()
	for i, r := range g.tokens.Routes {
		if r.Method == tokenMethods[0] {
			d := describe(r)
			d.Method, d.Count = "*", counts[i]
			list = append(list, d)
		}
	}
	return list
}

// newTokenEngine serves the token port: the key manager's endpoints and no API.
func (g *gateway) newTokenEngine() *engine.Engine {
	o := engine.Options{Log: g.log, Builtin: g.tokens}
	if g.access != nil {
		o.Observers = append(o.Observers, g.access)
	}
	return engine.New(o)
}

// tokenFailure returns the response half that says what WSO2 says when the key
// manager gave no answer. WSO2 said it with status 200 up to 3.1, so that clients
// took it for one.
func tokenFailure(name string) func(*exchange.Exchange) error {
	body := []byte(`{"error":"error occurred while invoking the ` + name + ` endpoint"}`)
	return func(x *exchange.Exchange) error {
		if x.Fault != nil && x.Fault.Origin == fault.Upstream {
			x.Answer(502, "application/json", body)
		}
		return nil
	}
}

// boundTokenBody refuses a body that no token request has.
func boundTokenBody(x *exchange.Exchange) error {
	if x.RequestLength > maxTokenBody {
		return fault.ContentTooLarge
	}
	if x.RequestBody != nil {
		x.RequestBody = &boundedBody{Body: x.RequestBody, left: maxTokenBody}
	}
	return nil
}

type boundedBody struct {
	exchange.Body
	received, left int64
}

func (b *boundedBody) Next() ([]byte, error) {
	p, err := b.Body.Next()
	b.received += int64(len(p))
	if b.left -= int64(len(p)); b.left < 0 {
		return nil, fault.ContentTooLarge
	}
	return p, err
}

// Received is for the access log.
func (b *boundedBody) Received() int64 { return b.received }

// heldBody is a body that has been read.
type heldBody struct {
	all  []byte
	sent bool
}

func (b *heldBody) Next() ([]byte, error) {
	if b.sent || len(b.all) == 0 {
		return nil, io.EOF
	}
	b.sent = true
	return b.all, nil
}

func (b *heldBody) Ready() bool { return true }

// Received is for the access log.
func (b *heldBody) Received() int64 { return int64(len(b.all)) }

// holdRevocation reads a request to revoke a token, to know which one it is when
// the key manager has answered.
func holdRevocation(x *exchange.Exchange) error {
	if x.RequestBody == nil {
		return nil
	}
	held := &heldBody{}
	for {
		p, err := x.RequestBody.Next()
		if held.all = append(held.all, p...); len(held.all) > maxRevocation {
			return fault.ContentTooLarge
		}
		switch {
		case err == io.EOF:
			x.RequestBody, x.RequestLength = held, int64(len(held.all))
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fault.RequestTimeout.Because(err)
		case err != nil:
			if f := (*fault.Fault)(nil); errors.As(err, &f) {
				return f
			}
			return fault.BadRequest.Because(err)
		}
	}
}

// forgetRevoked has what was remembered of a token forgotten when the key manager
// has revoked it: the one in the request (RFC 7009, section 2.1), and the one that
// WSO2's names in its answer, which is another one if a refresh token was revoked.
// The success may be a lie, or mean nothing (section 2.2), but then the server is
// asked once more and nobody is kept out.
func forgetRevoked(forget func(token string)) func(*exchange.Exchange) error {
	return func(x *exchange.Exchange) error {
		if x.Fault != nil || x.Status != 200 {
			return nil
		}
		var tokens []string
		if b, ok := x.RequestBody.(*heldBody); ok {
			if form, err := url.ParseQuery(string(b.all)); err == nil {
				tokens = form["token"]
			}
		}
		if form, err := url.ParseQuery(string(x.Query)); err == nil {
			tokens = append(tokens, form["token"]...)
		}
		if named, ok := x.Response.Get("revokedaccesstoken"); ok {
			tokens = append(tokens, string(named))
		}
		for _, t := range tokens[:min(len(tokens), maxRevoked)] {
			if len(t) <= introspect.MaxToken {
				forget(t)
			}
		}
		return nil
	}
}

// maxRevoked bounds the tokens of one request.
const maxRevoked = 8
