// Package web asks a web service whether a password is a user's: it is sent both
// as JSON, and answers by its status and by a member of its answer.
//
//	POST {"credentials": {"username": "ada", "password": "secret"}}
//	200  {"response": {"status": "true"}}
//
// What surprises: an answer that is neither yes nor no is no answer. A page of a
// proxy in between, which is sent with 200, must let nobody in, and must not pass
// for a wrong password either.
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
	"github.com/microgw/microgw/runtime/internal/policy/basic"
	"github.com/microgw/microgw/runtime/internal/userstore"
)

const maxAnswer = 64 << 10

// Options for New. Paths are names of members with dots between.
type Options struct {
	URLs []string // asked in turn until one answers
	// Username and Password are ours, for the service; "" if it wants none.
	Username, Password string
	NameField          string // credentials.username
	PasswordField      string // credentials.password
	// AnswerField is what says yes, by the value AnswerValue: a string, or true or
	// a number as JSON writes it. "": any status from 200 to 299 says yes.
	AnswerField, AnswerValue string
	RootCAs                  *x509.CertPool // nil: the system's
}

// A Service is a userstore.Store.
type Service struct {
	o      Options
	client *http.Client
}

// New checks the options.
func New(o Options) (*Service, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("no URL")
	}
	for _, s := range o.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return nil, err
		case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
			return nil, fmt.Errorf("%q is not an http or https URL", u.Redacted())
		case u.User != nil:
			return nil, fmt.Errorf("%q: a URL with a password ends up in logs", u.Redacted())
		}
	}
	if o.NameField == "" || o.PasswordField == "" || o.NameField == o.PasswordField {
		return nil, errors.New("name and password need a member each")
	}
	if _, err := body(o.NameField, "", o.PasswordField, ""); err != nil {
		return nil, err
	}
	return &Service{o, &http.Client{
		Transport: &http.Transport{
			// No proxy of the environment: it would see the passwords.
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// Whoever redirects us would choose who else is told the password.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close ends idle connections.
func (s *Service) Close() { s.client.CloseIdleConnections() }

// Check implements userstore.Store.
func (s *Service) Check(ctx context.Context, name, password string) (string, error) {
	// JSON cannot hold anything else: the service would be asked about another
	// password than was sent.
	if !utf8.ValidString(name) || !utf8.ValidString(password) {
		return "", basic.ErrRefused
	}
	data, err := body(s.o.NameField, name, s.o.PasswordField, password)
	if err != nil {
		return "", err
	}
	return userstore.InTurn(ctx, len(s.o.URLs), func(ctx context.Context, i int) (string, error) {
		good, err := s.ask(ctx, s.o.URLs[i], data)
		switch {
		case err != nil:
			return "", fmt.Errorf("user store %s: %w", s.o.URLs[i], err)
		case !good:
			return "", basic.ErrRefused
		}
		return name, nil
	})
}

// body puts the values in their places.
func body(nameField, name, passwordField, password string) ([]byte, error) {
	root := map[string]any{}
	for _, f := range [...]struct{ path, value string }{{nameField, name}, {passwordField, password}} {
		at, path := root, strings.Split(f.path, ".")
		for i, member := range path {
			if member == "" {
				return nil, fmt.Errorf("%q has an empty part", f.path)
			}
			if i == len(path)-1 {
				if at[member] != nil {
					return nil, fmt.Errorf("%q is inside of the other, or around it", f.path)
				}
				at[member] = f.value
				break
			}
			if at[member] == nil {
				at[member] = map[string]any{}
			}
			inner, ok := at[member].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%q is inside of the other, or around it", f.path)
			}
			at = inner
		}
	}
	return json.Marshal(root)
}

func (s *Service) ask(ctx context.Context, to string, data []byte) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(data))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	ours := s.o.Username != ""
	if ours {
		r.SetBasicAuth(s.o.Username, s.o.Password)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		// Its text has method and URL, which are said already.
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return false, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch code := resp.StatusCode; {
	case err != nil:
		return false, err
	case len(answer) > maxAnswer:
		return false, fmt.Errorf("answer of more than %d bytes", maxAnswer)
	case code == http.StatusForbidden, code == http.StatusUnauthorized && !ours:
		return false, nil
	case code == http.StatusUnauthorized:
		return false, errors.New("status 401: the service does not take userStore.http.username and password")
	case code < 200 || code > 299:
		return false, fmt.Errorf("status %d", code)
	case s.o.AnswerField == "":
		return true, nil
	}
	value, err := find(answer, s.o.AnswerField)
	if err != nil {
		return false, fmt.Errorf("answer with status %d: %w", resp.StatusCode, err)
	}
	return value == s.o.AnswerValue, nil
}

// find returns the text of a member, or how JSON writes it.
func find(answer []byte, path string) (string, error) {
	rest := path
	for {
		member, inner, more := strings.Cut(rest, ".")
		var found []byte
		err := strictjson.Object(answer, func(name, value []byte) error {
			if string(name) == member {
				found = value
			}
			return nil
		})
		switch {
		case err != nil:
			return "", err
		case found == nil:
			return "", fmt.Errorf("no %s", path)
		case more:
			answer, rest = found, inner
			continue
		}
		if s, ok := strictjson.String(found); ok {
			return s, nil
		}
		if c := found[0]; c == '{' || c == '[' || c == 'n' {
			return "", fmt.Errorf("%s is neither a text nor a number, true or false", path)
		}
		return string(found), nil
	}
}
