package conf

var apiCertificates = rows[APICertificates]{
	table: "mutualSSLConfig.api.certificates.#",
	since: "3.2",
	doc: "Which client certificates an API takes, of all that are trusted: `[[mutualSSLConfig.api.certificates]]`, once for each API. " +
		"APIs that are not named take all. One that is named must be in the artifact.",
	all: func(c *Config) *[]APICertificates { return &c.Mutual.APIs },
	keys: []key[APICertificates]{
		{"name", nil, "3.2", stringOf(func(a *APICertificates) *string { return &a.Name }, anything),
			"The API's title."},
		{"version", nil, "3.2", stringOf(func(a *APICertificates) *string { return &a.Version }, anything),
			"Its version."},
		{"aliasList", nil, "3.2", listOf(func(a *APICertificates) *[]string { return &a.Aliases }),
			"Aliases in `listenerConfig.trustStorePath` of the certificates, or of authorities that they are from."},
	},
	check: func(c *Config, i int, r report) {
		a := &c.Mutual.APIs[i]
		switch {
		case a.Name == "":
			r.problem("name", "no API is named")
		case a.Version == "":
			r.problem("version", "the API's version is not named")
		case len(a.Aliases) == 0:
			r.problem("aliasList", "names no certificate: nobody could call the API")
		case c.Listener.TrustStore.Path == "":
			r.problem("aliasList", "needs listenerConfig.trustStorePath")
		}
		for _, b := range c.Mutual.APIs[:i] {
			if a.Name == b.Name && a.Version == b.Version {
				r.problem("name", "the API is there already")
			}
		}
	},
}

// checkMutual sees to it that clients are asked for certificates of somebody.
func (l *loader) checkMutual() {
	m := &l.c.Mutual
	const verify = "mutualSSLConfig.sslVerifyClient"
	for _, k := range []struct{ name, value string }{
		{"mutualSSLConfig.authoritiesFile", m.AuthoritiesFile}, {"mutualSSLConfig.crlFile", m.CRLFile}, {"mutualSSLConfig.upstreamHeader", m.UpstreamHeader},
	} {
		if a, ok := l.given(k.name); ok && k.value != "" && m.Verify == "" && !l.broken[verify] {
			l.problem(a.at, a.written, "needs "+verify+": clients are not asked for a certificate", "")
		}
	}
	const header = "mutualSSLConfig.upstreamHeader"
	if a, ok := l.given(header); ok && m.UpstreamHeader != "" && sameField(m.UpstreamHeader, l.c.Auth.Header) && !l.broken["authConfig.authorizationHeader"] {
		// What clients send in it is taken out before it is looked at.
		l.problem(a.at, a.written, "is authConfig.authorizationHeader, too: nobody could send a token", "")
	}
	a, ok := l.given(verify)
	if ok && m.Verify != "" && l.c.Listener.HTTPSPort == Off && !l.broken["listenerConfig.httpsPort"] {
		const off = "listenerConfig.httpsPort is off, and there are no certificates without TLS"
		if m.Verify == "require" {
			l.problem(a.at, a.written, off, "")
		} else {
			l.warn(a.at, a.written, off)
		}
	}
	if !ok || m.Verify == "" || m.AuthoritiesFile != "" || l.c.Listener.TrustStore.Path != "" || l.broken["mutualSSLConfig.authoritiesFile"] {
		return
	}
	const needs = "listenerConfig.trustStorePath or mutualSSLConfig.authoritiesFile, which says whose certificates are trusted"
	switch {
	case m.Verify == "require" || !l.broken["listenerConfig.trustStorePath"]:
		l.problem(a.at, a.written, "needs "+needs, "")
	default:
		// As WSO2 ships it, with a store that everybody can sign for.
		l.warn(a.at, a.written, "clients are not asked for a certificate: set "+needs)
		m.Verify = ""
		delete(l.c.sources, verify)
	}
}
