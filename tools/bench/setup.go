package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bodyEnd closes the upstream's answer.
const bodyEnd = `"}`

// body is the upstream's answer, 1 KiB.
var body = `{"id":42,"name":"doggie","photoUrls":[],"status":"available","note":"` + strings.Repeat("x", 1024-69-len(bodyEnd)) + bodyEnd

const (
	issuer   = "https://issuer.example"
	audience = "bench"
	scope    = "read:pets"
)

// prepare finds the binaries.
func (b *bench) prepare() error {
	for _, name := range []string{"micro-gw", "runtime"} {
		if _, err := os.Stat(b.binary(name)); err != nil {
			return fmt.Errorf("%s is not built; run make first", name)
		}
	}
	return nil
}

func (b *bench) binary(name string) string { return filepath.Join(b.root, "bin", name) }

func (b *bench) nginx(name string, conf func(port int) string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, name+".conf")
	if err := os.WriteFile(path, []byte(conf(port)), 0o644); err != nil {
		return nil, err
	}
	return &server{name: name, port: port, command: []string{lookPath("nginx"), "-p", b.dir, "-e", "stderr", "-c", path}}, nil
}

func nginxConf(dir, name, http string) string {
	return fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/%[2]s.pid;
worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path %[1]s/%[2]s-body;
    proxy_temp_path %[1]s/%[2]s-proxy;
    fastcgi_temp_path %[1]s/%[2]s-fastcgi;
    uwsgi_temp_path %[1]s/%[2]s-uwsgi;
    scgi_temp_path %[1]s/%[2]s-scgi;
%[3]s
}
`, dir, name, http)
}

func upstreamConf(dir string, port int) string {
	// Answers /petstore/ too, so that untilServing can ask it what it asks
	// everybody.
	return nginxConf(dir, "upstream", fmt.Sprintf(`
    server {
        listen 127.0.0.1:%d;
        default_type application/json;
        location /v2/ { return 200 '%[2]s'; }
        location /petstore/ { return 200 '%[2]s'; }
    }`, port, body))
}

// proxyConf makes nginx do what the gateway does without policies: pass the
// request on over a kept connection, with the fields a proxy adds.
func proxyConf(dir string, port, upstream int) string {
	return nginxConf(dir, "nginx", fmt.Sprintf(`
    upstream petstore {
        server 127.0.0.1:%d;
        keepalive 256;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:%d;
        location /petstore/v1/ {
            proxy_pass http://petstore/v2/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Via "1.1 nginx";
        }
    }`, upstream, port))
}

// haproxy returns nil if the program is not there: it is for orientation only.
func (b *bench) haproxy(upstream int) (*server, error) {
	program := lookPath("haproxy")
	if program == "" {
		return nil, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, "haproxy.cfg")
	conf := fmt.Sprintf(`global
    nbthread 1
    maxconn 4000

defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 600s

frontend api
    bind 127.0.0.1:%d
    http-request replace-path /petstore/v1(/.*) /v2\1
    http-request set-header X-Forwarded-Proto http
    http-request set-header Via "1.1 haproxy"
    default_backend petstore

backend petstore
    server upstream 127.0.0.1:%d pool-max-conn 1000
`, port, upstream)
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return &server{name: "HAProxy", port: port, command: []string{program, "-db", "-f", path}}, nil
}

// definition returns an OpenAPI document whose operation 1 is the target.
func definition(upstream, operations int, secured bool) string {
	var s strings.Builder
	fmt.Fprintf(&s, `openapi: 3.0.3
info:
  title: bench
  version: "1"
x-wso2-basePath: /petstore/v1
servers:
  - url: http://127.0.0.1:%d/v2
`, upstream)
	if secured {
		fmt.Fprintf(&s, `components:
  securitySchemes:
    auth:
      type: oauth2
      flows:
        clientCredentials:
          tokenUrl: %s/token
          scopes:
            %q: read
security:
  - auth: [%q]
`, issuer, scope, scope)
	} else {
		s.WriteString("x-wso2-disable-security: true\n")
	}
	s.WriteString("paths:\n")
	path := func(path string, params ...string) {
		fmt.Fprintf(&s, "  %s:\n    get:\n      responses:\n        \"200\":\n          description: found\n      parameters:\n", path)
		for _, p := range params {
			fmt.Fprintf(&s, "        - {name: %s, in: path, required: true, schema: {type: string}}\n", p)
		}
	}
	path("/pet/{petId}", "petId")
	// The shape of a large API: resources with sub-resources, literals and
	// parameters mixed.
	for i := 1; i < operations; i++ {
		switch r := fmt.Sprintf("/resource%d", i/3); i % 3 {
		case 0:
			path(r+"/{id}", "id")
		case 1:
			path(r+"/{id}/parts/{part}", "id", "part")
		case 2:
			path("/pet/{petId}"+r+"/{id}", "petId", "id")
		}
	}
	return s.String()
}

// project makes a project of the definition and builds it. It returns the
// artifact's path.
func (b *bench) project(name, definition string) (string, error) {
	file := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(file, []byte(definition), 0o644); err != nil {
		return "", err
	}
	if err := b.microgw("init", name, "-a", file); err != nil {
		return "", err
	}
	artifact := filepath.Join(b.dir, name+".mgw")
	return artifact, b.microgw("build", name, "-o", artifact)
}

func (b *bench) microgw(args ...string) error {
	cmd := exec.CommandContext(b.ctx, b.binary("micro-gw"), args...)
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("micro-gw %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

type runtimeConf struct {
	publicKey string // path of a PEM file; empty for no issuer
	accessLog bool
	cache     bool
	tls       *tlsConf // nil: HTTP
}

// runtime returns the gateway with an artifact and a configuration.
func (b *bench) runtime(name, artifact string, c runtimeConf) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	base := filepath.Join(b.dir, fmt.Sprintf("runtime-%d", port))
	var s strings.Builder
	s.WriteString("[listenerConfig]\nhost = \"127.0.0.1\"\nidleTimeout = \"600s\"\n")
	if c.tls != nil {
		s.WriteString("httpPort = -1\n")
		c.tls.write(&s, port)
	} else {
		fmt.Fprintf(&s, "httpPort = %d\nhttpsPort = -1\n", port)
	}
	fmt.Fprintf(&s, `

[admin]
address = ""

[accessLog]
enabled = %v
path = %q

[caching]
enabled = %v
`, c.accessLog, base+".log", c.cache)
	c.tls.more(&s)
	if c.publicKey != "" {
		fmt.Fprintf(&s, "\n[[jwtTokenConfig]]\nissuer = %q\naudience = %q\npublicKeyFile = %q\n", issuer, audience, c.publicKey)
	}
	if err := os.WriteFile(base+".conf", []byte(s.String()), 0o644); err != nil {
		return nil, err
	}
	return &server{name: "micro-gw " + name, port: port,
		command: []string{b.binary("runtime"), "--artifact", artifact, "--conf", base + ".conf"}}, nil
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}

// tokens are what newTokens makes.
type tokens struct {
	good      string
	revoked   string // good but for its id, revokedID
	revokedID string
	publicKey string // path of a PEM file
}

// newTokens makes an RS256 key of 2048 bits and tokens.
func newTokens(dir string) (*tokens, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	t := &tokens{revokedID: rand.Text(), publicKey: filepath.Join(dir, "issuer.pem")}
	if err := writePEM(t.publicKey, "PUBLIC KEY", der); err != nil {
		return nil, err
	}
	if t.good, err = newToken(key, rand.Text()); err != nil {
		return nil, err
	}
	t.revoked, err = newToken(key, t.revokedID)
	return t, err
}

func newToken(key *rsa.PrivateKey, id string) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": audience, "sub": "bench", "scope": scope, "keytype": "PRODUCTION", "azp": "bench",
		"jti": id, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	return input + "." + encode(signature), err
}

// verifyAlone returns what one signature check of the token costs in
// microseconds: the digest and the RSA operation, nothing of the claims.
func verifyAlone(token, publicKey string) float64 {
	data, err := os.ReadFile(publicKey)
	if err != nil {
		return 0
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return 0
	}
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		return 0
	}
	var batches []time.Duration
	for range 20 {
		const n = 200
		started := processCPU()
		for range n {
			digest := sha256.Sum256([]byte(token[:i]))
			if rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], signature) != nil {
				return 0
			}
		}
		batches = append(batches, (processCPU()-started)/n)
	}
	return float64(median(batches).Nanoseconds()) / 1000
}
