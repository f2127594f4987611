package cli

import (
	"github.com/spf13/cobra"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/ledger"
)

func addLedger(cmd *cobra.Command, show, all *bool) {
	cmd.Flags().BoolVar(show, "ledger", false, "say of every keyword whether it is enforced")
	cmd.Flags().BoolVar(all, "all", false, "with --ledger: each operation on its own, every keyword with its places")
}

// ledger prints what the gateway enforces of an artifact's definitions.
func (a *app) ledger(art *artifactpb.Artifact, format output, all bool) error {
	l, err := ledger.Of(art)
	if err != nil {
		return failed(err)
	}
	if format == outputJSON {
		return a.printJSON(l)
	}
	if err := l.WriteText(a.out, all); err != nil {
		return failed(err)
	}
	return nil
}
