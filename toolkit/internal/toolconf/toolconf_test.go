package toolconf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/toolconf"
)

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "toolkit-config.toml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What is wrong is said with its place.
func TestLoad(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"[token]\nbaseURL = \"https://a\"\n":   "",
		"[codeGen]\napiFaultResponses = true":  "",
		"[token]\nbaseURL = 5":                 "2:11: token.baseURL: want a string, not an integer",
		"[client]\nhttpRequestTimeout = \"5\"": "2:22: client.httpRequestTimeout: want a whole number, not a string",
		"[corsConfiguration]\naccessControlAllowOrigins = \"*\"": "2:29: corsConfiguration.accessControlAllowOrigins: want a list, not a string",
		"[corsConfiguration]\ncorsConfigurationEnabled = 1":      "2:28: corsConfiguration.corsConfigurationEnabled: want true or false, not an integer",
		"[client]\nhttpRequestTimeout = 0":                       " client.httpRequestTimeout: 0 is no time-out: want milliseconds",
		"[token]\nbaseUrll = \"x\"":                              "2:1: unknown key \"token.baseUrll\" (did you mean \"token.baseURL\"?)",
		"baseURL = \"x\"":                                        "1:1: unknown key \"baseURL\" (did you mean \"token.baseURL\"?)",
		"[token]\nusername = \"a\"\nusername = \"b\"":            "3:1: ",
		"[token": "1:6: ",
	} {
		var l diag.List
		name := file(t, in)
		_, err := toolconf.Load(name, &l)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		got := ""
		for _, d := range l {
			got += strings.TrimPrefix(d.String(), name+":")
			if d.Hint != "" {
				got += " (" + d.Hint + ")"
			}
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
	if _, err := toolconf.Load(t.TempDir(), new(diag.List)); err == nil {
		t.Error("a folder is read")
	}
}

// The defaults are those of WSO2 3.0.1.
func TestDefaults(t *testing.T) {
	var l diag.List
	c, err := toolconf.Load(file(t, "[corsConfiguration]\naccessControlAllowMethods = [\"GET\"]\n"), &l)
	if err != nil || len(l) > 0 {
		t.Fatal(err, l)
	}
	if c.Client.HTTPRequestTimeout != 1_000_000 || !c.CORS.Enabled || c.CORS.Credentials ||
		strings.Join(c.CORS.Origins, " ") != "*" || strings.Join(c.CORS.Methods, " ") != "GET" ||
		strings.Join(c.CORS.Headers, " ") != "authorization Access-Control-Allow-Origin Content-Type SOAPAction" {
		t.Errorf("%+v", c)
	}
}

// Whatever is reset still reads, without the three values and with all others.
func FuzzReset(f *testing.F) {
	for _, s := range []string{
		"[token]\nusername = \"a\"\nclientId='b'\nclientSecret = \"\"\"\nx\"\"\"\nbaseURL = \"u\"\n",
		"token.username = 'a'\n", "token = {clientId = \"x\", baseURL = \"u\"}", "\ufeff[token]\r\nusername=\"\"\r\n", "[client]\n", "# only\n",
		"[token]\n\"username\" = '''a'''", "[ token ]\nuserName = \"\\u00e9\" # é\n",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, in string) {
		name := filepath.Join(dir, "x.toml")
		if err := os.WriteFile(name, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		var l diag.List
		before, err := toolconf.Load(name, &l)
		if err != nil || l.HasErrors() {
			return
		}
		out, err := toolconf.Reset(name, &l)
		if err != nil || l.HasErrors() {
			t.Fatalf("%v, %v", err, l)
		}
		if err := os.WriteFile(name, out, 0o600); err != nil {
			t.Fatal(err)
		}
		after, err := toolconf.Load(name, &l)
		if err != nil || l.HasErrors() {
			t.Fatalf("%q became %q: %v, %v", in, out, err, l)
		}
		if after.Token.Username+after.Token.ClientID+after.Token.ClientSecret != "" {
			t.Errorf("%q became %q", in, out)
		}
		before.Token.Username, before.Token.ClientID, before.Token.ClientSecret = "", "", ""
		if before.Token != after.Token || before.Client != after.Client {
			t.Errorf("%q became %q: more is gone", in, out)
		}
	})
}
