package conf

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// KeyManager is a WSO2 API Manager or Identity Server that gives out tokens.
type KeyManager struct {
	// Enabled is decided by Load: see decideKeyManager.
	Enabled      bool
	ServerURL    string
	TokenContext string // without slashes around it

	Username       string
	Password       Secret
	Basic          KeyManagerBasic // 3.1's place for them
	OAuth2         KeyManagerOAuth2
	VerifyHostname bool

	External   bool   // 3.1: introspection
	LegacyMode bool   // 3.2: key validation
	Introspect bool   // decided: introspection, and not key validation
	Issuer     string // of opaque tokens
}

// KeyManagerBasic is a name and a password, and whether they are used.
type KeyManagerBasic struct {
	Enabled  bool
	Username string // "": KeyManager's
	Password Secret
}

// User returns the name and the password by which the gateway asks.
func (k *KeyManager) User() (name string, password Secret) {
	if k.Basic.Username != "" {
		return k.Basic.Username, k.Basic.Password
	}
	return k.Username, k.Password
}

// KeyManagerOAuth2 is how the gateway comes by a token of its own for the key
// manager.
type KeyManagerOAuth2 struct {
	Enabled    bool
	Bearer     string // where the client's secret goes: one of those below
	TokenURL   string
	Credential struct {
		Enabled      bool
		ClientID     string
		ClientSecret Secret
		Scopes       string
	}
	Direct struct {
		Enabled bool
		Token   Secret
	}
}

// Values of KeyManagerOAuth2.Bearer.
const (
	AuthHeaderBearer = "AUTH_HEADER_BEARER"
	PostBodyBearer   = "POST_BODY_BEARER"
	NoBearer         = "NO_BEARER"
)

// shippedKeyManager is the address in every conf file that WSO2 ships.
const shippedKeyManager = "https://localhost:9443"

// kmSecurity is the table of the gateway's credentials, as WSO2 writes it: with a
// small m, beside [keyManager].
const kmSecurity = "keymanager.security."

func also(name string) []string { return []string{"keyManager.security." + name} }

// contextPattern is segments without dots in front, and so no way up.
const contextPattern = `^/?([A-Za-z0-9_~-][A-Za-z0-9._~-]*(/|$))*$`

var isContext = rule{func(s string) string {
	if !regexp.MustCompile(contextPattern).MatchString(s) {
		return fmt.Sprintf("%q is not a path such as oauth2", s)
	}
	return ""
}, textShape(contextPattern)}

var keyManagerKeys = []key[Config]{
	{"keyManager.enabled", nil, "", boolOf(func(c *Config) *bool { return &c.KeyManager.Enabled }),
		"Whether the key manager is asked about opaque tokens, and its token endpoints are passed on. Absent: if `keyManager.serverUrl` is there and is not `https://localhost:9443`, which every file of WSO2's has. See [opaque tokens](authentication/opaque-tokens.md)."},
	{"keyManager.serverUrl", nil, "3.0", stringOf(func(c *Config) *string { return &c.KeyManager.ServerURL }, isJWKS),
		"URL of the key manager."},
	{"keyManager.tokenContext", nil, "3.0", stringOf(func(c *Config) *string { return &c.KeyManager.TokenContext }, isContext),
		"Path of its token endpoints."},
	{"keyManager.username", nil, "3.0", stringOf(func(c *Config) *string { return &c.KeyManager.Username }, anything),
		"User by whom the gateway asks about tokens."},
	{"keyManager.password", nil, "3.0", secretOf(func(c *Config) *Secret { return &c.KeyManager.Password }),
		"His password."},
	{"keyManager.verifyHostname", nil, "3.0", boolOf(func(c *Config) *bool { return &c.KeyManager.VerifyHostname }),
		"Whether the key manager's certificate must be for its host name."},
	{"keyManager.external", nil, "3.1", boolOf(func(c *Config) *bool { return &c.KeyManager.External }),
		"Whether it is asked by introspection (RFC 7662) instead of WSO2's own key validation."},
	{"keyManager.enableLegacyMode", nil, "3.2", boolOf(func(c *Config) *bool { return &c.KeyManager.LegacyMode }),
		"Whether it is asked by WSO2's own key validation; `false`: by introspection. Absent: `keyManager.external` says it."},
	{"keyManager.issuer", nil, "3.2", stringOf(func(c *Config) *string { return &c.KeyManager.Issuer }, anything),
		"Issuer of opaque tokens that are introspected; `iss` of the answer must be it, if it is there."},
	{kmSecurity + "basic.enabled", also("basic.enabled"), "3.1", boolOf(func(c *Config) *bool { return &c.KeyManager.Basic.Enabled }),
		"Whether the gateway proves who it is by a name and a password."},
	{kmSecurity + "basic.username", also("basic.username"), "3.1", stringOf(func(c *Config) *string { return &c.KeyManager.Basic.Username }, anything),
		"The name. Empty: `keyManager.username`."},
	{kmSecurity + "basic.password", also("basic.password"), "3.1", secretOf(func(c *Config) *Secret { return &c.KeyManager.Basic.Password }),
		"The password, if there is a name."},
	{kmSecurity + "oauth2.enabled", also("oauth2.enabled"), "3.1", boolOf(func(c *Config) *bool { return &c.KeyManager.OAuth2.Enabled }),
		"Whether it does by a token of its own."},
	{kmSecurity + "oauth2.credentialBearer", also("oauth2.credentialBearer"), "3.1", choiceOf([]string{AuthHeaderBearer, PostBodyBearer, NoBearer}, func(c *Config) *string { return &c.KeyManager.OAuth2.Bearer }),
		"Where the client's secret goes when that token is fetched: into the header, the body, or nowhere."},
	{kmSecurity + "oauth2.tokenUrl", also("oauth2.tokenUrl"), "3.1", stringOf(func(c *Config) *string { return &c.KeyManager.OAuth2.TokenURL }, isJWKS),
		"URL where it is fetched."},
	{kmSecurity + "oauth2.clientCredential.enabled", also("oauth2.clientCredential.enabled"), "3.1", boolOf(func(c *Config) *bool { return &c.KeyManager.OAuth2.Credential.Enabled }),
		"Whether it is fetched by the client credentials grant."},
	{kmSecurity + "oauth2.clientCredential.clientId", also("oauth2.clientCredential.clientId"), "3.1", stringOf(func(c *Config) *string { return &c.KeyManager.OAuth2.Credential.ClientID }, anything),
		"The gateway's name as a client."},
	{kmSecurity + "oauth2.clientCredential.clientSecret", also("oauth2.clientCredential.clientSecret"), "3.1", secretOf(func(c *Config) *Secret { return &c.KeyManager.OAuth2.Credential.ClientSecret }),
		"Its secret."},
	{kmSecurity + "oauth2.clientCredential.scopes", also("oauth2.clientCredential.scopes"), "3.1", stringOf(func(c *Config) *string { return &c.KeyManager.OAuth2.Credential.Scopes }, anything),
		"Scopes that it asks for, with blanks between."},
	{kmSecurity + "oauth2.directToken.enabled", also("oauth2.directToken.enabled"), "3.1", boolOf(func(c *Config) *bool { return &c.KeyManager.OAuth2.Direct.Enabled }),
		"Whether it is the one below."},
	{kmSecurity + "oauth2.directToken.accessToken", also("oauth2.directToken.accessToken"), "3.1", secretOf(func(c *Config) *Secret { return &c.KeyManager.OAuth2.Direct.Token }),
		"The gateway's token."},
}

// Authenticates reports whether the key manager can know who asks.
func (k *KeyManager) Authenticates() bool {
	switch {
	case k.OAuth2.Enabled && k.OAuth2.Direct.Enabled:
		return !k.OAuth2.Direct.Token.IsZero()
	case k.OAuth2.Enabled && k.OAuth2.Credential.Enabled:
		return k.OAuth2.TokenURL != "" && k.OAuth2.Credential.ClientID != ""
	}
	name, password := k.User()
	return k.Basic.Enabled && name != "" && !password.IsZero()
}

// decideKeyManager says whether the key manager is used. Every file that WSO2
// ships names one, so that a name alone must not make a gateway call it: only a
// name that somebody has chosen does.
func (l *loader) decideKeyManager() {
	k := &l.c.KeyManager
	const enabled, server = "keyManager.enabled", "keyManager.serverUrl"
	switched, isSwitched := l.given(enabled)
	named, isNamed := l.given(server)
	if l.broken[enabled] || l.broken[server] {
		return
	}
	if !isSwitched {
		k.Enabled = k.ServerURL != "" && strings.TrimSuffix(k.ServerURL, "/") != shippedKeyManager
		if isNamed && k.ServerURL != "" && !k.Enabled {
			l.warn(named.at, named.written, "is the one in every file that WSO2 ships, so it is not called: opaque tokens are refused, and its token endpoints are not passed on; keyManager.enabled = true says that it is meant")
		}
	}
	_, legacy := l.given("keyManager.enableLegacyMode")
	k.Introspect = k.External
	if legacy {
		k.Introspect = !k.LegacyMode
	}
	k.TokenContext = strings.Trim(k.TokenContext, "/")
	if !k.Enabled {
		return
	}
	if k.ServerURL == "" {
		l.problem(switched.at, switched.written, "needs "+server, "")
		return
	}
	u, err := url.Parse(k.ServerURL)
	switch {
	case err != nil:
	case u.RawQuery != "" || u.ForceQuery:
		l.problem(named.at, named.written, "a query has no place in it", "")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		l.warn(named.at, named.written, "without TLS, whoever is in between sees every token and can let anybody in")
	}
	if a, ok := l.given("keyManager.verifyHostname"); ok && !k.VerifyHostname {
		l.warn(a.at, a.written, "whoever has any trusted certificate can pretend to be the key manager")
	}
	if l.c.Introspection.URL != "" {
		return // which is asked instead
	}
	if o := &k.OAuth2; o.Enabled && !o.Direct.Enabled && !o.Credential.Enabled {
		if a, ok := l.given(kmSecurity + "oauth2.enabled"); ok {
			l.problem(a.at, a.written, "needs clientCredential or directToken: no other grant is supported by this version", "")
			return
		}
	}
	if !k.Authenticates() {
		l.warn(named.at, named.written, "the gateway has no credentials there (keyManager.username and keyManager.password), so opaque tokens are refused")
		return
	}
	if _, password := k.User(); !k.OAuth2.Enabled && password.Reveal() == "admin" {
		a, ok := l.given(kmSecurity + "basic.password")
		if !ok || k.Basic.Username == "" {
			a, ok = l.given("keyManager.password")
		}
		if ok {
			l.warn(a.at, a.written, "everybody knows this password: it is the one that WSO2 ships")
		}
	}
	if k.Introspect && l.c.Security.ValidateSubscriptions && !l.broken["security.validateSubscriptions"] {
		l.problem(named.at, named.written, "security.validateSubscriptions is true, and the answer to an introspection does not say what an opaque token is subscribed to; keyManager.enableLegacyMode = true has the key manager judge it", "")
	}
}
