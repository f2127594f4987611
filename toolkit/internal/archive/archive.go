// Package archive reads API archives that WSO2 API Manager exports: zip files
// with one folder, in which stand a description of the API and its definition.
//
// An archive comes from whoever made it. Nothing is ever unpacked: two files are
// read, by name and up to a limit. An archive whose names could mislead other
// tools, or a person who looks into it (paths that climb, links, one name twice),
// is refused as a whole.
package archive

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

const (
	// MaxSize bounds an archive. Documents and pictures are in it, too.
	MaxSize = 256 << 20
	// maxFile bounds a file that is read: a definition that is larger could not
	// be built.
	maxFile = tree.MaxSize
	// maxFiles and maxTotal bound what an archive says of itself.
	maxFiles = 10_000
	maxTotal = 1 << 30
	// maxRatio bounds how much more comes out of a file than was in it. Deflate
	// reaches 1030; definitions stay below 30.
	maxRatio = 200
)

// Content is what an archive holds of an API.
type Content struct {
	Folder         string // the one at the top
	Description    []byte
	DescribedIn    string // its name, with the folder
	Definition     []byte
	DefinitionFile string
}

// layouts are the places of description and definition: of 2.6 to 3.x, and of
// 4.x.
var layouts = []struct{ descriptions, definitions []string }{
	{[]string{"Meta-information/api.json", "Meta-information/api.yaml"}, []string{"Meta-information/swagger.json", "Meta-information/swagger.yaml"}},
	{[]string{"api.yaml", "api.json"}, []string{"Definitions/swagger.yaml", "Definitions/swagger.json"}},
}

// Read reads an archive.
func Read(r io.ReaderAt, size int64) (Content, error) {
	var c Content
	if size > MaxSize {
		return c, fmt.Errorf("larger than %d MiB", MaxSize>>20)
	}
	z, err := zip.NewReader(r, size)
	// Names that are not safe are refused below, with more words.
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return c, fmt.Errorf("not a zip archive, or a broken one: %w", err)
	}
	files, err := check(z)
	if err != nil {
		return c, err
	}
	for name := range files {
		c.Folder, _, _ = strings.Cut(name, "/")
		break
	}
	for _, layout := range layouts {
		description, err := find(files, c.Folder, layout.descriptions)
		if err != nil {
			return c, err
		}
		definition, err := find(files, c.Folder, layout.definitions)
		if err != nil {
			return c, err
		}
		if description == nil {
			continue
		}
		if definition == nil {
			return c, fmt.Errorf("it has %s, but no definition (%s): is it an API with OpenAPI?", description.Name, strings.Join(layout.definitions, " or "))
		}
		c.DescribedIn, c.DefinitionFile = description.Name, definition.Name
		if c.Description, err = content(description); err != nil {
			return c, err
		}
		c.Definition, err = content(definition)
		return c, err
	}
	return c, errors.New("not an API archive: neither Meta-information/api.json (or .yaml) nor api.yaml (or .json) is in its folder")
}

// check refuses what no export has. It returns the files by name.
func check(z *zip.Reader) (map[string]*zip.File, error) {
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("more than %d files in it", maxFiles)
	}
	files := make(map[string]*zip.File)
	seen := make(map[string]string)
	top := ""
	var total uint64
	for _, f := range z.File {
		name := f.Name
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("the name %q is not UTF-8", name)
		}
		clean := strings.TrimSuffix(name, "/")
		switch {
		case clean == "", strings.ContainsAny(clean, "\\:"), strings.ContainsFunc(clean, diag.Unprintable),
			path.IsAbs(clean), clean != path.Clean(clean), clean == "..", strings.HasPrefix(clean, "../"):
			return nil, fmt.Errorf("the name %q leads somewhere else", name)
		case f.Flags&1 != 0:
			return nil, fmt.Errorf("%q is encrypted", name)
		}
		folder := strings.HasSuffix(name, "/")
		switch mode := f.Mode(); {
		case mode&fs.ModeSymlink != 0:
			return nil, fmt.Errorf("%q is a symbolic link", name)
		case mode.Type() != 0 && !mode.IsDir(), mode.IsDir() != folder:
			return nil, fmt.Errorf("%q is neither a file nor a folder", name)
		}
		// File systems that ignore case would take them for one.
		key := strings.ToLower(clean)
		if first, again := seen[key]; again {
			return nil, fmt.Errorf("%q is in it twice, beside %q", name, first)
		}
		seen[key] = name
		if total += f.UncompressedSize64; total > maxTotal || f.UncompressedSize64 > maxTotal {
			return nil, fmt.Errorf("more than %d MiB would come out of it", maxTotal>>20)
		}
		if f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/maxRatio > f.CompressedSize64 {
			return nil, fmt.Errorf("%q would become more than %d times as large: it is a bomb", name, maxRatio)
		}
		head, _, inside := strings.Cut(clean, "/")
		if !inside && !folder {
			return nil, fmt.Errorf("%q is not in the archive's folder", name)
		}
		if top == "" {
			top = head
		}
		if head != top {
			return nil, fmt.Errorf("two folders at its top: %q and %q", top, head)
		}
		if !folder {
			files[name] = f
		}
	}
	if len(files) == 0 {
		return nil, errors.New("nothing is in it")
	}
	// A file with something below it is no file.
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if f := files[dir]; f != nil {
				return nil, fmt.Errorf("%q is a file and a folder", dir)
			}
		}
	}
	return files, nil
}

// find is the file in one of those places, or nil. Two of them are an error: it
// would depend on the reader which one counts.
func find(files map[string]*zip.File, folder string, names []string) (*zip.File, error) {
	var found []*zip.File
	for _, name := range names {
		if f := files[folder+"/"+name]; f != nil {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("both %q and %q are in it", found[0].Name, found[1].Name)
}

func content(f *zip.File) ([]byte, error) {
	tooLarge := fmt.Errorf("%q is larger than %d MiB", f.Name, maxFile>>20)
	if f.UncompressedSize64 > maxFile {
		return nil, tooLarge
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", f.Name, err)
	}
	defer r.Close()
	// What it says of its size may be a lie.
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", f.Name, err)
	}
	if n > maxFile {
		return nil, tooLarge
	}
	return slices.Clip(b.Bytes()), nil
}
