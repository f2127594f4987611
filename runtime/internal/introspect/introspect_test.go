package introspect_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/introspect"
)

// server is a strict introspection endpoint.
type server struct {
	*httptest.Server
	calls  atomic.Int64
	answer atomic.Value // of http.HandlerFunc, after what every question must be
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.answer.Store(says(`{"active":true}`))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if user, password, ok := r.BasicAuth(); !ok || user != "gate%3Away" || password != "s%2B" {
			w.WriteHeader(401)
			return
		}
		if r.Method != "POST" || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.FormValue("token") == "" || r.FormValue("token_type_hint") != "access_token" {
			t.Errorf("a question that is none: %s %s %v", r.Method, r.URL, r.Form)
		}
		s.answer.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) introspector(t *testing.T, server introspect.Server, o introspect.Options) *introspect.Introspector {
	t.Helper()
	server.URL = s.URL
	if server.Auth == nil {
		server.Auth = introspect.ClientSecretBasic("gate:way", "s+")
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	in, err := introspect.New(server, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func code(err error) int {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return 200
	}
	return f.Status
}

// What a server may say, and what becomes of it. Only true lets somebody in;
// what is not an answer is a 503 and never remembered.
func TestAnswers(t *testing.T) {
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	cert := &x509.Certificate{Raw: []byte("a certificate")}
	sum := sha256.Sum256(cert.Raw)
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) }
	status := func(n int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(n)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   int
	}{
		"active": {says(`{"active":true}`), 200},
		"charset": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
			fmt.Fprint(w, `{"active":true}`)
		}, 200},
		"not active":              {says(`{"active":false}`), 401},
		"not active, beside more": {says(`{"active":false,"exp":"x","scope":1}`), 401},
		"active as a string":      {says(`{"active":"true"}`), 503},
		"active as a number":      {says(`{"active":1}`), 503},
		"active is null":          {says(`{"active":null}`), 503},
		"active twice":            {says(`{"active":false,"active":true}`), 503},
		"Active":                  {says(`{"Active":true}`), 503},
		"nothing about active":    {says(`{}`), 503},
		"a list":                  {says(`[{"active":true}]`), 503},
		"text after it":           {says(`{"active":true} {}`), 503},
		"cut off":                 {says(`{"active":true`), 503},
		"empty":                   {says(``), 503},
		"too long":                {says(`{"active":true,"x":"` + strings.Repeat("x", 70_000) + `"}`), 503},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `{"active":true}`)
		}, 503},
		"400, as for a signed token": {status(400, `{"error":"unsupported_token_type"}`), 503},
		"401":                        {status(401, `{"active":true}`), 503},
		"500":                        {status(500, `{"active":true}`), 503},
		"201":                        {status(201, `{"active":true}`), 503},
		"redirect":                   {redirect, 503},
		"hangs up":                   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		"expired":                    {says(fmt.Sprintf(`{"active":true,"exp":%d}`, at(-10*time.Second))), 401},
		"expired within the leeway":  {says(fmt.Sprintf(`{"active":true,"exp":%d}`, at(-2*time.Second))), 200},
		"not valid yet":              {says(fmt.Sprintf(`{"active":true,"nbf":%d}`, at(time.Minute))), 401},
		"from the future":            {says(fmt.Sprintf(`{"active":true,"iat":%d}`, at(time.Minute))), 401},
		"exp as a string":            {says(`{"active":true,"exp":"4102444800"}`), 503},
		"exp is negative":            {says(`{"active":true,"exp":-1}`), 503},
		"exp is null":                {says(`{"active":true,"exp":null}`), 200},
		"scope is a number":          {says(`{"active":true,"scope":7}`), 503},
		"client_id is a list":        {says(`{"active":true,"client_id":["a"]}`), 503},
		"another issuer":             {says(`{"active":true,"iss":"https://evil"}`), 401},
		"the issuer":                 {says(`{"active":true,"iss":"https://i"}`), 200},
		"Bearer":                     {says(`{"active":true,"token_type":"bearer"}`), 200},
		"DPoP":                       {says(`{"active":true,"token_type":"DPoP"}`), 401},
		"a refresh token":            {says(`{"active":true,"token_use":"refresh_token"}`), 401},
		"bound to ours":              {says(`{"active":true,"cnf":{"x5t#S256":"` + thumbprint + `"}}`), 200},
		"bound to another":           {says(`{"active":true,"cnf":{"x5t#S256":"` + strings.Repeat("A", 43) + `"}}`), 401},
		"bound by a key":             {says(`{"active":true,"cnf":{"jkt":"x"}}`), 401},
		"bound by both":              {says(`{"active":true,"cnf":{"x5t#S256":"` + thumbprint + `","jkt":"x"}}`), 401},
		"bound by nothing":           {says(`{"active":true,"cnf":{}}`), 401},
		"bound by a string":          {says(`{"active":true,"cnf":"x"}`), 401},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.answer.Store(tt.answer)
			in := s.introspector(t, introspect.Server{Issuer: "https://i"}, introspect.Options{Leeway: 5 * time.Second})
			x := &exchange.Exchange{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
			p, err := in.Judge(x, []byte("secret-token"), noon)
			if code(err) != tt.want || (p != nil) != (tt.want == 200) {
				t.Fatalf("got %v %v, want %d", p, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error shows the token: %v", err)
			}
			if _, err := in.Judge(x, []byte("secret-token"), noon); code(err) != tt.want {
				t.Errorf("the second time: %v, want %d", err, tt.want)
			}
			// net/http asks once more where a connection was cut.
			if n := s.calls.Load(); name != "hangs up" && n != map[bool]int64{true: 2, false: 1}[tt.want == 503] {
				t.Errorf("%d questions", n)
			}
			if tt.want == 200 && strings.HasPrefix(name, "bound") {
				if _, err := in.Judge(&exchange.Exchange{}, []byte("secret-token"), noon); code(err) != 401 {
					t.Errorf("remembered, and without the certificate: %v", err)
				}
			}
		})
	}
}

func TestAudience(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{Audience: []string{"gw", "all"}}, introspect.Options{NoCache: true})
	for aud, want := range map[string]int{``: 401, `,"aud":"gw"`: 200, `,"aud":["x","all"]`: 200, `,"aud":"GW"`: 401, `,"aud":[]`: 401, `,"aud":1`: 503} {
		s.answer.Store(says(`{"active":true` + aud + `}`))
		if _, err := in.Judge(&exchange.Exchange{}, []byte("t"), noon); code(err) != want {
			t.Errorf("%s: got %v, want %d", aud, err, want)
		}
	}
}

func TestPrincipal(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{Issuer: "https://i"}, introspect.Options{})
	s.answer.Store(says(`{"active":true,"scope":"a b  a","client_id":"app","username":"alice","sub":"u1","jti":"j","exp":4102444800}`))
	p, err := in.Judge(&exchange.Exchange{}, []byte("t"), noon)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Scopes, []string{"a", "b"}) || p.ConsumerKey != "app" || p.Username != "alice" || p.Subject != "u1" || p.TokenID != "j" ||
		p.Issuer != "https://i" || p.KeyType != "PRODUCTION" || p.Scheme != "opaque" || p.Expires.Unix() != 4102444800 {
		t.Errorf("got %+v", p)
	}
	s.answer.Store(says(`{"active":true,"sub":"u2","keytype":"SANDBOX"}`))
	if p, err := in.Judge(&exchange.Exchange{}, []byte("u"), noon); err != nil || p.Username != "u2" || p.KeyType != "SANDBOX" {
		t.Errorf("got %+v %v", p, err)
	}
}

// No server is shown what cannot be a token.
func TestNoToken(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{}, introspect.Options{})
	for _, token := range []string{strings.Repeat("x", introspect.MaxToken+1), "a b", "a\x00", "ä"} {
		if _, err := in.Judge(&exchange.Exchange{}, []byte(token), noon); code(err) != 401 {
			t.Errorf("%.10q: %v", token, err)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// A yes is remembered until the first of its exp and the bound, a no for
// shorter, and neither by a clock that was set back.
func TestRemembered(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{}, introspect.Options{Expiry: 10 * time.Minute, NegativeExpiry: 5 * time.Second})
	ask := func(token string, after time.Duration, want int, questions int64) {
		t.Helper()
		_, err := in.Judge(&exchange.Exchange{}, []byte(token), noon.Add(after))
		if n := s.calls.Load(); code(err) != want || n != questions {
			t.Errorf("%s after %v: %v and %d questions, want %d and %d", token, after, err, n, want, questions)
		}
	}
	s.answer.Store(says(fmt.Sprintf(`{"active":true,"exp":%d}`, noon.Add(time.Minute).Unix())))
	ask("short", 0, 200, 1)
	ask("short", 59*time.Second, 200, 1)
	ask("short", time.Minute, 401, 2)
	s.answer.Store(says(`{"active":true}`))
	ask("long", 0, 200, 3)
	s.answer.Store(says(`{"active":false}`))
	ask("long", 9*time.Minute, 200, 3)
	ask("long", 10*time.Minute, 401, 4)
	s.answer.Store(says(`{"active":true}`))
	ask("long", 10*time.Minute+4*time.Second, 401, 4)
	ask("long", 10*time.Minute+5*time.Second, 200, 5)
	ask("long", -time.Hour, 200, 6)
}

// Bad tokens do not take good ones' places, and there is a bound to both.
func TestBounded(t *testing.T) {
	s := newServer(t)
	in := s.introspector(t, introspect.Server{}, introspect.Options{Entries: 3})
	judge := func(token string) {
		if _, err := in.Judge(&exchange.Exchange{}, []byte(token), noon); code(err) == 503 {
			t.Fatal(err)
		}
	}
	judge("good")
	s.answer.Store(says(`{"active":false}`))
	for i := range 20 {
		judge(fmt.Sprint("bad", i))
	}
	n := s.calls.Load()
	judge("good")
	if s.calls.Load() != n {
		t.Error("forgotten because of bad ones")
	}
	if judge("bad0"); s.calls.Load() != n+1 {
		t.Error("not forgotten")
	}
	s.answer.Store(says(`{"active":true}`))
	for i := range 3 {
		judge(fmt.Sprint("more", i))
	}
	n = s.calls.Load()
	if judge("good"); s.calls.Load() != n+1 {
		t.Error("more good ones than the bound")
	}
}

// Who asks at the same time asks once.
func TestTogether(t *testing.T) {
	s := newServer(t)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		says(`{"active":true}`)(w, r)
	}))
	in := s.introspector(t, introspect.Server{}, introspect.Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := in.Judge(&exchange.Exchange{}, []byte("t"), noon); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	close(release)
	wg.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d questions", n) // whoever came later found it remembered
	}
}

// transport answers without a network, so that time can be made up.
type transport func() (*http.Response, error)

func (f transport) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// A server that does not answer costs the time that is given to it, and then
// nothing until it is tried again; tokens that are known go on.
func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		var wait time.Duration
		up := func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"active":true}`))}, nil
		}
		down := func() (*http.Response, error) { return nil, errors.New("refused") }
		now := down
		in, err := introspect.NewOver(transport(func() (*http.Response, error) {
			calls++
			time.Sleep(wait)
			return now()
		}), introspect.Server{URL: "https://i/x", Auth: introspect.Bearer("x")}, introspect.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(token string) int {
			_, err := in.Judge(&exchange.Exchange{}, []byte(token), time.Now())
			return code(err)
		}
		now = up
		if got := ask("known"); got != 200 {
			t.Fatal(got)
		}
		now, calls = down, 0
		for i := range 20 {
			if got := ask(fmt.Sprint("t", i)); got != 503 {
				t.Errorf("down: %d", got)
			}
		}
		if calls != 5 {
			t.Errorf("asked %d times, want 5", calls)
		}
		if got := ask("known"); got != 200 {
			t.Errorf("known: %d", got)
		}
		time.Sleep(time.Second) // one is sent ahead, in vain
		ask("a")
		ask("b")
		if calls != 6 {
			t.Errorf("asked %d times, want 6", calls)
		}
		time.Sleep(time.Second) // the pause is longer now
		if ask("a"); calls != 6 {
			t.Errorf("asked %d times, want 6", calls)
		}
		now = up
		time.Sleep(time.Second)
		if got := ask("a"); got != 200 || calls != 7 {
			t.Errorf("up again: %d after %d", got, calls)
		}
		if got := ask("b"); got != 200 || calls != 8 {
			t.Errorf("up again: %d after %d", got, calls)
		}
	})
}

// The time that an answer may take is kept, and so is the number of questions.
func TestSlow(t *testing.T) {
	s := newServer(t)
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	defer close(release)
	s.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	in := s.introspector(t, introspect.Server{}, introspect.Options{Timeout: 300 * time.Millisecond, Concurrent: 1})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := in.Judge(&exchange.Exchange{}, fmt.Append(nil, "t", i), noon); code(err) != 503 {
				t.Errorf("got %v, want 503", err)
			}
		})
	}
	wg.Wait()
}

// Assertions are what RFC 7523 wants, for each kind of key.
func TestPrivateKeyJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verify := map[string]func(signed string, sig []byte) bool{
		"RS256": func(s string, sig []byte) bool {
			sum := sha256.Sum256([]byte(s))
			return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], sig) == nil
		},
		"ES256": func(s string, sig []byte) bool {
			sum := sha256.Sum256([]byte(s))
			return len(sig) == 64 && ecdsa.Verify(&ecKey.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		},
		"EdDSA": func(s string, sig []byte) bool {
			return ed25519.Verify(edKey.Public().(ed25519.PublicKey), []byte(s), sig)
		},
	}
	for alg, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey} {
		seen := map[string]bool{}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			parts := strings.Split(r.FormValue("client_assertion"), ".")
			var raw [3][]byte
			for i, p := range parts {
				raw[i], _ = base64.RawURLEncoding.DecodeString(p)
			}
			var head, claims map[string]any
			_ = json.Unmarshal(raw[0], &head)
			_ = json.Unmarshal(raw[1], &claims)
			iat, exp := claims["iat"].(float64), claims["exp"].(float64)
			if r.FormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || head["alg"] != alg || head["kid"] != "k" ||
				claims["iss"] != "gw" || claims["sub"] != "gw" || claims["aud"] != "https://i" || exp-iat != 60 || seen[claims["jti"].(string)] || !verify[alg](parts[0]+"."+parts[1], raw[2]) {
				t.Errorf("%s: %v %v %s", alg, head, claims, r.Form)
			}
			seen[claims["jti"].(string)] = true
			says(`{"active":true}`)(w, r)
		}))
		defer s.Close()
		auth, err := introspect.PrivateKeyJWT("gw", "k", "https://i", key, nil)
		if err != nil {
			t.Fatal(err)
		}
		in, err := introspect.New(introspect.Server{URL: s.URL, Auth: auth}, introspect.Options{NoCache: true, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := in.Judge(&exchange.Exchange{}, []byte("t"), noon); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
		in.Close()
	}
	short, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := introspect.PrivateKeyJWT("gw", "", "a", short, nil); err == nil {
		t.Error("a key that cannot sign was taken")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{"", "ftp://i", "https://", "https://u:p@i/", ":"} {
		if _, err := introspect.New(introspect.Server{URL: u, Auth: introspect.Bearer("x")}, introspect.Options{}); err == nil {
			t.Errorf("%q was taken", u)
		} else if strings.Contains(err.Error(), ":p@") {
			t.Errorf("shows a password: %v", err)
		}
	}
	if _, err := introspect.New(introspect.Server{URL: "https://i"}, introspect.Options{}); err == nil {
		t.Error("a server without credentials was taken")
	}
}

// Whatever a server says, only the boolean true in a strict object lets in.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"active":true}`, `{"active":false}`, `{"active":true,"exp":1e99,"scope":["a"],"cnf":{"x5t#S256":"x"}}`, `{"active":true,"active":true}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		good, err := introspect.Read(data)
		if !good {
			return
		}
		var v map[string]any
		if err != nil || json.Unmarshal(data, &v) != nil || v["active"] != true {
			t.Errorf("%q lets in", data)
		}
	})
}

// The gateway's own token is fetched once for as long as it lasts, and by those
// who need it at the same time together.
func TestClientCredentials(t *testing.T) {
	var fetched, wanted atomic.Int64
	wanted.Store(1)
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			fetched.Add(1)
			if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" || r.FormValue("client_id") != "gw" || r.FormValue("client_secret") != "s" {
				t.Errorf("%v", r.Form)
			}
			says(fmt.Sprintf(`{"access_token":"own-%d","token_type":"Bearer","expires_in":3600}`, fetched.Load()))(w, r)
		default:
			if r.Header.Get("Authorization") != fmt.Sprint("Bearer own-", wanted.Load()) {
				w.WriteHeader(401)
				return
			}
			says(`{"active":true}`)(w, r)
		}
	}))
	defer idp.Close()
	auth, err := introspect.ClientCredentials(nil, idp.URL+"/token", introspect.ClientSecretPost("gw", "s"), "a b")
	if err != nil {
		t.Fatal(err)
	}
	in, err := introspect.New(introspect.Server{URL: idp.URL, Auth: auth}, introspect.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := in.Judge(&exchange.Exchange{}, fmt.Append(nil, "t", i), noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	// The server takes it back.
	wanted.Store(2)
	if _, err := in.Judge(&exchange.Exchange{}, []byte("later"), noon); err != nil || fetched.Load() != 2 {
		t.Errorf("taken back: %v, fetched %d times", err, fetched.Load())
	}
	// It does not like any.
	wanted.Store(7)
	if _, err := in.Judge(&exchange.Exchange{}, []byte("much-later"), noon); code(err) != 503 || fetched.Load() != 3 {
		t.Errorf("refused: %v, fetched %d times", err, fetched.Load())
	}
}
