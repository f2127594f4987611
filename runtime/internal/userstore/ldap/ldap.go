// Package ldap asks an LDAP directory whether a password is a user's, by a simple
// bind (RFC 4513, section 5.1.3).
//
// There are two ways to the user's entry: its name is made of the user's name by a
// template, or the entry is searched for, with credentials of our own or
// without.
//
// What surprises:
//
//   - A directory takes Ada, ADA and ada for one user. So that she is one here,
//     too, names are in lower case, and other spellings that are one name to a
//     directory are refused.
//   - What a user's name holds never becomes a part of the syntax around it. In a
//     template that is no distinguished name (ada@example.com, as Active Directory
//     takes it) only letters, digits, ".", "_" and "-" may stand for the user.
//   - A connection is for one question: after a bind it would be the user's.
package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
)

// User stands for the user's name in templates.
const User = "{user}"

// nobody is the beginning of the name of an entry that is not there.
const nobody = "cn=nobody of that name,"

// maxAnswer bounds what is read of one connection.
const maxAnswer = 256 << 10

// Options for New.
type Options struct {
	URLs     []string       // ldap: or ldaps:, asked in turn until one answers
	StartTLS bool           // of ldap:
	RootCAs  *x509.CertPool // nil: the system's

	UserDN string // template; "" to search

	BaseDN, Filter       string // the filter is a template
	BindDN, BindPassword string // ours, to search; "" to search as nobody
}

// A Directory is a userstore.Store.
type Directory struct {
	o       Options
	servers []server
}

type server struct {
	url, address, host string
	tls                bool
}

// New checks the options.
func New(o Options) (*Directory, error) {
	d := &Directory{o: o}
	for _, s := range o.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return nil, err
		case u.Scheme != "ldap" && u.Scheme != "ldaps", u.Hostname() == "":
			return nil, fmt.Errorf("%q is not an ldap or ldaps URL", u.Redacted())
		case u.User != nil || u.RawQuery != "" || u.Path != "" && u.Path != "/":
			return nil, fmt.Errorf("%q has more than a host and a port", u.Redacted())
		case u.Scheme == "ldaps" && o.StartTLS:
			return nil, fmt.Errorf("%q has TLS from the beginning: startTLS goes with ldap", u.Redacted())
		}
		at := server{url: s, host: u.Hostname(), tls: u.Scheme == "ldaps"}
		port := u.Port()
		if port == "" {
			port = map[bool]string{false: "389", true: "636"}[at.tls]
		}
		at.address = net.JoinHostPort(at.host, port)
		d.servers = append(d.servers, at)
	}
	switch {
	case len(d.servers) == 0:
		return nil, errors.New("no URL")
	case o.UserDN == "" && o.BaseDN == "":
		return nil, errors.New("neither a template of names nor a place to search in")
	case o.UserDN != "" && (o.BaseDN != "" || o.Filter != "" || o.BindDN != ""):
		return nil, errors.New("a template of names needs no search")
	case (o.BindDN == "") != (o.BindPassword == ""):
		return nil, errors.New("a name to bind as and its password go together")
	}
	return d, d.checkTemplates()
}

func (d *Directory) checkTemplates() error {
	template := d.o.UserDN
	if template == "" {
		template = d.o.Filter
	}
	if strings.Count(template, User) != 1 {
		return fmt.Errorf("%q has to have %s in it once", template, User)
	}
	if d.o.UserDN == "" {
		if _, err := ldap.CompileFilter(filter(d.o.Filter, "x")); err != nil {
			return fmt.Errorf("filter %q: %w", d.o.Filter, err)
		}
		if _, err := ldap.ParseDN(d.o.BaseDN); err != nil {
			return fmt.Errorf("base %q: %w", d.o.BaseDN, err)
		}
		return nil
	}
	if !distinguished(template) {
		return nil
	}
	// The user is the value of an attribute, all of it or a part.
	dn, err := ldap.ParseDN(strings.Replace(template, User, "user", 1))
	if err != nil {
		return fmt.Errorf("%q: %w", template, err)
	}
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if strings.Contains(a.Value, "user") && strings.Contains(template, "="+strings.Replace(a.Value, "user", User, 1)) {
				return nil
			}
		}
	}
	return fmt.Errorf("%q: %s has to stand for the value of an attribute", template, User)
}

// distinguished tells names such as uid=ada,dc=example from others that some
// directories take.
func distinguished(template string) bool { return strings.Contains(template, "=") }

func filter(template, name string) string {
	return strings.Replace(template, User, ldap.EscapeFilter(name), 1)
}

// Check implements userstore.Store.
func (d *Directory) Check(ctx context.Context, name, password string) (string, error) {
	// A directory that ends a text at its first NUL takes more for the empty
	// password than is.
	if password == "" || strings.ContainsRune(password, 0) || !userstore.Usable(name) {
		return "", basic.ErrRefused
	}
	name = strings.ToLower(name)
	dn := ""
	if t := d.o.UserDN; t != "" {
		if !distinguished(t) && strings.ContainsFunc(name, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
		}) {
			return "", basic.ErrRefused
		}
		dn = strings.Replace(t, User, ldap.EscapeDN(name), 1)
	}
	return userstore.InTurn(ctx, len(d.servers), func(ctx context.Context, i int) (string, error) {
		err := d.ask(ctx, &d.servers[i], name, dn, password)
		switch {
		case errors.Is(err, basic.ErrRefused):
			return "", err
		case err != nil:
			// Some directories repeat what they were sent; and as a name people send
			// tokens and passwords.
			text := err.Error()
			if len(name) > 3 {
				for _, form := range []string{ldap.EscapeDN(name), ldap.EscapeFilter(name), name} {
					text = strings.ReplaceAll(text, form, User)
				}
			}
			for _, secret := range []string{password, d.o.BindPassword} {
				if secret != "" {
					text = strings.ReplaceAll(text, secret, "***")
				}
			}
			return "", fmt.Errorf("user store %s: %s", d.servers[i].url, text)
		}
		return name, nil
	})
}

func (d *Directory) ask(ctx context.Context, s *server, name, dn, password string) error {
	c, err := d.connect(ctx, s)
	if err != nil {
		return err
	}
	defer c.Close()
	if dn == "" {
		dn, err = d.search(c, name)
		if errors.Is(err, basic.ErrRefused) {
			// As many questions as for a user who is there, whatever the answer.
			_ = c.Bind(nobody+d.o.BaseDN, password)
		}
		if err != nil {
			return err
		}
	}
	err = c.Bind(dn, password)
	switch {
	case err == nil:
		return nil
	case refusal(err):
		return basic.ErrRefused
	}
	return fmt.Errorf("bind: %w", err)
}

// refusal tells "not with this name and password" from "not now": what the codes
// of RFC 4511, appendix A.2, say of the user.
func refusal(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication)
}

// connect opens a connection on which everything ends with ctx.
func (d *Directory) connect(ctx context.Context, s *server) (*ldap.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails on a closed connection, and then all else does
	}
	conn = &limited{Conn: conn, left: maxAnswer}
	config := &tls.Config{RootCAs: d.o.RootCAs, ServerName: s.host, MinVersion: tls.VersionTLS12}
	if s.tls {
		t := tls.Client(conn, config)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = t
	}
	c := ldap.NewConn(conn, s.tls)
	if deadline, ok := ctx.Deadline(); ok {
		c.SetTimeout(max(time.Until(deadline), time.Millisecond))
	}
	c.Start()
	if d.o.StartTLS {
		if err := c.StartTLS(config); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// search returns the name of the one entry that is the user's.
func (d *Directory) search(c *ldap.Conn, name string) (string, error) {
	if d.o.BindDN != "" {
		if err := c.Bind(d.o.BindDN, d.o.BindPassword); err != nil {
			return "", fmt.Errorf("bind to search: %w", err)
		}
	}
	// "1.1": no attributes (RFC 4511, section 4.5.1.8). Two are one too many.
	found, err := c.Search(ldap.NewSearchRequest(d.o.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		filter(d.o.Filter, name), []string{"1.1"}, nil))
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return "", fmt.Errorf("search: %w", err)
	}
	switch {
	case found == nil, len(found.Entries) == 0 && err != nil:
		return "", fmt.Errorf("search: %w", err)
	case len(found.Entries) == 0 && len(found.Referrals) > 0:
		// Others may have the name (RFC 4511, section 4.5.3), so whoever is asked next must
		// not decide about it. No error: Active Directory refers to others of every name
		// that is searched from the root of a domain.
		return "", basic.ErrRefused
	case len(found.Entries) == 0:
		return "", userstore.ErrUnknown
	case len(found.Entries) > 1 || err != nil:
		return "", errors.New("search: more than one entry is the user's; make userStore.ldap.filter narrower")
	case found.Entries[0].DN == "":
		// A bind as "" is one of nobody, whatever the password.
		return "", errors.New("search: an entry without a name")
	}
	return found.Entries[0].DN, nil
}

// limited ends a connection that says more than there is to say.
type limited struct {
	net.Conn
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("answer of more than %d bytes", maxAnswer)
	}
	n, err := l.Conn.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
