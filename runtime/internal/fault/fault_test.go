package fault_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/fault"
)

const (
	bearer = `Bearer realm="micro-gw"`
	basic  = `Basic realm="micro-gw", charset="UTF-8"`
)

// The catalogue, byte for byte as clients see it: codes and texts are those of
// WSO2 API Microgateway 3.x, whose clients compare them.
var catalogue = []struct {
	fault     *fault.Fault
	status    int
	body      string
	challenge string
	origin    fault.Origin
}{
	{fault.UnclassifiedAuth, 500, `{"fault":{"code":900900, "message":"Unclassified Authentication Failure", "description":"Unclassified Authentication Failure. Unclassified Authentication Failure"}}`, "", fault.Gateway},
	{fault.InvalidCredentials, 401, `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`, bearer + `, error="invalid_token", error_description="The access token is not valid"`, fault.Client},
	{fault.MissingCredentials, 401, `{"fault":{"code":900902, "message":"Missing Credentials", "description":"Missing Credentials. Make sure your API invocation call has a header: \"Authorization\""}}`, bearer, fault.Client},
	{fault.MissingCredentialsIn("X-API-Token"), 401, `{"fault":{"code":900902, "message":"Missing Credentials", "description":"Missing Credentials. Make sure your API invocation call has a header: \"X-API-Token\""}}`, bearer, fault.Client},
	{fault.SubscriptionMissing, 403, `{"fault":{"code":900908, "message":"Resource forbidden ", "description":"Resource forbidden . Unclassified Authentication Failure"}}`, "", fault.Client},
	{fault.ScopeMissing, 403, `{"fault":{"code":900910, "message":"The access token does not allow you to access the requested resource", "description":"The access token does not allow you to access the requested resource"}}`, bearer + `, error="insufficient_scope"`, fault.Client},
	{fault.InvalidScheme, 401, `{"fault":{"code":900917, "message":"Invalid Authentication scheme", "description":"Invalid Authentication scheme. API can not be used with this authentication scheme"}}`, bearer, fault.Client},
	{fault.WrongPassword, 401, `{"fault":{"code":900911, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct username and password"}}`, basic, fault.Client},
	{fault.MalformedPassword, 401, `{"fault":{"code":900912, "message":"Invalid Format", "description":"Invalid Format. Make sure you have given the credentials in correct format with \":\" character"}}`, basic, fault.Client},
	{fault.UsersUnavailable, 503, `{"fault":{"code":900900, "message":"Unclassified Authentication Failure", "description":"Unclassified Authentication Failure. The user store is not available"}}`, "", fault.Gateway},
	{fault.KeysUnavailable, 503, `{"fault":{"code":900900, "message":"Unclassified Authentication Failure", "description":"Unclassified Authentication Failure. The keys of the token issuer are not available"}}`, "", fault.Gateway},
	{fault.IntrospectionUnavailable, 503, `{"fault":{"code":900900, "message":"Unclassified Authentication Failure", "description":"Unclassified Authentication Failure. The access token cannot be checked now"}}`, "", fault.Gateway},
	{fault.UpstreamUnavailable, 503, `{"fault":{"code":101503, "message":"Runtime Error", "description":"Error connecting to the back end"}}`, "", fault.Upstream},
	{fault.UpstreamBroken, 502, `{"fault":{"code":101503, "message":"Runtime Error", "description":"Error connecting to the back end"}}`, "", fault.Upstream},
	{fault.UpstreamTimeout, 504, `{"fault":{"code":101504, "message":"Runtime Error", "description":"Connection timed out"}}`, "", fault.Upstream},
	{fault.UpstreamMalformed, 502, `{"fault":{"code":101505, "message":"Runtime Error", "description":"Malformed URL"}}`, "", fault.Upstream},
	{fault.NotFound, 404, `{"fault":{"code":404, "message":"Not Found", "description":"No matching resource found for given API Request"}}`, "", fault.Client},
	{fault.MethodNotAllowed, 405, `{"fault":{"code":405, "message":"Method Not Allowed", "description":"Method not allowed for given API resource"}}`, "", fault.Client},
	{fault.NoSandboxEndpoint, 403, `{"ERROR_CODE":"900901", "ERROR_MESSAGE":"Sandbox key offered to the API with no sandbox endpoint"}`, "", fault.Client},
	{fault.NoProductionEndpoint, 403, `{"ERROR_CODE":"900901", "ERROR_MESSAGE":"Production key offered to the API with no production endpoint"}`, "", fault.Client},
}

func TestCatalogue(t *testing.T) {
	for _, c := range catalogue {
		if got := string(c.fault.Body()); got != c.body {
			t.Errorf("%d:\n got %s\nwant %s", c.fault.Code, got, c.body)
		}
		if c.fault.Status != c.status || c.fault.Challenge != c.challenge || c.fault.Origin != c.origin {
			t.Errorf("%d: status %d, challenge %q, origin %v; want %d, %q, %v", c.fault.Code, c.fault.Status, c.fault.Challenge, c.fault.Origin, c.status, c.challenge, c.origin)
		}
		if c.fault.Close {
			t.Errorf("%d: closes the connection", c.fault.Code)
		}
		// A 401 must say how to do better (RFC 9110, section 15.5.2).
		if c.fault.Status == 401 && c.fault.Challenge == "" {
			t.Errorf("%d: 401 without a challenge", c.fault.Code)
		}
	}
	// The length that the product's documentation shows for this one.
	if n := len(fault.InvalidCredentials.Body()); n != 146 {
		t.Errorf("900901 has %d bytes, want 146", n)
	}
}

// Broken messages: the code is the status, and the connection ends.
func TestBrokenMessages(t *testing.T) {
	for status, f := range map[int]*fault.Fault{
		400: fault.BadRequest, 408: fault.RequestTimeout, 413: fault.ContentTooLarge, 414: fault.URITooLong, 417: fault.ExpectationFailed,
		431: fault.HeaderTooLarge, 501: fault.UnknownCoding, 505: fault.VersionUnsupported,
	} {
		var body struct {
			Fault struct {
				Code                 int
				Message, Description string
			}
		}
		if err := json.Unmarshal(f.Body(), &body); err != nil || body.Fault.Code != status || body.Fault.Message == "" || body.Fault.Description == "" {
			t.Errorf("%d: %s, %v", status, f.Body(), err)
		}
		if f.Status != status || f.Code != status || !f.Close {
			t.Errorf("%d: %+v", status, f)
		}
	}
}

// Changing a fault makes a copy: the catalogue is shared by all requests.
func TestCopies(t *testing.T) {
	cause := errors.New("signature does not verify")
	before := string(fault.InvalidCredentials.Body())
	f := fault.InvalidCredentials.Because(cause).RetryAfter(3).Allowing("GET").Challenging("Basic").Describing("other \"text\"")
	g := fault.InvalidCredentials
	if g.Unwrap() != nil || g.RetrySeconds != 0 || g.Allow != "" || g.Challenge == "Basic" || string(g.Body()) != before {
		t.Errorf("the catalogue has changed: %+v", g)
	}
	if !errors.Is(f, cause) || !errors.Is(f, fault.InvalidCredentials) || errors.Is(f, fault.MissingCredentials) || errors.Is(f, fault.ScopeMissing) {
		t.Errorf("identity of %v", f)
	}
	if f.RetrySeconds != 3 || f.Allow != "GET" || f.Challenge != "Basic" {
		t.Errorf("got %+v", f)
	}
	want := `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"other \"text\""}}`
	if got := string(f.Body()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The cause is for the log and never for the client.
	if !strings.Contains(f.Error(), cause.Error()) || strings.Contains(string(f.Body()), cause.Error()) {
		t.Errorf("cause in %q, %s", f.Error(), f.Body())
	}
	if s := fault.KeysUnavailable; s.RetrySeconds != 5 {
		t.Errorf("Retry-After of %d", s.RetrySeconds)
	}
	// One Upstream fault is not another though they share a code.
	if errors.Is(fault.UpstreamBroken, fault.UpstreamUnavailable) {
		t.Error("502 is 503")
	}
}

func TestBodiesAreJSON(t *testing.T) {
	for _, f := range []*fault.Fault{fault.MissingCredentialsIn("a\"\\\x01<b>"), fault.Internal, fault.ShuttingDown, fault.BadPath, fault.NoSandboxEndpoint} {
		if !json.Valid(f.Body()) {
			t.Errorf("%s", f.Body())
		}
	}
}

// What the documentation shows as the gateway's answers are those, to the letter,
// with the status that they have.
func TestDocumentation(t *testing.T) {
	status := map[string]int{`{"fault":{"code":500, "message":"Internal Server Error", "description":"The gateway failed to handle the request"}}`: 500}
	for _, c := range catalogue {
		status[c.body] = c.status
	}
	// Those that name a place, and one of API keys that are in no header.
	status[string(fault.MissingCredentials.Describing("Missing Credentials. Make sure your API request provides required credentials").Body())] = 401
	body := regexp.MustCompile(`\{"fault":\{.*?\}\}`)
	header := regexp.MustCompile(`header: \\"[^"]*\\"`)
	row := regexp.MustCompile("^\\| [^|]* \\| ([0-9]{3}) \\| ([0-9]+) \\| `(.*)` \\|$")
	seen := 0
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "examples/*/README.md"} {
		pages, err := filepath.Glob("../../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				for _, b := range body.FindAllString(line, -1) {
					if strings.Contains(b, "...") {
						continue
					}
					seen++
					known, ok := status[header.ReplaceAllString(b, `header: \"Authorization\"`)]
					if !ok {
						t.Errorf("%s: no answer of the gateway: %s", p, b)
					} else if m := row.FindStringSubmatch(line); m != nil && (m[1] != strconv.Itoa(known) || !strings.HasPrefix(b, `{"fault":{"code":`+m[2]+`,`)) {
						t.Errorf("%s: %s has status %d", p, line, known)
					}
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("the documentation shows %d answers", seen)
	}
}
