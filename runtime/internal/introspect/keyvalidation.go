package introspect

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
)

// A KeyManager is the key-validation service of WSO2 API Manager, 2.x and 3.x: a
// SOAP 1.1 call that is told the operation beside the token, and judges
// subscriptions and scopes as well. What is remembered of its answers is for
// that operation.
type KeyManager struct {
	URL  string // of the key manager, without /services/...
	Auth Auth
	TLS  *tls.Config // nil: by the system's authorities
}

const (
	soapNamespace = "http://schemas.xmlsoap.org/soap/envelope/"
	axisNamespace = "http://org.apache.axis2/xsd"
)

// NewKeyValidation returns an introspector that asks k.
func NewKeyValidation(k KeyManager, o Options) (*Introspector, error) {
	if err := checkURL(k.URL); err != nil {
		return nil, err
	}
	if k.Auth == nil {
		return nil, errors.New("key manager: no credentials")
	}
	t := newTransport(k.TLS, &o)
	in := newIntrospector(o, t)
	in.perOperation = true
	client := newClient(t)
	k.URL = strings.TrimSuffix(k.URL, "/") + "/services/APIKeyValidationService"
	in.ask = func(ctx context.Context, q question) (*answer, error) {
		return again(k.Auth, func(h http.Header) (*answer, error) { return k.ask(ctx, client, q, h) })
	}
	return in, nil
}

func (k *KeyManager) ask(ctx context.Context, c *http.Client, q question, h http.Header) (*answer, error) {
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("SOAPAction", "urn:validateKey")
	h.Set("Accept", "text/xml")
	if err := k.Auth.authenticate(ctx, nil, h); err != nil {
		return nil, fmt.Errorf("the gateway's own credentials: %w", err)
	}
	data, err := post(ctx, c, k.URL, h, envelope(&q), "text/xml")
	if err != nil {
		return nil, err
	}
	a, err := readValidation(data)
	if err != nil {
		return nil, fmt.Errorf("the key manager's answer: %w", err)
	}
	return a, nil
}

func envelope(q *question) string {
	// WSO2 knows an API by its context with the version in it, wherever it is.
	at := q.context
	if !strings.Contains(at, q.version) {
		at = strings.TrimSuffix(at, "/") + "/" + q.version
	}
	var b strings.Builder
	b.WriteString(`<soapenv:Envelope xmlns:soapenv="` + soapNamespace + `"><soapenv:Body><xsd:validateKey xmlns:xsd="` + axisNamespace + `">`)
	for _, f := range [...][2]string{
		{"context", at}, {"version", q.version}, {"accessToken", q.token}, {"requiredAuthenticationLevel", "Any"},
		{"clientDomain", "*"}, {"matchingResource", q.resource}, {"httpVerb", q.method},
	} {
		b.WriteString("<xsd:" + f[0] + ">")
		_ = xml.EscapeText(&b, []byte(f[1])) // a Builder takes everything
		b.WriteString("</xsd:" + f[0] + ">")
	}
	b.WriteString(`</xsd:validateKey></soapenv:Body></soapenv:Envelope>`)
	return b.String()
}

// path is where the members of an answer stand; "" is any namespace.
var path = [...]xml.Name{
	{Space: soapNamespace, Local: "Envelope"}, {Space: soapNamespace, Local: "Body"},
	{Space: axisNamespace, Local: "validateKeyResponse"}, {Space: axisNamespace, Local: "return"},
}

// members reads the texts of an answer's members. It is strict where a lenient
// reader could be told a second authorized: no declarations, one of each.
func members(data []byte) (map[string]string, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	all := map[string]string{}
	depth, name := 0, ""
	var text strings.Builder
	ended, seen := false, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("not XML")
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, errors.New("XML with a declaration")
		case xml.StartElement:
			switch {
			case ended:
				return nil, errors.New("something behind the answer")
			case depth < len(path):
				if t.Name != path[depth] {
					// SOAP's header stands beside its body, a fault in it.
					if depth == 1 && t.Name.Local == "Header" {
						if err := d.Skip(); err != nil {
							return nil, errors.New("not XML")
						}
						continue
					}
					return nil, fmt.Errorf("%.40q where %s was to be", t.Name.Local, path[depth].Local)
				}
				if depth == len(path)-1 {
					if seen {
						return nil, errors.New("two answers")
					}
					seen = true
				}
			case depth == len(path):
				name = t.Name.Local
				text.Reset()
				if _, ok := all[name]; ok && used[name] {
					return nil, fmt.Errorf("%.40s twice", name)
				}
			}
			depth++
		case xml.CharData:
			if depth == len(path)+1 {
				text.Write(t)
			}
		case xml.EndElement:
			depth--
			if depth == len(path) {
				all[name] = strings.TrimSpace(text.String())
			}
			ended = depth == 0
		}
	}
	if !ended || !seen {
		return nil, errors.New("no answer in it")
	}
	return all, nil
}

// used are the members that decide something. Others, such as lists, may be there
// several times.
var used = map[string]bool{
	"authorized": true, "validationStatus": true, "issuedTime": true, "validityPeriod": true, "type": true,
	"endUserName": true, "consumerKey": true, "applicationId": true, "applicationName": true, "applicationTier": true, "subscriber": true, "tier": true,
}

// refusals are WSO2's codes for why a token is not good.
var refusals = map[string]*fault.Fault{
	"900901": fault.InvalidCredentials,
	"900902": fault.InvalidCredentials,
	"900903": fault.TokenExpired,
	"900904": fault.TokenInactive,
	"900905": fault.TokenType,
	"900906": fault.NoResource,
	"900907": fault.APIBlocked,
	"900908": fault.SubscriptionMissing,
	"900909": fault.SubscriptionInactive,
	"900910": fault.ScopeRefused,
}

// readValidation reads an answer. An error means that it is none.
func readValidation(data []byte) (*answer, error) {
	m, err := members(data)
	if err != nil {
		return nil, err
	}
	switch m["authorized"] {
	case "true":
	case "false":
		code := m["validationStatus"]
		f := refusals[code]
		switch {
		case code == "900900":
			// It is there, and has not judged this token: whoever brings several such
			// must not end the asking about others'.
			return nil, &tokenError{http.StatusOK, code}
		case f == nil:
			f = fault.InvalidCredentials
		}
		return &answer{refused: f.Becausef("the key manager refuses the token: %.10q", code)}, nil
	default:
		return nil, errors.New("authorized is not true or false")
	}
	p := &exchange.Principal{
		Scheme: "opaque", Subject: m["endUserName"], Username: m["endUserName"], ConsumerKey: m["consumerKey"], KeyType: m["type"],
		Application:  exchange.Application{ID: m["applicationId"], Name: m["applicationName"], Owner: m["subscriber"], Tier: m["applicationTier"]},
		ScopesJudged: true,
	}
	if p.KeyType == "" {
		p.KeyType = "PRODUCTION"
	}
	a := &answer{principal: p}
	issued, err1 := number(m["issuedTime"])
	period, err2 := number(m["validityPeriod"])
	if err1 != nil || err2 != nil {
		return nil, errors.New("issuedTime or validityPeriod is not a number")
	}
	// Tokens that never end have the largest number there is for a period.
	if issued > 0 && period > 0 && period < math.MaxInt64-issued {
		a.expires = min(issued+period, lastSecond*1000)
		p.Expires = time.UnixMilli(a.expires)
	}
	return a, nil
}

func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
