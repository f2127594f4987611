package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const clean = `Running 1s test @ http://127.0.0.1:8101/petstore/v1/pet/42
  1 threads and 64 connections
  29876 requests in 1.00s, 40.02MB read
Requests/sec:  29799.23
`
	for _, tt := range []struct {
		name, out        string
		requests, errors int
		fails            bool
	}{
		{"clean", clean, 29876, 0, false},
		{"errors", clean + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n", 29876, 110, false},
		{"nothing", "unable to connect\n", 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests, errors, err := parseWrk(tt.out)
			if requests != tt.requests || errors != tt.errors || (err != nil) != tt.fails {
				t.Errorf("got %d, %d, %v", requests, errors, err)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for f, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 3, 0.75: 4, 1: 5} {
		if got := quantile(values, f); got != want {
			t.Errorf("%v: got %v, want %v", f, got, want)
		}
	}
	if got := quantile([]time.Duration(nil), 0.5); got != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestProc(t *testing.T) {
	pid := os.Getpid()
	if n, err := rss(pid); err != nil || n < 1<<20 {
		t.Errorf("rss: got %d, %v", n, err)
	}
	if d, err := cpuTime(pid); err != nil || d < 0 {
		t.Errorf("cpuTime: got %v, %v", d, err)
	}
	if exited(pid) {
		t.Error("this process has ended, it is said")
	}
}

func TestToken(t *testing.T) {
	issued, err := newTokens(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{issued.good, issued.revoked} {
		if got := verifyAlone(token, issued.publicKey); got <= 0 {
			t.Errorf("the token's signature is not valid: %v", got)
		}
	}
}

func TestParseLatency(t *testing.T) {
	for line, want := range map[string]float64{"     99%  812.00us": 812, "     99%    1.50ms": 1500, "     99%    2.00s": 2e6, "     90%    1.50ms": 0} {
		got, err := parseLatency("  Latency Distribution\n" + line + "\n  10 requests in 1.00s, 1KB read\n")
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v; want %v", line, got, err, want)
		}
	}
}

func TestBodyIsOneKiB(t *testing.T) {
	if len(body) != 1024 {
		t.Errorf("got %d bytes", len(body))
	}
}

func TestAllocated(t *testing.T) {
	s := &server{logPath: filepath.Join(t.TempDir(), "log")}
	err := os.WriteFile(s.logPath, []byte(`level=INFO msg="gateway started"
gc 1 @0.007s 0%: 0.026+1.3+0.003 ms clock, 0.026+0.41/0.38/0+0.003 ms cpu, 3->3->3 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 1 P
gc 2 @1.007s 0%: 0.026+1.3+0.003 ms clock, 0.026+0.41/0.38/0+0.003 ms cpu, 3->3->3 MB, 6 MB goal, 0 MB stacks, 0 MB globals, 1 P
gc 3 @121.0s 0%: 0.026+1.3+0.003 ms clock, 0.026+0.41/0.38/0+0.003 ms cpu, 3->3->3 MB, 6 MB goal, 0 MB stacks, 0 MB globals, 1 P (forced)
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.allocated(), int64(10<<20); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
