package gateway

import (
	"syscall"
	"time"
)

// changedAt is when the file was last changed in any way. Unlike the time of its
// modification no program can set it.
func changedAt(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctim.Unix()) }
