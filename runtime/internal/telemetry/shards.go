package telemetry

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxShards bounds memory on very wide machines; beyond it a few cores share a
// shard.
const maxShards = 64

// shards hands out shard numbers so that a core mostly gets the number it had
// before. sync.Pool keeps a private slot per processor, which is all the
// affinity that Go offers; here it holds tokens instead of memory to reuse. A
// garbage collection may empty the pool and two cores may then draw the same
// token. That costs a little contention, never correctness: shards are guarded
// by a lock or by atomic operations anyway.
type shards struct {
	pool sync.Pool
	next atomic.Uint32
}

type token struct{ n int }

// newShards makes tokens 0 to n-1, n being the returned count.
func newShards() (*shards, int) {
	n := 1
	for n < runtime.GOMAXPROCS(0) && n < maxShards {
		n *= 2
	}
	tokens := make([]token, n)
	for i := range tokens {
		tokens[i].n = i
	}
	s := new(shards)
	s.pool.New = func() any { return &tokens[(int(s.next.Add(1))-1)&(n-1)] }
	return s, n
}

// get draws a token; the caller gives it back with put when done.
func (s *shards) get() *token  { return s.pool.Get().(*token) }
func (s *shards) put(t *token) { s.pool.Put(t) }
