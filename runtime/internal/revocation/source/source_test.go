package source_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/source"
)

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := source.New("b")
		if st := s.State(); st.Connected || st.Error == "" || st.Source != "b" {
			t.Errorf("%+v", st)
		}
		s.Update(func(st *source.State) { st.Snapshot = time.Now() })
		time.Sleep(time.Second)
		up := time.Now()
		s.Up()
		time.Sleep(time.Second)
		s.Up() // as before
		s.Heard()
		if st := s.State(); !st.Connected || st.Error != "" || !st.Since.Equal(up) || st.Messages != 1 || !st.Last.Equal(time.Now()) || !st.Snapshot.IsZero() {
			t.Errorf("%+v", st)
		}
		if !s.Down(errors.New("gone")) || s.Down(errors.New("still gone")) {
			t.Error("it was up once")
		}
		if st := s.State(); st.Connected || st.Error != "still gone" || !st.Since.Equal(time.Now()) {
			t.Errorf("%+v", st)
		}
		s.SetTried()
		s.SetTried()
		<-s.Tried()
	})
}

func TestComplaint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c source.Complaint
		a, b := errors.New("a"), errors.New("b")
		for i, want := range []bool{true, false, true} {
			if c.Due(a) != want {
				t.Errorf("%d: %v", i, !want)
			}
			time.Sleep(6 * time.Minute)
		}
		if !c.Due(b) || !c.Settle() || c.Settle() || !c.Due(b) {
			t.Error("another one, or the same after it was settled")
		}
	})
}

// Attempts are further and further apart, up to a limit; after one that has lasted
// it begins anew.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b source.Backoff
		for i, want := range []time.Duration{250, 500, 1000, 2000, 4000, 4000} {
			b.Begin()
			began := time.Now()
			if !b.Pause(context.Background(), 4*time.Second) {
				t.Fatal("ended")
			}
			if took := time.Since(began); took < want*time.Millisecond/2 || took > want*time.Millisecond*3/2 {
				t.Errorf("%d: %v, want about %v", i, took, want*time.Millisecond)
			}
		}
		b.Begin()
		time.Sleep(time.Minute)
		began := time.Now()
		if b.Pause(context.Background(), 4*time.Second); time.Since(began) > time.Second {
			t.Error("as if nothing had been")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if b.Begin(); b.Pause(ctx, time.Hour) {
			t.Error("it goes on")
		}
	})
}

// A start waits for what is being read, a little for who does not answer, and for
// nothing without an end.
func TestAwait(t *testing.T) {
	for name, tt := range map[string]struct {
		steps, until time.Duration // apart, and until the end; 0: none
		ends         bool
		want         time.Duration
	}{
		"at once":     {0, 0, true, 0},
		"nobody":      {0, 0, false, source.AwaitStep},
		"a long list": {2 * time.Second, 21 * time.Second, true, 21 * time.Second},
		"it stops":    {2 * time.Second, 20 * time.Second, false, 20*time.Second + source.AwaitStep},
		"too slow":    {4 * time.Second, 40 * time.Second, true, source.AwaitStep},
		"no end":      {time.Second, time.Hour, true, source.AwaitAll},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ready, s := source.New("a"), source.New("b")
				ready.SetTried()
				began := time.Now()
				go func() {
					for tt.steps > 0 && time.Since(began)+tt.steps <= tt.until {
						time.Sleep(tt.steps)
						s.Step()
					}
					time.Sleep(tt.until - time.Since(began))
					if tt.ends {
						s.SetTried()
					}
				}()
				source.Await(context.Background(), []*source.Status{ready, s, ready})
				if took := time.Since(began); took != tt.want {
					t.Errorf("%v, want %v", took, tt.want)
				}
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				source.Await(ctx, []*source.Status{source.New("c")})
				time.Sleep(2 * time.Hour) // until the other goroutine has ended
			})
		})
	}
}

// Who is not there is called again soon, unlike who is and refuses.
func TestAway(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }))
	call := func() error {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := call(); err == nil || source.Away(err) {
		t.Errorf("who hangs up: %v", err)
	}
	s.Close()
	if err := call(); err == nil || !source.Away(err) {
		t.Errorf("who is not there: %v", err)
	}
	if source.Away(io.EOF) {
		t.Error("the end of an answer")
	}
}
