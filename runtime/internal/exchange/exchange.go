// Package exchange holds the state of one request on its way through the
// gateway: what the client asked, who it is, where it goes, what came back.
//
// An Exchange does not know the protocol it came by. A front end (http1, later
// http2) fills it, the engine and the stages read and change it, the front end
// writes the answer. Everything in it is valid until the exchange ends and not
// longer: byte slices are views into connection buffers that the next request
// overwrites. What must outlive the exchange is copied.
//
// One goroutine owns an exchange at a time.
package exchange

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Body yields a message body piece by piece.
type Body interface {
	// Next returns the next piece, never empty with a nil error, valid until
	// the following call. It returns io.EOF after the last piece and a
	// *fault.Fault if the body breaks a rule or a limit.
	Next() ([]byte, error)
	// Ready reports whether Next will return without waiting for the network:
	// a writer that holds bytes back sends them first if not.
	Ready() bool
}

// A Bytes is a Body that is at hand already.
type Bytes struct{ rest []byte }

// Next implements Body.
func (b *Bytes) Next() ([]byte, error) {
	if len(b.rest) == 0 {
		return nil, io.EOF
	}
	p := b.rest
	b.rest = nil
	return p, nil
}

// Ready implements Body.
func (b *Bytes) Ready() bool { return true }

// A Call is the exchange's hold on an upstream connection.
type Call interface {
	// Release gives the connection back, or ends it if it cannot be used
	// again. The answer's fields and body are gone after that.
	Release()
}

// Proto is the protocol version the client spoke.
type Proto uint8

const (
	HTTP10 Proto = iota
	HTTP11
	HTTP2
)

func (p Proto) String() string {
	return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}[p]
}

// Route is what an exchange may know of the route it took: facts of the
// artifact, shared by all requests and never changed.
type Route struct {
	ID         string // "METHOD /template": the label of logs and metrics
	API        string // info.title
	APIVersion string // info.version
	BasePath   string
}

// Principal is who a request acts for, once proved. It may be shared between
// requests (a token cache hands out one value many times): it is read only.
type Principal struct {
	Scheme      string   // "jwt", "basic", "apikey", Certificate
	Issuer      string   // iss
	Subject     string   // sub
	Username    string   // WSO2: name, else sub
	ConsumerKey string   // azp, client_id or what the issuer's conf names
	KeyType     string   // "PRODUCTION" or "SANDBOX"; the endpoint follows it
	TokenID     string   // jti
	Scopes      []string // scope and scp, in token order
	Expires     time.Time
	Claims      []byte // the token's payload, JSON

	// ScopesJudged says that whoever proved the credentials has judged what they
	// allow, for the request's operation.
	ScopesJudged bool

	// Allows judges each request that the credentials come with, if they are
	// restricted to some; nil: they are not. The scheme that proved them calls
	// it. The error is a *fault.Fault.
	Allows func(*Exchange) error

	// Bound credentials are good with one client certificate only, which Allows
	// has looked at.
	Bound bool

	// What the credentials say of the client application and of the APIs that it
	// is subscribed to; zero values: nothing.
	Application   Application
	Subscriptions []Subscription
}

// Application is a client application as WSO2 API Manager describes it.
type Application struct{ ID, UUID, Name, Owner, Tier string }

// Subscription is an application's to one version of an API.
type Subscription struct{ API, Version, Tier string }

// Subscribed returns the subscription to that version of an API, or nil.
func (p *Principal) Subscribed(api, version string) *Subscription {
	for i := range p.Subscriptions {
		if s := &p.Subscriptions[i]; s.API == api && s.Version == version {
			return s
		}
	}
	return nil
}

// Certificate is the Principal.Scheme of who has proved a client certificate and
// no more.
const Certificate = "mtls"

// ErrNoCredentials is the cause of a fault that says that something was not
// proved because nothing was offered as a proof.
var ErrNoCredentials = errors.New("no credentials")

// HasScope reports whether s was granted.
func (p *Principal) HasScope(s string) bool {
	for _, have := range p.Scopes {
		if have == s {
			return true
		}
	}
	return false
}

// Exchange is one request and its answer.
type Exchange struct {
	// The request, as normalised by the engine before any stage runs.
	Method        []byte // as sent; methods are case-sensitive (RFC 9110, section 9.1)
	Proto         Proto
	TLS           *tls.ConnectionState // nil on a plaintext listener
	Host          []byte               // authority, from Host or the absolute form
	Target        []byte               // path and query as the client sent them
	Path          []byte               // normalised: matched, authorised and forwarded
	Query         []byte               // after "?", untouched
	HasQuery      bool                 // tells "/a?" from "/a"
	Request       Header
	RequestBody   Body  // nil if there is none
	RequestLength int64 // -1 if not known in advance
	WebSocket     bool  // asks to become a tunnel (RFC 6455)
	Trailers      bool  // the client takes trailers

	// Peer is the other end of the connection; Client is who the request came
	// from, after trusted proxies have been believed.
	Peer   netip.AddrPort
	Client netip.Addr
	// Forwarded is the part of the forwarding fields that is the same for all
	// requests of a connection, ready to be sent: X-Forwarded-For and so on.
	// Trusted says that the peer's own forwarding fields are believed.
	Forwarded []byte
	Trusted   bool

	// What the way in found out.
	Route     *Route
	Principal *Principal // nil until proved, and on open operations

	// The answer. Status 0 means that there is none yet.
	Status         int
	Response       Header
	ResponseBody   Body   // nil if there is none
	ResponseLength int64  // -1 if not known in advance
	Trailer        Header // after the body's end, if Trailers
	Fault          *fault.Fault
	Call           Call               // nil if no upstream is involved, or no more
	Tunnel         io.ReadWriteCloser // set with status 101

	// Uploading says that another goroutine is still sending the request's
	// body: nobody else may look at it.
	Uploading bool

	// Shard spreads what all exchanges write to (counters, pools, log buffers)
	// over copies: exchanges that run at the same time tend to have different
	// ones. It stays over Reset.
	Shard uint32

	own     Bytes
	scratch []byte

	// For the log.
	Start    time.Time
	Endpoint string // address the request was sent to, "" if to none
	Attempts int
	Received int64 // body bytes from the client
	Sent     int64 // body bytes to the client
}

// Network is a client's address, of IPv6 the first half: the other one a client
// chooses as it likes.
func Network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Bytes returns n bytes of memory that live as long as the exchange.
func (x *Exchange) Bytes(n int) []byte {
	if cap(x.scratch)-len(x.scratch) < n {
		x.scratch = make([]byte, 0, max(1024, n))
	}
	end := len(x.scratch) + n
	b := x.scratch[len(x.scratch):end:end]
	x.scratch = x.scratch[:end]
	return b
}

// Answer makes body the answer. It replaces what there was and keeps nothing of
// it.
func (x *Exchange) Answer(status int, contentType string, body []byte) {
	x.Status = status
	x.Response.Reset()
	x.Trailer.Reset()
	x.Tunnel = nil
	x.own.rest = body
	x.ResponseBody, x.ResponseLength = nil, int64(len(body))
	if len(body) > 0 {
		x.ResponseBody = &x.own
		x.Response.Append(Field{Name: contentTypeName, Value: []byte(contentType), ID: ContentType})
	}
}

var contentTypeName = []byte("Content-Type")

// Fail makes f the answer.
func (x *Exchange) Fail(f *fault.Fault) {
	x.Answer(f.Status, "application/json", f.Body())
	x.Fault = f
	if f.Challenge != "" {
		x.Response.Add([]byte("WWW-Authenticate"), []byte(f.Challenge))
	}
	if f.Allow != "" {
		x.Response.Add([]byte("Allow"), []byte(f.Allow))
	}
	if f.RetrySeconds > 0 {
		x.Response.Add([]byte("Retry-After"), strconv.AppendInt(nil, f.RetrySeconds, 10))
	}
}

// Reset makes x ready for the next request and keeps its memory.
func (x *Exchange) Reset() {
	req, resp, trailer, scratch, shard := x.Request, x.Response, x.Trailer, x.scratch, x.Shard
	*x = Exchange{}
	req.Reset()
	resp.Reset()
	trailer.Reset()
	x.Request, x.Response, x.Trailer, x.scratch, x.Shard = req, resp, trailer, scratch[:0], shard
}
