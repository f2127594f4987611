package engine_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/pkg/urlpath"
	"github.com/microgw/microgw/runtime/internal/engine"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/http1"
)

// discard takes answers and sends them nowhere.
type discard struct{}

func (discard) Respond(*exchange.Exchange) error { return nil }

// A sink answers 204 and remembers where it was reached.
type sink struct {
	name  string
	paths []string
}

func (s *sink) Forward(x *exchange.Exchange, cut int) error {
	x.Answer(204, "", nil)
	if s.name != "" {
		s.paths = append(s.paths, s.name+" "+string(x.Path[cut:]))
	}
	return nil
}

// route makes a route from "METHOD BASE TEMPLATE".
func route(spec string) *engine.Route {
	f := strings.Fields(spec)
	return &engine.Route{
		Route:  exchange.Route{ID: f[0] + " " + f[2], BasePath: f[1]},
		Method: f[0], Template: f[2], Production: &sink{}, HTTP: true, HTTPS: true,
	}
}

func table(t testing.TB, specs ...string) *engine.Table {
	t.Helper()
	var routes []*engine.Route
	for _, s := range specs {
		routes = append(routes, route(s))
	}
	tab, err := engine.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func manyRoutes(t testing.TB, n int) *engine.Table {
	var specs []string
	for i := range n {
		specs = append(specs, fmt.Sprintf("GET /v1 /group%d/items/{id}/parts", i))
	}
	return table(t, specs...)
}

// serve runs a request through an engine and says where it ended.
func serve(e *engine.Engine, method, target string) (*exchange.Exchange, string) {
	x := &exchange.Exchange{Method: []byte(method), Target: []byte(target)}
	e.Serve(x, discard{})
	if x.Route != nil && x.Status == 204 {
		return x, x.Route.BasePath + " " + x.Route.ID
	}
	return x, fmt.Sprint(x.Status)
}

func TestMatch(t *testing.T) {
	e := engine.New(engine.Options{Health: true})
	e.SetTable(table(t,
		"GET /v1 /pets", "POST /v1 /pets", "GET /v1 /pets/{id}", "GET /v1 /pets/mine", "DELETE /v1 /pets/{id}",
		"GET /v1 /pets/{id}/photos", "GET /v1 /pets/mine/food", "GET /v1 /pets/{id}.json", "GET /v1 /pets/{id}.tar.gz", "GET /v1 /pets/{a}-{b}",
		"GET /v1 /files/*", "GET /v1 /files/{name}", "GET /v1 /files/a/b", "HEAD /v1 /files/a/b",
		"GET /v1/deep /x", "GET /v1/deep/er /*", "GET / /", "GET / /about", "GET /v1 /{x}/{y}/{z}", "GET /v1 /",
		"GET /all /*", "OPTIONS /all /cors", "GET /v1 /caf%C3%A9", "GET /v1 /a/{x}/c", "GET /v1 /a/b/d", "GET /v1 /a/*",
		"GET /many /a", "GET /many /b", "GET /many /c", "GET /many /d", "GET /many /e", "GET /many /f", "GET /many /{x}",
	))
	tests := []struct{ request, want string }{
		{"GET /", "/ GET /"},
		{"GET /about", "/ GET /about"},
		{"GET /about/", "/ GET /about"},
		{"GET /v1", "/v1 GET /"},
		{"GET /v1/", "/v1 GET /"},
		{"GET /v1/pets", "/v1 GET /pets"},
		{"GET /v1/pets/", "/v1 GET /pets"},
		{"POST /v1/pets?x", "/v1 POST /pets"},
		// A literal beats a template.
		{"GET /v1/pets/mine", "/v1 GET /pets/mine"},
		{"GET /v1/pets/mine2", "/v1 GET /pets/{id}"},
		{"GET /v1/pets/Mine", "/v1 GET /pets/{id}"},
		{"GET /v1/pets/1", "/v1 GET /pets/{id}"},
		{"DELETE /v1/pets/1", "/v1 DELETE /pets/{id}"},
		// The better branch has no end: the next is tried.
		{"GET /v1/pets/mine/photos", "/v1 GET /pets/{id}/photos"},
		{"GET /v1/pets/mine/food", "/v1 GET /pets/mine/food"},
		{"GET /v1/a/b/c", "/v1 GET /a/{x}/c"},
		{"GET /v1/a/b/d", "/v1 GET /a/b/d"},
		{"GET /v1/a/b/e", "/v1 GET /a/*"},
		{"GET /v1/a/b/c/d", "/v1 GET /a/*"},
		// Part of a segment beats all of it; more literal beats less.
		{"GET /v1/pets/1.json", "/v1 GET /pets/{id}.json"},
		{"GET /v1/pets/1.tar.gz", "/v1 GET /pets/{id}.tar.gz"},
		{"GET /v1/pets/a-b.json", "/v1 GET /pets/{id}.json"},
		{"GET /v1/pets/a-b", "/v1 GET /pets/{a}-{b}"},
		{"GET /v1/pets/.json", "/v1 GET /pets/{id}"},
		{"GET /v1/pets/a-", "/v1 GET /pets/{id}"},
		// A wildcard comes last and wants a segment, but alone is the root too.
		{"GET /v1/files/a", "/v1 GET /files/{name}"},
		{"GET /v1/files/a/b", "/v1 GET /files/a/b"},
		{"GET /v1/files/a/b/c", "/v1 GET /files/*"},
		{"GET /v1/files", "404"},
		{"GET /v1/files/", "404"},
		{"GET /v1/a", "404"},
		{"GET /all", "/all GET /*"},
		{"GET /all/", "/all GET /*"},
		{"GET /all/x/y/z", "/all GET /*"},
		{"GET /all//", "/all GET /*"},
		// The longest base path wins, found or not.
		{"GET /v1/deep/x", "/v1/deep GET /x"},
		{"GET /v1/deep/y", "404"},
		{"GET /v1/deep/y/z", "404"},
		{"GET /v1/deep/er/x", "/v1/deep/er GET /*"},
		{"GET /v1/deep/er", "/v1/deep/er GET /*"},
		{"GET /v1/deeper", "404"},
		{"GET /v1deep", "404"},
		{"GET /v1x/pets", "404"},
		{"GET /V1/pets", "404"},
		{"GET /v1/x/y/z", "/v1 GET /{x}/{y}/{z}"},
		// An empty segment is no value.
		{"GET /v1/pets//photos", "404"},
		{"GET /v1/x//z", "404"},
		{"GET //", "404"},
		{"GET //v1/pets", "404"},
		// Paths are compared in normal form.
		{"GET /v1/caf%c3%a9", "/v1 GET /caf%C3%A9"},
		{"GET /v1/%70ets/./x/../mine", "/v1 GET /pets/mine"},
		{"GET /v1/pets%2Fmine", "400"},
		{"GET /v1/pets/..%2fmine", "400"},
		{"GET /v1/../../x", "400"},
		{"GET /v1/pets/%00", "400"},
		{"GET /v1/pets/%", "400"},
		{"GET *", "400"},
		{"OPTIONS *", "400"},
		{"CONNECT h:443", "400"},
		// More literals than are compared one by one.
		{"GET /many/a", "/many GET /a"},
		{"GET /many/e", "/many GET /e"},
		{"GET /many/f", "/many GET /f"},
		{"GET /many/g", "/many GET /{x}"},
		// HEAD is served by GET unless there is a HEAD.
		{"HEAD /v1/pets", "/v1 GET /pets"},
		{"HEAD /v1/files/a/b", "/v1 HEAD /files/a/b"},
		{"HEAD /all/cors", "405"},
		{"OPTIONS /all/cors", "/all OPTIONS /cors"},
		// Methods.
		{"PUT /v1/pets", "405"},
		{"get /v1/pets", "405"},
		{"PUT /nowhere", "404"},
		{"OPTIONS /v1/pets", "204"},
		{"OPTIONS /nowhere", "404"},
		// Health, while no API has the path.
		{"GET /health", "200"},
		{"HEAD /health", "200"},
		{"POST /health", "404"},
		{"GET /health/", "404"},
		{"GET /x", "404"},
	}
	for _, test := range tests {
		t.Run(test.request, func(t *testing.T) {
			method, target, _ := strings.Cut(test.request, " ")
			if _, got := serve(e, method, target); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAllow(t *testing.T) {
	e := engine.New(engine.Options{})
	e.SetTable(table(t, "GET / /a", "POST / /a", "DELETE / /b", "OPTIONS / /b", "HEAD / /c", "GET / /c"))
	tests := []struct{ request, want string }{
		{"PUT /a", "405 GET, HEAD, OPTIONS, POST"},
		{"OPTIONS /a", "204 GET, HEAD, OPTIONS, POST"},
		{"GET /b", "405 DELETE, OPTIONS"},
		{"POST /c", "405 GET, HEAD, OPTIONS"},
	}
	for _, test := range tests {
		method, target, _ := strings.Cut(test.request, " ")
		x, _ := serve(e, method, target)
		allow, _ := x.Response.Get("allow")
		if got := fmt.Sprintf("%d %s", x.Status, allow); got != test.want {
			t.Errorf("%s: got %s, want %s", test.request, got, test.want)
		}
	}
}

func TestHealth(t *testing.T) {
	for _, test := range []struct {
		name   string
		health bool
		routes []string
		want   string
	}{
		{"on", true, []string{"GET / /a"}, "200"},
		{"off", false, []string{"GET / /a"}, "404"},
		{"no routes", true, nil, "200"},
		{"claimed", true, []string{"GET / /health"}, "/ GET /health"},
		{"claimed by a template", true, []string{"GET / /{x}"}, "/ GET /{x}"},
		{"claimed by a wildcard", true, []string{"GET / /*"}, "/ GET /*"},
		{"claimed for another method", true, []string{"POST / /health"}, "405"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := engine.New(engine.Options{Health: test.health})
			e.SetTable(table(t, test.routes...))
			if _, got := serve(e, "GET", "/health"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if x, got := serve(engine.New(engine.Options{}), "GET", "/a"); got != "404" || x.Fault == nil {
		t.Errorf("an engine without a table: got %s", got)
	}
}

func TestNewTableRefuses(t *testing.T) {
	for _, specs := range [][]string{
		{"GET /v1 /a", "GET /v1 /a"},
		{"GET /v1 /a", "GET /v1 /a/"},
		{"GET /v1 /{a}", "GET /v1 /{b}"},
		{"GET /v1 /{a}.json", "GET /v1 /{b}.json"},
		{"GET /v1 /a/*", "GET /v1 /a/*"},
		{"GET /v1 /{"},
	} {
		var routes []*engine.Route
		for _, s := range specs {
			routes = append(routes, route(s))
		}
		if _, err := engine.NewTable(routes); err == nil {
			t.Errorf("%v: no error", specs)
		}
	}
}

func TestListeners(t *testing.T) {
	secure := route("GET / /secure")
	secure.HTTP = false
	plain := route("GET / /plain")
	plain.HTTPS = false
	tab, err := engine.NewTable([]*engine.Route{secure, plain})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Options{})
	e.SetTable(tab)
	for _, test := range []struct {
		target string
		tls    bool
		want   int
	}{{"/secure", false, 404}, {"/secure", true, 204}, {"/plain", false, 204}, {"/plain", true, 404}} {
		x := &exchange.Exchange{Method: []byte("GET"), Target: []byte(test.target)}
		if test.tls {
			x.TLS = &tls.ConnectionState{}
		}
		e.Serve(x, discard{})
		if x.Status != test.want {
			t.Errorf("%s, TLS %v: got %d, want %d", test.target, test.tls, x.Status, test.want)
		}
	}
}

// WSO2's table of key types and endpoints.
func TestDestination(t *testing.T) {
	tests := []struct {
		keyType             string
		production, sandbox bool
		want                string
	}{
		{"none", true, true, "production"},
		{"none", true, false, "production"},
		{"none", false, true, string(fault.NoProductionEndpoint.Body())},
		{"PRODUCTION", true, true, "production"},
		{"PRODUCTION", true, false, "production"},
		{"PRODUCTION", false, true, string(fault.NoProductionEndpoint.Body())},
		{"", true, true, "production"},
		{"", false, true, string(fault.NoProductionEndpoint.Body())},
		{"SANDBOX", true, true, "sandbox"},
		{"SANDBOX", true, false, string(fault.NoSandboxEndpoint.Body())},
		{"SANDBOX", false, true, "sandbox"},
		{"other", true, true, "sandbox"},
		{"other", true, false, string(fault.NoSandboxEndpoint.Body())},
		{"other", false, true, string(fault.NoProductionEndpoint.Body())},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s/%v/%v", test.keyType, test.production, test.sandbox), func(t *testing.T) {
			production, sandbox := &sink{name: "production"}, &sink{name: "sandbox"}
			r := route("GET /v1 /a")
			r.Production = nil
			if test.production {
				r.Production = production
			}
			if test.sandbox {
				r.Sandbox = sandbox
			}
			if test.keyType != "none" {
				r.Stages = []engine.Stage{{Request: func(x *exchange.Exchange) error {
					x.Principal = &exchange.Principal{KeyType: test.keyType}
					return nil
				}}}
			}
			tab, err := engine.NewTable([]*engine.Route{r})
			if err != nil {
				t.Fatal(err)
			}
			e := engine.New(engine.Options{})
			e.SetTable(tab)
			x, _ := serve(e, "GET", "/v1/a")
			got := append(production.paths, sandbox.paths...)
			if x.Fault != nil {
				got = append(got, string(x.Fault.Body()))
			} else {
				test.want += " /a"
			}
			if !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Stages run in order on the way in and newest first on the way out, the
// response halves of those that were passed, and for faults too.
func TestStages(t *testing.T) {
	plain := errors.New("no fault")
	tests := []struct {
		name      string
		fails     map[string]error // by half
		trace     string
		status    int
		forwarded bool
	}{
		{"all pass", nil, "a b c C B A", 204, true},
		{"first refuses", map[string]error{"a": fault.MissingCredentials}, "a", 401, false},
		{"second refuses", map[string]error{"b": fault.ScopeMissing}, "a b A", 403, false},
		{"last refuses", map[string]error{"c": fault.ScopeMissing}, "a b c B A", 403, false},
		{"an error that is no fault", map[string]error{"b": plain}, "a b A", 500, false},
		{"a wrapped fault", map[string]error{"b": fmt.Errorf("b: %w", fault.ScopeMissing)}, "a b A", 403, false},
		{"a response half replaces the answer", map[string]error{"B": fault.UpstreamBroken}, "a b c C B A", 502, true},
		{"a response half fails", map[string]error{"C": plain}, "a b c C B A", 500, true},
		{"the upstream fails", map[string]error{"forward": fault.UpstreamTimeout}, "a b c C B A", 504, false},
		{"a response half fails after a fault", map[string]error{"b": fault.ScopeMissing, "A": plain}, "a b A", 500, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var trace []string
			half := func(name string) func(*exchange.Exchange) error {
				return func(x *exchange.Exchange) error {
					trace = append(trace, name)
					if name != strings.ToLower(name) {
						x.Response.Add([]byte("X-Stage"), []byte(name))
					}
					return test.fails[name]
				}
			}
			r := route("GET / /a")
			up := &sink{name: "up"}
			r.Production = forwardFunc(func(x *exchange.Exchange, cut int) error {
				if err := test.fails["forward"]; err != nil {
					return err
				}
				return up.Forward(x, cut)
			})
			r.Stages = []engine.Stage{
				{Name: "a", Request: half("a"), Response: half("A")},
				{Name: "only a request half", Request: func(*exchange.Exchange) error { return nil }},
				{Name: "b", Request: half("b"), Response: half("B")},
				{Name: "only a response half", Response: func(*exchange.Exchange) error { return nil }},
				{Name: "c", Request: half("c"), Response: half("C")},
			}
			tab, err := engine.NewTable([]*engine.Route{r})
			if err != nil {
				t.Fatal(err)
			}
			seen := &observer{}
			e := engine.New(engine.Options{Observers: []engine.Observer{seen}})
			e.SetTable(tab)
			x, _ := serve(e, "GET", "/a")
			if got := strings.Join(trace, " "); got != test.trace {
				t.Errorf("ran %s, want %s", got, test.trace)
			}
			if x.Status != test.status {
				t.Errorf("status %d, want %d", x.Status, test.status)
			}
			if forwarded := len(up.paths) > 0; forwarded != test.forwarded {
				t.Errorf("forwarded is %v, want %v", forwarded, test.forwarded)
			}
			if got := seen.list(); len(got) != 1 {
				t.Errorf("observed %v", got)
			}
			// What marks a fault on the way out stays on it.
			if strings.HasSuffix(test.trace, "A") && test.fails["A"] == nil {
				if _, ok := x.Response.Get("x-stage"); !ok {
					t.Error("the mark of a response half is missing")
				}
			}
		})
	}
}

type forwardFunc func(*exchange.Exchange, int) error

func (f forwardFunc) Forward(x *exchange.Exchange, cut int) error { return f(x, cut) }

var _ http1.Handler = (*engine.Engine)(nil)

// A new table is for requests that begin from then on.
func TestSetTable(t *testing.T) {
	one, two := table(t, "GET / /one"), table(t, "GET / /two")
	e := engine.New(engine.Options{})
	e.SetTable(one)
	if _, got := serve(e, "GET", "/one"); got != "/ GET /one" {
		t.Errorf("got %s", got)
	}
	if before := e.SetTable(two); before != one || e.Table() != two {
		t.Error("SetTable did not swap")
	}
	if _, got := serve(e, "GET", "/one"); got != "404" {
		t.Errorf("got %s", got)
	}
}

// FuzzTable makes a table of templates and asks it for a path: what it finds
// does match, and it finds nothing only if nothing matches.
func FuzzTable(f *testing.F) {
	f.Add("/pets\n/pets/{id}\n/pets/mine\n/pets/{id}.json\n/pets/*", "/pets/mine/x")
	f.Add("/{a}-{b}\n/{a}.{b}\n/{a}\n/x-y/z", "/x-y.z")
	f.Add("/*\n/a/{b}/c\n/a/b/{c}\n/{x}/{y}/{z}", "/a/b/c/")
	f.Add("/a\n/b\n/c\n/d\n/e\n/f\n/{x}%2A{y}", "/g%2A%2a")
	f.Add("/a/*\n/a", "//a//")
	f.Fuzz(func(t *testing.T, list, target string) {
		path, err := urlpath.Normalize(nil, []byte(target))
		if err != nil || len(list) > 4096 || len(path) > 4096 {
			return
		}
		shapes := map[string]bool{}
		var routes []*engine.Route
		any := false
		for _, s := range strings.Split(list, "\n") {
			tmpl, err := pathtmpl.Parse(s)
			if err != nil || shapes[tmpl.Shape()] {
				continue
			}
			shapes[tmpl.Shape()] = true
			routes = append(routes, &engine.Route{
				Route:  exchange.Route{ID: s, BasePath: "/"},
				Method: "GET", Template: s, Production: &sink{}, HTTP: true,
			})
			any = any || matches(tmpl, string(path))
		}
		tab, err := engine.NewTable(routes)
		if err != nil {
			t.Fatal(err)
		}
		e := engine.New(engine.Options{})
		e.SetTable(tab)
		x := &exchange.Exchange{Method: []byte("GET"), Target: path}
		e.Serve(x, discard{})
		if found := x.Route != nil; found != any {
			t.Fatalf("%q: found is %v, want %v", path, found, any)
		}
		if x.Route != nil {
			if tmpl, _ := pathtmpl.Parse(x.Route.ID); !matches(tmpl, string(path)) {
				t.Fatalf("%q: found %q, which does not match", path, x.Route.ID)
			}
		}
	})
}

// matches is the plain meaning of a template.
func matches(tmpl pathtmpl.Template, path string) bool {
	segments := strings.Split(path, "/")[1:]
	if segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1] // a slash at the end means nothing
	}
	want := tmpl.Segments()
	switch {
	case len(segments) < len(want), len(segments) > len(want) && !tmpl.Wildcard():
		return false
	case tmpl.Wildcard() && len(segments) == len(want) && len(want) > 0:
		return false
	}
	for i, w := range want {
		if !w.Match([]byte(segments[i])) {
			return false
		}
	}
	return true
}
