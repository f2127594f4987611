// Package scaffold makes new projects.
//
// A project is put together in a hidden folder beside its destination and
// renamed into place when it is whole. So a failed init leaves nothing behind,
// and with Force the old project stays until the new one is ready.
package scaffold

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"

	"github.com/microgw/microgw/schema"
	"github.com/microgw/microgw/toolkit/internal/deploy"
	"github.com/microgw/microgw/toolkit/internal/devkey"
	"github.com/microgw/microgw/toolkit/internal/fetch"
)

//go:embed files
var files embed.FS

// Definitions is the folder of a project that holds its API definitions.
const Definitions = "api_definitions"

// SampleName is the file name of the sample definition.
const SampleName = "petstore.yaml"

// Sample returns the definition that a project begins with if none is given.
func Sample() []byte { return embedded(SampleName) }

// Options says what to make and where.
type Options struct {
	Dir        string       // folder to make; its last element names the project
	Force      bool         // replace the project that is there
	Definition fetch.Source // what to put in api_definitions; the sample if empty
	Deployment []byte       // conf/deployment-config.toml; the one that switches nothing on if nil
}

// An ExistsError says that the folder is there already.
type ExistsError struct {
	Dir    string
	Reason string // why Force does not help either; empty if it would
}

func (e *ExistsError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s exists and %s", e.Dir, e.Reason)
	}
	return fmt.Sprintf("%s exists already", e.Dir)
}

// A NameError says that a folder's name cannot name a project.
type NameError struct {
	Name, Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be a project's name: %s", e.Name, e.Reason)
}

// Init makes a project. It returns the path of the definition, relative to the
// project's folder and with forward slashes.
func Init(ctx context.Context, opts Options) (definition string, err error) {
	dir := filepath.Clean(opts.Dir)
	name := filepath.Base(dir)
	if err := checkName(opts.Dir, name); err != nil {
		return "", err
	}
	exists, err := checkTarget(dir, opts.Force)
	if err != nil {
		return "", err
	}

	file, content := SampleName, Sample()
	if opts.Definition.Location != "" {
		if file, content, err = opts.Definition.Read(ctx); err != nil {
			return "", err
		}
	}

	work, err := os.MkdirTemp(filepath.Dir(dir), ".micro-gw-init-")
	if err != nil {
		return "", pathless(err)
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, name)
	if err := fill(fresh, name, file, content, opts.Deployment); err != nil {
		return "", err
	}
	if exists {
		// The old project is moved out of the way, into the folder that is
		// removed at the end, and back again if the new one cannot take its place.
		old := filepath.Join(work, "old")
		if err := os.Rename(dir, old); err != nil {
			return "", err
		}
		if err := os.Rename(fresh, dir); err != nil {
			return "", errors.Join(err, os.Rename(old, dir))
		}
	} else if err := os.Rename(fresh, dir); err != nil {
		return "", err
	}
	return Definitions + "/" + file, nil
}

func checkName(given, name string) error {
	switch {
	case given == "":
		return &NameError{given, "it is empty"}
	case name == "." || name == ".." || name == string(filepath.Separator):
		return &NameError{given, "name a folder to be made"}
	case strings.HasPrefix(name, "."):
		return &NameError{name, "it begins with a dot"}
	case strings.HasPrefix(name, "-"):
		return &NameError{name, "it begins with a dash"} // commands would take it for a flag
	case len(name) > 100:
		return &NameError{name, "it is longer than 100 bytes"}
	}
	for _, r := range name {
		// A name goes into file names, log lines and shell commands.
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r) {
			return &NameError{name, fmt.Sprintf("it has %q in it; letters, digits, \".\", \"_\" and \"-\" are allowed", r)}
		}
	}
	return nil
}

// checkTarget says whether there is a project at dir to be replaced.
func checkTarget(dir string, force bool) (exists bool, err error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(dir)
		if info, err := os.Stat(parent); err != nil || !info.IsDir() {
			return false, fmt.Errorf("%s is not a folder: %w", parent, fs.ErrNotExist)
		}
		return false, nil
	case err != nil:
		return false, err
	case info.Mode()&fs.ModeSymlink != 0:
		return true, &ExistsError{dir, "is a symbolic link"}
	case !info.IsDir():
		return true, &ExistsError{dir, "is not a folder"}
	case !force:
		return true, &ExistsError{Dir: dir}
	}
	// Replacing removes everything inside; a folder that merely has the name
	// is not ours to remove.
	if entries, err := os.ReadDir(dir); err != nil {
		return true, err
	} else if len(entries) == 0 {
		return true, nil
	}
	if info, err := os.Stat(filepath.Join(dir, Definitions)); err != nil || !info.IsDir() {
		return true, &ExistsError{dir, "is not a micro-gw project: it has no folder " + Definitions}
	}
	return true, nil
}

// fill puts a whole project at dir.
func fill(dir, name, definition string, content, deployment []byte) error {
	for _, sub := range []string{Definitions, "interceptors", "conf"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	readme := struct{ Name, Scopes, Image string }{name, "SCOPE", deploy.Default(name).Docker.Name}
	if definition == SampleName && bytes.Equal(content, Sample()) {
		readme.Scopes = "read:pets"
	}
	if deployment == nil {
		deployment = expand("deployment-config.toml", readme)
	}
	for path, data := range map[string][]byte{
		deploy.ConfigName:              deployment,
		Definitions + "/" + definition: content,
		"policy.yaml":                  embedded("policy.yaml"),
		// policy.yaml names it in its first line.
		"conf/policy.schema.json": schema.Policy,
		// Version control keeps no empty folders.
		"interceptors/.keep": nil,
		"conf/micro-gw.conf": expand("micro-gw.conf", readme),
		"README.md":          expand("README.md", readme),
		".gitignore":         embedded("gitignore"),
	} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(path)), data, 0o644); err != nil {
			return err
		}
	}
	_, _, err := devkey.Ensure(dir)
	return err
}

func embedded(name string) []byte {
	data, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err) // compiled in
	}
	return data
}

func expand(name string, data any) []byte {
	var out bytes.Buffer
	if err := template.Must(template.New(name).Parse(string(embedded(name)))).Execute(&out, data); err != nil {
		panic(err) // compiled in
	}
	return out.Bytes()
}

// pathless drops the random name of a temporary folder from an error.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", filepath.Dir(pe.Path), pe.Err)
	}
	return err
}
