package revocation

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// unsigned returns a whole token without its signature, and without the rest of
// what a set keeps its names by: "" if id is something else. Both dots stay, so
// that no part of an id that merely has two dots is the name of another.
//
// A token is known without its signature because there may be two that are as
// good (see policy/jwt).
func unsigned(id string) string {
	head, rest, ok := strings.Cut(id, ".")
	payload, _, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Count(rest, ".") != 1 {
		return ""
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if !decode(head, &header) || header.Algorithm == "" {
		return ""
	}
	return id[:len(head)+1+len(payload)+1]
}

// expiry is when a whole token expires by what it says itself; zero if it says
// nothing.
func expiry(unsigned string) time.Time {
	_, payload, _ := strings.Cut(strings.TrimSuffix(unsigned, "."), ".")
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if !decode(payload, &claims) || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(min(claims.Expires, 1<<40)), 0)
}

func decode(part string, to any) bool {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(data, to) == nil
}
