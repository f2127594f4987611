package compile

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// Security is resolved at build, and never opens an operation unless the author
// has said so with the one extension for it (x-wso2-disable-security, or API
// Manager's x-auth-type: None). Everything else that could read as "open", such
// as "security: []", an empty alternative, or a scheme nobody can check, becomes
// what the API asks for, or OAuth2, with a warning.
//
// An alternative that needs what no gateway of ours can check is left out beside
// one that does not. Where everything needs something like that, what the API
// asks for takes its place, or OAuth2. Where it is asked for together with
// something else, a token takes its place: the rest alone would be less than the
// author has asked for.

// token reports whether a scheme's credentials are bearer tokens, which are what
// has scopes.
func token(k spec.SchemeKind) bool {
	return k == spec.OAuth2 || k == spec.Bearer || k == spec.OpenIDConnect
}

// scoped reports whether callers who prove themselves by a scheme have scopes:
// those of the token, or those that the conf gives a user.
func scoped(k spec.SchemeKind) bool { return token(k) || k == spec.Basic }

func enforceable(k spec.SchemeKind) bool {
	return SchemeFeature(k).Enforced()
}

func (a *api) secure(op *spec.Operation, out *artifactpb.Operation) {
	if a.disabled(op) {
		a.openAll(op)
		out.Security = &artifactpb.Security{Disabled: true}
		return
	}
	if s := op.Extensions.Application; s != nil && s.Optional != nil && s.Optional.Value {
		a.optional(s)
	}
	alternatives := a.certificates(op, a.alternatives(op))
	a.bounded(op, alternatives)
	a.possible(op, alternatives)
	out.Security = &artifactpb.Security{}
	tokens, anyToken := true, false
	for _, alt := range alternatives {
		pb := &artifactpb.SecurityAlternative{}
		mere := true // a token, and nothing of it
		for _, r := range alt {
			pb.Requirements = append(pb.Requirements, &artifactpb.SecurityRequirement{Scheme: a.scheme(r.scheme), Scopes: r.scopes})
			tokens = tokens && token(r.scheme.Kind)
			mere = mere && token(r.scheme.Kind) && len(r.scopes) == 0
		}
		anyToken = anyToken || mere
		out.Security.Alternatives = append(out.Security.Alternatives, pb)
	}
	if anyToken && op.Security != nil && len(op.Security.Alternatives) > 0 {
		a.scopesLost(op)
	}
	if !tokens {
		a.c.feature(artifactpb.Feature_FEATURE_SECURITY_ALTERNATIVES)
		out.Stages = append(out.Stages, &artifactpb.Stage{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}})
		return
	}
	// A token it is in any case, and one: what is left to say is its scopes.
	out.Stages = append(out.Stages, &artifactpb.Stage{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{}}})
	clauses, ok := clausesOf(alternatives)
	if !ok {
		a.c.diags.Errorf(op.At, "its security has too many combinations of scopes")
		return
	}
	for i, scopes := range clauses {
		name := "scope"
		if i > 0 {
			name = fmt.Sprintf("scope-%d", i+1)
		}
		out.Stages = append(out.Stages, &artifactpb.Stage{Name: name, Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: scopes}}})
	}
}

// clausesOf returns lists of scopes of which a token must have one of each:
// (a and b) or c is (a or c) and (b or c).
func clausesOf(alternatives [][]requirement) (clauses [][]string, ok bool) {
	for i, alt := range alternatives {
		var own [][]string
		for _, r := range alt {
			if len(r.scopes) > 0 {
				own = append(own, union(nil, r.scopes))
			}
		}
		if i == 0 {
			clauses = own
			continue
		}
		var product [][]string
		for _, have := range clauses {
			for _, more := range own {
				product = append(product, union(have, more))
			}
		}
		clauses = absorb(product)
		if len(clauses) > maxClauses {
			return nil, false
		}
	}
	return clauses, true
}

// maxSchemes is how many different ways to prove oneself a runtime tries for an
// operation. Each API key in a place of its own is one; all tokens are one.
const maxSchemes = 8

// bounded refuses what no runtime would serve. A client certificate counts in
// any case: a conf may accept one in place of everything else.
func (a *api) bounded(op *spec.Operation, alternatives [][]requirement) {
	kinds := map[string]bool{"certificate": true}
	for _, alt := range alternatives {
		for _, r := range alt {
			switch k := r.scheme.Kind; {
			case token(k):
				kinds["token"] = true
			case k == spec.Basic:
				kinds["basic"] = true
			case k == spec.APIKey:
				kinds[r.scheme.In+" "+r.scheme.Key] = true
			}
		}
	}
	if n := len(kinds) - 1; n >= maxSchemes {
		at := op.At
		if op.Security != nil {
			at = op.Security.At
		}
		a.c.diags.Errorf(at, "it names %d different kinds of credentials: a gateway tries %d at most, beside a client certificate", n, maxSchemes-1)
	}
}

// possible warns of what no request can bring: a token and a password have one
// header field, whatever its name, and a request with two of it is refused. So
// does an API key that has been given the same field.
func (a *api) possible(op *spec.Operation, alternatives [][]requirement) {
	header := "Authorization"
	if h := a.doc.Extensions.AuthHeader; h != nil {
		header = h.Value
	}
	for _, alt := range alternatives {
		has := func(is func(spec.SecurityScheme) bool) bool {
			return slices.ContainsFunc(alt, func(r requirement) bool { return is(r.scheme) })
		}
		mere := has(func(s spec.SecurityScheme) bool { return token(s.Kind) })
		password := has(func(s spec.SecurityScheme) bool { return s.Kind == spec.Basic })
		key := has(func(s spec.SecurityScheme) bool {
			return s.Kind == spec.APIKey && s.In == "header" && strings.EqualFold(s.Key, header)
		})
		what, where := "a token together with a name and a password", "in the same header"
		switch {
		case mere && password:
		case mere && key:
			what, where = "a token together with an API key", "in the header "+header
		case password && key:
			what, where = "a name and a password together with an API key", "in the header "+header
		default:
			continue
		}
		at := op.At
		if op.Security != nil {
			at = op.Security.At
		}
		who := "nobody can call it"
		if len(alternatives) > 1 {
			who = "nobody can meet that alternative"
		}
		hint := "make them alternatives, each an entry of the list of its own"
		if !(mere && password) {
			hint = "give the key a header of its own, or the other one by x-wso2-auth-header"
		}
		a.c.diags.WarnHint(at, hint, "it asks for %s: both are sent %s, which a request has once, so %s", what, where, who)
		return
	}
}

// certificates adds what x-wso2-mutual-ssl asks for. A mandatory one is a client
// certificate beside everything else, or in its place where
// x-wso2-application-security says that the rest is optional. An optional one is
// an alternative: who shows a trusted certificate needs no token, others do. WSO2's
// articles have it so; 3.1 asked for the token in any case, and does so here where
// the rest is not optional (optional: false), as API Manager writes it.
func (a *api) certificates(op *spec.Operation, alternatives [][]requirement) [][]requirement {
	m := a.doc.Extensions.MutualSSL
	if m == nil {
		return alternatives
	}
	certificate := requirement{scheme: spec.SecurityScheme{Kind: spec.MutualTLS}}
	named := func(alt []requirement) bool {
		return slices.ContainsFunc(alt, func(r requirement) bool { return r.scheme.Kind == spec.MutualTLS })
	}
	switch suffices := a.certificateSuffices(op); {
	case m.Value == "mandatory" && suffices:
		return [][]requirement{{certificate}}
	case m.Value == "mandatory":
		for i, alt := range alternatives {
			if !named(alt) {
				alternatives[i] = append(slices.Clone(alt), certificate)
			}
		}
	case suffices && !slices.ContainsFunc(alternatives, named):
		// A security list that speaks of certificates itself has the last word.
		return append(slices.Clone(alternatives), []requirement{certificate})
	}
	return alternatives
}

const maxClauses = 16

// absorb leaves out clauses that others make needless: who meets "a" meets
// "a or b". What is left has the same meaning, and the order of the rest. Without
// it Google's definitions, which write each scope once for each of two schemes,
// would have two to the power of their scopes.
func absorb(clauses [][]string) [][]string {
	var kept [][]string
	for i, c := range clauses {
		needless := slices.ContainsFunc(clauses[:i], func(other []string) bool { return subset(other, c) }) ||
			slices.ContainsFunc(clauses[i+1:], func(other []string) bool { return len(other) < len(c) && subset(other, c) })
		if !needless {
			kept = append(kept, c)
		}
	}
	return kept
}

// subset reports whether all of a is in b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// scopesLost says that the operation's own security, which names no scopes, has
// taken the place of the API's, which does. OpenAPI has it so; WSO2 3.x took the
// API's scopes, so a project that comes from there is open to more tokens now.
func (a *api) scopesLost(op *spec.Operation) {
	if a.doc.Security == nil {
		return
	}
	var scopes []string
	for _, alt := range a.doc.Security.Alternatives {
		for _, r := range alt.Requirements {
			if s, ok := a.find(r); ok && token(s.Kind) {
				scopes = union(scopes, r.Scopes)
			}
		}
	}
	if len(scopes) > 0 {
		a.carry(op.Security.At, false, fmt.Sprintf("any token will do: the operation's own security, without scopes, takes the place of the API's (%s)", strings.Join(scopes, ", ")))
	}
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// disabled reports whether the author has opened the operation. The operation's
// word beats the API's, and ours beats API Manager's.
func (a *api) disabled(op *spec.Operation) bool {
	switch {
	case op.Extensions.Disable != nil:
		return op.Extensions.Disable.Value
	case a.doc.Extensions.Disable != nil:
		return a.doc.Extensions.Disable.Value
	default:
		return op.Extensions.AuthNone != nil
	}
}

// openAll says that what an operation itself asks for counts for nothing where the
// API as a whole is open.
func (a *api) openAll(op *spec.Operation) {
	api := a.doc.Extensions.Disable
	if op.Extensions.Disable != nil || api == nil || !api.Value {
		return
	}
	at := diag.At{}
	switch x := op.Extensions; {
	case x.Application != nil && len(x.Application.Types) > 0:
		at = x.Application.At
	case x.Scope != nil:
		at = x.Scope.At
	case op.Security != nil && len(op.Security.Alternatives) > 0:
		at = op.Security.At
	default:
		return
	}
	a.carry(at, false, "nobody is asked for it: the API is open, as x-wso2-disable-security at the top level says; x-wso2-disable-security: false would close the operation")
}

type requirement struct {
	scheme spec.SecurityScheme
	scopes []string
}

// builtin is what an operation asks for that declares nothing.
var builtin = requirement{scheme: spec.SecurityScheme{Kind: spec.OAuth2}}

// alternatives are what the operation asks for, at least one of them
// enforceable.
func (a *api) alternatives(op *spec.Operation) [][]requirement {
	scopes := func(alts [][]requirement) [][]requirement {
		if op.Extensions.Scope == nil {
			return alts
		}
		x := op.Extensions.Scope
		a.scopeToken(x.At, x.Value)
		with, without := 0, 0
		for _, alt := range alts {
			found := false
			for i := range alt {
				if scoped(alt[i].scheme.Kind) {
					alt[i].scopes = []string{x.Value}
					found = true
				}
			}
			if found {
				with++
			} else {
				without++
			}
		}
		switch {
		case with == 0:
			a.c.diags.ErrorHint(x.At, "ask for a token as well, in security or with security-types: [oauth2]", "only tokens and users have scopes, and the operation asks for neither")
		case without > 0:
			a.say(diag.Warning, x.At, false, "only tokens and users have scopes: who comes with what else the operation takes is not asked for one")
		}
		return alts
	}
	api := a.doc.Extensions.Application
	own := op.Extensions.Application
	var alts [][]requirement
	switch {
	case own != nil && len(own.Types) > 0:
		alts = a.fromTypes(own, op.Security)
	case op.Security != nil:
		alts = a.fromList(op.Security, op)
	}
	if alts == nil {
		switch {
		case api != nil && len(api.Types) > 0:
			alts = a.fromTypes(api, a.doc.Security)
		case a.doc.Security != nil:
			alts = a.fromList(a.doc.Security, nil)
		}
	}
	if alts == nil {
		alts = [][]requirement{{builtin}}
	}
	return scopes(alts)
}

// below says what holds where an operation's own word, or the API's, decides
// nothing.
func (a *api) below(whole bool) string {
	api := a.doc.Extensions.Application
	if !whole && (api != nil && len(api.Types) > 0 || a.doc.Security != nil && len(a.doc.Security.Alternatives) > 0) {
		return "the API's security applies"
	}
	return "OAuth2 is asked for"
}

// fromTypes reads an x-wso2-application-security. The scopes still come from
// the security list of the same level, else from the API's.
func (a *api) fromTypes(s *spec.ApplicationSecurity, list *spec.Security) [][]requirement {
	if list == nil || len(list.Alternatives) == 0 {
		list = a.doc.Security
	}
	// Each holds lists of scopes of which one of each is asked for.
	var asked [][][]string
	if list != nil {
		for _, alt := range list.Alternatives {
			var own [][]string
			for _, r := range alt.Requirements {
				if scheme, ok := a.find(r); ok && scoped(scheme.Kind) && len(r.Scopes) > 0 {
					own = append(own, union(nil, r.Scopes))
				}
			}
			switch {
			case len(own) == 0:
			case len(own) == 1 && len(asked) > 0 && len(asked[len(asked)-1]) == 1:
				asked[len(asked)-1][0] = union(asked[len(asked)-1][0], own[0])
			default:
				asked = append(asked, own)
			}
		}
	}
	if len(asked) > 0 && slices.Contains(s.Types, "api_key") {
		severity := diag.Note
		if len(s.Types) == 1 {
			severity = diag.Warning
		}
		a.say(severity, s.At, s == a.doc.Extensions.Application, "who comes with an API key is not asked for the scopes of the security list: keys have none")
	}
	if len(asked) == 0 {
		asked = [][][]string{{nil}}
	}
	var alts [][]requirement
	for _, t := range s.Types {
		scheme := builtin.scheme
		switch t {
		case "basic_auth":
			scheme = spec.SecurityScheme{Kind: spec.Basic}
		case "api_key":
			alts = append(alts, []requirement{{scheme: spec.SecurityScheme{Kind: spec.APIKey, In: "header", Key: "apikey"}}})
			continue
		}
		for _, lists := range asked {
			var alt []requirement
			for _, scopes := range lists {
				alt = append(alt, requirement{scheme, scopes})
			}
			alts = append(alts, alt)
		}
	}
	return alts
}

// fromList reads a security list. It returns nil if nothing usable is in it, so
// that the next level decides.
func (a *api) fromList(s *spec.Security, op *spec.Operation) [][]requirement {
	whole := op == nil
	if len(s.Alternatives) == 0 {
		a.carry(s.At, whole, fmt.Sprintf("an empty list does not open an operation: %s; x-wso2-disable-security: true would open it", a.below(whole)))
		return nil
	}
	// rest is what can be checked of all of an alternative.
	type alternative struct{ all, rest []requirement }
	var alts []alternative
	var blocked []string // what cannot be checked
	empty, pure, mixed := false, false, false
	for _, alt := range s.Alternatives {
		if len(alt.Requirements) == 0 {
			empty = true
			continue
		}
		var x alternative
		for _, r := range alt.Requirements {
			scheme, ok := a.find(r)
			if !ok {
				continue
			}
			a.undeclared(r, scheme)
			req := requirement{scheme: scheme}
			if scoped(scheme.Kind) {
				req.scopes = r.Scopes
			} else if len(r.Scopes) > 0 && enforceable(scheme.Kind) {
				a.roles(r, whole)
			}
			x.all = append(x.all, req)
			if enforceable(scheme.Kind) {
				x.rest = append(x.rest, req)
			} else {
				blocked = add(blocked, describe(scheme))
			}
		}
		if len(x.all) == 0 {
			continue
		}
		alts = append(alts, x)
		pure = pure || len(x.rest) == len(x.all)
		mixed = mixed || len(x.rest) > 0 && len(x.rest) < len(x.all)
	}
	if empty {
		a.carry(s.At, whole, "an empty alternative does not let callers in without credentials: it is left out; x-wso2-disable-security: true would open the operation")
	}
	if len(blocked) > 0 {
		what := strings.Join(blocked, " and ")
		switch {
		case pure:
			a.carry(s.At, whole, fmt.Sprintf("the gateway cannot check %s: it is left out", what))
		case mixed:
			a.carry(s.At, whole, fmt.Sprintf("the gateway cannot check %s: a token takes its place beside what else is asked for", what))
		default:
			instead := a.below(whole)
			if instead == "OAuth2 is asked for" {
				instead += " instead"
			}
			a.carry(s.At, whole, fmt.Sprintf("the gateway cannot check %s: %s", what, instead))
			return nil
		}
	}
	var kept [][]requirement
	for _, x := range alts {
		// Half of a pair is weaker than the pair, so a token takes the place of
		// the other half. And beside "a token with scope admin" that would still
		// let in whoever has any token: it stands only where nothing else can be
		// checked.
		if !pure && len(x.rest) > 0 && len(x.rest) < len(x.all) {
			x.all = x.rest
			if !slices.ContainsFunc(x.all, func(r requirement) bool { return token(r.scheme.Kind) }) {
				x.all = append(x.all, builtin)
			}
		}
		// What cannot be an API scheme of the artifact is of no use to later
		// versions either.
		if !slices.ContainsFunc(x.all, func(r requirement) bool { return r.scheme.Kind == spec.OtherScheme }) {
			kept = append(kept, x.all)
		}
	}
	return kept
}

// roles says what becomes of a list behind a scheme without scopes. In OpenAPI
// 3.1 (section 4.8.30) it names roles, "not otherwise defined", which nobody can
// check; before, it has to be empty and means nothing.
func (a *api) roles(r spec.Requirement, whole bool) {
	if a.doc.Dialect == spec.OpenAPI31 {
		a.c.diags.ErrorHint(r.At, "leave the list empty, or ask for a token, whose scopes are checked", "the gateway cannot check the roles of %q: only tokens and users have scopes", r.Scheme)
		return
	}
	a.carry(r.At, whole, fmt.Sprintf("only tokens and users have scopes: the list behind %q means nothing", r.Scheme))
}

func add(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func describe(s spec.SecurityScheme) string {
	return fmt.Sprintf("%s (%q)", s.Type, s.Name)
}

// find looks a requirement's scheme up.
func (a *api) find(r spec.Requirement) (spec.SecurityScheme, bool) {
	for _, s := range a.doc.Schemes {
		if s.Name == r.Scheme {
			return s, true
		}
	}
	names := func() (names []string) {
		for _, s := range a.doc.Schemes {
			names = append(names, s.Name)
		}
		return names
	}
	if a.once("scheme" + r.At.String() + r.Scheme) {
		where := "components.securitySchemes"
		if a.doc.Dialect == spec.Swagger20 {
			where = "securityDefinitions"
		}
		a.c.diags.ErrorHint(r.At, a.c.spell.DidYouMean(r.Scheme, names), "no security scheme %q in %s", r.Scheme, where)
	}
	return spec.SecurityScheme{}, false
}

// undeclared warns about scopes that the scheme does not know: a token could
// never have been issued for a misspelt one.
func (a *api) undeclared(r spec.Requirement, s spec.SecurityScheme) {
	if scoped(s.Kind) {
		for _, scope := range r.Scopes {
			a.scopeToken(r.At, scope)
		}
	}
	if s.Kind != spec.OAuth2 || len(s.Scopes) == 0 {
		return
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(s.Scopes, scope) && a.once("scope "+s.Name+" "+scope) {
			a.c.diags.WarnHint(r.At, a.c.spell.DidYouMean(scope, func() []string { return s.Scopes }), "the scheme %q declares no scope %q", s.Name, scope)
		}
	}
}

// scopeToken warns about what is no scope (RFC 6749, section 3.3): callers could
// hardly come by a token that grants it.
func (a *api) scopeToken(at diag.At, scope string) {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }
	if scope != "" && !strings.ContainsFunc(scope, odd) || !a.once("odd scope "+scope) {
		return
	}
	hint := ""
	if len(strings.Fields(scope)) > 1 {
		hint = "write each scope as an item of its own in a security list"
	}
	a.c.diags.WarnHint(at, hint, "%q is not a scope (RFC 6749, section 3.3)", scope)
}

// scheme adds a scheme to the artifact, or finds it there.
func (a *api) scheme(s spec.SecurityScheme) uint32 {
	pb := &artifactpb.SecurityScheme{Name: s.Name}
	switch s.Kind {
	case spec.OAuth2:
		pb.Kind = &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{}}
	case spec.Bearer:
		pb.Kind = &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{Bearer: true}}
	case spec.OpenIDConnect:
		pb.Kind = &artifactpb.SecurityScheme_OpenIdConnect{OpenIdConnect: &artifactpb.OpenIdConnectScheme{DiscoveryUrl: s.URL}}
	case spec.Basic:
		pb.Kind = &artifactpb.SecurityScheme_Basic{Basic: &artifactpb.BasicScheme{}}
	case spec.MutualTLS:
		pb.Kind = &artifactpb.SecurityScheme_MutualTls{MutualTls: &artifactpb.MutualTlsScheme{}}
	case spec.APIKey:
		in := map[string]artifactpb.Location{
			"header": artifactpb.Location_LOCATION_HEADER,
			"query":  artifactpb.Location_LOCATION_QUERY,
			"cookie": artifactpb.Location_LOCATION_COOKIE,
		}[s.In]
		pb.Kind = &artifactpb.SecurityScheme_ApiKey{ApiKey: &artifactpb.ApiKeyScheme{In: in, Name: s.Key}}
	}
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(pb)
	if err != nil {
		a.c.diags.Errorf(s.At, "security scheme %q: %v", s.Name, err)
		return 0
	}
	if i, ok := a.c.schemes[string(key)]; ok {
		return i
	}
	i := uint32(len(a.c.out.SecuritySchemes))
	a.c.schemes[string(key)] = i
	a.c.out.SecuritySchemes = append(a.c.out.SecuritySchemes, pb)
	return i
}
