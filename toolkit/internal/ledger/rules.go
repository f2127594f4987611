package ledger

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// verdict is what becomes of a keyword, with the parts of its value that have a
// verdict of their own.
type verdict struct {
	verdict Verdict
	why     string
	inner   []inner
	// describes says that it is for readers, whatever a version can do.
	describes bool
}

type inner struct {
	object, key, pointer string
	verdict              verdict
}

func enforced(why string) verdict   { return verdict{verdict: Enforced, why: why} }
func documented(why string) verdict { return verdict{verdict: Documented, why: why} }

// reading is the verdict on what describes and never acts.
func reading(why string) verdict {
	return verdict{verdict: Documented, why: why, describes: true}
}

// describes is the reason that all such keywords have in short.
const describes = "for readers"

func refused(why string) verdict { return verdict{verdict: Refused, why: why} }

// lacking is the verdict on something that depends on a feature.
func lacking(f compile.Feature, otherwise verdict) verdict {
	if f.Enforced() {
		return otherwise
	}
	return documented("carried: " + f.Instead())
}

// context is a keyword in its place.
type context struct {
	*document
	kind, key string
	node      *tree.Node // the object; nil where only sums are made
	value     *tree.Node
	place     *spec.Place
	area      area
	ops       []*operation // those that it is about
	usage     *usage       // of the component that it stands in
}

type rule func(*context) verdict

// The keywords that describe and never act, by kind of object. What stands
// behind the colon is why.
const describing = `
Root openapi swagger jsonSchemaDialect: the build reads the document by it
Root info tags externalDocs components: describes the API
Root webhooks: webhooks do not pass through the gateway
Info title version: names the API in logs and metrics
Info summary description termsOfService contact license: for readers
Contact name url email: for readers
License name identifier url: for readers
ExternalDocs description url: for readers
Tag name description externalDocs: for readers
Components schemas responses parameters examples requestBodies headers securitySchemes links callbacks pathItems: counts where it is referred to
PathItem summary description: for readers
Operation tags summary description externalDocs: for readers
Operation operationId: names the operation for readers and tools
Operation deprecated: for readers; calls are served as before
Operation callbacks: callbacks do not pass through the gateway
Server description: for readers
ServerVariable enum description: the default counts
Parameter description deprecated example examples: for readers
RequestBody description: for readers
MediaType example examples: for readers and for mocks
Response description: for readers
Response links: for readers
Header description deprecated example examples: for readers
Example summary description value externalValue: for readers and for mocks
Link operationRef operationId parameters requestBody description server: for readers
Schema title description example examples externalDocs xml deprecated default $comment $vocabulary: for readers
Schema contentMediaType contentEncoding contentSchema: for readers
XML name namespace prefix attribute wrapped: for readers
SecurityScheme description bearerFormat: for readers
SecurityScheme openIdConnectUrl: for readers; issuers and their keys are the runtime's conf
OAuthFlows implicit password clientCredentials authorizationCode: for clients; tokens are checked whatever flow they come from
OAuthFlow authorizationUrl tokenUrl refreshUrl: for clients; issuers and their keys are the runtime's conf
OAuthFlow scopes: declares what security lists may ask for
`

// The keywords that say what is valid: they act where the operation validates.
const validating = `
Operation parameters responses
PathItem parameters
Parameter name in required allowEmptyValue style explode allowReserved schema content
RequestBody content required
MediaType schema encoding
Encoding contentType headers style explode allowReserved
Response headers content
Header required allowEmptyValue style explode allowReserved schema content
Schema $schema $id $anchor $dynamicRef $dynamicAnchor $defs multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required dependentRequired enum const type allOf oneOf anyOf not if then else dependentSchemas prefixItems items contains properties patternProperties additionalProperties propertyNames unevaluatedItems unevaluatedProperties format nullable discriminator readOnly writeOnly
Discriminator propertyName mapping
`

// rules are the verdicts on keywords, by "Object key". Those in acting look at
// the place; the others are the same wherever the keyword stands in an area.
var rules = func() map[string]rule {
	all := make(map[string]rule)
	for _, line := range strings.Split(strings.TrimSpace(describing), "\n") {
		head, why, _ := strings.Cut(line, ": ")
		words := strings.Fields(head)
		for _, key := range words[1:] {
			all[words[0]+" "+key] = func(*context) verdict { return reading(why) }
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(validating), "\n") {
		words := strings.Fields(line)
		for _, key := range words[1:] {
			all[words[0]+" "+key] = validated
		}
	}
	all["Operation requestBody"] = func(x *context) verdict { return x.valid(requestBody) }
	all["Operation responses"] = func(x *context) verdict { return x.valid(responses) }
	all["Operation parameters"] = func(x *context) verdict { return x.valid(parameters) }
	all["PathItem parameters"] = func(x *context) verdict { return x.valid(parameters) }
	return all
}()

// acting are the keywords, and the extensions, whose verdict depends on what the
// build has made of them.
var acting = func() map[string]rule {
	all := map[string]rule{
		"Root paths":    func(*context) verdict { return enforced("its operations are routed, nothing else is") },
		"Root security": rootSecurity, "Operation security": operationSecurity,
		"Root servers": servers, "PathItem servers": servers, "Operation servers": servers,
		"Server url": server, "Server variables": server, "ServerVariable default": serverVariable,
		"SecurityScheme type": scheme, "SecurityScheme scheme": scheme, "SecurityScheme in": scheme,
		"SecurityScheme name": scheme, "SecurityScheme flows": scheme,

		"Root x-wso2-basePath":    func(x *context) verdict { return enforced("the API is mounted at " + x.api.GetBasePath()) },
		"Root x-wso2-endpoints":   namedEndpoints,
		"Root x-wso2-cors":        cors,
		"Root x-wso2-auth-header": func(*context) verdict { return enforced("credentials are read from this header") },
		"Root x-wso2-mutual-ssl": func(x *context) verdict {
			why := "callers may show a client certificate, which takes the place of the rest unless x-wso2-application-security.optional is false"
			if strings.EqualFold(strings.TrimSpace(x.value.Text), "mandatory") {
				why = "callers need a client certificate"
			}
			return lacking(compile.MutualTLS, enforced(why))
		},
		"Root x-wso2-transports":     func(*context) verdict { return enforced("other listeners do not serve the API") },
		"Root x-wso2-owner":          func(*context) verdict { return documented("carried, for analytics") },
		"Root x-wso2-response-cache": responseCache,
		"Operation x-scope":          scopeExtension,
		"Operation x-auth-type":      authType,
	}
	for _, object := range []string{"Root", "PathItem", "Operation"} {
		all[object+" x-wso2-production-endpoints"] = endpoints
		all[object+" x-wso2-sandbox-endpoints"] = endpoints
		all[object+" x-wso2-throttling-tier"] = tier
		all[object+" x-throttling-tier"] = tier
		all[object+" x-wso2-request-interceptor"] = interceptor
		all[object+" x-wso2-response-interceptor"] = interceptor
		if object != "PathItem" {
			all[object+" x-wso2-disable-security"] = disable
			all[object+" x-wso2-application-security"] = applicationSecurity
		}
	}
	for _, m := range methods {
		all["PathItem "+m] = method
	}
	return all
}()

// rule is the rule for a keyword. Fixed: its verdict is the same for all that
// have the object's kind, the key, the area and the operations.
func (d *document) rule(x *context) (r rule, fixed bool) {
	switch {
	case x.area == callbacks:
		return func(*context) verdict { return documented("callbacks do not pass through the gateway") }, true
	case x.area == webhooks:
		return func(*context) verdict { return documented("webhooks do not pass through the gateway") }, true
	}
	if x.area != itself && (x.kind == "Server" || x.kind == "ServerVariable") {
		return func(*context) verdict { return reading("for readers") }, true // of a link
	}
	name := x.kind + " " + x.key
	if r := acting[name]; r != nil {
		return r, false
	}
	if r := rules[name]; r != nil {
		return r, true
	}
	switch {
	case spec.Foreign(x.key) != "":
		return func(x *context) verdict { return reading(spec.Foreign(x.key) + ": it is ignored") }, true
	case x.key == ignoreKey:
		return func(*context) verdict { return reading("read by micro-gw lint") }, true
	case spec.IsExtension(x.key) && strings.HasPrefix(x.key, "x-wso2-"):
		return func(*context) verdict { return documented(noVerdict) }, true
	case spec.IsExtension(x.key):
		return func(*context) verdict { return reading("an extension that the gateway does not read") }, true
	case d.grammar.Known(spec.Keyword{Object: x.kind, Key: x.key}):
		return func(*context) verdict { return documented(noVerdict) }, true
	}
	return func(*context) verdict { return documented("the standard does not know it: it is ignored") }, true
}

// noVerdict is what a keyword gets that was forgotten here; a test sees to it
// that none is.
const noVerdict = "this version has no verdict on it"

// ignoreKey silences lint.
const ignoreKey = "x-micro-gw-lint-ignore"

func validated(x *context) verdict { return x.valid(x.area) }

// valid is the verdict on what says which requests or responses are valid, for
// operations that validate. Where some of several operations do not, that is the
// verdict.
func (x *context) valid(a area) verdict {
	var used usage
	if x.usage != nil {
		used = *x.usage
	}
	for _, op := range x.ops {
		if validates(op, a != responses) {
			used.yes[a]++
		} else {
			used.no[a]++
		}
	}
	yes, no := 0, 0
	var why []string
	for in := range numAreas {
		yes += used.yes[in]
		if used.no[in] == 0 {
			continue
		}
		no += used.no[in]
		text := "the operation's requests are not validated"
		switch {
		case in >= callbacks || in == itself:
			text = "it is not about calls that pass through the gateway"
		case in == responses && !compile.ResponseValidation.Enforced():
			text = compile.ResponseValidation.Instead()
		case in == responses:
			text = "the operation's responses are not validated"
		case !compile.RequestValidation.Enforced():
			text = compile.RequestValidation.Instead()
		}
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	slices.Sort(why)
	switch reasons := strings.Join(why, "; "); {
	case yes+no == 0 && x.usage == nil:
		return documented("the operation is not routed")
	case yes+no == 0:
		return documented("no operation uses it")
	case no == 0:
		return enforced("")
	case yes == 0:
		return documented(reasons)
	default:
		return documented(fmt.Sprintf("in %d of %d uses: %s", no, yes+no, reasons))
	}
}

func validates(op *operation, request bool) bool {
	if op == nil {
		return false
	}
	for _, s := range op.pb.GetStages() {
		if v := s.GetValidate(); v != nil && (request && v.GetRequest() || !request && v.GetResponse()) {
			return true
		}
	}
	return false
}

func hasStage[T any](op *operation, kind func(*artifactpb.Stage) *T) bool {
	return slices.ContainsFunc(op.pb.GetStages(), func(s *artifactpb.Stage) bool { return kind(s) != nil })
}

// without are the operations that do not have a key of their own, so that their
// path's or the API's counts.
func (x *context) without(keys ...string) []*operation {
	has := func(n *tree.Node, k string) bool { m := n.Get(k); return m != nil && m.Kind != tree.Null }
	return slices.DeleteFunc(slices.Clone(x.ops), func(op *operation) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return has(op.node, k) || x.kind == "Root" && has(op.item, k) })
	})
}

const everyOther = "every operation has its own"

// methods in the order of the standard.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func isMethod(key string) bool { return slices.Contains(methods, key) }

// method is the verdict on the key of an operation; nil if it is not routed.
func (d *document) method(op *operation, key string) verdict {
	switch {
	case op != nil:
		return enforced("routed")
	case key == "trace":
		return refused("TRACE is not routed: it would show a caller what the gateway adds to requests")
	}
	return documented("no path leads to it: it is not routed")
}

// method is the verdict where the path item is a component.
func method(x *context) verdict {
	for _, op := range x.ops {
		if op.node == x.value {
			return x.document.method(op, x.key)
		}
	}
	return x.document.method(nil, x.key)
}

// effective is the security list that the definition has for an operation.
func (d *document) effective(op *operation) *tree.Node {
	for _, n := range []*tree.Node{op.node.Get("security"), d.root.Get("security")} {
		if n != nil && n.Kind == tree.Array {
			return n
		}
	}
	return &tree.Node{Kind: tree.Array}
}

// accepts reports whether callers get into an operation by a scheme.
func (d *document) accepts(op *operation, name string) bool {
	for _, alt := range op.pb.GetSecurity().GetAlternatives() {
		if ok, names := d.checkable(alt); ok && slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// checkable reports whether this version checks all that an alternative asks
// for, and names its schemes.
func (d *document) checkable(alt *artifactpb.SecurityAlternative) (ok bool, names []string) {
	ok = len(alt.GetRequirements()) > 0
	for _, r := range alt.GetRequirements() {
		if int(r.GetScheme()) >= len(d.artifact.GetSecuritySchemes()) {
			return false, nil
		}
		s := d.artifact.GetSecuritySchemes()[r.GetScheme()]
		ok = ok && compile.ArtifactScheme(s).Enforced()
		if s.GetName() != "" || s.GetMutualTls() == nil { // x-wso2-mutual-ssl asks for that
			names = append(names, s.GetName())
		}
	}
	slices.Sort(names)
	return ok, names
}

// asked says what an operation asks of a caller.
func (d *document) asked(op *operation) string {
	var list []string
	for _, alt := range op.pb.GetSecurity().GetAlternatives() {
		if ok, _ := d.checkable(alt); !ok {
			continue
		}
		var all []string
		for _, r := range alt.GetRequirements() {
			word := schemeWord(d.artifact.GetSecuritySchemes()[r.GetScheme()])
			between := " or "
			if r.GetAllScopes() {
				between = " and "
			}
			if scopes := r.GetScopes(); len(scopes) > 0 {
				word += " with " + strings.Join(scopes, between)
			}
			all = append(all, word)
		}
		if words := strings.Join(all, " and "); !slices.Contains(list, words) {
			list = append(list, words)
		}
	}
	if op.pb.GetSecurity().GetOptional() {
		list = []string{"a client certificate"}
	}
	return strings.Join(list, "; or ")
}

// schemeWord names a scheme. Those that extensions ask for have no name.
func schemeWord(s *artifactpb.SecurityScheme) string {
	if s.GetName() != "" {
		return s.GetName()
	}
	switch s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Basic:
		return "a user and password"
	case *artifactpb.SecurityScheme_ApiKey:
		return "an API key"
	case *artifactpb.SecurityScheme_MutualTls:
		return "a client certificate"
	default:
		return "an OAuth2 token"
	}
}

// security is the verdict on a list for one operation.
func (d *document) security(list *tree.Node, op *operation) verdict {
	if op == nil {
		return documented("the operation is not routed")
	}
	if op.pb.GetSecurity().GetDisabled() {
		return documented("the operation is open: x-wso2-disable-security or x-auth-type says so")
	}
	for _, n := range []*tree.Node{op.node, d.root} {
		if n == d.root && list != n.Get("security") {
			break
		}
		if types := n.Get("x-wso2-application-security").Get("security-types"); types != nil && len(types.Items) > 0 {
			return documented("x-wso2-application-security takes its place, with its scopes")
		}
	}
	if list.Kind != tree.Array || len(list.Items) == 0 {
		return refused("an empty list does not open an operation: callers need " + d.asked(op))
	}
	var have [][]string
	for _, alt := range op.pb.GetSecurity().GetAlternatives() {
		if ok, names := d.checkable(alt); ok && len(names) > 0 {
			have = append(have, names)
		}
	}
	var missing []string
	for _, alt := range list.Items {
		names := slices.Sorted(slices.Values(alt.Names()))
		if slices.ContainsFunc(have, func(h []string) bool { return slices.Equal(h, names) }) {
			continue
		}
		what := "by " + strings.Join(names, " and ")
		if len(names) == 0 {
			what = "without credentials"
		}
		missing = append(missing, what)
	}
	if len(missing) > 0 {
		return refused(fmt.Sprintf("no caller gets in %s: callers need %s", strings.Join(missing, ", nor "), d.asked(op)))
	}
	return enforced("callers need " + d.asked(op))
}

func operationSecurity(x *context) verdict {
	if len(x.ops) == 0 {
		return documented("the operation is not routed")
	}
	return x.document.security(x.value, x.ops[0])
}

func rootSecurity(x *context) verdict {
	ops := x.without("security")
	if len(ops) == 0 {
		return documented(everyOther)
	}
	// The strictest word on it that any operation has.
	var worst verdict
	for _, op := range ops {
		v := x.document.security(x.value, op)
		if worst.verdict == "" || v.verdict == Refused || v.verdict == Enforced && worst.verdict == Documented {
			worst = v
		}
		if v.verdict == Refused {
			break
		}
	}
	return worst
}

func scheme(x *context) verdict {
	f := x.feature()
	switch {
	case len(x.ops) == 0:
		return documented("no operation asks for it")
	case !f.Enforced():
		return refused("nobody gets in by it: " + strings.TrimPrefix(f.Instead(), "carried: "))
	}
	name := x.place.Name()
	for _, op := range x.ops {
		if x.accepts(op, name) {
			return enforced("callers are checked by it")
		}
	}
	return documented("something else takes its place in every operation that asks for it")
}

// feature is what it takes to check callers by the scheme.
func (x *context) feature() compile.Feature {
	text := func(key string) string {
		if n := x.node.Get(key); n != nil {
			return n.Text
		}
		return ""
	}
	switch text("type") {
	case "oauth2":
		return compile.SchemeFeature(spec.OAuth2)
	case "openIdConnect":
		return compile.SchemeFeature(spec.OpenIDConnect)
	case "apiKey":
		return compile.SchemeFeature(spec.APIKey)
	case "mutualTLS":
		return compile.SchemeFeature(spec.MutualTLS)
	case "http":
		switch strings.ToLower(text("scheme")) {
		case "bearer", "jwt":
			return compile.SchemeFeature(spec.Bearer)
		case "basic":
			return compile.SchemeFeature(spec.Basic)
		}
	}
	return compile.SchemeFeature(spec.OtherScheme)
}

// clusters are those that operations call.
func (x *context) clusters(sandbox bool) []*artifactpb.Cluster {
	var list []*artifactpb.Cluster
	for _, op := range x.ops {
		i := op.pb.GetProductionCluster()
		if sandbox {
			i = op.pb.GetSandboxCluster()
		}
		if i > 0 && int(i) <= len(x.artifact.GetClusters()) {
			if c := x.artifact.GetClusters()[i-1]; !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// servers is as good as the best of the list.
func servers(x *context) verdict {
	best := documented("the list is empty")
	if x.value.Kind != tree.Array {
		return best
	}
	for i, item := range x.value.Items {
		if v := x.server(item, i == 0 && x.kind == "Root"); i == 0 || v.verdict == Enforced && best.verdict != Enforced {
			best = v
		}
	}
	return best
}

func server(x *context) verdict {
	return x.server(x.node, x.place.Pointer() == "/servers/0")
}

func serverVariable(x *context) verdict {
	p := x.place.Pointer() // of the variable: /servers/0/variables/region
	for range 2 {
		p = p[:strings.LastIndexByte(p, '/')]
	}
	n, _, _ := x.root.Pointer(p)
	if n == nil {
		return documented("for readers")
	}
	return x.server(n, p == "/servers/0")
}

func (x *context) server(n *tree.Node, first bool) verdict {
	raw := n.Get("url")
	if raw == nil {
		return documented("it has no URL")
	}
	text := spec.ExpandServer(strings.TrimSpace(raw.Text), n.Get("variables"))
	u, err := url.Parse(text)
	base := first && x.root.Get("x-wso2-basePath") == nil
	called := false
	if err == nil && u.Host != "" {
		if u.Scheme == "" {
			u.Scheme = "https"
		}
		clean, _, _ := spec.CheckURL(u.String())
		for _, c := range x.clusters(false) {
			called = called || slices.ContainsFunc(c.GetEndpoints(), func(e *artifactpb.Endpoint) bool { return e.GetUrl() == clean })
		}
	}
	switch {
	case called && base:
		return enforced("calls go there, and its path is where the API is mounted")
	case called:
		return enforced("calls go there")
	case base:
		return enforced("its path is where the API is mounted; calls go elsewhere")
	case err == nil && u.Host == "":
		return documented("it names no host: calls go elsewhere")
	}
	return documented("something else takes its place: calls go elsewhere")
}

// endpointKeys are the parts of an endpoint object.
var endpointKeys = map[string]rule{
	"urls":           func(*context) verdict { return enforced("calls go there") },
	"type":           func(*context) verdict { return enforced("how calls are spread over the URLs") },
	"name":           func(*context) verdict { return enforced("the runtime's conf overrides the endpoint by it") },
	"securityConfig": upstreamAuth,
	"advanceEndpointConfig": func(x *context) verdict {
		return enforced("see its parts")
	},
	"timeoutInMillis": func(*context) verdict { return enforced("calls that take longer are given up") },
	"retryConfig":     func(*context) verdict { return lacking(compile.UpstreamRetry, enforced("")) },
	"circuitBreaker":  func(*context) verdict { return lacking(compile.CircuitBreaker, enforced("")) },
	"poolConfig":      func(*context) verdict { return lacking(compile.UpstreamPool, enforced("")) },
}

func upstreamAuth(x *context) verdict {
	if t := x.value.Get("type"); t != nil && t.Text == "digest" {
		return lacking(compile.UpstreamDigest, enforced(""))
	}
	return enforced("sent to the upstream; the password is the runtime's conf")
}

// parts gives the keys of an endpoint object verdicts of their own.
func (x *context) parts(n *tree.Node, pointer string, whole verdict) []inner {
	var list []inner
	if n == nil || n.Kind != tree.Object {
		return nil
	}
	for i, item := range n.Items {
		key := n.Keys[i].Name
		v := whole
		if r := endpointKeys[key]; r != nil && whole.verdict == Enforced {
			v = r(&context{document: x.document, value: item})
		}
		list = append(list, inner{"endpoint", key, pointer, v})
		if key == "advanceEndpointConfig" {
			list = append(list, x.parts(item, pointer+"/"+key, whole)...)
		}
		if key == "urls" && item.Kind == tree.Array {
			for j, u := range item.Items {
				if strings.HasPrefix(strings.TrimSpace(u.Text), "etcd") {
					v := whole
					if v.verdict == Enforced {
						v = lacking(compile.Etcd, enforced("the address is read from etcd"))
					}
					list = append(list, inner{"endpoint", "etcd", fmt.Sprintf("%s/urls/%d", pointer, j), v})
				}
			}
		}
	}
	return list
}

func endpoints(x *context) verdict {
	sandbox := x.key == "x-wso2-sandbox-endpoints"
	v := enforced("calls go there")
	if sandbox {
		v = enforced("calls with sandbox tokens go there")
	}
	if x.kind != "Operation" && len(x.without(x.key)) == 0 {
		v = documented(everyOther)
	}
	if v.verdict == Enforced && len(x.clusters(sandbox)) == 0 {
		v = documented("the operation is not routed")
	}
	v.inner = x.parts(x.value, "/"+x.key, v)
	return v
}

func namedEndpoints(x *context) verdict {
	used := make(map[string]bool)
	refs := func(n *tree.Node) {
		for _, key := range []string{"x-wso2-production-endpoints", "x-wso2-sandbox-endpoints"} {
			if r := n.Get(key); r != nil && r.Kind == tree.String {
				_, name, _ := strings.Cut(r.Text, "#/x-wso2-endpoints/")
				used[strings.TrimSpace(name)] = true
			}
		}
	}
	refs(x.root)
	for _, op := range x.all {
		refs(op.node)
		refs(op.item)
	}
	v := documented("no operation refers to one of them")
	if x.value.Kind != tree.Array {
		return v
	}
	for i, item := range x.value.Items {
		for k, name := range item.Names() {
			whole := documented("no operation refers to it")
			if used[name] {
				whole = enforced("calls go there")
				v.verdict, v.why = Enforced, "calls go to those that are referred to"
			}
			pointer := fmt.Sprintf("/%s/%d/%s", x.key, i, name)
			v.inner = append(v.inner, x.parts(item.Items[k], pointer, whole)...)
		}
	}
	return v
}

func cors(x *context) verdict {
	if x.api.GetCors() == nil {
		return documented("it is switched off")
	}
	for _, op := range x.ops {
		if hasStage(op, (*artifactpb.Stage).GetCors) {
			return enforced("")
		}
	}
	return lacking(compile.CORS, enforced(""))
}

func responseCache(x *context) verdict {
	if !x.api.GetResponseCache().GetEnabled() {
		return enforced("it is switched off: nothing is cached")
	}
	return lacking(compile.ResponseCaching, enforced(""))
}

func tier(x *context) verdict {
	const first = "x-wso2-throttling-tier"
	if x.key != first && x.node.Get(first) != nil {
		return documented(first + " takes its place")
	}
	ops := x.ops
	if x.kind != "Operation" {
		if ops = x.without(first, "x-throttling-tier"); len(ops) == 0 {
			return documented(everyOther)
		}
	}
	if x.value.Text == "Unlimited" {
		return enforced("nothing is limited")
	}
	for _, op := range ops {
		if hasStage(op, (*artifactpb.Stage).GetThrottle) {
			return enforced("calls are counted for each operation")
		}
	}
	return lacking(compile.Throttling, enforced("calls are counted for each operation"))
}

func interceptor(x *context) verdict {
	for _, op := range x.ops {
		if hasStage(op, (*artifactpb.Stage).GetIntercept) {
			return enforced("")
		}
	}
	if !compile.Interceptors.Enforced() {
		return lacking(compile.Interceptors, verdict{})
	}
	for _, op := range x.ops {
		for _, i := range slices.Concat(op.pb.GetRequestInterceptors(), op.pb.GetResponseInterceptors()) {
			if all := x.artifact.GetInterceptors(); int(i) < len(all) && all[i].GetName() == x.value.Text {
				return enforced("")
			}
		}
	}
	return documented(everyOther)
}

func disable(x *context) verdict {
	ops := x.ops
	if x.kind == "Root" {
		if ops = x.without(x.key); len(ops) == 0 {
			return documented(everyOther)
		}
	}
	switch {
	case x.value.Text != "true":
		return enforced("the operation stays closed")
	case len(ops) > 0 && ops[0].pb.GetSecurity().GetDisabled():
		return enforced("anyone may call")
	}
	return documented("the operation is not routed")
}

func applicationSecurity(x *context) verdict {
	types := x.value.Get("security-types")
	if types == nil || len(types.Items) == 0 {
		return optional(x)
	}
	ops := x.ops
	if x.kind == "Root" {
		if ops = x.without(x.key, "security"); len(ops) == 0 {
			return optional(x)
		}
	}
	if len(ops) == 0 {
		return documented("the operation is not routed")
	}
	op := ops[0]
	if op.pb.GetSecurity().GetDisabled() {
		return documented("the operation is open: x-wso2-disable-security or x-auth-type says so")
	}
	var not []string
	for _, t := range types.Items {
		f := map[string]compile.Feature{"oauth2": compile.Tokens, "basic_auth": compile.BasicAuth, "api_key": compile.APIKeys}[t.Text]
		if !f.Enforced() {
			not = append(not, t.Text)
		}
	}
	if len(not) > 0 {
		return refused(fmt.Sprintf("no caller gets in by %s: callers need %s", strings.Join(not, ", nor by "), x.asked(op)))
	}
	return enforced("callers need " + x.asked(op))
}

// optional is the verdict on whether a certificate stands in for the rest, which
// goes its own way: an operation's security-types leave the API's word on it as
// it is.
func optional(x *context) verdict {
	word := x.value.Get("optional")
	mutual := x.root.Get("x-wso2-mutual-ssl")
	switch {
	case word == nil || word.Kind != tree.Bool:
		if x.value.Get("security-types") != nil {
			return documented(everyOther)
		}
		return documented("it names no security-types")
	case mutual == nil:
		return documented("without mutual TLS nothing stands in for the rest")
	}
	for _, op := range x.ops {
		own := op.node.Get(x.key).Get("optional")
		if op.pb.GetSecurity().GetDisabled() || x.kind == "Root" && own != nil && own.Kind == tree.Bool {
			continue
		}
		return enforced("callers need " + x.asked(op))
	}
	return documented(everyOther)
}

func scopeExtension(x *context) verdict {
	for _, op := range x.ops {
		for _, alt := range op.pb.GetSecurity().GetAlternatives() {
			for _, r := range alt.GetRequirements() {
				if slices.Contains(r.GetScopes(), x.value.Text) {
					return enforced("callers need " + x.asked(op))
				}
			}
		}
	}
	return documented("the operation asks for no token with a scope")
}

func authType(x *context) verdict {
	if x.value.Text != "None" {
		return documented("only None has a meaning")
	}
	for _, op := range x.ops {
		if op.pb.GetSecurity().GetDisabled() {
			return enforced("anyone may call")
		}
	}
	return documented("x-wso2-disable-security takes its place")
}
