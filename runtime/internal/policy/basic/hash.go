package basic

import (
	"crypto/sha1" //nolint:gosec // what WSO2's files have; documented as weak
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// A Hash is a password as the conf file has it: hashed. The forms are
//
//	5BAA61E4C9B9...             SHA-1 in hex, 40 digits, as WSO2 ships it
//	5e884898da28...             SHA-256 in hex, 64 digits
//	@sha256:{...}  @sha384:{...}  @sha512:{...}   in hex, as WSO2 3.1 writes them
//	$2a$10$...  $2b$  $2y$      bcrypt
//	$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH      argon2id (RFC 9106)
type Hash struct {
	sum   func([]byte) []byte // nil for slow ones
	want  []byte
	check func(password []byte) bool // of slow ones
	weak  bool
}

// Slow reports whether the hash is slow by design.
func (h *Hash) Slow() bool { return h.check != nil }

// Weak reports whether a list of usual passwords is tried against it in no time
// (everything but bcrypt and argon2id).
func (h *Hash) Weak() bool { return h.weak }

// ErrHash is what ParseHash says of what it does not know.
var ErrHash = errors.New("not a password hash: want SHA-1 (40) or SHA-256 (64 hex digits), @sha256:{...}, @sha384:{...}, @sha512:{...}, bcrypt ($2b$...) or argon2id ($argon2id$...)")

// Bounds of what a hash in the conf file may ask of each request.
const (
	maxBcryptCost   = 15
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
)

func sha1Of(b []byte) []byte   { s := sha1.Sum(b); return s[:] } //nolint:gosec // see Hash
func sha256Of(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
func sha384Of(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
func sha512Of(b []byte) []byte { s := sha512.Sum512(b); return s[:] }

// ParseHash reads a hash. Errors never quote it.
func ParseHash(s string) (*Hash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "@"):
		name, digits, found := strings.Cut(s[1:], ":")
		digits, open := strings.CutPrefix(digits, "{")
		digits, closed := strings.CutSuffix(digits, "}")
		sum := map[string]func([]byte) []byte{"sha256": sha256Of, "sha384": sha384Of, "sha512": sha512Of}[name]
		if !found || !open || !closed || sum == nil {
			return nil, ErrHash
		}
		return digest(sum, digits)
	case len(s) == 40:
		return digest(sha1Of, s)
	case len(s) == 64:
		return digest(sha256Of, s)
	}
	return nil, ErrHash
}

func digest(sum func([]byte) []byte, digits string) (*Hash, error) {
	want, err := hex.DecodeString(digits)
	if err != nil || len(want) != len(sum(nil)) {
		return nil, ErrHash
	}
	return &Hash{sum: sum, want: want, weak: true}, nil
}

func parseBcrypt(s string) (*Hash, error) {
	// The letter tells apart old defects of other programs; what they all mean
	// now is 2b.
	b := []byte("$2b$" + s[4:])
	cost, err := bcrypt.Cost(b)
	switch {
	case err != nil || len(s) != 60:
		return nil, errors.New("not a bcrypt hash: want 60 characters that begin with $2b$COST$")
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("bcrypt with cost %d: every request would wait for it; %d at most", cost, maxBcryptCost)
	}
	return &Hash{check: func(p []byte) bool {
		// bcrypt looks at the first 72 bytes and no others, so whoever knew those
		// could write anything behind them. The time is the same.
		return bcrypt.CompareHashAndPassword(b, p) == nil && len(p) <= 72
	}}, nil
}

func parseArgon(s string) (*Hash, error) {
	bad := errors.New("not an argon2id hash: want $argon2id$v=19$m=KIB,t=PASSES,p=THREADS$SALT$HASH")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, bad
	}
	number := map[string]uint64{}
	for _, kv := range strings.Split(parts[3], ",") {
		k, v, _ := strings.Cut(kv, "=")
		n, err := strconv.ParseUint(v, 10, 32)
		if _, twice := number[k]; err != nil || twice || n == 0 {
			return nil, bad
		}
		number[k] = n
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	m, t, p := number["m"], number["t"], number["p"]
	switch {
	case err1 != nil, err2 != nil, len(number) != 3, m == 0, t == 0, p == 0, len(salt) < 8, len(want) < 16, len(want) > 64:
		return nil, bad
	case m > maxArgonMemory || t > maxArgonTime || p > maxArgonThreads:
		return nil, fmt.Errorf("argon2id with m=%d,t=%d,p=%d: every request would pay for it; m=%d,t=%d,p=%d at most", m, t, p, maxArgonMemory, maxArgonTime, maxArgonThreads)
	}
	return &Hash{check: func(password []byte) bool {
		got := argon2.IDKey(password, salt, uint32(t), uint32(m), uint8(p), uint32(len(want)))
		return subtle.ConstantTimeCompare(got, want) == 1
	}}, nil
}

// Matches reports whether the hash is that of the password. It takes the same
// time whatever the password is.
func (h *Hash) Matches(password []byte) bool {
	if h.check != nil {
		return h.check(password)
	}
	return subtle.ConstantTimeCompare(h.sum(password), h.want) == 1
}
