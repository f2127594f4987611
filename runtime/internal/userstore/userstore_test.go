package userstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
)

// fake knows ada with the password secret, and takes its time.
type fake struct {
	asked  atomic.Int32
	takes  time.Duration
	broken atomic.Bool
}

func (f *fake) Check(ctx context.Context, name, password string) (string, error) {
	f.asked.Add(1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	switch {
	case f.broken.Load():
		return "", errors.New("broken")
	case name == "panic":
		panic("at the store")
	case name == "nameless":
		return "", nil
	case name != "ada" && name != "ADA" || password != "secret":
		return "", basic.ErrRefused
	}
	return "ada", nil
}

func users(t *testing.T, f *fake, o userstore.Options) *userstore.Users {
	t.Helper()
	return userstore.New(f, o)
}

var here = netip.MustParseAddr("192.0.2.1")

func TestRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		u := users(t, f, userstore.Options{Scopes: []string{"read"}})
		check := func(name, password string, good bool, asked int32) {
			t.Helper()
			p, err := u.Check(here, []byte(name), []byte(password))
			switch {
			case good && (err != nil || p.Username != "ada" || p.Subject != "ada" || p.Scheme != "basic" || p.KeyType != "PRODUCTION" || !p.HasScope("read") || p.HasScope("write")):
				t.Errorf("%s:%s: %v, %v", name, password, p, err)
			case !good && (!errors.Is(err, basic.ErrRefused) || p != nil):
				t.Errorf("%s:%s: %v, %v", name, password, p, err)
			}
			if n := f.asked.Load(); n != asked {
				t.Errorf("%s:%s: asked %d times, want %d", name, password, n, asked)
			}
		}
		check("ada", "secret", true, 1)
		check("ada", "secret", true, 1)
		check("ADA", "secret", true, 2)
		check("ada", "Secret", false, 3)
		check("ada", "Secret", false, 4) // refusals are not remembered
		check("adas", "ecret", false, 5) // nor mixed up
		time.Sleep(time.Minute - time.Second)
		check("ada", "secret", true, 5)
		time.Sleep(2 * time.Second)
		check("ada", "secret", true, 6)

		// Nobody is asked about an empty password or name.
		check("ada", "", false, 6)
		check("", "secret", false, 6)

		// What is remembered is good although the store is away, for the minute.
		f.broken.Store(true)
		check("ada", "secret", true, 6)
		time.Sleep(2 * time.Minute)
		if p, err := u.Check(here, []byte("ada"), []byte("secret")); err == nil || errors.Is(err, basic.ErrRefused) || p != nil {
			t.Errorf("with a broken store: %v, %v", p, err)
		}
	})
}

func TestRemembersNothing(t *testing.T) {
	f := &fake{}
	u := users(t, f, userstore.Options{Good: -1})
	for i := range int32(3) {
		if _, err := u.Check(here, []byte("ada"), []byte("secret")); err != nil || f.asked.Load() != i+1 {
			t.Errorf("%v, asked %d times", err, f.asked.Load())
		}
	}
}

// Equal questions at one time are one, and they all get its answer.
func TestCoalesces(t *testing.T) {
	for _, c := range []struct {
		password string
		want     error
	}{{"secret", nil}, {"wrong", basic.ErrRefused}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{takes: time.Second}
			u := users(t, f, userstore.Options{Good: -1})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if _, err := u.Check(here, []byte("ada"), []byte(c.password)); !errors.Is(err, c.want) {
						t.Errorf("%s: %v", c.password, err)
					}
				})
			}
			wg.Wait()
			if n := f.asked.Load(); n != 1 {
				t.Errorf("%s: asked %d times", c.password, n)
			}
		})
	}
}

// Nobody waits longer than the time-out, for the store or for a place in the
// queue, and nobody gets in by it.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Hour}
		u := users(t, f, userstore.Options{Timeout: 2 * time.Second, AtOnce: 3})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				p, err := u.Check(here, []byte("ada"), fmt.Appendf(nil, "secret%d", i%10))
				if p != nil || err == nil || errors.Is(err, basic.ErrRefused) {
					t.Errorf("%v, %v", p, err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// A flood of guesses from one address leaves the store to others, however slow it
// is.
func TestFloodFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Second}
		u := users(t, f, userstore.Options{Timeout: 3 * time.Second, AtOnce: 4, Good: -1})
		over := make(chan struct{})
		var flood sync.WaitGroup
		for i := range 40 {
			flood.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					if _, err := u.Check(netip.MustParseAddr("198.51.100.7"), []byte("ada"), fmt.Appendf(nil, "guess %d %d", i, n)); err == nil {
						t.Error("a guess is let in")
					}
				}
			})
		}
		for range 10 {
			time.Sleep(10 * time.Second)
			start := time.Now()
			if p, err := u.Check(here, []byte("ada"), []byte("secret")); err != nil || p.Username != "ada" {
				t.Errorf("%v, %v", p, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
		}
		close(over)
		flood.Wait()
	})
}

// Nobody is asked about names that only look like another's.
func TestNames(t *testing.T) {
	f := &fake{}
	u := users(t, f, userstore.Options{Good: -1})
	for _, name := range []string{" ada", "ada ", "ada\u00a0", "a\u200bda", "a\u00adda", "\uff41da", "ada\ufe0f", "ada\u034f", "jose\u0301", "a  da", "ada\x00", "ada\t", "\xff"} {
		if _, err := u.Check(here, []byte(name), []byte("secret")); !errors.Is(err, basic.ErrRefused) || f.asked.Load() != 0 {
			t.Errorf("%q: %v, asked %d times", name, err, f.asked.Load())
		}
	}
	for i, name := range []string{"ada", "josé", "ada@example.com", "Ada Lovelace", `corp\ada`, "愛"} {
		if _, _ = u.Check(here, []byte(name), []byte("secret")); f.asked.Load() != int32(i+1) {
			t.Errorf("%q is not asked about", name)
		}
	}
}

func TestBrokenStore(t *testing.T) {
	u := users(t, &fake{}, userstore.Options{})
	for _, name := range []string{"panic", "nameless", "panic"} {
		if p, err := u.Check(here, []byte(name), []byte("secret")); p != nil || err == nil || errors.Is(err, basic.ErrRefused) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// The log says when a store begins to fail and when that is over, and no more than that:
// not for each question, nor for each of those that some name makes fail.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{}
		u := users(t, f, userstore.Options{Good: -1, Name: "store-1", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))})
		expect := func(when, failing string, lines ...string) {
			t.Helper()
			if got := u.Failing(); got != failing {
				t.Errorf("%s: failing %q, want %q", when, got, failing)
			}
			want := ""
			for _, l := range lines {
				want += l + "\n"
			}
			if got := log.String(); got != want {
				t.Errorf("%s: the log has\n%swant\n%s", when, got, want)
			}
			log.Reset()
		}
		ask := func(name, password string) { _, _ = u.Check(here, []byte(name), []byte(password)) }
		const again = `level=INFO msg="passwords can be checked again" store=store-1`
		begins := func(why string) string {
			return `level=WARN msg="passwords cannot be checked; those not known yet are answered 503" store=store-1 error=` + why
		}
		ask("ada", "secret")
		ask("ada", "wrong")
		expect("well", "")
		f.broken.Store(true)
		ask("ada", "secret")
		expect("broken", "store-1: broken", begins("broken"))
		ask("ada", "other")
		ask("ada", "")
		expect("still broken", "store-1: broken")
		time.Sleep(time.Hour)
		ask("ada", "secret")
		expect("broken for long", "store-1: broken")
		f.broken.Store(false)
		ask("ada", "wrong") // which is an answer
		expect("mended", "", again)
		ask("ada", "secret")
		expect("well again", "")

		// A name that the store fails with, now and then.
		ask("panic", "x")
		expect("a name", `store-1: user store: panic: at the store`, begins(`"user store: panic: at the store"`))
		ask("ada", "secret")
		expect("another name", "", again)
		for range 100 {
			ask("panic", "x")
			ask("ada", "secret")
		}
		expect("in turn", "")
		ask("nameless", "x")
		expect("the last one", "store-1: user store: a user without a name")
		time.Sleep(time.Minute)
		ask("nameless", "x")
		expect("a minute later", "store-1: user store: a user without a name", begins(`"user store: a user without a name"`))
	})
}

// Silence is a failure of the store's, but not for who had to wait for a place: the
// store had no time.
func TestOutageOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: 2 * time.Second}
		u := users(t, f, userstore.Options{Timeout: 3 * time.Second, AtOnce: 1, Good: -1, Name: "store-1"})
		var wg sync.WaitGroup
		for _, password := range []string{"secret", "another"} {
			wg.Go(func() { _, _ = u.Check(here, []byte("ada"), []byte(password)) })
		}
		wg.Wait()
		if n, why := f.asked.Load(), u.Failing(); n != 2 || why != "" {
			t.Errorf("asked %d times, and failing: %q", n, why)
		}
		f.takes = time.Hour
		_, _ = u.Check(here, []byte("ada"), []byte("secret"))
		if why := u.Failing(); why != "store-1: context deadline exceeded" {
			t.Errorf("failing: %q", why)
		}
	})
}

// A silent server does not use up the time of the next.
func TestInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var order []int
		user, err := userstore.InTurn(ctx, 3, func(ctx context.Context, i int) (string, error) {
			order = append(order, i)
			if i < 2 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "ada", nil
		})
		if user != "ada" || err != nil || len(order) != 3 {
			t.Errorf("%q, %v, %v", user, err, order)
		}
		// A refusal is an answer.
		_, err = userstore.InTurn(ctx, 3, func(_ context.Context, i int) (string, error) {
			if i > 0 {
				t.Error("the next one is asked")
			}
			return "", basic.ErrRefused
		})
		if !errors.Is(err, basic.ErrRefused) {
			t.Error(err)
		}
	})
}
