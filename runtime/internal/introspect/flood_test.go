package introspect_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

func from(address string) *exchange.Exchange {
	return &exchange.Exchange{Client: netip.MustParseAddr(address)}
}

// A server that does not like some tokens is not away: whoever makes such up keeps
// nobody else out. What it does not judge is a 503 all the same.
func TestTokensThatAreNotJudged(t *testing.T) {
	for _, status := range []int{400, 413, 422} {
		s := newServer(t)
		s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.FormValue("token"), "odd") {
				w.WriteHeader(status)
				return
			}
			says(`{"active":true}`)(w, r)
		}))
		var log bytes.Buffer
		in := s.introspector(t, introspect.Server{}, introspect.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 20 {
			if _, err := in.Judge(from("192.0.2.1"), fmt.Append(nil, "odd", i), noon); code(err) != 503 {
				t.Errorf("%d: an odd token: %v", status, err)
			}
		}
		if _, err := in.Judge(from("192.0.2.2"), []byte("good"), noon); err != nil {
			t.Errorf("%d: somebody else: %v", status, err)
		}
		if n := strings.Count(log.String(), "does not say whether"); n != 1 || strings.Contains(log.String(), "odd") || strings.Contains(log.String(), "cannot be checked") {
			t.Errorf("%d: logged\n%s", status, log.String())
		}
	}
}

// Who is named in the body is told 400 and not 401 that he is not known. That is
// about the gateway, and everybody's failure.
func TestCredentialsRefused(t *testing.T) {
	for answer, refused := range map[string]bool{
		`{"error":"invalid_client"}`: true, `{"error":"unauthorized_client","error_description":"x"}`: true,
		`{"error":"invalid_request"}`: false, `{"error":7}`: false, `invalid_client`: false, ``: false,
	} {
		s := newServer(t)
		s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, answer)
		}))
		var log bytes.Buffer
		in := s.introspector(t, introspect.Server{}, introspect.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 10 {
			if _, err := in.Judge(from("192.0.2.1"), fmt.Append(nil, "t", i), noon); code(err) != 503 {
				t.Errorf("%s: %v", answer, err)
			}
		}
		if n := s.calls.Load(); n != map[bool]int64{true: 5, false: 10}[refused] || strings.Contains(log.String(), "own credentials") != refused {
			t.Errorf("%s: %d questions, logged\n%s", answer, n, log.String())
		}
	}
}

// Made-up tokens of one network wait for each other. Others' new tokens find
// room, and the server has no more to do than is allowed.
func TestFlood(t *testing.T) {
	s := newServer(t)
	var under, most atomic.Int64
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.FormValue("token"), "made-up") {
			says(`{"active":true}`)(w, r)
			return
		}
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		entered <- struct{}{}
		<-release
		under.Add(-1)
		says(`{"active":false}`)(w, r)
	}))
	in := s.introspector(t, introspect.Server{}, introspect.Options{Concurrent: 8, Timeout: 5 * time.Minute})
	if _, err := in.Judge(from("2001:db8:1:1::1"), []byte("known"), noon); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			// One network, whatever it chooses for the rest of its addresses.
			x := from(fmt.Sprintf("2001:db8:1:1::%x", i))
			if _, err := in.Judge(x, fmt.Append(nil, "made-up", i), noon); code(err) != 401 {
				t.Errorf("made up: %v", err)
			}
		})
	}
	for range 4 {
		<-entered
	}
	for i := range 20 {
		if _, err := in.Judge(from("2001:db8:1:2::1"), fmt.Append(nil, "new", i), noon); err != nil {
			t.Errorf("somebody else's new token: %v", err)
		}
	}
	if _, err := in.Judge(from("2001:db8:1:1::1"), []byte("known"), noon); err != nil {
		t.Errorf("a token that is known: %v", err)
	}
	close(release)
	wg.Wait()
	if n := most.Load(); n != 4 {
		t.Errorf("%d questions of one network at a time, want 4 of 8", n)
	}
}

// Whose tokens are all refused asks one at a time, until one is good.
func TestSuspect(t *testing.T) {
	s := newServer(t)
	bad, good := make(chan struct{}), make(chan struct{})
	endBad, endGood := sync.OnceFunc(func() { close(bad) }), sync.OnceFunc(func() { close(good) })
	defer endBad()
	defer endGood()
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.FormValue("token")
		switch {
		case strings.HasPrefix(token, "held-bad"):
			<-bad
		case strings.HasPrefix(token, "held-good"):
			<-good
		}
		says(fmt.Sprintf(`{"active":%t}`, strings.Contains(token, "good")))(w, r)
	}))
	in := s.introspector(t, introspect.Server{}, introspect.Options{Concurrent: 32, Timeout: 5 * time.Minute})
	var wg sync.WaitGroup
	burst := func(kind string, count int) {
		for i := range count {
			wg.Go(func() {
				if _, err := in.Judge(from("192.0.2.1"), fmt.Append(nil, kind, i), noon); code(err) == 503 {
					t.Error(err)
				}
			})
		}
	}
	waiting := func(want int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); in.Waiting(netip.MustParseAddr("192.0.2.1")) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait, want %d", in.Waiting(netip.MustParseAddr("192.0.2.1")), want)
			}
		}
	}
	burst("bad", 40)
	wg.Wait()
	burst("held-bad", 40)
	waiting(39)
	endBad()
	wg.Wait()
	if _, err := in.Judge(from("192.0.2.1"), []byte("good"), noon); err != nil {
		t.Fatal(err)
	}
	burst("held-good", 40)
	waiting(24) // beside the 16 of its share
	endGood()
	wg.Wait()
}

// Who has waited for a turn leaves the server less time. That it is not enough is
// not the server's failure, and does not have the others refused.
func TestWaitingIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Duration
		in, err := introspect.NewOver(timed(func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if len(times) == 0 {
				return 0
			}
			d := times[0]
			times = times[1:]
			return d
		}), introspect.Server{URL: "https://i/x", Auth: introspect.Bearer("x")}, introspect.Options{Timeout: time.Second, Concurrent: 8})
		if err != nil {
			t.Fatal(err)
		}
		const many = 8 // more than make an outage
		for range many {
			times = append(times, 400*time.Millisecond)
		}
		for range many {
			times = append(times, 700*time.Millisecond)
		}
		var wg sync.WaitGroup
		for i := range 2 * many {
			wg.Go(func() {
				_, err := in.Judge(from(fmt.Sprintf("192.0.2.%d", i%many)), fmt.Appendf(nil, "t%d", i), time.Now())
				if want := map[bool]int{true: 200, false: 503}[i < many]; code(err) != want {
					t.Errorf("question %d: %v, want %d", i, err, want)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if _, err := in.Judge(from("192.0.2.2"), []byte("new"), time.Now()); err != nil {
			t.Errorf("after that: %v", err)
		}
		// Who waits longer than half of the time goes.
		for i := range many {
			times = append(times, 900*time.Millisecond)
			go in.Judge(from(fmt.Sprintf("192.0.2.%d", i)), fmt.Appendf(nil, "slow%d", i), time.Now())
			synctest.Wait()
		}
		begin := time.Now()
		if _, err := in.Judge(from("192.0.2.3"), []byte("waits"), time.Now()); code(err) != 503 || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("waited %v: %v", time.Since(begin), err)
		}
		time.Sleep(time.Second)
	})
}

// timed answers yes after a time.
type timed func() time.Duration

func (f timed) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(f()):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"active":true}`))}, nil
}

// An answer may begin and never end: the time is over all the same.
func TestAnswerWithoutEnd(t *testing.T) {
	s := newServer(t)
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":true`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	in := s.introspector(t, introspect.Server{}, introspect.Options{Timeout: 200 * time.Millisecond})
	if _, err := in.Judge(from("192.0.2.1"), []byte("t"), noon); code(err) != 503 {
		t.Errorf("got %v", err)
	}
}

// A token that has just been revoked is asked about anew, and an answer from
// before that is not remembered.
func TestForget(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{}, introspect.Options{})
	judge := func(token string, want int) {
		t.Helper()
		if _, err := in.Judge(from("192.0.2.1"), []byte(token), noon); code(err) != want {
			t.Errorf("%s: %v, want %d", token, err, want)
		}
	}
	judge("a", 200)
	judge("b", 200)
	s.answer.Store(says(`{"active":false}`))
	judge("a", 200)
	in.Forget("a")
	in.Forget("of nobody")
	judge("a", 401)
	judge("b", 200)

	entered, release := make(chan struct{}), make(chan struct{})
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		says(`{"active":true}`)(w, r)
	}))
	early := make(chan error)
	go func() {
		_, err := in.Judge(from("192.0.2.1"), []byte("c"), noon)
		early <- err
	}()
	<-entered
	in.Forget("c")
	s.answer.Store(says(`{"active":false}`))
	judge("c", 401) // asks by itself
	close(release)
	if err := <-early; err != nil {
		t.Errorf("asked before: %v", err)
	}
	judge("c", 401)
}

// A key manager's answers are for an operation each, and all of a token's are
// forgotten.
func TestForgetOperations(t *testing.T) {
	var calls atomic.Int64
	s := keyManager(t, &calls, func(_, _, _, _, _ string) string { return validation(member("authorized", true)) })
	in := validator(t, s.URL+"/km")
	judge := func(want int64, token string, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if _, err := in.Judge(to("/a", "1", id), []byte(token), noon); err != nil {
				t.Error(err)
			}
		}
		if n := calls.Load(); n != want {
			t.Errorf("%d questions, want %d", n, want)
		}
	}
	judge(2, "x", "GET /", "PUT /", "GET /")
	judge(3, "y", "GET /")
	in.Forget("x")
	judge(5, "x", "GET /", "PUT /", "GET /")
	judge(5, "y", "GET /")
}

// Upstreams may be told what is named, and not whatever a server tells the gateway.
func TestClaims(t *testing.T) {
	s := newServer(t)
	s.answer.Store(says(`{"active":true,"iss":"https://i","internal":{"risk":7},"scope":"a b","client_id":"app","username":"alice","email":"a@b.test","groups":["x"],"nothing":null,"Email":"x"}`))
	for want, names := range map[string][]string{
		`{"scope":"a b","client_id":"app","username":"alice"}`:                                     nil,
		`{"scope":"a b","client_id":"app","username":"alice","groups":["x"],"email":"a@b.test"}`:   {"groups", "email", "scope", "nothing", "absent", "groups"},
		`{"scope":"a b","client_id":"app","username":"alice","internal":{"risk":7},"active":true}`: {"internal", "active"},
	} {
		in := s.introspector(t, introspect.Server{Claims: names}, introspect.Options{NoCache: true})
		p, err := in.Judge(from("192.0.2.1"), []byte("t"), noon)
		if err != nil || string(p.Claims) != want {
			t.Errorf("%q: got %s, %v", names, p.Claims, err)
		}
	}
}

// Those whose own token is refused at one time fetch one new one, not one each.
func TestCredentialsTakenBackTogether(t *testing.T) {
	const many = 8
	var fetched, refused atomic.Int64
	together := make(chan struct{})
	idp := newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			says(fmt.Sprintf(`{"access_token":"own-%d"}`, fetched.Add(1)))(w, r)
			return
		}
		if r.Header.Get("Authorization") == "Bearer own-1" && r.FormValue("token") != "first" {
			if refused.Add(1) == many {
				close(together)
			}
			<-together
			w.WriteHeader(401)
			return
		}
		says(`{"active":true}`)(w, r)
	})
	auth, err := introspect.ClientCredentials(nil, idp+"/token", introspect.ClientSecretPost("gw", "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	in, err := introspect.New(introspect.Server{URL: idp, Auth: auth}, introspect.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Judge(from("192.0.2.1"), []byte("first"), noon); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if _, err := in.Judge(from("192.0.2.1"), fmt.Append(nil, "t", i), noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fetched.Load(); n != 2 {
		t.Errorf("fetched %d times, want 2", n)
	}
}

func newIDP(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
