package conf_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
)

var update = flag.Bool("update", false, "write docs/conf.md and the golden files")

func TestReference(t *testing.T) {
	var b bytes.Buffer
	if err := conf.Reference(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../../../docs/conf.md", b.Bytes())
}

func TestJSONSchema(t *testing.T) {
	var b bytes.Buffer
	if err := conf.JSONSchema(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../../../schema/micro-gw.conf.schema.json", b.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		i := 0
		for i < len(g)-1 && i < len(w)-1 && g[i] == w[i] {
			i++
		}
		t.Errorf("%s:%d is not current; run go generate ./internal/conf in runtime/\ngot  %s\nwant %s", path, i+1, g[i], w[i])
	}
}
