package introspect_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

// validation is an answer as Axis2 writes it.
func validation(members string) string {
	return `<?xml version='1.0' encoding='UTF-8'?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` +
		`<ns:validateKeyResponse xmlns:ns="http://org.apache.axis2/xsd"><ns:return xmlns:ax="http://dto.impl.apimgt.carbon.wso2.org/xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ax:APIKeyValidationInfoDTO">` +
		members + `</ns:return></ns:validateKeyResponse></soapenv:Body></soapenv:Envelope>`
}

func member(name string, value any) string { return fmt.Sprintf("<ax:%s>%v</ax:%[1]s>", name, value) }

// keyManager is as strict as WSO2's own: it wants every member, in order.
func keyManager(t *testing.T, calls *atomic.Int64, answer func(context, version, token, resource, verb string) string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		var e struct {
			XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
			Body    struct {
				Key struct {
					Members []struct {
						XMLName xml.Name
						Text    string `xml:",chardata"`
					} `xml:",any"`
				} `xml:"http://org.apache.axis2/xsd validateKey"`
			} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
		}
		user, password, _ := r.BasicAuth()
		if err := xml.Unmarshal(body, &e); err != nil || r.Method != "POST" || r.URL.Path != "/km/services/APIKeyValidationService" || user != "gw" || password != "p+w" ||
			r.Header.Get("SOAPAction") != "urn:validateKey" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/xml") {
			t.Errorf("%s %s %v %v\n%s", r.Method, r.URL, r.Header, err, body)
			w.WriteHeader(500)
			return
		}
		var names []string
		var values []any
		for _, m := range e.Body.Key.Members {
			if m.XMLName.Space != "http://org.apache.axis2/xsd" {
				t.Errorf("a member in %q", m.XMLName.Space)
			}
			names, values = append(names, m.XMLName.Local), append(values, m.Text)
		}
		if got := strings.Join(names, " "); got != "context version accessToken requiredAuthenticationLevel clientDomain matchingResource httpVerb" || values[3] != "Any" || values[4] != "*" {
			t.Errorf("members %s, %q", got, values)
		}
		w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
		fmt.Fprint(w, answer(values[0].(string), values[1].(string), values[2].(string), values[5].(string), values[6].(string)))
	}))
	t.Cleanup(s.Close)
	return s
}

func validator(t *testing.T, url string) *introspect.Introspector {
	t.Helper()
	in, err := introspect.NewKeyValidation(introspect.KeyManager{URL: url, Auth: introspect.Basic("gw", "p+w")}, introspect.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func to(base, version, id string) *exchange.Exchange {
	return &exchange.Exchange{Route: &exchange.Route{ID: id, BasePath: base, APIVersion: version}}
}

// The key manager is told the operation, and what it says is for that operation.
func TestKeyValidation(t *testing.T) {
	var calls atomic.Int64
	s := keyManager(t, &calls, func(context, version, token, resource, verb string) string {
		ok := context+" "+version+" "+token+" "+resource+" "+verb == "/shop/1.0.0 1.0.0 a<&>b /menu/{id} GET"
		if !ok {
			return validation(member("authorized", false) + member("validationStatus", 900908))
		}
		return validation(member("apiName", "Shop") + member("authorized", true) + member("scopes", "a") + member("scopes", "b") + member("applicationId", 7) +
			member("applicationName", "app &amp; co") + member("consumerKey", "ck") + member("endUserName", "alice@carbon.super") + `<ax:endUserToken xsi:nil="true"/>` +
			member("issuedTime", noon.UnixMilli()) + member("validityPeriod", 60_000) + member("subscriber", "bob") + member("type", "SANDBOX") + member("validationStatus", 0))
	})
	in := validator(t, s.URL+"/km/")
	judge := func(x *exchange.Exchange, after time.Duration, want int, questions int64) *exchange.Principal {
		t.Helper()
		p, err := in.Judge(x, []byte("a<&>b"), noon.Add(after))
		if n := calls.Load(); code(err) != want || n != questions {
			t.Errorf("%s after %v: %v, %d questions; want %d and %d", x.Route.ID, after, err, n, want, questions)
		}
		return p
	}
	p := judge(to("/shop", "1.0.0", "GET /menu/{id}"), 0, 200, 1)
	if p == nil || p.Username != "alice@carbon.super" || p.ConsumerKey != "ck" || p.KeyType != "SANDBOX" || p.Application.Name != "app & co" || p.Application.Owner != "bob" || !p.ScopesJudged {
		t.Errorf("got %+v", p)
	}
	judge(to("/shop", "1.0.0", "GET /menu/{id}"), 59*time.Second, 200, 1)
	judge(to("/shop", "1.0.0", "POST /menu/{id}"), 0, 403, 2) // another operation
	judge(to("/shop", "1.0.0", "GET /menu"), 0, 403, 3)
	judge(to("/shop/1.0.0", "1.0.0", "GET /menu/{id}"), 0, 200, 4) // the version is in it already
	judge(to("/shop", "1.0.0", "GET /menu/{id}"), time.Minute, 401, 5)
}

// Each of WSO2's codes is what it is for clients of WSO2's own gateway.
func TestValidationStatus(t *testing.T) {
	var status atomic.Value
	var calls atomic.Int64
	s := keyManager(t, &calls, func(_, _, _, _, _ string) string {
		return validation(member("authorized", false) + member("validationStatus", status.Load()))
	})
	in := validator(t, s.URL+"/km")
	for c, want := range map[string]int{"900900": 503, "900901": 401, "900902": 401, "900903": 401, "900904": 401, "900905": 401, "900906": 403, "900907": 401, "900908": 403, "900909": 401, "900910": 403, "0": 401, "": 401, "x": 401} {
		status.Store(c)
		if _, err := in.Judge(to("/a", "1", "GET /"), []byte("t"+c), noon); code(err) != want {
			t.Errorf("%q: got %v, want %d", c, err, want)
		} else if len(c) == 6 && c != "900902" && !strings.HasPrefix(err.Error(), c) {
			t.Errorf("%q: got %v", c, err)
		}
	}
}

// Tokens that the key manager cannot judge (900900) are not in the way of others, however
// many there are.
func TestValidationFailsOfSomeTokens(t *testing.T) {
	var calls atomic.Int64
	s := keyManager(t, &calls, func(_, _, token, _, _ string) string {
		if token == "good" {
			return validation(member("authorized", true))
		}
		return validation(member("authorized", false) + member("validationStatus", "900900"))
	})
	in := validator(t, s.URL+"/km")
	for i := range 12 {
		if _, err := in.Judge(to("/a", "1", "GET /"), fmt.Appendf(nil, "odd%d", i), noon); code(err) != 503 || calls.Load() != int64(i+1) {
			t.Errorf("%d: %v, asked %d times", i, err, calls.Load())
		}
	}
	if err := in.Failing(); err != nil {
		t.Errorf("failing: %v", err)
	}
	if _, err := in.Judge(to("/a", "1", "GET /"), []byte("good"), noon); err != nil {
		t.Error(err)
	}
}

// What is not an answer lets nobody in and is not a verdict.
func TestValidationNonsense(t *testing.T) {
	good := member("authorized", true)
	for text, want := range map[string]bool{
		validation(good): true,
		validation(good + member("issuedTime", noon.UnixMilli()) + member("validityPeriod", int64(math.MaxInt64))): true,
		validation(good + member("authorized", false)):                                                             false,
		validation(member("authorized", "TRUE")):                                                                   false,
		validation(member("authorized", 1)):                                                                        false,
		validation(""):                                                                                             false,
		validation(`<ax:authorized xsi:nil="true"/>`):                                                              false,
		validation("<ax:x>" + good + "</ax:x>"):                                                                    false,
		validation(good + member("issuedTime", "soon")):                                                            false,
		validation(good) + "x":                                                                                     true, // text, of which XML says nothing
		validation(good) + validation(good):                                                                        false,
		strings.Replace(validation(good), "validateKeyResponse", "validate", 2):                                    false,
		strings.Replace(validation(good), "http://org.apache.axis2/xsd", "urn:x", 1):                               false,
		strings.Replace(validation(good), "<soapenv:Body>", "<soapenv:Header><a/></soapenv:Header><soapenv:Body>", 1): true,
		`<!DOCTYPE a [<!ENTITY x "true">]>` + validation(good):                                                        false,
		validation(good)[:300]: false,
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault/></soapenv:Body></soapenv:Envelope>`: false,
		`{"active":true}`: false,
		``:                false,
	} {
		if got, err := introspect.ReadValidation([]byte(text)); got != want || (err == nil) != want {
			t.Errorf("%s: got %t %v", text, got, err)
		}
	}
}

func FuzzValidation(f *testing.F) {
	f.Add([]byte(validation(member("authorized", true) + member("validityPeriod", 1))))
	f.Add([]byte(validation(member("authorized", false) + member("validationStatus", 900901))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if good, err := introspect.ReadValidation(data); good && (err != nil || !strings.Contains(string(data), "authorized")) {
			t.Errorf("%q lets in", data)
		}
	})
}
