// Package engine runs requests: match, stages down, forward, stages up,
// answer. Serve is the whole of it, top to bottom.
package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/pkg/urlpath"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
)

// An Observer learns of every exchange after it has ended. route is the index
// of its route, -1 if it has none. The upstream's connection has been given back
// by then: the answer's fields and body are gone.
type Observer interface {
	Observe(x *exchange.Exchange, route int, end time.Time)
}

// Options make an Engine.
type Options struct {
	Observers []Observer
	Log       *slog.Logger
	// Health: GET /health is answered by the gateway itself unless an API
	// claims the path.
	Health bool
	// Documents, JSON by path, are answered to GET in the same way.
	Documents map[string][]byte
	// Builtin are routes of the gateway's own, for paths that no API claims: none
	// has the path, and none is mounted above it but at the root. The table's
	// Counters count them. Nil: none.
	Builtin *Table
}

// An Engine serves exchanges by the current table.
type Engine struct {
	o        Options
	table    atomic.Pointer[Table]
	refusals refusals
}

// New returns an engine without routes.
func New(o Options) *Engine {
	e := &Engine{o: o}
	if e.o.Log == nil {
		e.o.Log = slog.New(slog.DiscardHandler)
	}
	e.refusals.log = e.o.Log
	e.table.Store(&Table{root: &base{}})
	return e
}

// SetTable makes t the table for all requests that begin from now on and
// returns the one before.
func (e *Engine) SetTable(t *Table) *Table { return e.table.Swap(t) }

// Table returns the current table.
func (e *Engine) Table() *Table { return e.table.Load() }

// Serve implements http1.Handler.
func (e *Engine) Serve(x *exchange.Exchange, w http1.Responder) {
	table := e.table.Load()
	route, err := e.match(table, x)
	passed := 0
	if err == nil && route != nil {
		if passed, err = descend(route, x); err == nil {
			err = forward(route, x)
		}
	}
	if err != nil {
		e.fail(x, route, err)
	}
	for passed--; passed >= 0; passed-- {
		if respond := route.Stages[passed].Response; respond != nil {
			if err := respond(x); err != nil {
				e.fail(x, route, err)
			}
		}
	}
	if err := w.Respond(x); err != nil {
		e.o.Log.Debug("answer was cut short", "route", label(route), "err", err)
	}
	if x.Call != nil {
		x.Call.Release()
	}
	e.observe(table, x, route)
}

// match finds the route. Without a route and without an error the answer is
// made already.
func (e *Engine) match(t *Table, x *exchange.Exchange) (*Route, error) {
	if x.Fault != nil {
		return nil, x.Fault // the message itself was refused
	}
	path := x.Target
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path, x.Query, x.HasQuery = path[:i], path[i+1:], true
	}
	path, err := urlpath.Normalize(x.Bytes(len(path) + 1)[:0], path)
	if err != nil {
		return nil, fault.BadPath.Because(err)
	}
	x.Path = path
	leaf := t.find(path)
	if leaf == nil && e.o.Builtin != nil && !t.claims(path) {
		leaf = e.o.Builtin.find(path)
	}
	if leaf == nil {
		if e.o.Health && string(path) == "/health" && (string(x.Method) == "GET" || string(x.Method) == "HEAD") {
			x.Answer(200, "application/json", healthy)
			return nil, nil
		}
		if doc, ok := e.o.Documents[string(path)]; ok && (string(x.Method) == "GET" || string(x.Method) == "HEAD") {
			x.Answer(200, "application/json", doc)
			return nil, nil
		}
		return nil, fault.NotFound
	}
	route := leaf.route(x.Method)
	if route == nil {
		if string(x.Method) == "OPTIONS" {
			x.Answer(204, "", nil)
			x.Response.Add([]byte("Allow"), []byte(leaf.allow))
			return nil, nil
		}
		return nil, fault.MethodNotAllowed.Allowing(leaf.allow)
	}
	if x.TLS == nil && !route.HTTP || x.TLS != nil && !route.HTTPS {
		return nil, fault.NotFound
	}
	x.Route = &route.Route
	return route, nil
}

var healthy = []byte(`{"status":"healthy"}`)

// descend runs the stages' request halves. It returns how many were passed.
func descend(route *Route, x *exchange.Exchange) (int, error) {
	for i := range route.Stages {
		if request := route.Stages[i].Request; request != nil {
			if err := request(x); err != nil {
				return i, err
			}
		}
	}
	return len(route.Stages), nil
}

// forward sends the request where the caller's key type leads.
func forward(route *Route, x *exchange.Exchange) error {
	to, err := destination(route, x.Principal)
	if err != nil {
		return err
	}
	return to.Forward(x, route.cut)
}

// destination is WSO2's table: keys for production go to production, those
// that say SANDBOX to the sandbox, others to the sandbox only if there is a
// production endpoint to tell it from.
func destination(route *Route, p *exchange.Principal) (Forwarder, error) {
	switch {
	case p == nil || p.KeyType == "" || p.KeyType == "PRODUCTION":
		if route.Production == nil {
			return nil, fault.NoProductionEndpoint
		}
		return route.Production, nil
	case route.Sandbox != nil && (p.KeyType == "SANDBOX" || route.Production != nil):
		return route.Sandbox, nil
	case route.Sandbox != nil:
		return nil, fault.NoProductionEndpoint
	}
	return nil, fault.NoSandboxEndpoint
}

// fail makes err the answer.
func (e *Engine) fail(x *exchange.Exchange, route *Route, err error) {
	var f *fault.Fault
	if !errors.As(err, &f) {
		e.o.Log.Error("stage returned an error that is no fault", "err", err)
		f = fault.Internal.Because(err)
	}
	if route != nil {
		e.refusals.tell(x, route, f)
	}
	x.Fail(f)
}

func (e *Engine) observe(t *Table, x *exchange.Exchange, route *Route) {
	if x.RequestBody != nil {
		if b, ok := x.RequestBody.(interface{ Received() int64 }); ok {
			x.Received = b.Received()
		}
	}
	index, counters := -1, t.Counters
	if route != nil {
		index = route.Index
		if route.Builtin {
			counters = e.o.Builtin.Counters
		}
	}
	end := x.Start.Add(time.Since(x.Start))
	if counters != nil {
		counters.Observe(x, index, end)
	}
	for _, o := range e.o.Observers {
		o.Observe(x, index, end)
	}
}

func label(r *Route) string {
	if r == nil {
		return ""
	}
	return r.ID
}
