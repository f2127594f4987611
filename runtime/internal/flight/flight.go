// Package flight makes one of equal questions that are asked at the same time.
package flight

import (
	"errors"
	"sync"
)

// A Group is the questions that are under way, by their keys. The zero Group is
// ready, and safe for concurrent use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	under map[K]*question[V] // guarded by mu
}

type question[V any] struct {
	done   chan struct{} // closed when the rest is set
	answer V
	err    error
}

var errPanic = errors.New("asking ended in a panic")

// Do returns what ask does. Whoever comes with a key that is being asked about
// gets that answer, and waits for it however long it takes: ask has to end by
// itself. A good answer is handed to remember before anybody can ask again, but
// not one that was forgotten meanwhile. ask first looks whether it is remembered:
// it may be since the caller looked.
func (g *Group[K, V]) Do(key K, ask func() (V, error), remember func(V)) (V, error) {
	g.mu.Lock()
	if q := g.under[key]; q != nil {
		g.mu.Unlock()
		<-q.done
		return q.answer, q.err
	}
	q := &question[V]{done: make(chan struct{}), err: errPanic}
	if g.under == nil {
		g.under = map[K]*question[V]{}
	}
	g.under[key] = q
	g.mu.Unlock()
	// Those who wait get an answer in any case.
	defer func() {
		g.mu.Lock()
		if g.under[key] == q {
			delete(g.under, key)
			if q.err == nil {
				remember(q.answer)
			}
		}
		g.mu.Unlock()
		close(q.done)
	}()
	q.answer, q.err = ask()
	return q.answer, q.err
}

// Forget leaves the answers that are on their way to those who wait for them
// already: whoever comes now asks anew, and they are not remembered. What is
// remembered is forgotten by forget, which nothing can come in between.
func (g *Group[K, V]) Forget(match func(K) bool, forget func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key := range g.under {
		if match(key) {
			delete(g.under, key)
		}
	}
	forget()
}
