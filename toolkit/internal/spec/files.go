package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// files holds every file that was read, once, whoever refers to it.
type files struct {
	read  func(name string) ([]byte, error)
	diags *diag.List
	known []string // candidates for "did you mean"
	open  map[string]*file
	spell *diag.Speller // nil where nobody listens
}

type file struct {
	name       string
	size       int
	root       *tree.Node // nil if it could not be read
	referenced bool       // a $ref leads into it
	anchors    map[string]*tree.Node
}

// load reads a file. The first failure to read or parse it is reported at; a
// file that is there but wrong has reported itself.
func (fs *files) load(name string, at diag.At) *file {
	if f := fs.open[name]; f != nil {
		return f
	}
	f := &file{name: name}
	fs.open[name] = f
	data, err := fs.read(name)
	if err != nil {
		fs.missing(name, err, at)
		return f
	}
	f.size = len(data)
	f.root = tree.Parse(name, data, fs.diags)
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

// target follows the text of a $ref that stands in from. It returns nil after
// reporting why that cannot be done.
func (fs *files) target(from *file, ref string, at diag.At) (*file, *tree.Node) {
	name, fragment, _ := strings.Cut(ref, "#")
	f := from
	if name != "" {
		if scheme.MatchString(name) {
			hint := "copy the file into the project and refer to it by its relative path"
			if strings.HasPrefix(name, "file:") {
				hint = "refer to the file by its relative path"
			}
			fs.diags.ErrorHint(at, hint, "%q is not a file of the project", ref)
			return nil, nil
		}
		name = unescape(name)
		if path.IsAbs(name) {
			fs.diags.ErrorHint(at, "refer to the file by its relative path", "%q is an absolute path", ref)
			return nil, nil
		}
		name = path.Join(path.Dir(from.name), name)
		if name == ".." || strings.HasPrefix(name, "../") {
			fs.diags.ErrorHint(at, "copy the file into the project", "%q is outside of the project", ref)
			return nil, nil
		}
		f = fs.open[name]
		if f != nil && f.root == nil {
			// Reported before, but this reference does not lead anywhere
			// either: a missing file is missing for each.
			if _, err := fs.read(name); err != nil {
				fs.missing(name, err, at)
			}
			return nil, nil
		}
		if f == nil {
			f = fs.load(name, at)
		}
		f.referenced = true
		if f.root == nil {
			return nil, nil
		}
	}
	pointer := unescape(fragment)
	if pointer != "" && pointer[0] != '/' {
		if n := f.anchor(pointer); n != nil {
			return f, n
		}
		fs.diags.ErrorHint(at, `what follows "#" is a path that begins with "/"`, "no %q in %s", "#"+pointer, f.name)
		return nil, nil
	}
	n, reached, lacks := f.root.Pointer(pointer)
	if n == nil {
		fs.diags.ErrorHint(at, fs.spell.DidYouMean(lacks, reached.Names), "%q leads nowhere: no %q in %s", ref, lacks, where(f, pointer, lacks))
		return nil, nil
	}
	return f, n
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

// anchor finds a schema by its $anchor or $dynamicAnchor (JSON Schema 2020-12,
// section 8.2.2).
func (f *file) anchor(name string) *tree.Node {
	if f.anchors == nil {
		f.anchors = make(map[string]*tree.Node)
		f.collect(f.root)
	}
	return f.anchors[name]
}

func (f *file) collect(n *tree.Node) {
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if a := n.Get(key); a != nil && a.Kind == tree.String && f.anchors[a.Text] == nil {
			f.anchors[a.Text] = n
		}
	}
	for _, item := range n.Items {
		f.collect(item)
	}
}

// unescape decodes the percent escapes of a reference, where they are any.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
