// Package apim reads what WSO2 API Manager knows of APIs, over its REST API or
// from an exported archive, and writes it into their definitions as extensions,
// so that a build needs nothing but the definition.
//
// What surprises: API Manager describes one API in three shapes (the REST API's,
// the one of its own code in archives up to 3.x, and the REST API's again, with
// other types for some members, in archives of 4.x). They are read into one
// type. And no secret gets into a definition: the password of an upstream is the
// runtime's to know.
package apim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// An API is what API Manager knows of an API beside its definition.
type API struct {
	Name, Version string
	Provider      string
	Context       string // base path, the version included
	Type          string // "HTTP", "WS", "GRAPHQL" ...; empty if it is not said

	Production, Sandbox *Endpoints // nil: none

	CORS       *CORS    // nil if it is not said
	AuthHeader string   // empty for the gateway's own
	Transports []string // "http", "https"; empty if it is not said
	Security   []string // API Manager's words: "oauth2", "mutualssl_mandatory" ...
	Tier       string   // of the API as a whole; empty if each operation has its own
	CacheSecs  string   // how long answers are cached; empty if they are not

	// Notes are what could not be taken, in words for the author.
	Notes []string
}

// Endpoints are where calls go.
type Endpoints struct {
	Type     string // "http", "load_balance", "failover"
	URLs     []string
	AuthType string // "basic", "digest", or empty
	Username string
}

// CORS is a corsConfiguration.
type CORS struct {
	Enabled                           bool
	Origins, Headers, Methods, Expose []string
	Credentials                       bool
}

// HTTP reports whether the API is one that a gateway for OpenAPI can serve.
func (a *API) HTTP() bool {
	switch strings.ToUpper(a.Type) {
	case "", "HTTP", "REST", "SOAPTOREST", "NULL":
		return true
	}
	return false
}

// Describe reads what API Manager says of an API.
func Describe(n *tree.Node) (API, error) {
	var a API
	if n.Kind != tree.Object {
		return a, fmt.Errorf("the description of the API is not an object, but %s", n.Describe())
	}
	id := n.Get("id")
	if id != nil && id.Kind == tree.Object { // the shape of archives up to 3.x
		a.Name, a.Version, a.Provider = text(id, "apiName"), text(id, "version"), text(id, "providerName")
	} else {
		a.Name, a.Version, a.Provider = text(n, "name"), text(n, "version"), text(n, "provider")
	}
	if a.Name == "" || a.Version == "" {
		return a, errors.New("the description of the API has no name or no version")
	}
	// In those archives "-AT-" stands for the "@" of e-mail user names.
	a.Provider = strings.ReplaceAll(a.Provider, "-AT-", "@")
	a.Context = basePath(first(text(n, "contextTemplate"), text(n, "context")), a.Version)
	a.Type = text(n, "type")
	a.AuthHeader = text(n, "authorizationHeader")
	a.Transports = words(n, "transport", "transports")
	a.Security = words(n, "apiSecurity", "securityScheme")
	a.Tier = first(text(n, "apiLevelPolicy"), text(n, "apiThrottlingPolicy"))
	if strings.EqualFold(first(text(n, "responseCaching"), text(n, "responseCache")), "enabled") || truth(n, "responseCachingEnabled") {
		a.CacheSecs = first(text(n, "cacheTimeout"), "300")
	}
	if c := n.Get("corsConfiguration"); c != nil && c.Kind == tree.Object {
		a.CORS = &CORS{
			Enabled:     truth(c, "corsConfigurationEnabled"),
			Origins:     words(c, "accessControlAllowOrigins"),
			Headers:     words(c, "accessControlAllowHeaders"),
			Methods:     words(c, "accessControlAllowMethods"),
			Expose:      words(c, "accessControlExposeHeaders"),
			Credentials: truth(c, "accessControlAllowCredentials"),
		}
	}
	if err := a.endpoints(n); err != nil {
		return a, err
	}
	return a, nil
}

// basePath is the context with the version as its last segment, unless the
// context says where else the version stands.
func basePath(context, version string) string {
	context = strings.TrimRight(context, "/")
	if context == "" {
		return ""
	}
	if !strings.HasPrefix(context, "/") {
		context = "/" + context
	}
	if strings.Contains(context, "{version}") {
		return strings.ReplaceAll(context, "{version}", version)
	}
	if strings.HasSuffix(context, "/"+version) {
		return context
	}
	return context + "/" + version
}

// endpoints reads endpointConfig, which is an object or the text of one.
func (a *API) endpoints(n *tree.Node) error {
	cfg := n.Get("endpointConfig")
	if cfg != nil && cfg.Kind == tree.String && cfg.Text != "" {
		var l diag.List
		if cfg = tree.Parse("endpointConfig.json", []byte(cfg.Text), &l); cfg == nil {
			return fmt.Errorf("API %q: %s", a.Name, l[0])
		}
	}
	if cfg == nil || cfg.Kind != tree.Object {
		return nil
	}
	typ := strings.ToLower(text(cfg, "endpoint_type"))
	switch typ {
	case "", "http", "https":
		typ = "http"
	case "load_balance", "failover", "address":
	default:
		a.note("it has no endpoint that can be called: their type is %q", typ)
		return nil
	}
	a.Production = endpointList(typ, cfg.Get("production_endpoints"), cfg.Get("production_failovers"))
	a.Sandbox = endpointList(typ, cfg.Get("sandbox_endpoints"), cfg.Get("sandbox_failovers"))
	a.credentials(n, cfg)
	return nil
}

func endpointList(typ string, main, more *tree.Node) *Endpoints {
	e := &Endpoints{Type: typ}
	add := func(n *tree.Node) {
		if n == nil {
			return
		}
		items := []*tree.Node{n}
		if n.Kind == tree.Array {
			items = n.Items
		}
		for _, item := range items {
			u := text(item, "url")
			if item.Kind == tree.String {
				u = item.Text
			}
			if u = strings.TrimSpace(u); u != "" && !slices.Contains(e.URLs, u) {
				e.URLs = append(e.URLs, u)
			}
		}
	}
	add(main)
	if typ == "failover" {
		add(more)
	}
	switch len(e.URLs) {
	case 0:
		return nil
	case 1:
		e.Type = "http"
	}
	return e
}

// credentials reads what upstreams want to see: of both environments, or of
// each in API Manager 3.2 and later.
func (a *API) credentials(n, cfg *tree.Node) {
	both := n.Get("endpointSecurity")
	each := cfg.Get("endpoint_security")
	for _, env := range []struct {
		name string
		to   *Endpoints
	}{{"production", a.Production}, {"sandbox", a.Sandbox}} {
		if env.to == nil {
			continue
		}
		var typ, user string
		switch own := each.Get(env.name); {
		case own != nil && truth(own, "enabled"):
			typ, user = text(own, "type"), text(own, "username")
		case own == nil && both != nil && both.Kind == tree.Object:
			typ, user = text(both, "type"), text(both, "username")
		case own == nil && truth(n, "endpointSecured"):
			typ, user = "basic", text(n, "endpointUTUsername")
			if truth(n, "endpointAuthDigest") {
				typ = "digest"
			}
		}
		switch typ = strings.ToLower(typ); typ {
		case "", "none":
		case "basic", "digest":
			env.to.AuthType, env.to.Username = typ, user
		default:
			a.note("its %s upstream wants credentials of the type %q, which are not taken", env.name, typ)
		}
	}
}

func (a *API) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}

// text is the scalar of that name, or "". API Manager writes null, and in YAML
// sometimes a word, for nothing.
func text(n *tree.Node, name string) string {
	v := n.Get(name)
	if v == nil || v.Kind != tree.String && v.Kind != tree.Number {
		return ""
	}
	return strings.TrimSpace(v.Text)
}

func truth(n *tree.Node, name string) bool {
	v := n.Get(name)
	return v != nil && (v.Kind == tree.Bool || v.Kind == tree.String) && strings.EqualFold(v.Text, "true")
}

// words is the list of the first of those names that is there: a list, or its
// members in one text with commas between.
func words(n *tree.Node, names ...string) []string {
	for _, name := range names {
		v := n.Get(name)
		if v == nil {
			continue
		}
		var list []string
		switch v.Kind {
		case tree.String:
			for w := range strings.SplitSeq(v.Text, ",") {
				if w = strings.TrimSpace(w); w != "" {
					list = append(list, w)
				}
			}
		case tree.Array:
			for _, item := range v.Items {
				if item.Kind == tree.String && item.Text != "" {
					list = append(list, item.Text)
				}
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
