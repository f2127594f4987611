package fault

// entry makes a catalogue value with its body ready.
func entry(status, code int, origin Origin, message, description string) *Fault {
	f := &Fault{Status: status, Code: code, Origin: origin, Message: message, Description: description}
	f.body = render(f)
	return f
}

// closing is entry for faults after which a connection cannot be trusted to be
// in step with its client.
func closing(status int, message, description string) *Fault {
	f := entry(status, status, Client, message, description)
	f.Close = true
	return f
}

// Authentication and authorisation: codes, texts and statuses of WSO2 API
// Microgateway 3.x (401 for authentication, 403 for 900908 and 900910).
var (
	UnclassifiedAuth   = entry(500, 900900, Gateway, "Unclassified Authentication Failure", "Unclassified Authentication Failure. Unclassified Authentication Failure")
	InvalidCredentials = entry(401, 900901, Client, "Invalid Credentials", "Invalid Credentials. Make sure you have given the correct access token").
				Challenging(`Bearer realm="micro-gw", error="invalid_token", error_description="The access token is not valid"`)
	// MissingCredentials has the text of 3.0; its description names the header,
	// see MissingCredentialsIn.
	MissingCredentials = MissingCredentialsIn("Authorization")
	ScopeMissing       = entry(403, 900910, Client, "The access token does not allow you to access the requested resource", "The access token does not allow you to access the requested resource").
				Challenging(`Bearer realm="micro-gw", error="insufficient_scope"`)
	// What WSO2's key manager says of tokens. "Unclassified" is what WSO2 appends
	// to a message that it has no detail for.
	TokenExpired         = keyManager(401, 900903, "Access Token Expired", "Renew the access token and try again")
	TokenInactive        = keyManager(401, 900904, "Access Token Inactive", "Unclassified Authentication Failure")
	TokenType            = keyManager(401, 900905, "Incorrect Access Token Type is provided", "Unclassified Authentication Failure")
	NoResource           = keyManager(403, 900906, "No matching resource found in the API for the given request", "Check the API documentation and add a proper REST resource path to the invocation URL")
	APIBlocked           = keyManager(401, 900907, "The requested API is temporarily blocked", "Unclassified Authentication Failure")
	SubscriptionInactive = keyManager(401, 900909, "The subscription to the API is inactive", "Unclassified Authentication Failure")
	ScopeRefused         = keyManager(403, 900910, "The access token does not allow you to access the requested resource", "Unclassified Authentication Failure").
				Challenging(`Bearer realm="micro-gw", error="insufficient_scope"`)
	SubscriptionMissing = entry(403, 900908, Client, "Resource forbidden ", "Resource forbidden . Unclassified Authentication Failure")
	InvalidScheme       = entry(401, 900917, Client, "Invalid Authentication scheme", "Invalid Authentication scheme. API can not be used with this authentication scheme").
				Challenging(`Bearer realm="micro-gw"`)
	WrongPassword = entry(401, 900911, Client, "Invalid Credentials", "Invalid Credentials. Make sure you have given the correct username and password").
			Challenging(`Basic realm="micro-gw", charset="UTF-8"`)
	MalformedPassword = entry(401, 900912, Client, "Invalid Format", "Invalid Format. Make sure you have given the credentials in correct format with \":\" character").
				Challenging(`Basic realm="micro-gw", charset="UTF-8"`)
	// UsersUnavailable is for passwords that nobody can judge now.
	UsersUnavailable = entry(503, 900900, Gateway, "Unclassified Authentication Failure", "Unclassified Authentication Failure. The user store is not available").RetryAfter(1)
	// KeysUnavailable is for an issuer whose keys were never loaded: nobody can
	// be let in, and it is not the client's fault.
	KeysUnavailable = entry(503, 900900, Gateway, "Unclassified Authentication Failure", "Unclassified Authentication Failure. The keys of the token issuer are not available").RetryAfter(5)
	// IntrospectionUnavailable is for a token that only its issuer can judge, who
	// gives no answer.
	IntrospectionUnavailable = entry(503, 900900, Gateway, "Unclassified Authentication Failure", "Unclassified Authentication Failure. The access token cannot be checked now").RetryAfter(1)
)

func keyManager(status, code int, message, detail string) *Fault {
	f := entry(status, code, Client, message, message+". "+detail)
	if status == 401 {
		return f.Challenging(`Bearer realm="micro-gw", error="invalid_token", error_description="The access token is not valid"`)
	}
	return f
}

// MissingCredentialsIn is 900902 for credentials expected in the named header.
func MissingCredentialsIn(header string) *Fault {
	return entry(401, 900902, Client, "Missing Credentials",
		`Missing Credentials. Make sure your API invocation call has a header: "`+header+`"`).
		// No error code: the request had no authentication information
		// (RFC 6750, section 3.1).
		Challenging(`Bearer realm="micro-gw"`)
}

// Upstream: codes and descriptions of WSO2, statuses of RFC 9110, sections
// 15.6.3 to 15.6.5 (WSO2 sent 500).
var (
	UpstreamUnavailable = entry(503, 101503, Upstream, "Runtime Error", "Error connecting to the back end")
	UpstreamBroken      = entry(502, 101503, Upstream, "Runtime Error", "Error connecting to the back end")
	UpstreamTimeout     = entry(504, 101504, Upstream, "Runtime Error", "Connection timed out")
	UpstreamMalformed   = entry(502, 101505, Upstream, "Runtime Error", "Malformed URL")
)

// Routing.
var (
	NotFound         = entry(404, 404, Client, "Not Found", "No matching resource found for given API Request")
	MethodNotAllowed = entry(405, 405, Client, "Method Not Allowed", "Method not allowed for given API resource")
)

// Messages that break a rule or a limit. The request cannot be trusted to end
// where it seems to, so these close the connection.
var (
	BadRequest         = closing(400, "Bad Request", "The request is not a valid HTTP message")
	RequestTimeout     = closing(408, "Request Timeout", "The request was not received in time")
	ContentTooLarge    = closing(413, "Content Too Large", "The request body is larger than the gateway allows")
	URITooLong         = closing(414, "URI Too Long", "The request target is longer than the gateway allows")
	ExpectationFailed  = closing(417, "Expectation Failed", "The expectation is not supported")
	HeaderTooLarge     = closing(431, "Request Header Fields Too Large", "The request header is larger than the gateway allows")
	UnknownCoding      = closing(501, "Not Implemented", "The transfer coding is not supported")
	VersionUnsupported = closing(505, "HTTP Version Not Supported", "The HTTP version is not supported")
	ShuttingDown       = entry(503, 503, Gateway, "Service Unavailable", "The gateway is shutting down")
	Internal           = entry(500, 500, Gateway, "Internal Server Error", "The gateway failed to handle the request")

	// BadPath is for a target whose path is refused by the normaliser; the
	// message itself was in order.
	BadPath = entry(400, 400, Client, "Bad Request", "The request path is not valid")
)

// Keys offered to the wrong environment keep WSO2's flat body, without "fault".
var (
	NoSandboxEndpoint    = flat("Sandbox key offered to the API with no sandbox endpoint")
	NoProductionEndpoint = flat("Production key offered to the API with no production endpoint")
)

func flat(text string) *Fault {
	f := entry(403, 900901, Client, text, text)
	f.body = append(appendString([]byte(`{"ERROR_CODE":"900901", "ERROR_MESSAGE":`), text), '}')
	return f
}
