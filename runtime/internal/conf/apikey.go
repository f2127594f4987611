package conf

import (
	"fmt"
	"net/url"
)

// checkAPIKeys sees to it that the issuer of API keys is somebody. One whose key
// was to come from the trust store that WSO2 ships is dropped: a gateway without
// it turns its keys away.
func (l *loader) checkAPIKeys() {
	k := &l.c.APIKeys.Issuer
	k.Leeway = l.c.Server.TimestampSkew
	bad := func(key string) bool { return l.broken[apiKeys+key] }
	say := func(f func(at origin, name, msg string), msg string, keys ...string) {
		for _, key := range keys {
			if a, ok := l.given(apiKeys + key); ok {
				f(a.at, a.written, msg)
				return
			}
		}
	}
	fail := func(msg string, keys ...string) {
		say(func(at origin, name, msg string) { l.problem(at, name, msg, "") }, msg, keys...)
	}
	warn := func(msg string, keys ...string) { say(l.warn, msg, keys...) }
	drop := func() {
		l.c.APIKeys = APIKeys{}
		for _, key := range []string{"issuer", "audience", "certificateAlias", "jwksURL", "publicKeyFile", "validateAllowedAPIs", "allowWithoutExpiry"} {
			delete(l.c.sources, apiKeys+key)
		}
	}
	if bad("issuer") || bad("certificateAlias") || bad("jwksURL") || bad("publicKeyFile") {
		return
	}
	noStore := l.c.Listener.TrustStore.Path == ""
	switch {
	case k.Issuer == "" && (k.PublicKeyFile != "" || k.JWKSURL != "" || k.CertificateAlias != "" || len(k.Audience) > 0):
		fail("no issuer is named: set "+apiKeys+"issuer", "publicKeyFile", "jwksURL", "certificateAlias", "audience")
		return
	case k.Issuer == "":
		return
	case k.Issuer == DevelopmentKeyIssuer, k.Issuer == DevelopmentIssuer:
		fail("this is the issuer of development keys; start with --dev to accept them", "issuer")
	case k.PublicKeyFile != "" && k.JWKSURL != "":
		fail("there is jwksURL, too; only one of them can be used", "publicKeyFile")
	case k.PublicKeyFile != "" && k.CertificateAlias != "":
		fail("there is certificateAlias, too; only one of them can be used", "publicKeyFile")
	case k.PublicKeyFile == "" && k.JWKSURL == "" && k.CertificateAlias == "":
		fail("has no key: set jwksURL, publicKeyFile or certificateAlias beside it", "issuer")
	case k.JWKSURL != "" && k.CertificateAlias != "":
		warn("not used: jwksURL is there, too", "certificateAlias")
		k.CertificateAlias = ""
	case k.CertificateAlias != "" && noStore && l.broken["listenerConfig.trustStorePath"]:
		warn(fmt.Sprintf("there is no trust store, so API keys of %q are turned away", k.Issuer), "certificateAlias")
		drop()
		return
	case k.CertificateAlias != "" && noStore:
		fail("needs listenerConfig.trustStorePath", "certificateAlias")
	}
	if u, err := url.Parse(k.JWKSURL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		warn("without TLS, whoever is in between can put in a key of his own", "jwksURL")
	}
	for i := range l.c.Issuers {
		if l.c.Issuers[i].Issuer == k.Issuer {
			warn(fmt.Sprintf("%q gives access tokens, too (%s.%d): only those of its tokens are API keys that say so, by the claim token_type", k.Issuer, issuerTable, i), "issuer")
		}
	}
}
