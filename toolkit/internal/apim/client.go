package apim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

const (
	// pageSize is what WSO2's own toolkit asks for.
	pageSize = 500
	// maxAPIs bounds what a server may hand out.
	maxAPIs = 10_000
	// maxAnswer bounds an answer. 500 definitions come in one.
	maxAnswer = 256 << 20
	// scopes are what the token is asked for: to see APIs, and their tiers.
	scopes = "apim:tier_view apim:api_view"
	// exportScope comes beside them for API Manager 4, which hands out archives.
	exportScope = "apim:api_import_export"
)

// An Error is an answer, or the lack of one, with what to do about it.
type Error struct {
	Err  error
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// A Server is an API Manager and who asks it.
type Server struct {
	Addresses
	Username, Password string
	// ClientID and ClientSecret are of a client that is registered already;
	// empty, one is registered. API Manager knows it again by its name and
	// owner, so that clients do not pile up.
	ClientID, ClientSecret string

	HTTP    *http.Client  // its redirect policy and time-out are set here
	Timeout time.Duration // for each answer
}

// A Query says which APIs.
type Query struct {
	Label         string // gateway label; in API Manager 4, gateway environment
	Name, Version string
}

func (q Query) String() string {
	switch {
	case q.Name == "":
		return fmt.Sprintf("with the label %q", q.Label)
	default:
		return fmt.Sprintf("%q version %q", q.Name, q.Version)
	}
}

// A Found is an API with its definition, ready to be built.
type Found struct {
	API        API
	Definition *tree.Node
}

// A Skipped is an API that matches and cannot be served.
type Skipped struct{ Name, Version, Reason string }

// APIs fetches all published APIs that match. cors is what an API gets whose own CORS settings are off, or nil; it
// counts for version v0.14 alone, as in WSO2's toolkit.
func (s *Server) APIs(ctx context.Context, q Query, cors *CORS) ([]Found, []Skipped, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := c.list(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	var found []Found
	var skipped []Skipped
	for _, item := range list {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		api, err := Describe(item)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.where(c.server.Publisher, "apis"), err)
		}
		if q.Name != "" && (api.Name != q.Name || api.Version != q.Version) {
			continue // the server's search finds parts of names, too
		}
		if !api.HTTP() {
			skipped = append(skipped, Skipped{api.Name, api.Version, fmt.Sprintf("its type is %s, which needs another gateway", api.Type)})
			continue
		}
		f := &Found{API: api}
		switch s.Generation {
		case Legacy:
			err = c.inline(f, item, cors)
		case Labels:
			err = c.swagger(ctx, f, item)
		case Environments:
			f, err = c.export(ctx, api, item, q.Label)
		}
		if err != nil {
			return nil, nil, err
		}
		if f != nil {
			found = append(found, *f)
		}
	}
	if len(found) == 0 && len(skipped) == 0 {
		return nil, nil, c.nothing(q)
	}
	return found, skipped, nil
}

func (c *connection) nothing(q Query) error {
	switch {
	case c.server.Generation != Environments:
		return &Error{Err: fmt.Errorf("no published API %s", q)}
	case q.Name == "":
		return &Error{Err: fmt.Errorf("no published API is deployed to the gateway environment %q", q.Label)}
	default:
		return &Error{Err: fmt.Errorf("no published API %s is deployed to the gateway environment %q", q, q.Label)}
	}
}

// A connection is a server with a token.
type connection struct {
	server *Server
	http   *http.Client
	token  string
}

func (s *Server) connect(ctx context.Context) (*connection, error) {
	client := *s.HTTP
	// A redirect would take password or token along, or turn a POST into a GET.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &connection{server: s, http: &client}
	id, secret := s.ClientID, s.ClientSecret
	if id == "" || secret == "" {
		var err error
		if id, secret, err = c.register(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.authorize(ctx, id, secret)
}

// register makes a client by dynamic client registration.
func (c *connection) register(ctx context.Context) (id, secret string, err error) {
	body, err := json.Marshal(map[string]any{
		"callbackUrl": "https://localhost/",
		"clientName":  "Micro Gateway Cli",
		"owner":       c.server.Username,
		"grantType":   "password",
		"tokenScope":  "Production",
		"saasApp":     true,
	})
	if err != nil {
		return "", "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.Registration, bytes.NewReader(body))
	if err != nil {
		return "", "", err
	}
	req.SetBasicAuth(c.server.Username, c.server.Password)
	req.Header.Set("Content-Type", "application/json")
	var answer struct{ ClientID, ClientSecret string }
	err = c.json(req, "registering a client", &answer)
	var st *statusError
	switch {
	case errors.As(err, &st) && st.code == http.StatusUnauthorized:
		return "", "", &Error{Err: fmt.Errorf("%s refuses the user %q: wrong user name or password, or no permission to register clients", origin(req.URL), c.server.Username)}
	case err != nil:
		return "", "", err
	case answer.ClientID == "" || answer.ClientSecret == "":
		return "", "", fmt.Errorf("registering a client: %s: the answer has no clientId or no clientSecret", short(req))
	}
	return answer.ClientID, answer.ClientSecret, nil
}

func (c *connection) authorize(ctx context.Context, id, secret string) error {
	want := scopes
	if c.server.Generation == Environments {
		want += " " + exportScope
	}
	form := url.Values{
		"grant_type": {"password"}, "username": {c.server.Username}, "password": {c.server.Password}, "scope": {want},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	// Client id and secret are encoded as in a form first (RFC 6749, section
	// 2.3.1).
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token string `json:"access_token"`
		Scope string `json:"scope"`
	}
	if err := c.json(req, "getting a token", &answer); err != nil {
		return err
	}
	if answer.Token == "" {
		return fmt.Errorf("getting a token: %s: the answer has no access_token", short(req))
	}
	// A server that grants less than was asked for says so (section 5.1).
	if answer.Scope != "" && !containsWord(answer.Scope, "apim:api_view") {
		return &Error{Err: fmt.Errorf("the user %q may not see APIs: the token's scope is %q, without apim:api_view", c.server.Username, answer.Scope)}
	}
	c.token = answer.Token
	return nil
}

func containsWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// list is all that match, page by page.
func (c *connection) list(ctx context.Context, q Query) ([]*tree.Node, error) {
	var search []string
	if q.Label != "" && c.server.Generation != Environments {
		search = append(search, "label:"+q.Label)
	}
	if q.Name != "" {
		search = append(search, "name:"+q.Name, "version:"+q.Version)
	}
	search = append(search, "status:PUBLISHED")
	query := url.Values{"query": {strings.Join(search, " ")}, "limit": {fmt.Sprint(pageSize)}}
	switch c.server.Generation {
	case Legacy:
		query.Set("expand", "true")
	case Labels:
		query.Set("expand", "false")
	}
	var all []*tree.Node
	for {
		if len(all) > 0 {
			query.Set("offset", fmt.Sprint(len(all)))
		}
		req, err := c.get(ctx, "apis", query)
		if err != nil {
			return nil, err
		}
		var page struct {
			List       []json.RawMessage `json:"list"`
			Pagination struct {
				Total int `json:"total"`
			} `json:"pagination"`
		}
		if err := c.json(req, "listing APIs", &page); err != nil {
			return nil, err
		}
		for _, raw := range page.List {
			n, err := parse("apis.json", raw)
			if err != nil {
				return nil, fmt.Errorf("listing APIs: %s: %w", short(req), err)
			}
			all = append(all, n)
		}
		switch {
		case len(page.List) == 0, page.Pagination.Total > 0 && page.Pagination.Total <= len(all), page.Pagination.Total == 0 && len(page.List) < pageSize:
			return all, nil
		case len(all) >= maxAPIs:
			return nil, fmt.Errorf("listing APIs: %s: more than %d APIs", short(req), maxAPIs)
		}
	}
}

// inline takes the definition out of the list, as in publisher v0.14.
func (c *connection) inline(f *Found, item *tree.Node, cors *CORS) error {
	text := text(item, "apiDefinition")
	if text == "" {
		return fmt.Errorf("%s: the API %q has no definition", c.where(c.server.Publisher, "apis"), f.API.Name)
	}
	def, err := Definition(f.API.Name+".json", []byte(text))
	if err != nil {
		return fmt.Errorf("the definition of the API %q: %w", f.API.Name, err)
	}
	if cors != nil && cors.Enabled && (f.API.CORS == nil || !f.API.CORS.Enabled) {
		f.API.CORS = cors
		f.API.note("its own CORS settings are off: it has those of corsConfiguration in toolkit-config.toml, or their defaults")
	}
	f.API.write(def, true)
	f.Definition = def
	return nil
}

// swagger fetches the definition, as in publisher v1.
func (c *connection) swagger(ctx context.Context, f *Found, item *tree.Node) error {
	id, err := c.id(item, f.API)
	if err != nil {
		return err
	}
	req, err := c.get(ctx, "apis/"+id+"/swagger", nil)
	if err != nil {
		return err
	}
	data, err := c.do(req, "fetching the definition of "+f.API.Name, "application/json", tree.MaxSize)
	if err != nil {
		return err
	}
	def, err := Definition(f.API.Name+".json", data)
	if err != nil {
		return fmt.Errorf("the definition of the API %q: %w", f.API.Name, err)
	}
	f.API.complete(def)
	f.Definition = def
	return nil
}

// id is what the server calls the API. It goes into a path.
func (c *connection) id(item *tree.Node, api API) (string, error) {
	id := text(item, "id")
	if id == "" {
		return "", fmt.Errorf("%s: the API %q has no id", c.where(c.server.Publisher, "apis"), api.Name)
	}
	return url.PathEscape(id), nil
}

// export fetches the archive of the revision that is deployed to an
// environment, as in API Manager 4. It returns nil if there is none.
func (c *connection) export(ctx context.Context, api API, item *tree.Node, environment string) (*Found, error) {
	id, err := c.id(item, api)
	if err != nil {
		return nil, err
	}
	req, err := c.get(ctx, "apis/"+id+"/revisions", url.Values{"query": {"deployed:true"}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		List []struct {
			DisplayName    string
			DeploymentInfo []struct{ Name string }
		} `json:"list"`
	}
	if err := c.json(req, "asking for the revisions of "+api.Name, &answer); err != nil {
		return nil, err
	}
	number := ""
	for _, r := range answer.List {
		for _, d := range r.DeploymentInfo {
			if d.Name == environment {
				// "Revision 3" is number 3.
				number = r.DisplayName[strings.LastIndexByte(r.DisplayName, ' ')+1:]
			}
		}
	}
	if number == "" {
		return nil, nil
	}
	query := url.Values{
		"name": {api.Name}, "version": {api.Version}, "revisionNumber": {number}, "format": {"YAML"}, "preserveStatus": {"true"},
	}
	if api.Provider != "" {
		query.Set("providerName", api.Provider)
	}
	if req, err = c.get(ctx, "apis/export", query); err != nil {
		return nil, err
	}
	data, err := c.do(req, "exporting "+api.Name, "application/zip", maxArchive)
	if err != nil {
		return nil, err
	}
	f, err := Archive(api.Name+".zip", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", api.Name, err)
	}
	if f.API.Name != api.Name || f.API.Version != api.Version {
		return nil, fmt.Errorf("exporting %s: the archive holds %s %s", api.Name, f.API.Name, f.API.Version)
	}
	return &f, nil
}

func (c *connection) get(ctx context.Context, path string, query url.Values) (*http.Request, error) {
	u := strings.TrimSuffix(c.server.Publisher, "/") + "/" + path
	if len(query) > 0 {
		// "%20" and not "+" for blanks: older versions take the query apart
		// themselves.
		u += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// json sends a request and reads the answer's JSON.
func (c *connection) json(req *http.Request, doing string, to any) error {
	data, err := c.do(req, doing, "application/json", maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("%s: %s: the answer is not JSON: %w", doing, short(req), err)
	}
	return nil
}

// A statusError is an answer other than success.
type statusError struct {
	code int
	msg  string
}

func (e *statusError) Error() string { return e.msg }

// do sends a request and returns the body of an answer of that media type.
func (c *connection) do(req *http.Request, doing, accept string, limit int64) ([]byte, error) {
	parent := req.Context()
	ctx, cancel := context.WithTimeout(parent, c.server.Timeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", accept)
	late := func(err error) error {
		if parent.Err() != nil {
			return parent.Err()
		}
		if ctx.Err() != nil {
			return &Error{fmt.Errorf("%s: %s: no whole answer within %s", doing, short(req), c.server.Timeout), "client.httpRequestTimeout in toolkit-config.toml allows more, in milliseconds"}
		}
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, late(broken(req, doing, err))
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, c.refused(req, res, doing)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if media == "text/html" {
		return nil, &Error{fmt.Errorf("%s: %s: the answer is a web page (%s), not %s", doing, short(req), media, accept), "is this the address of API Manager's REST API?"}
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, late(fmt.Errorf("%s: %s: the answer is cut short: %w", doing, short(req), err))
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: %s: the answer is larger than %d MiB", doing, short(req), limit>>20)
	}
	return data, nil
}

// refused turns an answer other than success into an error, with the server's
// own words if it has some.
func (c *connection) refused(req *http.Request, res *http.Response, doing string) error {
	msg := fmt.Sprintf("%s: %s: the server answered %s", doing, short(req), printable(res.Status))
	hint := ""
	switch code := res.StatusCode; {
	case code >= 300 && code < 400:
		if to, err := res.Location(); err == nil {
			msg += ", to " + origin(to)
		}
		hint = "credentials are not sent on: give the address it leads to"
	case code == http.StatusNotFound:
		hint = fmt.Sprintf("the REST API asked for is %s: --apim-version says which API Manager it is", c.server.Version)
	}
	var said struct {
		Description string `json:"description"`
		OAuth       string `json:"error_description"`
	}
	if data, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)); err == nil && json.Unmarshal(data, &said) == nil {
		if words := printable(first(said.OAuth, said.Description)); words != "" {
			msg += ": " + words
		}
	}
	return &Error{&statusError{code: res.StatusCode, msg: msg}, hint}
}

// broken says what has come between: nobody there, somebody else there, or a
// connection that ends before the answer.
func broken(req *http.Request, doing string, err error) error {
	var op *net.OpError
	switch {
	case isCertificate(err):
		return &Error{fmt.Errorf("cannot connect to %s: %w", origin(req.URL), err), "-t names a store with the certificate to trust, PKCS#12 or PEM"}
	case errors.As(err, &op) && op.Op == "dial":
		err = op.Err
		var call *os.SyscallError
		if errors.As(err, &call) {
			err = call.Err
		}
		return &Error{Err: fmt.Errorf("cannot connect to %s: %w", origin(req.URL), err)}
	}
	return fmt.Errorf("%s: %s: the connection broke: %w", doing, short(req), err)
}

// origin is scheme, host and port, without user and password.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// short is a request for people, without its query.
func short(req *http.Request) string {
	return req.Method + " " + origin(req.URL) + req.URL.EscapedPath()
}

func (c *connection) where(base, path string) string {
	return "GET " + strings.TrimSuffix(base, "/") + "/" + path
}

// printable keeps what a server says on one line, short and harmless.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if diag.Unprintable(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 200 {
		s = string(runes[:200]) + "..."
	}
	return strings.TrimSpace(s)
}

// parse reads JSON or YAML, by its name, and says the first thing that is wrong
// with it.
func parse(name string, data []byte) (*tree.Node, error) {
	var l diag.List
	n := tree.Parse(name, data, &l)
	if n == nil {
		return nil, errors.New(l[0].String())
	}
	return n, nil
}

// Definition reads an OpenAPI definition. The name's ending is its format.
func Definition(name string, data []byte) (*tree.Node, error) {
	n, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if n.Get("openapi") == nil && n.Get("swagger") == nil {
		return nil, errors.New("not an API definition: no key \"openapi\" or \"swagger\" at the top")
	}
	return n, nil
}
