// Package revocation knows which tokens have been revoked before they expired.
//
// What arrives (from a broker, from etcd) is put into a Set, which every request
// with a token asks. What surprises: a Set holds hashes, not ids, so nobody can
// read out of it what was revoked, and an id costs 16 bytes however long it is;
// readers take no lock; and a set that is full forgets what would end first.
package revocation

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// A Set is ids of revoked tokens, each until its token has expired by itself.
//
// It is one open hash table of buckets, each a line of the processor's cache, so
// that whoever looks for an id among many waits for memory once, and now and then
// for the line beside it. Before it there is a filter, a byte for an id, which the
// caches can hold: of 20 ids that are not revoked 19 are told by it alone.
//
// An entry is two words: 64 bits of one hash, which also say in which bucket it is
// or after which, and 32 bits of another beside the second at which it ends. The
// places of a bucket are taken one after the other and never given back, only to
// other entries, so an empty one ends the search. An id that the Set holds by
// mistake, because it hashes to the same 96 bits, would refuse a good token: with a
// million entries that happens once in 10^22 look-ups, and by seeds that are the
// process's own secret.
//
// Writers come one at a time. One that gives a place to another entry makes the
// second word say that there is none, stores the first word, then the second: a
// reader between these sees two words that are not of one entry, which is as if
// it had come before.
type Set struct {
	seeds  [2]maphash.Seed
	start  int64 // seconds since 1970, what entries count from
	limit  int
	length atomic.Int64 // entries but the dead
	table  atomic.Pointer[table]
	_      [64]byte // what follows is for writers

	lost atomic.Int64
	mu   sync.Mutex // held by writers
	used int        // guarded by mu, as below: places that are taken, by the dead too
	hand int        // bucket that is looked at next for what has ended
}

const (
	perBucket = 4
	firstSize = 16 // buckets

	// Growing doubles a table that is fuller than this, but makes none larger than
	// twice what the limit needs; a table of a Set at its limit is half full.
	fullest = 5.0 / 8
	roomy   = 2

	// looked is how many buckets are looked at for something to forget.
	looked = 64
)

// MaxLimit is the most entries that a Set can hold.
const MaxLimit = 64 << 20

type (
	table struct {
		buckets []bucket
		// Each entry has three bits in a word of the filter. They stay when it goes,
		// until the table is made anew.
		filter []atomic.Uint64
	}
	bucket [perBucket]entry
	// An entry is empty if first is 0, which no hash is, and dead if the lower half
	// of second is.
	entry struct{ first, second atomic.Uint64 }
)

const ends = math.MaxUint32 // the half of second that says when

// home is the bucket that the search for a hash begins at.
func (t *table) home(first uint64) uint64 {
	i, _ := bits.Mul64(first, uint64(len(t.buckets)))
	return i
}

// trace is where in the filter an entry has its bits, and which.
func (t *table) trace(first, second uint64) (*atomic.Uint64, uint64) {
	i, _ := bits.Mul64(first, uint64(len(t.filter)))
	return &t.filter[i], 1<<(second>>58) | 1<<(second>>52&63) | 1<<(second>>46&63)
}

// after is the bucket that is searched after i, as the tried'th: the other one of a
// pair, which the processor fetches with it, then the next pair.
func (t *table) after(i uint64, tried int) uint64 {
	if tried&1 == 0 {
		return i ^ 1
	}
	if i = (i | 1) + 1; i == uint64(len(t.buckets)) {
		return 0
	}
	return i
}

// find returns the entry of the two hashes and its second word; nil if there is
// none.
func (t *table) find(first, second uint64) (*entry, uint64) {
	if word, trace := t.trace(first, second); word.Load()&trace != trace {
		return nil, 0
	}
	i := t.home(first)
	for tried := 0; ; tried++ {
		b := &t.buckets[i]
		// Without branches, which the processor could not guess: to be wrong costs
		// it the wait for memory, and the other names of a token wait, too. That the
		// first word of two ids is the same happens once in 10^7 sets.
		d0, d1, d2, d3 := b[0].first.Load()^first, b[1].first.Load()^first, b[2].first.Load()^first, b[3].first.Load()^first
		if j := same(d1) | same(d2)<<1 | same(d3)*3; same(d0)|j != 0 {
			e := &b[j]
			if word := e.second.Load(); word&^ends == second {
				return e, word
			}
		}
		if d3 == first {
			return nil, 0 // the last place is empty
		}
		i = t.after(i, tried)
	}
}

// same is 1 if there is no bit in x, else 0.
func same(x uint64) uint64 { return (x|-x)>>63 ^ 1 }

// place returns where an entry can be put, and leaves its trace: an empty place or,
// before it, one that is taken by what is free to go.
func (t *table) place(first, second uint64, free func(second uint64) bool) *entry {
	word, trace := t.trace(first, second)
	word.Store(word.Load() | trace)
	i := t.home(first)
	for tried := 0; ; tried++ {
		b := &t.buckets[i]
		for j := range b {
			if b[j].first.Load() == 0 || free(b[j].second.Load()) {
				return &b[j]
			}
		}
		i = t.after(i, tried)
	}
}

// NewSet returns a set of at most limit ids.
func NewSet(limit int, now time.Time) *Set {
	s := &Set{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, start: now.Unix() - 1, limit: min(max(limit, 1), MaxLimit)}
	s.table.Store(newTable(firstSize))
	return s
}

func newTable(buckets int) *table {
	return &table{make([]bucket, buckets), make([]atomic.Uint64, buckets/4)}
}

// Len returns how many ids there are, with some that have ended.
func (s *Set) Len() int { return int(s.length.Load()) }

// Lost returns how many ids are not revoked any more, or never were, for want of
// room.
func (s *Set) Lost() int64 { return s.lost.Load() }

// hashes returns the two hashes of an id; the first is never 0.
func (s *Set) hashes(id []byte) (uint64, uint64) {
	return maphash.Bytes(s.seeds[0], id) | 1, maphash.Bytes(s.seeds[1], id) &^ ends
}

// Key returns what Revoked is asked with. Making it is most of a look-up, so
// whoever asks of one id again and again keeps it.
func (s *Set) Key(id []byte) [2]uint64 {
	if len(id) == 0 {
		return [2]uint64{}
	}
	first, second := s.hashes(id)
	return [2]uint64{first, second}
}

// Has reports whether the id is revoked. It takes no lock and allocates nothing.
func (s *Set) Has(id []byte, now time.Time) bool {
	if s.length.Load() == 0 || len(id) == 0 {
		return false
	}
	return s.Revoked(s.Key(id), now.UnixMilli())
}

// Revoked is Has for the id that the key was made of; now is in milliseconds
// since 1970.
func (s *Set) Revoked(key [2]uint64, now int64) bool {
	if s.length.Load() == 0 || key[0] == 0 {
		return false
	}
	_, word := s.table.Load().find(key[0], key[1])
	return s.alive(word, now/1000)
}

// alive reports whether an entry has an end, and that has not come.
func (s *Set) alive(second uint64, now int64) bool {
	return second&ends != 0 && now < s.start+int64(second&ends)
}

// Add revokes an id until a time; one that is there already keeps the later end.
// If there is no room, the id that ends first is forgotten, of those that are
// looked at, or else the new one is not taken. Add reports false then: a token is
// good that should not be, and somebody should be told.
func (s *Set) Add(id []byte, until, now time.Time) bool {
	if len(id) == 0 || !until.After(now) {
		return true // nobody would be let in by it
	}
	end := uint64(min(max(until.Unix()+1-s.start, 1), ends))
	first, second := s.hashes(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	e, word := t.find(first, second)
	if word&ends != 0 {
		if word&ends < end {
			e.second.Store(second | end)
		}
		return true
	}
	room := true
	if s.Len() >= s.limit {
		var taken bool
		if room, taken = s.forget(t, end, now.Unix()); !taken {
			return false
		}
	}
	if e == nil {
		if float64(s.used+1) > fullest*perBucket*float64(len(t.buckets)) {
			t = s.rebuild(t, now.Unix())
		}
		e = t.place(first, second, func(second uint64) bool { return !s.alive(second, now.Unix()) })
		switch old := e.second.Load(); {
		case e.first.Load() == 0:
			s.used++
		case old&ends != 0:
			s.length.Add(-1) // it has ended
		}
		e.second.Store(0)
		e.first.Store(first)
	}
	e.second.Store(second | end)
	s.length.Add(1)
	return room
}

// forget makes room for an id with such an end. It is told that there is room
// (that nothing was lost), and whether the id can be taken.
func (s *Set) forget(t *table, end uint64, now int64) (room, taken bool) {
	var soonest *entry
	for range min(looked, len(t.buckets)) {
		b := &t.buckets[s.next(t)]
		for j := range b {
			second := b[j].second.Load()
			switch {
			case b[j].first.Load() == 0 || second&ends == 0:
			case !s.alive(second, now):
				s.kill(&b[j])
				room = true
			case soonest == nil || second&ends < soonest.second.Load()&ends:
				soonest = &b[j]
			}
		}
	}
	switch {
	case room:
		return true, true
	case soonest != nil && soonest.second.Load()&ends < end:
		s.kill(soonest)
		taken = true
	}
	s.lost.Add(1)
	return false, taken
}

// next is the bucket that the hand points at, which moves on.
func (s *Set) next(t *table) int {
	if s.hand >= len(t.buckets) {
		s.hand = 0
	}
	s.hand++
	return s.hand - 1
}

// kill leaves an entry's place to another.
func (s *Set) kill(e *entry) {
	e.second.Store(e.second.Load() &^ ends)
	s.length.Add(-1)
}

// Sweep forgets what has ended.
func (s *Set) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(len(s.table.Load().buckets), now.Unix())
}

// SweepSome does a part of Sweep's work, for who must not take long; enough calls
// do all of it.
func (s *Set) SweepSome(now time.Time) {
	if !s.mu.TryLock() {
		return // whoever holds it may take longer
	}
	defer s.mu.Unlock()
	s.sweep(len(s.table.Load().buckets)/64+1, now.Unix())
}

func (s *Set) sweep(buckets int, now int64) {
	t := s.table.Load()
	for range buckets {
		b := &t.buckets[s.next(t)]
		for j := range b {
			if second := b[j].second.Load(); second&ends != 0 && !s.alive(second, now) {
				s.kill(&b[j])
			}
		}
	}
	if len(t.buckets) > firstSize && s.Len() < s.used/4 {
		s.rebuild(t, now)
	}
}

// rebuild replaces the table by one of the size that is needed, without what has
// ended. The caller holds s.mu.
func (s *Set) rebuild(t *table, now int64) *table {
	alive := 0
	for i := range t.buckets {
		for j := range t.buckets[i] {
			if s.alive(t.buckets[i][j].second.Load(), now) {
				alive++
			}
		}
	}
	size := firstSize
	for float64(alive) > fullest/2*perBucket*float64(size) {
		size *= 2
	}
	size = min(size, max(firstSize, roomy*s.limit/perBucket/2*2+2))
	made := newTable(size)
	for i := range t.buckets {
		for j := range t.buckets[i] {
			if second := t.buckets[i][j].second.Load(); s.alive(second, now) {
				first := t.buckets[i][j].first.Load()
				e := made.place(first, second, func(uint64) bool { return false })
				e.second.Store(second)
				e.first.Store(first)
			}
		}
	}
	s.length.Store(int64(alive))
	s.used = alive
	s.table.Store(made)
	return made
}
