// Package revocation knows which tokens have been revoked before they expired.
//
// What arrives (from a broker, from etcd) is put into a Set, which every request
// with a token asks. What surprises: a Set holds hashes, not ids, so nobody can
// read out of it what was revoked, and an id costs 16 bytes however long it is;
// and readers take no lock.
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
// It is shards of open hash tables in groups of eight. An entry is two words: 64
// bits of one hash, and 32 bits of another beside the second at which it ends. For
// each group there is a word of eight tags, a byte of the hash each, which are all
// that is looked at for most ids that are not revoked: they fit in the cache, the
// entries of a million ids do not. A reader loads tag and entry one after the
// other; a writer, one at a time in a shard, stores them the other way round, so
// whoever sees the tag sees the entry, too. What has ended stays where
// it is, for others may have been put behind it, and is left out when the table is
// made anew. An id that the Set holds by mistake, because it hashes to the same 96
// bits, would refuse a good token: with a million entries that happens once in
// 10^23 look-ups, and by seeds that are the process's own secret.
type Set struct {
	seeds  [2]maphash.Seed
	start  int64 // seconds since 1970, what entries count from
	limit  int
	length atomic.Int64
	hand   atomic.Uint32 // of SweepSome
	shards [shardCount]shard
}

const (
	shardCount = 64
	firstSize  = 16 // entries of a shard, a power of two
)

// MaxLimit is the most entries that a Set can hold.
const MaxLimit = 64 << 20

type shard struct {
	table atomic.Pointer[table]
	mu    sync.Mutex // held by writers
	used  int        // guarded by mu: entries in the table, ended or not
	_     [40]byte
}

type table struct {
	mask    uint64 // of groups
	tags    []atomic.Uint64
	entries []entry
}

// An entry is empty if first is 0, which no hash is.
type entry struct{ first, second atomic.Uint64 }

const (
	group = 8
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// tag is a byte of a hash that neither the shard nor the group depends on; 0 is
// that of an empty entry.
func tag(first uint64) uint64 { return max(first>>50&0xff, 1) }

// zeros marks, by their highest bits, the bytes of w that are 0; perhaps some
// above such a byte, too, never one below, and none if there is no 0.
func zeros(w uint64) uint64 { return (w - ones) & ^w & highs }

// find returns the entry of the two hashes, nil if there is none.
func (t *table) find(first, second uint64) *entry {
	all := tag(first) * ones
	for g := first >> 1 & t.mask; ; g = (g + 1) & t.mask {
		tags := t.tags[g].Load()
		for m := zeros(tags ^ all); m != 0; m &= m - 1 {
			e := &t.entries[int(g)*group+bits.TrailingZeros64(m)/8]
			if e.first.Load() == first && e.second.Load()>>32<<32 == second {
				return e
			}
		}
		if zeros(tags) != 0 {
			return nil
		}
	}
}

// put puts an entry in, which must not be there; there must be room.
func (t *table) put(first, word uint64) {
	for g := first >> 1 & t.mask; ; g = (g + 1) & t.mask {
		tags := t.tags[g].Load()
		m := zeros(tags)
		if m == 0 {
			continue
		}
		i := bits.TrailingZeros64(m) / 8
		e := &t.entries[int(g)*group+i]
		e.second.Store(word)
		e.first.Store(first)
		t.tags[g].Store(tags | tag(first)<<(8*i))
		return
	}
}

// NewSet returns a set of at most limit ids.
func NewSet(limit int, now time.Time) *Set {
	s := &Set{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, start: now.Unix() - 1, limit: min(max(limit, 1), MaxLimit)}
	for i := range s.shards {
		s.shards[i].table.Store(newTable(firstSize))
	}
	return s
}

func newTable(size int) *table {
	return &table{uint64(size/group - 1), make([]atomic.Uint64, size/group), make([]entry, size)}
}

// Len returns how many ids there are, with some that have ended.
func (s *Set) Len() int { return int(s.length.Load()) }

// hashes returns the two hashes of an id; the first is never 0.
func (s *Set) hashes(id []byte) (uint64, uint64) {
	return maphash.Bytes(s.seeds[0], id) | 1, maphash.Bytes(s.seeds[1], id) & math.MaxUint32 << 32
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
	e := s.shards[key[0]>>(64-6)].table.Load().find(key[0], key[1])
	return e != nil && now/1000 < s.start+int64(e.second.Load()&math.MaxUint32)
}

// Add revokes an id until a time. It reports false if there is no room: then the
// id is not revoked, and somebody should be told. An id that is there already
// keeps the later end.
func (s *Set) Add(id []byte, until, now time.Time) bool {
	if len(id) == 0 || !until.After(now) {
		return true // nobody would be let in by it
	}
	ends := uint64(min(max(until.Unix()+1-s.start, 1), math.MaxUint32))
	first, second := s.hashes(id)
	h := &s.shards[first>>(64-6)]
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.table.Load()
	if e := t.find(first, second); e != nil {
		if e.second.Load()&math.MaxUint32 < ends {
			e.second.Store(second | ends)
		}
		return true
	}
	if 4*(h.used+1) > 3*len(t.entries) {
		t = s.rebuild(h, t, now)
	}
	if s.Len() >= s.limit {
		return false
	}
	t.put(first, second|ends)
	h.used++
	s.length.Add(1)
	return true
}

// Sweep leaves out what has ended.
func (s *Set) Sweep(now time.Time) {
	for i := range s.shards {
		s.sweep(&s.shards[i], now)
	}
}

// SweepSome does a part of Sweep's work, for who must not take long; enough calls
// do all of it.
func (s *Set) SweepSome(now time.Time) {
	s.sweep(&s.shards[s.hand.Add(1)%shardCount], now)
}

func (s *Set) sweep(h *shard, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.table.Load()
	for j := range t.entries {
		if e := &t.entries[j]; e.first.Load() != 0 && s.ended(e, now) {
			s.rebuild(h, t, now)
			return
		}
	}
}

func (s *Set) ended(e *entry, now time.Time) bool {
	return now.Unix() >= s.start+int64(e.second.Load()&math.MaxUint32)
}

// rebuild replaces the table by one without what has ended and with room. The
// caller holds h.mu.
func (s *Set) rebuild(h *shard, t *table, now time.Time) *table {
	alive := 0
	for i := range t.entries {
		if e := &t.entries[i]; e.first.Load() != 0 && !s.ended(e, now) {
			alive++
		}
	}
	// At most three eighths full, so that the next time is not soon.
	size := max(firstSize, 1<<bits.Len(uint(alive*8/6)))
	if 2*alive > size {
		size *= 2
	}
	made := newTable(size)
	for i := range t.entries {
		e := &t.entries[i]
		first := e.first.Load()
		if first == 0 || s.ended(e, now) {
			continue
		}
		made.put(first, e.second.Load())
	}
	s.length.Add(int64(alive - h.used))
	h.used = alive
	h.table.Store(made)
	return made
}
