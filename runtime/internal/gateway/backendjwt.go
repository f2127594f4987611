package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/policy/backendjwt"
)

// jwksPath is where the key of the backend JWT is published.
const jwksPath = "/.well-known/jwks.json"

// newBackendJWT returns nil if upstreams are not told who calls.
func newBackendJWT(c *conf.Config, port *identity) (*backendjwt.Generator, error) {
	j := &c.BackendJWT
	if !j.Enabled {
		return nil, nil
	}
	o := backendjwt.Options{Header: j.Header, Dialect: j.Dialect, Issuer: j.Issuer, Audience: j.Audience, Expiry: j.Expiry, Restricted: j.Restricted}
	// A token that is not remembered proves somebody anew on each request, who
	// would only take up room.
	if j.Cache {
		o.Expiry = j.CacheExpiry
		if c.TokenCache.Enabled {
			o.Entries = j.CacheCapacity
		}
	}
	from := "jwtGeneratorConfig.privateKeyFile"
	var err error
	if j.PrivateKeyFile != "" {
		if o.Key, err = readKey(j.PrivateKeyFile); err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
	} else if o.Key, o.Certificate, err = keyOf(c, port); err != nil {
		return nil, err
	} else {
		from = "the key of the HTTPS port"
	}
	switch o.Key.Public().(type) {
	case *rsa.PublicKey:
		if j.Algorithm == "ES256" {
			return nil, fmt.Errorf("jwtGeneratorConfig.signingAlgorithm: ES256 does not fit the RSA key of %s", from)
		}
	case *ecdsa.PublicKey:
		if j.Algorithm == "RS256" {
			return nil, fmt.Errorf("jwtGeneratorConfig.signingAlgorithm: RS256 does not fit the EC key of %s", from)
		}
	}
	g, err := backendjwt.New(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return g, nil
}

// assertion is the field that clients must not send; "" if it is any field.
func (g *gateway) assertion() string {
	if g.cfg.OwnsAssertion() {
		return g.cfg.BackendJWT.Header
	}
	return ""
}

// keyOf returns the HTTPS port's key as it is now, also if the port itself is
// off. It stays the backend JWT's when the port gets another: upstreams have it.
func keyOf(c *conf.Config, port *identity) (_ crypto.Signer, _ *x509.Certificate, err error) {
	var cert *tls.Certificate
	if port != nil {
		cert = port.now.Load()
	} else if cert, err = readCertificate(&c.Listener); err != nil {
		return nil, nil, err
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the key of the HTTPS port (%T) cannot sign", cert.PrivateKey)
	}
	return key, cert.Leaf, nil
}

// readKey reads a private key in PEM form.
func readKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return nil, fmt.Errorf("%s: no private key in PEM form", path)
		}
		var key any
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "":
			err = errors.New("it is encrypted; there is no key for its password")
		case b.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case b.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		case b.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		default: // parameters of a curve, certificates
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("%s: a key of the kind %T cannot sign", path, key)
		}
		return signer, nil
	}
}

// publishing adds the key of the backend JWT to what the admin port answers.
func (g *gateway) publishing(admin http.Handler) http.Handler {
	if g.backend == nil {
		return admin
	}
	set := g.backend.JWKS()
	mux := http.NewServeMux()
	mux.Handle("/", admin)
	mux.HandleFunc("GET "+jwksPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set) // whoever has gone does not need it
	})
	return mux
}
