//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profile writes a CPU profile of the whole run into the folder that CPUPROFILE
// names. Only a binary built with the tag "profile" does so: scripts/pgo.sh makes
// default.pgo with it, by which the compiler optimises every other build.
func profile() (stop func()) {
	f, err := os.Create(filepath.Join(os.Getenv("CPUPROFILE"), fmt.Sprintf("%d.prof", os.Getpid())))
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}
