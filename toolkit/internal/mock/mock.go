// Package mock answers as the upstreams of an artifact would, from the examples
// and schemas of its OpenAPI documents.
//
// It lives in the upstreams' path space: an operation /pet/{petId} behind the
// endpoint http://host:9080/v2 is answered at /v2/pet/1. Operations that are
// behind different hosts may have the same path, so there is a handler for each
// upstream, and one for all of them where the first operation wins.
//
// Answers depend on the operation and on the Accept header only. Nothing that
// a request carries comes back, so that credentials that reached the mock by
// mistake do not end up in a terminal or a log.
package mock

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/microgw/microgw/pkg/pathtmpl"
	"github.com/microgw/microgw/pkg/urlpath"
	"github.com/microgw/microgw/schema/artifactpb"
)

// A Mock answers for all upstreams of an artifact. It is safe for concurrent
// use.
type Mock struct {
	all         *router
	upstreams   map[string]*router // by authority
	authorities []string           // in the artifact's order
	documents   []document
}

// New prepares answers for all operations of a.
func New(a *artifactpb.Artifact) (*Mock, error) {
	documents := make([]document, len(a.GetDocuments()))
	m := &Mock{all: &router{}, upstreams: make(map[string]*router), documents: documents}
	for i, d := range a.GetDocuments() {
		var err error
		if documents[i], err = parseDocument(d.GetJson()); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	for _, api := range a.GetApis() {
		if int(api.GetDocument()) >= len(documents) {
			return nil, fmt.Errorf("api %s: no document %d", api.GetTitle(), api.GetDocument())
		}
		doc := documents[api.GetDocument()]
		for _, op := range api.GetOperations() {
			for _, index := range []uint32{op.GetProductionCluster(), op.GetSandboxCluster()} {
				if index == 0 {
					continue
				}
				if int(index) > len(a.GetClusters()) {
					return nil, fmt.Errorf("%s: no cluster %d", op.GetId(), index-1)
				}
				for _, ep := range a.GetClusters()[index-1].GetEndpoints() {
					if err := m.add(doc, op, ep.GetUrl()); err != nil {
						return nil, fmt.Errorf("%s: %w", op.GetId(), err)
					}
				}
			}
		}
	}
	m.all.sort()
	for _, r := range m.upstreams {
		r.sort()
	}
	return m, nil
}

func (m *Mock) add(doc document, op *artifactpb.Operation, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	authority := Authority(u)
	r := m.upstreams[authority]
	if r == nil {
		r = &router{}
		m.upstreams[authority] = r
		m.authorities = append(m.authorities, authority)
	}
	template, err := pathtmpl.Parse(op.GetPath())
	if err != nil {
		return err
	}
	base, err := urlpath.Normalize(nil, []byte("/"+strings.Trim(u.EscapedPath(), "/")))
	if err != nil {
		return err
	}
	rt := route{
		method:   op.GetMethod(),
		base:     split(string(base)),
		template: template,
		doc:      doc,
		answer:   doc.operation(op),
	}
	r.routes = append(r.routes, rt)
	m.all.routes = append(m.all.routes, rt)
	return nil
}

// Authority names the upstream of a URL: host and port, the port as the scheme
// has it if it is not written.
func Authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// Upstreams lists the authorities of all endpoints, in the artifact's order.
func (m *Mock) Upstreams() []string { return slices.Clone(m.authorities) }

// Upstream is the handler for one of Upstreams; it knows no path for others.
func (m *Mock) Upstream(authority string) http.Handler {
	if r := m.upstreams[authority]; r != nil {
		return r
	}
	return &router{}
}

// ServeHTTP answers for all upstreams at once.
func (m *Mock) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.all.ServeHTTP(w, r) }

// Redirect returns a copy of a whose endpoints are at the addresses that
// address returns for their authorities. Paths and queries stay. What leads
// elsewhere or is meant for the real upstream alone goes: etcd keys and
// credentials.
func Redirect(a *artifactpb.Artifact, address func(authority string) string) (*artifactpb.Artifact, error) {
	moved := proto.CloneOf(a)
	for _, c := range moved.GetClusters() {
		c.Auth = nil
		for _, ep := range c.GetEndpoints() {
			u, err := url.Parse(ep.GetUrl())
			if err != nil {
				return nil, fmt.Errorf("cluster %s: %w", c.GetName(), err)
			}
			u.Host, u.Scheme = address(Authority(u)), "http"
			ep.Url, ep.EtcdKey = u.String(), ""
		}
	}
	return moved, nil
}

// A router picks an operation by path and method.
type router struct {
	routes []route // most specific first; in the artifact's order where equal
}

type route struct {
	method   string
	base     []string // segments of the endpoint's path
	template pathtmpl.Template
	doc      document
	answer   operation
}

func (r *router) sort() {
	slices.SortStableFunc(r.routes, func(a, b route) int {
		as, bs := a.template.Segments(), b.template.Segments()
		for i := range max(len(as), len(bs)) {
			if c := cmp.Compare(rank(as, i), rank(bs, i)); c != 0 {
				return c
			}
		}
		return 0
	})
}

// rank orders segments as the gateway does: text, text with parameters in it, a
// parameter alone, nothing.
func rank(segments []pathtmpl.Segment, i int) int {
	if i >= len(segments) {
		return 3
	}
	if _, ok := segments[i].Literal(); ok {
		return 0
	}
	if len(segments[i].Parts) > 1 {
		return 1
	}
	return 2
}

func (rt *route) match(segments []string) bool {
	if len(segments) < len(rt.base) || !slices.Equal(segments[:len(rt.base)], rt.base) {
		return false
	}
	rest, own := segments[len(rt.base):], rt.template.Segments()
	switch {
	case len(rest) < len(own):
		return false
	case len(rest) > len(own) && !rt.template.Wildcard():
		return false
	case len(rest) == len(own) && rt.template.Wildcard() && len(own) > 0:
		return false // "/*" stands for one segment at least, except at the root
	}
	for i, s := range own {
		if !s.Match([]byte(rest[i])) {
			return false
		}
	}
	return true
}

// split cuts a path into segments; a slash at the end makes no difference.
func split(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// A connection on which a body is left unread has to be closed, and a
	// client still writing would see that as an error.
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return
	}
	path, err := urlpath.Normalize(nil, []byte(req.URL.EscapedPath()))
	if err != nil {
		problem(w, http.StatusBadRequest, "malformed path")
		return
	}
	segments := split(string(path))
	var allow []string
	var head *route
	for i := range r.routes {
		rt := &r.routes[i]
		if !rt.match(segments) {
			continue
		}
		if rt.method == req.Method {
			rt.answer.write(w, req, rt.doc)
			return
		}
		if rt.method == http.MethodGet && head == nil {
			head = rt
		}
		if !slices.Contains(allow, rt.method) {
			allow = append(allow, rt.method)
		}
	}
	switch {
	case req.Method == http.MethodHead && head != nil:
		head.answer.write(w, req, head.doc)
	case allow != nil:
		slices.Sort(allow)
		w.Header().Set("Allow", strings.Join(allow, ", "))
		problem(w, http.StatusMethodNotAllowed, "the definition has this path, but not this method")
	default:
		problem(w, http.StatusNotFound, "the definition has no such path")
	}
}

func problem(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	send(w, status, "application/json", body)
}

func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	// The client going away is its own affair; for HEAD net/http refuses the
	// body with ErrBodyNotAllowed, as it should.
	_, _ = w.Write(body)
}

var errNotObject = errors.New("not a JSON object")

func parseDocument(data []byte) (document, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // examples come out as they were written
	var root any
	if err := dec.Decode(&root); err != nil {
		return document{}, err
	}
	if _, ok := root.(map[string]any); !ok {
		return document{}, errNotObject
	}
	return document{root: root}, nil
}

// Target makes a path, with a query if one is required, that op answers to
// below its API's base path: "/pet/1". Values are the examples of the
// parameters, or made from their schemas. Api and op are of the artifact that m
// was made from.
func (m *Mock) Target(api *artifactpb.Api, op *artifactpb.Operation) string {
	return m.documents[api.GetDocument()].target(op)
}
