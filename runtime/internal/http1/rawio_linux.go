package http1

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// A rawIO reads and writes a TCP connection with recvfrom and sendto, without
// telling the scheduler that a system call begins and ends: the socket does not
// block, so there is nothing to prepare for. That and the shorter way through
// the kernel save a twentieth of a request. Waiting, deadlines and closing stay
// with the net package.
type rawIO struct {
	raw   syscall.RawConn
	p     []byte
	n     int
	err   error
	recvf func(fd uintptr) bool
	sendf func(fd uintptr) bool
}

// A socket is both directions of a connection. It lies within what uses it:
// every pointer less to follow is felt.
type socket struct {
	reader rawReader
	writer rawWriter
}

// of returns the quickest reader of c and writer to it.
func (s *socket) of(c net.Conn) (io.Reader, io.Writer) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c, c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c, c
	}
	s.reader.raw, s.reader.recvf = raw, s.reader.recv
	s.writer.raw, s.writer.sendf = raw, s.writer.send
	return &s.reader, &s.writer
}

// A rawReader and a rawWriter are the two halves: a request may still be on its
// way while the answer is read.
type (
	rawReader struct{ rawIO }
	rawWriter struct{ rawIO }
)

// Read implements io.Reader.
func (r *rawReader) Read(p []byte) (int, error) {
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Read(r.recvf)
	r.p = nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

func (r *rawIO) recv(fd uintptr) bool {
	n, errno := recvfrom(fd, r.p)
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		r.err = errno
	case n == 0:
		r.err = io.EOF
	default:
		r.n = n
	}
	return true
}

// Write implements io.Writer.
func (r *rawWriter) Write(p []byte) (int, error) {
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Write(r.sendf)
	r.p = nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

func (r *rawIO) send(fd uintptr) bool {
	for r.n < len(r.p) {
		n, errno := sendto(fd, r.p[r.n:])
		switch errno {
		case 0:
			r.n += n
		case syscall.EAGAIN:
			return false
		default:
			r.err = errno
			return true
		}
	}
	return true
}

func recvfrom(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func sendto(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// readNow reads what is there, without waiting: syscall.EAGAIN if nothing is.
func readNow(fd uintptr, p []byte) (int, syscall.Errno) { return recvfrom(fd, p) }
