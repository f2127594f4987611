package upstream_test

import (
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/upstream"
)

// How clusters behave in traffic is tested over real sockets in package
// engine; here is what New takes and refuses.
func TestNew(t *testing.T) {
	tests := []struct {
		urls    string
		balance upstream.Balance
		want    string // endpoints, or a part of the error
	}{
		{"http://a/b", upstream.Single, "http://a"},
		{"https://a:1/b?c http://d:2", upstream.RoundRobin, "https://a:1 http://d:2"},
		{"http://a http://b", upstream.Single, "http://a"},
		{"http://[::1]:80/", upstream.Failover, "http://[::1]:80"},
		{"", upstream.Single, "no endpoint"},
		{"ftp://a", upstream.Single, "neither http nor https"},
		{"a:80", upstream.Single, ""},
		{"//a", upstream.Single, "neither http nor https"},
		{"http://", upstream.Single, "no host"},
		{"http://:80", upstream.Single, "no host"},
		{"http://a http:///b", upstream.Failover, "no host"},
		{"http://a:b", upstream.Single, "port"},
		{"http://a%zz", upstream.Single, "escape"},
	}
	for _, test := range tests {
		t.Run(test.urls, func(t *testing.T) {
			c, err := upstream.New(upstream.Settings{Name: "n", Balance: test.balance, URLs: strings.Fields(test.urls)}, &upstream.Options{})
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if got := strings.Join(c.Endpoints(), " "); got != test.want || got == "" {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
