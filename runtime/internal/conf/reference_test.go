package conf_test

import (
	"bytes"
	"flag"
	"os"
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
		t.Errorf("%s is not current; run go generate ./internal/conf in runtime/\ngot:\n%s", path, got)
	}
}
