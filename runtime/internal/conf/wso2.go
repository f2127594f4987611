package conf

import (
	"strings"
)

// An unused key is one of WSO2's that this version reads and does not act on.
//
// A conf file that WSO2 ships must load, so most of them are only named in a
// warning. But a key by which an operator keeps somebody out must not be passed
// over like that: where acting as if it were not there would let in a request
// that WSO2's gateway turns away, it is refused unless it says what its absence
// says.
type unused struct {
	name  string
	since string
	note  string // what that means; keys with equal notes are named together

	// harmless lists the values, beside none at all, that change nothing. It
	// matters if one of the two below is there, and says what to do otherwise.
	harmless []string
	refuse   string
	warn     string
}

const (
	noGrant        = "the gateway's own token at the key manager comes from clientCredential or directToken"
	noRemoteClaims = "the key manager is not asked about users by this version"
	noThrottle     = "throttling is not enforced by this version"
	noAnalytics    = "usage is not reported by this version; the access log can be"
	noHTTP2        = "HTTP/2 is not supported by this version; HTTP/1.1 is spoken"
	noClientHeader = "certificates are taken from the TLS connection only, not from a header that a load balancer adds"
	noAPIKey       = "the gateway gives out no API keys, `micro-gw apikey` does; [[apikey.tokenConfigs]] says whose are accepted"
	noBackendJWT   = "no Java class is loaded, and nobody is asked for more claims than the caller's token has"
	noAlias        = "the key store has one key; jwtGeneratorConfig.privateKeyFile names another"
	noDiscovery    = "etcd is not asked by this version; the URL beside the etcd key is used"
	noMetrics      = "metrics and traces are not exported by this version; the admin port's /routes has counters"
	noValidation   = "bodies are not validated against the definition by this version"
	noEventHub     = "no event hub is listened to by this version"
	noEviction     = "the cache clears its oldest entries by itself"
	noClaims       = "claims are taken from the token and renamed by [[jwtTokenConfig.claims]]; no Java class is loaded and nobody is asked for more"
	noHeaderConf   = "server.header and what an upstream sends are all there is"
	noProxy        = "upstreams are called directly"
	noClientTLS    = "upstreams are called by the system's authorities, listenerConfig.trustStorePath and no certificate of our own"
	noTrace        = "messages are never logged; b7a.log.level says how much else is"
	noWait         = "a request beyond maxActiveConnections does not wait for another one's end"
	noCookie       = "one token for everybody is not supported; authConfig.cookie names a cookie that carries the caller's own"
)

var unusedKeys = func() []unused {
	var all []unused
	add := func(since, note, prefix string, names ...string) {
		for _, n := range names {
			all = append(all, unused{name: prefix + n, since: since, note: note})
		}
	}
	refuse := func(since, note, name, why string, harmless ...string) {
		all = append(all, unused{name: name, since: since, note: note, harmless: harmless, refuse: why})
	}
	warn := func(since, note, name, why string, harmless ...string) {
		all = append(all, unused{name: name, since: since, note: note, harmless: harmless, warn: why})
	}
	broker := []string{"jmsConnectioninitialContextFactory", "jmsConnectionProviderUrl", "jmsConnectionUsername", "jmsConnectionPassword"}

	add("3.2", noRemoteClaims, "keyManager.", "remoteUserClaimRetrievalEnabled")
	// WSO2 writes this table with a small m, also beside [keyManager].
	for _, m := range []string{"keymanager", "keyManager"} {
		p := m + ".security.oauth2."
		const other = "is not supported by this version: use clientCredential, directToken or [keymanager.security.basic]"
		for _, n := range []string{"password.enabled", "refresh.enabled"} {
			warn("3.1", noGrant, p+n, other, "false")
		}
		add("3.1", noGrant, p+"password.", "clientId", "clientSecret", "scopes", "username", "password")
		add("3.1", noGrant, p+"refresh.", "refreshUrl", "scopes", "refreshToken", "clientId", "clientSecret")
	}

	add("3.2", noClaims, "jwtTokenConfig.#.", "claimMapperClassName", "remoteUserClaimRetrievalEnabled")

	add("3.0", noEviction, "", "caching.tokenCacheEvictionFactor", "caching.tokenCache.evictionFactor")

	add("3.0", noAnalytics, "analytics.", "enable", "uploadingTimeSpanInMillis", "uploadingEndpoint", "rotatingPeriod",
		"task.uploadFiles", "username", "password")
	add("3.1", noAnalytics, "analytics.", "initialDelayInMillis", "taskUploadFiles")
	add("3.1", noAnalytics, "analytics.fileUpload.", "enable", "uploadingTimeSpanInMillis", "initialDelayInMillis",
		"uploadingEndpoint", "rotatingPeriod", "taskUploadFiles", "username", "password")
	add("3.1", noAnalytics, "analytics.gRPCAnalytics.", "enable", "endpointURL", "reconnectTimeInMillies")
	add("3.2", noAnalytics, "analytics.", "streamVersion")
	add("3.2.10", noAnalytics, "analytics.", "elkAnalytics.enable", "choreoAnalytics.enable",
		"choreoAnalytics.configEndpoint", "choreoAnalytics.authToken")
	add("3.0", noAnalytics, "", "api.usage.data.path", "datacenterId")

	add("3.0", noHTTP2, "", "http2.enable")
	add("3.2", noHTTP2, "httpClients.", "enableHttp2", "poolConfig.maxActiveStreamsPerConnection")
	add("3.2", noWait, "httpClients.poolConfig.", "waitTimeInMillis")
	for _, n := range []string{"enable", "enableInternalServices"} {
		refuse("3.2", noProxy, "httpClients.proxy."+n, "is not supported by this version: upstreams would be called directly", "false")
	}
	add("3.2", noProxy, "httpClients.proxy.", "host", "port", "username", "password")
	refuse("3.1.1", noClientTLS, "httpClients.sslConfig.keyStorePath",
		"is not supported by this version: upstreams would not see our certificate", "", wso2KeyStore)
	refuse("3.1.1", noClientTLS, "httpClients.sslConfig.trustStorePath",
		"is not supported by this version: upstreams would be trusted by listenerConfig.trustStorePath", "", wso2TrustStore)
	add("3.1.1", noClientTLS, "httpClients.sslConfig.", "protocolName", "ciphers", "protocolVersions", "keyStorePassword",
		"trustStorePassword")

	add("3.2", noClientHeader, "mutualSSLConfig.", "certificateHeaderName", "isClientCertificateValidationEnabled")

	for _, n := range []string{"enableRequestValidation", "enableResponseValidation"} {
		warn("3.0", noValidation, "validationConfig."+n, noValidation+", although this asks for it", "false")
	}

	warn("3.0", noThrottle, "throttlingConfig.enabledGlobalTMEventPublishing",
		"no traffic manager is asked by this version: requests that it would turn away pass", "false")
	add("3.0", noThrottle, "throttlingConfig.", append([]string{"throttleEndpointUrl", "throttleEndpointbase64Header"}, broker...)...)
	add("3.1", noThrottle, "throttlingConfig.nodeLocal.", "processThreadPoolCoreSize", "processThreadPoolMaximumSize",
		"processThreadPoolKeepAliveTime", "cleanUpFrequency")
	// WSO2's template prints the keys of [throttlingConfig] below the header of
	// [throttlingConfig.nodeLocal], so that is where a copy of it has them.
	add("3.1", "it belongs into [throttlingConfig]; here it says nothing, to WSO2's gateway neither", "throttlingConfig.nodeLocal.",
		append([]string{"enabledGlobalTMEventPublishing", "throttleEndpointUrl", "throttleEndpointbase64Header"}, broker...)...)
	add("3.2", noThrottle, "throttlingConfig.", "enableHeaderConditions", "enableQueryParamConditions", "enableJwtClaimConditions",
		"dataRetriever.serverUrl", "dataRetriever.username", "dataRetriever.password")
	add("3.1.1", noThrottle, "throttlingConfig.binary.", "enabled", "username", "password", "URLGroup.#.receiverURL", "URLGroup.#.authURL",
		"publisherPool.maxIdle", "publisherPool.initIdleCapacity",
		"publisherThreadPool.corePoolSize", "publisherThreadPool.maxPoolSize", "publisherThreadPool.keepAliveTime")
	add("3.1.1", noThrottle, "throttlingConfig.binary.agent.", "sslEnabledProtocols", "ciphers", "queueSize", "batchSize", "corePoolSize",
		"socketTimeoutMS", "maxPoolSize", "keepAliveTimeInPool", "reconnectionInterval", "maxTransportPoolSize", "maxIdleConnections",
		"evictionTimePeriod", "minIdleTimeInPool", "secureMaxIdleTransportPoolSize", "secureMaxIdleConnections",
		"secureEvictionTimePeriod", "secureMinIdleTimeInPool")

	add("3.1", noAPIKey, "apikey.issuer.tokenConfig.", "enabled", "keyStorePath", "keyStorePassword", "issuer", "audience",
		"certificateAlias", "validityTime")
	add("3.1", noAPIKey, "apikey.issuer.api.#.", "name", "versions")

	add("3.1.1", noAlias, "jwtGeneratorConfig.", "certificateAlias", "privateKeyAlias")
	add("3.1.1", noBackendJWT, "jwtGeneratorConfig.", "generatorImpl")
	add("3.1.1", noEviction, "jwtGeneratorConfig.jwtGeneratorCaching.", "tokenCacheEvictionFactor")
	add("3.2", noBackendJWT, "jwtGeneratorConfig.claimRetrieval.", "retrieverImpl", "configuration.*")

	add("3.1", noMetrics, "b7a.observability.", "metrics.enabled", "metrics.reporter", "metrics.prometheus.port",
		"metrics.prometheus.jmx_port", "metrics.prometheus.secure_port", "tracing.enabled", "tracing.name",
		"tracing.jaeger.reporter.port", "tracing.jaeger.sampler.type", "tracing.jaeger.sampler.param",
		"tracing.jaeger.reporter.flush.interval.ms", "tracing.jaeger.reporter.max.buffer.spans")
	add("3.2.3", noMetrics, "b7a.observability.", "metrics.enableAuth")

	add("3.2.3", noHeaderConf, "server.headerConf.#.", "headerName", "preserveHeader", "overrideValue")

	warn("3.2", noEventHub, "apim.eventHub.enable", "no event hub is listened to by this version, although this asks for it", "false")
	add("3.2", noEventHub, "apim.", "eventHub.serviceUrl", "eventHub.internalDataContext", "eventHub.username", "eventHub.password",
		"eventHub.eventListeningEndpoints", "credentials.username", "credentials.password")

	for _, n := range []string{"etcdurl", "etcdusername", "etcdpassword", "etcdtimer", "etcdbasePath"} {
		add("3.0", noDiscovery, "", n)
	}
	// The articles' spellings.
	add("3.0", noDiscovery, "", "etcdUrl", "etcdURL", "etcdUsername", "etcdPassword", "etcdTimer", "etcdbasepath", "etcdBasePath")
	add("3.0", noCookie, "", "Cookie")
	add("3.0", noTrace, "b7a.http.tracelog.", "console", "host", "port", "path")
	// It asks for what accessLog.path is set to anyway, unless a file is named.
	add("3.0", "accessLog.path says where the access log goes", "b7a.http.accesslog.", "console")
	return all
}()

// The stores that WSO2 ships are certificates whose keys everybody has.
const (
	wso2KeyStore   = "ballerinaKeystore.p12"
	wso2TrustStore = "ballerinaTruststore.p12"
)

// home returns the placeholder that WSO2's scripts put the folder of the
// installation in for, if s has one.
func home(s string) string {
	for _, p := range []string{"${mgw-runtime.home}", "${ballerina.home}", "${b7a.home}"} {
		if strings.Contains(s, p) {
			return p
		}
	}
	return ""
}

// shipped reports whether path names the store file of WSO2's own distribution.
func shipped(path, file string) bool {
	return home(path) != "" && strings.HasSuffix(path, "/bre/security/"+file)
}

// passes reports whether v changes nothing.
func (u *unused) passes(v value) bool {
	for _, h := range u.harmless {
		if v.s == h || strings.HasSuffix(h, ".p12") && shipped(v.s, h) {
			return v.kind != list && v.kind != table
		}
	}
	return false
}
