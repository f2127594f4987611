package conf

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// checkTogether looks for what no value shows by itself: values that contradict
// each other, and what is missing beside others. Values with a problem of their
// own are left out of it.
func (l *loader) checkTogether() {
	l.checkIdentity()
	l.decideKeyManager()
	l.checkPorts()
	l.checkUpstream()
	l.checkMutual()
	l.checkBackendJWT()
	if a, ok := l.given("authConfig.cookieOrigins"); ok && len(l.c.Auth.CookieOrigins) > 0 && l.c.Auth.Cookie == "" && !l.broken["authConfig.cookie"] {
		l.problem(a.at, a.written, "needs authConfig.cookie", "")
	}
	l.checkRevocation()
	l.checkIntrospection()
	for _, check := range l.rowChecks {
		check()
	}
	l.checkIssuers()
	l.checkOpaqueSubscriptions()
	l.checkAPIKeys()
	l.checkUserStore()
	l.decideDevelopment()
}

// given returns where name was written, and whether it was at all.
func (l *loader) given(name string) (assignment, bool) {
	a, ok := l.set[name]
	return a, ok
}

// changed reports whether a key has another value than by default: what `runtime
// config` prints sets every key, and says nothing by it.
func (l *loader) changed(name string) bool {
	for i := range configKeys {
		if k := &configKeys[i]; k.name == name {
			return !reflect.DeepEqual(k.codec.get(l.c), k.codec.get(Default()))
		}
	}
	return true
}

// need reports the key called name if it has a value that is of no use without
// another, which is empty.
func (l *loader) need(name, value, other, otherValue string) {
	if a, ok := l.given(name); ok && value != "" && otherValue == "" && !l.broken[other] {
		l.problem(a.at, a.written, "needs "+other, "")
	}
}

func (l *loader) checkIdentity() {
	n := &l.c.Listener
	l.need("listenerConfig.certificateFile", n.CertificateFile, "listenerConfig.privateKeyFile", n.PrivateKeyFile)
	l.need("listenerConfig.privateKeyFile", n.PrivateKeyFile, "listenerConfig.certificateFile", n.CertificateFile)
	l.need("listenerConfig.keyStorePassword", n.KeyStore.Password.Reveal(), "listenerConfig.keyStorePath", n.KeyStore.Path)
	l.need("listenerConfig.trustStorePassword", n.TrustStore.Password.Reveal(), "listenerConfig.trustStorePath", n.TrustStore.Path)
	if n.KeyStore.Path == "" { // WSO2's own, which was left out
		n.KeyStore.Password = Secret{}
		delete(l.c.sources, "listenerConfig.keyStorePassword")
	}
	if n.TrustStore.Path == "" {
		n.TrustStore.Password = Secret{}
		delete(l.c.sources, "listenerConfig.trustStorePassword")
	}
	if a, ok := l.given("listenerConfig.certificateFile"); ok && n.CertificateFile != "" && n.KeyStore.Path != "" {
		l.problem(a.at, a.written, "there is listenerConfig.keyStorePath, too; only one of them can be used", "")
	}
}

func (l *loader) checkPorts() {
	n := &l.c.Listener
	const plain, secure = "listenerConfig.httpPort", "listenerConfig.httpsPort"
	// The one of the two that somebody has written is the one to change.
	a, ok := l.given(secure)
	if !ok {
		a, ok = l.given(plain)
	}
	switch {
	case !ok:
	case n.HTTPPort == Off && n.HTTPSPort == Off:
		l.problem(a.at, a.written, "no port is left for APIs", "")
	case n.HTTPPort == n.HTTPSPort && n.HTTPPort > 0:
		l.problem(a.at, a.written, fmt.Sprintf("%s and %s are both %d", plain, secure, n.HTTPPort), "")
	}
	const tokens = "listenerConfig.tokenListenerPort"
	if l.c.KeyManager.Enabled && n.TokenPort > 0 {
		for _, p := range []struct {
			key  string
			port int
		}{{plain, n.HTTPPort}, {secure, n.HTTPSPort}} {
			if p.port != n.TokenPort {
				continue
			}
			for _, key := range []string{tokens, p.key} {
				if a, ok := l.given(key); ok {
					l.problem(a.at, a.written, fmt.Sprintf("%s and %s are both %d", p.key, tokens, p.port), "")
					break
				}
			}
		}
	}
	host, port, err := net.SplitHostPort(l.c.Admin.Address)
	if err != nil || port == "0" || !overlap(host, n.Host) {
		return
	}
	for _, p := range []struct {
		key  string
		port int
	}{{plain, n.HTTPPort}, {secure, n.HTTPSPort}, {tokens, n.TokenPort}} {
		if strconv.Itoa(p.port) != port || p.key == tokens && !l.c.KeyManager.Enabled {
			continue
		}
		a, ok := l.given("admin.address")
		if !ok {
			a, ok = l.given(p.key)
		}
		if ok {
			l.problem(a.at, a.written, fmt.Sprintf("admin.address and %s are both port %s", p.key, port), "")
		}
	}
}

// overlap reports whether one port cannot be bound to both hosts.
func overlap(a, b string) bool {
	wild := func(s string) bool {
		ip, err := netip.ParseAddr(s)
		return s == "" || err == nil && ip.IsUnspecified()
	}
	return a == b || wild(a) || wild(b)
}

func (l *loader) checkUpstream() {
	u := &l.c.Upstream
	if u.MaxActive >= 0 && u.MaxIdle > u.MaxActive {
		if a, ok := l.given("httpClients.poolConfig.maxIdleConnections"); ok {
			l.problem(a.at, a.written, fmt.Sprintf("%d is more than httpClients.poolConfig.maxActiveConnections, which is %d", u.MaxIdle, u.MaxActive), "")
		}
		u.MaxIdle = u.MaxActive
	}
	if a, ok := l.given("httpClients.disableSslVerification"); ok && u.DisableSSLVerification {
		l.warn(a.at, a.written, "whoever is in between can pretend to be an upstream")
	} else if a, ok := l.given("httpClients.verifyHostname"); ok && !u.VerifyHostname {
		l.warn(a.at, a.written, "whoever has any trusted certificate can pretend to be an upstream")
	}
}

// checkIssuers also drops the issuers whose keys were to come from the trust
// store that WSO2 ships: a gateway without them turns their tokens away.
func (l *loader) checkIssuers() {
	kept := []Issuer(nil)
	numbers := make([]int, len(l.c.Issuers))
	first := map[string]int{}
	noStore := l.c.Listener.TrustStore.Path == ""
	for i, is := range l.c.Issuers {
		numbers[i] = -1
		table := fmt.Sprintf("%s.%d", issuerTable, i)
		at := l.issuers[i]
		// where returns the position of one of its keys, or of the table.
		where := func(key string) (origin, string) {
			if a, ok := l.given(issuerKey(i, key)); ok {
				return a.at, a.written
			}
			return at, table
		}
		bad := func(key string) bool { return l.broken[issuerKey(i, key)] }
		fail := func(key, msg string) {
			at, name := where(key)
			l.problem(at, name, msg, "")
		}
		if j, ok := first[is.Issuer]; ok && is.Issuer != "" {
			fail("issuer", fmt.Sprintf("%q is the issuer of %s.%d, too; list all its keys in one key set, and name that by jwksURL", is.Issuer, issuerTable, j))
		}
		first[is.Issuer] = i
		switch {
		case bad("issuer"):
		case is.Issuer == "":
			fail("issuer", "no issuer is named")
		case is.Issuer == DevelopmentIssuer, is.Issuer == DevelopmentKeyIssuer:
			fail("issuer", "this is the issuer of development tokens; start with --dev to accept them")
		}
		broken := bad("certificateAlias") || bad("jwksURL") || bad("publicKeyFile") || bad("discovery") || bad("openidConfigurationURL")
		is.Discovery = is.Discovery || is.DiscoveryURL != ""
		discovery := "discovery"
		if is.DiscoveryURL != "" {
			discovery = "openidConfigurationURL"
		}
		switch {
		case broken:
		case is.Discovery && is.JWKSURL != "":
			fail(discovery, "there is jwksURL, too; only one of them can be used")
		case is.Discovery && is.PublicKeyFile != "":
			fail(discovery, "there is publicKeyFile, too; only one of them can be used")
		case is.Discovery && is.CertificateAlias != "":
			fail(discovery, "there is certificateAlias, too; only one of them can be used")
		case is.Discovery && is.DiscoveryURL == "" && checkURL(is.Issuer) != "" && is.Issuer != "" && !bad("issuer"):
			fail("issuer", "discovery needs a URL: "+checkURL(is.Issuer))
		case is.Discovery:
		case is.PublicKeyFile != "" && is.JWKSURL != "":
			fail("publicKeyFile", "there is jwksURL, too; only one of them can be used")
		case is.PublicKeyFile != "" && is.CertificateAlias != "":
			fail("publicKeyFile", "there is certificateAlias, too; only one of them can be used")
		case is.PublicKeyFile == "" && is.JWKSURL == "" && is.CertificateAlias == "":
			at, _ := where("issuer")
			l.problem(at, table, "has no key: set discovery, jwksURL, publicKeyFile or certificateAlias", "")
		case is.JWKSURL != "" && is.CertificateAlias != "":
			at, name := where("certificateAlias")
			l.warn(at, name, "not used: jwksURL is there, too")
			is.CertificateAlias = ""
		case is.CertificateAlias != "" && noStore && l.broken["listenerConfig.trustStorePath"]:
			at, name := where("certificateAlias")
			l.warn(at, name, fmt.Sprintf("there is no trust store, so tokens of %q are turned away", is.Issuer))
			continue
		case is.CertificateAlias != "" && noStore:
			fail("certificateAlias", "needs listenerConfig.trustStorePath")
		}
		if is.Algorithm != "" && (is.JWKSURL != "" || is.Discovery) && !broken {
			fail("algorithm", "the keys of a key set say their own algorithms")
		}
		for _, from := range []struct{ key, url string }{{"jwksURL", is.JWKSURL}, {"openidConfigurationURL", is.DiscoveryURL}, {"issuer", is.Issuer}} {
			if from.key == "issuer" && (!is.Discovery || is.DiscoveryURL != "") {
				continue
			}
			if u, err := url.Parse(from.url); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
				at, name := where(from.key)
				l.warn(at, name, "without TLS, whoever is in between can put in a key of his own")
			}
		}
		if len(is.Audience) == 0 && !bad("audience") {
			at, name := where("issuer")
			l.warn(at, name, fmt.Sprintf("no audience is named for %q, so tokens that it made for others are accepted", is.Issuer))
		}
		for j := range issuerKeys {
			name := issuerKeys[j].name
			if at, ok := l.c.sources[issuerKey(i, name)]; ok && len(kept) != i {
				delete(l.c.sources, issuerKey(i, name))
				l.c.sources[issuerKey(len(kept), name)] = at
			}
		}
		if is.Profile == ProfileFAPI {
			switch {
			case l.c.Mutual.Verify == "" && !l.broken["mutualSSLConfig.sslVerifyClient"]:
				fail("profile", "needs mutualSSLConfig.sslVerifyClient: a token is bound to a client certificate, and clients are not asked for one")
			case !broken && is.JWKSURL == "" && !is.Discovery && is.Algorithm != "PS256" && is.Algorithm != "ES256":
				fail("algorithm", "want PS256 or ES256, by the profile "+ProfileFAPI)
			}
		}
		numbers[i] = len(kept)
		kept = append(kept, is)
	}
	l.c.Issuers = kept
	l.renameClaims(numbers)
}

// checkBackendJWT sees to it that there is a key to sign with, and that upstreams
// cannot take one field for another.
func (l *loader) checkBackendJWT() {
	j, n := &l.c.BackendJWT, &l.c.Listener
	const enabled, header = "jwtGeneratorConfig.jwtGeneratorEnabled", "jwtConfig.header"
	if !l.c.OwnsAssertion() {
		return
	}
	if a, ok := l.given(enabled); ok && j.Enabled && j.PrivateKeyFile == "" && n.KeyStore.Path == "" && n.CertificateFile == "" &&
		!l.broken["jwtGeneratorConfig.privateKeyFile"] {
		l.problem(a.at, a.written, "needs a key to sign with: set jwtGeneratorConfig.privateKeyFile, or give the HTTPS port a key of its own (listenerConfig.keyStorePath, listenerConfig.certificateFile)", "")
	}
	for other, name := range map[string]string{"authConfig.authorizationHeader": l.c.Auth.Header, "mutualSSLConfig.upstreamHeader": l.c.Mutual.UpstreamHeader} {
		if !l.broken[header] && !l.broken[other] && sameField(name, j.Header) {
			for _, key := range []string{header, other} {
				if a, ok := l.given(key); ok {
					l.problem(a.at, a.written, fmt.Sprintf("%s and %s are the same field", header, other), "")
					break
				}
			}
		}
	}
}

// sameField reports whether an upstream may take one for the other.
func sameField(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// decideDevelopment says whether the artifact's development key is trusted.
// Everybody who has the project can sign with it, so a gateway that somebody
// has configured does so on the command line's word only.
func (l *loader) decideDevelopment() {
	a, given := l.given("development.enabled")
	switch {
	case l.broken["development.enabled"]:
	case given && l.c.Development && (a.at.isFile() || a.at.env != ""):
		l.problem(a.at, a.written, "development mode is switched on by --dev and nothing else", "")
	case given && !l.c.Development && !a.at.isFile() && a.at.env == "" && l.options.Dev:
		l.problem(a.at, a.written, "contradicts --dev", "")
	case l.options.Dev:
		l.c.Development = true
		l.c.sources["development.enabled"] = origin{flag: "--dev"}
	case !given:
		keys := false // those that were dropped, too
		for _, a := range l.set {
			keys = keys || a.target.row != nil && a.target.row.rows == rowTable(&apiKeyIssuers)
		}
		l.c.Development = l.options.Path == "" && len(l.issuers) == 0 && !keys &&
			l.c.Introspection.URL == "" && !l.c.KeyManager.Enabled
	}
}
