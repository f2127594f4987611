package introspect

import (
	"container/list"
	"slices"
	"sync"
)

// A cache remembers answers, the least recently used of which go first. One lock
// will do: whoever finds nothing here waits for a network.
type cache struct {
	maxCount int
	maxBytes int64

	mu      sync.Mutex
	entries map[key]*list.Element // guarded by mu, as all below; of *entry
	order   *list.List            // the last used first
	bytes   int64
	several map[key][]key // the keys of a token that has another one for each operation
}

type entry struct {
	key, token   key // the same where the answer is for all operations
	answer       *answer
	added, until int64
	size         int64
}

// clockSlack is how far back the clock may seem to go because two requests
// have read it at nearly the same time.
const clockSlack = 1000

func newCache(count int, bytes int64) *cache {
	return &cache{maxCount: count, maxBytes: bytes, entries: map[key]*list.Element{}, order: list.New(), several: map[key][]key{}}
}

func (c *cache) get(k key, now int64) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[k]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	// A clock that was set back must not make an answer last longer.
	if now >= e.until || now < e.added-clockSlack {
		c.remove(el)
		return nil
	}
	c.order.MoveToFront(el)
	return e.answer
}

func (c *cache) put(k, token key, a *answer, now, until int64) {
	e := &entry{key: k, token: token, answer: a, added: now, until: until, size: a.size()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[k]; el != nil {
		c.remove(el)
	}
	c.entries[k] = c.order.PushFront(e)
	if token != k {
		c.several[token] = append(c.several[token], k)
	}
	c.bytes += e.size
	for len(c.entries) > c.maxCount || c.bytes > c.maxBytes {
		c.remove(c.order.Back())
	}
}

// remove needs mu.
func (c *cache) remove(el *list.Element) {
	e := c.order.Remove(el).(*entry)
	delete(c.entries, e.key)
	c.bytes -= e.size
	if e.token == e.key {
		return
	}
	if keys := slices.DeleteFunc(c.several[e.token], func(k key) bool { return k == e.key }); len(keys) > 0 {
		c.several[e.token] = keys
	} else {
		delete(c.several, e.token)
	}
}

// forget lets go of all that is known of a token.
func (c *cache) forget(token key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range append([]key{token}, c.several[token]...) {
		if el := c.entries[k]; el != nil {
			c.remove(el)
		}
	}
}
