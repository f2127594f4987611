package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore/web"
)

func options(urls ...string) web.Options {
	return web.Options{URLs: urls, NameField: "credentials.username", PasswordField: "credentials.password", AnswerField: "response.status", AnswerValue: "true"}
}

func check(t *testing.T, o web.Options, name, password string) (string, error) {
	t.Helper()
	s, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return s.Check(ctx, name, password)
}

// verdict is "in", "refused" or why that cannot be told.
func verdict(user string, err error) string {
	switch {
	case errors.Is(err, basic.ErrRefused):
		return "refused"
	case err != nil:
		return err.Error()
	case user == "":
		return "nobody"
	}
	return "in"
}

// What is sent is what WSO2's article describes.
func TestArticle(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name, password, _ := r.BasicAuth()
		var got struct {
			Credentials struct{ Username, Password string }
		}
		err := json.Unmarshal(body, &got)
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || name != "gateway" || password != "ours" || err != nil {
			t.Errorf("%s %v %s: %v", r.Method, r.Header, body, err)
		}
		fmt.Fprintf(w, `{"response": {"status": "%v"}}`, got.Credentials.Username == `a"d\a` && got.Credentials.Password == "s:é")
	}))
	defer s.Close()
	o := options(s.URL)
	o.Username, o.Password = "gateway", "ours"
	// Its certificate is nobody's whom the system knows.
	if _, err := check(t, o, `a"d\a`, "s:é"); err == nil || errors.Is(err, basic.ErrRefused) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	o.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if got := verdict(check(t, o, `a"d\a`, "s:é")); got != "in" {
		t.Error(got)
	}
	if got := verdict(check(t, o, "ada", "wrong")); got != "refused" {
		t.Error(got)
	}
}

// Only a clear yes lets somebody in, and only a clear no is a refusal.
func TestAnswers(t *testing.T) {
	big := strings.Repeat(" ", 70<<10)
	for _, c := range []struct {
		status       int
		body         string
		field, value string
		ours         bool
		want         string
	}{
		{200, `{"response":{"status":"true"}}`, "response.status", "true", false, "in"},
		{200, `{"response":{"status":true}}`, "response.status", "true", false, "in"},
		{201, `{"ok":1}`, "ok", "1", false, "in"},
		{200, `{"response":{"status":"false"}}`, "response.status", "true", false, "refused"},
		{200, `{"response":{"status":"TRUE"}}`, "response.status", "true", false, "refused"},
		{200, `{"response":{"status":""}}`, "response.status", "true", false, "refused"},
		{200, `{"response":{"status":{}}}`, "response.status", "true", false, "neither a text nor"},
		{200, `{"response":{"status":null}}`, "response.status", "true", false, "neither a text nor"},
		{200, `{"response":{"status":"true","status":"false"}}`, "response.status", "true", false, "status"},
		{200, `{"Response":{"Status":"true"}}`, "response.status", "true", false, "no response.status"},
		{200, `{"response":"true"}`, "response.status", "true", false, "not a JSON object"},
		{200, `{"response.status":"true"}`, "response.status", "true", false, "no response.status"},
		{200, `<html>Sign in to the network</html>`, "response.status", "true", false, "not a JSON object"},
		{200, ``, "response.status", "true", false, "not a JSON object"},
		{200, `{"response":{"status":"true"}}` + big, "response.status", "true", false, "more than 65536 bytes"},
		{204, ``, "", "", false, "in"},
		{200, `no`, "", "", false, "in"},
		{401, `{"response":{"status":"true"}}`, "response.status", "true", false, "refused"},
		{403, ``, "", "", true, "refused"},
		{401, ``, "response.status", "true", true, "does not take userStore.http.username"},
		{404, ``, "", "", false, "status 404"},
		{429, ``, "", "", false, "status 429"},
		{500, `{"response":{"status":"true"}}`, "response.status", "true", false, "status 500"},
		{302, ``, "", "", false, "status 302"},
		{307, ``, "", "", false, "status 307"},
	} {
		t.Run(fmt.Sprintf("%d %.40s", c.status, c.body), func(t *testing.T) {
			var elsewhere atomic.Bool
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					elsewhere.Store(true)
					return
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer s.Close()
			o := options(s.URL)
			o.AnswerField, o.AnswerValue = c.field, c.value
			if c.ours {
				o.Username, o.Password = "gateway", "ours"
			}
			got := verdict(check(t, o, "ada", "hunter2"))
			if got != c.want && (c.want == "in" || c.want == "refused" || !strings.Contains(got, c.want)) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if elsewhere.Load() || strings.Contains(got, "hunter2") {
				t.Error("the password went elsewhere")
			}
		})
	}
}

// A service that takes any password is not asked about one that JSON cannot hold.
func TestNotUTF8(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"response":{"status":"true"}}`) }))
	defer s.Close()
	for _, pair := range [][2]string{{"ada", "p\xff"}, {"ad\xff", "p"}} {
		if got := verdict(check(t, options(s.URL), pair[0], pair[1])); got != "refused" {
			t.Errorf("%q: %s", pair, got)
		}
	}
	if got := verdict(check(t, options(s.URL), "ada", "p\ufffd")); got != "in" {
		t.Error(got)
	}
}

// A service that is away, or hangs up, is not asked for ever, and the next one is.
func TestFailover(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	}))
	defer hangsUp.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"response":{"status":"true"}}`) }))
	defer good.Close()
	if got := verdict(check(t, options(gone.URL, hangsUp.URL, good.URL), "ada", "x")); got != "in" {
		t.Error(got)
	}
	s, err := web.New(options("http://" + silent.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Check(ctx, "ada", "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*web.Options){
		"no URL":     func(o *web.Options) { o.URLs = nil },
		"scheme":     func(o *web.Options) { o.URLs = []string{"ftp://a"} },
		"no host":    func(o *web.Options) { o.URLs = []string{"https:///x"} },
		"password":   func(o *web.Options) { o.URLs = []string{"https://a:b@c"} },
		"one field":  func(o *web.Options) { o.PasswordField = o.NameField },
		"no field":   func(o *web.Options) { o.NameField = "" },
		"empty part": func(o *web.Options) { o.NameField = "a..b" },
		"inside":     func(o *web.Options) { o.NameField, o.PasswordField = "a", "a.b" },
		"around":     func(o *web.Options) { o.NameField, o.PasswordField = "a.b", "a" },
	} {
		o := options("https://users.example")
		change(&o)
		if _, err := web.New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
