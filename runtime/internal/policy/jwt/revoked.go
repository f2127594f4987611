package jwt

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"

	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/jwt/jws"
)

// Revocations knows tokens that are not to be accepted any more. It is asked of
// each, also of one that is remembered; it must not block.
type Revocations interface {
	// Key turns what a token can be named by into what Revoked is asked with. It
	// is made once for a token.
	Key(name []byte) [2]uint64
	// Revoked reports whether the token of such a name is revoked; now is in
	// milliseconds since 1970.
	Revoked(key [2]uint64, now int64) bool
}

// names is what a token can be revoked by:
//
//   - its jti;
//   - its signature as it stands, as WSO2 API Microgateway 3.2 names tokens;
//   - all of it but the signature, with both dots, which is how Revocations keep
//     whole tokens: whoever has one signature of an elliptic curve can make another one that
//     is as good, so the last part does not tell tokens apart;
//   - for the same reason, that other signature.
type names struct {
	keys  [4][2]uint64
	count int
}

func (n *names) add(r Revocations, name []byte) {
	if len(name) > 0 {
		n.keys[n.count] = r.Key(name)
		n.count++
	}
}

func namesOf(r Revocations, token []byte, t *jws.Token, jti string) (n names) {
	dot := bytes.LastIndexByte(token, '.')
	n.add(r, []byte(jti))
	n.add(r, token[:dot+1])
	n.add(r, token[dot+1:])
	n.add(r, twin(t))
	return n
}

// twin returns the other signature under which a token is valid: r and n-s
// beside r and s (SEC 1, section 4.1.4, does not tell them apart). RSA and
// Edwards curves have none.
func twin(t *jws.Token) []byte {
	var order *big.Int
	switch t.Algorithm {
	case "ES256":
		order = elliptic.P256().Params().N
	case "ES384":
		order = elliptic.P384().Params().N
	case "ES512":
		order = elliptic.P521().Params().N
	default:
		return nil
	}
	half := len(t.Signature) / 2
	s := new(big.Int).SetBytes(t.Signature[half:])
	if s.Cmp(order) >= 0 {
		return nil // no signature
	}
	other := bytes.Clone(t.Signature)
	s.Sub(order, s).FillBytes(other[half:])
	return base64.RawURLEncoding.AppendEncode(nil, other)
}

// errRevoked is made once: whoever goes on with a revoked token costs as little
// as with a good one.
var errRevoked = fault.InvalidCredentials.Becausef("token is revoked")

func (v *Verifier) isRevoked(e *verified, now int64) bool {
	for _, k := range e.names.keys[:e.names.count] {
		if v.revoked.Revoked(k, now) {
			return true
		}
	}
	return false
}
