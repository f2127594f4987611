package spec

import (
	"cmp"
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

// Where each extension is read: "A" is the root, "P" a path item, "O" an
// operation. WSO2 3.x reads nothing at path items. We do where the value may as
// well be written at each of the path's operations, but not what opens them: who
// put that there has had closed operations so far.
var extensions = map[string]string{
	"x-wso2-basePath":             "A",
	"x-wso2-production-endpoints": "APO",
	"x-wso2-sandbox-endpoints":    "APO",
	"x-wso2-endpoints":            "A",
	"x-wso2-throttling-tier":      "APO",
	"x-wso2-request-interceptor":  "APO",
	"x-wso2-response-interceptor": "APO",
	"x-wso2-cors":                 "A",
	"x-wso2-auth-header":          "A",
	"x-wso2-disable-security":     "AO",
	"x-wso2-application-security": "AO",
	"x-wso2-mutual-ssl":           "A",
	"x-wso2-transports":           "A",
	"x-wso2-owner":                "A",
	"x-wso2-response-cache":       "A",
	// API Manager's.
	"x-throttling-tier": "APO",
	"x-scope":           "O",
	"x-auth-type":       "O",
}

// foreign are extensions that API Manager and its later gateways write into
// definitions, and that WSO2 3.x does not read either.
var foreign = map[string]string{
	"x-wso2-security":       "API Manager's own list of scopes",
	"x-wso2-label":          "API Manager's label of gateways",
	"x-wso2-api-key-header": "a setting of API Manager 4",
}

var extensionNames = func() []string {
	var names []string
	for name := range extensions {
		if ours(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}()

const prefix = "x-wso2-"

// isExtension reports whether a key is an extension, or was meant to be one of
// ours: "X-WSO2-cors" must not pass as nothing.
func isExtension(name string) bool {
	return strings.HasPrefix(name, "x-") || ours(name)
}

// ours reports whether a key looks like one of WSO2's, slips of the finger in
// the first part included: "x_wso2_cors", "x-ws02-cors", "X-WOS2-cors".
func ours(name string) bool {
	if len(name) < 5 || name[0] != 'x' && name[0] != 'X' || name[1] != '-' && name[1] != '_' {
		return false
	}
	if strings.EqualFold(name[2:5], "wso") {
		return true
	}
	vendor := name[2:]
	if i := strings.IndexAny(vendor, "-_"); i >= 0 {
		vendor = vendor[:i]
	}
	// "x-iso2" is somebody else's.
	return (vendor != "" && vendor[0]|0x20 == 'w') && diag.Nearest(vendor, []string{"wso2"}) != ""
}

// extension checks the name of an extension and the level it stands at. Their
// values are read by document.
func (c *checker) extension(o *object, n *tree.Node, i int, p *place) {
	name := n.Keys[i].Name
	levels, known := extensions[name]
	level := map[string]string{"Root": "A", "PathItem": "P", "Operation": "O"}[o.name]
	if !ours(name) {
		// Whoever else may call something x-scope; at these places it is API
		// Manager's.
		if known && level != "" && !strings.Contains(levels, level) {
			c.again(o.name, name, "it is read at operations only: it is ignored", func() diag.At { return n.KeyAt(i, p.key(name).String()) }, "")
		}
		if !known && level != "" && diag.Nearest(name, []string{"x-throttling-tier"}) != "" {
			// A limit that is not there; of the others a misspelt one opens nothing.
			c.again(o.name, name, "an extension of somebody else's, or a slip: it is ignored", func() diag.At { return n.KeyAt(i, p.key(name).String()) }, `did you mean "x-throttling-tier"?`)
		}
		return
	}
	at := n.KeyAt(i, p.key(name).String())
	switch what := foreign[name]; {
	case what != "":
		c.again(o.name, name, what+": it is ignored", func() diag.At { return at }, "")
	case !known:
		c.diags.ErrorHint(n.KeyAt(i, p.String()), nearestExtension(name), "unknown extension %q", name)
	case level != "" && strings.Contains(levels, level):
		if where := p.unrouted(); where != "" {
			c.again(o.name, name, where+" are not routed: it is ignored", func() diag.At { return at }, "")
		} else if level == "P" && n.Items[i].Kind != tree.Null {
			c.pathItem(at, name)
		}
	case levels == "A":
		c.diags.ErrorHint(at, "move it to the top level of the definition", "it is read at the top level only")
	case level == "P":
		c.diags.ErrorHint(at, "move it to the top level of the definition or into operations", "it is not read at a path")
	default:
		c.diags.ErrorHint(at, "move it to the top level of the definition or into operations", "it is not read here")
	}
}

// pathItem says what is unusual about an extension there.
func (c *checker) pathItem(at diag.At, name string) {
	if c.said == nil {
		c.said = make(map[string]bool)
	}
	if !c.said[name] {
		c.said[name] = true
		c.diags.Notef(at, "it holds for the operations of the path that have none of their own; WSO2 3.x does not read it here")
	}
}

// unrouted is what the place belongs to that is part of a definition but not of
// the API: "webhooks" or "callbacks"; or "".
func (p *place) unrouted() string {
	for ; p != nil; p = p.up {
		if p.name == "callbacks" || p.name == "webhooks" && p.up == nil {
			return p.name
		}
	}
	return ""
}

// nearestExtension is a hint. The prefix that all have in common is no sign of
// likeness.
func nearestExtension(name string) string {
	i := strings.IndexAny(name[2:], "-_")
	if i < 0 {
		return diag.DidYouMean(name, extensionNames)
	}
	rest := name[2+i+1:]
	rests := make([]string, len(extensionNames))
	for i, known := range extensionNames {
		rests[i] = known[len(prefix):]
	}
	if near := diag.Nearest(rest, rests); near != "" {
		return fmt.Sprintf("did you mean %q?", prefix+near)
	}
	return ""
}

// reader reads the values of extensions. Each of its methods reports what is
// wrong and returns nil or a zero value then.
type reader struct {
	diags *diag.List
	omit  func(object, key string, at diag.At, why string)
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

func (r *reader) basePath(n *tree.Node, p *place) *Text {
	t := r.text(n, p)
	if t != nil && strings.Contains(t.Value, "://") {
		hint := ""
		if u, err := url.Parse(t.Value); err == nil && u.Path != "" {
			hint = fmt.Sprintf("write %q", u.Path)
		}
		r.diags.ErrorHint(t.At, hint, "%q is a URL, not a base path", t.Value)
		return nil
	}
	return t
}

// missing reports an extension with nothing behind it, which may be a comment.
// An endpoint that was meant is there, so that nobody says it is not.
func (r *reader) missing(n *tree.Node, i int, p *place, x *RouteExtensions) {
	at, hint := n.KeyAt(i, p.String()), ""
	const comment = `put a value that begins with "#" in quotes: it is a comment otherwise`
	switch n.Keys[i].Name {
	case "x-wso2-production-endpoints":
		x.Production, hint = &EndpointRef{At: at}, comment
	case "x-wso2-sandbox-endpoints":
		x.Sandbox, hint = &EndpointRef{At: at}, comment
	}
	r.diags.ErrorHint(at, hint, "it has no value")
}

// route reads what the root, path items and operations may have. It returns
// false if the extension is none of these.
func (r *reader) route(n *tree.Node, i int, p *place, x *RouteExtensions) bool {
	item := n.Items[i]
	switch n.Keys[i].Name {
	case "x-wso2-production-endpoints":
		x.Production = r.endpointRef(item, p)
	case "x-wso2-sandbox-endpoints":
		x.Sandbox = r.endpointRef(item, p)
	case "x-wso2-throttling-tier":
		x.Tier = r.text(item, p)
	case "x-throttling-tier":
		// API Manager's is there in every exported definition; who writes ours
		// beside it means ours.
		if other := n.Get("x-wso2-throttling-tier"); other == nil {
			x.Tier, x.TierOfManager = r.text(item, p), true
		} else if other.Kind != tree.Null && other.Text != item.Text {
			r.diags.Notef(r.at(item, p), "x-wso2-throttling-tier (%s) takes its place", other.Describe())
		}
	case "x-wso2-request-interceptor":
		x.Request = r.interceptor(item, p)
	case "x-wso2-response-interceptor":
		x.Response = r.interceptor(item, p)
	default:
		return false
	}
	return true
}

// interceptor reads the name of one. Gateways that came after WSO2 3.x have an
// object here.
func (r *reader) interceptor(n *tree.Node, p *place) *Text {
	if n.Kind == tree.Object && n.Get("serviceURL") != nil {
		r.diags.ErrorHint(r.at(n, p), "name a function, or java:CLASS", "an interceptor that is a service of its own is not supported")
		return nil
	}
	return r.text(n, p)
}

// root reads the extensions of the root.
func (r *reader) root(n *tree.Node) APIExtensions {
	var x APIExtensions
	for i, item := range n.Items {
		name := n.Keys[i].Name
		var p *place
		p = p.key(name)
		if item.Kind == tree.Null {
			if strings.Contains(extensions[name], "A") {
				r.missing(n, i, p, &x.RouteExtensions)
			}
			if name == "x-wso2-basePath" {
				x.BasePath = &Text{At: r.at(item, p)}
			}
			continue
		}
		if r.route(n, i, p, &x.RouteExtensions) {
			continue
		}
		switch name {
		case "x-wso2-basePath":
			if item.Kind != tree.String {
				r.want("a string", item, p)
			} else {
				x.BasePath = r.basePath(item, p)
			}
			if x.BasePath == nil {
				x.BasePath = &Text{At: r.at(item, p)}
			}
		case "x-wso2-endpoints":
			x.Endpoints = r.endpoints(item, p)
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

// pathItem reads the extensions of a path item, given as the place it stands in
// and, if that is a reference, what it leads to: the first that has something to
// say counts.
func (r *reader) pathItem(chain []*tree.Node, p *place) RouteExtensions {
	var x RouteExtensions
	for _, n := range chain {
		var own RouteExtensions
		for i, item := range n.Items {
			name := n.Keys[i].Name
			p := p.key(name)
			switch {
			case !strings.Contains(extensions[name], "P"):
			case item.Kind == tree.Null:
				r.missing(n, i, p, &own)
			default:
				r.route(n, i, p, &own)
			}
		}
		x.Production = cmp.Or(x.Production, own.Production)
		x.Sandbox = cmp.Or(x.Sandbox, own.Sandbox)
		if x.Tier == nil {
			x.Tier, x.TierOfManager = own.Tier, own.TierOfManager
		}
		x.Request = cmp.Or(x.Request, own.Request)
		x.Response = cmp.Or(x.Response, own.Response)
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
			if strings.Contains(extensions[name], "O") {
				r.missing(n, i, p, &x.RouteExtensions)
			}
			continue
		}
		if r.route(n, i, p, &x.RouteExtensions) {
			continue
		}
		switch name {
		case "x-wso2-disable-security":
			x.Disable = r.flag(item, p)
		case "x-wso2-application-security":
			x.Application = r.application(item, p)
		case "x-scope":
			x.Scope = r.text(item, p)
		case "x-auth-type":
			x.AuthNone = r.authType(item, p)
		}
	}
	return x
}

// authType reads API Manager's x-auth-type. Only "None" opens an operation, and
// only in this spelling; what comes near it does not, and should not look as if
// it did.
func (r *reader) authType(n *tree.Node, p *place) *Flag {
	known := []string{"None", "Any", "Application", "Application User", "Application & Application User"}
	switch {
	case n.Kind == tree.String && n.Text == "None":
		return &Flag{true, r.at(n, p)}
	case n.Kind != tree.String || !slices.Contains(known, n.Text):
		hint := ""
		if strings.EqualFold(strings.TrimSpace(n.Text), "none") {
			hint = `write "None"`
		}
		r.diags.WarnHint(r.at(n, p), hint, "%s does not open the operation: only None does", n.Describe())
	}
	return nil
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
	wildcard := false
	add("accessControlAllowOrigins", func(n *tree.Node, p *place) {
		list(&x.Origins)(n, p)
		for i, item := range n.Items {
			wildcard = wildcard || item.Text == "*"
			r.origin(item, p.item(i))
		}
	})
	add("accessControlAllowHeaders", list(&x.Headers))
	add("accessControlAllowMethods", func(n *tree.Node, p *place) {
		list(&x.Methods)(n, p)
		for i, item := range n.Items {
			// Methods are told apart by case (RFC 9110, section 9.1).
			if upper := strings.ToUpper(item.Text); item.Kind == tree.String && item.Text != upper && slices.Contains(methods, strings.ToLower(item.Text)) {
				r.diags.WarnHint(r.at(item, p.item(i)), fmt.Sprintf("write %q", upper), "%s is not the method that browsers ask for", item.Describe())
			}
		}
	})
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
	if wildcard && x.AllowCredentials {
		r.diags.WarnHint(x.At, "name the origins", `browsers do not send credentials where any origin ("*") may`)
	}
	return x
}

// origin warns about what no browser sends as its origin (RFC 6454, section
// 6.1): WSO2's own sample has such.
func (r *reader) origin(n *tree.Node, p *place) {
	if n.Kind != tree.String || n.Text == "*" || n.Text == "null" || strings.TrimSpace(n.Text) == "" {
		return
	}
	text := strings.TrimSpace(n.Text)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "":
		hint := ""
		if !strings.Contains(text, "://") {
			hint = fmt.Sprintf("write %q", "https://"+text)
		}
		r.diags.WarnHint(r.at(n, p), hint, "%s is not an origin, which has a scheme and a host: no browser sends it", n.Describe())
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		r.diags.WarnHint(r.at(n, p), fmt.Sprintf("write %q", u.Scheme+"://"+u.Host), "%s is not an origin, which has no path: no browser sends it", n.Describe())
	}
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
			hint := `write an object with "urls", or "#/x-wso2-endpoints/NAME"`
			switch text := strings.TrimSpace(n.Text); {
			case strings.Contains(text, "://"):
				hint = fmt.Sprintf("write {urls: [%q]}", text)
			case text != "" && !strings.ContainsAny(text, "#/ "):
				hint = fmt.Sprintf("write %q", refMark+text)
			}
			r.diags.ErrorHint(x.At, hint, "%s is no reference to an endpoint", n.Describe())
			return x
		}
		x.Name = name
		return x
	}
	if ref := n.Get("$ref"); ref != nil && ref.Kind == tree.String {
		r.diags.ErrorHint(x.At, fmt.Sprintf("write %q in place of the object", ref.Text), "an endpoint is referred to without $ref")
		return x
	}
	x.Endpoint = r.endpoint(n, p)
	return x
}

func (r *reader) endpoint(n *tree.Node, p *place) *Endpoint {
	x := &Endpoint{At: r.at(n, p)}
	dynamic := false
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
			if n.Kind == tree.String && n.Text == "default" {
				dynamic = true
				r.diags.Errorf(r.at(n, p), "a dynamic endpoint of API Manager, whose address mediation decides, is not supported")
				return
			}
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
	if urls := n.Get("urls"); (urls == nil || urls.Kind == tree.Null) && !dynamic {
		r.diags.Errorf(x.At, `"urls" is missing`)
	}
	return x
}

var (
	etcd     = regexp.MustCompile(`^etcd\s*\(([^,]*),(.*)\)$`)
	nearEtcd = regexp.MustCompile(`(?i)^(etcd|ectd|etdc)\s*[({\[]`)
)

func (r *reader) url(n *tree.Node, p *place) *EndpointURL {
	x := &EndpointURL{At: r.at(n, p)}
	if n.Kind != tree.String {
		r.want("a URL", n, p)
		return nil
	}
	x.URL = strings.TrimSpace(n.Text)
	if nearEtcd.MatchString(x.URL) {
		m := etcd.FindStringSubmatch(x.URL)
		if m == nil {
			r.diags.ErrorHint(x.At, "write etcd(KEY, DEFAULT-URL)", "%s is neither a URL nor an etcd key", n.Describe())
			return nil
		}
		x.Etcd, x.URL = strings.TrimSpace(m[1]), strings.TrimSpace(m[2])
		if x.Etcd == "" {
			// WSO2 takes it for "no key given".
			r.diags.WarnHint(x.At, "write etcd(KEY, DEFAULT-URL)", "the etcd key is empty: calls go to the default URL")
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
			if n.Kind != tree.String || !slices.Contains(types, strings.ToLower(n.Text)) { // API Manager shouts
				r.diags.ErrorHint(r.at(n, p), diag.DidYouMean(n.Text, types), "%s is none of basic, digest", n.Describe())
				return
			}
			x.Type = strings.ToLower(n.Text)
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
	if i := n.Find("password"); i >= 0 {
		// An artifact holds no secrets: everybody may read it.
		r.omit("endpoint", "securityConfig.password", n.KeyAt(i, p.key("password").String()), "an artifact holds no passwords")
		n.Drop([]int{i})
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
						"timeWindowInMillis":     func(n *tree.Node, p *place) { b.WindowMillis = r.whole(n, p, 1, math.MaxInt32) },
						"bucketSizeInMillis":     func(n *tree.Node, p *place) { b.BucketMillis = r.whole(n, p, 1, math.MaxInt32) },
					})
					if b.BucketMillis > b.WindowMillis {
						r.diags.Errorf(r.at(n, p), "a bucket of %d ms does not fit in a window of %d ms", b.BucketMillis, b.WindowMillis)
					}
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
