package mock_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/mock"
	"github.com/microgw/microgw/toolkit/internal/scaffold"
)

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// artifactOf makes an artifact of one definition whose operations all go to
// the given endpoints.
func artifactOf(t testing.TB, definition string, endpoints ...string) *artifactpb.Artifact {
	t.Helper()
	var root map[string]any
	if err := yaml.Unmarshal([]byte(definition), &root); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	cluster := &artifactpb.Cluster{Name: "c"}
	for _, url := range endpoints {
		cluster.Endpoints = append(cluster.Endpoints, &artifactpb.Endpoint{Url: url})
	}
	api := &artifactpb.Api{Title: "T"}
	paths, _ := root["paths"].(map[string]any)
	for path, item := range paths {
		for method := range item.(map[string]any) {
			if slices.Contains(methods, method) {
				api.Operations = append(api.Operations, &artifactpb.Operation{
					Id: strings.ToUpper(method) + " " + path, Method: strings.ToUpper(method), Path: path, ProductionCluster: 1,
				})
			}
		}
	}
	return &artifactpb.Artifact{
		Documents: []*artifactpb.Document{{Json: data}},
		Apis:      []*artifactpb.Api{api},
		Clusters:  []*artifactpb.Cluster{cluster},
	}
}

func newMock(t testing.TB, a *artifactpb.Artifact) *mock.Mock {
	t.Helper()
	m, err := mock.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func call(h http.Handler, method, target string, header ...string) *http.Response {
	req := httptest.NewRequest(method, target, strings.NewReader("secret body"))
	req.Header.Set("Authorization", "Bearer secret-token")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every operation of the sample project answers as its definition says.
func TestSample(t *testing.T) {
	a := artifactOf(t, string(scaffold.Sample()), "http://127.0.0.1:9080/v2")
	m := newMock(t, a)
	if n := len(a.Apis[0].Operations); n != 19 {
		t.Fatalf("%d operations, want the petstore's 19", n)
	}
	for _, op := range a.Apis[0].Operations {
		target := "/v2" + strings.NewReplacer("{petId}", "7", "{orderId}", "7", "{username}", "ada").Replace(op.Path)
		res := call(m, op.Method, target)
		got := body(t, res)
		switch {
		case res.StatusCode == http.StatusOK:
			if res.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(got)) {
				t.Errorf("%s: %s %q", op.Id, res.Header.Get("Content-Type"), got)
			}
		case res.StatusCode == http.StatusNoContent:
			if got != "" {
				t.Errorf("%s: 204 with body %q", op.Id, got)
			}
		default:
			t.Errorf("%s: status %d", op.Id, res.StatusCode)
		}
	}
}

func TestSampleAnswers(t *testing.T) {
	m := newMock(t, artifactOf(t, string(scaffold.Sample()), "http://127.0.0.1:9080/v2"))
	for _, c := range []struct {
		request string
		status  int
		want    string // "*" for anything
	}{
		{"GET /v2/pet/1", 200, `{"category":{"id":1,"name":"dogs"},"id":1,"name":"Rex","photoUrls":["https://petstore.example/photos/rex.jpg"],"status":"available","tags":[{"id":1,"name":"friendly"}]}`},
		{"GET /v2/pet/1/", 200, "*"},
		{"GET /v2/user/ada", 200, `{"email":"ada@petstore.example","firstName":"Ada","id":7,"lastName":"Moss","phone":"+44 20 7946 0958","userStatus":1,"username":"ada"}`},
		{"GET /v2/user/login?password=secret", 200, `"welcome"`},
		{"GET /v2/store/inventory", 200, `{"available":12,"pending":3,"sold":7}`},
		{"HEAD /v2/pet/1", 200, "*"},
		{"PATCH /v2/pet/1", 405, `{"error":"the definition has this path, but not this method"}`},
		{"GET /v2/pet", 405, "*"},
		{"GET /v2/secret", 404, `{"error":"the definition has no such path"}`},
		{"GET /pet/1", 404, "*"},
		{"GET /v2", 404, "*"},
		{"GET /v2/pet/%2e%2e/%2e%2e/%2e%2e/x", 400, "*"},
		{"GET /v2/pet/a%2fb", 400, "*"},
	} {
		t.Run(c.request, func(t *testing.T) {
			method, target, _ := strings.Cut(c.request, " ")
			res := call(m, method, target)
			got := body(t, res)
			if res.StatusCode != c.status || c.want != "*" && got != c.want {
				t.Errorf("got %d %s\nwant %d %s", res.StatusCode, got, c.status, c.want)
			}
			for name, values := range res.Header {
				if strings.Contains(strings.Join(values, ""), "secret") {
					t.Errorf("%s tells a secret: %q", name, values)
				}
			}
			if strings.Contains(got, "secret") {
				t.Errorf("body tells a secret: %s", got)
			}
		})
	}
	res := call(m, "GET", "/v2/user/login")
	if res.Header.Get("X-Rate-Limit") != "3600" || res.Header.Get("X-Expires-After") != "2026-01-01T00:00:00Z" {
		t.Errorf("headers %v", res.Header)
	}
	if got := call(m, "PATCH", "/v2/pet/1").Header.Get("Allow"); got != "DELETE, GET, POST" {
		t.Errorf("Allow: %s", got)
	}
}

// What is answered, for the part of a response object given.
func TestResponses(t *testing.T) {
	for _, c := range []struct {
		responses, accept string
		want              string // status, content type, body
	}{
		{`{"200": {description: x}}`, "", "200  "},
		{`{"404": {description: x}, "201": {description: x}, default: {description: x}}`, "", "201  "},
		{`{default: {description: x}, "404": {description: x}}`, "", "200  "},
		{`{2XX: {description: x}, "404": {description: x}}`, "", "200  "},
		{`{"404": {description: x}}`, "", "404  "},
		{`{"101": {description: x}}`, "", "204  "},
		{`{}`, "", "204  "},
		{`{"204": {content: {application/json: {example: 1}}}}`, "", "204  "},
		{`{"200": {content: {application/json: {example: {b: 1, a: 1.50}}}}}`, "", `200 application/json {"a":1.5,"b":1}`},
		{`{"200": {content: {application/json: {examples: {z: {value: 1}, a: {value: 2}}}}}}`, "", `200 application/json 2`},
		{`{"200": {content: {application/json: {examples: {a: {externalValue: "http://x/"}}, schema: {type: integer}}}}}`, "", `200 application/json 1`},
		{`{"200": {content: {application/json: {example: null}}}}`, "", `200 application/json null`},
		{`{"200": {content: {application/json: {example: '{"a": 1}'}}}}`, "", `200 application/json {"a": 1}`},
		{`{"200": {content: {application/json: {example: '{a'}}}}`, "", `200 application/json "{a"`},
		{`{"200": {content: {application/problem+json: {example: 1}}}}`, "", `200 application/problem+json 1`},
		{`{"200": {content: {"application/json; charset=utf-8": {example: 1}}}}`, "", `200 application/json; charset=utf-8 1`},
		{`{"200": {content: {"*/*": {schema: {type: string}}}}}`, "", `200 application/json "string"`},
		{`{"200": {content: {text/plain: {example: hello}}}}`, "", `200 text/plain hello`},
		{`{"200": {content: {text/csv: {example: "a,b"}, application/json: {example: 1}}}}`, "", `200 application/json 1`},
		{`{"200": {content: {text/csv: {example: "a,b"}, application/json: {example: 1}}}}`, "text/*", `200 text/csv a,b`},
		{`{"200": {content: {text/csv: {example: "a,b"}, application/json: {example: 1}}}}`, "image/png", `200 application/json 1`},
		{`{"200": {content: {text/csv: {example: "a,b"}, application/json: {example: 1}}}}`, "application/json;q=0, text/csv", `200 text/csv a,b`},
		{`{"200": {content: {image/png: {schema: {type: string, format: binary}}}}}`, "", `200 image/png string`},
		{`{"200": {content: {application/xml: {schema: {xml: {name: pet}, type: object, properties: {"a b": {example: "<x>"}, l: {type: array, items: {type: integer}}}}}}}}`, "",
			"200 application/xml <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<pet><a_b>&lt;x&gt;</a_b><l><item>1</item></l></pet>"},
		{`{"200": {$ref: "#/components/responses/R"}}`, "", `200 application/json "shared"`},
		{`{"200": {$ref: "#/components/responses/Missing"}}`, "", `200  `},
		{`{"200": {$ref: "#/components/responses/Loop"}}`, "", `200  `},
	} {
		t.Run(c.responses+" "+c.accept, func(t *testing.T) {
			m := newMock(t, artifactOf(t, `
paths: {/x: {get: {responses: `+c.responses+`}}}
components:
  responses:
    R: {content: {application/json: {schema: {$ref: "#/components/schemas/a~1b%20c"}}}}
    Loop: {$ref: "#/components/responses/Loop"}
  schemas: {"a/b c": {type: string, default: shared}}
`, "http://h"))
			var header []string
			if c.accept != "" {
				header = []string{"Accept", c.accept}
			}
			res := call(m, "GET", "/x", header...)
			got := strings.Join([]string{res.Status[:3], res.Header.Get("Content-Type"), body(t, res)}, " ")
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// Header fields come from the definition; what would break the message or
// belongs to the server does not.
func TestResponseHeaders(t *testing.T) {
	m := newMock(t, artifactOf(t, `
paths:
  /x:
    get:
      responses:
        "200":
          headers:
            Location: {example: /y}
            X-Count: {schema: {type: integer}}
            X-List: {schema: {type: array, items: {type: string}}}
            X-None: {description: nothing}
            X-Split: {example: "a\r\nb: c"}
            "X Bad": {example: a}
            content-length: {example: 1000}
            Transfer-Encoding: {example: chunked}
`, "http://h"))
	res := call(m, "GET", "/x")
	want := http.Header{"Location": {"/y"}, "X-Count": {"1"}, "X-List": {`["string"]`}, "Content-Length": {"0"}}
	for name := range res.Header {
		if want[name] == nil {
			t.Errorf("unexpected %s: %q", name, res.Header[name])
		}
	}
	for name := range want {
		if !slices.Equal(res.Header[name], want[name]) {
			t.Errorf("%s: %q, want %q", name, res.Header[name], want[name])
		}
	}
}

// Paths are told apart as the gateway tells them apart.
func TestPaths(t *testing.T) {
	var definition strings.Builder
	definition.WriteString("paths:\n")
	for _, path := range []string{"/", "/pet/{id}", "/pet/mine", "/pet/{id}.json", "/pet/*", "/pet/{id}/tags", "/größe/{x}"} {
		definition.WriteString("  " + path + ": {get: {responses: {'200': {content: {text/plain: {example: '" + path + "'}}}}}}\n")
	}
	m := newMock(t, artifactOf(t, definition.String(), "https://h/base/"))
	for path, want := range map[string]string{
		"/base":                   "/",
		"/base/":                  "/",
		"/base/pet/7":             "/pet/{id}",
		"/base/pet/mine":          "/pet/mine",
		"/base/pet/7.json":        "/pet/{id}.json",
		"/base/pet/7/tags":        "/pet/{id}/tags",
		"/base/pet/7/a/b":         "/pet/*",
		"/base/gr%C3%B6%C3%9Fe/1": "/größe/{x}",
		"/base/p%65t/7":           "/pet/{id}",
	} {
		if got := body(t, call(m, "GET", path)); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"/pet/7", "/basement/pet/7", "/base/pet"} {
		if res := call(m, "GET", path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
}

func TestUpstreams(t *testing.T) {
	a := artifactOf(t, `paths: {/x: {get: {responses: {"200": {content: {text/plain: {example: one}}}}}}}`,
		"https://One.example/a?key=1", "http://[::1]/a")
	second := artifactOf(t, `paths: {/x: {get: {responses: {"200": {content: {text/plain: {example: two}}}}}}}`,
		"http://two.example:8080/a")
	a.Documents = append(a.Documents, second.Documents...)
	second.Apis[0].Document = 1
	second.Apis[0].Operations[0].ProductionCluster = 0
	second.Apis[0].Operations[0].SandboxCluster = 2
	a.Apis = append(a.Apis, second.Apis...)
	a.Clusters = append(a.Clusters, second.Clusters...)
	a.Clusters[0].Auth = &artifactpb.UpstreamAuth{Username: "u"}
	a.Clusters[1].Endpoints[0].EtcdKey = "k"
	m := newMock(t, a)
	if want := []string{"one.example:443", "[::1]:80", "two.example:8080"}; !slices.Equal(m.Upstreams(), want) {
		t.Fatalf("upstreams %q, want %q", m.Upstreams(), want)
	}
	for authority, want := range map[string]string{"one.example:443": "one", "two.example:8080": "two"} {
		if got := body(t, call(m.Upstream(authority), "GET", "/a/x")); got != want {
			t.Errorf("%s: %q", authority, got)
		}
	}
	if res := call(m.Upstream("three.example:80"), "GET", "/a/x"); res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown upstream: %d", res.StatusCode)
	}
	if got := body(t, call(m, "GET", "/a/x")); got != "one" {
		t.Errorf("all at once: %q", got)
	}

	moved, err := mock.Redirect(a, func(authority string) string { return "mock-of-" + strings.Trim(authority, "[]:0123456789") + ":1" })
	if err != nil {
		t.Fatal(err)
	}
	if got := moved.Clusters[0].Endpoints[0].Url; got != "http://mock-of-one.example:1/a?key=1" {
		t.Errorf("moved to %s", got)
	}
	if moved.Clusters[0].Auth != nil || moved.Clusters[1].Endpoints[0].EtcdKey != "" {
		t.Error("credentials or an etcd key went along")
	}
	if a.Clusters[0].Endpoints[0].Url != "https://One.example/a?key=1" || a.Clusters[0].Auth == nil {
		t.Error("the artifact itself was changed")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, a := range map[string]*artifactpb.Artifact{
		"no JSON":     {Documents: []*artifactpb.Document{{Json: []byte("{")}}},
		"no object":   {Documents: []*artifactpb.Document{{Json: []byte("[]")}}},
		"no document": {Apis: []*artifactpb.Api{{Document: 1}}},
		"no cluster": {Documents: []*artifactpb.Document{{Json: []byte("{}")}},
			Apis: []*artifactpb.Api{{Operations: []*artifactpb.Operation{{Path: "/x", ProductionCluster: 1}}}}},
	} {
		if _, err := mock.New(a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTarget(t *testing.T) {
	a := artifactOf(t, `
paths:
  /pet/{id}/{name}.json:
    parameters:
      - {name: id, in: path, example: 7}
      - {name: name, in: path, schema: {type: string, enum: [a b]}}
      - {name: page, in: query, required: true, schema: {type: integer}}
      - {name: size, in: query, schema: {type: integer}}
    get:
      parameters:
        - {name: page, in: query, required: true, schema: {type: array, items: {type: string, default: "x&y"}}}
  /a/{slash}/{undescribed}/*:
    get:
      parameters: [{name: slash, in: path, example: ../..}]
`, "http://h")
	m := newMock(t, a)
	want := map[string]string{
		"/pet/{id}/{name}.json":      "/pet/7/a%20b.json?page=x%26y",
		"/a/{slash}/{undescribed}/*": "/a/1/1/any",
	}
	for _, op := range a.Apis[0].Operations {
		got := m.Target(a.Apis[0], op)
		if got != want[op.Path] {
			t.Errorf("%s: got %q, want %q", op.Path, got, want[op.Path])
		}
		if res := call(m, "GET", got); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s: the mock answers %d", got, res.StatusCode)
		}
	}
}
