package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	proxyCore = "0"
	loadCore  = "1"

	// target is the path that is asked for; the upstream sees /v2/pet/42.
	target = "/petstore/v1/pet/42"
)

// A server is a process that answers on a port.
type server struct {
	name    string
	port    int
	command []string
	header  string  // sent with each request, besides the usual ones
	front   *server // asked instead of it, if there is one

	cmd     *exec.Cmd
	logPath string

	idleRSS int64 // bytes, before the first request
	maxRSS  int64
	samples []sample
	ratios  []float64 // to the reference, paired in time
}

// A pair is a candidate and what it is compared to.
type pair struct {
	candidate, reference *server
}

// A sample is what a server did for a while.
type sample struct {
	requests, errors int
	cpu              time.Duration
	elapsed          time.Duration
}

// micros returns CPU time per request in microseconds.
func (s sample) micros() float64 {
	return float64(s.cpu.Microseconds()) / float64(max(s.requests, 1))
}

func (s sample) perSecond() float64 {
	return float64(s.requests) / s.elapsed.Seconds()
}

// entry returns the address that requests are sent to.
func (s *server) entry() string {
	if s.front != nil {
		return address(s.front.port)
	}
	return address(s.port)
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// log returns the last of what the server wrote.
func (s *server) log() string {
	data, _ := os.ReadFile(s.logPath)
	if len(data) > 2000 {
		data = data[len(data)-2000:]
	}
	return string(data)
}

var gcLine = regexp.MustCompile(`(?m)^gc \d+ @.* (\d+) MB goal,.*$`)

// allocated returns how much the server, if it is a Go program, has allocated
// on the heap by and by, rounded up to whole collections: the heap may grow to
// the goal between two of them. Those that the runtime forces every two minutes
// do not count.
func (s *server) allocated() int64 {
	data, _ := os.ReadFile(s.logPath)
	var sum int64
	for _, m := range gcLine.FindAllStringSubmatch(string(data), -1) {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && !strings.Contains(m[0], "(forced)") {
			sum += n << 20
		}
	}
	return sum
}

// start runs the server on a core and waits until it answers.
func (b *bench) start(s *server, core string) error {
	if s.front != nil {
		if err := b.launch(s.front, loadCore); err != nil {
			return err
		}
		b.running = append(b.running, s.front)
	}
	if err := b.launch(s, core); err != nil {
		return err
	}
	b.running = append(b.running, s)
	_, err := b.untilServing(s)
	return err
}

func (b *bench) launch(s *server, core string) error {
	s.logPath = filepath.Join(b.dir, strings.ReplaceAll(s.name, " ", "-")+".out")
	out, err := os.Create(s.logPath)
	if err != nil {
		return err
	}
	defer out.Close()
	args := append([]string{"-c", core}, s.command...)
	s.cmd = exec.Command("taskset", args...)
	// The trace is a line for each garbage collection; see allocated.
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=gctrace=1")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	// If this process dies, they die too; and Ctrl-C is for us to handle, so
	// that they are stopped in order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return s.cmd.Start()
}

// untilServing returns how long it took until the first answer of 200.
func (b *bench) untilServing(s *server) (time.Duration, error) {
	started := time.Now()
	for time.Since(started) < 20*time.Second && b.ctx.Err() == nil {
		if get(s) == nil {
			return time.Since(started), nil
		}
		if syscall.Kill(s.pid(), 0) != nil || exited(s.pid()) {
			return 0, fmt.Errorf("%s ended before it answered:\n%s", s.name, s.log())
		}
		time.Sleep(500 * time.Microsecond)
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("%s does not answer:\n%s", s.name, s.log())
}

// exited reports whether the process is a zombie: ended, but not waited for.
func exited(pid int) bool {
	f, err := procStat(pid)
	return err != nil || f[0] == "Z"
}

// get asks for the target once over a connection of its own.
func get(s *server) error {
	c, err := net.DialTimeout("tcp", s.entry(), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	return exchange(c, s)
}

func exchange(c net.Conn, s *server) error {
	c.SetDeadline(time.Now().Add(2 * time.Second))
	head := "GET " + target + " HTTP/1.1\r\nHost: " + s.entry() + "\r\n"
	if s.header != "" {
		head += s.header + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return err
	}
	// The answer is about 1.2 KiB, and its body ends in bodyEnd.
	buf := make([]byte, 0, 8192)
	for !bytes.HasSuffix(buf, []byte(bodyEnd)) {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		if buf = buf[:len(buf)+n]; !bytes.HasPrefix(buf, []byte("HTTP/1.1 2")) {
			line, _, _ := bytes.Cut(buf, []byte("\r\n"))
			return fmt.Errorf("%s answers %q", s.name, line)
		}
	}
	return nil
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// stop ends every server, newest first, and waits for each.
func (b *bench) stop() error {
	var errs []error
	for i := len(b.running) - 1; i >= 0; i-- {
		errs = append(errs, end(b.running[i]))
	}
	b.running = nil
	return errors.Join(errs...)
}

func end(s *server) error {
	done := make(chan struct{})
	go func() { s.cmd.Wait(); close(done) }()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
		return nil
	case <-time.After(5 * time.Second):
		s.cmd.Process.Kill()
		<-done
		return fmt.Errorf("%s did not end when asked to", s.name)
	}
}

// sample puts load on s for some seconds.
func (b *bench) sample(s *server, seconds int) (sample, error) {
	args := []string{"-c", loadCore, "wrk", "-t1", fmt.Sprintf("-c%d", b.connections), fmt.Sprintf("-d%ds", seconds),
		"-H", "Accept: application/json", "-H", "User-Agent: bench", "-H", "Accept-Encoding: gzip"}
	if s.header != "" {
		args = append(args, "-H", s.header)
	}
	args = append(args, "http://"+s.entry()+target)
	before, err := cpuTime(s.pid())
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", s.name, err, s.log())
	}
	started := time.Now()
	out, err := exec.CommandContext(b.ctx, "taskset", args...).Output()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w", err)
	}
	x := sample{elapsed: time.Since(started)}
	after, err := cpuTime(s.pid())
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", s.name, err, s.log())
	}
	x.cpu = after - before
	if x.requests, x.errors, err = parseWrk(string(out)); err != nil {
		return sample{}, err
	}
	if x.requests == 0 {
		return sample{}, fmt.Errorf("%s answers nothing:\n%s", s.name, s.log())
	}
	now, err := rss(s.pid())
	if err != nil {
		return sample{}, err
	}
	s.maxRSS = max(s.maxRSS, now)
	s.samples = append(s.samples, x)
	return x, nil
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in `)
	wrkNot2xx   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkSocket   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

var wrkLatency = regexp.MustCompile(`(?m)^\s+99%\s+([\d.]+)(us|ms|s)$`)

// parseLatency returns the microseconds that 99 of 100 requests did not exceed.
func parseLatency(out string) (float64, error) {
	m := wrkLatency.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk printed no latency:\n%s", out)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	return n * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[m[2]], err
}

// parseWrk reads what wrk prints. It prints the lines about errors only if
// there were any.
func parseWrk(out string) (requests, errors int, err error) {
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return 0, 0, fmt.Errorf("wrk printed no number of requests:\n%s", out)
	}
	requests, err = strconv.Atoi(m[1])
	if err != nil {
		return 0, 0, err
	}
	for _, re := range []*regexp.Regexp{wrkNot2xx, wrkSocket} {
		m := re.FindStringSubmatch(out)
		for _, n := range m[min(len(m), 1):] {
			n, err := strconv.Atoi(n)
			if err != nil {
				return 0, 0, err
			}
			errors += n
		}
	}
	return requests, errors, nil
}

// family returns pid and all processes below it: nginx works in a child.
func family(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, task := range tasks {
			data, _ := os.ReadFile(task)
			for _, f := range strings.Fields(string(data)) {
				if child, err := strconv.Atoi(f); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// procStat returns the fields of /proc/PID/stat after the name, which is in
// parentheses and may hold anything; so the first is the state.
func procStat(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[i+1:]))
	if i < 0 || len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	return fields, nil
}

// cpuTime returns user and system time of pid and its children. Linux counts
// it for user space in hundredths of a second on every machine.
func cpuTime(pid int) (time.Duration, error) {
	var ticks int
	for _, p := range family(pid) {
		f, err := procStat(p)
		if err != nil {
			return 0, err
		}
		user, err1 := strconv.Atoi(f[11])
		system, err2 := strconv.Atoi(f[12])
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		ticks += user + system
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

// rss returns the resident memory of pid and its children in bytes.
func rss(pid int) (int64, error) {
	var pages int64
	for _, p := range family(pid) {
		f, err := procStat(p)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(f[21], 10, 64)
		if err != nil {
			return 0, err
		}
		pages += n
	}
	return pages * int64(os.Getpagesize()), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func lookPath(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Debian keeps servers where only root's PATH looks.
	path := "/usr/sbin/" + name
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return ""
}
