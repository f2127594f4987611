// Package build is the life of a build: it opens a project, reads its policies
// and definitions, compiles them, and hands back an artifact or the reasons why
// there is none. It writes nothing; that is for the caller, once it has decided
// that the result is good.
package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/deploy"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/interceptor"
	"github.com/microgw/microgw/toolkit/internal/policies"
	"github.com/microgw/microgw/toolkit/internal/project"
	"github.com/microgw/microgw/toolkit/internal/spec"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Options says what to build.
type Options struct {
	// Dir is the project's folder.
	Dir string
	// DefaultEndpoint is the URL that calls go to where the definition names no
	// endpoint and no absolute server. Empty: such an operation is an error.
	DefaultEndpoint string
	// DeploymentConfig is read in place of the project's own, unless it is "".
	DeploymentConfig string
	// AllowRemoteRefs lets $refs lead to http and https URLs. They are fetched as
	// References says, and must be what LockFile says, if it says anything.
	AllowRemoteRefs bool
	References      fetch.References
	// Jobs is how many definitions are read at a time; 0: one for each core. The
	// result is the same.
	Jobs int
	// Progress is told how many definitions have been read, if it is not nil.
	Progress func(done, of int)
	// Keep keeps the documents and policies in the result.
	Keep bool
}

// An OptionError says that an option is wrong rather than the project.
type OptionError struct{ err error }

func (e *OptionError) Error() string { return e.err.Error() }
func (e *OptionError) Unwrap() error { return e.err }

// Result is what came of a build.
type Result struct {
	// Artifact is nil if there were errors.
	Artifact *artifactpb.Artifact
	// Diagnostics are sorted in file order.
	Diagnostics diag.List
	// Deployment is what the project's conf/deployment-config.toml asks for.
	Deployment *deploy.Config
	// Lock is what LockFile has to say from now on; nil if nothing new.
	Lock []byte
	// Summary counts what was found, also if there were errors.
	Summary Summary
	// Documents and Policies are what was read, if it was to be kept.
	Documents []*spec.Document
	Policies  *policies.File
}

// Summary is the build in numbers.
type Summary struct {
	Project    string
	APIs       int
	Operations int
	Clusters   int
	Policies   int
	// Files are the files that were read, relative to the project folder,
	// sorted: what to watch for changes.
	Files []string
}

// Project builds the project. It returns an error only if the project cannot be
// opened at all; what is wrong inside of it is in the diagnostics.
func Project(ctx context.Context, opts Options) (res Result, err error) {
	endpoint := ""
	if opts.DefaultEndpoint != "" {
		clean, problem, hint := spec.CheckURL(opts.DefaultEndpoint)
		if problem != "" {
			if hint != "" {
				problem += " (" + hint + ")"
			}
			return res, &OptionError{fmt.Errorf("default endpoint: %s", problem)}
		}
		endpoint = clean
	}
	p, err := project.Open(opts.Dir)
	if err != nil {
		return res, err
	}
	defer p.Close()
	res.Summary.Project = p.Name

	l := &res.Diagnostics
	defer l.Sort() // of the named result: it drops what is said twice
	names, err := p.Definitions()
	if err != nil {
		return res, err
	}
	if len(names) == 0 {
		hint := "put an OpenAPI definition (.yaml, .yml or .json) there"
		if strays := p.Strays(); len(strays) > 0 {
			hint = "move " + strays[0] + " there"
		}
		l.ErrorHint(diag.At{File: "api_definitions"}, hint, "nothing to build: no definitions")
	}
	if err := foreign(p, l); err != nil {
		return res, err
	}
	if res.Deployment, err = readDeployment(p, opts.DeploymentConfig, l); err != nil {
		return res, err
	}
	limits, err := readPolicies(p, l)
	if err != nil {
		return res, err
	}
	loader := spec.Loader{Read: p.Read, Jobs: opts.Jobs, Progress: opts.Progress, Keep: opts.Keep}
	var fetched *remote
	if opts.AllowRemoteRefs {
		fetched = openRemote(ctx, opts.References, p, l)
		loader.Remote = fetched.get
	}
	docs := loader.Load(ctx, names, l)
	if opts.Keep {
		res.Documents, res.Policies = docs, limits
	}
	if err := ctx.Err(); err != nil {
		return res, err
	}
	in := compile.Input{
		Project:         p.Name,
		ToolkitVersion:  buildinfo.Version(),
		Documents:       docs,
		Policies:        limits,
		DefaultEndpoint: endpoint,
	}
	if in.Interceptors, err = readInterceptors(p, docs, l); err != nil {
		return res, err
	}
	for _, s := range p.Sources() {
		in.Sources = append(in.Sources, compile.Source{Name: s.Name, SHA256: s.SHA256[:]})
		res.Summary.Files = append(res.Summary.Files, s.Name)
	}
	if fetched != nil {
		in.Sources = append(in.Sources, fetched.sources()...)
		slices.SortFunc(in.Sources, func(a, b compile.Source) int { return cmp.Compare(a.Name, b.Name) })
	}
	in.DevelopmentKey, err = developmentKey(p, l)
	if err != nil {
		return res, err
	}
	a := compile.Artifact(in, l)
	res.Summary.APIs = len(a.Apis)
	for _, api := range a.Apis {
		res.Summary.Operations += len(api.Operations)
	}
	res.Summary.Clusters = len(a.Clusters)
	res.Summary.Policies = len(a.ThrottlePolicies)
	if !l.HasErrors() {
		res.Artifact = a
		if fetched != nil {
			res.Lock = fetched.lock()
		}
	}
	return res, nil
}

// foreign says what of a project of WSO2 3.x has no effect here.
func foreign(p *project.Project, l *diag.List) error {
	grpc, extensions, services, err := p.Foreign()
	if err != nil {
		return err
	}
	if len(grpc) > 0 {
		l.Warnf(diag.At{File: grpc[0]}, "gRPC definitions are not built by this version")
	}
	if len(extensions) > 0 {
		l.Notef(diag.At{File: extensions[0]}, "code of WSO2's extension points is not run")
	}
	if len(services) > 0 {
		l.Notef(diag.At{File: services[0]}, "services beside the APIs are not built")
	}
	return nil
}

// readInterceptors reads what the definitions' interceptors may be, if they name
// any. Files that have one of them become sources of the build.
func readInterceptors(p *project.Project, docs []*spec.Document, l *diag.List) (*interceptor.Library, error) {
	var refs []interceptor.Ref
	seen := make(map[interceptor.Ref]bool)
	classes := false
	add := func(x spec.RouteExtensions) {
		for _, name := range []*spec.Text{x.Request, x.Response} {
			if name == nil {
				continue
			}
			if ref, problem, _ := interceptor.Parse(name.Value); problem == "" && ref.Kind != interceptor.Hub && !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
				classes = classes || ref.Kind == interceptor.Class
			}
		}
	}
	for _, doc := range docs {
		add(doc.Extensions.RouteExtensions)
		for _, op := range doc.Operations {
			add(op.PathItem)
			add(op.Extensions.RouteExtensions)
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	lib := new(interceptor.Library)
	files, err := p.Interceptors()
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := p.Peek(file)
		if err == nil && len(data) > tree.MaxSize {
			err = fmt.Errorf("the file is larger than %d MiB", tree.MaxSize>>20)
		}
		if err == nil {
			err = lib.Add(file, data)
		}
		if err != nil {
			l.Errorf(diag.At{File: file}, "%v", err)
		}
	}
	if classes {
		if err := readJARs(p, lib, l); err != nil {
			return nil, err
		}
	}
	for _, ref := range refs {
		var used []string
		if ref.Kind == interceptor.Class {
			used = lib.JARs(ref.Name)
		}
		for _, f := range lib.Functions(ref.Name) {
			if ref.Kind == interceptor.Function {
				used = append(used, f.File)
			}
		}
		for _, file := range used {
			if err := p.Note(file); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return lib, nil
}

func readJARs(p *project.Project, lib *interceptor.Library, l *diag.List) error {
	files, err := p.JARs()
	if err != nil {
		return err
	}
	for _, file := range files {
		f, size, err := p.Open(file)
		if err == nil {
			err = lib.AddJAR(file, f, size)
			f.Close()
		}
		if err != nil {
			l.Errorf(diag.At{File: file}, "%v", err)
		}
	}
	return nil
}

func readPolicies(p *project.Project, l *diag.List) (*policies.File, error) {
	name, err := p.Policies()
	if err != nil {
		l.Errorf(diag.At{}, "%v", err)
		return nil, nil
	}
	if name == "" {
		return nil, nil
	}
	data, err := p.Read(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return policies.Parse(name, data, l), nil
}

// readDeployment reads what the project is to be deployed with. It is not a
// source: it has no part in the artifact.
func readDeployment(p *project.Project, other string, l *diag.List) (*deploy.Config, error) {
	name := deploy.ConfigName
	read := p.Peek
	if other != "" {
		name, read = other, os.ReadFile
	}
	data, err := read(name)
	if errors.Is(err, fs.ErrNotExist) && other == "" {
		return deploy.Default(p.Name), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return deploy.Parse(name, data, p.Name, l), nil
}

// developmentKey is the public half of the project's development key. It is not
// a source: it differs from one checkout to the next, and says nothing about
// what the artifact does.
func developmentKey(p *project.Project, l *diag.List) ([]byte, error) {
	data, err := p.Peek(project.DevelopmentKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", project.DevelopmentKey, err)
	}
	n := tree.Parse(project.DevelopmentKey+".json", data, new(diag.List))
	if n == nil || n.Kind != tree.Object || n.Get("kty") == nil {
		l.Errorf(diag.At{File: project.DevelopmentKey}, "it is not a key in JWK form")
		return nil, nil
	}
	if n.Get("d") != nil || n.Get("k") != nil {
		l.Errorf(diag.At{File: project.DevelopmentKey}, "it holds a private key, which must not get into an artifact")
		return nil, nil
	}
	return n.AppendJSON(nil), nil
}
