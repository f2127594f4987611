package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/apikey"
	"github.com/microgw/microgw/toolkit/internal/devkey"
	"github.com/microgw/microgw/toolkit/internal/scaffold"
)

// atMostOneProject is the arguments of commands that take the current folder if
// there are none: projectOf.
func atMostOneProject(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return oneProject(cmd, args)
}

func projectOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

// projectKey is the development key of the project in dir, made if there is none.
func (a *app) projectKey(command, dir string) (*devkey.Key, error) {
	if err := checkProject(dir); err != nil {
		return nil, err
	}
	key, created, err := devkey.Ensure(dir)
	if err != nil {
		return nil, failed(err)
	}
	if created {
		fmt.Fprintf(a.err, "%s: the project had no development key; a new one is in %s\n\thint: build the project again, so that its artifact knows the key\n",
			command, filepath.Join(dir, devkey.Folder))
	}
	return key, nil
}

// checkProject refuses a folder that is not a project. A key made in the wrong
// folder would do no harm, but nothing would ever accept its tokens.
func checkProject(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return usage("give the name or path of a project, or run this in its folder", "project %s does not exist", dir)
	} else if err == nil && !info.IsDir() {
		return usage("a project is a folder; give its name or path", "%s is not a folder", dir)
	}
	for _, sub := range []string{scaffold.Definitions, "gen/" + scaffold.Definitions} {
		if _, err := os.Stat(filepath.Join(dir, sub)); err == nil {
			return nil
		}
	}
	where := dir
	if dir == "." {
		where = "the current folder"
	}
	return usage("give the name or path of a project, or run this in its folder",
		"%s is not a project: no folder %s", where, scaffold.Definitions)
}

// addKeyType adds the flag that keyTypeOf reads.
func addKeyType(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "key-type", string(devkey.Production), "`TYPE`: which endpoints it leads to, PRODUCTION or SANDBOX")
	// The flag exists: it cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("key-type", cobra.FixedCompletions([]cobra.Completion{"PRODUCTION", "SANDBOX"}, cobra.ShellCompDirectiveNoFileComp))
}

func keyTypeOf(s string) (devkey.KeyType, error) {
	switch kind := devkey.KeyType(strings.ToUpper(s)); kind {
	case devkey.Production, devkey.Sandbox:
		return kind, nil
	}
	return "", usage("", "--key-type %q: want PRODUCTION or SANDBOX", s)
}

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
