package jwt

import (
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/keys"
)

// CacheOptions bound the memory of verified tokens. Zero values stand for the
// defaults.
type CacheOptions struct {
	Disabled bool
	Entries  int           // 10,000
	Bytes    int64         // 32 MiB
	Expiry   time.Duration // after which a token is verified anew; 15 min
}

// The cache of verified tokens is cut into shards, each with a lock, a map and
// a ring. A hit takes the read lock of one shard. When a shard is full a hand
// goes round its ring and throws out what has not been used since it came by
// last ("clock" or second chance): nearly as good as least recently used, and a
// hit has nothing to reorder.
//
// A token is found by a hash and recognised by all of its bytes, signature
// included: a bent copy of a good token is another token. The hash is seeded
// anew in every process, so that nobody can make tokens that collide; if two do
// by chance they take each other's place, which costs a verification and
// nothing else. (SHA-256 as the key would spare the comparison and the copy of
// the token; it takes ten times as long as both, a thirtieth of a request.)

// verified is what is known of a token. All but the last group is fixed once
// it is in the cache.
type verified struct {
	sum       uint64
	token     string
	principal exchange.Principal
	names     names
	dates     dates
	leeway    int64
	key       *keys.Key
	added     int64
	size      int64

	used atomic.Bool
	slot int // in the ring; guarded by the shard's mu
}

type cache struct {
	seed   maphash.Seed
	shards []shard
	expiry int64
}

type shard struct {
	mu       sync.RWMutex
	entries  map[uint64]*verified // guarded by mu, as all below
	ring     []*verified          // with holes where entries were removed
	holes    []int
	hand     int
	bytes    int64
	maxCount int
	maxBytes int64
	_        [64]byte // keeps two shards' locks off one cache line
}

// clockSlack is how far back the clock may seem to go because two requests
// have read it at nearly the same time.
const clockSlack = 1000

func newCache(o CacheOptions) *cache {
	if o.Entries <= 0 {
		o.Entries = 10_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 32 << 20
	}
	if o.Expiry <= 0 {
		o.Expiry = 15 * time.Minute
	}
	// Small caches are not cut up: their bound would be too coarse.
	n := 1
	for n < 8*runtime.GOMAXPROCS(0) && n < 256 && o.Entries/(2*n) >= 64 && o.Bytes/int64(2*n) >= 256<<10 {
		n *= 2
	}
	c := &cache{seed: maphash.MakeSeed(), shards: make([]shard, n), expiry: o.Expiry.Milliseconds()}
	for i := range c.shards {
		c.shards[i].entries = map[uint64]*verified{}
		c.shards[i].maxCount = o.Entries / n
		c.shards[i].maxBytes = o.Bytes / int64(n)
	}
	return c
}

func (c *cache) sum(token []byte) uint64 { return maphash.Bytes(c.seed, token) }

func (c *cache) shard(sum uint64) *shard {
	return &c.shards[int(sum>>56)&(len(c.shards)-1)]
}

// get returns what is known of a token with that sum, unless that is too old, from a time
// that the clock says is still to come, or was proved with a key that the
// issuer has withdrawn.
func (c *cache) get(token []byte, sum uint64, now int64) *verified {
	s := c.shard(sum)
	s.mu.RLock()
	e := s.entries[sum]
	s.mu.RUnlock()
	if e == nil || e.token != string(token) {
		return nil
	}
	if age := now - e.added; age >= c.expiry || age < -clockSlack || e.key.Retired() {
		c.drop(e)
		return nil
	}
	if !e.used.Load() { // a write only when it changes something
		e.used.Store(true)
	}
	return e
}

// put remembers e, at the cost of others.
func (c *cache) put(e *verified, now int64) {
	e.added = now
	e.size = 2*int64(len(e.principal.Claims)) + int64(len(e.token)) + 1024 + // texts are copies of parts of the claims
		48*int64(len(e.principal.Subscriptions))
	s := c.shard(e.sum)
	if e.size > s.maxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[e.sum]; old != nil {
		s.remove(old)
	}
	for len(s.entries) >= s.maxCount || s.bytes+e.size > s.maxBytes {
		s.evict(now)
	}
	s.entries[e.sum] = e
	s.bytes += e.size
	if n := len(s.holes); n > 0 {
		e.slot = s.holes[n-1]
		s.holes = s.holes[:n-1]
		s.ring[e.slot] = e
	} else {
		e.slot = len(s.ring)
		s.ring = append(s.ring, e)
	}
}

// drop forgets e if it is still there.
func (c *cache) drop(e *verified) {
	s := c.shard(e.sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[e.sum] == e {
		s.remove(e)
	}
}

// evict moves the hand past the next entry that is of no more use, or has not
// been used since the hand came by, and removes that. Whatever takes its place
// is right behind the hand and has a whole round to show its worth. mu must be
// held and there must be an entry.
func (s *shard) evict(now int64) {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		s.hand++
		if e != nil && (now-e.leeway >= e.dates.expires || e.key.Retired() || !e.used.Swap(false)) {
			s.remove(e)
			return
		}
	}
}

// remove takes e out. mu must be held.
func (s *shard) remove(e *verified) {
	s.ring[e.slot] = nil
	s.holes = append(s.holes, e.slot)
	s.bytes -= e.size
	delete(s.entries, e.sum)
}
