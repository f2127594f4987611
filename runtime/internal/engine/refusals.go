package engine

import (
	"context"
	"log/slog"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/quota"
)

// refusals tells the log, at the level DEBUG, why requests were not served: a
// client is only told as much as it may know. Each has so many lines in a minute.
type refusals struct {
	log   *slog.Logger
	quota quota.Quota
}

// tell notes why x is answered with f.
func (r *refusals) tell(x *exchange.Exchange, route *Route, f *fault.Fault) {
	if !r.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	ok, last := r.quota.Take(x.Client, x.Start)
	if !ok {
		return
	}
	args := []any{"client", x.Client, "route", label(route), "status", f.Status, "code", f.Code}
	if why := f.Unwrap(); why != nil {
		args = append(args, "why", why)
	}
	if last {
		args = append(args, "note", quota.Note)
	}
	r.log.Debug("request not served", args...)
}
