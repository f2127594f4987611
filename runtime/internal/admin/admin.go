// Package admin answers on the admin port: is the process alive, is it ready
// for traffic, what does it run, which routes does it serve and how are they
// used.
//
// The port is for operators and probes. It is not authenticated, which is why
// it listens on the loopback interface unless the conf says otherwise, and
// nothing on it changes anything: every path is for GET and HEAD.
package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/runtime/internal/telemetry"
)

// A Source is what the handler tells about. Its methods are called by many
// requests at once.
type Source interface {
	State() State
	Routes() []Route
	// Unmatched is the requests that no route was found for.
	Unmatched() telemetry.Count
}

// State is the gateway at a moment.
type State struct {
	Artifact    *Artifact // nil until one is loaded
	Listeners   []Listener
	KeySets     []KeySet
	Draining    bool // stopping: requests in flight are finished, new ones refused
	Development bool // the artifact's development key is trusted
	Started     time.Time
	// LogLinesDropped is the access log lines that could not be written.
	LogLinesDropped uint64
	// Revocations is how the gateway learns of revoked tokens; nil if it does not.
	Revocations *Revocations
	// Unchecked says why opaque tokens cannot be checked just now, "" if they can.
	Unchecked string
	// UserStores says of which user stores the last question had no answer, and why.
	UserStores []string
	// Refused says why the last attempt to load another artifact failed, "" if
	// it did not.
	Refused string
}

// Artifact is the identity of what is being served.
type Artifact struct {
	Project  string    `json:"project"`
	Path     string    `json:"path"`
	Digest   string    `json:"digest"` // "sha256:" and hex, of the payload
	Signer   string    `json:"signer,omitempty"`
	Format   uint32    `json:"format"`
	Size     int64     `json:"size"`
	Toolkit  string    `json:"toolkit_version"`
	LoadedAt time.Time `json:"loaded_at"`
}

// Listener is a socket for API traffic.
type Listener struct {
	Name    string `json:"name"` // "http" or "https"
	Address string `json:"address"`
	Up      bool   `json:"up"`
}

// KeySet is the keys of one token issuer.
type KeySet struct {
	Issuer string `json:"issuer"`
	Loaded bool   `json:"loaded"`
}

// Revocations is what is known of revoked tokens.
type Revocations struct {
	Entries int                `json:"entries"`
	Lost    int64              `json:"lost_for_want_of_room"`
	Sources []RevocationSource `json:"sources"`
}

// RevocationSource is whom the gateway learns it from.
type RevocationSource struct {
	Kind      string    `json:"kind"` // "realtime" or "persistent"
	Source    string    `json:"source"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Error     string    `json:"error,omitempty"`
	Messages  int64     `json:"messages_total"`
	// LastMessageAge is in seconds, as SnapshotAge is: how old the file is that was
	// read because the source was not there.
	LastMessageAge *float64 `json:"last_message_age_seconds"`
	SnapshotAge    *float64 `json:"snapshot_age_seconds,omitempty"`
}

// Route is one operation as served.
type Route struct {
	Method     string
	Path       string // with the base path
	API        string
	APIVersion string
	Stages     []string
	Production []string // endpoints, without what may be secret in a URL
	Sandbox    []string
	Count      telemetry.Count
}

// Handler serves /health, /ready, /version and /routes.
func Handler(s Source) http.Handler {
	h := &handler{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /health", h.health)
	mux.HandleFunc("GET /ready", h.ready)
	mux.HandleFunc("GET /version", h.version)
	mux.HandleFunc("GET /routes", h.routes)
	return mux
}

type handler struct{ Source }

func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, `micro-gw admin

/health   the process is alive
/ready    it can serve traffic: 200, or 503 and the reasons
/version  build and artifact
/routes   what is served and how often; ?format=json for JSON
`)
}

// health says that the process is alive, and nothing about what it depends on:
// a supervisor that restarts on it must not act on an upstream's trouble.
func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"status":"healthy"}`+"\n")
}

type readiness struct {
	Status      string     `json:"status"` // "ready" or "not ready"
	Reasons     []string   `json:"reasons"`
	Warnings    []string   `json:"warnings"`
	Development bool       `json:"development"`
	Listeners   []Listener `json:"listeners"`
	KeySets     []KeySet   `json:"key_sets"`
	// Only where tokens are looked up.
	Revocations *Revocations `json:"revocations,omitempty"`
}

// ready decides whether traffic should come here. Keys that were never loaded
// are a reason to keep away only while there are none for any issuer: with
// several issuers, one that is down must not take the gateway away from the
// others' clients.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	s := h.State()
	r := readiness{
		Status: "ready", Reasons: []string{}, Warnings: []string{}, Development: s.Development,
		Listeners: orEmpty(s.Listeners), KeySets: orEmpty(s.KeySets),
		Revocations: s.Revocations,
	}
	if s.Artifact == nil {
		r.Reasons = append(r.Reasons, "no artifact is loaded")
	}
	if len(s.Listeners) == 0 {
		r.Reasons = append(r.Reasons, "no listener is up")
	}
	for _, l := range s.Listeners {
		if !l.Up {
			r.Reasons = append(r.Reasons, fmt.Sprintf("listener %s %s is not up", l.Name, l.Address))
		}
	}
	var missing []string
	for _, k := range s.KeySets {
		if !k.Loaded {
			missing = append(missing, fmt.Sprintf("the keys of issuer %q were never loaded", k.Issuer))
		}
	}
	if len(missing) == len(s.KeySets) {
		r.Reasons = append(r.Reasons, missing...)
	} else {
		r.Warnings = append(r.Warnings, missing...)
	}
	// Without them a gateway serves all the same: away, it would lock everybody out
	// to keep out a few.
	if s.Revocations != nil {
		for _, o := range s.Revocations.Sources {
			if !o.Connected {
				w := fmt.Sprintf("revoked tokens are not learnt from %s (%s): %s", o.Source, o.Kind, o.Error)
				if o.SnapshotAge != nil {
					w += fmt.Sprintf("; those of a file of %s ago are known", time.Duration(*o.SnapshotAge*float64(time.Second)).Round(time.Second))
				}
				r.Warnings = append(r.Warnings, w)
			}
		}
		if s.Revocations.Lost > 0 {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%d revoked tokens were forgotten for want of room, those that end first: raise tokenRevocationConfig.capacity", s.Revocations.Lost))
		}
	}
	if s.Unchecked != "" {
		r.Warnings = append(r.Warnings, "opaque tokens that are not known yet cannot be checked: "+s.Unchecked)
	}
	for _, why := range s.UserStores {
		r.Warnings = append(r.Warnings, "passwords that are not known yet cannot be checked: "+why)
	}
	if s.Draining {
		r.Reasons = append(r.Reasons, "the gateway is shutting down")
	}
	if s.Development {
		r.Warnings = append(r.Warnings, "development mode: tokens signed with the project's development key, if it has one, are accepted")
	}
	if s.Refused != "" {
		r.Warnings = append(r.Warnings, "an artifact was refused, the one before it is served: "+s.Refused)
	}
	if s.LogLinesDropped > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d access log lines could not be written", s.LogLinesDropped))
	}
	code := http.StatusOK
	if len(r.Reasons) > 0 {
		r.Status, code = "not ready", http.StatusServiceUnavailable
	}
	writeJSON(w, code, r)
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (h *handler) version(w http.ResponseWriter, _ *http.Request) {
	s := h.State()
	writeJSON(w, http.StatusOK, struct {
		Version     string    `json:"version"`
		Go          string    `json:"go"`
		Platform    string    `json:"platform"`
		Started     time.Time `json:"started_at"`
		Development bool      `json:"development"`
		Artifact    *Artifact `json:"artifact"`
	}{buildinfo.Version(), buildinfo.GoVersion(), buildinfo.Platform(), s.Started, s.Development, s.Artifact})
}

type routeJSON struct {
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	API        string    `json:"api"`
	APIVersion string    `json:"api_version"`
	Stages     []string  `json:"stages"`
	Production []string  `json:"production"`
	Sandbox    []string  `json:"sandbox"`
	Count      countJSON `json:"count"`
}

type countJSON struct {
	Requests uint64    `json:"requests_total"`
	Status   [5]uint64 `json:"by_status_class"` // 1xx to 5xx
	Seconds  float64   `json:"duration_seconds_total"`
	Received uint64    `json:"received_bytes_total"`
	Sent     uint64    `json:"sent_bytes_total"`
}

func count(c telemetry.Count) countJSON {
	return countJSON{c.Requests(), c.Status, c.Time.Seconds(), c.Received, c.Sent}
}

func (h *handler) routes(w http.ResponseWriter, r *http.Request) {
	routes, unmatched := h.Routes(), h.Unmatched()
	w.Header().Add("Vary", "Accept")
	if wantsJSON(r) {
		out := struct {
			Routes    []routeJSON `json:"routes"`
			Unmatched countJSON   `json:"unmatched"`
		}{make([]routeJSON, 0, len(routes)), count(unmatched)}
		for _, r := range routes {
			out.Routes = append(out.Routes, routeJSON{
				r.Method, r.Path, r.API, r.APIVersion, orEmpty(r.Stages), orEmpty(r.Production), orEmpty(r.Sandbox), count(r.Count),
			})
		}
		writeJSON(w, http.StatusOK, out)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "METHOD\tPATH\tAPI\tSTAGES\tPRODUCTION\tSANDBOX\tREQUESTS\t2XX\t3XX\t4XX\t5XX\tMEAN")
	for _, r := range routes {
		fmt.Fprintf(tw, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\n", r.Method, r.Path, clean(r.API), clean(r.APIVersion),
			list(r.Stages), list(r.Production), list(r.Sandbox), columns(r.Count))
	}
	fmt.Fprintf(tw, "-\t(no route)\t-\t-\t-\t-\t%s\n", columns(unmatched))
	tw.Flush()
}

func columns(c telemetry.Count) string {
	mean := "-"
	if n := c.Requests(); n > 0 {
		mean = (c.Time / time.Duration(n)).Round(time.Microsecond).String()
	}
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%s", c.Requests(), c.Status[1], c.Status[2], c.Status[3], c.Status[4], mean)
}

func list(s []string) string {
	if len(s) == 0 {
		return "-"
	}
	return strings.Join(s, ",")
}

// clean keeps the names that an author chose from breaking the table.
func clean(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			q := strconv.Quote(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}

// wantsJSON reports whether ?format=json or, without a format, Accept asks for
// JSON. Text is for people at a terminal, whose tools accept everything.
func wantsJSON(r *http.Request) bool {
	if f := r.URL.Query().Get("format"); f != "" {
		return f == "json"
	}
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if t, p, err := mime.ParseMediaType(part); err == nil && t == "application/json" && p["q"] != "0" {
			return true
		}
	}
	return false
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		// Only our own types are written: a bug.
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}
