// Package confirm reads what whoever brings a token has to prove beside it: the
// claim cnf (RFC 7800), in signed tokens and in what a server says of opaque ones.
//
// What surprises: only one way is known here, a client certificate (RFC 8705,
// section 3.1). A token with any other, or with none, is refused. To pass over it
// would make the token good for whoever has stolen it.
package confirm

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// A Certificate is what a token is bound to: the SHA-256 of one in DER.
type Certificate [sha256.Size]byte

// Read reads the value of cnf.
func Read(cnf []byte) (*Certificate, error) {
	var c *Certificate
	err := strictjson.Object(cnf, func(name, value []byte) error {
		if string(name) != "x5t#S256" {
			return fmt.Errorf("method %.40q of confirmation is not supported", name)
		}
		text, ok := strictjson.String(value)
		sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if !ok || err != nil || len(sum) != sha256.Size {
			return errors.New("x5t#S256 is no thumbprint")
		}
		c = (*Certificate)(sum)
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("cnf: %w", err)
	case c == nil:
		return nil, errors.New("cnf names no way to confirm")
	}
	return c, nil
}

var (
	errNone  = fault.InvalidCredentials.Becausef("token is bound to a client certificate, and the connection has none")
	errOther = fault.InvalidCredentials.Becausef("token is bound to another client certificate")
)

// Allows wants the certificate on the request's own connection: the handshake
// has proved that the client has its key. Whose the certificate is does not
// matter here (RFC 8705, section 3).
func (c *Certificate) Allows(x *exchange.Exchange) error {
	switch {
	case x.TLS == nil || len(x.TLS.PeerCertificates) == 0:
		return errNone
	case sha256.Sum256(x.TLS.PeerCertificates[0].Raw) != *c:
		return errOther
	}
	return nil
}
