package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// refusals tells the log, at the level DEBUG, why requests were not served: a
// client is only told as much as it may know. Whoever fails on purpose must not
// be able to fill a disk, nor to drown what others fail with, so each client
// address has so many lines in a minute.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	minute int64
	told   map[netip.Addr]int // guarded by mu: in this minute; those beyond maxClients under the zero Addr
}

const (
	linesAMinute = 10
	maxClients   = 1000
)

// tell notes why x is answered with f.
func (r *refusals) tell(x *exchange.Exchange, route *Route, f *fault.Fault) {
	if !r.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	n := r.count(exchange.Network(x.Client), x.Start.Unix()/60)
	if n > linesAMinute {
		return
	}
	args := []any{"client", x.Client, "route", label(route), "status", f.Status, "code", f.Code}
	if why := f.Unwrap(); why != nil {
		args = append(args, "why", why)
	}
	if n == linesAMinute {
		args = append(args, "note", "no more of this client in this minute")
	}
	r.log.Debug("request not served", args...)
}

func (r *refusals) count(client netip.Addr, minute int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if minute != r.minute || r.told == nil {
		r.minute, r.told = minute, map[netip.Addr]int{}
	}
	if _, known := r.told[client]; !known && len(r.told) >= maxClients {
		client = netip.Addr{}
	}
	r.told[client]++
	return r.told[client]
}
