// Package apimtest is a stand-in for WSO2 API Manager's REST API, as far as an
// import needs it: client registration, tokens, and the publisher of 2.6 (v0.14),
// 3.x (v1.x) and 4.x (v2 and later).
//
// It is strict: whatever a client sends that API Manager does not ask for, or
// lacks, is answered with an error and remembered as a complaint. And it can be
// made to misbehave: a base URL that ends in /fault/STEP/KIND does so at that
// step (registration, token, list, definition, revisions, export). A KIND is a
// status, or one of slow, cut, huge, redirect, html, text, empty, drop.
package apimtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Users may log in. Only admin may see APIs, and guest may not register clients.
const (
	User, Password = "admin@shop", "p&ss wörd+1"
	Clerk          = "clerk" // may register, but not see APIs
	Guest          = "guest"
	// Client and Secret are of a client that is registered already.
	Client, Secret = "registered:client", "cl%ent secret"
	StorePassword  = "trust me"
)

// A Server is an API Manager.
type Server struct {
	URL   string
	CA    []byte // PEM
	Store []byte // the same as a PKCS#12 trust store, under StorePassword

	http *httptest.Server
	apis []API

	done chan struct{}

	mu         sync.Mutex
	tokens     map[string]string // scopes
	complaints []string
	requests   []string
}

// New starts a server that has the given APIs.
func New(apis []API) *Server {
	s := &Server{apis: apis, done: make(chan struct{}), tokens: make(map[string]string)}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse the certificate
	certificate := s.certificates()
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.http.StartTLS()
	s.URL = s.http.URL
	return s
}

// Close stops the server.
func (s *Server) Close() {
	close(s.done)
	s.http.CloseClientConnections()
	s.http.Close()
}

// Complaints are what clients have done wrong.
func (s *Server) Complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.complaints)
}

// Requests are the requests so far, as "METHOD PATH?QUERY", and forgets them.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.requests
	s.requests = nil
	return list
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // in memory
	}
	return v
}

func (s *Server) certificates() tls.Certificate {
	caKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "API Manager's own CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	caDER := must(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey))
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "API Manager"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
	}
	der := must(x509.CreateCertificate(rand.Reader, leaf, must(x509.ParseCertificate(caDER)), key.Public(), caKey))
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	s.Store = must(pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{must(x509.ParseCertificate(caDER))}, StorePassword))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// complain answers 400 and remembers why.
func (s *Server) complain(w http.ResponseWriter, r *http.Request, format string, args ...any) {
	why := fmt.Sprintf("%s %s: ", r.Method, r.URL) + fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.complaints = append(s.complaints, why)
	s.mu.Unlock()
	s.refuse(w, http.StatusBadRequest, why)
}

func (s *Server) refuse(w http.ResponseWriter, status int, why string) {
	s.answer(w, status, object{"code": status, "message": http.StatusText(status), "description": why, "moreInfo": "", "error": []string{}})
}

func (s *Server) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	path, step, kind := r.URL.Path, "", ""
	if rest, ok := strings.CutPrefix(path, "/fault/"); ok {
		parts := strings.SplitN(rest, "/", 3)
		if len(parts) == 3 {
			step, kind, path = parts[0], parts[1], "/"+parts[2]
		}
	}
	fault := func(at string) bool { return at == step && s.misbehave(w, r, kind) }
	switch {
	case strings.HasPrefix(path, "/client-registration/"):
		if !fault("registration") {
			s.register(w, r, path)
		}
	case path == "/oauth2/token":
		if !fault("token") {
			s.token(w, r)
		}
	case strings.HasPrefix(path, "/api/am/publisher/"):
		version, rest, _ := strings.Cut(strings.TrimPrefix(path, "/api/am/publisher/"), "/")
		s.publisher(w, r, version, rest, fault)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) misbehave(w http.ResponseWriter, r *http.Request, kind string) bool {
	const answer = `{"clientId": "x", "list": [`
	switch kind {
	case "slow": // for ever
		<-s.done
	case "cut":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, answer)
	case "drop":
		panic(http.ErrAbortHandler)
	case "huge":
		w.Header().Set("Content-Type", "application/json")
		blanks := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(blanks); err != nil {
				break
			}
		}
	case "redirect":
		http.Redirect(w, r, "https://elsewhere.example/login?user=x", http.StatusFound)
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = io.WriteString(w, "<html><title>Log in</title></html>")
	case "text":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	case "empty":
		s.answer(w, http.StatusOK, object{})
	default:
		status, err := strconv.Atoi(kind)
		if err != nil {
			return false
		}
		s.answer(w, status, object{"code": status, "message": http.StatusText(status), "description": "told to\x1b[31m say so"})
	}
	return true
}

func password(user string) bool { return user == User || user == Clerk || user == Guest }

func (s *Server) register(w http.ResponseWriter, r *http.Request, path string) {
	if !slices.Contains([]string{"v0.14", "v0.15", "v0.16", "v0.17"}, strings.TrimSuffix(strings.TrimPrefix(path, "/client-registration/"), "/register")) {
		http.NotFound(w, r)
		return
	}
	user, pass, ok := r.BasicAuth()
	var body map[string]any
	err := json.NewDecoder(r.Body).Decode(&body)
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		s.complain(w, r, "want POST")
	case media != "application/json" || err != nil:
		s.complain(w, r, "want JSON: %v", err)
	case len(r.URL.RawQuery) > 0:
		s.complain(w, r, "want no query")
	case !ok || !password(user) || pass != Password || user == Guest:
		s.refuse(w, http.StatusUnauthorized, "Unauthorized")
	case len(body) != 6 || body["callbackUrl"] == "" || body["clientName"] != "Micro Gateway Cli" || body["owner"] != user ||
		body["grantType"] != "password" || body["tokenScope"] == "" || body["saasApp"] != true:
		s.complain(w, r, "wrong registration %v", body)
	default:
		s.answer(w, http.StatusOK, object{"clientId": "client of " + user, "clientSecret": "s&cret", "clientName": user + "_Micro Gateway Cli", "isSaasApplication": true, "appOwner": user})
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := r.ParseForm()
	user := r.PostForm.Get("username")
	scope := r.PostForm.Get("scope")
	known := id == "client of "+user && secret == "s&cret" || id == Client && secret == Secret
	oauth := func(status int, code, description string) {
		s.answer(w, status, object{"error": code, "error_description": description})
	}
	switch {
	case r.Method != http.MethodPost || media != "application/x-www-form-urlencoded" || err != nil || r.URL.RawQuery != "":
		s.complain(w, r, "want a form: %v", err)
	case len(r.PostForm) != 4 || r.PostForm.Get("grant_type") != "password":
		s.complain(w, r, "wrong form")
	case scope != "apim:tier_view apim:api_view" && scope != "apim:tier_view apim:api_view apim:api_import_export":
		s.complain(w, r, "wrong scopes %q", scope)
	case !ok || !known:
		oauth(http.StatusUnauthorized, "invalid_client", "A valid OAuth client could not be found for client_id: x")
	case !password(user) || r.PostForm.Get("password") != Password:
		oauth(http.StatusBadRequest, "invalid_grant", "Authentication failed for "+user)
	default:
		if user != User {
			scope = "default"
		}
		token := rand.Text()
		s.mu.Lock()
		s.tokens[token] = scope
		s.mu.Unlock()
		s.answer(w, http.StatusOK, object{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scope, "refresh_token": "r"})
	}
}

func (s *Server) publisher(w http.ResponseWriter, r *http.Request, version, path string, fault func(string) bool) {
	generation := 0
	switch version {
	case "v0.14":
	case "v1", "v1.0", "v1.1", "v1.2":
		generation = 1
	case "v2", "v3", "v4":
		generation = 4
	default:
		http.NotFound(w, r)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	scope, known := s.tokens[token]
	s.mu.Unlock()
	switch {
	case r.Method != http.MethodGet || r.ContentLength > 0:
		s.complain(w, r, "want GET without a body")
		return
	case !ok || !known || !strings.Contains(scope, "apim:api_view"):
		s.refuse(w, http.StatusUnauthorized, "The access token is not valid")
		return
	}
	q := r.URL.Query()
	if strings.Contains(r.URL.RawQuery, "+") {
		s.complain(w, r, "a blank is %%20")
		return
	}
	if path == "apis" {
		if !fault("list") {
			s.list(w, r, generation)
		}
		return
	}
	if path == "apis/export" && generation == 4 {
		if !fault("export") {
			s.export(w, r, scope)
		}
		return
	}
	parts := strings.Split(path, "/")
	i := -1
	if len(parts) == 3 && parts[0] == "apis" {
		i = slices.IndexFunc(s.apis, func(a API) bool { return a.ID == parts[1] })
	}
	switch {
	case i < 0:
		s.refuse(w, http.StatusNotFound, "Requested API does not exist")
	case parts[2] == "swagger" && generation == 1:
		if fault("definition") {
			return
		}
		if len(q) > 0 || r.Header.Get("Accept") != "application/json" {
			s.complain(w, r, "wrong query or Accept")
			return
		}
		s.answer(w, http.StatusOK, s.apis[i].extended())
	case parts[2] == "revisions" && generation == 4:
		if fault("revisions") {
			return
		}
		if q.Get("query") != "deployed:true" || len(q) != 1 {
			s.complain(w, r, "wrong query")
			return
		}
		var info []object
		for _, e := range s.apis[i].Deployed {
			info = append(info, object{"name": e, "vhost": "localhost"})
		}
		s.answer(w, http.StatusOK, object{"count": 2, "list": []object{
			{"displayName": "Revision 6", "id": "r6", "deploymentInfo": []object{{"name": "Elsewhere"}}},
			{"displayName": "Revision 7", "id": "r7", "deploymentInfo": info},
		}})
	default:
		s.refuse(w, http.StatusNotFound, "no such resource")
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, generation int) {
	q := r.URL.Query()
	keys := map[string]bool{"query": true, "limit": true, "offset": true, "expand": generation < 4}
	for k := range q {
		if !keys[k] {
			s.complain(w, r, "unknown parameter %q", k)
			return
		}
	}
	if q.Get("limit") != "500" || generation == 0 && q.Get("expand") != "true" || generation == 1 && q.Get("expand") != "false" {
		s.complain(w, r, "wrong limit or expand")
		return
	}
	offset := 0
	if o := q.Get("offset"); o != "" {
		var err error
		if offset, err = strconv.Atoi(o); err != nil || offset <= 0 {
			s.complain(w, r, "wrong offset")
			return
		}
	}
	var name, version, label string
	published := false
	for term := range strings.FieldsSeq(q.Get("query")) {
		key, value, _ := strings.Cut(term, ":")
		switch {
		case key == "name":
			name = value
		case key == "version":
			version = value
		case key == "label" && generation < 4:
			label = value
		case term == "status:PUBLISHED":
			published = true
		default:
			s.complain(w, r, "unknown term %q", term)
			return
		}
	}
	if !published || generation < 4 && (label == "") == (name == "") || (name == "") != (version == "") {
		s.complain(w, r, "wrong search")
		return
	}
	var all []object
	for _, a := range s.apis {
		// The server's search finds parts of names.
		if a.Status != "PUBLISHED" && a.Name != "PizzaShackExtra" || name != "" && (!strings.Contains(a.Name, name) || a.Version != version) || label != "" && !slices.Contains(a.Labels, label) {
			continue
		}
		if a.Status != "PUBLISHED" && name == "" {
			continue
		}
		if generation == 0 {
			all = append(all, a.legacy())
		} else {
			all = append(all, a.summary())
		}
	}
	page := all[min(offset, len(all)):min(offset+500, len(all))]
	s.answer(w, http.StatusOK, object{"count": len(page), "list": append([]object{}, page...), "pagination": object{"offset": offset, "limit": 500, "total": len(all)}})
}

func (s *Server) export(w http.ResponseWriter, r *http.Request, scope string) {
	q := r.URL.Query()
	for k := range q {
		if !slices.Contains([]string{"name", "version", "providerName", "revisionNumber", "format", "preserveStatus"}, k) {
			s.complain(w, r, "unknown parameter %q", k)
			return
		}
	}
	i := slices.IndexFunc(s.apis, func(a API) bool {
		return a.Name == q.Get("name") && a.Version == q.Get("version") && a.Provider == q.Get("providerName")
	})
	switch {
	case !strings.Contains(scope, "apim:api_import_export"):
		s.refuse(w, http.StatusForbidden, "the token has no scope apim:api_import_export")
	case q.Get("format") != "YAML" || q.Get("preserveStatus") != "true" || q.Get("revisionNumber") != "7":
		s.complain(w, r, "wrong query")
	case i < 0:
		s.refuse(w, http.StatusNotFound, "no such API")
	default:
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(Zip(s.apis[i].Files("4")))
	}
}
