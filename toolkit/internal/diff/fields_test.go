package diff_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/microgw/microgw/schema/artifactpb"
)

// decisions says of every field of an artifact which comparison looks at it, or
// why none does. Whoever adds a field has to decide.
var decisions = map[string]string{
	"Artifact.build":                    "not compared: which toolkit made it changes nothing by itself",
	"Artifact.project":                  "not compared: the name of a folder, other in every checkout",
	"Artifact.sources":                  "positions, content",
	"Artifact.documents":                "contract",
	"Artifact.apis":                     "match",
	"Artifact.clusters":                 "endpoint",
	"Artifact.throttle_policies":        "project, limits",
	"Artifact.security_schemes":         "security",
	"Artifact.interceptors":             "interceptorCode, intercept",
	"Artifact.schemas":                  "not compared: made from the documents",
	"Artifact.development_key":          "not compared: other in every checkout, and of no use outside of development",
	"Artifact.required_features":        "project",
	"Artifact.modules":                  "content",
	"Source.path":                       "positions",
	"Source.sha256":                     "content",
	"Document.source":                   "match",
	"Document.dialect":                  "not compared: a document may be rewritten in another one and say the same",
	"Document.json":                     "contract",
	"Document.omitted":                  "not compared: for people; the document that is left is",
	"Api.id":                            "not compared: made of title and version",
	"Api.title":                         "settings",
	"Api.version":                       "settings",
	"Api.base_path":                     "settings",
	"Api.document":                      "contract",
	"Api.owner":                         "settings",
	"Api.transports":                    "settings",
	"Api.auth_header":                   "settings",
	"Api.cors":                          "cors",
	"Api.mutual_tls":                    "mutualTLS",
	"Api.response_cache":                "settings, by flat",
	"Api.throttle_policy":               "not compared: it limits nothing by itself, operations have it as theirs",
	"Api.operations":                    "pairs",
	"Operation.id":                      "not compared: made of method and path",
	"Operation.method":                  "pairs",
	"Operation.path":                    "pairs; the names of its parameters by contract",
	"Operation.operation_id":            "contract",
	"Operation.position":                "positions",
	"Operation.production_cluster":      "endpoint",
	"Operation.sandbox_cluster":         "endpoint",
	"Operation.security":                "security",
	"Operation.stages":                  "stages, limits",
	"Operation.throttle_policy":         "limits",
	"Operation.parameters":              "not compared: made from the documents",
	"Operation.request_body":            "not compared: made from the documents",
	"Operation.responses":               "not compared: made from the documents",
	"Operation.grpc":                    "policies",
	"Operation.request_interceptors":    "intercept",
	"Operation.response_interceptors":   "intercept",
	"Position.source":                   "positions",
	"Position.line":                     "positions",
	"Position.column":                   "positions",
	"Security.disabled":                 "security",
	"AuthnStage.alternatives":           "stages, if security says nothing",
	"Operation.document_paths":          "contract",
	"Security.alternatives":             "security",
	"Security.optional":                 "not compared: the alternatives say so already",
	"SecurityAlternative.requirements":  "security",
	"SecurityRequirement.scheme":        "security",
	"SecurityRequirement.scopes":        "security",
	"SecurityRequirement.all_scopes":    "security",
	"SecurityScheme.name":               "not compared: the definition's own affair",
	"SecurityScheme.oauth2":             "security",
	"SecurityScheme.basic":              "security",
	"SecurityScheme.api_key":            "security",
	"SecurityScheme.open_id_connect":    "security",
	"SecurityScheme.mutual_tls":         "security",
	"OAuth2Scheme.bearer":               "not compared: tokens are checked alike",
	"ApiKeyScheme.in":                   "security",
	"ApiKeyScheme.name":                 "security",
	"OpenIdConnectScheme.discovery_url": "security",
	"Stage.name":                        "not compared: a label",
	"Stage.authn":                       "stages, if security says nothing",
	"Stage.scope":                       "stages, if security says nothing",
	"Stage.throttle":                    "limits",
	"Stage.validate":                    "stages",
	"Stage.intercept":                   "not compared: operations name their interceptors",
	"Stage.cors":                        "not compared: cors compares what it does",
	"Stage.subscription":                "stages",
	"Stage.backend_jwt":                 "stages",
	"ScopeStage.scopes":                 "stages, if security says nothing",
	"ScopeStage.all":                    "stages, if security says nothing",
	"ThrottleStage.policy":              "limits",
	"ThrottleStage.scope":               "limits",
	"ValidateStage.request":             "stages",
	"ValidateStage.response":            "stages",
	"ThrottlePolicy.name":               "limits",
	"ThrottlePolicy.kind":               "project",
	"ThrottlePolicy.count":              "limit",
	"ThrottlePolicy.window_ms":          "limit",
	"ThrottlePolicy.stop_on_quota":      "limit",
	"ThrottlePolicy.burst":              "limit",
	"ThrottlePolicy.key":                "limit, by flat",
	"ThrottlePolicy.shared":             "limit, by flat",
	"ThrottlePolicy.shadow":             "limit",
	"Interceptor.name":                  "intercept",
	"Interceptor.direction":             "interceptorCode",
	"Interceptor.source":                "content",
	"Interceptor.wasm":                  "content",
	"Interceptor.ballerina":             "content",
	"Interceptor.java":                  "content",
	"Interceptor.hub":                   "content",
	"WasmFunction.module":               "content",
	"WasmFunction.function":             "content",
	"BallerinaFunction.function":        "content",
	"JavaClass.class_name":              "content",
	"HubFunction.organisation":          "content",
	"HubFunction.module":                "content",
	"HubFunction.version":               "content",
	"HubFunction.function":              "content",
	"Module.source":                     "content",
	"Module.code":                       "content, by the digest of its source",
	"Cluster.name":                      "endpoint",
	"Cluster.environment":               "endpoint",
	"Cluster.balance":                   "endpoint",
	"Cluster.endpoints":                 "endpoint",
	"Cluster.auth":                      "endpoint, by flat",
	"Cluster.resilience":                "endpoint, by flat",
	"Endpoint.url":                      "endpoint",
	"Endpoint.etcd_key":                 "endpoint",
	"Cors.allow_origins":                "cors",
	"Cors.allow_headers":                "cors",
	"Cors.allow_methods":                "cors",
	"Cors.expose_headers":               "cors",
	"Cors.allow_credentials":            "cors",
	"MutualTls.mode":                    "mutualTLS",
	"MutualTls.replaces_token":          "mutualTLS",
}

func TestEveryFieldIsDecided(t *testing.T) {
	seen := make(map[string]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			name := string(m.Name()) + "." + string(f.Name())
			if seen[name] {
				continue
			}
			seen[name] = true
			how, ok := decisions[name]
			if !ok {
				t.Errorf("%s: no decision; compare it in package diff, or say here why nobody needs to", name)
			}
			// flat compares all that is in there.
			if f.Message() != nil && !strings.HasPrefix(how, "not compared") && !strings.HasSuffix(how, "by flat") {
				walk(f.Message())
			}
		}
	}
	walk((*artifactpb.Artifact)(nil).ProtoReflect().Descriptor())
	for name := range decisions {
		if !seen[name] {
			t.Errorf("%s: the schema has no such field", name)
		}
	}
}
