package gateway_test

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// The log says why a request was refused, at the level DEBUG, in so many words a
// minute for a client, and never with what was sent.
func TestRefusalsInTheLog(t *testing.T) {
	s := newSigner(t)
	path := filepath.Join(t.TempDir(), "pairs.mgw")
	put(t, path, pairProject(teller(t).URL, s.JWK))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Dev: true, Set: local("b7a.log.level=DEBUG", "listenerConfig.trustedProxies=127.0.0.1",
		"b7a.users.alice.password=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")}})
	at := "http://" + g.at.HTTP + "/v1"

	token, key := s.token(t, ""), s.apiKey(t, "", nil)
	parts := strings.Split(token, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	n := 0
	client := func() []string { n++; return []string{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n)} }
	secrets := []string{"hunter2"}
	for _, secret := range append(parts, strings.Split(key, ".")...) {
		secrets = append(secrets, secret[:16], secret[len(secret)-16:])
	}
	for _, c := range []struct{ url, field, value, why string }{
		{"/pet", "Authorization", "", "no credentials in Authorization"},
		{"/pet", "Authorization", "Bearer " + parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), "signature"},
		{"/pet", "Authorization", "Bearer " + token + "=", "token"},
		{"/pet", "Authorization", "Bearer " + token + "." + token, "token"},
		{"/pet", "Authorization", "Bearer " + parts[0] + "." + b64([]byte(`{"iss":"x","iss":"y"}`)) + "." + parts[2], "iss"},
		{"/pet", "Authorization", "Bearer " + b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "token"},
		{"/pet", "Authorization", "Bearer " + s.issue(t, map[string]any{"iss": "https://elsewhere.example"}), "elsewhere.example"},
		{"/pet", "Authorization", "Bearer " + key, "issuer"},
		{"/pet", "Authorization", basic("alice:hunter2"), "does not use the scheme Bearer"},
		{"/or/1/2", "Authorization", basic("alice:hunter2"), "alice"},
		{"/or/1/2", "Authorization", basic("hunter2"), "without a colon"},
		{"/or/1/2", "Authorization", "Basic hunter2!", "base64"},
		{"/or/2/3", "X-API-Key", token, "issuer"},
		{"/or/2/3?api_key=" + key + "x", "X-A", "b", "why"},
		{"/or/4/3", "Cookie", "sesame=" + key + "; sesame=hunter2", "several API keys"},
	} {
		from := client()
		_, body, err := get(at+c.url, append(from, c.field, c.value)...)
		if err != nil || !strings.Contains(body, `"code":9009`) {
			t.Errorf("%s %s: %s %v", c.url, c.field, body, err)
		}
		g.untilLogged(`request not served" client=` + regexp.QuoteMeta(from[1]) + ` .*` + c.why)
	}
	// One who does not stop.
	flood := client()
	for range 30 {
		g.expect(at+"/pet", 401, "900901", append(flood, "Authorization", "Bearer x.y.hunter2")...)
	}
	next := client()
	g.expect(at+"/pet", 401, "900902", next...)
	g.untilLogged(`client=` + regexp.QuoteMeta(next[1]) + ` `)
	// Twice as many if a minute has ended meanwhile.
	if lines := strings.Count(g.log.String(), "client="+flood[1]+" "); lines < 10 || lines > 20 {
		t.Errorf("%d lines of one client", lines)
	}
	for _, secret := range secrets {
		if log := g.log.String(); strings.Contains(log, secret) {
			i := strings.Index(log, secret)
			t.Errorf("the log has what was sent: %q", log[max(0, i-200):min(len(log), i+50)])
		}
	}
}
