// Package watch notices changes of files by looking at them again and again.
//
// Looking costs a few system calls per file and works everywhere alike: on
// network and overlay file systems, in containers, and with editors that put a
// new file in the old one's place, where notifications from the kernel each
// have a gap of their own.
package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maxFiles bounds what is looked at; a project has a few dozen files.
const maxFiles = 50000

// A Set is what is looked at.
type Set struct {
	Dir   string   // a folder with everything inside
	Skip  []string // names of folders inside Dir that are left out, at any depth
	Files []string // more files, which need not exist
}

// A State sums up the names, sizes and times of all files of a set. States of
// one set are equal if and only if nothing was seen to change.
type State [sha256.Size]byte

// State looks at the files now. What cannot be read counts as absent.
func (s Set) State() State {
	h := sha256.New()
	left := maxFiles
	add := func(path string, info fs.FileInfo) {
		fmt.Fprintf(h, "%q %d %d %o\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
		left--
	}
	// Errors are states like any other: the folder is gone, or a part of it.
	_ = filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if path != s.Dir && slices.Contains(s.Skip, d.Name()) {
				return fs.SkipDir
			}
			return nil // its time changes with its files
		}
		// Stat, not d.Info: the file behind a link is what is built.
		if info, err := os.Stat(path); err == nil {
			add(path, info)
		}
		if left <= 0 {
			return fs.SkipAll
		}
		return nil
	})
	for _, path := range s.Files {
		if info, err := os.Stat(path); err == nil {
			add(path, info)
		}
	}
	return State(h.Sum(nil))
}

// Wait looks at the files every interval, until they are no longer as in since
// and have stayed as they are for one interval, so that a save of several files
// counts once. It returns the new state, or the context's error.
func (s Set) Wait(ctx context.Context, since State, interval time.Duration) (State, error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := since
	for {
		select {
		case <-ctx.Done():
			return since, ctx.Err()
		case <-ticker.C:
		}
		now := s.State()
		if now != since && now == last {
			return now, nil
		}
		last = now
	}
}
