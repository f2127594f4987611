package cli

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/ledger"
)

const buildLong = `Build a project: check its definitions and policies, decide all that can be
decided now (routes, endpoints, security, limits), and write the artifact that
the runtime serves, PROJECT/target/NAME.mgw.

All that is wrong is said at once, with its place:

    build: api_definitions/shop.yaml:7:7: paths./pay.get: what is wrong
    	hint: what to do about it

Warnings do not stop a build. After an error no artifact is written, and one
from an earlier build stays as it was. The same project gives the same bytes, on
any machine.

What conf/deployment-config.toml switches on is made as well: an image, or the
folder to build it from (target/docker), and the YAML of Kubernetes
(target/kubernetes). --docker makes an image without that file.

Endpoints come from x-wso2-production-endpoints, else from the definition's
servers, else from --default-endpoint.

--sign signs the artifact with a key of micro-gw keygen, so that a runtime with
--verify-key takes it.

--ledger says of every keyword of the definitions whether the gateway enforces
it.

Exit codes: 0 built; 1 the project has errors, or the artifact cannot be
written; 2 wrong arguments, among them a folder that does not exist.`

const buildExamples = `  micro-gw build petstore
  micro-gw build . --default-endpoint http://127.0.0.1:8080
  micro-gw build petstore -o /tmp/petstore.mgw
  micro-gw build petstore --ledger
  micro-gw build petstore --sign ~/keys/signing.key
  micro-gw build petstore --output json | jq -r .digest
  micro-gw build petstore --docker --docker-image registry.example.com/petstore:1.4
  micro-gw build petstore -d staging.toml`

// built is what a build says of itself in JSON. The field names are stable.
type built struct {
	Project     string    `json:"project"`
	Artifact    string    `json:"artifact,omitempty"`
	Size        int64     `json:"size,omitempty"`
	Digest      string    `json:"digest,omitempty"`
	Signer      string    `json:"signer,omitempty"`
	APIs        int       `json:"apis"`
	Operations  int       `json:"operations"`
	Millis      int64     `json:"elapsed_ms"`
	Errors      int       `json:"errors"`
	Warnings    int       `json:"warnings"`
	Files       []string  `json:"files,omitempty"` // beside the artifact
	Image       string    `json:"image,omitempty"`
	ImageID     string    `json:"image_id,omitempty"`
	Diagnostics diag.List `json:"diagnostics"`
	// Ledger is there if it was asked for and there is an artifact.
	Ledger *ledger.Ledger `json:"ledger,omitempty"`
}

func (a *app) buildCommand() *cobra.Command {
	var (
		opts        build.Options
		format      output
		file        string
		sign        string
		ledger, all bool
		deployment  deployOptions
	)
	cmd := &cobra.Command{
		Use:               "build NAME|PATH",
		Short:             "Build a project's artifact",
		Long:              buildLong,
		Example:           buildExamples,
		Args:              oneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Dir = args[0]
			if cmd.Flags().Changed("out") && file == "" {
				return usage("", "-o needs a file name")
			}
			if all && !ledger {
				return usage("", "--all goes with --ledger")
			}
			var key ed25519.PrivateKey
			if cmd.Flags().Changed("sign") {
				// First of all: whoever asked for a signature is not to find out
				// that there is none after a long build.
				var err error
				if key, err = a.signingKey(sign); err != nil {
					return err
				}
			}
			if err := deployment.complete(a, cmd, &opts); err != nil {
				return err
			}
			return a.build(cmd.Context(), opts, file, format, key, ledger, all, &deployment)
		},
	}
	addDefaultEndpoint(cmd, &opts)
	addRemoteRefs(cmd, &opts)
	addOutput(cmd, &format)
	addLedger(cmd, &ledger, &all)
	addDeploy(cmd, &deployment)
	cmd.Flags().StringVarP(&file, "out", "o", "", "write the artifact to `FILE`")
	cmd.Flags().StringVar(&sign, "sign", "", "sign the artifact with the private key in `FILE`")
	return cmd
}

// signingKey reads the key of --sign.
func (a *app) signingKey(file string) (ed25519.PrivateKey, error) {
	if file == "" {
		return nil, usage("micro-gw keygen makes a pair of keys", "--sign needs the file of a private key")
	}
	key, err := signing.Private(file)
	if err != nil {
		return nil, keyFailure(exitUsage, "--sign", err)
	}
	// Windows has no such bits.
	if info, err := os.Stat(file); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(a.err, "build: warning: %s can be read or changed by other users of this machine\n\thint: chmod 600 %s\n", file, shellWord(file))
	}
	return key, nil
}

func addDefaultEndpoint(cmd *cobra.Command, opts *build.Options) {
	cmd.Flags().StringVar(&opts.DefaultEndpoint, "default-endpoint", "", "`URL` that calls go to where a definition names none")
}

func addRemoteRefs(cmd *cobra.Command, opts *build.Options) {
	cmd.Flags().BoolVar(&opts.AllowRemoteRefs, "allow-remote-refs", false, "fetch what a $ref to an http or https URL leads to")
}

// project builds without writing anything, and turns a project that cannot be
// opened into a failure. The caller prints the diagnostics.
func (a *app) project(ctx context.Context, opts build.Options) (build.Result, error) {
	if info, err := os.Stat(opts.Dir); errors.Is(err, fs.ErrNotExist) {
		return build.Result{}, usage("micro-gw init makes a project", "project %s does not exist", opts.Dir)
	} else if err == nil && !info.IsDir() {
		return build.Result{}, usage("a project is a folder; give its name or path", "%s is not a folder", opts.Dir)
	}
	update, done := a.err.counted("building "+opts.Dir, "definitions")
	defer done()
	opts.Progress = update
	var (
		result build.Result
		err    error
	)
	built := make(chan struct{})
	go func() {
		defer close(built)
		result, err = build.Project(ctx, opts)
	}()
	// It reads and computes and has nothing to tidy up: it need not be waited
	// for.
	select {
	case <-built:
	case <-ctx.Done():
		return build.Result{}, failed(errors.New("interrupted"))
	}
	switch {
	case ctx.Err() != nil:
		return result, failed(errors.New("interrupted"))
	case errors.As(err, new(*build.OptionError)):
		return result, usage("", "%w", err)
	case err != nil:
		return result, failed(err)
	}
	return result, nil
}

func (a *app) build(ctx context.Context, opts build.Options, file string, format output, key ed25519.PrivateKey, withLedger, all bool, deployment *deployOptions) error {
	start := time.Now()
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return usage("give the name of a file", "-o %s is a folder", file)
	}
	result, err := a.project(ctx, opts)
	if err != nil {
		return err
	}
	if err := deployment.prepare(opts, &result); err != nil {
		return err
	}
	say := built{
		Project:     result.Summary.Project,
		APIs:        result.Summary.APIs,
		Operations:  result.Summary.Operations,
		Errors:      result.Diagnostics.Count(diag.Error),
		Warnings:    result.Diagnostics.Count(diag.Warning),
		Diagnostics: append(diag.List{}, result.Diagnostics...),
	}
	if result.Artifact == nil {
		say.Millis = time.Since(start).Milliseconds()
		if format == outputJSON {
			if err := a.printJSON(say); err != nil {
				return err
			}
		} else {
			a.err.diagnostics(result.Diagnostics, "build")
		}
		return errReported
	}

	if format == outputText {
		a.err.diagnostics(result.Diagnostics, "build")
	}
	if file == "" {
		dir := filepath.Join(opts.Dir, "target")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return failed(err)
		}
		file = filepath.Join(dir, result.Artifact.GetProject()+".mgw")
	}
	// Read back: what is announced is what a runtime will accept.
	var written *artifact.File
	if key == nil {
		if err = artifact.Write(file, result.Artifact); err == nil {
			written, err = artifact.Open(file)
		}
	} else if err = artifact.WriteSigned(file, result.Artifact, key); err == nil {
		public := key.Public().(ed25519.PublicKey)
		written, err = artifact.OpenSigned(file, []ed25519.PublicKey{public})
		say.Signer = signing.ID(public)
	}
	if err != nil {
		return failed(err)
	}
	say.Artifact, say.Size, say.Digest = file, written.Size, digest(written)
	if err := deployment.make(ctx, a, &say); err != nil {
		return err
	}
	if result.Lock != nil {
		if err := os.WriteFile(filepath.Join(opts.Dir, build.LockFile), result.Lock, 0o644); err != nil {
			return failed(err)
		}
	}
	elapsed := time.Since(start)
	say.Millis = elapsed.Milliseconds()
	if format == outputJSON {
		if withLedger {
			if say.Ledger, err = ledger.Of(written.Artifact); err != nil {
				return failed(err)
			}
		}
		return a.printJSON(say)
	}
	fmt.Fprintf(a.out, "%s: %s, %s, built in %s\n", say.Project,
		count(say.APIs, "API", "APIs"), count(say.Operations, "operation", "operations"), duration(elapsed))
	fmt.Fprintf(a.out, "%s (%s)\n%s\n", file, bytesize(say.Size), say.Digest)
	if say.Signer != "" {
		fmt.Fprintf(a.out, "signed by %s\n", say.Signer)
	}
	deployment.announce(a.out, &say)
	if withLedger {
		fmt.Fprintln(a.out)
		return a.ledger(written.Artifact, format, all)
	}
	return nil
}

func digest(f *artifact.File) string { return "sha256:" + hex.EncodeToString(f.Digest[:]) }
