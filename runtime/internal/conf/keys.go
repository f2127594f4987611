package conf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A key is one that this version acts on. The tables below are all there is to
// know of it: Load reads by them, Print writes by them, and docs/conf.md is made
// of them.
type key[T any] struct {
	name  string
	old   []string // other spellings, of other releases or of articles
	since string   // the WSO2 release that has it; "" for one of our own
	codec codec[T]
	doc   string // Markdown, one line
}

const (
	maxTimeout = 24 * time.Hour
	minTimeout = time.Millisecond
)

var configKeys = slices.Concat(ownKeys, keyManagerKeys, userStoreKeys)

var ownKeys = []key[Config]{
	{"artifact.verifyKeys", nil, "", filesOf(func(c *Config) *[]string { return &c.Artifact.VerifyKeys }),
		"PEM files with the public keys (`micro-gw keygen`) of those who may sign artifacts: one that none of them signed is refused, at the start and when it is swapped. `[]`: an artifact need not be signed. `--verify-key` wins."},

	{"listenerConfig.host", nil, "3.0", stringOf(func(c *Config) *string { return &c.Listener.Host }, isHost),
		"Address or name the API ports are bound to."},
	{"listenerConfig.httpPort", nil, "3.0", portOf(func(c *Config) *int { return &c.Listener.HTTPPort }),
		"Port without TLS. `-1`: none. `0`: one that is free."},
	{"listenerConfig.httpsPort", nil, "3.0", portOf(func(c *Config) *int { return &c.Listener.HTTPSPort }),
		"Port with TLS. `-1`: none. `0`: one that is free."},
	{"listenerConfig.tokenListenerPort", nil, "3.0", portOf(func(c *Config) *int { return &c.Listener.TokenPort }),
		"Port with TLS for the key manager's `/token`, `/revoke`, `/authorize` and `/userinfo`, if a key manager is configured. `-1`: none; the HTTPS port has them as well. `0`: one that is free."},
	{"listenerConfig.keyStorePath", []string{"listenerConfig.keyStore.path"}, "3.1", fileOf(func(c *Config) *string { return &c.Listener.KeyStore.Path }),
		"PKCS#12 file with the key and certificate of the HTTPS port, read again within seconds of a change. Without it and `certificateFile` a self-signed certificate is made in memory."},
	{"listenerConfig.keyStorePassword", []string{"listenerConfig.keyStore.password"}, "3.1", secretOf(func(c *Config) *Secret { return &c.Listener.KeyStore.Password }),
		"Its password."},
	{"listenerConfig.certificateFile", nil, "", fileOf(func(c *Config) *string { return &c.Listener.CertificateFile }),
		"PEM file with the certificate chain of the HTTPS port, instead of a key store; read again within seconds of a change."},
	{"listenerConfig.privateKeyFile", nil, "", fileOf(func(c *Config) *string { return &c.Listener.PrivateKeyFile }),
		"PEM file with the private key of `certificateFile`."},
	{"listenerConfig.trustStorePath", []string{"listenerConfig.trustStore.path"}, "3.1", fileOf(func(c *Config) *string { return &c.Listener.TrustStore.Path }),
		"PKCS#12 file with the certificates that `jwtTokenConfig.certificateAlias` names, and with authorities that upstreams may have their certificate from. As to clients (`mutualSSLConfig`) it is read again within seconds of a change."},
	{"listenerConfig.trustStorePassword", []string{"listenerConfig.trustStore.password"}, "3.1", secretOf(func(c *Config) *Secret { return &c.Listener.TrustStore.Password }),
		"Its password."},
	{"listenerConfig.keepAlive", nil, "3.1", choiceOf([]string{"AUTO", "ALWAYS", "NEVER"}, func(c *Config) *string { return &c.Listener.KeepAlive }),
		"Whether a client's connection stays open after an answer: as the client asks, always, or never."},
	{"listenerConfig.maxPipelinedRequests", nil, "3.1", intOf(1, 1000, "requests", func(c *Config) *int { return &c.Listener.MaxPipelinedRequests }),
		"Requests served in a row of a client that has sent them without waiting for answers, behind the first of them. The last one's answer closes the connection."},
	{"listenerConfig.maxUriLength", nil, "3.1", intOf(16, 1<<20, "bytes", func(c *Config) *int { return &c.Listener.MaxURILength }),
		"Longest request target; a longer one is answered 414."},
	{"listenerConfig.maxHeaderSize", nil, "3.1", intOf(128, 1<<20, "bytes", func(c *Config) *int { return &c.Listener.MaxHeaderSize }),
		"Largest request head; a larger one is answered 431."},
	{"listenerConfig.maxHeaderFields", nil, "", intOf(1, 10000, "fields", func(c *Config) *int { return &c.Listener.MaxHeaderFields }),
		"Most header fields of a request; more are answered 431."},
	{"listenerConfig.maxEntityBodySize", nil, "3.1", limitOf("bytes", func(c *Config) *int64 { return &c.Listener.MaxEntityBodySize }),
		"Largest request body; a larger one is answered 413. `-1`: no limit."},
	{"listenerConfig.headTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Listener.HeadTimeout }),
		"From the first byte of a request head to its last; then 408."},
	{"listenerConfig.bodyTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Listener.BodyTimeout }),
		"Between two reads of a request body; then 408."},
	{"listenerConfig.idleTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Listener.IdleTimeout }),
		"Between two requests on a connection; then it is closed."},
	{"listenerConfig.writeTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Listener.WriteTimeout }),
		"Until a client has taken a piece of an answer, which is 64 KiB at most; then its connection is closed."},
	{"listenerConfig.maxConnections", nil, "", intOf(0, math.MaxInt32, "connections", func(c *Config) *int { return &c.Listener.MaxConnections }),
		"Connections from clients that are served at one time; others wait. `0`: as many as the system gives."},
	{"listenerConfig.trustedProxies", nil, "", proxies(),
		"Addresses and networks (`10.0.0.0/8`) of the proxies whose `X-Forwarded-*` and `Forwarded` fields are believed. Everybody else's are dropped."},
	{"mutualSSLConfig.protocolName", nil, "3.0", protocolName(),
		"`TLS`; nothing else exists."},
	{"mutualSSLConfig.protocolVersions", nil, "3.0", tlsVersions(),
		"TLS versions of the HTTPS port: `TLSv1.2`, `TLSv1.3`. One that is not named is not offered. Older ones are left out, and refused if they are all there is; TLS 1.3 is offered in place of them."},
	{"mutualSSLConfig.ciphers", nil, "3.0", tlsCiphers(),
		"Cipher suites for TLS 1.2, by the names of Java or IANA. Weak ones are left out, and refused if they are all there is."},

	{"mutualSSLConfig.sslVerifyClient", nil, "3.0", choiceOf([]string{"", "optional", "require"}, func(c *Config) *string { return &c.Mutual.Verify }),
		"Whether clients of the HTTPS port are asked for a certificate: no (empty), `optional`, or `require`, which ends the connection of those who have none. A trusted one takes the place of the token for APIs that say nothing else of certificates (`x-wso2-mutual-ssl`, a scheme of type `mutualTLS`). See [mutual TLS](authentication/mutual-tls.md)."},
	{"mutualSSLConfig.authoritiesFile", nil, "", fileOf(func(c *Config) *string { return &c.Mutual.AuthoritiesFile }),
		"PEM file with the authorities that clients' certificates may be from, read again within seconds of a change. Absent: those of `listenerConfig.trustStorePath`; never those of the system."},
	{"mutualSSLConfig.crlFile", nil, "", fileOf(func(c *Config) *string { return &c.Mutual.CRLFile }),
		"File with the authorities' lists of revoked certificates (PEM or DER), read again within seconds of a change."},
	{"mutualSSLConfig.upstreamHeader", nil, "", stringOf(func(c *Config) *string { return &c.Mutual.UpstreamHeader }, isOptionalToldField),
		"Header field in which upstreams are told the client's certificate, as RFC 9440 writes it: `Client-Cert`. What clients send in it is taken out. Not one that is made anew on the way, such as `Via` or `X-Forwarded-For`. Empty: none."},

	{"admin.address", nil, "", stringOf(func(c *Config) *string { return &c.Admin.Address }, isAddress),
		"Address and port of `/health`, `/ready`, `/version` and `/routes`. Empty: none. Whoever reaches it sees every route."},

	{"httpClients.connectTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Upstream.ConnectTimeout }),
		"To open a connection to an upstream, TLS included; then 504."},
	{"httpClients.responseTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Upstream.ResponseTimeout }),
		"Until an upstream begins to answer, and between two reads of its answer; then 504, or the end of the client's connection if the answer had begun. An endpoint's own time-out in the definition wins."},
	{"httpClients.verifyHostname", nil, "3.0", boolOf(func(c *Config) *bool { return &c.Upstream.VerifyHostname }),
		"Whether an upstream's certificate must be for its host name."},
	{"httpClients.disableSslVerification", nil, "3.2", boolOf(func(c *Config) *bool { return &c.Upstream.DisableSSLVerification }),
		"Whether any certificate of an upstream will do. For tests only."},
	{"httpClients.poolConfig.maxIdleConnections", nil, "3.2", intOf(0, 1<<20, "connections", func(c *Config) *int { return &c.Upstream.MaxIdle }),
		"Unused connections that are kept for each endpoint."},
	{"httpClients.poolConfig.maxActiveConnections", nil, "3.2", limitOf("connections", func(c *Config) *int { return &c.Upstream.MaxActive }),
		"Connections to each endpoint at one time; a request beyond them is answered 503. `-1`: no limit."},
	{"httpClients.poolConfig.idleTimeout", nil, "", durationOf(minTimeout, maxTimeout, func(c *Config) *time.Duration { return &c.Upstream.IdleTimeout }),
		"How long an unused connection is kept. Choose less than the upstream does."},
	{"httpClients.responseLimits.maxStatusLineLength", nil, "3.2.3", intOf(16, 1<<20, "bytes", func(c *Config) *int { return &c.Upstream.ResponseLimits.MaxStatusLineLength }),
		"Longest status line of an upstream; a longer one is answered 502."},
	{"httpClients.responseLimits.maxHeaderSize", nil, "3.2.3", intOf(128, 1<<20, "bytes", func(c *Config) *int { return &c.Upstream.ResponseLimits.MaxHeaderSize }),
		"Largest response head of an upstream; a larger one is answered 502."},
	{"httpClients.responseLimits.maxEntityBodySize", nil, "3.2.3", limitOf("bytes", func(c *Config) *int64 { return &c.Upstream.ResponseLimits.MaxEntityBodySize }),
		"Largest response body of an upstream; a larger one is answered 502. `-1`: no limit."},

	{"authConfig.authorizationHeader", nil, "3.0", stringOf(func(c *Config) *string { return &c.Auth.Header }, isField),
		"Header field that holds the credential. `x-wso2-auth-header` in a definition wins."},
	{"authConfig.removeAuthHeaderFromOutMessage", nil, "3.0", boolOf(func(c *Config) *bool { return &c.Auth.RemoveHeader }),
		"Whether that field is kept from the upstream."},

	{"authConfig.cookie", nil, "", stringOf(func(c *Config) *string { return &c.Auth.Cookie }, isCookie),
		"Cookie that carries a token where the header is absent, for browsers. It is kept from every upstream. Empty: none. See [tokens](authentication/jwt.md#cookies)."},
	{"authConfig.cookieOrigins", nil, "", origins(),
		"Origins (`https://shop.example.com`) whose pages may send it with requests that change something, beside the gateway's own."},

	{"security.validateSubscriptions", nil, "3.2", boolOf(func(c *Config) *bool { return &c.Security.ValidateSubscriptions }),
		"What `jwtTokenConfig.validateSubscription` is for issuers that do not say it."},
	{"jwtConfig.header", nil, "3.0", stringOf(func(c *Config) *string { return &c.BackendJWT.Header }, isToldField),
		"Header field that it is sent in. What clients send in it is taken out of every request, if the token is switched on, or there is a key manager or `introspection.url`."},

	{"jwtGeneratorConfig.jwtGeneratorEnabled", nil, "3.1.1", boolOf(func(c *Config) *bool { return &c.BackendJWT.Enabled }),
		"Whether upstreams are told who calls, by a token that the gateway signs. See [backend JWT](authentication/backend-jwt.md)."},
	{"jwtGeneratorConfig.claimDialect", nil, "3.1.1", stringOf(func(c *Config) *string { return &c.BackendJWT.Dialect }, anything),
		"What stands, with a slash, before the names of the gateway's own claims."},
	{"jwtGeneratorConfig.signingAlgorithm", nil, "3.1.1", signing(),
		"`SHA256withRSA` (also `RS256`) or `ES256`. Empty: what fits the key. `NONE` is refused."},
	{"jwtGeneratorConfig.privateKeyFile", nil, "", fileOf(func(c *Config) *string { return &c.BackendJWT.PrivateKeyFile }),
		"PEM file with the key that signs it. Absent: the key of the HTTPS port."},
	{"jwtGeneratorConfig.tokenExpiry", nil, "3.1.1", millisOf(time.Second, maxTimeout, func(c *Config) *time.Duration { return &c.BackendJWT.Expiry }),
		"How long it is good; no longer than the caller's own token."},
	{"jwtGeneratorConfig.restrictedClaims", nil, "3.1.1", listOf(func(c *Config) *[]string { return &c.BackendJWT.Restricted }),
		"The caller's claims that are not passed on."},
	{"jwtGeneratorConfig.issuer", nil, "3.1.1", stringOf(func(c *Config) *string { return &c.BackendJWT.Issuer }, anything),
		"Its `iss`."},
	{"jwtGeneratorConfig.audience", nil, "3.1.1", listOf(func(c *Config) *[]string { return &c.BackendJWT.Audience }),
		"Its `aud`."},
	{"jwtGeneratorConfig.publishKeys", nil, "", boolOf(func(c *Config) *bool { return &c.BackendJWT.PublishKeys }),
		"Whether `/.well-known/jwks.json` is on the API ports, too, unless an API has the path. It is on the admin port in any case."},
	{"jwtGeneratorConfig.jwtGeneratorCaching.tokenCacheEnable", nil, "3.1.1", boolOf(func(c *Config) *bool { return &c.BackendJWT.Cache }),
		"Whether it is made once for a caller and an API."},
	{"jwtGeneratorConfig.jwtGeneratorCaching.tokenCacheExpiryTime", nil, "3.1.1", millisOf(time.Second, maxTimeout, func(c *Config) *time.Duration { return &c.BackendJWT.CacheExpiry }),
		"How long it is good then, instead of `tokenExpiry`. It is made anew when three quarters of that are over."},
	{"jwtGeneratorConfig.jwtGeneratorCaching.tokenCacheCapacity", nil, "3.1.1", intOf(2, 10_000_000, "tokens", func(c *Config) *int { return &c.BackendJWT.CacheCapacity }),
		"How many are remembered."},

	{"caching.enabled", nil, "3.0", boolOf(func(c *Config) *bool { return &c.TokenCache.Enabled }),
		"Whether a token's signature is verified once and then remembered. Its expiry and scopes are checked each time in any case."},
	{"caching.tokenCacheExpiryTime", []string{"caching.tokenCache.expiryTime"}, "3.1", millisOf(time.Millisecond, maxTimeout, func(c *Config) *time.Duration { return &c.TokenCache.Expiry }),
		"How long it is remembered at most. (WSO2's comment says seconds; it was milliseconds there, too.)"},
	{"caching.tokenCacheCapacity", []string{"caching.tokenCache.capacity"}, "3.1", intOf(1, 10_000_000, "tokens", func(c *Config) *int { return &c.TokenCache.Capacity }),
		"How many tokens are remembered. (WSO2's comment says MB; it was entries there, too.)"},

	{"introspection.url", nil, "", stringOf(func(c *Config) *string { return &c.Introspection.URL }, isJWKS),
		"URL that is asked about opaque tokens (RFC 7662). Empty: nobody is asked, unless a key manager is configured. See [opaque tokens](authentication/opaque-tokens.md)."},
	{"introspection.authMethod", nil, "", choiceOf([]string{ClientSecretBasic, PrivateKeyJWT, TLSClientAuth}, func(c *Config) *string { return &c.Introspection.AuthMethod }),
		"How the gateway proves who it is: by its secret, by a token signed with `keyFile` (RFC 7523), or by the certificate of `certificateFile` (RFC 8705)."},
	{"introspection.clientId", nil, "", stringOf(func(c *Config) *string { return &c.Introspection.ClientID }, anything),
		"The gateway's name as a client there."},
	{"introspection.clientSecret", nil, "", secretOf(func(c *Config) *Secret { return &c.Introspection.ClientSecret }),
		"Its secret."},
	{"introspection.keyFile", nil, "", fileOf(func(c *Config) *string { return &c.Introspection.KeyFile }),
		"PEM file with the gateway's private key: RSA, P-256 or Ed25519."},
	{"introspection.keyId", nil, "", stringOf(func(c *Config) *string { return &c.Introspection.KeyID }, anything),
		"`kid` of that key in the tokens that it signs."},
	{"introspection.certificateFile", nil, "", fileOf(func(c *Config) *string { return &c.Introspection.CertificateFile }),
		"PEM file with the certificate of that key, shown where the server asks for one."},
	{"introspection.assertionAudience", nil, "", stringOf(func(c *Config) *string { return &c.Introspection.AssertionAudience }, anything),
		"`aud` of the tokens that the gateway signs. Empty: `introspection.issuer`, else `introspection.url`."},
	{"introspection.issuer", nil, "", stringOf(func(c *Config) *string { return &c.Introspection.Issuer }, anything),
		"What `iss` must be, if the answer has it. Empty: not looked at."},
	{"introspection.audience", nil, "", listOf(func(c *Config) *[]string { return &c.Introspection.Audience }),
		"Values of which `aud` must have one. Absent: not looked at, and warned of."},
	{"introspection.claims", nil, "", listOf(func(c *Config) *[]string { return &c.Introspection.Claims }),
		"Members of the answer that upstreams are told in the [backend JWT](authentication/backend-jwt.md), beside `scope`, `client_id` and `username`."},
	{"introspection.timeout", nil, "", durationOf(minTimeout, time.Minute, func(c *Config) *time.Duration { return &c.Introspection.Timeout }),
		"From the question to the answer, waiting for others' questions included; then 503."},
	{"introspection.maxConcurrent", nil, "", intOf(1, 10000, "questions", func(c *Config) *int { return &c.Introspection.MaxConcurrent }),
		"Questions at one time; others wait. Clients of one address have half of them, and few as long as all their tokens are refused."},
	{"introspection.negativeCacheTime", nil, "", durationOf(minTimeout, time.Hour, func(c *Config) *time.Duration { return &c.Introspection.NegativeCacheTime }),
		"How long it is remembered that a token is not good. That one is, is remembered until its `exp`, and not longer than `caching.tokenCacheExpiryTime`."},
	{"introspection.failedJWT", []string{"keyManager.enableIntrospectForFailedJWT"}, "3.2.10", boolOf(func(c *Config) *bool { return &c.Introspection.FailedJWT }),
		"Whether signed tokens of issuers or keys that are not known here are asked about, too."},

	{"server.header", nil, "3.1.1", stringOf(func(c *Config) *string { return &c.Server.Header }, isFieldValue),
		"Value of `Server` in the gateway's own answers; empty: none. An upstream's is passed on as it is."},
	{"server.timestampSkew", []string{"keyManager.timestampSkew"}, "3.2", millisOf(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.Server.TimestampSkew }),
		"How far the clock of an issuer may differ, for `exp` and `nbf`. `jwtTokenConfig.leeway` wins."},

	{"tokenRevocationConfig.capacity", nil, "", intOf(1, 64<<20, "ids", func(c *Config) *int { return &c.Revocation.Capacity }),
		"How many revoked tokens are remembered; a million take under 64 MiB. Beyond them those that end first are forgotten, which the log and `/ready` say. See [revocation](authentication/revocation.md)."},
	{"tokenRevocationConfig.realtime.enableRealtimeMessageRetrieval", nil, "3.0", boolOf(func(c *Config) *bool { return &c.Revocation.Realtime.Enabled }),
		"Whether revoked tokens are learnt from a topic of a message broker."},
	{"tokenRevocationConfig.realtime.jmsConnectionTopic", nil, "3.0", stringOf(func(c *Config) *string { return &c.Revocation.Realtime.Topic }, isTopic),
		"The topic."},
	{"tokenRevocationConfig.realtime.jmsConnectioninitialContextFactory", nil, "3.0", stringOf(func(c *Config) *string { return &c.Revocation.Realtime.Factory }, anything),
		"The Java class that WSO2's gateway asks for the broker. Here it says of which kind the broker is, and so which dialects are tried first."},
	{"tokenRevocationConfig.realtime.jmsConnectionProviderUrl", nil, "3.0", secretOf(func(c *Config) *Secret { return &c.Revocation.Realtime.URL }),
		"Where the broker is: `amqp://user:password@client/host?brokerlist='tcp://localhost:5672'`, `tcp://localhost:61616`, `failover:(...)`, `stomp://`, `stomp+ssl://`, `amqp://`, `amqps://`, `amqp10://`, `amqp091://`. A secret because there may be a password in it."},
	{"tokenRevocationConfig.realtime.jmsConnectionUsername", nil, "3.0", stringOf(func(c *Config) *string { return &c.Revocation.Realtime.Username }, anything),
		"User of the broker. Empty: the one in the URL."},
	{"tokenRevocationConfig.realtime.jmsConnectionPassword", nil, "3.0", secretOf(func(c *Config) *Secret { return &c.Revocation.Realtime.Password }),
		"Its password."},
	{"tokenRevocationConfig.realtime.durableSubscription", nil, "", stringOf(func(c *Config) *string { return &c.Revocation.Realtime.Durable }, isDurable),
		"Name under which the broker keeps what is published while this gateway is away, such as `${env:HOSTNAME}`: each gateway needs one of its own. Empty: it keeps nothing."},
	{"tokenRevocationConfig.realtime.retention", nil, "", durationOf(time.Minute, maxRetention, func(c *Config) *time.Duration { return &c.Revocation.Realtime.Retention }),
		"How long a token is remembered at least if the message does not say when it expires (`expiryTime`). Choose no less than tokens live."},
	{"tokenRevocationConfig.persistent.enablePersistentStorageRetrieval", nil, "3.0", boolOf(func(c *Config) *bool { return &c.Revocation.Persistent.Enabled }),
		"Whether revoked tokens are read from a store at the start, and from then on as they come."},
	{"tokenRevocationConfig.persistent.useDefault", nil, "3.0", boolOf(func(c *Config) *bool { return &c.Revocation.Persistent.UseDefault }),
		"Must be `true`: `false` stands for an extension function of WSO2's gateway."},
	{"tokenRevocationConfig.persistent.type", nil, "3.2", choiceOf([]string{"etcd", "default", "custom"}, func(c *Config) *string { return &c.Revocation.Persistent.Type }),
		"Which store: `etcd`, or `default`, which is the event hub of WSO2 API Manager behind `endpointURL` and is meant if that is there and neither this nor `hostname`. `custom` is refused."},
	{"tokenRevocationConfig.persistent.hostname", nil, "3.0", stringOf(func(c *Config) *string { return &c.Revocation.Persistent.Hostname }, isEtcd),
		"URL of etcd (v3) and the folder of the keys, with or without `/v2/keys` before it; several addresses with commas between. Empty: `http://localhost:2379` and keys that are in no folder."},
	{"tokenRevocationConfig.persistent.endpointURL", nil, "3.2", stringOf(func(c *Config) *string { return &c.Revocation.Persistent.EndpointURL }, isJWKS),
		"URL of the event hub; `/revokedjwt` is put behind it."},
	{"tokenRevocationConfig.persistent.username", nil, "3.0", stringOf(func(c *Config) *string { return &c.Revocation.Persistent.Username }, anything),
		"User of the store. Empty: nobody is named."},
	{"tokenRevocationConfig.persistent.password", nil, "3.0", secretOf(func(c *Config) *Secret { return &c.Revocation.Persistent.Password }),
		"Its password."},
	{"tokenRevocationConfig.persistent.snapshotPath", nil, "", madeFileOf(func(c *Config) *string { return &c.Revocation.Persistent.SnapshotPath }),
		"File in which the store's revoked tokens are kept for a start without it. Empty: none."},

	{"shutdown.grace", nil, "", durationOf(0, maxTimeout, func(c *Config) *time.Duration { return &c.Shutdown.Grace }),
		"How long requests in flight may take to finish when the process is asked to end."},

	{"b7a.log.level", []string{"log.level"}, "3.0", logLevel(),
		"How much the gateway says of itself on standard error."},
	{"log.format", nil, "", choiceOf([]string{"text", "json"}, func(c *Config) *string { return &c.Log.Format }),
		"How it says it."},
	{"accessLog.enabled", nil, "", boolOf(func(c *Config) *bool { return &c.AccessLog.Enabled }),
		"Whether each request is logged."},
	{"accessLog.path", []string{"b7a.http.accesslog.path"}, "", outFileOf(func(c *Config) *string { return &c.AccessLog.Path }),
		"File of the access log, reopened on SIGUSR1. `-`: standard output."},
	{"accessLog.format", nil, "", choiceOf([]string{"combined", "json"}, func(c *Config) *string { return &c.AccessLog.Format }),
		"Apache's combined format, or a JSON object a line."},

	{"development.enabled", nil, "", boolOf(func(c *Config) *bool { return &c.Development }),
		"Whether tokens of `micro-gw token` are accepted. Without a conf file and without an issuer they are, else only with `--dev` (or `-e development.enabled=true`, which is the same). A conf file and the environment can only say `false`."},
}

// issuerTable is the table that issuerKeys stand in, once for each issuer.
const issuerTable = "jwtTokenConfig"

var issuerKeys = []key[Issuer]{
	{"issuer", nil, "3.0", stringOf(func(i *Issuer) *string { return &i.Issuer }, anything),
		"What a token's `iss` must be, to the letter."},
	{"audience", nil, "3.0", audience(),
		"What a token's `aud` must be or hold: a string, or a list of which one will do. Absent: not checked, and warned of."},
	{"certificateAlias", nil, "3.0", stringOf(func(i *Issuer) *string { return &i.CertificateAlias }, anything),
		"Alias of the issuer's certificate in `listenerConfig.trustStorePath`."},
	{"jwksURL", nil, "3.2", stringOf(func(i *Issuer) *string { return &i.JWKSURL }, isJWKS),
		"URL of the issuer's key set; if it is there, `certificateAlias` is not used."},
	{"discovery", nil, "", boolOf(func(i *Issuer) *bool { return &i.Discovery }),
		"Whether the issuer's metadata says where its key set is (OpenID Connect Discovery): `issuer` with `/.well-known/openid-configuration` behind it."},
	{"openidConfigurationURL", nil, "", stringOf(func(i *Issuer) *string { return &i.DiscoveryURL }, isJWKS),
		"URL of the metadata, if it is somewhere else. It switches `discovery` on."},
	{"publicKeyFile", nil, "", fileOf(func(i *Issuer) *string { return &i.PublicKeyFile }),
		"PEM file with the issuer's public key or certificate."},
	{"algorithm", nil, "", choiceOf([]string{"", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}, func(i *Issuer) *string { return &i.Algorithm }),
		"The one signature algorithm of `publicKeyFile` or `certificateAlias`. Absent: RS256, RS384 or RS512 with an RSA key, the curve's own with others. Those of a key set say their own."},
	{"consumerKeyClaim", nil, "3.2", stringOf(func(i *Issuer) *string { return &i.ConsumerKeyClaim }, anything),
		"Claim that holds the client's key. Empty: `azp`, else `client_id`."},
	{"usernameClaim", nil, "", stringOf(func(i *Issuer) *string { return &i.UsernameClaim }, anything),
		"Claim that holds the user's name; a token without it is of the user `sub`. Empty: `name`, else `sub`."},
	{"validateSubscription", nil, "3.1", subscription(),
		"Whether a token must list the API and its version in `subscribedAPIs` (900908): `true`, or `false`. Absent: as `security.validateSubscriptions` says, else a token that lists APIs is good for those, and one that lists none for all, as in WSO2 3.0."},
	{"tokenType", nil, "", choiceOf([]string{"", "at+jwt"}, func(i *Issuer) *string { return &i.TokenType }),
		"`at+jwt`: only tokens are taken that say in `typ` that they are access tokens (RFC 9068). Empty: also `JWT` and none."},
	{"profile", nil, "", choiceOf([]string{"", ProfileFAPI}, func(i *Issuer) *string { return &i.Profile }),
		"`fapi`: only tokens signed with PS256 or ES256 are taken, and only those that are bound to the client's certificate (RFC 8705). A certificate alone takes the place of a token nowhere then."},
	{"leeway", nil, "", durationOf(0, 10*time.Minute, func(i *Issuer) *time.Duration { return &i.Leeway }),
		"How far this issuer's clock may differ, for `exp` and `nbf`. Absent: `server.timestampSkew`."},
}

var (
	isHost    = rule{checkHost, textShape("^" + hostName + "$")}
	isAddress = rule{checkAddress, textShape(`^$|^(` + dnsName + `|\[[0-9A-Fa-f:.]+(%[^\]]+)?\])?:` + portNumber + "$")}
	isField   = rule{checkField, func() *shape {
		var all []string
		for _, f := range noCredential {
			all = append(all, anyCase(f))
		}
		s := textShape("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")
		s.Not = textShape("^(" + strings.Join(all, "|") + ")$")
		return s
	}()}
	isToldField = rule{checkToldField, func() *shape {
		var all []string
		for _, f := range slices.Concat(noCredential, notTold) {
			all = append(all, strings.ReplaceAll(anyCase(f), "-", "[-_]"))
		}
		s := *isField.shape
		s.Not = textShape("^(" + strings.Join(all, "|") + ")$")
		return &s
	}()}
	isOptionalToldField = rule{func(s string) string {
		if s == "" {
			return ""
		}
		return checkToldField(s)
	}, func() *shape {
		s := *isToldField.shape
		s.Pattern = "^[-!#$%&'*+.^_`|~0-9A-Za-z]*$"
		return &s
	}()}
	isCookie     = rule{checkCookie, textShape("^[-!#$%&'*+.^_`|~0-9A-Za-z]*$")}
	isFieldValue = rule{checkFieldValue, textShape("^([!-~]([ -~]*[!-~])?)?$")}
	isJWKS       = rule{checkJWKS, textShape("^$|^" + urlPattern + "$")}
)

func checkHost(s string) string {
	if s == "" {
		return "empty; 0.0.0.0 is every IPv4 address, :: every address"
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	if strings.ContainsAny(s, ":/[]@ \t\"") || !isPrintable(s) {
		return fmt.Sprintf("%q is neither an address nor a host name", s)
	}
	return ""
}

func checkAddress(s string) string {
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Sprintf("%q is not an address with a port, such as 127.0.0.1:9000", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Sprintf("%q is not a port", port)
	}
	if host == "" {
		return ""
	}
	return checkHost(host)
}

// noCredential are fields that a credential cannot be in.
var noCredential = []string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive", "expect", "cookie"}

// checkField wants a field name (RFC 9110, section 5.1: a token).
func checkField(s string) string {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return fmt.Sprintf("%q is not a header field's name", s)
		}
	}
	switch {
	case s == "":
		return "empty"
	case slices.Contains(noCredential, strings.ToLower(s)):
		return fmt.Sprintf("%q is a field that a credential cannot be in", s)
	}
	return ""
}

// notTold are fields that upstreams cannot be told anything in, beside those of
// noCredential: they are dropped or made anew on the way.
var notTold = []string{"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
	"proxy-authenticate", "proxy-authorization", "proxy-connection"}

// checkToldField is checkField for a field that the gateway adds to what upstreams
// get, in the place of all that may be taken for it.
func checkToldField(s string) string {
	name := strings.ReplaceAll(strings.ToLower(s), "_", "-")
	if slices.Contains(noCredential, name) || slices.Contains(notTold, name) {
		return fmt.Sprintf("%q is a field that is dropped or made anew on the way to upstreams", s)
	}
	return checkField(s)
}

// checkCookie wants a cookie's name (RFC 6265, section 4.1.1: a token), or none.
func checkCookie(s string) string {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return fmt.Sprintf("%q is not a cookie's name", s)
		}
	}
	return ""
}

// checkFieldValue wants a field value (RFC 9110, section 5.5) that needs no
// thought: printable ASCII with blanks inside.
func checkFieldValue(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Sprintf("%q is not a header field's value", s)
		}
	}
	if s != strings.TrimSpace(s) {
		return fmt.Sprintf("%q begins or ends with a blank", s)
	}
	return ""
}

func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}

// quoted is a URL in quotes without what stands before an @, which may be a
// password, also if it is no URL.
func quoted(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		scheme := ""
		if before, _, ok := strings.Cut(s[:i], "://"); ok {
			scheme = before + "://"
		}
		s = scheme + "***" + s[i:]
	}
	return strconv.Quote(s)
}

// checkURL wants what can be fetched as it stands.
func checkURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || !isPrintable(s):
		return quoted(s) + " is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return quoted(s) + " is not an http or https URL"
	case u.Hostname() == "":
		return quoted(s) + " has no host"
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return quoted(s) + " has a fragment"
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Sprintf("%s is not a port", p)
		}
	}
	return ""
}

func checkJWKS(s string) string {
	if s == "" { // as WSO2's template has it: none
		return ""
	}
	if bad := checkURL(s); bad != "" {
		return bad
	}
	if u, err := url.Parse(s); err == nil && u.User != nil {
		return "credentials in the URL are not supported"
	}
	return ""
}

// fileOf is a file that must be there. Whether it holds what it should is for
// those who open it.
func fileOf[T any](p func(*T) *string) codec[T] {
	return codec[T]{
		typ: "file", shape: textShape(""),
		path: true,
		set: func(t *T, v value) string {
			s, bad := v.file()
			if bad == "" && s != "" {
				bad = checkFile(s)
			}
			if bad == "" {
				*p(t) = s
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

// filesOf is a list of files that must be there. Only [] in the file empties it:
// a variable that happens to be empty must not take away what the list keeps
// out.
func filesOf[T any](p func(*T) *[]string) codec[T] {
	return codec[T]{
		typ: "list of files", path: true,
		shape: &shape{AnyOf: []*shape{{Type: "array", Items: textShape("^.+$")}, textShape(`[^\s,]`)}},
		set: func(t *T, v value) string {
			all, bad := v.strings()
			if bad != "" {
				return strings.Replace(bad, "a list of strings", "a list of files", 1)
			}
			if len(all) == 0 && v.kind != list {
				return "empty; none is [] in the file"
			}
			files := []string{}
			for _, s := range all {
				if s == "" {
					return "a file's name is empty"
				}
				if !filepath.IsAbs(s) {
					s = filepath.Join(v.dir, s)
				}
				if bad := checkFile(s); bad != "" {
					return bad
				}
				files = append(files, s)
			}
			*p(t) = files
			return ""
		},
		get: func(t *T) any { return append([]string{}, *p(t)...) },
	}
}

func checkFile(path string) string {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("no file %q", path)
	case err != nil:
		return fmt.Sprintf("%q: %v", path, errors.Unwrap(err))
	case info.IsDir():
		return fmt.Sprintf("%q is a folder", path)
	}
	return ""
}

// outFileOf is a file that is made if need be.
func outFileOf[T any](p func(*T) *string) codec[T] {
	return codec[T]{
		typ: "file", shape: textShape("^[^\x00]+$"),
		path: true,
		set: func(t *T, v value) string {
			s, bad := v.file()
			switch {
			case bad != "":
			case s == "":
				bad = `empty; "-" is standard output`
			case strings.ContainsRune(s, 0):
				bad = fmt.Sprintf("%q is not a path", s)
			default:
				*p(t) = s
			}
			return bad
		},
		get: func(t *T) any { return *p(t) },
	}
}

func proxies() codec[Config] {
	return codec[Config]{
		typ: "list of networks", shape: listShape(`(`+ipv4+`|`+ipv6+`)(/[0-9]{1,3})?`, ""),
		set: func(c *Config, v value) string {
			all, bad := v.strings()
			if bad != "" {
				return bad
			}
			nets := []netip.Prefix{}
			for _, s := range all {
				p, err := netip.ParsePrefix(s)
				if err != nil {
					a, err := netip.ParseAddr(s)
					if err != nil || a.Zone() != "" {
						return fmt.Sprintf("%q is neither an address nor a network such as 10.0.0.0/8", s)
					}
					p = netip.PrefixFrom(a, a.BitLen())
				}
				if p != p.Masked() {
					return fmt.Sprintf("%q is a host in a network; the network is %s", s, p.Masked())
				}
				if p.Bits() == 0 {
					v.warn(s + " lets every client say where it comes from")
				}
				nets = append(nets, p)
			}
			c.Listener.TrustedProxies = nets
			return ""
		},
		get: func(c *Config) any {
			all := make([]string, 0, len(c.Listener.TrustedProxies))
			for _, p := range c.Listener.TrustedProxies {
				all = append(all, p.String())
			}
			return all
		},
	}
}

func protocolName() codec[Config] {
	return codec[Config]{
		typ: "TLS", shape: wordsShape([]string{"TLS"}),
		set: func(_ *Config, v value) string {
			s, bad := v.string()
			if bad == "" && !strings.EqualFold(s, "TLS") {
				bad = fmt.Sprintf(`%q is not supported; only "TLS" is`, s)
			}
			return bad
		},
		get: func(*Config) any { return "TLS" },
	}
}

var tlsVersionNames = []struct {
	name string
	id   uint16
}{
	{"TLSv1.3", tls.VersionTLS13},
	{"TLSv1.2", tls.VersionTLS12},
	{"TLSv1.1", 0}, {"TLSv1.0", 0}, {"TLSv1", 0}, {"SSLv3", 0}, {"SSLv2Hello", 0}, {"SSLv2", 0},
}

func tlsVersions() codec[Config] {
	var all, good []string
	for _, v := range tlsVersionNames {
		all = append(all, anyCase(v.name))
		if v.id != 0 {
			good = append(good, anyCase(v.name))
		}
	}
	return codec[Config]{
		typ: "list of strings", shape: listShape(strings.Join(all, "|"), strings.Join(good, "|")),
		set: func(c *Config, v value) string {
			all, bad := v.strings()
			if bad != "" {
				return bad
			}
			var least, most uint16
			var old []string
		names:
			for _, s := range all {
				for _, known := range tlsVersionNames {
					if !strings.EqualFold(s, known.name) {
						continue
					}
					switch {
					case known.id == 0:
						old = append(old, known.name)
					case least == 0:
						least, most = known.id, known.id
					default:
						least, most = min(least, known.id), max(most, known.id)
					}
					continue names
				}
				return fmt.Sprintf("%q is not a TLS version; there are TLSv1.2 and TLSv1.3", s)
			}
			if least == 0 {
				if len(old) == 0 {
					return "names no TLS version; there are TLSv1.2 and TLSv1.3"
				}
				return strings.Join(old, ", ") + " is refused: TLSv1.2 is the oldest that is safe (RFC 8996)"
			}
			if len(old) > 0 {
				v.warn(strings.Join(old, ", ") + " is not offered: TLSv1.2 is the oldest that is safe (RFC 8996)")
				// Such a list is as old as WSO2's own, from before there was TLS 1.3, and
				// does not mean to leave it out.
				most = tls.VersionTLS13
			}
			c.Listener.TLS.MinVersion, c.Listener.TLS.MaxVersion = least, most
			return ""
		},
		get: func(c *Config) any {
			var all []string
			for _, known := range tlsVersionNames {
				if known.id >= c.Listener.TLS.MinVersion && known.id <= c.Listener.TLS.MaxVersion {
					all = append(all, known.name)
				}
			}
			slices.Reverse(all)
			return all
		},
	}
}

func tlsCiphers() codec[Config] {
	return codec[Config]{
		typ: "list of strings", shape: listShape(`[tT][lL][sS]_[^,`+control+`]+|SSL_[^,`+control+`]*`, ""),
		set: func(c *Config, v value) string {
			all, bad := v.strings()
			if bad != "" {
				return bad
			}
			ids, left := []uint16{}, 0
			for _, s := range all {
				i := slices.IndexFunc(tls.CipherSuites(), func(k *tls.CipherSuite) bool {
					return strings.EqualFold(k.Name, s)
				})
				if i < 0 {
					if !strings.HasPrefix(s, "TLS_") && !strings.HasPrefix(s, "SSL_") || !isPrintable(s) {
						return fmt.Sprintf("%q is not a cipher suite's name", s)
					}
					left++
					continue
				}
				k := tls.CipherSuites()[i]
				// TLS 1.3 has its own suites, which are always on.
				if slices.Contains(k.SupportedVersions, tls.VersionTLS12) && !slices.Contains(ids, k.ID) {
					ids = append(ids, k.ID)
				}
			}
			switch {
			case len(all) == 0:
				c.Listener.TLS.Ciphers = nil
				return ""
			case len(ids) == 0:
				return "none of these cipher suites is safe for TLS 1.2"
			case left > 0:
				v.warn(fmt.Sprintf("%d of %d cipher suites are left out: weak, or not known", left, len(all)))
			}
			c.Listener.TLS.Ciphers = ids
			return ""
		},
		get: func(c *Config) any {
			all := make([]string, 0, len(c.Listener.TLS.Ciphers))
			for _, id := range c.Listener.TLS.Ciphers {
				all = append(all, tls.CipherSuiteName(id))
			}
			return all
		},
	}
}

// originPattern is what a browser writes in Origin (RFC 6454, section 6.2).
const originPattern = `https?://([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?`

var isOrigin = regexp.MustCompile("^(" + originPattern + ")$")

func origins() codec[Config] {
	return codec[Config]{
		typ: "list of origins", shape: listShape(originPattern, ""),
		set: func(c *Config, v value) string {
			all, bad := v.strings()
			if bad != "" {
				return bad
			}
			for _, s := range all {
				switch {
				case !isOrigin.MatchString(s):
					return fmt.Sprintf("%q is not an origin such as https://shop.example.com", s)
				case strings.HasPrefix(s, "https:") && strings.HasSuffix(s, ":443"), strings.HasPrefix(s, "http:") && strings.HasSuffix(s, ":80"):
					return fmt.Sprintf("%q: browsers leave out the usual port", s)
				}
			}
			c.Auth.CookieOrigins = all
			return ""
		},
		get: func(c *Config) any { return append([]string{}, c.Auth.CookieOrigins...) },
	}
}

// signing is one of WSO2's names for an algorithm, or ours.
func signing() codec[Config] {
	names := map[string]string{"": "", "SHA256withRSA": "RS256", "RS256": "RS256", "ES256": "ES256"}
	c := choiceOf([]string{"", "SHA256withRSA", "RS256", "ES256"}, func(c *Config) *string { return &c.BackendJWT.Algorithm })
	set := c.set
	c.set = func(t *Config, v value) string {
		if strings.EqualFold(v.s, "NONE") {
			return "a token that nobody has signed could be from anybody: want SHA256withRSA or ES256"
		}
		bad := set(t, v)
		if bad == "" {
			t.BackendJWT.Algorithm = names[t.BackendJWT.Algorithm]
		}
		return bad
	}
	return c
}

// subscription is a boolean that may be left open.
func subscription() codec[Issuer] {
	return codec[Issuer]{
		typ: "boolean", shape: &shape{AnyOf: []*shape{{Type: "boolean"}, {Enum: []any{""}}}},
		set: func(i *Issuer, v value) string {
			if (v.kind == str || v.kind == text) && v.s == "" { // as Print writes what is left open
				i.Subscriptions = ""
				return ""
			}
			b, bad := v.boolean()
			if bad == "" {
				i.Subscriptions = strconv.FormatBool(b)
			}
			return bad
		},
		get: func(i *Issuer) any {
			if i.Subscriptions == "" {
				return ""
			}
			return i.Subscriptions == "true"
		},
	}
}

func audience() codec[Issuer] {
	return codec[Issuer]{
		typ: "string or list of strings", shape: &shape{AnyOf: []*shape{textShape(""), {Type: "array", Items: textShape("")}}},
		set: func(i *Issuer, v value) string {
			all := []string{v.s}
			if v.kind != str { // a string of the file may hold commas of its own
				var bad string
				if all, bad = v.strings(); bad != "" {
					return strings.Replace(bad, "want a list", "want a string or a list", 1)
				}
			}
			i.Audience = nil
			for _, s := range all {
				if s != "" {
					i.Audience = append(i.Audience, s)
				}
			}
			return ""
		},
		get: func(i *Issuer) any { return append([]string{}, i.Audience...) },
	}
}

// Ballerina's names, then ours for what they mean.
var logLevels = []struct {
	name string
	slog slog.Level
}{
	{"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn}, {"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug},
	{"TRACE", slog.LevelDebug - 4}, {"ALL", slog.LevelDebug - 4}, {"OFF", LevelOff},
}

func logLevel() codec[Config] {
	names := make([]string, 0, len(logLevels))
	for _, l := range logLevels {
		names = append(names, l.name)
	}
	c := choiceOf(names, func(s *string) *string { return s })
	return codec[Config]{
		typ: c.typ, shape: c.shape,
		set: func(t *Config, v value) string {
			var name string
			if bad := c.set(&name, v); bad != "" {
				return bad
			}
			for _, l := range logLevels {
				if l.name == name {
					t.Log.Level = l.slog
				}
			}
			return ""
		},
		get: func(t *Config) any {
			for _, l := range logLevels {
				if l.slog == t.Log.Level {
					return l.name
				}
			}
			return t.Log.Level.String()
		},
	}
}
