package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       outcome
		why        string
	}{
		{"one error", "build: a.yaml:7:3: paths./x: no such thing\n\thint: do this\n", refused, "build: a.yaml:7:3: paths./x: no such thing"},
		{"several", "build: a.yaml:7:3: one\nbuild: a.yaml:8:3: warning: two\nbuild: a.yaml:9:3: three\n", refused, "build: a.yaml:7:3: one (and 1 more)"},
		{"no position", "build: a.yaml: no such thing\n", defect, "build says: build: a.yaml: no such thing"},
		{"line 0", "build: a.yaml:0:0: no such thing\n", defect, "build says: build: a.yaml:0:0: no such thing"},
		{"our fault", "build: a.yaml:1:1: internal error\n", defect, "build says: build: a.yaml:1:1: internal error"},
		{"panic", "panic: oh\n\ngoroutine 1 [running]:\n", defect, "build says: panic: oh"},
		{"silence", "", defect, "build refuses without a word"},
		{"warnings only", "build: a.yaml:8:3: warning: two\n", defect, "build refuses without a word"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := judge("build", tt.text); got != tt.want || why != tt.why {
				t.Errorf("got %v, %q; want %v, %q", got, why, tt.want, tt.why)
			}
		})
	}
}

// The toolkit is played by a script, which knows what to do from the document.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "micro-gw")
	err := os.WriteFile(script, []byte(`#!/bin/sh
case $1 in
init) mkdir -p project/target; cp "$4" project/doc ;;
build) . ./project/doc ;;
esac
`), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		document string
		want     outcome
		why      string
	}{
		{"touch project/target/project.mgw", built, ""},
		{"touch project/target/project.mgw; echo 'build: a:1:1: warning: x' >&2", built, "1 warnings"},
		{"echo 'build: a:1:1: x' >&2; exit 1", refused, "build: a:1:1: x"},
		{"touch project/target/project.mgw; echo 'build: a:1:1: x' >&2; exit 1", defect, "exit code 1 with 1 artifacts"},
		{"echo 'panic: x' >&2; exit 2", defect, "exit code 2 with 0 artifacts: panic: x"},
		{"exit 0", defect, "exit code 0 with 0 artifacts"},
		{"exec sleep 60", defect, "not done after"},
	} {
		t.Run(tt.document, func(t *testing.T) {
			document := filepath.Join(t.TempDir(), "a.yaml")
			if err := os.WriteFile(document, []byte(tt.document), 0o644); err != nil {
				t.Fatal(err)
			}
			got, why := build(script, document, filepath.Join(t.TempDir(), "p"), time.Second)
			if got != tt.want || !strings.Contains(why, tt.why) {
				t.Errorf("got %v, %q; want %v, %q", got, why, tt.want, tt.why)
			}
		})
	}
}
