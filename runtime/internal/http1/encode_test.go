package http1

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// RFC 7239, section 6: an IPv6 address is in brackets and quoted.
func TestForwardedNode(t *testing.T) {
	for _, test := range []struct{ peer, xff, node string }{
		{"1.2.3.4:5", "1.2.3.4", "1.2.3.4"},
		{"[::ffff:1.2.3.4]:5", "1.2.3.4", "1.2.3.4"},
		{"[2001:db8::1]:5", "2001:db8::1", `"[2001:db8::1]"`},
		{"[fe80::1%eth0]:5", "fe80::1", `"[fe80::1]"`},
	} {
		x := &exchange.Exchange{Peer: netip.MustParseAddrPort(test.peer)}
		want := "X-Forwarded-For: " + test.xff + "\r\nX-Forwarded-Proto: http\r\nForwarded: for=" + test.node + ";proto=http"
		if got := string(appendForwarded(nil, x)); got != want {
			t.Errorf("%s: got %q, want %q", test.peer, got, want)
		}
		x.TLS = &tls.ConnectionState{}
		x.Host = []byte("[::1]:80")
		want = "X-Forwarded-For: " + test.xff + "\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: [::1]:80\r\nForwarded: for=" +
			test.node + ";proto=https;host=\"[::1]:80\"\r\n"
		if got := string(appendTrusted(nil, x, nil, nil)); got != want {
			t.Errorf("%s, trusted: got %q, want %q", test.peer, got, want)
		}
	}
}
