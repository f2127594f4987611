package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/lint"
)

const lintLong = `Lint a project: say what a build would say, without writing anything, and what
else is likely to be a mistake or will be missed by those who call the API.

Every finding has a severity (error, warning, advice) and, but for what a build
says, a rule in brackets. A rule is switched off or made more important with
--rule, or in the definition for an object and all that is inside of it:

    x-micro-gw-lint-ignore: [no-operation-id]

Of many findings of one rule in a file the first few are printed; --all prints
them all, and so do the formats for programs.

Exit codes: 0 nothing as bad as --fail-on; 1 something is, or the project cannot
be read; 2 wrong arguments, among them a folder that does not exist.`

const lintExamples = `  micro-gw lint petstore
  micro-gw lint petstore --severity warning --fail-on warning
  micro-gw lint petstore --rule no-operation-id=off --rule open-operation=error
  micro-gw lint petstore --output sarif > lint.sarif`

func (a *app) lintCommand() *cobra.Command {
	var (
		opts   = build.Options{Keep: true}
		format = &choice{"text", []string{"text", "json", "sarif", "github"}, "text|json|sarif|github"}
		levels = make(map[string]lint.Severity)
		least  = severity{lint.Advice}
		fail   = severity{lint.Error}
		all    bool
	)
	cmd := &cobra.Command{
		Use:               "lint NAME|PATH",
		Short:             "Look for mistakes and omissions in a project",
		Long:              lintLong,
		Example:           lintExamples,
		Args:              oneProject,
		ValidArgsFunction: completeFolders,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Dir = args[0]
			return a.lint(cmd.Context(), opts, format.value, levels, least.Severity, fail.Severity, all)
		},
	}
	addDefaultEndpoint(cmd, &opts)
	addRemoteRefs(cmd, &opts)
	cmd.Flags().Var(format, "output", "what to print")
	cmd.Flags().Var(ruleLevels(levels), "rule", "give a rule another severity, or switch it off; may be repeated")
	cmd.Flags().Var(&least, "severity", "the least severity to print")
	cmd.Flags().Var(&fail, "fail-on", "the least severity to fail on; off never does")
	cmd.Flags().BoolVar(&all, "all", false, "print all findings, also if many are alike")
	complete := func(flag string, words []string) {
		// The flag exists: it cannot fail.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("output", format.words)
	complete("severity", []string{"advice", "warning", "error"})
	complete("fail-on", []string{"advice", "warning", "error", "off"})
	return cmd
}

// A severity is the value of a flag.
type severity struct{ lint.Severity }

func (s *severity) Type() string { return "severity" }
func (s *severity) Set(text string) (err error) {
	s.Severity, err = lint.ParseSeverity(text)
	return err
}

// ruleLevels is the value of --rule ID=SEVERITY.
type ruleLevels map[string]lint.Severity

func (r ruleLevels) String() string { return "" }
func (r ruleLevels) Type() string   { return "ID=SEVERITY" }
func (r ruleLevels) Set(text string) error {
	id, level, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("want ID=SEVERITY")
	}
	if id == lint.BuildRule {
		return errors.New("what a build says has the severity that the build gives it")
	}
	if _, known := lint.Find(id); !known {
		if near := diag.Nearest(id, lint.IDs()); near != "" {
			return fmt.Errorf("no rule %q; did you mean %q?", id, near)
		}
		return fmt.Errorf("no rule %q", id)
	}
	s, err := lint.ParseSeverity(level)
	if err != nil {
		return err
	}
	r[id] = s
	return nil
}

// linted is what lint says in JSON. The names are stable.
type linted struct {
	Project  string         `json:"project"`
	Errors   int            `json:"errors"`
	Warnings int            `json:"warnings"`
	Advice   int            `json:"advice"`
	Findings []lint.Finding `json:"findings"`
}

func (a *app) lint(ctx context.Context, opts build.Options, format string, levels map[string]lint.Severity, least, fail lint.Severity, all bool) error {
	result, err := a.project(ctx, opts)
	if err != nil {
		return err
	}
	findings := lint.Project(result, levels)
	bad := fail != lint.Off && slices.ContainsFunc(findings, func(f lint.Finding) bool { return f.Severity >= fail })
	say := linted{
		Project: result.Summary.Project, Errors: lint.Count(findings, lint.Error),
		Warnings: lint.Count(findings, lint.Warning), Advice: lint.Count(findings, lint.Advice),
	}
	findings = slices.DeleteFunc(findings, func(f lint.Finding) bool { return f.Severity < least })
	switch format {
	case "json":
		say.Findings = append([]lint.Finding{}, findings...)
		err = a.printJSON(say)
	case "sarif":
		err = lint.SARIF(a.out, findings, repositoryPath(opts.Dir))
	case "github":
		err = lint.GitHub(a.out, findings, repositoryPath(opts.Dir))
	default:
		for _, l := range lint.Lines(findings, all) {
			fmt.Fprintf(a.out, "lint: %s\n", diag.Printable(l.Text))
			if l.Hint != "" {
				fmt.Fprintf(a.out, "\thint: %s\n", diag.Printable(l.Hint))
			}
		}
		fmt.Fprintf(a.out, "%s: %s, %s, %d advice\n", say.Project,
			count(say.Errors, "error", "errors"), count(say.Warnings, "warning", "warnings"), say.Advice)
	}
	if err != nil {
		return failed(err)
	}
	if bad {
		return errReported
	}
	return nil
}

// repositoryPath is the project's folder as those name files who look at a whole
// repository: relative to where the command was started, if it is below that.
func repositoryPath(dir string) string {
	if dir = filepath.Clean(dir); filepath.IsLocal(dir) {
		return filepath.ToSlash(dir)
	}
	return ""
}
