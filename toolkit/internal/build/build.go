// Package build is the life of a build: it opens a project, reads its policies
// and definitions, compiles them, and hands back an artifact or the reasons why
// there is none. It writes nothing; that is for the caller, once it has decided
// that the result is good.
package build

import (
	"context"
	"errors"

	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

// Options says what to build.
type Options struct {
	// Dir is the project's folder.
	Dir string
	// DefaultEndpoint is the URL that calls go to where the definition names no
	// endpoint and no absolute server. Empty: such an operation is an error.
	DefaultEndpoint string
}

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
func Project(ctx context.Context, opts Options) (Result, error) {
	return Result{}, errors.ErrUnsupported
}
