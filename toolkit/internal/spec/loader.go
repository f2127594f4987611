package spec

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// A Loader reads definitions, several at a time. What comes of it does not depend
// on how many.
type Loader struct {
	// Read reads a file of the project. It is called by several goroutines.
	Read func(name string) ([]byte, error)
	// Remote fetches what a $ref to a URL leads to, once for each URL, and says
	// what its own relative references start from. Nil: such a $ref is an error.
	Remote func(url string) (data []byte, final string, err error)
	// Jobs is how many definitions are read at a time; 0: one for each core.
	Jobs int
	// Progress is told how many definitions are done, if it is not nil. It is
	// called by one goroutine at a time.
	Progress func(done, of int)
	// Keep keeps what was read with the documents, until their Forget. It is
	// several times as large as what is made of it.
	Keep bool
}

// maxInFlight bounds the bytes of the definitions that are read at a time: the
// largest make trees of ten times their size. One alone may be larger.
const maxInFlight = 32 << 20

// Load reads the definitions with the given names, and what they refer to. Names
// are relative to the project folder. A file that is not a definition itself is
// none of its business if a definition refers to it, and an error otherwise.
// Documents that are beyond use are left out; whatever is wrong is in the list.
// If ctx ends, so does the reading, and the result is of no use.
func (o Loader) Load(ctx context.Context, names []string, l *diag.List) []*Document {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	shared := &store{read: o.Read, remote: o.Remote, files: make(map[string]*stored)}
	gate := newGate(maxInFlight)
	loaded := make([]loaded, len(names))
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		done    int
	)
	next := make(chan int)
	for range min(o.Jobs, len(names)) {
		workers.Go(func() {
			for i := range next {
				loaded[i] = o.one(names[i], names, shared, gate)
				mu.Lock()
				done++
				if o.Progress != nil {
					o.Progress(done, len(names))
				}
				mu.Unlock()
			}
		})
	}
	for i := range names {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()

	// From here on in the order of names: what is said does not depend on who
	// was first.
	var docs []*Document
	referenced := make(map[string]bool)
	for i := range loaded {
		*l = append(*l, loaded[i].diags...)
		if loaded[i].doc != nil {
			docs = append(docs, loaded[i].doc)
		}
		for _, name := range loaded[i].referenced {
			referenced[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(referenced)) {
		*l = append(*l, shared.files[name].diags...)
	}
	for i, name := range names {
		if other := loaded[i].other; other != nil && !referenced[name] {
			*l = append(*l, other...)
		}
	}
	return docs
}

// loaded is what came of one file.
type loaded struct {
	doc        *Document // nil if it is no definition, or of no use
	diags      diag.List
	referenced []string  // the files that it refers to
	other      diag.List // if it is no definition: what is wrong with that
}

// one reads one definition.
func (o Loader) one(name string, known []string, shared *store, gate *gate) (result loaded) {
	l := &result.diags
	f := &file{name: name, base: name}
	// A panic would be our own mistake; the author gets to know which document
	// brings it out, and the others are still read.
	defer func() {
		if p := recover(); p != nil {
			l.Errorf(diag.At{File: name, Line: 1, Column: 1}, "the definition cannot be read: %v", p)
			result.doc = nil
		}
	}()
	fs := &files{store: shared, diags: l, known: known, open: map[string]*file{name: f}, spell: new(diag.Speller)}
	data, err := o.Read(name)
	if err != nil {
		fs.missing(name, err, diag.At{File: name})
		return result
	}
	defer gate.enter(len(data))()
	f.size = len(data)
	f.root = tree.Parse(name, data, l)
	data = nil // the tree has its own copy
	if f.root == nil {
		return result
	}
	if !isDefinition(f.root) {
		notDefinition(f.root, &result.other)
		return result
	}
	result.doc = load(fs, f, l)
	if result.doc != nil && !o.Keep {
		result.doc.Forget()
	}
	for other := range fs.open {
		if other != name {
			result.referenced = append(result.referenced, other)
		}
	}
	return result
}

func isDefinition(root *tree.Node) bool {
	return root.Kind == tree.Object && (root.Find("openapi") >= 0 || root.Find("swagger") >= 0)
}

// notDefinition says that a file has no business among the definitions.
func notDefinition(root *tree.Node, l *diag.List) {
	if root.Kind != tree.Object {
		l.Errorf(root.At(""), "want an OpenAPI definition, not %s", root.Describe())
		return
	}
	at := root.At("")
	hint := `begin it with "openapi: 3.0.3", or move the file out of the folder`
	for i, key := range root.Keys {
		if near := diag.Nearest(key.Name, []string{"openapi", "swagger"}); near != "" {
			at = root.KeyAt(i, "")
			hint = fmt.Sprintf("did you mean %q?", near)
		}
	}
	l.ErrorHint(at, hint, `not an OpenAPI definition: it has neither "openapi" nor "swagger", and no definition refers to it`)
}

// A gate lets in what together is no larger than its size, or one alone.
type gate struct {
	mu     sync.Mutex
	leave  sync.Cond
	size   int
	inside int
}

func newGate(size int) *gate {
	g := &gate{size: size}
	g.leave.L = &g.mu
	return g
}

// enter waits for room, and returns how to give it back.
func (g *gate) enter(size int) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inside > 0 && g.inside+size > g.size {
		g.leave.Wait()
	}
	g.inside += size
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inside -= size
		g.leave.Broadcast()
	}
}
