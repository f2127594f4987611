package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// etcd's API is gRPC; every etcd also serves it as JSON over HTTP, as WSO2's
// gateway asks it. That is what is spoken here: the six calls below. The client
// library would bring gRPC along, which is larger (7.5 MB) than the rest of the
// gateway.

const (
	callTimeout = 10 * time.Second
	maxSilence  = 25 * time.Minute // of a watch
	maxAnswer   = 64 << 20
	// Keys of a page: so few at first that they fit into an answer however long they
	// are, then as many as make a page of pageBytes. For each page etcd goes through
	// all keys that are left, to count them.
	firstPage = 1000
	maxPage   = 20_000
	pageBytes = 4 << 20
)

// versions of the API's path: etcd from 3.4 on, 3.3, 3.2.
var versions = []string{"/v3", "/v3beta", "/v3alpha"}

type client struct {
	endpoints          []string // scheme://host:port
	username, password string
	http               *http.Client

	mu      sync.Mutex
	current int    // endpoint; guarded by mu, as all below
	version int    // of versions
	token   string // "": none yet, or none needed
	asked   bool   // for a token
}

func newClient(endpoints []string, username, password string, trust *tls.Config) *client {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return &client{
		endpoints: endpoints, username: username, password: password,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: 5 * time.Second,
				MaxIdleConnsPerHost: workers + 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
			},
			// Credentials go to whom the conf names and to nobody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// answerError is what etcd says of a call that it does not do.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return fmt.Sprintf("etcd answers %d: %.200s", e.status, e.text) }

// errCompacted says that the history that was asked for is gone.
var errCompacted = errors.New("etcd has compacted the history")

// fail goes on to the next endpoint.
func (c *client) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = (c.current + 1) % len(c.endpoints)
	c.token, c.asked = "", false
}

// open sends a request and returns the answer if its status is 200. It gets a
// token first if there is a user, and a new one if the one it has is not good any
// more.
func (c *client) open(ctx context.Context, path string, body []byte) (io.ReadCloser, error) {
	if err := c.login(ctx); err != nil {
		return nil, err
	}
	resp, err := c.post(ctx, path, body)
	var refused *answerError
	if errors.As(err, &refused) && c.username != "" && (refused.status == http.StatusUnauthorized || strings.Contains(refused.text, "invalid auth token")) {
		c.mu.Lock()
		c.token, c.asked = "", false
		c.mu.Unlock()
		if err := c.login(ctx); err != nil {
			return nil, err
		}
		resp, err = c.post(ctx, path, body)
	}
	return resp, err
}

func (c *client) login(ctx context.Context) error {
	c.mu.Lock()
	asked := c.asked || c.username == ""
	c.mu.Unlock()
	if asked {
		return nil
	}
	body, err := json.Marshal(map[string]string{"name": c.username, "password": c.password})
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, "/auth/authenticate", body)
	token := ""
	if err != nil {
		// WSO2's conf has a user although etcd as it comes has none.
		if refused := (*answerError)(nil); !errors.As(err, &refused) || !strings.Contains(refused.text, "authentication is not enabled") {
			return fmt.Errorf("user %q: %w", c.username, err)
		}
	} else {
		defer resp.Close()
		var out struct{ Token string }
		if err := json.NewDecoder(io.LimitReader(resp, 64<<10)).Decode(&out); err != nil {
			return fmt.Errorf("authenticate: %w", err)
		}
		token = out.Token
	}
	c.mu.Lock()
	c.token, c.asked = token, true
	c.mu.Unlock()
	return nil
}

// post sends a request to the version of the API that the server has.
func (c *client) post(ctx context.Context, path string, body []byte) (io.ReadCloser, error) {
	for {
		c.mu.Lock()
		base, version, token := c.endpoints[c.current], c.version, c.token
		c.mu.Unlock()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+versions[version]+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		resp, err := c.http.Do(r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return resp.Body, nil
		}
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound && version+1 < len(versions) && !strings.HasPrefix(path, "/kv/lease") {
			c.mu.Lock()
			c.version = version + 1
			c.mu.Unlock()
			continue
		}
		c.mu.Lock()
		if resp.StatusCode == http.StatusNotFound {
			c.version = 0 // this server may be replaced by another
		}
		c.mu.Unlock()
		var said struct{ Message, Error string }
		if json.Unmarshal(text, &said) == nil && said.Message+said.Error != "" {
			text = []byte(said.Error)
			if said.Message != "" {
				text = []byte(said.Message)
			}
		}
		if strings.Contains(string(text), "compacted") {
			return nil, errCompacted
		}
		return nil, &answerError{resp.StatusCode, c.hide(strings.TrimSpace(string(text)))}
	}
}

// hide takes the gateway's own credentials out of what a server has said.
func (c *client) hide(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range []string{c.password, c.token} {
		if secret != "" && secret != c.username {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

func (c *client) call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.open(ctx, path, body)
	if err != nil {
		return err
	}
	defer resp.Close()
	if err := json.NewDecoder(io.LimitReader(resp, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("etcd%s: %w", path, err)
	}
	// To the end, so that the connection is used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp, 4<<10))
	return nil
}

// 64-bit numbers are strings in protobuf's JSON.
type header struct {
	Revision int64 `json:"revision,string"`
}

type keyValue struct {
	Key   []byte `json:"key"` // encoding/json reads base64 into bytes
	Lease int64  `json:"lease,string"`
	Mod   int64  `json:"mod_revision,string"`
}

type event struct {
	Type string   `json:"type"` // absent: PUT
	KV   keyValue `json:"kv"`
}

// span is the keys from first up to but not including end.
type span struct{ first, end string }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// list calls each for the keys of s at a revision, 0 for the latest, and returns
// which that is.
func (c *client) list(ctx context.Context, s span, revision int64, each func([]keyValue) error) (int64, error) {
	limit := firstPage
	for first := s.first; ; {
		in := map[string]any{"key": b64(first), "range_end": b64(s.end), "limit": limit, "keys_only": true}
		if revision > 0 {
			in["revision"] = revision
		}
		var out struct {
			Header header
			KVs    []keyValue
			More   bool
		}
		if err := c.call(ctx, "/kv/range", in, &out); err != nil {
			return 0, err
		}
		if out.Header.Revision <= 0 {
			return 0, errors.New("etcd: an answer without a revision")
		}
		if revision == 0 {
			revision = out.Header.Revision
		}
		if err := each(out.KVs); err != nil {
			return 0, err
		}
		if !out.More || len(out.KVs) == 0 {
			return revision, nil
		}
		next := string(out.KVs[len(out.KVs)-1].Key) + "\x00"
		if next <= first {
			return 0, errors.New("etcd: pages that do not go on")
		}
		first = next
		size := 0
		for _, kv := range out.KVs {
			size += len(kv.Key)
		}
		limit = min(max(pageBytes/(size/len(out.KVs)+1), firstPage), maxPage)
	}
}

// alive asks for something small. A refusal is a sign of life, too.
func (c *client) alive(ctx context.Context, key string) error {
	var out struct{ Header header }
	err := c.call(ctx, "/kv/range", map[string]any{"key": b64(key), "limit": 1, "keys_only": true}, &out)
	if refused := (*answerError)(nil); errors.As(err, &refused) && refused.status < 500 {
		return nil
	}
	return err
}

// denied reports whether the user may not do that.
func denied(err error) bool {
	var refused *answerError
	return errors.As(err, &refused) && strings.Contains(refused.text, "permission denied")
}

// ttl returns how long a lease has still to go, less than 0 if it is over.
func (c *client) ttl(ctx context.Context, lease int64) (time.Duration, error) {
	var out struct {
		TTL int64 `json:"TTL,string"`
	}
	in := map[string]any{"ID": fmt.Sprint(lease)}
	err := c.call(ctx, "/lease/timetolive", in, &out)
	var refused *answerError
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		// Its place up to etcd 3.3.
		err = c.call(ctx, "/kv/lease/timetolive", in, &out)
	}
	return time.Duration(out.TTL) * time.Second, err
}

// A watched is a span and the last revision of it that is known.
type watched struct {
	span
	revision int64
}

// watch calls each for what happens to the keys of the spans, from the revisions
// on that are known, which it keeps up, until something fails, which is what it
// returns.
func (c *client) watch(ctx context.Context, all []*watched, created func(), each func(event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var body bytes.Buffer
	for _, s := range all {
		// One request after the other in one body: the call is a stream.
		if err := json.NewEncoder(&body).Encode(map[string]any{"create_request": map[string]any{
			"key": b64(s.first), "range_end": b64(s.end), "start_revision": fmt.Sprint(s.revision + 1), "progress_notify": true,
		}}); err != nil {
			return err
		}
	}
	byID := map[string]*watched{} // answers come in the order of the requests
	quick := time.AfterFunc(callTimeout, func() { cancel(errors.New("etcd does not begin to watch")) })
	defer quick.Stop()
	resp, err := c.open(ctx, "/watch", body.Bytes())
	if err != nil {
		return causeOf(ctx, err)
	}
	defer resp.Close()
	limited := &limitedReader{r: resp, left: maxAnswer}
	d := json.NewDecoder(limited)
	// Somebody between us and etcd may hold the connection open, and nobody at its
	// other end. etcd says every ten minutes that nothing has happened.
	silent := time.AfterFunc(maxSilence, func() { cancel(errors.New("etcd has been silent for too long")) })
	defer silent.Stop()
	for ; ; silent.Reset(maxSilence) {
		var out struct {
			Result struct {
				Header    header
				ID        string `json:"watch_id"`
				Created   bool
				Canceled  bool
				Compacted int64  `json:"compact_revision,string"`
				Reason    string `json:"cancel_reason"`
				Events    []event
			}
			Error *struct{ Message string }
		}
		limited.left = maxAnswer
		if err := d.Decode(&out); err != nil {
			return causeOf(ctx, fmt.Errorf("etcd/watch: %w", err))
		}
		r := &out.Result
		switch {
		case out.Error != nil:
			return fmt.Errorf("etcd/watch: %.200s", c.hide(out.Error.Message))
		case r.Compacted > 0:
			return errCompacted
		case r.Canceled:
			return fmt.Errorf("etcd/watch: %.200s", c.hide(r.Reason))
		case r.Created:
			if len(byID) < len(all) {
				byID[r.ID] = all[len(byID)]
			}
			if len(byID) == len(all) {
				quick.Stop()
				created()
			}
		}
		w := byID[r.ID]
		if w == nil {
			return errors.New("etcd/watch: events of a watch that was not asked for")
		}
		for _, e := range r.Events {
			if err := each(e); err != nil {
				return err
			}
			w.revision = max(w.revision, e.KV.Mod)
		}
		if !r.Created && len(r.Events) == 0 {
			w.revision = max(w.revision, r.Header.Revision) // nothing has happened up to it
		}
	}
}

// causeOf is why ctx ended, if that is why err came.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

type limitedReader struct {
	r    io.Reader
	left int
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("an answer that does not end")
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
