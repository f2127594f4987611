package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

// ownProof is how the gateway proves who it is to the server that it asks about
// opaque tokens. Its files are read again when they change; if they cannot be used
// what was there before goes on.
type ownProof struct {
	cfg   *conf.Introspection
	files []string // nil: it needs none
	seen  []fileID // of the files, for watch
	now   atomic.Pointer[proof]
}

type proof struct {
	auth introspect.Auth  // nil: it needs no file
	cert *tls.Certificate // nil: none
}

func newOwnProof(i *conf.Introspection) (*ownProof, error) {
	o := &ownProof{cfg: i}
	for _, f := range []string{i.CertificateFile, i.KeyFile} {
		if f != "" {
			o.files = append(o.files, f)
		}
	}
	o.seen = unlessFresh(identifyAll(o.files), time.Now())
	first, err := o.read()
	if err != nil {
		return nil, err
	}
	o.now.Store(first)
	return o, nil
}

func (o *ownProof) read() (*proof, error) {
	i, p := o.cfg, &proof{}
	if i.CertificateFile != "" {
		cert, err := tls.LoadX509KeyPair(i.CertificateFile, i.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("introspection.certificateFile: %w", err)
		}
		p.cert = &cert
	}
	if i.AuthMethod == conf.PrivateKeyJWT {
		key, err := readKey(i.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("introspection.keyFile: %w", err)
		}
		if p.auth, err = introspect.PrivateKeyJWT(i.ClientID, i.KeyID, cmp.Or(i.AssertionAudience, i.Issuer, i.URL), key, nil); err != nil {
			return nil, fmt.Errorf("introspection.keyFile: %s: %w", i.KeyFile, err)
		}
	}
	return p, nil
}

// reload reads the files again.
func (o *ownProof) reload(in *introspect.Introspector, log *slog.Logger) {
	next, err := o.read()
	if err != nil {
		log.Error("the gateway's key for introspection: the one before goes on", "err", err)
		return
	}
	o.now.Store(next)
	in.Close() // connections that the certificate before was shown on
	log.Info("the gateway's key for introspection read", "paths", o.files)
}

// newIntrospector makes what judges opaque tokens; nil if nobody is to be asked.
func (is *issuers) newIntrospector() (*introspect.Introspector, error) {
	i := &is.cfg.Introspection
	if i.URL == "" {
		return newKeyManager(is.cfg, is.trusted, is.log)
	}
	own, err := newOwnProof(i)
	if err != nil {
		return nil, err
	}
	s := introspect.Server{
		URL: i.URL, Issuer: i.Issuer, Audience: i.Audience, Claims: i.Claims,
		TLS: &tls.Config{RootCAs: is.trusted, MinVersion: tls.VersionTLS12},
	}
	if i.CertificateFile != "" {
		s.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.now.Load().cert, nil }
	}
	switch i.AuthMethod {
	case conf.PrivateKeyJWT:
		s.Auth = introspect.Latest(func() introspect.Auth { return own.now.Load().auth })
	case conf.TLSClientAuth:
		s.Auth = introspect.ClientCertificate(i.ClientID)
	default:
		s.Auth = introspect.ClientSecretBasic(i.ClientID, i.ClientSecret.Reveal())
	}
	is.own = own
	return introspect.New(s, introspectOptions(is.cfg, is.log))
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
