package interceptor_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/interceptor"
)

func TestParse(t *testing.T) {
	for name, want := range map[string]interceptor.Ref{
		"addTrace":                  {Kind: interceptor.Function, Name: "addTrace"},
		"java:com.example.AddTrace": {Kind: interceptor.Class, Name: "com.example.AddTrace"},
		"java: Outer$Inner":         {Kind: interceptor.Class, Name: "Outer$Inner"},
		"foo/bar:addTrace":          {Kind: interceptor.Hub, Organisation: "foo", Module: "bar", Name: "addTrace"},
		"foo/bar.baz/1.2.0:add":     {Kind: interceptor.Hub, Organisation: "foo", Module: "bar.baz", Version: "1.2.0", Name: "add"},
		"foo/bar:1.2.0:add":         {Kind: interceptor.Hub, Organisation: "foo", Module: "bar", Version: "1.2.0", Name: "add"},
	} {
		got, problem, _ := interceptor.Parse(name)
		if problem != "" || got != want {
			t.Errorf("%s: got %+v %s, want %+v", name, got, problem, want)
		}
	}
	for name, want := range map[string]string{
		"java:":          "not the name of a Java class",
		"java:com/a/B":   "not the name of a Java class",
		"Java:com.a.B":   "no interceptor's name",
		"a:b":            "no interceptor's name",
		"foo/bar":        "not a function of a published module",
		"foo/bar/baz:a":  "not a function of a published module",
		"foo/bar/1.0":    "not a function of a published module",
		"/bar:addTrace":  "not a function of a published module",
		"foo/bar:add-it": "not a function of a published module",
	} {
		_, problem, hint := interceptor.Parse(name)
		if !strings.Contains(problem, want) || hint == "" {
			t.Errorf("%s: got %q, hint %q, want %s", name, problem, hint, want)
		}
	}
}

func TestBallerina(t *testing.T) {
	var l interceptor.Library
	source := `import ballerina/http;
// public function off (http:Caller c, http:Request r) {
public function request (http:Caller outboundEp, http:Request req) {
    string url = "http://x"; // not a comment within quotes
    string s = "function quoted(http:Caller c)";
}
  public function response(http:Caller c,
    http:Response res) {}
function helper() returns string {}
`
	if err := l.Add("interceptors/a.bal", []byte(source)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.Names(interceptor.Function), " "); got != "helper request response" {
		t.Errorf("found %s", got)
	}
	for _, tt := range []struct {
		name, at          string
		request, response bool
	}{
		{"request", "interceptors/a.bal:3:17", true, false},
		{"response", "interceptors/a.bal:7:19", false, true},
		{"helper", "interceptors/a.bal:9:10", true, true},
	} {
		found := l.Functions(tt.name)
		if len(found) != 1 || found[0].At() != tt.at || found[0].For(interceptor.Request) != tt.request || found[0].For(interceptor.Response) != tt.response {
			t.Errorf("%s: %+v", tt.name, found)
		}
	}
}

// module is one with an export section: functions f and g, and a memory.
const module = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x07\x12\x03" + "\x01f\x00\x00" + "\x06memory\x02\x00" + "\x01g\x00\x01"

func TestWasm(t *testing.T) {
	var l interceptor.Library
	if err := l.Add("interceptors/m.wasm", []byte(module)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.Names(interceptor.Function), " "); got != "f g" {
		t.Errorf("found %s", got)
	}
	f := l.Functions("f")[0]
	if !f.Wasm || f.At() != "interceptors/m.wasm" || !f.For(interceptor.Request) || !f.For(interceptor.Response) || string(l.Code(f.File)) != module {
		t.Errorf("%+v", f)
	}
	for name, code := range map[string]string{
		"empty": "", "text": "(module)", "component": "\x00asm\x0d\x00\x01\x00",
		"half":           module[:len(module)-1],
		"half a name":    "\x00asm\x01\x00\x00\x00\x07\x04\x01\x05ab",
		"long number":    "\x00asm\x01\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff\x01",
		"name not UTF-8": "\x00asm\x01\x00\x00\x00\x07\x05\x01\x01\xff\x00\x00",
	} {
		if err := l.Add("x.wasm", []byte(code)); err == nil || !strings.Contains(err.Error(), "not a WebAssembly module") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJAR(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"META-INF/MANIFEST.MF", "com/example/AddTrace.class", "com/example/"} {
		if _, err := z.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var l interceptor.Library
	for _, name := range []string{"lib/a.jar", "lib/b.jar"} {
		if err := l.AddJAR(name, bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(l.JARs("com.example.AddTrace"), " "); got != "lib/a.jar lib/b.jar" {
		t.Errorf("in %s", got)
	}
	if err := l.AddJAR("lib/c.jar", strings.NewReader("PK"), 2); err == nil {
		t.Error("two bytes are a JAR")
	}
	if err := l.AddJAR("lib/d.jar", bytes.NewReader(b.Bytes()), 1<<40); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a JAR without end: %v", err)
	}
	if !l.Incomplete() {
		t.Error("nothing is missing")
	}
}

// A module is whoever's; a name that comes out of one stands in it.
func FuzzExports(f *testing.F) {
	f.Add([]byte(module))
	f.Fuzz(func(t *testing.T, code []byte) {
		var l interceptor.Library
		if err := l.Add("m.wasm", code); err != nil {
			return
		}
		for _, name := range l.Names(interceptor.Function) {
			if !bytes.Contains(code, []byte(name)) {
				t.Errorf("%q is not in the module", name)
			}
		}
	})
}

// What is found in source is at the place that is said of it.
func FuzzBallerina(f *testing.F) {
	f.Add("public function a (http:Caller c, http:Request r) {\n// function b()\nfunction\tc(){}")
	f.Fuzz(func(t *testing.T, source string) {
		var l interceptor.Library
		if err := l.Add("a.bal", []byte(source)); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(source, "\n")
		for _, name := range l.Names(interceptor.Function) {
			for _, found := range l.Functions(name) {
				line := []rune(lines[found.Line-1])
				if !strings.HasPrefix(string(line[found.Column-1:]), name) {
					t.Errorf("%q is not at %s", name, found.At())
				}
			}
		}
	})
}
