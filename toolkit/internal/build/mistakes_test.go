package build_test

import (
	"bytes"
	"context"
	"flag"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/projecttest"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Each file in testdata/mistakes is a project and, as "want", all that its
// build says.
func TestMistakes(t *testing.T) {
	projecttest.Stories(t, "testdata/mistakes/*.txtar", 90, *update, func(t *testing.T, dir string) string {
		res, err := build.Project(context.Background(), build.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := res.Diagnostics.WriteText(&out, "build"); err != nil {
			t.Fatal(err)
		}
		if res.Artifact == nil {
			out.WriteString("no artifact\n")
		}
		if len(res.Diagnostics) == 0 {
			t.Error("a mistake that is not one")
		}
		for _, d := range res.Diagnostics {
			if d.Line == 0 && strings.HasPrefix(d.File, "api_definitions/") {
				t.Errorf("no position: %v", d)
			}
		}
		return out.String()
	})
}
