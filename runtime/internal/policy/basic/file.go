package basic

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
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
	nobody *Hash // stands in for users who do not exist
	slow   chan struct{}
	wait   time.Duration

	key  [32]byte
	mu   sync.Mutex
	good map[[32]byte]time.Time // guarded by mu: keyed hash of a good pair, until when
}

type user struct {
	hash      *Hash
	principal exchange.Principal
}

// Bounds of checking slow hashes.
const (
	slowAtOnce = 2
	slowWait   = 2 * time.Second
	goodFor    = time.Minute
	maxGood    = 10000
)

var errBusy = errors.New("too many passwords are being checked")

// NewFile checks the list.
func NewFile(list []User) (*File, error) {
	f := &File{
		users: map[string]*user{}, slow: make(chan struct{}, slowAtOnce), wait: slowWait, good: map[[32]byte]time.Time{},
		nobody: &Hash{sum: sha256Of, want: make([]byte, sha256.Size)},
	}
	if _, err := rand.Read(f.key[:]); err != nil {
		return nil, err
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
		}}
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
func (f *File) Check(name, password []byte) (*exchange.Principal, error) {
	u := f.users[string(name)]
	hash := f.nobody
	if u != nil {
		hash = u.hash
	}
	good, err := f.matches(hash, name, password)
	if err != nil {
		return nil, err
	}
	if u == nil || !good {
		return nil, ErrRefused
	}
	return &u.principal, nil
}

func (f *File) matches(hash *Hash, name, password []byte) (bool, error) {
	if !hash.Slow() {
		if hash.Matches(password) || !f.nobody.Slow() {
			return hash.Matches(password), nil
		}
		// As long as for a user who does not exist.
		_, err := f.compute(f.nobody, password)
		return false, err
	}
	mac := hmac.New(sha256.New, f.key[:])
	fmt.Fprintf(mac, "%d:%s:", len(name), name)
	mac.Write(password)
	var pair [32]byte
	mac.Sum(pair[:0])
	now := time.Now()
	if f.known(pair, now) {
		return true, nil
	}
	good, err := f.compute(hash, password)
	// Only of users who exist: whoever guesses nobody's password right has
	// found nothing.
	if good && f.users[string(name)] != nil {
		f.remember(pair, now.Add(goodFor))
	}
	return good, err
}

// compute checks a slow hash, if there is room for that soon.
func (f *File) compute(hash *Hash, password []byte) (bool, error) {
	timer := time.NewTimer(f.wait)
	defer timer.Stop()
	select {
	case f.slow <- struct{}{}:
		defer func() { <-f.slow }()
		return hash.Matches(password), nil
	case <-timer.C:
		return false, errBusy
	}
}

// known reports whether a pair was good. Then it is kept for as long again: who
// keeps calling need not wait in line with those who guess, and passwords do not
// change while the gateway runs.
func (f *File) known(pair [32]byte, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	until, found := f.good[pair]
	if !found || !now.Before(until) {
		return false
	}
	f.good[pair] = now.Add(goodFor)
	return true
}

func (f *File) remember(pair [32]byte, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.good) >= maxGood {
		clear(f.good)
	}
	f.good[pair] = until
}
