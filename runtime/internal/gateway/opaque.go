package gateway

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

// newIntrospector makes what judges opaque tokens; nil if nobody is to be asked.
func newIntrospector(c *conf.Config, trusted *x509.CertPool, log *slog.Logger) (*introspect.Introspector, error) {
	i := &c.Introspection
	if i.URL == "" {
		return nil, nil
	}
	s := introspect.Server{
		URL: i.URL, Issuer: i.Issuer, Audience: i.Audience,
		TLS: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}
	if i.CertificateFile != "" {
		cert, err := tls.LoadX509KeyPair(i.CertificateFile, i.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("introspection.certificateFile: %w", err)
		}
		s.TLS.Certificates = []tls.Certificate{cert}
	}
	switch i.AuthMethod {
	case conf.PrivateKeyJWT:
		key, err := privateKey(i.KeyFile)
		if err == nil {
			s.Auth, err = introspect.PrivateKeyJWT(i.ClientID, i.KeyID, cmp.Or(i.AssertionAudience, i.Issuer, i.URL), key, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("introspection.keyFile: %s: %w", i.KeyFile, err)
		}
	case conf.TLSClientAuth:
		s.Auth = introspect.ClientCertificate(i.ClientID)
	default:
		s.Auth = introspect.ClientSecretBasic(i.ClientID, i.ClientSecret.Reveal())
	}
	return introspect.New(s, introspectOptions(c, log))
}

func introspectOptions(c *conf.Config, log *slog.Logger) introspect.Options {
	i := &c.Introspection
	return introspect.Options{
		Timeout: i.Timeout, Concurrent: i.MaxConcurrent,
		NoCache: !c.TokenCache.Enabled, Expiry: c.TokenCache.Expiry, Entries: c.TokenCache.Capacity, NegativeExpiry: i.NegativeCacheTime,
		Leeway: c.Server.TimestampSkew, Logger: log,
	}
}

// privateKey reads a key in PEM: PKCS#8, or what older tools write.
func privateKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return nil, errors.New("no private key in it")
		}
		var key any
		switch b.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is encrypted")
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			return k, nil
		case *ecdsa.PrivateKey:
			return k, nil
		case ed25519.PrivateKey:
			return k, nil
		}
		return nil, fmt.Errorf("a key of the type %T cannot sign", key)
	}
}
