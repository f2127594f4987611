package strictjson_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/keys/strictjson"
)

func TestObjectRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "null", "[]", `"a"`, "1", "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`,
		`{"a":1}{"b":2}`, `{"a":1} x`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`,
		`{"a":-}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":tru}`, `{"a":True}`, `{"a":nul}`, `{"a":"\x"}`, `{"a":"\u12"}`,
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud800\u0041"}`, "{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}",
		"\ufeff{}", `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":[1,]}`, `{"a":[}`, `{"a":"`, `{"a":"\`, `{"a":1}/**/`,
		`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		`{"a":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41),
	} {
		if err := strictjson.Object([]byte(in), func(_, _ []byte) error { return nil }); err == nil {
			t.Errorf("%q: accepted", in)
		}
	}
	var many strings.Builder
	for i := range strictjson.MaxMembers + 1 {
		many.WriteString(`,"` + strings.Repeat("x", i+1) + `":0`)
	}
	if err := strictjson.Object([]byte("{"+many.String()[1:]+"}"), func(_, _ []byte) error { return nil }); err == nil {
		t.Error("too many members: accepted")
	}
}

func TestObjectReads(t *testing.T) {
	in := " { \"a\" : \"x\\\"\\u00e4\\ud83d\\ude00\\n\" , \"A\":[1, {\"b\":null,\"b\":2}], \"\\u0062\":-0.5e+10,\"c\":[\"p\",\"q\"]}\r\n"
	got := map[string]string{}
	if err := strictjson.Object([]byte(in), func(n, v []byte) error { got[string(n)] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": `"x\"\u00e4\ud83d\ude00\n"`, "A": `[1, {"b":null,"b":2}]`, "b": "-0.5e+10", "c": `["p","q"]`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if s, ok := strictjson.String([]byte(got["a"])); !ok || s != "x\"ä😀\n" {
		t.Errorf("String: %q, %v", s, ok)
	}
	if l, ok := strictjson.Strings([]byte(got["c"])); !ok || !reflect.DeepEqual(l, []string{"p", "q"}) {
		t.Errorf("Strings: %q, %v", l, ok)
	}
	if _, ok := strictjson.Strings([]byte(got["A"])); ok {
		t.Error("Strings took a list with numbers")
	}
}

// Whatever Object accepts, encoding/json accepts and reads the same.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":"\u00e4","b":[1,{"c":null}],"d":-1.5e3}`, `{"a":1,"a":2}`, `{"a":"\ud83d\ude00"}`, `{"":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := map[string]json.RawMessage{}
		if strictjson.Object(in, func(n, v []byte) error { got[string(n)] = v; return nil }) != nil {
			return
		}
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal(in, &want); err != nil {
			t.Fatalf("%q: accepted, encoding/json says %v", in, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %q, encoding/json %q", in, got, want)
		}
		for n, v := range got {
			s, ok := strictjson.String(v)
			var std any
			if err := json.Unmarshal(v, &std); err != nil && !strings.Contains(err.Error(), "float64") {
				t.Fatalf("%q: %s: %v", in, n, err)
			}
			if text, is := std.(string); is != ok || text != s {
				t.Fatalf("%q: %s is %q, encoding/json %q", in, n, s, std)
			}
		}
	})
}
