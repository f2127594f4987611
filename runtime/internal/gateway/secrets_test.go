package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
	"github.com/microgw/microgw/schema/artifactpb"
)

// secrets are texts that no log may hold, and whoever may not be told them.
type secrets struct {
	mu  sync.Mutex
	all map[string]string // guarded by mu: what is looked for, and what it is of
}

// add returns s, having taken note of it in the spellings that it may have.
func (k *secrets) add(what, s string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[string]string{}
	}
	parts := strings.Split(s, ".")
	if len(parts) >= 3 && strings.HasPrefix(s, "eyJ") {
		// Of a token each part by itself, cut off at either end, too. Its header is no
		// secret.
		for i, p := range parts[1:] {
			if len(p) > 24 {
				k.all[p[:24]], k.all[p[len(p)-24:]] = fmt.Sprintf("%s, part %d", what, i+2), fmt.Sprintf("%s, end of part %d", what, i+2)
			}
		}
		return s
	}
	for spelling, text := range map[string]string{
		"": s, " in a query": url.QueryEscape(s), " in base64": base64.StdEncoding.EncodeToString([]byte(s)), " in base64url": base64.RawURLEncoding.EncodeToString([]byte(s)),
		" in hex": hex.EncodeToString([]byte(s)), " quoted": strings.Trim(fmt.Sprintf("%q", s), `"`),
	} {
		k.all[text] = what + spelling
	}
	return s
}

// addKey takes note of a private key in a file.
func (k *secrets) addKey(t *testing.T, what, path string) string {
	t.Helper()
	for line := range strings.Lines(read(t, path)) {
		if line = strings.TrimSpace(line); len(line) == 64 && !strings.Contains(line, "-") {
			k.add(what, line)
		}
	}
	return path
}

// missing fails the test for each secret that is in a text.
func (k *secrets) missing(t *testing.T, where, text string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for secret, what := range k.all {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s has %s:\n...%s...", where, what, text[max(0, i-150):min(len(text), i+len(secret)+50)])
		}
	}
}

// liar is a dependency over HTTP. As long as it lies, it fails and repeats
// whatever it was sent.
type liar struct {
	*httptest.Server
	lies  atomic.Bool
	asked atomic.Int64
}

func newLiar(t *testing.T, honest http.HandlerFunc) *liar {
	l := &liar{}
	l.lies.Store(true)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		if !l.lies.Load() {
			honest(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		form, _ := url.QueryUnescape(string(body))
		user, password, _ := r.BasicAuth()
		echo := fmt.Sprintf("%s %s %s %s %s %v", body, form, user, password, r.RequestURI, r.Header)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "http://127.0.0.1:1/?"+url.QueryEscape(echo))
		w.WriteHeader([]int{400, 500, 302, 200, 401}[l.asked.Load()%5])
		text, _ := json.Marshal(map[string]any{"message": echo, "error": echo, "iss": echo, "active": echo, echo: echo})
		_, _ = w.Write(text)
	}))
	t.Cleanup(func() { l.CloseClientConnections(); l.Close() })
	return l
}

// stompLiar is a broker. At first it repeats what it is sent in an error; then it
// delivers messages, which name revoked tokens.
func stompLiar(t *testing.T, messages ...string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn, lie bool) {
		defer c.Close()
		in := bufio.NewReader(c)
		for {
			frame, err := in.ReadString(0)
			if err != nil {
				return
			}
			frame = strings.TrimLeft(frame, "\r\n")
			header := func(name string) string {
				m := regexp.MustCompile(`\n` + name + `:(.*)`).FindStringSubmatch(frame)
				if m == nil {
					return ""
				}
				return m[1]
			}
			switch {
			case lie:
				echo := strings.NewReplacer("\n", " ", "\x00", "", ":", "=").Replace(frame)
				fmt.Fprintf(c, "ERROR\nmessage:cannot do %s\n\n%s\x00", echo, echo)
				return
			case strings.HasPrefix(frame, "CONNECT"), strings.HasPrefix(frame, "STOMP"):
				fmt.Fprint(c, "CONNECTED\nversion:1.2\n\n\x00")
			case strings.HasPrefix(frame, "SUBSCRIBE"):
				for i, m := range messages {
					fmt.Fprintf(c, "MESSAGE\nsubscription:%s\nmessage-id:%d\ndestination:%s\n\n%s\x00", header("id"), i, header("destination"), m)
				}
			}
			if receipt := header("receipt"); receipt != "" {
				fmt.Fprintf(c, "RECEIPT\nreceipt-id:%s\n\n\x00", receipt)
			}
		}
	}
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c, n == 0)
		}
	}()
	return l.Addr().String()
}

// echoing is a server of no protocol: it says back what it hears.
func echoing(t *testing.T, wrap func([]byte) []byte) (address string) {
	t.Helper()
	return gatewaytest.Serve(t, func(c net.Conn) {
		b := make([]byte, 16<<10)
		n, err := c.Read(b)
		if err == nil {
			_, _ = c.Write(wrap(b[:n]))
		}
	}).Addr().String()
}

// ldapAnswer is a BindResponse (RFC 4511, section 4.2.2) that repeats what it was
// sent.
func ldapAnswer(code byte) func([]byte) []byte {
	return func(in []byte) []byte {
		said := bytes.Map(func(r rune) rune {
			if r < 0x20 || r > 0x7e {
				return ' '
			}
			return r
		}, in)
		said = said[:min(len(said), 80)]
		inner := append([]byte{0x0a, 1, code, 0x04, 0, 0x04, byte(len(said))}, said...)
		body := append([]byte{0x02, 1, 1, 0x61, byte(len(inner))}, inner...)
		return append([]byte{0x30, byte(len(body))}, body...)
	}
}

// allSchemes is pairProject with methods that change something, and an operation
// whose upstream has a password.
func allSchemes(upstream, broken string, key []byte) *artifactpb.Artifact {
	a := pairProject(upstream, key)
	ops := a.Apis[0].Operations
	post := proto.CloneOf(ops[1])
	post.Id, post.Method = "POST /pet", "POST"
	scoped := proto.CloneOf(ops[1])
	scoped.Id, scoped.Path = "GET /scoped", "/scoped"
	scoped.Stages = append(scoped.Stages, &artifactpb.Stage{Name: "scope", Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: []string{"read"}}}})
	bad := proto.CloneOf(ops[0])
	bad.Id, bad.Path, bad.ProductionCluster = "GET /broken", "/broken", 2
	a.Apis[0].Operations = append(ops, post, scoped, bad)
	a.Clusters[0].Auth = &artifactpb.UpstreamAuth{Type: artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_BASIC, Username: "gateway"}
	a.Clusters = append(a.Clusters, &artifactpb.Cluster{
		Name: "broken", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_SINGLE,
		Endpoints: []*artifactpb.Endpoint{{Url: "http://" + broken + "/a"}},
	})
	return a
}

// Everything that a gateway does about who may call, at the most talkative level,
// with dependencies that fail and repeat what they were told, then work, then are
// gone; and whatever it says of itself, to the logs, on the admin port, on the
// command line: nothing of it holds a token, a password or a key.
func TestNothingSaysASecret(t *testing.T) {
	for _, way := range []string{"issuer, introspection, web service, STOMP, etcd", "issuer's file, key validation, directory, AMQP, event hub"} {
		t.Run(way, func(t *testing.T) { nothingSaysASecret(t, strings.HasPrefix(way, "issuer,")) })
	}
}

func nothingSaysASecret(t *testing.T, first bool) {
	var k secrets
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	dev, s, other, ca, strangers := newSigner(t), newSigner(t), newSigner(t), newAuthority(t, "ours"), newAuthority(t, "theirs")

	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if told := r.Header.Get("X-JWT-Assertion"); told != "" {
			k.add("the backend JWT", told)
		}
		fmt.Fprint(w, "up")
	}))
	t.Cleanup(backend.Close)
	put(t, file("all.mgw"), allSchemes(backend.URL, echoing(t, func(in []byte) []byte { return append([]byte("HTTP/1.1 200 "), in...) }), dev.JWK))

	// Keys of the gateway's own.
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing := k.addKey(t, "the key of the backend JWT", keyFile(t, own))
	cert := ca.client("gateway", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	store, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, nil, k.add("the key store's password", "key-store-word"))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, file("key.p12"), store)
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{cert.Leaf}, k.add("the trust store's password", "trust-store-word"))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, file("trust.p12"), trust)

	// Callers' credentials.
	issuer, _ := provider(t, s)
	token := func(what string, by *signer, change map[string]any) string {
		claims := map[string]any{"iss": issuer, "scope": "read", "jti": "jti-of-" + what}
		for name, v := range change {
			claims[name] = v
		}
		return k.add("a token ("+what+")", by.issue(t, claims))
	}
	good := token("good", s, nil)
	revoked := token("revoked", s, nil)
	apiKey := func(what string, by *signer, change map[string]any) string {
		return k.add("an API key ("+what+")", by.apiKey(t, "https://keys.example", change))
	}
	goodKey := apiKey("good", s, nil)
	forged := strings.Split(good, ".")
	tokens := []string{
		good, revoked, goodKey,
		token("expired", s, map[string]any{"exp": 1}), token("forged", other, nil), token("of others", s, map[string]any{"iss": "https://elsewhere.example"}),
		token("audience", s, map[string]any{"aud": "others"}), token("bound", s, map[string]any{"cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)}}),
		token("scope", s, map[string]any{"scope": "write"}), token("no claim", s, map[string]any{"jti": 1}), token("subscribed", s, map[string]any{"subscribedAPIs": []any{map[string]any{"name": "Shop", "version": "1"}}}),
		k.add("a development token", dev.token(t, "")),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + forged[1] + ".", good + "=", good + "." + good, good[:len(good)-8], " " + good, `"` + good + `"`,
		k.add("an opaque token", "opaque-good-0b9c4d5e-1f2a"), k.add("a bad opaque token", "opaque-bad-7f00aa11-5c4d"), k.add("a token with one dot", "opaque-good.77aa-33bb-9c"),
		k.add("something that is none", "two.dots.and-a-thing-that-is-none"),
	}
	apiKeys := []string{
		goodKey, good, apiKey("expired", s, map[string]any{"exp": 1}), apiKey("forged", other, nil), apiKey("of another API", s, map[string]any{"allowedAPIs": []any{map[string]any{"name": "Shop", "version": "1"}}}),
		apiKey("of another address", s, map[string]any{"permittedIP": "192.0.2.1"}), apiKey("bad limits", s, map[string]any{"permittedIP": "everywhere"}), k.add("a key that is none", "plain-key-5d4c3b2a"),
	}
	hash := func(password string) string {
		sum := sha256.Sum256([]byte(password))
		return k.add("a password's hash", hex.EncodeToString(sum[:]))
	}
	pairs := []string{
		"alice:" + k.add("a password", "alices-word-1"), "alice:" + k.add("a wrong password", "wrong-word-2"), "ada:" + k.add("a password of the store", "lovelace-3"),
		"ada:" + k.add("a wrong password of the store", "byron-word-4"), "nobody:" + k.add("nobody's password", "nobodys-word-5"), ":" + k.add("a password without a name", "nameless-6"),
		// What people put into the wrong field.
		k.add("a password in the user's place", "alices-word-7") + ":", k.add("an opaque token in the user's place", "opaque-good-user-8") + ":x", good + ":", k.add("a password without a colon", "colonless-9"),
	}
	k.add("a user's pair", pairs[0])

	// Those who are asked.
	introspection := newLiar(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%t,"aud":"gw","scope":"read"}`, strings.Contains(r.FormValue("token"), "good"))
	})
	users := newLiar(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"response":{"status":"%v"}}`, bytes.Contains(body, []byte("lovelace-3")))
	})
	manager := newLiar(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/token") && r.Header.Get("Authorization") != "" && bytes.Contains(body, []byte("client_credentials")) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":1}`, k.add("the gateway's own token", "own-token-8a7b6c5d"))
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/APIKeyValidationService") {
			fmt.Fprintf(w, `{"access_token":%q}`, k.add("a new token", "new-token-1a2b3c4d"))
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><n:validateKeyResponse xmlns:n="http://org.apache.axis2/xsd"><n:return><authorized>%t</authorized><validationStatus>900901</validationStatus></n:return></n:validateKeyResponse></e:Body></e:Envelope>`,
			bytes.Contains(body, []byte("good")))
	})
	etcd := newLiar(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/v3/auth/authenticate":
			fmt.Fprintf(w, `{"token":%q}`, k.add("etcd's token", "etcd-token-99887766"))
		case "/v3/kv/range":
			fmt.Fprintf(w, `{"header":{"revision":"7"},"kvs":[{"key":%q}]}`, base64.StdEncoding.EncodeToString([]byte(revoked)))
		case "/v3/watch":
			io.WriteString(w, `{"result":{"header":{"revision":"7"},"created":true}}`+"\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			http.Error(w, `{"message":"not here"}`, 400)
		}
	})
	hub := newLiar(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"jwt_signature":%q,"expiry_time":4102444800000}]`, revoked[strings.LastIndexByte(revoked, '.')+1:])
	})
	liars := []*liar{introspection, users, manager, etcd, hub}

	const revocations = "tokenRevocationConfig."
	set := local("b7a.log.level=TRACE", "listenerConfig.tokenListenerPort=0", "accessLog.enabled=true", "accessLog.path="+file("access.log"), "listenerConfig.trustedProxies=127.0.0.1",
		"listenerConfig.keyStorePath="+file("key.p12"), "listenerConfig.keyStorePassword=key-store-word", "listenerConfig.trustStorePath="+file("trust.p12"), "listenerConfig.trustStorePassword=trust-store-word",
		"mutualSSLConfig.sslVerifyClient=optional", "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"), "authConfig.cookie=token",
		"b7a.users.alice.password="+hash("alices-word-1"), "apikey.tokenConfigs.issuer=https://keys.example", "apikey.tokenConfigs.publicKeyFile="+s.pem(t),
		"jwtTokenConfig.issuer="+issuer, "jwtTokenConfig.audience=gw", "jwtGeneratorConfig.jwtGeneratorEnabled=true", "jwtGeneratorConfig.publishKeys=true", "jwtGeneratorConfig.privateKeyFile="+signing,
		"api_1_prod_basic_password="+k.add("the upstream's password", "upstream-word-10"), "keyManager.serverUrl="+manager.URL,
		revocations+"realtime.enableRealtimeMessageRetrieval=true", revocations+"persistent.enablePersistentStorageRetrieval=true", revocations+"persistent.username=reader",
		revocations+"persistent.password="+k.add("the store's password", "persistent-word-11"), revocations+"persistent.snapshotPath="+file("revoked"))
	if first {
		set = append(set, "jwtTokenConfig.discovery=true", "accessLog.format=json",
			"introspection.url="+introspection.URL, "introspection.clientId=gw", "introspection.audience=gw", "introspection.clientSecret="+k.add("the gateway's secret", "client-word-12"), "introspection.failedJWT=true",
			"userStore.http.urls="+users.URL, "userStore.http.username=gw", "userStore.http.password="+k.add("the gateway's password", "service-word-13"),
			revocations+"realtime.jmsConnectionProviderUrl=stomp://"+stompLiar(t, revoked, `{"revokedToken":"`+revoked+`"}`, "\xff"+revoked, "x="+revoked, "{"+revoked, "<map><"+revoked+"></map>", "<"+good+"></x>"), revocations+"realtime.jmsConnectionUsername=gw",
			revocations+"realtime.jmsConnectionPassword="+k.add("the broker's password", "broker-word-14"), revocations+"persistent.hostname="+etcd.URL)
	} else {
		set = append(set, "jwtTokenConfig.publicKeyFile="+s.pem(t), "log.format=json",
			"keymanager.security.oauth2.enabled=true", "keymanager.security.oauth2.tokenUrl="+manager.URL+"/oauth2/token", "keymanager.security.oauth2.clientCredential.enabled=true",
			"keymanager.security.oauth2.clientCredential.clientId=gw", "keymanager.security.oauth2.clientCredential.clientSecret="+k.add("the gateway's secret", "client-word-15"),
			"userStore.ldap.urls=ldap://"+echoing(t, ldapAnswer(1))+",ldap://"+echoing(t, ldapAnswer(52)), "userStore.ldap.userDN=uid={user}",
			revocations+"realtime.jmsConnectionProviderUrl=amqp://gw:"+k.add("the broker's password", "broker-word-16")+"@carbon/carbon?brokerlist='tcp://"+echoing(t, func(in []byte) []byte { return in })+"'",
			revocations+"persistent.type=default", revocations+"persistent.endpointURL="+hub.URL)
	}
	o := conf.Options{Dev: true, Set: set}
	g := start(t, gateway.Options{Artifact: file("all.mgw"), Conf: o})

	clients := []*http.Client{caller(nil), caller(ca.client("mine"))}
	n := 0
	call := func(c *http.Client, method, path, body string, header ...string) {
		// Each from an address of its own: a client has ten lines a minute.
		n++
		for _, at := range []string{"http://" + g.at.HTTP, "https://" + g.at.HTTPS} {
			r, err := http.NewRequest(method, at+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n%250))
			for i := 0; i < len(header); i += 2 {
				r.Header.Add(header[i], header[i+1])
			}
			if resp, err := c.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
	}
	admin := func() {
		for _, path := range []string{"/", "/health", "/ready", "/version", "/routes", "/routes?format=json", "/metrics", "/config", "/debug/pprof/cmdline", "/.well-known/jwks.json", "/?token=" + good} {
			_, body := ask(client, "http://"+g.at.Admin+path)
			k.missing(t, "admin "+path, body)
		}
	}
	everything := func() {
		for _, c := range clients {
			for i, token := range tokens {
				path := []string{"/v1/pet", "/v1/scoped", "/v1/or/0/1", "/v1/and/0/5", "/v1/open", "/v1/broken"}
				call(c, "GET", path[i%len(path)], "", "Authorization", "Bearer "+token)
				call(c, "GET", "/v1/pet", "", "Authorization", "Bearer "+token)
				call(c, "POST", "/v1/pet", "", "Cookie", "token="+token, "Origin", "https://evil.test")
				call(c, "GET", "/v1/pet", "", "Cookie", "a=b; token="+token, "Referer", "https://shop.test/?access_token="+url.QueryEscape(token))
				call(c, "GET", "/v1/pet?access_token="+url.QueryEscape(token), "", "Authorization", token)
				call(c, "GET", "/v1/pet", "", "Authorization", "Bearer "+token, "Authorization", "Bearer "+token)
			}
			for _, key := range apiKeys {
				call(c, "GET", "/v1/or/2/3", "", "X-API-Key", key)
				call(c, "GET", "/v1/or/3/4?a=1&api_key="+url.QueryEscape(key), "")
				call(c, "GET", "/v1/or/4/2", "", "Cookie", "sesame="+key)
				call(c, "GET", "/v1/nowhere?api_key="+url.QueryEscape(key), "")
			}
			for _, pair := range pairs {
				value := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
				call(c, "GET", "/v1/or/1/2", "", "Authorization", value)
				call(c, "GET", "/v1/pet", "", "Authorization", value)
				call(c, "POST", "/token", "grant_type=password&username=x&password="+url.QueryEscape(pair), "Authorization", value, "Content-Type", "application/x-www-form-urlencoded")
				call(c, "POST", "/revoke", "token="+good, "Authorization", value)
			}
			c.CloseIdleConnections()
		}
		stranger := caller(strangers.client("theirs")) // whose handshake fails
		call(stranger, "GET", "/v1/pet", "", "Authorization", "Bearer "+good)
		stranger.CloseIdleConnections()
		// What is no HTTP.
		for _, raw := range []string{
			"GET http://alice:alices-word-1@x/v1/pet HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/pet HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer " + good + "\r\n\r\n",
			"GET /v1/pet HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\n " + good + "\r\n\r\n", "Bearer " + good + "\r\n\r\n", "CONNECT alice:alices-word-1@x:1 HTTP/1.1\r\n\r\n",
			"GET /v1/pet HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat(good, 3000) + "\r\n\r\n",
		} {
			c, err := net.Dial("tcp", g.at.HTTP)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, raw)
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1000))
			c.Close()
		}
		admin()
	}
	everything()
	for _, l := range liars {
		l.lies.Store(false)
	}
	// Who has been lied to for long does not ask again soon; who is new does.
	g.signals <- os.Interrupt
	if err := g.wait(); err != nil {
		t.Error(err)
	}
	lied := g.log
	g = start(t, gateway.Options{Artifact: file("all.mgw"), Conf: o})
	g.until("the store of revoked tokens is read", func() bool {
		_, body := ask(client, "http://"+g.at.Admin+"/ready")
		return regexp.MustCompile(`"kind": "persistent",[^}]*"connected": true`).MatchString(body)
	})
	everything()
	for _, l := range liars {
		l.CloseClientConnections()
		l.Close()
	}
	everything()
	admin()

	// An artifact that is refused, a conf that is printed, and one that is wrong.
	replace(t, file("all.mgw"), []byte(good))
	g.signals <- os.Interrupt
	if err := g.wait(); err != nil {
		t.Error(err)
	}
	c, err := conf.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{conf.Text, conf.JSON} {
		var b bytes.Buffer
		if err := c.Print(&b, format); err != nil {
			t.Fatal(err)
		}
		k.missing(t, "the printed conf", b.String())
	}
	k.missing(t, "the conf in a message", fmt.Sprintf("%v %+v %#v %+v %+v %+v", c.Listener, c.Listener, c.Revocation, c.KeyManager, c.Introspection, c.UserStore))
	for _, wrong := range []string{
		"tokenRevocationConfig.realtime.jmsConnectionProviderUrl=amqp://gw:broker%word-17@h:1", "tokenRevocationConfig.realtime.jmsConnectionProviderUrl=ftp://gw:broker-word-17@h:1",
		"tokenRevocationConfig.realtime.jmsConnectionProviderUrl=amqp://gw:broker-word-17@[h:x", "keyManager.serverUrl=https://gw:broker-word-17@h", "introspection.url=https://gw:broker-word-17@h",
		"userStore.http.urls=https://gw:broker-word-17@h", "userStore.ldap.urls=ldaps://gw:broker-word-17@h", "jwtTokenConfig.jwksURL=https://gw:broker-word-17@h/",
		"jwtTokenConfig.openidConfigurationURL=https://gw:broker-word-17@h/", "tokenRevocationConfig.persistent.hostname=https://gw:broker-word-17@h", "tokenRevocationConfig.persistent.endpointURL=https://gw:broker-word-17@h",
		"b7a.users.alice.password=broker-word-17", "listenerConfig.keyStorePassword=broker-word-17", "listenerConfig.trustStorePassword=broker-word-17", "api_1_prod_endpoint_0=ftp://gw:broker-word-17@h",
		"api_1_prod_endpoint_0=http://gw:broker%word-17@h", "introspection.clientSecret=${env:broker-word-17", "listenerConfig.httpPort=${env:broker-word-17",
	} {
		var stderr gatewaytest.Log
		_, err := gateway.Check(gateway.Options{Artifact: file("all.mgw"), Stderr: &stderr, Conf: conf.Options{Dev: true, Set: append(set, wrong)}})
		if name, _, _ := strings.Cut(wrong, "="); err != nil && regexp.MustCompile(`broker.word-17`).MatchString(err.Error()+stderr.String()) && !strings.Contains(wrong, "${") {
			t.Errorf("%s: the error says it: %v", name, err)
		}
	}

	log, access := lied.String()+g.log.String(), read(t, file("access.log"))
	k.missing(t, "the log", log)
	k.missing(t, "the access log", access)
	if m := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`).FindString(log + access); m != "" {
		t.Errorf("a log has something like a token: %s", m)
	}
	// The run was what it says.
	for what, want := range map[string]string{
		"let in": `" 200 |"status":200`, "bad token": "request not served.*code.{1,3}900901", "bad password": "request not served.*code.{1,3}900911", "bad key": "request not served.*code.{1,3}900908",
		"no users": "request not served.*code.{1,3}900900", "broker": "no subscription for token revocation", "the store": "cannot be read from",
	} {
		if !regexp.MustCompile(want).MatchString(log + access) {
			t.Errorf("%s: no %s", what, want)
		}
	}
	if first {
		info, err := os.Stat(file("revoked"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file of revoked tokens: %v %v", info, err)
		}
	}
}
