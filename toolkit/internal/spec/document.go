// Package spec reads definitions: Swagger 2.0, OpenAPI 3.0 and 3.1, in YAML or
// JSON, in one file or several.
//
// It checks what it reads against the standard's own tables (grammar.go), and
// turns what a gateway needs of it (paths, servers, security, the x-wso2-*
// extensions) into typed values, each with its position. What these mean is for
// package compile.
//
// What surprises: a definition is refused for what would make the gateway do
// something else than the author thinks (an unknown method, a path that does
// not begin with a slash, an extension nobody reads), and warned about for what
// only offends the standard. Wrong keywords of schemas are warned about and left
// out of the document that the artifact carries, so that validators and mocks
// can load it.
package spec

import (
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Dialect is the version of the standard that a definition is written in.
type Dialect uint8

const (
	Swagger20 Dialect = iota + 1
	OpenAPI30
	OpenAPI31
)

func (d Dialect) String() string {
	switch d {
	case Swagger20:
		return "Swagger 2.0"
	case OpenAPI30:
		return "OpenAPI 3.0"
	default:
		return "OpenAPI 3.1"
	}
}

// Text is a string with its position.
type Text struct {
	Value string
	At    diag.At
}

// Flag is a boolean with its position.
type Flag struct {
	Value bool
	At    diag.At
}

// A Document is one definition.
type Document struct {
	File    string
	Dialect Dialect
	At      diag.At // the document as a whole
	Title   Text
	Version Text

	// Servers are the root's, or what host, basePath and schemes of Swagger
	// 2.0 say.
	Servers []Server
	// Security of operations that have none of their own; nil if not given.
	Security *Security
	Schemes  []SecurityScheme
	// Operations in document order: paths as written, methods in the order of
	// the standard.
	Operations []*Operation
	Extensions APIExtensions

	// JSON is the document as the artifact carries it: OpenAPI 3, references
	// to other files resolved, compact, keys sorted.
	JSON []byte
	// Omitted are keywords that JSON does not have, in the order of the files.
	Omitted []Omission

	source *checker // until Forget
}

// An Operation is one method of a path.
type Operation struct {
	Method      string // upper case
	Path        Text   // position of the path's key
	At          diag.At
	OperationID string
	// Servers of the operation, else of its path item; empty if neither has.
	Servers    []Server
	Security   *Security
	Extensions OperationExtensions
	// PathItem are the extensions of the path item: they hold where the
	// operation has none of its own.
	PathItem RouteExtensions

	node, item *tree.Node // until Forget
}

// A Server is an entry of "servers".
type Server struct {
	// URL with the variables' defaults put in.
	URL string
	// Problem says what is wrong with the variables, and Hint what to do; URL is
	// of no use then.
	Problem string
	Hint    string
	At      diag.At
}

// Security is a "security" list: any of its alternatives suffices.
type Security struct {
	At           diag.At
	Alternatives []Alternative
}

// An Alternative holds requirements that must all be met. None: anyone may
// call.
type Alternative struct {
	At           diag.At
	Requirements []Requirement
}

// A Requirement names a scheme and the scopes that are asked for.
type Requirement struct {
	Scheme string
	Scopes []string
	At     diag.At
}

// SchemeKind is what a security scheme asks of a caller.
type SchemeKind uint8

const (
	OtherScheme SchemeKind = iota // nothing that a gateway could check
	OAuth2
	Bearer
	OpenIDConnect
	Basic
	APIKey
	MutualTLS
)

// A SecurityScheme is an entry of securitySchemes.
type SecurityScheme struct {
	Name   string
	At     diag.At
	Kind   SchemeKind
	Type   string   // as written, for messages: "http digest"
	Scopes []string // declared by its flows
	In     string   // of an API key: header, query or cookie
	Key    string   // its name there
	URL    string   // of OpenID Connect's discovery document
}

// RouteExtensions are what the root, a path item and an operation may have. The
// lower level beats the higher.
type RouteExtensions struct {
	Production *EndpointRef
	Sandbox    *EndpointRef
	Tier       *Text
	// TierOfManager says that Tier is API Manager's x-throttling-tier.
	TierOfManager bool
	Request       *Text // interceptors
	Response      *Text
}

// APIExtensions are the extensions at the root.
type APIExtensions struct {
	RouteExtensions
	BasePath    *Text           // empty if it was wrong
	Endpoints   []NamedEndpoint // x-wso2-endpoints
	CORS        *CORS
	AuthHeader  *Text
	Disable     *Flag
	Application *ApplicationSecurity
	MutualSSL   *Text // "mandatory" or "optional"
	Transports  []string
	Owner       *Text
	Cache       *ResponseCache
}

// OperationExtensions are the extensions of an operation.
type OperationExtensions struct {
	RouteExtensions
	Disable     *Flag
	Application *ApplicationSecurity
	Scope       *Text // x-scope
	AuthNone    *Flag // x-auth-type: None
}

// EndpointRef is an endpoint object or the name of one; neither, if what was
// written was wrong.
type EndpointRef struct {
	At       diag.At
	Name     string // of an entry of x-wso2-endpoints; then Endpoint is nil
	Endpoint *Endpoint
}

// NamedEndpoint is an entry of x-wso2-endpoints.
type NamedEndpoint struct {
	Name     string
	At       diag.At
	Endpoint *Endpoint // nil if it was wrong
}

// Endpoint is an endpoint object.
type Endpoint struct {
	At         diag.At
	Name       string // key "name", if given
	Type       Text   // as written, may be empty
	URLs       []EndpointURL
	Auth       *EndpointAuth
	Resilience *Resilience
}

// EndpointURL is an absolute http or https URL, perhaps the default of an etcd
// key.
type EndpointURL struct {
	URL  string
	Etcd string
	At   diag.At
}

// EndpointAuth is a securityConfig.
type EndpointAuth struct {
	At       diag.At
	Type     string // "basic" or "digest"
	Username string
}

// Resilience is an advanceEndpointConfig, with WSO2's defaults filled in.
type Resilience struct {
	At             diag.At
	TimeoutMillis  int64
	Retry          *Retry
	CircuitBreaker *CircuitBreaker
	Pool           *Pool
}

// Retry is a retryConfig.
type Retry struct {
	Count          int32
	IntervalMillis int64
	BackOffFactor  float64
	MaxWaitMillis  int64
	StatusCodes    []int32
}

// CircuitBreaker is a circuitBreaker.
type CircuitBreaker struct {
	FailureThreshold       float64
	ResetMillis            int64
	StatusCodes            []int32
	RequestVolumeThreshold int32
	WindowMillis           int64
	BucketMillis           int64
}

// Pool is a poolConfig.
type Pool struct {
	MaxActiveConnections int32
	MaxIdleConnections   int32
	WaitMillis           int64
	MaxActiveStreams     int32
}

// CORS is an x-wso2-cors that is not switched off.
type CORS struct {
	At               diag.At
	Origins          []string
	Headers          []string
	Methods          []string
	Expose           []string
	AllowCredentials bool
}

// ApplicationSecurity is an x-wso2-application-security.
type ApplicationSecurity struct {
	At       diag.At
	Types    []string // "basic_auth", "api_key", "oauth2"
	Optional *Flag
}

// ResponseCache is an x-wso2-response-cache.
type ResponseCache struct {
	At            diag.At
	Enabled       bool
	TimeoutMillis int64
}
