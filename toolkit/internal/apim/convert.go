package apim

import (
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// decided are the root keys that a description decides. What the definition has
// of them is older or somebody else's.
var decided = []string{
	"x-wso2-basePath", "x-wso2-production-endpoints", "x-wso2-sandbox-endpoints", "x-wso2-cors", "x-wso2-auth-header",
	"x-wso2-owner", "x-wso2-transports", "x-wso2-application-security", "x-wso2-mutual-ssl", "x-wso2-response-cache",
	"x-wso2-throttling-tier", "x-throttling-tier", "x-wso2-disable-security",
}

// write puts the whole description into a definition. all says that every
// extension at the root gives way, as in API Manager 2.6, where whatever stands
// there is of API Manager's own making.
func (a *API) write(def *tree.Node, all bool) {
	silent := map[string]bool{ // about what the definition says then
		"x-wso2-cors":                 a.CORS == nil,
		"x-wso2-transports":           len(a.Transports) == 0,
		"x-wso2-application-security": len(a.Security) == 0,
		"x-wso2-mutual-ssl":           len(a.Security) == 0,
	}
	drop(def, func(key string) bool {
		return all && strings.HasPrefix(strings.ToLower(key), "x-") || slices.Contains(decided, key) && !silent[key]
	})
	tidy(def)
	m := maker{def.File}
	a.title(def)
	if a.Context != "" {
		def.Set("x-wso2-basePath", m.text(a.Context))
	}
	if a.Production == nil && a.Sandbox != nil {
		// A build would call the definition's servers in production, where API
		// Manager calls nothing.
		withoutServers(def)
	}
	for _, env := range []struct {
		key string
		e   *Endpoints
	}{{"x-wso2-production-endpoints", a.Production}, {"x-wso2-sandbox-endpoints", a.Sandbox}} {
		if env.e == nil {
			continue
		}
		x := m.object("urls", m.list(env.e.URLs), "type", m.text(env.e.Type))
		if env.e.AuthType != "" {
			auth := m.object("type", m.text(env.e.AuthType))
			if env.e.Username != "" {
				auth.Set("username", m.text(env.e.Username))
			}
			x.Set("securityConfig", auth)
		}
		def.Set(env.key, x)
	}
	if c := a.CORS; c != nil && c.Enabled {
		x := m.object(
			"corsConfigurationEnabled", m.bool(true),
			"accessControlAllowOrigins", m.list(c.Origins),
			"accessControlAllowHeaders", m.list(c.Headers),
			"accessControlAllowMethods", m.list(c.Methods),
			"accessControlAllowCredentials", m.bool(c.Credentials))
		if len(c.Expose) > 0 {
			x.Set("accessControlExposeHeaders", m.list(c.Expose))
		}
		def.Set("x-wso2-cors", x)
	}
	if a.AuthHeader != "" {
		def.Set("x-wso2-auth-header", m.text(a.AuthHeader))
	}
	if a.Provider != "" {
		def.Set("x-wso2-owner", m.text(a.Provider))
	}
	if len(a.Transports) > 0 {
		def.Set("x-wso2-transports", m.list(a.Transports))
	}
	a.security(def, m)
	if _, err := strconv.ParseUint(a.CacheSecs, 10, 31); err == nil {
		def.Set("x-wso2-response-cache", m.object("enabled", m.bool(true), "cacheTimeoutInSeconds", m.number(a.CacheSecs)))
	}
	if a.Tier != "" && a.Tier != unlimited {
		def.Set("x-wso2-throttling-tier", m.text(a.Tier))
		oneTier(def)
	}
}

// oneTier drops the tiers that API Manager has written into the operations of an
// API with a tier of its own. There the API's takes their place; in a build
// theirs would take its place, and "Unlimited" would lift it.
func oneTier(def *tree.Node) {
	operations(def, func(op *tree.Node) {
		drop(op, func(key string) bool { return key == "x-throttling-tier" })
	})
}

// security writes what callers must show. A word that is not known says nothing
// here: the definition's own security stays, which a build never reads as open.
func (a *API) security(def *tree.Node, m maker) {
	var types []string
	has := func(word string) bool {
		return slices.ContainsFunc(a.Security, func(w string) bool { return strings.EqualFold(w, word) })
	}
	for _, t := range []string{"oauth2", "basic_auth", "api_key"} {
		if has(t) {
			types = append(types, t)
		}
	}
	// With nothing else to show, the certificate is what all must show.
	mandatory := has("mutualssl") && (has("mutualssl_mandatory") || len(types) == 0)
	if has("mutualssl") {
		how := "optional"
		if mandatory {
			how = "mandatory"
		}
		def.Set("x-wso2-mutual-ssl", m.text(how))
	}
	x := m.object()
	if len(types) > 0 {
		x.Set("security-types", m.list(types))
	}
	// Of two that are not mandatory either will do, which is what "optional" says
	// by itself.
	switch rest := has("oauth_basic_auth_api_key_mandatory"); {
	case mandatory && !rest:
		x.Set("optional", m.bool(true))
	case has("mutualssl") && !mandatory && rest:
		x.Set("optional", m.bool(false))
	}
	if len(x.Keys) > 0 {
		def.Set("x-wso2-application-security", x)
	}
}

// complete adds to a definition that API Manager 3.1 and later has written the
// extensions into, what those may lack.
func (a *API) complete(def *tree.Node) {
	m := maker{def.File}
	a.title(def)
	if a.Context != "" && def.Get("x-wso2-basePath") == nil {
		def.Set("x-wso2-basePath", m.text(a.Context))
	}
	if a.Provider != "" && def.Get("x-wso2-owner") == nil {
		def.Set("x-wso2-owner", m.text(a.Provider))
	}
	if def.Get("x-wso2-production-endpoints") == nil && def.Get("x-wso2-sandbox-endpoints") != nil {
		withoutServers(def)
	}
	if t := first(text(def, "x-wso2-throttling-tier"), text(def, "x-throttling-tier")); t != "" && t != unlimited {
		oneTier(def)
	}
	tidy(def)
}

// title makes title and version those of the API, so that one API has one name in
// both products.
func (a *API) title(def *tree.Node) {
	m := maker{def.File}
	if info := def.Get("info"); info == nil || info.Kind != tree.Object {
		def.Set("info", m.object("title", m.text(a.Name), "version", m.text(a.Version)))
	} else {
		info.Set("title", m.text(a.Name))
		info.Set("version", m.text(a.Version))
	}
}

// tidy brings the endpoints that API Manager writes into the form that a build
// reads: it repeats URLs, spells the type of credentials in upper case, says
// beside it whether they are in use, and adds the password.
func tidy(def *tree.Node) {
	endpoint := func(n *tree.Node) {
		if urls := n.Get("urls"); urls != nil {
			var seen []string
			urls.Items = slices.DeleteFunc(urls.Items, func(u *tree.Node) bool {
				again := slices.Contains(seen, u.Text)
				seen = append(seen, u.Text)
				return again
			})
		}
		auth := n.Get("securityConfig")
		if auth == nil || auth.Kind != tree.Object {
			return
		}
		typ := strings.ToLower(text(auth, "type"))
		off := auth.Get("enabled") != nil && !truth(auth, "enabled")
		if typ == "" || typ == "none" || off {
			drop(n, func(key string) bool { return key == "securityConfig" })
			return
		}
		m := maker{n.File}
		auth.Set("type", m.text(typ))
		drop(auth, func(key string) bool { return key != "type" && key != "username" })
	}
	both := func(n *tree.Node) {
		endpoint(n.Get("x-wso2-production-endpoints"))
		endpoint(n.Get("x-wso2-sandbox-endpoints"))
	}
	both(def)
	operations(def, both)
	if named := def.Get("x-wso2-endpoints"); named != nil {
		for _, item := range named.Items {
			for _, e := range item.Items {
				endpoint(e)
			}
		}
	}
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func operations(def *tree.Node, do func(op *tree.Node)) {
	paths := def.Get("paths")
	if paths == nil {
		return
	}
	for _, item := range paths.Items {
		for _, m := range methods {
			if op := item.Get(m); op != nil && op.Kind == tree.Object {
				do(op)
			}
		}
	}
}

// unlimited is the tier that is none.
const unlimited = "Unlimited"

// Tiers are the throttling tiers that a definition names, in order of the file
// and each once.
func Tiers(def *tree.Node) []string {
	var tiers []string
	note := func(n *tree.Node) {
		t := first(text(n, "x-wso2-throttling-tier"), text(n, "x-throttling-tier"))
		if t != "" && t != unlimited && !slices.Contains(tiers, t) {
			tiers = append(tiers, t)
		}
	}
	note(def)
	operations(def, note)
	return tiers
}

func withoutServers(def *tree.Node) {
	is := func(key string) bool { return key == "servers" }
	drop(def, func(key string) bool { return is(key) || key == "host" })
	if paths := def.Get("paths"); paths != nil {
		for _, item := range paths.Items {
			drop(item, is)
		}
	}
	operations(def, func(op *tree.Node) { drop(op, is) })
}

func drop(n *tree.Node, is func(key string) bool) {
	if n == nil || n.Kind != tree.Object {
		return
	}
	var gone []int
	for i, k := range n.Keys {
		if is(k.Name) {
			gone = append(gone, i)
		}
	}
	if len(gone) > 0 {
		n.Drop(gone)
	}
}

// maker makes nodes.
type maker struct{ file *string }

func (m maker) text(s string) *tree.Node { return &tree.Node{Kind: tree.String, Text: s, File: m.file} }
func (m maker) number(s string) *tree.Node {
	return &tree.Node{Kind: tree.Number, Text: s, File: m.file}
}
func (m maker) bool(b bool) *tree.Node {
	return &tree.Node{Kind: tree.Bool, Text: strconv.FormatBool(b), File: m.file}
}

func (m maker) list(texts []string) *tree.Node {
	n := &tree.Node{Kind: tree.Array, File: m.file}
	for _, t := range texts {
		n.Items = append(n.Items, m.text(t))
	}
	return n
}

// object takes names and nodes in turn.
func (m maker) object(members ...any) *tree.Node {
	n := &tree.Node{Kind: tree.Object, File: m.file}
	for i := 0; i < len(members); i += 2 {
		n.Set(members[i].(string), members[i+1].(*tree.Node))
	}
	return n
}
