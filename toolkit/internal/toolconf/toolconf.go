// Package toolconf reads toolkit-config.toml: where API Manager is, and what the
// toolkit adds to what comes from there.
//
// The keys are WSO2's. What differs: the toolkit never writes secrets into the
// file (nothing else of an import is worth keeping, since API Manager knows a
// client again that registers twice), so it never encrypts any either. A secret
// that has to stand there is a reference: ${env:NAME} or ${file:PATH}.
package toolconf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/toml"
)

const maxSize = 1 << 20

// Config is the file. Its zero value has no settings; New has the defaults.
type Config struct {
	Client struct {
		HTTPRequestTimeout int64 `toml:"httpRequestTimeout"` // milliseconds
	} `toml:"client"`
	Token Token `toml:"token"`
	CORS  CORS  `toml:"corsConfiguration"`
	// CodeGen is WSO2's; the runtime answers in JSON without being told to.
	CodeGen struct {
		APIFaultResponses    bool `toml:"apiFaultResponses"`
		GlobalFaultResponses bool `toml:"globalFaultResponses"`
	} `toml:"codeGen"`
}

// Token says where API Manager is, and who asks.
type Token struct {
	BaseURL              string `toml:"baseURL"`
	APIMVersion          string `toml:"apimVersion"`
	RESTVersion          string `toml:"restVersion"`
	DCRVersion           string `toml:"dcrVersion"`
	PublisherEndpoint    string `toml:"publisherEndpoint"`
	AdminEndpoint        string `toml:"adminEndpoint"` // WSO2's; not called
	RegistrationEndpoint string `toml:"registrationEndpoint"`
	TokenEndpoint        string `toml:"tokenEndpoint"`
	Username             string `toml:"username"`
	ClientID             string `toml:"clientId"`
	ClientSecret         string `toml:"clientSecret"`
	TrustStoreLocation   string `toml:"trustStoreLocation"`
	TrustStorePassword   string `toml:"trustStorePassword"`
}

// CORS is what imported APIs get whose own settings are off.
type CORS struct {
	Enabled     bool     `toml:"corsConfigurationEnabled"`
	Credentials bool     `toml:"accessControlAllowCredentials"`
	Origins     []string `toml:"accessControlAllowOrigins"`
	Headers     []string `toml:"accessControlAllowHeaders"`
	Methods     []string `toml:"accessControlAllowMethods"`
	Expose      []string `toml:"accessControlExposeHeaders"`
}

// New is the configuration of an empty file: that of WSO2 3.0.1.
func New() Config {
	var c Config
	c.Client.HTTPRequestTimeout = 1_000_000
	c.CORS = CORS{
		Enabled: true,
		Origins: []string{"*"},
		Headers: []string{"authorization", "Access-Control-Allow-Origin", "Content-Type", "SOAPAction"},
		Methods: []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"},
	}
	return c
}

// Path is the file to read if none is named: that of the toolkit home if there is
// one (MICROGW_HOME), else of the user. It may not exist.
func Path() string {
	if home := os.Getenv("MICROGW_HOME"); home != "" {
		return filepath.Join(home, "conf", "toolkit-config.toml")
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "micro-gw", "toolkit-config.toml")
}

// Load reads a file. What is wrong in it is appended to l; the error is for a
// file that cannot be read.
func Load(file string, l *diag.List) (Config, error) {
	c := New()
	data, err := read(file)
	if err != nil {
		return c, err
	}
	toml.Decode(file, data, &c, l)
	if l.HasErrors() {
		return c, nil
	}
	if c.Client.HTTPRequestTimeout <= 0 {
		l.Errorf(diag.At{File: file, Place: "client.httpRequestTimeout"}, "%d is no time-out: want milliseconds", c.Client.HTTPRequestTimeout)
	}
	for _, s := range []struct {
		name  string
		value *string
	}{
		{"username", &c.Token.Username}, {"clientId", &c.Token.ClientID}, {"clientSecret", &c.Token.ClientSecret},
		{"trustStorePassword", &c.Token.TrustStorePassword},
	} {
		v, err := resolve(*s.value, filepath.Dir(file))
		if err != nil {
			l.Errorf(diag.At{File: file, Place: "token." + s.name}, "%v", err)
		}
		*s.value = v
	}
	return c, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", file)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxSize)
	}
	return os.ReadFile(file)
}

// resolve follows a reference: ${env:NAME} or ${file:PATH}, relative to the
// file's folder.
func resolve(value, dir string) (string, error) {
	if !strings.HasPrefix(value, "${") || !strings.HasSuffix(value, "}") {
		return value, nil
	}
	kind, name, _ := strings.Cut(value[2:len(value)-1], ":")
	switch kind {
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return v, nil
	case "file":
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		data, err := read(name)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	return "", fmt.Errorf("%q is no reference: want ${env:NAME} or ${file:PATH}", value)
}

// blanked are the keys that Reset empties.
var blanked = []string{"token.username", "token.clientId", "token.clientSecret"}

// Reset empties what tells who asks: user name, client id and client secret. All
// else, comments too, stays as it is, byte for byte. It returns the new text.
func Reset(file string, l *diag.List) ([]byte, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	c := New()
	toml.Decode(file, data, &c, l)
	if l.HasErrors() {
		return nil, nil
	}
	return toml.Blank(data, blanked), nil
}
