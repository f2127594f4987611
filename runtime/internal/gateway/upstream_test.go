package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// Whether an upstream is who it should be: its certificate is from an authority
// of the system or of the trust store, and for its host name, unless the conf
// gives up the latter or both.
func TestUpstreamCertificate(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up") }))
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)

	dir := t.TempDir()
	store := filepath.Join(dir, "trust.p12")
	p12, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{up.Certificate()}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, p12, 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := []string{"listenerConfig.trustStorePath=" + store, "listenerConfig.trustStorePassword=changeit"}

	// The server's certificate is for 127.0.0.1 and example.com, not for
	// localhost.
	right := up.URL
	wrong := strings.Replace(up.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name, url string
		set       []string
		code      int
	}{
		{"unknown authority", right, nil, 503},
		{"authority in the trust store", right, trusting, 200},
		{"another name", wrong, trusting, 503},
		{"another name, not verified", wrong, append([]string{"httpClients.verifyHostname=false"}, trusting...), 200},
		{"name not verified, unknown authority", wrong, []string{"httpClients.verifyHostname=false"}, 503},
		{"nothing verified", wrong, []string{"httpClients.disableSslVerification=true"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pets.mgw")
			put(t, path, project("pets", tt.url, nil))
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(tt.set...)}})
			g.expect("http://"+g.at.HTTP+"/v1/open", tt.code, "")
		})
	}

	t.Run("trust store with another password", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pets.mgw")
		put(t, path, project("pets", right, nil))
		_, err := gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{
			Set: []string{"listenerConfig.trustStorePath=" + store, "listenerConfig.trustStorePassword=guessed"},
		}})
		if err == nil || !strings.HasPrefix(err.Error(), "listenerConfig.trustStorePath: "+store+": ") || strings.Contains(err.Error(), "guessed") {
			t.Errorf("got %v", err)
		}
	})
}

// An HTTPS listener takes the cipher suites of the conf for TLS 1.2, all that are
// safe by default.
func TestListenerCiphers(t *testing.T) {
	dir := t.TempDir()
	path, certFile, keyFile := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	_, cert, key := newAuthority(t, "ours").server() // ECDSA
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	const a, b = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	for name, tt := range map[string]struct {
		set  []string
		want map[uint16]bool
	}{
		"default": {nil, map[uint16]bool{a: true, b: true}},
		"one":     {[]string{"mutualSSLConfig.ciphers=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, map[uint16]bool{a: false, b: true}},
		"other":   {[]string{"mutualSSLConfig.ciphers=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, map[uint16]bool{a: true, b: false}},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(append(tt.set, "keyManager.serverUrl="+echo(t, "km").URL, "listenerConfig.tokenListenerPort=0",
				"listenerConfig.certificateFile="+certFile, "listenerConfig.privateKeyFile="+keyFile)...)}})
			for _, address := range []string{g.at.HTTPS, g.at.Tokens} {
				for suite, want := range tt.want {
					c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
					if err == nil {
						c.Close()
					}
					if (err == nil) != want {
						t.Errorf("%s, %s: %v", address, tls.CipherSuiteName(suite), err)
					}
				}
			}
		})
	}
}

// An HTTPS listener's TLS versions are those of the conf, 1.2 and 1.3 by
// default.
func TestListenerVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	for _, tt := range []struct {
		name string
		set  []string
		want map[uint16]bool
	}{
		{"default", nil, map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true}},
		{"1.2 only", []string{`mutualSSLConfig.protocolVersions=TLSv1.2`}, map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: false}},
		{"1.2 and older", []string{`mutualSSLConfig.protocolVersions=TLSv1.2,TLSv1.1`}, map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true}},
		{"1.3 only", []string{`mutualSSLConfig.protocolVersions=TLSv1.3`}, map[uint16]bool{tls.VersionTLS12: false, tls.VersionTLS13: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(tt.set...)}})
			for version, want := range tt.want {
				c, err := tls.Dial("tcp", g.at.HTTPS, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
				if err == nil {
					c.Close()
				}
				if (err == nil) != want {
					t.Errorf("%s: %v", tls.VersionName(version), err)
				}
			}
		})
	}
}
