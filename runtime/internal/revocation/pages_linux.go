package revocation

import (
	"syscall"
	"unsafe"
)

// hugePages asks for large pages for a large table: the translations of a table in
// small ones are more than a processor remembers, and looking them up takes as
// long as the look-up itself. It is a wish; whether it comes true is for the
// system to decide, and nothing depends on it.
func hugePages(t []bucket) {
	const huge = 2 << 20
	from := (uintptr(unsafe.Pointer(&t[0])) + huge - 1) &^ (huge - 1)
	to := (uintptr(unsafe.Pointer(&t[0])) + uintptr(len(t))*unsafe.Sizeof(t[0])) &^ (huge - 1)
	if from < to {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_HUGEPAGE)
	}
}
