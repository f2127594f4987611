package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLint(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "thing", "v1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"good.proto": `syntax = "proto3";
package x.thing.v1;
message MyThing {
  TlsMode tls_mode = 1;
  oneof kind { string a = 2; }
}
enum TlsMode {
  TLS_MODE_UNSPECIFIED = 0;
  TLS_MODE_ON = 1;
}
`,
		"Bad.proto": `syntax = "proto2";
package x.thing;
message my_thing {
  optional string Name = 1;
  map<string, string> labels = 2;
  oneof Kind { string a = 3; }
  enum mode {
    option allow_alias = true;
    NONE = 0;
    MODE_ON = 1;
    MODE_YES = 1;
  }
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{
		"thing/v1/good.proto": nil,
		"thing/v1/Bad.proto": {
			"thing/v1/Bad.proto: is not proto3",
			"thing/v1/Bad.proto: package x.thing does not end in a version",
			"thing/v1/Bad.proto: package x.thing does not belong in folder thing/v1",
			"thing/v1/Bad.proto: file name is not lower_snake_case",
			"thing/v1/Bad.proto:3:1: my_thing: message is not PascalCase",
			"thing/v1/Bad.proto:4:3: Name: field is not lower_snake_case",
			"thing/v1/Bad.proto:5:3: labels: maps have no order; use a repeated message",
			"thing/v1/Bad.proto:6:3: Kind: oneof is not lower_snake_case",
			"thing/v1/Bad.proto:7:3: mode: enum is not PascalCase",
			"thing/v1/Bad.proto:9:5: NONE: enum value is not UPPER_SNAKE_CASE with the prefix MODE_",
			"thing/v1/Bad.proto:9:5: NONE: the value 0, and no other, is called MODE_UNSPECIFIED",
			"thing/v1/Bad.proto:11:5: MODE_YES: number 1 has a name already",
		},
	} {
		files, err := compile(root, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		if got := lint(files[0]); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%q\nwant\n%q", name, got, want)
		}
	}
}

func TestCheckFindsStaleCode(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "v1"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(fields string) {
		err := os.WriteFile(filepath.Join(root, "v1", "x.proto"), []byte(`syntax = "proto3";
package x.v1;
option go_package = "github.com/microgw/microgw/schema/xpb;xpb";
message X { `+fields+` }
`), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	write("string a = 1;")
	if err := run(root, true); err == nil {
		t.Error("no error where the code is missing")
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err != nil {
		t.Errorf("code that was just written: %v", err)
	}
	write("string b = 1;")
	if err := run(root, true); err == nil {
		t.Error("no error where the code is stale")
	}
}
