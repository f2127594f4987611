// Package turns shares out work that is dear among the clients that cause it:
// checking the signature of a token never seen before, hashing a password.
//
// What surprises:
//
//   - Few do such work at once. The others wait in a line for each client address,
//     and the lines take turns, so a flood from one address is in its own way and in
//     nobody else's. Where all clients come from one address (a load balancer that is
//     no trusted proxy), there is one line.
//   - Whoever has a turn first lets those run who need none. If the turn before was
//     in vain, as those of a flood are, also those whose bytes have arrived meanwhile:
//     they wait for one piece of such work at most.
package turns

import (
	"container/list"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// Turns hands out a number of turns. It is safe for concurrent use.
type Turns struct {
	mu    sync.Mutex
	free  []*Turn              // guarded by mu, as all below
	lines map[netip.Addr]*line // by network, with somebody in them, or in order
	order list.List            // of *line: whose turn is next
}

// New returns as many turns as are given at once; at least one is.
func New(atOnce int) *Turns {
	t := &Turns{lines: map[netip.Addr]*line{}}
	for range max(1, atOnce) {
		t.free = append(t.free, &Turn{of: t, way: newWay()})
	}
	return t
}

// AtOnce returns how many turns leave a processor to those who need none.
func AtOnce() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// A line is those who wait from one address.
type line struct {
	network netip.Addr
	waiting list.List // of *waiter
	ordered bool      // in order
}

// A waiter is told its turn once.
type waiter struct {
	turn chan *Turn
	at   *list.Element
}

// A Turn is the right to do a piece of work.
type Turn struct {
	of   *Turns
	way  *way
	vain bool // so was the work before
}

// Take waits for a turn for work that a client causes, no longer than within, or
// for as long as it takes if that is 0. If it returns nil there was no turn; else
// End must follow the work.
func (t *Turns) Take(from netip.Addr, within time.Duration) *Turn {
	turn := t.wait(from, within)
	switch {
	case turn == nil:
	case turn.vain:
		turn.way.give()
	default:
		runtime.Gosched()
	}
	return turn
}

func (t *Turns) wait(from netip.Addr, within time.Duration) *Turn {
	t.mu.Lock()
	if n := len(t.free); n > 0 {
		turn := t.free[n-1]
		t.free = t.free[:n-1]
		t.mu.Unlock()
		return turn
	}
	l := t.line(exchange.Network(from))
	w := &waiter{turn: make(chan *Turn, 1)}
	w.at = l.waiting.PushBack(w)
	t.mu.Unlock()
	if within <= 0 {
		return <-w.turn
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case turn := <-w.turn:
		return turn
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case turn := <-w.turn: // in this very moment
		return turn
	default:
		l.waiting.Remove(w.at)
		return nil
	}
}

// line returns the line of a network, which is in order then. mu must be held.
func (t *Turns) line(network netip.Addr) *line {
	l := t.lines[network]
	if l == nil {
		l = &line{network: network}
		t.lines[network] = l
	}
	if !l.ordered {
		l.ordered = true
		t.order.PushBack(l)
	}
	return l
}

// End gives the turn to who is next. vain says that the work has shown that the
// client had no business causing it.
func (turn *Turn) End(vain bool) {
	t := turn.of
	turn.vain = vain
	t.mu.Lock()
	defer t.mu.Unlock()
	for front := t.order.Front(); front != nil; front = t.order.Front() {
		l := t.order.Remove(front).(*line)
		l.ordered = false
		first := l.waiting.Front()
		if first == nil { // they have given up
			delete(t.lines, l.network)
			continue
		}
		w := l.waiting.Remove(first).(*waiter)
		if l.waiting.Len() > 0 {
			l.ordered = true
			t.order.PushBack(l)
		} else {
			delete(t.lines, l.network)
		}
		w.turn <- turn
		return
	}
	t.free = append(t.free, turn)
}
