package keys_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/keys"
	"software.sslmate.com/src/go-pkcs12"
)

func certFromPEM(name string) *x509.Certificate {
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join("testdata", name))))
	return must(x509.ParseCertificate(block.Bytes))
}

func open(t *testing.T, name, password string) *keys.Store {
	t.Helper()
	s, err := keys.OpenStore(must(os.ReadFile(filepath.Join("testdata", name))), password)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// Stores as Java and OpenSSL write them: each alias leads to its certificate.
func TestStoreByAlias(t *testing.T) {
	rsaCert, ecCert := certFromPEM("rsa.pem"), certFromPEM("ec.pem")
	for _, c := range []struct{ file, password string }{
		{"java-modern.p12", "changeit"}, {"java-legacy.p12", "changeit"}, {"java-nopass.p12", ""},
	} {
		s := open(t, c.file, c.password)
		for alias, want := range map[string]*x509.Certificate{"wso2apim": rsaCert, "WSO2APIM": rsaCert, "Ünder-ÄC": ecCert, "ünder-äc": ecCert} {
			if got, err := s.Certificate(alias); err != nil || !got.Equal(want) {
				t.Errorf("%s: %s: %v", c.file, alias, err)
			}
		}
		if got := s.Aliases(); !slices.Equal(got, []string{"WSO2apim", "Ünder-ÄC"}) {
			t.Errorf("%s: aliases %q", c.file, got)
		}
		if n := len(s.Trusted()); n != 2 {
			t.Errorf("%s: %d trust anchors, want 2", c.file, n)
		}
		_, err := s.Certificate("wso2")
		if err == nil || err.Error() != `no certificate with the alias "wso2"; there are "WSO2apim", "Ünder-ÄC"` {
			t.Errorf("%s: missing alias: %v", c.file, err)
		}
		// One alias, one key: the other certificate is not trusted along with it.
		set := must(s.Keys("wso2apim", ""))
		if _, err := set.Keys("", "ES256"); set.Len() != 1 || !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("%s: the set holds more than the alias: %d, %v", c.file, set.Len(), err)
		}
	}
	for _, file := range []string{"openssl-modern.p12", "openssl-3des.p12"} {
		s := open(t, file, "changeit")
		if got, err := s.Certificate("wso2apim"); err != nil || !got.Equal(rsaCert) {
			t.Errorf("%s: %v", file, err)
		}
		if n := len(s.Trusted()); n != 0 {
			t.Errorf("%s: %d trust anchors, want none: Java has not marked any", file, n)
		}
	}
	s := open(t, "java-keyentry.p12", "changeit")
	if c, err := s.Certificate("signer"); err != nil || c.Subject.CommonName != "key entry" {
		t.Errorf("certificate of a private key: %v", err)
	}
	if c, err := s.Certificate("other"); err != nil || !c.Equal(ecCert) {
		t.Errorf("trusted certificate beside a private key: %v", err)
	}
}

// The Go library as another writer, with the ciphers and MACs it knows.
func TestStoreFromGo(t *testing.T) {
	entries := []pkcs12.TrustStoreEntry{{Cert: certFromPEM("rsa.pem"), FriendlyName: "one"}, {Cert: certFromPEM("ec.pem"), FriendlyName: "two"}}
	for name, enc := range map[string]*pkcs12.Encoder{
		"RC2": pkcs12.LegacyRC2, "DES": pkcs12.LegacyDES, "2023": pkcs12.Modern2023, "2026 (PBMAC1)": pkcs12.Modern2026, "none": pkcs12.Passwordless,
	} {
		password := "pässwörd €"
		if name == "none" {
			password = ""
		}
		data := must(enc.EncodeTrustStoreEntries(entries, password))
		s, err := keys.OpenStore(data, password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c, err := s.Certificate("TWO"); err != nil || !c.Equal(entries[1].Cert) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "none" {
			if _, err := keys.OpenStore(data, "other"); !errors.Is(err, keys.ErrPassword) {
				t.Errorf("%s: wrong password: %v", name, err)
			}
		}
	}
	empty := must(pkcs12.Modern2023.EncodeTrustStoreEntries(entries, ""))
	if _, err := keys.OpenStore(empty, ""); err != nil {
		t.Errorf("empty password: %v", err)
	}
	entries[1].FriendlyName = "ONE"
	s := must(keys.OpenStore(must(pkcs12.Modern2023.EncodeTrustStoreEntries(entries, "x")), "x"))
	if _, err := s.Certificate("one"); err == nil || !strings.Contains(err.Error(), "several") {
		t.Errorf("one alias for two certificates: %v", err)
	}
}

func TestStoreRefuses(t *testing.T) {
	modern := must(os.ReadFile("testdata/java-modern.p12"))
	for name, c := range map[string]struct {
		data           []byte
		password, want string
	}{
		"wrong password":      {modern, "changeme", "wrong password"},
		"no password":         {modern, "", "wrong password"},
		"trailing bytes":      {append(bytes.Clone(modern), 0), "changeit", "trailing"},
		"password but no MAC": {must(os.ReadFile("testdata/java-nopass.p12")), "changeit", "no MAC"},
		"JKS":                 {must(os.ReadFile("testdata/store.jks")), "changeit", "JKS"},
		"PEM":                 {must(os.ReadFile("testdata/rsa.pem")), "", "PEM"},
		"empty":               {nil, "", "not a PKCS#12 file"},
		"text":                {[]byte("hello"), "", "not a PKCS#12 file"},
	} {
		if _, err := keys.OpenStore(c.data, c.password); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ...%s...", name, err, c.want)
		}
	}
	fast := must(os.ReadFile("testdata/openssl-modern.p12"))
	for n := range len(fast) {
		if n%7 != 0 && n < len(fast)-20 {
			continue
		}
		if _, err := keys.OpenStore(fast[:n], "changeit"); err == nil {
			t.Errorf("cut to %d of %d bytes: accepted", n, len(fast))
		}
	}
	// A changed certificate is caught by the MAC.
	changed := bytes.Clone(fast)
	changed[len(changed)/3] ^= 1
	if _, err := keys.OpenStore(changed, "changeit"); err == nil {
		t.Error("changed byte: accepted")
	}
}

// No file makes a panic, and a certificate is only found by an alias that is
// listed.
func FuzzOpenStore(f *testing.F) {
	f.Add(must(os.ReadFile("testdata/java-nopass.p12")), "")
	f.Add(must(os.ReadFile("testdata/openssl-modern.p12")), "changeit")
	f.Add(must(os.ReadFile("testdata/openssl-3des.p12")), "changeit")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		s, err := keys.OpenStore(data, password)
		if err != nil {
			return
		}
		if c, err := s.Certificate(""); err == nil {
			t.Fatalf("certificate %v without an alias", c.Subject)
		}
		for _, c := range s.Trusted() {
			if c == nil {
				t.Fatal("no certificate")
			}
		}
	})
}
