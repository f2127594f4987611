package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/mock"
)

const mockLong = `Answer as the upstreams of a project would, from the examples and schemas of its
definitions. Only upstreams on this machine can be stood in for, at the very
address that the definition names; with --port everything is answered at one
port instead, for a project built with --default-endpoint or other addresses.

An operation answers with its first 2xx response: the example, else the first of
the examples, else what the schema gives (example, default, enum), else a value
made from it, always the same. What a request carries is not looked at, save for
the Accept header.

With --show it prints a header field of each request that has it, to see what
upstreams are told: a token of the gateway (X-JWT-Assertion), a certificate.

micro-gw run starts a mock by itself, for any upstream; this is for a gateway
that is started by hand.

Exit codes: 0 stopped by a signal; 1 the project has errors, or an address is
taken; 2 wrong arguments.`

const mockExamples = `  micro-gw mock petstore
  micro-gw mock petstore --port 8081
  micro-gw mock petstore --show X-JWT-Assertion --show X-Forwarded-For`

func (a *app) mockCommand() *cobra.Command {
	var (
		opts build.Options
		port port
		show []string
	)
	cmd := &cobra.Command{
		Use:               "mock NAME|PATH",
		Short:             "Answer in place of a project's upstreams",
		Long:              mockLong,
		Example:           mockExamples,
		Args:              oneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Dir = args[0]
			return a.mock(cmd.Context(), opts, cmd.Flags().Changed("port"), uint16(port), show)
		},
	}
	addDefaultEndpoint(cmd, &opts)
	addRemoteRefs(cmd, &opts)
	cmd.Flags().Var(&port, "port", "answer for all upstreams at this port of 127.0.0.1; 0 takes a free one")
	cmd.Flags().StringArrayVar(&show, "show", nil, "print the header `FIELD` of requests that have it; may be repeated")
	return cmd
}

func (a *app) mock(ctx context.Context, opts build.Options, onePort bool, port uint16, show []string) error {
	result, err := a.project(ctx, opts)
	if err != nil {
		return err
	}
	a.err.diagnostics(result.Diagnostics, "mock")
	if result.Artifact == nil {
		return errReported
	}
	m, err := mock.New(result.Artifact)
	if err != nil {
		return failed(err)
	}
	servers := newServers()
	defer servers.stop()
	if onePort {
		address, err := servers.listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))), a.showing(show, m))
		if err != nil {
			return failed(err)
		}
		fmt.Fprintf(a.out, "answering for all upstreams on http://%s\n", address)
	} else {
		local := 0
		for _, authority := range m.Upstreams() {
			if !isLocal(authority) {
				continue
			}
			address, err := servers.listen(authority, a.showing(show, m.Upstream(authority)))
			if err != nil {
				return failed(err)
			}
			fmt.Fprintf(a.out, "answering on http://%s\n", address)
			local++
		}
		if local == 0 {
			return usage("answer for them at another address with --port, or use micro-gw run", "no upstream of %s is on this machine", opts.Dir)
		}
	}
	<-ctx.Done()
	return nil
}

// showing prints the named header fields of requests before h answers them. Which
// is for the user to say: the mock by itself prints nothing that may be secret.
func (a *app) showing(fields []string, h http.Handler) http.Handler {
	if len(fields) == 0 {
		return h
	}
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var lines strings.Builder
		for _, name := range fields {
			for _, value := range r.Header.Values(name) {
				fmt.Fprintf(&lines, "%s %s %s: %s\n", r.Method, r.URL.EscapedPath(), name, diag.Printable(value))
			}
		}
		mu.Lock()
		fmt.Fprint(a.out, lines.String())
		mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// isLocal says whether an authority is an address of this machine for sure.
func isLocal(authority string) bool {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// servers are HTTP servers for mocks. The zero value is not usable.
type servers struct {
	mu      sync.Mutex
	running []*http.Server // guarded by mu
	wg      sync.WaitGroup
}

func newServers() *servers { return &servers{} }

// listen serves h on address until stop is called. It returns the address with
// the port that it got.
func (s *servers) listen(address string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		// Longer than the gateway keeps a connection: who closes last wins the
		// race that idle connections end in.
		IdleTimeout:    5 * time.Minute,
		MaxHeaderBytes: 1 << 20,
	}
	s.mu.Lock()
	s.running = append(s.running, srv)
	s.mu.Unlock()
	s.wg.Go(func() {
		// Serve only ends when stop closes it, or when the listener breaks; then
		// callers see for themselves.
		_ = srv.Serve(l)
	})
	return l.Addr().String(), nil
}

// stop ends all servers at once and waits for their goroutines: the answers of a
// mock are not worth waiting for.
func (s *servers) stop() {
	s.mu.Lock()
	for _, srv := range s.running {
		srv.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// A swap is a handler that can be replaced while it is served.
type swap struct {
	current atomic.Pointer[http.Handler]
}

func (s *swap) set(h http.Handler) { s.current.Store(&h) }

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.current.Load()).ServeHTTP(w, r)
}

// stand-ins are the mocks of `micro-gw run`: one address for each upstream, kept
// over rebuilds so that a swapped artifact finds them where they were.
type standIns struct {
	servers   *servers
	handlers  map[string]*swap
	addresses map[string]string
}

func newStandIns() *standIns {
	return &standIns{servers: newServers(), handlers: make(map[string]*swap), addresses: make(map[string]string)}
}

// take makes the stand-ins answer as m does. They keep answering for upstreams
// that m no longer has: the gateway may still be swapping.
func (s *standIns) take(m *mock.Mock) error {
	if len(m.Upstreams()) > maxStandIns {
		return errors.New("mock: too many upstreams; use --no-mock")
	}
	for _, authority := range m.Upstreams() {
		h := s.handlers[authority]
		if h == nil {
			h = &swap{}
			h.set(m.Upstream(authority))
			address, err := s.servers.listen("127.0.0.1:0", h)
			if err != nil {
				return fmt.Errorf("mock: %w", err)
			}
			s.handlers[authority], s.addresses[authority] = h, address
		}
		h.set(m.Upstream(authority))
	}
	return nil
}

// maxStandIns bounds the ports that are taken.
const maxStandIns = 1000
