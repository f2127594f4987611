// Package jws reads signed tokens: JSON Web Signatures in compact form (RFC
// 7515), and of those only what an access token may be.
//
// It is stricter than the RFC where leniency has been the door: parts are
// canonical base64url, so that a token has one spelling and a cache key means
// one token; the header is strict JSON; none and the HS algorithms do not exist
// here; and an extension that changes what is signed is refused even where its
// sender forgot to mark it as critical.
//
// A header chooses among the keys that the verifier has. It never brings one:
// jwk, jku, x5c and x5u are read by nobody (RFC 8725, sections 3.1 and 3.10).
package jws

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// MaxSize is the length of the longest token that is looked at.
const MaxSize = 16 << 10

// ErrSignature says that a signature does not belong to the token and key.
var ErrSignature = errors.New("signature does not verify")

// methods are the algorithms there are. The library's own PS methods accept
// any salt length; RFC 7518, section 3.5 fixes it to the hash's.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": pss("PS256", crypto.SHA256), "PS384": pss("PS384", crypto.SHA384), "PS512": pss("PS512", crypto.SHA512),
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	"EdDSA": jwt.SigningMethodEdDSA,
}

func pss(name string, hash crypto.Hash) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: &jwt.SigningMethodRSA{Name: name, Hash: hash},
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

// A Token is a token taken apart; nothing in it has been proved yet.
type Token struct {
	Algorithm string
	KeyID     string // kid, "" for none
	Type      string // typ, "" for none
	Content   string // cty, "" for none
	Payload   []byte // decoded; memory of its own
	Signature []byte

	signed []byte // header and payload as sent: a view of the token
}

// Parse takes a token apart. The result holds on to the token's memory.
func Parse(token []byte) (*Token, error) {
	if len(token) > MaxSize {
		return nil, fmt.Errorf("longer than %d bytes", MaxSize)
	}
	first := bytes.IndexByte(token, '.')
	last := bytes.LastIndexByte(token, '.')
	if first < 1 || last == first || last == first+1 || last == len(token)-1 || bytes.IndexByte(token[first+1:last], '.') >= 0 {
		// An encrypted token has five parts (RFC 7516, section 7.1).
		return nil, errors.New("not three parts")
	}
	header, err := decode(token[:first])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	t := &Token{signed: token[:last]}
	if err := t.header(header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if t.Payload, err = decode(token[first+1 : last]); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if t.Signature, err = decode(token[last+1:]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return t, nil
}

func (t *Token) header(data []byte) error {
	err := strictjson.Object(data, func(name, value []byte) error {
		var to *string
		switch string(name) {
		case "alg":
			to = &t.Algorithm
		case "kid":
			to = &t.KeyID
		case "typ":
			to = &t.Type
		case "cty":
			to = &t.Content
		case "crit":
			// No extension is understood, and an empty list is not allowed
			// (RFC 7515, section 4.1.11).
			return errors.New("crit names extensions that are not understood")
		case "b64", "enc", "zip":
			// Unencoded payload (RFC 7797), encryption, compression: with any of
			// them the payload is not what it seems.
			return fmt.Errorf("%s is not supported", name)
		}
		return strictjson.Text(name, value, to)
	})
	if err != nil {
		return err
	}
	if methods[t.Algorithm] == nil {
		return fmt.Errorf("algorithm %.20q is not accepted", t.Algorithm)
	}
	return nil
}

// Verify checks the signature under key, which must be fixed to the token's
// algorithm.
func (t *Token) Verify(key *keys.Key) error {
	if !key.Allows(t.Algorithm) {
		return fmt.Errorf("the key is for %s, not for %.20q", strings.Join(key.Algorithms(), ", "), t.Algorithm)
	}
	// The library takes text and keeps none of it.
	signed := unsafe.String(unsafe.SliceData(t.signed), len(t.signed))
	if methods[t.Algorithm].Verify(signed, t.Signature, key.Public) != nil {
		return ErrSignature
	}
	return nil
}

var encoding = base64.RawURLEncoding.Strict()

// decode reads canonical base64url: no padding, and no bits that are not used
// (RFC 7515, section 2; RFC 4648, section 3.5). The library skips line ends;
// here nothing is skipped.
func decode(part []byte) ([]byte, error) {
	if bytes.IndexByte(part, '\n') >= 0 || bytes.IndexByte(part, '\r') >= 0 {
		return nil, errors.New("not base64url")
	}
	out := make([]byte, encoding.DecodedLen(len(part)))
	n, err := encoding.Decode(out, part)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return out[:n], nil
}
