package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/devkey"
	"github.com/microgw/microgw/toolkit/internal/mock"
	"github.com/microgw/microgw/toolkit/internal/watch"
)

const runLong = `Try a project: build it, answer in place of its upstreams from the examples and
schemas of the definitions, start the runtime in development mode, and print
calls to paste into another terminal, with a token.

When a file of the project changes, the project is built again and the runtime
swaps the new artifact in without losing a request. If the build fails, its
errors are printed and the runtime goes on as before. A change of
conf/micro-gw.conf takes effect at the next start.

With --no-mock calls go to the real upstreams.

The runtime is the binary of that name beside micro-gw, else the one in PATH,
else --runtime. It gets conf/micro-gw.conf if there is one, and listens on
127.0.0.1:9090 unless told otherwise; the other ports are those of the conf
(HTTPS 9095, admin 127.0.0.1:9000). For two projects at once give each its own:

    micro-gw run b --port 9190 -e listenerConfig.httpsPort=9195 -e admin.address=127.0.0.1:9100

The artifact that is served is a temporary one; target/ is left alone.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 the project has errors, a port is
taken, or the runtime ended; 2 wrong arguments.`

const runExamples = `  micro-gw run petstore
  micro-gw run petstore --no-mock --port 8080
  micro-gw run . -e b7a.log.level=DEBUG`

// What run waits for, and how often it looks.
const (
	startPatience = time.Minute // one that cannot start ends by itself
	startPoll     = 20 * time.Millisecond
	watchInterval = 300 * time.Millisecond
)

type runOptions struct {
	build   build.Options
	noMock  bool
	host    string
	port    uint16
	runtime string
	set     []string
}

func (a *app) runCommand() *cobra.Command {
	var opts runOptions
	cmd := &cobra.Command{
		Use:               "run NAME|PATH",
		Short:             "Build and serve a project while it is developed",
		Long:              runLong,
		Example:           runExamples,
		Args:              oneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.build.Dir = args[0]
			for _, s := range opts.set {
				if key, _, ok := strings.Cut(s, "="); !ok || key == "" {
					return usage("", "-e %q: want KEY=VALUE", s)
				}
			}
			return a.run(cmd.Context(), opts)
		},
	}
	addDefaultEndpoint(cmd, &opts.build)
	addRemoteRefs(cmd, &opts.build)
	cmd.Flags().BoolVar(&opts.noMock, "no-mock", false, "call the real upstreams")
	cmd.Flags().StringVar(&opts.host, "host", "127.0.0.1", "address to serve on; 0.0.0.0 lets other machines in")
	opts.port = 9090
	cmd.Flags().Var((*port)(&opts.port), "port", "port to serve HTTP on; 0 takes a free one")
	cmd.Flags().StringVar(&opts.runtime, "runtime", "", "`PATH` of the runtime's binary")
	cmd.Flags().StringArrayVarP(&opts.set, "set", "e", nil, "`KEY=VALUE` of the conf, passed on to the runtime; may be repeated")
	return cmd
}

// A session is one `micro-gw run`.
type session struct {
	app      *app
	opts     runOptions
	standIns *standIns          // nil without a mock
	file     string             // the artifact that the runtime serves
	key      ed25519.PrivateKey // that signs it
	verify   string             // file with the public half
	served   []byte             // its bytes
}

func (a *app) run(ctx context.Context, opts runOptions) (err error) {
	binary, err := findRuntime(opts.runtime)
	if err != nil {
		return err
	}
	if err := checkProject(opts.build.Dir); err != nil {
		return err
	}
	key, _, err := devkey.Ensure(opts.build.Dir)
	if err != nil {
		return failed(err)
	}
	if opts.port, err = freePort(opts.host, opts.port); err != nil {
		return failed(err)
	}

	tmp, err := os.MkdirTemp("", "micro-gw-run-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(tmp)
	s := &session{app: a, opts: opts}
	// The project's conf may insist on the signature of a key that is not here.
	// What is served is made in this very process: its own key takes the place.
	private := filepath.Join(tmp, "run.key")
	s.verify = filepath.Join(tmp, "run.pub")
	if _, err := signing.Create(private, s.verify); err != nil {
		return failed(err)
	}
	if s.key, err = signing.Private(private); err != nil {
		return failed(err)
	}
	if !opts.noMock {
		s.standIns = newStandIns()
		defer s.standIns.servers.stop()
	}

	// Looked at before the build reads them: a change in between is seen.
	files := watch.Set{Dir: opts.build.Dir, Skip: []string{"target", ".git"}}
	state := files.State()
	built, err := s.rebuild(ctx, filepath.Join(tmp, "project.mgw"))
	if err != nil {
		return err
	}

	runtime, err := startChild(binary, s.runtimeArgs(), a.out.w, a.err.Writer)
	if err != nil {
		return failed(err)
	}
	defer runtime.stop()
	if err := s.waitReady(ctx, runtime); err != nil {
		return err
	}
	if ctx.Err() == nil {
		if err := s.greet(built, key); err != nil {
			return failed(err)
		}
	}

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	changes := make(chan struct{})
	wg.Go(func() {
		for {
			var err error
			if state, err = files.Wait(ctx, state, watchInterval); err != nil {
				return
			}
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-runtime.done:
			return failed(fmt.Errorf("the runtime ended: %s", ended(runtime.err)))
		case <-changes:
			// What is wrong was printed; the runtime goes on with what it has.
			_, err := s.rebuild(ctx, s.file)
			var f *failure
			if errors.As(err, &f) && f.err != nil && ctx.Err() == nil {
				fmt.Fprintf(a.err, "run: %v\n", f.err)
			}
			if err != nil && ctx.Err() == nil {
				fmt.Fprintln(a.err, "run: not built; the artifact before is still served")
			}
		}
	}
}

// ended says how a process ended.
func ended(err error) string {
	if err == nil {
		return "exit code 0"
	}
	return err.Error()
}

// findRuntime finds the binary to start: the one given, else the one that was
// installed together with micro-gw, else the one in PATH.
func findRuntime(given string) (string, error) {
	if given != "" {
		// As a path, also without a slash: never looked up in PATH.
		path, err := filepath.Abs(given)
		if err == nil {
			_, err = exec.LookPath(path)
		}
		if err != nil {
			return "", usage("", "--runtime %s: not a program", given)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "runtime")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("runtime")
	if err != nil {
		return "", usage("say where it is with --runtime PATH", "no binary called runtime beside micro-gw or in PATH")
	}
	return path, nil
}

// freePort says whether the port can be had, before a runtime is started that
// would only say so later. Port 0 becomes one that is free.
func freePort(host string, port uint16) (uint16, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}

// rebuild builds the project and puts its artifact, with the mock's addresses,
// at file, where the runtime finds it.
func (s *session) rebuild(ctx context.Context, file string) (*artifactpb.Artifact, error) {
	start := time.Now()
	result, err := s.app.project(ctx, s.opts.build)
	if err != nil {
		return nil, err
	}
	s.app.err.diagnostics(result.Diagnostics, "build")
	if result.Artifact == nil {
		return nil, errReported
	}
	a := result.Artifact
	if s.standIns != nil {
		m, err := mock.New(a)
		if err != nil {
			return nil, failed(err)
		}
		// The mock first: from here on it answers for old and new artifact.
		if err := s.standIns.take(m); err != nil {
			return nil, failed(err)
		}
		a, err = mock.Redirect(a, func(authority string) string { return s.standIns.addresses[authority] })
		if err != nil {
			return nil, failed(err)
		}
	}
	data, err := artifact.Marshal(a)
	if err != nil {
		return nil, failed(err)
	}
	if slices.Equal(data, s.served) {
		return result.Artifact, nil
	}
	if err := artifact.WriteSigned(file, a, s.key); err != nil {
		return nil, failed(err)
	}
	if s.served != nil {
		fmt.Fprintf(s.app.err, "run: built again in %s: %s, %s\n", duration(time.Since(start)),
			count(result.Summary.APIs, "API", "APIs"), count(result.Summary.Operations, "operation", "operations"))
	}
	s.file, s.served = file, data
	return result.Artifact, nil
}

func (s *session) runtimeArgs() []string {
	args := []string{"--artifact", s.file, "--verify-key", s.verify, "--dev", "--watch",
		"-e", "listenerConfig.host=" + s.opts.host,
		"-e", "listenerConfig.httpPort=" + strconv.Itoa(int(s.opts.port))}
	if conf := filepath.Join(s.opts.build.Dir, "conf", "micro-gw.conf"); exists(conf) {
		args = append(args, "--conf", conf)
	}
	for _, set := range s.opts.set {
		args = append(args, "-e", set)
	}
	return args
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// address is where the gateway is called: an address that stands for all of
// them cannot be called everywhere.
func (s *session) address() string {
	host := s.opts.host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(s.opts.port)))
}

// waitReady waits until the runtime takes connections.
func (s *session) waitReady(ctx context.Context, runtime *child) error {
	deadline := time.After(startPatience)
	for {
		conn, err := net.DialTimeout("tcp", s.address(), time.Second)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-runtime.done:
			return failed(fmt.Errorf("the runtime ended: %s", ended(runtime.err)))
		case <-deadline:
			return failed(fmt.Errorf("the runtime does not answer on %s", s.address()))
		case <-time.After(startPoll):
		}
	}
}

// greet prints what can be done now.
func (s *session) greet(a *artifactpb.Artifact, key *devkey.Key) error {
	out := s.app.out
	base := "http://" + s.address()
	fmt.Fprintf(out, "\n%s is served on %s, in development mode", a.GetProject(), base)
	if s.standIns != nil {
		fmt.Fprint(out, ", with a mock in place of its upstreams")
	}
	fmt.Fprint(out, "\n\n")

	const lifetime = 12 * time.Hour
	token, err := key.Mint(devkey.Claims{
		Subject: "developer", Scopes: allScopes(a), IssuedAt: time.Now(), Lifetime: lifetime,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "TOKEN=%s\n", token)
	m, err := mock.New(a)
	if err != nil {
		return err
	}
	calls := pickCalls(a)
	if slices.ContainsFunc(calls, func(c call) bool { _, byKey := curlCredential(a, c.api, c.op); return byKey }) {
		apiKey, err := developmentKey(key, lifetime)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "API_KEY=%s\n", apiKey)
	}
	for _, c := range calls {
		target := m.Target(c.api, c.op)
		line := "curl -i"
		if c.op.GetMethod() != http.MethodGet {
			line += " -X " + c.op.GetMethod()
		}
		credential, _ := curlCredential(a, c.api, c.op)
		line += credential
		fmt.Fprintf(out, "%s %s\n", line, shellWord(base+strings.TrimSuffix(c.api.GetBasePath(), "/")+target))
	}
	fmt.Fprintf(out, "\nwatching %s for changes; Ctrl-C stops\n\n", s.opts.build.Dir)
	return nil
}

// allScopes is every scope that an operation asks for, so that the token opens
// all of them.
func allScopes(a *artifactpb.Artifact) []string {
	const most = 100 // a head has limits
	var scopes []string
	for _, api := range a.GetApis() {
		for _, op := range api.GetOperations() {
			for _, stage := range op.GetStages() {
				for _, scope := range stage.GetScope().GetScopes() {
					if !slices.Contains(scopes, scope) && len(scopes) < most {
						scopes = append(scopes, scope)
					}
				}
			}
		}
	}
	return scopes
}

type call struct {
	api *artifactpb.Api
	op  *artifactpb.Operation
}

// pickCalls picks a few operations that show something: reads, with and without
// a parameter, and one that is open to everybody.
func pickCalls(a *artifactpb.Artifact) []call {
	const most = 3
	var whole, templated, open, others []call
	for _, api := range a.GetApis() {
		for _, op := range api.GetOperations() {
			list := &whole
			switch {
			case op.GetMethod() != http.MethodGet:
				list = &others
			case op.GetSecurity().GetDisabled():
				list = &open
			case strings.Contains(op.GetPath(), "{"):
				list = &templated
			}
			*list = append(*list, call{api, op})
		}
	}
	var picked []call
	lists := []*[]call{&whole, &templated, &open, &whole, &templated, &open, &others, &others, &others}
	for _, list := range lists {
		if len(*list) > 0 && len(picked) < most {
			picked, *list = append(picked, (*list)[0]), (*list)[1:]
		}
	}
	return picked
}

// shellWord quotes what a shell would otherwise read.
func shellWord(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/:%@+,=", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
