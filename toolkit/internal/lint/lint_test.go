package lint_test

import (
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/lint"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// project builds a project of one definition and lints it.
func project(t *testing.T, definition, policy string, levels map[string]lint.Severity) []lint.Finding {
	t.Helper()
	dir := t.TempDir()
	projecttest.Write(t, dir, "api_definitions/a.yaml", definition)
	if policy != "" {
		projecttest.Write(t, dir, "policy.yaml", policy)
	}
	res, err := build.Project(context.Background(), build.Options{Dir: dir, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	return lint.Project(res, levels)
}

// Each rule has a file in testdata/rules: a definition that breaks it, with all
// that the rule says as "want", and one that does not.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(files) != len(lint.Rules) {
		t.Errorf("%d files for %d rules, %v", len(files), len(lint.Rules), err)
	}
	for _, rule := range lint.Rules {
		t.Run(rule.ID, func(t *testing.T) {
			t.Parallel()
			name := "testdata/rules/" + rule.ID + ".txtar"
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := make(map[string]string)
			for _, f := range archive.Files {
				text[f.Name] = string(f.Data)
			}
			var got strings.Builder
			for _, f := range project(t, text["bad.yaml"], text["policy.yaml"], nil) {
				if f.Rule != rule.ID {
					continue
				}
				got.WriteString(f.String() + "\n")
				if f.Hint != "" {
					got.WriteString("\thint: " + f.Hint + "\n")
				}
				if f.Rule != lint.BuildRule && f.Severity != rule.Severity {
					t.Errorf("severity %s, not the rule's %s", f.Severity, rule.Severity)
				}
				if f.Line == 0 || f.Column == 0 {
					t.Errorf("no position: %v", f)
				}
			}
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got.String())})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got.String() != text["want"] {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), text["want"])
			}
			if got.Len() == 0 {
				t.Error("the bad definition breaks no rule")
			}
			for _, f := range project(t, text["good.yaml"], text["policy.yaml"], nil) {
				if f.Rule == rule.ID {
					t.Errorf("the good definition: %v", f)
				}
				if f.Severity == lint.Error {
					t.Errorf("the good definition does not build: %v", f)
				}
			}
		})
	}
}

const head = "openapi: 3.0.3\ninfo: {title: A, version: \"1\"}\nx-wso2-basePath: /a\nservers: [{url: \"https://a.internal\"}]\n"

func rules(list []lint.Finding) string {
	var ids []string
	for _, f := range list {
		ids = append(ids, f.Rule)
	}
	return strings.Join(ids, " ")
}

// What an object ignores is ignored in it and below, and nowhere else.
func TestIgnore(t *testing.T) {
	const paths = `paths:
  /a:
    %PATH%
    get:
      %OP%
      parameters: [{name: q, in: query, %PARAM% schema: {type: string}}]
      responses: {"200": {$ref: "#/components/responses/R"}, "404": {$ref: "#/components/responses/R"}}
components:
  responses: {R: {description: r, %RESPONSE% }}
`
	for at, want := range map[string]string{
		"":         "no-security no-operation-id unbounded-string error-without-schema",
		"OP":       "no-security error-without-schema",
		"PATH":     "no-security error-without-schema",
		"PARAM":    "no-security no-operation-id error-without-schema",
		"RESPONSE": "no-security no-operation-id unbounded-string",
		"ROOT":     "no-security",
	} {
		text := head + "%ROOT%\n" + paths
		const ignore = "x-micro-gw-lint-ignore: [no-operation-id, unbounded-string, error-without-schema]"
		for _, place := range []string{"ROOT", "PATH", "OP", "PARAM", "RESPONSE"} {
			value := ""
			if place == at {
				value = ignore
				if place == "PARAM" {
					value += ","
				}
			}
			text = strings.ReplaceAll(text, "%"+place+"%", value)
		}
		if got := rules(project(t, text, "", nil)); got != want {
			t.Errorf("%s: got %q, want %q", at, got, want)
		}
	}
}

// A rule has the severity that the author gives it.
func TestLevels(t *testing.T) {
	const text = head + "paths: {/a: {get: {security: [], responses: {default: {description: d}}}}}\n"
	list := project(t, text, "", map[string]lint.Severity{"no-operation-id": lint.Error, "no-security": lint.Off})
	var got []string
	for _, f := range list {
		got = append(got, f.Severity.String()+" "+f.Rule)
	}
	if s := strings.Join(got, ", "); s != "error no-operation-id, warning build" {
		t.Errorf("got %s", s)
	}
}

// The rules read Swagger 2.0 in its own words, and what is in other files at its
// place there.
func TestDialects(t *testing.T) {
	dir := t.TempDir()
	projecttest.Write(t, dir, "api_definitions/old.yaml", `swagger: "2.0"
info: {title: Old, version: "1"}
host: old.internal
basePath: /old
paths:
  /a:
    get:
      operationId: a
      security: [{key: []}]
      parameters:
        - {name: q, in: query, type: array, items: {type: string, pattern: "(?=a)"}}
        - {name: b, in: body, schema: {type: object}}
      responses: {"200": {description: ok, headers: {X-N: {type: integer, enum: [one]}}}, "400": {description: no}}
definitions: {Idle: {type: array}}
securityDefinitions: {key: {type: apiKey, in: query, name: k}}
`)
	projecttest.Write(t, dir, "api_definitions/new.yaml", `openapi: 3.0.3
info: {title: New, version: "1"}
servers: [{url: "https://new.internal/new"}]
paths:
  /b: {$ref: "parts/b.yaml"}
`)
	projecttest.Write(t, dir, "api_definitions/parts/b.yaml", `post:
  operationId: b
  security: []
  requestBody: {content: {application/json: {schema: {$ref: "types.yaml#/Name"}}}}
  responses: {default: {description: d}}
`)
	projecttest.Write(t, dir, "api_definitions/parts/types.yaml", "Name: {type: string, minLength: 2, maxLength: 1}\nFree: {type: string}\n")
	res, err := build.Project(context.Background(), build.Options{Dir: dir, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range lint.Project(res, nil) {
		if f.Rule != lint.BuildRule {
			got.WriteString(f.String() + "\n")
		}
	}
	want, err := os.ReadFile("testdata/dialects.txt")
	if *update {
		err = os.WriteFile("testdata/dialects.txt", []byte(got.String()), 0o644)
	} else if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if err != nil {
		t.Error(err)
	}
}

func many(n int, severity lint.Severity) []lint.Finding {
	var list []lint.Finding
	for i := range n {
		list = append(list, lint.Finding{Rule: "no-operation-id", Severity: severity, File: "a.yaml", Line: i + 1, Column: 1, Message: "m"})
	}
	return list
}

// People see the first few of what is alike; errors are never left out.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		list []lint.Finding
		all  bool
		want int
		last string
	}{
		{many(6, lint.Advice), false, 6, "a.yaml:6:1: advice: m [no-operation-id]"},
		{many(100, lint.Advice), false, 6, "a.yaml: advice: 95 more like that [no-operation-id]; --all lists them"},
		{many(100, lint.Advice), true, 100, "a.yaml:100:1: advice: m [no-operation-id]"},
		{many(100, lint.Error), false, 100, "a.yaml:100:1: m [no-operation-id]"},
	} {
		lines := lint.Lines(c.list, c.all)
		if len(lines) != c.want || lines[len(lines)-1].Text != c.last {
			t.Errorf("%d lines, the last %q; want %d, %q", len(lines), lines[len(lines)-1].Text, c.want, c.last)
		}
	}
}

// Nothing in a finding can end a workflow command and begin another.
func TestGitHub(t *testing.T) {
	list := []lint.Finding{
		{Rule: "build", Severity: lint.Error, File: "api_definitions/a,b:c%.yaml", Line: 3, Column: 7, Place: "paths./a", Message: "100%\n::set-env name=x::y\r", Hint: "mend it"},
		{Rule: "no-tier", Severity: lint.Advice, Message: "m"},
		{Rule: "no-tier", Severity: lint.Warning, File: "policy.yaml", Message: "m"},
	}
	var got strings.Builder
	if err := lint.GitHub(&got, list, "apis/shop"); err != nil {
		t.Fatal(err)
	}
	const want = "::error file=apis/shop/api_definitions/a%2Cb%3Ac%25.yaml,line=3,col=7,title=micro-gw lint%3A build::paths./a: 100%25%0A::set-env name=x::y%0D%0Ahint: mend it\n" +
		"::notice title=micro-gw lint%3A no-tier::m\n" +
		"::warning file=apis/shop/policy.yaml,title=micro-gw lint%3A no-tier::m\n"
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

// sarif is the part of the SARIF 2.1.0 schema that we use, with what it demands.
type sarif struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name    string `json:"name"`
				Version string `json:"version"`
				Rules   []struct {
					ID    string `json:"id"`
					Short struct {
						Text string `json:"text"`
					} `json:"shortDescription"`
					Default struct {
						Level string `json:"level"`
					} `json:"defaultConfiguration"`
				} `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		ColumnKind string `json:"columnKind"`
		Results    []struct {
			RuleID    string `json:"ruleId"`
			RuleIndex int    `json:"ruleIndex"`
			Level     string `json:"level"`
			Message   struct {
				Text string `json:"text"`
			} `json:"message"`
			Locations []struct {
				Physical struct {
					Artifact struct {
						URI  string `json:"uri"`
						Base string `json:"uriBaseId"`
					} `json:"artifactLocation"`
					Region *struct {
						Line   int  `json:"startLine"`
						Column *int `json:"startColumn"`
					} `json:"region"`
				} `json:"physicalLocation"`
				Logical []struct {
					Name string `json:"fullyQualifiedName"`
				} `json:"logicalLocations"`
			} `json:"locations"`
		} `json:"results"`
	} `json:"runs"`
}

func TestSARIF(t *testing.T) {
	list := append(many(2, lint.Advice),
		lint.Finding{Rule: "build", Severity: lint.Error, File: "api_definitions/ä b.yaml", Line: 3, Column: 7, Place: "paths./a", Message: "<m>", Hint: "h"},
		lint.Finding{Rule: "regex-invalid", Severity: lint.Warning, File: "policy.yaml", Message: "m"},
		lint.Finding{Rule: "build", Severity: lint.Error, Message: "nowhere"},
	)
	var out strings.Builder
	if err := lint.SARIF(&out, list, "apis/shop"); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(out.String()))
	dec.DisallowUnknownFields()
	var log sarif
	if err := dec.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || !strings.Contains(log.Schema, "sarif-2.1.0") {
		t.Fatalf("version %q, %d runs, schema %q", log.Version, len(log.Runs), log.Schema)
	}
	run := log.Runs[0]
	levels := []string{"none", "note", "warning", "error"}
	seen := make(map[string]bool)
	for _, r := range run.Tool.Driver.Rules {
		if r.ID == "" || seen[r.ID] || r.Short.Text == "" || !slices.Contains(levels, r.Default.Level) {
			t.Errorf("rule %+v", r)
		}
		seen[r.ID] = true
	}
	if run.Tool.Driver.Name == "" || len(seen) != len(lint.Rules) || run.ColumnKind != "unicodeCodePoints" || len(run.Results) != len(list) {
		t.Errorf("driver %q, %d rules, %q, %d results", run.Tool.Driver.Name, len(seen), run.ColumnKind, len(run.Results))
	}
	for i, r := range run.Results {
		if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("result %d: rule %q at %d", i, r.RuleID, r.RuleIndex)
		}
		if !slices.Contains(levels, r.Level) || r.Message.Text == "" {
			t.Errorf("result %d: level %q, message %q", i, r.Level, r.Message.Text)
		}
		for _, at := range r.Locations {
			u, err := url.Parse(at.Physical.Artifact.URI)
			if err != nil || u.IsAbs() || strings.HasPrefix(u.Path, "/") || strings.ContainsAny(at.Physical.Artifact.URI, " ä") {
				t.Errorf("result %d: URI %q, %v", i, at.Physical.Artifact.URI, err)
			}
			if reg := at.Physical.Region; reg != nil && (reg.Line < 1 || reg.Column != nil && *reg.Column < 1) {
				t.Errorf("result %d: region %+v", i, reg)
			}
		}
	}
	if uri := run.Results[2].Locations[0].Physical.Artifact.URI; uri != "apis/shop/api_definitions/%C3%A4%20b.yaml" {
		t.Errorf("URI %q", uri)
	}
	if run.Results[2].Message.Text != "<m> (hint: h)" || run.Results[0].Level != "note" || run.Results[4].Locations != nil {
		t.Errorf("results %+v", run.Results)
	}
}

// Every rule has its entry in the documentation, with its severity, and there is
// none that is no rule.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^### `([a-z0-9-]+)`: ([a-z]+)$").FindAllStringSubmatch(string(doc), -1) {
		described[m[1]] = m[2]
	}
	for _, r := range lint.Rules {
		if r.ID != lint.BuildRule && described[r.ID] != r.Severity.String() {
			t.Errorf("docs/lint.md: %s is %q, want %q", r.ID, described[r.ID], r.Severity)
		}
		delete(described, r.ID)
	}
	for id := range described {
		t.Errorf("docs/lint.md: %s is no rule", id)
	}
}

// Whatever a definition is, also one that does not build, lint comes to an end,
// and every finding has a rule and a position.
func FuzzDefinition(f *testing.F) {
	files, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var res build.Result
		read := func(name string) ([]byte, error) {
			if name == "a.yaml" {
				return data, nil
			}
			return nil, fs.ErrNotExist
		}
		res.Documents = spec.Loader{Read: read, Keep: true, Jobs: 1}.Load(t.Context(), []string{"a.yaml"}, &res.Diagnostics)
		for _, finding := range lint.Project(res, nil) {
			if _, ok := lint.Find(finding.Rule); !ok || finding.Rule != lint.BuildRule && (finding.Line < 1 || finding.Column < 1) {
				t.Errorf("%+v", finding)
			}
		}
	})
}
