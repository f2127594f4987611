package spec_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/microgw/microgw/schema"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/schematest"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

func compiled(t *testing.T) schematest.Schema {
	t.Helper()
	return schematest.Compile(t, schema.Extensions)
}

// ofExtensions keeps the errors that are about extensions, and of these the
// ones that a schema can say: not that two names are the same, that one number
// is more than another, what a misspelt prefix means, or what stands where no
// extension belongs.
func ofExtensions(l diag.List) diag.List {
	var of diag.List
	for _, d := range l {
		about := strings.Contains(d.Place, "x-wso2-") || strings.Contains(d.Place, "x-throttling-tier") || strings.Contains(d.Place, "x-scope") ||
			strings.Contains(d.Place, "x-auth-type") || d.Message == "it has no value" || strings.HasPrefix(d.Message, "unknown extension ")
		beyond := strings.Contains(d.Message, " is here twice: ") || strings.Contains(d.Message, "is here in two spellings") ||
			strings.Contains(d.Message, "does not fit in a window") || d.Message == "it is not read here"
		if d.Severity == diag.Error && about && !beyond {
			of = append(of, d)
		}
	}
	return of
}

// agree holds what loading a definition says of its extensions against what the
// schema says of it. It reports whether both could say something.
func agree(t *testing.T, s schematest.Schema, name, text string, read func(string) ([]byte, error)) bool {
	t.Helper()
	var l, syntax diag.List
	root := tree.Parse(name, []byte(text), &syntax)
	if root == nil || root.Kind != tree.Object || root.Get("openapi") == nil && root.Get("swagger") == nil {
		return false
	}
	if read == nil {
		read = func(string) ([]byte, error) { return []byte(text), nil }
	}
	spec.Loader{Read: read}.Load(t.Context(), []string{name}, &l)
	l = ofExtensions(l)
	s.Agree(t, root, text, l)
	return true
}

// The schema of the extensions says the same as the build of every definition
// of the tests.
func TestSchemaFiles(t *testing.T) {
	s := compiled(t)
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		definition := func(name string) bool {
			return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
		}
		switch ext := filepath.Ext(path); {
		case definition(path) && (strings.Contains(path, "api_definitions") || strings.Contains(path, "scaffold")):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			project := filepath.Join(filepath.Dir(path), "..")
			read := func(name string) ([]byte, error) {
				if name == filepath.Base(path) {
					return data, nil
				}
				return os.ReadFile(filepath.Join(project, "api_definitions", name))
			}
			if agree(t, s, filepath.Base(path), string(data), read) {
				seen++
			}
		case ext == ".txtar", ext == ".txt":
			archive, err := txtar.ParseFile(path)
			if err != nil {
				return err
			}
			read := func(name string) ([]byte, error) {
				for _, f := range archive.Files {
					if f.Name == name {
						return f.Data, nil
					}
				}
				return nil, fs.ErrNotExist
			}
			for _, f := range archive.Files {
				if definition(f.Name) && agree(t, s, f.Name, string(f.Data), read) {
					seen++
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 60 {
		t.Errorf("only %d definitions", seen)
	}
}

// And of each value of this table, at every level.
func TestSchemaTable(t *testing.T) {
	s := compiled(t)
	values := map[string]string{
		"x-wso2-basePath": `/a|a|/{version}/x|""|" "|http://a/b|5|null|[a]|true`,
		"x-wso2-production-endpoints": `{urls: ["http://a"]}|{urls: ["http://a/", "https://b:8443/x?y=1"], type: failover}|{urls: []}|{urls: [http:a]}|{urls: ["ftp://a"]}|
			{urls: ["//a"]}|{urls: ["a:80"]}|{urls: ["http://a:0"]}|{urls: ["http://a:65536"]}|{urls: ["http://u:p@a"]}|{urls: ["http://a/#x"]}|{urls: ["http://a b/"]}|
			{urls: ["HTTP://a"]}|{urls: ["http://[::1]:80/"]}|{urls: [" http://a "]}|{urls: [null]}|{urls: [5]}|{urls: "http://a"}|{urls: null}|{}|null|7|[]|
			{urls: ["etcd(key, http://a)"]}|{urls: ["etcd ( key , http://a/x?y ) "]}|{urls: ["etcd(key)"]}|{urls: ["etcd(, http://a)"]}|{urls: ["etcd(key, a)"]}|{urls: ["etcd{key, http://a}"]}|
			{urls: ["http://a"], type: http}|{urls: ["http://a"], type: HTTP}|{urls: ["http://a"], type: default}|{urls: ["http://a"], type: null}|
			{urls: ["http://a"], name: x}|{urls: ["http://a"], name: ""}|{urls: ["http://a"], name: []}|{urls: ["http://a"], url: x}|{URLs: ["http://a"]}|
			"#/x-wso2-endpoints/a"|"a"|"#/x-wso2-endpoints/"|"#/x-wso2-endpoints/ "|"http://a"|
			{urls: ["http://a"], securityConfig: {type: basic, username: u}}|{urls: ["http://a"], securityConfig: {type: BASIC}}|{urls: ["http://a"], securityConfig: {username: u}}|
			{urls: ["http://a"], securityConfig: {type: oauth}}|{urls: ["http://a"], securityConfig: {type: digest, username: "a:b"}}|{urls: ["http://a"], securityConfig: {type: digest, username: 5, password: []}}|
			{urls: ["http://a"], securityConfig: null}|{urls: ["http://a"], securityConfig: []}|{urls: ["http://a"], securityConfig: {type: null}}|
			{urls: ["http://a"], advanceEndpointConfig: {}}|{urls: ["http://a"], advanceEndpointConfig: {timeoutInMillis: 1000}}|{urls: ["http://a"], advanceEndpointConfig: {timeoutInMillis: -1}}|
			{urls: ["http://a"], advanceEndpointConfig: {timeoutInMillis: "5"}}|{urls: ["http://a"], advanceEndpointConfig: {timeoutInMillis: 2147483648}}|{urls: ["http://a"], advanceEndpointConfig: {timeout: 5}}|
			{urls: ["http://a"], advanceEndpointConfig: {retryConfig: {count: 3, intervalInMillis: 10, backOffFactor: 1.5, maxWaitIntervalInMillis: 100, statusCodes: [503, 504]}}}|
			{urls: ["http://a"], advanceEndpointConfig: {retryConfig: {statusCodes: [99]}}}|{urls: ["http://a"], advanceEndpointConfig: {retryConfig: {statusCodes: 503}}}|
			{urls: ["http://a"], advanceEndpointConfig: {retryConfig: {backOffFactor: 1001}}}|{urls: ["http://a"], advanceEndpointConfig: {retryConfig: {count: -1}}}|
			{urls: ["http://a"], advanceEndpointConfig: {circuitBreaker: {failureThreshold: 0.5, resetTimeInMillis: 5, statusCodes: [500], rollingWindow: {requestVolumeThreshold: 1, timeWindowInMillis: 100, bucketSizeInMillis: 10}}}}|
			{urls: ["http://a"], advanceEndpointConfig: {circuitBreaker: {failureThreshold: 1.5}}}|{urls: ["http://a"], advanceEndpointConfig: {circuitBreaker: {rollingWindow: {bucketSizeInMillis: 0}}}}|
			{urls: ["http://a"], advanceEndpointConfig: {poolConfig: {maxActiveConnections: -1, maxIdleConnections: 0, waitTimeInMillis: -1, maxActiveStreamsPerConnection: 5}}}|
			{urls: ["http://a"], advanceEndpointConfig: {poolConfig: {maxActiveConnections: -2}}}|{urls: ["http://a"], advanceEndpointConfig: {poolConfig: {waitTimeInMillis: 0.5}}}`,
		"x-wso2-sandbox-endpoints":    `{urls: ["http://a"]}|{url: ["http://a"]}|"#/x-wso2-endpoints/a"`,
		"x-wso2-endpoints":            `[{a: {urls: ["http://a"]}}]|[{a: {urls: ["http://a"]}, b: {urls: ["http://b"]}}]|[{urls: ["http://a"]}]|[{}]|[]|[a]|{a: {urls: ["http://a"]}}|[{a: null}]|[{a: {}}]|null`,
		"x-wso2-throttling-tier":      `Gold|Unlimited|100|true|""|" "|[]|{}|null`,
		"x-throttling-tier":           `Unlimited|""|[]|null|5`,
		"x-scope":                     `read|""|[]|null`,
		"x-auth-type":                 `None|none|Any|5|[]|null`,
		"x-wso2-request-interceptor":  `check|java:a.B|5|""|[]|{serviceURL: "http://a"}|null`,
		"x-wso2-response-interceptor": `check|{}|null`,
		"x-wso2-cors": `{}|null|[]|{accessControlAllowOrigins: ["*"]}|{access-control-allow-origins: [a, 5]}|{access_control_allow_headers: [a]}|{accessControlAllowMethods: GET}|
			{accessControlExposeHeaders: [[]]}|{accessControlAllowCredentials: true}|{access-control-allow-credentials: "true"}|{corsConfigurationEnabled: false}|{cors-configuration-enabled: 0}|{accessControlAllowOrigin: [a]}|
			{accessControlAllowOrigins: null}|{accessControlAllowOrigins: [""]}`,
		"x-wso2-auth-header":          `X-Token|"X Token"|host|TE|te-x|5|""|null|[]`,
		"x-wso2-disable-security":     `true|false|"true"|1|null|[]`,
		"x-wso2-application-security": `{}|{security-types: [oauth2]}|{security-types: [oauth2, api_key, basic_auth], optional: false}|{security-types: oauth2}|{security-types: [jwt]}|{security-types: [5]}|{optional: "no"}|{types: []}|null|[]|{optional: null}`,
		"x-wso2-mutual-ssl":           `mandatory|optional|Mandatory|" optional "|required|true|null|[]`,
		"x-wso2-transports":           `[http, https]|[HTTP]|[" https"]|[]|[ftp]|http|[5]|null`,
		"x-wso2-owner":                `me|5|""|[]|null`,
		"x-wso2-response-cache":       `{enabled: true}|{enabled: true, cacheTimeoutInSeconds: 5}|{cacheTimeoutInSeconds: 5}|{enabled: "yes"}|{enabled: true, cacheTimeoutInSeconds: -1}|{enabled: true, ttl: 5}|{enabled: null}|null|true`,
		"x-wso2-security":             `{}|null|5`,
		"x-wso2-label":                `[]`,
		"x-wso2-base-path":            `/a`,
		"X-WSO2-cors":                 `{}`,
		"x_wso2_owner":                `me`,
		"x-somebody-else":             `{}|null`,
	}
	levels := []string{
		"openapi: 3.0.3\ninfo: {title: A, version: '1'}\n%s\npaths: {/a: {get: {responses: {'200': {description: ok}}}}}\n",
		"openapi: 3.0.3\ninfo: {title: A, version: '1'}\npaths:\n  /a:\n    %s\n    get: {responses: {'200': {description: ok}}}\n",
		"openapi: 3.0.3\ninfo: {title: A, version: '1'}\npaths:\n  /a:\n    post:\n      %s\n      responses: {'200': {description: ok}}\n",
		"swagger: '2.0'\ninfo: {title: A, version: '1'}\npaths:\n  /a:\n    get:\n      %s\n      responses: {'200': {description: ok}}\n",
	}
	for name, all := range values {
		for _, v := range strings.Split(all, "|") {
			for _, level := range levels {
				if !agree(t, s, "a.yaml", fmt.Sprintf(level, name+": "+strings.TrimSpace(v)), nil) {
					t.Errorf("%s: %s: no definition", name, v)
				}
			}
		}
	}
}
