package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// An authority signs client certificates and takes them back.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
	crl  int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, next: 100}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil)
	return a
}

func (a *authority) sign(c *x509.Certificate, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c.SerialNumber, c.NotBefore = big.NewInt(a.next), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	signer, by := key, c
	if parent != nil {
		signer, by = parent.key, parent.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client makes a certificate for a client.
func (a *authority) client(name string, change ...func(*x509.Certificate)) *tls.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, f := range change {
		f(c)
	}
	cert, key := a.sign(c, a)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// revoke writes a list.
func (a *authority) revoke(path string, certs ...*tls.Certificate) {
	a.t.Helper()
	a.crl++
	list := &x509.RevocationList{Number: big.NewInt(a.crl), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	replace(a.t, path, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) file(name string) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), name)
	replace(a.t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return path
}

// caller is a client with a certificate, or without; its connection is kept.
func caller(cert *tls.Certificate) *http.Client {
	c := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if cert != nil {
		// Sent whatever authorities the gateway names.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: patience}
}

// ask returns the status and the body, or "TLS" if there is no answer: with TLS
// 1.3 a client thinks itself connected before the server has judged it, so what
// it sees may also be a connection that ends.
func ask(c *http.Client, url string, header ...string) (string, string) {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err.Error(), ""
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	switch {
	case err != nil && strings.HasPrefix(url, "https://") && !os.IsTimeout(err) && !errors.Is(err, syscall.ECONNREFUSED):
		return "TLS", err.Error()
	case err != nil:
		return err.Error(), ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error(), ""
	}
	code := regexp.MustCompile(`"code":(\d+)`).FindStringSubmatch(string(b))
	if code != nil {
		return fmt.Sprintf("%d %s", resp.StatusCode, code[1]), string(b)
	}
	return fmt.Sprint(resp.StatusCode), string(b)
}

// mutualProject is a mixed set of APIs, as builds make them: beside /v1/open and
// /v1/pet, which say nothing of certificates, one with x-wso2-mutual-ssl: mandatory
// (/both), one where the rest is optional then (/cert), one with optional
// (/either), and one with optional where the rest is not optional (/token).
func mutualProject(upstream string, key []byte) *artifactpb.Artifact {
	a := project("mutual", upstream, key)
	a.SecuritySchemes = append(a.SecuritySchemes, &artifactpb.SecurityScheme{Kind: &artifactpb.SecurityScheme_MutualTls{MutualTls: &artifactpb.MutualTlsScheme{}}})
	a.RequiredFeatures = []artifactpb.Feature{artifactpb.Feature_FEATURE_SECURITY_ALTERNATIVES}
	both := &artifactpb.SecurityAlternative{Requirements: []*artifactpb.SecurityRequirement{{Scheme: 0}, {Scheme: 1}}}
	token := &artifactpb.SecurityAlternative{Requirements: []*artifactpb.SecurityRequirement{{Scheme: 0}}}
	cert := &artifactpb.SecurityAlternative{Requirements: []*artifactpb.SecurityRequirement{{Scheme: 1}}}
	for i, api := range []struct {
		path string
		mode artifactpb.MutualTlsMode
		alts []*artifactpb.SecurityAlternative
	}{
		{"/both", artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY, []*artifactpb.SecurityAlternative{both}},
		{"/cert", artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY, []*artifactpb.SecurityAlternative{cert}},
		{"/either", artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL, []*artifactpb.SecurityAlternative{token, cert}},
		{"/token", artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL, []*artifactpb.SecurityAlternative{token}},
	} {
		a.Apis = append(a.Apis, &artifactpb.Api{
			Id: fmt.Sprint("api_", i+2), Title: strings.TrimPrefix(api.path, "/"), Version: "1", BasePath: api.path,
			Transports: a.Apis[0].Transports, MutualTls: &artifactpb.MutualTls{Mode: api.mode},
			Operations: []*artifactpb.Operation{{
				Id: "GET /x", Method: "GET", Path: "/x", Position: &artifactpb.Position{Line: 1, Column: 1}, ProductionCluster: 1,
				Security: &artifactpb.Security{Alternatives: api.alts},
				Stages:   []*artifactpb.Stage{{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}}},
			}},
		})
	}
	return a
}

// What sslVerifyClient means for a mixed set of APIs, with and without a
// certificate, a token, and TLS.
func TestMutualTLS(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "upstream ", r.Header.Values("Client-Cert"), r.Header.Values("Client_Cert"))
	}))
	defer backend.Close()
	s, ca, other := newSigner(t), newAuthority(t, "ours"), newAuthority(t, "theirs")
	bearer := []string{"Authorization", "Bearer " + s.token(t, "")}
	path := filepath.Join(t.TempDir(), "mutual.mgw")
	put(t, path, mutualProject(backend.URL, s.JWK))
	trusted := ca.client("trusted")
	certs := map[string]*tls.Certificate{
		"none": nil, "trusted": trusted, "untrusted": other.client("untrusted"),
		"expired": ca.client("expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"server":  ca.client("server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
	}
	// Modes: what sslVerifyClient says; shipped is optional with the trust store that
	// WSO2 ships, which is not used, so that nobody is asked.
	for _, mode := range []string{"", "shipped", "optional", "require"} {
		t.Run("sslVerifyClient "+mode, func(t *testing.T) {
			asked := mode == "optional" || mode == "require"
			var set []string
			switch {
			case asked:
				set = local("mutualSSLConfig.sslVerifyClient="+mode, "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"), "mutualSSLConfig.upstreamHeader=Client-Cert")
			case mode == "shipped":
				set = local("mutualSSLConfig.sslVerifyClient=optional", "mutualSSLConfig.upstreamHeader=Client-Cert",
					"listenerConfig.trustStorePath=${mgw-runtime.home}/runtime/bre/security/ballerinaTruststore.p12")
			default:
				set = local("mutualSSLConfig.sslVerifyClient=")
			}
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: set, Dev: true}})
			if !asked {
				g.untilLogged(`clients are not asked for a certificate \(mutualSSLConfig.sslVerifyClient\): 2 of 6 operations need a client certificate and answer 401`)
			}
			// Rows: what is called, with what certificate. Columns: without and with
			// a token.
			want := map[string]map[string][2]string{
				"": {
					"none /v1/open": {"200", "200"}, "none /v1/pet": {"401 900902", "200"}, "none /both/x": {"401 900902", "401 900901"}, "none /cert/x": {"401 900901", "401 900901"}, "none /either/x": {"401 900902", "200"}, "none /token/x": {"401 900902", "200"},
					"trusted /v1/pet": {"401 900902", "200"}, "trusted /cert/x": {"401 900901", "401 900901"}, "trusted /either/x": {"401 900902", "200"}, "trusted /token/x": {"401 900902", "200"},
				},
				"optional": {
					"none /v1/open": {"200", "200"}, "none /v1/pet": {"401 900902", "200"}, "none /both/x": {"401 900902", "401 900901"}, "none /cert/x": {"401 900901", "401 900901"}, "none /either/x": {"401 900902", "200"}, "none /token/x": {"401 900902", "200"},
					"trusted /v1/open": {"200", "200"}, "trusted /v1/pet": {"200", "200"}, "trusted /both/x": {"401 900902", "200"}, "trusted /cert/x": {"200", "200"}, "trusted /either/x": {"200", "200"}, "trusted /token/x": {"401 900902", "200"},
					"untrusted /v1/pet": {"TLS", "TLS"}, "expired /v1/pet": {"TLS", "TLS"}, "server /v1/pet": {"TLS", "TLS"},
				},
				"require": {
					"none /v1/open": {"TLS", "TLS"}, "none /v1/pet": {"TLS", "TLS"}, "none /either/x": {"TLS", "TLS"},
					"trusted /v1/open": {"200", "200"}, "trusted /v1/pet": {"200", "200"}, "trusted /both/x": {"401 900902", "200"}, "trusted /cert/x": {"200", "200"}, "trusted /either/x": {"200", "200"}, "trusted /token/x": {"401 900902", "200"},
					"untrusted /v1/pet": {"TLS", "TLS"}, "expired /v1/pet": {"TLS", "TLS"}, "server /v1/pet": {"TLS", "TLS"},
				},
			}[strings.TrimSuffix(mode, "shipped")]
			for what, codes := range want {
				cert, url, _ := strings.Cut(what, " ")
				c := caller(certs[cert])
				for i, header := range [][]string{nil, bearer} {
					got, body := ask(c, "https://"+g.at.HTTPS+url, append(header, "Client-Cert", ":forged:", "client_cert", ":forged:")...)
					if got != codes[i] {
						t.Errorf("%s, token %v: got %s (%s), want %s", what, i == 1, got, body, codes[i])
					}
					if got != "200" {
						continue
					}
					told := "upstream [] []"
					switch {
					case mode == "": // without upstreamHeader the field is none of ours
						told = "upstream [:forged:] [:forged:]"
					case asked && cert == "trusted":
						told = "upstream [:" + base64.StdEncoding.EncodeToString(trusted.Leaf.Raw) + ":] []"
					}
					if strings.ReplaceAll(body, "][", "] [") != told {
						t.Errorf("%s: the upstream was told %q, want %q", what, body, told)
					}
				}
				c.CloseIdleConnections()
			}
			if asked {
				// OAuth2 is skipped: what the token is does not matter.
				c := caller(trusted)
				for url, want := range map[string]string{"/v1/pet": "200", "/either/x": "200", "/both/x": "401 900901", "/token/x": "401 900901"} {
					if got, body := ask(c, "https://"+g.at.HTTPS+url, "Authorization", "Bearer a.b.c"); got != want {
						t.Errorf("%s with a bad token beside the certificate: %s %s, want %s", url, got, body, want)
					}
				}
				c.CloseIdleConnections()
			}
			// The port without TLS never has a certificate.
			for url, codes := range map[string][2]string{"/v1/pet": {"401 900902", "200"}, "/either/x": {"401 900902", "200"}, "/cert/x": {"401 900901", "401 900901"}, "/both/x": {"401 900902", "401 900901"}} {
				for i, header := range [][]string{nil, bearer} {
					if got, body := ask(client, "http://"+g.at.HTTP+url, header...); got != codes[i] {
						t.Errorf("http %s, token %v: got %s (%s), want %s", url, i == 1, got, body, codes[i])
					}
				}
			}
		})
	}
}

// A certificate that is revoked while its connection is open is of no use on it
// any more, nor on a new one, nor on a resumed session; and a broken list changes
// nothing.
func TestRevokedCertificates(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	defer backend.Close()
	ca := newAuthority(t, "ours")
	bad, good := ca.client("bad"), ca.client("good")
	list := filepath.Join(t.TempDir(), "list.crl")
	ca.revoke(list)
	path := filepath.Join(t.TempDir(), "mutual.mgw")
	put(t, path, mutualProject(backend.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("mutualSSLConfig.sslVerifyClient=optional",
		"mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"), "mutualSSLConfig.crlFile="+list), Dev: true}})
	url := "https://" + g.at.HTTPS + "/cert/x"
	one, two := caller(bad), caller(good)
	for _, c := range []*http.Client{one, two} {
		if got, body := ask(c, url); got != "200" {
			t.Fatalf("before: %s %s", got, body)
		}
	}
	ca.revoke(list, bad)
	g.untilLogged(`revoked client certificates read".* revoked=1`)
	if got, body := ask(one, url); got != "401 900901" {
		t.Errorf("on the open connection: %s %s", got, body)
	}
	one.CloseIdleConnections() // and resume the session
	for what, c := range map[string]*http.Client{"resumed": one, "new": caller(bad)} {
		if got, body := ask(c, url); got != "TLS" {
			t.Errorf("%s: %s %s", what, got, body)
		}
	}
	replace(t, list, []byte("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n"))
	g.untilLogged(`the last good one goes on`)
	other := newAuthority(t, "ours") // of the same name
	other.revoke(list, good)
	g.untilLogged(`none of the trusted authorities has signed it`)
	if got, body := ask(two, url); got != "200" {
		t.Errorf("the good one: %s %s", got, body)
	}
	if got, _ := ask(caller(bad), url); got != "TLS" {
		t.Errorf("the bad one, behind a broken list: %s", got)
	}
	ca.revoke(list)
	g.untilLogged(`revoked client certificates read".* revoked=0`)
	if got, body := ask(caller(bad), url); got != "200" {
		t.Errorf("taken back: %s %s", got, body)
	}
}

// A listing is what tests of lists of certificates have in common: an upstream, and
// two clients of one authority, of whom the trust store names the first.
type listing struct {
	upstream    string
	mine, yours *tls.Certificate
	artifact    string // path; nothing is there yet
	conf        []string
}

func newListing(t *testing.T) *listing {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	t.Cleanup(backend.Close)
	ca := newAuthority(t, "ours")
	mine, yours := ca.client("mine"), ca.client("yours")
	store, err := pkcs12.Modern.EncodeTrustStoreEntries([]pkcs12.TrustStoreEntry{{Cert: ca.cert, FriendlyName: "ca"}, {Cert: mine.Leaf, FriendlyName: "mine"}}, "pw")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "trust.p12")
	replace(t, path, store)
	return &listing{backend.URL, mine, yours, filepath.Join(dir, "mutual.mgw"), local("mutualSSLConfig.sslVerifyClient=optional",
		"listenerConfig.trustStorePath="+path, "listenerConfig.trustStorePassword=pw")}
}

// WSO2's list of aliases for an API.
func TestCertificatesOfAnAPI(t *testing.T) {
	l := newListing(t)
	mine, yours, path := l.mine, l.yours, l.artifact
	put(t, path, mutualProject(l.upstream, nil))
	set := func(alias, api string) conf.Options {
		return conf.Options{Dev: true, Set: append(slices.Clip(l.conf),
			"mutualSSLConfig.api.certificates.name="+api, "mutualSSLConfig.api.certificates.version=1", "mutualSSLConfig.api.certificates.aliasList="+alias)}
	}
	g := start(t, gateway.Options{Artifact: path, Conf: set("mine", "cert")})
	for what, c := range map[string]struct {
		cert *tls.Certificate
		path string
		want string
	}{
		"listed": {mine, "/cert/x", "200"}, "not listed": {yours, "/cert/x", "401 900901"}, "API without a list": {yours, "/either/x", "200"},
	} {
		if got, body := ask(caller(c.cert), "https://"+g.at.HTTPS+c.path); got != c.want {
			t.Errorf("%s: %s %s, want %s", what, got, body, c.want)
		}
	}
	g = start(t, gateway.Options{Artifact: path, Conf: set("ca", "cert")})
	if got, body := ask(caller(yours), "https://"+g.at.HTTPS+"/cert/x"); got != "200" {
		t.Errorf("by its authority: %s %s", got, body)
	}
	if _, err := gateway.Check(gateway.Options{Artifact: path, Conf: set("nobody", "cert")}); err == nil || !strings.Contains(err.Error(), `no certificate with the alias "nobody"`) {
		t.Errorf("unknown alias: %v", err)
	}
	// What is listed must be there: it may have another name now.
	if _, err := gateway.Check(gateway.Options{Artifact: path, Conf: set("mine", "crt")}); err == nil || !strings.Contains(err.Error(), `: mutualSSLConfig.api.certificates: no API "crt" of version "1" is here`) {
		t.Errorf("unknown API: %v", err)
	}
}

// A new version of an API that takes some certificates only is not served to all
// who are trusted: its list comes first, or the artifact before it goes on.
func TestCertificatesOfAnotherVersion(t *testing.T) {
	l := newListing(t)
	mine, yours, path := l.mine, l.yours, l.artifact
	version := func(v string) *artifactpb.Artifact {
		a := mutualProject(l.upstream, nil)
		for _, api := range a.Apis {
			if api.Title == "cert" {
				api.Version = v
			}
		}
		return a
	}
	put(t, path, version("1"))
	set := l.conf
	for i, v := range []string{"1", "2"} {
		p := fmt.Sprintf("mutualSSLConfig.api.certificates.%d.", i)
		set = append(set, p+"name=cert", p+"version="+v, p+"aliasList=mine")
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: set}})
	g.untilLogged(`no API \\"cert\\" of version \\"2\\" is in the artifact`) // yet
	expect := func() {
		t.Helper()
		for cert, want := range map[*tls.Certificate]string{mine: "200", yours: "401 900901"} {
			if got, body := ask(caller(cert), "https://"+g.at.HTTPS+"/cert/x"); got != want {
				t.Errorf("%s: %s %s, want %s", cert.Leaf.Subject, got, body, want)
			}
		}
	}
	expect()
	put(t, path, version("3"))
	g.signals <- syscall.SIGHUP
	g.untilLogged(`API \\"cert\\" is of version \\"3\\" here, which is not listed`)
	expect()
	put(t, path, version("2"))
	g.signals <- syscall.SIGHUP
	g.untilLogged(`no API \\"cert\\" of version \\"1\\" is in the artifact`)
	expect()
}

// What cannot be trusted is refused before a port is bound.
func TestMutualTLSConf(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "theirs")
	dir := t.TempDir()
	foreign, broken := filepath.Join(dir, "foreign.crl"), filepath.Join(dir, "broken")
	other.revoke(foreign)
	replace(t, broken, []byte("no list"))
	path := filepath.Join(dir, "mutual.mgw")
	put(t, path, mutualProject("http://127.0.0.1:1", nil))
	for name, c := range map[string]struct {
		set  []string
		want string
	}{
		"nobody trusted":     {[]string{"mutualSSLConfig.sslVerifyClient=require"}, "needs listenerConfig.trustStorePath or mutualSSLConfig.authoritiesFile"},
		"optional, nobody":   {[]string{"mutualSSLConfig.sslVerifyClient=optional"}, "needs listenerConfig.trustStorePath or mutualSSLConfig.authoritiesFile"},
		"list of another":    {[]string{"mutualSSLConfig.sslVerifyClient=require", "mutualSSLConfig.authoritiesFile=" + ca.file("ca.pem"), "mutualSSLConfig.crlFile=" + foreign}, "none of the trusted authorities has signed it"},
		"no list":            {[]string{"mutualSSLConfig.sslVerifyClient=require", "mutualSSLConfig.authoritiesFile=" + ca.file("ca.pem"), "mutualSSLConfig.crlFile=" + broken}, "not a certificate revocation list"},
		"no authority":       {[]string{"mutualSSLConfig.sslVerifyClient=require", "mutualSSLConfig.authoritiesFile=" + broken}, "no certificate in it"},
		"list without a use": {[]string{"mutualSSLConfig.crlFile=" + foreign}, "needs mutualSSLConfig.sslVerifyClient"},
		"word":               {[]string{"mutualSSLConfig.sslVerifyClient=required"}, `"required" is not one of`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Set: local(c.set...), Dev: true}}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// An authority that is trusted, and that another trusted one has signed and taken
// back since, is no way in: the chain that ends with it is no better than the
// longer one.
func TestRevokedAuthority(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	defer backend.Close()
	root, between := newAuthority(t, "root"), &authority{t: t, next: 500}
	between.cert, between.key = root.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, root)
	authorities := root.file("ca.pem")
	both, err := os.ReadFile(authorities)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, authorities, append(both, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: between.cert.Raw})...))
	list := filepath.Join(t.TempDir(), "list.crl")
	root.revoke(list, &tls.Certificate{Leaf: between.cert})
	path := filepath.Join(t.TempDir(), "mutual.mgw")
	put(t, path, mutualProject(backend.URL, nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("mutualSSLConfig.sslVerifyClient=optional",
		"mutualSSLConfig.authoritiesFile="+authorities, "mutualSSLConfig.crlFile="+list), Dev: true}})
	url := "https://" + g.at.HTTPS + "/cert/x"
	alone, whole := between.client("alone"), between.client("whole")
	whole.Certificate = append(whole.Certificate, between.cert.Raw)
	for name, cert := range map[string]*tls.Certificate{"alone": alone, "with the authority's": whole} {
		if got, body := ask(caller(cert), url); got != "TLS" {
			t.Errorf("%s: %s %s", name, got, body)
		}
	}
	if got, body := ask(caller(root.client("direct")), url); got != "200" {
		t.Errorf("of the root itself: %s %s", got, body)
	}
}
