package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The toolkit is played by a script that runs the document.
func toolkit(t *testing.T) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "micro-gw")
	err := os.WriteFile(script, []byte(`#!/bin/sh
cd "$2" || exit 9
. ./api_definitions/*
`), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

const (
	buildIt = `mkdir target; touch target/a.mgw; echo '{"artifact":"a","operations":3,"diagnostics":[]}'`
	warn    = `mkdir target; touch target/a.mgw; echo '{"artifact":"a","diagnostics":[{"severity":"warning","file":"a","line":1,"column":1,"message":"odd \"internal\""}]}'`
	refuse  = `echo '{"diagnostics":[{"severity":"error","file":"a","line":7,"column":3,"place":"paths","message":"no \"x\" in line 7"}]}'; exit 1`
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBuild(t *testing.T) {
	bin := toolkit(t)
	for _, tt := range []struct {
		document string
		want     Outcome
		why      string
	}{
		{buildIt, Built, ""},
		{warn, Built, ""},
		{refuse, Refused, `a:7:3: paths: no "x" in line 7`},
		{`true; ` + refuse, Refused, ""},
		{`mkdir target; touch target/old.mgw; ` + refuse, Defect, "exit code 1 with 1 artifacts"},
		{`echo '{"diagnostics":[{"severity":"error","file":"a","message":"x"}]}'; exit 1`, Defect, "an error without a place"},
		{`echo '{"diagnostics":[{"severity":"error","file":"a","line":1,"column":1,"message":"internal error"}]}'; exit 1`, Defect, "internal error"},
		{`echo '{"diagnostics":[]}'; exit 1`, Defect, "exit code 1 with 0 artifacts and 0 kinds of errors"},
		{"echo 'panic: x' >&2; exit 2", Defect, "exit code 2, and no JSON: panic: x"},
		{"exit 0", Defect, "exit code 0, and no JSON"},
		{"exec sleep 600", Defect, "not done after"},
	} {
		t.Run(tt.document, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a.yaml", tt.document)
			limit := time.Minute
			if tt.why == "not done after" {
				limit = time.Second
			}
			o := options{bin: bin, limit: limit, memory: 1 << 30}
			r := o.build(document{name: "a.yaml", path: filepath.Join(dir, "a.yaml")}, filepath.Join(dir, "work"))
			why := ""
			if len(r.Reasons) > 0 {
				why = r.Reasons[0].Text
			}
			if r.Outcome != tt.want || !strings.Contains(why, tt.why) {
				t.Errorf("got %v, %q; want %v, %q", r.Outcome, why, tt.want, tt.why)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "a.yaml", buildIt)
		o := options{bin: bin, limit: time.Minute, memory: 1}
		if r := o.build(document{name: "a.yaml", path: filepath.Join(dir, "a.yaml")}, filepath.Join(dir, "work")); r.Outcome != Defect || r.Operations != 3 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x/a.yaml", buildIt)
	write(t, dir, "x/b.json", warn)
	write(t, dir, "x/c.yml", refuse)
	write(t, dir, "x/README.md", "exit 1")
	write(t, dir, "y/d.json", buildIt)
	write(t, dir, "sample", "# two\n[ab].*\nd.json # and this\n! c.*\n")
	write(t, dir, "wrong", "*\n! d.json\n")
	write(t, dir, "stale", "a.yaml\nz/*\n")
	folders := []string{filepath.Join(dir, "x"), filepath.Join(dir, "y")}
	for _, tt := range []struct {
		name   string
		floor  float64
		sample string
		good   bool
		want   []string
	}{
		{"enough", 75, "", true, []string{
			"built    2          without a warning", "built    1          with warnings",
			"refused  1          no \"…\" in line …   c.yml", "4 documents with 6 operations", "3 built (75.00 %), 1 refused with positions, 0 defects",
		}},
		{"not enough", 76, "", false, []string{"FAILED: 75.00 % are built, 76 % are wanted"}},
		{"sample", 75, "sample", true, []string{"4 documents"}},
		{"wrong", 0, "wrong", false, []string{
			"DEFECT   1          it is built, and has to be refused", "DEFECT   1          it is refused, and has to be built", "FAILED: 2 defects",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options{bin: toolkit(t), jobs: 2, limit: time.Minute, memory: 1 << 30, floor: tt.floor, report: filepath.Join(t.TempDir(), "report")}
			if tt.sample != "" {
				o.sample = filepath.Join(dir, tt.sample)
			}
			var out, log bytes.Buffer
			good, err := run(o, folders, &out, &progress{w: &log})
			if err != nil || good != tt.good {
				t.Errorf("got %v, %v", good, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
			if report, err := os.ReadFile(o.report); err != nil || !strings.HasPrefix(string(report), `{"name":"a.yaml"`) {
				t.Errorf("report: %v\n%s", err, report)
			}
		})
	}
	o := options{bin: "none", jobs: 1, sample: filepath.Join(dir, "stale")}
	if _, err := run(o, folders, &bytes.Buffer{}, &progress{w: &bytes.Buffer{}}); err == nil || !strings.Contains(err.Error(), `line 2: there is no document "z/*"`) {
		t.Errorf("got %v", err)
	}
}

// A log gets a line now and then, a terminal one line that changes and goes.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, last: time.Now()}
	p.show(1, 3, 1, 0, 0)
	p.last = time.Now().Add(-time.Hour)
	p.show(2, 3, 1, 1, 0)
	p.end()
	if want := "2 of 3 documents: 1 built, 1 refused, 0 defects\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
	b.Reset()
	p = &progress{w: &b, terminal: true}
	p.show(1, 3, 1, 0, 0)
	p.say("a: %s", "oh")
	p.end()
	if want := "\r\x1b[K1 of 3 documents: 1 built, 0 refused, 0 defects\r\x1b[Ka: oh\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}
