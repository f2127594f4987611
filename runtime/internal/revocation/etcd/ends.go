package etcd

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// What of an id is known whose end is not.
const (
	briefly   = 5 * time.Second  // that it is revoked at once, and again and again
	keeping   = time.Second      // between these times
	oneBatch  = 10 * time.Second // that etcd may take to tell some ends
	batchSize = 128
	maxPuts   = 100_000 // that wait for their ends; so many are read anew
)

// puts are ids that were put while the folder was watched. They are revoked at
// once; their ends are asked for afterwards, many at a time.
type puts struct {
	s    *Source
	wake chan struct{}

	mu      sync.Mutex
	waiting map[string]waiting // for their ends; guarded by mu
}

type waiting struct {
	kv   keyValue
	gone bool // the key has been deleted since
}

func newPuts(s *Source) *puts {
	return &puts{s: s, wake: make(chan struct{}, 1), waiting: map[string]waiting{}}
}

// add revokes an id.
func (p *puts) add(id string, kv keyValue) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if kv.Lease == 0 {
		delete(p.waiting, id)
		p.s.o.Revoke(id, now.Add(forever), now)
		p.note(id, now.Add(forever))
		return nil
	}
	p.s.o.Revoke(id, now.Add(briefly), now)
	p.waiting[id] = waiting{kv: kv}
	if len(p.waiting) > maxPuts {
		return errors.New("etcd is too slow to tell when so many leases end")
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// gone says that the key of an id was deleted.
func (p *puts) gone(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.waiting[id]; ok {
		w.gone = true
		p.waiting[id] = w
	}
	p.note(id, time.Time{})
}

func (p *puts) note(id string, end time.Time) {
	if p.s.snapshot != nil {
		p.s.snapshot.put(id, end)
	}
}

// run learns the ends until ctx is done or one cannot be learnt.
func (p *puts) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		for {
			batch, kvs := p.some()
			if len(batch) == 0 {
				break
			}
			quick, cancel := context.WithTimeout(ctx, oneBatch)
			ends, err := p.s.ends(quick, kvs)
			cancel()
			if err != nil {
				return err // end revokes them all for long
			}
			p.learnt(batch, kvs, ends)
		}
	}
}

func (p *puts) some() (batch []string, kvs []keyValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, w := range p.waiting {
		if len(batch) == batchSize {
			break
		}
		batch, kvs = append(batch, id), append(kvs, w.kv)
	}
	return batch, kvs
}

func (p *puts) learnt(batch []string, kvs []keyValue, ends []time.Time) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, id := range batch {
		p.s.o.Revoke(id, ends[i], now)
		w, ok := p.waiting[id]
		if !ok || w.kv.Mod != kvs[i].Mod {
			continue // it was put once more
		}
		delete(p.waiting, id)
		if !w.gone {
			p.note(id, ends[i])
		}
	}
}

// keep sees to it that what waits stays revoked, until ctx is done.
func (p *puts) keep(ctx context.Context) {
	t := time.NewTicker(keeping)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p.mu.Lock()
		now := time.Now()
		for id := range p.waiting {
			p.s.o.Revoke(id, now.Add(briefly), now)
		}
		p.mu.Unlock()
	}
}

// end is for when nobody asks any more: what still waits stays revoked for long.
// It reports whether nothing did.
func (p *puts) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id, w := range p.waiting {
		p.s.o.Revoke(id, now.Add(forSafety), now)
		if !w.gone {
			p.note(id, now.Add(forSafety))
		}
	}
	return len(p.waiting) == 0
}

// unended are the ids that were read without their ends, page by page, for if
// etcd goes away before it has told them.
type unended struct {
	mu    sync.Mutex
	pages []ids // guarded by mu
}

func (u *unended) add(page ids) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pages = append(u.pages, page)
}

// done says that the ends of the first page are known.
func (u *unended) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.pages) > 0 {
		u.pages[0] = nil
		u.pages = u.pages[1:]
	}
}

// keep revokes the ids for long.
func (u *unended) keep(s *Source) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for _, page := range u.pages {
		for id := range page.all {
			s.o.Revoke(id, now.Add(forSafety), now)
		}
	}
}

// ids are many in little room, each after its length.
type ids []byte

func (l *ids) add(id string) { *l = append(binary.AppendUvarint(*l, uint64(len(id))), id...) }

func (l ids) all(yield func(string) bool) {
	for len(l) > 0 {
		size, n := binary.Uvarint(l)
		if !yield(string(l[n : n+int(size)])) {
			return
		}
		l = l[n+int(size):]
	}
}
