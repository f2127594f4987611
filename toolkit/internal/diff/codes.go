package diff

import (
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// Kind says which half a change belongs to.
type Kind string

const (
	Contract Kind = "contract" // what callers send and get
	Policy   Kind = "policy"   // what the gateway asks, allows and does
)

// Severity orders changes.
type Severity uint8

const (
	Breaking Severity = iota // a caller who was right may be refused or misled
	Warning                  // nobody is refused, and somebody should look
	Note                     // compatible
)

func (s Severity) String() string {
	switch s {
	case Breaking:
		return "breaking"
	case Warning:
		return "warning"
	default:
		return "note"
	}
}

// MarshalText makes severities readable in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Severity) UnmarshalText(text []byte) error {
	return diag.Named(s, text, Breaking, Warning, Note)
}

// A Code is a kind of change. Codes are stable: scripts compare them.
type Code struct {
	ID       string
	Kind     Kind
	Severity Severity
	Text     string
}

// Codes are all codes there are, contract first, by group.
func Codes() []Code { return slices.Clone(table) }

func about(id string) Code {
	if c, ok := codes[id]; ok {
		return c
	}
	// A test makes every code happen and finds those that are not in the table.
	return Code{ID: id, Kind: Contract, Severity: Breaking, Text: strings.ReplaceAll(id, "-", " ")}
}

var (
	table = slices.Concat(operationCodes, schemaCodes(), policyCodes)
	codes = func() map[string]Code {
		m := make(map[string]Code, len(table))
		for _, c := range table {
			m[c.ID] = c
		}
		return m
	}()
)

var operationCodes = []Code{
	{"operation-removed", Contract, Breaking, "the operation is gone"},
	{"operation-added", Contract, Note, "a new operation"},
	{"operation-deprecated", Contract, Note, "the operation is deprecated now"},
	{"operation-revived", Contract, Note, "the operation is not deprecated any more"},
	{"operation-id-changed", Contract, Note, "operationId is another one: generated clients rename their methods"},
	{"path-parameter-renamed", Contract, Note, "the path parameter has another name; callers do not see it"},
	{"request-parameter-added-required", Contract, Breaking, "a new required parameter"},
	{"request-parameter-added", Contract, Note, "a new optional parameter"},
	{"request-parameter-removed-required", Contract, Warning, "the parameter, which was required, is gone: what callers send for it is not looked at"},
	{"request-parameter-removed", Contract, Warning, "the parameter is gone: what callers send for it is not looked at"},
	{"request-parameter-became-required", Contract, Breaking, "the parameter is required now"},
	{"request-parameter-became-optional", Contract, Note, "the parameter is optional now"},
	{"request-parameter-style-changed", Contract, Breaking, "the parameter is written in another way"},
	{"request-body-added-required", Contract, Breaking, "a required body, where there was none"},
	{"request-body-added", Contract, Note, "an optional body, where there was none"},
	{"request-body-removed-required", Contract, Warning, "the body, which was required, is gone: what callers send is not looked at"},
	{"request-body-removed", Contract, Warning, "the body is gone: what callers send is not looked at"},
	{"request-body-became-required", Contract, Breaking, "the body is required now"},
	{"request-body-became-optional", Contract, Note, "the body is optional now"},
	{"request-media-type-removed", Contract, Breaking, "the media type is not taken any more"},
	{"request-media-type-added", Contract, Note, "another media type is taken"},
	{"response-removed", Contract, Breaking, "the successful response is gone"},
	{"response-removed-error", Contract, Note, "the response is gone"},
	{"response-added", Contract, Note, "a new response"},
	{"response-media-type-removed", Contract, Breaking, "the media type is not answered any more"},
	{"response-media-type-added", Contract, Note, "another media type may be answered"},
	{"response-header-removed-required", Contract, Breaking, "the header field, which was always there, is gone"},
	{"response-header-removed", Contract, Warning, "the header field is gone"},
	{"response-header-added-required", Contract, Note, "a new header field, always there"},
	{"response-header-added", Contract, Note, "a new header field"},
	{"response-header-became-required", Contract, Note, "the header field is always there now"},
	{"response-header-became-optional", Contract, Breaking, "the header field may be missing now"},
}

// schemaCodes are the differences between schemas, in requests and responses.
// Without a word of its own a request breaks by what is narrowed and a response
// by what is widened.
func schemaCodes() []Code {
	const narrowed, widened, other = 1, 2, 3
	kinds := []struct {
		id   string
		is   int
		text string
	}{
		{"type-narrowed", narrowed, "fewer types are possible"},
		{"type-widened", widened, "more types are possible"},
		{"type-changed", other, "the type is another one"},
		{"null-refused", narrowed, "null is not possible any more"},
		{"null-allowed", widened, "null is possible now"},
		{"enum-value-removed", narrowed, "values are gone from the list"},
		{"enum-value-added", widened, "values are new in the list"},
		{"enum-added", narrowed, "only listed values are possible now"},
		{"enum-dropped", widened, "not only listed values are possible now"},
		{"bound-narrowed", narrowed, "a tighter limit of the schema"},
		{"bound-widened", widened, "a looser limit of the schema"},
		{"bound-changed", other, "another limit of the schema"},
		{"pattern-added", narrowed, "a pattern has to match now"},
		{"pattern-dropped", widened, "a pattern does not have to match any more"},
		{"pattern-changed", other, "another pattern has to match"},
		{"format-narrowed", narrowed, "a narrower format"},
		{"format-widened", widened, "a wider format"},
		{"format-changed", other, "another format"},
		{"property-added-required", narrowed, "a new required property"},
		{"property-added", widened, "a new optional property"},
		{"property-removed-required", widened, "the property, which was required, is gone"},
		{"property-removed", narrowed, "the optional property is gone"},
		{"property-refused", narrowed, "the property is gone, and the object takes no others"},
		{"property-became-required", narrowed, "the property is required now"},
		{"property-became-optional", widened, "the property may be missing now"},
		{"object-closed", narrowed, "properties that are not declared are refused now"},
		{"object-opened", widened, "properties that are not declared are possible now"},
		{"alternative-removed", narrowed, "one of the alternatives is gone"},
		{"alternative-added", widened, "a new alternative"},
		{"condition-added", narrowed, "a new condition"},
		{"condition-dropped", widened, "a condition is gone"},
		{"condition-changed", other, "a condition is another one, and which values it lets through cannot be compared"},
		{"default-changed", 0, "what is assumed where the value is missing is another one"},
	}
	severities := map[string]Severity{
		"request-property-removed":          Warning,
		"request-property-removed-required": Warning,
		"request-default-changed":           Warning,
		// Clients pass over members that they do not know.
		"response-property-added": Note,
		"response-object-opened":  Warning,
		// It may have been missing before.
		"response-property-removed": Warning,
	}
	none := map[string]bool{"response-default-changed": true, "response-property-refused": true}
	var out []Code
	for _, dir := range []string{"request", "response"} {
		for _, k := range kinds {
			id := dir + "-" + k.id
			if none[id] {
				continue
			}
			severity := Note
			if k.is == other || k.is == narrowed && dir == "request" || k.is == widened && dir == "response" {
				severity = Breaking
			}
			if s, ok := severities[id]; ok {
				severity = s
			}
			out = append(out, Code{id, Contract, severity, k.text})
		}
	}
	return out
}

var policyCodes = []Code{
	{"api-removed", Policy, Breaking, "the API is gone"},
	{"api-added", Policy, Note, "a new API"},
	{"api-base-path-changed", Policy, Breaking, "the API has moved"},
	{"api-renamed", Policy, Note, "the API has another title"},
	{"api-version-changed", Policy, Note, "the API has another version"},
	{"api-owner-changed", Policy, Note, "the API has another owner"},
	{"operation-protocol-changed", Policy, Breaking, "the operation is called by another protocol"},
	{"transport-removed", Policy, Breaking, "the API is not served by this transport any more"},
	{"transport-http-added", Policy, Warning, "the API is served without TLS too"},
	{"transport-https-added", Policy, Note, "the API is served over TLS too"},
	{"auth-header-changed", Policy, Breaking, "credentials are read from another header"},
	{"security-removed", Policy, Warning, "the operation is open to everybody now"},
	{"security-added", Policy, Breaking, "the operation was open and asks for credentials now"},
	{"security-weakened", Policy, Warning, "it asks for less than before"},
	{"security-strengthened", Policy, Breaking, "it asks for more than before"},
	{"security-changed", Policy, Breaking, "it asks for something else: some callers lose access, others get it"},
	{"scopes-weakened", Policy, Warning, "the scopes that it asks for are easier to have than before"},
	{"scopes-strengthened", Policy, Breaking, "the scopes that it asks for are harder to have than before"},
	{"scopes-changed", Policy, Breaking, "it asks for other scopes: some callers lose access, others get it"},
	{"mutual-tls-weakened", Policy, Warning, "a client certificate matters less than before"},
	{"mutual-tls-offered", Policy, Note, "a client certificate may be shown now"},
	{"mutual-tls-required", Policy, Breaking, "a client certificate is required now"},
	{"mutual-tls-replaces-token", Policy, Warning, "a client certificate makes the token unnecessary now"},
	{"mutual-tls-token-required", Policy, Breaking, "a token is required beside the client certificate now"},
	{"cors-added", Policy, Warning, "the API has a CORS policy of its own now, in place of the conf's"},
	{"cors-removed", Policy, Breaking, "the API has no CORS policy of its own any more: the conf's holds"},
	{"cors-widened", Policy, Warning, "browsers are allowed more"},
	{"cors-narrowed", Policy, Breaking, "browsers are allowed less"},
	{"response-cache-changed", Policy, Warning, "responses are cached in another way"},
	{"limit-added", Policy, Breaking, "calls are limited now"},
	{"limit-removed", Policy, Warning, "calls are not limited any more"},
	{"limit-lowered", Policy, Breaking, "fewer calls are let through"},
	{"limit-raised", Policy, Warning, "more calls are let through"},
	{"limit-window-shortened", Policy, Breaking, "the same rate, counted in shorter windows: fewer calls at once"},
	{"limit-window-lengthened", Policy, Warning, "the same rate, counted in longer windows: more calls at once"},
	{"limit-burst-lowered", Policy, Breaking, "fewer calls are let through at once"},
	{"limit-burst-raised", Policy, Warning, "more calls are let through at once"},
	{"limit-enforced", Policy, Breaking, "calls beyond the limit are refused now; they were only reported"},
	{"limit-relaxed", Policy, Warning, "calls beyond the limit are only reported now; they were refused"},
	{"limit-setting-changed", Policy, Warning, "the limit counts in another way"},
	{"limit-renamed", Policy, Note, "the same limit by another name"},
	{"policy-added", Policy, Note, "a new policy for tokens to name"},
	{"policy-removed", Policy, Warning, "the policy, which tokens may name, is gone"},
	{"endpoint-removed", Policy, Breaking, "calls have nowhere to go any more"},
	{"endpoint-added", Policy, Note, "calls have somewhere to go now"},
	{"endpoint-changed", Policy, Warning, "calls go elsewhere"},
	{"endpoint-tls-dropped", Policy, Warning, "calls leave the gateway without TLS"},
	{"endpoint-balance-changed", Policy, Warning, "calls are spread over the endpoints in another way"},
	{"endpoint-auth-changed", Policy, Warning, "the gateway shows the upstream other credentials"},
	{"endpoint-settings-changed", Policy, Warning, "time-outs, retries, breaker or pool towards the upstream are others"},
	{"endpoint-name-changed", Policy, Note, "the name by which the conf overrides the endpoint is another one"},
	{"interceptor-added", Policy, Warning, "a new interceptor"},
	{"interceptor-removed", Policy, Warning, "the interceptor is gone"},
	{"interceptor-changed", Policy, Warning, "the interceptor has other code"},
	{"interceptors-reordered", Policy, Warning, "interceptors run in another order"},
	{"check-added", Policy, Breaking, "a check that calls have to pass"},
	{"check-removed", Policy, Warning, "a check that calls had to pass is gone"},
	{"stage-added", Policy, Warning, "the gateway does something more with calls"},
	{"stage-removed", Policy, Warning, "the gateway does something less with calls"},
	{"stages-reordered", Policy, Warning, "the gateway does the same in another order"},
	{"signature-added", Policy, Note, "the artifact is signed now"},
	{"signature-dropped", Policy, Warning, "the artifact is not signed any more"},
	{"signer-changed", Policy, Warning, "the artifact is signed by another key"},
	{"runtime-feature-added", Policy, Warning, "runtimes that do not know the feature refuse the artifact"},
	{"runtime-feature-dropped", Policy, Note, "runtimes need not know the feature any more"},
}
