package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// An Outcome is what became of a document.
type Outcome string

const (
	Built   Outcome = "built"
	Refused Outcome = "refused"
	Defect  Outcome = "DEFECT"
)

// A result is what is known of one document's build.
type result struct {
	Name       string   `json:"name"`
	Size       int64    `json:"size"`
	Outcome    Outcome  `json:"outcome"`
	Reasons    []reason `json:"reasons,omitempty"`  // of a refusal or a defect
	Warnings   []reason `json:"warnings,omitempty"` // a kind each
	Operations int      `json:"operations"`
	Millis     int64    `json:"elapsed_ms"`
	Memory     int64    `json:"peak_rss"` // bytes
}

// A reason is what a document is refused for, or warned about.
type reason struct {
	Kind string `json:"kind"` // the text without what is particular to this document
	Text string `json:"text"`
}

// said is what the toolkit says with --output json, as far as it matters here.
type said struct {
	Artifact    string `json:"artifact"`
	Operations  int    `json:"operations"`
	Diagnostics []struct {
		Severity string `json:"severity"`
		File     string `json:"file"`
		Line     int    `json:"line"`
		Column   int    `json:"column"`
		Place    string `json:"place"`
		Message  string `json:"message"`
	} `json:"diagnostics"`
}

// build makes a project of a document in the folder dir, which it empties, and
// builds it.
func (o options) build(d document, dir string) result {
	r := result{Name: d.name, Size: d.size}
	defect := func(format string, args ...any) result {
		text := fmt.Sprintf(format, args...)
		r.Outcome, r.Reasons = Defect, []reason{{general(text), text}}
		return r
	}
	project := filepath.Join(dir, "project")
	if err := errors.Join(os.RemoveAll(dir), unpack(d.path, filepath.Join(project, "api_definitions"))); err != nil {
		return defect("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	// Some documents name no server; nothing is called here.
	cmd := exec.CommandContext(ctx, o.bin, "build", project, "--default-endpoint", "http://127.0.0.1:9000", "--output", "json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	r.Millis = time.Since(started).Milliseconds()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return defect("not done after %v", o.limit)
	case err != nil && !errors.As(err, &exit):
		return defect("%v", err)
	}
	r.Memory = peak(cmd.ProcessState)
	artifacts, err := filepath.Glob(filepath.Join(project, "target", "*"))
	if err != nil {
		return defect("%v", err)
	}
	code := cmd.ProcessState.ExitCode()
	var s said
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		return defect("exit code %d, and no JSON: %s", code, firstLine(stderr.String()+stdout.String()))
	}
	r.Operations = s.Operations
	seen := make(map[string]bool)
	for _, d := range s.Diagnostics {
		text := fmt.Sprintf("%s:%d:%d: %s: %s", d.File, d.Line, d.Column, d.Place, d.Message)
		if d.Severity == "error" && (d.File == "" || d.Line == 0 || d.Column == 0) {
			return defect("an error without a place: %s", text)
		}
		kind := general(d.Message)
		if strings.Contains(kind, "cannot be read") || strings.Contains(kind, "internal error") {
			return defect("%s", text)
		}
		if seen[d.Severity+kind] {
			continue
		}
		seen[d.Severity+kind] = true
		switch d.Severity {
		case "error":
			r.Reasons = append(r.Reasons, reason{kind, text})
		case "warning":
			r.Warnings = append(r.Warnings, reason{kind, text})
		}
	}
	switch {
	case code == 0 && len(artifacts) == 1 && len(r.Reasons) == 0:
		r.Outcome = Built
	case code == 1 && len(artifacts) == 0 && len(r.Reasons) > 0:
		r.Outcome = Refused
	default:
		return defect("exit code %d with %d artifacts and %d kinds of errors", code, len(artifacts), len(r.Reasons))
	}
	if r.Memory > o.memory {
		return defect("%d MiB of memory, %d are allowed", r.Memory>>20, o.memory>>20)
	}
	if d.want != "" && r.Outcome != d.want {
		if r.Outcome == Built {
			return defect("it is built, and has to be refused")
		}
		return defect("it is refused, and has to be built: %s", r.Reasons[0].Text)
	}
	return r
}

// peak is the most memory that a process had at a time.
func peak(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss // bytes there, KiB elsewhere
	}
	return usage.Maxrss << 10
}

var particular = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[^\s"]*:[0-9]+:[0-9]+|\b[0-9]+\b`)

// general is a message without names, positions and numbers.
func general(text string) string {
	return particular.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '"' {
			return `"…"`
		}
		return "…"
	})
}

// unpack copies a file into the new folder dir, unzipped.
func unpack(file, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	name, r := filepath.Base(file), io.Reader(in)
	if short, ok := strings.CutSuffix(name, ".gz"); ok {
		if r, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		name = short
	}
	// What begins with a dot is no definition of a project.
	out, err := os.Create(filepath.Join(dir, strings.TrimLeft(name, ".")))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
