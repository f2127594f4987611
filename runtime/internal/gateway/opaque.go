package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

// newIntrospector makes what judges opaque tokens; nil if nobody is to be asked.
func newIntrospector(c *conf.Config, trusted *x509.CertPool, log *slog.Logger) (*introspect.Introspector, error) {
	i := &c.Introspection
	if i.URL == "" {
		return newKeyManager(c, trusted, log)
	}
	s := introspect.Server{
		URL: i.URL, Issuer: i.Issuer, Audience: i.Audience, Claims: i.Claims,
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
		key, err := readKey(i.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("introspection.keyFile: %w", err)
		}
		if s.Auth, err = introspect.PrivateKeyJWT(i.ClientID, i.KeyID, cmp.Or(i.AssertionAudience, i.Issuer, i.URL), key, nil); err != nil {
			return nil, fmt.Errorf("introspection.keyFile: %s: %w", i.KeyFile, err)
		}
	case conf.TLSClientAuth:
		s.Auth = introspect.ClientCertificate(i.ClientID)
	default:
		s.Auth = introspect.ClientSecretBasic(i.ClientID, i.ClientSecret.Reveal())
	}
	return introspect.New(s, introspectOptions(c, log))
}

// newKeyManager is newIntrospector for the ways of WSO2.
func newKeyManager(c *conf.Config, trusted *x509.CertPool, log *slog.Logger) (*introspect.Introspector, error) {
	k := &c.KeyManager
	if !k.Enabled || !k.Authenticates() {
		return nil, nil
	}
	base := strings.TrimSuffix(k.ServerURL, "/")
	s := introspect.Server{
		URL:    base + "/introspect",
		Issuer: k.Issuer, Audience: c.Introspection.Audience, Claims: c.Introspection.Claims,
		TLS: keyManagerTLS(c, trusted),
	}
	if k.TokenContext != "" {
		s.URL = base + "/" + k.TokenContext + "/introspect"
	}
	switch o := &k.OAuth2; {
	case !o.Enabled:
		name, password := k.User()
		s.Auth = introspect.Basic(name, password.Reveal())
	case o.Direct.Enabled:
		s.Auth = introspect.Bearer(o.Direct.Token.Reveal())
	default:
		client := introspect.ClientSecretBasic(o.Credential.ClientID, o.Credential.ClientSecret.Reveal())
		switch o.Bearer {
		case conf.PostBodyBearer:
			client = introspect.ClientSecretPost(o.Credential.ClientID, o.Credential.ClientSecret.Reveal())
		case conf.NoBearer:
			client = introspect.ClientCertificate(o.Credential.ClientID) // the name alone
		}
		var err error
		if s.Auth, err = introspect.ClientCredentials(s.TLS, o.TokenURL, client, o.Credential.Scopes); err != nil {
			return nil, fmt.Errorf("keymanager.security.oauth2.tokenUrl: %w", err)
		}
	}
	if k.Introspect {
		return introspect.New(s, introspectOptions(c, log))
	}
	return introspect.NewKeyValidation(introspect.KeyManager{URL: base, Auth: s.Auth, TLS: s.TLS}, introspectOptions(c, log))
}

// keyManagerTLS is how the key manager proves who it is.
func keyManagerTLS(c *conf.Config, trusted *x509.CertPool) *tls.Config {
	t := upstreamTLS(&conf.Upstream{VerifyHostname: c.KeyManager.VerifyHostname}, trusted)
	t.NextProtos = nil
	return t
}

func introspectOptions(c *conf.Config, log *slog.Logger) introspect.Options {
	i := &c.Introspection
	return introspect.Options{
		Timeout: i.Timeout, Concurrent: i.MaxConcurrent,
		NoCache: !c.TokenCache.Enabled, Expiry: c.TokenCache.Expiry, Entries: c.TokenCache.Capacity, NegativeExpiry: i.NegativeCacheTime,
		Leeway: c.Server.TimestampSkew, Logger: log,
	}
}
