// Package plan makes the routes that an artifact describes. It is the one
// package that knows every policy.
//
// What it does not know it refuses: a stage of an unknown kind, or an operation
// that is secured but has no stage to see to it, would otherwise be an open
// door.
package plan

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/policy/apikey"
	"github.com/microgw/microgw/runtime/internal/policy/authn"
	"github.com/microgw/microgw/runtime/internal/policy/backendjwt"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/policy/clientcert"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/policy/scope"
	"github.com/microgw/microgw/runtime/internal/upstream"
	"github.com/microgw/microgw/schema/artifactpb"
)

// Options is what the environment adds to the artifact.
type Options struct {
	Verifier *jwt.Verifier
	// AuthHeader carries the credentials where the API does not say otherwise;
	// RemoveAuthHeader takes it out of the forwarded request.
	AuthHeader       string
	RemoveAuthHeader bool
	// Cookie carries a token where that header is absent; nil: none does.
	Cookie *jwt.Cookie
	// BackendJWT tells upstreams who calls; nil: nothing does.
	BackendJWT *backendjwt.Generator
	// Assertion is the header field that upstreams look for such a token in, and that
	// clients must not send where nothing does; "": it is any field.
	Assertion string
	// Users are who may call with a name and a password; nil: nobody.
	Users basic.Users
	// APIKeys says whose an API key is; nil: nobody's.
	APIKeys      apikey.Verifier
	Certificates Certificates
	Upstream     *upstream.Options
	// Overrides are conf values by names made of an API's or endpoint's name:
	// NAME_prod_endpoint_0, NAME_sand_basic_password and so on.
	Overrides map[string]string
	// Stray is told of overrides that nothing in the artifact listens to. It
	// returns an error if that is one, nil to let it pass. Nil: it is one.
	Stray func(name string) error
}

// Certificates is what holds for client certificates that the listener has
// verified.
type Certificates struct {
	// Suffice says that one takes the place of everything that an API asks for
	// that says nothing of certificates itself: WSO2's
	// mutualSSLConfig.sslVerifyClient.
	Suffice bool
	// Revoked says that a chain is not good any more; nil: none is.
	Revoked func(chain []*x509.Certificate) bool
	// Allowed returns which chains are good for an API; nil, or a nil answer: all
	// are.
	Allowed func(title, version string) func(chain []*x509.Certificate) bool
	// Header tells the upstream of the certificate; "": nothing does.
	Header string
}

// Build makes the table of routes. Errors say what in the artifact or in the
// overrides is wrong.
func Build(f *artifact.File, o Options) (*engine.Table, error) {
	b := newBuilder(f, o)
	if err := b.makeClusters(); err != nil {
		return nil, err
	}
	if err := b.unusedOverrides(); err != nil {
		return nil, err
	}
	var routes []*engine.Route
	for _, api := range f.GetApis() {
		for _, op := range api.GetOperations() {
			r, err := b.route(api, op)
			if err != nil {
				return nil, fmt.Errorf("%s: API %q: %s: %w", f.Path, api.GetTitle(), op.GetId(), err)
			}
			routes = append(routes, r)
		}
	}
	t, err := engine.NewTable(routes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	for _, c := range b.clusters {
		t.Upstreams = append(t.Upstreams, c)
	}
	return t, nil
}

type builder struct {
	f        *artifact.File
	o        Options
	clusters []*upstream.Cluster
	schemes  map[any]authn.Scheme // shared by all routes that ask for the same
	used     map[string]bool      // overrides
	backend  map[*artifactpb.Api]func(*exchange.Exchange) error
}

func newBuilder(f *artifact.File, o Options) *builder {
	return &builder{f: f, o: o, schemes: map[any]authn.Scheme{}, used: map[string]bool{}, backend: map[*artifactpb.Api]func(*exchange.Exchange) error{}}
}

// backendJWT is made once for an API, so that its operations share what is
// remembered.
func (b *builder) backendJWT(api *artifactpb.Api) func(*exchange.Exchange) error {
	if b.backend[api] == nil {
		b.backend[api] = b.o.BackendJWT.Stage(backendjwt.API{Name: api.GetTitle(), Version: api.GetVersion(), Context: api.GetBasePath()})
	}
	return b.backend[api]
}

func (b *builder) makeClusters() error {
	for _, c := range b.f.GetClusters() {
		s := upstream.Settings{Name: c.GetName(), Balance: balance(c.GetBalance())}
		prefix := c.GetName() + "_" + environment(c.GetEnvironment())
		for i, e := range c.GetEndpoints() {
			u := e.GetUrl()
			if v, ok := b.override(prefix + "_endpoint_" + strconv.Itoa(i)); ok {
				u = v
			}
			s.URLs = append(s.URLs, u)
		}
		if a := c.GetAuth(); a.GetType() == artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_BASIC {
			user, ok := b.override(prefix + "_basic_username")
			if !ok {
				user = a.GetUsername()
			}
			password, _ := b.override(prefix + "_basic_password")
			s.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		}
		if ms := c.GetResilience().GetTimeoutMs(); ms > 0 {
			s.Timeout = time.Duration(ms) * time.Millisecond
		}
		made, err := upstream.New(s, b.o.Upstream)
		if err != nil {
			return fmt.Errorf("%s: endpoints of %q: %w", b.f.Path, c.GetName(), err)
		}
		b.clusters = append(b.clusters, made)
	}
	return nil
}

func (b *builder) override(name string) (string, bool) {
	v, ok := b.o.Overrides[name]
	if ok {
		b.used[name] = true
	}
	return v, ok
}

// unusedOverrides refuses an override that nothing in the artifact listens to:
// as a rule its name is misspelt, and traffic goes where it should not.
func (b *builder) unusedOverrides() error {
	var names []string
	for name := range b.o.Overrides {
		// Keys of etcd are for later; conf has said so.
		if b.used[name] || strings.HasSuffix(name, "_etcdKey") {
			continue
		}
		if b.o.Stray != nil && b.o.Stray(name) == nil {
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	sort.Strings(names)
	var known []string
	for _, c := range b.f.GetClusters() {
		known = append(known, c.GetName()+"_"+environment(c.GetEnvironment()))
	}
	return fmt.Errorf("%s: nothing in %s is overridden by it; its endpoints are: %s",
		strings.Join(names, ", "), b.f.Path, strings.Join(known, ", "))
}

func (b *builder) route(api *artifactpb.Api, op *artifactpb.Operation) (*engine.Route, error) {
	r := &engine.Route{
		Route: exchange.Route{
			ID:         op.GetId(),
			API:        api.GetTitle(),
			APIVersion: api.GetVersion(),
			BasePath:   api.GetBasePath(),
		},
		Method:   op.GetMethod(),
		Template: op.GetPath(),
	}
	for _, t := range api.GetTransports() {
		r.HTTP = r.HTTP || t == artifactpb.Transport_TRANSPORT_HTTP
		r.HTTPS = r.HTTPS || t == artifactpb.Transport_TRANSPORT_HTTPS
	}
	if i := op.GetProductionCluster(); i > 0 {
		r.Production = b.clusters[i-1]
	}
	if i := op.GetSandboxCluster(); i > 0 {
		r.Sandbox = b.clusters[i-1]
	}
	if h := b.o.Certificates.Header; h != "" {
		r.Stages = append(r.Stages, engine.Stage{Name: "client-certificate", Request: (&clientcert.Scheme{Revoked: b.o.Certificates.Revoked}).Forward(h)})
	}
	proved := false
	for _, s := range op.GetStages() {
		stage, err := b.stage(api, op, s)
		if err != nil {
			return nil, err
		}
		_, authn := s.GetKind().(*artifactpb.Stage_Authn)
		proved = proved || authn
		if !proved && !op.GetSecurity().GetDisabled() {
			if _, ok := s.GetKind().(*artifactpb.Stage_Cors); !ok {
				return nil, fmt.Errorf("stage %q stands before authentication", s.GetName())
			}
		}
		r.Stages = append(r.Stages, stage)
	}
	if !proved && !op.GetSecurity().GetDisabled() {
		return nil, fmt.Errorf("the operation is secured but no stage authenticates")
	}
	// On open operations, too: there it takes out what the client has sent.
	if b.o.BackendJWT != nil {
		r.Stages = append(r.Stages, engine.Stage{Name: "backend-jwt", Request: b.backendJWT(api)})
	} else if h := b.o.Assertion; h != "" {
		r.Stages = append(r.Stages, engine.Stage{Name: "backend-jwt", Request: backendjwt.Clear(h)})
	}
	if c := b.o.Cookie; c != nil {
		r.Stages = append(r.Stages, engine.Stage{Name: "token-cookie", Request: c.Hide})
	}
	return r, nil
}

// stage makes one stage. Adding a policy is a message in the artifact, a
// package, and a case here.
func (b *builder) stage(api *artifactpb.Api, op *artifactpb.Operation, s *artifactpb.Stage) (engine.Stage, error) {
	switch k := s.GetKind().(type) {
	case *artifactpb.Stage_Authn:
		request, err := b.authenticate(api, op, k.Authn.GetAlternatives())
		return engine.Stage{Name: s.GetName(), Request: request}, err
	case *artifactpb.Stage_Scope:
		request := scope.New(k.Scope.GetScopes(), k.Scope.GetAll()).Request
		if b.certificateSuffices(api, op) {
			request = unlessCertificate(request)
		}
		return engine.Stage{Name: s.GetName(), Request: request}, nil
	default:
		return engine.Stage{}, fmt.Errorf("stage %q is of a kind that this runtime does not know", s.GetName())
	}
}

func balance(b artifactpb.Balance) upstream.Balance {
	switch b {
	case artifactpb.Balance_BALANCE_ROUND_ROBIN:
		return upstream.RoundRobin
	case artifactpb.Balance_BALANCE_FAILOVER:
		return upstream.Failover
	}
	return upstream.Single
}

func environment(e artifactpb.Environment) string {
	if e == artifactpb.Environment_ENVIRONMENT_SANDBOX {
		return "sand"
	}
	return "prod"
}
