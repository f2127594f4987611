package diff

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/schema/artifactpb"
)

// word is an enum's value for people: "round robin" of BALANCE_ROUND_ROBIN.
func word(value, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value, prefix), "_", " "))
}

// signatures compares who stands for the files.
func (c *comparison) signatures(old, new Side) {
	if !old.File || !new.File || old.Signer == new.Signer {
		return
	}
	switch {
	case old.Signer == "":
		c.add(nil, "signature-added", "", "", new.Signer)
	case new.Signer == "":
		c.add(nil, "signature-dropped", "", old.Signer, "")
	default:
		c.add(nil, "signer-changed", "", old.Signer, new.Signer)
	}
}

// project compares what belongs to no API: the limits that tokens name, the code
// of interceptors, and what a runtime must know.
func (c *comparison) project() {
	for _, f := range c.new.GetRequiredFeatures() {
		if !slices.Contains(c.old.GetRequiredFeatures(), f) {
			c.add(nil, "runtime-feature-added", "", "", word(f.String(), "FEATURE_"))
		}
	}
	for _, f := range c.old.GetRequiredFeatures() {
		if !slices.Contains(c.new.GetRequiredFeatures(), f) {
			c.add(nil, "runtime-feature-dropped", "", word(f.String(), "FEATURE_"), "")
		}
	}
	old, new := tokenLimits(c.old), tokenLimits(c.new)
	for _, key := range union(old, new) {
		o, n := old[key], new[key]
		switch {
		case o == nil:
			c.add(nil, "policy-added", key, "", rate(n))
		case n == nil:
			c.add(nil, "policy-removed", key, rate(o), "")
		default:
			limit(o, n, func(code, before, after string) { c.add(nil, code, key, before, after) })
		}
	}
	c.interceptorCode()
}

// tokenLimits are the policies that the build ties to no operation: tokens and
// subscriptions name them.
func tokenLimits(a *artifactpb.Artifact) map[string]*artifactpb.ThrottlePolicy {
	m := make(map[string]*artifactpb.ThrottlePolicy)
	for _, p := range a.GetThrottlePolicies() {
		if p.GetKind() != artifactpb.ThrottleKind_THROTTLE_KIND_RESOURCE {
			m[word(p.GetKind().String(), "THROTTLE_KIND_")+" policy "+p.GetName()] = p
		}
	}
	return m
}

// interceptorCode compares the interceptors that both sides have, once, however
// many operations use them. Which ones an operation has is the operation's.
func (c *comparison) interceptorCode() {
	old, new := interceptors(c.old), interceptors(c.new)
	for _, key := range union(old, new) {
		o, inOld := old[key]
		n, inNew := new[key]
		if inOld && inNew && o != n {
			c.add(nil, "interceptor-changed", key, short(o), short(n))
		}
	}
}

// short keeps what is long unreadable to what tells it apart.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// interceptors are by name and direction; the content is the digest of their
// code, else of the file that has it, else what kind of function they are.
func interceptors(a *artifactpb.Artifact) map[string]string {
	m := make(map[string]string)
	for _, x := range a.GetInterceptors() {
		m[interceptorKey(x)] = content(a, x)
	}
	return m
}

func interceptorKey(x *artifactpb.Interceptor) string {
	return word(x.GetDirection().String(), "INTERCEPTOR_DIRECTION_") + " interceptor " + x.GetName()
}

func content(a *artifactpb.Artifact, x *artifactpb.Interceptor) string {
	sum := ""
	switch i := x.GetSource(); {
	case x.GetWasm() != nil:
		if mod := int(x.GetWasm().GetModule()); mod < len(a.GetModules()) {
			sum = hex.EncodeToString(a.GetSources()[a.GetModules()[mod].GetSource()].GetSha256())
		}
	case i > 0 && int(i) <= len(a.GetSources()):
		sum = hex.EncodeToString(a.GetSources()[i-1].GetSha256())
	}
	kind := proto.CloneOf(x)
	kind.Name, kind.Direction, kind.Source = "", 0, 0
	if w := kind.GetWasm(); w != nil {
		w.Module = 0 // its digest stands for it
	}
	return strings.TrimSpace(sum + " " + strings.Join(flat(kind), ", "))
}

// settings compares what holds for the API as a whole.
func (a *apis) settings() {
	o, n := a.old, a.new
	change := func(code, before, after string) {
		if before != after {
			a.add(a, code, "", before, after)
		}
	}
	change("api-base-path-changed", o.GetBasePath(), n.GetBasePath())
	change("api-renamed", o.GetTitle(), n.GetTitle())
	change("api-version-changed", o.GetVersion(), n.GetVersion())
	change("api-owner-changed", orNone(o.GetOwner()), orNone(n.GetOwner()))
	header := func(s string) string {
		if s == "" {
			return "the conf's"
		}
		return s
	}
	if !strings.EqualFold(o.GetAuthHeader(), n.GetAuthHeader()) {
		change("auth-header-changed", header(o.GetAuthHeader()), header(n.GetAuthHeader()))
	}
	for _, t := range o.GetTransports() {
		if !slices.Contains(n.GetTransports(), t) {
			a.add(a, "transport-removed", "", word(t.String(), "TRANSPORT_"), "")
		}
	}
	for _, t := range n.GetTransports() {
		if !slices.Contains(o.GetTransports(), t) {
			code := "transport-https-added"
			if t != artifactpb.Transport_TRANSPORT_HTTPS {
				code = "transport-http-added"
			}
			a.add(a, code, "", "", word(t.String(), "TRANSPORT_"))
		}
	}
	a.cors(o.GetCors(), n.GetCors())
	a.mutualTLS(o.GetMutualTls(), n.GetMutualTls())
	cache := func(c *artifactpb.ResponseCache) string {
		if !c.GetEnabled() {
			return "none"
		}
		return list(flat(c))
	}
	change("response-cache-changed", cache(o.GetResponseCache()), cache(n.GetResponseCache()))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (a *apis) cors(o, n *artifactpb.Cors) {
	switch {
	case o == nil && n == nil:
		return
	case o == nil:
		a.add(a, "cors-added", "CORS", "", "origins "+list(n.GetAllowOrigins()))
		return
	case n == nil:
		a.add(a, "cors-removed", "CORS", "origins "+list(o.GetAllowOrigins()), "")
		return
	}
	sets := func(name string, old, new []string, fold bool) {
		lost, won := beyond(old, new, fold), beyond(new, old, fold)
		if len(lost) > 0 {
			a.add(a, "cors-narrowed", "CORS "+name, list(lost), "")
		}
		if len(won) > 0 {
			a.add(a, "cors-widened", "CORS "+name, "", list(won))
		}
	}
	sets("origins", o.GetAllowOrigins(), n.GetAllowOrigins(), true)
	sets("methods", o.GetAllowMethods(), n.GetAllowMethods(), false)
	sets("headers", o.GetAllowHeaders(), n.GetAllowHeaders(), true)
	sets("exposed headers", o.GetExposeHeaders(), n.GetExposeHeaders(), true)
	switch was, is := o.GetAllowCredentials(), n.GetAllowCredentials(); {
	case is && !was:
		a.add(a, "cors-widened", "CORS credentials", "not allowed", "allowed")
	case was && !is:
		a.add(a, "cors-narrowed", "CORS credentials", "allowed", "not allowed")
	}
}

// beyond are the entries of a that b does not allow. "*" allows all.
func beyond(a, b []string, fold bool) []string {
	if slices.Contains(b, "*") {
		return nil
	}
	var out []string
	for _, s := range a {
		same := func(t string) bool { return s == t || fold && strings.EqualFold(s, t) }
		if !slices.ContainsFunc(b, same) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (a *apis) mutualTLS(o, n *artifactpb.MutualTls) {
	mode := func(m *artifactpb.MutualTls) string {
		if m == nil {
			return "none"
		}
		return word(m.GetMode().String(), "MUTUAL_TLS_MODE_")
	}
	switch was, is := o.GetMode(), n.GetMode(); {
	case is < was:
		a.add(a, "mutual-tls-weakened", "mutual TLS", mode(o), mode(n))
	case is > was && is == artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY:
		a.add(a, "mutual-tls-required", "mutual TLS", mode(o), mode(n))
	case is > was:
		a.add(a, "mutual-tls-offered", "mutual TLS", mode(o), mode(n))
	}
	switch was, is := o.GetReplacesToken(), n.GetReplacesToken(); {
	case is && !was:
		a.add(a, "mutual-tls-replaces-token", "mutual TLS", "", "")
	case was && !is:
		a.add(a, "mutual-tls-token-required", "mutual TLS", "", "")
	}
}

// policies compares what the gateway asks for, allows and does with one
// operation.
func (a *apis) policies(i int, p pair) {
	secured := a.security(i, p)
	a.endpoint(i, "production endpoint", p.old.GetProductionCluster(), p.new.GetProductionCluster())
	a.endpoint(i, "sandbox endpoint", p.old.GetSandboxCluster(), p.new.GetSandboxCluster())
	a.limits(i, p)
	a.intercept(i, "request", p.old.GetRequestInterceptors(), p.new.GetRequestInterceptors())
	a.intercept(i, "response", p.old.GetResponseInterceptors(), p.new.GetResponseInterceptors())
	a.stages(i, p, secured)
	if was, is := p.old.GetGrpc(), p.new.GetGrpc(); was != is {
		name := map[bool]string{false: "HTTP", true: "gRPC"}
		a.note(i, "operation-protocol-changed", "", name[was], name[is])
	}
}

// endpoint compares two clusters, given as indexes plus one.
func (a *apis) endpoint(i int, place string, old, new uint32) {
	switch {
	case old == 0 && new == 0:
		return
	case old == 0:
		a.note(i, "endpoint-added", place, "", urls(a.comparison.new.GetClusters()[new-1]))
		return
	case new == 0:
		a.note(i, "endpoint-removed", place, urls(a.comparison.old.GetClusters()[old-1]), "")
		return
	}
	o, n := a.comparison.old.GetClusters()[old-1], a.comparison.new.GetClusters()[new-1]
	change := func(code, before, after string) {
		if before != after {
			a.note(i, code, place, before, after)
		}
	}
	change("endpoint-changed", urls(o), urls(n))
	if !plain(o) && plain(n) {
		change("endpoint-tls-dropped", urls(o), urls(n))
	}
	balance := func(c *artifactpb.Cluster) string { return word(c.GetBalance().String(), "BALANCE_") }
	change("endpoint-balance-changed", balance(o), balance(n))
	auth := func(c *artifactpb.Cluster) string {
		if c.GetAuth() == nil {
			return "none"
		}
		return list(flat(c.GetAuth()))
	}
	change("endpoint-auth-changed", auth(o), auth(n))
	before, after := changed(rest(o), rest(n))
	change("endpoint-settings-changed", before, after)
	change("endpoint-name-changed", o.GetName(), n.GetName())
}

// rest is a cluster without what endpoint looks at itself.
func rest(c *artifactpb.Cluster) []string {
	c = proto.CloneOf(c)
	c.Name, c.Environment, c.Balance, c.Endpoints, c.Auth = "", 0, 0, nil, nil
	return flat(c)
}

func urls(c *artifactpb.Cluster) string {
	var words []string
	for _, e := range c.GetEndpoints() {
		u := e.GetUrl()
		if e.GetEtcdKey() != "" {
			u = fmt.Sprintf("etcd(%s, %s)", e.GetEtcdKey(), u)
		}
		words = append(words, u)
	}
	return list(words)
}

// plain reports whether calls may leave without TLS.
func plain(c *artifactpb.Cluster) bool {
	return slices.ContainsFunc(c.GetEndpoints(), func(e *artifactpb.Endpoint) bool {
		u, err := url.Parse(e.GetUrl())
		return err == nil && u.Scheme == "http"
	})
}

// limits compares what an operation is limited by: its tier and the limits of
// its stages, by what they count for.
func (a *apis) limits(i int, p pair) {
	old, new := operationLimits(a.comparison.old, p.old), operationLimits(a.comparison.new, p.new)
	for _, place := range union(old, new) {
		o, n := old[place], new[place]
		switch {
		case o == nil:
			a.note(i, "limit-added", place, "none", rate(n))
		case n == nil:
			a.note(i, "limit-removed", place, rate(o), "none")
		default:
			limit(o, n, func(code, before, after string) { a.note(i, code, place, before, after) })
			if o.GetName() != n.GetName() && rate(o) == rate(n) {
				a.note(i, "limit-renamed", place, o.GetName(), n.GetName())
			}
		}
	}
}

func operationLimits(a *artifactpb.Artifact, op *artifactpb.Operation) map[string]*artifactpb.ThrottlePolicy {
	m := make(map[string]*artifactpb.ThrottlePolicy)
	if i := op.GetThrottlePolicy(); i > 0 {
		m["limit"] = a.GetThrottlePolicies()[i-1]
	}
	for _, s := range op.GetStages() {
		t := s.GetThrottle()
		if t == nil {
			continue
		}
		place := "limit"
		if t.GetScope() != artifactpb.ThrottleScope_THROTTLE_SCOPE_OPERATION {
			place += " by " + word(t.GetScope().String(), "THROTTLE_SCOPE_")
		}
		m[place] = a.GetThrottlePolicies()[t.GetPolicy()]
	}
	return m
}

// rate is a limit in words.
func rate(p *artifactpb.ThrottlePolicy) string {
	return fmt.Sprintf("%d in %g s", p.GetCount(), float64(p.GetWindowMs())/1000)
}

// enforced reports whether calls beyond the limit are refused.
func enforced(p *artifactpb.ThrottlePolicy) bool {
	subscription := p.GetKind() == artifactpb.ThrottleKind_THROTTLE_KIND_SUBSCRIPTION
	return !p.GetShadow() && (!subscription || p.GetStopOnQuota())
}

// limit compares two limits. They are ordered by rate; of equal rates the one with
// the longer window lets more through at once.
func limit(o, n *artifactpb.ThrottlePolicy, say func(code, before, after string)) {
	// count/window, without dividing.
	was, is := float64(o.GetCount())*float64(n.GetWindowMs()), float64(n.GetCount())*float64(o.GetWindowMs())
	switch {
	case is < was:
		say("limit-lowered", rate(o), rate(n))
	case is > was:
		say("limit-raised", rate(o), rate(n))
	case n.GetWindowMs() < o.GetWindowMs():
		say("limit-window-shortened", rate(o), rate(n))
	case n.GetWindowMs() > o.GetWindowMs():
		say("limit-window-lengthened", rate(o), rate(n))
	}
	if o.GetBurst() != n.GetBurst() {
		atOnce := func(p *artifactpb.ThrottlePolicy) int64 {
			if p.GetBurst() > 0 {
				return p.GetBurst()
			}
			return p.GetCount()
		}
		a, b := atOnce(o), atOnce(n)
		switch before, after := fmt.Sprintf("%d at once", a), fmt.Sprintf("%d at once", b); {
		case b < a:
			say("limit-burst-lowered", before, after)
		case b > a:
			say("limit-burst-raised", before, after)
		}
	}
	switch was, is := enforced(o), enforced(n); {
	case is && !was:
		say("limit-enforced", "reported", "refused")
	case was && !is:
		say("limit-relaxed", "refused", "reported")
	}
	settings := func(p *artifactpb.ThrottlePolicy) []string {
		p = proto.CloneOf(p)
		p.Name, p.Kind, p.Count, p.WindowMs, p.StopOnQuota, p.Burst, p.Shadow = "", 0, 0, 0, false, 0, false
		return flat(p)
	}
	if before, after := changed(settings(o), settings(n)); before != after {
		say("limit-setting-changed", before, after)
	}
}

// intercept compares which interceptors an operation has, in running order.
func (a *apis) intercept(i int, direction string, old, new []uint32) {
	names := func(f *artifactpb.Artifact, indexes []uint32) []string {
		var out []string
		for _, x := range indexes {
			out = append(out, f.GetInterceptors()[x].GetName())
		}
		return out
	}
	a.steps(i, direction+" interceptors", "interceptor", names(a.comparison.old, old), names(a.comparison.new, new))
}

// steps compares what is done one after the other. It says what came and what
// went, else that the order is another.
func (a *apis) steps(i int, place, what string, old, new []string) {
	same := true
	for _, s := range old {
		if !slices.Contains(new, s) {
			same = false
			a.note(i, code(what, s, "removed"), place, s, "")
		}
	}
	for _, s := range new {
		if !slices.Contains(old, s) {
			same = false
			a.note(i, code(what, s, "added"), place, "", s)
		}
	}
	if same && !slices.Equal(old, new) {
		a.note(i, what+"s-reordered", place, list(old), list(new))
	}
}

// code tells stages that refuse calls from others.
func code(what, step, end string) string {
	if what == "stage" && (strings.HasPrefix(step, "validate") || step == "subscription") {
		what = "check"
	}
	return what + "-" + end
}

// stages compares what no other comparison looks at: what an operation is
// limited by and what it asks for are said already, and each of their stages
// with them.
func (a *apis) stages(i int, p pair, secured bool) {
	words := func(op *artifactpb.Operation) []string {
		var out []string
		for _, s := range op.GetStages() {
			switch k := s.GetKind().(type) {
			case *artifactpb.Stage_Throttle, *artifactpb.Stage_Intercept, *artifactpb.Stage_Cors:
			case *artifactpb.Stage_Authn, *artifactpb.Stage_Scope:
				if !secured {
					out = append(out, strings.Join(append([]string{kindOf(s)}, flat(kindMessage(s))...), " "))
				}
			case *artifactpb.Stage_Validate:
				if k.Validate.GetRequest() {
					out = append(out, "validate requests")
				}
				if k.Validate.GetResponse() {
					out = append(out, "validate responses")
				}
			default:
				out = append(out, strings.Join(append([]string{kindOf(s)}, flat(kindMessage(s))...), " "))
			}
		}
		return out
	}
	a.steps(i, "stages", "stage", words(p.old), words(p.new))
}

func union[V any](a, b map[string]V) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// changed keeps of two lists of settings what the other does not have.
func changed(o, n []string) (before, after string) {
	without := func(a, b []string) string {
		return list(slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) }))
	}
	return without(o, n), without(n, o)
}
