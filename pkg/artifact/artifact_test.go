package artifact_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/schema/artifactpb"
)

// sample returns a small artifact that refers to something of every kind.
func sample() *artifactpb.Artifact {
	digest := sha256.Sum256([]byte("x"))
	operation := func(method, path string) *artifactpb.Operation {
		return &artifactpb.Operation{
			Id:                method + " " + path,
			Method:            method,
			Path:              path,
			Position:          &artifactpb.Position{Source: 1, Line: 7, Column: 5},
			ProductionCluster: 1,
			SandboxCluster:    2,
			Security: &artifactpb.Security{Alternatives: []*artifactpb.SecurityAlternative{{
				Requirements: []*artifactpb.SecurityRequirement{{Scheme: 0, Scopes: []string{"read:pets"}}},
			}}},
			Stages: []*artifactpb.Stage{
				{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{}}},
				{Name: "scope", Kind: &artifactpb.Stage_Scope{Scope: &artifactpb.ScopeStage{Scopes: []string{"read:pets"}}}},
				{Name: "throttle", Kind: &artifactpb.Stage_Throttle{Throttle: &artifactpb.ThrottleStage{Policy: 0, Scope: artifactpb.ThrottleScope_THROTTLE_SCOPE_API}}},
				{Name: "intercept", Kind: &artifactpb.Stage_Intercept{Intercept: &artifactpb.InterceptStage{Interceptor: 0}}},
			},
			ThrottlePolicy: 1,
			Parameters: []*artifactpb.Parameter{
				{In: artifactpb.Location_LOCATION_PATH, Name: "petId", Required: true, Schema: 1, Style: "simple"},
			},
			RequestBody: &artifactpb.Body{MediaTypes: []*artifactpb.MediaType{{Name: "application/json", Schema: 1}}},
			Responses: []*artifactpb.ResponseBody{
				{Status: "200", MediaTypes: []*artifactpb.MediaType{{Name: "application/json", Schema: 1}}},
			},
		}
	}
	open := operation("GET", "/health")
	open.Security = &artifactpb.Security{Disabled: true}
	open.Stages = nil
	return &artifactpb.Artifact{
		Build:   &artifactpb.Build{ToolkitVersion: "v1.0.0"},
		Project: "petstore",
		Sources: []*artifactpb.Source{
			{Path: "api_definitions/petstore.yaml", Sha256: digest[:]},
			{Path: "policy.yaml", Sha256: digest[:]},
		},
		Documents: []*artifactpb.Document{{Source: 0, Dialect: artifactpb.Dialect_DIALECT_OPENAPI_3_0, Json: []byte(`{"openapi":"3.0.0"}`)}},
		Apis: []*artifactpb.Api{{
			Id: "api_1", Title: "petstore", Version: "1", BasePath: "/petstore/v1",
			Transports:     []artifactpb.Transport{artifactpb.Transport_TRANSPORT_HTTP, artifactpb.Transport_TRANSPORT_HTTPS},
			ThrottlePolicy: 1,
			Cors:           &artifactpb.Cors{AllowOrigins: []string{"*"}},
			MutualTls:      &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL},
			Operations:     []*artifactpb.Operation{operation("GET", "/pet/{petId}"), operation("PUT", "/pet/{petId}"), open},
		}},
		Clusters: []*artifactpb.Cluster{
			{Name: "api_1", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_SINGLE,
				Endpoints: []*artifactpb.Endpoint{{Url: "https://127.0.0.1:9443/v2"}}},
			{Name: "api_1", Environment: artifactpb.Environment_ENVIRONMENT_SANDBOX, Balance: artifactpb.Balance_BALANCE_FAILOVER,
				Endpoints:  []*artifactpb.Endpoint{{Url: "http://[::1]"}, {Url: "http://b", EtcdKey: "b"}},
				Auth:       &artifactpb.UpstreamAuth{Type: artifactpb.UpstreamAuthType_UPSTREAM_AUTH_TYPE_BASIC, Username: "u"},
				Resilience: &artifactpb.Resilience{Retry: &artifactpb.Retry{BackOffFactor: 1.5}}},
		},
		ThrottlePolicies: []*artifactpb.ThrottlePolicy{{Name: "10kPerMin", Kind: artifactpb.ThrottleKind_THROTTLE_KIND_RESOURCE, Count: 10000, WindowMs: 60000}},
		SecuritySchemes: []*artifactpb.SecurityScheme{
			{Kind: &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{}}},
			{Name: "key", Kind: &artifactpb.SecurityScheme_ApiKey{ApiKey: &artifactpb.ApiKeyScheme{In: artifactpb.Location_LOCATION_HEADER, Name: "X-Key"}}},
		},
		Interceptors: []*artifactpb.Interceptor{
			{
				Name: "add", Direction: artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_REQUEST, Source: 2,
				Kind: &artifactpb.Interceptor_Wasm{Wasm: &artifactpb.WasmFunction{Module: 0, Function: "add"}},
			},
		},
		Modules:        []*artifactpb.Module{{Source: 1, Code: []byte("\x00asm")}},
		Schemas:        []*artifactpb.Schema{{Document: 0, Pointer: "/components/schemas/Pet"}},
		DevelopmentKey: []byte(`{"kty":"EC"}`),
	}
}

func marshal(t testing.TB, a *artifactpb.Artifact) []byte {
	t.Helper()
	data, err := artifact.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
}

func sign(t testing.TB, data []byte) []byte {
	t.Helper()
	signed, err := artifact.Sign(data, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestRoundTrip(t *testing.T) {
	data := marshal(t, sample())
	f, err := artifact.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(f.Artifact, sample()) {
		t.Errorf("got %v, want %v", f.Artifact, sample())
	}
	if want := sha256.Sum256(data[56:]); f.Digest != want {
		t.Errorf("digest: got %x, want %x", f.Digest, want)
	}
	if f.Size != int64(len(data)) || f.Format != 1 || f.Path != "" || f.Signer != nil {
		t.Errorf("got size %d, format %d, path %q, signer %x", f.Size, f.Format, f.Path, f.Signer)
	}
}

func TestMarshalIsDeterministic(t *testing.T) {
	want := marshal(t, sample())
	for range 20 {
		if !bytes.Equal(marshal(t, sample()), want) {
			t.Fatal("two calls gave different bytes")
		}
	}
}

func TestSign(t *testing.T) {
	data := marshal(t, sample())
	plain, err := artifact.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, data)
	f, err := artifact.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Signer.Equal(testKey().Public()) {
		t.Errorf("signer: got %x", f.Signer)
	}
	if f.Digest != plain.Digest {
		t.Error("signing changed the digest")
	}
	if again := sign(t, signed); !bytes.Equal(again, signed) {
		t.Error("signing a second time did not replace the signature")
	}
}

// mustRefuse checks that data is refused, with one clear line.
func mustRefuse(t *testing.T, what string, data []byte) {
	t.Helper()
	f, err := artifact.Parse(data)
	switch {
	case err == nil:
		t.Errorf("%s: accepted", what)
	case f != nil:
		t.Errorf("%s: refused, and yet a File came back", what)
	case err.Error() == "" || strings.ContainsAny(err.Error(), "\r\n") || !strings.Contains(err.Error(), "artifact"):
		t.Errorf("%s: %q is no clear line", what, err)
	}
}

func TestEveryBitCounts(t *testing.T) {
	plain := marshal(t, sample())
	for name, data := range map[string][]byte{"plain": plain, "signed": sign(t, plain)} {
		t.Run(name, func(t *testing.T) {
			flip := func(bit int) {
				bad := bytes.Clone(data)
				bad[bit/8] ^= 1 << (bit % 8)
				mustRefuse(t, fmt.Sprintf("bit %d of byte %d flipped", bit%8, bit/8), bad)
			}
			// Every bit of the header and of what follows the payload, and
			// 10,000 anywhere.
			for bit := range 56 * 8 {
				flip(bit)
			}
			for bit := len(plain) * 8; bit < len(data)*8; bit++ {
				flip(bit)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 10_000 {
				flip(rnd.IntN(len(data) * 8))
			}
		})
	}
}

func TestEveryByteCounts(t *testing.T) {
	plain := marshal(t, sample())
	for name, data := range map[string][]byte{"plain": plain, "signed": sign(t, plain)} {
		t.Run(name, func(t *testing.T) {
			for n := range data {
				mustRefuse(t, fmt.Sprintf("truncated to %d bytes", n), data[:n])
			}
			for _, tail := range []string{"\x00", "\n", strings.Repeat("x", 100), string(data)} {
				mustRefuse(t, fmt.Sprintf("%d bytes more", len(tail)), append(bytes.Clone(data), tail...))
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	change := func(f func(data []byte)) []byte {
		data := marshal(t, sample())
		f(data)
		return data
	}
	data := marshal(t, sample())
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a micro-gw artifact: the file is empty"},
		{"YAML", []byte("openapi: 3.0.0\n"), "not a micro-gw artifact"},
		{"line ends converted", bytes.Replace(data, []byte("\r\n"), []byte("\n"), 1), "not a micro-gw artifact"},
		{"newer format", change(func(d []byte) { d[11] = 3 }), "artifact format 3 is newer than this runtime reads (1)"},
		{"newer format, other header", change(func(d []byte) { d[11] = 3 })[:20], "artifact format 3 is newer than this runtime reads (1)"},
		{"format 0", change(func(d []byte) { d[11] = 0 }), "damaged artifact: there is no format 0"},
		{"unknown flag", change(func(d []byte) { d[15] = 6 }), "artifact has flags 0x6, of which this runtime knows 0x1"},
		{"header only", data[:56], fmt.Sprintf("truncated artifact: the header announces %d bytes of payload, 0 are there", len(data)-56)},
		{"half a header", data[:30], "truncated artifact: 30 bytes are less than its header"},
		{"length 2^64-1", change(func(d []byte) { binary.BigEndian.PutUint64(d[16:], 1<<64-1) }),
			fmt.Sprintf("truncated artifact: the header announces 18446744073709551615 bytes of payload, %d are there", len(data)-56)},
		{"trailing byte", append(bytes.Clone(data), 0), "damaged artifact: 1 bytes follow its end"},
		{"flag without signature", change(func(d []byte) { d[15] = 1 }),
			fmt.Sprintf("truncated artifact: the header announces %d bytes of payload, %d are there", len(data)-56, len(data)-156)},
		{"payload", change(func(d []byte) { d[60] ^= 0xff }), "damaged artifact: SHA-256 of the payload is not the one in the header"},
		{"no protobuf", frame([]byte("\xff\xff")), "invalid artifact: the payload is not an Artifact message"},
		{"string that is not UTF-8", frame([]byte("\x12\x01\xff")), "invalid artifact: the payload is not an Artifact message"},
		{"feature of the future", frame([]byte{12 << 3, 9}), "artifact needs feature 9, which this runtime does not know"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := artifact.Parse(tt.data)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// frame puts a correct header before any payload.
func frame(payload []byte) []byte {
	header, err := artifact.Marshal(&artifactpb.Artifact{})
	if err != nil {
		panic(err)
	}
	data := append(header[:56:56], payload...)
	binary.BigEndian.PutUint64(data[16:], uint64(len(payload)))
	digest := sha256.Sum256(payload)
	copy(data[24:], digest[:])
	return data
}

// A digest proves that the file is as it was written, not that what was
// written makes sense. Marshal and Parse hold the same promises.
func TestInvalidMessage(t *testing.T) {
	for _, tt := range []struct {
		want  string // after "invalid artifact: "
		spoil func(a *artifactpb.Artifact)
	}{
		{"sources[1]: \"a\" is out of order", func(a *artifactpb.Artifact) { a.Sources[1].Path = "a" }},
		{"sources[0]: no path", func(a *artifactpb.Artifact) { a.Sources[0].Path = "" }},
		{"sources[0].sha256: 3 bytes, not 32", func(a *artifactpb.Artifact) { a.Sources[0].Sha256 = []byte("abc") }},
		{"documents[0]: source: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { a.Documents[0].Source = 2 }},
		{"documents[0].dialect: not set", func(a *artifactpb.Artifact) { a.Documents[0].Dialect = 0 }},
		{"documents[0].dialect: value 77 is unknown", func(a *artifactpb.Artifact) { a.Documents[0].Dialect = 77 }},
		{"schemas[0]: document: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { a.Schemas[0].Document = 1 }},
		{"throttle_policies[0]: no name", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Name = "" }},
		{"throttle_policies[0]: count and window_ms must be 1 or more", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Count = -1 }},
		{"throttle_policies[0]: count and window_ms must be 1 or more", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].WindowMs = 0 }},
		{"throttle_policies[0]: burst: 10001 is not from 0 to count", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Burst = 10001 }},
		{"throttle_policies[0]: key: kind is unknown", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Key = &artifactpb.ThrottleKey{} }},
		{`throttle_policies[0]: key: header: "X-Tenant" is not a name in lower case`, func(a *artifactpb.Artifact) {
			a.ThrottlePolicies[0].Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_Header{Header: "X-Tenant"}}
		}},
		{"throttle_policies[0]: key: claim: no name", func(a *artifactpb.Artifact) {
			a.ThrottlePolicies[0].Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_Claim{}}
		}},
		{"throttle_policies[0]: key: only resource policies have one", func(a *artifactpb.Artifact) {
			a.ThrottlePolicies[0].Kind = artifactpb.ThrottleKind_THROTTLE_KIND_APPLICATION
			a.ThrottlePolicies[0].Key = &artifactpb.ThrottleKey{Kind: &artifactpb.ThrottleKey_ClientAddress{}}
		}},
		{"throttle_policies[0].shared.on_failure: not set", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Shared = &artifactpb.SharedCounter{} }},
		{"throttle_policies[0].kind: not set", func(a *artifactpb.Artifact) { a.ThrottlePolicies[0].Kind = 0 }},
		{"security_schemes[0]: kind is unknown", func(a *artifactpb.Artifact) { a.SecuritySchemes[0].Kind = nil }},
		{"security_schemes[1].api_key.in: not set", func(a *artifactpb.Artifact) { a.SecuritySchemes[1].GetApiKey().In = 0 }},
		{"modules[0]: source: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { a.Modules[0].Source = 2 }},
		{"interceptors[0]: no name", func(a *artifactpb.Artifact) { a.Interceptors[0].Name = "" }},
		{"interceptors[0]: source: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { a.Interceptors[0].Source = 3 }},
		{"interceptors[0]: module: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { a.Interceptors[0].GetWasm().Module = 1 }},
		{"interceptors[0].direction: not set", func(a *artifactpb.Artifact) { a.Interceptors[0].Direction = 0 }},
		{"clusters[0]: no name", func(a *artifactpb.Artifact) { a.Clusters[0].Name = "" }},
		{"clusters[0]: no endpoints", func(a *artifactpb.Artifact) { a.Clusters[0].Endpoints = nil }},
		{"clusters[0]: endpoints[0]: \"ftp://a\" is no http or https URL", func(a *artifactpb.Artifact) { a.Clusters[0].Endpoints[0].Url = "ftp://a" }},
		{"clusters[0]: endpoints[0]: \"http://:80\" is no http or https URL", func(a *artifactpb.Artifact) { a.Clusters[0].Endpoints[0].Url = "http://:80" }},
		{"clusters[1].balance: not set", func(a *artifactpb.Artifact) { a.Clusters[1].Balance = 0 }},
		{"clusters[1].auth.type: value -1 is unknown", func(a *artifactpb.Artifact) { a.Clusters[1].Auth.Type = -1 }},
		{"apis[0]: base path \"petstore\": a path starts with \"/\" (at character 1)", func(a *artifactpb.Artifact) { a.Apis[0].BasePath = "petstore" }},
		{"apis[0]: base path \"/pet/\" is not in normal form", func(a *artifactpb.Artifact) { a.Apis[0].BasePath = "/pet/" }},
		{"apis[0]: base path \"/a b\" is not in normal form", func(a *artifactpb.Artifact) { a.Apis[0].BasePath = "/a b" }},
		{"apis[0]: base path \"/{v}\" is not in normal form", func(a *artifactpb.Artifact) { a.Apis[0].BasePath = "/{v}" }},
		{"apis[0]: document: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { a.Apis[0].Document = 1 }},
		{"apis[0]: no transports", func(a *artifactpb.Artifact) { a.Apis[0].Transports = nil }},
		{"apis[0].transports[1]: value 9 is unknown", func(a *artifactpb.Artifact) { a.Apis[0].Transports[1] = 9 }},
		{"apis[0]: throttle_policy: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { a.Apis[0].ThrottlePolicy = 2 }},
		{"apis[0].mutual_tls.mode: not set", func(a *artifactpb.Artifact) { a.Apis[0].MutualTls.Mode = 0 }},
		{"apis[1]: base path \"/petstore/v1\" is taken", func(a *artifactpb.Artifact) { a.Apis = append(a.Apis, a.Apis[0]) }},
		{"apis[0]: operations[1] \"GET /pet/{petId}\": id is taken", func(a *artifactpb.Artifact) { op(a, 1).Id = "GET /pet/{petId}" }},
		{"apis[0]: operations[1] \"PUT /pet/{petId}\": matches the same requests as \"GET /pet/{petId}\"", func(a *artifactpb.Artifact) { op(a, 1).Method, op(a, 1).Path = "GET", "/pet/{other}" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": path \"/pet/{\": \"{\" is never closed (at character 6)", func(a *artifactpb.Artifact) { op(a, 0).Path = "/pet/{" }},
		{"apis[0]: operations[0] \"\": no id", func(a *artifactpb.Artifact) { op(a, 0).Id = "" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": \"get\" is no upper-case method", func(a *artifactpb.Artifact) { op(a, 0).Method = "get" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": \"\" is no upper-case method", func(a *artifactpb.Artifact) { op(a, 0).Method = "" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": position: source: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { op(a, 0).Position.Source = 2 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": production_cluster: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { op(a, 0).ProductionCluster = 3 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": sandbox_cluster: index 4294967294 is out of range, there are 2", func(a *artifactpb.Artifact) { op(a, 0).SandboxCluster = 1<<32 - 1 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": throttle_policy: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).ThrottlePolicy = 2 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security: neither disabled nor any alternative", func(a *artifactpb.Artifact) { op(a, 0).Security = nil }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security: disabled, and yet has alternatives", func(a *artifactpb.Artifact) { op(a, 0).Security.Disabled = true }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security: alternatives[0]: no requirements", func(a *artifactpb.Artifact) { op(a, 0).Security.Alternatives[0].Requirements = nil }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security: alternatives[0].requirements[0]: scheme: index 2 is out of range, there are 2", func(a *artifactpb.Artifact) { op(a, 0).Security.Alternatives[0].Requirements[0].Scheme = 2 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security is not disabled, but no stage authenticates", func(a *artifactpb.Artifact) { op(a, 0).Stages = nil }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[0] \"scope\": comes before authentication", func(a *artifactpb.Artifact) { op(a, 0).Stages = op(a, 0).Stages[1:] }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[1] \"scope\": no scopes", func(a *artifactpb.Artifact) { op(a, 0).Stages[1].GetScope().Scopes = nil }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[1] \"scope\": kind is unknown", func(a *artifactpb.Artifact) { op(a, 0).Stages[1].Kind = nil }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[1]: name \"authn\" is empty or taken", func(a *artifactpb.Artifact) { op(a, 0).Stages[1].Name = "authn" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[2] \"throttle\": policy: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).Stages[2].GetThrottle().Policy = 1 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": stages[3] \"intercept\": interceptor: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).Stages[3].GetIntercept().Interceptor = 1 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": request_interceptors[0]: interceptor: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).RequestInterceptors = []uint32{1} }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": response_interceptors[0]: \"add\" is for the other direction", func(a *artifactpb.Artifact) { op(a, 0).ResponseInterceptors = []uint32{0} }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security: both disabled and optional", func(a *artifactpb.Artifact) { op(a, 0).Security = &artifactpb.Security{Disabled: true, Optional: true} }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": security is optional, but mutual TLS is not mandatory", func(a *artifactpb.Artifact) { op(a, 0).Security.Optional, a.Apis[0].MutualTls = true, nil }},
		{"apis[0].operations[0].stages[2].throttle.scope: not set", func(a *artifactpb.Artifact) { op(a, 0).Stages[2].GetThrottle().Scope = 0 }},
		{"apis[0].operations[0].parameters[0].in: not set", func(a *artifactpb.Artifact) { op(a, 0).Parameters[0].In = 0 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": parameters[0]: no name", func(a *artifactpb.Artifact) { op(a, 0).Parameters[0].Name = "" }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": parameters[0]: schema: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).Parameters[0].Schema = 2 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": request_body: media_types[0]: schema: index 1 is out of range, there are 1", func(a *artifactpb.Artifact) { op(a, 0).RequestBody.MediaTypes[0].Schema = 2 }},
		{"apis[0]: operations[0] \"GET /pet/{petId}\": responses[0]: media_types[0]: no name", func(a *artifactpb.Artifact) { op(a, 0).Responses[0].MediaTypes[0].Name = "" }},
	} {
		t.Run(tt.want, func(t *testing.T) {
			a := sample()
			tt.spoil(a)
			want := "invalid artifact: " + tt.want
			if _, err := artifact.Marshal(a); err == nil || err.Error() != want {
				t.Errorf("Marshal: got  %v\nwant %s", err, want)
			}
			payload, err := proto.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := artifact.Parse(frame(payload)); err == nil || err.Error() != want {
				t.Errorf("Parse: got  %v\nwant %s", err, want)
			}
		})
	}
}

func op(a *artifactpb.Artifact, i int) *artifactpb.Operation { return a.Apis[0].Operations[i] }

func TestMarshalNil(t *testing.T) {
	if _, err := artifact.Marshal(nil); err == nil {
		t.Error("no error")
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "petstore.mgw")
	if err := artifact.Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	f, err := artifact.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.Path != path || f.Project != "petstore" {
		t.Errorf("got path %q, project %q", f.Path, f.Project)
	}

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[11] = 3
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	project := filepath.Join(dir, "shop")
	if err := os.MkdirAll(filepath.Join(project, "target"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(project, "target", "shop.mgw"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{project, project + ": is a directory; the artifact in it is " + filepath.Join(project, "target", "shop.mgw")},
		{path, path + ": artifact format 3 is newer than this runtime reads (1)"},
		{dir, dir + ": is a directory, not an artifact"},
		{filepath.Join(dir, "none.mgw"), filepath.Join(dir, "none.mgw") + ": no such file or directory"},
	} {
		if _, err := artifact.Open(tt.path); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestOpenOversized(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.mgw")
	if err := os.WriteFile(path, marshal(t, sample()), 0o644); err != nil {
		t.Fatal(err)
	}
	// Sparse: it takes no space and, being refused by its size, no memory.
	if err := os.Truncate(path, artifact.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s: %d bytes are more than an artifact may have (%d)", path, artifact.MaxSize+1, artifact.MaxSize)
	if _, err := artifact.Open(path); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "petstore.mgw")
	for range 2 { // the second time it replaces
		if err := artifact.Write(path, sample()); err != nil {
			t.Fatal(err)
		}
		mustHold(t, dir, "petstore.mgw")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o644 {
		t.Errorf("mode: got %v, want -rw-r--r--", got)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, marshal(t, sample())) {
		t.Error("the file is not what Marshal returns")
	}
}

func TestWriteFails(t *testing.T) {
	invalid := sample()
	invalid.Apis[0].Document = 7
	for _, tt := range []struct {
		name string
		path func(dir string) string
		a    *artifactpb.Artifact
		want string
	}{
		{"invalid message", func(dir string) string { return filepath.Join(dir, "old.mgw") }, invalid, "index 7 is out of range"},
		{"folder is a file", func(dir string) string { return filepath.Join(dir, "old.mgw", "new.mgw") }, sample(), "not a directory"},
		{"folder is missing", func(dir string) string { return filepath.Join(dir, "none", "new.mgw") }, sample(), "no such file or directory"},
		// Fails at the rename, when the temporary file is already written.
		{"path is a folder", func(dir string) string { return filepath.Join(dir, "folder") }, sample(), "file exists"},
		{"path is a device", func(dir string) string { return filepath.Join(dir, "device") }, sample(), "not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old.mgw"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(os.DevNull, filepath.Join(dir, "device")); err != nil {
				t.Fatal(err)
			}
			path := tt.path(dir)
			err := artifact.Write(path, tt.a)
			if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
			mustHold(t, dir, "device", "folder", "old.mgw")
			if got, _ := os.ReadFile(filepath.Join(dir, "old.mgw")); string(got) != "old" {
				t.Errorf("the old file is now %q", got)
			}
		})
	}
}

// mustHold checks what dir holds: no more, so no temporary file.
func mustHold(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// FuzzParse takes a file, or a payload to put a right header before: a digest
// keeps a fuzzer out of everything behind it.
//
// What parses is valid, so it marshals, and the result is a fixed point. It
// need not be the payload's own bytes: protobuf has many spellings of one
// message, and a newer toolkit's unknown fields may stand anywhere.
func FuzzParse(f *testing.F) {
	data := marshal(f, sample())
	f.Add(data, false)
	f.Add(sign(f, data), false)
	f.Add(data[:70], false)
	f.Add(data[56:], true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, payloadOnly bool) {
		if payloadOnly {
			data = frame(data)
		}
		file, err := artifact.Parse(data)
		if err != nil {
			if file != nil || strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("got %v with %q", file, err)
			}
			return
		}
		first, err := artifact.Marshal(file.Artifact)
		if err != nil {
			t.Fatalf("parses but does not marshal: %v", err)
		}
		again, err := artifact.Parse(first)
		if err != nil {
			t.Fatalf("what was marshalled does not parse: %v", err)
		}
		if second := marshal(t, again.Artifact); !bytes.Equal(first, second) {
			t.Fatalf("marshalled once: %x\ntwice: %x", first, second)
		}
	})
}
