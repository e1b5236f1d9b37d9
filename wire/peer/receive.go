package peer

import (
	"io"
	"os"
	"syscall"

	"bipfs/wire"
)

// receiver reads a socket of the kernel's. It does two things that a net.Conn does
// not: the rest of a block and the head behind it come in one system call, and
// somebody is told when there is nothing to read for now.
type receiver struct {
	raw   syscall.RawConn
	waits func() error // called before it waits for more; its error is that of the read

	into, behind []byte // the bytes read go here, and those that come behind them
	try          func(fd uintptr) bool
	n            int
	err          error
	iovecs       [2]syscall.Iovec
	room         [wire.HeadSize]byte // of behind
}

// init takes over a socket; ok is false if it is none of the kernel's.
func (r *receiver) init(c any, waits func() error) (ok bool) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	r.raw, r.waits, r.try = raw, waits, r.attempt
	return true
}

// read is Read of a net.Conn, and what came behind p, which is valid until the next
// call. There is none unless p is full, and longer than a head.
func (r *receiver) read(p []byte) (n int, behind []byte, err error) {
	r.into, r.behind, r.n, r.err = p, nil, 0, nil
	if len(p) > len(r.room) {
		r.behind = r.room[:]
	}
	err = r.raw.Read(r.try)
	r.into = nil
	switch {
	case err != nil:
		return 0, nil, err
	case r.err != nil:
		return 0, nil, r.err
	case r.n == 0 && len(p) > 0:
		return 0, nil, io.EOF
	case r.n > len(p):
		return len(p), r.room[:r.n-len(p)], nil
	}
	return r.n, nil, nil
}

// attempt reads once; false: it is to be called again when there is something.
func (r *receiver) attempt(fd uintptr) bool {
	for {
		n, err := readVector(int(fd), &r.iovecs, r.into, r.behind)
		switch err {
		case nil:
			r.n = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			r.err = r.waits()
			return r.err != nil
		default:
			r.err = os.NewSyscallError("read", err)
			return true
		}
	}
}
