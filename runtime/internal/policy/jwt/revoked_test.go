package jwt_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/revocation"
)

// revoked is names of tokens. Its keys are numbers of names.
type revoked map[string]bool

func (r revoked) Key(name []byte) [2]uint64 {
	if r[string(name)] {
		return [2]uint64{1, 1}
	}
	return [2]uint64{2, 2}
}

func (r revoked) Revoked(key [2]uint64, _ int64) bool { return key[0] == 1 }

// A token is refused by each of its names, and by nothing else of it.
func TestRevokedByName(t *testing.T) {
	c := newClock()
	token := sign(keyE(), "ES256", nil, c.claims(map[string]any{"jti": "id-1", "sub": "alice"}))
	parts := strings.Split(token, ".")
	for _, tt := range []struct {
		name string
		want bool
	}{
		{"id-1", true}, {parts[2], true}, {parts[0] + "." + parts[1] + ".", true}, {other(parts[2]), true},
		{"id-2", false}, {"alice", false}, {parts[0] + "." + parts[1], false}, {parts[0], false}, {parts[1], false}, {"ID-1", false}, {"", false},
	} {
		for _, cached := range []bool{true, false} {
			v := newVerifier(t, c, func(o *jwt.Options) {
				o.Issuers[0].Keys = pemKeys(keyE().Public())
				o.Cache.Disabled = !cached
				o.Revoked = revoked{tt.name: true}
			})
			for range 2 { // new, then remembered
				_, err := v.Verify([]byte(token))
				if tt.want {
					refused(t, tt.name, err, fault.InvalidCredentials, "revoked")
				} else if err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
		}
	}
}

// other is the signature that is as good as one of ES256.
func other(signature string) string {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic(err)
	}
	s := new(big.Int).SetBytes(raw[32:])
	s.Sub(keyE().Curve.Params().N, s).FillBytes(raw[32:])
	return base64.RawURLEncoding.EncodeToString(raw)
}

// A token that is revoked is refused from the next request on although it is
// remembered, in whichever of its two spellings it comes, and its holder learns
// no more than the holder of any bad token.
func TestRevokedWhileRemembered(t *testing.T) {
	c := newClock()
	set := revocation.NewSet(100, c.now())
	v := newVerifier(t, c, func(o *jwt.Options) {
		o.Issuers[0].Keys = pemKeys(keyE().Public())
		o.Revoked = set
	})
	for _, by := range []string{"jti", "signature", "all but the signature"} {
		token := sign(keyE(), "ES256", nil, c.claims(map[string]any{"jti": by}))
		dot := strings.LastIndexByte(token, '.')
		bent := token[:dot+1] + other(token[dot+1:])
		for _, s := range []string{token, bent} {
			if _, err := v.Verify([]byte(s)); err != nil {
				t.Fatalf("%s: %v", by, err)
			}
		}
		id := map[string]string{"jti": by, "signature": token[dot+1:], "all but the signature": token[:dot+1]}[by]
		set.Add([]byte(id), c.now().Add(time.Minute), c.now())
		for _, s := range []string{token, bent} {
			_, err := v.Verify([]byte(s))
			refused(t, by, err, fault.InvalidCredentials, "revoked")
		}
	}
}

// A jti may look like a token, or like the beginning of one. Whoever may choose
// his own names nobody else by it.
func TestRevokedIDsThatLookLikeTokens(t *testing.T) {
	c := newClock()
	set := revocation.NewSet(100, c.now())
	intake := &revocation.Intake{Set: set, Log: slog.New(slog.DiscardHandler)}
	v := newVerifier(t, c, func(o *jwt.Options) { o.Revoked = set })
	with := func(jti string) []byte {
		return []byte(sign(keyA(), "RS256", nil, c.claims(map[string]any{"jti": jti, "sub": jti})))
	}
	victim := with("victim")
	dot := bytes.LastIndexByte(victim, '.')
	gone, good := []string{"a.b.c", "x.y", string(victim[:dot])}, []string{"a.b", "x.y.z", "a", "b.c", "c", "x", "\xff"}
	for _, id := range gone {
		intake.Revoke(id, c.now().Add(time.Minute), c.now())
	}
	for range 2 { // new, then remembered
		for _, jti := range gone {
			_, err := v.Verify(with(jti))
			refused(t, jti, err, fault.InvalidCredentials, "revoked")
		}
		for _, jti := range good {
			if _, err := v.Verify(with(jti)); err != nil {
				t.Errorf("jti %q: %v", jti, err)
			}
		}
		if _, err := v.Verify(victim); err != nil {
			t.Errorf("a token whose beginning is somebody's jti: %v", err)
		}
	}
	intake.Revoke(string(victim), c.now().Add(time.Minute), c.now())
	_, err := v.Verify(victim)
	refused(t, "the token itself", err, fault.InvalidCredentials, "revoked")
}

// Revocations cost a hit this much.
func BenchmarkRevoked(b *testing.B) {
	c := newClock()
	for _, n := range []int{-1, 0, 1_000_000} {
		name := map[int]string{-1: "off", 0: "none", 1_000_000: "1M"}[n]
		b.Run(name, func(b *testing.B) {
			v := newVerifier(b, c, func(o *jwt.Options) {
				if n < 0 {
					return
				}
				set := revocation.NewSet(2_000_000, c.now())
				for i := range n {
					set.Add([]byte{byte(i), byte(i >> 8), byte(i >> 16), 'x', 'y'}, c.now().Add(time.Hour), c.now())
				}
				o.Revoked = set
			})
			token := []byte(usual(c, keyA(), "RS256"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
