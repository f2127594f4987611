package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/devkey"
)

const tokenLong = `Make a token for development: a JWT signed by the project's own development key.
Only the token is printed, so that it can be used where it is needed:

    curl -H "Authorization: Bearer $(micro-gw token --scope read:pets)" http://...

Without an argument the project is the current folder.

The runtime believes such a token in development mode only (without a conf file,
or with --dev), and only for the project whose artifact it serves: the build puts
the public half of the key in the artifact. In production tokens come from the
issuers named in micro-gw.conf, and this key is worth nothing.

The private half is in .micro-gw/, readable by you alone, and not in version
control. A project without a key (a fresh clone) gets one; it has to be built
once more then.

Exit codes: 0 printed; 1 the key cannot be read or made; 2 wrong arguments,
among them a folder that is not a project.`

const tokenExamples = `  micro-gw token petstore --scope read:pets
  micro-gw token --scope read:pets --scope write:pets --subject ada --lifetime 10m
  micro-gw token petstore --key-type SANDBOX`

func (a *app) tokenCommand() *cobra.Command {
	var (
		claims  devkey.Claims
		scopes  []string
		keyType string
	)
	cmd := &cobra.Command{
		Use:               "token [NAME|PATH]",
		Short:             "Make a token for development",
		Long:              tokenLong,
		Example:           tokenExamples,
		Args:              atMostOneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if claims.Scopes, err = splitScopes(scopes); err != nil {
				return err
			}
			if claims.KeyType, err = keyTypeOf(keyType); err != nil {
				return err
			}
			if claims.Lifetime < time.Second {
				return usage("", "--lifetime %s: want a second at least", claims.Lifetime)
			}
			key, err := a.projectKey("token", projectOf(args))
			if err != nil {
				return err
			}
			claims.IssuedAt = time.Now()
			token, err := key.Mint(claims)
			if err != nil {
				return failed(err)
			}
			fmt.Fprintln(a.out, token)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "`SCOPE` that the token grants; more than one by repeating the flag, or with blanks or commas between")
	cmd.Flags().StringVar(&claims.Subject, "subject", "developer", "who the token is for")
	cmd.Flags().DurationVar(&claims.Lifetime, "lifetime", time.Hour, "how long it is valid: 90s, 10m, 24h")
	addKeyType(cmd, &keyType)
	return cmd
}

// splitScopes takes scopes as people write them and holds them to RFC 6749,
// section 3.3: printable ASCII but for the quote and the backslash.
func splitScopes(given []string) ([]string, error) {
	var scopes []string
	for _, g := range given {
		for _, s := range strings.FieldsFunc(g, func(r rune) bool { return r == ' ' || r == ',' }) {
			if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
				return nil, usage("", "--scope %q: not a scope (RFC 6749, section 3.3)", s)
			}
			if !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes, nil
}
