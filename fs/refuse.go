package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"
)

// Where things are in a request (fuse_in_header, fuse_release_in), and the
// operations that are not refused.
const (
	requestHeader = 40
	requestOpcode = 4
	requestUnique = 8
	releaseFh     = 40

	opForget      = 2
	opOpen        = 14
	opRelease     = 18
	opReleaseDir  = 29
	opInterrupt   = 36
	opBatchForget = 42
)

// Refuse answers whoever uses a mount that nobody serves with EIO, until ctx ends,
// which is no error, or the mount does, which is ENODEV. What is closed is closed.
func (c *Connection) Refuse(ctx context.Context) error {
	// The device is read through a descriptor of its own, which does not wait: one
	// that waits would take a request from who serves next.
	clone, err := c.clone(syscall.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer clone.Close()
	defer context.AfterFunc(ctx, func() { clone.SetReadDeadline(time.Now()) })()
	if err := c.resend(); err != nil {
		return err
	}
	kept := &handles{file: c.state}
	all, err := kept.read()
	if err != nil {
		return err
	}
	left := leftOpen{kept: kept, byNumber: map[uint64]place{}, byOpen: map[uint64]place{}}
	for at, o := range all {
		left.byNumber[o.fh], left.byOpen[o.unique] = at, at
	}
	b := make([]byte, longestRequest+statePage)
	for {
		n, err := clone.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EINTR):
			continue // who asked has gone
		case errors.Is(err, syscall.ENODEV):
			return syscall.ENODEV
		case err != nil:
			return err
		}
		if answer := refusal(b[:n], left); answer != nil {
			_, _ = clone.Write(answer) // who asked may have gone
		}
	}
}

// leftOpen is what an earlier process had written down as open: by the kernel's number
// of it, and by that of its OPEN.
type leftOpen struct {
	kept             *handles
	byNumber, byOpen map[uint64]place
}

// drop is that one of them is not open, or not any more.
func (l leftOpen) drop(by map[uint64]place, number uint64) {
	l.kept.drop(by[number])
	delete(by, number)
}

// refusal is the answer to a request: nil where none is expected.
func refusal(request []byte, left leftOpen) []byte {
	if len(request) < requestHeader {
		return nil
	}
	errno := -int32(syscall.EIO)
	switch binary.NativeEndian.Uint32(request[requestOpcode:]) {
	case opForget, opBatchForget, opInterrupt:
		return nil
	case opOpen: // who had written it down has died before it could say so
		left.drop(left.byOpen, binary.NativeEndian.Uint64(request[requestUnique:])&^resent)
	case opRelease:
		if len(request) >= releaseFh+8 {
			left.drop(left.byNumber, binary.NativeEndian.Uint64(request[releaseFh:]))
		}
		errno = 0
	case opReleaseDir:
		errno = 0
	}
	answer := make([]byte, 16) // fuse_out_header: length, error, unique
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	binary.NativeEndian.PutUint32(answer[4:], uint32(errno))
	copy(answer[8:], request[requestUnique:requestUnique+8])
	return answer
}
