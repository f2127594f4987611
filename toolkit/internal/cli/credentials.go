package cli

import (
	"net/url"
	"strings"
	"time"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/apikey"
	"github.com/microgw/microgw/toolkit/internal/devkey"
)

// curlCredential is how curl brings what an operation wants of its caller: a
// token, or an API key if that suffices and a token does not. key tells which.
func curlCredential(a *artifactpb.Artifact, api *artifactpb.Api, op *artifactpb.Operation) (arg string, key bool) {
	if op.GetSecurity().GetDisabled() {
		return "", false
	}
	header := api.GetAuthHeader()
	if header == "" {
		header = "Authorization"
	}
	token := " -H " + withVariable(header+": Bearer ", "$TOKEN")
	var byKey string
	for _, alt := range op.GetSecurity().GetAlternatives() {
		if len(alt.GetRequirements()) != 1 {
			continue
		}
		i := int(alt.GetRequirements()[0].GetScheme())
		if i >= len(a.GetSecuritySchemes()) {
			continue
		}
		switch k := a.GetSecuritySchemes()[i].GetKind().(type) {
		case *artifactpb.SecurityScheme_Oauth2, *artifactpb.SecurityScheme_OpenIdConnect:
			return token, false
		case *artifactpb.SecurityScheme_ApiKey:
			if byKey != "" {
				continue
			}
			switch name := k.ApiKey.GetName(); k.ApiKey.GetIn() {
			case artifactpb.Location_LOCATION_HEADER:
				byKey = " -H " + withVariable(name+": ", "$API_KEY")
			case artifactpb.Location_LOCATION_QUERY:
				// A key is letters, digits, dots and hyphens: nothing to escape.
				byKey = " -G -d " + withVariable(url.QueryEscape(name)+"=", "$API_KEY")
			case artifactpb.Location_LOCATION_COOKIE:
				byKey = " -b " + withVariable(name+"=", "$API_KEY")
			}
		}
	}
	if byKey != "" {
		return byKey, true
	}
	return token, false
}

// withVariable writes a text and a variable as one word of a shell. Names come from
// definitions, and may hold what a shell acts on between double quotes.
func withVariable(text, variable string) string {
	if strings.ContainsAny(text, "\"$`\\!") {
		return shellWord(text) + variable
	}
	return `"` + text + variable + `"`
}

// developmentKey is an API key for everything.
func developmentKey(key *devkey.Key, valid time.Duration) (string, error) {
	return apikey.Signer{Key: key.Private(), ID: key.ID()}.Sign(&apikey.Claims{
		Issuer: devkey.KeyIssuer, Audience: devkey.Audience, Subject: "developer", KeyType: string(devkey.Production),
	}, time.Now(), valid)
}
