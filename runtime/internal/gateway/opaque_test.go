package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
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
	own := ca.client("gateway")
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	replace(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	idp := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || r.TLS.PeerCertificates[0].Subject.CommonName != "gateway" || r.FormValue("client_id") != "gw" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v %v", r.Form, r.Header)
		}
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
}

func TestOpaqueRefused(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "key.pem")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	replace(t, file, []byte("nothing"))
	for want, set := range map[string][]string{
		"introspection.keyFile: " + file + ": no private key in it": {"introspection.authMethod=private_key_jwt", "introspection.keyFile=" + file},
		"introspection.certificateFile: tls: ":                      {"introspection.authMethod=tls_client_auth", "introspection.keyFile=" + file, "introspection.certificateFile=" + file},
	} {
		_, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull,
			Set: local(append(set, "introspection.url=https://i", "introspection.clientId=gw", "introspection.audience=a")...)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
