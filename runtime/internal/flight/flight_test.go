package flight_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/flight"
)

// Who asks the same at the same time gets the same answer; who asks something
// else, or later, another.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string, int]
		asked := map[string]int{}
		var mu sync.Mutex
		no := errors.New("no")
		ask := func(key string) (int, error) {
			return g.Do(key, func() (int, error) {
				mu.Lock()
				asked[key]++
				n := asked[key]
				mu.Unlock()
				time.Sleep(time.Second)
				if key == "no" {
					return n, no
				}
				return n, nil
			})
		}
		for turn := range 3 {
			var wg sync.WaitGroup
			for range 50 {
				for _, key := range []string{"yes", "no"} {
					wg.Go(func() {
						n, err := ask(key)
						if n != turn+1 || (key == "no") != errors.Is(err, no) {
							t.Errorf("%s: %d, %v in turn %d", key, n, err, turn)
						}
					})
				}
			}
			wg.Wait()
		}
	})
}

// A panic is the asker's own; the others are told of it, and the next one asks.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int, string]
		go func() {
			defer func() {
				if recover() == nil {
					t.Error("the asker knows nothing of it")
				}
			}()
			_, _ = g.Do(1, func() (string, error) {
				time.Sleep(time.Second)
				panic("a bug")
			})
		}()
		synctest.Wait()
		if s, err := g.Do(1, func() (string, error) { return "asked again", nil }); err == nil {
			t.Errorf("%q, no error", s)
		}
		if s, err := g.Do(1, func() (string, error) { return "good", nil }); s != "good" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	})
}
