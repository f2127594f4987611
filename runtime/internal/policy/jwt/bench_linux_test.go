package jwt_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/microgw/microgw/runtime/internal/policy/jwt"
)

// The budget of a token never seen before is 1.3 times its signature check
// alone. Both are measured in turns, in CPU time of one thread, so that the
// ratio holds on a machine that has other things to do.
func BenchmarkColdRatio(b *testing.B) {
	c := newClock()
	for _, s := range []struct {
		alg string
		key crypto.Signer
	}{{"RS256", keyA()}, {"ES256", keyE()}} {
		b.Run(s.alg, func(b *testing.B) {
			token := []byte(usual(c, s.key, s.alg))
			dot := strings.LastIndexByte(string(token), '.')
			sum := sha256.Sum256(token[:dot])
			sig := must(base64.RawURLEncoding.DecodeString(string(token[dot+1:])))
			check := signatureCheck(s.key.Public(), sum[:], sig)
			v := must(jwt.New(jwt.Options{Now: c.now, Issuers: []jwt.Issuer{{Issuer: issuerA, Audience: []string{gateway}, Keys: pemKeys(s.key.Public())}},
				Cache: jwt.CacheOptions{Bytes: 1}}))
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var alone, whole int64
			for b.Loop() {
				t0 := threadTime()
				for range 20 {
					check()
				}
				t1 := threadTime()
				for range 20 {
					if _, err := v.Verify(token); err != nil {
						b.Fatal(err)
					}
				}
				alone += t1 - t0
				whole += threadTime() - t1
			}
			b.ReportMetric(float64(whole)/float64(alone), "x-signature")
			b.ReportMetric(float64(whole)/float64(b.N)/20, "cpu-ns/token")
		})
	}
}

// threadTime is the CPU time that this thread has used, in nanoseconds.
func threadTime() int64 {
	const thisThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
