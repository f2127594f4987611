package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
	"github.com/microgw/microgw/runtime/internal/userstore/ldap"
	"github.com/microgw/microgw/runtime/internal/userstore/web"
)

// newUsers are those of the conf file, then those of a directory, then those of a
// web service; nil if there are none of any.
func newUsers(c *conf.Config, trusted *x509.CertPool, log *slog.Logger) (basic.Users, error) {
	file, err := fileUsers(c.Users)
	if err != nil {
		return nil, err
	}
	all := &users{file: file}
	for _, open := range []func(*conf.UserStore, *x509.CertPool, *slog.Logger) (*userstore.Users, error){directoryUsers, serviceUsers} {
		store, err := open(&c.UserStore, trusted, log)
		if err != nil {
			return nil, err
		}
		if store != nil {
			all.stores = append(all.stores, store)
		}
	}
	switch {
	case len(all.stores) > 0:
		return all, nil
	case file != nil:
		return file, nil
	}
	return nil, nil
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

func directoryUsers(s *conf.UserStore, trusted *x509.CertPool, log *slog.Logger) (*userstore.Users, error) {
	d := &s.LDAP
	if len(d.URLs) == 0 {
		return nil, nil
	}
	roots, err := rootsOf(d.AuthoritiesFile, trusted)
	if err != nil {
		return nil, fmt.Errorf("userStore.ldap.authoritiesFile: %w", err)
	}
	store, err := ldap.New(ldap.Options{
		URLs: d.URLs, StartTLS: d.StartTLS, RootCAs: roots, UserDN: d.UserDN,
		BaseDN: d.BaseDN, Filter: d.Filter, BindDN: d.BindDN, BindPassword: d.BindPassword.Reveal(),
	})
	if err != nil {
		return nil, fmt.Errorf("userStore.ldap: %w", err)
	}
	return storeUsers(store, userstore.Options{Timeout: d.Timeout, Good: d.Good, Scopes: d.Scopes, Name: "userStore.ldap", Logger: log}), nil
}

func serviceUsers(s *conf.UserStore, trusted *x509.CertPool, log *slog.Logger) (*userstore.Users, error) {
	h := &s.HTTP
	if len(h.URLs) == 0 {
		return nil, nil
	}
	roots, err := rootsOf(h.AuthoritiesFile, trusted)
	if err != nil {
		return nil, fmt.Errorf("userStore.http.authoritiesFile: %w", err)
	}
	store, err := web.New(web.Options{
		URLs: h.URLs, RootCAs: roots, Username: h.Username, Password: h.Password.Reveal(),
		NameField: h.NameField, PasswordField: h.PasswordField, AnswerField: h.AnswerField, AnswerValue: h.AnswerValue,
	})
	if err != nil {
		return nil, fmt.Errorf("userStore.http: %w", err)
	}
	return storeUsers(store, userstore.Options{Timeout: h.Timeout, Good: h.Good, Scopes: h.Scopes, Name: "userStore.http", Logger: log}), nil
}

func storeUsers(s userstore.Store, o userstore.Options) *userstore.Users {
	if o.Good == 0 { // a default there, and "not at all" here
		o.Good = -1
	}
	return userstore.New(s, o)
}

func rootsOf(file string, trusted *x509.CertPool) (*x509.CertPool, error) {
	if file == "" {
		return trusted, nil
	}
	list, err := readAuthorities(file)
	if err != nil {
		return nil, err
	}
	return pool(list), nil
}

// users are those of several places. A name is that of the first place that has
// it: a wrong password there must not be tried elsewhere, where somebody else may
// have made an account of that name.
type users struct {
	file   *basic.File // nil: none
	stores []*userstore.Users
}

func (u *users) Close() {
	for _, s := range u.stores {
		s.Close()
	}
}

// failing is why stores do not answer.
func (u *users) failing() (why []string) {
	for _, s := range u.stores {
		if text := s.Failing(); text != "" {
			why = append(why, text)
		}
	}
	return why
}

// Check implements basic.Users.
func (u *users) Check(from netip.Addr, name, password []byte) (*exchange.Principal, error) {
	if u.file != nil && u.file.Has(name) {
		return u.file.Check(from, name, password)
	}
	var p *exchange.Principal
	err := error(userstore.ErrUnknown)
	for _, s := range u.stores {
		if p, err = s.Check(from, name, password); !errors.Is(err, userstore.ErrUnknown) {
			break
		}
	}
	return p, err
}
