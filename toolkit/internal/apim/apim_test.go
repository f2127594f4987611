package apim_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/apim"
	"github.com/microgw/microgw/toolkit/internal/apim/apimtest"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

func TestResolve(t *testing.T) {
	const base = "https://a.example:9443"
	for _, c := range []struct {
		setup      apim.Setup
		want       string // publisher, registration and token, without the base
		generation apim.Generation
		err        string
	}{
		{apim.Setup{}, "/api/am/publisher/v0.14 /client-registration/v0.14/register /oauth2/token", apim.Legacy, ""},
		{apim.Setup{APIM: "2.6.0"}, "/api/am/publisher/v0.14 /client-registration/v0.14/register /oauth2/token", apim.Legacy, ""},
		{apim.Setup{APIM: "3.0"}, "/api/am/publisher/v1.0 /client-registration/v0.15/register /oauth2/token", apim.Labels, ""},
		{apim.Setup{APIM: "3.1.0"}, "/api/am/publisher/v1.1 /client-registration/v0.16/register /oauth2/token", apim.Labels, ""},
		{apim.Setup{APIM: "3.2"}, "/api/am/publisher/v1.2 /client-registration/v0.17/register /oauth2/token", apim.Labels, ""},
		{apim.Setup{APIM: "4.0.0"}, "/api/am/publisher/v2 /client-registration/v0.17/register /oauth2/token", apim.Environments, ""},
		{apim.Setup{APIM: "4.5"}, "/api/am/publisher/v4 /client-registration/v0.17/register /oauth2/token", apim.Environments, ""},
		{apim.Setup{RESTVersion: "v1.1"}, "/api/am/publisher/v1.1 /client-registration/v0.16/register /oauth2/token", apim.Labels, ""},
		{apim.Setup{RESTVersion: "v1"}, "/api/am/publisher/v1 /client-registration/v0.17/register /oauth2/token", apim.Labels, ""},
		{apim.Setup{RESTVersion: "v3"}, "/api/am/publisher/v3 /client-registration/v0.17/register /oauth2/token", apim.Environments, ""},
		{apim.Setup{APIM: "4.1", RESTVersion: "v1.1", DCRVersion: "v0.18"}, "/api/am/publisher/v1.1 /client-registration/v0.18/register /oauth2/token", apim.Environments, ""},
		{apim.Setup{Publisher: "{baseURL}/p/{restVersion}", Registration: "{baseURL}/client-registration/{restVersion}/register", Token: "{baseURL}/t"},
			"/p/v0.14 /client-registration/v0.14/register /t", apim.Legacy, ""},
		{apim.Setup{APIM: "5.0"}, "", 0, `apimVersion: "5.0" is no API Manager that is known: 2.6, 3.0 to 3.2, 4.x`},
		{apim.Setup{Publisher: "/p"}, "", 0, `publisherEndpoint: "/p" is not an http or https URL`},
		{apim.Setup{Token: "https://u:p@h/t"}, "", 0, `tokenEndpoint: user and password do not belong into the URL`},
		{apim.Setup{Registration: "{baseURL}/r?x=1"}, "", 0, `registrationEndpoint: "https://a.example:9443/r?x=1" has more than a path`},
	} {
		c.setup.BaseURL = base + "/"
		got, err := c.setup.Resolve()
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%+v: error %v, want %s", c.setup, err, c.err)
			}
			continue
		}
		urls := strings.ReplaceAll(got.Publisher+" "+got.Registration+" "+got.Token, base, "")
		if err != nil || urls != c.want || got.Generation != c.generation {
			t.Errorf("%+v: %s, %d, %v", c.setup, urls, got.Generation, err)
		}
	}
}

func parse(t testing.TB, text string) *tree.Node {
	t.Helper()
	var l diag.List
	n := tree.Parse("x.json", []byte(text), &l)
	if n == nil {
		t.Fatal(l)
	}
	return n
}

func TestBasePath(t *testing.T) {
	for in, want := range map[string]string{
		`"context": "/a"`:                 "/a/1.0",
		`"context": "a/"`:                 "/a/1.0",
		`"context": "/a/1.0"`:             "/a/1.0",
		`"context": "/a/{version}/b"`:     "/a/1.0/b",
		`"context": "/t/acme.example/a"`:  "/t/acme.example/a/1.0",
		`"contextTemplate": "/{version}"`: "/1.0",
		`"context": null`:                 "",
	} {
		a, err := apim.Describe(parse(t, `{"name": "A", "version": "1.0", `+in+`}`))
		if err != nil || a.Context != want {
			t.Errorf("%s: %q, %v; want %q", in, a.Context, err, want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for in, want := range map[string]string{
		`null`: "",
		`""`:   "",
		`{"endpoint_type": "http", "production_endpoints": {"url": " http://a "}}`:                                                  "http http://a",
		`"{\"endpoint_type\": \"address\", \"production_endpoints\": [{\"url\": \"http://a\"}, {\"url\": \"http://b\"}]}"`:          "address http://a http://b",
		`{"endpoint_type": "load_balance", "production_endpoints": [{"url": "http://a"}, {"url": "http://a"}]}`:                     "http http://a",
		`{"endpoint_type": "failover", "production_endpoints": {"url": "http://a"}, "production_failovers": [{"url": "http://b"}]}`: "failover http://a http://b",
		`{"endpoint_type": "http", "production_endpoints": {"url": "http://a"}, "production_failovers": [{"url": "http://b"}]}`:     "http http://a",
		`{"endpoint_type": "awslambda", "production_endpoints": {"url": "http://a"}}`:                                               "",
		`{"endpoint_type": "http", "production_endpoints": {"url": ""}, "sandbox_endpoints": null}`:                                 "",
		`[1]`: "",
	} {
		a, err := apim.Describe(parse(t, `{"name": "A", "version": "1", "endpointConfig": `+in+`}`))
		got := ""
		if a.Production != nil {
			got = a.Production.Type + " " + strings.Join(a.Production.URLs, " ")
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := apim.Describe(parse(t, `{"name": "A", "version": "1", "endpointConfig": "{"}`)); err == nil || !strings.HasPrefix(err.Error(), `API "A": endpointConfig.json:1:`) {
		t.Errorf("broken: %v", err)
	}
}

// Security is taken over as strictly as API Manager has it.
func TestSecurity(t *testing.T) {
	for in, want := range map[string]string{
		`""`:                                     `{}`,
		`"oauth2"`:                               `{"x-wso2-application-security":{"security-types":["oauth2"]}}`,
		`"oauth2,basic_auth"`:                    `{"x-wso2-application-security":{"security-types":["oauth2","basic_auth"]}}`,
		`["api_key"]`:                            `{"x-wso2-application-security":{"security-types":["api_key"]}}`,
		`["oauth2", "mutualssl"]`:                `{"x-wso2-application-security":{"security-types":["oauth2"]},"x-wso2-mutual-ssl":"optional"}`,
		`["mutualssl"]`:                          `{"x-wso2-application-security":{"optional":true},"x-wso2-mutual-ssl":"mandatory"}`,
		`["something_new"]`:                      `{}`,
		`"oauth2,mutualssl,mutualssl_mandatory"`: `{"x-wso2-application-security":{"optional":true,"security-types":["oauth2"]},"x-wso2-mutual-ssl":"mandatory"}`,
		`"oauth2,mutualssl,mutualssl_mandatory,oauth_basic_auth_api_key_mandatory"`: `{"x-wso2-application-security":{"security-types":["oauth2"]},"x-wso2-mutual-ssl":"mandatory"}`,
		`"oauth2,mutualssl,oauth_basic_auth_api_key_mandatory"`:                     `{"x-wso2-application-security":{"optional":false,"security-types":["oauth2"]},"x-wso2-mutual-ssl":"optional"}`,
	} {
		f, err := archived(`{"name": "A", "version": "1", "context": "/a", "apiSecurity": `+in+`}`, `{"openapi": "3.0.0"}`)
		if err != nil {
			t.Fatal(err)
		}
		f.Definition.Drop([]int{0, 1, 2}) // openapi, info, base path
		if got := string(f.Definition.AppendJSON(nil)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
	// About what the description says nothing, the definition does.
	f, err := archived(`{"name": "A", "version": "1", "context": "/a"}`, `{"openapi": "3.0.0", "x-wso2-mutual-ssl": "mandatory", "x-wso2-disable-security": true, "x-wso2-transports": ["https"]}`)
	if err != nil || f.Definition.Get("x-wso2-mutual-ssl") == nil || f.Definition.Get("x-wso2-transports") == nil || f.Definition.Get("x-wso2-disable-security") != nil {
		t.Errorf("%s, %v", f.Definition.AppendJSON(nil), err)
	}
}

func archived(description, definition string) (apim.Found, error) {
	data := apimtest.Zip([]apimtest.File{{Name: "A/api.json", Content: description}, {Name: "A/Definitions/swagger.json", Content: definition}})
	return apim.Archive("a.zip", bytes.NewReader(data), int64(len(data)))
}

func TestArchiveRefused(t *testing.T) {
	const api = `{"name": "A", "version": "1", "context": "/a"}`
	const definition = `{"openapi": "3.0.0"}`
	for _, c := range [][3]string{
		{`{"type": "api_product", "data": ` + api + `}`, definition, `a.zip: A/api.json: it is of the type "api_product", not an API`},
		{`{"type": "api", "data": {}}`, definition, "a.zip: A/api.json: the description of the API has no name or no version"},
		{`[]`, definition, "a.zip: A/api.json: the description of the API is not an object, but a list"},
		{`{`, definition, "a.zip: A/api.json:1:2: a key in double quotes is missing"},
		{`{"name": "A", "version": "1"}`, definition, "a.zip: A/api.json: the API has no context"},
		{`{"name": "A", "version": "1", "context": "/a", "type": "GRAPHQL"}`, definition, `a.zip: A/api.json: the type of the API "A" is GRAPHQL, which needs another gateway`},
		{api, `{"asyncapi": "2.0.0"}`, `a.zip: A/Definitions/swagger.json: not an API definition: no key "openapi" or "swagger" at the top`},
		{api, `{"openapi": }`, "a.zip: A/Definitions/swagger.json:1:13: a value is missing"},
	} {
		if _, err := archived(c[0], c[1]); err == nil || !strings.HasPrefix(err.Error(), c[2]) {
			t.Errorf("%s, %s:\n got %v\nwant %s", c[0], c[1], err, c[2])
		}
	}
}

// Whatever a description and a definition say, the result is a definition of that
// API, without the password of anything, and as it was where nothing was decided.
func FuzzArchive(f *testing.F) {
	for _, a := range apimtest.Catalogue() {
		for _, version := range []string{"2.6", "4"} {
			var texts []string
			for _, file := range a.Files(version) {
				if strings.HasPrefix(file.Content, "{") {
					texts = append(texts, file.Content)
				}
			}
			f.Add(texts[0], texts[1])
		}
	}
	f.Add(`{"name": "A", "version": "1", "context": "/a", "endpointConfig": {"endpoint_security": {"production": {"enabled": true}}}}`,
		`{"swagger": 2, "info": "x", "paths": [{"get": {}}], "x-wso2-endpoints": [1, {"a": 1}, {"b": {"urls": 1, "securityConfig": []}}], "x-wso2-production-endpoints": "x"}`)
	f.Fuzz(func(t *testing.T, description, definition string) {
		found, err := archived(description, definition)
		if err != nil {
			return
		}
		info := found.Definition.Get("info")
		if info.Get("title") == nil || info.Get("title").Text != found.API.Name || info.Get("version").Text != found.API.Version {
			t.Errorf("info of %s", found.Definition.AppendJSON(nil))
		}
		for _, key := range []string{"x-wso2-production-endpoints", "x-wso2-sandbox-endpoints"} {
			if found.Definition.Get(key).Get("securityConfig").Get("password") != nil {
				t.Errorf("a password in %s", found.Definition.AppendJSON(nil))
			}
		}
		var l diag.List
		if n := tree.Parse("x.yaml", found.Definition.YAML(), &l); n == nil {
			t.Error(l)
		}
		apim.Tiers(found.Definition)
	})
}
