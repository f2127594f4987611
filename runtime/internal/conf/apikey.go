package conf

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// apiKeyTable is the table that apiKeyIssuers stand in.
const apiKeyTable = "apikey.tokenConfigs"

var apiKeyIssuers = rows[APIKeyIssuer]{
	table: apiKeyTable + ".#",
	since: "3.1",
	doc: "Whose API keys are accepted: `[[apikey.tokenConfigs]]`, once for each issuer, or `[apikey.tokenConfigs]` if there is one only. Without any none " +
		"are, but those of development. In the environment and behind `-e` the second one is `apikey_tokenConfigs_1_issuer`. See [API keys](authentication/api-keys.md).",
	all: func(c *Config) *[]APIKeyIssuer { return &c.APIKeys },
	id:  func(k *APIKeyIssuer) *string { return &k.number },
	keys: []key[APIKeyIssuer]{
		{"issuer", nil, "3.1", keyIssuer(stringOf(func(i *Issuer) *string { return &i.Issuer }, anything)),
			"What an API key's `iss` must be, to the letter: the `--issuer` of `micro-gw apikey`."},
		{"audience", nil, "3.1", keyIssuer(audience()),
			"What its `aud` must be or hold: a string, or a list of which one will do. Absent: not checked."},
		{"certificateAlias", nil, "3.1", keyIssuer(stringOf(func(i *Issuer) *string { return &i.CertificateAlias }, anything)),
			"Alias of that issuer's certificate in `listenerConfig.trustStorePath`."},
		{"jwksURL", nil, "", keyIssuer(stringOf(func(i *Issuer) *string { return &i.JWKSURL }, isJWKS)),
			"URL of its key set; if it is there, `certificateAlias` is not used."},
		{"publicKeyFile", nil, "", keyIssuer(fileOf(func(i *Issuer) *string { return &i.PublicKeyFile })),
			"PEM file with its public key or certificate."},
		{"validateAllowedAPIs", nil, "3.1", boolOf(func(k *APIKeyIssuer) *bool { return &k.Scoped }),
			"Whether a key must name the APIs that it is for. What a key names holds in any case."},
		{"allowWithoutExpiry", nil, "", boolOf(func(k *APIKeyIssuer) *bool { return &k.Lasting }),
			"Whether keys without `exp` are accepted, such as those that WSO2's gateway gives out unless told otherwise."},
	},
}

// keyIssuer makes a codec of an issuer one of an issuer of API keys.
func keyIssuer(inner codec[Issuer]) codec[APIKeyIssuer] {
	return codec[APIKeyIssuer]{
		typ: inner.typ, unit: inner.unit, shape: inner.shape, path: inner.path,
		set: func(k *APIKeyIssuer, v value) string { return inner.set(&k.Issuer, v) },
		get: func(k *APIKeyIssuer) any { return inner.get(&k.Issuer) },
	}
}

// checkAPIKeys sees to it that the issuers of API keys are somebody. One whose key
// was to come from the trust store that WSO2 ships is dropped: a gateway without
// it turns its keys away.
func (l *loader) checkAPIKeys() {
	first := map[string]string{}
	var kept []APIKeyIssuer
	for _, k := range l.c.APIKeys {
		k.Issuer.Leeway = l.c.Server.TimestampSkew
		if l.checkAPIKeyIssuer(&k, first) {
			kept = append(kept, k)
			continue
		}
		maps.DeleteFunc(l.c.sources, func(name string, _ origin) bool {
			return strings.HasPrefix(name, rowName(apiKeyIssuers.table, k.number)+".")
		})
	}
	l.c.APIKeys = kept
}

// checkAPIKeyIssuer returns whether there is such an issuer. first has the tables
// of those that were looked at already, by their names.
func (l *loader) checkAPIKeyIssuer(k *APIKeyIssuer, first map[string]string) bool {
	table := rowName(apiKeyIssuers.table, k.number)
	bad := func(key string) bool { return l.broken[table+"."+key] }
	say := func(f func(at origin, name, msg string), msg string, keys ...string) {
		for _, key := range keys {
			if a, ok := l.given(table + "." + key); ok {
				f(a.at, a.written, msg)
				return
			}
		}
	}
	fail := func(msg string, keys ...string) {
		say(func(at origin, name, msg string) { l.problem(at, name, msg, "") }, msg, keys...)
	}
	warn := func(msg string, keys ...string) { say(l.warn, msg, keys...) }

	i := &k.Issuer
	if bad("issuer") || bad("certificateAlias") || bad("jwksURL") || bad("publicKeyFile") {
		return true
	}
	noStore := l.c.Listener.TrustStore.Path == ""
	switch {
	case i.Issuer == "" && (i.PublicKeyFile != "" || i.JWKSURL != "" || i.CertificateAlias != "" || len(i.Audience) > 0):
		fail("no issuer is named: set issuer beside it", "publicKeyFile", "jwksURL", "certificateAlias", "audience")
		return true
	case i.Issuer == "": // as it is printed where there is none
		return false
	case i.Issuer == DevelopmentKeyIssuer, i.Issuer == DevelopmentIssuer:
		fail("this is the issuer of development keys; start with --dev to accept them", "issuer")
	case first[i.Issuer] != "":
		fail(fmt.Sprintf("%q is the issuer of %s, too; list all its keys in one key set, and name that by jwksURL", i.Issuer, first[i.Issuer]), "issuer")
	case i.PublicKeyFile != "" && i.JWKSURL != "":
		fail("there is jwksURL, too; only one of them can be used", "publicKeyFile")
	case i.PublicKeyFile != "" && i.CertificateAlias != "":
		fail("there is certificateAlias, too; only one of them can be used", "publicKeyFile")
	case i.PublicKeyFile == "" && i.JWKSURL == "" && i.CertificateAlias == "":
		fail("has no key: set jwksURL, publicKeyFile or certificateAlias beside it", "issuer")
	case i.JWKSURL != "" && i.CertificateAlias != "":
		warn("not used: jwksURL is there, too", "certificateAlias")
		i.CertificateAlias = ""
	case i.CertificateAlias != "" && noStore && l.broken["listenerConfig.trustStorePath"]:
		warn(fmt.Sprintf("there is no trust store, so API keys of %q are turned away", i.Issuer), "certificateAlias")
		return false
	case i.CertificateAlias != "" && noStore:
		fail("needs listenerConfig.trustStorePath", "certificateAlias")
	}
	first[i.Issuer] = table
	if u, err := url.Parse(i.JWKSURL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		warn("without TLS, whoever is in between can put in a key of his own", "jwksURL")
	}
	for n := range l.c.Issuers {
		if l.c.Issuers[n].Issuer == i.Issuer {
			warn(fmt.Sprintf("%q gives access tokens, too (%s.%d): only those of its tokens are API keys that say so, by the claim token_type", i.Issuer, issuerTable, n), "issuer")
		}
	}
	return true
}
