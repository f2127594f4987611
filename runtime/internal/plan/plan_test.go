package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/runtime/internal/http1"
	"github.com/microgw/microgw/runtime/internal/plan"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/upstream"
	"github.com/microgw/microgw/runtime/internal/watchdog"
	"github.com/microgw/microgw/schema/artifactpb"
)

func authn() *artifactpb.Stage {
	return &artifactpb.Stage{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{}}}
}

func scope(s ...string) *artifactpb.Stage {
	return &artifactpb.Stage{Name: "scope", Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: s}}}
}

// file is an artifact with one operation.
func file(change func(*artifactpb.Operation, *artifactpb.Cluster)) *artifact.File {
	op := &artifactpb.Operation{
		Id: "GET /pet", Method: "GET", Path: "/pet", ProductionCluster: 1,
		Security: &artifactpb.Security{}, Stages: []*artifactpb.Stage{authn(), scope("read")},
	}
	cluster := &artifactpb.Cluster{
		Name: "pets", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_ROUND_ROBIN,
		Endpoints: []*artifactpb.Endpoint{{Url: "http://a.test/v1"}, {Url: "http://b.test/v1"}},
	}
	change(op, cluster)
	return &artifact.File{Path: "pets.mgw", Artifact: &artifactpb.Artifact{
		Apis: []*artifactpb.Api{{
			Title: "Pets", Version: "1", BasePath: "/pets", Operations: []*artifactpb.Operation{op},
			Transports: []artifactpb.Transport{artifactpb.Transport_TRANSPORT_HTTPS},
		}},
		Clusters: []*artifactpb.Cluster{cluster},
	}}
}

func options(t *testing.T, overrides map[string]string) plan.Options {
	t.Helper()
	v, err := jwt.New(jwt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dog := watchdog.New()
	t.Cleanup(dog.Close)
	return plan.Options{
		Verifier: v, AuthHeader: "Authorization", RemoveAuthHeader: true, Overrides: overrides,
		Upstream: &upstream.Options{Limits: http1.DefaultLimits(), Dog: dog},
	}
}

// What a runtime does not understand, or what would leave an operation open
// that its author has not opened, is refused.
func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*artifactpb.Operation, *artifactpb.Cluster)
		set    map[string]string
		want   string
	}{
		"secured without a stage": {
			change: func(o *artifactpb.Operation, _ *artifactpb.Cluster) { o.Stages = nil },
			want:   `pets.mgw: API "Pets": GET /pet: the operation is secured but no stage authenticates`,
		},
		"scope before authentication": {
			change: func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
				o.Stages = []*artifactpb.Stage{scope("read"), authn()}
			},
			want: `pets.mgw: API "Pets": GET /pet: stage "scope" stands before authentication`,
		},
		"stage of a later version": {
			change: func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
				o.Stages = append(o.Stages, &artifactpb.Stage{Name: "throttle", Kind: &artifactpb.Stage_Throttle{}})
			},
			want: `pets.mgw: API "Pets": GET /pet: stage "throttle" is of a kind that this runtime does not know`,
		},
		"stage without a kind": {
			change: func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
				o.Stages = append(o.Stages, &artifactpb.Stage{Name: "x"})
			},
			want: `pets.mgw: API "Pets": GET /pet: stage "x" is of a kind that this runtime does not know`,
		},
		"endpoint that is no URL": {
			change: func(_ *artifactpb.Operation, c *artifactpb.Cluster) { c.Endpoints[0].Url = "ftp://a.test" },
			want:   `pets.mgw: endpoints of "pets": endpoint ftp://a.test: scheme is neither http nor https`,
		},
		"override of nothing": {
			set:  map[string]string{"pet_prod_endpoint_0": "http://c.test"},
			want: `pet_prod_endpoint_0: nothing in pets.mgw is overridden by it; its endpoints are: pets_prod`,
		},
		"override of an endpoint that is not there": {
			set:  map[string]string{"pets_prod_endpoint_2": "http://c.test"},
			want: `pets_prod_endpoint_2: nothing in pets.mgw is overridden by it; its endpoints are: pets_prod`,
		},
		"password that nobody sends": {
			set:  map[string]string{"pets_prod_basic_password": "secret"},
			want: `pets_prod_basic_password: nothing in pets.mgw is overridden by it; its endpoints are: pets_prod`,
		},
		"override that is no URL": {
			set:  map[string]string{"pets_prod_endpoint_1": "b.test:80"},
			want: `pets.mgw: endpoints of "pets": `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*artifactpb.Operation, *artifactpb.Cluster) {}
			}
			_, err := plan.Build(file(change), options(t, c.set))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	table, err := plan.Build(file(func(o *artifactpb.Operation, c *artifactpb.Cluster) {
		c.Auth = &artifactpb.UpstreamAuth{Type: artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_BASIC, Username: "gw"}
	}), options(t, map[string]string{"pets_prod_endpoint_1": "http://c.test:81/x", "pets_prod_basic_password": "secret"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Routes) != 1 || len(table.Upstreams) != 1 {
		t.Fatalf("got %d routes and %d upstreams", len(table.Routes), len(table.Upstreams))
	}
	r := table.Routes[0]
	if r.HTTP || !r.HTTPS {
		t.Errorf("served on http %v, https %v; the artifact says https only", r.HTTP, r.HTTPS)
	}
	if r.Production == nil || r.Sandbox != nil {
		t.Errorf("production %v, sandbox %v", r.Production, r.Sandbox)
	}
	var stages []string
	for _, s := range r.Stages {
		stages = append(stages, s.Name)
	}
	if got := strings.Join(stages, " "); got != "authn scope" {
		t.Errorf("stages are %q", got)
	}
	if got := strings.Join(table.Upstreams[0].(*upstream.Cluster).Endpoints(), " "); got != "http://a.test http://c.test:81" {
		t.Errorf("endpoints are %q", got)
	}
}

// A stray override is an error unless the caller knows better.
func TestStray(t *testing.T) {
	o := options(t, map[string]string{"other_prod_endpoint_0": "x"})
	var asked []string
	o.Stray = func(name string) error { asked = append(asked, name); return nil }
	same := func(*artifactpb.Operation, *artifactpb.Cluster) {}
	if _, err := plan.Build(file(same), o); err != nil || len(asked) != 1 {
		t.Errorf("got %v, asked of %q", err, asked)
	}
	o.Stray = func(string) error { return errors.New("no") }
	if _, err := plan.Build(file(same), o); err == nil {
		t.Error("a stray override passed although it is an error")
	}
}
