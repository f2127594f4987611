package conf_test

import (
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// Whoever is asked must be able to know who asks.
func TestIntrospectionErrors(t *testing.T) {
	const url = "[introspection]\nurl = \"https://i/introspect\"\n"
	for name, tt := range map[string]struct{ file, want string }{
		"nobody":          {url, "runtime: micro-gw.conf:2:1: introspection.url: needs introspection.clientId (client_secret_basic)\nruntime: micro-gw.conf:2:1: introspection.url: needs introspection.clientSecret (client_secret_basic)"},
		"no key":          {url + "authMethod = \"private_key_jwt\"\nclientId = \"g\"\n", "runtime: micro-gw.conf:3:1: introspection.authMethod: needs introspection.keyFile (private_key_jwt)"},
		"no certificate":  {url + "authMethod = \"tls_client_auth\"\nclientId = \"g\"\nkeyFile = \"key.pem\"\n", "runtime: micro-gw.conf:3:1: introspection.authMethod: needs introspection.certificateFile (tls_client_auth)"},
		"without TLS":     {"[introspection]\nurl = \"http://i\"\nauthMethod = \"tls_client_auth\"\nclientId = \"g\"\nkeyFile = \"key.pem\"\ncertificateFile = \"cert.pem\"\n", "runtime: micro-gw.conf:2:1: introspection.url: without TLS there is no client certificate"},
		"password in URL": {"[introspection]\nurl = \"https://u:p@i\"\n", "runtime: micro-gw.conf:2:1: introspection.url: credentials in the URL are not supported"},
		"half a pair":     {url + "clientId = \"g\"\nclientSecret = \"s\"\ncertificateFile = \"cert.pem\"\n", "runtime: micro-gw.conf:5:1: introspection.certificateFile: needs introspection.keyFile"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, tt.file)
			if _, err := conf.Load(conf.Options{Path: "micro-gw.conf"}); err == nil || err.Error() != tt.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
}

// Where tokens are held to their subscriptions, opaque ones of the same issuer would be a
// way around it; of others the operator has to know.
func TestSubscriptionsBesideOpaque(t *testing.T) {
	issuer := func(validate string) string {
		return "[[jwtTokenConfig]]\nissuer = \"https://i\"\naudience = \"a\"\njwksURL = \"https://i/k\"\nvalidateSubscription = " + validate + "\n"
	}
	const (
		asked     = "[introspection]\nurl = \"https://i/introspect\"\nclientId = \"g\"\nclientSecret = \"s\"\naudience = \"a\"\n"
		manager   = "[keyManager]\nserverUrl = \"https://km\"\nusername = \"u\"\npassword = \"p\"\n"
		external  = manager + "external = true\n"
		sameOwner = "issuer = \"https://i\"\n"
		refused   = "jwtTokenConfig.validateSubscription is true for \"https://i\", and the answer does not say what an opaque token of that issuer is subscribed to"
		warned    = "opaque ones are good for every API"
	)
	for name, tt := range map[string]struct{ file, problem, warning string }{
		"the same issuer":               {file: asked + sameOwner + issuer("true"), problem: "runtime: micro-gw.conf:2:1: introspection.url: " + refused},
		"the same issuer, not held":     {file: asked + sameOwner + issuer("false")},
		"nobody knows which":            {file: asked + issuer("true"), warning: warned},
		"another":                       {file: asked + "issuer = \"https://other\"\n" + issuer("true"), warning: warned},
		"key manager, the same issuer":  {file: external + sameOwner + issuer("true"), problem: "runtime: micro-gw.conf:2:1: keyManager.serverUrl: " + refused},
		"key manager, another":          {file: external + issuer("true"), warning: warned},
		"key validation, which judges":  {file: manager + sameOwner + issuer("true")},
		"key manager that is not asked": {file: "[keyManager]\nserverUrl = \"https://km\"\nexternal = true\nissuer = \"https://i\"\n" + issuer("true"), warning: "no credentials there"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, tt.file)
			c, err := conf.Load(conf.Options{Path: "micro-gw.conf"})
			switch {
			case tt.problem != "":
				if err == nil || err.Error() != tt.problem {
					t.Errorf("got:\n%v\nwant:\n%s", err, tt.problem)
				}
			case err != nil:
				t.Error(err)
			default:
				if got := strings.Join(c.Warnings, "\n"); (got == "") != (tt.warning == "") || !strings.Contains(got, tt.warning) {
					t.Errorf("warnings %q, want %q", got, tt.warning)
				}
			}
		})
	}
}

// Every file of WSO2's names a key manager; only one that somebody has chosen is
// called.
func TestKeyManager(t *testing.T) {
	for name, tt := range map[string]struct {
		set                 []string
		enabled, introspect bool
		warned              string // "" for not at all
	}{
		"nothing":                  {nil, false, false, ""},
		"shipped":                  {[]string{"keyManager.serverUrl=https://localhost:9443", "keyManager.username=admin", "keyManager.password=admin"}, false, false, "is the one in every file"},
		"shipped, with a slash":    {[]string{"keyManager.serverUrl=https://localhost:9443/"}, false, false, "is the one in every file"},
		"shipped and meant":        {[]string{"keyManager.serverUrl=https://localhost:9443", "keyManager.enabled=true", "keyManager.username=admin", "keyManager.password=admin"}, true, false, "everybody knows this password"},
		"shipped and off":          {[]string{"keyManager.serverUrl=https://localhost:9443", "keyManager.enabled=false"}, false, false, ""},
		"chosen":                   {[]string{"keyManager.serverUrl=https://km", "keyManager.username=u", "keyManager.password=p"}, true, false, ""},
		"chosen and off":           {[]string{"keyManager.serverUrl=https://km", "keyManager.enabled=false"}, false, false, ""},
		"without credentials":      {[]string{"keyManager.serverUrl=https://km"}, true, false, "so opaque tokens are refused"},
		"3.1, external":            {[]string{"keyManager.serverUrl=https://km", "keymanager.security.basic.username=u", "keyManager.security.basic.password=p", "keyManager.external=true"}, true, true, ""},
		"3.1, and 3.0's beside it": {[]string{"keyManager.serverUrl=https://km", "keyManager.username=admin", "keyManager.password=admin", "keymanager.security.basic.username=u", "keymanager.security.basic.password=p"}, true, false, ""},
		"3.1, and switched off":    {[]string{"keyManager.serverUrl=https://km", "keyManager.username=u", "keyManager.password=p", "keymanager.security.basic.enabled=false"}, true, false, "so opaque tokens are refused"},
		"3.2":                      {[]string{"keyManager.serverUrl=https://km", "keyManager.username=u", "keyManager.password=p", "keyManager.enableLegacyMode=false"}, true, true, ""},
		"3.2, legacy":              {[]string{"keyManager.serverUrl=https://km", "keyManager.username=u", "keyManager.password=p", "keyManager.enableLegacyMode=true"}, true, false, ""},
		"a token of its own":       {[]string{"keyManager.serverUrl=https://km", "keymanager.security.oauth2.enabled=true", "keymanager.security.oauth2.directToken.enabled=true", "keymanager.security.oauth2.directToken.accessToken=t"}, true, false, ""},
		"plain http":               {[]string{"keyManager.serverUrl=http://km", "keyManager.username=u", "keyManager.password=p"}, true, false, "without TLS"},
	} {
		c := mustLoad(t, conf.Options{Set: tt.set})
		warned := strings.Join(c.Warnings, "\n")
		if c.KeyManager.Enabled != tt.enabled || c.KeyManager.Introspect != tt.introspect || (warned != "") != (tt.warned != "") || !strings.Contains(warned, tt.warned) {
			t.Errorf("%s: enabled %t, introspect %t, warnings %q", name, c.KeyManager.Enabled, c.KeyManager.Introspect, warned)
		}
	}
	for want, set := range map[string][]string{
		"runtime: -e: listenerConfig.tokenListenerPort: listenerConfig.httpsPort and listenerConfig.tokenListenerPort are both 9095":          {"keyManager.serverUrl=https://km", "listenerConfig.tokenListenerPort=9095"},
		"runtime: -e: listenerConfig.httpPort: listenerConfig.httpPort and listenerConfig.tokenListenerPort are both 9096":                    {"keyManager.serverUrl=https://km", "listenerConfig.httpPort=9096"},
		"runtime: -e: admin.address: admin.address and listenerConfig.tokenListenerPort are both port 9096":                                   {"keyManager.serverUrl=https://km", "admin.address=:9096"},
		"runtime: -e: keyManager.enabled: needs keyManager.serverUrl":                                                                         {"keyManager.enabled=true"},
		"runtime: -e: keyManager.serverUrl: a query has no place in it":                                                                       {"keyManager.serverUrl=https://km/?x"},
		"runtime: -e: keyManager.tokenContext: \"../x\" is not a path such as oauth2":                                                         {"keyManager.tokenContext=../x"},
		"runtime: -e: keymanager.security.oauth2.enabled: needs clientCredential or directToken: no other grant is supported by this version": {"keyManager.serverUrl=https://km", "keymanager.security.oauth2.enabled=true", "keymanager.security.oauth2.password.enabled=true"},
	} {
		if _, err := conf.Load(conf.Options{Set: set}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", set, err, want)
		}
	}
}

// A port that is not opened is nobody's.
func TestTokenPortUnused(t *testing.T) {
	mustLoad(t, conf.Options{Set: []string{"admin.address=:9096", "listenerConfig.httpPort=9097", "listenerConfig.tokenListenerPort=9097"}})
}

// A gateway that somebody has told whom to ask about tokens does not take those
// of the development key beside them.
func TestNoDevelopmentBesideOpaque(t *testing.T) {
	for _, set := range [][]string{
		{"introspection.url=https://i", "introspection.clientId=g", "introspection.clientSecret=s"},
		{"keyManager.serverUrl=https://km", "keyManager.username=u", "keyManager.password=p"},
	} {
		if mustLoad(t, conf.Options{Set: set}).Development {
			t.Errorf("%q: in development mode", set)
		}
		if !mustLoad(t, conf.Options{Set: set, Dev: true}).Development {
			t.Errorf("%q: not in development mode with --dev", set)
		}
	}
}
