package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// This file sets up the comparison of TLS with mutual TLS and revocation. wrk
// cannot show a certificate, so an nginx beside it (on its core, and not
// counted) speaks TLS for it, in both cases.

// revokedIDs is how many revoked tokens the store has.
const revokedIDs = 10_000

// tlsConf is what a gateway with TLS is given.
type tlsConf struct {
	certificate, key string // PEM files
	// Client certificates and revocation; empty: none of it.
	authorities, crl string
	store            string // URL of etcd's folder; empty: none
}

func (c *tlsConf) write(s *strings.Builder, port int) {
	if c == nil {
		return
	}
	// The tables of the listener are open at this point.
	fmt.Fprintf(s, "httpsPort = %d\ncertificateFile = %q\nprivateKeyFile = %q\n", port, c.certificate, c.key)
}

// more is the tables that c adds.
func (c *tlsConf) more(s *strings.Builder) {
	if c == nil {
		return
	}
	if c.authorities != "" {
		fmt.Fprintf(s, "\n[mutualSSLConfig]\nsslVerifyClient = \"require\"\nauthoritiesFile = %q\ncrlFile = %q\n", c.authorities, c.crl)
	}
	if c.store != "" {
		fmt.Fprintf(s, "\n[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\nhostname = %q\n", c.store)
	}
}

// secure returns a gateway with TLS and a token, and one that wants a client
// certificate as well and looks up revoked tokens and certificates. Without
// etcd no tokens are revoked.
func (b *bench) secure(upstream int, issued *tokens) (mutual, plain *server, err error) {
	certs, err := b.certificates()
	if err != nil {
		return nil, nil, err
	}
	api := definition(upstream, 1, true)
	only, err := b.project("tls", api)
	if err != nil {
		return nil, nil, err
	}
	both, err := b.project("mutual", api+"x-wso2-mutual-ssl: mandatory\n")
	if err != nil {
		return nil, nil, err
	}
	store, err := b.etcd(issued.revokedID)
	if err != nil {
		return nil, nil, err
	}
	gateway := func(name, artifact string, c tlsConf) (*server, error) {
		c.certificate, c.key = certs.server, certs.serverKey
		s, err := b.runtime(name, artifact, runtimeConf{publicKey: issued.publicKey, accessLog: true, cache: true, tls: &c})
		if err != nil {
			return nil, err
		}
		s.header = "Authorization: Bearer " + issued.good
		front, err := b.nginx("front of "+name, func(port int) string { return certs.front(b.dir, strings.ReplaceAll(name, " ", "-"), port, s.port) })
		if err != nil {
			return nil, err
		}
		s.front = front
		return s, nil
	}
	if plain, err = gateway("JWT, TLS", only, tlsConf{}); err != nil {
		return nil, nil, err
	}
	name := "JWT, mutual TLS"
	if b.result.revocation = store != ""; b.result.revocation {
		name += ", revocation"
	}
	mutual, err = gateway(name, both, tlsConf{authorities: certs.authority, crl: certs.crl, store: store})
	return mutual, plain, err
}

type certificates struct {
	authority, crl, server, serverKey, client, clientKey string
}

// front makes nginx speak TLS with the gateway, over connections that stay.
func (c *certificates) front(dir, name string, port, gateway int) string {
	return nginxConf(dir, "front-"+name, fmt.Sprintf(`
    upstream gateway {
        server 127.0.0.1:%d;
        keepalive 256;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:%d;
        location / {
            proxy_pass https://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ssl_certificate %s;
            proxy_ssl_certificate_key %s;
        }
    }`, gateway, port, c.client, c.clientKey))
}

// certificates makes an authority, its list of some revoked certificates, and
// certificates for the gateway and a client.
func (b *bench) certificates() (*certificates, error) {
	path := func(name string) string { return filepath.Join(b.dir, name) }
	c := &certificates{path("ca.pem"), path("ca.crl"), path("server.pem"), path("server.key"), path("client.pem"), path("client.key")}
	now := time.Now()
	// key makes a key; sign a certificate, by itself if there is no issuer.
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // no random numbers: nothing goes on
		}
		return k
	}
	serial := int64(0)
	sign := func(name string, template x509.Certificate, of *ecdsa.PrivateKey, issuer *x509.Certificate, by crypto.Signer) (*x509.Certificate, error) {
		serial++
		template.SerialNumber, template.Subject = big.NewInt(serial), pkix.Name{CommonName: name}
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
		if issuer == nil {
			issuer = &template
		}
		der, err := x509.CreateCertificate(rand.Reader, &template, issuer, of.Public(), by)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	authorityKey := key()
	authority, err := sign("bench authority", x509.Certificate{IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, authorityKey, nil, authorityKey)
	if err != nil {
		return nil, err
	}
	if err := writePEM(c.authority, "CERTIFICATE", authority.Raw); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name, file, keyFile string
		use                 x509.ExtKeyUsage
	}{{"gateway", c.server, c.serverKey, x509.ExtKeyUsageServerAuth}, {"client", c.client, c.clientKey, x509.ExtKeyUsageClientAuth}} {
		k := key()
		cert, err := sign(x.name, x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x.use}}, k, authority, authorityKey)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return nil, err
		}
		if err := writePEM(x.file, "CERTIFICATE", cert.Raw); err != nil {
			return nil, err
		}
		if err := writePEM(x.keyFile, "PRIVATE KEY", der); err != nil {
			return nil, err
		}
	}
	list := x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for i := range int64(1000) {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(1000 + i), RevocationTime: now.Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, &list, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	return c, writePEM(c.crl, "X509 CRL", der)
}

// refuses is nil if s knows that a token is revoked.
func refuses(s *server, token string) error {
	with := *s
	with.header = "Authorization: Bearer " + token
	if err := get(&with); err == nil || !strings.Contains(err.Error(), " 401 ") {
		return fmt.Errorf("%s does not refuse a revoked token: %v\n%s", s.name, err, s.log())
	}
	return nil
}

// etcd starts a store of revoked tokens, of which one is given, and returns the
// URL of their folder; "" if there is no etcd on this machine.
func (b *bench) etcd(id string) (string, error) {
	program := lookPath("etcd")
	if program == "" {
		b.progress("no etcd: revoked tokens are not looked up")
		return "", nil
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	peer, err := freePort()
	if err != nil {
		return "", err
	}
	url, peerURL := "http://"+address(port), "http://"+address(peer)
	s := &server{name: "etcd", port: port, command: []string{program, "--data-dir", filepath.Join(b.dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
		"--initial-cluster", "default=" + peerURL, "--unsafe-no-fsync"}}
	if err := b.launch(s, loadCore); err != nil {
		return "", err
	}
	b.running = append(b.running, s)
	client := &http.Client{Timeout: 10 * time.Second}
	post := func(path string, message any) error {
		data, err := json.Marshal(message)
		if err != nil {
			return err
		}
		res, err := client.Post(url+path, "application/json", bytes.NewReader(data))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("etcd: %s: %s", res.Status, answer)
		}
		return err
	}
	type object = map[string]any
	for started := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := post("/v3/maintenance/status", object{})
		if err == nil {
			break
		}
		if time.Since(started) > 20*time.Second || b.ctx.Err() != nil || exited(s.pid()) {
			return "", fmt.Errorf("%w\n%s", err, s.log())
		}
	}
	for done := 0; done < revokedIDs; {
		var puts []object
		for range min(100, revokedIDs-done) { // etcd takes 128 at once
			key := base64.StdEncoding.EncodeToString([]byte("/jti/" + id))
			id = rand.Text()
			puts = append(puts, object{"requestPut": object{"key": key, "value": "cmV2b2tlZA=="}})
		}
		if err := post("/v3/kv/txn", object{"success": puts}); err != nil {
			return "", err
		}
		done += len(puts)
	}
	return url + "/jti/", nil
}
