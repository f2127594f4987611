// Package toolconf reads toolkit-config.toml: where API Manager is, and what the
// toolkit adds to what comes from there.
//
// The keys are WSO2's. What differs: the toolkit never writes secrets into the
// file (nothing else of an import is worth keeping, since API Manager knows a
// client again that registers twice), so it never encrypts any either. A secret
// that has to stand there is a reference: ${env:NAME} or ${file:PATH}.
package toolconf

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/microgw/microgw/toolkit/internal/diag"
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
	parse(file, data, &c, l)
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

func parse(file string, data []byte, c *Config, l *diag.List) {
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(c)
	var (
		strict *toml.StrictMissingError
		one    *toml.DecodeError
	)
	switch {
	case errors.As(err, &strict):
		for i := range strict.Errors {
			e := &strict.Errors[i]
			key := e.Key()
			l.ErrorHint(position(file, e), near(key), "unknown key %q", strings.Join(key, "."))
		}
	case errors.As(err, &one):
		at, msg := position(file, one), strings.TrimPrefix(one.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(msg); m != nil {
			at.Place = strings.Join(one.Key(), ".")
			msg = fmt.Sprintf("want %s, not %s", cmp.Or(types[m[2]], m[2]), cmp.Or(types[m[1]], m[1]))
		}
		l.Errorf(at, "%s", msg)
	case err != nil:
		l.Errorf(diag.At{File: file}, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
}

// wrongType is what the library says of a value of another type than wanted. It
// speaks of Go, which authors need not know.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\S+) into .* of type (\S+)$`)

var types = map[string]string{
	"string": "a string", "int64": "a whole number", "integer": "an integer", "bool": "true or false", "boolean": "a boolean",
	"[]string": "a list", "array": "a list", "float": "a number", "inline": "a table", "table": "a table",
}

func position(file string, e *toml.DecodeError) diag.At {
	line, col := e.Position()
	return diag.At{File: file, Line: line, Column: col}
}

// near is a hint: the known key that is meant. A word alone is compared with the
// last parts, since most slips are keys in a wrong table.
func near(key []string) string {
	name := strings.Join(key, ".")
	for _, k := range known {
		if strings.EqualFold(k[strings.LastIndexByte(k, '.')+1:], key[len(key)-1]) {
			return fmt.Sprintf("did you mean %q?", k)
		}
	}
	return diag.DidYouMean(name, known)
}

// known are the names of all keys.
var known = func() []string {
	var names []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name := prefix + f.Tag.Get("toml")
			if f.Type.Kind() == reflect.Struct {
				walk(name+".", f.Type)
				continue
			}
			names = append(names, name)
		}
	}
	walk("", reflect.TypeFor[Config]())
	return names
}()

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
	parse(file, data, &c, l)
	if l.HasErrors() {
		return nil, nil
	}
	type span struct{ from, to int }
	var spans []span
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = dotted("", e.Key())
		case unstable.KeyValue:
			var note func(prefix string, e *unstable.Node)
			note = func(prefix string, e *unstable.Node) {
				name, v := dotted(prefix, e.Key()), e.Value()
				if v.Kind == unstable.InlineTable {
					for it := v.Children(); it.Next(); {
						if it.Node().Kind == unstable.KeyValue {
							note(name, it.Node())
						}
					}
				}
				if v.Kind == unstable.String && slices.ContainsFunc(blanked, func(b string) bool { return strings.EqualFold(b, name) }) {
					from := int(v.Raw.Offset)
					spans = append(spans, span{from, from + int(v.Raw.Length)})
				}
			}
			note(table, e)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, s := range spans {
		out = append(append(out, data[at:s.from]...), `""`...)
		at = s.to
	}
	return append(out, data[at:]...), nil
}

func dotted(prefix string, key unstable.Iterator) string {
	name := prefix
	for key.Next() {
		if name != "" {
			name += "."
		}
		name += string(key.Node().Data)
	}
	return name
}
