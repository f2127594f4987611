package jwt

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/confirm"
	"github.com/microgw/microgw/runtime/internal/policy/jwt/jws"
)

// Demands is what an issuer's tokens must be beyond what every token must. The
// zero value asks for no more.
type Demands struct {
	// Typed tokens say in their header that they are access tokens: typ at+jwt
	// (RFC 9068, section 2.1).
	Typed bool
	// Bound tokens name the client certificate that they are good with (RFC 8705,
	// section 3). One that names a certificate is bound in any case.
	Bound bool
	// Algorithms are the ones that its keys may be used with; nil: those that the
	// keys are fixed to.
	Algorithms []string
	// Subscriptions is what the claim subscribedAPIs counts for.
	Subscriptions Subscriptions
}

// header judges what stands in front of the claims.
func (d *Demands) header(t *jws.Token) error {
	if d.Typed {
		if typ := strings.ToLower(t.Type); typ != "at+jwt" && typ != "application/at+jwt" {
			return fmt.Errorf("token of the type %.40q, where at+jwt is wanted", t.Type)
		}
	}
	if d.Algorithms != nil && !slices.Contains(d.Algorithms, t.Algorithm) {
		return fmt.Errorf("algorithm %.20q, where one of %q is wanted", t.Algorithm, d.Algorithms)
	}
	return nil
}

// errHeld takes the place of keys.ErrUnknownKey, which would leave it open whether the
// token is good.
var errHeld = errors.New("unknown key, and what is demanded of the issuer's tokens nobody else can judge")

// hold reports whether tokens of is with these claims are held to something that is
// judged by them alone: whoever else says that such a token is good does not say with
// which certificate, for which APIs, or by which names.
func (d *Demands) hold(is *Issuer, c *claims) bool {
	if d.Bound || c.get("cnf") != nil || len(is.Renamed) > 0 {
		return true
	}
	switch d.Subscriptions {
	case SubscriptionsIgnored:
		return false
	case SubscriptionsListed:
		var p exchange.Principal
		return c.subscriptions(&p, d.Subscriptions) != nil || len(p.Subscriptions) > 0
	}
	return true
}

// binding reads cnf: what whoever brings the token has to prove; nil if nothing.
func (d *Demands) binding(c *claims) (*confirm.Certificate, error) {
	value := c.get("cnf")
	if value == nil {
		if d.Bound {
			return nil, errors.New("no cnf, and only bound tokens are accepted")
		}
		return nil, nil
	}
	return confirm.Read(value)
}

// Withdrawn tells b which client certificates have been revoked, by their chains,
// since a connection outlives the handshake that looked at them. It is called
// before b is used.
func (b *Bearer) Withdrawn(revoked func(chain []*x509.Certificate) bool) { b.withdrawn = revoked }

var (
	errRevokedCertificate = fault.InvalidCredentials.Becausef("token is bound to a client certificate that is revoked")
	errExpiredCertificate = fault.InvalidCredentials.Becausef("token is bound to a client certificate that has expired since the connection was opened")
)

// outlived says why the connection's certificate is not good any more; nil if it
// is. x has one.
func (b *Bearer) outlived(x *exchange.Exchange, now time.Time) (why error) {
	if x.TLS == nil {
		return nil
	}
	for _, chain := range x.TLS.VerifiedChains {
		switch {
		case slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return now.After(c.NotAfter) }):
			why = errExpiredCertificate
		case b.withdrawn != nil && b.withdrawn(chain):
			why = errRevokedCertificate
		default:
			return nil
		}
	}
	return why
}

// restrict adds to what p is restricted by.
func restrict(p *exchange.Principal, allows func(*exchange.Exchange) error) {
	before := p.Allows
	switch {
	case allows == nil:
	case before == nil:
		p.Allows = allows
	default:
		p.Allows = func(x *exchange.Exchange) error {
			if err := before(x); err != nil {
				return err
			}
			return allows(x)
		}
	}
}
