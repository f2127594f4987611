package gateway

import (
	"fmt"

	"github.com/microgw/microgw/schema/artifactpb"
)

// needs counts the operations that nobody can call without credentials of a
// kind.
type needs struct{ token, password, key, certificate int }

func needsOf(apis []*artifactpb.Api, schemes []*artifactpb.SecurityScheme) (n needs) {
	kinds := []struct {
		count *int
		is    func(*artifactpb.SecurityScheme) bool
	}{
		{&n.token, func(s *artifactpb.SecurityScheme) bool { return s.GetOauth2() != nil || s.GetOpenIdConnect() != nil }},
		{&n.password, func(s *artifactpb.SecurityScheme) bool { return s.GetBasic() != nil }},
		{&n.key, func(s *artifactpb.SecurityScheme) bool { return s.GetApiKey() != nil }},
		{&n.certificate, func(s *artifactpb.SecurityScheme) bool { return s.GetMutualTls() != nil }},
	}
	for _, api := range apis {
		for _, op := range api.GetOperations() {
			if op.GetSecurity().GetDisabled() {
				continue
			}
			for _, k := range kinds {
				if everyAlternative(op.GetSecurity(), schemes, k.is) {
					*k.count++
				}
			}
		}
	}
	return n
}

func everyAlternative(s *artifactpb.Security, schemes []*artifactpb.SecurityScheme, is func(*artifactpb.SecurityScheme) bool) bool {
	for _, alt := range s.GetAlternatives() {
		found := false
		for _, r := range alt.GetRequirements() {
			found = found || is(schemes[r.GetScheme()])
		}
		if !found {
			return false
		}
	}
	return len(s.GetAlternatives()) > 0
}

// unmet says what of that nobody can have, by this conf.
func (g *gateway) unmet(s *serving) (w []string) {
	total := len(s.routes)
	for _, u := range []struct {
		count   int
		met     bool
		nothing string
		what    string
	}{
		{s.needs.token, len(g.cfg.Issuers) > 0 || g.issuers.opaque != nil || g.cfg.Development && s.developmentKey, "no issuer of tokens is configured (jwtTokenConfig)", "a token"},
		{s.needs.password, g.users != nil, "no users are configured (b7a.users, userStore)", "a name and a password"},
		{s.needs.key, len(g.keys.list) > 0 || g.cfg.Development && s.developmentKey, "no issuer of API keys is configured (apikey.tokenConfigs)", "an API key"},
		{s.needs.certificate, g.clients != nil, "clients are not asked for a certificate (mutualSSLConfig.sslVerifyClient)", "a client certificate"},
	} {
		if u.count > 0 && !u.met {
			w = append(w, fmt.Sprintf("%s: %d of %d operations need %s and answer 401 to everybody", u.nothing, u.count, total, u.what))
		}
	}
	return w
}
