// Package keys holds the public keys that token issuers sign with: from a PEM
// file, a certificate in a PKCS#12 trust store, a JWK Set in a file, or a JWK
// Set behind a URL that is kept up to date.
//
// What surprises:
//
//   - A key is good for the algorithms fixed when it was loaded and no others
//     (RFC 8725, section 3.1). The token's header chooses among keys, never how
//     a key is used. Where nothing fixes one, an RSA key takes RS256, RS384 and
//     RS512 as in WSO2 API Microgateway; RSASSA-PSS has to be asked for.
//   - A key that leaves its set is marked as retired, so that whoever remembers
//     "verified under this key" can ask the key itself whether that still
//     counts, without a lock and without flushing everything else.
//   - A trust store is asked for one certificate by its alias. The others in
//     it are not trusted for tokens.
package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Limits on keys. An RSA key under 2048 bits is too weak (RFC 7518, section
// 3.3); one over 8192 makes each forged token expensive.
const (
	minRSABits = 2048
	maxRSABits = 8192
	maxPEMKeys = 8  // all of them may be tried for one token
	maxJWKs    = 64 // in one set
	maxKeyID   = 512
)

var (
	// ErrUnknownKey says that the set has no key for such a token.
	ErrUnknownKey = errors.New("unknown key")
	// ErrNeverLoaded says that the set has not been loaded yet, not even once.
	ErrNeverLoaded = errors.New("keys were never loaded")
)

// A KeySet finds the keys that may have signed a token.
type KeySet interface {
	// Keys returns the keys that a token with that kid ("" for none) and
	// alg may have been signed with: nearly always one, and never a key that
	// alg does not fit. The error wraps ErrUnknownKey or ErrNeverLoaded. The
	// caller must not change the slice.
	Keys(kid, alg string) ([]*Key, error)
}

// A Key is one public key of an issuer.
type Key struct {
	ID     string           // kid; "" if the source gives none: then any kid will do
	Public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	algs    []string
	retired atomic.Bool
}

// Retired reports whether the key has left its set: what was verified under it
// no longer counts.
func (k *Key) Retired() bool { return k.retired.Load() }

// Algorithms returns the algorithms that the key is fixed to.
func (k *Key) Algorithms() []string { return slices.Clone(k.algs) }

// Allows reports whether the key may be used with alg.
func (k *Key) Allows(alg string) bool { return slices.Contains(k.algs, alg) }

// same reports whether two keys are one.
func (k *Key) same(o *Key) bool {
	pub, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == o.ID && slices.Equal(k.algs, o.algs) && pub.Equal(o.Public)
}

// newKey checks a public key and fixes its algorithm; alg "" stands for the
// usual ones of its kind.
func newKey(id, alg string, public crypto.PublicKey) (*Key, error) {
	var usual []string
	allowed := func(alg string) bool { return slices.Contains(usual, alg) }
	switch pub := public.(type) {
	case *rsa.PublicKey:
		bits := pub.N.BitLen()
		switch {
		case bits < minRSABits || bits > maxRSABits:
			return nil, fmt.Errorf("RSA key of %d bits; from %d to %d are accepted", bits, minRSABits, maxRSABits)
		case pub.N.Bit(0) == 0 || pub.E < 3 || pub.E&1 == 0:
			return nil, errors.New("not an RSA key: modulus or exponent is even or too small")
		case factorable(pub.N):
			return nil, errors.New("RSA key made by a broken generator (CVE-2017-15361); make a new one")
		}
		usual = []string{"RS256", "RS384", "RS512"}
		allowed = func(alg string) bool {
			return slices.Contains(usual, alg) || alg == "PS256" || alg == "PS384" || alg == "PS512"
		}
	case *ecdsa.PublicKey:
		// Each curve has its algorithm (RFC 7518, section 3.4).
		switch pub.Curve.Params().Name {
		case "P-256":
			usual = []string{"ES256"}
		case "P-384":
			usual = []string{"ES384"}
		case "P-521":
			usual = []string{"ES512"}
		default:
			return nil, fmt.Errorf("curve %s is not supported", pub.Curve.Params().Name)
		}
		if _, err := pub.ECDH(); err != nil { // checks that the point is on the curve
			return nil, fmt.Errorf("not an EC key: %w", err)
		}
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return nil, errors.New("not an Ed25519 key")
		}
		usual = []string{"EdDSA"}
	default:
		return nil, fmt.Errorf("public key of an unsupported kind (%T)", public)
	}
	if alg != "" {
		if !allowed(alg) {
			return nil, fmt.Errorf("algorithm %.20q does not fit the key", alg)
		}
		usual = []string{alg}
	}
	return &Key{ID: id, Public: public, algs: usual}, nil
}

// header is what a token says about its key.
type header struct{ kid, alg string }

// set is an immutable set of keys with its answers worked out.
type set struct {
	keys  []*Key
	ids   map[string]bool
	byID  map[header][]*Key
	anon  map[string][]*Key // by alg: keys without an ID, good for any kid
	byAlg map[string][]*Key // all keys, for tokens without a kid
}

func newSet(list []*Key) *set {
	s := &set{keys: list, ids: map[string]bool{}, byID: map[header][]*Key{}, anon: map[string][]*Key{}, byAlg: map[string][]*Key{}}
	for _, k := range list {
		for _, alg := range k.algs {
			s.byAlg[alg] = append(s.byAlg[alg], k)
			if k.ID == "" {
				s.anon[alg] = append(s.anon[alg], k)
			} else {
				h := header{k.ID, alg}
				s.byID[h] = append(s.byID[h], k)
			}
		}
		s.ids[k.ID] = true
	}
	return s
}

// find is KeySet.Keys. fresh says that another fetch might bring the key.
func (s *set) find(kid, alg string) (list []*Key, fresh bool, err error) {
	if kid != "" {
		if list := s.byID[header{kid, alg}]; list != nil {
			return list, false, nil
		}
		if s.ids[kid] {
			return nil, false, fmt.Errorf("%w: the key %.64q is not for %.20q", ErrUnknownKey, kid, alg)
		}
	}
	if list := s.anon[alg]; list != nil {
		return list, false, nil
	}
	if kid != "" {
		return nil, true, fmt.Errorf("%w: no key %.64q", ErrUnknownKey, kid)
	}
	switch list := s.byAlg[alg]; len(list) {
	case 0:
		return nil, false, fmt.Errorf("%w: no key for %.20q", ErrUnknownKey, alg)
	case 1:
		return list, false, nil
	default:
		// Guessing would try keys until one fits; the issuer has to say which
		// (OpenID Connect Core, section 10.1).
		return nil, false, fmt.Errorf("%w: the token names none of %d keys for %.20q", ErrUnknownKey, len(list), alg)
	}
}

// A Static is a set of keys that never changes.
type Static struct{ set *set }

// Keys implements KeySet.
func (s *Static) Keys(kid, alg string) ([]*Key, error) {
	list, _, err := s.set.find(kid, alg)
	return list, err
}

// Len returns the number of keys.
func (s *Static) Len() int { return len(s.set.keys) }

// FromCertificate makes a set of the key of one certificate. alg fixes its
// algorithm, "" stands for the usual ones. The certificate carries the key and
// no more: its dates and signature are not judged, as in WSO2 API Microgateway.
func FromCertificate(cert *x509.Certificate, alg string) (*Static, error) {
	k, err := newKey("", alg, cert.PublicKey)
	if err != nil {
		return nil, err
	}
	return &Static{newSet([]*Key{k})}, nil
}

// FromPEM makes a set of all certificates and public keys in a PEM file. With
// several, for a rotation, a token is good if any of them verifies it.
func FromPEM(data []byte, alg string) (*Static, error) {
	var list []*Key
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		public, err := publicFromPEM(block)
		if err == nil {
			var k *Key
			if k, err = newKey("", alg, public); err == nil && !slices.ContainsFunc(list, k.same) {
				list = append(list, k)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("PEM block %d (%.40s): %w", n, block.Type, err)
		}
	}
	switch {
	case bytes.Contains(data, []byte("-----BEGIN")):
		return nil, errors.New("broken PEM block")
	case len(list) == 0:
		return nil, errors.New("no certificate or public key in PEM form")
	case len(list) > maxPEMKeys:
		return nil, fmt.Errorf("%d keys; at most %d are tried for a token", len(list), maxPEMKeys)
	}
	return &Static{newSet(list)}, nil
}

func publicFromPEM(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case block.Type == "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, errors.New("a private key has no place here; only the issuer may have it")
	}
	return nil, errors.New("neither a certificate nor a public key")
}
