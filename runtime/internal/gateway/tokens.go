package gateway

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
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
		if name := g.cfg.Auth.Cookie; name != "" {
			stages = append(stages, engine.Stage{Name: "token-cookie", Request: (&jwt.Cookie{Name: name}).Hide})
		}
		if h := g.cfg.Mutual.UpstreamHeader; h != "" {
			// An upstream is told no certificate but the connection's.
			s := &clientcert.Scheme{}
			if g.clients != nil && g.clients.revoked != nil {
				s.Revoked = g.clients.revoked.Revoked
			}
			stages = append(stages, engine.Stage{Name: "client-certificate", Request: s.Forward(h)})
		}
		for _, template := range []string{e.path, e.path + "/*"} {
			for _, method := range tokenMethods {
				routes = append(routes, &engine.Route{
					Route:  exchange.Route{ID: method + " " + template, API: "key manager", BasePath: "/"},
					Method: method, Template: template, Stages: stages, Production: c, HTTPS: true,
				})
			}
		}
	}
	t, err := engine.NewTable(routes)
	if err != nil {
		return nil, err
	}
	for _, r := range t.Routes {
		r.Index = -1 // they are no operations, and not counted as such
	}
	t.Upstreams = []engine.Upstream{c}
	return t, nil
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

// tokenTLS is what the token port speaks: the HTTPS port's identity, and no
// client certificates. Whoever needs one for APIs must be able to get a token
// first.
func tokenTLS(c *tls.Config) *tls.Config { return c.Clone() }
