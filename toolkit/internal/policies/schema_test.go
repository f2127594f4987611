package policies_test

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/microgw/microgw/schema"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/schematest"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

func compiled(t *testing.T) schematest.Schema {
	t.Helper()
	return schematest.Compile(t, schema.Policy)
}

// A schema cannot say these, or they are not JSON in the first place.
func beyondSchema(d diag.Diagnostic) bool {
	return strings.Contains(d.Message, " is here twice: first at ") || strings.Contains(d.Message, " is more than the count, which is ")
}

// agree holds the reader's verdict and the schema's against each other.
func agree(t *testing.T, s schematest.Schema, text string) {
	t.Helper()
	var l diag.List
	root := tree.Parse("policy.yaml", []byte(text), &l)
	if root == nil {
		return // no YAML: nothing to hold against a schema
	}
	policies.Parse("policy.yaml", []byte(text), &l)
	s.Agree(t, root, text, slices.DeleteFunc(l, beyondSchema))
}

// policy.yaml is checked by the build and, in editors, by a schema. They say the
// same of every policy file there is in the tests and in new projects.
func TestSchemaFiles(t *testing.T) {
	s := compiled(t)
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		isPolicy := func(name string) bool {
			return filepath.Base(name) == "policy.yaml" || filepath.Base(name) == "policies.yaml"
		}
		var files [][]byte
		switch ext := filepath.Ext(path); {
		case isPolicy(path):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files = append(files, data)
		case ext == ".txtar", ext == ".txt":
			archive, err := txtar.ParseFile(path)
			if err != nil {
				return err
			}
			for _, f := range archive.Files {
				if isPolicy(f.Name) {
					files = append(files, f.Data)
				}
			}
		}
		for _, data := range files {
			seen++
			agree(t, s, string(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 15 {
		t.Errorf("only %d policy files", seen)
	}
}

// The same of every entry that is a mistake in a file of many, and of what
// stands at the edges.
func TestSchemaTable(t *testing.T) {
	s := compiled(t)
	for _, text := range strings.Split(strings.TrimSpace(`
null
{}
[]
7
resourcePolicies:
applicationPolicies: {}
subscriptionPolicies: []
resourcePolicies: [a]
resourcePolicies: [[]]
resourcePolicies: [{}]
resourcePolicies: [null]
resourcePolicies: [{a: null}]
resourcePolicies: [{a: 1}]
resourcePolicies: [{a: {}}]
resourcePolicies: [{count: 1}]
resourcePolicies: [{count: {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{a: {count: 1, unitTime: 1, timeUnit: min}, b: {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{a: {count: 1, unitTime: 1, timeUnit: min}, b: 7}]
resourcePolicies: [{a: {name: a, count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{"": {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{" a": {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{"a ": {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{"a b": {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{"a\tb": {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{100: {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{name: {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{name: "", count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{name: null, count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{name: [], count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{name: 5, count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{name: true, count: 1, unitTime: 1, timeUnit: min}]
resourcePolicies: [{name: a}]
resourcePolicies: [{name: a, b: {count: 1, unitTime: 1, timeUnit: min}}]
resourcePolicies: [{name: a, count: 1, unitTime: 1, timeUnit: min, countBy: clientAddress}]
applicationPolicies: [{name: a, count: 1, unitTime: 1, timeUnit: min, countBy: clientAddress}]
subscriptionPolicies: [{a: {count: 1, unitTime: 1, timeUnit: min, countBy: clientAddress}}]
applicationPolicies: [{a: {count: 1, unitTime: 1, timeUnit: min, stopOnQuota: false}}]
applicationPolicies: [{a: {count: 1, unitTime: 1, timeUnit: min, counter: shared}}]
resourcePolicy: []
`), "\n") {
		agree(t, s, text)
	}
	for _, keys := range strings.Split(strings.TrimSpace(`
count: 0
count: -1
count: 1
count: 1.0
count: 1.5
count: 1e3
count: "1"
count: null
count: [1]
count: true
count: 1000000000000000
count: 1000000000000001
unitTime: 0
unitTime: 2147483647
unitTime: 2147483648
unitTime: 0x10
timeUnit: sec
timeUnit: SEC
timeUnit: Sec
timeUnit: second
timeUnit: seconds
timeUnit: s
timeUnit: " min"
timeUnit: minutes
timeUnit: Month
timeUnit: ""
timeUnit: null
timeUnit: 60
timeUnit: hour, unitTime: 876000
timeUnit: hour, unitTime: 876001
timeUnit: HOUR, unitTime: 876001
timeUnit: day, unitTime: 36500
timeUnit: day, unitTime: 36501
timeUnit: week, unitTime: 5214
timeUnit: week, unitTime: 5215
timeUnit: month, unitTime: 1216
timeUnit: month, unitTime: 1217
timeUnit: year, unitTime: 100
timeUnit: year, unitTime: 101
timeUnit: min, unitTime: 52560000
timeUnit: min, unitTime: 52560001
burst: 1
burst: 0
burst: 101
burst: 1.5
burst: null
countBy: clientAddress
countBy: clientaddress
countBy: null
countBy: []
countBy: {}
countBy: {header: X-Tenant}
countBy: {header: "X Tenant"}
countBy: {header: ""}
countBy: {header: 5}
countBy: {header: X-Forwarded-For}
countBy: {claim: sub}
countBy: {claim: ""}
countBy: {claim: null}
countBy: {claim: "a b"}
countBy: {claim: "a\tb"}
countBy: {claim: a, header: b}
countBy: {query: a}
counter: local
counter: shared
counter: Shared
counter: null
counter: shared, onCounterFailure: local
counter: shared, onCounterFailure: open
counter: shared, onCounterFailure: closed
counter: shared, onCounterFailure: close
counter: local, onCounterFailure: open
onCounterFailure: local
mode: hard
mode: shadow
mode: SHADOW
mode: true
stopOnQuota: true
stopOnQuota: "true"
stopOnQuota: yes
stopOnQuota: null
stopOnQuotaReach: false
stopOnQuotaReach: 0
stopOnQuota: true, stopOnQuotaReach: true
name: b
colour: red
Count: 5
`), "\n") {
		base := []string{"count: 100", "unitTime: 1", "timeUnit: min"}
		base = slices.DeleteFunc(base, func(b string) bool {
			key, _, _ := strings.Cut(b, ":")
			return strings.HasPrefix(keys, key+":") || strings.Contains(keys, ", "+key+":")
		})
		all := strings.Join(append(base, keys), ", ")
		agree(t, s, "resourcePolicies: [{a: {"+all+"}}]")
		agree(t, s, "subscriptionPolicies: [{a: {"+all+"}}]")
		if !strings.HasPrefix(keys, "name:") {
			agree(t, s, "resourcePolicies: [{name: a, "+all+"}]")
		}
	}
}

// And of files put together at random from the words of the format.
func TestSchemaRandom(t *testing.T) {
	s := compiled(t)
	r := rand.New(rand.NewPCG(1, 2))
	keys := []string{"count", "unitTime", "timeUnit", "burst", "countBy", "counter", "onCounterFailure", "mode", "stopOnQuota", "stopOnQuotaReach", "name", "x"}
	values := []any{1, 2, 0, 1.5, "min", "sec", "YEAR", "shared", "local", "open", "shadow", "hard", true, false, nil, "clientAddress",
		map[string]any{"header": "a"}, map[string]any{"claim": "b"}, []any{}, map[string]any{}, 2147483648, ""}
	good := map[string]any{"count": 7, "unitTime": 3, "timeUnit": "Hour"}
	for i := range 1000 {
		body := map[string]any{}
		for k, v := range good {
			if r.IntN(8) > 0 {
				body[k] = v
			}
		}
		for range r.IntN(4) {
			body[keys[r.IntN(len(keys))]] = values[r.IntN(len(values))]
		}
		item := map[string]any{[]string{"a", "name", "count", "b c"}[r.IntN(4)]: body}
		switch r.IntN(4) {
		case 0:
			item = body
		case 1:
			item["second"] = values[r.IntN(len(values))]
		}
		lists := []string{"resourcePolicies", "applicationPolicies", "subscriptionPolicies"}
		text, err := json.Marshal(map[string]any{lists[i%3]: []any{item}})
		if err != nil {
			t.Fatal(err)
		}
		agree(t, s, string(text))
		if t.Failed() {
			t.Fatalf("after %d files", i)
		}
	}
}

// The examples of the documentation are right.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	s := compiled(t)
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	for _, b := range blocks {
		example, _, _ := strings.Cut(b, "```")
		var l diag.List
		if policies.Parse("policy.yaml", []byte(example), &l); len(l) > 0 {
			t.Errorf("%s\n%v", example, l)
		}
		agree(t, s, example)
	}
	if len(blocks) == 0 {
		t.Error("no examples")
	}
}
