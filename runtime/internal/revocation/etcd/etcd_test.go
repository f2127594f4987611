package etcd_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/revocation/etcd"
)

const patience = time.Minute

// fake is an etcd that lies, is slow or forgets, as it is told.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []string // of /jti/, sorted
	base    string
	calls   map[string]int
	answer  func(path string, in map[string]any, w http.ResponseWriter) bool // true: answered
	watches chan string                                                      // what a watch says; closed: it ends
}

func newFake(t *testing.T) *fake {
	f := &fake{base: "/v3", calls: map[string]int{}, watches: make(chan string, 10)}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, f.base)
	if !ok {
		http.NotFound(w, r)
		return
	}
	d := json.NewDecoder(r.Body)
	var in map[string]any
	_ = d.Decode(&in)
	_, _ = io.Copy(io.Discard, r.Body)
	f.mu.Lock()
	f.calls[path]++
	keys, answer := slices.Clone(f.keys), f.answer
	f.mu.Unlock()
	if answer != nil && answer(path, in, w) {
		return
	}
	const header = `"header":{"revision":"7"}`
	switch path {
	case "/kv/range":
		first, _ := base64.StdEncoding.DecodeString(in["key"].(string))
		limit := int(in["limit"].(float64))
		var kvs []string
		more := false
		for _, k := range keys {
			if !strings.HasPrefix(string(first), "/jti/") || k < string(first) {
				continue
			}
			if len(kvs) == limit {
				more = true
				break
			}
			kvs = append(kvs, fmt.Sprintf(`{"key":%q,"lease":"5","mod_revision":"3"}`, base64.StdEncoding.EncodeToString([]byte(k))))
		}
		fmt.Fprintf(w, `{%s,"kvs":[%s],"more":%v}`, header, strings.Join(kvs, ","), more)
	case "/lease/timetolive":
		fmt.Fprintf(w, `{%s,"ID":"5","TTL":"600"}`, header)
	case "/watch":
		for _, id := range []string{"0", "1"} {
			fmt.Fprintf(w, `{"result":{%s,"watch_id":%q,"created":true}}`+"\n", header, id)
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case s, ok := <-f.watches:
				if !ok || s == "" {
					return
				}
				io.WriteString(w, s+"\n")
				w.(http.Flusher).Flush()
			}
		}
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[path]
}

func put(id, key string, revision int) string {
	return fmt.Sprintf(`{"result":{"header":{"revision":"%d"},"watch_id":%q,"events":[{"kv":{"key":%q,"lease":"5","mod_revision":"%d"}}]}}`,
		revision, id, base64.StdEncoding.EncodeToString([]byte(key)), revision)
}

// known is what a source has told.
type known struct {
	mu   sync.Mutex
	ends map[string]time.Time
	log  bytes.Buffer
	s    *etcd.Source
	stop func()
}

func (k *known) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.Write(p)
}

func (k *known) logged() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.log.String()
}

func (k *known) end(id string) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if end, ok := k.ends[id]; ok {
		return time.Until(end)
	}
	return 0
}

func run(t *testing.T, o etcd.Options) *known {
	t.Helper()
	k := &known{ends: map[string]time.Time{}}
	o.Log = slog.New(slog.NewTextHandler(k, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Revoke = func(id string, until, now time.Time) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		if until.After(k.ends[id]) {
			k.ends[id] = until
		}
		return true
	}
	s, err := etcd.New(o)
	if err != nil {
		t.Fatal(err)
	}
	k.s = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	k.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(k.stop)
	return k
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// Pages, leases, a lost watch that goes on where it was, and history that is gone.
func TestFollow(t *testing.T) {
	f := newFake(t)
	for i := range 2500 {
		f.keys = append(f.keys, "/jti/"+fmt.Sprintf("%05d", i))
	}
	from := make(chan string, 100)
	f.answer = func(path string, in map[string]any, _ http.ResponseWriter) bool {
		if path == "/watch" {
			from <- in["create_request"].(map[string]any)["start_revision"].(string)
		}
		return false
	}
	k := run(t, etcd.Options{URL: f.URL + "/v2/keys/jti/"})
	until(t, "connected", func() bool { return k.s.State().Connected })
	for _, id := range []string{"00000", "02499"} {
		if d := k.end(id); d < 9*time.Minute || d > 11*time.Minute {
			t.Errorf("%s ends in %v", id, d)
		}
	}
	if got := <-from; got != "8" {
		t.Errorf("watched from %s", got)
	}
	until(t, "the ends are known", func() bool { return strings.Contains(k.logged(), "it is known when each of them ends") })
	f.watches <- put("0", "/jti/new", 20)
	until(t, "a change", func() bool { return k.end("new") > 0 })
	f.watches <- `{"result":{"header":{"revision":"30"},"watch_id":"0"}}` // nothing new up to here
	f.watches <- ""
	if got := <-from; got != "31" {
		t.Errorf("watched again from %s", got)
	}
	until(t, "connected again", func() bool { return strings.Contains(k.logged(), "connection to etcd is restored") })
	before := f.count("/kv/range")
	f.watches <- `{"result":{"header":{"revision":"40"},"watch_id":"0","canceled":true,"compact_revision":"39"}}`
	if got := <-from; got != "8" || f.count("/kv/range") < before+3 {
		t.Errorf("after a compaction watched from %s, %d pages", got, f.count("/kv/range")-before)
	}
}

// Leases that nobody tells the end of do not let anybody in: neither of the keys
// that were there, whichever their page, nor of one that is put later.
func TestLeasesFail(t *testing.T) {
	f := newFake(t)
	for i := range 2500 {
		f.keys = append(f.keys, fmt.Sprintf("/jti/%05d", i))
	}
	var fails atomic.Bool
	fails.Store(true)
	f.answer = func(path string, _ map[string]any, w http.ResponseWriter) bool {
		if fails.Load() && (path == "/lease/timetolive" || path == "/kv/lease/timetolive") {
			http.Error(w, `{"message":"etcdserver: request timed out"}`, 503)
			return true
		}
		return false
	}
	k := run(t, etcd.Options{URL: f.URL + "/jti"})
	for _, id := range []string{"00000", "00999", "01000", "02499"} {
		until(t, id+" is known for long", func() bool { return k.end(id) > 10*time.Hour })
	}
	until(t, "said", func() bool { return strings.Contains(k.s.State().Error+k.logged(), "request timed out") })
	fails.Store(false)
	until(t, "the ends are known", func() bool { return strings.Contains(k.logged(), "it is known when each of them ends") })
	fails.Store(true)
	f.watches <- put("0", "/jti/new", 20)
	until(t, "the new one is known for long", func() bool { return k.end("new") > 10*time.Hour })
}

// Who is revoked while etcd is slow to tell the ends is refused at once, and
// until they are known.
func TestPutsDoNotWait(t *testing.T) {
	f := newFake(t)
	told := make(chan struct{})
	tell := sync.OnceFunc(func() { close(told) })
	t.Cleanup(tell)
	f.answer = func(path string, _ map[string]any, _ http.ResponseWriter) bool {
		if path == "/lease/timetolive" {
			<-told
		}
		return false
	}
	k := run(t, etcd.Options{URL: f.URL + "/jti/"})
	all := func(over time.Duration) func() bool {
		return func() bool {
			for i := range 200 {
				if k.end(fmt.Sprint("new-", i)) <= over {
					return false
				}
			}
			return true
		}
	}
	go func() {
		for i := range 200 {
			f.watches <- put("0", fmt.Sprint("/jti/new-", i), 20+i)
		}
	}()
	until(t, "all are known", all(0))
	tell()
	until(t, "their ends, too", all(5*time.Minute))
}

// A start that waits is told after each page that it goes on, and after the leases
// of a page, too.
func TestStepsWhileLeasesAreRead(t *testing.T) {
	f := newFake(t)
	for i := range 1500 {
		f.keys = append(f.keys, fmt.Sprintf("/jti/%05d", i))
	}
	var lease atomic.Pointer[time.Time]
	sources, stepped := make(chan *etcd.Source, 1), make(chan bool, 1)
	var once sync.Once
	f.answer = func(path string, in map[string]any, _ http.ResponseWriter) bool {
		switch path {
		case "/lease/timetolive":
			now := time.Now()
			lease.Store(&now)
		case "/kv/range":
			if first, _ := base64.StdEncoding.DecodeString(in["key"].(string)); strings.HasPrefix(string(first), "/jti/0") { // the second page
				once.Do(func() { stepped <- lease.Load() != nil && (<-sources).Stepped().After(*lease.Load()) })
			}
		}
		return false
	}
	k := run(t, etcd.Options{URL: f.URL + "/jti/"})
	sources <- k.s
	select {
	case ok := <-stepped:
		if !ok {
			t.Error("not after the leases")
		}
	case <-time.After(patience):
		t.Fatal("there was no second page")
	}
}

// An older etcd has the API elsewhere.
func TestOldVersion(t *testing.T) {
	f := newFake(t)
	f.base, f.keys = "/v3beta", []string{"/jti/a"}
	k := run(t, etcd.Options{URL: f.URL + "/jti/"})
	until(t, "connected", func() bool { return k.s.State().Connected && k.end("a") > 0 })
}

// Whatever answers: the source says what is the matter and goes on trying, and
// neither user nor password are in what it says.
func TestLies(t *testing.T) {
	for name, tt := range map[string]struct {
		path, answer string
		status       int
		want         string
	}{
		"HTML":                 {"/kv/range", "<html>", 200, "invalid character"},
		"no revision":          {"/kv/range", "{}", 200, "without a revision"},
		"error":                {"/kv/range", `{"error":"etcdserver: no leader"}`, 503, "no leader"},
		"pages without end":    {"/kv/range", `{"header":{"revision":"7"},"kvs":[{"key":"AA=="}],"more":true}`, 200, "do not go on"},
		"watch of nothing":     {"/watch", `{"result":{"header":{"revision":"7"},"watch_id":"9","events":[]}}`, 200, "not asked for"},
		"watch that is denied": {"/watch", `{"result":{"canceled":true,"cancel_reason":"permission denied"}}`, 200, "permission denied"},
		"watch that ends":      {"/watch", ``, 200, "EOF"},
		"a wrong password":     {"/auth/authenticate", `{"message":"authentication failed, invalid user ID or password"}`, 400, "authentication failed"},
		"redirect":             {"/kv/range", ``, 302, "etcd answers 302"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.answer = func(path string, _ map[string]any, w http.ResponseWriter) bool {
				if path == "/auth/authenticate" && tt.path != path {
					http.Error(w, `{"error":"etcdserver: authentication is not enabled"}`, 400)
					return true
				}
				if path != tt.path {
					return false
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.answer)
				return true
			}
			k := run(t, etcd.Options{URL: f.URL + "/jti/", Username: "user-1", Password: "secret-1"})
			until(t, tt.want, func() bool { return strings.Contains(k.logged(), tt.want) })
			until(t, "tried again", func() bool { return f.count(tt.path) > 1 })
			if strings.Contains(k.logged()+k.s.State().Error, "secret-1") {
				t.Error("the password is told")
			}
			<-k.s.Tried()
		})
	}
}

// A file is read whatever has become of it, and what can be read of it counts.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "revoked")
	later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	nobody := "http://127.0.0.1:1"
	const head = "micro-gw revoked tokens 1\n"
	for name, tt := range map[string]struct {
		data string
		want []string
		warn bool
	}{
		"whole":       {head + later + ` "a"` + "\n" + later + ` "b \" \n"` + "\n1 \"old\"\nend 3\n", []string{"a", "b \" \n"}, false},
		"cut short":   {head + later + ` "a"` + "\n" + later + ` "b`, []string{"a"}, true},
		"no last":     {head + later + ` "a"` + "\n", []string{"a"}, true},
		"other count": {head + later + ` "a"` + "\nend 7\n", []string{"a"}, true},
		"another's":   {"hello\n", nil, true},
		"empty":       {"", nil, true},
	} {
		if err := os.WriteFile(path, []byte(tt.data), 0o600); err != nil {
			t.Fatal(err)
		}
		k := run(t, etcd.Options{URL: nobody, Snapshot: path})
		<-k.s.Tried()
		k.stop()
		var got []string
		for id := range k.ends {
			got = append(got, id)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) || strings.Contains(k.logged(), "cannot be read whole") != tt.warn {
			t.Errorf("%s: %q\n%s", name, got, k.logged())
		}
	}
	// Without etcd it stays as it is; with etcd it becomes what etcd has, and what
	// comes later is put into it.
	good := head + later + " \"a\"\nend 1\n"
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	k := run(t, etcd.Options{URL: nobody, Snapshot: path})
	<-k.s.Tried()
	if k.s.State().Snapshot.IsZero() {
		t.Error("its age is not told")
	}
	k.stop()
	if data, _ := os.ReadFile(path); string(data) != good {
		t.Errorf("%s", data)
	}
	f := newFake(t)
	f.keys = []string{"/jti/x", "/jti/y"}
	k = run(t, etcd.Options{URL: f.URL + "/jti/", Snapshot: path})
	until(t, "written", func() bool { data, _ := os.ReadFile(path); return strings.Contains(string(data), `"y"`) })
	f.watches <- put("0", "/jti/z", 20)
	f.watches <- `{"result":{"header":{"revision":"21"},"watch_id":"0","events":[{"type":"DELETE","kv":{"key":"` +
		base64.StdEncoding.EncodeToString([]byte("/jti/x")) + `","mod_revision":"21"}}]}}`
	until(t, "both changes", func() bool { return k.s.State().Messages == 2 })
	k.stop()
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), `"x"`) || strings.Contains(string(data), `"a"`) || !strings.Contains(string(data), `"y"`) || !strings.Contains(string(data), `"z"`) || !strings.HasSuffix(string(data), "\nend 2\n") {
		t.Errorf("%v %s", err, data)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

// What has come before everything was read again does not change what was read.
func TestSnapshotOfWhatIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revoked")
	f := newFake(t)
	f.keys = []string{"/jti/x"}
	k := run(t, etcd.Options{URL: f.URL + "/jti/", Snapshot: path})
	const known = "it is known when each of them ends"
	until(t, "read", func() bool { return strings.Contains(k.logged(), known) })
	f.watches <- `{"result":{"header":{"revision":"8"},"watch_id":"0","events":[{"type":"DELETE","kv":{"key":"` +
		base64.StdEncoding.EncodeToString([]byte("/jti/x")) + `","mod_revision":"8"}}]}}`
	until(t, "deleted", func() bool { return k.s.State().Messages == 1 })
	// It is put again while nobody listens, and that is history.
	f.watches <- `{"result":{"header":{"revision":"40"},"watch_id":"0","canceled":true,"compact_revision":"39"}}`
	until(t, "read again", func() bool { return strings.Count(k.logged(), known) == 2 })
	k.stop()
	if data, err := os.ReadFile(path); err != nil || !strings.Contains(string(data), `"x"`) {
		t.Errorf("%v %s", err, data)
	}
}
