package apikey

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/microgw/microgw/runtime/internal/exchange"
	"github.com/microgw/microgw/runtime/internal/fault"
	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

// Limits are the requests that a key is good for. The claims are those of WSO2:
//
//	allowedAPIs       [{"name": "Pets", "version": "1.0.0"}]   or "versions"; * is any
//	subscribedAPIs    the same, looked at if there is no allowedAPIs
//	permittedIP       "192.0.2.7,10.0.0.0/8"
//	permittedReferer  "https://shop.example/*"
//
// A claim that is there holds. One that cannot be understood makes the whole key
// worthless, since what it was to keep out is not known.
type Limits struct {
	apis     []api
	anyAPI   bool
	networks []netip.Prefix
	referers []pattern
}

type api struct{ name, version string } // version "": any

// maxLimits bounds the members of each list: all may be looked at for a request.
const maxLimits = 1000

// ParseLimits reads the claims of a key. mustName says that a key has to name the
// APIs that it is for.
func ParseLimits(claims []byte, mustName bool) (*Limits, error) {
	l := &Limits{}
	var allowed, subscribed, ip, referer []byte
	err := strictjson.Object(claims, func(name, value []byte) error {
		switch string(name) {
		case "allowedAPIs":
			allowed = value
		case "subscribedAPIs":
			subscribed = value
		case "permittedIP":
			ip = value
		case "permittedReferer":
			referer = value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	name := "allowedAPIs"
	if allowed == nil {
		name, allowed = "subscribedAPIs", subscribed
	}
	switch {
	case allowed != nil:
		if err := l.readAPIs(allowed); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	case mustName:
		return nil, errors.New("neither allowedAPIs nor subscribedAPIs, which apikey.tokenConfigs.validateAllowedAPIs asks for")
	default:
		l.anyAPI = true
	}
	err = each(ip, func(s string) error {
		n, err := parseNetwork(s)
		l.networks = append(l.networks, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("permittedIP: %w", err)
	}
	err = each(referer, func(s string) error {
		p, err := parsePattern(s)
		l.referers = append(l.referers, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("permittedReferer: %w", err)
	}
	return l, nil
}

func (l *Limits) readAPIs(list []byte) error {
	return strictjson.Elements(list, func(element []byte) error {
		var name string
		var versions []string
		named, found := false, 0
		err := strictjson.Object(element, func(member, value []byte) error {
			switch string(member) {
			case "name":
				name, named = strictjson.String(value)
			case "version", "versions":
				all, ok := strictjson.Strings(value)
				if !ok {
					return fmt.Errorf("%s is neither a string nor a list of strings", member)
				}
				found++
				for _, s := range all {
					versions = append(versions, strings.Split(s, ",")...)
				}
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case !named || name == "":
			return errors.New("an API without a name")
		case found != 1:
			return fmt.Errorf("API %.100q: want one of version and versions", name)
		}
		for _, v := range versions {
			switch v = strings.TrimSpace(v); v {
			case "":
				return fmt.Errorf("API %.100q: a version is empty", name)
			case "*":
				v = ""
			}
			if len(l.apis) == maxLimits {
				return fmt.Errorf("more than %d APIs", maxLimits)
			}
			l.apis = append(l.apis, api{name, v})
		}
		return nil
	})
}

// each calls f with every member of a claim that is a list, or a string with
// commas as WSO2 API Manager has it. There an empty string is no restriction;
// an empty list is one that nothing satisfies, and nobody means that.
func each(claim []byte, f func(string) error) error {
	if claim == nil || strictjson.Null(claim) {
		return nil
	}
	list, ok := strictjson.Strings(claim)
	if !ok {
		return errors.New("neither a string nor a list of strings")
	}
	if claim[0] == '"' {
		if strings.TrimSpace(list[0]) == "" {
			return nil
		}
		list = strings.Split(list[0], ",")
	}
	if len(list) == 0 || len(list) > maxLimits {
		return fmt.Errorf("want 1 to %d, got %d", maxLimits, len(list))
	}
	for _, s := range list {
		if err := f(strings.TrimSpace(s)); err != nil {
			return err
		}
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%.60q is neither an address nor a network", s)
	}
	return p.Masked(), nil
}

// A pattern is a text with asterisks, each for any text without blanks, in which
// all of a Referer has to fit. An asterisk in the host ends with the host:
// https://*.shop.example/* is not for a page https://evil.example/.shop.example/
// (it is to WSO2). One that is all there is of a host has nothing to keep out.
type pattern struct {
	host, rest []string // what stands between the asterisks
	anyHost    bool     // rest is all
}

func parsePattern(s string) (pattern, error) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return pattern{}, fmt.Errorf("%.100q is empty or has a blank", s)
	}
	n := hostEnd(s)
	host, rest := s[:n], s[n:]
	switch {
	case host == "*":
		return pattern{rest: strings.Split(s, "*"), anyHost: true}, nil
	case rest == "" && strings.HasSuffix(host, "*"):
		rest = "*"
	}
	return pattern{host: strings.Split(host, "*"), rest: strings.Split(rest, "*")}, nil
}

// hostEnd returns how much of a URL there is before its path, which may be all.
func hostEnd[T ~string | ~[]byte](s T) int {
	scheme := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '/':
			if !scheme && i > 0 && s[i-1] == ':' && i+1 < len(s) && s[i+1] == '/' {
				scheme = true
				i++
				continue
			}
			return i
		case '?', '#':
			return i
		}
	}
	return len(s)
}

func (p *pattern) matches(text []byte) bool {
	if bytes.IndexByte(text, ' ') >= 0 {
		return false
	}
	if p.anyHost {
		return fits(p.rest, text)
	}
	n := hostEnd(text)
	return fits(p.host, text[:n]) && fits(p.rest, text[n:])
}

// fits reports whether text is the parts with anything between.
func fits(parts []string, text []byte) bool {
	if !bytes.HasPrefix(text, []byte(parts[0])) {
		return false
	}
	text = text[len(parts[0]):]
	if len(parts) == 1 {
		return len(text) == 0
	}
	end := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		// The first place will do: what comes behind it leaves the most room.
		i := bytes.Index(text, []byte(part))
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return bytes.HasSuffix(text, []byte(end))
}

// Allow judges a request that comes with the key. The error is a *fault.Fault.
func (l *Limits) Allow(x *exchange.Exchange) error {
	if !l.anyAPI && !l.hasAPI(x.Route) {
		return fault.SubscriptionMissing.Becausef("the API key is for other APIs")
	}
	if len(l.networks) > 0 {
		client, found := x.Client.Unmap().WithZone(""), false
		for _, n := range l.networks {
			found = found || n.Contains(client)
		}
		if !found {
			return fault.SubscriptionMissing.Becausef("the API key is for other client addresses than %s", x.Client)
		}
	}
	if len(l.referers) > 0 && !l.hasReferer(x) {
		return fault.SubscriptionMissing.Becausef("the API key is for other pages than the request's Referer")
	}
	return nil
}

func (l *Limits) hasAPI(r *exchange.Route) bool {
	for i := range l.apis {
		a := &l.apis[i]
		if r != nil && a.name == r.API && (a.version == "" || a.version == r.APIVersion) {
			return true
		}
	}
	return false
}

func (l *Limits) hasReferer(x *exchange.Exchange) bool {
	var value []byte
	n := 0
	for i := range x.Request.Fields {
		if h := &x.Request.Fields[i]; h.ID == exchange.Referer && !h.Deleted() {
			value = exchange.Trim(h.Value)
			n++
		}
	}
	if n != 1 {
		return false
	}
	for i := range l.referers {
		if l.referers[i].matches(value) {
			return true
		}
	}
	return false
}
