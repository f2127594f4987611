package apikey_test

import (
	"testing"

	"github.com/microgw/microgw/runtime/internal/policy/apikey"
)

// What a restricted key costs each request, beside its verification.
func BenchmarkAllow(b *testing.B) {
	l, err := apikey.ParseLimits([]byte(`{"allowedAPIs":[{"name":"Other","version":"*"},{"name":"Pets","version":"1.0.0"}],"permittedIP":"192.0.2.7,10.0.0.0/8","permittedReferer":"https://shop.example/*"}`), true)
	if err != nil {
		b.Fatal(err)
	}
	x := limited("10.1.1.1", "https://shop.example/cart")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Allow(x); err != nil {
			b.Fatal(err)
		}
	}
}
