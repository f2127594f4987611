package compile

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

const (
	production = artifactpb.Environment_ENVIRONMENT_PRODUCTION
	sandbox    = artifactpb.Environment_ENVIRONMENT_SANDBOX
)

// route decides where an operation's calls go: of the operation, its path and
// the API the nearest that says something about an environment.
func (a *api) route(op *spec.Operation, out *artifactpb.Operation) {
	own, item, api := op.Extensions, op.PathItem, a.doc.Extensions
	choose := func(env artifactpb.Environment, own, item, api *spec.EndpointRef) uint32 {
		switch {
		case own != nil:
			return a.extension(own, out.Id, env, false)
		case item != nil:
			return a.extension(item, op.Path.Value, env, false)
		case api != nil:
			return a.extension(api, out.Id, env, true)
		}
		return 0
	}
	out.ProductionCluster = choose(production, own.Production, item.Production, api.Production)
	out.SandboxCluster = choose(sandbox, own.Sandbox, item.Sandbox, api.Sandbox)
	switch {
	case own.Production != nil, item.Production != nil:
	case api.Production == nil:
		out.ProductionCluster = a.fromServers(op, out)
	case usable(op.Servers):
		a.say(diag.Warning, op.Servers[0].At, false, "it is not called: the API's x-wso2-production-endpoints is, as in WSO2 3.0; 3.1 and later call the server")
	}
}

func (a *api) fromServers(op *spec.Operation, out *artifactpb.Operation) uint32 {
	// An API that has a sandbox only must not be called in production; the
	// default endpoint is for those that name nothing.
	fallback := a.c.in.DefaultEndpoint
	onlySandbox := op.Extensions.Sandbox != nil || op.PathItem.Sandbox != nil || a.doc.Extensions.Sandbox != nil
	if onlySandbox {
		fallback = ""
	}
	if len(op.Servers) > 0 {
		if c, ok := a.servers(op.Servers, out.Id+":production", "operation", fallback); c != 0 || !ok {
			return c
		}
	}
	if len(a.doc.Servers) > 0 {
		if c, ok := a.servers(a.doc.Servers, a.out.Id, "API", fallback); c != 0 || !ok {
			if len(op.Servers) > 0 && a.once("relative"+op.Servers[0].At.String()) {
				a.c.diags.WarnHint(op.Servers[0].At, "write it with its host", "it names no http or https host: the API's servers are called instead")
			}
			return c
		}
	} else if fallback != "" {
		return a.cluster(&artifactpb.Cluster{
			Name: a.out.Id, Environment: production, Balance: artifactpb.Balance_BALANCE_SINGLE,
			Endpoints: []*artifactpb.Endpoint{{Url: fallback}},
		})
	}
	if !onlySandbox && a.once("no endpoint") {
		a.noEndpoint(op, out)
	}
	return 0
}

// noEndpoint reports an operation whose calls would have nowhere to go; once,
// with the number of others, if that is so for the whole API.
func (a *api) noEndpoint(op *spec.Operation, out *artifactpb.Operation) {
	more := 0
	for _, other := range a.doc.Operations {
		x, item := other.Extensions, other.PathItem
		named := x.Production != nil || x.Sandbox != nil || item.Production != nil || item.Sandbox != nil
		if other != op && other.Method != "TRACE" && !named && !usable(other.Servers) {
			more++
		}
	}
	msg := fmt.Sprintf("%s %s has no endpoint", op.Method, op.Path.Value)
	switch {
	case more == 1:
		msg += ", nor has one more operation"
	case more > 1:
		msg += fmt.Sprintf(", nor have %d more operations", more)
	}
	if s := a.doc.Servers; len(s) > 0 {
		msg += fmt.Sprintf(" (the server %q names no http or https host)", s[0].URL)
	}
	a.c.diags.ErrorHint(op.At, "add x-wso2-production-endpoints or an absolute server URL, or build with --default-endpoint", "%s", msg)
}

func usable(servers []spec.Server) bool {
	for _, s := range servers {
		if _, problem, _ := spec.CheckURL(s.URL); s.Problem == "" && problem == "" {
			return true
		}
	}
	return false
}

// servers makes a cluster of the servers that can be called, or returns 0. The
// second result is false if one of them is wrong, which is reported. Relative ones are
// taken as paths of the fallback, if there is one.
func (a *api) servers(servers []spec.Server, name, whose, fallback string) (uint32, bool) {
	cluster := &artifactpb.Cluster{Name: name, Environment: production}
	relative := ""
	for _, s := range servers {
		if s.Problem != "" {
			a.unresolved(s)
			return 0, false
		}
		u, err := url.Parse(s.URL)
		switch {
		case err != nil:
			if a.once("url" + s.At.String()) {
				a.c.diags.Errorf(s.At, "%q is not a URL", s.URL)
			}
			return 0, false
		case u.Scheme == "" && u.Host == "":
			relative = cmp.Or(relative, relativePath(u))
			continue
		case u.Scheme == "":
			// "//host/path": the way to it is not said; take the safe one.
			u.Scheme = "https"
		case u.Scheme != "http" && u.Scheme != "https" && u.Opaque == "":
			relative = cmp.Or(relative, relativePath(u))
			if a.once("scheme" + s.At.String()) {
				a.c.diags.Warnf(s.At, "a server with the scheme %q cannot be called: it is left out", u.Scheme)
			}
			continue
		}
		clean, problem, hint := spec.CheckURL(u.String())
		if problem != "" {
			if a.once("url" + s.At.String()) {
				a.c.diags.ErrorHint(s.At, hint, "%s", problem)
			}
			return 0, false
		}
		cluster.Endpoints = append(cluster.Endpoints, &artifactpb.Endpoint{Url: clean})
	}
	switch len(cluster.Endpoints) {
	case 0:
		if relative == "" || fallback == "" {
			return 0, true
		}
		cluster.Endpoints = []*artifactpb.Endpoint{{Url: join(fallback, relative)}}
		cluster.Balance = artifactpb.Balance_BALANCE_SINGLE
	case 1:
		cluster.Balance = artifactpb.Balance_BALANCE_SINGLE
	default:
		cluster.Balance = artifactpb.Balance_BALANCE_ROUND_ROBIN
		if at := servers[0].At; a.once("several" + at.String()) {
			a.c.diags.Report(diag.Note, at, "name the right one with x-wso2-production-endpoints if they are not equals",
				fmt.Sprintf("the %s has %d servers: calls go to them in turn", whose, len(cluster.Endpoints)))
		}
	}
	return a.cluster(cluster), true
}

// relativePath is the path of a server that names no host that can be called.
// "./v2", "../v2" and "v2" are relative to where the definition was found, which
// nobody knows any more: they are taken from the root.
func relativePath(u *url.URL) string {
	path := strings.Trim(u.EscapedPath(), "/")
	for {
		first, rest, _ := strings.Cut(path, "/")
		if first != "." && first != ".." {
			return "/" + path
		}
		path = strings.TrimLeft(rest, "/")
	}
}

// join puts the path of a relative server behind the default endpoint, unless
// that has a path of its own.
func join(endpoint, path string) string {
	u, err := url.Parse(endpoint)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return endpoint
	}
	u.Path, u.RawPath = "", ""
	base := u.String()
	query := ""
	if i := strings.IndexByte(base, '?'); i >= 0 {
		base, query = base[:i], base[i:]
	}
	return strings.TrimRight(base+path, "/") + query
}

// extension makes a cluster of an endpoint object or of a reference to one.
func (a *api) extension(ref *spec.EndpointRef, id string, env artifactpb.Environment, whole bool) uint32 {
	e, name := ref.Endpoint, ref.Name
	chosen := ref.At // where the author named it, if so
	if name != "" {
		named := a.endpoints[name]
		if named == nil {
			if a.once("endpoint" + ref.At.String()) {
				names := func() (names []string) {
					for _, n := range a.doc.Extensions.Endpoints {
						names = append(names, n.Name)
					}
					return names
				}
				a.c.diags.ErrorHint(ref.At, a.c.spell.DidYouMean(name, names), "no endpoint %q in x-wso2-endpoints", name)
			}
			return 0
		}
		a.used[name] = true
		e, chosen = named.Endpoint, named.At
	}
	if e == nil || len(e.URLs) == 0 {
		return 0 // reported where it stands
	}
	if name == "" {
		switch {
		case e.Name != "":
			name = e.Name
		case whole:
			name = a.out.Id
		case env == sandbox:
			name = id + ":sandbox"
		default:
			name = id + ":production"
		}
	}
	c := &artifactpb.Cluster{Name: name, Environment: env}
	urls := e.URLs
	switch {
	case len(urls) == 1:
		c.Balance = artifactpb.Balance_BALANCE_SINGLE
		if t := e.Type; (t.Value == "failover" || t.Value == "load_balance") && a.once("one of "+t.At.String()) {
			a.c.diags.Notef(t.At, "there is one URL only: all calls go to it")
		}
	case e.Type.Value == "http":
		c.Balance = artifactpb.Balance_BALANCE_SINGLE
		if a.once("single" + e.Type.At.String()) {
			a.c.diags.WarnHint(e.Type.At, "write load_balance or failover to use them all", "an endpoint of type http uses the first of its %d URLs only", len(urls))
		}
		urls = urls[:1]
	case e.Type.Value == "failover":
		c.Balance = artifactpb.Balance_BALANCE_FAILOVER
	default:
		c.Balance = artifactpb.Balance_BALANCE_ROUND_ROBIN
	}
	for _, u := range urls {
		c.Endpoints = append(c.Endpoints, &artifactpb.Endpoint{Url: u.URL, EtcdKey: u.Etcd})
		if u.Etcd != "" {
			a.lacks(u.At, whole, Etcd)
		}
	}
	if s := e.Auth; s != nil {
		typ := artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_BASIC
		if s.Type == "digest" {
			typ = artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_DIGEST
			a.lacks(s.At, whole, UpstreamDigest)
		} else if key := name + "_" + short(env) + "_basic_password"; a.once("password " + key) {
			a.c.diags.Notef(s.At, "the password is %q in the runtime's conf; without it an empty one is sent", key)
		}
		c.Auth = &artifactpb.UpstreamAuth{Type: typ, Username: s.Username}
	}
	if r := e.Resilience; r != nil {
		c.Resilience = resilience(r)
		if without := unhonoured(r); without != "" {
			a.carry(r.At, whole, without+" not honoured by this version: the runtime's own settings apply")
		}
	}
	i := a.cluster(c)
	if i > 0 && (ref.Name != "" || e.Name != "") {
		a.ambiguous(c, i, chosen)
	}
	return i
}

// named is a cluster that an author has given a name.
type named struct {
	cluster uint32
	at      diag.At
}

// ambiguous warns of two different clusters with one name: the conf can only
// override both.
func (a *api) ambiguous(c *artifactpb.Cluster, i uint32, at diag.At) {
	key := c.Environment.String() + c.Name
	first, ok := a.c.named[key]
	switch {
	case !ok:
		a.c.named[key] = named{i, at}
	case first.cluster != i && a.once("named"+at.String()):
		a.c.diags.Warnf(at, "another endpoint is called %q at %s: the runtime's conf can override them by name only together", c.Name, first.at)
	}
}

// short is the environment as it is in the names of the conf's keys.
func short(env artifactpb.Environment) string {
	if env == sandbox {
		return "sand"
	}
	return "prod"
}

// unhonoured names what the runtime overlooks in an advanceEndpointConfig. The
// time-out it keeps.
func unhonoured(r *spec.Resilience) string {
	var keys []string
	if r.Retry != nil && !UpstreamRetry.Enforced() {
		keys = append(keys, "retryConfig")
	}
	if r.CircuitBreaker != nil && !CircuitBreaker.Enforced() {
		keys = append(keys, "circuitBreaker")
	}
	if r.Pool != nil && !UpstreamPool.Enforced() {
		keys = append(keys, "poolConfig")
	}
	switch n := len(keys); n {
	case 0:
		return ""
	case 1:
		return keys[0] + " is"
	default:
		return strings.Join(keys[:n-1], ", ") + " and " + keys[n-1] + " are"
	}
}

func resilience(r *spec.Resilience) *artifactpb.Resilience {
	out := &artifactpb.Resilience{TimeoutMs: r.TimeoutMillis}
	if x := r.Retry; x != nil {
		out.Retry = &artifactpb.Retry{
			Count: x.Count, IntervalMs: x.IntervalMillis, BackOffFactor: x.BackOffFactor,
			MaxWaitMs: x.MaxWaitMillis, StatusCodes: x.StatusCodes,
		}
	}
	if x := r.CircuitBreaker; x != nil {
		out.CircuitBreaker = &artifactpb.CircuitBreaker{
			FailureThreshold: x.FailureThreshold, ResetMs: x.ResetMillis, StatusCodes: x.StatusCodes,
			RequestVolumeThreshold: x.RequestVolumeThreshold, WindowMs: x.WindowMillis, BucketMs: x.BucketMillis,
		}
	}
	if x := r.Pool; x != nil {
		out.Pool = &artifactpb.Pool{
			MaxActiveConnections: x.MaxActiveConnections, MaxIdleConnections: x.MaxIdleConnections,
			WaitMs: x.WaitMillis, MaxActiveStreams: x.MaxActiveStreams,
		}
	}
	return out
}

// cluster adds a cluster, or finds the one that is already there: equal in
// everything, the name included, since the conf overrides clusters by name.
func (a *api) cluster(c *artifactpb.Cluster) uint32 {
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		// Only text that is not UTF-8 can do that, and no source has any.
		a.c.diags.Errorf(a.doc.At, "cluster %q: %v", c.Name, err)
		return 0
	}
	if i, ok := a.c.clusters[string(key)]; ok {
		return i + 1
	}
	i := uint32(len(a.c.out.Clusters))
	a.c.clusters[string(key)] = i
	a.c.out.Clusters = append(a.c.out.Clusters, c)
	return i + 1
}
