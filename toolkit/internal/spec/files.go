package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A store reads and parses the files that definitions refer to, each once,
// whoever refers to it. Several definitions use it at a time.
type store struct {
	read   func(name string) ([]byte, error)
	remote func(url string) (data []byte, final string, err error) // nil if not allowed
	mu     sync.Mutex
	files  map[string]*stored
}

type stored struct {
	once sync.Once
	root *tree.Node // nil if it could not be read; never changed
	base string     // where its relative references start from
	err  error
	size int
	// diags is what is wrong with it.
	diags diag.List
}

// get reads a file if that has not been done yet. The name of a remote one is its
// URL.
func (s *store) get(name string) *stored {
	s.mu.Lock()
	f := s.files[name]
	if f == nil {
		f = &stored{base: name}
		s.files[name] = f
	}
	s.mu.Unlock()
	f.once.Do(func() {
		var data []byte
		if isRemote(name) {
			data, f.base, f.err = s.remote(name)
		} else {
			data, f.err = s.read(name)
		}
		if f.err == nil {
			f.size = len(data)
			f.root = tree.Parse(name, data, &f.diags)
		}
	})
	return f
}

// files are the files that one definition consists of. Its own it has to itself
// and may change; of the others it gets copies, so that what one definition makes
// of a file in its dialect does not depend on who else refers to it.
type files struct {
	store *store
	diags *diag.List
	known []string // candidates for "did you mean"
	open  map[string]*file
	spell *diag.Speller // nil where nobody listens
	// ids says that $id means something: the dialect has JSON Schema's.
	ids bool
}

type file struct {
	name    string
	base    string
	size    int
	root    *tree.Node // nil if it could not be read
	err     error      // then, unless it is there and wrong
	anchors map[string]anchored
	ids     *resources
}

// quiet follows references without reporting what is wrong with them.
func (fs *files) quiet() *files {
	return &files{store: fs.store, diags: new(diag.List), open: fs.open, ids: fs.ids}
}

// load opens a file. A failure to read it is reported at; what is wrong inside is
// in the store's list.
func (fs *files) load(name string, at diag.At) *file {
	f := fs.open[name]
	if f == nil {
		s := fs.store.get(name)
		f = &file{name: name, base: s.base, size: s.size, err: s.err}
		if s.root != nil {
			f.root = s.root.Clone()
		}
		fs.open[name] = f
	}
	if f.err != nil {
		fs.missing(name, f.err, at)
	}
	return f
}

func (f *files) missing(name string, err error, at diag.At) {
	if !errors.Is(err, fs.ErrNotExist) {
		if at.File == name {
			f.diags.Errorf(at, "%v", err)
		} else {
			f.diags.Errorf(at, "%s: %v", name, err)
		}
		return
	}
	// Only the last part is compared: folders are alike for all files.
	hint := ""
	for _, known := range f.known {
		if known == name {
			hint = "it is a link that leads nowhere"
			break
		}
		if diag.Nearest(path.Base(name), []string{path.Base(known)}) != "" {
			hint = fmt.Sprintf("did you mean %q?", known)
			break
		}
	}
	f.diags.ErrorHint(at, hint, "no file %q", name)
}

// scheme recognises references that are not relative.
var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*:|//)`)

func isRemote(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// locate is the name of the file that a reference leads to, or "" after
// reporting why there is none.
func (fs *files) locate(from *file, name, ref string, at diag.At) string {
	if isRemote(from.base) || scheme.MatchString(name) && !strings.HasPrefix(strings.ToLower(name), "file:") {
		u, err := url.Parse(name)
		if err == nil && isRemote(from.base) {
			var base *url.URL
			if base, err = url.Parse(from.base); err == nil {
				u = base.ResolveReference(u)
			}
		}
		switch {
		case err != nil:
			fs.diags.Errorf(at, "%q is not a URL", ref)
		case u.Scheme != "http" && u.Scheme != "https":
			fs.diags.ErrorHint(at, "copy the file into the project and refer to it by its relative path", "%q is not a file of the project", ref)
		case fs.store.remote == nil:
			fs.diags.ErrorHint(at, "copy the file into the project and refer to it by its relative path, or build with --allow-remote-refs", "%q is not a file of the project", ref)
		case u.Host == "" || u.User != nil:
			// A password would be carried in the artifact, among the sources.
			fs.diags.ErrorHint(at, "copy the file into the project and refer to it by its relative path", "%q is not fetched: want a URL with a host, without a password", ref)
		default:
			u.Fragment, u.RawFragment = "", ""
			return u.String()
		}
		return ""
	}
	if scheme.MatchString(name) {
		fs.diags.ErrorHint(at, "refer to the file by its relative path", "%q is not a file of the project", ref)
		return ""
	}
	name = unescape(name)
	if path.IsAbs(name) {
		fs.diags.ErrorHint(at, "refer to the file by its relative path", "%q is an absolute path", ref)
		return ""
	}
	name = path.Join(path.Dir(from.name), name)
	if name == ".." || strings.HasPrefix(name, "../") {
		fs.diags.ErrorHint(at, "copy the file into the project", "%q is outside of the project", ref)
		return ""
	}
	return name
}

// target follows a $ref that stands in from, or what else is text and meant as
// one. It returns nil after reporting why that cannot be done.
func (fs *files) target(from *file, ref *tree.Node, at diag.At) (*file, *tree.Node) {
	f, n, _ := fs.follow(from, ref, at)
	return f, n
}

// follow is target that also says where in the file the target is, as a JSON
// pointer from the file's root.
func (fs *files) follow(from *file, ref *tree.Node, at diag.At) (_ *file, _ *tree.Node, pointer string) {
	name, fragment, _ := strings.Cut(ref.Text, "#")
	f := from
	var in *resource // what the fragment is relative to, if not the file
	if ids := from.identified(fs); ids != nil {
		in = ids.of(ref)
		if name != "" {
			if named := ids.named(in, name); named != nil {
				in, name = named, ""
			} else {
				in = nil
			}
		}
	}
	if name != "" {
		if name = fs.locate(from, name, ref.Text, at); name == "" {
			return nil, nil, ""
		}
		if f = fs.load(name, at); f.root == nil {
			return nil, nil, ""
		}
	}
	pointer = unescape(fragment)
	if pointer != "" && pointer[0] != '/' {
		if a, ok := f.anchor(pointer); ok {
			return f, a.node, a.pointer
		}
		fs.diags.ErrorHint(at, `what follows "#" is a path that begins with "/"`, "no %q in %s", "#"+pointer, f.name)
		return nil, nil, ""
	}
	if in != nil {
		if n, _, _ := in.root.Pointer(pointer); n != nil {
			return f, n, in.pointer + pointer
		}
		// Many write $id for ornament, and mean the file.
	}
	n, reached, lacks := f.root.Pointer(pointer)
	if n == nil {
		fs.diags.ErrorHint(at, fs.spell.DidYouMean(lacks, reached.Names), "%q leads nowhere: no %q in %s", ref.Text, lacks, where(f, pointer, lacks))
		return nil, nil, ""
	}
	return f, n, pointer
}

// where says in words how far a pointer got.
func where(f *file, pointer, lacks string) string {
	at := f.root
	var done []string
	for _, token := range strings.Split(pointer, "/")[1:] {
		name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		next, _, _ := at.Pointer("/" + token)
		if next == nil {
			break
		}
		done = append(done, name)
		at = next
	}
	if len(done) == 0 {
		return f.name
	}
	return strings.Join(done, ".")
}

// unescape decodes the percent escapes of a reference, where they are any.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
