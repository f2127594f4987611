package confirm_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/confirm"
)

func TestRead(t *testing.T) {
	mine := &x509.Certificate{Raw: []byte("mine")}
	sum := sha256.Sum256(mine.Raw)
	print := base64.RawURLEncoding.EncodeToString(sum[:])
	c, err := confirm.Read([]byte(`{"x5t#S256":"` + print + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		tls  *tls.ConnectionState
		good bool
	}{
		"no TLS":         {nil, false},
		"no certificate": {&tls.ConnectionState{}, false},
		"another":        {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("other")}}}, false},
		"second":         {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("other")}, mine}}, false},
		"mine":           {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}}, true},
	} {
		if err := c.Allows(&exchange.Exchange{TLS: tt.tls}); (err == nil) != tt.good || err != nil && !errors.Is(err, fault.InvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		``, `null`, `{}`, `[]`, `"` + print + `"`, `{"x5t#S256":null}`, `{"x5t#S256":"` + print + `="}`, `{"x5t#S256":"` + print[1:] + `"}`, `{"x5t#S256":["` + print + `"]}`,
		`{"x5t#s256":"` + print + `"}`, `{"x5t#S256":"` + print + `","jkt":"x"}`, `{"jwk":{}}`, `{"x5t#S256":"` + print + `","x5t#S256":"` + print + `"}`,
		`{"x5t#S256":"` + print[:42] + `_"}`, // bits beyond the last byte
	} {
		if c, err := confirm.Read([]byte(text)); err == nil {
			t.Errorf("%s: read as %x", text, *c)
		}
	}
}
