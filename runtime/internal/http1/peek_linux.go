package http1

import (
	"crypto/tls"
	"net"
	"syscall"
)

// rawConn returns what peekConn looks at, or nil.
func rawConn(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// peekConn looks whether the idle connection has something to read: an end, an
// error or bytes. None belongs there.
func (o *Outbound) peekConn() {
	if o.raw == nil {
		return
	}
	if err := o.raw.Read(o.peek); err != nil {
		o.stale = true
	}
}

func (o *Outbound) peekOnce(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	o.stale = err != syscall.EAGAIN
	return true
}
