package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Kind is what a token is for. Access tokens and API keys look alike and may
// come from one issuer, signed with one key; neither must pass for the other
// (RFC 8725, section 3.11). WSO2 API Manager marks its keys with the claim
// token_type, and so does micro-gw apikey.
type Kind uint8

const (
	AccessTokens Kind = iota
	// APIKeys are what the issuer signs and nothing else, so that a key need not
	// say what it is: those of WSO2 API Microgateway 3.1 do not.
	APIKeys
	// MarkedAPIKeys are for an issuer of access tokens, too.
	MarkedAPIKeys
)

const keyMark = "apikey" // in lower case

func (k Kind) check(typ string, c *claims) error {
	mark, err := c.text("token_type")
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	isKey := strings.ToLower(mark) == keyMark
	switch {
	case k == AccessTokens && isKey:
		return errors.New("an API key, where an access token is wanted")
	case k == AccessTokens:
		return nil
	case strings.HasSuffix(strings.ToLower(typ), "at+jwt"): // RFC 9068, section 2.1
		return errors.New("an access token, where an API key is wanted")
	case mark != "" && !isKey:
		return fmt.Errorf("token_type %.40q, where an API key is wanted", mark)
	case k == MarkedAPIKeys && !isKey:
		return errors.New("no token_type apiKey, and the issuer gives access tokens, too")
	}
	return nil
}

// stranger says why a token of an issuer that is not known here is refused. Only
// errNoIssuer leaves it open whether somebody else knows better.
func (v *Verifier) stranger(typ string, c *claims) error {
	if slices.Contains(v.not, c.issuer) {
		return fmt.Errorf("issuer %q does not give access tokens", c.issuer)
	}
	if err := AccessTokens.check(typ, c); err != nil {
		return fmt.Errorf("issuer %.100q: %w", c.issuer, err)
	}
	return fmt.Errorf("issuer %.100q %w", c.issuer, errNoIssuer)
}
