//go:build !unix

package http1

const (
	canAwait  = false
	canSplice = false
)

func (c *conn) readFirst(uintptr) bool { return true }
