// Package sign makes signatures of tokens (RFC 7515) with a key of the gateway's
// own: of those that it tells upstreams who calls with, and of those that it proves
// to a server with who it is.
package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// MinRSA is how many bits an RSA key has at least (RFC 7518, section 3.3).
const MinRSA = 2048

// Algorithm is what a key signs by: RS256, ES256 or EdDSA.
func Algorithm(pub crypto.PublicKey) (string, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < MinRSA {
			return "", fmt.Errorf("RSA key of %d bits; %d at least", k.N.BitLen(), MinRSA)
		}
		return "RS256", nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("a key of the curve %s; only P-256 can be used", k.Curve.Params().Name)
		}
		return "ES256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", fmt.Errorf("a key of the kind %T cannot be used", pub)
}

// Sign signs text by the key's Algorithm.
func Sign(key crypto.Signer, text string) ([]byte, error) {
	pub := key.Public()
	if _, ok := pub.(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, []byte(text), crypto.Hash(0))
	}
	sum := sha256.Sum256([]byte(text))
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if _, ok := pub.(*ecdsa.PublicKey); err != nil || !ok {
		return signature, err
	}
	// RFC 7518, section 3.4 wants the two numbers side by side.
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &pair); err != nil || len(rest) > 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, errors.New("the key made a signature of a strange form")
	}
	out := make([]byte, 64)
	pair.R.FillBytes(out[:32])
	pair.S.FillBytes(out[32:])
	return out, nil
}
