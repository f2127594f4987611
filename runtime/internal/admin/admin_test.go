package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/admin"
	"github.com/microgw/microgw/runtime/internal/telemetry"
)

type source struct {
	state  admin.State
	routes []admin.Route
}

func (s *source) State() admin.State         { return s.state }
func (s *source) Routes() []admin.Route      { return s.routes }
func (s *source) Unmatched() telemetry.Count { return telemetry.Count{Status: [5]uint64{3: 7}} }

func healthy() *source {
	return &source{
		state: admin.State{
			Artifact: &admin.Artifact{
				Project: "petstore", Path: "petstore.mgw", Digest: "sha256:00", Format: 1, Size: 99, Toolkit: "dev",
				LoadedAt: time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC),
			},
			Listeners: []admin.Listener{{Name: "http", Address: "127.0.0.1:9090", Up: true}},
			KeySets:   []admin.KeySet{{Issuer: "https://a", Loaded: true}, {Issuer: "https://b", Loaded: true}},
		},
		routes: []admin.Route{{
			Method: "GET", Path: "/v1/pet/{petId}", API: "Petstore", APIVersion: "1.0.0", Stages: []string{"authn", "scope"},
			Production: []string{"http://localhost:8080/v2"},
			Count:      telemetry.Count{Status: [5]uint64{0, 3, 0, 1, 0}, Time: 2 * time.Second, Received: 5, Sent: 6},
		}},
	}
}

func get(t *testing.T, s admin.Source, method, target, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	admin.Handler(s).ServeHTTP(w, r)
	return w
}

func TestHealth(t *testing.T) {
	w := get(t, new(source), "GET", "/health", "")
	if w.Code != 200 || w.Body.String() != `{"status":"healthy"}`+"\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestReady(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*admin.State)
		code     int
		reasons  []string
		warnings []string
	}{
		{"all well", func(s *admin.State) {}, 200, nil, nil},
		{"no artifact", func(s *admin.State) { s.Artifact = nil }, 503, []string{"no artifact is loaded"}, nil},
		{"no listener", func(s *admin.State) { s.Listeners = nil }, 503, []string{"no listener is up"}, nil},
		{"listener down", func(s *admin.State) { s.Listeners[0].Up = false }, 503, []string{"listener http 127.0.0.1:9090 is not up"}, nil},
		{"draining", func(s *admin.State) { s.Draining = true }, 503, []string{"the gateway is shutting down"}, nil},
		{"one issuer without keys", func(s *admin.State) { s.KeySets[1].Loaded = false }, 200, nil, []string{`the keys of issuer "https://b" were never loaded`}},
		{"no issuer with keys", func(s *admin.State) { s.KeySets[0].Loaded, s.KeySets[1].Loaded = false, false }, 503,
			[]string{`the keys of issuer "https://a" were never loaded`, `the keys of issuer "https://b" were never loaded`}, nil},
		{"no issuers", func(s *admin.State) { s.KeySets = nil }, 200, nil, nil},
		{"opaque tokens", func(s *admin.State) { s.Unchecked = "connection refused" }, 200, nil,
			[]string{"opaque tokens that are not known yet cannot be checked: connection refused"}},
		{"user stores", func(s *admin.State) { s.UserStores = []string{"userStore.ldap: busy", "userStore.http: status 500"} }, 200, nil,
			[]string{"passwords that are not known yet cannot be checked: userStore.ldap: busy", "passwords that are not known yet cannot be checked: userStore.http: status 500"}},
		{"development", func(s *admin.State) { s.Development = true }, 200, nil,
			[]string{"development mode: tokens signed with the project's development key, if it has one, are accepted"}},
		{"artifact refused", func(s *admin.State) { s.Refused = "x.mgw: truncated" }, 200, nil,
			[]string{"an artifact was refused, the one before it is served: x.mgw: truncated"}},
		{"revocation", func(s *admin.State) {
			s.Revocations = &admin.Revocations{Sources: []admin.RevocationSource{{Kind: "realtime", Source: "STOMP on b:1", Connected: true}}}
		}, 200, nil, nil},
		{"no revocation", func(s *admin.State) {
			old := 90.2
			s.Revocations = &admin.Revocations{Lost: 2, Sources: []admin.RevocationSource{
				{Kind: "realtime", Source: "STOMP on b:1", Error: "refused"}, {Kind: "persistent", Source: "etcd", Error: "gone", SnapshotAge: &old}}}
		}, 200, nil, []string{"revoked tokens are not learnt from STOMP on b:1 (realtime): refused",
			"revoked tokens are not learnt from etcd (persistent): gone; those of a file of 1m30s ago are known",
			"2 revoked tokens were forgotten for want of room, those that end first: raise tokenRevocationConfig.capacity"}},
		{"disk full", func(s *admin.State) { s.LogLinesDropped = 3 }, 200, nil, []string{"3 access log lines could not be written"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := healthy()
			tt.change(&s.state)
			w := get(t, s, "GET", "/ready", "")
			var got struct {
				Status            string
				Reasons, Warnings []string
				Development       *bool
				Listeners         []admin.Listener
				KeySets           []admin.KeySet `json:"key_sets"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.code || (got.Status == "ready") != (tt.code == 200) || !same(got.Reasons, tt.reasons) || !same(got.Warnings, tt.warnings) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if got.Development == nil || *got.Development != s.state.Development || got.Listeners == nil || got.KeySets == nil {
				t.Errorf("something is left out: %s", w.Body)
			}
		})
	}
}

func same(a, b []string) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func TestVersion(t *testing.T) {
	s := healthy()
	s.state.Development = true
	w := get(t, s, "GET", "/version", "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	a, _ := got["artifact"].(map[string]any)
	want := map[string]any{
		"project": "petstore", "path": "petstore.mgw", "digest": "sha256:00", "format": 1.0, "size": 99.0,
		"toolkit_version": "dev", "loaded_at": "2025-03-01T00:00:00Z",
	}
	if !reflect.DeepEqual(a, want) || got["development"] != true || got["version"] == "" || got["go"] == "" {
		t.Errorf("got %s", w.Body)
	}
}

func TestRoutesAsText(t *testing.T) {
	want := "" +
		"METHOD  PATH             API             STAGES       PRODUCTION                SANDBOX  REQUESTS  2XX  3XX  4XX  5XX  MEAN\n" +
		"GET     /v1/pet/{petId}  Petstore 1.0.0  authn,scope  http://localhost:8080/v2  -        4         3    0    1    0    500ms\n" +
		"-       (no route)       -               -            -                         -        7         0    0    7    0    0s\n"
	for _, accept := range []string{"", "*/*", "text/html,application/json;q=0"} {
		w := get(t, healthy(), "GET", "/routes", accept)
		if got := w.Body.String(); got != want {
			t.Errorf("Accept %q: got\n%swant\n%s", accept, got, want)
		}
	}
	s := healthy()
	s.routes[0].API = "a\nb\tc"
	if got := get(t, s, "GET", "/routes", "").Body.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, `a\nb\tc 1.0.0`) {
		t.Errorf("got\n%s", got)
	}
}

func TestRoutesAsJSON(t *testing.T) {
	for _, tt := range []struct{ target, accept string }{
		{"/routes?format=json", ""}, {"/routes", "application/json"}, {"/routes", "text/plain;q=0.1, application/json"}, {"/routes?format=json", "text/plain"},
	} {
		w := get(t, healthy(), "GET", tt.target, tt.accept)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"routes": []any{map[string]any{
				"method": "GET", "path": "/v1/pet/{petId}", "api": "Petstore", "api_version": "1.0.0", "stages": []any{"authn", "scope"},
				"production": []any{"http://localhost:8080/v2"}, "sandbox": []any{},
				"count": map[string]any{
					"requests_total": 4.0, "by_status_class": []any{0.0, 3.0, 0.0, 1.0, 0.0}, "duration_seconds_total": 2.0,
					"received_bytes_total": 5.0, "sent_bytes_total": 6.0,
				},
			}},
			"unmatched": map[string]any{
				"requests_total": 7.0, "by_status_class": []any{0.0, 0.0, 0.0, 7.0, 0.0}, "duration_seconds_total": 0.0,
				"received_bytes_total": 0.0, "sent_bytes_total": 0.0,
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %s", tt, w.Body)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	for _, path := range []string{"/health", "/ready", "/version", "/routes", "/"} {
		if w := get(t, healthy(), "POST", path, ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want 405", path, w.Code)
		}
		if w := get(t, healthy(), "HEAD", path, ""); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d, want 200", path, w.Code)
		}
	}
	if w := get(t, healthy(), "GET", "/nothing", ""); w.Code != http.StatusNotFound {
		t.Errorf("GET /nothing: %d, want 404", w.Code)
	}
}
