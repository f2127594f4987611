package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/pkg/testport"
	"github.com/microgw/microgw/schema/artifactpb"
)

var update = flag.Bool("update", false, "rewrite the expected output in the stories")

const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"runtime": main})
}

// The stories are in testdata/script, one a file. Beside testscript's own
// commands they have
//
//	artifact FILE PROJECT       write an artifact with GET /v1/hello, open to all
//	keygen NAME                 make NAME.key and NAME.pub
//	sign FILE KEY               sign an artifact
//	newer FILE                  make its format one of the future
//	ports NAME...               set variables to free ports
//	start NAME ARG...           start runtime; its output goes to NAME.out and NAME.err
//	signal NAME SIG             send it TERM, INT, HUP or USR1
//	ended NAME CODE             wait for its end, expect its exit code
//	await FILE REGEXP           wait until a line of the file matches
//	get CODE URL [REGEXP]       wait for an answer
//	unreachable ADDRESS         expect that nobody listens
//	exits CODE ARG...           run runtime to its end; output goes to out and err
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values[key{}] = processes{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"keygen": cmdKeygen, "sign": cmdSign,
			"artifact": cmdArtifact, "newer": cmdNewer, "ports": cmdPorts, "start": cmdStart, "signal": cmdSignal, "ended": cmdEnded,
			"await": cmdAwait, "get": cmdGet, "unreachable": cmdUnreachable, "exits": cmdExits,
		},
	})
}

func cmdArtifact(ts *testscript.TestScript, _ bool, args []string) {
	digest := sha256.Sum256(nil)
	ts.Check(artifact.Write(ts.MkAbs(args[0]), &artifactpb.Artifact{
		Build:     &artifactpb.Build{ToolkitVersion: "test"},
		Project:   args[1],
		Sources:   []*artifactpb.Source{{Path: "api_definitions/hello.yaml", Sha256: digest[:]}},
		Documents: []*artifactpb.Document{{Dialect: artifactpb.Dialect_DIALECT_OPENAPI_3_0, Json: []byte(`{}`)}},
		Apis: []*artifactpb.Api{{
			Id: "api_1", Title: "Hello", Version: "1", BasePath: "/v1", Transports: []artifactpb.Transport{artifactpb.Transport_TRANSPORT_HTTP},
			Operations: []*artifactpb.Operation{{
				Id: "GET /hello", Method: "GET", Path: "/hello", Position: &artifactpb.Position{Line: 1, Column: 1}, ProductionCluster: 1,
				Security: &artifactpb.Security{Disabled: true},
			}},
		}},
		Clusters: []*artifactpb.Cluster{{
			Name: "api_1", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_SINGLE,
			// Nobody listens on port 1: the stories are not about upstreams.
			Endpoints: []*artifactpb.Endpoint{{Url: "http://127.0.0.1:1"}},
		}},
	}))
}

func cmdKeygen(ts *testscript.TestScript, _ bool, args []string) {
	_, err := signing.Create(ts.MkAbs(args[0]+".key"), ts.MkAbs(args[0]+".pub"))
	ts.Check(err)
}

func cmdSign(ts *testscript.TestScript, _ bool, args []string) {
	key, err := signing.Private(ts.MkAbs(args[1]))
	ts.Check(err)
	f, err := artifact.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(artifact.WriteSigned(ts.MkAbs(args[0]), f.Artifact, key))
}

func cmdNewer(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt([]byte{3}, 11) // the last byte of the version
	ts.Check(err)
}

func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		port, err := testport.Free()
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

// process is a runtime in the background.
type process struct {
	cmd  *exec.Cmd
	done chan error
}

type processes map[string]*process

// key finds a story's processes.
type key struct{}

func find(ts *testscript.TestScript, name string) *process {
	p := ts.Value(key{}).(processes)[name]
	if p == nil {
		ts.Fatalf("no process %q", name)
	}
	return p
}

// runtimeCommand runs the runtime in the story's folder, with its output in
// files there.
func runtimeCommand(ts *testscript.TestScript, out, err string, args []string) *exec.Cmd {
	c := exec.Command("runtime", args...) // TestMain has put it in PATH
	c.Dir = ts.MkAbs(".")
	for name, w := range map[string]*io.Writer{out: &c.Stdout, err: &c.Stderr} {
		f, err := os.Create(ts.MkAbs(name))
		ts.Check(err)
		ts.Defer(func() { f.Close() })
		*w = f
	}
	return c
}

func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	p := &process{cmd: runtimeCommand(ts, name+".out", name+".err", args[1:]), done: make(chan error, 1)}
	ts.Check(p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	ts.Defer(func() { p.cmd.Process.Kill() })
	ts.Value(key{}).(processes)[name] = p
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %q", args[1])
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(s))
}

func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	p := find(ts, args[0])
	select {
	case err := <-p.done:
		expectCode(ts, args[1], err)
	case <-time.After(patience):
		ts.Fatalf("%s has not ended:\n%s", args[0], ts.ReadFile(args[0]+".err"))
	}
}

func expectCode(ts *testscript.TestScript, want string, err error) {
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	expectCode(ts, args[0], runtimeCommand(ts, "out", "err", args[1:]).Run())
}

// eventually tries until it works.
func eventually(ts *testscript.TestScript, try func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("in vain: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile("(?m)" + args[1])
	eventually(ts, func() error {
		if text := ts.ReadFile(args[0]); !re.MatchString(text) {
			return errors.New("no " + args[1] + " in\n" + text)
		}
		return nil
	})
}

func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	// What a request changes (its count, a log line) follows its answer.
	eventually(ts, func() error {
		resp, err := client.Get(args[1])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if strconv.Itoa(resp.StatusCode) != args[0] || len(args) > 2 && !regexp.MustCompile(args[2]).Match(body) {
			return fmt.Errorf("GET %s: %d %s", args[1], resp.StatusCode, body)
		}
		return nil
	})
}

func cmdUnreachable(ts *testscript.TestScript, _ bool, args []string) {
	if c, err := net.Dial("tcp", args[0]); err == nil {
		c.Close()
		ts.Fatalf("somebody listens on %s", args[0])
	}
}
