package lint

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Rules are all there are, in the order of docs/lint.md.
var Rules = []Rule{
	{BuildRule, Warning, "what a build would say"},
	{"lint-ignore", Warning, "x-micro-gw-lint-ignore names no rule"},

	{"open-operation", Advice, "anyone may call the operation"},
	{"no-security", Advice, "the definition asks for no credentials"},
	{"credentials-in-query", Warning, "credentials are sent in the URL"},
	{"obsolete-flow", Advice, "an OAuth 2.0 flow that should not be used any more"},
	{"cleartext-authorization", Warning, "tokens are issued over plain HTTP"},
	{"cleartext-endpoint", Warning, "calls go to a public host over plain HTTP"},
	{"placeholder-endpoint", Warning, "calls go to a host that is an example"},
	{"no-tier", Advice, "nothing limits how often operations are called"},
	{"unused-policy", Advice, "no operation names the throttling policy"},

	{"no-operation-id", Advice, "the operation has no operationId"},
	{"no-success-response", Warning, "the operation describes no success"},
	{"no-error-response", Advice, "the operation describes no client error"},
	{"error-without-schema", Advice, "the body of an error is not described"},
	{"body-without-meaning", Warning, "a GET or HEAD request with a body"},
	{"ignored-header", Advice, "a header parameter that the standard ignores"},

	{"unbounded-string", Advice, "callers may send strings of any length"},
	{"unbounded-array", Advice, "callers may send lists of any length"},
	{"unbounded-integer", Advice, "callers may send any whole number"},
	{"unbounded-object", Advice, "callers may send objects with any keys"},
	{"regex-invalid", Warning, "a pattern is no regular expression"},
	{"regex-not-re2", Warning, "a pattern needs an engine that backtracks"},
	{"regex-catastrophic", Warning, "a pattern takes exponential time in engines that backtrack"},
	{"enum-type", Warning, "a value of an enum is of another type"},
	{"contradictory-bounds", Warning, "nothing can be valid"},
	{"array-without-items", Warning, "a list of nobody knows what"},

	{"unused-component", Advice, "nothing refers to the component"},
}

// ignoreKey is an extension that silences rules in the object it stands in, and
// below.
const ignoreKey = "x-micro-gw-lint-ignore"

// policies are looked at for the project as a whole.
func (l *linter) policies(res build.Result) {
	if res.Policies == nil || !l.tiers {
		return
	}
	var unused []string
	var at diag.At
	for _, p := range res.Policies.Policies {
		if p.Kind == policies.Resource && !slices.Contains(l.used, p.Name) {
			if unused == nil {
				at = p.At
				at.Place = ""
			}
			unused = append(unused, fmt.Sprintf("%q", p.Name))
		}
	}
	switch len(unused) {
	case 0:
	case 1:
		l.report("unused-policy", at, "", "no operation has the resource policy %s", unused[0])
	default:
		l.report("unused-policy", at, "", "no operation has one of %d resource policies: %s", len(unused), listed(unused))
	}
}

// listed names the first few.
func listed(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// operation looks at an operation as a whole.
func (d *document) operation(op *spec.Operation, node *tree.Node) {
	switch {
	case op.Extensions.Disable != nil && op.Extensions.Disable.Value:
		d.report("open-operation", op.At, "", "anyone may call it: x-wso2-disable-security opens it")
	case op.Extensions.Disable != nil:
	case d.doc.Extensions.Disable != nil && d.doc.Extensions.Disable.Value:
		d.report("open-operation", op.At, "", "anyone may call it: the API's x-wso2-disable-security opens it")
	case d.doc.Extensions.Disable == nil && op.Extensions.AuthNone != nil:
		d.report("open-operation", op.At, "", "anyone may call it: x-auth-type opens it")
	}
	if op.OperationID == "" {
		d.report("no-operation-id", op.At, "", "it has no operationId: tools that make clients invent names")
	}
	d.responses(op, node)
	if op.Method == "GET" || op.Method == "HEAD" {
		if body := d.requestBody(node); body != nil {
			d.report("body-without-meaning", body.At(op.At.Place+".requestBody"), "send it with POST, or write it as parameters", "a %s request's body has no meaning, and proxies may drop it (RFC 9110, section 9.3.1)", op.Method)
		}
	}
}

// requestBody is what an operation describes as its body, however it does.
func (d *document) requestBody(node *tree.Node) *tree.Node {
	if d.doc.Dialect != spec.Swagger20 {
		return node.Get("requestBody")
	}
	if list := node.Get("parameters"); list != nil {
		for _, item := range list.Items {
			if p := d.deref(item); p != nil {
				if in := p.Get("in"); in != nil && (in.Text == "body" || in.Text == "formData") {
					return item
				}
			}
		}
	}
	return nil
}

func (d *document) responses(op *spec.Operation, node *tree.Node) {
	all := node.Get("responses")
	if all == nil || all.Kind != tree.Object {
		if d.doc.Dialect == spec.OpenAPI31 { // optional there
			d.report("no-success-response", op.At, "", "it describes no response")
		}
		return
	}
	success, failure := false, false
	var without []string
	var at diag.At
	for i, item := range all.Items {
		status := all.Keys[i].Name
		first := status
		if len(status) > 1 {
			first = status[:1]
		}
		switch first {
		case "1", "2", "3":
			success = true
		case "4":
			failure = true
		case "d": // default
			success, failure = true, true
		}
		if first != "4" && first != "5" && status != "default" {
			continue
		}
		if item.Get("$ref") != nil {
			d.sharedError(item)
		} else if item.Kind == tree.Object && !d.hasBody(item) && status != "default" {
			if without == nil {
				at = all.KeyAt(i, op.At.Place)
			}
			without = append(without, status)
		}
	}
	if !success {
		d.report("no-success-response", op.At, "", "it describes no success: no response is 2xx or 3xx")
	}
	if !failure {
		d.report("no-error-response", op.At, "", "it describes no client error: no response is 4xx or default")
	}
	switch len(without) {
	case 0:
	case 1:
		d.report("error-without-schema", at, "", "the error has no schema: clients cannot know what its body says")
	default:
		d.report("error-without-schema", at, "", "%d errors have no schema: clients cannot know what their bodies say (%s)", len(without), listed(without))
	}
}

// sharedError looks at a response that an operation refers to as an error. What
// the operation ignores is no matter: others refer to it as well.
func (d *document) sharedError(ref *tree.Node) {
	defer d.asComponent()()
	n, p := d.doc.Follow(ref)
	if n == nil || n.Kind != tree.Object || d.errors[n] {
		return
	}
	d.errors[n] = true
	if n.Get("$ref") != nil {
		d.sharedError(n)
	} else if !d.hasBody(n) && !d.ignored(n, "error-without-schema") {
		d.report("error-without-schema", n.At(p.String()), "", "the error has no schema: clients cannot know what its body says")
	}
}

func (d *document) hasBody(response *tree.Node) bool {
	if d.doc.Dialect == spec.Swagger20 {
		return response.Get("schema") != nil
	}
	content := response.Get("content")
	if content == nil {
		return false
	}
	for _, media := range content.Items {
		if media.Get("schema") == nil && media.Get("$ref") == nil {
			return false
		}
	}
	return len(content.Items) > 0
}

// whole looks at the definition as a whole.
func (d *document) whole() {
	x := d.doc.Extensions
	secured := d.doc.Security != nil || x.Application != nil || x.MutualSSL != nil || x.Disable != nil
	bare, untiered := 0, 0
	var first, firstUntiered *spec.Operation
	for _, op := range d.doc.Operations {
		if op.Method == "TRACE" {
			continue
		}
		if e := op.Extensions; !secured && op.Security == nil && e.Disable == nil && e.Application == nil && e.AuthNone == nil {
			if bare++; first == nil {
				first = op
			}
		}
		tier := op.Extensions.Tier
		if tier == nil {
			tier = op.PathItem.Tier
		}
		if tier == nil {
			tier = x.Tier
		}
		if tier == nil {
			if untiered++; firstUntiered == nil {
				firstUntiered = op
			}
		} else {
			d.tiers++
			d.tierNames[tier.Value] = true
		}
	}
	if x.Tier != nil {
		d.tierNames[x.Tier.Value] = true
	}
	switch {
	case bare == 0:
	case bare == len(d.doc.Operations):
		d.report("no-security", d.doc.At, "say so with security and securitySchemes, for those who read the definition", "no operation says how callers prove who they are: the gateway asks for OAuth2")
	default:
		d.report("no-security", first.At, "say so with security, for those who read the definition", "%s says nothing of security: the gateway asks for OAuth2", operations(bare, "it"))
	}
	switch {
	case untiered == 0 || d.tiers == 0 && untiered == 1:
	case d.tiers == 0:
		d.report("no-tier", d.doc.At, "name a policy with x-wso2-throttling-tier, or Unlimited if that is meant", "nothing limits how often the API's %d operations are called", untiered)
	default:
		d.report("no-tier", firstUntiered.At, "name a policy with x-wso2-throttling-tier, or Unlimited if that is meant", "nothing limits how often %s called, as others are", operationsAre(untiered))
	}
}

func operations(n int, one string) string {
	switch n {
	case 1:
		return one
	case 2:
		return one + ", like one more operation,"
	default:
		return fmt.Sprintf("%s, like %d more operations,", one, n-1)
	}
}

func operationsAre(n int) string {
	switch n {
	case 1:
		return "it is"
	case 2:
		return "it and one more operation are"
	default:
		return fmt.Sprintf("it and %d more operations are", n-1)
	}
}

// endpoints looks at where calls go.
func (d *document) endpoints() {
	seen := make(map[string]bool)
	check := func(raw string, at diag.At, called bool) {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || seen[at.String()] {
			return
		}
		seen[at.String()] = true
		if called && placeholder(u.Hostname()) {
			d.report("placeholder-endpoint", at, "", "calls go to %s, a name that is kept for examples (RFC 2606)", u.Hostname())
		} else if u.Scheme == "http" && public(u.Hostname()) {
			d.report("cleartext-endpoint", at, "write https", "calls go to %s over plain HTTP: others can read and change them on the way", u.Host)
		}
	}
	endpoint := func(e *spec.Endpoint) {
		if e != nil {
			for _, u := range e.URLs {
				check(u.URL, u.At, true)
			}
		}
	}
	route := func(x spec.RouteExtensions) {
		for _, ref := range []*spec.EndpointRef{x.Production, x.Sandbox} {
			if ref != nil {
				endpoint(ref.Endpoint)
			}
		}
	}
	x := d.doc.Extensions
	route(x.RouteExtensions)
	for _, e := range x.Endpoints {
		endpoint(e.Endpoint)
	}
	root := x.Production != nil
	for _, op := range d.doc.Operations {
		route(op.PathItem)
		route(op.Extensions.RouteExtensions)
		if own := root || op.PathItem.Production != nil || op.Extensions.Production != nil; !own {
			servers := op.Servers
			if len(servers) == 0 {
				servers = d.doc.Servers
			}
			for _, s := range servers {
				if s.Problem == "" {
					check(s.URL, s.At, true)
				}
			}
		}
	}
}

// placeholder recognises the names that are reserved for documentation (RFC 2606
// and RFC 6761).
func placeholder(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, name := range []string{"example.com", "example.org", "example.net", "example", "invalid"} {
		if host == name || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// public reports whether a host is one that everybody can reach. Names without a
// dot, names that only mean something inside of a network, and addresses that are
// not routed are not: there, plain HTTP is a decision.
func public(host string) bool {
	if placeholder(host) {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified()
	}
	if !strings.Contains(host, ".") {
		return false
	}
	for _, inside := range []string{"localhost", "local", "internal", "intranet", "lan", "home.arpa", "corp", "svc", "test", "docker"} {
		if strings.HasSuffix(host, "."+inside) {
			return false
		}
	}
	return true
}

// scheme looks at a security scheme, or at a flow of one.
func (d *document) scheme(kind string, n *tree.Node, p *spec.Place) {
	for _, key := range []string{"authorizationUrl", "tokenUrl", "refreshUrl", "openIdConnectUrl"} {
		v := n.Get(key)
		if v == nil || v.Kind != tree.String {
			continue
		}
		if u, err := url.Parse(v.Text); err == nil && u.Scheme == "http" && public(u.Hostname()) {
			d.report("cleartext-authorization", v.At(p.Key(key).String()), "write https", "credentials and tokens pass %s over plain HTTP (RFC 6749, section 3.1)", u.Host)
		}
	}
	text := func(key string) string {
		if v := n.Get(key); v != nil {
			return v.Text
		}
		return ""
	}
	if kind == "SecurityScheme" && text("type") == "apiKey" && text("in") == "query" {
		d.report("credentials-in-query", n.Get("in").At(p.Key("in").String()), "send it in a header", "the API key %q is part of the URL, which ends up in logs and histories", text("name"))
	}
	obsolete := func(flow string, at diag.At) {
		why := map[string]string{
			"implicit": "tokens pass through the browser's history (RFC 9700, section 2.1.2)",
			"password": "the application gets to know the password (RFC 9700, section 2.4)",
		}[flow]
		if why != "" {
			d.report("obsolete-flow", at, "use authorizationCode, with PKCE", "the %s flow should not be used any more: %s", flow, why)
		}
	}
	if kind == "OAuthFlows" {
		for i, k := range n.Keys {
			obsolete(k.Name, n.KeyAt(i, p.Key(k.Name).String()))
		}
	}
	if flow := n.Get("flow"); kind == "SecurityScheme" && flow != nil {
		obsolete(flow.Text, flow.At(p.Key("flow").String()))
	}
}

// secrets are names of parameters that hold credentials, without marks and case.
var secrets = []string{"accesstoken", "apikey", "apitoken", "authtoken", "authorization", "bearertoken", "clientsecret", "idtoken", "jwt", "passwd", "password", "refreshtoken", "secret", "sessionid", "token", "xapikey"}

func (d *document) parameter(n *tree.Node, p *spec.Place) {
	in, name := n.Get("in"), n.Get("name")
	if in == nil || name == nil {
		return
	}
	switch in.Text {
	case "query":
		bare := strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name.Text))
		if slices.Contains(secrets, bare) && d.isText(n) {
			d.report("credentials-in-query", name.At(p.Key("name").String()), "send it in a header", "%q looks like credentials, and is part of the URL, which ends up in logs and histories", name.Text)
		}
	case "header":
		if slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(name.Text)) && d.doc.Dialect != spec.Swagger20 {
			instead := map[string]string{"accept": "the responses' media types", "content-type": "the request body's media types", "authorization": "a security scheme"}[strings.ToLower(name.Text)]
			d.report("ignored-header", name.At(p.Key("name").String()), "describe it by "+instead, "the standard ignores a header parameter %q (OpenAPI 3, Parameter Object)", name.Text)
		}
	}
}

// isText reports whether a parameter is a string as far as it says so: the
// "token" that counts words of a language model is a number.
func (d *document) isText(n *tree.Node) bool {
	if s := n.Get("schema"); s != nil {
		if n = d.deref(s); n == nil {
			return true
		}
	}
	types := typesOf(n)
	return len(types) == 0 || slices.Contains(types, "string")
}
