// Package clientcert lets a request in that came over a connection whose client
// has proved a certificate of an authority that the operator trusts (mutual
// TLS, RFC 8446, section 4.4.2), and tells the upstream of it.
//
// The handshake has done the work: the listener verifies the chain, and refuses
// the connection if there is a certificate that does not verify. Here it is only
// asked whether there was one, whether it has expired or been revoked since, and
// whether it may be used for this API. A request on the plaintext listener has none.
package clientcert

import (
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Scheme is a certificate as credentials. Both functions are given a chain,
// leaf first, and may be nil. They are not changed once requests are served.
type Scheme struct {
	// Revoked says that the chain is not good any more.
	Revoked func(chain []*x509.Certificate) bool
	// Allowed says that the chain may be used here.
	Allowed func(chain []*x509.Certificate) bool
}

// The names that WSO2 gives to callers without any.
var principal = &exchange.Principal{
	Scheme: exchange.Certificate, Subject: "Unknown", Username: "Unknown", ConsumerKey: "__unknown__", KeyType: "PRODUCTION",
}

// There is no scheme of HTTP's for a certificate, and still a 401 must name one
// (RFC 9110, section 15.5.2).
const challenge = `Mutual realm="micro-gw"`

// 900901 is what WSO2 says where mutual TLS is mandatory.
var (
	absent  = fault.InvalidCredentials.Because(exchange.ErrNoCredentials).Challenging(challenge)
	revoked = fault.InvalidCredentials.Becausef("the client certificate is revoked, or its authority is not trusted any more").Challenging(challenge)
	expired = fault.InvalidCredentials.Becausef("the client certificate has expired since the connection was opened").Challenging(challenge)
	refused = fault.InvalidCredentials.Becausef("the client certificate is not one of those that are listed for the API").Challenging(challenge)
)

// Prove implements authn.Scheme.
func (s *Scheme) Prove(x *exchange.Exchange) (*exchange.Principal, error) {
	if x.TLS == nil || len(x.TLS.PeerCertificates) == 0 {
		return nil, absent
	}
	var why error = absent
	for _, chain := range x.TLS.VerifiedChains {
		switch {
		// Looked at on each request: a connection outlives the handshake.
		case slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return x.Start.After(c.NotAfter) }):
			why = expired
		case s.Revoked != nil && s.Revoked(chain):
			why = revoked
		case s.Allowed != nil && !s.Allowed(chain):
			why = refused
		default:
			return principal, nil
		}
	}
	return nil, why
}

// Hide implements authn.Scheme: nothing of a certificate is in the request.
func (s *Scheme) Hide(*exchange.Exchange) {}

// Challenge implements authn.Scheme.
func (s *Scheme) Challenge() string { return "" }

// Forward returns the request half of a stage that passes the client's
// certificate on in a header field of that name: the leaf in DER, in base64
// between colons (RFC 9440, section 2.2). What a client has put there is taken
// out in any case, in every spelling that an upstream may take for it.
func (s *Scheme) Forward(name string) func(*exchange.Exchange) error {
	field, lower := []byte(name), strings.ToLower(name)
	return func(x *exchange.Exchange) error {
		x.Request.DeleteAlike(lower)
		if _, err := s.Prove(x); err != nil {
			return nil
		}
		der := x.TLS.VerifiedChains[0][0].Raw
		value := x.Bytes(base64.StdEncoding.EncodedLen(len(der)) + 2)
		value[0], value[len(value)-1] = ':', ':'
		base64.StdEncoding.Encode(value[1:len(value)-1], der)
		x.Request.Add(field, value)
		return nil
	}
}
