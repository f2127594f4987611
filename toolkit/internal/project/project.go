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
	"sync"

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

	mu   sync.Mutex
	read map[string]Source // guarded by mu
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
		found, err := p.files(folder, ".yaml", ".yml", ".json")
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return files, nil
}

// Strays are the files beside the folders that may be definitions in the wrong
// place, sorted.
func (p *Project) Strays() []string {
	entries, err := fs.ReadDir(p.root.FS(), ".")
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		switch ext := strings.ToLower(path.Ext(e.Name())); {
		case e.IsDir(), slices.Contains(policyFiles, e.Name()), strings.HasPrefix(e.Name(), "."):
		case ext == ".yaml", ext == ".yml", ext == ".json":
			files = append(files, e.Name())
		}
	}
	return files
}

// Interceptors lists the files that may have interceptors, sorted by path:
// WebAssembly modules, and Ballerina source of projects of WSO2 3.x.
func (p *Project) Interceptors() ([]string, error) { return p.files("interceptors", ".bal", ".wasm") }

// JARs lists the archives of Java classes, sorted by path.
func (p *Project) JARs() ([]string, error) { return p.files("lib", ".jar") }

// Foreign lists files that WSO2 3.x made use of and we do not, by folder. A
// project that comes from there has them, and its owner should know.
func (p *Project) Foreign() (grpc, extensions, services []string, err error) {
	for _, f := range []struct {
		to  *[]string
		dir string
		ext string
	}{{&grpc, "grpc_definitions", ".proto"}, {&extensions, "extensions", ".bal"}, {&services, "services", ".bal"}} {
		if *f.to, err = p.files(f.dir, f.ext); err != nil {
			return nil, nil, nil, err
		}
	}
	return grpc, extensions, services, nil
}

// files lists the regular files of a folder that have one of the extensions, in
// any case, sub-folders included, sorted by path. A folder that is not there has
// none.
func (p *Project) files(folder string, extensions ...string) ([]string, error) {
	if _, err := p.root.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var files []string
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
		if !slices.Contains(extensions, strings.ToLower(path.Ext(name))) {
			return p.followed(name, d)
		}
		// A link counts as what it leads to. One that leads out of the
		// project, or nowhere, fails when it is read.
		if info, err := p.root.Stat(name); err == nil && !info.Mode().IsRegular() {
			return nil
		}
		if len(files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		files = append(files, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, Reason(err))
	}
	slices.Sort(files)
	return files, nil
}

// followed refuses a link to a folder: what is in there would be missing without
// a word.
func (p *Project) followed(name string, d fs.DirEntry) error {
	if d.Type()&fs.ModeSymlink == 0 {
		return nil
	}
	// What it leads to outside of the project cannot be seen.
	if info, err := p.root.Stat(name); err == nil && info.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist) && path.Ext(name) == "" {
		return fmt.Errorf("%s is a link to a folder, which is not followed", path.Base(name))
	}
	return nil
}

// Policies is the name of the project's policy file, or "" if it has none. Two
// of them are an error: the build would have to ignore one.
func (p *Project) Policies() (string, error) {
	var found []string
	for _, name := range policyFiles {
		if _, err := p.root.Stat(name); err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w", name, Reason(err))
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

// Read reads a file of the project and notes it as a source of the build. It may
// be called from several goroutines.
func (p *Project) Read(name string) ([]byte, error) {
	data, err := p.Peek(name)
	if err != nil {
		return nil, err
	}
	return data, p.note(name, sha256.Sum256(data))
}

func (p *Project) note(name string, sum [sha256.Size]byte) error {
	source := Source{Name: name, SHA256: sum}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, again := p.read[name]
	switch {
	case again && before != source:
		// The artifact would carry one and name the other.
		return errors.New("it has changed while it was read")
	case !again && len(p.read) >= maxFiles:
		return fmt.Errorf("more than %d files", maxFiles)
	}
	p.read[name] = source
	return nil
}

// Note notes a file as a source of the build without having all of it in memory
// at once.
func (p *Project) Note(name string) error {
	f, _, err := p.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Reason(err)
	}
	return p.note(name, [sha256.Size]byte(h.Sum(nil)))
}

// Peek reads a file without noting it as a source.
func (p *Project) Peek(name string) ([]byte, error) {
	f, size, err := p.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than allowed is enough for the reader to refuse it.
	var data bytes.Buffer
	if size <= tree.MaxSize {
		data.Grow(int(size) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, tree.MaxSize+1)); err != nil {
		return nil, Reason(err)
	}
	return data.Bytes(), nil
}

// Open opens a file of the project, and says how long it is.
func (p *Project) Open(name string) (*os.File, int64, error) {
	// Opening a pipe or a device could wait for ever.
	info, err := p.root.Stat(name)
	if err != nil {
		return nil, 0, Reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := p.root.Open(name)
	if err != nil {
		return nil, 0, Reason(err)
	}
	return f, info.Size(), nil
}

// Sources are the files that were read, sorted by name.
func (p *Project) Sources() []Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	sources := make([]Source, 0, len(p.read))
	for _, s := range p.read {
		sources = append(sources, s)
	}
	slices.SortFunc(sources, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
	return sources
}

// Reason is what is wrong with a file, without the operation and the path that an
// fs.PathError adds: the caller names the file in its own way.
func Reason(err error) error {
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
