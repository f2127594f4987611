//go:build unix

package http1

import (
	"io"
	"runtime"
	"syscall"
)

// canAwait: a unit is fetched only when there is something to read into it.
const canAwait = true

// canSplice: the kernel moves bytes between sockets.
const canSplice = runtime.GOOS == "linux"

// readFirst is called when the connection may be readable. It reads into a
// fresh unit; if nothing is there yet, the unit goes back and the call waits.
func (c *conn) readFirst(fd uintptr) bool {
	c.getUnit()
	for {
		n, err := readNow(fd, c.u.in.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.putUnit()
			return false
		case err != 0:
			c.gotErr = err
		case n == 0:
			c.gotErr = io.EOF
		default:
			c.u.in.w, c.got = n, n
		}
		return true
	}
}
