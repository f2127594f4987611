//go:build !linux

package http1

import (
	"io"
	"net"
)

// rawReaderOf returns the quickest reader of c.
func rawReaderOf(c net.Conn) io.Reader { return c }

// rawWriterOf returns the quickest writer to c.
func rawWriterOf(c net.Conn) io.Writer { return c }
