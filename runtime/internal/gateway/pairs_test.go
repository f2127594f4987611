package gateway_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// kinds of credentials, first those in the order of pairProject's schemes, then other
// ways to meet the first of them.
const (
	withToken = iota
	withPassword
	withHeaderKey
	withQueryKey
	withCookieKey
	withCertificate
	withOpaque
	withTokenCookie
	kindCount
	schemeCount = withOpaque
)

// schemeOf is the place of a kind's scheme.
func schemeOf(kind int) int {
	if kind >= schemeCount {
		return withToken
	}
	return kind
}

// inAuthorization reports whether a kind is sent in that field.
func inAuthorization(kind int) bool {
	return kind == withToken || kind == withPassword || kind == withOpaque
}

// pairProject has an operation for each pair of schemes, as alternatives
// (/or/0/1) and together (/and/0/1).
func pairProject(upstream string, key []byte) *artifactpb.Artifact {
	a := project("pairs", upstream, key)
	a.RequiredFeatures = []artifactpb.Feature{artifactpb.Feature_FEATURE_SECURITY_ALTERNATIVES}
	apiKey := func(in artifactpb.Location, name string) *artifactpb.SecurityScheme {
		return &artifactpb.SecurityScheme{Kind: &artifactpb.SecurityScheme_ApiKey{ApiKey: &artifactpb.ApiKeyScheme{In: in, Name: name}}}
	}
	a.SecuritySchemes = append(a.SecuritySchemes,
		&artifactpb.SecurityScheme{Kind: &artifactpb.SecurityScheme_Basic{Basic: &artifactpb.BasicScheme{}}},
		apiKey(artifactpb.Location_LOCATION_HEADER, "X-API-Key"),
		apiKey(artifactpb.Location_LOCATION_QUERY, "api_key"),
		apiKey(artifactpb.Location_LOCATION_COOKIE, "sesame"),
		&artifactpb.SecurityScheme{Kind: &artifactpb.SecurityScheme_MutualTls{MutualTls: &artifactpb.MutualTlsScheme{}}},
	)
	for i := range uint32(schemeCount) {
		for j := range uint32(schemeCount) {
			if i == j {
				continue
			}
			first, second := &artifactpb.SecurityRequirement{Scheme: i}, &artifactpb.SecurityRequirement{Scheme: j}
			for form, security := range map[string][]*artifactpb.SecurityAlternative{
				"or":  {{Requirements: []*artifactpb.SecurityRequirement{first}}, {Requirements: []*artifactpb.SecurityRequirement{second}}},
				"and": {{Requirements: []*artifactpb.SecurityRequirement{first, second}}},
			} {
				path := fmt.Sprintf("/%s/%d/%d", form, i, j)
				a.Apis[0].Operations = append(a.Apis[0].Operations, &artifactpb.Operation{
					Id: "GET " + path, Method: "GET", Path: path, Position: &artifactpb.Position{Line: 3, Column: 1}, ProductionCluster: 1,
					Security: &artifactpb.Security{Alternatives: security},
					Stages:   []*artifactpb.Stage{{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{Alternatives: true}}}},
				})
			}
		}
	}
	return a
}

// Every pair of schemes, as alternatives and together, with neither, one, the
// other and both of the credentials; whatever else of them is in the request,
// the upstream sees none.
func TestEveryPair(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "upstream %s %q", r.RequestURI, r.Header)
	}))
	t.Cleanup(backend.Close)
	s, ca := newSigner(t), newAuthority(t, "ours")
	path := filepath.Join(t.TempDir(), "pairs.mgw")
	put(t, path, pairProject(backend.URL, s.JWK))
	const opaque = "opaque-0123456789-token"
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%t,"aud":"gw"}`, r.FormValue("token") == opaque)
	}))
	t.Cleanup(idp.Close)
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("b7a.log.level=TRACE", "authConfig.cookie=session",
		"introspection.url="+idp.URL, "introspection.clientId=gw", "introspection.clientSecret=s", "introspection.audience=gw", "introspection.timeout=1m",
		"mutualSSLConfig.sslVerifyClient=optional", "mutualSSLConfig.authoritiesFile="+ca.file("ca.pem"),
		"b7a.users.alice.password=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")}}) // secret

	token, key := s.token(t, ""), s.apiKey(t, "", nil)
	password := base64.StdEncoding.EncodeToString([]byte("alice:secret"))
	secrets := []string{token, key, password, url.QueryEscape(key), opaque}
	plain, certified := caller(nil), caller(ca.client("me"))

	call := func(path string, kinds []int, more ...string) (string, string) {
		c, query, header := plain, "", more
		var cookies []string // which are one field
		for _, k := range kinds {
			switch k {
			case withToken:
				header = append(header, "Authorization", "Bearer "+token)
			case withPassword:
				header = append(header, "Authorization", "Basic "+password)
			case withHeaderKey:
				header = append(header, "X-API-Key", key)
			case withQueryKey:
				query = "?a=1&api_key=" + key + "&b=2"
			case withCookieKey:
				cookies = append(cookies, "a=1; sesame="+key+"; b=2")
			case withTokenCookie:
				cookies = append(cookies, "c=1; session="+token+"; d=2")
			case withOpaque:
				header = append(header, "Authorization", "Bearer "+opaque)
			case withCertificate:
				c = certified
			}
		}
		if cookies != nil {
			header = append(header, "Cookie", strings.Join(cookies, "; "))
		}
		status, body := ask(c, "https://"+g.at.HTTPS+"/v1"+path+query, header...)
		for _, secret := range secrets {
			if strings.Contains(body, secret) {
				t.Errorf("%s with %v and %.40q: the upstream sees %.60q", path, kinds, more, secret)
			}
		}
		return status, body
	}
	for i := range kindCount {
		for j := range kindCount {
			first, second := schemeOf(i), schemeOf(j)
			if first == second {
				continue
			}
			or, and := fmt.Sprintf("/or/%d/%d", first, second), fmt.Sprintf("/and/%d/%d", first, second)
			// A password and a token have one field between them.
			oneField := first+second == withToken+withPassword
			lacking := func(other, given int) string { // what is said where only one is there
				switch {
				case other == withCertificate:
					return "401 900901"
				case oneField && inAuthorization(given):
					return "401 900917"
				}
				return "401 900902"
			}
			for _, c := range []struct {
				path  string
				kinds []int
				want  string
			}{
				{or, nil, "401 900902"}, {or, []int{i}, "200"}, {or, []int{j}, "200"},
				{and, nil, "401 900902"}, {and, []int{i}, lacking(j, i)}, {and, []int{j}, lacking(i, j)},
			} {
				if got, body := call(c.path, c.kinds); got != c.want {
					t.Errorf("%s with %v: got %s %s, want %s", c.path, c.kinds, got, body, c.want)
				}
			}
			both := map[string]string{or: "200", and: "200"}
			switch {
			case oneField && inAuthorization(i) && inAuthorization(j):
				both[or], both[and] = "401 900901", "401 900901" // which of two fields counts nobody knows
			case oneField: // a cookie counts where the field is absent
				both[and] = "401 900917"
			}
			for path, want := range both {
				if got, body := call(path, []int{i, j}); got != want {
					t.Errorf("%s with %d and %d: got %s %s, want %s", path, i, j, got, body, want)
				}
			}
			// Proved by one of them, and what an upstream may take for the other
			// comes along.
			for good, other := range map[int]int{i: j, j: i} {
				for _, more := range smuggled(other, token, password, key, opaque) {
					if inAuthorization(good) && more[0] == "Authorization" {
						continue
					}
					query := ""
					if more[0] == "?" {
						query, more = more[1], nil
						if good == withQueryKey {
							continue
						}
					}
					call(or+query, []int{good}, more...)
				}
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(g.log.String(), secret[len(secret)-16:]) {
			t.Error("the log has credentials")
		}
	}
}

// smuggled are spellings of good credentials that are not, or not alone, what the
// gateway looks at.
func smuggled(kind int, token, password, key, opaque string) [][]string {
	switch kind {
	case withToken, withPassword:
		return [][]string{
			{"Authorization", "Basic " + password, "Authorization", "Bearer " + token},
			{"Authorization", "Bearer " + token, "Authorization", "Basic " + password},
			{"Authorization", "Basic " + password, "Authorization", "Digest x"},
			{"authorization", "bAsIc   " + password},
			{"Authorization", "Basic\t" + password},
		}
	case withOpaque:
		return [][]string{
			{"Authorization", "Basic " + password, "Authorization", "Bearer " + opaque},
			{"authorization", "bEARER   " + opaque},
			{"Authorization", "Bearer\t" + opaque},
		}
	case withTokenCookie:
		return [][]string{{"Cookie", "session=" + token, "Cookie", "session=" + token}, {"Cookie", `session="` + token + `"`}, {"Cookie", "a=b;session=" + token}, {"Cookie", "session =" + token}}
	case withHeaderKey:
		return [][]string{{"X-API-Key", key, "x-api-key", key}, {"X_API_KEY", key}, {"X-Api_Key", key}}
	case withQueryKey:
		return [][]string{{"?", "?api%5Fkey=" + key}, {"?", "?api_key=" + key + "&api_key=" + key}, {"?", "?&&api_key=" + key + "&&"}, {"?", "?%61pi_key=" + key}, {"?", "?api_key" + "=" + url.QueryEscape(key)}}
	case withCookieKey:
		return [][]string{{"Cookie", "sesame=" + key, "Cookie", "sesame=" + key}, {"Cookie", `sesame="` + key + `"`}, {"Cookie", "a=b;sesame=" + key}, {"Cookie", "sesame =" + key}}
	}
	return nil
}
