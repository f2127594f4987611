package conf

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Introspection is who is asked about opaque tokens.
type Introspection struct {
	URL string // "": nobody

	AuthMethod        string // one of those below
	ClientID          string
	ClientSecret      Secret
	KeyFile           string // PEM
	KeyID             string
	CertificateFile   string // PEM
	AssertionAudience string // "": Issuer, else URL

	Issuer   string   // "": not checked
	Audience []string // any of them; none: not checked
	Claims   []string // members of answers that upstreams may be told

	Timeout           time.Duration
	NegativeCacheTime time.Duration
	MaxConcurrent     int
	FailedJWT         bool // ask about signed tokens that cannot be verified, too
}

// How the gateway proves who it is to those whom it asks, as the registry of RFC
// 7591, section 2 names it.
const (
	ClientSecretBasic = "client_secret_basic"
	PrivateKeyJWT     = "private_key_jwt"
	TLSClientAuth     = "tls_client_auth"
)

const introspectionURL = "introspection.url"

// checkOpaqueSubscriptions sees to it that whoever has tokens held to their
// subscriptions knows that opaque ones are not: an introspection does not say what they
// are subscribed to. WSO2's key validation judges it itself.
func (l *loader) checkOpaqueSubscriptions() {
	key, issuer := introspectionURL, l.c.Introspection.Issuer
	if l.c.Introspection.URL == "" {
		k := &l.c.KeyManager
		if !k.Enabled || !k.Introspect || !k.Authenticates() {
			return
		}
		key, issuer = "keyManager.serverUrl", k.Issuer
	}
	a, known := l.given(key)
	if !known || l.broken[key] {
		return
	}
	for i := range l.c.Issuers {
		is := &l.c.Issuers[i]
		switch {
		case is.Subscriptions != "true":
		case is.Issuer == issuer:
			l.problem(a.at, a.written, fmt.Sprintf("jwtTokenConfig.validateSubscription is true for %q, and the answer does not say what an opaque token of that issuer is subscribed to", is.Issuer), "")
		default:
			l.warn(a.at, a.written, fmt.Sprintf("jwtTokenConfig.validateSubscription, which is true for %q, is for signed tokens: opaque ones are good for every API, and those of that issuer as well if this server knows them", is.Issuer))
		}
	}
}

// checkIntrospection sees to it that whoever is asked can know who asks.
func (l *loader) checkIntrospection() {
	i := &l.c.Introspection
	a, known := l.given(introspectionURL)
	if i.URL == "" {
		if l.broken[introspectionURL] {
			return
		}
		for _, k := range []string{"clientId", "clientSecret", "keyFile", "certificateFile", "issuer", "audience"} {
			if a, ok := l.given("introspection." + k); ok {
				l.warn(a.at, a.written, "has no effect without "+introspectionURL)
				return
			}
		}
		return
	}
	fail := func(key, msg string) {
		if b, ok := l.given("introspection." + key); ok {
			l.problem(b.at, b.written, msg, "")
		} else if known {
			l.problem(a.at, a.written, msg, "")
		}
	}
	lacks := func(key string, empty bool) {
		if empty && !l.broken["introspection."+key] {
			fail("authMethod", fmt.Sprintf("needs introspection.%s (%s)", key, i.AuthMethod))
		}
	}
	lacks("clientId", i.ClientID == "")
	switch i.AuthMethod {
	case ClientSecretBasic:
		lacks("clientSecret", i.ClientSecret.IsZero())
	case PrivateKeyJWT:
		lacks("keyFile", i.KeyFile == "")
	case TLSClientAuth:
		lacks("certificateFile", i.CertificateFile == "")
		lacks("keyFile", i.KeyFile == "")
		if strings.HasPrefix(strings.ToLower(i.URL), "http:") {
			fail("url", "without TLS there is no client certificate")
		}
	}
	if i.CertificateFile != "" && i.KeyFile == "" && i.AuthMethod != TLSClientAuth && !l.broken["introspection.keyFile"] {
		fail("certificateFile", "needs introspection.keyFile")
	}
	if u, err := url.Parse(i.URL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		l.warn(a.at, a.written, "without TLS, whoever is in between sees every token and can let anybody in")
	}
	if l.c.Security.ValidateSubscriptions && !l.broken["security.validateSubscriptions"] {
		fail("url", "security.validateSubscriptions is true, and the answer does not say what an opaque token is subscribed to")
	}
	if len(i.Audience) == 0 && !l.broken["introspection.audience"] {
		l.warn(a.at, a.written, "introspection.audience names no audience, so tokens for others are accepted, and refresh tokens where the server calls them active")
	}
}
