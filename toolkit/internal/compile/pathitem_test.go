package compile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/interceptor"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// What stands at a path item is as if it stood at each of its operations that
// has none of its own.
func TestPathItemIsAsItsOperations(t *testing.T) {
	const definition = `openapi: 3.0.3
info: {title: T, version: "1"}
x-wso2-basePath: /t
x-wso2-production-endpoints: {urls: ["http://api"]}
x-wso2-throttling-tier: Low
x-wso2-request-interceptor: f
x-wso2-endpoints: [{named: {urls: ["http://a", "http://b"], type: failover}}, {other: {urls: ["http://c"]}}]
paths:
  /a:
    get: {OPERATION}
    put: {OPERATION}
    post: {%s}
    PATH
`
	for extension, own := range map[string]string{
		`x-wso2-production-endpoints: "#/x-wso2-endpoints/named"`: `x-wso2-production-endpoints: "#/x-wso2-endpoints/other"`,
		`x-wso2-sandbox-endpoints: "#/x-wso2-endpoints/named"`:    `x-wso2-sandbox-endpoints: "#/x-wso2-endpoints/other"`,
		`x-wso2-throttling-tier: High`:                            `x-wso2-throttling-tier: Unlimited`,
		`x-throttling-tier: High`:                                 `x-wso2-throttling-tier: Low`,
		`x-wso2-request-interceptor: g`:                           `x-wso2-request-interceptor: f`,
		`x-wso2-response-interceptor: h`:                          `x-wso2-response-interceptor: i`,
	} {
		text := fmt.Sprintf(definition, own)
		atPath := strings.NewReplacer("OPERATION", "", "PATH", extension).Replace(text)
		atEach := strings.NewReplacer("OPERATION", extension, "PATH", "").Replace(text)
		if got, want := operations(t, atPath), operations(t, atEach); got != want {
			t.Errorf("%s:\nat the path    %s\nat operations  %s", extension, got, want)
		}
	}
}

// operations compiles a definition, and is what its operations became, without
// their places in it.
func operations(t *testing.T, definition string) string {
	t.Helper()
	var l diag.List
	docs := spec.Loader{Read: func(string) ([]byte, error) { return []byte(definition), nil }}.Load(t.Context(), []string{"a.yaml"}, &l)
	limits := policies.Parse("policy.yaml", []byte("resourcePolicies: [{Low: {count: 1, unitTime: 1, timeUnit: min}}, {High: {count: 2, unitTime: 1, timeUnit: min}}]"), &l)
	lib := new(interceptor.Library)
	if err := lib.Add("a.bal", []byte("function f(http:Request r) {}\nfunction g(http:Request r) {}\nfunction h(http:Response r) {}\nfunction i(http:Response r) {}")); err != nil {
		t.Fatal(err)
	}
	a := compile.Artifact(compile.Input{Documents: docs, Policies: limits, Interceptors: lib, Sources: []compile.Source{{Name: "a.bal"}, {Name: "a.yaml"}}}, &l)
	if l.HasErrors() {
		t.Fatal(l, definition)
	}
	var out bytes.Buffer
	for _, op := range a.GetApis()[0].GetOperations() {
		op.Position = nil
		text, err := protojson.Marshal(op)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(bytes.ReplaceAll(text, []byte(" "), nil))
		for _, i := range []uint32{op.GetProductionCluster(), op.GetSandboxCluster()} {
			if i > 0 {
				fmt.Fprint(&out, a.GetClusters()[i-1].GetName(), " ")
			}
		}
		for _, i := range append(op.GetRequestInterceptors(), op.GetResponseInterceptors()...) {
			fmt.Fprint(&out, a.GetInterceptors()[i].GetName(), " ")
		}
		out.WriteByte('\n')
	}
	return out.String()
}
