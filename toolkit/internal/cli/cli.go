// Package cli is the command line of micro-gw: it reads arguments, calls the
// packages that do the work, and prints what they found.
//
// Results go to standard output, everything else (diagnostics, hints, progress)
// to standard error, so that the output of any command can be piped. Exit codes
// are the same for all commands: 0 for success, 1 if what was asked for went
// wrong (the definitions have errors, an address is taken), 2 if the command
// line itself is wrong.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/buildinfo"
)

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// Main runs micro-gw with the arguments and streams of the process and returns
// the exit code.
func Main() int {
	// Garbage is cheap until there is much of it: the largest definitions make
	// half a gibibyte of what is needed.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(768 << 20)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Some programs that start others (timeout, go run, a terminal) send one
	// signal twice, so a second one counts a moment later only. Then it ends the
	// process as usual: nobody shall be kept waiting by a shutdown that hangs.
	context.AfterFunc(ctx, func() {
		time.Sleep(time.Second)
		stop()
	})
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Run runs micro-gw with the given arguments and streams and returns the exit
// code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &results{w: stdout}
	app := &app{out: out, err: newTerminal(stderr)}
	root := app.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		// The result was lost: whoever asked for it must not take what there is
		// for the whole.
		err = failed(out.err)
	}
	return app.report(cmd, err)
}

// results is standard output. It remembers the first failure to write, which
// those who print need not look for.
type results struct {
	w   io.Writer
	err error
}

func (r *results) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n, err
}

// app is what the commands share.
type app struct {
	out *results
	err terminal
}

// A failure ends a command with an exit code. Whatever else the commands
// return is a wrong command line: it comes from cobra.
type failure struct {
	code int
	err  error // nil if everything was said already
	hint string
}

func (f *failure) Error() string {
	if f.err == nil {
		return "failed"
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// failed is a failure to do what was asked for.
func failed(err error) error { return &failure{code: exitError, err: err} }

// usage is a failure of the command line.
func usage(hint, format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...), hint: hint}
}

// errReported ends a command whose errors are on the screen already.
var errReported = &failure{code: exitError}

func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	f := &failure{code: exitUsage, err: err, hint: "see " + help(cmd)}
	errors.As(err, &f)
	if f.err != nil {
		name := cmd.Name()
		// What is left of the first line of a message: cobra's have a usage
		// text below, a file's text may have anything.
		line, _, _ := strings.Cut(f.err.Error(), "\n")
		fmt.Fprintf(a.err, "%s: %s\n", name, line)
		if f.hint != "" {
			fmt.Fprintf(a.err, "\thint: %s\n", f.hint)
		}
	}
	return f.code
}

func help(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return cmd.Name() + " help"
	}
	return cmd.Root().Name() + " help " + cmd.Name()
}

const rootLong = `micro-gw makes an API gateway out of OpenAPI definitions.

A project is a folder with definitions (api_definitions/), throttling policies
(policy.yaml) and settings (conf/). The build checks all of it and writes one
file, the artifact, that the runtime serves:

    micro-gw init petstore           a new project, with a sample definition
    micro-gw run petstore            try it: build, mock upstream, gateway
    micro-gw build petstore          writes petstore/target/petstore.mgw
    runtime --artifact petstore/target/petstore.mgw

Exit codes, of all commands: 0 success, 1 what was asked for went wrong, 2 the
command line is wrong. Results go to standard output, all else to standard
error. NO_COLOR is respected.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "micro-gw",
		Short:             "Build API gateways from OpenAPI definitions",
		Long:              rootLong,
		Version:           buildinfo.Version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknown(cmd, "command", args[0])
			}
			cmd.SetOut(a.err)
			if err := cmd.Help(); err != nil {
				return failed(err)
			}
			return &failure{code: exitUsage}
		},
	}
	root.SetVersionTemplate(buildinfo.String("micro-gw") + "\n")
	root.AddCommand(a.initCommand(), a.buildCommand(), a.lintCommand(), a.inspectCommand(), a.diffCommand(), a.tokenCommand(),
		a.runCommand(), a.mockCommand(), a.importCommand(), a.resetCommand(), a.schemaCommand(),
		a.keygenCommand(), a.verifyCommand(), a.apikeyCommand(), a.imageCommand(),
		a.versionCommand(), a.completionCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommand(a.helpCommand())
	return root
}

// unknown refuses a word and names the one that was probably meant.
func unknown(cmd *cobra.Command, what, word string) error {
	hint := "see " + help(cmd.Root())
	if near := cmd.Root().SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usage(hint, "unknown %s %q", what, word)
}

func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say what a command does",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknown(cmd, "command", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			if err := about.Help(); err != nil {
				return failed(err)
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if len(args) == 0 {
				for _, c := range cmd.Root().Commands() {
					if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), toComplete) {
						names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// oneProject is the arguments of commands that want a project.
func oneProject(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usage("see "+help(cmd), "no project given")
	case 1:
		return nil
	}
	return usage("see "+help(cmd), "one project at a time: unexpected %q", args[1])
}

// completeFolders makes the shell offer folders for the first argument.
func completeFolders(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// An output is the value of the flag --output.
type output string

const (
	outputText output = "text"
	outputJSON output = "json"
)

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "text|json" }
func (o *output) Set(s string) error {
	switch v := output(s); v {
	case outputText, outputJSON:
		*o = v
		return nil
	}
	return errors.New("want text or json")
}

// A port is the value of the flag --port.
type port uint16

func (p *port) String() string { return strconv.Itoa(int(*p)) }
func (p *port) Type() string   { return "port" }
func (p *port) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return errors.New("want a number from 0 to 65535")
	}
	*p = port(v)
	return nil
}

func addOutput(cmd *cobra.Command, o *output) {
	*o = outputText
	cmd.Flags().Var(o, "output", "what to print")
	// The flag exists: it cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}
