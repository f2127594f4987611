// Package project opens a project folder and says which of its files are what.
//
// All reading goes through an os.Root, so nothing outside of the folder can be
// read, neither by "../" nor by a symbolic link: a definition comes from
// whoever wrote it, and building it must not copy other files of the machine
// into an artifact.
package project

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/tree"
)

// DevelopmentKey is where a project keeps the public half of its development
// key.
const DevelopmentKey = ".micro-gw/dev-key.pub.jwk"

// definitionFolders are searched in this order.
var definitionFolders = []string{"api_definitions", "gen/api_definitions"}

// policyFiles are the names a policy file may have: the articles say
// policy.yaml, WSO2's own projects policies.yaml.
var policyFiles = []string{"policy.yaml", "policies.yaml"}

// maxFiles bounds the number of files of one build.
const maxFiles = 10_000

// A Project is an open project folder.
type Project struct {
	// Name is the base name of the folder, case kept.
	Name string

	root *os.Root
	read map[string]Source
}

// Source is a file that was read.
type Source struct {
	Name   string // relative to the project folder, with forward slashes
	SHA256 [sha256.Size]byte
}

// Open opens the folder dir.
func Open(dir string) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no project %q: %w", dir, fs.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%q is a file, not a project folder", dir)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &Project{Name: filepath.Base(abs), root: root, read: make(map[string]Source)}, nil
}

// Close releases the folder.
func (p *Project) Close() error { return p.root.Close() }

// Definitions lists the files that may be definitions, sorted by path.
// Sub-folders count; names that begin with a dot do not.
func (p *Project) Definitions() ([]string, error) {
	var files []string
	for _, folder := range definitionFolders {
		if _, err := p.root.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := fs.WalkDir(p.root.FS(), folder, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasPrefix(d.Name(), ".") && name != folder {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			switch path.Ext(name) {
			case ".yaml", ".yml", ".json":
			default:
				return nil
			}
			// A link counts as what it leads to. One that leads out of the
			// project, or nowhere, fails when it is read.
			if info, err := p.root.Stat(name); err == nil && !info.Mode().IsRegular() {
				return nil
			}
			if len(files) == maxFiles {
				return fmt.Errorf("more than %d definitions", maxFiles)
			}
			files = append(files, name)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
	}
	slices.Sort(files)
	return files, nil
}

// Policies is the name of the project's policy file, or "" if it has none. Two
// of them are an error: the build would have to ignore one.
func (p *Project) Policies() (string, error) {
	var found []string
	for _, name := range policyFiles {
		if _, err := p.root.Stat(name); err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("both %s and %s are here; keep one", found[0], found[1])
	}
}

// Read reads a file of the project and notes it as a source of the build.
func (p *Project) Read(name string) ([]byte, error) {
	data, err := p.Peek(name)
	if err != nil {
		return nil, err
	}
	if _, again := p.read[name]; !again && len(p.read) >= maxFiles {
		return nil, fmt.Errorf("more than %d files", maxFiles)
	}
	p.read[name] = Source{Name: name, SHA256: sha256.Sum256(data)}
	return data, nil
}

// Peek reads a file without noting it as a source.
func (p *Project) Peek(name string) ([]byte, error) {
	// Opening a pipe or a device could wait for ever.
	info, err := p.root.Stat(name)
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := p.root.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	// One byte more than allowed is enough for the reader to refuse it.
	var data bytes.Buffer
	if info.Size() <= tree.MaxSize {
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, tree.MaxSize+1)); err != nil {
		return nil, reason(err)
	}
	return data.Bytes(), nil
}

// Sources are the files that were read, sorted by name.
func (p *Project) Sources() []Source {
	sources := make([]Source, 0, len(p.read))
	for _, s := range p.read {
		sources = append(sources, s)
	}
	slices.SortFunc(sources, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
	return sources
}

// reason is what is wrong, without the operation and the path that an
// fs.PathError adds: the caller names the file in its own way.
func reason(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	// What an os.Root says of a name or link that leads out of it; it has no error
	// of its own to compare with.
	if strings.Contains(pe.Err.Error(), "escapes from parent") {
		return errors.New("it leads out of the project")
	}
	return pe.Err
}
