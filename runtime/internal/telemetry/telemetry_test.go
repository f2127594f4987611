package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/telemetry"
)

var began = time.Date(2025, 3, 1, 10, 20, 30, 123_456_789, time.UTC)

// example is an exchange in which every part of a record is set.
func example() *exchange.Exchange {
	x := &exchange.Exchange{
		Method: []byte("GET"), Proto: exchange.HTTP11,
		Target: []byte("/v1/pet/7?token=s3cret"), Path: []byte("/v1/pet/7"), Query: []byte("token=s3cret"), HasQuery: true,
		Peer:   netip.MustParseAddrPort("10.0.0.9:4711"),
		Client: netip.MustParseAddr("192.0.2.7"),
		Route:  &exchange.Route{ID: "GET /pet/{petId}", API: "Petstore", APIVersion: "1.0.0", BasePath: "/v1"},
		Status: 401, Fault: fault.InvalidCredentials,
		Start: began, Endpoint: "10.1.1.1:8080", Attempts: 2, Received: 12, Sent: 146,
	}
	x.Request.Add([]byte("Authorization"), []byte("Bearer s3cret"))
	x.Request.Add([]byte("Cookie"), []byte("session=s3cret"))
	x.Request.Add([]byte("User-Agent"), []byte("curl/8.0"))
	x.Request.Add([]byte("Referer"), []byte("https://example.com/page?code=s3cret#s3cret"))
	return x
}

func open(t testing.TB, o telemetry.AccessLogOptions) *telemetry.AccessLog {
	t.Helper()
	l, err := telemetry.NewAccessLog(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// logged returns what is written for one exchange.
func logged(t testing.TB, f telemetry.Format, x *exchange.Exchange) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, telemetry.AccessLogOptions{Path: path, Format: f})
	l.Log(x, began.Add(1234567*time.Nanosecond))
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

func TestCombined(t *testing.T) {
	got := logged(t, telemetry.Combined, example())
	want := `192.0.2.7 - - [01/Mar/2025:10:20:30 +0000] "GET /v1/pet/7 HTTP/1.1" 401 146 "https://example.com/page" "curl/8.0"` + "\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got = logged(t, telemetry.Combined, &exchange.Exchange{Status: 400, Peer: netip.MustParseAddrPort("[2001:db8::1]:1")})
	if want = `2001:db8::1 - - [01/Mar/2025:10:20:30 +0000] "-" 400 0 "-" "-"` + "\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	got := logged(t, telemetry.JSON, example())
	want := `{"time":"2025-03-01T10:20:30.124Z","client":"192.0.2.7","method":"GET","path":"/v1/pet/7","proto":"HTTP/1.1","status":401,` +
		`"bytes_in":12,"bytes_out":146,"api":"Petstore","route":"GET /pet/{petId}","code":900901,"origin":"client","endpoint":"10.1.1.1:8080",` +
		`"attempts":2,"dur_ms":1.234,"user_agent":"curl/8.0","referer":"https://example.com/page"}` + "\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got = logged(t, telemetry.JSON, &exchange.Exchange{Status: 400, Start: began})
	want = `{"time":"2025-03-01T10:20:30.124Z","client":"-","method":"","path":"-","proto":"HTTP/1.0","status":400,` +
		`"bytes_in":0,"bytes_out":0,"api":"","route":"","code":0,"origin":"","endpoint":"","attempts":0,"dur_ms":1.234,"user_agent":"","referer":""}` + "\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Whatever a client sends, a request is one line of printable ASCII, and what
// it sent as a secret is not in it.
func TestHostileValues(t *testing.T) {
	hostile := []string{
		"\n127.0.0.1 - - [forged] \"GET /", "\r\n", "\x00", "\x1b[2J", `"`, `\`, `\"`, "\u2028", "\u202e", "é", "😀", "\xff\xfe",
		strings.Repeat("\n", 20000), strings.Repeat("a", 20000),
	}
	for _, format := range []telemetry.Format{telemetry.Combined, telemetry.JSON} {
		for _, h := range hostile {
			x := example()
			x.Method, x.Path = []byte(h), []byte("/"+h)
			x.Endpoint, x.Route = h, &exchange.Route{ID: h, API: h}
			x.Client, _ = netip.ParseAddr("fe80::1%" + "\n\"forged")
			x.Request.Reset()
			x.Request.Add([]byte("user-agent"), []byte(h))
			x.Request.Add([]byte("referer"), []byte(h))
			checkLine(t, format, logged(t, format, x))
		}
	}
}

func checkLine(t *testing.T, format telemetry.Format, line string) {
	t.Helper()
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Fatalf("not one line: %q", line)
	}
	for _, c := range []byte(line[:len(line)-1]) {
		if c < 0x20 || c > 0x7e {
			t.Fatalf("byte %#x in %q", c, line)
		}
	}
	if strings.Contains(line, "s3cret") {
		t.Fatalf("secret in %q", line)
	}
	if format == telemetry.JSON {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if len(v) != 17 {
			t.Fatalf("%d keys in %q", len(v), line)
		}
	} else if n := strings.Count(line, `"`); n != 6 {
		t.Fatalf("%d quotes in %q", n, line)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("GET"), []byte("/a?b"), []byte("curl"), []byte("http://u:s3cret@h/"))
	f.Add([]byte("\""), []byte("http://u:s3cret@h/"), []byte("\\"), []byte("\xf0\x9f\x98\x80"))
	path := filepath.Join(f.TempDir(), "access.log")
	logs := map[telemetry.Format]*telemetry.AccessLog{}
	for _, format := range []telemetry.Format{telemetry.Combined, telemetry.JSON} {
		logs[format] = open(f, telemetry.AccessLogOptions{Path: path, Format: format})
	}
	f.Fuzz(func(t *testing.T, method, target, agent, ref []byte) {
		for format, l := range logs {
			x := &exchange.Exchange{Method: method, Target: target, Start: began}
			x.Request.Add([]byte("User-Agent"), agent)
			x.Request.Add([]byte("Referer"), ref)
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			l.Log(x, began)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			line := read(t, path)
			if bytes.Contains(append(append(method, agent...), ref...), []byte("s3cret")) || bytes.HasPrefix(target, []byte("/")) {
				line = strings.ReplaceAll(line, "s3cret", "") // sent where it may be written
			}
			checkLine(t, format, line)
		}
	})
}

// Parts of a message that may hold credentials are never written.
func TestSecretsAreLeftOut(t *testing.T) {
	for _, format := range []telemetry.Format{telemetry.Combined, telemetry.JSON} {
		for _, tt := range []struct{ target, referer string }{
			{"/a?key=s3cret", ""},
			{"/a#s3cret", ""},
			{"http://user:s3cret@host/a", ""},
			{"s3cret@host:443", ""},
			{"?s3cret", ""},
			{"/a", "https://user:s3cret@example.com/"},
			{"/a", "https://example.com/?s3cret"},
			{"/a", "https://example.com/#s3cret"},
		} {
			x := example()
			x.Path, x.Target = nil, []byte(tt.target)
			x.Request.Delete("referer")
			x.Request.Add([]byte("Referer"), []byte(tt.referer))
			x.Principal = &exchange.Principal{Subject: "s3cret", Username: "s3cret", TokenID: "s3cret", Claims: []byte("s3cret")}
			checkLine(t, format, logged(t, format, x))
		}
	}
}

func TestWrittenWithinASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l, err := telemetry.NewAccessLog(telemetry.AccessLogOptions{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for round := 1; round <= 3; round++ {
			l.Log(example(), began)
			time.Sleep(time.Second / 2)
			l.Log(example(), began)
			time.Sleep(time.Second/2 + time.Millisecond)
			synctest.Wait()
			if got, want := strings.Count(read(t, path), "\n"), 2*round; got != want {
				t.Fatalf("a second after the first line: %d lines, want %d", got, want)
			}
			time.Sleep(10 * time.Second) // idle in between
		}
	})
}

func TestCloseWritesTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, telemetry.AccessLogOptions{Path: path})
	const workers, each = 8, 500
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			x := example()
			for range each {
				l.Log(x, began)
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := read(t, path)
	if n := uint64(strings.Count(got, "\n")) + l.Dropped(); n != workers*each {
		t.Errorf("%d lines written or dropped, want %d", n, workers*each)
	}
	one := strings.SplitAfter(got, "\n")[0]
	if strings.ReplaceAll(got, one, "") != "" {
		t.Error("some lines are torn")
	}
	if err := l.Flush(); err == nil {
		t.Error("Flush after Close: no error")
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestReopenFollowsRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l := open(t, telemetry.AccessLogOptions{Path: path})
	l.Log(example(), began)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Log(example(), began)
	l.Log(example(), began)
	l.Flush()
	if a, b := strings.Count(read(t, path+".1"), "\n"), strings.Count(read(t, path), "\n"); a != 1 || b != 2 {
		t.Errorf("%d lines in the old file and %d in the new one, want 1 and 2", a, b)
	}

	// The name cannot be opened: the open file goes on.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("Reopen of a folder: no error")
	}
	l.Log(example(), began)
	l.Flush()
	if n := strings.Count(read(t, path+".2"), "\n"); n != 3 {
		t.Errorf("%d lines in the old file, want 3", n)
	}
}

func TestCannotBeOpened(t *testing.T) {
	_, err := telemetry.NewAccessLog(telemetry.AccessLogOptions{Path: filepath.Join(t.TempDir(), "no", "such", "folder")})
	if err == nil || !strings.HasPrefix(err.Error(), "access log: open ") {
		t.Errorf("got %v", err)
	}
}

// A full disk costs lines, which are counted, and one warning.
func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	var warnings bytes.Buffer
	l := open(t, telemetry.AccessLogOptions{Path: "/dev/full", Logger: slog.New(slog.NewTextHandler(&warnings, nil))})
	for range 3 {
		l.Log(example(), began)
		l.Log(example(), began)
		if err := l.Flush(); err == nil {
			t.Error("Flush: no error")
		}
	}
	l.Close()
	if got := l.Dropped(); got != 6 {
		t.Errorf("dropped %d, want 6", got)
	}
	if n := strings.Count(warnings.String(), "\n"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, &warnings)
	}
	if !regexp.MustCompile(`level=WARN msg="access log: .* goes on" error=".*no space left on device" dropped=[12]$`).MatchString(strings.TrimSpace(warnings.String())) {
		t.Errorf("got %s", &warnings)
	}
}

// A file that takes nothing (here a pipe nobody reads) does not stop requests.
func TestStuckFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, telemetry.AccessLogOptions{Path: path})
	x := example()
	for deadline := time.Now().Add(30 * time.Second); l.Dropped() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was dropped")
		}
		l.Log(x, began)
	}
	// Now it takes them: the writer gets free and Close finds it idle.
	go func() {
		b := make([]byte, 1<<16)
		for {
			if _, err := reader.Read(b); err != nil {
				return
			}
		}
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	reader.Close()
}

func TestLogDoesNotAllocate(t *testing.T) {
	for _, f := range []telemetry.Format{telemetry.Combined, telemetry.JSON} {
		l := open(t, telemetry.AccessLogOptions{Path: os.DevNull, Format: f})
		x, end := example(), began
		if n := testing.AllocsPerRun(2000, func() { end = end.Add(time.Millisecond); l.Log(x, end) }); n != 0 {
			t.Errorf("format %d: %v allocations a line", f, n)
		}
	}
}

func TestCounters(t *testing.T) {
	c := telemetry.NewCounters()
	r := c.Routes([]string{"a", "b"})
	x := example()
	end := x.Start.Add(time.Second)
	for _, status := range []int{200, 204, 302, 404, 503, 101, 0, 999} {
		x.Status = status
		r.Observe(x, 1, end)
	}
	r.Observe(x, -1, end)
	r.Observe(x, 2, end)
	got := r.Snapshot()
	want := telemetry.Count{Status: [5]uint64{1, 2, 1, 3, 1}, Time: 8 * time.Second, Received: 8 * 12, Sent: 8 * 146}
	if len(got) != 2 || got[0] != (telemetry.Count{}) || got[1] != want {
		t.Errorf("got %+v, want nothing and %+v", got, want)
	}
	if n := got[1].Requests(); n != 8 {
		t.Errorf("%d requests, want 8", n)
	}

	// A new table in another order: what stays goes on counting, also for
	// requests that still use the old table.
	next := c.Routes([]string{"new", "b"})
	r.Observe(x, 1, end)
	next.Observe(x, 1, end)
	if got := next.Snapshot(); got[0].Requests() != 0 || got[1].Requests() != 10 {
		t.Errorf("after the swap: %+v", got)
	}
	matched, unmatched := c.Totals()
	if matched.Requests() != 10 || unmatched.Requests() != 2 {
		t.Errorf("totals %d and %d, want 10 and 2", matched.Requests(), unmatched.Requests())
	}
}

func TestCountersTogether(t *testing.T) {
	c := telemetry.NewCounters()
	const workers, each, routes = 8, 1000, 3
	r := c.Routes([]string{"a", "b", "c"})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			x := example()
			for range each {
				r.Observe(x, rand.IntN(routes+1)-1, began)
			}
		})
	}
	wg.Wait()
	matched, unmatched := c.Totals()
	if n := matched.Requests() + unmatched.Requests(); n != workers*each {
		t.Errorf("counted %d, want %d", n, workers*each)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	r := telemetry.NewCounters().Routes([]string{"a"})
	x := example()
	if n := testing.AllocsPerRun(1000, func() { r.Observe(x, 0, began) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLog(b *testing.B) {
	for _, f := range []struct {
		name   string
		format telemetry.Format
	}{{"combined", telemetry.Combined}, {"json", telemetry.JSON}} {
		b.Run(f.name, func(b *testing.B) {
			l := open(b, telemetry.AccessLogOptions{Path: os.DevNull, Format: f.format})
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				x, end := example(), began
				for i := 0; p.Next(); i++ {
					l.Log(x, end)
					if i%64 == 0 {
						runtime.Gosched() // as I/O does; else the writer starves
					}
				}
			})
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	r := telemetry.NewCounters().Routes([]string{"a"})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		x, end := example(), began.Add(time.Millisecond)
		for p.Next() {
			r.Observe(x, 0, end)
		}
	})
}
