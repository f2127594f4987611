package keys

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// metadataFor is how long an issuer is believed to keep its keys where it said.
// Also, it is asked again when they are not there.
const metadataFor = time.Hour

// wellKnown is where an issuer's metadata is (OpenID Connect Discovery, section
// 4).
const wellKnown = "/.well-known/openid-configuration"

// DiscoveryURL returns where an issuer's metadata is, by its name.
func DiscoveryURL(issuer string) string { return strings.TrimSuffix(issuer, "/") + wellKnown }

// IssuerOf returns the name of the issuer whose metadata is at a URL, if that is
// where metadata is.
func IssuerOf(discovery string) (string, bool) { return strings.CutSuffix(discovery, wellKnown) }

// location returns the URL of the set. Of an issuer that is known by its
// metadata only run asks, so nothing here is locked.
func (r *Remote) location(ctx context.Context) (string, error) {
	if r.opts.Discovery == "" {
		return r.opts.URL, nil
	}
	if r.found != "" && time.Since(r.foundAt) < metadataFor {
		return r.found, nil
	}
	body, err := r.get(ctx, r.opts.Discovery, "application/json")
	if err != nil {
		if r.found != "" { // the keys may still be where they were
			r.log.Warn("metadata not refreshed; the last good one goes on", "error", err)
			return r.found, nil
		}
		return "", fmt.Errorf("metadata: %w", err)
	}
	found, err := r.readMetadata(body)
	if err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	r.found, r.foundAt = found, time.Now()
	return found, nil
}

// readMetadata takes the place of the keys from an issuer's metadata. One that
// is somebody else's is not believed (OpenID Connect Discovery, section 4.3): else
// whoever can answer there could bring in keys for any issuer.
func (r *Remote) readMetadata(body []byte) (string, error) {
	var issuer, keys string
	err := strictjson.Object(body, func(name, value []byte) error {
		return strictjson.Text(name, value, map[string]*string{"issuer": &issuer, "jwks_uri": &keys}[string(name)])
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("answer is not an issuer's metadata: %w", err)
	case issuer != r.opts.Issuer:
		return "", fmt.Errorf("is of the issuer %.100q, not of %q", issuer, r.opts.Issuer)
	case keys == "":
		return "", errors.New("no jwks_uri")
	}
	u, err := checkURL(keys)
	if err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	if u.Scheme != "https" && strings.HasPrefix(strings.ToLower(r.opts.Discovery), "https:") {
		return "", fmt.Errorf("jwks_uri %.200q is not https", shown(u))
	}
	return keys, nil
}

// checkURL wants what keys or metadata can be loaded from.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%s: the scheme must be https or http", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s: no host", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("%s: a URL with a password ends up in logs", u.Redacted())
	}
	return u, nil
}
