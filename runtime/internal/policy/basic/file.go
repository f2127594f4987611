package basic

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/turns"
)

// A User is one whom the conf file lists.
type User struct {
	Name   string
	Hash   *Hash
	Scopes []string
}

// A File is the users of the conf file. It is safe for concurrent use.
type File struct {
	users  map[string]*user
	nobody *Hash   // stands in for users who do not exist
	slow   *Checks // of slow hashes
}

type user struct {
	hash      *Hash
	principal exchange.Principal
	refused   error // with the name, made once: it takes as long as for nobody
}

// Bounds of checking slow hashes. Each may take all the memory that it asks for,
// so more processors are not used for more of them. A pair is good for as long as
// it is used: who keeps calling need not wait in line with those who guess, and
// passwords do not change while the gateway runs.
const (
	slowAtOnce = 2
	slowWithin = 5 * time.Second
	goodFor    = time.Minute
)

// NewFile checks the list.
func NewFile(list []User) (*File, error) {
	f := &File{
		users:  map[string]*user{},
		nobody: &Hash{sum: sha256Of, want: make([]byte, sha256.Size)},
		slow:   NewChecks(ChecksOptions{AtOnce: min(slowAtOnce, turns.AtOnce()), Within: slowWithin, Good: goodFor, Renewed: true}),
	}
	for _, u := range list {
		switch {
		case u.Name == "" || slices.Contains([]byte(u.Name), ':'):
			return nil, fmt.Errorf("user %q: a name is not empty and has no colon (RFC 7617, section 2)", u.Name)
		case f.users[u.Name] != nil:
			return nil, fmt.Errorf("user %q is there twice", u.Name)
		case u.Hash == nil:
			return nil, fmt.Errorf("user %q has no password", u.Name)
		}
		// A slow one for nobody as soon as somebody has one.
		if !f.nobody.Slow() && (u.Hash.Slow() || len(f.users) == 0) {
			f.nobody = u.Hash
		}
		f.users[u.Name] = &user{u.Hash, exchange.Principal{
			Scheme: "basic", Subject: u.Name, Username: u.Name, KeyType: "PRODUCTION", Scopes: slices.Clone(u.Scopes),
		}, fmt.Errorf("user %.100q: %w", u.Name, ErrRefused)}
	}
	return f, nil
}

// Has reports whether there is a user of that name, in whatever letter case.
func (f *File) Has(name []byte) bool {
	if f.users[string(name)] != nil {
		return true
	}
	for n := range f.users {
		if strings.EqualFold(n, string(name)) {
			return true
		}
	}
	return false
}

// Check implements Users.
func (f *File) Check(from netip.Addr, name, password []byte) (*exchange.Principal, error) {
	u := f.users[string(name)]
	p, err := f.check(u, from, name, password)
	if err == ErrRefused && u != nil {
		err = u.refused
	}
	return p, err
}

func (f *File) check(u *user, from netip.Addr, name, password []byte) (*exchange.Principal, error) {
	hash := f.nobody
	if u != nil {
		hash = u.hash
	}
	if !hash.Slow() {
		good := hash.Matches(password)
		switch {
		case good && u != nil:
			return &u.principal, nil
		case !f.nobody.Slow():
			return nil, ErrRefused
		}
		// As long as for a user who does not exist.
		u, hash = nil, f.nobody
	}
	return f.slow.Do(from, name, password, func(context.Context) (*exchange.Principal, error) {
		// Whoever guesses nobody's password right has found nothing.
		if good := hash.Matches(password); !good || u == nil {
			return nil, ErrRefused
		}
		return &u.principal, nil
	})
}
