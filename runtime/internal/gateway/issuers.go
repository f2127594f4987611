package gateway

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/introspect"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/revocation"
	"github.com/microgw/microgw/schema/artifactpb"
)

// issuers is whose tokens are accepted. The key sets live as long as the
// process and are shared by all artifacts served one after the other. Only the
// development key is the artifact's own.
type issuers struct {
	cfg     *conf.Config
	log     *slog.Logger
	store   *keys.Store    // listenerConfig.trustStorePath; nil: none
	trusted *x509.CertPool // the system's and those of the trust store; nil: the system's
	list    []jwt.Issuer
	remotes []*keys.Remote           // all that were made
	revoked *revocation.Set          // nil: tokens are not looked up
	opaque  *introspect.Introspector // nil: tokens must be signed
	own     *ownProof                // for whom that asks; nil: nobody

	// A verifier remembers tokens. It is kept for as long as the development
	// key stays the same, so that a swap does not make every token new.
	mu       sync.Mutex
	verifier *jwt.Verifier // guarded by mu
	key      []byte        // guarded by mu: the development key it trusts
}

// openTrustStore reads listenerConfig.trustStorePath.
func openTrustStore(s *conf.Store) (*keys.Store, error) {
	data, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.trustStorePath: %w", err)
	}
	store, err := keys.OpenStore(data, s.Password.Reveal())
	if err != nil {
		return nil, fmt.Errorf("listenerConfig.trustStorePath: %s: %w", s.Path, err)
	}
	return store, nil
}

// newIssuers reads the keys at hand and begins to fetch the others.
func newIssuers(c *conf.Config, log *slog.Logger) (_ *issuers, err error) {
	is := &issuers{cfg: c, log: log}
	defer func() {
		if err != nil {
			is.close()
		}
	}()
	if c.Listener.TrustStore.Path != "" {
		if is.store, err = openTrustStore(&c.Listener.TrustStore); err != nil {
			return nil, err
		}
		if is.trusted, err = x509.SystemCertPool(); err != nil {
			// A minimal container has none; the store is enough then.
			is.trusted = x509.NewCertPool()
		}
		for _, cert := range is.store.Trusted() {
			is.trusted.AddCert(cert)
		}
	}
	for _, i := range c.Issuers {
		set, err := is.keySet(i, is.store)
		if err != nil {
			return nil, fmt.Errorf("jwtTokenConfig: issuer %q: %w", i.Issuer, err)
		}
		is.list = append(is.list, jwt.Issuer{
			Issuer: i.Issuer, Audience: i.Audience, Keys: set, ConsumerKeyClaim: i.ConsumerKeyClaim, Leeway: i.Leeway,
			UsernameClaim: i.UsernameClaim, Renamed: i.Renamed, Demands: demands(i, c.Security.ValidateSubscriptions),
		})
	}
	if is.opaque, err = is.newIntrospector(); err != nil {
		return nil, err
	}
	return is, nil
}

func (is *issuers) keySet(i conf.Issuer, store *keys.Store) (keys.KeySet, error) {
	switch {
	case i.JWKSURL != "" || i.Discovery:
		o := keys.RemoteOptions{URL: i.JWKSURL, RootCAs: is.trusted, Logger: is.log}
		if i.Profile == conf.ProfileFAPI { // which has one for RSA; many sets do not say it
			o.RSA = "PS256"
		}
		if i.Discovery {
			o.Issuer, o.Discovery = i.Issuer, cmp.Or(i.DiscoveryURL, keys.DiscoveryURL(i.Issuer))
		}
		r, err := keys.NewRemote(o)
		if err != nil {
			return nil, err
		}
		is.remotes = append(is.remotes, r)
		return r, nil
	case i.PublicKeyFile != "":
		data, err := os.ReadFile(i.PublicKeyFile)
		if err != nil {
			return nil, fmt.Errorf("publicKeyFile: %w", err)
		}
		set, err := keys.FromPEM(data, i.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("publicKeyFile: %s: %w", i.PublicKeyFile, err)
		}
		return set, nil
	case store == nil:
		return nil, fmt.Errorf("certificateAlias: %q cannot be looked up: set listenerConfig.trustStorePath", i.CertificateAlias)
	}
	set, err := store.Keys(i.CertificateAlias, i.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("certificateAlias: %s: %w", is.cfg.Listener.TrustStore.Path, err)
	}
	return set, nil
}

// with returns a verifier for the configured issuers, and for the holder of the
// development key, a JWK, if there is one and the conf allows it.
func (is *issuers) with(developmentKey []byte) (*jwt.Verifier, error) {
	if !is.cfg.Development {
		developmentKey = nil
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.verifier != nil && bytes.Equal(is.key, developmentKey) {
		return is.verifier, nil
	}
	list := is.list
	if len(developmentKey) > 0 {
		set, err := developmentSet(developmentKey)
		if err != nil {
			return nil, err
		}
		list = append(list[:len(list):len(list)], jwt.Issuer{
			Issuer: conf.DevelopmentIssuer, Audience: []string{conf.DevelopmentAudience}, Keys: set, Leeway: is.cfg.Server.TimestampSkew,
		})
	}
	o := jwt.Options{
		Issuers: list,
		Cache:   jwt.CacheOptions{Disabled: !is.cfg.TokenCache.Enabled, Entries: is.cfg.TokenCache.Capacity, Expiry: is.cfg.TokenCache.Expiry},
	}
	if is.revoked != nil {
		o.Revoked = is.revoked
	}
	if is.opaque != nil {
		o.Opaque, o.OpaqueToo = is.opaque.Judge, is.cfg.Introspection.FailedJWT
		// API keys, and what a project's own key has signed, in whatever mode.
		o.Withheld = []string{conf.DevelopmentIssuer, conf.DevelopmentKeyIssuer}
		for _, a := range is.cfg.APIKeys {
			o.Withheld = append(o.Withheld, a.Issuer.Issuer)
		}
	}
	v, err := jwt.New(o)
	if err != nil {
		return nil, err
	}
	is.verifier, is.key = v, bytes.Clone(developmentKey)
	return v, nil
}

// demands is what an issuer's tokens must be.
func demands(i conf.Issuer, subscriptions bool) jwt.Demands {
	d := jwt.Demands{Typed: i.TokenType != "", Subscriptions: jwt.SubscriptionsListed}
	switch {
	case i.Subscriptions == "true", i.Subscriptions == "" && subscriptions:
		d.Subscriptions = jwt.SubscriptionsRequired
	case i.Subscriptions == "false":
		d.Subscriptions = jwt.SubscriptionsIgnored
	}
	if i.Profile == conf.ProfileFAPI {
		d.Bound, d.Algorithms = true, []string{"PS256", "ES256"}
	}
	return d
}

func developmentSet(key []byte) (keys.KeySet, error) {
	set, err := keys.FromJWKS(fmt.Appendf(nil, `{"keys":[%s]}`, key))
	if err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	}
	return set, nil
}

// unknown says which issuers a definition names (schemes of the type
// openIdConnect) that the conf does not. Whose tokens are accepted is for the
// operator to say: a definition cannot bring in an issuer.
func (is *issuers) unknown(schemes []*artifactpb.SecurityScheme) (w []string) {
	for _, s := range schemes {
		at := s.GetOpenIdConnect().GetDiscoveryUrl()
		issuer, ok := keys.IssuerOf(at)
		if at == "" || slices.ContainsFunc(is.cfg.Issuers, func(i conf.Issuer) bool {
			return i.DiscoveryURL == at || ok && strings.TrimSuffix(i.Issuer, "/") == issuer
		}) {
			continue
		}
		w = append(w, fmt.Sprintf("security scheme %q: its issuer (%.200s) is not configured (jwtTokenConfig): only the configured issuers' tokens are accepted", s.GetName(), at))
	}
	return w
}

// state is for /ready.
func (is *issuers) state() []admin.KeySet { return keySets(is.list) }

func keySets(list []jwt.Issuer) (sets []admin.KeySet) {
	for _, i := range list {
		s := admin.KeySet{Issuer: i.Issuer, Loaded: true}
		if r, ok := i.Keys.(*keys.Remote); ok {
			s.Loaded = r.Loaded()
		}
		sets = append(sets, s)
	}
	return sets
}

func (is *issuers) close() {
	for _, r := range is.remotes {
		r.Close()
	}
	if is.opaque != nil {
		is.opaque.Close()
	}
}
