package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/buildinfo"
)

func (a *app) versionCommand() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of micro-gw, and what it was made with. Artifacts carry the
version of the toolkit that built them; see micro-gw inspect.

Exit codes: 0 printed; 2 wrong arguments.`,
		Example: `  micro-gw version
  micro-gw version --output json | jq -r .version`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if format == outputJSON {
				return a.printJSON(struct {
					Version  string `json:"version"`
					Go       string `json:"go"`
					Platform string `json:"platform"`
				}{buildinfo.Version(), buildinfo.GoVersion(), buildinfo.Platform()})
			}
			fmt.Fprintln(a.out, buildinfo.String("micro-gw"))
			return nil
		},
	}
	addOutput(cmd, &format)
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("see "+help(cmd), "unexpected %q", args[0])
	}
	return nil
}
