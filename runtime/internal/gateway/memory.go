package gateway

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory makes the garbage collector work harder before the kernel kills
// the process for exceeding its control group's memory limit. An operator who
// sets GOMEMLIMIT knows better. It returns the limit set, 0 for none.
//
// GOGC stays at Go's default: requests do not allocate on their usual way, so
// the heap grows with connections and not with traffic, and a smaller heap
// would buy nothing.
func limitMemory(environ func(string) string, root string) int64 {
	if environ("GOMEMLIMIT") != "" {
		return 0
	}
	least := cgroupLimit(root)
	if least <= 0 {
		return 0
	}
	// The rest is for what the limit of the runtime does not cover: the
	// kernel's socket buffers are the group's as well.
	limit := least / 10 * 9
	debug.SetMemoryLimit(limit)
	return limit
}

// cgroupLimit is the smallest memory limit on the way from the process's
// control group (version 2) to the root, 0 if there is none.
func cgroupLimit(root string) (least int64) {
	self, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(self)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for dir := filepath.Clean("/" + group); ; dir = filepath.Dir(dir) {
			if b, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup", dir, "memory.max")); err == nil {
				n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // or "max"
				if err == nil && n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}
