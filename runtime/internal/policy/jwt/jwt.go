// Package jwt lets a request in that carries a signed token (RFC 7519) of an
// issuer that the gateway trusts.
//
// What surprises:
//
//   - The token's iss chooses the issuer and so the keys. A token is never
//     tried with another issuer's keys, and an issuer's key is good for the
//     algorithms it was loaded for and no others.
//   - A token once verified is remembered, and known again by all of it. What is
//     remembered are facts: who signed, what it claims. Its dates, and whether
//     its key is still one of the issuer's, are looked at on each request. A
//     refused token is not remembered; it is refused as early as it can be, and
//     a signature is only checked once everything else is in order.
//   - Revoked tokens are refused from the next request on, remembered or not, by
//     any of the names that they can be revoked by (see Revocations).
//   - A token of fewer than two dots is not a signed one. It is handed to
//     Options.Opaque if there is such a thing; one that looks signed never is,
//     unless that is asked for.
//   - exp is mandatory (but see Issuer.Lasting), iat may not lie in the future,
//     and dates may have a fraction.
//   - The client learns that its credentials are not valid and no more. Which
//     check failed is the cause of the fault, for the log.
package jwt

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt/jws"
	"github.com/microgw/microgw/runtime/internal/turns"
)

// MaxLeeway bounds Issuer.Leeway: clocks that are further apart need mending.
const MaxLeeway = time.Hour

// An Issuer is somebody whose tokens are accepted.
type Issuer struct {
	Issuer string // iss, compared byte for byte
	// Audience lists the values of which aud must have one. Empty: aud is not
	// looked at.
	Audience []string
	Keys     keys.KeySet
	// ConsumerKeyClaim names the claim that tells the client application. Of
	// a list the first counts. Empty: azp, else client_id.
	ConsumerKeyClaim string
	// UsernameClaim names the claim that tells the user, else sub does. Empty:
	// name, else sub.
	UsernameClaim string
	// Renamed gives the issuer's names for claims the ones that are known here.
	// What is renamed takes the place of a claim that had the name already.
	Renamed map[string]string
	// Demands is what else a token must be.
	Demands Demands
	// Leeway is how far the issuer's clock may be from ours, either way.
	Leeway time.Duration
	// Gives is what the issuer's tokens are for; others of it are refused.
	Gives Kind
	// Lasting tokens, without exp, are accepted.
	Lasting bool
	// Refine completes the principal by what else its claims say, once, when the
	// token is verified. An error refuses the token. nil: there is no more.
	Refine func(*exchange.Principal) error
}

// Options for New.
type Options struct {
	Issuers []Issuer
	Cache   CacheOptions
	Revoked Revocations // nil: nothing is revoked
	// Opaque judges tokens that say nothing themselves; nil: they are refused.
	// Its error is a *fault.Fault.
	Opaque func(x *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error)
	// OpaqueToo hands it the signed tokens as well that cannot be verified here,
	// because the issuer or the key is not known. Those that are found to be bad
	// (expired, for others, not an access token) are bad. So are those of a known
	// issuer that something is demanded of which an answer would not say.
	OpaqueToo bool
	// Withheld are issuers of credentials of other kinds, such as API keys, which
	// are nobody else's business: what comes of them is not handed to Opaque.
	Withheld []string
	Now      func() time.Time // nil: time.Now
}

// A Verifier decides about tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*Issuer
	cache   *cache      // nil if disabled
	revoked Revocations // nil: nothing is
	opaque  func(x *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error)
	too     bool             // opaque judges what cannot be verified
	not     []string         // but not that of these issuers
	now     func() time.Time // nil: the request's own time, or time.Now
	turns   *turns.Turns     // to check a signature
}

// New checks the options.
func New(o Options) (*Verifier, error) {
	v := &Verifier{issuers: map[string]*Issuer{}, revoked: o.Revoked, opaque: o.Opaque, too: o.Opaque != nil && o.OpaqueToo, not: o.Withheld, now: o.Now,
		turns: turns.New(turns.AtOnce())}
	for _, is := range o.Issuers {
		switch {
		case is.Issuer == "":
			return nil, errors.New("jwt: issuer without a name")
		case v.issuers[is.Issuer] != nil:
			return nil, fmt.Errorf("jwt: issuer %q is configured twice", is.Issuer)
		case is.Keys == nil:
			return nil, fmt.Errorf("jwt: issuer %q has no keys", is.Issuer)
		case is.Leeway < 0 || is.Leeway > MaxLeeway:
			return nil, fmt.Errorf("jwt: issuer %q: leeway %v is not between 0 and %v", is.Issuer, is.Leeway, MaxLeeway)
		}
		if err := checkRenamed(is.Renamed); err != nil {
			return nil, fmt.Errorf("jwt: issuer %q: %w", is.Issuer, err)
		}
		is.Audience = slices.Clone(is.Audience)
		v.issuers[is.Issuer] = &is
	}
	if !o.Cache.Disabled {
		v.cache = newCache(o.Cache)
	}
	return v, nil
}

// A Bearer is tokens that come in one header field. It is safe for concurrent
// use.
type Bearer struct {
	v                          *Verifier
	in                         *exchange.Credentials
	remove                     bool
	cookie                     *Cookie                        // nil: none
	withdrawn                  func([]*x509.Certificate) bool // nil: no certificate is
	missing, repeated, refused *fault.Fault
}

// Bearer returns the tokens in the header of that name, which is taken out of
// the forwarded request if remove is set.
func (v *Verifier) Bearer(header string, remove bool) *Bearer {
	return &Bearer{
		v: v, in: exchange.CredentialsIn(header), remove: remove,
		missing:  fault.MissingCredentialsIn(header).Becausef("no credentials in %s", header),
		repeated: fault.InvalidCredentials.Becausef("several %s header fields", header),
		refused:  fault.InvalidScheme.Becausef("%s does not use the scheme Bearer", header),
	}
}

// Request is the request half of a stage: it lets nobody in without a token and
// sets the exchange's principal.
func (b *Bearer) Request(x *exchange.Exchange) error {
	p, err := b.Prove(x)
	if err != nil {
		return err
	}
	x.Principal = p
	b.Hide(x)
	return nil
}

// Prove returns who the request's token speaks for. The error is a
// *fault.Fault.
func (b *Bearer) Prove(x *exchange.Exchange) (*exchange.Principal, error) {
	scheme, token, found := b.in.Read(&x.Request)
	if found == 0 && b.cookie != nil {
		var err error
		if token, err = b.cookie.read(x); err != nil {
			return nil, err
		}
		if len(token) > 0 {
			scheme = bearerScheme
		}
	}
	switch {
	case found > 1:
		return nil, b.repeated
	case len(scheme) == 0, len(token) == 0 && !exchange.EqualFold(scheme, "basic"):
		return nil, b.missing
	case !exchange.EqualFold(scheme, "bearer"): // RFC 9110, section 11.1: in any case
		return nil, b.refused
	}
	// The request's own time will do, and has been read already.
	now := x.Start
	if b.v.now != nil || now.IsZero() {
		now = b.v.clock()
	}
	if b.v.opaque != nil && !signed(token) {
		return b.ask(x, token, now)
	}
	p, err := b.v.judge(token, x.Client, now.UnixMilli())
	if err == nil && p.Allows != nil {
		if err := p.Allows(x); err != nil {
			return nil, err
		}
		if p.Bound {
			if err := b.outlived(x, now); err != nil {
				return nil, err
			}
		}
	}
	if err != nil && b.v.too && unverified(err) {
		return b.ask(x, token, now)
	}
	return p, err
}

func (b *Bearer) ask(x *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error) {
	p, err := b.v.ask(x, token, now)
	if err == nil && p.Bound {
		if err := b.outlived(x, now); err != nil {
			return nil, err
		}
	}
	return p, err
}

// signed reports whether a token looks like a signed or encrypted one: three
// parts or five with dots between (RFC 7515, section 7.1; RFC 7516, section 7.1).
// Two dots are enough to be taken for one, however broken: what was made for us
// to verify is not to be shown to others.
func signed(token []byte) bool {
	i := bytes.IndexByte(token, '.')
	return i >= 0 && bytes.IndexByte(token[i+1:], '.') >= 0
}

// ask has somebody else judge a token. It can be revoked here all the same: by
// itself, or by the jti that it turns out to have; a signed one as in names.
func (v *Verifier) ask(x *exchange.Exchange, token []byte, now time.Time) (*exchange.Principal, error) {
	revoked := func(name []byte) bool {
		return v.revoked != nil && len(name) > 0 && v.revoked.Revoked(v.revoked.Key(name), now.UnixMilli())
	}
	dot := bytes.LastIndexByte(token, '.')
	if revoked(token) || signed(token) && (revoked(token[:dot+1]) || revoked(token[dot+1:])) {
		return nil, errRevoked
	}
	p, err := v.opaque(x, token, now)
	if err == nil && revoked([]byte(p.TokenID)) {
		return nil, errRevoked
	}
	return p, err
}

var errNoIssuer = errors.New("is not configured")

// unverified reports whether err leaves it open whether the token is good.
func unverified(err error) bool {
	return errors.Is(err, errNoIssuer) || errors.Is(err, keys.ErrUnknownKey)
}

var bearerScheme = []byte("Bearer")

// Challenge is what WWW-Authenticate says of tokens.
func (b *Bearer) Challenge() string { return `Bearer realm="micro-gw"` }

// Hide takes the credentials out of the forwarded request, if it is to.
func (b *Bearer) Hide(x *exchange.Exchange) {
	if b.remove {
		b.in.Delete(&x.Request)
	}
}

// Verify returns who a token speaks for. The error is a *fault.Fault. The
// principal is shared and read only; it does not hold on to the token. The
// caller asks its Allows about each request.
func (v *Verifier) Verify(token []byte) (*exchange.Principal, error) {
	return v.VerifyFrom(netip.Addr{}, token)
}

// VerifyFrom is Verify for a client at that address, whose turn to have a signature
// checked it takes.
func (v *Verifier) VerifyFrom(client netip.Addr, token []byte) (*exchange.Principal, error) {
	return v.judge(token, client, v.clock().UnixMilli())
}

func (v *Verifier) clock() time.Time {
	if v.now != nil {
		return v.now()
	}
	return time.Now()
}

// judge is Verify for a request of that client.
func (v *Verifier) judge(token []byte, from netip.Addr, now int64) (*exchange.Principal, error) {
	if len(token) > jws.MaxSize {
		return nil, fault.InvalidCredentials.Becausef("token longer than %d bytes", jws.MaxSize)
	}
	var sum uint64
	if v.cache != nil {
		sum = v.cache.sum(token)
		if e := v.cache.get(token, sum, now); e != nil {
			if err := e.dates.check(now, e.leeway); err != nil {
				v.cache.drop(e)
				return nil, fault.InvalidCredentials.Because(err)
			}
			if v.revoked != nil && v.isRevoked(e, now) {
				return nil, errRevoked
			}
			return &e.principal, nil
		}
	}
	e, err := v.verify(token, from, now)
	switch {
	case errors.Is(err, keys.ErrNeverLoaded):
		return nil, fault.KeysUnavailable.Because(err)
	case err != nil:
		return nil, fault.InvalidCredentials.Because(err)
	}
	if v.cache != nil {
		e.sum, e.token = sum, string(token)
		v.cache.put(e, now)
	}
	if v.revoked != nil && v.isRevoked(e, now) {
		return nil, errRevoked
	}
	return &e.principal, nil
}

// verify judges a token from the cheapest check to the dearest.
func (v *Verifier) verify(token []byte, from netip.Addr, now int64) (*verified, error) {
	t, err := jws.Parse(token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	// Tokens of other kinds, signed by the same issuer, must not pass as access
	// tokens (RFC 8725, section 3.11). at+jwt is RFC 9068's; before it they had
	// the typ JWT or none.
	switch typ := strings.ToLower(t.Type); typ {
	case "", "jwt", "application/jwt", "at+jwt", "application/at+jwt":
	default:
		return nil, fmt.Errorf("token of the type %.40q is not an access token", t.Type)
	}
	if cty := strings.ToLower(t.Content); cty == "jwt" || cty == "application/jwt" {
		return nil, errors.New("token inside a token")
	}
	c, err := parseClaims(t.Payload)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	defer c.release()
	is := v.issuers[c.issuer]
	if is == nil {
		return nil, v.stranger(t.Type, c)
	}
	if err := is.Demands.header(t); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", is.Issuer, err)
	}
	payload := c.rename(is.Renamed, t.Payload)
	cnf, err := is.Demands.binding(c)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if len(is.Audience) > 0 && !slices.ContainsFunc(c.audience, func(a string) bool { return slices.Contains(is.Audience, a) }) {
		// Whoever forges tokens must not be able to fill the log.
		return nil, fmt.Errorf("audience %.100q (of %d) has none of %q", c.audience[:min(len(c.audience), 5)], len(c.audience), is.Audience)
	}
	if err := is.Gives.check(t.Type, c); err != nil {
		return nil, err
	}
	if c.get("exp") == nil {
		if !is.Lasting {
			return nil, errors.New("claims: no exp")
		}
		c.dates.expires = lastDate * 1000
	}
	leeway := is.Leeway.Milliseconds()
	if err := c.dates.check(now, leeway); err != nil {
		return nil, err
	}
	list, err := is.Keys.Keys(t.KeyID, t.Algorithm)
	if err != nil {
		if errors.Is(err, keys.ErrUnknownKey) && is.Demands.hold(is, c) {
			err = errHeld
		}
		return nil, fmt.Errorf("issuer %q: %w", is.Issuer, err)
	}
	key, err := v.checkSignature(t, list, from)
	if err != nil {
		return nil, fmt.Errorf("issuer %q, kid %.64q: %w", is.Issuer, t.KeyID, err)
	}
	e := &verified{dates: c.dates, leeway: leeway, key: key}
	if err := c.principal(&e.principal, is, payload); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if is.Refine != nil {
		if err := is.Refine(&e.principal); err != nil {
			return nil, fmt.Errorf("claims: %w", err)
		}
	}
	if cnf != nil {
		e.principal.Bound = true
		restrict(&e.principal, cnf.Allows)
	}
	restrict(&e.principal, is.Demands.Subscriptions.allows(&e.principal))
	if v.revoked != nil {
		e.names = namesOf(v.revoked, token, t, e.principal.TokenID)
	}
	return e, nil
}

// checkSignature returns the key that has signed t. It takes turns: whoever sends
// forged tokens waits in line with whoever else does from there, and those whose
// token is known go first.
func (v *Verifier) checkSignature(t *jws.Token, list []*keys.Key, from netip.Addr) (*keys.Key, error) {
	turn := v.turns.Take(from, 0)
	err := keys.ErrUnknownKey
	defer func() { turn.End(err != nil) }()
	for _, k := range list {
		if err = t.Verify(k); err == nil {
			return k, nil
		}
	}
	return nil, err
}

// dates of a token in milliseconds since 1970. What is absent is far in the
// past.
type dates struct{ expires, notBefore, issued int64 }

const longAgo = math.MinInt64 / 2

// check judges the dates. now may be anything: after a clock has been set
// back a token may become good again that had expired, but none that the clock
// does not cover.
func (d *dates) check(now, leeway int64) error {
	switch {
	case now-leeway >= d.expires: // RFC 7519, section 4.1.4: "on or after"
		return &dateError{"expired", d.expires, now}
	case now+leeway < d.notBefore:
		return &dateError{"not valid yet", d.notBefore, now}
	case now+leeway < d.issued:
		return &dateError{"issued in the future", d.issued, now}
	}
	return nil
}

// dateError is formatted only if somebody logs it.
type dateError struct {
	what      string
	date, now int64
}

func (e *dateError) Error() string {
	utc := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	return fmt.Sprintf("token %s: %s, and it is %s", e.what, utc(e.date), utc(e.now))
}
