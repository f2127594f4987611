// Package gateway builds the runtime from its configuration and an artifact,
// runs it, and ends it. It owns every goroutine that outlives a request.
//
// The order of starting is a promise: everything that can be refused is read,
// checked and built first, and only then is a port bound. A process that
// listens is one that can serve.
//
// What surprises: a memory limit of the control group becomes the garbage
// collector's (see limitMemory), and a second later than the start, and after
// each swap, memory that was only needed for building is handed back to the
// system.
package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/policy/backendjwt"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/telemetry"
	"github.com/microgw/microgw/runtime/internal/watchdog"
)

// Options says what to run.
type Options struct {
	Artifact string // path
	Conf     conf.Options
	Watch    bool // swap the artifact when its file changes
	// VerifyKeys are PEM files with the keys that the artifact must be signed
	// by, one of them; if there are any, those of the conf do not count.
	VerifyKeys []string

	Stderr io.Writer // for the log
	// Signals are acted on as the runtime command documents: SIGTERM and
	// SIGINT, SIGHUP, SIGUSR1. nil: none come.
	Signals <-chan os.Signal
	// Ready, if not nil, is called once when the gateway serves.
	Ready func(Addresses)
}

// Addresses are where a gateway listens; "" for a port that is off.
type Addresses struct {
	HTTP, HTTPS, Tokens, Admin string
}

// ErrInterrupted says that a second signal ended the gateway before the
// requests in flight had.
var ErrInterrupted = errors.New("interrupted by a second signal; requests in flight were cut off")

// Run serves until ctx is done or a signal says so, and then until the
// requests in flight have ended or the grace is over. An error before Ready
// means that no port was bound, or all were let go.
func Run(ctx context.Context, o Options) error {
	limitMemory(os.Getenv, "/")
	g, err := build(o, true)
	if err != nil {
		return err
	}
	defer g.close()
	return g.run(ctx)
}

// Check builds everything that Run builds before it binds a port, and lets go
// of it again. It returns what would be served in a line.
func Check(o Options) (string, error) {
	g, err := build(o, false)
	if err != nil {
		return "", err
	}
	defer g.close()
	for _, w := range g.warnings() {
		g.log.Warn(w)
	}
	return g.serving.Load().summary(), nil
}

// gateway is a runtime: built, then running, then closed.
type gateway struct {
	o        Options
	cfg      *conf.Config
	log      *slog.Logger
	identity *identity   // nil without a TLS port
	tls      *tls.Config // nil without an HTTPS port
	warn     []string    // of starting
	started  time.Time
	access   *telemetry.AccessLog // nil if it is off
	counters *telemetry.Counters
	issuers  *issuers
	backend  *backendjwt.Generator // nil: upstreams are not told who calls
	keys     *apiKeys
	users    basic.Users  // nil: nobody
	clients  *clients     // nil: they are not asked for certificates
	revoked  *revocations // nil: tokens are not looked up
	dog      *watchdog.Dog
	engine   *engine.Engine
	server   *http1.Server

	// The key manager's endpoints.
	tokens        *engine.Table // nil: none
	tokenCounters *telemetry.RouteCounters
	tokenTLS      *tls.Config   // nil without a port of their own
	tokenServer   *http1.Server // the same

	serving  atomic.Pointer[serving]
	refused  atomic.Pointer[string] // why the last artifact was refused
	draining atomic.Bool

	mu        sync.Mutex
	listeners []admin.Listener // guarded by mu
}

// build makes all parts and binds nothing. The access log is only opened to
// serve: that may make a file.
func build(o Options, toServe bool) (_ *gateway, err error) {
	g := &gateway{o: o, started: time.Now(), counters: telemetry.NewCounters()}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.cfg, err = conf.Load(o.Conf); err != nil {
		return nil, err
	}
	g.log = logger(o.Stderr, &g.cfg.Log)
	l := &g.cfg.Listener
	tokenPort := g.cfg.KeyManager.Enabled && l.TokenPort != conf.Off
	if l.HTTPSPort != conf.Off || tokenPort {
		if g.identity, g.warn, err = newIdentity(l, g.started); err != nil {
			return nil, err
		}
		if tokenPort {
			// No client certificates: whoever needs one for APIs must be able to get
			// a token first.
			g.tokenTLS = g.identity.config()
		}
		if l.HTTPSPort != conf.Off {
			g.tls = g.identity.config()
		}
	}
	if g.backend, err = newBackendJWT(g.cfg, g.identity); err != nil {
		return nil, err
	}
	if g.issuers, err = newIssuers(g.cfg, g.log); err != nil {
		return nil, err
	}
	if g.revoked, err = newRevocations(g.cfg, g.issuers.trusted, g.log); err != nil {
		return nil, err
	}
	g.issuers.revoked = g.revoked.set()
	if g.keys, err = newAPIKeys(g.cfg, g.issuers); err != nil {
		return nil, err
	}
	if g.users, err = newUsers(g.cfg, g.issuers.trusted, g.log); err != nil {
		return nil, err
	}
	if g.clients, err = newClients(g.cfg, g.issuers.store); err != nil {
		return nil, err
	}
	if g.clients != nil {
		g.warn = append(g.warn, g.clients.warn...)
		if g.tls != nil {
			g.clients.listen(g.tls)
		}
	}
	g.dog = watchdog.New()
	if toServe && g.cfg.AccessLog.Enabled {
		if err := g.openAccessLog(); err != nil {
			return nil, err
		}
	}
	if g.tokens, err = g.newTokens(); err != nil {
		return nil, err
	}
	g.engine = g.newEngine()
	first, err := g.load()
	if err != nil {
		return nil, err
	}
	g.serve(first)
	g.server = http1.NewServer(g.serverOptions(g.engine))
	if g.tokenTLS != nil {
		g.tokenServer = http1.NewServer(g.serverOptions(g.newTokenEngine()))
	}
	return g, nil
}

// close lets go of everything, in the reverse order of building. What is in
// flight must have ended.
func (g *gateway) close() {
	if g.engine != nil {
		g.engine.Table().Close()
	}
	if g.tokens != nil {
		g.tokens.Close()
	}
	if g.dog != nil {
		g.dog.Close()
	}
	if g.issuers != nil {
		g.issuers.close()
	}
	if c, ok := g.users.(interface{ Close() }); ok {
		c.Close()
	}
	if g.access != nil {
		if err := g.access.Close(); err != nil {
			g.log.Warn(err.Error())
		}
	}
}

// logger writes lines for people or, as JSON, for machines.
func logger(w io.Writer, c *conf.Log) *slog.Logger {
	if w == nil {
		return slog.New(slog.DiscardHandler)
	}
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// warnings is what the operator should know although the gateway starts.
func (g *gateway) warnings() []string {
	w := append([]string(nil), g.cfg.Warnings...)
	w = append(w, g.warn...)
	return append(w, g.warningsOf(g.serving.Load())...)
}

// warningsOf is those that depend on the artifact.
func (g *gateway) warningsOf(s *serving) (w []string) {
	switch {
	case g.cfg.Development && s.developmentKey:
		w = append(w, "DEVELOPMENT MODE: every token signed with the project's development key is accepted. "+
			"Give a conf file and no --dev where others can reach this gateway")
	case g.cfg.Development:
		w = append(w, "DEVELOPMENT MODE, but the artifact has no development key: `micro-gw token` makes one, build again after it")
	}
	w = append(w, g.unmet(s)...)
	w = append(w, s.strange...)
	return w
}

// run binds the ports, serves, and stops.
func (g *gateway) run(ctx context.Context) (err error) {
	// Everything that is started below ends before run returns.
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	again := false // a SIGHUP has come meanwhile
	if g.revoked != nil {
		wg.Go(func() { g.revoked.run(ctx) })
		known := make(chan struct{})
		wg.Go(func() {
			g.revoked.await(ctx)
			close(known)
		})
		for waiting := true; waiting; {
			select {
			case <-known:
				waiting = false
			case s := <-g.o.Signals:
				switch s {
				case syscall.SIGHUP:
					again = true
				case syscall.SIGUSR1: // the access log was opened just now
				default:
					g.log.Info("gateway stopped before it served", "reason", s.String())
					return nil
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	api, adminListener, err := listenAll(g.cfg)
	if err != nil {
		return err
	}

	failed := make(chan error, len(api)+1)
	addresses := Addresses{}
	for _, l := range api {
		var t *tls.Config
		server, address := g.server, l.Addr().String()
		switch l.name {
		case "https":
			addresses.HTTPS, t = address, g.tls
		case "tokens":
			addresses.Tokens, t, server = address, g.tokenTLS, g.tokenServer
		default:
			addresses.HTTP = address
		}
		g.setListener(l, true)
		wg.Go(func() {
			err := server.Serve(l, t)
			g.setListener(l, false)
			if !errors.Is(err, http1.ErrClosed) {
				failed <- fmt.Errorf("%s listener %s: %w", l.name, l.Addr(), err)
			}
		})
	}
	if adminListener == nil && g.cfg.Admin.Address != "" {
		g.log.Warn("no admin port: "+g.cfg.Admin.Address+" is in use by another process; set admin.address to have one", "missing", "/health /ready /version /routes")
	}
	if adminListener != nil {
		addresses.Admin = adminListener.Addr().String()
		server := newAdminServer(g.publishing(admin.Handler(g)), g.log)
		wg.Go(func() {
			if err := server.Serve(adminListener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("admin listener %s: %w", addresses.Admin, err)
			}
		})
		defer server.Close()
	}

	changed := make(chan struct{}, 1)
	if g.o.Watch {
		last := g.serving.Load().file
		wg.Go(func() {
			watch(ctx, []string{g.o.Artifact}, []fileID{last}, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		})
	}

	credentials := g.credentials()
	for _, c := range credentials {
		wg.Go(func() { watch(ctx, c.files, c.seen, c.reload) })
	}

	g.announce(addresses)
	if g.o.Ready != nil {
		g.o.Ready(addresses)
	}
	// Not at once: the first requests have precedence.
	tidy := time.NewTimer(time.Second)
	defer tidy.Stop()
	hangup := func() {
		g.reload("SIGHUP")
		for _, c := range credentials {
			c.reload()
		}
	}
	if again {
		hangup()
	}

	for {
		select {
		case <-ctx.Done():
			return g.drain("the caller asked for it")
		case err := <-failed:
			_ = g.drain(err.Error())
			return err
		case s := <-g.o.Signals:
			switch s {
			case syscall.SIGHUP:
				hangup()
				tidy.Reset(time.Second)
			case syscall.SIGUSR1:
				g.reopen()
			default:
				return g.drain(s.String())
			}
		case <-changed:
			g.reload("the file changed")
			tidy.Reset(time.Second)
		case <-tidy.C:
			debug.FreeOSMemory()
		}
	}
}

// announce says at the start what an operator looks for.
func (g *gateway) announce(a Addresses) {
	for _, w := range g.warnings() {
		g.log.Warn(w)
	}
	s := g.serving.Load()
	g.log.Info("artifact loaded", s.attrs()...)
	if k := g.clients; k != nil && a.HTTPS != "" {
		args := []any{"sslVerifyClient", k.cfg.Verify, "authorities", len(k.now.Load().authorities)}
		if k.revoked != nil {
			args = append(args, "revoked", k.revoked.Len())
		}
		g.log.Info("clients of the HTTPS listener are asked for a certificate", args...)
	}
	if g.cfg.AccessLog.Enabled {
		g.log.Info("HTTP access log enabled", "path", g.cfg.AccessLog.Path, "format", g.cfg.AccessLog.Format)
	}
	for _, l := range []struct{ name, address string }{{"HTTP", a.HTTP}, {"HTTPS", a.HTTPS}, {"token", a.Tokens}, {"admin", a.Admin}} {
		if l.address == "" {
			continue
		}
		_, port, _ := net.SplitHostPort(l.address)
		g.log.Info(l.name+" listener is active on port "+port, "address", l.address)
	}
	g.log.Info("gateway started", "version", buildinfo.Version(), "conf", cmp.Or(g.o.Conf.Path, "none"), "took", time.Since(g.started).Round(100*time.Microsecond).String())
}

// drain ends the gateway: no new connections, not ready, requests in flight
// may finish until the grace is over. A further signal cuts them off.
func (g *gateway) drain(why string) error {
	g.draining.Store(true)
	grace := g.cfg.Shutdown.Grace
	servers := []*http1.Server{g.server}
	if g.tokenServer != nil {
		servers = append(servers, g.tokenServer)
	}
	connections := 0
	for _, s := range servers {
		connections += s.Connections()
	}
	g.log.Info("shutting down", "reason", why, "connections", connections, "grace", grace.String())
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	// The server cuts off clients when the grace is over. Those who wait for an
	// upstream are woken as well.
	stop := context.AfterFunc(ctx, g.dog.Cut)
	defer stop()
	done := make(chan error, 1)
	go func() {
		var wg sync.WaitGroup
		errs := make([]error, len(servers))
		for i, s := range servers {
			wg.Go(func() { errs[i] = s.Shutdown(ctx) })
		}
		wg.Wait()
		done <- errors.Join(errs...)
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				g.log.Warn("the grace is over; requests in flight were cut off")
			}
			g.log.Info("gateway stopped")
			return nil
		case s := <-g.o.Signals:
			if s == syscall.SIGHUP || s == syscall.SIGUSR1 {
				continue // nothing to swap or reopen any more
			}
			cancel() // cuts connections off
			<-done
			return ErrInterrupted
		}
	}
}

// reload swaps the artifact, or keeps the one before if the new one is
// refused. Requests under way end on the routes they began with.
func (g *gateway) reload(why string) {
	old := g.serving.Load()
	next, err := g.load()
	if err != nil {
		text := err.Error()
		g.refused.Store(&text)
		g.log.Error("artifact refused, the one before goes on", "error", err, "reason", why, "serving", old.digest())
		return
	}
	g.refused.Store(nil)
	if next.digest() == old.digest() {
		g.log.Info("artifact unchanged", next.attrs()...)
		next.table.Close()
		return
	}
	g.serve(next)
	before := g.warningsOf(old)
	for _, w := range g.warningsOf(next) {
		if !slices.Contains(before, w) {
			g.log.Warn(w)
		}
	}
	g.log.Info("artifact swapped", append(next.attrs(), "reason", why, "before", old.digest())...)
}

// credentials are files that are read again when they change, and on SIGHUP.
type credentials struct {
	files  []string
	seen   []fileID // when they were read, for watch
	reload func()
}

func (g *gateway) credentials() (all []credentials) {
	if i := g.identity; i != nil && i.files != nil {
		all = append(all, credentials{i.files, i.seen, g.reloadIdentity})
	}
	if o := g.issuers.own; o != nil && o.files != nil {
		all = append(all, credentials{o.files, o.seen, func() { o.reload(g.issuers.opaque, g.log) }})
	}
	if k := g.clients; k != nil {
		all = append(all, credentials{k.files, k.seen, func() { k.reload(g.log) }})
		if k.revoked != nil {
			all = append(all, credentials{[]string{k.cfg.CRLFile}, k.seenCRL, func() { k.reloadCRL(g.log) }})
		}
	}
	return all
}

// reloadIdentity reads the certificate of the TLS ports again.
func (g *gateway) reloadIdentity() {
	changed, err := g.identity.reload(time.Now())
	leaf := g.identity.now.Load().Leaf
	args := []any{"serial", leaf.SerialNumber, "until", leaf.NotAfter.UTC()}
	switch {
	case err != nil:
		g.log.Error("certificate of the HTTPS listener: the one before goes on", append([]any{"err", err}, args...)...)
	case changed:
		g.log.Info("certificate of the HTTPS listener read", append([]any{"path", g.identity.files[0]}, args...)...)
		if at := outside(leaf, time.Now()); at != "" {
			g.log.Warn("the certificate of the HTTPS listener " + at)
		}
	}
}

func (g *gateway) openAccessLog() (err error) {
	o := telemetry.AccessLogOptions{Path: g.cfg.AccessLog.Path, Logger: g.log}
	if g.cfg.AccessLog.Format == "json" {
		o.Format = telemetry.JSON
	}
	if g.access, err = telemetry.NewAccessLog(o); err != nil {
		return fmt.Errorf("accessLog.path: %w", err)
	}
	return nil
}

func (g *gateway) reopen() {
	if g.access == nil {
		return
	}
	if err := g.access.Reopen(); err != nil {
		g.log.Error("access log not reopened, the open file goes on", "error", err)
		return
	}
	g.log.Info("access log reopened", "path", g.cfg.AccessLog.Path)
}

func (g *gateway) setListener(l listener, up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	address := l.Addr().String()
	for i := range g.listeners {
		if g.listeners[i].Address == address {
			g.listeners[i].Up = up
			return
		}
	}
	g.listeners = append(g.listeners, admin.Listener{Name: l.name, Address: address, Up: up})
}

// newAdminServer is net/http with limits: the admin port may be reachable by
// more than those who need it.
func newAdminServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
