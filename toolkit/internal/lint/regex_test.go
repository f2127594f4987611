package lint_test

import (
	"testing"

	"github.com/microgw/microgw/toolkit/internal/lint"
)

func TestPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		`^[a-z]+$`:                               "",
		`^(a+)+$`:                                "regex-catastrophic",
		`^(?:a+)+$`:                              "regex-catastrophic",
		`^(a*)*b`:                                "regex-catastrophic",
		`^(a|aa)*$`:                              "regex-catastrophic",
		`^(a|b)*$`:                               "",
		`^(a|ab)*$`:                              "",
		`^(a|b|ab)*c`:                            "regex-catastrophic",
		`^(\w+\s?)*$`:                            "regex-catastrophic",
		`^(\w+\s)*\w+$`:                          "",
		`^([a-z]+-)*[a-z]+$`:                     "",
		`^([a-zA-Z0-9]+[._-]?)+@`:                "regex-catastrophic",
		`^(a{1,3})+$`:                            "regex-catastrophic",
		`^(a{3})+$`:                              "",
		`^([a-z]([a-z-]{0,61}[a-z])?\.)+[a-z]+$`: "",
		`^([a-z]{1,3},)*$`:                       "",
		`^([a-z]{2,3})*$`:                        "regex-catastrophic",
		`(a+)+`:                                  "", // it has matched before it could go wrong
		`^(([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\.){3}([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$`: "",
		`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:                                         "",
		`^(?=.*\d).{8,}$`:    "regex-not-re2",
		`^(?!admin)`:         "regex-not-re2",
		`(?<=a)b`:            "regex-not-re2",
		`(?<!a)b`:            "regex-not-re2",
		`^(a)\1$`:            "regex-not-re2",
		`^(?<x>a)\k<x>$`:     "regex-not-re2",
		`^a++$`:              "regex-not-re2",
		`^a{2}+$`:            "regex-not-re2",
		`^(?>a)$`:            "regex-not-re2",
		`^.{0,4000}$`:        "regex-not-re2",
		`^[\u00c0-\u017f]+$`: "",
		`^\u{1f600}$`:        "",
		`^\/a\-b$`:           "",
		`[a+]+`:              "",
		`\++`:                "",
		`^(a$`:               "regex-invalid",
		`[z-a]`:              "regex-invalid",
		`a{3,2}`:             "regex-invalid",
		`*a`:                 "regex-invalid",
	} {
		got := ""
		if p := lint.CheckPattern(pattern); p != nil {
			got = p.Rule
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}
