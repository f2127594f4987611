package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/toolconf"
)

const resetLong = `Empty username, clientId and clientSecret in toolkit-config.toml, so that the next
import asks who you are. Everything else in the file stays as it is.

Exit codes: 0 done; 1 the file does not exist, cannot be written, or is not what
it should be; 2 wrong arguments.`

func (a *app) resetCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "reset",
		Short:   "Forget who imports from API Manager",
		Long:    resetLong,
		Example: "  micro-gw reset\n  micro-gw reset -c conf/toolkit-config.toml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("see "+help(cmd), "unexpected %q", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("config") && file == "" {
				return usage("", "-c needs a file name")
			}
			if file == "" {
				file = toolconf.Path()
			}
			return a.reset(file)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "`FILE` to reset, if not the usual toolkit-config.toml")
	return cmd
}

func (a *app) reset(file string) error {
	var l diag.List
	data, err := toolconf.Reset(file, &l)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed(fmt.Errorf("configuration %s does not exist", file))
	case err != nil:
		return failed(err)
	case l.HasErrors():
		l.Sort()
		a.err.diagnostics(l, "reset")
		return errReported
	}
	// A link stays one.
	if to, err := filepath.EvalSymlinks(file); err == nil {
		file = to
	}
	if err := replaceFile(file, data); err != nil {
		return failed(err)
	}
	return nil
}

// replaceFile replaces what is in a file, whole or not at all. Who may read it
// stays the same.
func replaceFile(file string, data []byte) (err error) {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".toolkit-config-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
