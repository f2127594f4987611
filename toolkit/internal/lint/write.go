package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

// maxLike is how many findings of one rule in one file are printed for people,
// if not all are asked for, and maxBuild how many of what a build says.
const (
	maxLike  = 5
	maxBuild = 20
)

// String is a finding on one line, without its hint.
func (f Finding) String() string {
	d := diag.Diagnostic{File: f.File, Line: f.Line, Column: f.Column, Place: f.Place, Message: f.Message}
	text := d.String()
	if f.Severity != Error {
		pos := d.At().String()
		if pos != "" {
			text = pos + ": " + f.Severity.String() + ": " + strings.TrimPrefix(text, pos+": ")
		} else {
			text = f.Severity.String() + ": " + text
		}
	}
	if f.Rule != BuildRule {
		text += " [" + f.Rule + "]"
	}
	return text
}

// A Line is a part of what is printed for people.
type Line struct {
	Severity Severity
	Text     string
	Hint     string
}

// Lines are the findings for people: of many that are alike in a file, the first
// few, and how many more there are.
func Lines(list []Finding, all bool) []Line {
	type like struct{ file, rule string }
	total, shown := make(map[like]int), make(map[like]int)
	for _, f := range list {
		if f.Severity != Error {
			total[like{f.File, f.Rule}]++
		}
	}
	var lines []Line
	for _, f := range list {
		k := like{f.File, f.Rule}
		if f.Severity != Error {
			shown[k]++
		}
		most := maxLike
		if f.Rule == BuildRule {
			most = maxBuild
		}
		// "And one more" takes the line that the one would.
		if !all && f.Severity != Error && total[k] > most+1 && shown[k] > most {
			if shown[k] == most+1 {
				what := fmt.Sprintf("%d more like that [%s]", total[k]-most, f.Rule)
				if f.Rule == BuildRule {
					what = fmt.Sprintf("the build says %d more things", total[k]-most)
				}
				lines = append(lines, Line{f.Severity, fmt.Sprintf("%s: %s: %s; --all lists them", f.File, f.Severity, what), ""})
			}
			continue
		}
		lines = append(lines, Line{f.Severity, f.String(), f.Hint})
	}
	return lines
}

// GitHub prints the findings as workflow commands of GitHub Actions. Files are
// relative to base, which is the project's folder as the repository sees it.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func GitHub(w io.Writer, list []Finding, base string) error {
	var b strings.Builder
	for _, f := range list {
		command := map[Severity]string{Error: "error", Warning: "warning", Advice: "notice"}[f.Severity]
		b.WriteString("::" + command + " ")
		if f.File != "" {
			b.WriteString("file=" + property(path.Join(base, f.File)) + ",")
			if f.Line > 0 {
				fmt.Fprintf(&b, "line=%d,", f.Line)
			}
			if f.Column > 0 {
				fmt.Fprintf(&b, "col=%d,", f.Column)
			}
		}
		text := f.Message
		if f.Place != "" {
			text = f.Place + ": " + text
		}
		if f.Hint != "" {
			text += "\nhint: " + f.Hint
		}
		b.WriteString("title=" + property("micro-gw lint: "+f.Rule) + "::" + data(text) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// data and property escape as GitHub's own toolkit does (@actions/core,
// command.ts): a line break would end the command, and what follows could be
// another one.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// The parts of SARIF 2.1.0 that we write.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifMessage `json:"shortDescription"`
		Default sarifConf    `json:"defaultConfiguration"`
	}
	sarifConf struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
)

func sarifLevel(s Severity) string {
	return map[Severity]string{Error: "error", Warning: "warning", Advice: "note"}[s]
}

// SARIF prints the findings in the Static Analysis Results Interchange Format,
// version 2.1.0. Files are relative to base, as for GitHub.
func SARIF(w io.Writer, list []Finding, base string) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "micro-gw lint", Version: buildinfo.Version()}},
		// Our columns count characters (section 3.14.17).
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	index := make(map[string]int)
	for i, r := range Rules {
		index[r.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{r.ID, sarifMessage{r.Short}, sarifConf{sarifLevel(r.Severity)}})
	}
	for _, f := range list {
		text := f.Message
		if f.Hint != "" {
			text += " (hint: " + f.Hint + ")"
		}
		r := sarifResult{RuleID: f.Rule, RuleIndex: index[f.Rule], Level: sarifLevel(f.Severity), Message: sarifMessage{text}}
		if f.File != "" {
			// A URI, not a path (section 3.4.3): blanks and the like are escaped.
			uri := (&url.URL{Path: path.Join(base, f.File)}).EscapedPath()
			at := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{uri, "%SRCROOT%"}}}
			if f.Line > 0 {
				at.Physical.Region = &sarifRegion{f.Line, f.Column}
			}
			if f.Place != "" {
				at.Logical = []sarifLogical{{f.Place}}
			}
			r.Locations = []sarifLocation{at}
		}
		run.Results = append(run.Results, r)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
