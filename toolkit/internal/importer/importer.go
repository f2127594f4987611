// Package importer puts definitions from elsewhere into a project: from a file or
// a URL, from an archive that API Manager exported, or from API Manager itself.
//
// They land in gen/api_definitions, each under the id of its API (a digest of
// title and version), so that importing an API again replaces what is there of it
// and nothing else: not other APIs, and nothing in api_definitions. All of them
// arrive or none does.
package importer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/microgw/microgw/toolkit/internal/apim"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/project"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Folder is where imported definitions land.
const Folder = "gen/api_definitions"

// An API is one that was imported.
type API struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	ID      string `json:"id"`
	File    string `json:"file"`  // relative to the project
	State   string `json:"state"` // "new", "changed" or "unchanged"
}

// A Result is what came of an import.
type Result struct {
	APIs []API
	// Skipped are APIs that match and cannot be served.
	Skipped []apim.Skipped
	// Notes are for the author, with the API's name before them.
	Notes []string
}

// item is a definition on its way.
type item struct {
	API
	content []byte
	tiers   []string
}

// names are what a definition's file may be called, behind its id: by dialect
// and format, the first two as in WSO2's projects.
var names = []string{"swagger.json", "openAPI.yaml", "swagger.yaml", "openAPI.json"}

// Files imports definitions, as they are, and archives. A file that is named .zip
// or begins like one is an archive.
func Files(ctx context.Context, dir string, sources []fetch.Source) (Result, error) {
	var res Result
	var items []item
	for _, s := range sources {
		it, err := one(ctx, s, &res)
		if err != nil {
			return Result{}, err
		}
		items = append(items, it)
	}
	return res, commit(ctx, dir, items, &res)
}

func one(ctx context.Context, s fetch.Source, res *Result) (item, error) {
	// fetch says what is wrong with a file that is none. (Opening a pipe could
	// wait for ever.)
	if info, err := os.Stat(s.Location); err == nil && info.Mode().IsRegular() && !fetch.IsURL(s.Location) {
		f, err := os.Open(s.Location)
		if err != nil {
			return item{}, err
		}
		defer f.Close()
		magic := make([]byte, 4)
		if _, err := f.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
			return item{}, err
		}
		if strings.EqualFold(filepath.Ext(s.Location), ".zip") || string(magic) == "PK\x03\x04" {
			found, err := apim.Archive(s.Location, f, info.Size())
			if err != nil {
				return item{}, err
			}
			return fromAPIManager(found, res)
		}
	}
	name, content, err := s.Read(ctx)
	if err != nil {
		return item{}, err
	}
	var l diag.List
	n := tree.Parse(name, content, &l)
	if n == nil {
		return item{}, fmt.Errorf("definition %s%s", s.Redacted(), strings.TrimPrefix(l[0].String(), name))
	}
	it, err := newItem(n, name, content)
	if err != nil {
		return it, fmt.Errorf("definition %s: %w", s.Redacted(), err)
	}
	return it, nil
}

// newItem names a definition. Nil content is made from the tree.
func newItem(n *tree.Node, name string, content []byte) (item, error) {
	title, version := scalar(n, "title"), scalar(n, "version")
	if title == "" || version == "" {
		return item{}, errors.New("info.title or info.version is missing: an imported API is known by them")
	}
	it := item{API: API{Name: title, Version: version, ID: compile.ID(title, version)}, content: content, tiers: apim.Tiers(n)}
	file := "openAPI.yaml"
	v2 := n.Get("swagger") != nil
	switch {
	case content == nil && v2:
		file, it.content = "swagger.json", n.JSON()
	case content == nil:
		it.content = n.YAML()
	default:
		dialect := "openAPI"
		if v2 {
			dialect = "swagger"
		}
		file = dialect + cmp.Or(strings.Replace(path.Ext(name), ".yml", ".yaml", 1), ".yaml")
	}
	if len(it.content) > tree.MaxSize {
		return item{}, fmt.Errorf("larger than %d MiB", tree.MaxSize>>20)
	}
	it.File = Folder + "/" + it.ID + file
	return it, nil
}

func scalar(n *tree.Node, key string) string {
	v := n.Get("info").Get(key)
	if v == nil || v.Kind == tree.Array || v.Kind == tree.Object {
		return ""
	}
	return strings.TrimSpace(v.Text)
}

// notTaken is what no import takes over, in every generation of API Manager.
const notTaken = "throttling policies, certificates, mediation, documents and subscribers stay in API Manager: they are not imported"

func fromAPIManager(f apim.Found, res *Result) (item, error) {
	it, err := newItem(f.Definition, "", nil)
	if err != nil {
		return it, fmt.Errorf("the definition of the API %q: %w", f.API.Name, err)
	}
	if !slices.Contains(res.Notes, notTaken) {
		res.Notes = append(res.Notes, notTaken)
	}
	for _, n := range f.API.Notes {
		res.Notes = append(res.Notes, fmt.Sprintf("%s %s: %s", it.Name, it.Version, n))
	}
	var keys []string
	for _, env := range []struct{ name, key string }{{"production", "prod"}, {"sandbox", "sand"}} {
		if f.Definition.Get("x-wso2-"+env.name+"-endpoints").Get("securityConfig") != nil {
			keys = append(keys, fmt.Sprintf("%s_%s_basic_password", it.ID, env.key))
		}
	}
	if len(keys) > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%s %s: the password of its upstream is not imported: give it to the runtime as %s", it.Name, it.Version, strings.Join(keys, " and ")))
	}
	return it, nil
}

// Server imports what an API Manager has.
func Server(ctx context.Context, dir string, s *apim.Server, q apim.Query, cors *apim.CORS) (Result, error) {
	found, skipped, err := s.APIs(ctx, q, cors)
	if err != nil {
		return Result{}, err
	}
	res := Result{Skipped: skipped}
	var items []item
	for _, f := range found {
		it, err := fromAPIManager(f, &res)
		if err != nil {
			return Result{}, err
		}
		items = append(items, it)
	}
	return res, commit(ctx, dir, items, &res)
}

// commit writes all items or none. They are written beside their place and renamed
// into it; what fails half-way is taken back.
func commit(ctx context.Context, dir string, items []item, res *Result) (err error) {
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	for i := 1; i < len(items); i++ {
		if items[i].ID == items[i-1].ID {
			return fmt.Errorf("two definitions are of one API, %s %s", items[i].Name, items[i].Version)
		}
	}
	// A root keeps what is written inside of the project, also where the
	// project has links in it.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var todo []item
	var gone []string
	for i := range items {
		it := &items[i]
		it.State = "new"
		for _, n := range names {
			name := Folder + "/" + it.ID + n
			old, err := root.Stat(name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				return err
			case !old.Mode().IsRegular():
				return fmt.Errorf("%s: not a file", name)
			}
			it.State = "changed"
			if name != it.File {
				gone = append(gone, name) // in the other dialect or format
				continue
			}
			if data, err := root.ReadFile(name); err == nil && bytes.Equal(data, it.content) {
				it.State = "unchanged"
			}
		}
		if it.State != "unchanged" {
			todo = append(todo, *it)
		}
		res.APIs = append(res.APIs, it.API)
	}
	res.Notes = append(res.Notes, missingTiers(dir, items)...)
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(todo) == 0 && len(gone) == 0 {
		return nil
	}
	return swap(root, todo, gone)
}

// workplace is where imports are put together, each in a folder of its own: two may
// be at it. It has a dot, so that neither builds nor watchers look into it.
const workplace = ".micro-gw-import"

// abandoned is when a folder there is one that a killed import has left.
const abandoned = time.Hour

// openWork makes a folder for one import.
func openWork(root *os.Root) (string, error) {
	if old, err := fs.ReadDir(root.FS(), workplace); err == nil {
		for _, d := range old {
			if info, err := d.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
				_ = root.RemoveAll(workplace + "/" + d.Name()) // or the next one does
			}
		}
	}
	for try := 1; ; try++ {
		work := workplace + "/" + rand.Text()
		err := root.MkdirAll(work, 0o755)
		// Another import may have removed the folder around it meanwhile.
		if err == nil || try == 10 || !errors.Is(err, fs.ErrNotExist) {
			return work, err
		}
	}
}

// closeWork removes it, and the folder around it if no other import is at work.
func closeWork(root *os.Root, work string) error {
	err := root.RemoveAll(work)
	_ = root.Remove(workplace)
	return err
}

// swap brings the files into their place, each by a rename, so that a build finds
// the old or the new one at any time. What was done is undone if a later step
// fails.
func swap(root *os.Root, items []item, gone []string) (err error) {
	work, err := openWork(root)
	if err != nil {
		return err
	}
	var undo []func() error
	defer func() {
		if err != nil {
			for _, u := range slices.Backward(undo) {
				err = errors.Join(err, u())
			}
		}
		err = errors.Join(err, closeWork(root, work))
	}()
	for i, it := range items {
		if err := writeFile(root, fmt.Sprintf("%s/%d", work, i), it.content); err != nil {
			return err
		}
	}
	for _, folder := range []string{path.Dir(Folder), Folder} {
		switch err := root.Mkdir(folder, 0o755); {
		case err == nil:
			undo = append(undo, func() error { return root.Remove(folder) })
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	// keep makes a copy to go back to. Moving the file away would leave a moment
	// without it.
	keep := func(name string, n int) error {
		data, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		old := fmt.Sprintf("%s/old-%d", work, n)
		if err := writeFile(root, old, data); err != nil {
			return err
		}
		undo = append(undo, func() error { return root.Rename(old, name) })
		return nil
	}
	for i, it := range items {
		switch err := keep(it.File, i); {
		case errors.Is(err, fs.ErrNotExist):
			undo = append(undo, func() error { return remove(root, it.File) })
		case err != nil:
			return err
		}
		if err := root.Rename(fmt.Sprintf("%s/%d", work, i), it.File); err != nil {
			return err
		}
	}
	for i, name := range gone {
		if err := keep(name, len(items)+i); err != nil {
			return err
		}
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file, if it is there.
func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeFile(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// missingTiers says which tiers the project's policy file lacks: a build would
// stop at them. A policy file that cannot be read is the build's matter.
func missingTiers(dir string, items []item) []string {
	p, err := project.Open(dir)
	if err != nil {
		return nil
	}
	defer p.Close()
	var file *policies.File
	name, err := p.Policies()
	if err != nil {
		return nil
	}
	if name != "" {
		data, err := p.Peek(name)
		if err != nil {
			return nil
		}
		var l diag.List
		if file = policies.Parse(name, data, &l); l.HasErrors() {
			return nil
		}
	}
	var notes []string
	for _, it := range items {
		var missing []string
		for _, t := range it.tiers {
			if file.Find(policies.Resource, t) < 0 {
				missing = append(missing, fmt.Sprintf("%q", t))
			}
		}
		if len(missing) > 0 {
			notes = append(notes, fmt.Sprintf("%s %s: before a build, %s has to have the resource policies %s", it.Name, it.Version, cmp.Or(name, "policy.yaml"), strings.Join(missing, ", ")))
		}
	}
	return notes
}
