// Package userstore asks somebody else whether a password is a user's: an LDAP
// directory (package ldap), or a web service (package web).
//
// What surprises:
//
//   - A pair that was good is remembered for a short time; a pair that was refused
//     is not. Equal pairs that are asked at the same time are one question. There
//     are at most AtOnce different ones, for which client addresses take turns; who
//     would wait longer than the time-out is told that the store is not available
//     (basic.Checks).
//   - An empty password is never asked about. A directory takes a bind with one
//     for a successful bind of nobody (RFC 4513, section 5.1.2).
//   - Neither are names that only look like another's: a store may take them for
//     that one, and the gateway would not.
package userstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

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

// ErrUnknown is a refusal by a store that is sure to have nobody of that name,
// with whatever password. A store that cannot tell says basic.ErrRefused.
var ErrUnknown = fmt.Errorf("nobody has that name: %w", basic.ErrRefused)

// Options for New. Zero values stand for the defaults.
type Options struct {
	Timeout time.Duration // of one question, waiting included; 3 s
	Good    time.Duration // how long a good pair is remembered; negative: not at all; 1 min
	AtOnce  int           // questions; 32
	Scopes  []string      // that all users have
	// Name is the store's in the log, and Logger is told when it begins to fail and when
	// it is over; nil: nobody is.
	Name   string
	Logger *slog.Logger
}

// Users are those of a store. They are safe for concurrent use.
type Users struct {
	store  Store
	o      Options
	checks *basic.Checks
	outage outage
}

// New returns the store's users.
func New(s Store, o Options) *Users {
	if o.Timeout <= 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Good == 0 {
		o.Good = time.Minute
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 32
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Scopes = slices.Clone(o.Scopes)
	return &Users{
		store: s, o: o,
		checks: basic.NewChecks(basic.ChecksOptions{AtOnce: o.AtOnce, Within: o.Timeout, Good: o.Good}),
	}
}

// Check implements basic.Users. The error may be ErrUnknown.
func (u *Users) Check(from netip.Addr, name, password []byte) (*exchange.Principal, error) {
	if len(password) == 0 || !Usable(string(name)) {
		return nil, basic.ErrRefused
	}
	return u.checks.Do(from, name, password, func(ctx context.Context) (*exchange.Principal, error) {
		return u.ask(ctx, string(name), string(password))
	})
}

// Usable refuses names that a store may take for others: what is not in the normal
// form NFKC, has characters that are not seen, blanks at the ends or several in a
// row (RFC 4518, section 2, has directories pass over all that; web services do
// as they like).
func Usable(name string) bool {
	return name != "" && len(name) <= 256 && strings.TrimSpace(name) == name && !strings.Contains(name, "  ") &&
		norm.NFKC.IsNormalString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		// The last ones are printable and mapped to nothing.
		return !unicode.IsPrint(r) || r == utf8.RuneError || r == 0x34f || 0x180b <= r && r <= 0x180d || 0xfe00 <= r && r <= 0xfe0f || r == 0xfffc
	})
}

// Close ends what the store keeps open, if it keeps something.
func (u *Users) Close() {
	if c, ok := u.store.(interface{ Close() }); ok {
		c.Close()
	}
}

func (u *Users) ask(ctx context.Context, name, password string) (_ *exchange.Principal, err error) {
	deadline, _ := ctx.Deadline()
	late := time.Until(deadline) < u.o.Timeout/2
	// A bug in what speaks with a store must not pass for a verdict.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("user store: panic: %v", r)
		}
		u.learn(err, late)
	}()
	user, err := u.store.Check(ctx, name, password)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, ErrUnknown
	case errors.Is(err, basic.ErrRefused):
		return nil, basic.ErrRefused
	case err != nil:
		return nil, err
	case user == "":
		return nil, errors.New("user store: a user without a name")
	}
	return &exchange.Principal{Scheme: "basic", Subject: user, Username: user, KeyType: "PRODUCTION", Scopes: u.o.Scopes}, nil
}

// An outage is a store's questions without an answer since the last one that had one.
type outage struct {
	mu       sync.Mutex
	last     error // nil: the last question had an answer
	reported bool  // in the log
	told     time.Time
}

// Whoever can make a store fail with some names must not be able to fill the log.
const toldAgain = time.Minute

// learn notes how a question ended. late says that there was little time left for it
// when it was asked, so that no answer means nothing.
func (u *Users) learn(err error, late bool) {
	refused := errors.Is(err, basic.ErrRefused)
	if err != nil && !refused && late {
		return
	}
	n := &u.outage
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil || refused {
		if n.reported {
			u.o.Logger.Info("passwords can be checked again", "store", u.o.Name)
		}
		n.last, n.reported = nil, false
		return
	}
	n.last = err
	now := time.Now()
	if n.reported || !n.told.IsZero() && now.Sub(n.told) < toldAgain && !now.Before(n.told) {
		return
	}
	n.reported, n.told = true, now
	u.o.Logger.Warn("passwords cannot be checked; those not known yet are answered 503", "store", u.o.Name, "error", brief(err))
}

// brief bounds what a server can put into the log.
func brief(err error) string {
	const most = 500
	text := err.Error()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Failing says why the last question had no answer, with the store's name; "" if it
// had one, or none was asked.
func (u *Users) Failing() string {
	u.outage.mu.Lock()
	defer u.outage.mu.Unlock()
	if u.outage.last == nil {
		return ""
	}
	return u.o.Name + ": " + brief(u.outage.last)
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
