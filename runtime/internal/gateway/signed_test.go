package gateway_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
	"github.com/microgw/microgw/schema/artifactpb"
)

// pair is a key that signs, and the file that verifies.
type pair struct {
	key ed25519.PrivateKey
	id  string
	pub string // path
}

func newPair(t testing.TB, dir, name string) pair {
	t.Helper()
	p := pair{pub: filepath.Join(dir, name+".pub")}
	public, err := signing.Create(filepath.Join(dir, name+".key"), p.pub)
	if err != nil {
		t.Fatal(err)
	}
	if p.key, err = signing.Private(filepath.Join(dir, name+".key")); err != nil {
		t.Fatal(err)
	}
	p.id = signing.ID(public)
	return p
}

func (p pair) put(t testing.TB, path string, a *artifactpb.Artifact) {
	t.Helper()
	if err := artifact.WriteSigned(path, a, p.key); err != nil {
		t.Fatal(err)
	}
}

// Who insists on signatures refuses everything else before a port is bound, and
// Check says the same.
func TestSignedOnly(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newPair(t, dir, "ours"), newPair(t, dir, "theirs")
	file := func(name string) string { return filepath.Join(dir, name) }
	a := project("pets", "http://127.0.0.1:1", nil)
	put(t, file("unsigned.mgw"), a)
	ours.put(t, file("ours.mgw"), a)
	theirs.put(t, file("theirs.mgw"), a)
	signed, err := os.ReadFile(file("ours.mgw"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Flag and signature taken away: a good artifact that nobody signed.
	stripped := append([]byte(nil), signed[:len(signed)-100]...)
	stripped[15] = 0
	write("stripped.mgw", stripped)
	write("micro-gw.conf", []byte("[artifact]\nverifyKeys = [\"ours.pub\"]\n"))
	write("both.pub", []byte(read(t, ours.pub)+read(t, theirs.pub)))
	write("rotten.pub", []byte("key"))

	quote := regexp.QuoteMeta
	for _, tt := range []struct {
		name, artifact string
		keys           []string
		conf           string
		want           string // of the error; "" if it is served
	}{
		{"good", "ours.mgw", []string{"ours.pub"}, "", ""},
		{"first of two", "ours.mgw", []string{"ours.pub", "theirs.pub"}, "", ""},
		{"second of two", "theirs.mgw", []string{"ours.pub", "theirs.pub"}, "", ""},
		{"two in a file", "theirs.mgw", []string{"both.pub"}, "", ""},
		{"by the conf", "ours.mgw", nil, "micro-gw.conf", ""},
		{"nobody asks", "theirs.mgw", nil, "", ""},
		{"unsigned", "unsigned.mgw", []string{"ours.pub"}, "", `/unsigned.mgw: the artifact is not signed \(--verify-key trusts ` + ours.id + `\)$`},
		{"unsigned, conf", "unsigned.mgw", nil, "micro-gw.conf", `/unsigned.mgw: the artifact is not signed \(artifact.verifyKeys trusts ` + ours.id + `\)$`},
		{"stripped", "stripped.mgw", []string{"ours.pub"}, "", `: the artifact is not signed `},
		{"foreign", "theirs.mgw", []string{"ours.pub"}, "", `: the artifact is signed by key ` + theirs.id + `, which is not trusted \(--verify-key trusts ` + ours.id + `\)$`},
		{"foreign, conf", "theirs.mgw", nil, "micro-gw.conf", `, which is not trusted \(artifact.verifyKeys trusts ` + ours.id + `\)$`},
		{"the flag wins", "ours.mgw", []string{"theirs.pub"}, "micro-gw.conf", `, which is not trusted \(--verify-key trusts ` + theirs.id + `\)$`},
		{"no key", "ours.mgw", []string{"none.pub"}, "", `^--verify-key: ` + quote(file("none.pub")) + `: no such file or directory\n\thint: `},
		{"one of two keys is none", "ours.mgw", []string{"ours.pub", "rotten.pub"}, "", `^--verify-key: ` + quote(file("rotten.pub")) + `: not a PEM file\n\thint: `},
		{"private key", "ours.mgw", []string{"ours.key"}, "", `: a private key, where the public one is wanted\n\thint: `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := gateway.Options{Artifact: file(tt.artifact), Conf: conf.Options{Set: local()}, Stderr: io.Discard}
			for _, k := range tt.keys {
				o.VerifyKeys = append(o.VerifyKeys, file(k))
			}
			if tt.conf != "" {
				o.Conf.Path = file(tt.conf)
			}
			if tt.want == "" {
				if tt.name != "nobody asks" {
					said, err := gateway.Check(o)
					if err != nil || !strings.Contains(said, ", signed by sha256:") {
						t.Errorf("Check: %q, %v", said, err)
					}
				}
				g := start(t, o)
				g.untilLogged(`msg="artifact loaded" .* signer=sha256:[0-9a-f]{64}`)
				g.expect("http://"+g.at.Admin+"/version", 200, `"signer": "sha256:[0-9a-f]{64}"`)
				return
			}
			o.Ready = func(gateway.Addresses) { t.Error("it serves") }
			err := gateway.Run(context.Background(), o)
			if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("Run: got %v, want %s", err, tt.want)
			}
			if _, err := gateway.Check(o); err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("Check: got %v, want %s", err, tt.want)
			}
		})
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A swap is held to the same keys: what fails goes nowhere, what was served goes
// on, and the log says why. The keys themselves may change meanwhile.
func TestSwapSignedOnly(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newPair(t, dir, "ours"), newPair(t, dir, "theirs")
	path, keys := filepath.Join(dir, "pets.mgw"), filepath.Join(dir, "trusted.pub")
	trust := func(text string) {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(read(t, ours.pub))
	up := func(name string) *artifactpb.Artifact { return project("pets", echo(t, name).URL, nil) }
	ours.put(t, path, up("a"))
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local()}, VerifyKeys: []string{keys}})
	serves := func(name string) {
		t.Helper()
		g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^"+name+" ")
	}
	serves("a")

	b := up("b")
	put(t, path, b)
	g.signals <- syscall.SIGHUP
	g.untilLogged(`level=ERROR msg="artifact refused, the one before goes on" error=".*pets.mgw: the artifact is not signed \(--verify-key trusts ` + ours.id)
	serves("a")
	g.expect("http://"+g.at.Admin+"/ready", 200, "an artifact was refused, the one before it is served: .*the artifact is not signed")

	theirs.put(t, path, b)
	g.signals <- syscall.SIGHUP
	g.untilLogged(`msg="artifact refused.* signed by key ` + theirs.id + `, which is not trusted`)
	serves("a")

	// A rotation: both are trusted, then the new one alone.
	trust(read(t, ours.pub) + read(t, theirs.pub))
	g.signals <- syscall.SIGHUP
	g.untilLogged(`msg="artifact swapped".* signer=` + theirs.id)
	serves("b")
	trust(read(t, theirs.pub))
	ours.put(t, path, up("c"))
	g.signals <- syscall.SIGHUP
	g.untilLogged(`msg="artifact refused.* signed by key ` + ours.id + `, which is not trusted`)
	serves("b")

	// Keys that cannot be read are no reason to trust anybody.
	trust("")
	theirs.put(t, path, up("d"))
	g.signals <- syscall.SIGHUP
	g.untilLogged(`msg="artifact refused.*trusted.pub: not a PEM file`)
	serves("b")
}

func TestWatchSignedOnly(t *testing.T) {
	dir := t.TempDir()
	ours := newPair(t, dir, "ours")
	path := filepath.Join(dir, "pets.mgw")
	ours.put(t, path, project("pets", echo(t, "a").URL, nil))
	g := start(t, gateway.Options{Artifact: path, Watch: true, Conf: conf.Options{Set: local()}, VerifyKeys: []string{ours.pub}})
	b := project("pets", echo(t, "b").URL, nil)
	put(t, path, b)
	g.untilLogged(`msg="artifact refused, the one before goes on" error=".*the artifact is not signed .*" reason="the file changed"`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^a ")
	ours.put(t, path, b)
	g.untilLogged(`msg="artifact swapped".* reason="the file changed"`)
	g.expect("http://"+g.at.HTTP+"/v1/open", 200, "^b ")
}
