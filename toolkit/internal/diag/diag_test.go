package diag_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
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

// The band that is looked at changes no distance: the nearest is the one that
// the whole table gives.
func TestNearestLooksFarEnough(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, rnd.IntN(14))
		for i := range b {
			b[i] = "abAB-_"[rnd.IntN(6)]
		}
		return string(b)
	}
	for range 20_000 {
		a, b := word(), word()
		want := ""
		if d := wholeTable(a, b); d <= max(1, min(len(a), len(b))/3) {
			want = b
		}
		if got := diag.Nearest(a, []string{b}); got != want {
			t.Fatalf("%q and %q: got %q, want %q", a, b, got, want)
		}
	}
}

func wholeTable(a, b string) int {
	fold := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "-")) }
	a, b = fold(a), fold(b)
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = d[i-1][j-1] + 1
			}
			d[i][j] = min(d[i][j], d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

func TestNearestAllocatesNothing(t *testing.T) {
	names := []string{"x-wso2-base_Path", "x-wso2-cors"}
	if n := testing.AllocsPerRun(100, func() { diag.Nearest("X-WSO2-base_pth", names) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A list without end is counted for people; programs get all of it.
func TestFold(t *testing.T) {
	var l diag.List
	for i := range 10_000 {
		l.ErrorHint(diag.At{File: "a.yaml", Line: i + 1, Column: 1}, "a hint", "no policy \"t\\\"%d\" in line %d", i, i)
	}
	for i := range 21 {
		l.Warnf(diag.At{File: "a.yaml", Line: 20_000 + i, Column: 1}, "this and that")
	}
	l.Errorf(diag.At{File: "b.yaml", Line: 1, Column: 1}, `no policy "x" in line 1`)
	var got bytes.Buffer
	if err := l.WriteText(&got, "build"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
	if len(lines) != 20*2+1+21+1 {
		t.Fatalf("%d lines:\n%s", len(lines), got.String())
	}
	if want := `build: a.yaml:20:1: no policy "t\"19" in line 19`; lines[38] != want {
		t.Errorf("got %s, want %s", lines[38], want)
	}
	if want := `build: a.yaml: ... and 9980 more like the one in line 20`; lines[40] != want {
		t.Errorf("got %s, want %s", lines[40], want)
	}
	got.Reset()
	if err := l.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got.String(), `"message"`); n != len(l) {
		t.Errorf("%d messages in JSON, want %d", n, len(l))
	}
}

// Hints end some time; what is wrong is said all the same.
func TestSpeller(t *testing.T) {
	var s diag.Speller
	names := make([]string, 10_000)
	for i := range names {
		names[i] = "endpoint" + strconv.Itoa(i)
	}
	calls := 0
	list := func() []string { calls++; return names }
	first, last := s.DidYouMean("endpiont7", list), ""
	for range 1000 {
		last = s.DidYouMean("endpiont7", list)
	}
	if first != `did you mean "endpoint7"?` || last != "" || calls > 200 {
		t.Errorf("first %q, last %q after %d lists", first, last, calls)
	}
	if got := (*diag.Speller)(nil).DidYouMean("endpiont7", list); got != "" {
		t.Errorf("nobody asked, and yet: %s", got)
	}
}
