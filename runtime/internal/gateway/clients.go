package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/crl"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/plan"
	"github.com/microgw/microgw/schema/artifactpb"
)

// clients is whose certificates the HTTPS listener trusts.
type clients struct {
	cfg         *conf.Mutual
	store       *keys.Store
	authorities []*x509.Certificate
	suffice     bool      // a certificate takes the place of a token
	revoked     *crl.List // nil: no list
	warn        []string
}

// newClients reads the authorities and the list of what they have revoked. It
// returns nil if clients are not asked for certificates.
func newClients(c *conf.Config, store *keys.Store) (_ *clients, err error) {
	m := &c.Mutual
	if m.Verify == "" {
		return nil, nil
	}
	k := &clients{cfg: m, store: store, suffice: true}
	for _, i := range c.Issuers {
		// Whose tokens are worth nothing without a certificate wants more than the
		// certificate, which every client has then.
		k.suffice = k.suffice && i.Profile != conf.ProfileFAPI
	}
	if m.AuthoritiesFile != "" {
		if k.authorities, err = readAuthorities(m.AuthoritiesFile); err != nil {
			return nil, fmt.Errorf("mutualSSLConfig.authoritiesFile: %w", err)
		}
	} else if store != nil {
		k.authorities = store.Trusted()
	}
	if len(k.authorities) == 0 {
		return nil, fmt.Errorf("mutualSSLConfig.sslVerifyClient: no authority to trust is in %s", c.Listener.TrustStore.Path)
	}
	k.warn = append(k.warn, publicAuthorities(k.authorities)...)
	if m.CRLFile != "" {
		if k.revoked, err = crl.Open(m.CRLFile, k.authorities); err != nil {
			return nil, fmt.Errorf("mutualSSLConfig.crlFile: %w", err)
		}
		if until := k.revoked.Until(); !until.IsZero() && time.Now().After(until) {
			k.warn = append(k.warn, fmt.Sprintf("mutualSSLConfig.crlFile: %s was to be replaced by %s; it goes on", m.CRLFile, until.UTC().Format(time.DateTime)))
		}
	}
	return k, nil
}

func readAuthorities(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: a PEM block of the type %q is not a certificate", path, b.Type)
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	return all, nil
}

// publicAuthorities warns of authorities that sign for everybody: a certificate
// from one of them would let in whoever has bought one.
func publicAuthorities(all []*x509.Certificate) []string {
	system, err := x509.SystemCertPool()
	if err != nil {
		return nil
	}
	var public []string
	for _, a := range all {
		if _, err := a.Verify(x509.VerifyOptions{Roots: system, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
			public = append(public, a.Subject.CommonName)
		}
	}
	if len(public) == 0 {
		return nil
	}
	shown := public[:min(len(public), 3)]
	return []string{fmt.Sprintf("mutualSSLConfig: client certificates of %d public authorities are trusted (%s): whoever has one gets in without a token; "+
		"name your own authorities in mutualSSLConfig.authoritiesFile", len(public), strings.Join(shown, ", "))}
}

// listen makes c ask for certificates.
func (k *clients) listen(c *tls.Config) {
	if k == nil {
		return
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if k.cfg.Verify == "require" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.ClientCAs = x509.NewCertPool()
	for _, a := range k.authorities {
		c.ClientCAs.AddCert(a)
	}
	if k.revoked == nil {
		return
	}
	// Also called where a session is resumed, unlike VerifyPeerCertificate.
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.VerifiedChains) == 0 {
			return nil
		}
		for _, chain := range s.VerifiedChains {
			if !k.revoked.Revoked(chain) {
				return nil
			}
		}
		return fmt.Errorf("client certificate %s of %q is revoked", s.PeerCertificates[0].SerialNumber, s.PeerCertificates[0].Issuer)
	}
}

// plan is what routes have to know.
func (k *clients) plan() (plan.Certificates, error) {
	if k == nil {
		return plan.Certificates{}, nil
	}
	c := plan.Certificates{Suffice: k.suffice, Header: k.cfg.UpstreamHeader}
	if k.revoked != nil {
		c.Revoked = k.revoked.Revoked
	}
	type api struct{ title, version string }
	lists := map[api][]*x509.Certificate{}
	for _, a := range k.cfg.APIs {
		for _, alias := range a.Aliases {
			cert, err := k.store.Certificate(alias)
			if err != nil {
				return c, fmt.Errorf("mutualSSLConfig.api.certificates: API %q: %w", a.Name, err)
			}
			lists[api{a.Name, a.Version}] = append(lists[api{a.Name, a.Version}], cert)
		}
	}
	if len(lists) == 0 {
		return c, nil
	}
	c.Allowed = func(title, version string) func([]*x509.Certificate) bool {
		list, ok := lists[api{title, version}]
		if !ok {
			return nil
		}
		return func(chain []*x509.Certificate) bool {
			for _, have := range chain {
				for _, want := range list {
					if have.Equal(want) {
						return true
					}
				}
			}
			return false
		}
	}
	return c, nil
}

// unknownAPIs says which APIs of the conf are not in the artifact.
func (k *clients) unknownAPIs(apis []*artifactpb.Api) (w []string) {
	if k == nil {
		return nil
	}
	known := map[string]bool{}
	for _, a := range apis {
		known[a.GetTitle()+"\x00"+a.GetVersion()] = true
	}
	for _, a := range k.cfg.APIs {
		if !known[a.Name+"\x00"+a.Version] {
			w = append(w, fmt.Sprintf("mutualSSLConfig.api.certificates: no API %q of version %q is in the artifact", a.Name, a.Version))
		}
	}
	return w
}
