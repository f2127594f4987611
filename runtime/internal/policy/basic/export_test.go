package basic

// SlowHash is one that is checked by a function of the test's.
func SlowHash(check func(password []byte) bool) *Hash { return &Hash{check: check} }
