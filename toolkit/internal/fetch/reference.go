package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// References gets what a definition's $refs to URLs lead to. The definition may
// be a stranger's, so it gets less than an author's own download does: no header
// fields, tighter limits. The zero value is ready to use.
type References struct {
	MaxSize int64         // 16 MiB if 0
	Timeout time.Duration // of each URL, 30 s if 0
}

// maxReferenceRedirects is for a host that has moved, and the way to https.
const maxReferenceRedirects = 5

// Get fetches a URL. The second result is the one it was found at in the end,
// which is what relative references in it start from (RFC 3986, section 5.1.3).
func (r References) Get(ctx context.Context, location string) (content []byte, final string, err error) {
	limit, timeout := cmp.Or(r.MaxSize, 16<<20), cmp.Or(r.Timeout, 30*time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil || req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return nil, "", errors.New("it is not an http or https URL")
	}
	req.Header.Set("Accept", "application/yaml, application/json, text/yaml, */*;q=0.5")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch to := next.URL.Scheme; {
		case len(via) > maxReferenceRedirects:
			return fmt.Errorf("more than %d redirects", maxReferenceRedirects)
		case to != "http" && to != "https", to == "http" && via[len(via)-1].URL.Scheme == "https":
			return fmt.Errorf("it redirects from %s to %s", via[len(via)-1].URL.Scheme, to)
		case next.URL.User != nil:
			return errors.New("it redirects to a URL with a password")
		}
		return nil
	}}
	res, err := client.Do(req)
	if err == nil {
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, "", fmt.Errorf("the server answered %s", res.Status)
		}
		content, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	}
	var ue *url.Error // repeats the URL
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "", fmt.Errorf("not there after %v", timeout)
	case errors.As(err, &ue):
		return nil, "", ue.Err
	case err != nil:
		return nil, "", err
	case int64(len(content)) > limit:
		return nil, "", fmt.Errorf("it is larger than %d bytes", limit)
	}
	found := *res.Request.URL
	found.Fragment, found.RawFragment = "", ""
	return content, found.String(), nil
}
