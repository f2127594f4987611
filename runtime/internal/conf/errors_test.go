package conf_test

import (
	"os"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// inFolder makes a folder the working directory, with the conf file in it and
// whatever else a conf may refer to.
func inFolder(t testing.TB, file string) {
	t.Helper()
	dir := t.TempDir()
	if tt, ok := t.(*testing.T); ok {
		tt.Chdir(dir)
	}
	write(t, "micro-gw.conf", file)
	write(t, "secret", "s3cret\n")
	write(t, "store.p12", "")
	write(t, "key.pem", "")
	write(t, "cert.pem", "")
	if err := os.MkdirAll("folder", 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What an operator reads when something is wrong, to the letter.
func TestErrors(t *testing.T) {
	for _, tt := range mistakes() {
		t.Run(tt.name, func(t *testing.T) {
			o := conf.Options{Set: tt.set, Environ: tt.env, Dev: tt.dev}
			inFolder(t, tt.file)
			if tt.file != "" {
				o.Path = "micro-gw.conf"
			}
			c, err := conf.Load(o)
			if err == nil {
				var b strings.Builder
				c.Print(&b, conf.Text)
				t.Fatalf("loaded:\n%s\nwant error:\n%s", b.String(), tt.want)
			}
			if c != nil {
				t.Error("a Config beside an error")
			}
			if err.Error() != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", err, tt.want)
			}
		})
	}
}

type mistake struct {
	name, file string
	set, env   []string
	dev        bool
	want       string
}

func mistakes() []mistake {
	const issuer = "[[jwtTokenConfig]]\nissuer = \"i\"\n"
	return []mistake{
		// Names.
		{name: "misspelt key", file: "[listenerConfig]\n  htpPort = 9090\n",
			want: "runtime: micro-gw.conf:2:3: listenerConfig.htpPort: unknown key\n\thint: did you mean listenerConfig.httpPort?"},
		{name: "letter case", file: "[listenerConfig]\nHTTPPort = 9090\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.HTTPPort: unknown key\n\thint: did you mean listenerConfig.httpPort?"},
		{name: "key without its table", file: "httpsPort = 9095\n",
			want: "runtime: micro-gw.conf:1:1: httpsPort: unknown key\n\thint: did you mean listenerConfig.httpsPort?"},
		{name: "nothing near", file: "[listenerConfig]\nzzzzzzzzzz = 1\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.zzzzzzzzzz: unknown key"},
		{name: "misspelt table", file: "[listnerConfig]\nhttpPort = 1\nfoo = 2\n",
			want: "runtime: micro-gw.conf:1:2: listnerConfig: unknown table\n\thint: did you mean [listenerConfig]?"},
		{name: "table of nobody", file: "[filters]\nThrottling = true\n[filters.x]\n",
			want: "runtime: micro-gw.conf:1:2: filters: unknown table"},
		{name: "array of a table", file: "[[listenerConfig]]\nhttpPort = 1\n",
			want: "runtime: micro-gw.conf:1:3: listenerConfig: a table, not an array of tables; write [listenerConfig]"},
		{name: "table of a key", file: "[listenerConfig.httpPort]\n",
			want: "runtime: micro-gw.conf:1:2: listenerConfig.httpPort: a key, not a table"},
		{name: "key of a table", file: "listenerConfig = 5\n",
			want: "runtime: micro-gw.conf:1:1: listenerConfig: a table, not a key"},
		{name: "below a key", file: "[listenerConfig]\nhttpPort.x = 1\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort.x: unknown key\n\thint: did you mean listenerConfig.httpPort?"},
		{name: "unknown key of an issuer", file: issuer + "jwksURL = \"https://i/k\"\naudience = \"a\"\njwksUrls = \"\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.jwksUrls: unknown key\n\thint: did you mean jwtTokenConfig.jwksURL?"},
		{name: "unprintable name", file: "\"a\\nb\" = 1\n",
			want: "runtime: micro-gw.conf:1:1: \"a\\nb\": unknown key"},
		{name: "-e unknown", set: []string{"listenerConfig.htpPort=1"},
			want: "runtime: -e: listenerConfig.htpPort: unknown key\n\thint: did you mean listenerConfig.httpPort?"},
		{name: "-e of a table", set: []string{"listenerConfig=1"},
			want: "runtime: -e: listenerConfig: a table, not a key"},
		{name: "-e without value", set: []string{"listenerConfig.httpPort"},
			want: "runtime: -e: \"listenerConfig.httpPort\" is not key=value"},

		// Types.
		{name: "string for a port", file: "[listenerConfig]\nhttpPort = \"9090\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: want an integer, got a string"},
		{name: "float for a port", file: "[listenerConfig]\nhttpPort = 9090.5\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: want an integer, got a float"},
		{name: "string for a boolean", file: "[httpClients]\nverifyHostname = \"true\"\n",
			want: "runtime: micro-gw.conf:2:1: httpClients.verifyHostname: want true or false, got a string"},
		{name: "integer for a string", file: "[listenerConfig]\nhost = 1\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.host: want a string, got an integer"},
		{name: "list for a string", file: "[listenerConfig]\nhost = [\"a\"]\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.host: want a string, got a list"},
		{name: "number for a duration", file: "[listenerConfig]\nheadTimeout = 10\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.headTimeout: want a duration such as \"10s\", got an integer"},
		{name: "duration without unit", file: "[listenerConfig]\nheadTimeout = \"10\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.headTimeout: \"10\" is not a duration such as \"10s\" or \"1m30s\""},
		{name: "date", file: "[listenerConfig]\nhost = 1979-05-27\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.host: want a string, got a date"},
		{name: "list of numbers", file: "[listenerConfig]\ntrustedProxies = [1]\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.trustedProxies: want a list of strings, got one that holds an integer"},
		{name: "audience", file: issuer + "jwksURL = \"https://i/k\"\naudience = true\n",
			want: "runtime: micro-gw.conf:4:1: jwtTokenConfig.0.audience: want a string or a list of strings, got a boolean"},
		{name: "text for a port", env: []string{"listenerConfig_httpPort=http"},
			want: "runtime: env listenerConfig_httpPort: listenerConfig.httpPort: \"http\" is not an integer"},
		{name: "text for a boolean", set: []string{"caching.enabled=yes"},
			want: "runtime: -e: caching.enabled: \"yes\" is not true or false"},

		{name: "password in the clear", file: "[b7a.users.alice]\npassword = \"secret\"\n",
			want: "runtime: micro-gw.conf:2:1: b7a.users.alice.password: not a password hash: want SHA-1 (40) or SHA-256 (64 hex digits), @sha256:{...}, @sha384:{...}, @sha512:{...}, bcrypt ($2b$...) or argon2id ($argon2id$...)"},
		{name: "user without a password", file: "[b7a.users.alice]\nscopes = \"read\"\n",
			want: "runtime: micro-gw.conf:2:1: b7a.users.alice: the user has no password"},
		{name: "misspelt key of a user", file: "[b7a.users.alice]\npasword = \"x\"\n",
			want: "runtime: micro-gw.conf:2:1: b7a.users.alice.pasword: unknown key\n\thint: known keys are password, scopes"},

		// Ranges.
		{name: "port", file: "[listenerConfig]\nhttpPort = 90900\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: 90900 is not a port"},
		{name: "port by -e", set: []string{"listenerConfig.httpPort=-2"},
			want: "runtime: -e: listenerConfig.httpPort: -2 is not a port"},
		{name: "beyond 64 bits", file: "[listenerConfig]\nmaxHeaderSize = 99999999999999999999\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.maxHeaderSize: 99999999999999999999 does not fit in 64 bits"},
		{name: "too small", file: "[listenerConfig]\nmaxHeaderSize = 1\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.maxHeaderSize: 1 is too small: at least 128"},
		{name: "too large", file: "[listenerConfig]\nmaxUriLength = 1073741824\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.maxUriLength: 1073741824 is too large: at most 1048576"},
		{name: "limit of nothing", file: "[listenerConfig]\nmaxEntityBodySize = 0\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.maxEntityBodySize: 0 would allow nothing; -1 means no limit"},
		{name: "milliseconds", file: "[server]\ntimestampSkew = 3600000\n",
			want: "runtime: micro-gw.conf:2:1: server.timestampSkew: 3600000 is too large: at most 600000 milliseconds"},
		{name: "no time", file: "[listenerConfig]\nheadTimeout = \"0s\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.headTimeout: 0s is too short: at least 1ms"},
		{name: "too much time", file: "[shutdown]\ngrace = \"48h\"\n",
			want: "runtime: micro-gw.conf:2:1: shutdown.grace: 48h is too long: at most 24h"},
		{name: "word", file: "[listenerConfig]\nkeepAlive = \"SOMETIMES\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.keepAlive: \"SOMETIMES\" is not one of AUTO, ALWAYS, NEVER"},
		{name: "log level", env: []string{"b7a_log_level=LOUD"},
			want: "runtime: env b7a_log_level: b7a.log.level: \"LOUD\" is not one of ERROR, WARN, INFO, DEBUG, TRACE, ALL, OFF"},
		{name: "host", file: "[listenerConfig]\nhost = \"http://x\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.host: \"http://x\" is neither an address nor a host name"},
		{name: "admin address", file: "[admin]\naddress = \"9000\"\n",
			want: "runtime: micro-gw.conf:2:1: admin.address: \"9000\" is not an address with a port, such as 127.0.0.1:9000"},
		{name: "admin port", file: "[admin]\naddress = \"127.0.0.1:90000\"\n",
			want: "runtime: micro-gw.conf:2:1: admin.address: \"90000\" is not a port"},
		{name: "header", file: "[authConfig]\nauthorizationHeader = \"My Key\"\n",
			want: "runtime: micro-gw.conf:2:1: authConfig.authorizationHeader: \"My Key\" is not a header field's name"},
		{name: "framing as a credential", file: "[authConfig]\nauthorizationHeader = \"Content-Length\"\n",
			want: "runtime: micro-gw.conf:2:1: authConfig.authorizationHeader: \"Content-Length\" is a field that a credential cannot be in"},
		{name: "header injection", file: "[server]\nheader = \"a\\r\\nb: c\"\n",
			want: "runtime: micro-gw.conf:2:1: server.header: \"a\\r\\nb: c\" is not a header field's value"},
		{name: "proxy", file: "[listenerConfig]\ntrustedProxies = [\"10.0.0.0/8\", \"lb\"]\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.trustedProxies: \"lb\" is neither an address nor a network such as 10.0.0.0/8"},
		{name: "host bits", file: "[listenerConfig]\ntrustedProxies = [\"10.1.2.3/8\"]\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.trustedProxies: \"10.1.2.3/8\" is a host in a network; the network is 10.0.0.0/8"},
		{name: "key that verifies", file: "[artifact]\nverifyKeys = [\"gone.pub\"]\n",
			want: "runtime: micro-gw.conf:2:1: artifact.verifyKeys: no file \"gone.pub\""},
		{name: "keys that verify", file: "[artifact]\nverifyKeys = 7\n",
			want: "runtime: micro-gw.conf:2:1: artifact.verifyKeys: want a list of files, got an integer"},
		{name: "no name of a key", file: "[artifact]\nverifyKeys = [\"\"]\n",
			want: "runtime: micro-gw.conf:2:1: artifact.verifyKeys: a file's name is empty"},
		{name: "keys taken away", env: []string{"artifact_verifyKeys="},
			want: "runtime: env artifact_verifyKeys: artifact.verifyKeys: empty; none is [] in the file"},
		{name: "key set", file: issuer + "audience = \"a\"\njwksURL = \"issuer.example/jwks\"\n",
			want: "runtime: micro-gw.conf:4:1: jwtTokenConfig.0.jwksURL: \"issuer.example/jwks\" is not an http or https URL"},
		{name: "endpoint", set: []string{"petstore_prod_endpoint_0=localhost:8080"},
			want: "runtime: -e: petstore_prod_endpoint_0: \"localhost:8080\" is not an http or https URL"},

		// Files and references.
		{name: "no conf's file", file: "[listenerConfig]\nkeyStorePath = \"gone.p12\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.keyStorePath: no file \"gone.p12\""},
		{name: "folder", file: "[listenerConfig]\nkeyStorePath = \"folder\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.keyStorePath: \"folder\" is a folder"},
		{name: "WSO2's folder", file: "[listenerConfig]\nkeyStorePath = \"${mgw-runtime.home}/my.p12\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.keyStorePath: ${mgw-runtime.home} is not expanded by this gateway; write the path itself"},
		{name: "no variable", file: "[listenerConfig]\nkeyStorePath = \"store.p12\"\nkeyStorePassword = \"${env:PASS}\"\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.keyStorePassword: ${env:PASS}: no environment variable PASS"},
		{name: "no file", file: "[listenerConfig]\nkeyStorePath = \"store.p12\"\nkeyStorePassword = \"${file:gone}\"\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.keyStorePassword: ${file:gone}: no such file"},
		{name: "folder for a secret", set: []string{"listenerConfig.keyStorePath=store.p12", "listenerConfig.keyStorePassword=${file:folder}"},
			want: "runtime: -e: listenerConfig.keyStorePassword: ${file:folder}: not a regular file"},
		{name: "no brace", file: "[listenerConfig]\nhost = \"${env:HOST\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.host: \"${env:\" has no closing brace"},
		{name: "secret in the wrong place", file: "[listenerConfig]\nhttpPort = \"${file:secret}\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: \"${file:secret}\" stands for something that is not allowed here: want port"},
		{name: "WSO2's encryption", file: "[listenerConfig]\nkeyStorePath = \"store.p12\"\nkeyStorePassword = \"@encrypted:{abc}\"\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.keyStorePassword: values encrypted by WSO2's tools cannot be read; use ${env:NAME} or ${file:PATH}"},

		// Contradictions.
		{name: "certificate without its key", file: "[listenerConfig]\ncertificateFile = \"cert.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.certificateFile: needs listenerConfig.privateKeyFile"},
		{name: "key without its certificate", file: "[listenerConfig]\nprivateKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.privateKeyFile: needs listenerConfig.certificateFile"},
		{name: "password without store", file: "[listenerConfig]\nkeyStorePassword = \"x\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.keyStorePassword: needs listenerConfig.keyStorePath"},
		{name: "two identities", file: "[listenerConfig]\ncertificateFile = \"cert.pem\"\nprivateKeyFile = \"key.pem\"\nkeyStorePath = \"store.p12\"\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.certificateFile: there is listenerConfig.keyStorePath, too; only one of them can be used"},
		{name: "one port twice", file: "[listenerConfig]\nhttpPort = 9095\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: listenerConfig.httpPort and listenerConfig.httpsPort are both 9095"},
		{name: "admin's port", file: "[listenerConfig]\nhttpPort = 9000\n",
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: admin.address and listenerConfig.httpPort are both port 9000"},
		{name: "no port", file: "[listenerConfig]\nhttpPort = -1\nhttpsPort = -1\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.httpsPort: no port is left for APIs"},
		{name: "more idle than allowed", file: "[httpClients.poolConfig]\nmaxActiveConnections = 10\nmaxIdleConnections = 20\n",
			want: "runtime: micro-gw.conf:3:1: httpClients.poolConfig.maxIdleConnections: 20 is more than httpClients.poolConfig.maxActiveConnections, which is 10"},
		{name: "set twice", file: "[listenerConfig]\nhttpPort = 1\nhttpPort = 2\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.httpPort: set already: line 2"},
		{name: "set twice by two names", file: "[listenerConfig]\nkeyStore.path = \"store.p12\"\nkeyStorePath = \"store.p12\"\n",
			want: "runtime: micro-gw.conf:3:1: listenerConfig.keyStorePath: set already: line 2, as listenerConfig.keyStore.path"},
		{name: "set twice by two variables", env: []string{"jwtTokenConfig_issuer=a", "jwtTokenConfig_0_issuer=b", "jwtTokenConfig_audience=a", "jwtTokenConfig_jwksURL=https://i/k"},
			want: "runtime: env jwtTokenConfig_issuer: jwtTokenConfig.0.issuer: set already: env jwtTokenConfig_0_issuer"},
		{name: "issuer without a key", file: issuer + "audience = \"a\"\n",
			want: "runtime: micro-gw.conf:2:1: jwtTokenConfig.0: has no key: set discovery, jwksURL, publicKeyFile or certificateAlias"},
		{name: "issuer without a name", file: "[jwtTokenConfig]\naudience = \"a\"\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:1:2: jwtTokenConfig.0: no issuer is named"},
		{name: "alias without a store", file: issuer + "audience = \"a\"\ncertificateAlias = \"x\"\n",
			want: "runtime: micro-gw.conf:4:1: jwtTokenConfig.0.certificateAlias: needs listenerConfig.trustStorePath"},
		{name: "two keys", file: issuer + "audience = \"a\"\npublicKeyFile = \"key.pem\"\njwksURL = \"https://i/k\"\n",
			want: "runtime: micro-gw.conf:4:1: jwtTokenConfig.0.publicKeyFile: there is jwksURL, too; only one of them can be used"},
		{name: "algorithm beside a key set", file: issuer + "audience = \"a\"\nalgorithm = \"PS256\"\njwksURL = \"https://i/k\"\n",
			want: "runtime: micro-gw.conf:4:1: jwtTokenConfig.0.algorithm: the keys of a key set say their own algorithms"},
		{name: "one issuer twice", file: issuer + "audience = \"a\"\npublicKeyFile = \"key.pem\"\n" + issuer + "audience = \"a\"\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:6:1: jwtTokenConfig.1.issuer: \"i\" is the issuer of jwtTokenConfig.0, too; list all its keys in one key set, and name that by jwksURL"},
		{name: "the development issuer", file: "[[jwtTokenConfig]]\nissuer = \"https://development.micro-gw.invalid\"\naudience = \"a\"\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: jwtTokenConfig.0.issuer: this is the issuer of development tokens; start with --dev to accept them"},
		{name: "issuers with a gap", set: []string{"jwtTokenConfig.2.issuer=i", "jwtTokenConfig.2.jwksURL=https://i/k"},
			want: "runtime: -e: jwtTokenConfig.2: issuers are numbered from 0 on, and there is no 0"},
		{name: "development by file", file: "[development]\nenabled = true\n",
			want: "runtime: micro-gw.conf:2:1: development.enabled: development mode is switched on by --dev and nothing else"},
		{name: "development by environment", env: []string{"development_enabled=true"},
			want: "runtime: env development_enabled: development.enabled: development mode is switched on by --dev and nothing else"},
		{name: "development against itself", set: []string{"development.enabled=false"}, dev: true,
			want: "runtime: -e: development.enabled: contradicts --dev"},

		{name: "keys of nobody", file: "[apikey.tokenConfigs]\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: apikey.tokenConfigs.publicKeyFile: no issuer is named: set issuer beside it"},
		{name: "keys without a key", file: "[apikey.tokenConfigs]\nissuer = \"i\"\n",
			want: "runtime: micro-gw.conf:2:1: apikey.tokenConfigs.issuer: has no key: set jwksURL, publicKeyFile or certificateAlias beside it"},
		{name: "keys of development", file: "[apikey.tokenConfigs]\nissuer = \"https://apikey.development.micro-gw.invalid\"\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: apikey.tokenConfigs.issuer: this is the issuer of development keys; start with --dev to accept them"},
		{name: "keys by two keys", file: "[apikey.tokenConfigs]\nissuer = \"i\"\npublicKeyFile = \"key.pem\"\njwksURL = \"https://i/k\"\n",
			want: "runtime: micro-gw.conf:3:1: apikey.tokenConfigs.publicKeyFile: there is jwksURL, too; only one of them can be used"},
		{name: "keys of one issuer twice", file: "[[apikey.tokenConfigs]]\nissuer = \"i\"\npublicKeyFile = \"key.pem\"\n[[apikey.tokenConfigs]]\nissuer = \"i\"\njwksURL = \"https://i/k\"\n",
			want: "runtime: micro-gw.conf:5:1: apikey.tokenConfigs.1.issuer: \"i\" is the issuer of apikey.tokenConfigs.0, too; list all its keys in one key set, and name that by jwksURL"},
		{name: "keys of nobody, the second", file: "[[apikey.tokenConfigs]]\nissuer = \"i\"\npublicKeyFile = \"key.pem\"\n[[apikey.tokenConfigs]]\naudience = \"a\"\n",
			want: "runtime: micro-gw.conf:5:1: apikey.tokenConfigs.1.audience: no issuer is named: set issuer beside it"},
		{name: "keys by an alias without a store", file: "[apikey.tokenConfigs]\nissuer = \"i\"\ncertificateAlias = \"x\"\n",
			want: "runtime: micro-gw.conf:3:1: apikey.tokenConfigs.certificateAlias: needs listenerConfig.trustStorePath"},
		{name: "tokens of the issuer of development keys", file: "[[jwtTokenConfig]]\nissuer = \"https://apikey.development.micro-gw.invalid\"\naudience = \"a\"\npublicKeyFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:2:1: jwtTokenConfig.0.issuer: this is the issuer of development tokens; start with --dev to accept them"},

		{name: "the empty password", file: "[b7a.users.alice]\npassword = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n",
			want: "runtime: micro-gw.conf:2:1: b7a.users.alice.password: is the hash of an empty password, which nobody may have"},
		{name: "two user stores", file: "[userStore]\nldap.urls = \"ldaps://a\"\nldap.userDN = \"uid={user}\"\nhttp.urls = \"https://a\"\n",
			want: "runtime: micro-gw.conf:4:1: userStore.http.urls: there is userStore.ldap, too, with userDN: that cannot tell who is not in the directory, and one user would have two passwords; search for users there (userStore.ldap.baseDN)"},
		{name: "passwords in the open", file: "[userStore.http]\nurls = [\"https://a\", \"http://b.example/x\"]\n",
			want: "runtime: micro-gw.conf:2:1: userStore.http.urls: http://b.example/x: without TLS everybody on the way reads the passwords; write https"},
		{name: "binds in the open", file: "[userStore.ldap]\nurls = \"ldap://b.example\"\nuserDN = \"uid={user}\"\n",
			want: "runtime: micro-gw.conf:2:1: userStore.ldap.urls: ldap://b.example: without TLS everybody on the way reads the passwords; write ldaps, or set startTLS"},
		{name: "not a directory", file: "[userStore.ldap]\nurls = \"https://b.example\"\nuserDN = \"uid={user}\"\n",
			want: "runtime: micro-gw.conf:2:1: userStore.ldap.urls: \"https://b.example\" is not a URL such as ldaps://users.example.com"},
		{name: "a template of nobody", file: "[userStore.ldap]\nurls = \"ldaps://b.example\"\nuserDN = \"uid=user\"\n",
			want: "runtime: micro-gw.conf:3:1: userStore.ldap.userDN: \"uid=user\" does not have {user} in it once"},
		{name: "a directory without a place", file: "[userStore.ldap]\nurls = \"ldaps://b.example\"\n",
			want: "runtime: micro-gw.conf:2:1: userStore.ldap.urls: needs userDN, or baseDN to search below"},
		{name: "a template and a search", file: "[userStore.ldap]\nurls = \"ldaps://b.example\"\nuserDN = \"uid={user}\"\nfilter = \"(cn={user})\"\n",
			want: "runtime: micro-gw.conf:4:1: userStore.ldap.filter: there is userDN, which needs no search"},
		{name: "half of a bind", file: "[userStore.ldap]\nurls = \"ldaps://b.example\"\nbaseDN = \"dc=x\"\nbindDN = \"cn=x\"\n",
			want: "runtime: micro-gw.conf:4:1: userStore.ldap.bindDN: a name to bind as and its password go together"},
		{name: "twice TLS", file: "[userStore.ldap]\nurls = \"ldaps://b.example\"\nbaseDN = \"dc=x\"\nstartTLS = true\n",
			want: "runtime: micro-gw.conf:4:1: userStore.ldap.startTLS: ldaps has TLS from the beginning: it goes with ldap"},
		{name: "a user store of nobody", file: "[userStore.http]\nusername = \"u\"\n",
			want: "runtime: micro-gw.conf:2:1: userStore.http.username: needs userStore.http.urls"},

		// What WSO2's gateway would keep out.
		{name: "client certificates", file: "[mutualSSLConfig]\nsslVerifyClient = \"require\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.sslVerifyClient: needs listenerConfig.trustStorePath or mutualSSLConfig.authoritiesFile, which says whose certificates are trusted"},
		{name: "client certificates by list", file: "[[mutualSSLConfig.api.certificates]]\nname = \"petstore\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.api.certificates.0: the API's version is not named"},
		{name: "old TLS", file: "[mutualSSLConfig]\nprotocolVersions = \"TLSv1.1, TLSv1\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.protocolVersions: TLSv1.1, TLSv1 is refused: TLSv1.2 is the oldest that is safe (RFC 8996)"},
		{name: "unknown TLS", file: "[mutualSSLConfig]\nprotocolVersions = \"TLSv1.2,TLS9\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.protocolVersions: \"TLS9\" is not a TLS version; there are TLSv1.2 and TLSv1.3"},
		{name: "SSL", file: "[mutualSSLConfig]\nprotocolName = \"SSL\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.protocolName: \"SSL\" is not supported; only \"TLS\" is"},
		{name: "weak ciphers", file: "[mutualSSLConfig]\nciphers = \"SSL_RSA_WITH_3DES_EDE_CBC_SHA\"\n",
			want: "runtime: micro-gw.conf:2:1: mutualSSLConfig.ciphers: none of these cipher suites is safe for TLS 1.2"},
		{name: "revocation without a broker", file: "[tokenRevocationConfig.realtime]\nenableRealtimeMessageRetrieval = true\n",
			want: "runtime: micro-gw.conf:2:1: tokenRevocationConfig.realtime.enableRealtimeMessageRetrieval: needs tokenRevocationConfig.realtime.jmsConnectionProviderUrl, which says where the broker is"},
		{name: "revocation from an extension", file: "[tokenRevocationConfig]\npersistent.enablePersistentStorageRetrieval = true\npersistent.useDefault = false\n",
			want: "runtime: micro-gw.conf:3:1: tokenRevocationConfig.persistent.useDefault: false is an extension of WSO2's gateway, which this one does not have: revoked tokens would be let in"},
		{name: "revocation from another extension", file: "[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\ntype = \"custom\"\n",
			want: "runtime: micro-gw.conf:3:1: tokenRevocationConfig.persistent.type: \"custom\" is an extension of WSO2's gateway, which this one does not have: revoked tokens would be let in"},
		{name: "revocation from nowhere", file: "[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\ntype = \"default\"\n",
			want: "runtime: micro-gw.conf:2:1: tokenRevocationConfig.persistent.enablePersistentStorageRetrieval: needs tokenRevocationConfig.persistent.endpointURL, since the type is \"default\""},
		{name: "revocation from two places", file: "[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\nhostname = \"https://e:2379/jti/\"\nendpointURL = \"https://h/internal/data/v1\"\n",
			want: "runtime: micro-gw.conf:4:1: tokenRevocationConfig.persistent.endpointURL: there is tokenRevocationConfig.persistent.hostname, too\n\thint: tokenRevocationConfig.persistent.type says which of them: \"default\" for the event hub, or \"etcd\""},
		{name: "revocation from a strange etcd", file: "[tokenRevocationConfig.persistent]\nhostname = \"ftp://x\"\n",
			want: "runtime: micro-gw.conf:2:1: tokenRevocationConfig.persistent.hostname: \"ftp://x\" is not a URL of etcd, such as https://localhost:2379/v2/keys/jti/"},
		{name: "revocation from an etcd with a password in its URL", file: "[tokenRevocationConfig.persistent]\nhostname = \"http://root:hunter2@localhost:2379/\"\n",
			want: "runtime: micro-gw.conf:2:1: tokenRevocationConfig.persistent.hostname: credentials in the URL are not supported"},
		{name: "certificates without TLS", file: "listenerConfig.httpsPort = -1\n[mutualSSLConfig]\nsslVerifyClient = \"require\"\nauthoritiesFile = \"key.pem\"\n",
			want: "runtime: micro-gw.conf:3:1: mutualSSLConfig.sslVerifyClient: listenerConfig.httpsPort is off, and there are no certificates without TLS"},
		{name: "certificates where tokens are", file: "[mutualSSLConfig]\nsslVerifyClient = \"optional\"\nauthoritiesFile = \"key.pem\"\nupstreamHeader = \"authorization\"\n",
			want: "runtime: micro-gw.conf:4:1: mutualSSLConfig.upstreamHeader: is authConfig.authorizationHeader, too: nobody could send a token"},
		{name: "certificates in Via", file: "[mutualSSLConfig]\nsslVerifyClient = \"optional\"\nauthoritiesFile = \"key.pem\"\nupstreamHeader = \"Via\"\n",
			want: "runtime: micro-gw.conf:4:1: mutualSSLConfig.upstreamHeader: \"Via\" is a field that is dropped or made anew on the way to upstreams"},
		{name: "certificates in x_forwarded-For", file: "[mutualSSLConfig]\nsslVerifyClient = \"optional\"\nauthoritiesFile = \"key.pem\"\nupstreamHeader = \"x_forwarded-For\"\n",
			want: "runtime: micro-gw.conf:4:1: mutualSSLConfig.upstreamHeader: \"x_forwarded-For\" is a field that is dropped or made anew on the way to upstreams"},
		{name: "certificates in Content-Length", file: "[mutualSSLConfig]\nsslVerifyClient = \"optional\"\nauthoritiesFile = \"key.pem\"\nupstreamHeader = \"Content-Length\"\n",
			want: "runtime: micro-gw.conf:4:1: mutualSSLConfig.upstreamHeader: \"Content-Length\" is a field that is dropped or made anew on the way to upstreams"},
		{name: "backend JWT in Forwarded", file: "[jwtConfig]\nheader = \"Forwarded\"\n",
			want: "runtime: micro-gw.conf:2:1: jwtConfig.header: \"Forwarded\" is a field that is dropped or made anew on the way to upstreams"},
		{name: "revocation on a pattern of topics", file: "[tokenRevocationConfig.realtime]\njmsConnectionTopic = \"token.*\"\n",
			want: "runtime: micro-gw.conf:2:1: tokenRevocationConfig.realtime.jmsConnectionTopic: \"token.*\" is not a topic"},
		{name: "subscription as text", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\nvalidateSubscription = \"yes\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.validateSubscription: want true or false, got a string"},
		{name: "cookie that is none", file: "[authConfig]\ncookie = \"a b\"\n",
			want: "runtime: micro-gw.conf:2:1: authConfig.cookie: \"a b\" is not a cookie's name"},
		{name: "origins without a cookie", file: "[authConfig]\ncookieOrigins = [\"https://shop.test\"]\n",
			want: "runtime: micro-gw.conf:2:1: authConfig.cookieOrigins: needs authConfig.cookie"},
		{name: "origin with a path", file: "[authConfig]\ncookie = \"t\"\ncookieOrigins = [\"https://shop.test/\"]\n",
			want: "runtime: micro-gw.conf:3:1: authConfig.cookieOrigins: \"https://shop.test/\" is not an origin such as https://shop.example.com"},
		{name: "origin null", file: "[authConfig]\ncookie = \"t\"\ncookieOrigins = \"null\"\n",
			want: "runtime: micro-gw.conf:3:1: authConfig.cookieOrigins: \"null\" is not an origin such as https://shop.example.com"},
		{name: "origin with the usual port", file: "[authConfig]\ncookie = \"t\"\ncookieOrigins = [\"https://shop.test:443\"]\n",
			want: "runtime: micro-gw.conf:3:1: authConfig.cookieOrigins: \"https://shop.test:443\": browsers leave out the usual port"},
		{name: "discovery beside a key set", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\nopenidConfigurationURL = \"https://i/m\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.openidConfigurationURL: there is jwksURL, too; only one of them can be used"},
		{name: "discovery beside an alias", file: issuer + "audience = \"a\"\ncertificateAlias = \"x\"\ndiscovery = true\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.discovery: there is certificateAlias, too; only one of them can be used"},
		{name: "discovery of no URL", file: issuer + "audience = \"a\"\ndiscovery = true\n",
			want: "runtime: micro-gw.conf:2:1: jwtTokenConfig.0.issuer: discovery needs a URL: \"i\" is not an http or https URL"},
		{name: "algorithm beside discovery", file: issuer + "audience = \"a\"\nopenidConfigurationURL = \"https://i/m\"\nalgorithm = \"PS256\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.algorithm: the keys of a key set say their own algorithms"},
		{name: "claim that decides", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\n[[jwtTokenConfig.claims]]\nremoteClaim = \"expires\"\nlocalClaim = \"exp\"\n",
			want: "runtime: micro-gw.conf:7:1: jwtTokenConfig.0.claims.0.localClaim: \"exp\" decides whether a token is good, and has one name"},
		{name: "claim without a name here", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\n[[jwtTokenConfig.claims]]\nremoteClaim = \"permissions\"\n",
			want: "runtime: micro-gw.conf:6:1: jwtTokenConfig.0.claims.0: the claim's name here is missing"},
		{name: "claims to one name", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\n[[jwtTokenConfig.claims]]\nremoteClaim = \"a\"\nlocalClaim = \"scope\"\n[[jwtTokenConfig.claims]]\nremoteClaim = \"b\"\nlocalClaim = \"scope\"\n",
			want: "runtime: micro-gw.conf:10:1: jwtTokenConfig.0.claims.1.localClaim: \"a\" and \"b\" cannot both be \"scope\""},
		{name: "claims of nobody", set: []string{"jwtTokenConfig.3.claims.0.remoteClaim=a", "jwtTokenConfig.3.claims.0.localClaim=b"},
			want: "runtime: -e: jwtTokenConfig.3.claims.0.remoteClaim: there is no issuer 3"},
		{name: "FAPI without certificates", file: issuer + "audience = \"a\"\njwksURL = \"https://i/k\"\nprofile = \"fapi\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtTokenConfig.0.profile: needs mutualSSLConfig.sslVerifyClient: a token is bound to a client certificate, and clients are not asked for one"},
		{name: "FAPI with RS256", file: "[mutualSSLConfig]\nsslVerifyClient = \"optional\"\nauthoritiesFile = \"key.pem\"\n" + issuer + "audience = \"a\"\npublicKeyFile = \"key.pem\"\nalgorithm = \"RS256\"\nprofile = \"fapi\"\n",
			want: "runtime: micro-gw.conf:8:1: jwtTokenConfig.0.algorithm: want PS256 or ES256, by the profile fapi"},
		{name: "backend JWT without a key", file: "[jwtGeneratorConfig]\njwtGeneratorEnabled = true\n",
			want: "runtime: micro-gw.conf:2:1: jwtGeneratorConfig.jwtGeneratorEnabled: needs a key to sign with: set jwtGeneratorConfig.privateKeyFile, or give the HTTPS port a key of its own (listenerConfig.keyStorePath, listenerConfig.certificateFile)"},
		{name: "backend JWT that is not signed", file: "[jwtGeneratorConfig]\nsigningAlgorithm = \"NONE\"\n",
			want: "runtime: micro-gw.conf:2:1: jwtGeneratorConfig.signingAlgorithm: a token that nobody has signed could be from anybody: want SHA256withRSA or ES256"},
		{name: "backend JWT in the credentials' field", file: "[jwtGeneratorConfig]\njwtGeneratorEnabled = true\nprivateKeyFile = \"key.pem\"\n[jwtConfig]\nheader = \"authorization\"\n",
			want: "runtime: micro-gw.conf:5:1: jwtConfig.header: jwtConfig.header and authConfig.authorizationHeader are the same field"},
		{name: "outbound proxy", file: "[httpClients.proxy]\nenable = true\n",
			want: "runtime: micro-gw.conf:2:1: httpClients.proxy.enable: true is not supported by this version: upstreams would be called directly"},
		{name: "certificate for upstreams", file: "[httpClients.sslConfig]\nkeyStorePath = \"store.p12\"\n",
			want: "runtime: micro-gw.conf:2:1: httpClients.sslConfig.keyStorePath: \"store.p12\" is not supported by this version: upstreams would not see our certificate"},

		// TOML.
		{name: "no value", file: "[listenerConfig]\nhttpPort =\n",
			want: "runtime: micro-gw.conf:2:11: unexpected character U+000A at start of value"},
		{name: "open string", file: "[listenerConfig]\nhost = \"abc\nhttpPort = 1\n",
			want: "runtime: micro-gw.conf:2:12: basic strings cannot have new lines"},
		{name: "leading zero", file: "[listenerConfig]\nhttpPort = 0900\n",
			want: "runtime: micro-gw.conf:2:12: integers cannot have leading zeroes"},
		{name: "table twice", file: "[server]\n[shutdown]\n[server]\n",
			want: "runtime: micro-gw.conf:3:2: table server already exists"},
		{name: "two values on a line", file: "[server]\ntimestampSkew = 1 header = \"x\"\n",
			want: "runtime: micro-gw.conf:2:19: expected newline but got U+0068 'h'"},
		{name: "not text", file: "\xff\xfe",
			want: "runtime: micro-gw.conf:1:1: invalid character at start of key: U+00FF 'ÿ'"},
		{name: "endpoint in a table", file: "[http2]\npetstore_prod_endpoint_0 = \"http://a\"\n",
			want: "runtime: micro-gw.conf:2:1: http2.petstore_prod_endpoint_0: unknown key\n\thint: write petstore_prod_endpoint_0 above the first table"},

		// All at once, in order; past a syntax error it goes on with the next
		// table.
		{name: "several",
			file: "[listenerConfig]\nhttpPort = 90900\nmaxHeaderSize = 1\n\n[server]\ntimestampSkew = nine\nheader = 1\n\n[shutdown]\ngrace = 20\nbeg = 1\n",
			env:  []string{"caching_enabled=x"}, set: []string{"nope=1", "listenerConfig.host= "},
			want: "runtime: micro-gw.conf:2:1: listenerConfig.httpPort: 90900 is not a port\n" +
				"runtime: micro-gw.conf:3:1: listenerConfig.maxHeaderSize: 1 is too small: at least 128\n" +
				"runtime: micro-gw.conf:6:17: expected keyword \"nan\"\n" +
				"runtime: micro-gw.conf:10:1: shutdown.grace: want a duration such as \"10s\", got an integer\n" +
				"runtime: micro-gw.conf:11:1: shutdown.beg: unknown key\n" +
				"runtime: env caching_enabled: caching.enabled: \"x\" is not true or false\n" +
				"runtime: -e: nope: unknown key\n" +
				"runtime: -e: listenerConfig.host: \" \" is neither an address nor a host name"},
	}
}

func TestNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, want := range map[string]string{
		"gone.conf": "runtime: gone.conf: no such file or directory",
		".":         "runtime: .: is a directory",
	} {
		if _, err := conf.Load(conf.Options{Path: path}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	write(t, "large.conf", strings.Repeat("#\n", 1<<20))
	if _, err := conf.Load(conf.Options{Path: "large.conf"}); err == nil || err.Error() != "runtime: large.conf: larger than 1048576 bytes" {
		t.Errorf("got %v", err)
	}
}
