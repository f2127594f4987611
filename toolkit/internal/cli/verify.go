package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

const verifyLong = `Check that an artifact is whole and signed, and say by whom. With --key it must
be signed by that key, or by one of them if the flag is repeated; this is what
"runtime --verify-key" asks for. Without --key any signature will do, which says
that nobody changed the file since it was signed, but not that you know who
signed it.

Checked are: format, length and SHA-256; the signature, which covers all of the
file; the key; and then that the content is one that a runtime accepts.

Exit codes: 0 all of it holds; 1 it does not: damaged, not signed, or signed by
another key; 2 wrong arguments, among them a key file that is none.`

const verifyExamples = `  micro-gw verify petstore/target/petstore.mgw --key signing.pub
  micro-gw verify petstore.mgw --key old.pub --key new.pub
  micro-gw verify petstore.mgw --output json | jq -r .signer`

// verified is what verify finds, in JSON. The field names are stable.
type verified struct {
	File    string `json:"file"`
	Valid   bool   `json:"valid"`
	Problem string `json:"problem,omitempty"`
	Signer  string `json:"signer,omitempty"`
	// Trusted says whether the signer is one of the keys given; nil if none
	// were.
	Trusted *bool  `json:"trusted,omitempty"`
	Project string `json:"project,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Toolkit string `json:"toolkit,omitempty"`

	keyFile string // that the signer's key is in
}

func (a *app) verifyCommand() *cobra.Command {
	var (
		format output
		files  []string
	)
	cmd := &cobra.Command{
		Use:               "verify FILE.mgw",
		Short:             "Check an artifact and who signed it",
		Long:              verifyLong,
		Example:           verifyExamples,
		Args:              oneArtifact,
		ValidArgsFunction: completeArtifacts,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := verify(args[0], files)
			var f *failure
			if errors.As(err, &f) && f.code == exitUsage {
				return err
			}
			if format == outputJSON {
				if err != nil {
					v.Problem = strings.TrimPrefix(err.Error(), v.File+": ")
				}
				if err := a.printJSON(v); err != nil {
					return err
				}
				if !v.Valid {
					return errReported
				}
				return nil
			}
			if err != nil {
				return err
			}
			return v.write(a)
		},
	}
	addOutput(cmd, &format)
	cmd.Flags().StringArrayVar(&files, "key", nil, "`FILE` with the public key that must have signed; may be repeated")
	return cmd
}

// verify checks the artifact at path against the keys in files.
func verify(path string, files []string) (verified, error) {
	v := verified{File: path}
	var keys []ed25519.PublicKey
	of := map[string]string{} // file by key
	for _, file := range files {
		if file == "" {
			return v, usage("", "--key needs a file name")
		}
		list, err := signing.Public(file)
		if err != nil {
			return v, keyFailure(exitUsage, "--key", err)
		}
		for _, k := range list {
			keys = append(keys, k)
			of[signing.ID(k)] = file
		}
	}
	var (
		f   *artifact.File
		err error
	)
	if len(keys) > 0 {
		f, err = artifact.OpenSigned(path, keys)
	} else if f, err = artifact.Open(path); err == nil && f.Signer == nil {
		err = fmt.Errorf("%s: %w", path, &artifact.NotTrustedError{})
	}
	var untrusted *artifact.NotTrustedError
	switch {
	case errors.As(err, &untrusted):
		hint := "micro-gw build --sign signs what it builds"
		if untrusted.Signer != nil {
			v.Signer = signing.ID(untrusted.Signer)
			var trusted []string
			for _, k := range keys {
				trusted = append(trusted, fmt.Sprintf("%s is %s", of[signing.ID(k)], signing.ID(k)))
			}
			hint = strings.Join(trusted, "; ")
		}
		if len(keys) > 0 {
			v.Trusted = new(bool)
		}
		return v, &failure{code: exitError, err: err, hint: hint}
	case err != nil:
		return v, failed(err)
	}
	v.Valid = true
	v.Signer, v.Project, v.Digest, v.Size, v.Toolkit = signing.ID(f.Signer), f.GetProject(), digest(f), f.Size, f.GetBuild().GetToolkitVersion()
	if len(keys) > 0 {
		yes := true
		v.Trusted, v.keyFile = &yes, of[v.Signer]
	}
	return v, nil
}

func (v verified) write(a *app) error {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(name, text string) { fmt.Fprintf(t, "%s\t%s\n", name, diag.Printable(text)) }
	row("artifact", v.File)
	row("project", v.Project)
	row("digest", v.Digest)
	row("signed by", v.Signer)
	if v.keyFile != "" {
		row("trusted", "yes, the key in "+v.keyFile)
	} else {
		row("trusted", "not checked: --key FILE says whose signature you want")
	}
	if err := t.Flush(); err != nil {
		return failed(err)
	}
	return nil
}
