package gateway

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/plan"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/telemetry"
	"github.com/microgw/microgw/runtime/internal/upstream"
)

// serving is an artifact made ready to serve, with what the admin port tells of
// it. The artifact itself is not kept: its documents may be many times the size
// of the routes.
type serving struct {
	table    *engine.Table
	counters *telemetry.RouteCounters
	identity admin.Artifact
	routes   []admin.Route // without counts
	apis     int
	needs    needs
	strange  []string // what of the conf the artifact has nothing for

	developmentKey bool
	file           fileID // as it was before it was read
}

// load reads the artifact and builds its routes. It changes nothing.
func (g *gateway) load() (*serving, error) {
	// First its identity, then its content: if it changes in between, watch
	// sees a difference and loads it once more.
	s := &serving{file: identify(g.o.Artifact)}
	f, err := g.open()
	if err != nil {
		return nil, err
	}
	if err := g.clients.unlisted(f.GetApis()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	verifier, err := g.issuers.with(f.GetDevelopmentKey())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	apiKeys, err := g.keys.with(f.GetDevelopmentKey())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	var cookie *jwt.Cookie
	if a := &g.cfg.Auth; a.Cookie != "" {
		cookie = &jwt.Cookie{Name: a.Cookie, Origins: a.CookieOrigins}
	}
	s.table, err = plan.Build(f, plan.Options{
		Verifier:         verifier,
		AuthHeader:       g.cfg.Auth.Header,
		RemoveAuthHeader: g.cfg.Auth.RemoveHeader,
		Cookie:           cookie,
		BackendJWT:       g.backend,
		Assertion:        g.assertion(),
		Users:            g.users,
		APIKeys:          apiKeys,
		Certificates:     g.clients.plan(g.cfg.Mutual.UpstreamHeader),
		Upstream:         g.upstreamOptions(),
		Overrides:        g.cfg.Overrides,
		Stray:            g.strayOverride,
	})
	if err != nil {
		return nil, err
	}

	s.identity = admin.Artifact{
		Project: f.GetProject(), Path: f.Path, Digest: "sha256:" + hex.EncodeToString(f.Digest[:]),
		Format: f.Format, Size: f.Size, Toolkit: f.GetBuild().GetToolkitVersion(), LoadedAt: time.Now().UTC(),
	}
	if f.Signer != nil {
		s.identity.Signer = signing.ID(f.Signer)
	}
	s.developmentKey = len(f.GetDevelopmentKey()) > 0
	s.apis = len(f.GetApis())
	s.needs = needsOf(f.GetApis(), f.GetSecuritySchemes())
	s.strange = append(g.clients.unknownAPIs(f.GetApis()), g.issuers.unknown(f.GetSecuritySchemes())...)
	ids := make([]string, len(s.table.Routes))
	for i, r := range s.table.Routes {
		// IDs are unique in an API only; APIs differ in their base paths.
		ids[i] = r.BasePath + " " + r.ID
		s.routes = append(s.routes, describe(r))
	}
	s.counters = g.counters.Routes(ids)
	s.table.Counters = s.counters
	return s, nil
}

// open reads the artifact and insists on its signature if there are keys to
// verify it by. They are read each time, so that who may sign can change while
// the gateway serves; a key that cannot be read refuses the artifact.
func (g *gateway) open() (*artifact.File, error) {
	files, source := g.o.VerifyKeys, "--verify-key"
	if len(files) == 0 {
		files, source = g.cfg.Artifact.VerifyKeys, "artifact.verifyKeys"
	}
	if len(files) == 0 {
		return artifact.Open(g.o.Artifact)
	}
	var keys []ed25519.PublicKey
	for _, file := range files {
		k, err := signing.Public(file)
		if err != nil {
			return nil, withHint(fmt.Errorf("%s: %w", source, err))
		}
		keys = append(keys, k...)
	}
	f, err := artifact.OpenSigned(g.o.Artifact, keys)
	var untrusted *artifact.NotTrustedError
	if errors.As(err, &untrusted) {
		names := make([]string, 0, len(keys))
		for _, k := range keys {
			names = append(names, signing.ID(k))
		}
		return nil, fmt.Errorf("%w (%s trusts %s)", err, source, strings.Join(names, ", "))
	}
	return f, err
}

// withHint puts what to do about a key file below what is wrong with it.
func withHint(err error) error {
	var bad *signing.Error
	if errors.As(err, &bad) && bad.Hint != "" {
		return fmt.Errorf("%w\n\thint: %s", err, bad.Hint)
	}
	return err
}

func describe(r *engine.Route) admin.Route {
	d := admin.Route{
		Method: r.Method, Path: r.BasePath + r.Template, API: r.API, APIVersion: r.APIVersion,
		Production: endpoints(r.Production), Sandbox: endpoints(r.Sandbox),
	}
	if r.BasePath == "/" {
		d.Path = r.Template
	}
	for _, s := range r.Stages {
		d.Stages = append(d.Stages, s.Name)
	}
	return d
}

func endpoints(f engine.Forwarder) []string {
	if c, ok := f.(*upstream.Cluster); ok && c != nil {
		return c.Endpoints()
	}
	return nil
}

// serve makes s what is served. Requests that have begun end on the table they
// began with; its pooled connections are not used again.
func (g *gateway) serve(s *serving) {
	old := g.engine.SetTable(s.table)
	g.serving.Store(s)
	old.Close()
}

func (s *serving) digest() string { return s.identity.Digest }

// attrs are for the log.
func (s *serving) attrs() []any {
	list := []any{"project", s.identity.Project, "path", s.identity.Path, "digest", s.identity.Digest,
		"apis", s.apis, "operations", len(s.routes), "toolkit", s.identity.Toolkit}
	if s.identity.Signer != "" {
		list = append(list, "signer", s.identity.Signer)
	}
	return list
}

// summary is for --check.
func (s *serving) summary() string {
	text := fmt.Sprintf("%s: good: project %s, %s, %s, %s", s.identity.Path, s.identity.Project,
		plural(s.apis, "API"), plural(len(s.routes), "operation"), s.identity.Digest)
	if s.identity.Signer != "" {
		text += ", signed by " + s.identity.Signer
	}
	return text
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

// State implements admin.Source.
func (g *gateway) State() admin.State {
	s := admin.State{
		KeySets: append(g.issuers.state(), g.keys.state()...), Draining: g.draining.Load(), Development: g.cfg.Development, Started: g.started.UTC(),
		Revocations: g.revoked.state(),
	}
	if now := g.serving.Load(); now != nil {
		identity := now.identity
		s.Artifact = &identity
	}
	if text := g.refused.Load(); text != nil {
		s.Refused = *text
	}
	if in := g.issuers.opaque; in != nil {
		if err := in.Failing(); err != nil {
			s.Unchecked = err.Error()
		}
	}
	if u, ok := g.users.(*users); ok {
		s.UserStores = u.failing()
	}
	if g.access != nil {
		s.LogLinesDropped = g.access.Dropped()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Listeners = append(s.Listeners, g.listeners...)
	return s
}

// Routes implements admin.Source.
func (g *gateway) Routes() []admin.Route {
	s := g.serving.Load()
	routes := append([]admin.Route(nil), s.routes...)
	for i, c := range s.counters.Snapshot() {
		routes[i].Count = c
	}
	return append(routes, g.tokenRoutes()...)
}

// Unmatched implements admin.Source.
func (g *gateway) Unmatched() telemetry.Count {
	_, unmatched := g.counters.Totals()
	return unmatched
}

func (g *gateway) newEngine() *engine.Engine {
	o := engine.Options{Log: g.log, Health: true, Builtin: g.tokens}
	if g.backend != nil && g.cfg.BackendJWT.PublishKeys {
		o.Documents = map[string][]byte{jwksPath: g.backend.JWKS()}
	}
	if g.access != nil {
		o.Observers = append(o.Observers, g.access)
	}
	e := engine.New(o)
	// The watchdog ticks more often than idle connections need looking at.
	var last int64
	g.dog.Every(func(now int64) {
		if now-last >= int64(time.Second) {
			last = now
			e.Table().Sweep(now)
			if g.revoked != nil {
				g.revoked.sweep()
			}
			if g.tokens != nil {
				g.tokens.Sweep(now)
			}
		}
	})
	return e
}

// strayOverride judges an override that nothing in the artifact listens to. A
// variable of the environment may be meant for somebody else; whoever writes
// one in the file or on the command line means us.
func (g *gateway) strayOverride(name string) error {
	source := g.cfg.Source(name)
	if !strings.HasPrefix(source, "env ") {
		return errors.New(source)
	}
	g.log.Warn("variable of the environment has no effect: no endpoint of the artifact has that name", "variable", name)
	return nil
}

// lastCall is long enough for a client that keeps its connection busy, and for
// a request that has arrived and was not read yet.
const lastCall = 200 * time.Millisecond

func (g *gateway) serverOptions(h http1.Handler) http1.Options {
	l := &g.cfg.Listener
	limits := http1.DefaultLimits()
	limits.TargetBytes = l.MaxURILength
	limits.HeadBytes = l.MaxHeaderSize
	limits.Fields = l.MaxHeaderFields
	limits.BodyBytes = max(0, l.MaxEntityBodySize) // 0 is "no limit" there, -1 in the conf
	limits.Pipelined = l.MaxPipelinedRequests
	limits.HeadTimeout = l.HeadTimeout
	limits.BodyTimeout = l.BodyTimeout
	limits.IdleTimeout = l.IdleTimeout
	limits.WriteTimeout = l.WriteTimeout
	return http1.Options{
		Handler:        h,
		Limits:         limits,
		TrustedProxies: l.TrustedProxies,
		KeepAlive:      map[string]http1.KeepAlive{"ALWAYS": http1.KeepAliveAlways, "NEVER": http1.KeepAliveNever}[l.KeepAlive],
		MaxConnections: l.MaxConnections,
		LastCall:       lastCall,
		Server:         g.cfg.Server.Header,
		Dog:            g.dog,
		Log:            g.log,
	}
}

func (g *gateway) upstreamOptions() *upstream.Options {
	u := &g.cfg.Upstream
	limits := http1.DefaultLimits()
	limits.LineBytes = u.ResponseLimits.MaxStatusLineLength
	limits.HeadBytes = u.ResponseLimits.MaxHeaderSize
	limits.BodyBytes = max(0, u.ResponseLimits.MaxEntityBodySize)
	limits.AnswerTimeout = u.ResponseTimeout
	limits.WriteTimeout = u.ResponseTimeout
	return &upstream.Options{
		Limits:         limits,
		ConnectTimeout: u.ConnectTimeout,
		IdleTimeout:    u.IdleTimeout,
		MaxIdle:        u.MaxIdle,
		MaxActive:      u.MaxActive,
		TLS:            upstreamTLS(u, g.issuers.trusted),
		Dog:            g.dog,
	}
}

// upstreamTLS is how upstreams prove who they are.
func upstreamTLS(u *conf.Upstream, roots *x509.CertPool) *tls.Config {
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	switch {
	case u.DisableSSLVerification:
		c.InsecureSkipVerify = true // the operator's word; conf warns of it
	case !u.VerifyHostname:
		// crypto/tls has no switch for the name alone: turn its check off and
		// do the rest of it here.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the upstream sent no certificate")
			}
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err := s.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c
}
