// Command corpus builds every OpenAPI document under a folder as a project of
// its own and prints a table: built, or refused and why.
//
// A refusal is as good as a build if it says where: every error must have a
// position. Anything else (a panic, a hang, an error without a place, a file
// left behind by a refused build) is a defect, and the command fails.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	bin := flag.String("bin", "../bin/micro-gw", "`path` of micro-gw")
	limit := flag.Duration("limit", 5*time.Second, "longest time for one build")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: corpus [flags] FOLDER")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	defects, err := run(*bin, flag.Arg(0), *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
	if defects > 0 {
		os.Exit(1)
	}
}

type outcome int

const (
	built outcome = iota
	refused
	defect
)

func (o outcome) String() string { return [...]string{"built", "refused", "DEFECT"}[o] }

func run(bin, folder string, limit time.Duration) (defects int, err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return 0, err
	}
	var documents []string
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			switch filepath.Ext(strings.TrimSuffix(path, ".gz")) {
			case ".yaml", ".yml", ".json":
				documents = append(documents, path)
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(documents) == 0 {
		return 0, fmt.Errorf("no documents in %s", folder)
	}
	tmp, err := os.MkdirTemp("", "corpus")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)

	var count [3]int
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, document := range documents {
		started := time.Now()
		result, why := build(bin, document, filepath.Join(tmp, fmt.Sprintf("p%03d", i)), limit)
		count[result]++
		name, err := filepath.Rel(folder, document)
		if err != nil {
			name = document
		}
		fmt.Fprintf(table, "%s\t%s\t%d ms\t%s\n", result, name, time.Since(started).Milliseconds(), why)
	}
	table.Flush()
	fmt.Printf("%d documents: %d built, %d refused with positions, %d defects\n",
		len(documents), count[built], count[refused], count[defect])
	return count[defect], nil
}

// build makes a project of document in the new folder dir and builds it.
func build(bin, document, dir string, limit time.Duration) (outcome, string) {
	file, err := unpack(document, dir)
	if err != nil {
		return defect, err.Error()
	}
	code, text, err := command(limit, dir, bin, "init", "project", "-a", file)
	if err != nil || code != 0 && (code != 1 || strings.Contains(text, "panic")) {
		return defect, fmt.Sprintf("init: exit code %d, %v: %s", code, err, firstLine(text))
	}
	if code == 1 {
		return judge("init", text)
	}
	// Some documents name no server; nothing is called here.
	code, text, err = command(limit, dir, bin, "build", "project", "--default-endpoint", "http://127.0.0.1:1")
	artifacts, _ := filepath.Glob(filepath.Join(dir, "project", "target", "*.mgw"))
	switch {
	case err != nil:
		return defect, fmt.Sprintf("%v: %s", err, firstLine(text))
	case code == 0 && len(artifacts) == 1:
		warnings := strings.Count(text, ": warning: ")
		if warnings == 0 {
			return built, ""
		}
		return built, fmt.Sprintf("%d warnings", warnings)
	case code == 1 && len(artifacts) == 0:
		return judge("build", text)
	}
	return defect, fmt.Sprintf("exit code %d with %d artifacts: %s", code, len(artifacts), firstLine(text))
}

// positioned is an error or a warning of the toolkit with a place.
var positioned = regexp.MustCompile(`^(init|build): .+:[1-9][0-9]*:[1-9][0-9]*: .`)

// judge looks at what a refused document's author is told.
func judge(what, text string) (outcome, string) {
	errors, first := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "\thint: "), strings.Contains(line, ": warning: "):
			continue
		case strings.Contains(line, "internal error"), strings.Contains(line, "panic"), !positioned.MatchString(line):
			return defect, what + " says: " + line
		}
		if errors++; errors == 1 {
			first = line
		}
	}
	if errors == 0 {
		return defect, what + " refuses without a word"
	}
	if errors > 1 {
		first += fmt.Sprintf(" (and %d more)", errors-1)
	}
	return refused, first
}

// unpack copies document into dir, unzipped, and returns the copy's path.
func unpack(document, dir string) (string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	data, err := os.ReadFile(document)
	if err != nil {
		return "", err
	}
	name := filepath.Base(document)
	if short, ok := strings.CutSuffix(name, ".gz"); ok {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return "", fmt.Errorf("%s: %w", document, err)
		}
		if data, err = io.ReadAll(r); err != nil {
			return "", fmt.Errorf("%s: %w", document, err)
		}
		name = short
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, data, 0o644)
}

// command runs name and returns its exit code and what it wrote to standard
// error.
func command(limit time.Duration, dir, name string, args ...string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return -1, stderr.String(), fmt.Errorf("not done after %v", limit)
	}
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), stderr.String(), nil
	}
	return 0, stderr.String(), err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
