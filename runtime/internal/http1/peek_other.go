//go:build !linux

package http1

import (
	"net"
	"syscall"
)

func rawConn(net.Conn) syscall.RawConn { return nil }

// peekConn cannot look without reading here: a connection that was closed
// silently shows when it is used.
func (o *Outbound) peekConn() {}

func (o *Outbound) peekOnce(uintptr) bool { return true }
