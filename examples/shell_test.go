package examples

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A readme is an example's README, told in the order in which a reader would
// type it.
type readme struct {
	blocks []block
}

// A block is a group of commands, and what the README says they print. In the
// latter "..." stands for anything in a line, and alone in a line for any lines.
type block struct {
	commands []string
	prints   *string
}

var fence = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// readREADME takes a README apart. A block of type text shows what the block of
// type sh before it prints.
func readREADME(t *testing.T, text string) (r readme) {
	t.Helper()
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] == "text" {
			if len(r.blocks) == 0 || r.blocks[len(r.blocks)-1].prints != nil {
				t.Fatalf("a block of output without commands before it:\n%s", m[2])
			}
			r.blocks[len(r.blocks)-1].prints = &m[2]
			continue
		}
		b := block{commands: split(m[2])}
		r.blocks = append(r.blocks, b)
	}
	return r
}

// split returns the commands of a block. A backslash at the end of a line
// continues it; a here-document belongs to its command.
func split(text string) (commands []string) {
	end := "" // of the here-document, while there is one
	more := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		last := len(commands) - 1
		switch {
		case end != "":
			commands[last] += "\n" + line
			if line == end {
				end = ""
			}
			continue
		case more:
			commands[last] += "\n" + strings.TrimSpace(line)
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			continue
		default:
			commands = append(commands, strings.TrimSpace(line))
		}
		more = strings.HasSuffix(line, "\\")
		if m := hereDocument.FindStringSubmatch(line); m != nil {
			end = m[1]
		}
	}
	return commands
}

var hereDocument = regexp.MustCompile(`<<'?([A-Z]+)\b`)

// programs are those that a README wants beside ours and a plain system's.
func (r readme) programs() (list []string) {
	for _, p := range []string{"curl", "openssl", "node", "npm", "etcd", "etcdctl", "slapd"} {
		begins := regexp.MustCompile(`(^|[|(;] *|/)` + p + ` `)
		if slices.ContainsFunc(r.blocks, func(b block) bool {
			return slices.ContainsFunc(b.commands, func(c string) bool { return begins.MatchString(c + " ") })
		}) {
			list = append(list, p)
		}
	}
	return list
}

// A session is a shell in which commands are typed one after the other, with
// both programs in its path. Ports that somebody may have taken are replaced by
// free ones in everything that is typed.
type session struct {
	t     *testing.T
	dir   string
	ports map[string]string // the README's to this session's
	in    io.Writer
	out   chan string // lines
	log   string      // of what runs in the background
}

// address is a host of this machine with a port.
var address = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):([0-9]{4,5})\b`)

// newSession copies an example to a folder of its own, with other ports, and
// begins a session there.
func newSession(t *testing.T, example string) *session {
	t.Helper()
	s := &session{t: t, dir: filepath.Join(t.TempDir(), filepath.Base(example)), ports: map[string]string{}}
	s.log = filepath.Join(t.TempDir(), "background.log")
	// The gateway's own and etcd's, whether or not they are named.
	for _, p := range []string{"9090", "9095", "9096", "9000", "2379", "2380"} {
		s.ports[p] = port(t)
	}
	files := os.DirFS(example)
	if err := os.CopyFS(s.dir, files); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Left by somebody who tried the example in place.
		if d.IsDir() && (d.Name() == "target" || d.Name() == ".micro-gw" || d.Name() == "node_modules") {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return filepath.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		texts[path] = string(b)
		for _, m := range address.FindAllStringSubmatch(string(b), -1) {
			// The runtime knows WSO2's key manager by this very address.
			if s.ports[m[2]] == "" && m[0] != "localhost:9443" {
				s.ports[m[2]] = port(t)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range texts {
		if other := s.here(text); other != text {
			if err := os.WriteFile(path, []byte(other), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}

	c := exec.Command("sh")
	c.Dir = s.dir
	c.Env = append(os.Environ(), "PATH="+binaries(t)+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1",
		"listenerConfig_host=127.0.0.1", "listenerConfig_httpPort="+s.ports["9090"], "listenerConfig_httpsPort="+s.ports["9095"],
		"listenerConfig_tokenListenerPort="+s.ports["9096"], "admin_address=127.0.0.1:"+s.ports["9000"])
	// What etcd and its client are told by flags elsewhere.
	clients, peers := "http://127.0.0.1:"+s.ports["2379"], "http://127.0.0.1:"+s.ports["2380"]
	c.Env = append(c.Env, "ETCD_LISTEN_CLIENT_URLS="+clients, "ETCD_ADVERTISE_CLIENT_URLS="+clients, "ETCD_LISTEN_PEER_URLS="+peers,
		"ETCD_INITIAL_ADVERTISE_PEER_URLS="+peers, "ETCD_INITIAL_CLUSTER=default="+peers, "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS="+clients)
	// What is still running at the end is ended with the shell.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = write, write
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	s.in, s.out = in, make(chan string, 10_000)
	go func() {
		defer close(s.out)
		defer read.Close()
		for b := bufio.NewReader(read); ; {
			line, err := b.ReadString('\n')
			if line != "" {
				s.out <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
		if b, err := os.ReadFile(s.log); err == nil && t.Failed() {
			t.Logf("in the background:\n%s", b)
		}
	})
	return s
}

// swap replaces whole numbers.
func swap(text string, numbers map[string]string) string {
	if len(numbers) == 0 {
		return text
	}
	any := regexp.MustCompile(`\b(` + strings.Join(slices.Collect(maps.Keys(numbers)), "|") + `)\b`)
	return any.ReplaceAllStringFunc(text, func(n string) string { return numbers[n] })
}

// here turns the README's ports into the session's.
func (s *session) here(text string) string { return swap(text, s.ports) }

// there turns the session's ports into the README's.
func (s *session) there(text string) string {
	back := map[string]string{}
	for from, to := range s.ports {
		back[to] = from
	}
	return address.ReplaceAllStringFunc(text, func(a string) string {
		host, number, _ := strings.Cut(a, ":")
		return host + ":" + swap(number, back)
	})
}

// exits is how a README says that a command fails, which is what it is to show.
var exits = regexp.MustCompile(`#.*\bexit code ([0-9]+|not 0)$`)

// toFile is how a command says where its output goes.
var toFile = regexp.MustCompile(`[^0-9]>`)

// mark begins the line that ends the output of a command.
const mark = "\x1e"

// run types a command and returns what it prints. A command in the background is
// waited for until it can be called.
func (s *session) run(command string) string {
	s.t.Helper()
	typed, background := strings.CutSuffix(s.here(command), "&")
	if background {
		// Its port is the one thing that it does not leave to the environment.
		if strings.HasPrefix(typed, "micro-gw run ") && !strings.Contains(typed, "--port ") {
			typed += "--port " + s.ports["9090"] + " "
		}
		// What goes to a file of the reader's own goes there.
		if to := ">>" + s.log + " "; toFile.MatchString(typed) {
			typed += "2" + to + "&"
		} else {
			typed += to + "2>&1 &"
		}
	}
	if _, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%s%%d\\n' $?\n", typed, mark); err != nil {
		s.t.Fatalf("$ %s\nthe shell has ended", command)
	}
	var lines []string
	timeout := time.After(2 * patience)
	for {
		select {
		case line, ok := <-s.out:
			if !ok {
				s.t.Fatalf("$ %s\n%s\nthe shell has ended", command, strings.Join(lines, "\n"))
			}
			code, ended := strings.CutPrefix(line, mark)
			if !ended {
				lines = append(lines, line)
				continue
			}
			want := "0"
			if m := exits.FindStringSubmatch(command); m != nil {
				want = m[1]
			}
			// The line break before the mark is not the command's, if what it
			// printed ended with one.
			out := strings.TrimSuffix(strings.Join(lines, "\n"), "\n")
			if code != want && (want != "not 0" || code == "0") {
				s.t.Fatalf("$ %s\n%s\nexit code %s, not %s", command, out, code, want)
			}
			if background {
				s.await(command)
			}
			return s.there(out)
		case <-timeout:
			s.t.Fatalf("$ %s\n%s\nstill running", command, strings.Join(lines, "\n"))
		}
	}
}

// await waits until all ports of a command that was started in the background
// accept connections.
func (s *session) await(command string) {
	s.t.Helper()
	ports := []string{"9090", "9095", "9000"}
	switch fields := strings.Fields(command); {
	case fields[0] == "micro-gw" && fields[1] == "mock":
		ports = nil
		if i := slices.Index(fields, "--port"); i > 0 {
			ports = []string{fields[i+1]}
		} else {
			// At the addresses of the upstreams.
			for _, m := range address.FindAllStringSubmatch(s.run("micro-gw inspect "+fields[2]+"/target/*.mgw"), -1) {
				ports = append(ports, m[2])
			}
		}
	case fields[0] == "node":
		ports = []string{fields[2]}
	case fields[0] == "etcd":
		ports = []string{"2379"}
	case strings.HasSuffix(fields[0], "slapd"):
		ports = nil
		for _, m := range regexp.MustCompile(`ldap://127\.0\.0\.1:([0-9]+)`).FindAllStringSubmatch(command, -1) {
			ports = append(ports, m[1])
		}
	}
	for _, p := range ports {
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if c, err := net.Dial("tcp", "127.0.0.1:"+s.here(p)); err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatalf("$ %s\nnothing listens on port %s", command, p)
			}
		}
	}
}

// tell runs all that a README says, and compares what is printed with what it
// says is printed.
func (s *session) tell(r readme) {
	s.t.Helper()
	for _, b := range r.blocks {
		var out strings.Builder
		for _, c := range b.commands {
			if text := s.run(c); text != "" {
				out.WriteString(text + "\n")
			}
		}
		s.t.Logf("$ %s\n%s", strings.Join(b.commands, "\n$ "), out.String())
		if b.prints != nil && !prints(*b.prints, out.String()) {
			s.t.Errorf("$ %s\nprints\n%s\nand not, as the README says,\n%s", strings.Join(b.commands, "\n$ "), out.String(), *b.prints)
		}
	}
	s.silent()
}

// secret is what no log may hold: a token, or basic credentials.
var secret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}|\b(Bearer|Basic) [A-Za-z0-9+/]{12}`)

// silent expects that no log of a gateway holds credentials. What micro-gw run
// says to its user is no log.
func (s *session) silent() {
	s.t.Helper()
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, log := range append(logs, s.log) {
		text, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			s.t.Error(err)
		}
		for line := range strings.Lines(string(text)) {
			if (strings.HasPrefix(line, "time=") || strings.Contains(line, "HTTP/1.1")) && secret.MatchString(line) {
				s.t.Errorf("a log holds a credential: %s", line)
			}
		}
	}
}

// prints reports whether a program's output is what a README shows. Empty lines
// and the number of blanks do not count: columns depend on the ports.
func prints(want, got string) bool {
	var pattern, lines strings.Builder
	for line := range strings.Lines(want) {
		switch line = blanks(line); line {
		case "":
			continue
		case "...":
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		for i, part := range strings.Split(line, "...") {
			if i > 0 {
				pattern.WriteString(".*")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString("\n")
	}
	for line := range strings.Lines(got) {
		if line = blanks(line); line != "" {
			lines.WriteString(line + "\n")
		}
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(lines.String())
}

// blanks leaves one blank where there are several, and none at the ends.
func blanks(line string) string { return strings.Join(strings.Fields(line), " ") }
