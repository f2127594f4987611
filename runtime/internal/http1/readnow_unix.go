//go:build unix && !linux

package http1

import "syscall"

// readNow reads what is there, without waiting: syscall.EAGAIN if nothing is.
func readNow(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	errno, _ := err.(syscall.Errno)
	return n, errno
}
