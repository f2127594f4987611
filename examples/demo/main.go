// Command demo shows the main job from beginning to end, with the two programs
// as a user would call them: it makes a petstore project from the bundled
// definition, builds its artifact, starts a mock upstream and the runtime, and
// calls the API with and without a token.
//
// Usage: demo [-bin DIR] [-keep]
//
// With -keep everything goes on until Ctrl-C. Exit code 1 if anything, an
// answer's status included, is not as it should be.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "folder with micro-gw and runtime")
	keep := flag.Bool("keep", false, "leave everything running until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *keep, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is one run.
type demo struct {
	bin, dir string
	out      io.Writer
	procs    []*process
}

func run(ctx context.Context, bin string, keep bool, out io.Writer) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "micro-gw-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{bin: bin, dir: dir, out: out}
	defer func() {
		for i := len(d.procs) - 1; i >= 0; i-- {
			err = errors.Join(err, d.procs[i].stop())
		}
	}()

	d.title("A project, made from the bundled petstore definition")
	if _, err := d.call(ctx, "micro-gw", "init", "petstore"); err != nil {
		return err
	}
	d.title("The build: one immutable artifact")
	if _, err := d.call(ctx, "micro-gw", "build", "petstore"); err != nil {
		return err
	}

	d.title("A mock upstream that answers from the definition, and the gateway")
	mock, err := freePort()
	if err != nil {
		return err
	}
	if _, err := d.start(ctx, mock, "micro-gw", "mock", "petstore", "--port", mock); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if _, err := d.start(ctx, port, "runtime", "--artifact", "petstore/target/petstore.mgw", "--dev",
		"-e", "listenerConfig.host=127.0.0.1",
		"-e", "listenerConfig.httpPort="+port,
		"-e", "listenerConfig.httpsPort=0",
		"-e", "admin.address=127.0.0.1:0",
		"-e", "accessLog.path=access.log",
		"-e", "petstore_prod_endpoint_0=http://127.0.0.1:"+mock+"/v2"); err != nil {
		return err
	}

	d.title("Calls")
	reader, err := d.call(ctx, "micro-gw", "token", "petstore", "--scope", "read:pets")
	if err != nil {
		return err
	}
	base := "http://127.0.0.1:" + port
	calls := []struct {
		method, path, body, token string
		status                    int
	}{
		{"GET", "/petstore/v1/pet/42", "", "", 401},
		{"GET", "/petstore/v1/pet/42", "", "not.a.token", 401},
		{"GET", "/petstore/v1/pet/42", "", reader, 200},
		{"POST", "/petstore/v1/pet", `{"name":"doggie","photoUrls":[]}`, reader, 403},
		{"GET", "/petstore/v1/nowhere", "", reader, 404},
		{"DELETE", "/petstore/v1/pet/findByStatus", "", reader, 405},
		{"GET", "/health", "", "", 200},
	}
	for _, c := range calls {
		if err := d.request(ctx, c.method, base+c.path, c.body, c.token, c.status); err != nil {
			return err
		}
	}
	if keep {
		fmt.Fprintf(out, "\nEverything is running. A token and a call to paste:\n\n  TOKEN=%s\n  curl -H \"Authorization: Bearer $TOKEN\" %s/petstore/v1/pet/42\n\nCtrl-C ends it.\n", reader, base)
		<-ctx.Done()
	}
	return nil
}

func (d *demo) title(s string) { fmt.Fprintf(d.out, "\n# %s\n", s) }

// show prints a command as a user would type it.
func (d *demo) show(name string, args []string) {
	fmt.Fprintf(d.out, "$ %s %s\n", name, strings.Join(args, " "))
}

// call runs a program to its end and returns what it printed.
func (d *demo) call(ctx context.Context, name string, args ...string) (string, error) {
	d.show(name, args)
	var stdout bytes.Buffer
	c := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...)
	c.Dir, c.Stdout, c.Stderr = d.dir, &stdout, d.out
	err := c.Run()
	text := strings.TrimRight(stdout.String(), "\n")
	fmt.Fprintln(d.out, text)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return text, nil
}

// A process is a program that goes on.
type process struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan error
}

// start starts a program and waits until its port accepts.
func (d *demo) start(ctx context.Context, port, name string, args ...string) (*process, error) {
	d.show(name, append(args, "&"))
	p := &process{name: name, done: make(chan error, 1)}
	p.cmd = exec.Command(filepath.Join(d.bin, name), args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = d.dir, &p.log, &p.log
	apart(p.cmd)
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	d.procs = append(d.procs, p)
	go func() { p.done <- p.cmd.Wait() }()
	for {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			_ = c.Close()
			fmt.Fprintf(d.out, "%s listens on port %s after %s\n", name, port, time.Since(begin).Round(time.Millisecond))
			return p, nil
		}
		select {
		case err := <-p.done:
			p.done <- err
			return nil, fmt.Errorf("%s ended: %v\n%s", name, err, p.log.String())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(begin) > 30*time.Second {
			return nil, fmt.Errorf("%s does not listen on port %s\n%s", name, port, p.log.String())
		}
	}
}

// stop ends the program as an orchestrator would, and expects it to end well.
func (p *process) stop() error {
	select {
	case err := <-p.done:
		return fmt.Errorf("%s ended by itself: %v\n%s", p.name, err, p.log.String())
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, p.log.String())
		}
		return nil
	case <-time.After(25 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not stop within 25 s", p.name)
	}
}

// request calls the gateway, prints both sides and compares the status.
func (d *demo) request(ctx context.Context, method, url, body, token string, want int) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n> %s %s\n", method, strings.TrimPrefix(url, "http://"))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
		fmt.Fprintf(d.out, "> Authorization: Bearer %.16s...\n", token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		fmt.Fprintf(d.out, "> %s\n", body)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "< %s\n", resp.Status)
	for _, name := range []string{"Allow", "Www-Authenticate"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(d.out, "< %s: %s\n", name, v)
		}
	}
	fmt.Fprintf(d.out, "< %s\n", answer)
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: got %d, want %d", method, url, resp.StatusCode, want)
	}
	if !json.Valid(answer) {
		return fmt.Errorf("%s %s: the answer is not JSON: %s", method, url, answer)
	}
	return nil
}

// freePort returns a port that is free now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
