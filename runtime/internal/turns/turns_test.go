package turns_test

import (
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/turns"
)

// Whoever comes, one after the other while the only turn is taken, is served in
// this order.
func TestOrder(t *testing.T) {
	for _, tt := range []struct{ come, served string }{
		{come: "1.1.1.1 1.1.1.1", served: "0 1"},
		{come: "1.1.1.1 1.1.1.1 1.1.1.1 2.2.2.2", served: "0 3 1 2"},
		{come: "1.1.1.1 1.1.1.1 2.2.2.2 2.2.2.2 3.3.3.3", served: "0 2 4 1 3"},
		{come: "1.1.1.1 ::ffff:1.1.1.1 2.2.2.2", served: "0 2 1"},
		{come: "2001:db8::1 2001:db8::2 2001:db8:0:1::1", served: "0 2 1"},
		{come: "fe80::1%a fe80::1%b fe81::1", served: "0 2 1"},
	} {
		t.Run(tt.come, func(t *testing.T) {
			of := turns.New(1)
			held := of.Take(netip.Addr{}, 0)
			var mu sync.Mutex
			var served []string
			var all sync.WaitGroup
			for i, from := range strings.Fields(tt.come) {
				all.Go(func() {
					turn := of.Take(netip.MustParseAddr(from), 0)
					mu.Lock()
					served = append(served, string(rune('0'+i)))
					mu.Unlock()
					turn.End(false)
				})
				for turns.Waiting(of) != i+1 {
					runtime.Gosched()
				}
			}
			held.End(false)
			all.Wait()
			if got := strings.Join(served, " "); got != tt.served {
				t.Errorf("served %s, want %s", got, tt.served)
			}
		})
	}
}

func TestNoMoreAtOnce(t *testing.T) {
	of := turns.New(3)
	var now, most atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			from := netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 7)})
			for range 20 {
				turn := of.Take(from, 0)
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
				turn.End(false)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once, want 3 at most", most.Load())
	}
	if n := turns.Lines(of); n != 0 {
		t.Errorf("%d lines are kept of clients that are gone", n)
	}
}

// Who gives up leaves nothing behind, and takes no turn from those who wait.
func TestGiveUp(t *testing.T) {
	of := turns.New(1)
	held := of.Take(netip.Addr{}, 0)
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	if of.Take(a, time.Nanosecond) != nil {
		t.Fatal("got a turn that another has")
	}
	served := make(chan bool)
	go func() {
		turn := of.Take(b, time.Hour)
		served <- turn != nil
		turn.End(false)
	}()
	for turns.Waiting(of) != 1 {
		runtime.Gosched()
	}
	held.End(false)
	if !<-served {
		t.Error("who waited got no turn")
	}
	of.Take(a, time.Hour).End(false)
	if n := turns.Lines(of); n != 0 {
		t.Errorf("%d lines are kept of clients that are gone", n)
	}
}

// Many that give up at about the time at which they are served: no turn is lost.
func TestGiveUpRace(t *testing.T) {
	of := turns.New(2)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for k := range 50 {
				if turn := of.Take(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), time.Duration(1+k)*time.Microsecond); turn != nil {
					turn.End(false)
				}
			}
		})
	}
	all.Wait()
	first, second := of.Take(netip.Addr{}, 0), of.Take(netip.Addr{}, 0)
	first.End(false)
	second.End(false)
}

// With one processor, what has arrived is noticed before work that takes turns
// goes on, although there is always somebody who wants one.
func TestOthersFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	of := turns.New(turns.AtOnce())
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var noticed atomic.Int32
	go func() {
		var b [1]byte
		for {
			if _, err := in.Read(b[:]); err != nil {
				return
			}
			noticed.Add(1)
		}
	}()
	var late []int
	for i := range 300 {
		if _, err := out.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		// Twice: of what is noticed at the same time either may run first.
		for range 2 {
			of.Take(netip.Addr{}, 0).End(true)
		}
		if int(noticed.Load()) != i+1 {
			late = append(late, i)
			for int(noticed.Load()) != i+1 {
				time.Sleep(time.Microsecond) // no matter for how long
			}
		}
	}
	out.Close()
	// The very first comes before its reader waits.
	if late = slices.DeleteFunc(late, func(i int) bool { return i == 0 }); len(late) > 30 {
		t.Errorf("%d of 300 were noticed late", len(late))
	}
}
