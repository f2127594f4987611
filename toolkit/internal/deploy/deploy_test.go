package deploy_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/microgw/microgw/toolkit/internal/deploy"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// generate makes the files of the project in dir.
func generate(t *testing.T, dir, config string) ([]deploy.File, diag.List) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, config))
	if err != nil {
		t.Fatal(err)
	}
	var l diag.List
	name := filepath.Base(dir)
	files := deploy.Generate(deploy.Input{
		Dir: dir, Project: name, Config: deploy.Parse(config, data, name, &l),
		Artifact: []byte("an artifact"), Digest: "sha256:0123",
		Getenv: func(key string) string { return map[string]string{"STORE_PASSWORD": "store"}[key] },
	}, &l)
	l.Sort()
	return files, l
}

// Each folder in testdata/golden is a project; what is made of it lies in its
// folder "made", without what is the same everywhere (the list of authorities
// and the artifact), and what is said of it in "said". tools/kubecheck holds the
// YAML against the types of Kubernetes.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) < 4 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, said := generate(t, dir, "deployment-config.toml")
			again, _ := generate(t, dir, "deployment-config.toml")
			if !slices.EqualFunc(files, again, func(a, b deploy.File) bool {
				return a.Name == b.Name && a.Mode == b.Mode && bytes.Equal(a.Data, b.Data)
			}) {
				t.Error("the same project gives different files")
			}
			var text bytes.Buffer
			if err := said.WriteText(&text, "build"); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"said": text.String()}
			var list strings.Builder
			for _, f := range files {
				list.WriteString(f.Mode.String() + " " + f.Name + "\n")
				if strings.HasSuffix(f.Name, ".yaml") || strings.HasSuffix(f.Name, "Dockerfile") {
					want["made/"+f.Name] = string(f.Data)
				}
			}
			want["files"] = list.String()
			if *update {
				if err := os.RemoveAll(filepath.Join(dir, "made")); err != nil {
					t.Fatal(err)
				}
				for name, content := range want {
					name = filepath.Join(dir, filepath.FromSlash(name))
					if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				return
			}
			for name, content := range want {
				have, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
				if err != nil || string(have) != content {
					t.Errorf("%s is another (%v); -update shows the difference in the working tree:\n%s", name, err, content)
				}
			}
		})
	}
}

// What is in a config map is what was in the file, whatever its bytes.
func TestConfigMapKeepsText(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"c.toml":  "[kubernetes.kubernetesConfigMap]\nenable = true\n[[kubernetes.kubernetesConfigMap.configMaps]]\nmountPath = '/x'\ndata = ['a', 'b', 'c', 'd', 'e']\n",
		"a":       "x = 1\n\ty: [ #\r\n  trailing \n\n",
		"b":       "no end",
		"c":       "\n leading\n",
		"d":       "yes",
		"e":       "\x00\xff",
		"unnamed": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, said := generate(t, dir, "c.toml")
	if len(said) > 0 || len(files) != 1 {
		t.Fatal(files, said)
	}
	var got struct{ Data, BinaryData map[string]string }
	dec := yaml.NewDecoder(bytes.NewReader(files[0].Data))
	var raw map[string]any
	if err := dec.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&raw); err != io.EOF {
		t.Fatal(err)
	}
	var typed struct {
		Data       map[string]string `yaml:"data"`
		BinaryData map[string]string `yaml:"binaryData"`
	}
	if err := yaml.Unmarshal(files[0].Data, &typed); err != nil {
		t.Fatal(err)
	}
	got.Data, got.BinaryData = typed.Data, typed.BinaryData
	for _, name := range []string{"a", "b", "c", "d"} {
		want, _ := os.ReadFile(filepath.Join(dir, name))
		if got.Data[name] != string(want) {
			t.Errorf("%s: got %q, want %q", name, got.Data[name], want)
		}
	}
	if got.BinaryData["e"] != "AP8=" {
		t.Errorf("binary: %q", got.BinaryData)
	}
}

// The file that a new project gets says nothing; with its comment signs taken
// away it is one without mistakes.
func TestTemplate(t *testing.T) {
	data, err := os.ReadFile("../scaffold/files/deployment-config.toml")
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte("{{.Image}}"), []byte("shop"))
	var l diag.List
	if c := deploy.Parse("c.toml", data, "shop", &l); len(l) > 0 || c.Docker.Enabled || c.Kubernetes.Enabled() {
		t.Errorf("as it is: %+v, %v", c, l)
	}
	live := regexp.MustCompile(`(?m)^# (\[|[a-zA-Z]+ = )`).ReplaceAll(data, []byte("$1"))
	c := deploy.Parse("c.toml", live, "shop", &l)
	if len(l) > 0 {
		t.Error(l)
	}
	if k := c.Kubernetes; !c.Docker.Enabled || !k.Deployment.Enabled || !k.HPA.Enabled || len(k.Services) != 2 || len(k.Ingresses) != 1 || len(k.Secrets) != 1 || len(k.ConfigMaps) != 1 {
		t.Errorf("%+v", c)
	}
}

// The image of the runtime alone.
func TestBase(t *testing.T) {
	files := deploy.Base()
	want, err := os.ReadFile("testdata/base.Dockerfile")
	if *update {
		err = os.WriteFile("testdata/base.Dockerfile", files[0].Data, 0o644)
		want = files[0].Data
	}
	if err != nil || string(files[0].Data) != string(want) {
		t.Errorf("%v:\n%s", err, files[0].Data)
	}
	if n := bytes.Count(files[1].Data, []byte("BEGIN CERTIFICATE")); n < 100 {
		t.Errorf("%d authorities", n)
	}
}

func TestCheckBinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"nowhere": "nowhere: no such file or directory",
		text:      text + ": it is no program for Linux",
		".":       ".: not a regular file",
	} {
		if _, err := deploy.CheckBinary(path); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	// A test is a Go program for whatever this runs on, but not the runtime.
	if b, err := deploy.CheckBinary(self); err == nil {
		t.Errorf("%s: accepted as %v", self, b)
	}
}

func TestCheckImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, good := range []string{"petstore", "petstore:1", "a/b/c:v1.2-x", "localhost/a", "registry:5000/a", "r.example.com/a:1", "[]"[:0] + "a__b", "a@" + digest, "r.example.com:5000/a/b:1@" + digest} {
		if problem, _ := deploy.CheckImage(good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for bad, hint := range map[string]string{
		"":                  "",
		"PetStore:v1":       `names of images are lower case: write "petstore:v1"`,
		"a:":                "",
		"a:b c":             "",
		"a/":                "",
		"/a":                "",
		"a@sha256:00":       "",
		"-a":                "",
		"r.example.com:x/a": "",
		"a\nRUN x":          "",
	} {
		problem, got := deploy.CheckImage(bad)
		if problem == "" || got != hint {
			t.Errorf("%q: %q, %q", bad, problem, got)
		}
	}
}

// Whatever the file says, it is taken apart without a panic, and what is wrong
// has a position; what is right makes YAML that can be read, without a line of
// the author's getting into the Dockerfile as an instruction.
func FuzzConfig(f *testing.F) {
	for _, dir := range []string{"everything", "defaults", "wso2", "sealed"} {
		data, err := os.ReadFile("testdata/golden/" + dir + "/deployment-config.toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	known := regexp.MustCompile(`^(#|$|FROM |COPY |WORKDIR |ENV |USER |EXPOSE |HEALTHCHECK |ENTRYPOINT |CMD \[)`)
	f.Fuzz(func(t *testing.T, data []byte) {
		var l diag.List
		c := deploy.Parse("c.toml", data, "shop", &l)
		for _, d := range l {
			if d.Line < 1 {
				t.Errorf("no position: %v", d)
			}
		}
		if l.HasErrors() {
			return
		}
		for _, file := range deploy.Generate(deploy.Input{Dir: dir, Project: "shop", Config: c, Getenv: os.Getenv}, &l) {
			if strings.HasSuffix(file.Name, ".yaml") {
				dec := yaml.NewDecoder(bytes.NewReader(file.Data))
				for {
					var v map[string]any
					if err := dec.Decode(&v); err == io.EOF {
						break
					} else if err != nil {
						t.Fatalf("%v:\n%s", err, file.Data)
					}
				}
			}
			if strings.HasSuffix(file.Name, "Dockerfile") {
				for _, line := range strings.Split(string(file.Data), "\n") {
					if !known.MatchString(line) {
						t.Errorf("line %q", line)
					}
				}
			}
		}
	})
}
