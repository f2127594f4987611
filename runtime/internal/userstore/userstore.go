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
	"net/netip"
	"slices"
	"strings"
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
}

// Users are those of a store. They are safe for concurrent use.
type Users struct {
	store  Store
	scopes []string
	checks *basic.Checks
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
	return &Users{
		store: s, scopes: slices.Clone(o.Scopes),
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
	// A bug in what speaks with a store must not pass for a verdict.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("user store: panic: %v", r)
		}
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
	return &exchange.Principal{Scheme: "basic", Subject: user, Username: user, KeyType: "PRODUCTION", Scopes: u.scopes}, nil
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
