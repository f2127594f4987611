package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/apikey"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// apiKeys is whose API keys are accepted: the issuers of the conf, and the holder
// of the artifact's development key. It has a verifier of its own, in which
// there is no issuer of access tokens.
type apiKeys struct {
	cfg     *conf.Config
	list    []jwt.Issuer
	revoked jwt.Revocations // nil: keys are not looked up

	mu       sync.Mutex
	verifier apikey.Verifier // guarded by mu; nil: nobody's
	key      []byte          // guarded by mu: the development key it trusts
}

func newAPIKeys(c *conf.Config, is *issuers) (*apiKeys, error) {
	k := &apiKeys{cfg: c}
	if is.revoked != nil {
		k.revoked = is.revoked
	}
	for _, a := range c.APIKeys {
		i := &a.Issuer
		set, err := is.keySet(*i, is.store)
		if err != nil {
			return nil, fmt.Errorf("apikey.tokenConfigs: issuer %q: %w", i.Issuer, err)
		}
		kind := jwt.APIKeys
		if slices.ContainsFunc(c.Issuers, func(o conf.Issuer) bool { return o.Issuer == i.Issuer }) {
			kind = jwt.MarkedAPIKeys
		}
		one := k.issuer(i.Issuer, i.Audience, set, kind, a.Scoped)
		one.Lasting = a.Lasting
		k.list = append(k.list, one)
	}
	return k, nil
}

// issuer is one whose keys have to name the APIs that they are for, if scoped.
func (k *apiKeys) issuer(name string, audience []string, set keys.KeySet, kind jwt.Kind, scoped bool) jwt.Issuer {
	return jwt.Issuer{
		Issuer: name, Audience: audience, Keys: set, Gives: kind, Leeway: k.cfg.Server.TimestampSkew,
		Refine: func(p *exchange.Principal) error {
			l, err := apikey.ParseLimits(p.Claims, scoped)
			if err != nil {
				return err
			}
			p.Scheme, p.Allows = "apikey", l.Allow
			return nil
		},
	}
}

// with returns the verifier of keys for an artifact with that development key, a
// JWK; nil if nobody's are accepted. Like that of tokens it lasts as long as the
// development key stays the same.
func (k *apiKeys) with(developmentKey []byte) (apikey.Verifier, error) {
	if !k.cfg.Development {
		developmentKey = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.verifier != nil && bytes.Equal(k.key, developmentKey) {
		return k.verifier, nil
	}
	list := slices.Clone(k.list)
	if len(developmentKey) > 0 {
		set, err := developmentSet(developmentKey)
		if err != nil {
			return nil, err
		}
		list = append(list, k.issuer(conf.DevelopmentKeyIssuer, []string{conf.DevelopmentAudience}, set, jwt.MarkedAPIKeys, false))
	}
	if len(list) == 0 {
		return nil, nil
	}
	v, err := jwt.New(jwt.Options{
		Issuers: list,
		Revoked: k.revoked,
		Cache:   jwt.CacheOptions{Disabled: !k.cfg.TokenCache.Enabled, Entries: k.cfg.TokenCache.Capacity, Expiry: k.cfg.TokenCache.Expiry},
	})
	if err != nil {
		return nil, err
	}
	k.verifier, k.key = keyVerifier{v}, bytes.Clone(developmentKey)
	return k.verifier, nil
}

// state is for /ready.
func (k *apiKeys) state() []admin.KeySet { return keySets(k.list) }

// keyVerifier lets the API keys policy verify by the one for tokens, which it
// does not know.
type keyVerifier struct{ tokens *jwt.Verifier }

var errUnlimited = errors.New("API key whose limits are not known")

// Verify implements apikey.Verifier.
func (v keyVerifier) Verify(x *exchange.Exchange, key []byte) (*exchange.Principal, error) {
	p, err := v.tokens.VerifyFrom(x.Client, key)
	if err != nil {
		var f *fault.Fault
		if errors.As(err, &f) && f.Code == fault.InvalidCredentials.Code {
			return nil, f.Challenging(apikey.Challenge)
		}
		return nil, err
	}
	if p.Allows == nil { // a verifier without limits is not one for keys
		return nil, fault.Internal.Because(errUnlimited)
	}
	if err := p.Allows(x); err != nil {
		return nil, err
	}
	return p, nil
}
