package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/crl"
	"github.com/microgw/microgw/runtime/internal/keys"
	"github.com/microgw/microgw/runtime/internal/plan"
	"github.com/microgw/microgw/schema/artifactpb"
)

// clients is whose certificates the HTTPS listener trusts. The authorities and
// what they have revoked are read again when their files change.
type clients struct {
	cfg     *conf.Mutual
	store   conf.Store // listenerConfig.trustStorePath
	files   []string   // with the authorities, and with certificates of APIs
	seen    []fileID   // of files, for watch
	seenCRL []fileID
	suffice bool      // a certificate takes the place of a token
	revoked *crl.List // nil: no list
	warn    []string

	now   atomic.Pointer[trust]
	first *trust      // what now was at the start
	port  *tls.Config // without GetConfigForClient; nil: there is no HTTPS port

	mu sync.Mutex // held while files are read
}

// trust is whose certificates count.
type trust struct {
	authorities []*x509.Certificate
	apis        map[apiName][]*x509.Certificate // for APIs that take some only
	tls         *tls.Config                     // asks for them; nil: the listener's own does
}

type apiName struct{ title, version string }

// newClients reads the authorities and the list of what they have revoked. It
// returns nil if clients are not asked for certificates. store is the trust store,
// if it has been read.
func newClients(c *conf.Config, store *keys.Store) (*clients, error) {
	m := &c.Mutual
	if m.Verify == "" {
		return nil, nil
	}
	k := &clients{cfg: m, store: c.Listener.TrustStore, suffice: true}
	for _, i := range c.Issuers {
		// Whose tokens are worth nothing without a certificate wants more than the
		// certificate, which every client has then.
		k.suffice = k.suffice && i.Profile != conf.ProfileFAPI
	}
	if m.AuthoritiesFile != "" {
		k.files = append(k.files, m.AuthoritiesFile)
	}
	if k.usesStore() {
		k.files = append(k.files, k.store.Path)
	}
	now := time.Now()
	if !k.usesStore() { // which has been read before this
		k.seen = unlessFresh(identifyAll(k.files), now)
	}
	t, err := k.read(store)
	if err != nil {
		return nil, err
	}
	k.first = t
	k.now.Store(t)
	k.warn = publicAuthorities(t.authorities)
	if m.CRLFile != "" {
		k.seenCRL = unlessFresh(identifyAll([]string{m.CRLFile}), now)
		if k.revoked, err = crl.Open(m.CRLFile, t.authorities); err != nil {
			return nil, fmt.Errorf("mutualSSLConfig.crlFile: %w", err)
		}
		k.warn = append(k.warn, k.late(now)...)
	}
	return k, nil
}

// usesStore reports whether the trust store says anything about clients.
func (k *clients) usesStore() bool { return k.cfg.AuthoritiesFile == "" || len(k.cfg.APIs) > 0 }

// late warns of a list that should have been replaced.
func (k *clients) late(now time.Time) []string {
	until := k.revoked.Until()
	if until.IsZero() || !now.After(until) {
		return nil
	}
	return []string{fmt.Sprintf("mutualSSLConfig.crlFile: %s was to be replaced by %s; it goes on", k.cfg.CRLFile, until.UTC().Format(time.DateTime))}
}

// read reads all files but the list of what is revoked. If store is nil that is
// read, too.
func (k *clients) read(store *keys.Store) (_ *trust, err error) {
	if store == nil && k.usesStore() {
		if store, err = openTrustStore(&k.store); err != nil {
			return nil, err
		}
	}
	t := &trust{apis: map[apiName][]*x509.Certificate{}}
	if k.cfg.AuthoritiesFile != "" {
		if t.authorities, err = readAuthorities(k.cfg.AuthoritiesFile); err != nil {
			return nil, fmt.Errorf("mutualSSLConfig.authoritiesFile: %w", err)
		}
	} else {
		t.authorities = store.Trusted()
	}
	if len(t.authorities) == 0 {
		return nil, fmt.Errorf("mutualSSLConfig.sslVerifyClient: no authority to trust is in %s", k.store.Path)
	}
	for _, a := range k.cfg.APIs {
		name := apiName{a.Name, a.Version}
		for _, alias := range a.Aliases {
			cert, err := store.Certificate(alias)
			if err != nil {
				return nil, fmt.Errorf("mutualSSLConfig.api.certificates: API %q: %s: %w", a.Name, k.store.Path, err)
			}
			t.apis[name] = append(t.apis[name], cert)
		}
	}
	return t, nil
}

// equal reports whether t trusts the same certificates as u.
func (t *trust) equal(u *trust) bool {
	same := func(a, b []*x509.Certificate) bool { return slices.EqualFunc(a, b, (*x509.Certificate).Equal) }
	return same(t.authorities, u.authorities) && maps.EqualFunc(t.apis, u.apis, same)
}

// reload reads the authorities again. If there is an error those before go on.
func (k *clients) reload(log *slog.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.now.Load()
	next, err := k.read(nil)
	if err != nil {
		log.Error("trusted authorities of clients: the last good ones go on", "err", err, "authorities", len(old.authorities))
		return
	}
	if next.equal(old) {
		return
	}
	if k.port != nil {
		next.tls = k.port.Clone()
		next.tls.ClientCAs = pool(next.authorities)
	}
	k.now.Store(next)
	log.Info("trusted authorities of clients read", "paths", k.files, "authorities", len(next.authorities))
	before := publicAuthorities(old.authorities)
	for _, w := range publicAuthorities(next.authorities) {
		if !slices.Contains(before, w) {
			log.Warn(w)
		}
	}
	k.reloadRevoked(log)
}

// reloadCRL reads the list of what is revoked again.
func (k *clients) reloadCRL(log *slog.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reloadRevoked(log)
}

// reloadRevoked wants mu to be held.
func (k *clients) reloadRevoked(log *slog.Logger) {
	if k.revoked == nil {
		return
	}
	changed, err := k.revoked.Read(k.now.Load().authorities)
	switch {
	case err != nil:
		log.Warn("list of revoked client certificates: the last good one goes on", "path", k.cfg.CRLFile, "err", err, "revoked", k.revoked.Len())
	case changed:
		log.Info("list of revoked client certificates read", "path", k.cfg.CRLFile, "revoked", k.revoked.Len())
		for _, w := range k.late(time.Now()) {
			log.Warn(w)
		}
	}
}

func pool(list []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range list {
		p.AddCert(c)
	}
	return p
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
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if k.cfg.Verify == "require" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.ClientCAs = pool(k.first.authorities)
	// Also called where a session is resumed, unlike VerifyPeerCertificate.
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.VerifiedChains) == 0 {
			return nil
		}
		for _, chain := range s.VerifiedChains {
			if !k.withdrawn(chain) {
				return nil
			}
		}
		return fmt.Errorf("client certificate %s of %q is revoked, or its authority is not trusted any more", s.PeerCertificates[0].SerialNumber, s.PeerCertificates[0].Issuer)
	}
	k.port = c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.now.Load().tls, nil }
}

// withdrawn reports whether a chain that a handshake has verified is not good any
// more: a connection outlives what it was verified by.
func (k *clients) withdrawn(chain []*x509.Certificate) bool {
	if k.revoked != nil && k.revoked.Revoked(chain) {
		return true
	}
	t := k.now.Load()
	return t != k.first && !slices.ContainsFunc(t.authorities, chain[len(chain)-1].Equal)
}

// plan is what routes have to know. In the field of that name, if there is one,
// upstreams believe what they are told, also where clients are not asked for a
// certificate: what they have put there themselves is taken out in any case.
func (k *clients) plan(header string) plan.Certificates {
	if k == nil {
		return plan.Certificates{Header: header}
	}
	c := plan.Certificates{Suffice: k.suffice, Header: header, Revoked: k.withdrawn}
	if len(k.cfg.APIs) == 0 {
		return c
	}
	c.Allowed = func(title, version string) func([]*x509.Certificate) bool {
		name := apiName{title, version}
		if _, ok := k.first.apis[name]; !ok {
			return nil
		}
		return func(chain []*x509.Certificate) bool {
			list := k.now.Load().apis[name]
			return slices.ContainsFunc(chain, func(have *x509.Certificate) bool { return slices.ContainsFunc(list, have.Equal) })
		}
	}
	return c
}

// unlisted refuses APIs that the conf names in another version, or perhaps by
// another title: certificates that were kept out of them would be let in. Who
// expects a new version lists it beside the old one.
func (k *clients) unlisted(apis []*artifactpb.Api) error {
	if k == nil {
		return nil
	}
	for _, a := range k.unknown(apis) {
		const key = "mutualSSLConfig.api.certificates"
		here := false
		for _, api := range apis {
			if api.GetTitle() != a.Name {
				continue
			}
			here = true
			listed := func(b conf.APICertificates) bool { return b.Name == a.Name && b.Version == api.GetVersion() }
			if !slices.ContainsFunc(k.cfg.APIs, listed) {
				return fmt.Errorf("%s: API %q is of version %q here, which is not listed, and not of version %q, which is: it would take every trusted certificate", key, a.Name, api.GetVersion(), a.Version)
			}
		}
		if !here {
			return fmt.Errorf("%s: no API %q of version %q is here: if it has another name now it would take every trusted certificate", key, a.Name, a.Version)
		}
	}
	return nil
}

// unknownAPIs says which APIs of the conf are not in the artifact.
func (k *clients) unknownAPIs(apis []*artifactpb.Api) (w []string) {
	for _, a := range k.unknown(apis) {
		w = append(w, fmt.Sprintf("mutualSSLConfig.api.certificates: no API %q of version %q is in the artifact", a.Name, a.Version))
	}
	return w
}

func (k *clients) unknown(apis []*artifactpb.Api) (not []conf.APICertificates) {
	if k == nil {
		return nil
	}
	for _, a := range k.cfg.APIs {
		if !slices.ContainsFunc(apis, func(api *artifactpb.Api) bool { return api.GetTitle() == a.Name && api.GetVersion() == a.Version }) {
			not = append(not, a)
		}
	}
	return not
}
