package gateway

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// watchPeriod is how often watched files are looked at. Polling sees every
// kind of replacement on every kind of file system, network mounts and
// Kubernetes' symbolic links included, where notifications do not.
const watchPeriod = 500 * time.Millisecond

// fileID tells one state of a file from another without reading it. The zero
// value stands for a file that is not there.
type fileID struct {
	inode    uint64
	size     int64
	modified time.Time
	changed  time.Time // by the system's clock, whatever a program says; zero where it is not known
}

func identify(path string) fileID {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}
	}
	return identityOf(info)
}

func identityOf(info fs.FileInfo) fileID {
	id := fileID{size: info.Size(), modified: info.ModTime()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode, id.changed = s.Ino, changedAt(s)
	}
	return id
}

// identifyAll is identify for files that are read together.
func identifyAll(paths []string) []fileID {
	ids := make([]fileID, len(paths))
	for i, path := range paths {
		ids[i] = identify(path)
	}
	return ids
}

// unlessFresh is what watch may begin with if the files are about to be read at
// once: one that has just been written may be written again within the same tick of
// the file system's clock, and is looked at once more.
func unlessFresh(ids []fileID, now time.Time) []fileID {
	for _, id := range ids {
		if now.Sub(id.modified) < 2*watchPeriod || now.Sub(id.changed) < 2*watchPeriod {
			return nil
		}
	}
	return ids
}

// watch calls changed, from this goroutine, each time that one of the files has
// come to be another than it was, beginning with last, and all have kept still for
// one period: files that are being copied in place, or one after the other, are
// left alone until they are whole. One that disappears is waited for. It returns
// when ctx is done.
func watch(ctx context.Context, paths []string, last []fileID, changed func()) {
	t := time.NewTicker(watchPeriod)
	defer t.Stop()
	before := last
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := identifyAll(paths)
		if !slices.Equal(now, last) && slices.Equal(now, before) && !slices.Contains(now, fileID{}) {
			last = now
			changed()
		}
		before = now
	}
}
