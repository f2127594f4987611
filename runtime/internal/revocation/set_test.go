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

func TestSetIsBounded(t *testing.T) {
	s := revocation.NewSet(100, epoch)
	for i := range 200 {
		if ok := s.Add(id(i), epoch.Add(time.Hour), epoch); ok != (i < 100) {
			t.Fatalf("%d: %v", i, ok)
		}
	}
	if !s.Add(id(5), epoch.Add(2*time.Hour), epoch) {
		t.Error("no room for what is there")
	}
	for i := range 200 {
		if got := s.Has(id(i), epoch); got != (i < 100) {
			t.Errorf("%d: %v", i, got)
		}
	}
	later := epoch.Add(90 * time.Minute)
	s.Sweep(later)
	if s.Len() != 1 || !s.Has(id(5), later) || !s.Add(id(150), later.Add(time.Hour), later) {
		t.Errorf("%d entries", s.Len())
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

// A million ids stay under 64 MiB. The race detector, which makes it slow, sees an
// eighth of that.
func TestSetMemory(t *testing.T) {
	n := 1_000_000
	if raceEnabled {
		n /= 8
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := filled(n)
	after := heap()
	if s.Len() != n {
		t.Fatalf("%d entries", s.Len())
	}
	mib := float64(int64(after-before)) / (1 << 20)
	t.Logf("%.1f MiB", mib)
	if mib > 64*float64(n)/1e6 {
		t.Errorf("%d ids take %.1f MiB", n, mib)
	}
	runtime.KeepAlive(s)
}

func filled(n int) *revocation.Set {
	s := revocation.NewSet(2_000_000, epoch)
	var b [36]byte
	for i := range n {
		binary.LittleEndian.PutUint64(b[:], uint64(i)*0x9e3779b97f4a7c15)
		s.Add(b[:], epoch.Add(time.Hour), epoch)
	}
	return s
}

// A look-up among a million, each of another id.
func BenchmarkHas(b *testing.B) {
	s := filled(1_000_000)
	for name, step := range map[string]uint64{"revoked": 0x9e3779b97f4a7c15, "not revoked": 0xd1342543de82ef95} {
		b.Run(name, func(b *testing.B) {
			var id [36]byte
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				i += step
				binary.LittleEndian.PutUint64(id[:], i)
				s.Has(id[:], epoch)
			}
		})
	}
}
