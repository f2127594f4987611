package conf_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
)

func mustLoad(t testing.TB, o conf.Options) *conf.Config {
	t.Helper()
	c, err := conf.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// text is what Print writes.
func text(t testing.TB, c *conf.Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Print(&b, conf.Text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Nothing at all is a working development setup without a word of warning.
func TestLoadNothing(t *testing.T) {
	c := mustLoad(t, conf.Options{})
	if !c.Development {
		t.Error("not in development mode")
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	want := conf.Default()
	if !reflect.DeepEqual(c.Listener, want.Listener) || !reflect.DeepEqual(c.Upstream, want.Upstream) || !reflect.DeepEqual(c.Auth, want.Auth) {
		t.Errorf("not the defaults:\n%s", text(t, c))
	}
}

func TestPrecedence(t *testing.T) {
	const (
		file = "[listenerConfig]\nhttpPort = 2\n"
		env  = "listenerConfig_httpPort=3"
		set  = "listenerConfig.httpPort=4"
	)
	tests := []struct {
		name string
		o    conf.Options
		want int
		from string
	}{
		{"default", conf.Options{}, 9090, "default"},
		{"file", conf.Options{Path: "micro-gw.conf"}, 2, "micro-gw.conf:2:1"},
		{"env", conf.Options{Environ: []string{env}}, 3, "env listenerConfig_httpPort"},
		{"-e", conf.Options{Set: []string{set}}, 4, "-e"},
		{"file env", conf.Options{Path: "micro-gw.conf", Environ: []string{env}}, 3, "env listenerConfig_httpPort"},
		{"file -e", conf.Options{Path: "micro-gw.conf", Set: []string{set}}, 4, "-e"},
		{"env -e", conf.Options{Environ: []string{env}, Set: []string{set}}, 4, "-e"},
		{"file env -e", conf.Options{Path: "micro-gw.conf", Environ: []string{env}, Set: []string{set}}, 4, "-e"},
		{"-e -e", conf.Options{Set: []string{set, "listenerConfig.httpPort=5"}}, 5, "-e"},
		{"bad file unused", conf.Options{Path: "subscription.conf", Environ: []string{env, "jwtTokenConfig_validateSubscription=false"}}, 3, "env listenerConfig_httpPort"},
		{"bad file env", conf.Options{Path: "bad.conf", Environ: []string{env}}, 3, "env listenerConfig_httpPort"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFolder(t, file)
			write(t, "bad.conf", "[listenerConfig]\nhttpPort = 90900\n")
			write(t, "subscription.conf", "[[jwtTokenConfig]]\nissuer = \"i\"\naudience = \"a\"\njwksURL = \"https://i/k\"\nvalidateSubscription = true\n")
			c := mustLoad(t, tt.o)
			if c.Listener.HTTPPort != tt.want {
				t.Errorf("got %d, want %d", c.Listener.HTTPPort, tt.want)
			}
			if from := c.Source("listenerConfig.httpPort"); from != tt.from {
				t.Errorf("from %s, want %s", from, tt.from)
			}
		})
	}
}

const sha256OfSecret = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

// Users are told apart by their names, in all the ways that WSO2 writes them, and
// their passwords do not show.
func TestUsers(t *testing.T) {
	inFolder(t, `
["b7a.users"]
["b7a.users.zoe"]
password = "`+sha256OfSecret+`"
[b7a.users.alice]
password = "`+sha256OfSecret+`"
scopes = "read, write"
[b7a.users."a.b@c.test"]
password = "`+sha256OfSecret+`"
`)
	c := mustLoad(t, conf.Options{Path: "micro-gw.conf", Set: []string{"b7a.users.alice.scopes=admin"}, Environ: []string{"b7a_users_bob_password=" + sha256OfSecret}})
	var got []string
	for _, u := range c.Users {
		got = append(got, fmt.Sprintln(u.Name, u.Scopes, u.Password.Reveal() == sha256OfSecret))
	}
	if want := "a.b@c.test [] true alice [admin] true bob [] true zoe [] true"; strings.Join(strings.Fields(strings.Join(got, "")), " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
	if out := text(t, c); strings.Contains(out, sha256OfSecret) || !strings.Contains(out, `b7a.users.alice.scopes = ["admin"]`) || !strings.Contains(out, "env b7a_users_bob_password") {
		t.Errorf("printed:\n%s", out)
	}
}

// Issuers of API keys, from every source; those that have nothing are none, and those
// whose key was to come from WSO2's own store are dropped.
func TestAPIKeyIssuers(t *testing.T) {
	inFolder(t, `
[listenerConfig]
trustStorePath = "${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"
[[apikey.tokenConfigs]]
issuer = "https://localhost:9095/apikey"
certificateAlias = "ballerina"
validateAllowedAPIs = false
[[apikey.tokenConfigs]]
issuer = "second"
jwksURL = "https://i.example/k"
validateAllowedAPIs = true
[[apikey.tokenConfigs]]
issuer = ""
`)
	c := mustLoad(t, conf.Options{Path: "micro-gw.conf", Set: []string{"apikey.tokenConfigs.1.audience=a,b"}, Environ: []string{"apikey_tokenConfigs_3_issuer=fourth", "apikey_tokenConfigs_3_jwksURL=https://j.example/k"}})
	var got []string
	for _, k := range c.APIKeys {
		got = append(got, fmt.Sprint(k.Issuer.Issuer, k.Issuer.Audience, k.Issuer.JWKSURL, k.Issuer.Leeway, k.Scoped, k.Lasting))
	}
	want := []string{"second[a b]https://i.example/k5s true false", "fourth[]https://j.example/k5s false false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	out := text(t, c)
	for _, want := range []string{"apikey.tokenConfigs.1.issuer = \"second\"", "env apikey_tokenConfigs_3_issuer", "API keys of \"https://localhost:9095/apikey\" are turned away"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if strings.Contains(out, "apikey.tokenConfigs.0.issuer =") || strings.Contains(out, "apikey.tokenConfigs.2") {
		t.Errorf("issuers that are none:\n%s", out)
	}
	// One table, as WSO2 3.1 writes it, and one that says nothing, as it was printed once.
	inFolder(t, "[apikey.tokenConfigs]\nissuer = \"i\"\njwksURL = \"https://i.example/k\"\n")
	if c := mustLoad(t, conf.Options{Path: "micro-gw.conf"}); len(c.APIKeys) != 1 || c.APIKeys[0].Issuer.Issuer != "i" {
		t.Errorf("one table: %+v", c.APIKeys)
	}
	inFolder(t, "apikey.tokenConfigs.issuer = \"\"\napikey.tokenConfigs.audience = []\napikey.tokenConfigs.allowWithoutExpiry = false\n")
	if c := mustLoad(t, conf.Options{Path: "micro-gw.conf"}); len(c.APIKeys) != 0 {
		t.Errorf("an empty table: %+v", c.APIKeys)
	}
}

// Claims are their issuer's, however they are written, and an issuer that is
// dropped takes its own with it.
func TestClaims(t *testing.T) {
	inFolder(t, `
[listenerConfig]
trustStorePath = "${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12"
[[jwtTokenConfig]]
issuer = "dropped"
audience = "a"
certificateAlias = "wso2apim"
[[jwtTokenConfig.claims]]
remoteClaim = "gone"
localClaim = "scope"
[[jwtTokenConfig]]
issuer = "kept"
audience = "a"
jwksURL = "https://i.example/k"
[[jwtTokenConfig.claims]]
remoteClaim = "permissions"
localClaim = "scope"
[[jwtTokenConfig.claims]]
remoteClaim = "uid"
localClaim = "sub"
`)
	c := mustLoad(t, conf.Options{Path: "micro-gw.conf", Set: []string{"jwtTokenConfig.1.claims.2.remoteClaim=a"}, Environ: []string{"jwtTokenConfig_1_claims_2_localClaim=b"}})
	if len(c.Issuers) != 1 || fmt.Sprint(c.Issuers[0].Renamed) != "map[a:b permissions:scope uid:sub]" {
		t.Errorf("issuers %+v", c.Issuers)
	}
	out := text(t, c)
	for _, want := range []string{
		`jwtTokenConfig.0.claims.0.remoteClaim = "permissions"`, "# micro-gw.conf:16:1", `jwtTokenConfig.0.claims.1.localClaim = "sub"`, "env jwtTokenConfig_1_claims_2_localClaim",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if strings.Contains(out, "gone") {
		t.Errorf("a claim of an issuer that was dropped:\n%s", out)
	}
}

// Every key that has an effect can come from each source, and the environment's
// name is the key's with underscores.
func TestEveryKey(t *testing.T) {
	values := map[string]string{
		"listenerConfig.host": "127.0.0.1", "listenerConfig.keepAlive": "NEVER", "listenerConfig.trustedProxies": "10.0.0.0/8,::1",
		"mutualSSLConfig.protocolName": "TLS", "mutualSSLConfig.protocolVersions": "TLSv1.3", "mutualSSLConfig.ciphers": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"admin.address": "", "authConfig.authorizationHeader": "X-Auth", "server.header": "gw", "b7a.log.level": "DEBUG", "log.level": "DEBUG",
		"log.format": "json", "accessLog.path": "access.log", "b7a.http.accesslog.path": "access.log", "accessLog.format": "json",
		"httpClients.poolConfig.maxIdleConnections": "7", "development.enabled": "false", "caching.enabled": "false", "accessLog.enabled": "false",
		"httpClients.verifyHostname": "false", "httpClients.disableSslVerification": "true", "authConfig.removeAuthHeaderFromOutMessage": "false",
		"listenerConfig.keyStorePassword": "p", "listenerConfig.keyStore.password": "p", "listenerConfig.trustStorePassword": "p", "listenerConfig.trustStore.password": "p",
		"jwtTokenConfig.audience": "a", "jwtTokenConfig.certificateAlias": "x", "jwtTokenConfig.jwksURL": "https://i.example/jwks", "jwtTokenConfig.issuer": "i",
		"jwtTokenConfig.consumerKeyClaim": "azp", "jwtTokenConfig.usernameClaim": "email", "jwtTokenConfig.claims.remoteClaim": "scp", "jwtTokenConfig.claims.localClaim": "scope", "jwtTokenConfig.discovery": "true", "jwtConfig.header": "X-Who", "jwtGeneratorConfig.jwtGeneratorEnabled": "true", "jwtGeneratorConfig.signingAlgorithm": "ES256",
		"jwtGeneratorConfig.restrictedClaims": "a,b", "jwtGeneratorConfig.audience": "up", "jwtGeneratorConfig.issuer": "gw", "jwtGeneratorConfig.claimDialect": "urn:x",
		"jwtGeneratorConfig.tokenExpiry": "60000", "jwtGeneratorConfig.jwtGeneratorCaching.tokenCacheExpiryTime": "60000",
		"jwtGeneratorConfig.publishKeys": "true", "jwtGeneratorConfig.jwtGeneratorCaching.tokenCacheEnable": "false",
		"authConfig.cookie": "token", "authConfig.cookieOrigins": "https://a.test,http://b.test:8080", "jwtTokenConfig.openidConfigurationURL": "https://i.example/m", "jwtTokenConfig.tokenType": "at+jwt", "jwtTokenConfig.profile": "fapi", "jwtTokenConfig.validateSubscription": "false", "security.validateSubscriptions": "true", "jwtTokenConfig.algorithm": "PS256",
		"b7a.users.somebody.password": sha256OfSecret, "b7a.users.somebody.scopes": "read,write",
		"artifact.verifyKeys": "store.p12",
		"tokenRevocationConfig.realtime.enableRealtimeMessageRetrieval": "true", "tokenRevocationConfig.realtime.jmsConnectionTopic": "t",
		"tokenRevocationConfig.realtime.jmsConnectioninitialContextFactory": "c", "tokenRevocationConfig.realtime.jmsConnectionProviderUrl": "tcp://b:1",
		"tokenRevocationConfig.realtime.jmsConnectionUsername": "u", "tokenRevocationConfig.realtime.jmsConnectionPassword": "p",
		"tokenRevocationConfig.realtime.durableSubscription": "gw-1",
		"tokenRevocationConfig.realtime.retention":           "5h", "tokenRevocationConfig.persistent.enablePersistentStorageRetrieval": "true",
		"tokenRevocationConfig.persistent.useDefault": "false", "tokenRevocationConfig.persistent.type": "default",
		"tokenRevocationConfig.persistent.hostname": "a:1,https://b/x", "tokenRevocationConfig.persistent.endpointURL": "https://h/x",
		"tokenRevocationConfig.persistent.username": "u", "tokenRevocationConfig.persistent.password": "p",
		"userStore.ldap.urls": "ldaps://a.example,ldaps://b.example", "userStore.ldap.startTLS": "true", "userStore.ldap.userDN": "uid={user},dc=example", "userStore.ldap.baseDN": "dc=example",
		"userStore.ldap.filter": "(cn={user})", "userStore.ldap.bindDN": "cn=gw,dc=example", "userStore.ldap.bindPassword": "p", "userStore.ldap.scopes": "read,write", "userStore.ldap.timeout": "7s", "userStore.ldap.cacheTime": "7s",
		"userStore.http.urls": "https://a.example/x", "userStore.http.username": "u", "userStore.http.password": "p", "userStore.http.nameField": "a.b", "userStore.http.passwordField": "c",
		"userStore.http.answerField": "", "userStore.http.answerValue": "yes", "userStore.http.scopes": "read,write", "userStore.http.timeout": "7s", "userStore.http.cacheTime": "0s",
		"apikey.tokenConfigs.issuer": "k", "apikey.tokenConfigs.audience": "a", "apikey.tokenConfigs.certificateAlias": "x", "apikey.tokenConfigs.jwksURL": "https://i.example/jwks",
		"apikey.tokenConfigs.validateAllowedAPIs": "true", "apikey.tokenConfigs.allowWithoutExpiry": "true",
		"introspection.url": "https://i.example/introspect", "introspection.authMethod": "private_key_jwt", "introspection.timeout": "3s", "introspection.negativeCacheTime": "3s",
		"introspection.failedJWT": "true", "keyManager.enableIntrospectForFailedJWT": "true", "introspection.audience": "a,b", "introspection.claims": "a,b",
		"introspection.clientId": "gateway", "introspection.clientSecret": "s", "introspection.keyId": "k", "introspection.assertionAudience": "a", "introspection.issuer": "i",
		"mutualSSLConfig.sslVerifyClient": "require", "mutualSSLConfig.upstreamHeader": "Client-Cert", "mutualSSLConfig.api.certificates.aliasList": "a,b", "mutualSSLConfig.api.certificates.name": "Pets", "mutualSSLConfig.api.certificates.version": "v1",
	}
	for _, name := range conf.Names() {
		value, ok := values[name]
		switch {
		case ok:
		case strings.HasSuffix(name, "credentialBearer"):
			value = "POST_BODY_BEARER"
		case strings.HasSuffix(name, "serverUrl"), strings.HasSuffix(name, "tokenUrl"):
			value = "https://km.example"
		case name == "keyManager.verifyHostname", strings.HasSuffix(strings.ToLower(name), "keymanager.security.basic.enabled"):
			value = "false"
		case strings.HasPrefix(strings.ToLower(name), "keymanager.") && (strings.HasSuffix(name, "nabled") || name == "keyManager.external" || name == "keyManager.enableLegacyMode"):
			value = "true"
		case strings.HasPrefix(strings.ToLower(name), "keymanager.") && name != "keyManager.timestampSkew":
			value = "some"
		case strings.HasSuffix(name, "Timeout") || strings.HasSuffix(name, "grace") || strings.HasSuffix(name, "leeway"):
			value = "3s"
		case strings.HasSuffix(name, "Path") || strings.HasSuffix(name, "File") || strings.HasSuffix(name, ".path"):
			value = "store.p12"
		default:
			value = "777"
		}
		// What a key needs beside it, unless that is the key itself.
		beside := map[string]string{}
		switch {
		case strings.Contains(name, "keyStore") && strings.Contains(strings.ToLower(name), "password"):
			beside["listenerConfig.keyStorePath"] = "store.p12"
		case strings.Contains(name, "trustStore") && strings.Contains(strings.ToLower(name), "password"):
			beside["listenerConfig.trustStorePath"] = "store.p12"
		case name == "listenerConfig.certificateFile":
			beside["listenerConfig.privateKeyFile"] = "key.pem"
		case name == "listenerConfig.privateKeyFile":
			beside["listenerConfig.certificateFile"] = "cert.pem"
		case strings.HasPrefix(name, "mutualSSLConfig.api."):
			beside["listenerConfig.trustStorePath"] = "store.p12"
			beside["mutualSSLConfig.api.certificates.name"], beside["mutualSSLConfig.api.certificates.version"] = "Pets", "v1"
			beside["mutualSSLConfig.api.certificates.aliasList"] = "a"
		case strings.HasSuffix(name, "authoritiesFile"), strings.HasSuffix(name, "crlFile"), strings.HasSuffix(name, "upstreamHeader"), strings.HasSuffix(name, "sslVerifyClient"):
			beside["mutualSSLConfig.sslVerifyClient"] = "optional"
			beside["listenerConfig.trustStorePath"] = "store.p12"
		case strings.HasSuffix(name, "enableRealtimeMessageRetrieval"):
			beside["tokenRevocationConfig.realtime.jmsConnectionProviderUrl"] = "tcp://b:1"
		case strings.HasPrefix(name, "jwtGeneratorConfig."):
			beside["jwtGeneratorConfig.privateKeyFile"] = "key.pem"
		case name == "authConfig.cookieOrigins":
			beside["authConfig.cookie"] = "token"
		case name == "keyManager.enabled":
			beside["keyManager.serverUrl"] = "https://km.example"
		case name == "introspection.url":
			beside["introspection.clientId"], beside["introspection.clientSecret"] = "gateway", "s"
		case strings.HasPrefix(name, "introspection."):
		case strings.HasPrefix(name, "b7a.users."):
			beside["b7a.users.somebody.password"] = sha256OfSecret
		case strings.HasPrefix(name, "userStore.http."):
			beside["userStore.http.urls"] = "https://b.example/x"
		case strings.HasPrefix(name, "userStore.ldap."):
			beside["userStore.ldap.urls"] = "ldap://localhost"
			switch {
			case strings.HasSuffix(name, "userDN"):
			case strings.Contains(name, ".bind"):
				beside["userStore.ldap.bindDN"], beside["userStore.ldap.bindPassword"] = "cn=x", "q"
				fallthrough
			default:
				beside["userStore.ldap.baseDN"] = "dc=test"
			}
		case strings.HasPrefix(name, "apikey."):
			beside["apikey.tokenConfigs.issuer"] = "k"
			beside["listenerConfig.trustStorePath"] = "store.p12"
			if !strings.HasSuffix(name, "jwksURL") && !strings.HasSuffix(name, "publicKeyFile") {
				beside["apikey.tokenConfigs.certificateAlias"] = "x"
			}
		case strings.HasPrefix(name, "jwtTokenConfig."):
			beside["jwtTokenConfig.issuer"] = "i"
			beside["listenerConfig.trustStorePath"] = "store.p12"
			if strings.Contains(name, ".claims.") {
				beside["jwtTokenConfig.claims.remoteClaim"], beside["jwtTokenConfig.claims.localClaim"] = "a", "b"
			}
			if strings.HasSuffix(name, ".profile") {
				beside["mutualSSLConfig.sslVerifyClient"], beside["jwtTokenConfig.algorithm"] = "optional", "PS256"
			}
			if strings.HasSuffix(name, "discovery") {
				beside["jwtTokenConfig.issuer"] = "https://i.example"
			} else if !strings.HasSuffix(name, "jwksURL") && !strings.HasSuffix(name, "openidConfigurationURL") && !strings.HasSuffix(name, "publicKeyFile") {
				beside["jwtTokenConfig.certificateAlias"] = "x"
			}
		}
		delete(beside, name)
		t.Run(name, func(t *testing.T) {
			var set, env []string
			file := ""
			literal := func(name, v string) string {
				if regexp.MustCompile(`^(true|false|[0-9]+)$`).MatchString(v) {
					return name + " = " + v + "\n"
				}
				return fmt.Sprintf("%s = %q\n", name, v)
			}
			for k, v := range beside {
				set = append(set, k+"="+v)
				env = append(env, strings.ReplaceAll(k, ".", "_")+"="+v)
				file += literal(k, v)
			}
			inFolder(t, file+literal(name, value))
			set = append(set, name+"="+value)
			env = append(env, strings.ReplaceAll(name, ".", "_")+"="+value)
			bySet := mustLoad(t, conf.Options{Set: set, Path: os.DevNull})
			byEnv := mustLoad(t, conf.Options{Environ: env, Path: os.DevNull})
			byFile := mustLoad(t, conf.Options{Path: "micro-gw.conf"})
			values := regexp.MustCompile(`(?m) *#.*$`)
			a, b, c := values.ReplaceAllString(text(t, bySet), ""), values.ReplaceAllString(text(t, byEnv), ""), values.ReplaceAllString(text(t, byFile), "")
			if a != b || b != c {
				t.Errorf("by -e:\n%s\nby environment:\n%s\nby file:\n%s", a, b, c)
			}
			none := values.ReplaceAllString(text(t, mustLoad(t, conf.Options{Path: os.DevNull})), "")
			if a == none && name != "mutualSSLConfig.protocolName" && name != "development.enabled" {
				t.Error("it changes nothing")
			}
		})
	}
}

func TestValues(t *testing.T) {
	inFolder(t, `
petstore_prod_endpoint_0 = "https://a.example:8443/v2"
"Pet.Store_sand_basic_password" = "${file:secret}"

[listenerConfig]
host = "${env:HOST}"
httpPort = "${env:PORT}"
httpsPort = 0x2388
keyStorePath = "store.p12"
keyStorePassword = "a${env:HOST}b$${x}"
trustStore = { path = "./store.p12", password = "${file:secret}" }
trustedProxies = ["10.0.0.0/8", "192.168.1.1", "2001:db8::/32"]
maxEntityBodySize = 1_073_741_824
keepAlive = "never"
headTimeout = "1m30s"

[mutualSSLConfig]
protocolVersions = "TLSv1.3"
ciphers = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]

[httpClients.poolConfig]
maxActiveConnections = 50

[b7a.log]
level = "off"

[server]
timestampSkew = 1500

[[jwtTokenConfig]]
issuer = "first"
audience = ["a", "b"]
certificateAlias = "alias"

[[jwtTokenConfig]]
issuer = "second"
audience = "with, comma"
publicKeyFile = "key.pem"
leeway = "0s"
`)
	c := mustLoad(t, conf.Options{
		Path:    "micro-gw.conf",
		Environ: []string{"HOST=127.0.0.1", "PORT=8080", "jwtTokenConfig_1_leeway=2s", "jwtTokenConfig_2_issuer=third", "jwtTokenConfig_2_jwksURL=https://c/jwks", "jwtTokenConfig_2_audience=x,y"},
		Set:     []string{"jwtTokenConfig.audience=z"},
	})
	n := c.Listener
	for _, tt := range []struct{ name, got, want any }{
		{"host", n.Host, "127.0.0.1"},
		{"httpPort", n.HTTPPort, 8080},
		{"httpsPort", n.HTTPSPort, 9096},
		{"keyStorePath", n.KeyStore.Path, "store.p12"},
		{"keyStorePassword", n.KeyStore.Password.Reveal(), "a127.0.0.1b$${x}"},
		{"trustStore.password", n.TrustStore.Password.Reveal(), "s3cret"},
		{"trustedProxies", n.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.1/32"), netip.MustParsePrefix("2001:db8::/32")}},
		{"maxEntityBodySize", n.MaxEntityBodySize, int64(1 << 30)},
		{"keepAlive", n.KeepAlive, "NEVER"},
		{"headTimeout", n.HeadTimeout, 90 * time.Second},
		{"protocolVersions", n.TLS.MinVersion, uint16(tls.VersionTLS13)},
		{"ciphers", n.TLS.Ciphers, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
		{"maxActive", c.Upstream.MaxActive, 50},
		{"maxIdle is no more", c.Upstream.MaxIdle, 50},
		{"level", c.Log.Level, conf.LevelOff},
		{"overrides", c.Overrides, map[string]string{"petstore_prod_endpoint_0": "https://a.example:8443/v2", "Pet.Store_sand_basic_password": "s3cret"}},
		{"development", c.Development, false},
		{"issuers", c.Issuers, []conf.Issuer{
			{Issuer: "first", Audience: []string{"z"}, CertificateAlias: "alias", Leeway: 1500 * time.Millisecond},
			{Issuer: "second", Audience: []string{"with, comma"}, PublicKeyFile: "key.pem", Leeway: 2 * time.Second},
			{Issuer: "third", Audience: []string{"x", "y"}, JWKSURL: "https://c/jwks", Leeway: 1500 * time.Millisecond},
		}},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s: got %#v, want %#v", tt.name, tt.got, tt.want)
		}
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
}

// WSO2 3.2's confs may name the event hub and no type.
func TestStoreWithoutType(t *testing.T) {
	const p = "tokenRevocationConfig.persistent."
	for want, set := range map[string][]string{
		"default": {p + "endpointURL=https://h/internal/data/v1"},
		"etcd":    {p + "endpointURL=https://h/internal/data/v1", p + "type=etcd"},
	} {
		c := mustLoad(t, conf.Options{Set: append(set, p+"enablePersistentStorageRetrieval=true")})
		if got := c.Revocation.Persistent.Type; got != want {
			t.Errorf("%v: %s", set, got)
		}
	}
	if c := mustLoad(t, conf.Options{Set: []string{p + "enablePersistentStorageRetrieval=true"}}); c.Revocation.Persistent.Type != "etcd" {
		t.Error("without any: not etcd")
	}
}

// A path in a file is relative to the file, elsewhere to the working directory.
func TestRelativePaths(t *testing.T) {
	inFolder(t, "")
	write(t, "folder/micro-gw.conf", "[listenerConfig]\nkeyStorePath = \"../store.p12\"\nkeyStorePassword = \"${file:pass}\"\n[accessLog]\npath = \"log\"\n")
	write(t, "folder/pass", "x\r\n")
	c := mustLoad(t, conf.Options{Path: "folder/micro-gw.conf", Environ: []string{"listenerConfig_trustStorePath=store.p12"}})
	if c.Listener.KeyStore.Path != "store.p12" || c.Listener.TrustStore.Path != "store.p12" || c.AccessLog.Path != filepath.Join("folder", "log") {
		t.Errorf("got %q, %q, %q", c.Listener.KeyStore.Path, c.Listener.TrustStore.Path, c.AccessLog.Path)
	}
	if got := c.Listener.KeyStore.Password.Reveal(); got != "x" {
		t.Errorf("password %q", got)
	}
}

func TestDevelopment(t *testing.T) {
	issuer := []string{"jwtTokenConfig_issuer=i", "jwtTokenConfig_audience=a", "jwtTokenConfig_jwksURL=https://i/jwks"}
	tests := []struct {
		name   string
		o      conf.Options
		want   bool
		source string
	}{
		{"nothing", conf.Options{}, true, "default"},
		{"an issuer", conf.Options{Environ: issuer}, false, "default"},
		{"an issuer and --dev", conf.Options{Environ: issuer, Dev: true}, true, "--dev"},
		{"a file", conf.Options{Path: "micro-gw.conf"}, false, "default"},
		{"a file and --dev", conf.Options{Path: "micro-gw.conf", Dev: true}, true, "--dev"},
		{"a file and -e", conf.Options{Path: "micro-gw.conf", Set: []string{"development.enabled=true"}}, true, "-e"},
		{"off", conf.Options{Set: []string{"development.enabled=false"}}, false, "-e"},
		{"off by environment", conf.Options{Environ: []string{"development_enabled=false"}}, false, "env development_enabled"},
		{"off by environment, on by --dev", conf.Options{Environ: []string{"development_enabled=false"}, Dev: true}, true, "--dev"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFolder(t, "")
			c := mustLoad(t, tt.o)
			if c.Development != tt.want {
				t.Errorf("got %v, want %v", c.Development, tt.want)
			}
			if got := c.Source("development.enabled"); got != tt.source {
				t.Errorf("source %s, want %s", got, tt.source)
			}
		})
	}
}

// What WSO2 ships is loaded, with the same effect as far as there is one.
func TestWSO2(t *testing.T) {
	for _, name := range []string{"wso2-3.0.1", "wso2-3.1", "wso2-3.2"} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, conf.Options{Path: filepath.Join("testdata", name+".conf")})
			d := conf.Default()
			if c.Development {
				t.Error("in development mode")
			}
			if c.Listener.KeyStore != (conf.Store{}) || c.Listener.TrustStore != (conf.Store{}) {
				t.Error("a store that WSO2 ships is used")
			}
			c.Listener.TLS.Ciphers = nil
			if !reflect.DeepEqual(c.Listener, d.Listener) || !reflect.DeepEqual(c.Upstream, d.Upstream) ||
				!reflect.DeepEqual(c.Auth, d.Auth) || c.TokenCache != d.TokenCache || c.Log != d.Log || c.Server.TimestampSkew != d.Server.TimestampSkew {
				t.Errorf("WSO2's defaults are not ours:\n%s", text(t, c))
			}
			golden(t, filepath.Join("testdata", name+".golden"), []byte(text(t, c)))
		})
	}
}

// The samples hold every key that WSO2 has in files.
func TestWSO2Complete(t *testing.T) {
	var all strings.Builder
	for _, name := range []string{"wso2-3.0.1", "wso2-3.1", "wso2-3.2"} {
		c := mustLoad(t, conf.Options{Path: filepath.Join("testdata", name+".conf")})
		all.WriteString(strings.Join(c.Warnings, "\n"))
	}
	// Put {a, b} behind its table again.
	said := regexp.MustCompile(`([A-Za-z0-9_.]*)\{([^}]*)\}`).ReplaceAllStringFunc(all.String(), func(s string) string {
		table, keys, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		return table + strings.ReplaceAll(keys, ", ", ", "+table)
	})
	commandLine := []string{"etcd", "Cookie", "api.usage.data.path", "datacenterId", "b7a.http.", "keyManager.security.",
		"keyManager.verifyHostname", "b7a.observability.tracing.jaeger.", "mutualSSLConfig.api.", "analytics.initialDelayInMillis", "analytics.taskUploadFiles"}
	for _, name := range conf.UnusedNames() {
		if slices.ContainsFunc(commandLine, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		pattern := strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(name), `\.#`, `\.\d+`), `\*`, `\w+`)
		if !regexp.MustCompile(`\b` + pattern + `\b`).MatchString(said) {
			t.Errorf("no sample has %s, or no warning names it", name)
		}
	}
}

// Every key of WSO2's is accepted by -e as well.
func TestWSO2CommandLine(t *testing.T) {
	for _, name := range conf.UnusedNames() {
		name = strings.NewReplacer(".#", ".0", "*", "alice").Replace(name)
		value := "false"
		if strings.HasPrefix(name, "mutualSSLConfig.api.") {
			continue // refused in any case
		}
		if strings.HasSuffix(name, "StorePath") || strings.HasSuffix(name, "sslVerifyClient") {
			value = ""
		}
		set := []string{name + "=" + value}
		if strings.HasPrefix(name, "jwtTokenConfig.") {
			set = append(set, "jwtTokenConfig.0.issuer=i", "jwtTokenConfig.0.audience=a", "jwtTokenConfig.0.jwksURL=https://i/k")
		}
		c := mustLoad(t, conf.Options{Set: set})
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "\n\t-e: "+name+": ") {
			t.Errorf("%s: warnings %q", name, c.Warnings)
		}
	}
}

func TestWarnings(t *testing.T) {
	const head = "keys of WSO2 API Microgateway that have no effect in this version:\n\t"
	issuer := []string{"jwtTokenConfig.issuer=i", "jwtTokenConfig.audience=a", "jwtTokenConfig.jwksURL=https://i/jwks"}
	tests := []struct {
		name, file string
		set, env   []string
		want       []string
	}{
		{name: "articles' spelling", set: []string{"etcdUrl=http://a:2379", "etcdurl=http://b:2379"},
			want: []string{head + "-e: etcdUrl, etcdurl: etcd is not asked by this version; the URL beside the etcd key is used"}},
		{name: "etcd key", set: []string{"petstore_prod_0_etcdKey=k"},
			want: []string{head + "-e: petstore_prod_0_etcdKey: etcd is not asked by this version; the URL beside the etcd key is used"}},
		{name: "misspelt variable", env: []string{"listenerConfig_htpPort=1", "LANG=C", "api_key=x", "listenerconfig_httpPort=1", "PATH=/bin"},
			want: []string{"env listenerConfig_htpPort: no such key; it has no effect; did you mean listenerConfig_httpPort?"}},
		{name: "the user that WSO2 ships", set: issuer, env: []string{"b7a_users_generalUser1_password=5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"},
			want: []string{"env b7a_users_generalUser1_password: b7a.users.generalUser1.password: everybody knows this password: it is one that WSO2 ships, or the user's name"}},
		{name: "traffic manager", set: append(issuer, "throttlingConfig.enabledGlobalTMEventPublishing=true"),
			want: []string{"-e: throttlingConfig.enabledGlobalTMEventPublishing: no traffic manager is asked by this version: requests that it would turn away pass"}},
		{name: "validation", set: append(issuer, "validationConfig.enableRequestValidation=true"),
			want: []string{"-e: validationConfig.enableRequestValidation: bodies are not validated against the definition by this version, although this asks for it"}},
		{name: "old TLS beside new", set: []string{"mutualSSLConfig.protocolVersions=TLSv1.2,TLSv1.1"},
			want: []string{"-e: mutualSSLConfig.protocolVersions: TLSv1.1 is not offered: TLSv1.2 is the oldest that is safe (RFC 8996)"}},
		{name: "any certificate", set: []string{"httpClients.disableSslVerification=true"},
			want: []string{"-e: httpClients.disableSslVerification: whoever is in between can pretend to be an upstream"}},
		{name: "everybody a proxy", set: []string{"listenerConfig.trustedProxies=0.0.0.0/0"},
			want: []string{"-e: listenerConfig.trustedProxies: 0.0.0.0/0 lets every client say where it comes from"}},
		{name: "nothing of it", file: "[listenerConfig]\n"},
		{name: "no audience", set: []string{"jwtTokenConfig.issuer=i", "jwtTokenConfig.jwksURL=http://i.example/jwks"},
			want: []string{"-e: jwtTokenConfig.jwksURL: without TLS, whoever is in between can put in a key of his own",
				"-e: jwtTokenConfig.issuer: no audience is named for \"i\", so tokens that it made for others are accepted"}},
		{name: "local key set", set: []string{"jwtTokenConfig.issuer=i", "jwtTokenConfig.audience=a", "jwtTokenConfig.jwksURL=http://127.0.0.1:1/jwks"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := conf.Options{Set: tt.set, Environ: tt.env}
			inFolder(t, tt.file)
			if tt.file != "" {
				o.Path = "micro-gw.conf"
			}
			// The order of -e is not that of names.
			slices.Reverse(o.Set)
			if got := mustLoad(t, o).Warnings; !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	inFolder(t, "petstore_prod_endpoint_0 = \"http://file\"\npetstore_prod_endpoint_1 = \"http://file\"\n")
	c := mustLoad(t, conf.Options{
		Path:    "micro-gw.conf",
		Environ: []string{"petstore_prod_endpoint_0=http://env", "Pet Store_sand_endpoint_12=http://env/x?y=z", "petstore_prod_0_etcdKey=k"},
		Set:     []string{"petstore_prod_endpoint_0=http://set", "petstore_prod_basic_username=u", "petstore_prod_basic_password=p"},
	})
	want := map[string]string{
		"petstore_prod_endpoint_0": "http://set", "petstore_prod_endpoint_1": "http://file", "Pet Store_sand_endpoint_12": "http://env/x?y=z",
		"petstore_prod_0_etcdKey": "k", "petstore_prod_basic_username": "u", "petstore_prod_basic_password": "p",
	}
	if !reflect.DeepEqual(c.Overrides, want) {
		t.Errorf("got %v, want %v", c.Overrides, want)
	}
	if got := c.Source("Pet Store_sand_endpoint_12"); got != "env Pet Store_sand_endpoint_12" {
		t.Errorf("source %s", got)
	}
}

func TestPrint(t *testing.T) {
	inFolder(t, "petstore_prod_basic_password = \"s3cret\"\npetstore_prod_endpoint_0 = \"http://u:s3cret@h/\"\n"+
		"[listenerConfig]\nkeyStorePath = \"store.p12\"\nkeyStorePassword = \"s3cret\"\n[server]\nheader = 'a \"b\" \\'\n")
	c := mustLoad(t, conf.Options{Path: "micro-gw.conf", Environ: []string{"b7a_log_level=DEBUG", "log_levle=x"}, Set: []string{"listenerConfig.httpPort=1"}})
	got := text(t, c)
	for _, want := range []string{
		`(?m)^listenerConfig.httpPort = 1 +# -e$`,
		`(?m)^listenerConfig.keyStorePassword = "\*\*\*" +# micro-gw.conf:5:1$`,
		`(?m)^petstore_prod_basic_password = "\*\*\*" +# micro-gw.conf:1:1$`,
		`(?m)^b7a.log.level = "DEBUG" +# env b7a_log_level$`,
		`(?m)^server.header = "a \\"b\\" \\\\" +# micro-gw.conf:7:1$`,
		`(?m)^shutdown.grace = "20s" +# default$`,
		`(?m)^# warning: env log_levle: no such key`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	var b bytes.Buffer
	if err := c.Print(&b, conf.JSON); err != nil {
		t.Fatal(err)
	}
	var v struct {
		File     string
		Settings []struct {
			Key, Source string
			Value       any
		}
		Warnings []string
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.File != "micro-gw.conf" || len(v.Settings) < 40 || len(v.Warnings) != 1 {
		t.Errorf("JSON: %s", b.String())
	}
	if err := c.Print(&b, "xml"); err == nil {
		t.Error("printed as xml")
	}
	b.WriteString(got)
	fmt.Fprintf(&b, "%v %+v %#v %q %x %s", c.Listener, c.Listener, c.Listener, c.Listener.KeyStore, c.Listener.KeyStore, c.Listener.KeyStore.Password)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "password", c.Listener.KeyStore.Password)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "store", c.Listener.KeyStore)
	for _, leak := range []string{"s3cret", fmt.Sprintf("%x", "s3cret")} {
		if strings.Contains(b.String(), leak) {
			t.Errorf("%s shows in\n%s", leak, b.String())
		}
	}
}
