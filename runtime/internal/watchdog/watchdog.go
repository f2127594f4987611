// Package watchdog watches the deadlines of all connections from one
// goroutine, and keeps the coarse clock that they are measured by.
//
// A timer or a deadline for each read costs more than the read's own
// bookkeeping. Here a connection states its deadline by storing a number; once
// every Tick the watchdog looks at all of them and wakes those that are late,
// by a deadline in the past on the connection. So a time-out fires up to two
// Ticks late (one is added so that it is never early). A connection that was woken is not usable any more.
package watchdog

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Tick is how often deadlines are looked at.
const Tick = 100 * time.Millisecond

// A Dog watches. Make one with New, end it with Close.
type Dog struct {
	now  atomic.Int64              // nanoseconds since start
	ref  atomic.Pointer[time.Time] // a recent time, see Time
	date atomic.Pointer[[]byte]    // value of a Date field
	base time.Time

	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	guards map[*Guard]struct{} // guarded by mu
	chores []func(now int64)   // guarded by mu
	cut    bool                // guarded by mu
}

// New starts a watchdog.
func New() *Dog {
	d := &Dog{
		base:   time.Now(),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		guards: make(map[*Guard]struct{}),
	}
	d.now.Store(1)
	d.setDate(d.base)
	go d.run()
	return d
}

// Close ends the watchdog and waits for it.
func (d *Dog) Close() {
	close(d.stop)
	<-d.done
}

// Now returns the coarse time, in nanoseconds since the dog was made. It is
// never 0.
func (d *Dog) Now() int64 { return d.now.Load() }

// Time returns the time of day. It reads the monotonic clock only, which costs
// half: the time of day is that of a moment ago, put forward. A clock that is
// set shows within a second.
func (d *Dog) Time() time.Time {
	r := d.ref.Load()
	return r.Add(time.Since(*r))
}

// Date returns the value of a Date field (RFC 9110, section 5.6.7), at most a
// second old.
func (d *Dog) Date() []byte { return *d.date.Load() }

func (d *Dog) setDate(t time.Time) {
	d.ref.Store(&t)
	b := t.UTC().AppendFormat(nil, "Mon, 02 Jan 2006 15:04:05 GMT")
	d.date.Store(&b)
}

// Every has f called at each tick, from the dog's goroutine. It must not
// block.
func (d *Dog) Every(f func(now int64)) {
	d.mu.Lock()
	d.chores = append(d.chores, f)
	d.mu.Unlock()
}

func (d *Dog) run() {
	defer close(d.done)
	t := time.NewTicker(Tick)
	defer t.Stop()
	second := d.base.Unix()
	for {
		select {
		case <-d.stop:
			return
		case at := <-t.C:
			now := int64(at.Sub(d.base)) + 1
			d.now.Store(now)
			if at.Unix() != second {
				second = at.Unix()
				d.setDate(at)
			}
			d.look(now)
		}
	}
}

// look wakes what is late.
func (d *Dog) look(now int64) {
	d.mu.Lock()
	for g := range d.guards {
		g.look(now)
	}
	chores := d.chores // only ever appended to
	d.mu.Unlock()
	// Without the lock: a chore that closes a connection releases its guard.
	for _, f := range chores {
		f(now)
	}
}

// A Guard is one connection's place with the watchdog.
type Guard struct {
	dog         *Dog
	conn        net.Conn
	read, write atomic.Int64 // deadlines on the dog's clock; 0 for none
	late        atomic.Bool
}

// Watch begins to watch conn.
func (d *Dog) Watch(g *Guard, conn net.Conn) {
	g.dog, g.conn = d, conn
	d.mu.Lock()
	d.guards[g] = struct{}{}
	if d.cut {
		g.wake()
	}
	d.mu.Unlock()
}

// Cut wakes all connections, and each that is yet to be watched at once: from
// now on nobody waits for a peer. It is for the end of the process, when those
// who had to be waited for have had their time.
func (d *Dog) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	for g := range d.guards {
		g.wake()
	}
}

// Release ends the watch.
func (g *Guard) Release() {
	g.dog.mu.Lock()
	delete(g.dog.guards, g)
	g.dog.mu.Unlock()
}

// past is a deadline that is over, whatever the clock says.
var past = time.Unix(1, 0)

func (g *Guard) look(now int64) {
	// Late is set before the deadline is taken: who lifts it and is not told
	// that it was too late can trust the connection.
	if t := g.read.Load(); t != 0 && t <= now {
		g.late.Store(true)
		if g.read.CompareAndSwap(t, 0) {
			_ = g.conn.SetReadDeadline(past)
		}
	}
	if t := g.write.Load(); t != 0 && t <= now {
		g.late.Store(true)
		if g.write.CompareAndSwap(t, 0) {
			_ = g.conn.SetWriteDeadline(past)
		}
	}
}

// wake makes reads and writes return.
func (g *Guard) wake() {
	g.late.Store(true)
	_ = g.conn.SetDeadline(past)
}

// ReadWithin gives reads until d from now; 0 or less lifts the deadline.
func (g *Guard) ReadWithin(d time.Duration) { g.read.Store(g.at(d)) }

// WriteWithin gives writes until d from now; 0 or less lifts the deadline.
func (g *Guard) WriteWithin(d time.Duration) { g.write.Store(g.at(d)) }

func (g *Guard) at(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	// The coarse clock is up to a tick behind: add one, so as not to be early.
	return g.dog.Now() + int64(d) + int64(Tick)
}

// Late reports whether the watchdog has woken the connection: what failed with
// a time-out failed for lateness.
func (g *Guard) Late() bool { return g.late.Load() }

// Interrupt wakes a read that is blocked, now or later.
func (g *Guard) Interrupt() { _ = g.conn.SetReadDeadline(past) }
