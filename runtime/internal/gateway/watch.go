package gateway

import (
	"context"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// watchPeriod is how often a watched artifact is looked at. Polling sees every
// kind of replacement on every kind of file system, network mounts and
// Kubernetes' symbolic links included, where notifications do not.
const watchPeriod = 500 * time.Millisecond

// fileID tells one state of a file from another without reading it. The zero
// value stands for a file that is not there.
type fileID struct {
	inode    uint64
	size     int64
	modified time.Time
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
		id.inode = s.Ino
	}
	return id
}

// watch calls changed, from this goroutine, each time that the file has come to
// be another than it was, beginning with last, and has kept still for one
// period: a file that is being copied in place is left alone until it is whole.
// A file that disappears is waited for. It returns when ctx is done.
func watch(ctx context.Context, path string, last fileID, changed func()) {
	t := time.NewTicker(watchPeriod)
	defer t.Stop()
	before := last
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := identify(path)
		if now != last && now == before && now != (fileID{}) {
			last = now
			changed()
		}
		before = now
	}
}
