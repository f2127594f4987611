package gateway_test

import (
	"bufio"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// Forged tokens as they come over a socket: whatever is wrong with one, its
// bearer is told the same, and the connection goes on. policy/jwt has the longer
// table, with the reason for each.
func TestForgedTokens(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	dir := t.TempDir()
	path, file := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "issuer.pem")
	put(t, path, project("pets", echo(t, "up").URL, nil))
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Path: os.DevNull, Set: local("jwtTokenConfig.issuer=https://i.example", "jwtTokenConfig.audience=gw", "jwtTokenConfig.publicKeyFile="+file)}})

	b64 := base64.RawURLEncoding.EncodeToString
	signed := func(by *rsa.PrivateKey, header, payload string) string {
		text := b64([]byte(header)) + "." + b64([]byte(payload))
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, by, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + b64(sig)
	}
	const header = `{"alg":"RS256","typ":"JWT"}`
	exp := time.Now().Unix() + 600
	open := fmt.Sprintf(`{"iss":"https://i.example","aud":"gw","sub":"me","exp":%d`, exp)
	payload := open + "}"
	good := signed(key, header, payload)
	part := strings.Split(good, ".")
	mac := func(secret []byte) string {
		text := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part[1]
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(text))
		return text + "." + b64(m.Sum(nil))
	}
	jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, b64(stranger.N.Bytes()))
	// The last character of a signature of 256 bytes has four bits that say nothing.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])

	conn, err := net.Dial("tcp", g.at.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	ask := func(token string) (*http.Response, string) {
		t.Helper()
		if _, err := fmt.Fprintf(conn, "GET /v1/pet HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	const told = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
	for name, token := range map[string]string{
		"none":                          b64([]byte(`{"alg":"none"}`)) + "." + part[1] + ".",
		"none with a signature":         b64([]byte(`{"alg":"none"}`)) + "." + part[1] + "." + part[2],
		"NONE":                          b64([]byte(`{"alg":"NONE"}`)) + "." + part[1] + "." + part[2],
		"HMAC with the public key":      mac(public),
		"HMAC with it, no line end":     mac(public[:len(public)-1]),
		"HMAC with its DER":             mac(der),
		"HMAC with nothing":             mac(nil),
		"embedded key":                  signed(stranger, `{"alg":"RS256","jwk":`+jwk+`}`, payload),
		"URL of a key":                  signed(stranger, `{"alg":"RS256","jku":"http://`+g.at.HTTP+`/v1/open","x5u":"file:///etc/passwd"}`, payload),
		"embedded certificate":          signed(stranger, `{"alg":"RS256","x5c":["MIIB"]}`, payload),
		"kid of a file":                 signed(stranger, `{"alg":"RS256","kid":"../../../dev/null"}`, payload),
		"another key":                   signed(stranger, header, payload),
		"exp twice":                     signed(key, header, open+`,"exp":1}`),
		"exp twice, escaped":            signed(key, header, open+`,"\u0065xp":1}`),
		"alg twice":                     signed(key, `{"alg":"none","alg":"RS256"}`, payload),
		"iss in upper case":             signed(key, header, strings.Replace(payload, `"iss"`, `"ISS"`, 1)),
		"exp in upper case":             signed(key, header, strings.Replace(payload, `"exp"`, `"Exp"`, 1)),
		"alg in upper case":             signed(key, `{"ALG":"RS256"}`, payload),
		"alg's value in lower case":     signed(key, `{"alg":"rs256"}`, payload),
		"bits that say nothing":         good[:len(good)-1] + string(alphabet[last^1]),
		"padding":                       good + "==",
		"another alphabet":              part[0] + "." + part[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(part[2]) + "+",
		"escaped":                       strings.Replace(good, ".", "%2E", 1),
		"a token inside":                signed(key, `{"alg":"RS256","cty":"JWT"}`, payload),
		"a token as the payload":        signed(key, header, good),
		"five parts":                    good + "." + part[1] + "." + part[2],
		"crit":                          signed(key, `{"alg":"RS256","crit":["b64"],"b64":false}`, payload),
		"b64":                           signed(key, `{"alg":"RS256","b64":false}`, payload),
		"expired":                       signed(key, header, strings.Replace(payload, fmt.Sprint(exp), "1", 1)),
		"no exp":                        signed(key, header, strings.Replace(payload, fmt.Sprintf(`,"exp":%d`, exp), "", 1)),
		"for others":                    signed(key, header, strings.Replace(payload, `"gw"`, `"GW"`, 1)),
		"of somebody else":              signed(key, header, strings.Replace(payload, "https://i.example", "https://i.example/", 1)),
		"no issuer":                     signed(key, header, strings.Replace(payload, `"iss":"https://i.example",`, "", 1)),
		"another kind":                  signed(key, `{"alg":"RS256","typ":"logout+jwt"}`, payload),
		"payload of another":            part[0] + "." + b64([]byte(open+`,"scope":"admin"}`)) + "." + part[2],
		"no signature":                  part[0] + "." + part[1] + ".",
		"noise":                         strings.Repeat("A", 500) + "." + strings.Repeat("B", 500) + "." + strings.Repeat("C", 342),
		"dots":                          strings.Repeat(".", 4000),
		"as much as fits into the head": "a." + strings.Repeat("A", 8000) + ".b",
	} {
		resp, body := ask(token)
		if resp.StatusCode != 401 || body != told || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) || resp.Close {
			t.Errorf("%s: got %s %v %s", name, resp.Status, resp.Header, body)
		}
	}
	if resp, body := ask(good); resp.StatusCode != 200 {
		t.Errorf("the good one after all of them: %s %s", resp.Status, body)
	}
	// A megabyte is more than a head may have, and is not read to its end.
	_, _ = fmt.Fprintf(conn, "GET /v1/pet HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.%s.b\r\n\r\n", strings.Repeat("A", 1<<20)) // it hangs up meanwhile
	if resp, err := http.ReadResponse(in, nil); err == nil && resp.StatusCode != 431 {
		t.Errorf("a megabyte: %s", resp.Status)
	}
}
