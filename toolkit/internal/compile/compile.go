// Package compile turns definitions and policies into an artifact. It is pure:
// the same input gives the same artifact, and it reads no file and no clock.
//
// What it decides, and how:
//
//   - Base path: x-wso2-basePath, else the path of the first server, else "/"
//     with a warning.
//   - Where an operation's calls go: its own x-wso2-production-endpoints, else
//     its path's, else the API's, else the servers of the operation or its path
//     item, else the root's servers, else the default endpoint. (That the API's
//     extension beats the operation's servers is as in WSO2 3.0, which reads no
//     servers; 3.1 has it the other way round. We warn.) Every absolute http or https
//     server counts, and several are called in turn. A sandbox endpoint comes
//     from extensions only, and an API that has nothing else does not get the
//     default endpoint for production.
//   - A relative server ("/v2") names no host. It gives the base path, and the
//     calls go to the default endpoint: to its path if it has one, else to the
//     server's path there. So http://127.0.0.1:9000 with the server /v2 becomes
//     http://127.0.0.1:9000/v2, and http://127.0.0.1:9000/mock stays as it is.
//   - An operation's own tier beats its path's and the API's; the API's fills
//     those that have none, and counts for each on its own, as in WSO2 3.0. Where
//     both are API Manager's x-throttling-tier the API's wins, as there.
//   - Interceptors of the API and of the operation add up: see interceptors.go.
//   - Security: see security.go.
//
// What an artifact carries but this version's runtime does not enforce is said
// in a warning: once per API and feature, since a large definition would bury
// everything else otherwise.
package compile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/interceptor"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// Input is everything an artifact is made of.
type Input struct {
	Project        string
	ToolkitVersion string
	// Sources are all files that were read, sorted by name.
	Sources []Source
	// Documents in the order of their files.
	Documents []*spec.Document
	// Policies is nil if the project has no policy file.
	Policies *policies.File
	// DefaultEndpoint is empty, or a URL that spec.CheckURL accepts.
	DefaultEndpoint string
	// Interceptors are what names of interceptors may stand for; nil if no
	// definition names one.
	Interceptors *interceptor.Library
	// DevelopmentKey is the public half of the project's development key, as a
	// JWK; empty if it has none.
	DevelopmentKey []byte
}

// Source is a file that was read.
type Source struct {
	Name   string
	SHA256 []byte
}

// Artifact compiles. If l has errors afterwards the artifact is of no use.
func Artifact(in Input, l *diag.List) *artifactpb.Artifact {
	c := &compiler{
		in: in, diags: l,
		out: &artifactpb.Artifact{
			Build:          &artifactpb.Build{ToolkitVersion: in.ToolkitVersion},
			Project:        in.Project,
			DevelopmentKey: in.DevelopmentKey,
		},
		sources:      make(map[string]uint32),
		clusters:     make(map[string]uint32),
		named:        make(map[string]named),
		schemes:      make(map[string]uint32),
		interceptors: make(map[string]uint32),
		modules:      make(map[string]uint32),
	}
	for i, s := range in.Sources {
		c.sources[s.Name] = uint32(i)
		c.out.Sources = append(c.out.Sources, &artifactpb.Source{Path: s.Name, Sha256: s.SHA256})
	}
	c.policies()
	for _, doc := range in.Documents {
		c.api(doc)
	}
	c.conflicts()
	c.use()
	return c.out
}

// feature notes what a runtime must know to serve the artifact safely.
func (c *compiler) feature(f artifactpb.Feature) {
	if !slices.Contains(c.out.RequiredFeatures, f) {
		c.out.RequiredFeatures = append(c.out.RequiredFeatures, f)
		slices.Sort(c.out.RequiredFeatures)
	}
}

type compiler struct {
	in    Input
	spell diag.Speller
	diags *diag.List
	out   *artifactpb.Artifact
	apis  []*api

	sources      map[string]uint32
	clusters     map[string]uint32 // by identity, see cluster
	named        map[string]named  // clusters by name and environment
	schemes      map[string]uint32
	interceptors map[string]uint32 // by direction and name
	modules      map[string]uint32 // by file
}

// api is what is known of one document while it is compiled.
type api struct {
	c   *compiler
	doc *spec.Document
	out *artifactpb.Api

	baseAt    diag.At
	noBase    bool // nothing says where it is mounted
	templates []template
	said      []repeated
	endpoints map[string]*spec.NamedEndpoint
	used      map[string]bool // entries of x-wso2-endpoints
	reported  map[string]bool // messages that are the same for many operations
	variants  map[string]*variant
}

type template struct {
	path  spec.Text
	same  string // see oneSlash
	tmpl  pathtmpl.Template
	shape string
}

// repeated counts what would be said of many operations.
type repeated struct {
	severity diag.Severity
	text     string
	at       diag.At
	count    int
	whole    bool // said of the API, not of operations
}

// carry notes a use of something that is not enforced. The text says what it is
// and what happens instead.
func (a *api) carry(at diag.At, whole bool, text string) { a.say(diag.Warning, at, whole, text) }

// say reports something once per API, with the number of operations that it is
// true of.
func (a *api) say(s diag.Severity, at diag.At, whole bool, text string) {
	for i := range a.said {
		if a.said[i].text == text {
			a.said[i].count++
			return
		}
	}
	a.said = append(a.said, repeated{severity: s, text: text, at: at, count: 1, whole: whole})
}

// once reports whether a message is new to this API.
func (a *api) once(key string) bool {
	if a.reported[key] {
		return false
	}
	a.reported[key] = true
	return true
}

func (a *api) flush() {
	for _, r := range a.said {
		text := r.text
		switch {
		case r.whole, r.count == 1:
		case r.count == 2:
			text += " (here and in one more operation)"
		default:
			text += fmt.Sprintf(" (here and in %d more operations)", r.count-1)
		}
		a.c.diags.Report(r.severity, r.at, "", text)
	}
}

func (c *compiler) policies() {
	if c.in.Policies == nil {
		return
	}
	warned := TokenPolicies.Enforced()
	for _, p := range c.in.Policies.Policies {
		c.out.ThrottlePolicies = append(c.out.ThrottlePolicies, throttlePolicy(p))
		// Resource policies are warned of where they are used.
		if p.Kind != policies.Resource && !warned {
			warned = true
			at := p.At
			at.Place = ""
			c.diags.Warnf(at, "%s", TokenPolicies.Instead())
		}
	}
}

func throttlePolicy(p policies.Policy) *artifactpb.ThrottlePolicy {
	out := &artifactpb.ThrottlePolicy{
		Name: p.Name, Count: p.Count, WindowMs: p.WindowMillis, StopOnQuota: p.StopOnQuota, Burst: p.Burst, Shadow: p.Shadow,
		Kind: map[policies.Kind]artifactpb.ThrottleKind{
			policies.Resource:     artifactpb.ThrottleKind_THROTTLE_KIND_RESOURCE,
			policies.Application:  artifactpb.ThrottleKind_THROTTLE_KIND_APPLICATION,
			policies.Subscription: artifactpb.ThrottleKind_THROTTLE_KIND_SUBSCRIPTION,
		}[p.Kind],
	}
	switch by := p.CountBy; {
	case by.Header != "":
		out.Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_Header{Header: by.Header}}
	case by.Claim != "":
		out.Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_Claim{Claim: by.Claim}}
	case by.ClientAddress:
		out.Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_ClientAddress{ClientAddress: &artifactpb.ClientAddress{}}}
	}
	if p.Failure != "" {
		out.Shared = &artifactpb.SharedCounter{OnFailure: map[policies.Failure]artifactpb.CounterFailure{
			policies.Local:  artifactpb.CounterFailure_COUNTER_FAILURE_LOCAL,
			policies.Open:   artifactpb.CounterFailure_COUNTER_FAILURE_OPEN,
			policies.Closed: artifactpb.CounterFailure_COUNTER_FAILURE_CLOSED,
		}[p.Failure]}
	}
	return out
}

// ID is how WSO2 names an API internally.
func ID(title, version string) string {
	sum := sha256.Sum256([]byte(title + ":" + version))
	return "api_" + hex.EncodeToString(sum[:])
}

func (c *compiler) api(doc *spec.Document) {
	x := doc.Extensions
	a := &api{
		c: c, doc: doc,
		out: &artifactpb.Api{
			Id: ID(doc.Title.Value, doc.Version.Value), Title: doc.Title.Value, Version: doc.Version.Value,
			Document: uint32(len(c.out.Documents)),
		},
		endpoints: make(map[string]*spec.NamedEndpoint),
		used:      make(map[string]bool),
		reported:  make(map[string]bool),
		variants:  make(map[string]*variant),
	}
	c.out.Documents = append(c.out.Documents, &artifactpb.Document{
		Source: c.sources[doc.File],
		Dialect: artifactpb.Dialect(map[spec.Dialect]artifactpb.Dialect{
			spec.OpenAPI30: artifactpb.Dialect_DIALECT_OPENAPI_3_0,
			spec.OpenAPI31: artifactpb.Dialect_DIALECT_OPENAPI_3_1,
			spec.Swagger20: artifactpb.Dialect_DIALECT_SWAGGER_2_0,
		}[doc.Dialect]),
		Json: doc.JSON, Omitted: c.omissions(doc),
	})
	for i := range x.Endpoints {
		e := &x.Endpoints[i]
		if a.endpoints[e.Name] == nil {
			a.endpoints[e.Name] = e
		}
	}
	a.basePath()
	a.settings()
	a.operations()
	a.flush()
	c.apis = append(c.apis, a)
	c.out.Apis = append(c.out.Apis, a.out)
}

// omissions are what the document has lost on its way here.
func (c *compiler) omissions(doc *spec.Document) []*artifactpb.Omission {
	var list []*artifactpb.Omission
	for _, o := range doc.Omitted {
		list = append(list, &artifactpb.Omission{
			Position: &artifactpb.Position{Source: c.sources[o.At.File], Line: uint32(o.At.Line), Column: uint32(o.At.Column)},
			Object:   o.Object, Keyword: o.Key, Why: o.Why,
		})
	}
	return list
}

// settings are what holds for the whole API.
func (a *api) settings() {
	x := a.doc.Extensions
	if x.Tier != nil {
		// Operations may all have their own, but it is wrong all the same.
		a.out.ThrottlePolicy = a.policy(x.Tier)
	}
	if x.Owner != nil {
		a.out.Owner = x.Owner.Value
		if !UsageRecords.Enforced() {
			// API Manager writes an owner into every export: no more than a note.
			a.say(diag.Note, x.Owner.At, true, UsageRecords.Instead())
		}
	}
	if x.AuthHeader != nil {
		a.out.AuthHeader = x.AuthHeader.Value
	}
	transports := x.Transports
	if len(transports) == 0 {
		transports = []string{"http", "https"}
	}
	if m := x.MutualSSL; m != nil {
		mode := artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL
		if m.Value == "mandatory" {
			mode = artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY
			if !slices.Contains(transports, "https") {
				transports = append(transports, "https")
			}
		}
		a.out.MutualTls = &artifactpb.MutualTls{Mode: mode}
		if d := x.Disable; d != nil && d.Value && m.Value == "mandatory" {
			a.c.diags.WarnHint(m.At, "only operations with x-wso2-disable-security: false need one", "nobody is asked for a certificate: the API is open, as x-wso2-disable-security says")
		}
	}
	for _, t := range transports {
		if t == "http" {
			a.out.Transports = append(a.out.Transports, artifactpb.Transport_TRANSPORT_HTTP)
		} else {
			a.out.Transports = append(a.out.Transports, artifactpb.Transport_TRANSPORT_HTTPS)
		}
	}
	if s := x.Application; s != nil && s.Optional != nil && s.Optional.Value {
		a.optional(s)
		if a.out.MutualTls != nil {
			a.out.MutualTls.ReplacesToken = true
		}
	}
	if cors := x.CORS; cors != nil {
		a.out.Cors = &artifactpb.Cors{
			AllowOrigins: cors.Origins, AllowHeaders: cors.Headers, AllowMethods: cors.Methods,
			ExposeHeaders: cors.Expose, AllowCredentials: cors.AllowCredentials,
		}
		a.lacks(cors.At, true, CORS)
	}
	if cache := x.Cache; cache != nil {
		a.out.ResponseCache = &artifactpb.ResponseCache{Enabled: cache.Enabled, TimeoutMs: cache.TimeoutMillis}
		if cache.Enabled {
			a.lacks(cache.At, true, ResponseCaching)
		}
	}
	// There may be no operation, but a name that stands for nothing is wrong all
	// the same.
	for d, name := range []*spec.Text{interceptor.Request: x.Request, interceptor.Response: x.Response} {
		if name != nil {
			if _, ok := a.interceptor(name, interceptor.Direction(d)); ok {
				a.lacks(name.At, true, Interceptors)
			}
		}
	}
}

// optional checks that a token may only be left out where a client certificate
// stands in for it.
func (a *api) optional(s *spec.ApplicationSecurity) {
	if m := a.doc.Extensions.MutualSSL; m == nil || m.Value != "mandatory" {
		a.c.diags.ErrorHint(s.Optional.At, "add x-wso2-mutual-ssl: mandatory", "a token can be optional only where mutual TLS is mandatory")
	}
}

// certificateSuffices reports whether a client certificate stands in for a
// token: the operation's word, or else the API's; if neither says, where mutual
// TLS is optional.
func (a *api) certificateSuffices(op *spec.Operation) bool {
	m := a.doc.Extensions.MutualSSL
	if m == nil {
		return false
	}
	for _, s := range []*spec.ApplicationSecurity{op.Extensions.Application, a.doc.Extensions.Application} {
		if s != nil && s.Optional != nil {
			return s.Optional.Value
		}
	}
	return m.Value == "optional"
}

// basePath decides where the API is mounted.
func (a *api) basePath() {
	raw := ""
	switch x := a.doc.Extensions.BasePath; {
	case x != nil && x.Value == "":
		return // reported where it stands
	case x != nil:
		raw, a.baseAt = strings.ReplaceAll(x.Value, "{version}", a.doc.Version.Value), x.At
		if !strings.HasPrefix(raw, "/") {
			raw = "/" + raw
		}
	case len(a.doc.Servers) > 0:
		s := a.doc.Servers[0]
		a.baseAt = s.At
		if s.Problem != "" {
			a.unresolved(s)
			return
		}
		u, err := url.Parse(s.URL)
		if err != nil {
			a.c.diags.Errorf(s.At, "%q is not a URL", s.URL)
			return
		}
		raw = "/" + strings.TrimLeft(u.EscapedPath(), "/")
		if u.Scheme == "" && u.Host == "" {
			raw = relativePath(u)
		}
	default:
		a.baseAt = a.doc.At
		a.out.BasePath = "/"
		a.noBase = true
		return
	}
	path := strings.TrimRight(raw, "/")
	if before, ok := strings.CutSuffix(path, "/*"); ok {
		// WSO2 accepts a base path of "/*"; what follows is matched by the
		// operations anyway.
		path = strings.TrimRight(before, "/")
	}
	t, err := pathtmpl.Parse(cmp.Or(path, "/"))
	if err != nil {
		a.c.diags.Errorf(a.baseAt, "%q is not a base path: %s", raw, syntax(err))
		return
	}
	var b strings.Builder
	for _, s := range t.Segments() {
		lit, ok := s.Literal()
		if !ok {
			hint := ""
			if len(s.Parts) == 1 && diag.Nearest(s.Parts[0].Param, []string{"version"}) != "" {
				hint = "write {version}"
			}
			a.c.diags.ErrorHint(a.baseAt, hint, "%q is not a base path: only {version} is replaced in it", raw)
			return
		}
		b.WriteString("/" + lit)
	}
	a.out.BasePath = cmp.Or(b.String(), "/")
}

// syntax is what is wrong with a template. The offset within it is left out: a
// key may be quoted and escaped, so it is no column.
func syntax(err error) string {
	if e, ok := err.(*pathtmpl.SyntaxError); ok {
		return e.Msg
	}
	return err.Error()
}

func (a *api) unresolved(s spec.Server) {
	if a.once("unresolved" + s.At.String()) {
		a.c.diags.ErrorHint(s.At, s.Hint, "%s", s.Problem)
	}
}

func (a *api) operations() {
	known := make(map[string]bool) // paths without query, fragment and slash at the end
	for _, op := range a.doc.Operations {
		path, _ := matched(op.Path.Value)
		if same := oneSlash(path); !known[same] {
			known[same] = true
			t, err := pathtmpl.Parse(path)
			if err != nil {
				a.c.diags.ErrorHint(op.Path.At, cmp.Or(pathHint(op.Path.Value), templateHint(err)), "%s", syntax(err))
			} else {
				a.foreignStyle(op.Path)
				a.templates = append(a.templates, template{op.Path, same, t, t.Shape()})
			}
		}
		if op.Method == "TRACE" {
			a.c.diags.Warnf(op.At, "TRACE is not routed: it would show a caller what the gateway adds to requests")
			continue
		}
		a.operation(op)
	}
	if len(a.out.Operations) == 0 && !a.c.diags.HasErrors() {
		a.c.diags.Warnf(a.doc.At, "the API has no operations")
	}
}

// pathHint says how to write what WSO2 and other gateways write in another way.
func pathHint(path string) string {
	if before, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "*"); ok && !strings.HasSuffix(before, "/") && !strings.ContainsAny(before, "*{}") {
		// WSO2 takes it for a prefix, of what exactly its versions do not agree.
		return fmt.Sprintf("write %q for what goes on within the segment, %q for what is below it", before+"{rest}", before+"/*")
	}
	return ""
}

// foreignStyle warns about templates in the manner of web frameworks, which are
// literals here.
func (a *api) foreignStyle(path spec.Text) {
	for _, segment := range strings.Split(path.Value, "/") {
		name := ""
		switch {
		case strings.HasPrefix(segment, ":"):
			name = segment[1:]
		case strings.HasPrefix(segment, "<") && strings.HasSuffix(segment, ">"):
			name = segment[1 : len(segment)-1]
		}
		if name != "" && !strings.ContainsAny(name, "{}<>:*") {
			a.c.diags.WarnHint(path.At, fmt.Sprintf("write %q for a parameter", "{"+name+"}"), "%q stands for itself", segment)
		}
	}
}

func (a *api) operation(op *spec.Operation) {
	path, odd := matched(op.Path.Value)
	out := &artifactpb.Operation{
		Id: op.Method + " " + path, Method: op.Method, Path: path, OperationId: op.OperationID,
		Position: &artifactpb.Position{
			Source: a.c.sources[op.At.File], Line: uint32(op.At.Line), Column: uint32(op.At.Column),
		},
	}
	if odd != 0 {
		out.DocumentPaths = []string{op.Path.Value}
	}
	key := op.Method + " " + oneSlash(path)
	first := a.variants[key]
	if first == nil {
		a.variants[key] = &variant{op: op, out: out}
		a.out.Operations = append(a.out.Operations, out)
	}
	defer func() {
		if first != nil {
			a.merge(first, op, out, odd)
		} else if odd != 0 {
			a.odd(op, odd)
		}
	}()
	a.route(op, out)
	a.secure(op, out)
	if m := a.doc.Extensions.MutualSSL; !out.Security.GetDisabled() && m != nil && m.Value == "mandatory" && a.certificateSuffices(op) {
		out.Security.Optional = true
	}
	out.ThrottlePolicy = a.tier(op)
	a.interceptors(op, out)
}

// tier is the throttling policy that holds for the operation, as an index plus
// one.
func (a *api) tier(op *spec.Operation) uint32 {
	api := a.doc.Extensions.RouteExtensions
	near := op.Extensions.RouteExtensions
	if near.Tier == nil {
		near = op.PathItem
	}
	t := cmp.Or(near.Tier, api.Tier)
	switch {
	case t == nil:
		return 0
	case t == api.Tier, api.Tier == nil, t.Value == api.Tier.Value:
	case near.TierOfManager && api.TierOfManager:
		// Only versions in which the API's tier wins read API Manager's at both
		// levels, and its exports have "Unlimited" at every operation then.
		a.say(diag.Note, t.At, false, fmt.Sprintf("the API's tier %q takes its place, as API Manager has it", api.Tier.Value))
		t = api.Tier
	default:
		a.say(diag.Note, t.At, false, fmt.Sprintf("it takes the place of the API's tier %q here, as in WSO2 3.0; in 3.1 and later the API's does", api.Tier.Value))
	}
	i := a.policy(t)
	if i > 0 {
		a.lacks(t.At, t == api.Tier, Throttling)
	}
	return i
}

// policy is the resource policy of that name as an index plus one; 0 if it does
// not limit anything.
func (a *api) policy(t *spec.Text) uint32 {
	if t.Value == "Unlimited" {
		return 0
	}
	f := a.c.in.Policies
	if i := f.Find(policies.Resource, t.Value); i >= 0 {
		return uint32(i) + 1
	}
	if !a.once("tier" + t.At.String()) {
		return 0
	}
	switch {
	case f == nil:
		// Once for all tiers: it is one thing that lacks.
		if a.once("no policies") {
			a.c.diags.ErrorHint(t.At, "add a policy.yaml with resourcePolicies", "no policy %q: the project has no policy.yaml", t.Value)
		}
	case f.Find(policies.Application, t.Value) >= 0:
		a.c.diags.Errorf(t.At, "%q is an application policy; a tier names one of resourcePolicies", t.Value)
	case f.Find(policies.Subscription, t.Value) >= 0:
		a.c.diags.Errorf(t.At, "%q is a subscription policy; a tier names one of resourcePolicies", t.Value)
	case len(f.Names(policies.Resource)) == 0 && a.c.wrong(f.Name):
		// It could not be read, which is said there.
	default:
		names := func() []string { return append(f.Names(policies.Resource), "Unlimited") }
		a.c.diags.ErrorHint(t.At, a.c.spell.DidYouMean(t.Value, names), "no policy %q in %s", t.Value, f.Name)
	}
	return 0
}

// wrong reports whether there was an error in a file.
func (c *compiler) wrong(file string) bool {
	return slices.ContainsFunc(*c.diags, func(d diag.Diagnostic) bool { return d.Severity == diag.Error && d.File == file })
}

// conflicts finds what two definitions, or two paths, cannot both have.
func (c *compiler) conflicts() {
	titles := make(map[string]*api)
	bases := make(map[string]*api)
	mounted := make(map[string]int)
	for _, a := range c.apis {
		mounted[a.out.BasePath]++
	}
	for _, a := range c.apis {
		key := a.out.Title + "\x00" + a.out.Version
		if first := titles[key]; first != nil {
			c.diags.Errorf(a.doc.Title.At, "the API %q, version %q, is defined twice: first at %s", a.out.Title, a.out.Version, first.doc.Title.At)
		} else {
			titles[key] = a
		}
		if a.out.BasePath == "" {
			continue // it was wrong
		}
		// Without servers there is neither a base path nor an endpoint, and two
		// such APIs are in each other's way: one message is enough for one cause.
		if a.noBase && !a.reported["no endpoint"] && mounted[a.out.BasePath] == 1 {
			hint := "add x-wso2-basePath or servers"
			if a.doc.Dialect == spec.Swagger20 {
				hint = "add x-wso2-basePath or basePath"
			}
			c.diags.WarnHint(a.doc.At, hint, "no base path: the API is mounted at \"/\"")
		}
		if first := bases[a.out.BasePath]; first != nil {
			c.diags.ErrorHint(a.baseAt, "give one of them another x-wso2-basePath", "two APIs have the base path %q: the other at %s", a.out.BasePath, first.baseAt)
		} else {
			bases[a.out.BasePath] = a
		}
		a.shapes()
		a.overlaps()
	}
	// Base paths may be nested ("/shop" and "/shop/admin"). Then two
	// definitions can claim the same requests.
	type claim struct {
		a  *api
		op *artifactpb.Operation
		at diag.At
	}
	claims := make(map[string]claim)
	for _, a := range c.apis {
		if a.out.BasePath == "" || bases[a.out.BasePath] != a {
			continue
		}
		shapes := make(map[string]template)
		for _, t := range a.templates {
			shapes[t.same] = t
		}
		for _, op := range a.out.Operations {
			t, ok := shapes[oneSlash(op.Path)]
			if !ok {
				continue
			}
			key := op.Method + " " + strings.TrimSuffix(a.out.BasePath, "/") + t.shape
			if first, again := claims[key]; again && first.a != a {
				c.diags.Errorf(t.path.At, "%s %s belongs to two APIs: the other at %s", op.Method, strings.TrimSuffix(a.out.BasePath, "/")+op.Path, first.at)
			} else if !again {
				claims[key] = claim{a, op, t.path.At}
			}
		}
	}
}

// shapes finds paths that match the same requests. OpenAPI forbids them; real
// definitions have them all the same, with other names for the parameters of
// other methods, and there the method tells which is meant.
func (a *api) shapes() {
	methods := make(map[string][]string)
	for _, op := range a.doc.Operations {
		path, _ := matched(op.Path.Value)
		if same := oneSlash(path); !slices.Contains(methods[same], op.Method) {
			methods[same] = append(methods[same], op.Method)
		}
	}
	shapes := make(map[string]template) // the first of each
	claims := make(map[string]template) // by method and shape
	for _, t := range a.templates {
		var before template
		var both []string
		for _, m := range methods[t.same] {
			key := m + " " + t.shape
			first, taken := claims[key]
			switch {
			case !taken:
				claims[key] = t
			case both == nil || first.path == before.path:
				before, both = first, append(both, m)
			}
		}
		first, again := shapes[t.shape]
		switch {
		case both != nil:
			a.c.diags.ErrorHint(t.path.At, "keep one of them, or give one a segment that the other does not have", "no %s request can tell it from %q at %s", strings.Join(both, " or "), before.path.Value, before.path.At)
		case again:
			a.c.diags.Warnf(t.path.At, "it matches the same requests as %q at %s: the method decides", first.path.Value, first.path.At)
		default:
			shapes[t.shape] = t
		}
	}
}

// use checks references to endpoints that nobody makes: most are slips.
func (c *compiler) use() {
	if c.diags.HasErrors() {
		return // what uses it may be what is wrong
	}
	for _, a := range c.apis {
		for _, e := range a.doc.Extensions.Endpoints {
			if !a.used[e.Name] && e.Endpoint != nil {
				c.diags.Report(diag.Note, e.At, "", fmt.Sprintf("the endpoint %q is not used", e.Name))
			}
		}
	}
}
