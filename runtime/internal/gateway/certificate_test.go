package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// These tests are inside the package: what is refused here is refused before
// any port is bound, so there is nothing to look at from outside but the text.

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair makes a certificate and its key, as PEM.
func pair(t *testing.T, now time.Time) (cert, key []byte, c tls.Certificate) {
	t.Helper()
	made, err := selfSigned(now)
	if err != nil {
		t.Fatal(err)
	}
	c = *made
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), c
}

func TestCertificateRefused(t *testing.T) {
	now := time.Now()
	certPEM, keyPEM, cert := pair(t, now)
	_, otherKey, other := pair(t, now)
	certFile, keyFile := write(t, "cert.pem", certPEM), write(t, "key.pem", keyPEM)
	p12, err := pkcs12.Modern.Encode(cert.PrivateKey, cert.Leaf, nil, "right")
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := pkcs12.Modern.Encode(cert.PrivateKey, other.Leaf, nil, "right")
	if err != nil {
		t.Fatal(err)
	}
	truststore, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{cert.Leaf}, "right")
	if err != nil {
		t.Fatal(err)
	}
	store := func(data []byte, password string) conf.Listener {
		return conf.Listener{KeyStore: conf.Store{Path: write(t, "store.p12", data), Password: conf.NewSecret(password)}}
	}
	for _, tt := range []struct {
		name string
		l    conf.Listener
		want string
	}{
		{"certificate without key", conf.Listener{CertificateFile: certFile}, "listenerConfig.certificateFile: " + certFile + " has no key to go with it"},
		{"key without certificate", conf.Listener{PrivateKeyFile: keyFile}, "listenerConfig.privateKeyFile: " + keyFile + " has no certificate to go with it"},
		{"key of another certificate", conf.Listener{CertificateFile: certFile, PrivateKeyFile: write(t, "other.pem", otherKey)}, "private key does not match public key"},
		{"certificate missing", conf.Listener{CertificateFile: "/nowhere/cert.pem", PrivateKeyFile: keyFile}, "listenerConfig.certificateFile: open /nowhere/cert.pem: no such file"},
		{"key missing", conf.Listener{CertificateFile: certFile, PrivateKeyFile: "/nowhere/key.pem"}, "listenerConfig.privateKeyFile: open /nowhere/key.pem: no such file"},
		{"swapped", conf.Listener{CertificateFile: keyFile, PrivateKeyFile: certFile}, "listenerConfig.certificateFile: "},
		{"encrypted key", conf.Listener{CertificateFile: certFile, PrivateKeyFile: write(t, "enc.pem",
			[]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))}, "is encrypted"},
		{"store with wrong password", store(p12, "wrong"), "listenerConfig.keyStorePassword is not its password"},
		{"store without key", store(truststore, "right"), "not a PKCS#12 store with one key"},
		{"store with key of another", store(mixed, "right"), "its key does not belong to its certificate"},
		{"not a store", store([]byte("text"), "right"), "not a PKCS#12 store"},
		{"store missing", conf.Listener{KeyStore: conf.Store{Path: "/nowhere/store.p12"}}, "listenerConfig.keyStorePath: open /nowhere/store.p12: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := newIdentity(&tt.l, now)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "wrong") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestCertificateAccepted(t *testing.T) {
	now := time.Now()
	certPEM, keyPEM, cert := pair(t, now)
	_, _, ca := pair(t, now)
	p12, err := pkcs12.LegacyDES.Encode(cert.PrivateKey, cert.Leaf, []*x509.Certificate{ca.Leaf}, "ballerina")
	if err != nil {
		t.Fatal(err)
	}
	old, oldKey, _ := pair(t, now.AddDate(-2, 0, 0))
	next, nextKey, _ := pair(t, now.AddDate(0, 1, 0))
	for _, tt := range []struct {
		name    string
		l       conf.Listener
		chain   int
		warning string
	}{
		{"PEM", conf.Listener{CertificateFile: write(t, "c", certPEM), PrivateKeyFile: write(t, "k", keyPEM)}, 1, ""},
		{"PKCS#12", conf.Listener{KeyStore: conf.Store{Path: write(t, "p", p12), Password: conf.NewSecret("ballerina")}}, 2, ""},
		{"expired", conf.Listener{CertificateFile: write(t, "c", old), PrivateKeyFile: write(t, "k", oldKey)}, 1, "expired on "},
		{"not yet valid", conf.Listener{CertificateFile: write(t, "c", next), PrivateKeyFile: write(t, "k", nextKey)}, 1, "not valid before "},
		{"none", conf.Listener{}, 1, "self-signed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, warnings, err := newIdentity(&tt.l, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(warnings, "\n"); (tt.warning == "") != (got == "") || !strings.Contains(got, tt.warning) {
				t.Errorf("warnings %q, want %q", got, tt.warning)
			}
			c, leaf := id.config(), id.now.Load()
			if n := len(leaf.Certificate); n != tt.chain {
				t.Errorf("%d certificates in the chain, want %d", n, tt.chain)
			}
			if len(c.NextProtos) != 1 || c.NextProtos[0] != "http/1.1" {
				t.Errorf("ALPN offers %v", c.NextProtos)
			}
			handshake(t, c, leaf.Leaf)
		})
	}
}

func handshake(t *testing.T, server *tls.Config, leaf *x509.Certificate) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(a, server).Handshake() }()
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	client := tls.Client(b, &tls.Config{
		RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"},
		Time: func() time.Time { return leaf.NotBefore.Add(time.Minute) },
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := client.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
}
