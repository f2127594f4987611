// Package crl knows which certificates of clients their authorities have revoked
// (RFC 5280, section 5), from a file that is read again when it changes.
//
// What surprises: a file that cannot be read any more, or that is not a list that
// one of the authorities has signed, changes nothing; the last good list goes on,
// and the log says so. So does one whose time is over: to turn everybody away
// because a list is late would be for somebody else to use.
package crl

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// MaxSize bounds the file.
const MaxSize = 64 << 20

// Interval is how often the file is looked at.
const Interval = 2 * time.Second

// A List is what is revoked. It is safe for concurrent use.
type List struct {
	path        string
	authorities []*x509.Certificate
	now         atomic.Pointer[set]
}

// A set is one state of the file.
type set struct {
	revoked map[string]struct{} // by id
	until   time.Time           // the earliest end of a list; zero: none says
	file    identity
}

// Open reads the file: one or more lists, as PEM or DER, each signed by one of
// the authorities.
func Open(path string, authorities []*x509.Certificate) (*List, error) {
	l := &List{path: path, authorities: authorities}
	s, err := l.read()
	if err != nil {
		return nil, err
	}
	l.now.Store(s)
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

// Watch reads the file again when it has changed, until ctx is done.
func (l *List) Watch(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	var said string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := l.Refresh()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			log.Warn("list of revoked client certificates: the last good one goes on", "path", l.path, "err", err, "revoked", l.Len())
		case err == nil && (changed || said != ""):
			said = ""
			log.Info("list of revoked client certificates read", "path", l.path, "revoked", l.Len())
		}
	}
}

// Refresh reads the file if it is another than before, and reports whether it
// was.
func (l *List) Refresh() (bool, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return false, err
	}
	if identify(info) == l.now.Load().file {
		return false, nil
	}
	s, err := l.read()
	if err != nil {
		return false, err
	}
	l.now.Store(s)
	return true, nil
}

// identity tells a file from the one that was there before.
type identity struct {
	size     int64
	modified time.Time
}

func identify(info os.FileInfo) identity { return identity{info.Size(), info.ModTime()} }

func (l *List) read() (*set, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > MaxSize:
		return nil, fmt.Errorf("%s: larger than %d MiB", l.path, MaxSize>>20)
	}
	s, err := l.parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	s.file = identify(info)
	return s, nil
}

func (l *List) parse(data []byte) (*set, error) {
	s := &set{revoked: map[string]struct{}{}}
	lists := 0
	add := func(der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("not a certificate revocation list: %w", err)
		}
		issuer := l.issuer(list)
		if issuer == nil {
			return fmt.Errorf("list of %q: none of the trusted authorities has signed it", list.Issuer)
		}
		for _, e := range list.RevokedCertificateEntries {
			if e.ReasonCode != 8 { // removeFromCRL (RFC 5280, section 5.3.1)
				s.revoked[string(appendID(nil, issuer.RawSubject, e.SerialNumber.Bytes()))] = struct{}{}
			}
		}
		if !list.NextUpdate.IsZero() && (s.until.IsZero() || list.NextUpdate.Before(s.until)) {
			s.until = list.NextUpdate
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
	if lists == 0 {
		if len(data) == 0 {
			return nil, errors.New("the file is empty")
		}
		if err := add(data); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// issuer returns who has signed the list.
func (l *List) issuer(list *x509.RevocationList) *x509.Certificate {
	for _, c := range l.authorities {
		if string(c.RawSubject) == string(list.RawIssuer) && list.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}
