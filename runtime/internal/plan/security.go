package plan

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/policy/apikey"
	"github.com/microgw/microgw/runtime/internal/policy/authn"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/policy/clientcert"
	"github.com/microgw/microgw/runtime/internal/policy/jwt"
	"github.com/microgw/microgw/runtime/internal/policy/scope"
	"github.com/microgw/microgw/schema/artifactpb"
)

// authenticate makes the request half that proves who calls an operation. A
// bearer token is all that most ask for; they get the short way.
func (b *builder) authenticate(api *artifactpb.Api, op *artifactpb.Operation, alternatives bool) (func(*exchange.Exchange) error, error) {
	header := api.GetAuthHeader()
	if header == "" {
		header = b.o.AuthHeader
	}
	var all [][]authn.Requirement
	if b.certificateSuffices(api, op) {
		all = append(all, []authn.Requirement{{Scheme: b.certificate(api)}})
	}
	if !alternatives {
		if err := b.comesIn(header); err != nil {
			return nil, err
		}
		tokens := b.bearer(header)
		if all == nil {
			return tokens.Request, nil
		}
		all = append(all, []authn.Requirement{{Scheme: tokens}})
	} else {
		for _, alt := range op.GetSecurity().GetAlternatives() {
			if b.withheld(api, alt) {
				continue
			}
			var own []authn.Requirement
			for _, r := range alt.GetRequirements() {
				req, err := b.requirement(api, r, header)
				if err != nil {
					return nil, err
				}
				own = append(own, req)
			}
			all = append(all, own)
		}
	}
	inOrder(all)
	a, err := authn.New(all, b.named(op, header))
	if err != nil {
		return nil, fmt.Errorf("security: %w", err)
	}
	return a.Request, nil
}

// inOrder puts alternatives, and what each of them asks for, into the order in
// which WSO2 tries them: client certificate, token, name and password, API key. It
// matters where a caller shows more than is needed: the first that holds says who
// it is. A certificate beside something else says nothing of that.
func inOrder(alternatives [][]authn.Requirement) {
	rank := func(r authn.Requirement) int {
		switch r.Scheme.(type) {
		case *clientcert.Scheme:
			return 0
		case *jwt.Bearer:
			return 1
		case *basic.Scheme:
			return 2
		}
		return 3
	}
	// first is what decides who the caller is.
	first := func(alt []authn.Requirement) int {
		for _, r := range alt {
			if k := rank(r); k > 0 {
				return k
			}
		}
		return 0
	}
	for _, alt := range alternatives {
		slices.SortStableFunc(alt, func(a, b authn.Requirement) int { return rank(a) - rank(b) })
	}
	slices.SortStableFunc(alternatives, func(a, b []authn.Requirement) int { return first(a) - first(b) })
}

// named is the header that those are told of who send nothing: that of tokens
// and passwords, unless the operation takes neither and a key has one of its own.
func (b *builder) named(op *artifactpb.Operation, header string) string {
	key := ""
	for _, alt := range op.GetSecurity().GetAlternatives() {
		for _, r := range alt.GetRequirements() {
			switch k := b.f.GetSecuritySchemes()[r.GetScheme()].GetKind().(type) {
			case *artifactpb.SecurityScheme_ApiKey:
				if key == "" && k.ApiKey.GetIn() == artifactpb.Location_LOCATION_HEADER {
					key = k.ApiKey.GetName()
				}
			case *artifactpb.SecurityScheme_MutualTls:
			default:
				return header
			}
		}
	}
	if key != "" {
		return key
	}
	return header
}

func (b *builder) requirement(api *artifactpb.Api, r *artifactpb.SecurityRequirement, header string) (authn.Requirement, error) {
	req := authn.Requirement{}
	if len(r.GetScopes()) > 0 {
		req.Allows = scope.New(r.GetScopes(), r.GetAllScopes()).Allows
	}
	switch s := b.f.GetSecuritySchemes()[r.GetScheme()]; k := s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Oauth2, *artifactpb.SecurityScheme_OpenIdConnect, *artifactpb.SecurityScheme_Basic:
		if err := b.comesIn(header); err != nil {
			return req, err
		}
	case *artifactpb.SecurityScheme_ApiKey:
		if k.ApiKey.GetIn() == artifactpb.Location_LOCATION_HEADER {
			if err := b.comesIn(k.ApiKey.GetName()); err != nil {
				return req, err
			}
		}
	}
	switch s := b.f.GetSecuritySchemes()[r.GetScheme()]; k := s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Oauth2, *artifactpb.SecurityScheme_OpenIdConnect:
		req.Scheme = b.bearer(header)
	case *artifactpb.SecurityScheme_Basic:
		req.Scheme = b.basic(header)
	case *artifactpb.SecurityScheme_MutualTls:
		req.Scheme = b.certificate(api)
	case *artifactpb.SecurityScheme_ApiKey:
		in, known := map[artifactpb.Location]apikey.In{
			artifactpb.Location_LOCATION_HEADER: apikey.Header,
			artifactpb.Location_LOCATION_QUERY:  apikey.Query,
			artifactpb.Location_LOCATION_COOKIE: apikey.Cookie,
		}[k.ApiKey.GetIn()]
		if !known || k.ApiKey.GetName() == "" {
			return req, fmt.Errorf("security scheme %q: no place for an API key", s.GetName())
		}
		req.Scheme = b.apiKey(in, k.ApiKey.GetName())
	default:
		return req, fmt.Errorf("security scheme %q is of a kind (%T) that this runtime does not know", s.GetName(), k)
	}
	return req, nil
}

// comesIn refuses a field for credentials that they never come in: what clients
// send in the one that tells upstreams of certificates is taken out before it is
// looked at.
func (b *builder) comesIn(header string) error {
	plain := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
	if h := b.o.Certificates.Header; h != "" && plain(h) == plain(header) {
		return fmt.Errorf("credentials are looked for in the header field %q, which is mutualSSLConfig.upstreamHeader, too: nobody could send them", header)
	}
	return nil
}

// certificateSuffices reports whether a trusted client certificate takes the
// place of everything else. An API that speaks of certificates itself has the
// last word on them.
func (b *builder) certificateSuffices(api *artifactpb.Api, op *artifactpb.Operation) bool {
	if !b.o.Certificates.Suffice || api.GetMutualTls() != nil {
		return false
	}
	for _, alt := range op.GetSecurity().GetAlternatives() {
		for _, r := range alt.GetRequirements() {
			if b.f.GetSecuritySchemes()[r.GetScheme()].GetMutualTls() != nil {
				return false
			}
		}
	}
	return true
}

// withheld reports whether an alternative is the certificate alone that
// x-wso2-mutual-ssl: optional offers, where the operator lets none take the place of
// anything. One that a security list names stays.
func (b *builder) withheld(api *artifactpb.Api, alt *artifactpb.SecurityAlternative) bool {
	if b.o.Certificates.Suffice || api.GetMutualTls().GetMode() != artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL || len(alt.GetRequirements()) != 1 {
		return false
	}
	s := b.f.GetSecuritySchemes()[alt.GetRequirements()[0].GetScheme()]
	return s.GetMutualTls() != nil && s.GetName() == ""
}

// unlessCertificate leaves out what a certificate takes the place of.
func unlessCertificate(request func(*exchange.Exchange) error) func(*exchange.Exchange) error {
	return func(x *exchange.Exchange) error {
		if x.Principal != nil && x.Principal.Scheme == exchange.Certificate {
			return nil
		}
		return request(x)
	}
}

// Schemes are made once for all routes that ask for the same, so that authn
// sees that they are the same.
type (
	bearerIn    struct{ header string }
	basicIn     struct{ header string }
	certificate struct{ api *artifactpb.Api }
	keyIn       struct {
		in   apikey.In
		name string
	}
)

func (b *builder) bearer(header string) *jwt.Bearer {
	return shared(b, bearerIn{header}, func() *jwt.Bearer {
		t := b.o.Verifier.Bearer(header, b.o.RemoveAuthHeader)
		t.Accept(b.o.Cookie)
		t.Withdrawn(b.o.Certificates.Revoked)
		return t
	})
}

func (b *builder) basic(header string) *basic.Scheme {
	return shared(b, basicIn{header}, func() *basic.Scheme {
		users := b.o.Users
		if users == nil {
			users = nobody{}
		}
		return basic.New(header, users)
	})
}

func (b *builder) certificate(api *artifactpb.Api) *clientcert.Scheme {
	c := &b.o.Certificates
	var allowed func([]*x509.Certificate) bool
	key := certificate{}
	if c.Allowed != nil {
		if allowed = c.Allowed(api.GetTitle(), api.GetVersion()); allowed != nil {
			key.api = api // which has a list of its own
		}
	}
	return shared(b, key, func() *clientcert.Scheme { return &clientcert.Scheme{Revoked: c.Revoked, Allowed: allowed} })
}

func (b *builder) apiKey(in apikey.In, name string) *apikey.Scheme {
	return shared(b, keyIn{in, name}, func() *apikey.Scheme {
		v := b.o.APIKeys
		if v == nil {
			v = apikey.Nobody{}
		}
		return apikey.New(in, name, v)
	})
}

func shared[S authn.Scheme](b *builder, key any, make func() S) S {
	if s, ok := b.schemes[key]; ok {
		return s.(S) // keys are types of their own
	}
	s := make()
	b.schemes[key] = s
	return s
}

// nobody are the users where none are configured.
type nobody struct{}

func (nobody) Check(_ netip.Addr, _, _ []byte) (*exchange.Principal, error) {
	return nil, basic.ErrRefused
}
