package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// line is what one shard counts for one route. It fills a cache line exactly;
// the padding keeps the neighbour's line out of reach of the adjacent-line
// prefetcher as well.
type line struct {
	class    [5]atomic.Uint64 // 1xx to 5xx
	nanos    atomic.Uint64
	received atomic.Uint64
	sent     atomic.Uint64
	_        [64]byte
}

// cell is one route's lines, one for each shard.
type cell []line

// Counters counts requests by route and class of status. Its values only grow,
// also when the route table is swapped: a route that is in both tables goes on
// counting where it was. It is safe for concurrent use.
type Counters struct {
	shards    *shards
	n         int
	unmatched cell

	mu    sync.Mutex
	cells map[string]cell // guarded by mu
}

// NewCounters returns counters without routes.
func NewCounters() *Counters {
	c := &Counters{cells: make(map[string]cell)}
	c.shards, c.n = newShards()
	c.unmatched = make(cell, c.n)
	return c
}

// Routes returns counters for the routes of one table: route i of the table is
// ids[i] here. Equal ids share a counter, within one call and between calls.
func (c *Counters) Routes(ids []string) *RouteCounters {
	r := &RouteCounters{of: c, cells: make([]cell, len(ids))}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range ids {
		cell, ok := c.cells[id]
		if !ok {
			cell = make([]line, c.n)
			c.cells[id] = cell
		}
		r.cells[i] = cell
	}
	return r
}

// RouteCounters counts for one route table. It is safe for concurrent use.
type RouteCounters struct {
	of    *Counters
	cells []cell
}

// Observe counts an exchange that ended at the given time. The route is an
// index as given to Routes, or negative for a request that matched none.
func (r *RouteCounters) Observe(x *exchange.Exchange, route int, end time.Time) {
	cell := r.of.unmatched
	if uint(route) < uint(len(r.cells)) {
		cell = r.cells[route]
	}
	t := r.of.shards.get()
	l := &cell[t.n]
	l.class[class(x.Status)].Add(1)
	if d := end.Sub(x.Start); d > 0 {
		l.nanos.Add(uint64(d))
	}
	// Most requests have no body; an atomic operation costs more than a branch.
	if x.Received > 0 {
		l.received.Add(uint64(x.Received))
	}
	if x.Sent > 0 {
		l.sent.Add(uint64(x.Sent))
	}
	r.of.shards.put(t)
}

// class is the index for a status. A request without any was given up by its
// client and counts as 4xx.
func class(status int) int {
	if c := status/100 - 1; 0 <= c && c < 5 {
		return c
	}
	return 3
}

// Count is what was counted for one route, or for all.
type Count struct {
	Status   [5]uint64     // requests answered 1xx, 2xx, 3xx, 4xx, 5xx
	Time     time.Duration // sum of the requests' durations
	Received uint64        // body bytes from clients
	Sent     uint64        // body bytes to clients
}

// Requests is the number of requests of every class.
func (c Count) Requests() (n uint64) {
	for _, s := range c.Status {
		n += s
	}
	return n
}

func (c *Count) add(cell cell) {
	for i := range cell {
		l := &cell[i]
		for j := range l.class {
			c.Status[j] += l.class[j].Load()
		}
		c.Time += time.Duration(l.nanos.Load())
		c.Received += l.received.Load()
		c.Sent += l.sent.Load()
	}
}

// Snapshot returns the counts of the table's routes, in the order given to
// Routes. Requests that end meanwhile may be counted in part.
func (r *RouteCounters) Snapshot() []Count {
	counts := make([]Count, len(r.cells))
	for i, cell := range r.cells {
		counts[i].add(cell)
	}
	return counts
}

// Totals returns the counts of all routes there ever were, and apart from them
// of the requests that matched none.
func (c *Counters) Totals() (matched, unmatched Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cell := range c.cells {
		matched.add(cell)
	}
	unmatched.add(c.unmatched)
	return matched, unmatched
}
