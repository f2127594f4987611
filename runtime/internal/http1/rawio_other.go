//go:build !linux

package http1

import (
	"io"
	"net"
)

// A socket is both directions of a connection.
type socket struct{}

// of returns the quickest reader of c and writer to it.
func (s *socket) of(c net.Conn) (io.Reader, io.Writer) { return c, c }
