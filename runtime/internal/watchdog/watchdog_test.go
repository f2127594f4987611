package watchdog

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns a watched connection whose peer says nothing.
func pipe(t *testing.T, d *Dog) (*Guard, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	g := new(Guard)
	d.Watch(g, a)
	t.Cleanup(func() {
		g.Release()
		a.Close()
		b.Close()
	})
	return g, a
}

func TestDeadline(t *testing.T) {
	const within = time.Second
	tests := []struct {
		name string
		arm  func(*Guard)
		use  func(net.Conn) error
	}{
		{"read", func(g *Guard) { g.ReadWithin(within) }, func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
		{"write", func(g *Guard) { g.WriteWithin(within) }, func(c net.Conn) error { _, err := c.Write(make([]byte, 1)); return err }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := New()
				defer d.Close()
				g, c := pipe(t, d)
				start := time.Now()
				test.arm(g)
				if err := test.use(c); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("got %v, want a time-out", err)
				}
				// Never early, and late by two ticks at most: one because the
				// clock is coarse, one because it is looked at each tick.
				if took := time.Since(start); took < within || took > within+2*Tick {
					t.Errorf("woken after %v, want %v and up to two ticks", took, within)
				}
				if !g.Late() {
					t.Error("Late is false after a time-out")
				}
			})
		})
	}
}

func TestLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Close()
		g, _ := pipe(t, d)
		g.ReadWithin(time.Second)
		g.WriteWithin(time.Second)
		g.ReadWithin(0)
		g.WriteWithin(0)
		time.Sleep(time.Minute)
		if g.Late() {
			t.Error("a lifted deadline fired")
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Close()
		g, c := pipe(t, d)
		g.Interrupt()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a time-out", err)
		}
		if g.Late() {
			t.Error("Late is true after an interruption")
		}
	})
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Close()
		_, before := pipe(t, d)
		d.Cut()
		g, after := pipe(t, d)
		for _, c := range []net.Conn{before, after} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want a time-out", err)
			}
		}
		if !g.Late() {
			t.Error("Late is false after Cut")
		}
	})
}

// A chore that closes what it looks after releases guards; so does the sweep of
// idle upstream connections.
func TestChoreMayRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Close()
		g, _ := pipe(t, d)
		ran := make(chan int64, 1)
		d.Every(func(now int64) {
			g.Release()
			select {
			case ran <- now:
			default:
			}
		})
		if now := <-ran; now < int64(Tick) || now > int64(2*Tick) {
			t.Errorf("chore ran at %v, want the first tick", time.Duration(now))
		}
	})
}

func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Close()
		for range 3 {
			time.Sleep(1300 * time.Millisecond)
			got, err := time.Parse(time.RFC1123, string(d.Date()))
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(got); age < 0 || age >= time.Second+Tick {
				t.Errorf("date is %v old", age)
			}
		}
	})
}
