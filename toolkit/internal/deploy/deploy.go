// Package deploy makes what a project is deployed with, by
// conf/deployment-config.toml: the build context of an image, and the YAML of
// Kubernetes.
//
// The file is WSO2's, whose generators were compiler plug-ins. What surprises:
// only the texts of the project decide what is written, so the same project
// gives the same bytes, names included. A micro-gw.conf with passwords in it
// becomes a Secret, never a ConfigMap, and never part of an image.
package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/project"
	"github.com/microgw/microgw/toolkit/internal/toml"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Where things are in the container; the runtime looks for them there.
const (
	execFolder = "/home/exec"
	confFolder = "/home/ballerina/conf"
	confName   = "micro-gw.conf"
	confFile   = confFolder + "/" + confName
)

// user is nobody's number on usual systems, and what images without a shell
// agree on.
const user = 65532

// maxFile bounds a file that is put into an image or into a cluster. Kubernetes
// takes no more than 1 MiB for a whole secret or config map.
const (
	maxFile   = 32 << 20
	maxObject = 1 << 20
)

// A File is one to be written below target.
type File struct {
	Name string // with forward slashes
	Data []byte
	Mode fs.FileMode
}

// Input is what a deployment is made of.
type Input struct {
	// Dir is the project's folder; files that the config names are relative to
	// it.
	Dir     string
	Project string
	Config  *Config
	// Artifact and Digest are nil and "" if there is none, which does not keep
	// the rest from being checked.
	Artifact []byte
	Digest   string
	// Getenv resolves $env{NAME}.
	Getenv func(string) string
}

// Generate makes the files, without the runtime's binary, which belongs into the
// folder docker, too. What cannot be had is appended to l.
func Generate(in Input, l *diag.List) []File {
	g := &generator{Input: in, l: l}
	if in.Config.Docker.Enabled {
		g.docker()
	}
	if in.Config.Kubernetes.Enabled() {
		g.kubernetes()
	}
	return g.files
}

// Base is the build context of an image that holds the runtime alone. Like
// WSO2's it finds the artifact in a folder that is mounted.
func Base() []File {
	return []File{
		{"Dockerfile", []byte(dockerfile("", "scratch", nil, nil)), 0o644},
		{"ca-certificates.crt", roots(), 0o644},
	}
}

type generator struct {
	Input
	l     *diag.List
	files []File
}

func (g *generator) add(name string, data []byte, mode fs.FileMode) {
	g.files = append(g.files, File{name, data, mode})
}

// read reads a file that the config names.
func (g *generator) read(name item, limit int64) ([]byte, bool) {
	data, err := readFile(g.Dir, name.text, limit)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "paths are relative to the project's folder, or absolute"
		}
		g.l.ErrorHint(name.at, hint, "%s: %v", name.text, project.Reason(err))
		return nil, false
	}
	return data, true
}

func readFile(dir, name string, limit int64) ([]byte, error) {
	var f *os.File
	if filepath.IsAbs(name) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, errors.New("not a regular file")
		}
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
	} else {
		// Nothing outside of the project is read because of a "../" or a link.
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		info, err := root.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, errors.New("not a regular file")
		}
		if f, err = root.Open(name); err != nil {
			return nil, err
		}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %d MiB", limit>>20)
	}
	return data, err
}

// expand replaces $env{NAME}.
func (g *generator) expand(s item) (string, bool) {
	text, missing := Expand(s.text, g.Getenv)
	for _, name := range missing {
		g.l.Errorf(s.at, "$env{%s}: there is no such variable in the environment", name)
	}
	return text, len(missing) == 0
}

var envReference = regexp.MustCompile(`\$env\{([^}]*)\}`)

// Expand replaces $env{NAME} and says which variables are not there.
func Expand(s string, getenv func(string) string) (text string, missing []string) {
	text = envReference.ReplaceAllStringFunc(s, func(ref string) string {
		name := ref[len("$env{") : len(ref)-1]
		v := getenv(name)
		if v == "" {
			missing = append(missing, name)
		}
		return v
	})
	return text, missing
}

// conf reads a micro-gw.conf and says which of its keys have secrets in them
// that everybody could read who can read the file.
func (g *generator) conf(name item) (data []byte, secrets []string, ok bool) {
	data, ok = g.read(name, maxObject)
	if !ok {
		return nil, nil, false
	}
	var l diag.List
	n := toml.Parse(name.text, data, &l)
	if n == nil {
		for _, d := range l {
			g.l.Add(d)
		}
		return nil, nil, false
	}
	for key, port := range map[string]int{"httpPort": portHTTP, "httpsPort": portHTTPS} {
		if v := n.Get("listenerConfig").Get(key); v != nil && v.Text != strconv.Itoa(port) && v.Text != "-1" {
			g.l.WarnHint(v.At("listenerConfig."+key), "leave the key away: a container has all ports to itself",
				"in a container the port is to be %d: images and services lead there", port)
		}
	}
	return data, plainSecrets("", n, nil), true
}

func plainSecrets(place string, n *tree.Node, found []string) []string {
	for i, item := range n.Items {
		where := place
		if n.Kind == tree.Object {
			name := n.Keys[i].Name
			where = strings.TrimPrefix(place+"."+name, ".")
			if item.Kind == tree.String && item.Text != "" && secretive(name) && !strings.Contains(item.Text, "${") {
				found = append(found, where)
			}
		}
		found = plainSecrets(where, item, found)
	}
	return found
}

// private says whether a file holds a private key.
func private(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return false
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
		data = rest
	}
}

// keyStore says whether a file is one by its name.
func keyStore(name string) bool {
	switch strings.ToLower(path.Ext(filepath.ToSlash(name))) {
	case ".p12", ".pfx", ".jks", ".key":
		return true
	}
	return false
}

// roots are the authorities of Mozilla's list, for images without any: an
// upstream with a certificate of one of them could not be called otherwise. Those
// that are trusted with a reservation are left out, as a file of certificates
// cannot express it.
func roots() []byte {
	var out []byte
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})...)
		}
	}
	return out
}

func sum(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
