// Package source is what the sources of revoked tokens have in common: how they
// stand, what of it is logged, and how long they wait before they try again.
package source

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Times between attempts. One that fails because nobody is there is short: what
// is published while the gateway is not back yet may be lost.
const (
	FirstRetry = 250 * time.Millisecond
	LastRetry  = 30 * time.Second
	LastAway   = 2 * time.Second
	repeatLog  = 10 * time.Minute // of what goes on failing in the same way
)

// Times that Await waits: for the next step, and for all of them.
const (
	AwaitStep = 3 * time.Second
	AwaitAll  = time.Minute
)

// State is for those who look after the gateway.
type State struct {
	Source    string // whom, and where
	Connected bool
	Since     time.Time // when it came to be so
	Error     string    // why not connected
	Messages  int64     // since the start
	Last      time.Time // of them; zero: none yet
	// Snapshot is when what was read from a file was known to be true; zero if none
	// was read, or the source has been since.
	Snapshot time.Time
}

// A Status is a State that changes. It is safe for concurrent use.
type Status struct {
	tried chan struct{}
	once  sync.Once

	mu      sync.Mutex
	state   State     // guarded by mu
	stepped time.Time // guarded by mu
}

// New returns the status of a source that nothing is known from yet.
func New(name string) *Status {
	return &Status{tried: make(chan struct{}), state: State{Source: name, Since: time.Now(), Error: "not connected yet"}}
}

// State is how things stand.
func (s *Status) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Tried is closed when the source has been asked, or could not be, for the first
// time.
func (s *Status) Tried() <-chan struct{} { return s.tried }

// Step says that the source is being read, though not to its end yet.
func (s *Status) Step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stepped = time.Now()
}

// Stepped is when Step was called last.
func (s *Status) Stepped() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stepped
}

// SetTried closes Tried.
func (s *Status) SetTried() { s.once.Do(func() { close(s.tried) }) }

// Update has f change the state.
func (s *Status) Update(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
}

// Up says that the source can be heard.
func (s *Status) Up() {
	s.Update(func(st *State) {
		if !st.Connected {
			st.Connected, st.Since = true, time.Now()
		}
		st.Error, st.Snapshot = "", time.Time{}
	})
}

// Down says that it cannot, and why. It reports whether it could before.
func (s *Status) Down(err error) (was bool) {
	s.Update(func(st *State) {
		if was = st.Connected; was {
			st.Connected, st.Since = false, time.Now()
		}
		st.Error = err.Error()
	})
	return was
}

// Heard counts a message.
func (s *Status) Heard() { s.Update(func(st *State) { st.Messages++; st.Last = time.Now() }) }

// Await waits until all have been asked or could not be: who has just been started
// should not let in whom the one before it kept out. It does not wait for long if
// nothing comes, nor much longer if it goes on and on.
func Await[S interface {
	Tried() <-chan struct{}
	Stepped() time.Time
}](ctx context.Context, all []S) {
	began := time.Now()
	for _, s := range all {
		for waiting := true; waiting; {
			last := began
			if t := s.Stepped(); t.After(last) {
				last = t
			}
			left := min(AwaitStep-time.Since(last), AwaitAll-time.Since(began))
			t := time.NewTimer(left)
			select {
			case <-s.Tried():
				waiting = false
			case <-t.C:
				waiting = s.Stepped().After(last) && time.Since(began) < AwaitAll
			case <-ctx.Done():
				waiting = false
			}
			t.Stop()
		}
	}
}

// Away reports whether err says that nobody is there, or none that answers.
func Away(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}

// A Complaint is what was logged last of failures: each is logged when it is new,
// and again when it has gone on for a while.
type Complaint struct {
	text string
	at   time.Time
}

// Due reports whether err is to be logged, which it is taken to be then.
func (c *Complaint) Due(err error) bool {
	if text := err.Error(); text != c.text || time.Since(c.at) > repeatLog {
		c.text, c.at = text, time.Now()
		return true
	}
	return false
}

// Settle says that all is well, and reports whether it was not.
func (c *Complaint) Settle() bool {
	was := c.text != ""
	c.text = ""
	return was
}

// A Backoff is how long to wait between attempts: longer and longer, unless one
// has lasted.
type Backoff struct {
	wait  time.Duration
	began time.Time
}

// Begin says that an attempt begins.
func (b *Backoff) Begin() { b.began = time.Now() }

// Pause waits after an attempt, at most about last; false if ctx is done.
func (b *Backoff) Pause(ctx context.Context, last time.Duration) bool {
	if b.wait = min(2*b.wait, last); b.wait == 0 || time.Since(b.began) > LastRetry {
		b.wait = FirstRetry
	}
	return Sleep(ctx, b.wait)
}

// Sleep waits half of d and up to as much again, so that many gateways do not come
// back at the same moment. It reports false if ctx is done.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
