package realtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/runtime/internal/gateway/gatewaytest"
	"github.com/microgw/microgw/schema/artifactpb"
)

// The key of the tokens, and of the brokers' certificate.
var signer = sync.OnceValue(func() *gatewaytest.Signer {
	s, err := gatewaytest.NewSigner()
	if err != nil {
		panic(err)
	}
	return s
})

var cert = sync.OnceValue(func() *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, signer().Key.Public(), signer().Key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		panic(err)
	}
	return c
})

func writeStore(path string) error {
	data, err := pkcs12.Modern.Encode(signer().Key, cert(), nil, "changeit")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func writePair(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(signer().Key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert().Raw}), 0o600)
}

// trust is a store for the gateways that has the brokers' certificate.
func trust(t *testing.T) []string {
	t.Helper()
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{cert()}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trust.p12")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"listenerConfig.trustStorePath=" + path, "listenerConfig.trustStorePassword=changeit"}
}

// token is good for ten minutes.
func token(t *testing.T, jti string) string {
	t.Helper()
	now := time.Now().Unix()
	return signer().Sign(t, "JWT", map[string]any{"iss": conf.DevelopmentIssuer, "aud": conf.DevelopmentAudience, "sub": "me", "iat": now - 1, "exp": now + 600, "jti": jti})
}

type running struct {
	t    *testing.T
	at   gateway.Addresses
	log  *gatewaytest.Log
	stop func()
}

// start runs a gateway until the test ends.
func start(t *testing.T, set ...string) *running {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "pet") }))
	digest := sha256.Sum256(nil)
	path := filepath.Join(t.TempDir(), "pets.mgw")
	if err := artifact.Write(path, &artifactpb.Artifact{
		Build: &artifactpb.Build{ToolkitVersion: "test"}, Project: "pets",
		Sources:   []*artifactpb.Source{{Path: "api_definitions/pets.yaml", Sha256: digest[:]}},
		Documents: []*artifactpb.Document{{Dialect: artifactpb.Dialect_DIALECT_OPENAPI_3_0, Json: []byte(`{}`)}},
		Apis: []*artifactpb.Api{{
			Id: "api_1", Title: "Pets", Version: "1", BasePath: "/v1", Transports: []artifactpb.Transport{artifactpb.Transport_TRANSPORT_HTTP},
			Operations: []*artifactpb.Operation{{
				Id: "GET /pet", Method: "GET", Path: "/pet", Position: &artifactpb.Position{Line: 2, Column: 1}, ProductionCluster: 1,
				Security: &artifactpb.Security{Alternatives: []*artifactpb.SecurityAlternative{{Requirements: []*artifactpb.SecurityRequirement{{}}}}},
				Stages:   []*artifactpb.Stage{{Name: "authn", Kind: &artifactpb.Stage_Authn{Authn: &artifactpb.AuthnStage{}}}},
			}},
		}},
		Clusters: []*artifactpb.Cluster{{Name: "api_1", Environment: artifactpb.Environment_ENVIRONMENT_PRODUCTION, Balance: artifactpb.Balance_BALANCE_SINGLE,
			Endpoints: []*artifactpb.Endpoint{{Url: up.URL}}}},
		SecuritySchemes: []*artifactpb.SecurityScheme{{Kind: &artifactpb.SecurityScheme_Oauth2{Oauth2: &artifactpb.OAuth2Scheme{}}}},
		DevelopmentKey:  signer().JWK,
	}); err != nil {
		t.Fatal(err)
	}
	g := &running{t: t, log: &gatewaytest.Log{}}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan gateway.Addresses, 1), make(chan error, 1)
	set = append([]string{"listenerConfig.host=127.0.0.1", "listenerConfig.httpPort=0", "listenerConfig.httpsPort=-1",
		"admin.address=127.0.0.1:0", "accessLog.enabled=false", "shutdown.grace=1s", "b7a.log.level=DEBUG"}, set...)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{Artifact: path, Conf: conf.Options{Set: set, Dev: true}, Stderr: g.log, Ready: func(a gateway.Addresses) { ready <- a }})
	}()
	select {
	case g.at = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("not started: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatal("not started in time")
	}
	g.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the gateway does not end")
		}
		up.Close()
	})
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", g.log)
		}
		if regexp.MustCompile(`eyJ|secret-`).MatchString(g.log.String()) {
			t.Error("a token or an id was logged")
		}
	})
	return g
}

var client = &http.Client{Timeout: patience}

// status asks for the pet.
func (g *running) status(token string) int {
	g.t.Helper()
	r, err := http.NewRequest("GET", "http://"+g.at.HTTP+"/v1/pet", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	const want = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
	if resp.StatusCode == 401 && string(bytes.TrimSpace(body)) != want {
		g.t.Fatalf("body %s", body)
	}
	return resp.StatusCode
}

func (g *running) admin(path string) string {
	resp, err := client.Get("http://" + g.at.Admin + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (g *running) untilLogged(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	until(g.t, "log has "+pattern, func() bool { return re.MatchString(g.log.String()) })
}

func (g *running) untilReady(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	until(g.t, "/ready has "+pattern, func() bool { return re.MatchString(g.admin("/ready")) })
}

// revokes has publish revoke a token that all gateways know, and waits for the
// last of them to refuse it. It returns how long that took.
func revokes(t *testing.T, name, jti string, publish func(), gateways ...*running) time.Duration {
	t.Helper()
	bearer := token(t, jti)
	for _, g := range gateways {
		if code := g.status(bearer); code != 200 {
			t.Fatalf("%s: %d before it is revoked", name, code)
		}
	}
	began := time.Now()
	publish()
	for _, g := range gateways {
		until(t, name+" is revoked", func() bool { return g.status(bearer) == 401 })
	}
	return time.Since(began)
}

// percentile99 says how long revocations take, from the publisher's call to the
// first refusal of the slowest gateway.
func percentile99(t *testing.T, all []time.Duration) {
	slices.Sort(all)
	t.Logf("from publishing to the last accepted request: median %v, p99 %v of %d", all[len(all)/2], all[(len(all)*99+99)/100-1], len(all))
}
