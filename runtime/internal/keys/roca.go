package keys

import "math/big"

// The RSA keys of one widely used chip library are of a form that can be
// factored (CVE-2017-15361, "ROCA"): their primes are k*M + (65537^a mod M) for
// a product M of small primes, so the modulus is a power of 65537 modulo each
// of those primes. The test below is the published fingerprint. A sound key
// passes it by chance once in about 2^27.

var fingerprintPrimes = []uint64{
	11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
}

// factorable reports whether n has the fingerprint.
func factorable(n *big.Int) bool {
	var m, p big.Int
	for _, prime := range fingerprintPrimes {
		rest := m.Mod(n, p.SetUint64(prime)).Uint64()
		power, found := uint64(1), false
		for range prime {
			if power == rest {
				found = true
				break
			}
			power = power * 65537 % prime
		}
		if !found {
			return false
		}
	}
	return true
}
