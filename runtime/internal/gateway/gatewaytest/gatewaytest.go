// Package gatewaytest has what tests of whole gateways need beside the gateway:
// an issuer's key, a server of any protocol, and a log that may be read while it
// is written.
package gatewaytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"
)

// A Signer is an issuer's key, P-256, by the name "k".
type Signer struct {
	Key *ecdsa.PrivateKey
	JWK []byte // the public half
}

// NewSigner makes a key.
func NewSigner() (*Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	return &Signer{key, fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))}, nil
}

var b64 = base64.RawURLEncoding.EncodeToString

// Sign makes a token of that type.
func (s *Signer) Sign(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := b64(fmt.Appendf(nil, `{"alg":"ES256","kid":"k","typ":%q}`, typ)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	r, sig, err := ecdsa.Sign(rand.Reader, s.Key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	// RFC 7518, section 3.4.
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	sig.FillBytes(raw[32:])
	return text + "." + b64(raw)
}

// Serve has each handle the connections to a port of 127.0.0.1, each on a
// goroutine and closed afterwards, until the test ends or the listener is closed.
func Serve(t testing.TB, each func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				each(c)
			}()
		}
	}()
	return l
}

// A Log is what a gateway has written so far. The zero value is empty.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
