package deptest_test

import (
	"testing"

	"github.com/microgw/microgw/pkg/deptest"
)

const root = "github.com/microgw/microgw/"

// The lines of this module and, since schema must not depend on pkg even in
// tests, of schema.
func TestBoundaries(t *testing.T) {
	deptest.Forbid(t,
		deptest.Rule{
			In:     root + "schema/...",
			Import: []string{root + "pkg/...", root + "toolkit/...", root + "runtime/...", root + "examples/..."},
			Tests:  true,
			Reason: "schema is what everything else stands on",
		},
		deptest.Rule{
			In:     root + "pkg/...",
			Import: []string{root + "toolkit/...", root + "runtime/...", root + "examples/..."},
			Tests:  true,
			Reason: "pkg is below both halves",
		},
		deptest.Rule{
			In:     root + "pkg/...",
			Import: []string{root + "schema/artifactpb", "google.golang.org/protobuf/..."},
			Except: []string{root + "pkg/artifact"},
			Reason: "the generated message stops in pkg/artifact",
		},
	)
}
