package examples

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that takes milliseconds.
const patience = 2 * time.Minute

// A program is one of ours, running.
type program struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // after done

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// Write takes what the program prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start starts a program in dir. The test ends it.
func start(t *testing.T, dir, name string, args ...string) *program {
	t.Helper()
	return startAt(t, dir, filepath.Join(binaries(t), name), args...)
}

// startAt starts any program.
func startAt(t *testing.T, dir, path string, args ...string) *program {
	t.Helper()
	name := filepath.Base(path)
	p := &program{t: t, name: name, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.output())
		}
	})
	return p
}

// stop asks the program to end and expects exit code 0.
func (p *program) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not stop", p.name)
	}
	if p.err != nil {
		p.t.Errorf("%s: %v", p.name, p.err)
	}
}

// await waits until ok says so.
func (p *program) await(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended while the test waited for %s: %v\n%s", p.name, what, p.err, p.output())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: no %s\n%s", p.name, what, p.output())
		}
	}
}

// listening waits until the program accepts on a port of 127.0.0.1.
func (p *program) listening(port string) *program {
	p.t.Helper()
	p.await("listener on port "+port, func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return p
}

// must runs a program to its end and returns its standard output.
func must(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.Command(filepath.Join(binaries(t), name), args...)
	c.Dir, c.Stdout, c.Stderr = dir, &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// port returns a port that is free now, and that no other test gets before this
// one ends.
func port(t *testing.T) string {
	t.Helper()
	// As in pkg/testport, which see: this module stands alone. Below the range
	// that the kernel gives away to whoever connects or listens, and with the UDP
	// port as a sign for other tests.
	for range 1000 {
		p := strconv.Itoa(10000 + rand.IntN(22000))
		sign, err := net.ListenPacket("udp", "127.0.0.1:"+p)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+p); err == nil {
			l.Close()
			t.Cleanup(func() { sign.Close() })
			return p
		}
		sign.Close()
	}
	t.Fatal("no free port on 127.0.0.1")
	return ""
}

// An answer is what a call came to.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes a request with an optional bearer token.
func call(t *testing.T, method, url, token, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// write writes a file below dir.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// local are the arguments that keep a runtime to itself.
func local(httpPort string, more ...string) []string {
	return append([]string{
		"-e", "listenerConfig.host=127.0.0.1", "-e", "listenerConfig.httpPort=" + httpPort,
		"-e", "listenerConfig.httpsPort=0", "-e", "admin.address=127.0.0.1:0", "-e", "accessLog.path=access.log",
	}, more...)
}
