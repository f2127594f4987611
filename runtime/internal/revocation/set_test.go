package revocation_test

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation"
)

var epoch = time.Unix(1_800_000_000, 0)

func id(i int) []byte { return fmt.Appendf(nil, "id-%d", i) }

// Whatever is put in, in whatever order, and however time goes: a Set says what a
// plain map would.
func TestSetAgreesWithAMap(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	now := epoch
	s, plain := revocation.NewSet(1_000_000, now), map[int]time.Time{}
	for step := range 40_000 {
		i := r.Intn(1000)
		switch r.Intn(10) {
		case 0, 1, 2, 3:
			until := now.Add(time.Duration(r.Intn(4000)-200) * time.Second)
			if !s.Add(id(i), until, now) {
				t.Fatal("no room")
			}
			if until.After(now) && until.After(plain[i]) {
				plain[i] = until
			}
		case 4:
			now = now.Add(time.Duration(r.Intn(20)) * time.Second)
		case 5:
			if step%500 == 0 {
				s.Sweep(now)
			}
		default:
			// An id stays until the end of its second, not longer.
			end := plain[i]
			if got := s.Has(id(i), now); now.Before(end) && !got || got && !now.Before(end.Add(time.Second)) {
				t.Fatalf("step %d: %d: got %v at %v, its end is %v", step, i, got, now, end)
			}
		}
	}
	for range 100 {
		s.SweepSome(now.Add(3 * time.Hour))
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d entries after all have ended", n)
	}
}

// A set that is full forgets what ends first, says so, and grows no more.
func TestSetIsBounded(t *testing.T) {
	at := func(i int) time.Time { return epoch.Add(time.Hour + time.Duration(i)*time.Second) }
	s := revocation.NewSet(100, epoch)
	for i := range 200 { // each ends later than those before
		if ok := s.Add(id(i), at(i), epoch); ok != (i < 100) {
			t.Fatalf("%d: %v", i, ok)
		}
	}
	if !s.Add(id(150), at(250), epoch) {
		t.Error("no room for what is there")
	}
	if s.Add([]byte("sooner"), at(0), epoch) || s.Has([]byte("sooner"), epoch) {
		t.Error("what ends before all others took another's place")
	}
	for i := range 200 {
		if got := s.Has(id(i), epoch); got != (i >= 100) {
			t.Errorf("%d: %v", i, got)
		}
	}
	if s.Len() != 100 || s.Lost() != 101 {
		t.Errorf("%d entries, %d lost", s.Len(), s.Lost())
	}
	// What has ended makes room by itself, or when it is swept.
	if later := at(130); !s.Add(id(300), at(300), later) || s.Lost() != 101 {
		t.Errorf("%d lost beside what has ended", s.Lost())
	}
	later := at(220)
	s.Sweep(later)
	if s.Len() != 2 || !s.Has(id(150), later) || !s.Has(id(300), later) || !s.Add(id(301), later.Add(time.Hour), later) {
		t.Errorf("%d entries", s.Len())
	}
}

// Of a large set that is full what is forgotten ends, if not first, then soon; and
// for as long as ids come and go it neither grows nor fills up with the dead.
func TestSetIsBoundedWhenLarge(t *testing.T) {
	const n = 1_500
	s := revocation.NewSet(n, epoch)
	for i := range n {
		s.Add(id(i), epoch.Add(time.Duration(i+1)*time.Minute), epoch)
	}
	for i := n; i < 5*n; i++ {
		s.Add(id(i), epoch.Add(time.Duration(i+1)*time.Minute), epoch)
		if !s.Has(id(i), epoch) {
			t.Fatalf("%d was not taken", i)
		}
		// Of the first quarter that is forgotten nearly all is of those that end first.
		if i == n+n/4 {
			kept := 0
			for j := range n / 2 {
				if s.Has(id(n-1-j), epoch) {
					kept++
				}
			}
			if kept < n/2*98/100 {
				t.Errorf("of those that end last %d of %d are kept", kept, n/2)
			}
		}
	}
	if s.Len() != n || s.Lost() != 4*n {
		t.Errorf("%d entries, %d lost", s.Len(), s.Lost())
	}
}

func TestSetOddities(t *testing.T) {
	s := revocation.NewSet(10, epoch)
	if s.Has(nil, epoch) || s.Has([]byte("x"), epoch) {
		t.Error("an empty set has something")
	}
	s.Add(nil, epoch.Add(time.Hour), epoch)
	s.Add([]byte("past"), epoch, epoch)
	s.Add([]byte("forever"), time.Unix(1<<40, 0), epoch)
	if s.Has(nil, epoch) || s.Has([]byte("past"), epoch) || !s.Has([]byte("forever"), epoch.AddDate(50, 0, 0)) {
		t.Error("nil, past, forever")
	}
}

// Readers and writers at the same time; -race looks on.
func TestSetConcurrently(t *testing.T) {
	s := revocation.NewSet(1_000_000, epoch)
	s.Add([]byte("always"), epoch.Add(time.Hour), epoch)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if !s.Has([]byte("always"), epoch) || s.Has([]byte("never"), epoch) {
					t.Error("a reader was led astray")
					return
				}
				runtime.Gosched()
			}
		})
	}
	for w := range 2 {
		wg.Go(func() {
			for i := range 3_000 {
				s.Add(id(w*1_000_000+i), epoch.Add(time.Duration(i%100)*time.Second), epoch)
				if i%500 == 0 {
					s.Sweep(epoch.Add(50 * time.Second))
				}
			}
			if w == 1 {
				close(done)
			}
		})
	}
	wg.Wait()
}

// What a reader is told of ids that are put in and forgotten all the time is never
// what another id is told.
func TestSetConcurrentlyFull(t *testing.T) {
	s := revocation.NewSet(200, epoch)
	for i := range 50 {
		s.Add(fmt.Appendf(nil, "always-%d", i), epoch.Add(1000*time.Hour), epoch)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if !s.Has(fmt.Appendf(nil, "always-%d", i%50), epoch) || s.Has([]byte("never"), epoch) || s.Has(id(i%2000), epoch.Add(200*time.Hour)) {
					t.Error("a reader was led astray")
					return
				}
			}
		})
	}
	for i := range 2_000 {
		s.Add(id(i), epoch.Add(time.Duration(i%100+1)*time.Hour), epoch)
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	close(done)
	wg.Wait()
}

// A million ids stay under 64 MiB, also while they come: what was in use when a
// part of them began to come, and all that was taken for it, as if nothing of it
// were given back; when the collector comes does not matter. The race detector,
// which makes it slow, sees an eighth of that.
func TestSetMemory(t *testing.T) {
	n := 1_000_000
	if raceEnabled {
		n /= 8
	}
	var m runtime.MemStats
	inUse := func() (live, taken uint64) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.TotalAlloc
	}
	before, taken := inUse()
	live := before
	s := revocation.NewSet(n, epoch)
	peak := 0.0
	mib := func(after uint64) float64 { return float64(int64(after-before)) / (1 << 20) }
	for i := range n {
		s.Add(key(i), epoch.Add(time.Hour), epoch)
		if i%(n/64) == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, mib(live+m.TotalAlloc-taken))
			live, taken = inUse()
		}
	}
	last, _ := inUse()
	after := mib(last)
	if s.Len() != n || s.Lost() != 0 {
		t.Fatalf("%d entries, %d lost", s.Len(), s.Lost())
	}
	t.Logf("%.1f MiB, at most %.1f MiB", after, peak)
	if limit := 64 * float64(n) / 1e6; after > limit || peak > limit {
		t.Errorf("%d ids take %.1f MiB, at most %.1f MiB", n, after, peak)
	}
	runtime.KeepAlive(s)
}

// key is an id as long as a UUID.
func key(i int) []byte {
	var b [36]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i)*0x9e3779b97f4a7c15)
	return b[:]
}

// A look-up among many, each of another id in an order that is none, so that
// neither the processor's caches nor its guesses help: the table of
// a million may be in the last of the caches, that of eight million hardly is. What is read beside the set (the ids
// themselves) is read in a row. "hash" is what of it is making the key, and
// "memory" is one access to as much memory, for comparison: each says where the
// next one is.
func BenchmarkHas(b *testing.B) {
	b.Run("1M/memory", func(b *testing.B) {
		next := make([]struct {
			i uint32
			_ [60]byte
		}, 1<<19)
		all := rand.New(rand.NewSource(1)).Perm(len(next))
		for i, k := range all {
			next[k].i = uint32(all[(i+1)%len(all)])
		}
		i := uint32(0)
		for b.Loop() {
			i = next[i].i
		}
	})
	const asked = 1 << 20
	for _, n := range []int{1_000_000, 8_000_000} {
		var s *revocation.Set
		run := func(name string, first int, look func(id []byte)) {
			b.Run(fmt.Sprintf("%dM/%s", n/1_000_000, name), func(b *testing.B) {
				if s == nil {
					s = revocation.NewSet(n, epoch)
					for i := range n {
						s.Add(key(i), epoch.Add(time.Hour), epoch)
					}
				}
				ids := make([][36]byte, asked)
				for i, k := range rand.New(rand.NewSource(1)).Perm(n)[:min(asked, n)] {
					copy(ids[i][:], key(first+k))
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					look(ids[i&(1<<19-1)][:])
					i++
				}
			})
		}
		run("hash", 0, func(id []byte) { s.Key(id) })
		run("revoked", 0, func(id []byte) {
			if !s.Has(id, epoch) {
				b.Fatal("not revoked")
			}
		})
		run("not revoked", n, func(id []byte) {
			if s.Has(id, epoch) {
				b.Fatal("revoked")
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, full := range []bool{false, true} {
		b.Run(fmt.Sprintf("full=%v", full), func(b *testing.B) {
			const n = 1_000_000
			s := revocation.NewSet(n, epoch)
			i := 0
			for ; full && i < n; i++ {
				s.Add(key(i), epoch.Add(time.Hour), epoch)
			}
			for b.Loop() {
				if s.Add(key(i), epoch.Add(time.Hour+time.Duration(i)*time.Second), epoch); !full && s.Len() == n {
					s = revocation.NewSet(n, epoch)
				}
				i++
			}
		})
	}
}
