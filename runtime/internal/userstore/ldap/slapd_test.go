package ldap_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/testport"
	"github.com/microgw/microgw/runtime/internal/userstore"
	"github.com/microgw/microgw/runtime/internal/userstore/ldap"
)

// patience is how long a test waits for what happens at once as a rule.
const patience = time.Minute

// slapd is a real directory (OpenLDAP), a plain process on this machine.
type slapd struct {
	plain, secure string // URLs
	roots         *x509.CertPool
}

const people = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=gateway,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gateway
userPassword: ours

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=ada,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ada
cn: Ada
sn: Lovelace
mail: ada@example.com
userPassword: secret

dn: uid=ada\,ou\=staff,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ada,ou=staff
cn: Comma
sn: Comma
userPassword: comma

dn: uid=jos\C3\A9,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: josé
cn: twin
sn: José
userPassword: contraseña

dn: uid=grace,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: grace
cn: twin
sn: Hopper
userPassword: navy
`

// startSlapd runs a directory until the test ends. Where there is none the test
// is left out, but not in CI.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	server, err := exec.LookPath("slapd")
	if err != nil {
		server = "/usr/sbin/slapd"
	}
	if _, err := os.Stat(server); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("slapd is not installed")
		}
		t.Skip("slapd is not installed")
	}
	dir := t.TempDir()
	s := &slapd{roots: x509.NewCertPool()}
	certificate(t, dir, s.roots)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("slapd.conf", fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix "dc=example,dc=com"
directory %[1]s/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=gateway,dc=example,dc=com" read by * none
`, dir))
	fill := exec.Command(server, "-T", "add", "-f", conf, "-l", write("people.ldif", people))
	if out, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	ports := [2]string{}
	for i := range ports {
		if ports[i], err = testport.Free(); err != nil {
			t.Fatal(err)
		}
	}
	s.plain, s.secure = "ldap://127.0.0.1:"+ports[0], "ldaps://127.0.0.1:"+ports[1]
	// -d keeps it in the foreground; 0 says nothing.
	run := exec.Command(server, "-d", "0", "-f", conf, "-h", s.plain+" "+s.secure)
	log := &bytes.Buffer{}
	run.Stdout, run.Stderr = log, log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	t.Cleanup(func() {
		_ = run.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("slapd: %s", log)
		}
	})
	for _, port := range ports {
		for deadline := time.Now().Add(patience); ; {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				c.Close()
				break
			}
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("slapd ended: %v\n%s", err, log)
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatalf("slapd does not listen: %v", err)
			}
		}
	}
	return s
}

// certificate writes one that is its own authority.
func certificate(t *testing.T, dir string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "directory"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// With a real directory, by each way to it and to the user's entry.
func TestSlapd(t *testing.T) {
	s := startSlapd(t)
	const base = "ou=people,dc=example,dc=com"
	gone := "ldap://127.0.0.1:1"
	for name, o := range map[string]ldap.Options{
		"template":             {URLs: []string{s.plain}, UserDN: "uid={user}," + base},
		"template, ldaps":      {URLs: []string{s.secure}, UserDN: "uid={user}," + base},
		"template, StartTLS":   {URLs: []string{s.plain}, StartTLS: true, UserDN: "uid={user}," + base},
		"search, ldaps":        {URLs: []string{s.secure}, BaseDN: base, Filter: "(uid={user})", BindDN: "cn=gateway,dc=example,dc=com", BindPassword: "ours"},
		"search, the second":   {URLs: []string{gone, s.plain}, BaseDN: "dc=example,dc=com", Filter: "(&(objectClass=inetOrgPerson)(uid={user}))", BindDN: "cn=gateway,dc=example,dc=com", BindPassword: "ours"},
		"template, the second": {URLs: []string{gone, s.plain}, UserDN: "uid={user}," + base},
	} {
		t.Run(name, func(t *testing.T) {
			o.RootCAs = s.roots
			for _, c := range []struct{ user, password, want string }{
				{"ada", "secret", "in as ada"},
				{"Ada", "secret", "in as ada"},
				{"josé", "contraseña", "in as josé"},
				{"ada,ou=staff", "comma", "in as ada,ou=staff"},
				{"ada", "Secret", "refused"},
				{"ada", "secret ", "refused"},
				{"ada", "", "refused"},
				{"ada", "\x00", "refused"},
				{"ada", "secret\x00", "refused"},
				{"nobody", "secret", "refused"},
				{"nobody", "", "refused"},
				{"", "secret", "refused"},
				{" ada", "secret", "refused"},
				{"ada ", "secret", "refused"},
				{"ada\x00", "secret", "refused"},
				{"a\u200bda", "secret", "refused"}, // one name with ada to a directory, as the next five
				{"a\u00adda", "secret", "refused"},
				{"\uff41da", "secret", "refused"},
				{"ada\ufe0f", "secret", "refused"},
				{"\u00a0ada", "secret", "refused"},
				{"jose\u0301", "contraseña", "refused"},
				{"JOSÉ", "contraseña", "in as josé"},
				{"*", "secret", "refused"},
				{"a*", "secret", "refused"},
				{"ada)(uid=*", "secret", "refused"},
				{"ada,ou=people", "secret", "refused"},
				{"ada+cn=Ada", "secret", "refused"},
				{`ada\2c`, "secret", "refused"},
				{`ada\`, "secret", "refused"},
				{"#616461", "secret", "refused"},
				{"{user}", "secret", "refused"},
				{strings.Repeat("a", 300), "secret", "refused"},
			} {
				if got := verdict(check(t, o, c.user, c.password)); got != c.want {
					t.Errorf("%q, %q: %s, want %s", c.user, c.password, got, c.want)
				}
			}
			// Only a search tells who is not there from who has another password.
			for user, unknown := range map[string]bool{"nobody": o.UserDN == "", "ada": false, "ada ": false} {
				if _, err := check(t, o, user, "wrong"); errors.Is(err, userstore.ErrUnknown) != unknown {
					t.Errorf("%q: %v", user, err)
				}
			}
		})
	}
	for name, c := range map[string]struct {
		o          ldap.Options
		user, want string
	}{
		"another authority":           {ldap.Options{URLs: []string{s.secure}, RootCAs: x509.NewCertPool(), UserDN: "uid={user}," + base}, "ada", "certificate"},
		"another authority, StartTLS": {ldap.Options{URLs: []string{s.plain}, StartTLS: true, RootCAs: x509.NewCertPool(), UserDN: "uid={user}," + base}, "ada", "certificate"},
		"another host":                {ldap.Options{URLs: []string{strings.Replace(s.secure, "127.0.0.1", "localhost", 1)}, RootCAs: s.roots, UserDN: "uid={user}," + base}, "ada", "certificate"},
		"no TLS there":                {ldap.Options{URLs: []string{strings.Replace(s.plain, "ldap:", "ldaps:", 1)}, RootCAs: s.roots, UserDN: "uid={user}," + base}, "ada", ""},
		"our password":                {ldap.Options{URLs: []string{s.plain}, BaseDN: base, Filter: "(uid={user})", BindDN: "cn=gateway,dc=example,dc=com", BindPassword: "theirs"}, "ada", "bind to search"},
		"two entries":                 {ldap.Options{URLs: []string{s.plain}, BaseDN: base, Filter: "(cn={user})", BindDN: "cn=gateway,dc=example,dc=com", BindPassword: "ours"}, "twin", "more than one entry"},
		"nobody may search":           {ldap.Options{URLs: []string{s.plain}, BaseDN: base, Filter: "(uid={user})"}, "ada", ""},
		"nobody there":                {ldap.Options{URLs: []string{gone}, UserDN: "uid={user}," + base}, "ada", "refused"},
	} {
		user, err := check(t, c.o, c.user, "secret")
		got := verdict(user, err)
		if user != "" || err == nil || got == "refused" && name != "nobody may search" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q in it", name, got, c.want)
		}
		if strings.Contains(got, "secret") || strings.Contains(got, "theirs") {
			t.Errorf("%s: a password in %q", name, got)
		}
	}
}
