// Package schematest holds a reader of files and the JSON Schema of the same
// files against each other, in tests: editors go by the one, the build by the
// other.
package schematest

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A Schema is one that has been compiled.
type Schema struct{ s *jsonschema.Schema }

// Compile reads a schema.
func Compile(t testing.TB, data []byte) Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return Schema{s}
}

// Agree fails the test unless the schema refuses the file root if and only if its
// reader, who said l, does.
func (s Schema) Agree(t testing.TB, root *tree.Node, text string, l diag.List) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(root.AppendJSON(nil)))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	switch err := s.s.Validate(value); {
	case err != nil && !l.HasErrors():
		t.Errorf("the schema alone refuses:\n%s\n%v", text, err)
	case err == nil && l.HasErrors():
		t.Errorf("the schema lets pass:\n%s\n%v", text, l)
	}
}
