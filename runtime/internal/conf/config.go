package conf

import (
	"crypto/tls"
	"log/slog"
	"math"
	"net/netip"
	"time"
)

// DevelopmentIssuer and DevelopmentAudience are what a development token says
// in iss and aud. The host is one that cannot exist (RFC 6761, section 6.4).
const (
	DevelopmentIssuer   = "https://development.micro-gw.invalid"
	DevelopmentAudience = "micro-gw"
)

// DevelopmentKeyIssuer is what a development API key says in iss; aud is the
// same. It is an issuer of its own, so that no token passes for a key.
const DevelopmentKeyIssuer = "https://apikey.development.micro-gw.invalid"

// LevelOff is Log.Level when nothing shall be logged.
const LevelOff = slog.Level(math.MaxInt32)

// Off is the port of a listener that shall not be opened.
const Off = -1

// Standard is the path that means standard output.
const Standard = "-"

// Config is the effective configuration: checked, with every default filled
// in, and not changed after Load.
type Config struct {
	Artifact   Artifact
	Listener   Listener
	Admin      Admin
	Upstream   Upstream
	Auth       Auth
	Issuers    []Issuer // whose tokens are accepted; the development issuer is never in it
	Security   Security
	BackendJWT BackendJWT
	APIKeys    []APIKeyIssuer
	Mutual     Mutual
	Users      []User // by name
	UserStore  UserStore
	TokenCache TokenCache
	Revocation Revocation
	Server     Server
	Shutdown   Shutdown
	Log        Log
	AccessLog  AccessLog

	Introspection Introspection
	KeyManager    KeyManager

	// Development says that the artifact's development key is to be trusted.
	Development bool

	// Overrides holds the keys made of an API's name, such as
	// petstore_prod_endpoint_0, by their exact name. What they refer to is
	// only known once an artifact is open.
	Overrides map[string]string

	// Warnings is what the operator should know although the gateway starts.
	// Each is a line, or a line followed by indented lines.
	Warnings []string

	claims  []claimName       // of all Issuers
	path    string            // of the file, "" for none
	sources map[string]origin // by key, for the values that are not defaults
}

// Artifact is what may be served.
type Artifact struct {
	VerifyKeys []string // PEM files: who may have signed it; none: it need not be signed
}

// Listener is the API ports and what is allowed on them.
type Listener struct {
	Host      string
	HTTPPort  int // Off: none. 0: one that is free
	HTTPSPort int // the same
	TokenPort int // the same; opened if the key manager is enabled

	// Who we are on the HTTPS port: a key store, or a PEM pair, or neither (a
	// certificate is made up then). Never both.
	KeyStore        Store
	CertificateFile string
	PrivateKeyFile  string
	// Whom we trust: the certificates that Issuer.CertificateAlias names, and
	// upstreams' authorities beside those of the system.
	TrustStore Store
	TLS        TLS

	KeepAlive            string // AUTO, ALWAYS or NEVER
	MaxPipelinedRequests int
	MaxURILength         int   // bytes
	MaxHeaderSize        int   // bytes
	MaxHeaderFields      int   // count
	MaxEntityBodySize    int64 // bytes; -1: no limit

	HeadTimeout  time.Duration // from a request's first byte to its head's last
	BodyTimeout  time.Duration // between two reads of a request's body
	IdleTimeout  time.Duration // between two requests on a connection
	WriteTimeout time.Duration // until a client takes some of what is written

	MaxConnections int // 0: no limit of our own
	// TrustedProxies are the peers whose X-Forwarded-* and Forwarded fields are
	// believed.
	TrustedProxies []netip.Prefix
}

// Store is a PKCS#12 file. An empty path means none.
type Store struct {
	Path     string
	Password Secret
}

// TLS is what is negotiated on the HTTPS port, in crypto/tls's terms. TLS 1.3 has
// no cipher suites to choose.
type TLS struct {
	MinVersion uint16
	MaxVersion uint16
	Ciphers    []uint16 // for TLS 1.2; nil: crypto/tls's choice
}

// Mutual is mutual TLS on the HTTPS port.
type Mutual struct {
	Verify          string // "", optional or require
	AuthoritiesFile string // PEM; "": Listener.TrustStore
	CRLFile         string // PEM or DER; "" for none
	UpstreamHeader  string // "" for none
	APIs            []APICertificates
}

// APICertificates lists whose certificates an API takes.
type APICertificates struct {
	Name, Version string
	Aliases       []string // in Listener.TrustStore
}

// Admin is the port for health and introspection.
type Admin struct {
	Address string // host:port; "" for none
}

// Upstream is how upstreams are called, where the artifact does not say.
type Upstream struct {
	ConnectTimeout  time.Duration
	ResponseTimeout time.Duration // to the response head, then between two reads
	IdleTimeout     time.Duration // of a pooled connection
	MaxIdle         int           // per endpoint
	MaxActive       int           // per endpoint; -1: no limit

	VerifyHostname         bool
	DisableSSLVerification bool

	ResponseLimits ResponseLimits
}

// ResponseLimits is what an upstream may send.
type ResponseLimits struct {
	MaxStatusLineLength int   // bytes
	MaxHeaderSize       int   // bytes
	MaxEntityBodySize   int64 // bytes; -1: no limit
}

// Auth is where a credential is found.
type Auth struct {
	Header       string
	RemoveHeader bool // before the upstream sees it
	// Cookie carries the token of those who send no such header; "": none does.
	Cookie        string
	CookieOrigins []string // whose pages may send it, beside the request's own
}

// Issuer is somebody whose tokens are accepted. Exactly one of
// CertificateAlias, JWKSURL, Discovery and PublicKeyFile is set.
type Issuer struct {
	Issuer           string
	Audience         []string // any of them; none: not checked
	CertificateAlias string   // in Listener.TrustStore
	JWKSURL          string
	Discovery        bool   // the issuer's metadata says where its keys are
	DiscoveryURL     string // where that is; "": where Issuer says
	PublicKeyFile    string // PEM: a public key or a certificate
	Algorithm        string // of PublicKeyFile or CertificateAlias; "": the key's usual ones
	ConsumerKeyClaim string
	UsernameClaim    string
	Leeway           time.Duration // for exp and nbf
	// Subscriptions says whether a token must list the API in subscribedAPIs: true,
	// false, or "" if it must once it lists any.
	Subscriptions string
	TokenType     string            // what typ must be; "": what an access token may be
	Profile       string            // "" or ProfileFAPI
	Renamed       map[string]string // the issuer's names for claims, and ours
}

// ProfileFAPI is Issuer.Profile for financial-grade security.
const ProfileFAPI = "fapi"

// claimName is one entry of Issuer.Renamed as it is written.
type claimName struct {
	id            string // of the issuer and of the claim, with a dot between
	remote, local string
}

// BackendJWT is the token that tells upstreams who calls.
type BackendJWT struct {
	Enabled        bool
	Header         string
	Dialect        string // before the names of our claims
	Algorithm      string // RS256 or ES256; "": what fits the key
	Issuer         string
	Audience       []string
	Expiry         time.Duration
	Restricted     []string // the caller's claims that are not passed on
	PrivateKeyFile string   // PEM; "": the key of the HTTPS port
	PublishKeys    bool     // on the API ports, too
	Cache          bool
	CacheExpiry    time.Duration // takes Expiry's place if Cache is set
	CacheCapacity  int           // entries
}

// Security is what holds for all credentials.
type Security struct {
	ValidateSubscriptions bool // Issuer.Subscriptions where it says nothing
}

// APIKeyIssuer is somebody whose API keys are accepted.
type APIKeyIssuer struct {
	Issuer  Issuer // its name, audience, key and leeway
	Scoped  bool   // a key must name the APIs that it is for
	Lasting bool   // a key need not expire

	number string // of its table
}

// TokenCache is the cache of verified tokens.
type TokenCache struct {
	Enabled  bool
	Expiry   time.Duration
	Capacity int // entries
}

// Server is what clients are told of us, and how far clocks may differ.
type Server struct {
	Header        string // value of Server in our answers; "" for none
	TimestampSkew time.Duration
}

// OwnsAssertion reports whether BackendJWT.Header is the gateway's own, so that what
// clients send in it is taken out: where upstreams are told who calls by it, and
// wherever WSO2 may have told them, which is in front of a key manager.
func (c *Config) OwnsAssertion() bool {
	return c.BackendJWT.Enabled || c.KeyManager.Enabled || c.Introspection.URL != ""
}

// Shutdown is how the process ends.
type Shutdown struct {
	Grace time.Duration // for the requests in flight
}

// Log is the log of the process itself.
type Log struct {
	Level  slog.Level
	Format string // text or json
}

// AccessLog is one record per request.
type AccessLog struct {
	Enabled bool
	Path    string // Standard, or a file that is reopened on SIGUSR1
	Format  string // combined or json
}

// Options is where Load looks.
type Options struct {
	Path    string   // micro-gw.conf; "" for none
	Set     []string // key=value of -e, in order; the last one of a key wins
	Environ []string // as of os.Environ
	Dev     bool     // --dev
}

// Default returns the configuration of a gateway without a file, environment
// or flags, except for Development, which only Load decides. Every default is
// here and nowhere else.
func Default() *Config {
	return &Config{
		Listener: Listener{
			Host:                 "0.0.0.0",
			HTTPPort:             9090,
			HTTPSPort:            9095,
			TokenPort:            9096,
			TLS:                  TLS{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
			KeepAlive:            "AUTO",
			MaxPipelinedRequests: 10,
			MaxURILength:         4096,
			MaxHeaderSize:        8192,
			MaxHeaderFields:      100,
			MaxEntityBodySize:    -1,
			HeadTimeout:          10 * time.Second,
			BodyTimeout:          60 * time.Second,
			IdleTimeout:          120 * time.Second,
			WriteTimeout:         60 * time.Second,
		},
		Admin: Admin{Address: "127.0.0.1:9000"},
		Upstream: Upstream{
			ConnectTimeout:  5 * time.Second,
			ResponseTimeout: 60 * time.Second,
			IdleTimeout:     30 * time.Second,
			MaxIdle:         100,
			MaxActive:       -1,
			VerifyHostname:  true,
			ResponseLimits: ResponseLimits{
				MaxStatusLineLength: 4096,
				MaxHeaderSize:       8192,
				MaxEntityBodySize:   -1,
			},
		},
		Auth: Auth{Header: "Authorization", RemoveHeader: true},
		BackendJWT: BackendJWT{
			Header:        "X-JWT-Assertion",
			Dialect:       "http://wso2.org/claims",
			Issuer:        "wso2.org/products/am",
			Audience:      []string{"http://org.wso2.apimgt/gateway"},
			Expiry:        15 * time.Minute,
			Cache:         true,
			CacheExpiry:   15 * time.Minute,
			CacheCapacity: 10000,
		},
		TokenCache:    TokenCache{Enabled: true, Expiry: 15 * time.Minute, Capacity: 10000},
		KeyManager:    KeyManager{TokenContext: "oauth2", Basic: KeyManagerBasic{Enabled: true}, VerifyHostname: true, OAuth2: KeyManagerOAuth2{Bearer: AuthHeaderBearer}},
		Introspection: Introspection{AuthMethod: ClientSecretBasic, Timeout: 2 * time.Second, NegativeCacheTime: 5 * time.Second, MaxConcurrent: 64},
		UserStore:     defaultUserStore(),
		Revocation: Revocation{
			Capacity:   1_000_000,
			Realtime:   Realtime{Topic: "tokenRevocation", Retention: 24 * time.Hour},
			Persistent: Persistent{UseDefault: true, Type: "etcd", Hostname: "https://localhost:2379/v2/keys/jti/"},
		},
		Server:    Server{TimestampSkew: 5 * time.Second},
		Shutdown:  Shutdown{Grace: 20 * time.Second},
		Log:       Log{Level: slog.LevelInfo, Format: "text"},
		AccessLog: AccessLog{Enabled: true, Path: Standard, Format: "combined"},
	}
}
