package introspect

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
)

// A gate bounds the questions under way, those of all clients and those of each
// network that clients are in. Whoever sends made-up tokens waits in line with
// himself, and others find room.
//
// A network whose tokens are refused one after the other has a smaller share
// until one is good. Clients behind one address (a proxy that is not one of
// listenerConfig.trustedProxies) are not told apart; with good tokens among them
// they keep the larger one.
type gate struct {
	slots          chan struct{}
	share, suspect int
	seed           maphash.Seed
	// Networks have a line by their hash, so that they cannot fill the memory.
	// Two that have the same one share it.
	lines [lineCount]line
}

const (
	lineCount = 1024
	// suspectAfter refusals in a row make a network suspect.
	suspectAfter = 32
	// maxWaiting bounds who waits in one line.
	maxWaiting = 256
)

type line struct {
	mu      sync.Mutex
	under   int             // questions; guarded by mu, as all below
	refused int             // tokens in a row
	waiting []chan struct{} // the first has waited longest
}

func newGate(concurrent int) *gate {
	return &gate{slots: make(chan struct{}, concurrent), share: max(1, concurrent/2), suspect: max(1, concurrent/32), seed: maphash.MakeSeed()}
}

func (g *gate) line(client netip.Addr) *line {
	return &g.lines[maphash.Comparable(g.seed, exchange.Network(client))%lineCount]
}

// limit needs l.mu.
func (g *gate) limit(l *line) int {
	if l.refused >= suspectAfter {
		return g.suspect
	}
	return g.share
}

// enter waits for room for so long, and returns how the room is left; nil if there
// is none.
func (g *gate) enter(l *line, within time.Duration) (leave func()) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if !g.queue(ctx, l) {
		return nil
	}
	select {
	case g.slots <- struct{}{}:
		return func() {
			<-g.slots
			g.next(l)
		}
	case <-ctx.Done():
		g.next(l)
		return nil
	}
}

func (g *gate) queue(ctx context.Context, l *line) bool {
	l.mu.Lock()
	if l.under < g.limit(l) {
		l.under++
		l.mu.Unlock()
		return true
	}
	if len(l.waiting) >= maxWaiting {
		l.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.waiting, turn)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	l.mu.Unlock()
	if i < 0 { // it has come just now
		g.next(l)
	}
	return false
}

// next ends one of l's questions, and lets those in who may be.
func (g *gate) next(l *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under--
	for len(l.waiting) > 0 && l.under < g.limit(l) {
		l.under++
		close(l.waiting[0])
		l.waiting = slices.Delete(l.waiting, 0, 1)
	}
}

// judged notes how a question of l ended.
func (l *line) judged(good bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if good {
		l.refused = 0
	} else if l.refused < suspectAfter {
		l.refused++
	}
}
