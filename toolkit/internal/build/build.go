// Package build is the life of a build: it opens a project, reads its policies
// and definitions, compiles them, and hands back an artifact or the reasons why
// there is none. It writes nothing; that is for the caller, once it has decided
// that the result is good.
package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/microgw/microgw/pkg/buildinfo"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
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
	// Summary counts what was found, also if there were errors.
	Summary Summary
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
		l.ErrorHint(diag.At{File: "api_definitions"}, "put an OpenAPI definition (.yaml, .yml or .json) there", "nothing to build: no definitions")
	}
	limits, err := readPolicies(p, l)
	if err != nil {
		return res, err
	}
	docs := spec.Load(names, p.Read, l)
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
	for _, s := range p.Sources() {
		in.Sources = append(in.Sources, compile.Source{Name: s.Name, SHA256: s.SHA256[:]})
		res.Summary.Files = append(res.Summary.Files, s.Name)
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
	}
	return res, nil
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
