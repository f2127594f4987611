package basic

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/flight"
	"github.com/microgw/microgw/runtime/internal/turns"
)

// Checks are checks of names and passwords that cost something: a slow hash, a
// question to somebody else.
//
// A pair that was good is remembered for a while, as a keyed hash whose key never
// leaves this process; what was refused is not, so that whoever has just set a
// password may use it at once. Equal pairs that are checked at the same time are
// one check. Of the others few are made at once, and client addresses take turns:
// a flood of guesses from one address makes that one wait.
//
// Checks are safe for concurrent use.
type Checks struct {
	o       ChecksOptions
	turns   *turns.Turns
	flights flight.Group[pair, *exchange.Principal]

	key  [sha256.Size]byte
	mu   sync.Mutex
	good map[pair]remembered // guarded by mu
}

// ChecksOptions are for NewChecks.
type ChecksOptions struct {
	AtOnce int
	// Within is how long one may take, waiting for its turn included. Who would
	// have to wait longer than that is told an error.
	Within time.Duration
	// Good is how long a good pair is remembered; not above 0: not at all.
	Good time.Duration
	// Renewed says that a pair that is used is remembered for as long again.
	Renewed bool
}

// maxGood bounds what is remembered.
const maxGood = 10_000

// A pair is a keyed hash of a name and a password.
type pair [sha256.Size]byte

type remembered struct {
	principal *exchange.Principal
	until     time.Time
}

var errBusy = errors.New("too many passwords are being checked")

// NewChecks returns checks with nothing remembered.
func NewChecks(o ChecksOptions) *Checks {
	c := &Checks{o: o, turns: turns.New(o.AtOnce), good: map[pair]remembered{}}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// Do returns what check does, unless it is known already, for a client at that
// address. check ends soon after its context does, whose deadline includes the
// time that was waited.
func (c *Checks) Do(from netip.Addr, name, password []byte, check func(context.Context) (*exchange.Principal, error)) (*exchange.Principal, error) {
	p := c.pair(name, password)
	if who := c.known(p); who != nil {
		return who, nil
	}
	return c.flights.Do(p, func() (who *exchange.Principal, err error) {
		// It may have landed since.
		if who := c.known(p); who != nil {
			return who, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.o.Within)
		defer cancel()
		turn := c.turns.Take(from, c.o.Within)
		if turn == nil {
			return nil, errBusy
		}
		defer func() { turn.End(errors.Is(err, ErrRefused)) }()
		return check(ctx)
	}, func(who *exchange.Principal) { c.remember(p, who) })
}

func (c *Checks) pair(name, password []byte) (p pair) {
	mac := hmac.New(sha256.New, c.key[:])
	fmt.Fprintf(mac, "%d:%s:", len(name), name)
	mac.Write(password)
	mac.Sum(p[:0])
	return p
}

// known returns whose pair that is, if it was good a short time ago.
func (c *Checks) known(p pair) *exchange.Principal {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	r, found := c.good[p]
	if !found || !now.Before(r.until) {
		return nil
	}
	if c.o.Renewed {
		r.until = now.Add(c.o.Good)
		c.good[p] = r
	}
	return r.principal
}

func (c *Checks) remember(p pair, who *exchange.Principal) {
	if c.o.Good <= 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.good) >= maxGood {
		c.forgetOne(now)
	}
	c.good[p] = remembered{who, now.Add(c.o.Good)}
}

// forgetOne makes room: what is over, of a few in no order, else the one of them
// that would be over first. mu must be held.
func (c *Checks) forgetOne(now time.Time) {
	var first pair
	var until time.Time
	looked := 0
	for p, r := range c.good {
		if !now.Before(r.until) {
			delete(c.good, p)
			return
		}
		if looked == 0 || r.until.Before(until) {
			first, until = p, r.until
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(c.good, first)
}
