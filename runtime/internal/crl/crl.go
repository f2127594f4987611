// Package crl knows which certificates of clients their authorities have revoked
// (RFC 5280, section 5), from a file that is read again when it changes.
//
// What surprises: a file that cannot be read any more, or that is not a list that
// one of the authorities has signed, changes nothing; the last good list goes on,
// and the log says so. So does one whose time is over: to turn everybody away
// because a list is late would be for somebody else to use. An older list than the
// one in force is not taken, either, nor one that says only a part, nor a file in which
// the list of an authority is missing that is still trusted: who could put it there
// could let in who was kept out.
package crl

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// MaxSize bounds the file.
const MaxSize = 64 << 20

// A List is what is revoked. It is safe for concurrent use, but for Read.
type List struct {
	path string
	now  atomic.Pointer[set]
}

// A set is one state of the file, as judged by those authorities.
type set struct {
	revoked     map[string]struct{} // by id
	until       time.Time           // the earliest end of a list; zero: none says
	lists       map[scope]edition
	digest      [sha256.Size]byte
	authorities []*x509.Certificate
}

// A scope is what a list is about: what that authority has signed, or a part of it.
type scope struct{ issuer, part string }

// An edition says which of two lists of a scope is the newer one.
type edition struct {
	number *big.Int // nil: it has none
	at     time.Time
}

// before reports whether e is older than f. Numbers only grow (RFC 5280, section
// 5.2.3); not every authority gives them.
func (e edition) before(f edition) bool {
	if e.number != nil && f.number != nil {
		return e.number.Cmp(f.number) < 0
	}
	return e.at.Before(f.at)
}

func (e edition) String() string {
	if e.number != nil {
		return "number " + e.number.String()
	}
	return "of " + e.at.UTC().Format(time.DateTime)
}

// Open reads the file: one or more lists, as PEM or DER, each signed by one of
// the authorities.
func Open(path string, authorities []*x509.Certificate) (*List, error) {
	l := &List{path: path}
	if _, err := l.Read(authorities); err != nil {
		return nil, err
	}
	return l, nil
}

// Len returns how many certificates are revoked.
func (l *List) Len() int { return len(l.now.Load().revoked) }

// Until returns when the first of the lists is to be replaced; zero if none says.
func (l *List) Until() time.Time { return l.now.Load().until }

// Revoked reports whether a certificate of the chain is revoked. An authority
// that nobody but itself has signed is not looked up: the operator has chosen it.
// One that is trusted and was signed by another, is.
func (l *List) Revoked(chain []*x509.Certificate) bool {
	s := l.now.Load()
	if len(s.revoked) == 0 {
		return false
	}
	var memory [512]byte
	for i, c := range chain {
		if i > 0 && i == len(chain)-1 && bytes.Equal(c.RawSubject, c.RawIssuer) {
			break
		}
		if _, found := s.revoked[string(appendID(memory[:0], c.RawIssuer, c.SerialNumber.Bytes()))]; found {
			return true
		}
	}
	return false
}

// appendID appends what names a certificate: a serial number is unique for an
// issuer (RFC 5280, section 4.1.2.2).
func appendID(b, issuer, serial []byte) []byte {
	b = append(b, issuer...)
	b = append(b, '/')
	return append(b, serial...)
}

// Read reads the file, and reports whether it says something else than before,
// or may, by these authorities. If there is an error nothing has changed.
func (l *List) Read(authorities []*x509.Certificate) (changed bool, err error) {
	f, err := os.Open(l.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return false, err
	case len(data) > MaxSize:
		return false, fmt.Errorf("%s: larger than %d MiB", l.path, MaxSize>>20)
	}
	old, digest := l.now.Load(), sha256.Sum256(data)
	if old != nil && old.digest == digest && slices.EqualFunc(old.authorities, authorities, (*x509.Certificate).Equal) {
		return false, nil
	}
	s, err := parse(data, authorities)
	if err == nil && old != nil {
		err = s.follows(old, authorities)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", l.path, err)
	}
	s.digest, s.authorities = digest, authorities
	l.now.Store(s)
	return true, nil
}

// follows reports whether s may take the place of old: no list is older than the
// one before it, and none is missing whose authority is still trusted. The list of
// a part may be missing if there is one of the whole.
func (s *set) follows(old *set, authorities []*x509.Certificate) error {
	for of, before := range old.lists {
		e, found := s.lists[of]
		if !found && of.part != "" {
			e, found = s.lists[scope{of.issuer, ""}]
			e.number = nil // which counts other lists
		}
		i := slices.IndexFunc(authorities, func(c *x509.Certificate) bool { return string(c.RawSubject) == of.issuer })
		switch {
		case !found && i >= 0:
			return fmt.Errorf("a list of %q is missing, which is in force and whose authority is still trusted", authorities[i].Subject)
		case found && e.before(before):
			return fmt.Errorf("a list of %q (%v) is older than the one in force (%v)", authorities[i].Subject, e, before)
		}
	}
	return nil
}

func parse(data []byte, authorities []*x509.Certificate) (*set, error) {
	s := &set{revoked: map[string]struct{}{}, lists: map[scope]edition{}}
	lists := 0
	add := func(der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("not a certificate revocation list: %w", err)
		}
		by := issuer(list, authorities)
		if by == nil {
			return fmt.Errorf("list of %q: none of the trusted authorities has signed it", list.Issuer)
		}
		part, err := partOf(list)
		if err != nil {
			return fmt.Errorf("list of %q: %w", list.Issuer, err)
		}
		for _, e := range list.RevokedCertificateEntries {
			s.revoked[string(appendID(nil, by.RawSubject, e.SerialNumber.Bytes()))] = struct{}{}
		}
		if !list.NextUpdate.IsZero() && (s.until.IsZero() || list.NextUpdate.Before(s.until)) {
			s.until = list.NextUpdate
		}
		of, e := scope{string(by.RawSubject), part}, edition{list.Number, list.ThisUpdate}
		if have, found := s.lists[of]; !found || have.before(e) {
			s.lists[of] = e
		}
		lists++
		return nil
	}
	rest := data
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "X509 CRL" {
			return nil, fmt.Errorf("a PEM block of the type %q is not a list", b.Type)
		}
		if err := add(b.Bytes); err != nil {
			return nil, err
		}
	}
	switch {
	case lists > 0 && bytes.Count(data, []byte("-----BEGIN")) != lists:
		// pem.Decode passes over what it cannot read, which would be revoked no more.
		return nil, errors.New("one of its lists is cut off, or no PEM")
	case lists == 0 && len(data) == 0:
		return nil, errors.New("the file is empty")
	case lists == 0:
		if err := add(data); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Extensions of lists and of their entries (RFC 5280, sections 5.2 and 5.3).
var (
	oidDelta             = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// partOf returns which part of what the authority has signed a list is about:
// its distribution point as it is. A list that does not stand for itself, or that
// asks for more than is understood here, must not be used (section 5.2).
func partOf(list *x509.RevocationList) (part string, err error) {
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return "", errors.New("it is a delta, which names only what has changed: give the whole list")
		case e.Id.Equal(oidDistributionPoint):
			var point struct {
				Name       asn1.RawValue  `asn1:"optional,tag:0"`
				User       bool           `asn1:"optional,tag:1"`
				CA         bool           `asn1:"optional,tag:2"`
				Reasons    asn1.BitString `asn1:"optional,tag:3"`
				Indirect   bool           `asn1:"optional,tag:4"`
				Attributes bool           `asn1:"optional,tag:5"`
			}
			if rest, err := asn1.Unmarshal(e.Value, &point); err != nil || len(rest) > 0 {
				return "", errors.New("its distribution point cannot be read")
			}
			if point.Indirect {
				return "", errors.New("it is an indirect one, with certificates of other authorities, which are not looked for")
			}
			part = string(e.Value)
		case e.Critical:
			return "", fmt.Errorf("its critical extension %v is not understood", e.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return "", fmt.Errorf("the critical extension %v of its entry %v is not understood", e.Id, entry.SerialNumber)
			}
		}
	}
	return part, nil
}

// issuer returns who has signed the list.
func issuer(list *x509.RevocationList, authorities []*x509.Certificate) *x509.Certificate {
	for _, c := range authorities {
		if bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}
