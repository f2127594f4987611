package jwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// maxScopes bounds the scopes of one token.
const maxScopes = 1000

// claims are a token's members as they stand, and those that decide whether it
// is looked at any further.
type claims struct {
	members  []member
	issuer   string
	audience []string
	dates    dates
}

type member struct{ name, value []byte }

// spare claims are used again: who sends forged tokens should not keep the garbage
// collector busy as well.
var spare = sync.Pool{New: func() any { return &claims{members: make([]member, 0, 24)} }}

// release gives c back; nothing may use it any more.
func (c *claims) release() {
	clear(c.members)
	c.issuer, c.audience = "", nil
	if cap(c.members) <= 256 {
		spare.Put(c)
	}
}

// parseClaims reads the claims. If there is no error, release must follow.
func parseClaims(payload []byte) (*claims, error) {
	c := spare.Get().(*claims)
	c.members, c.dates = c.members[:0], dates{expires: longAgo, notBefore: longAgo, issued: longAgo}
	if err := c.parse(payload); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

func (c *claims) parse(payload []byte) error {
	err := strictjson.Object(payload, func(name, value []byte) error {
		c.members = append(c.members, member{name, value})
		return nil
	})
	if err != nil {
		return err
	}
	if c.issuer, err = c.text("iss"); err != nil {
		return err
	}
	if c.issuer == "" {
		return errors.New("no iss")
	}
	if aud := c.get("aud"); aud != nil {
		var ok bool
		if c.audience, ok = strictjson.Strings(aud); !ok {
			return errors.New("aud is neither a string nor a list of strings")
		}
	}
	for _, d := range [...]struct {
		name  string
		to    *int64
		round func(float64) float64
	}{{"exp", &c.dates.expires, math.Floor}, {"nbf", &c.dates.notBefore, math.Round}, {"iat", &c.dates.issued, math.Round}} {
		if value := c.get(d.name); value != nil {
			var ok bool
			if *d.to, ok = numericDate(value, d.round); !ok {
				return fmt.Errorf("%s is not a date", d.name)
			}
		}
	}
	return nil
}

// decisive claims are read under their own names, whatever else is renamed: on
// them depends whether a token is good at all.
var decisive = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "cnf", "token_type"}

func checkRenamed(names map[string]string) error {
	known := map[string]string{}
	for from, to := range names {
		other, twice := known[to]
		switch {
		case from == "" || to == "":
			return errors.New("a claim without a name cannot be renamed")
		case slices.Contains(decisive, from) || slices.Contains(decisive, to):
			return fmt.Errorf("claim %q cannot be renamed to %q", from, to)
		case twice:
			return fmt.Errorf("claims %q and %q are both renamed to %q", min(from, other), max(from, other), to)
		}
		known[to] = from
	}
	return nil
}

// rename gives the claims the names that are known here, and returns the payload
// that has them.
func (c *claims) rename(names map[string]string, payload []byte) []byte {
	if len(names) == 0 {
		return payload
	}
	taken := map[string]bool{}
	for _, m := range c.members {
		if to, ok := names[string(m.name)]; ok {
			taken[to] = true
		}
	}
	if len(taken) == 0 {
		return payload
	}
	members := c.members[:0:0]
	payload = []byte{'{'}
	for _, m := range c.members {
		if to, ok := names[string(m.name)]; ok {
			m.name = []byte(to)
		} else if taken[string(m.name)] {
			continue
		}
		if len(members) > 0 {
			payload = append(payload, ',')
		}
		name, _ := json.Marshal(string(m.name)) // of a string: it cannot fail
		payload = append(append(append(payload, name...), ':'), m.value...)
		members = append(members, m)
	}
	c.members = members
	return append(payload, '}')
}

func (c *claims) get(name string) []byte {
	for i := range c.members {
		if string(c.members[i].name) == name {
			return c.members[i].value
		}
	}
	return nil
}

// text returns a claim that must be a string if it is there.
func (c *claims) text(name string) (string, error) {
	value := c.get(name)
	if value == nil {
		return "", nil
	}
	s, ok := strictjson.String(value)
	if !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// principal fills p with what the claims say.
func (c *claims) principal(p *exchange.Principal, is *Issuer, payload []byte) (err error) {
	p.Scheme = "jwt"
	p.Issuer = c.issuer
	p.Expires = time.UnixMilli(c.dates.expires)
	p.Claims = payload
	if p.Subject, err = c.text("sub"); err != nil {
		return err
	}
	if p.TokenID, err = c.text("jti"); err != nil {
		return err // a revocation list could not name it
	}
	// Tokens without a key type are for production, as in WSO2 API Microgateway.
	if p.KeyType, err = c.text("keytype"); err != nil {
		return err
	}
	if p.KeyType == "" {
		p.KeyType = "PRODUCTION"
	}
	// name is for people; one of another form is not worth refusing a token for.
	if is.UsernameClaim != "" {
		if p.Username, err = c.text(is.UsernameClaim); err != nil {
			return err
		}
	} else {
		p.Username, _ = c.text("name")
	}
	if p.Username == "" {
		p.Username = p.Subject
	}
	if is.ConsumerKeyClaim != "" {
		p.ConsumerKey = c.first(is.ConsumerKeyClaim)
	} else if p.ConsumerKey = c.first("azp"); p.ConsumerKey == "" {
		p.ConsumerKey = c.first("client_id") // RFC 9068, section 2.2
	}
	for _, name := range []string{"scope", "scp"} {
		if p.Scopes, err = c.scopes(p.Scopes, name); err != nil {
			return err
		}
	}
	return c.subscriptions(p, is.Demands.Subscriptions)
}

// first returns a claim's text, or its first text if it is a list.
func (c *claims) first(name string) string {
	if list, ok := strictjson.Strings(c.get(name)); ok && len(list) > 0 {
		return list[0]
	}
	return ""
}

// scopes appends the scopes of a claim: a string with blanks between them (RFC
// 8693, section 4.2), or a list of one scope each as several issuers have it.
func (c *claims) scopes(have []string, name string) ([]string, error) {
	value := c.get(name)
	if value == nil || strictjson.Null(value) {
		return have, nil
	}
	list, ok := strictjson.Strings(value)
	if !ok {
		return nil, fmt.Errorf("%s is neither a string nor a list of strings", name)
	}
	if value[0] == '"' {
		list = strings.Split(list[0], " ")
	}
	for _, s := range list {
		if s == "" || slices.Contains(have, s) {
			continue
		}
		if len(have) == maxScopes {
			return nil, fmt.Errorf("more than %d scopes", maxScopes)
		}
		have = append(have, s)
	}
	return have, nil
}

// Dates beyond lastDate (the end of the year 9999) mean "never" and are taken
// as that; some issuers write the largest number they have. Beyond maxDate it
// is no date.
const (
	lastDate = 253402300799
	maxDate  = 1e16
)

// numericDate reads a NumericDate (RFC 7519, section 2): seconds, perhaps with
// a fraction, of which milliseconds count; round says how.
func numericDate(value []byte, round func(float64) float64) (ms int64, ok bool) {
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || math.Abs(f) > maxDate {
			return 0, false
		}
		whole, fraction := math.Modf(f)
		seconds, ms = int64(whole), int64(round(fraction*1000))
	}
	if seconds > maxDate || seconds < -maxDate {
		return 0, false
	}
	return min(max(seconds, -lastDate), lastDate)*1000 + ms, true
}
