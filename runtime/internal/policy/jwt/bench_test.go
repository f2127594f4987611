package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// usual is a token of the size that identity providers issue.
func usual(c *clock, key crypto.Signer, alg string) string {
	return sign(key, alg, map[string]any{"kid": "2f1a9c30-4b1e-4a57-9b1d-0c5f2d6b7a10"}, c.claims(map[string]any{
		"sub": "8c1d2a7e-93f0-4a52-8a3b-6f1f6c1e2d90", "aud": []string{gateway, "account"}, "azp": "petstore-web", "jti": "0b9c4d5e-1f2a-4b3c-8d7e-6f5a4b3c2d1e",
		"scope": "openid profile read:pets write:pets", "name": "Alice Example", "keytype": "PRODUCTION",
		"realm_access": map[string]any{"roles": []string{"offline_access", "uma_authorization"}}, "email_verified": true,
	}))
}

// A token never seen before, beside the signature check alone; for their ratio
// see BenchmarkColdRatio.
func BenchmarkCold(b *testing.B) {
	c := newClock()
	for alg, signer := range map[string]crypto.Signer{"RS256": keyA(), "ES256": keyE()} {
		token := usual(c, signer, alg)
		dot := strings.LastIndexByte(token, '.')
		sum := sha256.Sum256([]byte(token[:dot]))
		sig := must(base64.RawURLEncoding.DecodeString(token[dot+1:]))
		b.Run(alg+"/signature", func(b *testing.B) {
			check := signatureCheck(signer.Public(), sum[:], sig)
			for b.Loop() {
				check()
			}
		})
		b.Run(alg+"/verify", func(b *testing.B) {
			// Caching is on, as in use, but holds too little for any token.
			v := must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Audience: []string{gateway}, Keys: pemKeys(signer.Public())}},
				Cache: jwt.CacheOptions{Bytes: 1}}))
			in := []byte(token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// signatureCheck returns the bare check that a token costs at least.
func signatureCheck(pub crypto.PublicKey, sum, sig []byte) func() {
	ok := func(good bool) {
		if !good {
			panic("does not verify")
		}
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return func() { ok(rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum, sig) == nil) }
	case *ecdsa.PublicKey:
		der := encodeDER(sig)
		return func() { ok(ecdsa.VerifyASN1(pub, sum, der)) }
	}
	panic("no such key")
}

// encodeDER turns r || s into what VerifyASN1 takes.
func encodeDER(sig []byte) []byte {
	integer := func(b []byte) []byte {
		for len(b) > 1 && b[0] == 0 {
			b = b[1:]
		}
		if b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(sig[:len(sig)/2]), integer(sig[len(sig)/2:])...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func BenchmarkHit(b *testing.B) {
	c := newClock()
	v := newVerifier(b, c, func(o *jwt.Options) { o.Now = time.Now })
	c.ms.Store(time.Now().UnixMilli())
	stage := v.Bearer("Authorization", true).Request
	name, value := []byte("Authorization"), []byte("Bearer "+usual(c, keyA(), "RS256"))
	b.ReportAllocs()
	b.ReportMetric(float64(len(value)), "token-bytes")
	b.RunParallel(func(pb *testing.PB) {
		x := &exchange.Exchange{}
		for pb.Next() {
			x.Reset()
			x.Request.Add(name, value)
			if err := stage(x); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Forged tokens, by how far they get.
func BenchmarkForged(b *testing.B) {
	c := newClock()
	v := newVerifier(b, c, func(o *jwt.Options) {
		jwks := must(json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "RSA", "kid": "k", "n": b64(keyA().N.Bytes()), "e": "AQAB"}}}))
		o.Issuers[0].Keys = must(keys.FromJWKS(jwks))
	})
	good := usual(c, keyA(), "RS256")
	for name, token := range map[string]string{
		"noise":          strings.Repeat("x", len(good)),
		"no algorithm":   b64([]byte(`{"alg":"none"}`)) + good[strings.IndexByte(good, '.'):],
		"unknown kid":    good,
		"unknown issuer": sign(keyA(), "RS256", nil, c.claims(map[string]any{"iss": "x"})),
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(token)
			for b.Loop() {
				if _, err := v.Verify(in); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
