package artifact

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/schema/artifactpb"
)

// validate holds the promises that artifact.proto makes about a message, so
// that whoever gets a File may index without looking. It reports the first
// broken one.
//
// It is also the last line of defence against an artifact that opens what its
// author closed: an operation is open only if it says so itself.
func validate(a *artifactpb.Artifact) error {
	if a == nil {
		return errors.New("invalid artifact: no message")
	}
	// First, because what follows may mean something else under a feature
	// that is not known here.
	for _, f := range a.GetRequiredFeatures() {
		if _, known := artifactpb.Feature_name[int32(f)]; !known || f == artifactpb.Feature_FEATURE_UNSPECIFIED {
			return fmt.Errorf("artifact needs feature %d, which this runtime does not know", int32(f))
		}
	}
	v := validator{a}
	if err := v.artifact(); err != nil {
		return fmt.Errorf("invalid artifact: %w", err)
	}
	if err := enums(a.ProtoReflect()); err != nil {
		return fmt.Errorf("invalid artifact: %w", err)
	}
	return nil
}

type validator struct {
	*artifactpb.Artifact
}

func (v validator) artifact() error {
	for i, s := range v.GetSources() {
		if s.GetPath() == "" {
			return fmt.Errorf("sources[%d]: no path", i)
		}
		if i > 0 && v.GetSources()[i-1].GetPath() >= s.GetPath() {
			return fmt.Errorf("sources[%d]: %q is out of order", i, s.GetPath())
		}
		if n := len(s.GetSha256()); n != 32 {
			return fmt.Errorf("sources[%d].sha256: %d bytes, not 32", i, n)
		}
	}
	for i, d := range v.GetDocuments() {
		if err := v.source(d.GetSource()); err != nil {
			return fmt.Errorf("documents[%d]: %w", i, err)
		}
	}
	for i, s := range v.GetSchemas() {
		if err := index("document", s.GetDocument(), len(v.GetDocuments())); err != nil {
			return fmt.Errorf("schemas[%d]: %w", i, err)
		}
	}
	for i, p := range v.GetThrottlePolicies() {
		if err := throttlePolicy(p); err != nil {
			return fmt.Errorf("throttle_policies[%d]: %w", i, err)
		}
	}
	for i, s := range v.GetSecuritySchemes() {
		if s.GetKind() == nil {
			return fmt.Errorf("security_schemes[%d]: kind is unknown", i)
		}
	}
	for i, m := range v.GetModules() {
		if err := v.source(m.GetSource()); err != nil {
			return fmt.Errorf("modules[%d]: %w", i, err)
		}
	}
	for i, p := range v.GetInterceptors() {
		if p.GetName() == "" {
			return fmt.Errorf("interceptors[%d]: no name", i)
		}
		if err := indexPlusOne("source", p.GetSource(), len(v.GetSources())); err != nil {
			return fmt.Errorf("interceptors[%d]: %w", i, err)
		}
		if k, ok := p.GetKind().(*artifactpb.Interceptor_Wasm); ok {
			if err := index("module", k.Wasm.GetModule(), len(v.GetModules())); err != nil {
				return fmt.Errorf("interceptors[%d]: %w", i, err)
			}
		}
	}
	for i, c := range v.GetClusters() {
		if err := cluster(c); err != nil {
			return fmt.Errorf("clusters[%d]: %w", i, err)
		}
	}
	basePaths := make(map[string]bool)
	for i, api := range v.GetApis() {
		if err := v.api(api); err != nil {
			return fmt.Errorf("apis[%d]: %w", i, err)
		}
		if basePaths[api.GetBasePath()] {
			return fmt.Errorf("apis[%d]: base path %q is taken", i, api.GetBasePath())
		}
		basePaths[api.GetBasePath()] = true
	}
	return nil
}

func throttlePolicy(p *artifactpb.ThrottlePolicy) error {
	resource := p.GetKind() == artifactpb.ThrottleKind_THROTTLE_KIND_RESOURCE
	switch {
	case p.GetName() == "":
		return errors.New("no name")
	case p.GetCount() < 1 || p.GetWindowMs() < 1:
		return errors.New("count and window_ms must be 1 or more")
	case p.GetBurst() < 0 || p.GetBurst() > p.GetCount():
		return fmt.Errorf("burst: %d is not from 0 to count", p.GetBurst())
	case p.GetKey() == nil:
		return nil
	case !resource:
		return errors.New("key: only resource policies have one")
	}
	switch k := p.GetKey().GetKind().(type) {
	case nil:
		return errors.New("key: kind is unknown")
	case *artifactpb.ThrottleKey_Header:
		if k.Header == "" || k.Header != strings.ToLower(k.Header) {
			return fmt.Errorf("key: header: %q is not a name in lower case", k.Header)
		}
	case *artifactpb.ThrottleKey_Claim:
		if k.Claim == "" {
			return errors.New("key: claim: no name")
		}
	}
	return nil
}

func cluster(c *artifactpb.Cluster) error {
	if c.GetName() == "" {
		return errors.New("no name")
	}
	if len(c.GetEndpoints()) == 0 {
		return errors.New("no endpoints")
	}
	for i, e := range c.GetEndpoints() {
		u, err := url.Parse(e.GetUrl())
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return fmt.Errorf("endpoints[%d]: %q is no http or https URL", i, e.GetUrl())
		}
	}
	return nil
}

func (v validator) api(api *artifactpb.Api) error {
	// The runtime mounts the API by comparing bytes, so the base path must be
	// in the form that request paths are brought into.
	t, err := pathtmpl.Parse(api.GetBasePath())
	if err != nil {
		return fmt.Errorf("base path %q: %w", api.GetBasePath(), err)
	}
	if t.String() != api.GetBasePath() || len(t.Params()) > 0 || t.Wildcard() {
		return fmt.Errorf("base path %q is not in normal form", api.GetBasePath())
	}
	if err := index("document", api.GetDocument(), len(v.GetDocuments())); err != nil {
		return err
	}
	if len(api.GetTransports()) == 0 {
		return errors.New("no transports")
	}
	if err := v.throttlePolicy(api.GetThrottlePolicy()); err != nil {
		return err
	}
	ids := make(map[string]bool)
	shapes := make(map[string]string)
	for i, op := range api.GetOperations() {
		if err := v.operation(op); err != nil {
			return fmt.Errorf("operations[%d] %q: %w", i, op.GetId(), err)
		}
		// Without the certificate that stands in for them, credentials that are
		// optional would be none.
		if op.GetSecurity().GetOptional() && api.GetMutualTls().GetMode() != artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY {
			return fmt.Errorf("operations[%d] %q: security is optional, but mutual TLS is not mandatory", i, op.GetId())
		}
		if ids[op.GetId()] {
			return fmt.Errorf("operations[%d] %q: id is taken", i, op.GetId())
		}
		ids[op.GetId()] = true
		t, err := pathtmpl.Parse(op.GetPath())
		if err != nil {
			return fmt.Errorf("operations[%d] %q: path %q: %w", i, op.GetId(), op.GetPath(), err)
		}
		shape := op.GetMethod() + " " + t.Shape()
		if other, taken := shapes[shape]; taken {
			return fmt.Errorf("operations[%d] %q: matches the same requests as %q", i, op.GetId(), other)
		}
		shapes[shape] = op.GetId()
	}
	return nil
}

func (v validator) operation(op *artifactpb.Operation) error {
	if op.GetId() == "" {
		return errors.New("no id")
	}
	if !isMethod(op.GetMethod()) {
		return fmt.Errorf("%q is no upper-case method", op.GetMethod())
	}
	if p := op.GetPosition(); p != nil {
		if err := v.source(p.GetSource()); err != nil {
			return fmt.Errorf("position: %w", err)
		}
	}
	if err := indexPlusOne("production_cluster", op.GetProductionCluster(), len(v.GetClusters())); err != nil {
		return err
	}
	if err := indexPlusOne("sandbox_cluster", op.GetSandboxCluster(), len(v.GetClusters())); err != nil {
		return err
	}
	if err := v.throttlePolicy(op.GetThrottlePolicy()); err != nil {
		return err
	}
	if err := v.security(op.GetSecurity()); err != nil {
		return fmt.Errorf("security: %w", err)
	}
	if err := v.stages(op); err != nil {
		return err
	}
	if err := v.interceptors("request_interceptors", op.GetRequestInterceptors(), artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_REQUEST); err != nil {
		return err
	}
	if err := v.interceptors("response_interceptors", op.GetResponseInterceptors(), artifactpb.InterceptorDirection_INTERCEPTOR_DIRECTION_RESPONSE); err != nil {
		return err
	}
	for i, p := range op.GetParameters() {
		if p.GetName() == "" {
			return fmt.Errorf("parameters[%d]: no name", i)
		}
		if err := v.schema(p.GetSchema()); err != nil {
			return fmt.Errorf("parameters[%d]: %w", i, err)
		}
	}
	if err := v.mediaTypes(op.GetRequestBody().GetMediaTypes()); err != nil {
		return fmt.Errorf("request_body: %w", err)
	}
	for i, r := range op.GetResponses() {
		if err := v.mediaTypes(r.GetMediaTypes()); err != nil {
			return fmt.Errorf("responses[%d]: %w", i, err)
		}
	}
	return nil
}

func (v validator) interceptors(field string, list []uint32, d artifactpb.InterceptorDirection) error {
	for i, n := range list {
		if err := index("interceptor", n, len(v.GetInterceptors())); err != nil {
			return fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		if v.GetInterceptors()[n].GetDirection() != d {
			return fmt.Errorf("%s[%d]: %q is for the other direction", field, i, v.GetInterceptors()[n].GetName())
		}
	}
	return nil
}

func (v validator) security(s *artifactpb.Security) error {
	if s.GetDisabled() {
		if len(s.GetAlternatives()) > 0 {
			return errors.New("disabled, and yet has alternatives")
		}
		if s.GetOptional() {
			return errors.New("both disabled and optional")
		}
		return nil
	}
	if len(s.GetAlternatives()) == 0 {
		return errors.New("neither disabled nor any alternative")
	}
	for i, alt := range s.GetAlternatives() {
		if len(alt.GetRequirements()) == 0 {
			return fmt.Errorf("alternatives[%d]: no requirements", i)
		}
		for j, r := range alt.GetRequirements() {
			if err := index("scheme", r.GetScheme(), len(v.GetSecuritySchemes())); err != nil {
				return fmt.Errorf("alternatives[%d].requirements[%d]: %w", i, j, err)
			}
		}
	}
	return nil
}

func (v validator) stages(op *artifactpb.Operation) error {
	names := make(map[string]bool)
	authn := false
	for i, s := range op.GetStages() {
		if s.GetName() == "" || names[s.GetName()] {
			return fmt.Errorf("stages[%d]: name %q is empty or taken", i, s.GetName())
		}
		names[s.GetName()] = true
		switch k := s.GetKind().(type) {
		case nil:
			return fmt.Errorf("stages[%d] %q: kind is unknown", i, s.GetName())
		case *artifactpb.Stage_Authn:
			authn = true
		case *artifactpb.Stage_Scope:
			// Without these two it would let everybody pass, or nobody.
			if len(k.Scope.GetScopes()) == 0 {
				return fmt.Errorf("stages[%d] %q: no scopes", i, s.GetName())
			}
			if !authn {
				return fmt.Errorf("stages[%d] %q: comes before authentication", i, s.GetName())
			}
		case *artifactpb.Stage_Throttle:
			if err := index("policy", k.Throttle.GetPolicy(), len(v.GetThrottlePolicies())); err != nil {
				return fmt.Errorf("stages[%d] %q: %w", i, s.GetName(), err)
			}
		case *artifactpb.Stage_Intercept:
			if err := index("interceptor", k.Intercept.GetInterceptor(), len(v.GetInterceptors())); err != nil {
				return fmt.Errorf("stages[%d] %q: %w", i, s.GetName(), err)
			}
		}
	}
	if !op.GetSecurity().GetDisabled() && !authn {
		return errors.New("security is not disabled, but no stage authenticates")
	}
	return nil
}

func (v validator) mediaTypes(types []*artifactpb.MediaType) error {
	for i, m := range types {
		if m.GetName() == "" {
			return fmt.Errorf("media_types[%d]: no name", i)
		}
		if err := v.schema(m.GetSchema()); err != nil {
			return fmt.Errorf("media_types[%d]: %w", i, err)
		}
	}
	return nil
}

func (v validator) source(i uint32) error {
	return index("source", i, len(v.GetSources()))
}

func (v validator) throttlePolicy(i uint32) error {
	return indexPlusOne("throttle_policy", i, len(v.GetThrottlePolicies()))
}

func (v validator) schema(i uint32) error {
	return indexPlusOne("schema", i, len(v.GetSchemas()))
}

func index(field string, i uint32, n int) error {
	if uint64(i) >= uint64(n) {
		return fmt.Errorf("%s: index %d is out of range, there are %d", field, i, n)
	}
	return nil
}

// indexPlusOne checks a reference that is 0 for none.
func indexPlusOne(field string, i uint32, n int) error {
	if i == 0 {
		return nil
	}
	return index(field, i-1, n)
}

// isMethod reports whether s is an upper-case token (RFC 9110, section 9.1).
func isMethod(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if ('A' > c || c > 'Z') && ('0' > c || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// enums refuses every enum value, at any depth, that is unknown or was left
// unset. The build decides everything, so there is nothing to default; and a
// value that a newer toolkit wrote must not be taken for "none". It goes by
// the descriptor, so that a field added later is covered from the start.
func enums(m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.Kind() == protoreflect.EnumKind && fd.IsList():
			list := m.Get(fd).List()
			for j := range list.Len() {
				if err := known(fd, list.Get(j).Enum()); err != nil {
					return fmt.Errorf("%s[%d]: %w", fd.Name(), j, err)
				}
			}
		case fd.Kind() == protoreflect.EnumKind:
			if err := known(fd, m.Get(fd).Enum()); err != nil {
				return fmt.Errorf("%s: %w", fd.Name(), err)
			}
		case fd.Message() == nil || !m.Has(fd):
		case fd.IsList():
			list := m.Get(fd).List()
			for j := range list.Len() {
				if err := enums(list.Get(j).Message()); err != nil {
					return within(fmt.Sprintf("%s[%d]", fd.Name(), j), err)
				}
			}
		default:
			if err := enums(m.Get(fd).Message()); err != nil {
				return within(string(fd.Name()), err)
			}
		}
	}
	return nil
}

func known(fd protoreflect.FieldDescriptor, n protoreflect.EnumNumber) error {
	switch {
	case n == 0:
		return errors.New("not set")
	case fd.Enum().Values().ByNumber(n) == nil:
		return fmt.Errorf("value %d is unknown", n)
	}
	return nil
}

// within puts a place before an error, as in "clusters[0].balance: not set".
func within(place string, err error) error {
	return fmt.Errorf("%s.%w", place, err)
}
