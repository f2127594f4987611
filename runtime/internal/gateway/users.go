package gateway

import (
	"crypto/x509"
	"fmt"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
	"github.com/microgw/microgw/runtime/internal/userstore/ldap"
	"github.com/microgw/microgw/runtime/internal/userstore/web"
)

// newUsers are those of the conf file, then those of a user store; nil if there
// are none of either.
func newUsers(c *conf.Config, trusted *x509.CertPool) (basic.Users, error) {
	file, err := fileUsers(c.Users)
	if err != nil {
		return nil, err
	}
	store, err := storeUsers(&c.UserStore, trusted)
	switch {
	case err != nil:
		return nil, err
	case store == nil && file == nil:
		return nil, nil
	case store == nil:
		return file, nil
	case file == nil:
		return store, nil
	}
	return &fileFirst{file, store}, nil
}

func fileUsers(list []conf.User) (*basic.File, error) {
	if len(list) == 0 {
		return nil, nil
	}
	users := make([]basic.User, 0, len(list))
	for _, u := range list {
		h, err := basic.ParseHash(u.Password.Reveal())
		if err != nil {
			return nil, fmt.Errorf("b7a.users.%s.password: %w", u.Name, err)
		}
		users = append(users, basic.User{Name: u.Name, Hash: h, Scopes: u.Scopes})
	}
	f, err := basic.NewFile(users)
	if err != nil {
		return nil, fmt.Errorf("b7a.users: %w", err)
	}
	return f, nil
}

func storeUsers(s *conf.UserStore, trusted *x509.CertPool) (_ *userstore.Users, err error) {
	var store userstore.Store
	var o userstore.Options
	// Zero is a default there, and "not at all" here.
	remember := func(o userstore.Options) userstore.Options {
		if o.Good == 0 {
			o.Good = -1
		}
		return o
	}
	switch {
	case len(s.LDAP.URLs) > 0:
		d := &s.LDAP
		o = remember(userstore.Options{Timeout: d.Timeout, Good: d.Good, Scopes: d.Scopes})
		roots, err := rootsOf(d.AuthoritiesFile, trusted)
		if err != nil {
			return nil, fmt.Errorf("userStore.ldap.authoritiesFile: %w", err)
		}
		store, err = ldap.New(ldap.Options{
			URLs: d.URLs, StartTLS: d.StartTLS, RootCAs: roots, UserDN: d.UserDN,
			BaseDN: d.BaseDN, Filter: d.Filter, BindDN: d.BindDN, BindPassword: d.BindPassword.Reveal(),
		})
		if err != nil {
			return nil, fmt.Errorf("userStore.ldap: %w", err)
		}
	case len(s.HTTP.URLs) > 0:
		h := &s.HTTP
		o = remember(userstore.Options{Timeout: h.Timeout, Good: h.Good, Scopes: h.Scopes})
		roots, err := rootsOf(h.AuthoritiesFile, trusted)
		if err != nil {
			return nil, fmt.Errorf("userStore.http.authoritiesFile: %w", err)
		}
		store, err = web.New(web.Options{
			URLs: h.URLs, RootCAs: roots, Username: h.Username, Password: h.Password.Reveal(),
			NameField: h.NameField, PasswordField: h.PasswordField, AnswerField: h.AnswerField, AnswerValue: h.AnswerValue,
		})
		if err != nil {
			return nil, fmt.Errorf("userStore.http: %w", err)
		}
	default:
		return nil, nil
	}
	return userstore.New(store, o)
}

func rootsOf(file string, trusted *x509.CertPool) (*x509.CertPool, error) {
	if file == "" {
		return trusted, nil
	}
	list, err := readAuthorities(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool, nil
}

// fileFirst are the users of the conf file and those of a store. Whoever is in
// the file is nobody else: a wrong password there must not be tried elsewhere,
// where somebody else may have made an account of that name.
type fileFirst struct {
	file  *basic.File
	store *userstore.Users
}

func (f *fileFirst) Close() { f.store.Close() }

// Check implements basic.Users.
func (f *fileFirst) Check(name, password []byte) (*exchange.Principal, error) {
	if f.file.Has(name) {
		return f.file.Check(name, password)
	}
	return f.store.Check(name, password)
}
