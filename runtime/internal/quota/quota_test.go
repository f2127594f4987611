package quota_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/quota"
)

func TestTake(t *testing.T) {
	now := time.Unix(600, 0)
	var q quota.Quota
	take := func(address string, times int) (ok, last int) {
		for range times {
			got, end := q.Take(netip.MustParseAddr(address), now)
			if got {
				ok++
			}
			if end {
				last++
			}
		}
		return ok, last
	}
	for _, c := range []struct {
		address  string
		ok, last int
	}{
		{"192.0.2.1", quota.Lines, 1},
		{"192.0.2.1", 0, 0},
		{"::ffff:192.0.2.1", 0, 0}, // the same
		{"192.0.2.2", quota.Lines, 1},
		{"2001:db8::1", quota.Lines, 1},
		{"2001:db8::2:1", 0, 0}, // of the same /64
		{"2001:db8:0:1::1", quota.Lines, 1},
	} {
		if ok, last := take(c.address, 30); ok != c.ok || last != c.last {
			t.Errorf("%s: %d lines and %d last ones, want %d and %d", c.address, ok, last, c.ok, c.last)
		}
	}
	now = now.Add(time.Minute)
	if ok, _ := take("192.0.2.1", 30); ok != quota.Lines {
		t.Errorf("in the next minute: %d", ok)
	}
	// Whoever has many addresses does not get many more lines.
	total := 0
	for i := range 5000 {
		ok, _ := take(fmt.Sprintf("10.0.%d.%d", i/250, i%250), 1)
		total += ok
	}
	if total > 1000+quota.Lines {
		t.Errorf("%d lines in a minute", total)
	}
}
