package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
)

// server makes a certificate for a gateway, as PEM: its chain and its key.
func (a *authority) server(change ...func(*x509.Certificate)) (_ *tls.Certificate, cert, key []byte) {
	a.t.Helper()
	c := a.client("gateway", append(change, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })...)
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// shown is the certificate that a port shows to a new connection.
func shown(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// The certificate of the TLS ports is another one as soon as its files are, without
// a restart and without the loss of a connection; what is not good changes
// nothing, and the log names the file.
func TestCertificateReplaced(t *testing.T) {
	km := echo(t, "km")
	ca := newAuthority(t, "ours")
	dir := t.TempDir()
	certFile, keyFile, store := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "tls.p12")
	path := filepath.Join(dir, "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	one, onePEM, oneKey := ca.server()
	two, twoPEM, twoKey := ca.server()
	three, threePEM, threeKey := ca.server()
	_, expiredPEM, expiredKey := ca.server(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	encode := func(c *tls.Certificate) []byte {
		t.Helper()
		b, err := pkcs12.Modern.Encode(c.PrivateKey, c.Leaf, []*x509.Certificate{ca.cert}, "pw")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	keyManager := []string{"keyManager.serverUrl=" + km.URL, "listenerConfig.tokenListenerPort=0"}

	t.Run("PEM", func(t *testing.T) {
		replace(t, certFile, onePEM)
		replace(t, keyFile, oneKey)
		g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(append(keyManager, "listenerConfig.certificateFile="+certFile, "listenerConfig.privateKeyFile="+keyFile)...)}})
		until := func(want *tls.Certificate) {
			t.Helper()
			for _, address := range []string{g.at.HTTPS, g.at.Tokens} {
				g.until("another certificate on "+address, func() bool { return shown(t, address).Equal(want.Leaf) })
			}
		}
		until(one)
		open := caller(nil) // and its connection stays
		if got, body := ask(open, "https://"+g.at.HTTPS+"/v1/open"); got != "200" {
			t.Fatalf("%s %s", got, body)
		}
		// One after the other, as a program may write them.
		replace(t, certFile, twoPEM)
		replace(t, keyFile, twoKey)
		until(two)
		g.untilLogged(`msg="certificate of the HTTPS listener read" path=\S+tls.crt serial=` + two.Leaf.SerialNumber.String())
		if got, body := ask(open, "https://"+g.at.HTTPS+"/v1/open"); got != "200" {
			t.Errorf("on the connection from before: %s %s", got, body)
		}

		refused := func(why string) {
			t.Helper()
			g.untilLogged(`level=ERROR msg="certificate of the HTTPS listener: the one before goes on" err="listenerConfig\.\S+ ` + dir + `/tls\.` + why)
			if !shown(t, g.at.HTTPS).Equal(two.Leaf) {
				t.Errorf("%s: another certificate", why)
			}
		}
		replace(t, certFile, onePEM) // and no key to it
		refused(`crt with \S+: tls: private key does not match`)
		replace(t, certFile, []byte("no certificate"))
		refused(`crt with \S+: tls: failed to find any PEM data`)
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		g.signals <- syscall.SIGHUP
		g.untilLogged(`privateKeyFile: open \S+tls.key: no such file`)
		replace(t, keyFile, expiredKey)
		replace(t, certFile, expiredPEM)
		g.untilLogged(`err="\S+tls.crt: the certificate expired on `)
		if !shown(t, g.at.HTTPS).Equal(two.Leaf) {
			t.Error("the expired one is shown")
		}
		replace(t, certFile, threePEM)
		replace(t, keyFile, threeKey)
		until(three)
		// The lines are few: nothing is tried over and over.
		if n := strings.Count(g.log.String(), "the one before goes on"); n > 12 {
			t.Errorf("%d lines of errors", n)
		}
		if strings.Contains(g.log.String(), "PRIVATE KEY") {
			t.Error("the log has a key")
		}
	})
	t.Run("PKCS#12 by SIGHUP", func(t *testing.T) {
		replace(t, store, encode(one))
		g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local("listenerConfig.keyStorePath="+store, "listenerConfig.keyStorePassword=pw")}})
		replace(t, store, encode(two))
		g.signals <- syscall.SIGHUP
		g.until("another certificate", func() bool { return shown(t, g.at.HTTPS).Equal(two.Leaf) })
		replace(t, store, []byte("no store"))
		g.untilLogged(`the one before goes on" err="listenerConfig.keyStorePath: ` + store + `: not a PKCS#12 store`)
		if !shown(t, g.at.HTTPS).Equal(two.Leaf) {
			t.Error("another certificate")
		}
	})
}

// Whose certificates count is another thing as soon as the files say so: for new
// connections, for resumed sessions, and for the next request on open ones.
func TestTrustReplaced(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	defer backend.Close()
	old, next := newAuthority(t, "old"), newAuthority(t, "next")
	dir := t.TempDir()
	file, list, path := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "list.crl"), filepath.Join(dir, "mutual.mgw")
	put(t, path, mutualProject(backend.URL, nil))
	trusted := func(all ...*authority) {
		t.Helper()
		var b []byte
		for _, a := range all {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
		}
		replace(t, file, b)
	}
	revoked := func(all ...*tls.Certificate) []byte { // by next
		t.Helper()
		next.revoke(list+".next", all...)
		b, err := os.ReadFile(list + ".next")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	trusted(old)
	old.revoke(list)
	before, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			trusted(old)
			replace(t, list, before)
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("mutualSSLConfig.sslVerifyClient=optional",
				"mutualSSLConfig.authoritiesFile="+file, "mutualSSLConfig.crlFile="+list)}})
			g.untilLogged(`asked for a certificate" sslVerifyClient=optional authorities=1 revoked=0`)
			url := "https://" + g.at.HTTPS + "/cert/x"
			of := func(cert *tls.Certificate) *http.Client {
				c := caller(cert)
				c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = version
				return c
			}
			expect := func(who string, c *http.Client, want string) {
				t.Helper()
				if got, body := ask(c, url); got != want {
					t.Errorf("%s: %s %s, want %s", who, got, body, want)
				}
			}
			mine, yours, bad := old.client("mine"), next.client("yours"), next.client("bad")
			open, resuming := of(mine), of(mine)
			expect("the old one's", open, "200")
			expect("the old one's", resuming, "200")
			resuming.CloseIdleConnections()
			expect("the next one's, before", of(yours), "TLS")

			// The list of an authority that is not trusted yet waits for it.
			replace(t, list, append(revoked(bad), before...))
			g.untilLogged(`CN=next.*none of the trusted authorities has signed it`)
			trusted(old, next)
			g.untilLogged(`trusted authorities of clients read" .*authorities=2`)
			g.untilLogged(`list of revoked client certificates read" .*revoked=1`)
			expect("the next one's", of(yours), "200")
			expect("the next one's, revoked", of(bad), "TLS")
			expect("open", open, "200")
			expect("resuming", resuming, "200")
			resuming.CloseIdleConnections()

			for text, why := range map[string]string{"": "no certificate in it", string(before): "is not a certificate"} {
				replace(t, file, []byte(text))
				g.untilLogged(`level=ERROR msg="trusted authorities of clients: the last good ones go on" err="mutualSSLConfig.authoritiesFile: ` + file + `: .*` + why)
				expect("behind a bad file", of(mine), "200")
			}

			trusted(next)
			g.untilLogged(`trusted authorities of clients read" .*authorities=1`)
			expect("open, of one not trusted any more", open, "401 900901")
			expect("resuming, of one not trusted any more", resuming, "TLS")
			expect("new, of one not trusted any more", of(mine), "TLS")
			expect("the next one's", of(yours), "200")
			g.untilLogged(`the last good one goes on.*CN=old.*none of the trusted authorities has signed it`)
			expect("the next one's, revoked", of(bad), "TLS")
		})
	}
}

// The aliases of an API follow the trust store; one that is not in the new store
// keeps the one before.
func TestTrustStoreReplaced(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "upstream") }))
	defer backend.Close()
	ca := newAuthority(t, "ours")
	one, two := ca.client("one"), ca.client("two")
	dir := t.TempDir()
	store, path := filepath.Join(dir, "trust.p12"), filepath.Join(dir, "mutual.mgw")
	put(t, path, mutualProject(backend.URL, nil))
	fill := func(alias string, cert *tls.Certificate) {
		t.Helper()
		b, err := pkcs12.Modern.EncodeTrustStoreEntries([]pkcs12.TrustStoreEntry{{Cert: ca.cert, FriendlyName: "ca"}, {Cert: cert.Leaf, FriendlyName: alias}}, "pw")
		if err != nil {
			t.Fatal(err)
		}
		replace(t, store, b)
	}
	fill("shop", one)
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("mutualSSLConfig.sslVerifyClient=optional", "listenerConfig.trustStorePath="+store, "listenerConfig.trustStorePassword=pw",
		"mutualSSLConfig.api.certificates.name=cert", "mutualSSLConfig.api.certificates.version=1", "mutualSSLConfig.api.certificates.aliasList=shop")}})
	callers := map[string]*http.Client{"one": caller(one), "two": caller(two)}
	expect := func(when, one, two string) {
		t.Helper()
		for name, want := range map[string]string{"one": one, "two": two} {
			if got, body := ask(callers[name], "https://"+g.at.HTTPS+"/cert/x"); got != want {
				t.Errorf("%s: %s: %s %s, want %s", when, name, got, body, want)
			}
		}
	}
	expect("before", "200", "401 900901")
	fill("warehouse", two)
	g.untilLogged(`the last good ones go on" err="mutualSSLConfig.api.certificates: API \\"cert\\": ` + store + `: no certificate with the alias \\"shop\\"`)
	expect("behind a store without the alias", "200", "401 900901")
	fill("shop", two)
	g.untilLogged(`trusted authorities of clients read`)
	expect("after", "401 900901", "200")
}

// Handshakes that fail are logged so many times for a client, and not without end.
func TestFailedHandshakesInTheLog(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "theirs")
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("b7a.log.level=DEBUG",
		"mutualSSLConfig.sslVerifyClient=require", "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"))}})
	stranger := other.client("stranger")
	for range 30 {
		if got, body := ask(caller(stranger), "https://"+g.at.HTTPS+"/v1/pet"); got != "TLS" {
			t.Fatalf("%s %s", got, body)
		}
	}
	g.untilLogged(`msg="TLS handshake" peer=127.0.0.1:\d+ err=.* note="no more of this client in this minute"`)
	g.stop()
	// Twice as many if a minute has ended meanwhile.
	if n := strings.Count(g.log.String(), "TLS handshake"); n < 10 || n > 20 {
		t.Errorf("%d lines", n)
	}
}

// A gateway that waits for those who know what is revoked can be stopped like any
// other.
func TestStoppedBeforeItServed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	const p = "tokenRevocationConfig."
	set := local(p+"realtime.enableRealtimeMessageRetrieval=true", p+"realtime.jmsConnectionProviderUrl=stomp://"+silent.Addr().String(),
		p+"persistent.enablePersistentStorageRetrieval=true", p+"persistent.hostname=http://"+silent.Addr().String())
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		log, signals, done := &gatewaytest.Log{}, make(chan os.Signal, 8), make(chan error, 1)
		signals <- syscall.SIGUSR1
		signals <- syscall.SIGHUP
		signals <- s
		go func() {
			done <- gateway.Run(context.Background(), gateway.Options{Artifact: path, Stderr: log, Signals: signals, Conf: conf.Options{Set: set, Dev: true},
				Ready: func(gateway.Addresses) { io.WriteString(log, "it served") }})
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%v: %v", s, err)
			}
		case <-time.After(patience):
			t.Fatalf("%v: it does not end:\n%s", s, log)
		}
		if text := log.String(); !strings.Contains(text, `msg="gateway stopped before it served" reason=`+s.String()) && !strings.Contains(text, `reason="`+s.String()) || strings.Contains(text, "it served\n") || strings.Contains(text, "listener is active") {
			t.Errorf("%v:\n%s", s, text)
		}
	}
}
