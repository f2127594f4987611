package gateway_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// Tokens that say nothing themselves are good if the server says so, which is
// asked about nothing else.
func TestOpaque(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	issuer := newSigner(t)

	var calls atomic.Int64
	var seen atomic.Value
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		seen.Store(r.FormValue("token"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%t,"aud":"gw"}`, strings.Contains(r.FormValue("token"), "good"))
	}))
	defer idp.Close()
	set := func(more ...string) conf.Options {
		return conf.Options{Path: os.DevNull, Set: local(append([]string{"introspection.url=" + idp.URL, "introspection.clientId=gateway",
			"introspection.clientSecret=hush-hush", "introspection.audience=gw"}, more...)...)}
	}
	g := start(t, gateway.Options{Artifact: path, Conf: set()})
	pet := "http://" + g.at.HTTP + "/v1/pet"
	signed := issuer.token(t, "https://elsewhere")
	for token, want := range map[string]int{"good-1": 200, "good.2": 200, "bad-1": 401, signed: 401, "good.good.good": 401, "good....": 401} {
		before := calls.Load()
		g.expect(pet, want, map[int]string{200: "^up /pet$", 401: `"code":900901`}[want], "Authorization", "Bearer "+token)
		if asked := calls.Load() > before; asked != (strings.Count(token, ".") < 2) {
			t.Errorf("%s: asked: %t", token, asked)
		}
	}
	// Several spellings of the field are one credential, and the upstream's is
	// none of them.
	g.expect(pet, 200, "^up", "Authorization", "bearer   good-1")
	idp.CloseClientConnections()
	idp.Close()
	g.expect(pet, 200, "^up", "Authorization", "Bearer good-1")
	g.expect(pet, 503, `"code":900900.*The access token cannot be checked now`, "Authorization", "Bearer good-3")
	g.untilLogged("opaque tokens cannot be checked")
	for range 4 {
		g.expect(pet, 503, `"code":900900`, "Authorization", "Bearer good-3")
	}
	g.expect("http://"+g.at.Admin+"/ready", 200, `opaque tokens that are not known yet cannot be checked: .*refused`)
	g.stop()
	for _, secret := range []string{"good", "bad-1", "hush", "eyJ"} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("%s was logged:\n%s", secret, g.log)
		}
	}
	if strings.Contains(g.log.String(), "no issuer of tokens is configured") {
		t.Errorf("a warning that is not true:\n%s", g.log)
	}
}

// The server is shown a certificate, and signed tokens of others are asked about
// where the operator has said so.
func TestOpaqueByCertificate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	ca := newAuthority(t, "ca")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	issue := func(name string) {
		own := ca.client(name)
		der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
		replace(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	issue("gateway")
	var shown atomic.Value
	idp := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || r.FormValue("client_id") != "gw" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v %v", r.Form, r.Header)
		}
		shown.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"active":true}`)
	}))
	idp.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	idp.StartTLS()
	defer idp.Close()
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{idp.Certificate()}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "trust.p12")
	replace(t, store, data)
	set := local("introspection.url="+idp.URL, "introspection.clientId=gw", "introspection.authMethod=tls_client_auth", "introspection.certificateFile="+cert,
		"introspection.keyFile="+key, "introspection.failedJWT=true", "listenerConfig.trustStorePath="+store, "listenerConfig.trustStorePassword=changeit")
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: set}})
	g.untilLogged("introspection.audience names no audience")
	pet := "http://" + g.at.HTTP + "/v1/pet"
	g.expect(pet, 200, "^up", "Authorization", "Bearer opaque")
	g.expect(pet, 200, "^up", "Authorization", "Bearer "+newSigner(t).token(t, "https://elsewhere"))
	g.expect(pet, 401, "900901", "Authorization", "Bearer not.a.token")
	if got := shown.Load(); got != "gateway" {
		t.Errorf("shown the certificate of %s", got)
	}
	// A certificate is renewed, and then its file is spoilt.
	issue("gateway renewed")
	g.signals <- syscall.SIGHUP
	g.untilLogged("the gateway's key for introspection read")
	g.expect(pet, 200, "^up", "Authorization", "Bearer another")
	if got := shown.Load(); got != "gateway renewed" {
		t.Errorf("after it was renewed: shown the certificate of %s", got)
	}
	replace(t, cert, []byte("spoilt"))
	g.signals <- syscall.SIGHUP
	g.untilLogged("the gateway's key for introspection: the one before goes on")
	g.expect(pet, 200, "^up", "Authorization", "Bearer one-more")
}

// Credentials of other kinds are shown to nobody, although signed tokens of
// unknown issuers are.
func TestOpaqueKeepsKeys(t *testing.T) {
	s := newSigner(t)
	path := filepath.Join(t.TempDir(), "keys.mgw")
	put(t, path, keyProject(teller(t).URL, s.JWK))
	var mu sync.Mutex
	var shown []string
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, r.FormValue("token"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"active":true}`)
	}))
	defer idp.Close()
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(unhurried, "introspection.url="+idp.URL, "introspection.clientId=g", "introspection.clientSecret=s",
		"introspection.failedJWT=true", "apikey.tokenConfigs.issuer=https://keys", "apikey.tokenConfigs.publicKeyFile="+s.pem(t))}})
	at := "http://" + g.at.HTTP + "/v1"
	lasting := map[string]any{"token_type": nil}
	for what, key := range map[string]string{
		"a key":                     s.apiKey(t, "https://keys", nil),
		"a key without a mark":      s.apiKey(t, "https://keys", lasting),
		"somebody's key":            s.apiKey(t, "https://elsewhere", nil),
		"a key of development":      s.apiKey(t, "", lasting),
		"a token of development":    s.token(t, ""),
		"no token":                  "a.b.c",
		"a key with another's text": newSigner(t).apiKey(t, "https://keys", lasting),
	} {
		g.expect(at+"/pet", 401, "900901", "Authorization", "Bearer "+key)
		g.expect(at+"/either", 401, "900901", "Authorization", "Bearer "+key)
		mu.Lock()
		if len(shown) > 0 {
			t.Errorf("%s was shown", what)
		}
		shown = nil
		mu.Unlock()
	}
	g.expect(at+"/header", 200, untold, "api_key", s.apiKey(t, "https://keys", nil))
	g.expect(at+"/pet", 200, untold, "Authorization", "Bearer "+s.token(t, "https://elsewhere"))
	if len(shown) != 1 {
		t.Errorf("%d were shown", len(shown))
	}
}

func TestOpaqueRefused(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "key.pem")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	replace(t, file, []byte("nothing"))
	for want, set := range map[string][]string{
		"introspection.keyFile: " + file + ": no private key in PEM form": {"introspection.authMethod=private_key_jwt", "introspection.keyFile=" + file},
		"introspection.certificateFile: tls: ":                            {"introspection.authMethod=tls_client_auth", "introspection.keyFile=" + file, "introspection.certificateFile=" + file},
	} {
		_, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull,
			Set: local(append(set, "introspection.url=https://i", "introspection.clientId=gw", "introspection.audience=a")...)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// WSO2's key manager, as a conf file of WSO2's names it: asked by its own call, or
// by introspection, and not at all where nobody has chosen it.
func TestKeyManager(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pets.mgw")
	p := project("pets", echo(t, "up").URL, nil)
	op := p.Apis[0].Operations[1]
	op.Stages = append(op.Stages, &artifactpb.Stage{Name: "scope", Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: []string{"read:pets"}}}})
	put(t, path, p)
	km := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		if user != "keeper" || password != "k+e:y" {
			t.Errorf("credentials %q %q", user, password)
		}
		good := bytes.Contains(body, []byte("good"))
		switch r.URL.Path {
		case "/services/APIKeyValidationService":
			if !bytes.Contains(body, []byte(`<xsd:context>/v1</xsd:context><xsd:version>1</xsd:version>`)) || !bytes.Contains(body, []byte(`<xsd:matchingResource>/pet</xsd:matchingResource><xsd:httpVerb>GET</xsd:httpVerb>`)) {
				t.Errorf("asked %s", body)
			}
			w.Header().Set("Content-Type", "text/xml")
			fmt.Fprintf(w, `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><n:validateKeyResponse xmlns:n="http://org.apache.axis2/xsd"><n:return><authorized>%t</authorized><validationStatus>900908</validationStatus></n:return></n:validateKeyResponse></e:Body></e:Envelope>`, good)
		case "/oauth2/introspect":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"active":%t,"scope":"read:pets"}`, good)
		default:
			t.Errorf("asked at %s", r.URL.Path)
		}
	}))
	defer km.Close()
	serve := func(more ...string) *running {
		return start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local(append([]string{
			"keyManager.serverUrl=" + km.URL, "listenerConfig.tokenListenerPort=0", "keyManager.username=keeper", "keyManager.password=k+e:y"}, more...)...)}})
	}
	for name, tt := range map[string]struct {
		set []string
		bad int
	}{
		"3.0":            {nil, 403},
		"3.1":            {[]string{"keyManager.external=true"}, 401},
		"3.2":            {[]string{"keyManager.enableLegacyMode=false"}, 401},
		"3.2, as before": {[]string{"keyManager.enableLegacyMode=true", "keyManager.external=true"}, 403},
	} {
		g := serve(tt.set...)
		pet := "http://" + g.at.HTTP + "/v1/pet"
		g.expect(pet, 200, "^up", "Authorization", "Bearer good")
		g.expect(pet, tt.bad, "9009", "Authorization", "Bearer bad")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	g := serve("keyManager.enabled=false")
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, "900901", "Authorization", "Bearer good")
	g.untilLogged("no issuer of tokens is configured")
}
