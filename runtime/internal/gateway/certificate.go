package gateway

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// identity is the certificate that the TLS ports show, and its key. It is read
// again when its files change; connections that are open are not concerned.
type identity struct {
	cfg   *conf.Listener
	files []string // nil: it was made here
	seen  []fileID // of the files, for watch
	now   atomic.Pointer[tls.Certificate]

	mu sync.Mutex // held while the files are read
}

// newIdentity reads the certificate, with what the operator should know of it.
// Certificates come from one place at a time: a PEM pair, a PKCS#12 key store, or,
// if neither is configured, thin air.
func newIdentity(l *conf.Listener, now time.Time) (_ *identity, warnings []string, err error) {
	i := &identity{cfg: l}
	var cert *tls.Certificate
	switch {
	case l.CertificateFile != "" || l.PrivateKeyFile != "":
		i.files = []string{l.CertificateFile, l.PrivateKeyFile}
	case l.KeyStore.Path != "":
		i.files = []string{l.KeyStore.Path}
	default:
		cert, err = selfSigned(now)
		warnings = append(warnings, "no certificate is configured (listenerConfig.keyStorePath, or certificateFile and privateKeyFile): "+
			"the HTTPS listener uses a self-signed one made just now, which no client trusts")
	}
	if i.files != nil {
		i.seen = unlessFresh(identifyAll(i.files), time.Now())
		cert, err = readCertificate(l)
	}
	if err != nil {
		return nil, nil, err
	}
	i.now.Store(cert)
	if at := outside(cert.Leaf, now); at != "" {
		warnings = append(warnings, "the certificate of the HTTPS listener "+at)
	}
	return i, warnings, nil
}

// outside says how a certificate is not valid now; "" if it is.
func outside(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.After(leaf.NotAfter):
		return "expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case now.Before(leaf.NotBefore):
		return "is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly)
	}
	return ""
}

// config is what the HTTPS listener speaks.
func (i *identity) config() *tls.Config {
	l := i.cfg
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.now.Load(), nil },
		MinVersion:     l.TLS.MinVersion,
		MaxVersion:     l.TLS.MaxVersion,
		CipherSuites:   l.TLS.Ciphers,
		// A client that insists on h2 is turned away in the handshake
		// (RFC 7301, section 3.2) and not by bytes it does not understand.
		NextProtos: []string{"http/1.1"},
	}
}

// reload reads the files again, and reports whether there is another certificate
// in them. If there is an error the one before goes on. There must be files.
func (i *identity) reload(now time.Time) (changed bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	old := i.now.Load()
	next, err := readCertificate(i.cfg)
	switch {
	case err != nil:
		return false, err
	case slices.EqualFunc(old.Certificate, next.Certificate, bytes.Equal):
		return false, nil
	}
	if at := outside(next.Leaf, now); at != "" && outside(old.Leaf, now) == "" {
		return false, fmt.Errorf("%s: the certificate %s", i.files[0], at)
	}
	i.now.Store(next)
	return true, nil
}

// readCertificate reads what is configured, of which there is something.
func readCertificate(l *conf.Listener) (*tls.Certificate, error) {
	if l.CertificateFile != "" || l.PrivateKeyFile != "" {
		return pemPair(l.CertificateFile, l.PrivateKeyFile)
	}
	return keyStore(l.KeyStore.Path, l.KeyStore.Password.Reveal())
}

// pemPair reads a certificate chain, leaf first, and its key.
func pemPair(certFile, keyFile string) (*tls.Certificate, error) {
	switch {
	case keyFile == "":
		return nil, fmt.Errorf("listenerConfig.certificateFile: %s has no key to go with it: set listenerConfig.privateKeyFile", certFile)
	case certFile == "":
		return nil, fmt.Errorf("listenerConfig.privateKeyFile: %s has no certificate to go with it: set listenerConfig.certificateFile", keyFile)
	}
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.certificateFile: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.privateKeyFile: %w", err)
	}
	if b, _ := pem.Decode(keyPEM); b != nil && (b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "") {
		return nil, fmt.Errorf("listenerConfig.privateKeyFile: %s is encrypted; use a PKCS#12 key store for a key with a password", keyFile)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.certificateFile: %s with %s: %w", certFile, keyFile, err)
	}
	return &cert, nil // X509KeyPair fills in Leaf
}

// keyStore reads a PKCS#12 file with one key.
func keyStore(path, password string) (*tls.Certificate, error) {
	fail := func(err error) (*tls.Certificate, error) {
		return nil, fmt.Errorf("listenerConfig.keyStorePath: %s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.keyStorePath: %w", err)
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return fail(errors.New("listenerConfig.keyStorePassword is not its password"))
	case err != nil:
		// What the library says of a store without a key or with several.
		return fail(fmt.Errorf("not a PKCS#12 store with one key and its certificate: %w", err))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return fail(fmt.Errorf("its key is of an unsupported kind (%T)", key))
	}
	if pub, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
		return fail(errors.New("its key does not belong to its certificate"))
	}
	cert := &tls.Certificate{PrivateKey: signer, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, c := range chain {
		if !c.Equal(leaf) {
			cert.Certificate = append(cert.Certificate, c.Raw)
		}
	}
	return cert, nil
}

// selfSigned makes a certificate for this machine that lives as long as the
// process. ECDSA, because an RSA key takes longer to make than the gateway may
// take to start.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "micro-gw self-signed"},
		// An hour back: clocks differ.
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "" && name != "localhost" {
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
