package spec

import (
	"fmt"
	"math"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Where each extension is read. "A" is the root, "O" an operation.
var extensions = map[string]string{
	"x-wso2-basePath":             "A",
	"x-wso2-production-endpoints": "AO",
	"x-wso2-sandbox-endpoints":    "AO",
	"x-wso2-endpoints":            "A",
	"x-wso2-throttling-tier":      "AO",
	"x-wso2-request-interceptor":  "AO",
	"x-wso2-response-interceptor": "AO",
	"x-wso2-cors":                 "A",
	"x-wso2-auth-header":          "A",
	"x-wso2-disable-security":     "AO",
	"x-wso2-application-security": "AO",
	"x-wso2-mutual-ssl":           "A",
	"x-wso2-transports":           "A",
	"x-wso2-owner":                "A",
	"x-wso2-response-cache":       "A",
}

var extensionNames = func() []string {
	var names []string
	for name := range extensions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()

// isExtension reports whether a key is an extension, or was meant to be one of
// ours: "X-WSO2-cors" must not pass as nothing.
func isExtension(name string) bool {
	return strings.HasPrefix(name, "x-") || ours(name)
}

// ours reports whether a key looks like one of WSO2's.
func ours(name string) bool {
	return len(name) >= 5 && strings.EqualFold(name[:5], "x-wso") || len(name) >= 5 && strings.EqualFold(name[:5], "x_wso")
}

// extension checks the name of an extension and the level it stands at. Their
// values are read by document.
func (c *checker) extension(o *object, n *tree.Node, i int, p *place) {
	name := n.Keys[i].Name
	if !ours(name) {
		return
	}
	at := n.KeyAt(i, p.key(name).String())
	levels, known := extensions[name]
	switch {
	case name == "x-wso2-security" && o.name == "Root":
		c.diags.Warnf(at, "API Manager's own list of scopes: it is ignored")
	case !known:
		c.diags.ErrorHint(n.KeyAt(i, p.String()), nearestExtension(name), "unknown extension %q", name)
	case o.name == "Root" && strings.Contains(levels, "A"), o.name == "Operation" && strings.Contains(levels, "O"):
	case levels == "A":
		c.diags.ErrorHint(at, "move it to the top level of the definition", "it is read at the top level only")
	default:
		c.diags.ErrorHint(at, "move it to the top level of the definition or into operations", "it is not read here")
	}
}

// nearestExtension is a hint. The prefix that all have in common is no sign of
// likeness.
func nearestExtension(name string) string {
	const prefix = "x-wso2-"
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return diag.DidYouMean(name, extensionNames)
	}
	for _, known := range extensionNames {
		if diag.Nearest(name[len(prefix):], []string{known[len(prefix):]}) != "" {
			return fmt.Sprintf("did you mean %q?", known)
		}
	}
	return ""
}

// reader reads the values of extensions. Each of its methods reports what is
// wrong and returns nil or a zero value then.
type reader struct {
	diags *diag.List
}

func (r *reader) at(n *tree.Node, p *place) diag.At { return n.At(p.String()) }

func (r *reader) want(what string, n *tree.Node, p *place) {
	r.diags.Errorf(r.at(n, p), "want %s, not %s", what, n.Describe())
}

// text reads a name. Any scalar is one: "x-wso2-throttling-tier: 100".
func (r *reader) text(n *tree.Node, p *place) *Text {
	switch n.Kind {
	case tree.String, tree.Number, tree.Bool:
		if v := strings.TrimSpace(n.Text); v != "" {
			return &Text{v, r.at(n, p)}
		}
		r.diags.Errorf(r.at(n, p), "it is empty")
		return nil
	}
	r.want("a string", n, p)
	return nil
}

func (r *reader) flag(n *tree.Node, p *place) *Flag {
	if n.Kind == tree.Bool {
		return &Flag{n.Text == "true", r.at(n, p)}
	}
	hint := ""
	if n.Kind == tree.String && (n.Text == "true" || n.Text == "false") {
		hint = "write " + n.Text + " without quotes"
	}
	r.diags.ErrorHint(r.at(n, p), hint, "want true or false, not %s", n.Describe())
	return nil
}

// whole reads a whole number from lo to hi.
func (r *reader) whole(n *tree.Node, p *place, lo, hi int64) int64 {
	if n.Kind == tree.Number {
		if v, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
			if v >= lo && v <= hi {
				return v
			}
			if hi == math.MaxInt32 && v < lo {
				r.diags.Errorf(r.at(n, p), "%s is too little: want %d or more", n.Text, lo)
			} else {
				r.diags.Errorf(r.at(n, p), "%s is out of range: want %d to %d", n.Text, lo, hi)
			}
			return lo
		}
	}
	r.want("a whole number", n, p)
	return lo
}

func (r *reader) real(n *tree.Node, p *place, lo, hi float64) float64 {
	if n.Kind == tree.Number {
		if v, err := strconv.ParseFloat(n.Text, 64); err == nil {
			if v >= lo && v <= hi {
				return v
			}
			r.diags.Errorf(r.at(n, p), "%s is out of range: want %v to %v", n.Text, lo, hi)
			return lo
		}
	}
	r.want("a number", n, p)
	return lo
}

func (r *reader) statusCodes(n *tree.Node, p *place) []int32 {
	if n.Kind != tree.Array {
		r.want("a list of status codes", n, p)
		return nil
	}
	var codes []int32
	for i, item := range n.Items {
		codes = append(codes, int32(r.whole(item, p.item(i), 100, 599)))
	}
	return codes
}

func (r *reader) texts(n *tree.Node, p *place) []string {
	if n.Kind != tree.Array {
		r.want("a list", n, p)
		return nil
	}
	var texts []string
	for i, item := range n.Items {
		if t := r.text(item, p.item(i)); t != nil {
			texts = append(texts, t.Value)
		}
	}
	return texts
}

// members calls the function for each key of an object; keys without one are
// errors. A key with nothing behind it is as if it were not there.
func (r *reader) members(n *tree.Node, p *place, known map[string]func(*tree.Node, *place)) bool {
	if n.Kind != tree.Object {
		r.want("an object", n, p)
		return false
	}
	for i, item := range n.Items {
		name := n.Keys[i].Name
		read := known[name]
		if read == nil {
			names := make([]string, 0, len(known))
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			hint := diag.DidYouMean(name, names)
			if hint == "" {
				hint = "known keys are " + strings.Join(names, ", ")
			}
			r.diags.ErrorHint(n.KeyAt(i, p.String()), hint, "unknown key %q", name)
			continue
		}
		if item.Kind != tree.Null {
			read(item, p.key(name))
		}
	}
	return true
}

// root reads the extensions of the root.
func (r *reader) root(n *tree.Node) APIExtensions {
	var x APIExtensions
	for i, item := range n.Items {
		name := n.Keys[i].Name
		var p *place
		p = p.key(name)
		if item.Kind == tree.Null {
			if _, known := extensions[name]; known {
				r.diags.Errorf(n.KeyAt(i, p.String()), "it has no value")
			}
			if name == "x-wso2-basePath" {
				x.BasePath = &Text{At: r.at(item, p)}
			}
			continue
		}
		switch name {
		case "x-wso2-basePath":
			if item.Kind != tree.String {
				r.want("a string", item, p)
			} else {
				x.BasePath = r.text(item, p)
			}
			if x.BasePath == nil {
				x.BasePath = &Text{At: r.at(item, p)}
			}
		case "x-wso2-production-endpoints":
			x.Production = r.endpointRef(item, p)
		case "x-wso2-sandbox-endpoints":
			x.Sandbox = r.endpointRef(item, p)
		case "x-wso2-endpoints":
			x.Endpoints = r.endpoints(item, p)
		case "x-wso2-throttling-tier":
			x.Tier = r.text(item, p)
		case "x-throttling-tier":
			if n.Get("x-wso2-throttling-tier") == nil {
				x.Tier = r.text(item, p)
			}
		case "x-wso2-request-interceptor":
			x.Request = r.text(item, p)
		case "x-wso2-response-interceptor":
			x.Response = r.text(item, p)
		case "x-wso2-cors":
			x.CORS = r.cors(item, p)
		case "x-wso2-auth-header":
			x.AuthHeader = r.header(item, p)
		case "x-wso2-disable-security":
			x.Disable = r.flag(item, p)
		case "x-wso2-application-security":
			x.Application = r.application(item, p)
		case "x-wso2-mutual-ssl":
			x.MutualSSL = r.oneOf(item, p, "mandatory", "optional")
		case "x-wso2-transports":
			x.Transports = r.transports(item, p)
		case "x-wso2-owner":
			x.Owner = r.text(item, p)
		case "x-wso2-response-cache":
			x.Cache = r.cache(item, p)
		}
	}
	return x
}

// operation reads the extensions of an operation.
func (r *reader) operation(n *tree.Node, p *place) OperationExtensions {
	var x OperationExtensions
	for i, item := range n.Items {
		name := n.Keys[i].Name
		p := p.key(name)
		if item.Kind == tree.Null {
			if levels := extensions[name]; strings.Contains(levels, "O") {
				r.diags.Errorf(n.KeyAt(i, p.String()), "it has no value")
			}
			continue
		}
		switch name {
		case "x-wso2-production-endpoints":
			x.Production = r.endpointRef(item, p)
		case "x-wso2-sandbox-endpoints":
			x.Sandbox = r.endpointRef(item, p)
		case "x-wso2-throttling-tier":
			x.Tier = r.text(item, p)
		case "x-throttling-tier":
			if n.Get("x-wso2-throttling-tier") == nil {
				x.Tier = r.text(item, p)
			}
		case "x-wso2-request-interceptor":
			x.Request = r.text(item, p)
		case "x-wso2-response-interceptor":
			x.Response = r.text(item, p)
		case "x-wso2-disable-security":
			x.Disable = r.flag(item, p)
		case "x-wso2-application-security":
			x.Application = r.application(item, p)
		case "x-scope":
			x.Scope = r.text(item, p)
		case "x-auth-type":
			// API Manager writes others ("Application User"); only this one
			// opens an operation, and only in this spelling.
			if item.Kind == tree.String && item.Text == "None" {
				x.AuthNone = &Flag{true, r.at(item, p)}
			}
		}
	}
	return x
}

func (r *reader) oneOf(n *tree.Node, p *place, words ...string) *Text {
	if n.Kind == tree.String {
		for _, w := range words {
			if strings.EqualFold(strings.TrimSpace(n.Text), w) {
				return &Text{w, r.at(n, p)}
			}
		}
		r.diags.ErrorHint(r.at(n, p), diag.DidYouMean(n.Text, words), "want %s, not %s", strings.Join(words, " or "), n.Describe())
		return nil
	}
	r.want(strings.Join(words, " or "), n, p)
	return nil
}

var fieldName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// header reads the name of a header field (RFC 9110, section 5.1).
func (r *reader) header(n *tree.Node, p *place) *Text {
	t := r.text(n, p)
	if t == nil {
		return nil
	}
	if !fieldName.MatchString(t.Value) {
		r.diags.Errorf(t.At, "%q is not a header name", t.Value)
		return nil
	}
	switch textproto.CanonicalMIMEHeaderKey(t.Value) {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive":
		r.diags.Errorf(t.At, "%q cannot carry credentials: it belongs to the connection", t.Value)
		return nil
	}
	return t
}

func (r *reader) transports(n *tree.Node, p *place) []string {
	if n.Kind != tree.Array {
		r.want("a list of http and https", n, p)
		return nil
	}
	var found []string
	for i, item := range n.Items {
		if t := r.oneOf(item, p.item(i), "http", "https"); t != nil && !slices.Contains(found, t.Value) {
			found = append(found, t.Value)
		}
	}
	slices.Sort(found)
	return found
}

func (r *reader) cache(n *tree.Node, p *place) *ResponseCache {
	x := &ResponseCache{At: r.at(n, p)}
	ok := r.members(n, p, map[string]func(*tree.Node, *place){
		"enabled": func(n *tree.Node, p *place) {
			if f := r.flag(n, p); f != nil {
				x.Enabled = f.Value
			}
		},
		"cacheTimeoutInSeconds": func(n *tree.Node, p *place) {
			x.TimeoutMillis = 1000 * r.whole(n, p, 0, math.MaxInt32)
		},
	})
	if ok && n.Get("enabled") == nil {
		r.diags.Errorf(x.At, `"enabled" is missing`)
	}
	return x
}

func (r *reader) application(n *tree.Node, p *place) *ApplicationSecurity {
	x := &ApplicationSecurity{At: r.at(n, p)}
	known := []string{"basic_auth", "api_key", "oauth2"}
	r.members(n, p, map[string]func(*tree.Node, *place){
		"security-types": func(n *tree.Node, p *place) {
			if n.Kind != tree.Array {
				r.want("a list", n, p)
				return
			}
			for i, item := range n.Items {
				if !slices.Contains(known, item.Text) || item.Kind != tree.String {
					r.diags.ErrorHint(r.at(item, p.item(i)), diag.DidYouMean(item.Text, known), "%s is none of %s", item.Describe(), strings.Join(known, ", "))
				} else if !slices.Contains(x.Types, item.Text) {
					x.Types = append(x.Types, item.Text)
				}
			}
		},
		"optional": func(n *tree.Node, p *place) { x.Optional = r.flag(n, p) },
	})
	return x
}

// corsKeys are the keys of x-wso2-cors by their spelling without case and marks:
// camelCase, snake_case and kebab-case all occur.
func (r *reader) cors(n *tree.Node, p *place) *CORS {
	x := &CORS{At: r.at(n, p)}
	off := false
	known := make(map[string]func(*tree.Node, *place))
	add := func(name string, read func(*tree.Node, *place)) {
		known[name] = read
		for _, mark := range []string{"_", "-"} {
			var b strings.Builder
			for _, c := range name {
				if c >= 'A' && c <= 'Z' {
					b.WriteString(mark)
					c += 'a' - 'A'
				}
				b.WriteRune(c)
			}
			known[b.String()] = read
		}
	}
	list := func(to *[]string) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) {
			if *to != nil {
				r.diags.Errorf(r.at(n, p), "the same setting is here in two spellings")
			}
			*to = r.texts(n, p)
		}
	}
	add("accessControlAllowOrigins", list(&x.Origins))
	add("accessControlAllowHeaders", list(&x.Headers))
	add("accessControlAllowMethods", list(&x.Methods))
	add("accessControlExposeHeaders", list(&x.Expose))
	add("accessControlAllowCredentials", func(n *tree.Node, p *place) {
		if f := r.flag(n, p); f != nil {
			x.AllowCredentials = f.Value
		}
	})
	add("corsConfigurationEnabled", func(n *tree.Node, p *place) {
		if f := r.flag(n, p); f != nil {
			off = !f.Value
		}
	})
	r.members(n, p, known)
	if off {
		return nil
	}
	return x
}

// endpoints reads x-wso2-endpoints: a list of objects with one key each.
func (r *reader) endpoints(n *tree.Node, p *place) []NamedEndpoint {
	if n.Kind != tree.Array {
		r.diags.ErrorHint(r.at(n, p), "write each name with a dash: \"- NAME:\" and the endpoint below it", "want a list of named endpoints, not %s", n.Describe())
		return nil
	}
	var found []NamedEndpoint
	for i, item := range n.Items {
		p := p.item(i)
		if item.Kind != tree.Object {
			r.want("an object with the endpoint's name as its key", item, p)
			continue
		}
		if item.Get("urls") != nil || len(item.Keys) == 0 {
			r.diags.ErrorHint(r.at(item, p), "indent urls and the other keys below the name", "the endpoint has no name of its own")
			continue
		}
		for k, value := range item.Items {
			name := item.Keys[k].Name
			at := item.KeyAt(k, p.key(name).String())
			for _, before := range found {
				if before.Name == name {
					r.diags.Errorf(at, "the endpoint %q is here twice: first at %s", name, before.At)
				}
			}
			found = append(found, NamedEndpoint{Name: name, At: at, Endpoint: r.endpoint(value, p.key(name))})
		}
	}
	return found
}

const refMark = "#/x-wso2-endpoints/"

func (r *reader) endpointRef(n *tree.Node, p *place) *EndpointRef {
	x := &EndpointRef{At: r.at(n, p)}
	if n.Kind == tree.String {
		_, name, ok := strings.Cut(n.Text, refMark)
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			r.diags.ErrorHint(x.At, `write an object with "urls", or "#/x-wso2-endpoints/NAME"`, "%s is no reference to an endpoint", n.Describe())
			return x
		}
		x.Name = name
		return x
	}
	x.Endpoint = r.endpoint(n, p)
	return x
}

func (r *reader) endpoint(n *tree.Node, p *place) *Endpoint {
	x := &Endpoint{At: r.at(n, p)}
	ok := r.members(n, p, map[string]func(*tree.Node, *place){
		"urls": func(n *tree.Node, p *place) {
			if n.Kind != tree.Array {
				r.diags.ErrorHint(r.at(n, p), "put it in brackets or behind a dash", "want a list, not %s", n.Describe())
				return
			}
			if len(n.Items) == 0 {
				r.diags.Errorf(r.at(n, p), "the list is empty")
			}
			for i, item := range n.Items {
				if u := r.url(item, p.item(i)); u != nil {
					x.URLs = append(x.URLs, *u)
				}
			}
		},
		"type": func(n *tree.Node, p *place) {
			types := []string{"http", "load_balance", "failover", "address"}
			if n.Kind != tree.String || !slices.Contains(types, n.Text) {
				r.diags.ErrorHint(r.at(n, p), diag.DidYouMean(n.Text, types), "%s is none of %s", n.Describe(), strings.Join(types, ", "))
				return
			}
			x.Type = Text{n.Text, r.at(n, p)}
		},
		"name": func(n *tree.Node, p *place) {
			if t := r.text(n, p); t != nil {
				x.Name = t.Value
			}
		},
		"securityConfig":        func(n *tree.Node, p *place) { x.Auth = r.auth(n, p) },
		"advanceEndpointConfig": func(n *tree.Node, p *place) { x.Resilience = r.resilience(n, p) },
	})
	if !ok {
		return nil
	}
	if urls := n.Get("urls"); urls == nil || urls.Kind == tree.Null {
		r.diags.Errorf(x.At, `"urls" is missing`)
	}
	return x
}

var etcd = regexp.MustCompile(`^etcd\s*\(([^,]*),(.*)\)$`)

func (r *reader) url(n *tree.Node, p *place) *EndpointURL {
	x := &EndpointURL{At: r.at(n, p)}
	if n.Kind != tree.String {
		r.want("a URL", n, p)
		return nil
	}
	x.URL = strings.TrimSpace(n.Text)
	if strings.HasPrefix(x.URL, "etcd") && strings.Contains(x.URL, "(") {
		m := etcd.FindStringSubmatch(x.URL)
		if m == nil {
			r.diags.ErrorHint(x.At, "write etcd(KEY, DEFAULT-URL)", "%s is neither a URL nor an etcd key", n.Describe())
			return nil
		}
		x.Etcd, x.URL = strings.TrimSpace(m[1]), strings.TrimSpace(m[2])
		if x.Etcd == "" {
			r.diags.ErrorHint(x.At, "write etcd(KEY, DEFAULT-URL)", "the etcd key is empty")
			return nil
		}
	}
	u, problem, hint := CheckURL(x.URL)
	if problem != "" {
		r.diags.ErrorHint(x.At, hint, "%s", problem)
		return nil
	}
	x.URL = u
	return x
}

// hostName is a name as the DNS and its lesser relatives have them (containers
// like underscores), or an IPv6 address with its zone.
var hostName = regexp.MustCompile(`^([0-9A-Za-z._~-]+|[0-9A-Fa-f:.]+(%[0-9A-Za-z._~-]+)?)$`)

// CheckURL says what is wrong with the URL of an upstream, or returns it as it
// is to be used: without a slash at the end of its path, since the paths of
// operations begin with one.
func CheckURL(raw string) (clean, problem, hint string) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", "the URL is empty", ""
	case err != nil:
		return "", fmt.Sprintf("%q is not a URL", raw), ""
	case u.Scheme == "":
		return "", fmt.Sprintf("%q has no scheme", raw), fmt.Sprintf("write %q", "http://"+strings.TrimLeft(raw, "/"))
	case u.Scheme != "http" && u.Scheme != "https":
		if u.Opaque != "" { // "localhost:8080/x"
			if _, err := strconv.Atoi(strings.SplitN(u.Opaque, "/", 2)[0]); err == nil {
				return "", fmt.Sprintf("%q has no scheme", raw), fmt.Sprintf("write %q", "http://"+raw)
			}
		}
		return "", fmt.Sprintf("unsupported scheme %q", u.Scheme), ""
	case u.Hostname() == "":
		return "", fmt.Sprintf("%q has no host", raw), ""
	case !hostName.MatchString(u.Hostname()):
		hint := ""
		if strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r >= 0x80 }) {
			hint = `write it in its ASCII form, which begins with "xn--"`
		}
		return "", fmt.Sprintf("%q is not a host name", u.Hostname()), hint
	case u.User != nil:
		return "", "credentials in a URL end up in logs", "use securityConfig"
	case u.Fragment != "":
		return "", fmt.Sprintf("%q has a fragment, which is never sent", raw), ""
	}
	if strings.HasSuffix(u.Host, ":") {
		return "", fmt.Sprintf("%q has a colon, but no port", u.Host), ""
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", fmt.Sprintf("%s is not a port", port), ""
		}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u.String(), "", ""
}

func (r *reader) auth(n *tree.Node, p *place) *EndpointAuth {
	x := &EndpointAuth{At: r.at(n, p)}
	ok := r.members(n, p, map[string]func(*tree.Node, *place){
		"type": func(n *tree.Node, p *place) {
			types := []string{"basic", "digest"}
			if n.Kind != tree.String || !slices.Contains(types, n.Text) {
				r.diags.ErrorHint(r.at(n, p), diag.DidYouMean(n.Text, types), "%s is none of basic, digest", n.Describe())
				return
			}
			x.Type = n.Text
		},
		"username": func(n *tree.Node, p *place) {
			if t := r.text(n, p); t != nil {
				x.Username = t.Value
				if strings.Contains(t.Value, ":") { // RFC 7617, section 2
					r.diags.Errorf(t.At, "a user name cannot have a colon in it")
				}
			}
		},
		"password": func(n *tree.Node, p *place) {
			r.diags.WarnHint(r.at(n, p), "remove it, and give it to the runtime", "a password in a definition is not used: it comes from the runtime's conf")
		},
	})
	if !ok {
		return nil
	}
	if n.Get("type") == nil {
		r.diags.Errorf(x.At, `"type" is missing: basic or digest`)
		return nil
	}
	if x.Type == "" {
		return nil
	}
	return x
}

// resilience reads an advanceEndpointConfig. The defaults are those of WSO2
// where the block is there and the key is not.
func (r *reader) resilience(n *tree.Node, p *place) *Resilience {
	type members = map[string]func(*tree.Node, *place)
	millis := func(to *int64) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) { *to = r.whole(n, p, 0, math.MaxInt32) }
	}
	signed := func(to *int64) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) { *to = r.whole(n, p, -1, math.MaxInt32) }
	}
	small := func(to *int32, lo int64) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) { *to = int32(r.whole(n, p, lo, math.MaxInt32)) }
	}
	ratio := func(to *float64, hi float64) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) { *to = r.real(n, p, 0, hi) }
	}
	codes := func(to *[]int32) func(*tree.Node, *place) {
		return func(n *tree.Node, p *place) { *to = r.statusCodes(n, p) }
	}
	x := &Resilience{At: r.at(n, p), TimeoutMillis: 60000}
	r.members(n, p, members{
		"timeoutInMillis": millis(&x.TimeoutMillis),
		"retryConfig": func(n *tree.Node, p *place) {
			x.Retry = &Retry{}
			r.members(n, p, members{
				"count":                   small(&x.Retry.Count, 0),
				"intervalInMillis":        millis(&x.Retry.IntervalMillis),
				"backOffFactor":           ratio(&x.Retry.BackOffFactor, 1000),
				"maxWaitIntervalInMillis": millis(&x.Retry.MaxWaitMillis),
				"statusCodes":             codes(&x.Retry.StatusCodes),
			})
		},
		"circuitBreaker": func(n *tree.Node, p *place) {
			b := &CircuitBreaker{RequestVolumeThreshold: 10, WindowMillis: 60000, BucketMillis: 10000}
			x.CircuitBreaker = b
			r.members(n, p, members{
				"failureThreshold":  ratio(&b.FailureThreshold, 1),
				"resetTimeInMillis": millis(&b.ResetMillis),
				"statusCodes":       codes(&b.StatusCodes),
				"rollingWindow": func(n *tree.Node, p *place) {
					r.members(n, p, members{
						"requestVolumeThreshold": small(&b.RequestVolumeThreshold, 0),
						"timeWindowInMillis":     millis(&b.WindowMillis),
						"bucketSizeInMillis":     millis(&b.BucketMillis),
					})
				},
			})
		},
		"poolConfig": func(n *tree.Node, p *place) {
			x.Pool = &Pool{MaxIdleConnections: -1, WaitMillis: -1, MaxActiveStreams: -1}
			r.members(n, p, members{
				"maxActiveConnections":          small(&x.Pool.MaxActiveConnections, -1),
				"maxIdleConnections":            small(&x.Pool.MaxIdleConnections, -1),
				"waitTimeInMillis":              signed(&x.Pool.WaitMillis),
				"maxActiveStreamsPerConnection": small(&x.Pool.MaxActiveStreams, -1),
			})
		},
	})
	return x
}
