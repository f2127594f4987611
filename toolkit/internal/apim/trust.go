package apim

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

const maxStore = 16 << 20

// A Store is a file with certificates to trust.
type Store struct {
	path string
	data []byte
}

// ErrStorePassword says that a store does not open with the password given.
var ErrStorePassword = errors.New("wrong password")

// ReadStore reads a trust store: PKCS#12 or PEM.
func ReadStore(path string) (*Store, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err == nil && info.Size() > maxStore {
		err = fmt.Errorf("larger than %d MiB", maxStore>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", path, reason(err))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", path, reason(err))
	}
	return &Store{path, data}, nil
}

func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Protected reports whether the store needs a password.
func (s *Store) Protected() bool { return !bytes.Contains(s.data, []byte("-----BEGIN ")) }

// Roots are the certificates in the store.
func (s *Store) Roots(password string) (*x509.CertPool, error) {
	certs, err := s.certificates(password)
	if err == nil && len(certs) == 0 {
		err = errors.New("no certificate is in it")
	}
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", s.path, err)
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

func (s *Store) certificates(password string) ([]*x509.Certificate, error) {
	if !s.Protected() {
		var certs []*x509.Certificate
		for rest := s.data; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				return certs, nil
			}
			if b.Type != "CERTIFICATE" {
				continue
			}
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, err
			}
			certs = append(certs, c)
		}
	}
	if bytes.HasPrefix(s.data, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		return nil, errors.New("a JKS store, not PKCS#12; convert it with keytool -importkeystore -deststoretype pkcs12")
	}
	certs, err := pkcs12.DecodeTrustStore(s.data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, ErrStorePassword
	case err != nil:
		// A store with a key in it, or one that openssl has made: its
		// certificates are those of the key's owner first of all.
		if _, leaf, chain, errKey := pkcs12.DecodeChain(s.data, password); errKey == nil {
			return append(chain, leaf), nil
		}
		return nil, fmt.Errorf("neither PEM nor a PKCS#12 trust store: %w; openssl pkcs12 -nokeys makes PEM of it", err)
	}
	return certs, nil
}
