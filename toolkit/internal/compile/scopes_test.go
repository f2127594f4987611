package compile_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/spec"
)

// The scope stages of an operation let in exactly the tokens that its security
// list lets in, whatever the list looks like.
func TestScopesMeanTheList(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var list spec.Security
		for range 1 + random.IntN(5) {
			var alt spec.Alternative
			for _, scheme := range []string{"one", "two"}[:1+random.IntN(2)] {
				r := spec.Requirement{Scheme: scheme}
				for range random.IntN(3) {
					r.Scopes = append(r.Scopes, all[random.IntN(len(all))])
				}
				alt.Requirements = append(alt.Requirements, r)
			}
			list.Alternatives = append(list.Alternatives, alt)
		}
		var l diag.List
		a := compile.Artifact(compile.Input{
			Project: "p", DefaultEndpoint: "http://127.0.0.1:9000",
			Sources: []compile.Source{{Name: "a.yaml", SHA256: make([]byte, 32)}},
			Documents: []*spec.Document{{
				File: "a.yaml", Dialect: spec.OpenAPI30, Title: spec.Text{Value: "A"}, Version: spec.Text{Value: "1"},
				Schemes:    []spec.SecurityScheme{{Name: "one", Kind: spec.OAuth2}, {Name: "two", Kind: spec.OAuth2}},
				Operations: []*spec.Operation{{Method: "GET", Path: spec.Text{Value: "/"}, Security: &list}},
			}},
		}, &l)
		if l.HasErrors() {
			t.Fatal(l)
		}
		for set := range 1 << len(all) {
			var token []string
			for i, s := range all {
				if set&(1<<i) != 0 {
					token = append(token, s)
				}
			}
			grants := func(scopes []string) bool {
				return len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(token, s) })
			}
			want := slices.ContainsFunc(list.Alternatives, func(alt spec.Alternative) bool {
				return !slices.ContainsFunc(alt.Requirements, func(r spec.Requirement) bool { return !grants(r.Scopes) })
			})
			got := true
			for _, stage := range a.Apis[0].Operations[0].Stages {
				if s := stage.GetScope(); s != nil {
					got = got && grants(s.Scopes)
				}
			}
			if got != want {
				t.Fatalf("%s: a token with %q is let in: %v, want %v; stages %v", fmt.Sprint(list.Alternatives), token, got, want, a.Apis[0].Operations[0].Stages)
			}
		}
	}
}
