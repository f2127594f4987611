// Package userstore asks somebody else whether a password is a user's: an LDAP
// directory (package ldap), or a web service (package web).
//
// What surprises:
//
//   - A pair that was good is remembered for a short time, as a keyed hash whose
//     key never leaves this process. A pair that was refused is not: whoever has
//     just set a password may use it at once, and a guess costs its guesser a
//     question each time.
//   - Equal pairs that are asked at the same time are one question. There are at
//     most AtOnce different ones; who would wait longer than the time-out is told
//     that the store is not available.
//   - An empty password is never asked about. A directory takes a bind with one
//     for a successful bind of nobody (RFC 4513, section 5.1.2).
package userstore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
)

// A Store knows the users.
type Store interface {
	// Check returns the name of the user who has that name and password: stores
	// that take several spellings for one user return one of them.
	// errors.Is(err, basic.ErrRefused): they are nobody's. Any other error: that
	// cannot be found out now. It ends soon after ctx.
	Check(ctx context.Context, name, password string) (user string, err error)
}

// Options for New. Zero values stand for the defaults.
type Options struct {
	Timeout time.Duration // of one question, waiting included; 3 s
	Good    time.Duration // how long a good pair is remembered; negative: not at all; 1 min
	AtOnce  int           // questions; 32
	Scopes  []string      // that all users have
}

// maxGood bounds what is remembered.
const maxGood = 10_000

// errBusy says that the time was over before the store could be asked.
var errBusy = errors.New("too many passwords are being checked")

// Users are those of a store. They are safe for concurrent use.
type Users struct {
	store Store
	o     Options
	slots chan struct{}

	key   [32]byte
	mu    sync.Mutex
	good  map[pair]remembered // guarded by mu
	under map[pair]*question  // guarded by mu: those that are being asked
}

// A pair is a keyed hash of a name and a password.
type pair [sha256.Size]byte

type remembered struct {
	principal *exchange.Principal
	until     time.Time
}

// A question is asked once for all who want to know.
type question struct {
	done      chan struct{} // closed when the answer is there
	principal *exchange.Principal
	err       error
}

// New returns the store's users.
func New(s Store, o Options) (*Users, error) {
	if o.Timeout <= 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Good == 0 {
		o.Good = time.Minute
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 32
	}
	o.Scopes = slices.Clone(o.Scopes)
	u := &Users{store: s, o: o, slots: make(chan struct{}, o.AtOnce), good: map[pair]remembered{}, under: map[pair]*question{}}
	if _, err := rand.Read(u.key[:]); err != nil {
		return nil, err
	}
	return u, nil
}

// Check implements basic.Users.
func (u *Users) Check(name, password []byte) (*exchange.Principal, error) {
	if len(name) == 0 || len(password) == 0 {
		return nil, basic.ErrRefused
	}
	p := u.pair(name, password)
	now := time.Now()
	u.mu.Lock()
	if g, ok := u.good[p]; ok && now.Before(g.until) {
		u.mu.Unlock()
		return g.principal, nil
	}
	q, asked := u.under[p]
	if !asked {
		q = &question{done: make(chan struct{})}
		u.under[p] = q
	}
	u.mu.Unlock()
	if asked {
		// Whoever asks is bound by the time-out, so this ends.
		<-q.done
		return q.principal, q.err
	}
	q.principal, q.err = u.ask(string(name), string(password))
	u.mu.Lock()
	delete(u.under, p)
	if q.err == nil && u.o.Good > 0 {
		u.remember(p, remembered{q.principal, time.Now().Add(u.o.Good)})
	}
	u.mu.Unlock()
	close(q.done)
	return q.principal, q.err
}

// Close ends what the store keeps open, if it keeps something.
func (u *Users) Close() {
	if c, ok := u.store.(interface{ Close() }); ok {
		c.Close()
	}
}

func (u *Users) pair(name, password []byte) (p pair) {
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s:", len(name), name)
	mac.Write(password)
	mac.Sum(p[:0])
	return p
}

func (u *Users) ask(name, password string) (_ *exchange.Principal, err error) {
	// Those who wait for this answer must get one, also if it is a bug.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("user store: panic: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), u.o.Timeout)
	defer cancel()
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return nil, errBusy
	}
	user, err := u.store.Check(ctx, name, password)
	switch {
	case errors.Is(err, basic.ErrRefused):
		return nil, basic.ErrRefused
	case err != nil:
		return nil, err
	case user == "":
		return nil, errors.New("user store: a user without a name")
	}
	return &exchange.Principal{Scheme: "basic", Subject: user, Username: user, KeyType: "PRODUCTION", Scopes: u.o.Scopes}, nil
}

// remember keeps a good pair. mu must be held.
func (u *Users) remember(p pair, r remembered) {
	if len(u.good) >= maxGood {
		now := time.Now()
		maps.DeleteFunc(u.good, func(_ pair, r remembered) bool { return !now.Before(r.until) })
		if len(u.good) >= maxGood {
			clear(u.good)
		}
	}
	u.good[p] = r
}

// InTurn asks servers one after the other until one of them answers, each with a
// fair part of the time that is left: one that is silent must not use up that of
// the next. A refusal is an answer.
func InTurn(ctx context.Context, servers int, ask func(ctx context.Context, server int) (string, error)) (string, error) {
	var errs []error
	for i := range servers {
		part, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && i < servers-1 {
			part, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(servers-i))
		}
		user, err := ask(part, i)
		cancel()
		if err == nil || errors.Is(err, basic.ErrRefused) {
			return user, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return "", errors.Join(errs...)
}
