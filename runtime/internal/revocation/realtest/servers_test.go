// Package realtest runs gateways against real brokers and a real etcd, those of
// Debian's packages. Where they are not installed the tests say so and are
// skipped, except in CI, which installs them.
package realtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/microgw/microgw/pkg/testport"
)

// patience is how long is waited for what happens at once as a rule; a broker's
// own start may take minutes on a machine that is busy.
const (
	patience    = time.Minute
	slowStarter = 5 * time.Minute
)

// TestMain starts RabbitMQ, which takes long, while the tests of the others run,
// and ends all servers.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.run"); f.Value.String() == "" && flag.Lookup("test.list").Value.String() == "" && rabbitMQ.missing() == "" {
		rabbitMQ.mu.Lock()
		rabbitMQ.tried = true
		rabbitMQ.begin()
		rabbitMQ.mu.Unlock()
	}
	code := m.Run()
	for _, s := range []*server{activeMQ, rabbitMQ, etcd, etcdTLS} {
		s.stop()
		if s.dir != "" {
			_ = os.RemoveAll(s.dir)
		}
	}
	os.Exit(code)
}

// A server is a process that is started when it is first asked for, and may be
// killed and started again on the same ports.
type server struct {
	name    string
	needs   []string // files
	ready   time.Duration
	command func(s *server) *exec.Cmd
	prepare func(s *server) error
	probe   func(s *server) error

	mu    sync.Mutex
	tried bool
	err   error
	dir   string
	ports map[string]string
	after func(s *server) // kill
	cmd   *exec.Cmd
	ended chan struct{}
	out   *tail
}

func (s *server) port(name string) string {
	if s.ports[name] == "" {
		p, err := testport.Free()
		if err != nil {
			panic(err)
		}
		s.ports[name] = p
	}
	return s.ports[name]
}

func (s *server) address(name string) string { return "127.0.0.1:" + s.ports[name] }

// use returns when the server is ready.
func (s *server) use(t *testing.T) {
	t.Helper()
	if f := s.missing(); f != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: no %s", s.name, f)
		}
		t.Skipf("%s is not installed: no %s", s.name, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried {
		s.tried = true
		s.begin()
	}
	if s.err == nil {
		s.err = s.await()
	}
	if s.err != nil {
		t.Fatalf("%s: %v\n%s", s.name, s.err, s.out)
	}
}

// missing returns a file that is not there, "" if all are.
func (s *server) missing() string {
	for _, f := range s.needs {
		if all, _ := filepath.Glob(f); len(all) == 0 {
			return f
		}
	}
	return ""
}

// begin starts the process without waiting. s.mu is held.
func (s *server) begin() {
	if s.dir == "" {
		s.ports = map[string]string{}
		if s.dir, s.err = os.MkdirTemp("", "real-"+strings.ReplaceAll(s.name, " ", "-")); s.err != nil {
			return
		}
		s.out = &tail{}
		if s.err = s.prepare(s); s.err != nil {
			return
		}
	}
	s.cmd = s.command(s)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	// In a group of its own, so that its children end with it.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.err = s.cmd.Start(); s.err != nil {
		return
	}
	s.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) { _ = c.Wait(); close(ended) }(s.cmd, s.ended)
}

func (s *server) await() error {
	deadline := time.Now().Add(s.ready)
	for {
		err := s.probe(s)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("it has ended")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready: %w", err)
		}
	}
}

// kill ends the process at once; use starts none again, restart does.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killLocked()
}

func (s *server) killLocked() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.ended
	s.cmd = nil
	if s.after != nil {
		s.after(s)
	}
}

func (s *server) restart(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	s.begin()
	s.mu.Unlock()
	s.use(t)
}

func (s *server) stop() { s.kill() }

// tail keeps the end of what a server says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if len(l.b) > 16<<10 {
		l.b = append([]byte(nil), l.b[len(l.b)-8<<10:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

// answers reports whether what a port says at first, to what is sent, begins so.
func answers(address, send, want string) error {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, send); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%s answers %q", address, got)
	}
	return nil
}

var activeMQ = &server{
	name: "activemq", ready: slowStarter,
	needs: []string{"/usr/bin/java", "/usr/share/java/activemq-run.jar", "/usr/share/java/xstream.jar", "/usr/share/java/jettison.jar"},
	prepare: func(s *server) error {
		if err := errors.Join(os.Mkdir(filepath.Join(s.dir, "lib"), 0o755), os.Mkdir(filepath.Join(s.dir, "data"), 0o755)); err != nil {
			return err
		}
		for _, j := range []string{"xstream", "jettison"} {
			if err := os.Symlink("/usr/share/java/"+j+".jar", filepath.Join(s.dir, "lib", j+".jar")); err != nil {
				return err
			}
		}
		store := filepath.Join(s.dir, "broker.p12")
		if err := writeStore(store); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.dir, "activemq.xml"), fmt.Appendf(nil, `<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
 <broker xmlns="http://activemq.apache.org/schema/core" brokerName="localhost" useJmx="false" persistent="true">
  <plugins><simpleAuthenticationPlugin anonymousAccessAllowed="false"><users>
   <authenticationUser username="admin" password="admin" groups="users"/>
   <authenticationUser username="odd" password="p:a\s s" groups="users"/></users></simpleAuthenticationPlugin></plugins>
  <sslContext><sslContext keyStore="file:%s" keyStorePassword="changeit" keyStoreType="PKCS12"/></sslContext>
  <persistenceAdapter><kahaDB directory="%s"/></persistenceAdapter>
  <transportConnectors>
   <transportConnector name="openwire" uri="tcp://127.0.0.1:%s"/>
   <transportConnector name="stomp" uri="stomp://127.0.0.1:%s"/>
   <transportConnector name="stomp+ssl" uri="stomp+ssl://127.0.0.1:%s"/>
   <transportConnector name="auto" uri="auto://127.0.0.1:%s"/>
  </transportConnectors>
 </broker>
</beans>
`, store, filepath.Join(s.dir, "data"), s.port("openwire"), s.port("stomp"), s.port("stomp+ssl"), s.port("auto")), 0o600)
	},
	command: func(s *server) *exec.Cmd {
		return exec.Command("/usr/bin/java", "-Xmx256m", "-Dactivemq.home=/usr/share/activemq", "-Dactivemq.base="+s.dir, "-Dactivemq.conf="+s.dir,
			"-Dactivemq.data="+filepath.Join(s.dir, "data"), "-jar", "/usr/share/java/activemq-run.jar", "start", "xbean:file:"+filepath.Join(s.dir, "activemq.xml"))
	},
	probe: func(s *server) error {
		for _, p := range []string{"stomp", "auto"} {
			if err := answers(s.address(p), "CONNECT\naccept-version:1.2\nhost:x\nlogin:admin\npasscode:admin\n\n\x00", "CONNECTED"); err != nil {
				return err
			}
		}
		return nil
	},
}

const rabbitServer = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"

var rabbitMQ = &server{
	name: "rabbitmq", ready: slowStarter, needs: []string{rabbitServer},
	prepare: func(s *server) error {
		if err := writePair(s.dir); err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(filepath.Join(s.dir, "plugins"), []byte("[rabbitmq_amqp1_0].\n"), 0o600),
			os.WriteFile(filepath.Join(s.dir, "rabbitmq.conf"), fmt.Appendf(nil, `default_user = admin
default_pass = admin
log.console.level = warning
listeners.ssl.1 = 127.0.0.1:%s
ssl_options.certfile = %s
ssl_options.keyfile = %s
`, s.port("amqps"), filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")), 0o600))
	},
	command: func(s *server) *exec.Cmd {
		all, _ := filepath.Glob(rabbitServer)
		c := exec.Command(all[0])
		d := s.dir
		c.Env = append(os.Environ(), "HOME="+d, fmt.Sprintf("RABBITMQ_NODENAME=t%s@localhost", s.port("amqp")), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			fmt.Sprintf("RABBITMQ_NODE_PORT=%s", s.port("amqp")), fmt.Sprintf("RABBITMQ_DIST_PORT=%s", s.port("dist")),
			"RABBITMQ_MNESIA_BASE="+d+"/m", "RABBITMQ_LOG_BASE="+d+"/log", "RABBITMQ_LOGS=-", "RABBITMQ_ENABLED_PLUGINS_FILE="+d+"/plugins",
			"RABBITMQ_CONFIG_FILE="+d+"/rabbitmq.conf", "RABBITMQ_CONF_ENV_FILE=/dev/null", "ERL_EPMD_ADDRESS=127.0.0.1",
			fmt.Sprintf("ERL_EPMD_PORT=%s", s.port("epmd")), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
		return c
	},
	// The port mapper is a daemon of its own.
	after: func(s *server) { _ = exec.Command("epmd", "-port", s.port("epmd"), "-kill").Run() },
	probe: func(s *server) error {
		if err := answers(s.address("amqp"), "AMQP\x00\x00\x09\x01", "\x01\x00\x00"); err != nil {
			return err
		}
		return answers(s.address("amqp"), "AMQP\x03\x01\x00\x00", "AMQP")
	},
}

var (
	etcd     = etcdServer("etcd", "http")
	etcdTLS  = etcdServer("etcd with TLS", "https")
	trusting = sync.OnceValue(func() *http.Client {
		pool := x509.NewCertPool()
		pool.AddCert(cert())
		return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	})
)

func etcdServer(name, scheme string) *server {
	return &server{
		name: name, ready: slowStarter, needs: []string{"/usr/bin/etcd"},
		prepare: func(s *server) error { s.port("client"); s.port("peer"); return writePair(s.dir) },
		command: func(s *server) *exec.Cmd {
			client, peer := scheme+"://"+s.address("client"), "http://"+s.address("peer")
			c := exec.Command("/usr/bin/etcd", "--data-dir", filepath.Join(s.dir, "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")
			if scheme == "https" {
				c.Args = append(c.Args, "--cert-file", filepath.Join(s.dir, "cert.pem"), "--key-file", filepath.Join(s.dir, "key.pem"))
			}
			return c
		},
		probe: func(s *server) error {
			resp, err := trusting().Get(scheme + "://" + s.address("client") + "/health")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
			if err == nil && !bytes.Contains(b, []byte("true")) {
				err = errors.New(strings.TrimSpace(string(b)))
			}
			return err
		},
	}
}
