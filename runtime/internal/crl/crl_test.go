package crl_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/crl"
)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

// list is one of that number, in PEM, with these serials.
func (a *authority) list(t testing.TB, number int64, extra []pkix.Extension, serials ...int64) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: extra}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func (a *authority) chain(serial int64) []*x509.Certificate {
	return []*x509.Certificate{{RawIssuer: a.cert.RawSubject, SerialNumber: big.NewInt(serial)}, a.cert}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func der(t testing.TB, block []byte) []byte {
	t.Helper()
	b, _ := pem.Decode(block)
	return b.Bytes
}

// What the file may become while a list of one and of another authority is in
// force, and who is revoked then: 7 of the one, 8 of the other.
func TestRead(t *testing.T) {
	one, other, strange := newAuthority(t, "one"), newAuthority(t, "other"), newAuthority(t, "strange")
	both := []*x509.Certificate{one.cert, other.cert}
	extension := func(id asn1.ObjectIdentifier, critical bool, value any) []pkix.Extension {
		b, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return []pkix.Extension{{Id: id, Critical: critical, Value: b}}
	}
	point := asn1.ObjectIdentifier{2, 5, 29, 28}
	users := extension(point, true, struct {
		User bool `asn1:"tag:1"`
	}{true})
	first := join(one.list(t, 5, nil, 7), other.list(t, 5, nil, 8))
	cut := one.list(t, 6, nil)
	for name, c := range map[string]struct {
		data        []byte
		authorities []*x509.Certificate
		err         string // "": it is taken
		unchanged   bool
		revoked     [2]bool
	}{
		"the same":                 {first, both, "", true, [2]bool{true, true}},
		"the same, others trusted": {first, []*x509.Certificate{other.cert, one.cert}, "", false, [2]bool{true, true}},
		"newer":                    {join(one.list(t, 6, nil), other.list(t, 5, nil, 8)), both, "", false, [2]bool{false, true}},
		"text around":              {join([]byte("of one\n"), one.list(t, 6, nil), []byte("of other\n"), other.list(t, 5, nil, 8), []byte("end")), both, "", false, [2]bool{false, true}},
		"one in DER, the other is not trusted any more": {der(t, one.list(t, 6, nil, 7)), both[:1], "", false, [2]bool{true, false}},
		"for users, too":                {join(first, one.list(t, 6, users, 9)), both, "", false, [2]bool{true, true}},
		"a remark that is not critical": {join(one.list(t, 6, extension(asn1.ObjectIdentifier{1, 2, 3}, false, 1), 7), other.list(t, 5, nil)), both, "", false, [2]bool{true, false}},

		"older":                       {join(one.list(t, 4, nil), other.list(t, 5, nil, 8)), both, `a list of "CN=one" (number 4) is older than the one in force (number 5)`, false, [2]bool{true, true}},
		"without the other's":         {one.list(t, 6, nil, 7), both, `a list of "CN=other" is missing`, false, [2]bool{true, true}},
		"without the other's, in DER": {der(t, one.list(t, 6, nil, 7)), both, `a list of "CN=other" is missing`, false, [2]bool{true, true}},
		"for users only, where there was one for all": {join(one.list(t, 6, users, 7), other.list(t, 5, nil, 8)), both, `a list of "CN=one" is missing`, false, [2]bool{true, true}},
		"cut off behind the first":                    {join(one.list(t, 6, nil), other.list(t, 6, nil)[:60]), both, "cut off", false, [2]bool{true, true}},
		"cut off before the last":                     {join(cut[:len(cut)/2], []byte("\n"), other.list(t, 6, nil)), both, "cut off", false, [2]bool{true, true}},
		"of a stranger":                               {strange.list(t, 6, nil), both, "none of the trusted authorities has signed it", false, [2]bool{true, true}},
		"of one not trusted now":                      {first, []*x509.Certificate{one.cert}, "none of the trusted authorities has signed it", false, [2]bool{true, true}},
		"delta":                                       {one.list(t, 6, extension(asn1.ObjectIdentifier{2, 5, 29, 27}, true, 5)), both, "it is a delta", false, [2]bool{true, true}},
		"indirect": {one.list(t, 6, extension(point, true, struct {
			Indirect bool `asn1:"tag:4"`
		}{true})), both, "indirect", false, [2]bool{true, true}},
		"an extension nobody knows": {one.list(t, 6, extension(asn1.ObjectIdentifier{1, 2, 3}, true, 1)), both, "critical extension 1.2.3 is not understood", false, [2]bool{true, true}},
		"broken distribution point": {one.list(t, 6, extension(point, true, 5)), both, "distribution point cannot be read", false, [2]bool{true, true}},
		"a certificate":             {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.cert.Raw}), both, "is not a list", false, [2]bool{true, true}},
		"nothing":                   {nil, both, "the file is empty", false, [2]bool{true, true}},
		"no list":                   {[]byte("no list"), both, "not a certificate revocation list", false, [2]bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list.crl")
			write := func(b []byte) {
				t.Helper()
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(first)
			l, err := crl.Open(path, both)
			if err != nil {
				t.Fatal(err)
			}
			write(c.data)
			changed, err := l.Read(c.authorities)
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), path) || changed):
				t.Errorf("got %v, want %s", err, c.err)
			case c.err == "" && (err != nil || changed == c.unchanged):
				t.Errorf("changed %v, error %v", changed, err)
			}
			if got := [2]bool{l.Revoked(one.chain(7)), l.Revoked(other.chain(8))}; got != c.revoked {
				t.Errorf("revoked %v, want %v", got, c.revoked)
			}
		})
	}
}

// unnumbered is a list as some authorities make them: without a number.
func (a *authority) unnumbered(t testing.TB, at time.Time, serials ...int64) []byte {
	t.Helper()
	marshal := func(value any) []byte {
		t.Helper()
		b, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type entry struct {
		Serial *big.Int
		At     time.Time
	}
	var revoked []entry
	for _, s := range serials {
		revoked = append(revoked, entry{big.NewInt(s), at.UTC()})
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}} // ecdsa-with-SHA256
	tbs := marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		At        time.Time
		Revoked   []entry `asn1:"optional"`
	}{1, algorithm, asn1.RawValue{FullBytes: a.cert.RawSubject}, at.UTC(), revoked})
	sum := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})})
}

// Of lists without a number, and of a whole one in place of a part, the date says
// which is older.
func TestReadUnnumbered(t *testing.T) {
	one := newAuthority(t, "one")
	now := time.Now().Truncate(time.Second)
	before, after := now.Add(-2*time.Minute), now.Add(time.Second)
	numbered := one.list(t, 5, nil, 7) // a minute old
	value, err := asn1.Marshal(struct {
		User bool `asn1:"tag:1"`
	}{true})
	if err != nil {
		t.Fatal(err)
	}
	users := one.list(t, 50, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}}, 7)
	for name, c := range map[string]struct {
		first, then []byte
		good        bool
	}{
		"older":                        {one.unnumbered(t, now, 7), one.unnumbered(t, before), false},
		"of the same time":             {one.unnumbered(t, now, 7), one.unnumbered(t, now), true},
		"newer":                        {one.unnumbered(t, now, 7), one.unnumbered(t, after), true},
		"older than a numbered one":    {numbered, one.unnumbered(t, before), false},
		"newer than a numbered one":    {numbered, one.unnumbered(t, after), true},
		"a numbered one that is older": {one.unnumbered(t, now, 7), one.list(t, 5, nil), false},
		"the whole for a part":         {users, one.unnumbered(t, now), true},
		"an older whole for a part":    {users, one.unnumbered(t, before), false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list.crl")
			if err := os.WriteFile(path, c.first, 0o600); err != nil {
				t.Fatal(err)
			}
			authorities := []*x509.Certificate{one.cert}
			l, err := crl.Open(path, authorities)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.then, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err = l.Read(authorities); (err == nil) != c.good || err != nil && !strings.Contains(err.Error(), "older than the one in force") {
				t.Errorf("got %v", err)
			}
			if l.Revoked(one.chain(7)) == c.good {
				t.Errorf("revoked %v", !c.good)
			}
		})
	}
}
