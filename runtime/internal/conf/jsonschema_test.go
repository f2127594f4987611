package conf_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/microgw/microgw/runtime/internal/conf"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var b bytes.Buffer
	if err := conf.JSONSchema(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("conf.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("conf.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verdict is what an editor would say of a conf file. What is not TOML, or not
// what JSON can hold, it has another word for.
func verdict(t *testing.T, s *jsonschema.Schema, file string) (error, bool) {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(file), &tree); err != nil {
		return nil, false
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value), true
}

// Every mistake that stands in a file is one for editors, too, but for those that
// a schema cannot say.
func TestJSONSchemaMistakes(t *testing.T) {
	s := compiled(t)
	beyond := []string{
		"too much time", // bounds of what is no number
		"date",          // which JSON has for a string
		"host bits", "weak ciphers",
		// What is in the folder or the environment.
		"key that verifies", "no conf's file", "folder", "no variable", "no file", "secret in the wrong place", "WSO2's encryption",
		// What is together.
		"certificate without its key", "key without its certificate", "password without store", "two identities", "one port twice",
		"admin's port", "no port", "more idle than allowed", "set twice by two names", "issuer without a key", "issuer without a name",
		"alias without a store", "two keys", "algorithm beside a key set", "one issuer twice", "the development issuer", "development by file",
		"claim without a name here", "backend JWT without a key", "backend JWT in the credentials' field", "origins without a cookie", "origin with the usual port", "discovery beside a key set", "discovery beside an alias", "discovery of no URL", "algorithm beside discovery", "claims to one name", "FAPI without certificates", "FAPI with RS256",
		"user without a password", "the empty password", "client certificates", "certificates without TLS", "certificates where tokens are", "client certificates by list",
		"revocation without a broker", "revocation from an extension", "revocation from another extension", "revocation from nowhere", "revocation from two places",
		"two user stores", "passwords in the open", "binds in the open", "a directory without a place", "a template and a search", "half of a bind", "twice TLS", "a user store of nobody",
		"keys of nobody", "keys of nobody, the second", "keys of one issuer twice", "keys without a key", "keys of development", "keys by two keys", "keys by an alias without a store", "tokens of the issuer of development keys",
	}
	seen := 0
	for _, tt := range mistakes() {
		if tt.file == "" {
			continue
		}
		err, ok := verdict(t, s, tt.file)
		if !ok {
			continue
		}
		seen++
		if known := slices.Contains(beyond, tt.name); (err == nil) != known {
			t.Errorf("%s: the schema says %v", tt.name, err)
		}
	}
	if seen < 60 {
		t.Errorf("only %d files", seen)
	}
}

// What WSO2 ships, and what our own projects begin with, is right for editors
// where it is for the runtime.
func TestJSONSchemaFiles(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		err, ok := verdict(t, s, string(data))
		if loads := conf.LoadAlone(conf.Options{Path: file}); !ok || (err == nil) != (loads == nil) {
			t.Errorf("%s: the runtime says %v, the schema %v", file, loads, err)
		}
	}
}

// For each key and each of many values the schema and the runtime come to the
// same.
func TestJSONSchemaAgrees(t *testing.T) {
	s := compiled(t)
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "store.p12", "")
	values := []string{
		`true`, `false`, `"true"`, `-2`, `-1`, `0`, `1`, `16`, `127`, `128`, `1000`, `10000`, `65535`, `65536`, `600000`, `600001`, `86400000`, `86400001`,
		`1048576`, `1048577`, `2147483647`, `2147483648`, `0x10`, `1_000`, `1.5`, `""`, `" "`, `"x"`, `"a b"`, `"a:b"`, `"a,b"`, `"1"`,
		`"store.p12"`, `"-"`, `"0s"`, `"0"`, `"1ms"`, `"999us"`, `"1m30s"`, `"-1s"`, `"1"`, `"10 s"`, `".5s"`, `"1.h"`, `"s"`,
		`"AUTO"`, `"auto"`, `"ALWAYS"`, `"TEXT"`, `"json"`, `"combined"`, `"DEBUG"`, `"off"`, `"TLS"`, `"tls"`, `"RS256"`, `"eddsa"`, `"HS256"`,
		`"localhost"`, `"127.0.0.1"`, `"::1"`, `"[::1]"`, `"::"`, `"fe80::1%eth0"`, `"0.0.0.0:9000"`, `"[::1]:9000"`, `":9000"`, `"x:0"`, `"x:65536"`, `"x:08"`, `"x:"`,
		`"Authorization"`, `"X Y"`, `"host"`, `"Content-Length"`, `"hosts"`, `"micro gw/1"`, `"a\nb"`, `" a"`, `"ä"`,
		`"https://a/k"`, `"HTTP://a"`, `"http://a:80/?q"`, `"http://a:0"`, `"http://a:99999"`, `"http://u@a/"`, `"http://a/#f"`, `"http://"`, `"ftp://a"`, `"//a"`, `"http://[::1]:8080/x"`,
		`[]`, `["a"]`, `["a", "b"]`, `[1]`, `["a", 1]`, `[[]]`, `[""]`, `["10.0.0.0/8"]`, `["10.0.0.1", "::1"]`, `"10.0.0.0/8, 10.0.0.1"`, `"10.0.0.0/8,,"`, `["lb"]`,
		`["TLSv1.2"]`, `["TLSv1.2", "TLSv1"]`, `["TLSv1"]`, `"TLSv1.3,TLSv1.2"`, `"tlsv1.2"`, `"TLSv1.1"`, `"TLSv1.2, x"`, `","`,
		`["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]`, `"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_UNKNOWN"`,
		`"${env:SOMETHING}"`, `"${mgw-runtime.home}/x"`, `"${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12"`, `"${ballerina.home}/bre/security/ballerinaTruststore.p12"`,
	}
	few := []string{`true`, `false`, `"true"`, `"false"`, `1`, `""`, `"x"`, `"optional"`, `"require"`, `[]`, `["a"]`, values[len(values)-2], values[len(values)-1]}
	types := conf.Types()
	names := append(slices.Sorted(maps.Keys(types)), conf.UnusedNames()...)
	checked, looked := 0, map[string]bool{}
	for turn, name := range names {
		if name == "development.enabled" {
			continue // which a file can only say false of, all together
		}
		of := values
		if types[name] == "" {
			of = few
		}
		// Of what differs in its bounds alone, the first one whole and a part of
		// each other.
		typ := types[name]
		whole := !slices.Contains([]string{"boolean", "secret", "file", "duration", "integer", "port"}, typ) || !looked[typ]
		looked[typ] = true
		for i, v := range of {
			if !whole && (i+turn)%4 > 0 {
				continue
			}
			switch typ := types[name]; {
			case typ == "file" && strings.HasPrefix(v, `"`) && v != `"store.p12"` && !strings.Contains(v, "${"):
				continue // whether it is there is not for a schema
			case v == `"${env:SOMETHING}"`:
				continue // nor is what it stands for
			}
			file := strings.NewReplacer(".#", "", "*", "some").Replace(name) + " = " + v + "\n"
			write(t, "micro-gw.conf", file)
			loads := conf.LoadAlone(conf.Options{Path: "micro-gw.conf"})
			err, ok := verdict(t, s, file)
			if !ok {
				t.Errorf("%s: not TOML", file)
				continue
			}
			checked++
			switch {
			case err != nil && loads == nil:
				t.Errorf("the schema alone refuses %s\t%v", file, err)
			case err == nil && loads != nil && types[name] == "duration" && strings.Contains(loads.Error(), " is too "):
				// No schema knows how long something is.
			case err == nil && loads != nil && types[name] == "list of files" && strings.Contains(loads.Error(), "no file"):
				// Whether it is there is not for a schema.
			case err == nil && loads != nil:
				t.Errorf("the schema lets pass %s\t%v", file, loads)
			}
		}
	}
	t.Logf("%d files", checked)
}

// References stand for values of any type, and only the runtime knows which.
func TestJSONSchemaReferences(t *testing.T) {
	s := compiled(t)
	for _, name := range conf.Names() {
		for _, v := range []string{"${env:X}", "${file:a b}"} {
			if err, ok := verdict(t, s, name+" = \""+v+"\"\n"); !ok || err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
