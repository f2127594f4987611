package plan_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/plan"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/schema/artifactpb"
)

// users knows one.
type users struct{}

func (users) Check(_ netip.Addr, name, password []byte) (*exchange.Principal, error) {
	if string(name) == "alice" && string(password) == "secret" {
		return &exchange.Principal{Scheme: "basic", Username: "alice"}, nil
	}
	return nil, basic.ErrRefused
}

// keys knows one.
type keys struct{}

func (keys) Verify(_ *exchange.Exchange, key []byte) (*exchange.Principal, error) {
	if string(key) == "k1" {
		return &exchange.Principal{Scheme: "apikey"}, nil
	}
	return nil, fault.InvalidCredentials
}

var schemes = []*artifactpb.SecurityScheme{
	{Name: "oauth", Kind: &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{}}},
	{Name: "login", Kind: &artifactpb.SecurityScheme_Basic{Basic: &artifactpb.BasicScheme{}}},
	{Name: "key", Kind: &artifactpb.SecurityScheme_ApiKey{ApiKey: &artifactpb.ApiKeyScheme{In: artifactpb.Location_LOCATION_HEADER, Name: "X-Key"}}},
	{Name: "tls", Kind: &artifactpb.SecurityScheme_MutualTls{MutualTls: &artifactpb.MutualTlsScheme{}}},
	{Kind: &artifactpb.SecurityScheme_MutualTls{MutualTls: &artifactpb.MutualTlsScheme{}}}, // as extensions ask for it
}

const oauth, login, key, cert, bare = 0, 1, 2, 3, 4

// security is alternatives of requirements.
func security(alternatives ...[]uint32) *artifactpb.Security {
	s := &artifactpb.Security{}
	for _, alt := range alternatives {
		pb := &artifactpb.SecurityAlternative{}
		for _, scheme := range alt {
			pb.Requirements = append(pb.Requirements, &artifactpb.SecurityRequirement{Scheme: scheme})
		}
		s.Alternatives = append(s.Alternatives, pb)
	}
	return s
}

var alternatives = &artifactpb.Stage{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}}

// Which credentials open which operation. Tokens are left out here: the
// verifier of these tests trusts nobody.
func TestSecurity(t *testing.T) {
	const (
		password = "Authorization: Basic YWxpY2U6c2VjcmV0" // alice:secret
		guess    = "Authorization: Basic YWxpY2U6Z3Vlc3M="
		token    = "Authorization: Bearer x"
		apiKey   = "X-Key: k1"
		chain    = "a certificate"
	)
	if b, _ := base64.StdEncoding.DecodeString("YWxpY2U6c2VjcmV0"); string(b) != "alice:secret" {
		t.Fatal("the test is wrong")
	}
	plain := []*artifactpb.Stage{authn(), scope("read")}
	mixed := []*artifactpb.Stage{alternatives}
	for name, c := range map[string]struct {
		stages   []*artifactpb.Stage
		security *artifactpb.Security
		suffices bool // what mutualSSLConfig says
		mutual   *artifactpb.MutualTls
		sent     []string
		want     string // the principal's scheme, or the fault's code
	}{
		"password":                          {mixed, security([]uint32{login}), false, nil, []string{password}, "basic"},
		"wrong password":                    {mixed, security([]uint32{login}), false, nil, []string{guess}, "900911"},
		"nothing for a password":            {mixed, security([]uint32{login}), false, nil, nil, "900902"},
		"token for a password":              {mixed, security([]uint32{login}), false, nil, []string{token}, "900917"},
		"key":                               {mixed, security([]uint32{key}), false, nil, []string{apiKey}, "apikey"},
		"password for a key":                {mixed, security([]uint32{key}), false, nil, []string{password}, "900902"},
		"certificate":                       {mixed, security([]uint32{cert}), false, nil, []string{chain}, "mtls"},
		"no certificate":                    {mixed, security([]uint32{cert}), false, nil, []string{password}, "900901"},
		"token or password, by password":    {mixed, security([]uint32{oauth}, []uint32{login}), false, nil, []string{password}, "basic"},
		"token or password, bad token":      {mixed, security([]uint32{oauth}, []uint32{login}), false, nil, []string{token}, "900901"},
		"password and key":                  {mixed, security([]uint32{login, key}), false, nil, []string{password, apiKey}, "basic"},
		"password and key, no key":          {mixed, security([]uint32{login, key}), false, nil, []string{password}, "900902"},
		"password and certificate":          {mixed, security([]uint32{login, cert}), false, nil, []string{chain, password}, "basic"},
		"password and certificate, neither": {mixed, security([]uint32{login, cert}), false, nil, nil, "900902"},

		// mutualSSLConfig: a certificate opens what says nothing of certificates.
		"certificate instead of a token":                   {plain, security([]uint32{oauth}), true, nil, []string{chain}, "mtls"},
		"no certificate instead of a token":                {plain, security([]uint32{oauth}), true, nil, nil, "900902"},
		"certificate where conf does not say so":           {plain, security([]uint32{oauth}), false, nil, []string{chain}, "900902"},
		"certificate instead of a password":                {mixed, security([]uint32{login}), true, nil, []string{chain}, "mtls"},
		"certificate where the API says both":              {mixed, security([]uint32{login, cert}), true, nil, []string{chain}, "900902"},
		"certificate where the API has its own policy":     {plain, security([]uint32{oauth}), true, &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_MANDATORY}, []string{chain}, "900902"},
		"certificate where the rest is not optional":       {plain, security([]uint32{oauth}), true, &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL}, []string{chain}, "900902"},
		"certificate in place of a token, if optional":     {mixed, security([]uint32{oauth}, []uint32{bare}), true, &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL}, []string{chain}, "mtls"},
		"the same where conf withholds it":                 {mixed, security([]uint32{oauth}, []uint32{bare}), false, &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL}, []string{chain}, "900902"},
		"the same, but the list itself names certificates": {mixed, security([]uint32{oauth}, []uint32{cert}), false, &artifactpb.MutualTls{Mode: artifactpb.MutualTlsMode_MUTUAL_TLS_MODE_OPTIONAL}, []string{chain}, "mtls"},

		// WSO2's order, whatever the definition's.
		"certificate before password":              {mixed, security([]uint32{login}, []uint32{cert}), false, nil, []string{chain, password}, "mtls"},
		"password before key":                      {mixed, security([]uint32{key}, []uint32{login}), false, nil, []string{apiKey, password}, "basic"},
		"password before key, both":                {mixed, security([]uint32{key, login}), false, nil, []string{apiKey, password}, "basic"},
		"key where the password errs":              {mixed, security([]uint32{key}, []uint32{login}), false, nil, []string{apiKey, guess}, "apikey"},
		"password with a certificate before a key": {mixed, security([]uint32{key}, []uint32{cert, login}), false, nil, []string{apiKey, chain, password}, "basic"},
		"a token's error before a password's":      {mixed, security([]uint32{login}, []uint32{oauth}), false, nil, []string{guess}, "900911"},

		"password of a user without the scope": {mixed, &artifactpb.Security{Alternatives: []*artifactpb.SecurityAlternative{{
			Requirements: []*artifactpb.SecurityRequirement{{Scheme: login, Scopes: []string{"admin"}}},
		}}}, false, nil, []string{password}, "900910"},
	} {
		t.Run(name, func(t *testing.T) {
			f := file(func(o *artifactpb.Operation, _ *artifactpb.Cluster) { o.Stages, o.Security = c.stages, c.security })
			f.SecuritySchemes = schemes
			f.Apis[0].MutualTls = c.mutual
			o := options(t, nil)
			o.Users, o.APIKeys, o.Certificates.Suffice = users{}, keys{}, c.suffices
			table, err := plan.Build(f, o)
			if err != nil {
				t.Fatal(err)
			}
			x := &exchange.Exchange{TLS: &tls.ConnectionState{}}
			for _, s := range c.sent {
				if s == chain {
					leaf := &x509.Certificate{}
					x.TLS.PeerCertificates, x.TLS.VerifiedChains = []*x509.Certificate{leaf}, [][]*x509.Certificate{{leaf}}
					continue
				}
				n, v, _ := strings.Cut(s, ": ")
				x.Request.Add([]byte(n), []byte(v))
			}
			for _, s := range table.Routes[0].Stages {
				if err = s.Request(x); err != nil {
					break
				}
			}
			got := ""
			var refused *fault.Fault
			switch {
			case errors.As(err, &refused):
				got = strings.Fields(refused.Error())[0]
			case err == nil && x.Principal != nil:
				got = x.Principal.Scheme
				for _, field := range x.Request.Fields {
					if !field.Deleted() {
						t.Errorf("forwarded: %s: %s", field.Name, field.Value)
					}
				}
			}
			if got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

// A certificate that was good when the connection was opened is looked at again.
func TestCertificateSince(t *testing.T) {
	now := time.Now()
	f := file(func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
		o.Stages, o.Security = []*artifactpb.Stage{alternatives}, security([]uint32{cert})
	})
	f.SecuritySchemes = schemes
	gone := &x509.Certificate{NotAfter: now.Add(time.Hour)}
	o := options(t, nil)
	o.Certificates.Revoked = func(chain []*x509.Certificate) bool { return chain[0] == gone }
	table, err := plan.Build(f, o)
	if err != nil {
		t.Fatal(err)
	}
	valid, past := &x509.Certificate{NotAfter: now.Add(time.Hour)}, &x509.Certificate{NotAfter: now.Add(-time.Second)}
	for name, c := range map[string]struct {
		chains [][]*x509.Certificate
		good   bool
	}{
		"valid":                 {[][]*x509.Certificate{{valid, valid}}, true},
		"expired":               {[][]*x509.Certificate{{past, valid}}, false},
		"its authority expired": {[][]*x509.Certificate{{valid, past}}, false},
		"one of two ways":       {[][]*x509.Certificate{{valid, past}, {valid, valid}}, true},
		"revoked":               {[][]*x509.Certificate{{gone, valid}}, false},
	} {
		x := &exchange.Exchange{Start: now, TLS: &tls.ConnectionState{PeerCertificates: c.chains[0][:1], VerifiedChains: c.chains}}
		if err := table.Routes[0].Stages[0].Request(x); (err == nil) != c.good || err != nil && !errors.Is(err, fault.InvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Credentials cannot come in the field that tells upstreams of certificates: what
// clients send there is taken out.
func TestCredentialsInCertificateField(t *testing.T) {
	for name, c := range map[string]struct {
		header string // upstreamHeader
		change func(*artifactpb.Api)
		bad    bool
	}{
		"another field":        {"Client-Cert", func(a *artifactpb.Api) { a.AuthHeader = "X-Token" }, false},
		"the API's own header": {"Client-Cert", func(a *artifactpb.Api) { a.AuthHeader = "client_cert" }, true},
		"that of passwords":    {"X-Token", func(a *artifactpb.Api) { a.AuthHeader, a.Operations[0].Security = "X-Token", security([]uint32{login}) }, true},
		"that of tokens, or a key": {"X-Token", func(a *artifactpb.Api) {
			a.AuthHeader, a.Operations[0].Security = "X-Token", security([]uint32{key}, []uint32{oauth})
		}, true},
		"a key's":                {"x-key", func(a *artifactpb.Api) { a.Operations[0].Security = security([]uint32{key}) }, true},
		"of a key nobody needs":  {"X-Key", func(a *artifactpb.Api) { a.Operations[0].Security = security([]uint32{login}) }, false},
		"of tokens nobody needs": {"X-Token", func(a *artifactpb.Api) { a.AuthHeader, a.Operations[0].Security = "X-Token", security([]uint32{key}) }, false},
	} {
		f := file(func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
			o.Stages, o.Security = []*artifactpb.Stage{alternatives}, security([]uint32{oauth})
		})
		f.SecuritySchemes = schemes
		c.change(f.Apis[0])
		o := options(t, nil)
		o.Certificates.Header = c.header
		if _, err := plan.Build(f, o); (err != nil) != c.bad || err != nil && !strings.Contains(err.Error(), "is mutualSSLConfig.upstreamHeader, too: nobody could send them") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate that was not verified is none.
func TestUnverifiedCertificate(t *testing.T) {
	f := file(func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
		o.Stages, o.Security = []*artifactpb.Stage{alternatives}, security([]uint32{cert})
	})
	f.SecuritySchemes = schemes
	table, err := plan.Build(f, options(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]*tls.ConnectionState{"plaintext": nil, "unverified": {PeerCertificates: []*x509.Certificate{{}}}} {
		if err := table.Routes[0].Stages[0].Request(&exchange.Exchange{TLS: state}); !errors.Is(err, fault.InvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Users and keys that nobody has configured are nobody's.
func TestNobody(t *testing.T) {
	for _, scheme := range []uint32{login, key} {
		f := file(func(o *artifactpb.Operation, _ *artifactpb.Cluster) {
			o.Stages, o.Security = []*artifactpb.Stage{alternatives}, security([]uint32{scheme})
		})
		f.SecuritySchemes = schemes
		table, err := plan.Build(f, options(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Request.Add([]byte("Authorization"), []byte("Basic YWxpY2U6c2VjcmV0"))
		x.Request.Add([]byte("X-Key"), []byte("k1"))
		var refused *fault.Fault
		if err := table.Routes[0].Stages[0].Request(x); !errors.As(err, &refused) || refused.Status != 401 {
			t.Errorf("scheme %d: %v", scheme, err)
		}
	}
}
