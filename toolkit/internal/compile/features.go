package compile

import (
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// A Feature is something that a definition can ask of the gateway and that not
// every version does. What a version lacks the artifact carries all the same.
//
// This is the one list of what this version enforces: the compiler warns by it,
// and the ledger gives its verdicts by it. Whoever teaches the runtime one of
// them empties its text here.
type Feature uint8

const (
	Tokens Feature = iota // oauth2, http bearer, openIdConnect
	BasicAuth
	APIKeys
	MutualTLS
	OtherSchemes  // http digest and its like
	Throttling    // of operations, by x-wso2-throttling-tier
	TokenPolicies // of applications and subscriptions, by what tokens name
	CORS
	ResponseCaching
	Interceptors
	RequestValidation
	ResponseValidation
	Etcd
	UpstreamDigest
	UpstreamRetry
	CircuitBreaker
	UpstreamPool
	UsageRecords

	numFeatures
)

// instead says what happens in place of a feature; empty if it is enforced.
var instead = [numFeatures]string{
	OtherSchemes:       "the gateway cannot check the scheme",
	Throttling:         "throttling is not enforced by this version: calls are not counted",
	TokenPolicies:      "application and subscription policies are not enforced by this version: what tokens name is not counted",
	CORS:               "CORS is not enforced by this version: no CORS headers are added, and preflight requests are not answered",
	ResponseCaching:    "response caching is not done by this version: every call goes to the upstream",
	Interceptors:       "interceptors are not run by this version",
	RequestValidation:  "requests are not validated by this version",
	ResponseValidation: "responses are not validated by this version",
	Etcd:               "etcd is not asked by this version: calls go to the default URL",
	UpstreamDigest:     "digest credentials are not sent to the upstream by this version",
	UpstreamRetry:      "retryConfig is not honoured by this version: the runtime's own settings apply",
	CircuitBreaker:     "circuitBreaker is not honoured by this version: the runtime's own settings apply",
	UpstreamPool:       "poolConfig is not honoured by this version: the runtime's own settings apply",
	UsageRecords:       "records of use are not made by this version",
}

// Enforced reports whether this version does it.
func (f Feature) Enforced() bool { return instead[f] == "" }

// Instead is what happens in place of a feature that is not enforced; empty if
// it is.
func (f Feature) Instead() string { return instead[f] }

// SchemeFeature is what it takes to check callers by a kind of security scheme.
func SchemeFeature(k spec.SchemeKind) Feature {
	switch k {
	case spec.OAuth2, spec.Bearer, spec.OpenIDConnect:
		return Tokens
	case spec.Basic:
		return BasicAuth
	case spec.APIKey:
		return APIKeys
	case spec.MutualTLS:
		return MutualTLS
	default:
		return OtherSchemes
	}
}

// lacks notes a use of a feature, if this version does not enforce it.
func (a *api) lacks(at diag.At, whole bool, f Feature) {
	if !f.Enforced() {
		a.carry(at, whole, f.Instead())
	}
}

// ArtifactScheme is what it takes to check callers by a scheme of an artifact.
func ArtifactScheme(s *artifactpb.SecurityScheme) Feature {
	switch s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Oauth2, *artifactpb.SecurityScheme_OpenIdConnect:
		return Tokens
	case *artifactpb.SecurityScheme_Basic:
		return BasicAuth
	case *artifactpb.SecurityScheme_ApiKey:
		return APIKeys
	case *artifactpb.SecurityScheme_MutualTls:
		return MutualTLS
	}
	return OtherSchemes
}
