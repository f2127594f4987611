package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/diff"
)

const diffLong = `Say what changed between two artifacts or projects: the contract (operations,
parameters, bodies, responses) and the policies (security, limits, endpoints,
CORS, base paths), in one list, what breaks callers first.

A side is an artifact or a project folder, which is built in memory. APIs are
matched by base path, then title, operations by method and path; the names of
path parameters do not count.

    breaking: a caller who did everything right may be refused or misled now
    warning:  nobody is refused, but somebody should look: security was loosened,
              a limit raised, an endpoint replaced
    note:     compatible

Exit codes: 0 nothing breaking; 1 something is (--fail-on asks for less: policy
counts changes of policies too, any counts all); 2 wrong arguments, or a side
that cannot be read or built.`

const diffExamples = `  micro-gw diff petstore-1.mgw petstore
  micro-gw diff released.mgw petstore/target/petstore.mgw --output json | jq '.changes[].code'
  micro-gw diff main/petstore petstore --fail-on policy --output markdown > comment.md`

// exitNoDiff ends a comparison that did not come about. 1 would say that
// something is breaking.
const exitNoDiff = 2

// compared is a report in JSON, with what was compared. The field names are
// stable.
type compared struct {
	Old comparedSide `json:"old"`
	New comparedSide `json:"new"`
	*diff.Report
	Failed bool `json:"failed"`
}

type comparedSide struct {
	Path        string    `json:"path"`
	Digest      string    `json:"digest,omitempty"` // of a file
	Error       string    `json:"error,omitempty"`  // why it could not be compared
	Hint        string    `json:"hint,omitempty"`
	Diagnostics diag.List `json:"diagnostics,omitempty"` // of a project's build
}

// A choice is the value of a flag that takes one of a few words.
type choice struct {
	value string
	words []string
	kind  string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return c.kind }
func (c *choice) Set(s string) error {
	for _, w := range c.words {
		if w == s {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(c.words, ", "))
}

func (a *app) diffCommand() *cobra.Command {
	var opts build.Options
	format := &choice{"text", []string{"text", "json", "markdown"}, "text|json|markdown"}
	failOn := &choice{"breaking", []string{"breaking", "policy", "any"}, "breaking|policy|any"}
	cmd := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Say what changed between two artifacts or projects",
		Long:    diffLong,
		Example: diffExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return usage("see "+help(cmd), "two artifacts or projects are wanted")
			case len(args) > 2:
				return usage("see "+help(cmd), "two at a time: unexpected %q", args[2])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.diff(cmd.Context(), opts, args[0], args[1], format.value, failOn.value)
		},
	}
	addDefaultEndpoint(cmd, &opts)
	addRemoteRefs(cmd, &opts)
	cmd.Flags().Var(format, "output", "what to print")
	cmd.Flags().Var(failOn, "fail-on", "which changes give exit code 1")
	for _, f := range []struct {
		name string
		c    *choice
	}{{"output", format}, {"fail-on", failOn}} {
		// The flags exist: it cannot fail.
		_ = cmd.RegisterFlagCompletionFunc(f.name, cobra.FixedCompletions(f.c.words, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func (a *app) diff(ctx context.Context, opts build.Options, oldPath, newPath, format, failOn string) error {
	say := compared{Old: comparedSide{Path: oldPath}, New: comparedSide{Path: newPath}}
	// Both sides are tried: what is wrong is said at once.
	old := a.side(ctx, opts, &say.Old)
	new := a.side(ctx, opts, &say.New)
	if ctx.Err() != nil {
		return failed(errors.New("interrupted"))
	}
	if say.Old.Error != "" || say.New.Error != "" {
		if format == "json" {
			say.Failed = true
			if err := a.printJSON(say); err != nil {
				return err
			}
			return &failure{code: exitNoDiff}
		}
		for _, s := range []comparedSide{say.Old, say.New} {
			if s.Error != "" {
				a.err.diagnostics(s.Diagnostics, "diff: "+s.Path)
				a.err.diagnostics(diag.List{{Message: s.Error, Hint: s.Hint}}, "diff")
			}
		}
		return &failure{code: exitNoDiff}
	}
	var err error
	say.Report, err = diff.Compare(old, new)
	if err != nil {
		return &failure{code: exitNoDiff, err: err}
	}
	switch failOn {
	case "any":
		say.Failed = len(say.Changes) > 0
	case "policy":
		say.Failed = say.Breaking > 0 || say.Policies() > 0
	default:
		say.Failed = say.Breaking > 0
	}
	switch format {
	case "json":
		err = a.printJSON(say)
	case "markdown":
		err = say.WriteMarkdown(a.out)
	default:
		err = say.WriteText(a.out)
	}
	switch {
	case err != nil:
		return failed(err)
	case say.Failed && a.out.err == nil:
		return errReported
	}
	return nil
}

// side opens an artifact or builds a project. What is wrong with it is in s
// afterwards.
func (a *app) side(ctx context.Context, opts build.Options, s *comparedSide) diff.Side {
	info, err := os.Stat(s.Path)
	if err != nil || !info.IsDir() {
		if errors.Is(err, fs.ErrNotExist) {
			s.Error, s.Hint = s.Path+" does not exist", "give an artifact (.mgw) or a project's folder"
			return diff.Side{}
		}
		f, err := artifact.Open(s.Path)
		if err != nil {
			s.Error = err.Error()
			return diff.Side{}
		}
		s.Digest = digest(f)
		return diff.Side{Artifact: f.Artifact, File: true, Signer: hex.EncodeToString(f.Signer)}
	}
	opts.Dir = s.Path
	result, err := a.project(ctx, opts)
	s.Diagnostics = result.Diagnostics
	switch {
	case err != nil:
		s.Error = s.Path + ": " + err.Error()
	case result.Artifact == nil:
		s.Error = fmt.Sprintf("%s does not build (%s): nothing was compared", s.Path, count(result.Diagnostics.Count(diag.Error), "error", "errors"))
	}
	return diff.Side{Artifact: result.Artifact}
}
