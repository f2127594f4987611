// Package fetch gets a definition from where an author says it is: a file, or an
// http or https URL.
//
// What surprises: a name that a server gives is made safe before anybody sees
// it, and what is no API definition at the top, such as a log-in page, is refused
// here; what stands below the top is the build's matter.
package fetch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

const (
	// MaxDefinition bounds a definition's size: what is larger could not be
	// built. The largest public one has 47 MB.
	MaxDefinition = tree.MaxSize
	// maxRedirects is what browsers and net/http's own default allow.
	maxRedirects = 10
	// downloadTime bounds a download as a whole.
	downloadTime = 2 * time.Minute
)

// A Source is where a definition comes from.
type Source struct {
	Location string      // path of a file, or an http or https URL; empty for none
	Header   http.Header // sent with a download
	Insecure bool        // accept any certificate for a download
}

// A NotFoundError says that a local definition is not there.
type NotFoundError struct{ Path string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("definition %s does not exist", e.Path) }

// Read gets the definition, with the file name that it has or that fits it: no
// folders, not hidden, with an ending that the build looks for.
func (s Source) Read(ctx context.Context) (name string, content []byte, err error) {
	if IsURL(s.Location) {
		name, content, err = s.download(ctx)
	} else {
		name, content, err = readFile(s.Location)
	}
	if err != nil {
		return "", nil, err
	}
	isJSON, err := recognise(content)
	if err != nil {
		return "", nil, fmt.Errorf("definition %s: %w", s.Redacted(), err)
	}
	return fileName(name, isJSON), content, nil
}

// IsURL goes by the beginning alone: on some systems "c:\x" parses as a URL.
func IsURL(location string) bool {
	lower := strings.ToLower(location)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// Redacted is the location as it may be printed: a URL may carry a password.
func (s Source) Redacted() string {
	if !IsURL(s.Location) {
		return s.Location
	}
	u, err := url.Parse(s.Location)
	if err != nil {
		return "(malformed URL)"
	}
	u.RawQuery = ""
	return u.Redacted()
}

func readFile(location string) (string, []byte, error) {
	info, err := os.Stat(location)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, &NotFoundError{location}
	case err != nil:
		return "", nil, err
	case !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("definition %s: not a file", location)
	}
	f, err := os.Open(location)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	content, err := readBounded(f)
	if err != nil {
		return "", nil, fmt.Errorf("definition %s: %w", location, err)
	}
	return filepath.Base(location), content, nil
}

func (s Source) download(ctx context.Context) (string, []byte, error) {
	where := s.Redacted()
	u, err := url.Parse(s.Location)
	if err != nil || u.Host == "" {
		return "", nil, fmt.Errorf("definition %s: malformed URL", where)
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Location, nil)
	if err != nil {
		return "", nil, fmt.Errorf("definition %s: malformed URL", where)
	}
	req.Header.Set("Accept", "application/yaml, application/json, text/yaml, */*;q=0.5")
	for key, values := range s.Header {
		req.Header[key] = values
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if s.Insecure {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // asked for with -k
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
			return errors.New("redirected from https to " + next.URL.Scheme)
		}
		// net/http drops Authorization and Cookie on the way to another host,
		// but cannot know that the author's other fields are secrets too.
		if next.URL.Host != u.Host {
			for key := range s.Header {
				next.Header.Del(key)
			}
		}
		return nil
	}}
	res, err := client.Do(req)
	if err != nil {
		var ue *url.Error // repeats the URL, password and query included
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", nil, fmt.Errorf("definition %s: %w", where, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("definition %s: the server answered %s", where, res.Status)
	}
	content, err := readBounded(res.Body)
	if err != nil {
		return "", nil, fmt.Errorf("definition %s: %w", where, err)
	}
	name := path.Base(u.Path)
	if _, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = params["filename"]
	}
	return name, content, nil
}

func readBounded(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, MaxDefinition+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxDefinition {
		return nil, fmt.Errorf("larger than %d MiB", MaxDefinition>>20)
	}
	return content, nil
}

// recognise looks at the top of a document. What stands below is the build's
// matter; this keeps an error page or the wrong file from becoming a project.
func recognise(content []byte) (isJSON bool, err error) {
	var head struct {
		OpenAPI any `json:"openapi" yaml:"openapi"`
		Swagger any `json:"swagger" yaml:"swagger"`
	}
	trimmed := strings.TrimSpace(strings.TrimPrefix(string(content), "\ufeff"))
	if trimmed == "" {
		return false, errors.New("empty")
	}
	if json.Valid([]byte(trimmed)) {
		isJSON = true
		// A list or a string leaves both keys empty, which is refused below.
		_ = json.Unmarshal([]byte(trimmed), &head)
	} else if err := yaml.Unmarshal([]byte(trimmed), &head); err != nil {
		var te *yaml.TypeError
		if !errors.As(err, &te) {
			return false, fmt.Errorf("neither JSON nor YAML: %w", err)
		}
	}
	if head.OpenAPI == nil && head.Swagger == nil {
		return false, errors.New("not an API definition: no key \"openapi\" or \"swagger\" at the top")
	}
	return isJSON, nil
}

// fileName makes a name for the project's folder out of one that may come from
// a stranger: no folders, no hidden file, an ending the build looks for.
func fileName(name string, isJSON bool) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._- ", r) {
			return r
		}
		return '_'
	}, name)
	name = strings.Trim(name, ". ")
	ext := strings.ToLower(path.Ext(name))
	stem := strings.TrimSuffix(name, path.Ext(name))
	switch ext {
	case ".yaml", ".yml", ".json":
	default:
		stem, ext = name, ".yaml"
		if isJSON {
			ext = ".json"
		}
	}
	stem = strings.Trim(stem, ". ")
	if stem == "" || stem == "_" {
		stem = "api"
	}
	if runes := []rune(stem); len(runes) > 80 {
		stem = string(runes[:80])
	}
	return stem + ext
}
