package cli

import (
	"io"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []struct {
		name  string
		write func(*cobra.Command, io.Writer) error
	}{
		{"bash", func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) }},
		{"fish", func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) }},
		{"powershell", func(c *cobra.Command, w io.Writer) error { return c.GenPowerShellCompletionWithDesc(w) }},
		{"zsh", func(c *cobra.Command, w io.Writer) error { return c.GenZshCompletion(w) }},
	}
	return &cobra.Command{
		Use:   "completion bash|fish|powershell|zsh",
		Short: "Print a script that completes commands in a shell",
		Long: `Print a script that makes a shell complete micro-gw's commands, flags and
arguments. Load it in the shell's start file.

Exit codes: 0 printed; 2 wrong arguments.`,
		Example: `  source <(micro-gw completion bash)
  micro-gw completion zsh > "${fpath[1]}/_micro-gw"
  micro-gw completion fish > ~/.config/fish/completions/micro-gw.fish
  micro-gw completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []cobra.Completion{"bash", "fish", "powershell", "zsh"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("see "+help(cmd), "want one of bash, fish, powershell and zsh")
			}
			for _, s := range shells {
				if s.name != args[0] {
					continue
				}
				if err := s.write(cmd.Root(), a.out); err != nil {
					return failed(err)
				}
				return nil
			}
			return usage("see "+help(cmd), "unknown shell %q", args[0])
		},
	}
}
