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
		asked, remembered := map[string]int{}, map[string]int{}
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
			}, func(n int) { remembered[key] += n })
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
		if remembered["yes"] != 1+2+3 || remembered["no"] != 0 {
			t.Errorf("remembered %v", remembered)
		}
	})
}

// What is forgotten while it is on its way is asked anew, and not remembered.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int, string]
		memory := "nothing"
		ask := func(key int, says string) string {
			s, err := g.Do(key, func() (string, error) { time.Sleep(time.Second); return says, nil }, func(s string) { memory = s })
			if err != nil {
				t.Error(err)
			}
			return s
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := ask(1, "old"); got != "old" {
				t.Error(got)
			}
		})
		synctest.Wait()
		g.Forget(func(key int) bool { return key == 2 }, func() { memory = "2 forgotten" })
		wg.Go(func() {
			if got := ask(1, "unasked"); got != "old" {
				t.Error(got)
			}
		})
		synctest.Wait()
		g.Forget(func(key int) bool { return key == 1 }, func() { memory = "1 forgotten" })
		time.Sleep(time.Second / 2)
		wg.Go(func() {
			if got := ask(1, "new"); got != "new" {
				t.Error(got)
			}
		})
		time.Sleep(3 * time.Second / 4)
		synctest.Wait()
		expect := func(want string) {
			t.Helper()
			g.Forget(func(int) bool { return false }, func() {
				if memory != want {
					t.Errorf("%q is remembered, want %q", memory, want)
				}
			})
		}
		expect("1 forgotten")
		wg.Wait()
		expect("new")
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
			}, nothing)
		}()
		synctest.Wait()
		if s, err := g.Do(1, func() (string, error) { return "asked again", nil }, nothing); err == nil {
			t.Errorf("%q, no error", s)
		}
		if s, err := g.Do(1, func() (string, error) { return "good", nil }, nothing); s != "good" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
	})
}

func nothing(string) {}
