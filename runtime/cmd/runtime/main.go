// Command runtime serves the APIs of a micro-gw artifact. It only reads the
// command line; package gateway does the work.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // input refused, or failed at run time
	exitUsage = 2
)

func main() {
	stop := profile()
	code := run(os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if err == nil {
		err = c.locate(os.DirFS("/"), os.Getenv)
	}
	if err == nil {
		err = c.do(stdout, stderr)
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "runtime: %v\n\thint: runtime --help tells what there is\n", usage)
		return exitUsage
	}
	report(stderr, err)
	return exitError
}

// report prints an error, which may have several lines. Those of conf say
// "runtime: " themselves and go on with tabs.
func report(w io.Writer, err error) {
	for _, line := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		if !strings.HasPrefix(line, "runtime: ") && !strings.HasPrefix(line, "\t") {
			line = "runtime: " + line
		}
		fmt.Fprintln(w, line)
	}
}

func (c *command) do(stdout, stderr io.Writer) error {
	switch c.name {
	case "help":
		_, err := io.WriteString(stdout, help)
		return err
	case "version":
		return printVersion(stdout, c.output)
	case "config":
		cfg, err := conf.Load(c.conf())
		if err != nil {
			return err
		}
		return cfg.Print(stdout, c.output)
	case "health":
		return c.health(stdout)
	}
	o := gateway.Options{Artifact: c.artifact, Conf: c.conf(), Watch: c.watch, VerifyKeys: c.keys, Stderr: stderr}
	if c.check {
		summary, err := gateway.Check(o)
		if err == nil {
			_, err = fmt.Fprintln(stdout, summary)
		}
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	o.Signals = signals
	return gateway.Run(context.Background(), o)
}

func (c *command) conf() conf.Options {
	return conf.Options{Path: c.confPath, Set: c.set, Environ: os.Environ(), Dev: c.dev}
}

func printVersion(w io.Writer, output string) error {
	if output != "json" {
		_, err := fmt.Fprintln(w, buildinfo.String("runtime"))
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Name     string `json:"name"`
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{"runtime", buildinfo.Version(), buildinfo.GoVersion(), buildinfo.Platform()})
}
