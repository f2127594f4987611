package policies_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/policies"
)

// Mistakes are in the table of package build.

func TestParse(t *testing.T) {
	const text = `resourcePolicies:
  - 10kPerMin:
      count: 10000
      unitTime: 1
      timeUnit: min
  - {name: flat, count: 1, unitTime: 30, timeUnit: SEC}
  - two: {count: 2, unitTime: 1, timeUnit: hour}
    three: {count: 3, unitTime: 1, timeUnit: Day}
applicationPolicies:
subscriptionPolicies:
  - "odd. {name}": {count: 4, unitTime: 2, timeUnit: week, stopOnQuota: false}
  - two: {count: 5, unitTime: 1, timeUnit: month}
  - y: {count: 6, unitTime: 1, timeUnit: year, stopOnQuota: true}
  - whole: {count: 1e3, unitTime: 2.0, timeUnit: sec, stopOnQuotaReach: false}
`
	var l diag.List
	f := policies.Parse("policy.yaml", []byte(text), &l)
	if len(l) > 0 {
		t.Error(l)
	}
	var got []string
	for _, p := range f.Policies {
		got = append(got, fmt.Sprintf("%s %q %d/%ds %v %s", p.Kind, p.Name, p.Count, p.WindowMillis/1000, p.StopOnQuota, p.At))
	}
	want := `resource "10kPerMin" 10000/60s true policy.yaml:2:5
resource "flat" 1/30s true policy.yaml:6:12
resource "two" 2/3600s true policy.yaml:7:5
resource "three" 3/86400s true policy.yaml:8:5
subscription "odd. {name}" 4/1209600s false policy.yaml:11:5
subscription "two" 5/2592000s true policy.yaml:12:5
subscription "y" 6/31536000s true policy.yaml:13:5
subscription "whole" 1000/2s false policy.yaml:14:5`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got:\n%s\nwant:\n%s", g, want)
	}
	if i := f.Find(policies.Subscription, "two"); i != 5 {
		t.Errorf("two is number %d", i)
	}
	if i := f.Find(policies.Application, "two"); i != -1 {
		t.Errorf("an application policy two: %d", i)
	}
	var none *policies.File
	if none.Find(policies.Resource, "two") != -1 || none.Names(policies.Resource) != nil {
		t.Error("a missing file has policies")
	}
}

// Our own keys.
func TestKeys(t *testing.T) {
	for text, want := range map[string]policies.Policy{
		"":                            {},
		"burst: 100":                  {Burst: 100},
		"countBy: clientAddress":      {CountBy: policies.CountBy{ClientAddress: true}},
		"countBy: {header: X-Tenant}": {CountBy: policies.CountBy{Header: "x-tenant"}},
		"countBy: {claim: Tenant id}": {CountBy: policies.CountBy{Claim: "Tenant id"}},
		"counter: local":              {},
		"counter: shared":             {Failure: policies.Local},
		"counter: shared, onCounterFailure: open":   {Failure: policies.Open},
		"counter: shared, onCounterFailure: closed": {Failure: policies.Closed},
		"mode: hard":   {},
		"mode: shadow": {Shadow: true},
	} {
		var l diag.List
		f := policies.Parse("policy.yaml", []byte("resourcePolicies: [{name: a, count: 100, unitTime: 1, timeUnit: min, "+text+"}]"), &l)
		if len(l) > 0 || len(f.Policies) != 1 {
			t.Errorf("%s: %v", text, l)
			continue
		}
		want.Name, want.Count, want.WindowMillis, want.StopOnQuota, want.At = "a", 100, 60_000, true, f.Policies[0].At
		if got := f.Policies[0]; got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// Whatever the input: no panic, every diagnostic is in the file, and policies
// without errors make sense.
func FuzzParse(f *testing.F) {
	f.Add("resourcePolicies:\n  - a: {count: 1, unitTime: 1, timeUnit: min}\n")
	f.Add("subscriptionPolicies: [{name: a, count: 9223372036854775807, unitTime: 2147483647, timeUnit: sec, stopOnQuota: false}]")
	f.Add("resourcePolicies: [{a: {count: 2, unitTime: 1, timeUnit: sec, burst: 1, countBy: {header: X-A}, counter: shared, onCounterFailure: open, mode: shadow}}]")
	f.Add("applicationPolicies: [[], {}, {a: {}}, {name: 1}]")
	f.Fuzz(func(t *testing.T, text string) {
		var l diag.List
		file := policies.Parse("policy.yaml", []byte(text), &l)
		for _, d := range l {
			if d.File != "policy.yaml" || !inside(text, d.Line, d.Column) {
				t.Fatalf("not in the file: %v", d)
			}
		}
		if l.HasErrors() {
			return
		}
		for i, p := range file.Policies {
			if p.Count < 1 || p.WindowMillis < 1 || p.Burst < 0 || p.Burst > p.Count || p.Kind != policies.Subscription && !p.StopOnQuota || file.Find(p.Kind, p.Name) != i {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// inside reports whether a position is in a text, or just behind its end. YAML
// knows line breaks that JSON does not; where the text has such, only the text
// as a whole bounds the column.
func inside(text string, line, column int) bool {
	odd := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	lines := strings.Split(odd.Replace(text), "\n")
	switch {
	case line < 1 || column < 1 || line > len(lines)+1:
		return false
	case len(lines) != strings.Count(text, "\n")+1:
		return column <= len(text)+2
	case line > len(lines):
		return column == 1
	}
	return column <= utf8.RuneCountInString(lines[line-1])+2
}
