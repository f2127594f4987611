package diag_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

func TestText(t *testing.T) {
	var l diag.List
	l.Warnf(diag.At{File: "b.yaml", Line: 1, Column: 1}, "last")
	l.Errorf(diag.At{File: "a.yaml", Line: 10, Column: 3, Place: "paths./pet.get"}, "third")
	l.ErrorHint(diag.At{File: "a.yaml", Line: 9, Column: 12}, `did you mean "x"?`, "second %q", "y")
	l.Errorf(diag.At{File: "a.yaml", Line: 9, Column: 2}, "first")
	l.Errorf(diag.At{File: "a.yaml", Line: 9, Column: 2}, "first")
	l.Notef(diag.At{File: "b.yaml"}, "whole file\nin \x1b[31mred")
	l.Errorf(diag.At{}, "project")
	l.Sort()
	var got bytes.Buffer
	if err := l.WriteText(&got, "build"); err != nil {
		t.Fatal(err)
	}
	want := `build: project
build: a.yaml:9:2: first
build: a.yaml:9:12: second "y"
	hint: did you mean "x"?
build: a.yaml:10:3: paths./pet.get: third
build: b.yaml: note: whole file` + "\ufffdin \ufffd" + `[31mred
build: b.yaml:1:1: warning: last
`
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if !l.HasErrors() || l.Count(diag.Error) != 4 {
		t.Errorf("HasErrors %v, %d errors, want 4", l.HasErrors(), l.Count(diag.Error))
	}
}

func TestJSON(t *testing.T) {
	var l diag.List
	var got bytes.Buffer
	if err := l.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"diagnostics\": [],\n  \"errors\": 0,\n  \"warnings\": 0\n}\n"
	if got.String() != want {
		t.Errorf("empty: got %s", got.String())
	}
	got.Reset()
	l.Warnf(diag.At{File: "a.yaml", Line: 1, Column: 2, Place: "info"}, "<odd>")
	if err := l.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"severity": "warning"`, `"file": "a.yaml"`, `"line": 1`, `"column": 2`, `"place": "info"`, `"message": "<odd>"`, `"warnings": 1`} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%s is not in\n%s", want, got.String())
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"10kPerMin", "20kPerMin", "x-wso2-basePath", "x-wso2-cors", "get"}
	for word, want := range map[string]string{
		"10kPerMn":         "10kPerMin",
		"x-wso2-basepath":  "x-wso2-basePath",
		"x-wso2-base_path": "x-wso2-basePath",
		"x-wso2-cosr":      "x-wso2-cors",
		"gte":              "get",
		"options":          "",
		"":                 "",
	} {
		if got := diag.Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
