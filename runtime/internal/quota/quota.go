// Package quota limits how many lines of the log clients can cause. Whoever fails
// on purpose must not be able to fill a disk, nor to drown what others fail with,
// so each client address has so many lines in a minute.
//
// What surprises: of IPv6 the first half of the address counts, since the other one
// a client chooses as it likes; and clients beyond a thousand in the same minute
// have their lines in common.
package quota

import (
	"net/netip"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// Lines is how many there are in a minute.
const Lines = 10

// Note goes with the last one.
const Note = "no more of this client in this minute"

const maxClients = 1000

// A Quota counts. Its zero value is ready; it is safe for concurrent use.
type Quota struct {
	mu     sync.Mutex
	minute int64
	told   map[netip.Addr]int // guarded by mu: in this minute; those beyond maxClients under the zero Addr
}

// Take reports whether the client may cause another line now, and whether that is
// the last one in this minute.
func (q *Quota) Take(client netip.Addr, now time.Time) (ok, last bool) {
	client = exchange.Network(client)
	q.mu.Lock()
	defer q.mu.Unlock()
	if minute := now.Unix() / 60; minute != q.minute || q.told == nil {
		q.minute, q.told = minute, map[netip.Addr]int{}
	}
	if _, known := q.told[client]; !known && len(q.told) >= maxClients {
		client = netip.Addr{}
	}
	q.told[client]++
	n := q.told[client]
	return n <= Lines, n == Lines
}
