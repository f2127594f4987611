package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/schema"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

const schemaLong = `Print a JSON Schema (draft 2020-12), for editors that check and complete:

    policy      policy.yaml
    extensions  the x-wso2-* extensions of OpenAPI definitions, and nothing else of
                them
    conf        micro-gw.conf

It says what the build and the runtime say, as far as a schema can. It is whole, and
of one version: after an upgrade of micro-gw print it again.

Exit codes: 0 printed; 2 wrong arguments.`

// schemas by the name of the argument.
var schemas = []struct {
	name, about string
	text        []byte
}{
	{"policy", "policy.yaml", schema.Policy},
	{"extensions", "extensions of OpenAPI definitions", schema.Extensions},
	{"conf", "micro-gw.conf", schema.Conf},
}

func (a *app) schemaCommand() *cobra.Command {
	names := make([]string, 0, len(schemas))
	offers := make([]cobra.Completion, 0, len(schemas))
	for _, s := range schemas {
		names = append(names, s.name)
		offers = append(offers, cobra.CompletionWithDesc(s.name, s.about))
	}
	return &cobra.Command{
		Use:   "schema " + strings.Join(names, "|"),
		Short: "Print the JSON Schema of a file",
		Long:  schemaLong,
		Example: `  micro-gw schema policy > petstore/conf/policy.schema.json
  micro-gw schema conf > micro-gw.conf.schema.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("one of "+strings.Join(names, ", "), "no schema given")
			}
			return noArgs(cmd, args[1:])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return offers, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			for _, s := range schemas {
				if s.name != args[0] {
					continue
				}
				if _, err := a.out.Write(s.text); err != nil {
					return failed(err)
				}
				return nil
			}
			hint := diag.DidYouMean(args[0], names)
			if hint == "" {
				hint = "one of " + strings.Join(names, ", ")
			}
			return usage(hint, "unknown schema %q", args[0])
		},
	}
}
