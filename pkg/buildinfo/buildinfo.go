// Package buildinfo says which build of micro-gw a binary is.
package buildinfo

import (
	"fmt"
	"runtime"
)

// version is set by the linker:
//
//	-X github.com/microgw/microgw/pkg/buildinfo.version=v1.2.3
//
// What `go build` knows of the repository is not used in its place: it differs
// between a build in the repository and one from an unpacked archive, and
// artifacts carry the version, so that their bytes would differ too.
var version = "dev"

// Version returns the version of this build, "dev" if the build set none.
func Version() string { return version }

// GoVersion returns the version of Go that made this build.
func GoVersion() string { return runtime.Version() }

// Platform returns the operating system and architecture, as in "linux/amd64".
func Platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// String returns the line that the version command of the program prints.
func String(name string) string {
	return fmt.Sprintf("%s %s (%s, %s)", name, Version(), GoVersion(), Platform())
}
