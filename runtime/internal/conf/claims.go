package conf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The claims of an issuer are rows in rows: [[jwtTokenConfig.claims]] below its
// [[jwtTokenConfig]]. They are read as one list and then handed to the issuers.
var claimNames = rows[claimName]{
	table: issuerTable + ".#.claims.#",
	since: "3.2",
	doc: "What an issuer calls otherwise: `[[jwtTokenConfig.claims]]` below its `[[jwtTokenConfig]]`, once for each claim. In the environment and behind " +
		"`-e` both are numbered: `jwtTokenConfig_0_claims_1_remoteClaim`. What is renamed takes the place of a claim that had the name already.",
	all: func(c *Config) *[]claimName { return &c.claims },
	id:  func(n *claimName) *string { return &n.id },
	keys: []key[claimName]{
		{"remoteClaim", nil, "3.2", stringOf(func(n *claimName) *string { return &n.remote }, isClaim),
			"The issuer's name for a claim."},
		{"localClaim", nil, "3.2", stringOf(func(n *claimName) *string { return &n.local }, isClaim),
			"The name that it is known by here: `scope`, `azp`, `sub`, `name`, `keytype`, `subscribedAPIs`, `application`, or what upstreams are to see in the backend JWT."},
	},
	check: func(c *Config, i int, r report) {
		n := &c.claims[i]
		switch {
		case n.issuer() >= len(c.Issuers):
			r.problem("remoteClaim", fmt.Sprintf("there is no issuer %d", n.issuer()))
		case n.remote == "":
			r.problem("remoteClaim", "the issuer's name for the claim is missing")
		case n.local == "":
			r.problem("localClaim", "the claim's name here is missing")
		}
		for _, b := range c.claims[:i] {
			if b.issuer() != n.issuer() {
				continue
			}
			if b.remote == n.remote {
				r.problem("remoteClaim", fmt.Sprintf("%q is renamed already", n.remote))
			}
			if b.local == n.local {
				r.problem("localClaim", fmt.Sprintf("%q and %q cannot both be %q", b.remote, n.remote, n.local))
			}
		}
	},
}

// issuer returns which one the claim is of.
func (n *claimName) issuer() int {
	number, _, _ := strings.Cut(n.id, ".")
	i, _ := strconv.Atoi(number)
	return i
}

// fixedClaims are those that decide whether a token is good at all.
var fixedClaims = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "cnf", "token_type"}

var isClaim = rule{func(s string) string {
	if slices.Contains(fixedClaims, s) {
		return fmt.Sprintf("%q decides whether a token is good, and has one name", s)
	}
	return ""
}, func() *shape {
	s := textShape("")
	s.Not = textShape("^(" + strings.Join(fixedClaims, "|") + ")$")
	return s
}()}

// renameClaims hands the claims to their issuers; issuers that were dropped take
// theirs with them. kept has the new number of each issuer, -1 for none.
func (l *loader) renameClaims(kept []int) {
	var all []claimName
	for _, n := range l.c.claims {
		before := n.issuer()
		if before >= len(kept) {
			continue
		}
		if now := kept[before]; now >= 0 {
			_, number, _ := strings.Cut(n.id, ".")
			n.id = strconv.Itoa(now) + "." + number
			is := &l.c.Issuers[now]
			if is.Renamed == nil {
				is.Renamed = map[string]string{}
			}
			is.Renamed[n.remote] = n.local
			l.moveSources(claimNames.table, fmt.Sprintf("%d.%s", before, number), n.id, "remoteClaim", "localClaim")
			all = append(all, n)
		} else {
			_, number, _ := strings.Cut(n.id, ".")
			l.moveSources(claimNames.table, fmt.Sprintf("%d.%s", before, number), "", "remoteClaim", "localClaim")
		}
	}
	l.c.claims = all
}

// moveSources remembers where a row's values were written under its new id, or
// forgets it.
func (l *loader) moveSources(table, before, now string, keys ...string) {
	if before == now {
		return
	}
	for _, k := range keys {
		name := rowName(table, before) + "." + k
		if at, ok := l.c.sources[name]; ok {
			delete(l.c.sources, name)
			if now != "" {
				l.c.sources[rowName(table, now)+"."+k] = at
			}
		}
	}
}
