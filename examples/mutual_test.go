package examples

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMutualTLS is a mixed set of APIs, with both programs: what
// x-wso2-mutual-ssl says of each, behind what sslVerifyClient asks of all.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "micro-gw", "init", "mixed")
	if err := os.Remove(filepath.Join(dir, "mixed/api_definitions/petstore.yaml")); err != nil {
		t.Fatal(err)
	}
	backend := upstream(t)
	for name, says := range map[string]string{
		"silent":    "",
		"optional":  "x-wso2-mutual-ssl: optional",
		"export":    "x-wso2-mutual-ssl: optional\nx-wso2-application-security: {security-types: [oauth2], optional: false}",
		"mandatory": "x-wso2-mutual-ssl: mandatory",
		"alone":     "x-wso2-mutual-ssl: mandatory\nx-wso2-application-security: {optional: true}",
		"open":      "x-wso2-disable-security: true",
	} {
		write(t, dir, "mixed/api_definitions/"+name+".yaml", "openapi: 3.0.3\ninfo: {title: "+name+", version: \"1\"}\nx-wso2-basePath: /"+name+
			"\nx-wso2-production-endpoints: {urls: [\""+backend+"\"]}\n"+says+"\npaths:\n  /x: {get: {responses: {\"200\": {description: ok}}}}\n")
	}
	must(t, dir, "micro-gw", "build", "mixed")
	token := must(t, dir, "micro-gw", "token", "mixed")
	ours, trusted := certificates(t, dir, "ours.pem")
	_, stranger := certificates(t, dir, "theirs.pem")

	// What is answered without and with a token. 0: there is no connection.
	type want [2]int
	const none, mine, theirs = "none", "trusted", "a stranger's"
	for mode, table := range map[string]map[string]map[string]want{
		"": {
			none: {"silent": {401, 200}, "optional": {401, 200}, "export": {401, 200}, "mandatory": {401, 401}, "alone": {401, 401}, "open": {200, 200}},
			mine: {"silent": {401, 200}, "optional": {401, 200}, "export": {401, 200}, "mandatory": {401, 401}, "alone": {401, 401}, "open": {200, 200}},
		},
		"optional": {
			none:   {"silent": {401, 200}, "optional": {401, 200}, "export": {401, 200}, "mandatory": {401, 401}, "alone": {401, 401}, "open": {200, 200}},
			mine:   {"silent": {200, 200}, "optional": {200, 200}, "export": {401, 200}, "mandatory": {401, 200}, "alone": {200, 200}, "open": {200, 200}},
			theirs: {"silent": {0, 0}, "optional": {0, 0}, "open": {0, 0}},
		},
		"require": {
			none:   {"silent": {0, 0}, "optional": {0, 0}, "export": {0, 0}, "mandatory": {0, 0}, "alone": {0, 0}, "open": {0, 0}},
			mine:   {"silent": {200, 200}, "optional": {200, 200}, "export": {401, 200}, "mandatory": {401, 200}, "alone": {200, 200}, "open": {200, 200}},
			theirs: {"silent": {0, 0}, "optional": {0, 0}, "open": {0, 0}},
		},
	} {
		t.Run("sslVerifyClient="+mode, func(t *testing.T) {
			plain, secure := port(t), port(t)
			args := append(local(plain), "-e", "listenerConfig.httpsPort="+secure, "--dev", "--artifact", "mixed/target/mixed.mgw")
			if mode != "" {
				args = append(args, "-e", "mutualSSLConfig.sslVerifyClient="+mode, "-e", "mutualSSLConfig.authoritiesFile="+ours)
			}
			gw := start(t, dir, "runtime", args...).listening(plain).listening(secure)
			for who, cert := range map[string]*tls.Certificate{none: nil, mine: trusted, theirs: stranger} {
				c := &tls.Config{InsecureSkipVerify: true}
				if cert != nil {
					c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				}
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: patience}
				for api, want := range table[who] {
					for i, header := range []string{"", "Bearer " + token} {
						r, err := http.NewRequest("GET", "https://127.0.0.1:"+secure+"/"+api+"/x", nil)
						if err != nil {
							t.Fatal(err)
						}
						if header != "" {
							r.Header.Set("Authorization", header)
						}
						got, body := 0, ""
						resp, err := client.Do(r)
						if err == nil {
							b, _ := io.ReadAll(resp.Body)
							resp.Body.Close()
							got, body = resp.StatusCode, string(b)
						}
						if got != want[i] {
							t.Errorf("%s, certificate %s, token %v: got %d %s %v, want %d", api, who, i == 1, got, body, err, want[i])
						}
					}
				}
				client.CloseIdleConnections()
			}
			// The port without TLS has no certificates, whatever is required of the
			// other.
			for api, want := range map[string]int{"silent": 200, "optional": 200, "mandatory": 401, "alone": 401, "open": 200} {
				if got := call(t, "GET", "http://127.0.0.1:"+plain+"/"+api+"/x", token, ""); got.status != want {
					t.Errorf("%s without TLS: got %d %s, want %d", api, got.status, got.body, want)
				}
			}
			if mode == "" && !strings.Contains(gw.output(), "clients are not asked for a certificate (mutualSSLConfig.sslVerifyClient): 2 of 6 operations need a client certificate") {
				t.Error("nothing was said of what nobody can call")
			}
			gw.stop()
		})
	}
}

// certificates makes an authority, in a file, and a client's certificate by it.
func certificates(t *testing.T, dir, name string) (file string, client *tls.Certificate) {
	t.Helper()
	sign := func(c, by *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			by, signer = c, key
		}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	ca, caKey := sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	leaf, key := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
	file = write(t, dir, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})))
	return filepath.Base(file), &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}
