package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/signing"
)

const keygenLong = `Make a pair of keys (Ed25519) to sign artifacts with: NAME.key, the private half,
readable by you alone, and NAME.pub, the public half. NAME may be a path; it is
"signing" if not given.

    micro-gw build petstore --sign signing.key      what builds has the private key
    runtime petstore.mgw --verify-key signing.pub   what serves has the public one

API keys may be signed with such a pair, too, but with one of their own: see
micro-gw apikey.

Whoever has the private key decides what such a runtime serves. Keep it out of
the project and its version control; it has no password, since a build cannot be
asked for one. A file that exists is never overwritten.

The third line printed is the key's fingerprint, by which verify, inspect and the
runtime's log name it.

Exit codes: 0 made; 1 a file exists already or cannot be written; 2 wrong
arguments.`

const keygenExamples = `  micro-gw keygen
  micro-gw keygen keys/release-2026
  micro-gw keygen --output json | jq -r .key`

func (a *app) keygenCommand() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:     "keygen [NAME]",
		Short:   "Make a pair of keys to sign artifacts with",
		Long:    keygenLong,
		Example: keygenExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usage("see "+help(cmd), "one pair at a time: unexpected %q", args[1])
			case len(args) == 1 && args[0] == "":
				return usage("see "+help(cmd), "the name is empty")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "signing"
			if len(args) > 0 {
				name = args[0]
			}
			private, public := name+".key", name+".pub"
			key, err := signing.Create(private, public)
			if err != nil {
				return keyFailure(exitError, "", err)
			}
			if format == outputJSON {
				return a.printJSON(struct {
					Private string `json:"private"`
					Public  string `json:"public"`
					Key     string `json:"key"`
				}{private, public, signing.ID(key)})
			}
			fmt.Fprintf(a.out, "%s  private: keep it secret\n%s  public: runtime --verify-key %s\n%s\n", private, public, shellWord(public), signing.ID(key))
			return nil
		},
	}
	addOutput(cmd, &format)
	return cmd
}

// keyFailure says what is wrong with a key file, and what to do about it. flag
// is where the file was named, "" if that is plain.
func keyFailure(code int, flag string, err error) error {
	f := &failure{code: code, err: err}
	if flag != "" {
		f.err = fmt.Errorf("%s %w", flag, err)
	}
	var bad *signing.Error
	if errors.As(err, &bad) {
		f.hint = bad.Hint
	}
	return f
}
