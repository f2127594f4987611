package introspect

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/confirm"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// maxAnswer bounds an answer's body.
const maxAnswer = 64 << 10

// maxScopes bounds the scopes of one token.
const maxScopes = 1000

// A Server is an endpoint for token introspection (RFC 7662).
type Server struct {
	URL  string // http or https
	Auth Auth   // how the gateway proves who it is
	// TLS is how the server does; nil: by the system's authorities. It holds our
	// certificate where that is asked for.
	TLS *tls.Config

	// Issuer is what iss must be if it is there, and whose token it is taken for
	// if not; "": it is not looked at.
	Issuer string
	// Audience lists the values of which aud must have one. Empty: aud is not
	// looked at.
	Audience []string
	// Claims names the members that are claims of the principal, beside scope,
	// client_id and username. The rest of an answer is for the gateway.
	Claims []string
}

// passedOn are the members that are always claims.
var passedOn = []string{"scope", "client_id", "username"}

// New returns an introspector that asks s.
func New(s Server, o Options) (*Introspector, error) {
	if err := checkURL(s.URL); err != nil {
		return nil, err
	}
	if s.Auth == nil {
		return nil, errors.New("introspection: nobody answers whom he does not know: no client authentication")
	}
	t := newTransport(s.TLS, &o)
	in := newIntrospector(o, t)
	client := newClient(t)
	s.Audience = slices.Clone(s.Audience)
	s.Claims = append(slices.Clone(passedOn), s.Claims...)
	in.ask = func(ctx context.Context, q question) (*answer, error) {
		return again(s.Auth, func(h http.Header) (*answer, error) { return s.ask(ctx, client, q, h) })
	}
	return in, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("introspection: not a URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return fmt.Errorf("introspection %s: not an http or https URL", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("introspection %s: a URL with a password ends up in logs", u.Redacted())
	}
	return nil
}

func newTransport(c *tls.Config, o *Options) *http.Transport {
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	n := o.Concurrent
	setDefault(&n, defaultConcurrent)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        c,
		MaxIdleConnsPerHost:    n,
		MaxConnsPerHost:        n,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// newClient follows no redirects: a token is shown to nobody whom the operator
// has not named.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// post sends a body and returns that of a 200.
func post(ctx context.Context, c *http.Client, to string, h http.Header, body, mediaType string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the question cannot be sent")
	}
	r.Header = h
	// Asking twice does no harm, so an idle connection that has just been
	// closed is no failure. An empty list is not sent.
	r.Header["Idempotency-Key"] = []string{}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// What it says, which is for the log, and so that the connection can be used
		// again.
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return nil, statusError(resp.StatusCode, said)
	}
	if got, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || got != mediaType {
		return nil, fmt.Errorf("the server answered with something that is not %s", mediaType)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	}
	return data, nil
}

func (s *Server) ask(ctx context.Context, c *http.Client, q question, h http.Header) (*answer, error) {
	form := url.Values{"token": {q.token}, "token_type_hint": {"access_token"}}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("Accept", "application/json")
	if err := s.Auth.authenticate(ctx, form, h); err != nil {
		return nil, fmt.Errorf("the gateway's own credentials: %w", err)
	}
	data, err := post(ctx, c, s.URL, h, form.Encode(), "application/json")
	if err != nil {
		return nil, err
	}
	a, err := s.read(data)
	if err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	return a, nil
}

// read reads an answer (RFC 7662, section 2.2). An error means that it is none.
func (s *Server) read(data []byte) (*answer, error) {
	members := map[string][]byte{}
	if err := strictjson.Object(data, func(name, value []byte) error {
		members[string(name)] = value
		return nil
	}); err != nil {
		return nil, err
	}
	switch string(members["active"]) {
	case "true":
	case "false":
		return &answer{refused: fault.InvalidCredentials.Becausef("the server says that the opaque token is not active")}, nil
	default:
		return nil, errors.New("active is not true or false")
	}
	r := reader{members: members}
	p := &exchange.Principal{
		Scheme: "opaque", Issuer: r.text("iss"), Subject: r.text("sub"), Username: r.text("username"),
		ConsumerKey: r.text("client_id"), KeyType: r.text("keytype"), TokenID: r.text("jti"),
		Scopes: r.scopes("scope"), Claims: r.only(s.Claims),
	}
	a := &answer{principal: p, expires: r.date("exp"), notBefore: r.date("nbf"), issued: r.date("iat")}
	audience := r.list("aud")
	typ, use := r.text("token_type"), r.text("token_use")
	bound, err := r.bound()
	switch {
	case r.err != nil:
		return nil, r.err
	case err != nil:
		return refusal(err)
	}
	a.bound, p.Bound = bound, bound != nil
	switch {
	case s.Issuer != "" && p.Issuer != "" && p.Issuer != s.Issuer:
		return refusal(fmt.Errorf("opaque token of the issuer %.100q", p.Issuer))
	case len(s.Audience) > 0 && !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(s.Audience, a) }):
		return refusal(fmt.Errorf("opaque token for the audience %.100q (of %d)", audience[:min(len(audience), 5)], len(audience)))
	case typ != "" && !strings.EqualFold(typ, "Bearer") && !strings.EqualFold(typ, "access_token"):
		// DPoP, for one: it would have to be proved in a way that is not known here.
		return refusal(fmt.Errorf("opaque token of the type %.40q", typ))
	case use != "" && use != "access_token":
		return refusal(fmt.Errorf("opaque token for the use as %.40q", use))
	}
	if p.Issuer == "" {
		p.Issuer = s.Issuer
	}
	if p.Username == "" {
		p.Username = p.Subject
	}
	// Tokens without a key type are for production, as in WSO2 API Microgateway.
	if p.KeyType == "" {
		p.KeyType = "PRODUCTION"
	}
	if a.expires != 0 {
		p.Expires = time.UnixMilli(a.expires)
	}
	return a, nil
}

func refusal(why error) (*answer, error) {
	return &answer{refused: fault.InvalidCredentials.Because(why)}, nil
}

// A reader takes members of an answer apart and keeps the first thing that is
// wrong with them.
type reader struct {
	members map[string][]byte
	err     error
}

func (r *reader) get(name string) []byte {
	if v := r.members[name]; v != nil && !strictjson.Null(v) {
		return v
	}
	return nil
}

func (r *reader) wrong(name, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s is not %s", name, what)
	}
}

func (r *reader) text(name string) string {
	v := r.get(name)
	if v == nil {
		return ""
	}
	s, ok := strictjson.String(v)
	if !ok {
		r.wrong(name, "a string")
	}
	return s
}

func (r *reader) list(name string) []string {
	v := r.get(name)
	if v == nil {
		return nil
	}
	all, ok := strictjson.Strings(v)
	if !ok {
		r.wrong(name, "a string or a list of strings")
	}
	return all
}

// scopes are a string with blanks between them, or what some servers have, a list.
func (r *reader) scopes(name string) (all []string) {
	for _, s := range r.list(name) {
		for _, one := range strings.Fields(s) {
			if slices.Contains(all, one) {
				continue
			}
			if len(all) == maxScopes {
				r.wrong(name, "of a number of scopes that a token has")
				return nil
			}
			all = append(all, one)
		}
	}
	return all
}

// only returns an object with the members of these names and no others.
func (r *reader) only(names []string) []byte {
	object := []byte{'{'}
	for i, name := range names {
		value := r.get(name)
		if value == nil || slices.Contains(names[:i], name) {
			continue
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		quoted, _ := json.Marshal(name) // of a string: it cannot fail
		object = append(append(append(object, quoted...), ':'), value...)
	}
	return append(object, '}')
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

// date is one in milliseconds, never 0.
func (r *reader) date(name string) int64 {
	v := r.get(name)
	if v == nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.IsNaN(f) || f < 0 {
		r.wrong(name, "a date")
		return 0
	}
	return max(1, int64(math.Floor(min(f, lastSecond)*1000)))
}

// bound returns what the token is bound to, nil if to nothing. An error is a reason
// to refuse the token.
func (r *reader) bound() (*confirm.Certificate, error) {
	cnf := r.get("cnf")
	if cnf == nil {
		return nil, nil
	}
	return confirm.Read(cnf)
}
