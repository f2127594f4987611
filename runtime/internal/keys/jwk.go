package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// FromJWKS makes a set of the keys in a JSON Web Key Set, or of a single JSON
// Web Key (RFC 7517). Keys that are not for signatures or of a kind unknown
// here are left out; anything wrong with the rest is an error.
func FromJWKS(data []byte) (*Static, error) {
	list, problems, err := parseJWKS(data, "")
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(list) == 0 {
		return nil, errors.New("no key for signatures in the set")
	}
	return &Static{newSet(list)}, nil
}

// errSkip marks a key that is in order but not for us (RFC 7517, section 5).
var errSkip = errors.New("not a signature key")

// parseJWKS reads a key set. The problems are those of single keys, which the
// list then lacks. rsaAlg is RemoteOptions.RSA.
func parseJWKS(data []byte, rsaAlg string) (list []*Key, problems []error, err error) {
	var array []byte
	single := false
	err = strictjson.Object(data, func(name, value []byte) error {
		switch string(name) {
		case "keys":
			array = value
		case "kty":
			single = true
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	raw := [][]byte{data}
	if !single {
		if array == nil {
			return nil, nil, errors.New(`neither a key set with "keys" nor a key with "kty"`)
		}
		raw = raw[:0]
		err := strictjson.Elements(array, func(value []byte) error {
			if len(raw) == maxJWKs {
				return fmt.Errorf("more than %d keys", maxJWKs)
			}
			raw = append(raw, value)
			return nil
		})
		if err != nil {
			return nil, nil, fmt.Errorf(`"keys": %w`, err)
		}
	}
	for i, value := range raw {
		k, err := parseJWK(value, rsaAlg)
		switch {
		case errors.Is(err, errSkip):
		case err != nil:
			problems = append(problems, fmt.Errorf("key %d: %w", i+1, err))
		default:
			list = append(list, k)
		}
	}
	// Two keys that one header can mean make the issuer's intent a guess: out
	// with both.
	clash := func(k *Key) bool {
		return k.ID != "" && slices.ContainsFunc(list, func(o *Key) bool {
			return o != k && o.ID == k.ID && slices.ContainsFunc(k.algs, func(a string) bool { return slices.Contains(o.algs, a) })
		})
	}
	unique := make([]*Key, 0, len(list))
	for _, k := range list {
		if clash(k) {
			problems = append(problems, fmt.Errorf("several keys with the kid %.64q for %s", k.ID, strings.Join(k.algs, ", ")))
		} else {
			unique = append(unique, k)
		}
	}
	return unique, problems, nil
}

// jwk is the part of a JSON Web Key that counts here. Certificates (x5c, x5u)
// are not looked at: the set itself is what is trusted.
type jwk struct {
	kty, kid, alg, use, crv string
	n, e, x, y              string
	ops                     []string
	hasOps, private         bool
}

func parseJWK(data []byte, rsaAlg string) (*Key, error) {
	var j jwk
	err := strictjson.Object(data, func(name, value []byte) error {
		var to *string
		switch string(name) {
		case "kty":
			to = &j.kty
		case "kid":
			to = &j.kid
		case "alg":
			to = &j.alg
		case "use":
			to = &j.use
		case "crv":
			to = &j.crv
		case "n":
			to = &j.n
		case "e":
			to = &j.e
		case "x":
			to = &j.x
		case "y":
			to = &j.y
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			j.private = true
		case "key_ops":
			j.hasOps = true
			ops, ok := strictjson.Strings(value)
			if !ok || value[0] != '[' {
				return errors.New("key_ops is not a list of strings")
			}
			j.ops = ops
		}
		return strictjson.Text(name, value, to)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case j.kty == "":
		return nil, errors.New("no kty")
	case len(j.kid) > maxKeyID:
		return nil, fmt.Errorf("kid longer than %d bytes", maxKeyID)
	case j.kty == "oct":
		// A shared secret that is published is none, and HS* is never accepted.
		return nil, fmt.Errorf("%.64q is a symmetric key", j.kid)
	case j.kty != "RSA" && j.kty != "EC" && j.kty != "OKP":
		return nil, errSkip
	case j.private:
		return nil, fmt.Errorf("%.64q holds a private key: it is not a secret any more", j.kid)
	case j.use != "" && j.use != "sig", j.hasOps && !slices.Contains(j.ops, "verify"):
		return nil, errSkip
	}
	if j.kty == "RSA" && j.alg == "" {
		j.alg = rsaAlg
	}
	k, err := j.key()
	if err != nil && !errors.Is(err, errSkip) {
		return nil, fmt.Errorf("%.64q: %w", j.kid, err)
	}
	return k, err
}

func (j *jwk) key() (*Key, error) {
	var public crypto.PublicKey
	switch j.kty {
	case "RSA":
		if strings.HasPrefix(j.alg, "RSA-OAEP") || j.alg == "RSA1_5" {
			return nil, errSkip
		}
		n, err := decode("n", j.n)
		if err != nil {
			return nil, err
		}
		e, err := decode("e", j.e)
		if err != nil {
			return nil, err
		}
		if len(n) > maxRSABits/8+1 {
			return nil, errors.New("n is too long")
		}
		exponent := new(big.Int).SetBytes(e)
		if exponent.BitLen() > 31 {
			return nil, errors.New("e is too large")
		}
		public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	case "EC":
		if strings.HasPrefix(j.alg, "ECDH-ES") {
			return nil, errSkip
		}
		var curve elliptic.Curve
		switch j.crv {
		case "P-256":
			curve = elliptic.P256()
		case "P-384":
			curve = elliptic.P384()
		case "P-521":
			curve = elliptic.P521()
		default:
			return nil, errSkip
		}
		x, err := decode("x", j.x)
		if err != nil {
			return nil, err
		}
		y, err := decode("y", j.y)
		if err != nil {
			return nil, err
		}
		// Full-length coordinates only (RFC 7518, section 6.2.1.2).
		size := (curve.Params().BitSize + 7) / 8
		if len(x) != size || len(y) != size {
			return nil, fmt.Errorf("x and y of %d and %d bytes do not fit %s", len(x), len(y), j.crv)
		}
		public, err = ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, err
		}
	case "OKP":
		if j.crv != "Ed25519" {
			return nil, errSkip
		}
		x, err := decode("x", j.x)
		if err != nil {
			return nil, err
		}
		public = ed25519.PublicKey(x)
	}
	return newKey(j.kid, j.alg, public)
}

func decode(name, text string) ([]byte, error) {
	if text == "" {
		return nil, fmt.Errorf("no %s", name)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder skips line ends
		return nil, fmt.Errorf("%s is not base64url", name)
	}
	return b, nil
}
