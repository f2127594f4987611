package conf_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/microgw/microgw/runtime/internal/conf"
)

// Whatever is in a file, the environment and behind -e: either each line of the
// error says where, or what is in force, printed, is a file that says the same.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"wso2-3.0.1", "wso2-3.1", "wso2-3.2"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".conf"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "listenerConfig_httpPort=1", "b7a.log.level=DEBUG")
	}
	f.Add("[listenerConfig]\nhttpPort = 90900\n[[jwtTokenConfig]]\nissuer=\"a\"\njwksURL=\"https://a\"\n[[jwtTokenConfig.claims]]\nlocalClaim=1", "A=b", "x")
	f.Add("a = [{b=1},{c=[2,{d=3}]}]\n[[x]]\n[x.y]\n[[x.y.z]]\nq.\"w.e\" = 1979-05-27\n", "jwtTokenConfig_1_issuer=${env:A}", "jwtTokenConfig.0.issuer=a")
	f.Add("jwtTokenConfig = [{issuer=\"a\", audience=[\"b\"], jwksURL=\"http://c\"}]\n\"a b_prod_endpoint_0\"='http://h'\n", "", "listenerConfig.host=${file:x}")
	f.Add("a=\"\n[server]\nheader='''\n[shutdown]\n", "a_prod_basic_password=x", "=")
	f.Add("\ufeff[listenerConfig]\r\nkeyStorePassword=\"${env:A}${\"\r\n", "A=@encrypted:{x}", "server.header=\x7f")
	f.Add("", "listenerConfig_\x00t\x01rt=!", "b7a.log.level=DEBUG")
	dir := f.TempDir()
	path, again := filepath.Join(dir, "micro-gw.conf"), filepath.Join(dir, "again.conf")
	line := regexp.MustCompile(`^(runtime: (` + regexp.QuoteMeta(path) + `:[1-9][0-9]*:[1-9][0-9]*|env [^\n]+|-e): .|\thint: .)`)
	comments := regexp.MustCompile(`(?m) *# (default|-e|env |"env |/|"/).*$|^#.*\n`)
	f.Fuzz(func(t *testing.T, file, env, set string) {
		write(t, path, file)
		c, err := conf.Load(conf.Options{Path: path, Environ: []string{env}, Set: []string{set}})
		if err != nil {
			var all conf.Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, l := range strings.Split(err.Error(), "\n") {
				if !line.MatchString(l) {
					t.Errorf("an error that does not say where: %q of\n%s", l, err)
				}
			}
			return
		}
		printed := text(t, c)
		if strings.Contains(printed, "${") || !utf8.ValidString(env+set) {
			return // what came from a reference would be one again
		}
		write(t, again, printed)
		d, err := conf.Load(conf.Options{Path: again})
		if err != nil {
			t.Fatalf("%v\nprinted:\n%s", err, printed)
		}
		if got, want := comments.ReplaceAllString(text(t, d), ""), comments.ReplaceAllString(printed, ""); got != want {
			t.Errorf("printed:\n%s\nand again:\n%s", want, got)
		}
	})
}
