package apim

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A Generation is a way in which API Manager hands out APIs.
type Generation uint8

const (
	Legacy       Generation = iota // publisher v0.x: all in the list
	Labels                         // publisher v1.x: a definition with extensions
	Environments                   // API Manager 4: archives, by gateway environment
)

// Addresses are the URLs of an API Manager's REST API.
type Addresses struct {
	Publisher, Registration, Token string
	Version                        string // of the publisher API
	Generation                     Generation
}

// A Setup is what an author says about addresses. Empty members have defaults.
type Setup struct {
	BaseURL     string
	APIM        string // version of API Manager: "2.6", "3.2", "4.1" ...
	RESTVersion string // of the publisher API: "v0.14"
	DCRVersion  string // of client registration
	// These may have {baseURL}, {restVersion} and {dcrVersion} in them.
	Publisher, Registration, Token string
}

// DefaultRESTVersion is that of API Manager 2.6, WSO2 3.0's partner.
const DefaultRESTVersion = "v0.14"

// restVersions are the REST APIs of each API Manager: the publisher's and that
// of client registration.
var restVersions = map[string][2]string{
	"2.6": {"v0.14", "v0.14"},
	"3.0": {"v1.0", "v0.15"},
	"3.1": {"v1.1", "v0.16"},
	"3.2": {"v1.2", "v0.17"},
	"4.0": {"v2", "v0.17"},
	"4.1": {"v3", "v0.17"},
	"4.":  {"v4", "v0.17"}, // any later one
}

// A SetupError names the setting that is wrong.
type SetupError struct{ Setting, Problem string }

func (e *SetupError) Error() string { return e.Setting + ": " + e.Problem }

// Resolve works out the addresses.
func (s Setup) Resolve() (Addresses, error) {
	a := Addresses{Version: s.RESTVersion}
	dcr := s.DCRVersion
	if s.APIM != "" {
		v, ok := restVersions[majorMinor(s.APIM)]
		if !ok && strings.HasPrefix(s.APIM, "4.") {
			v, ok = restVersions["4."], true
		}
		if !ok {
			return a, &SetupError{"apimVersion", fmt.Sprintf("%q is no API Manager that is known: 2.6, 3.0 to 3.2, 4.x", s.APIM)}
		}
		a.Version, dcr = first(a.Version, v[0]), first(dcr, v[1])
	}
	if a.Version == "" {
		a.Version = DefaultRESTVersion
	}
	if dcr == "" {
		dcr = "v0.17"
		for _, v := range restVersions {
			if v[0] == a.Version {
				dcr = v[1]
			}
		}
	}
	switch {
	case strings.HasPrefix(s.APIM, "4."):
		a.Generation = Environments
	case strings.HasPrefix(a.Version, "v0."):
		a.Generation = Legacy
	case a.Version == "v1" || strings.HasPrefix(a.Version, "v1."):
		a.Generation = Labels
	default:
		a.Generation = Environments
	}
	base := strings.TrimRight(s.BaseURL, "/")
	if _, err := checkURL("baseURL", base); err != nil {
		return a, err
	}
	for _, e := range []struct {
		setting, value, fallback string
		to                       *string
	}{
		{"publisherEndpoint", s.Publisher, "{baseURL}/api/am/publisher/{restVersion}", &a.Publisher},
		{"registrationEndpoint", s.Registration, "{baseURL}/client-registration/{dcrVersion}/register", &a.Registration},
		{"tokenEndpoint", s.Token, "{baseURL}/oauth2/token", &a.Token},
	} {
		value := strings.NewReplacer("{baseURL}", base, "{restVersion}", a.Version, "{dcrVersion}", dcr).Replace(first(e.value, e.fallback))
		clean, err := checkURL(e.setting, value)
		if err != nil {
			return a, err
		}
		*e.to = clean
	}
	return a, nil
}

func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1]
}

func checkURL(setting, raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return "", &SetupError{setting, fmt.Sprintf("%q is not an http or https URL", redact(raw))}
	case u.User != nil:
		return "", &SetupError{setting, "user and password do not belong into the URL"}
	case u.RawQuery != "" || u.Fragment != "":
		return "", &SetupError{setting, fmt.Sprintf("%q has more than a path", redact(raw))}
	}
	return raw, nil
}

// redact hides what may be a password.
func redact(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		return "***" + raw[i:]
	}
	return raw
}

// isCertificate reports whether a server's certificate was refused.
func isCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}
