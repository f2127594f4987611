package gateway_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// TestCertificateAlias is WSO2's way to name an issuer's key: the alias of a
// certificate in the trust store. The store's other certificates are not trusted
// for tokens.
func TestCertificateAlias(t *testing.T) {
	dir := t.TempDir()
	path, store, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "truststore.p12"), filepath.Join(dir, "micro-gw.conf")
	put(t, path, project("pets", echo(t, "up").URL, nil))

	named, other := newSigner(t), newSigner(t)
	var entries []pkcs12.TrustStoreEntry
	for alias, s := range map[string]*signer{"wso2apim": named, "somebody": other} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: alias},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, s.Key.Public(), s.Key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: cert, FriendlyName: alias})
	}
	data, err := pkcs12.Modern.EncodeTrustStoreEntries(entries, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, data, 0o600); err != nil {
		t.Fatal(err)
	}
	text := func(alias string) string {
		return fmt.Sprintf(`
[listenerConfig]
trustStore.path = "truststore.p12"
trustStore.password = "changeit"
[jwtTokenConfig]
issuer = "https://localhost:9443/oauth2/token"
audience = %q
certificateAlias = %q
`, conf.DevelopmentAudience, alias)
	}
	if err := os.WriteFile(file, []byte(text("WSO2apim")), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	const issuer = "https://localhost:9443/oauth2/token"
	g.expect("http://"+g.at.HTTP+"/v1/pet", 200, "up", "Authorization", "Bearer "+named.token(t, issuer))
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, "900901", "Authorization", "Bearer "+other.token(t, issuer))
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, "900901", "Authorization", "Bearer "+named.token(t, "https://elsewhere"))
	g.stop()

	// An alias that is not there ends the start, and the message names those
	// that are.
	if err := os.WriteFile(file, []byte(text("wso2apim310")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = gateway.Check(gateway.Options{Artifact: path, Conf: conf.Options{Path: file, Set: local()}})
	want := fmt.Sprintf(`jwtTokenConfig: issuer %q: certificateAlias: %s: no certificate with the alias "wso2apim310"; there are "somebody", "wso2apim"`, issuer, store)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
