// Package clientcert lets a request in that came over a connection whose client
// has proved a certificate of an authority that the operator trusts (mutual
// TLS, RFC 8446, section 4.4.2).
//
// The handshake has done the work: the listener verifies the chain, and refuses
// the connection if there is a certificate that does not verify. Here it is only
// asked whether there was one. A request on the plaintext listener has none.
package clientcert

import (
	"crypto/x509"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A Scheme is a certificate as credentials.
type Scheme struct {
	// Allowed says whether a certificate that verifies may be used here; nil:
	// any may.
	Allowed func(*x509.Certificate) bool
}

// The names that WSO2 gives to callers without any.
var principal = &exchange.Principal{
	Scheme: exchange.Certificate, Subject: "Unknown", Username: "Unknown", ConsumerKey: "__unknown__", KeyType: "PRODUCTION",
}

// 900901 is what WSO2 says where mutual TLS is mandatory.
var (
	absent  = fault.InvalidCredentials.Because(exchange.ErrNoCredentials).Challenging(`Mutual realm="micro-gw"`)
	refused = fault.InvalidCredentials.Becausef("the client certificate is not one of those that the API lists").Challenging(`Mutual realm="micro-gw"`)
)

// Prove implements authn.Scheme.
func (s *Scheme) Prove(x *exchange.Exchange) (*exchange.Principal, error) {
	if x.TLS == nil || len(x.TLS.VerifiedChains) == 0 || len(x.TLS.PeerCertificates) == 0 {
		return nil, absent
	}
	if s.Allowed != nil && !s.Allowed(x.TLS.PeerCertificates[0]) {
		return nil, refused
	}
	return principal, nil
}

// Hide implements authn.Scheme: nothing of a certificate is in the request.
func (s *Scheme) Hide(*exchange.Exchange) {}

// Challenge implements authn.Scheme: HTTP has no scheme for a certificate.
func (s *Scheme) Challenge() string { return "" }
