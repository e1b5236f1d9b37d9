package fs

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// leaveTime is how long requests under way get to be answered by who leaves;
// lastLeaveTime where the kernel cannot send them to the next.
const (
	leaveTime     = 250 * time.Millisecond
	lastLeaveTime = 5 * time.Second
)

// Leave ends the server and leaves the mount to the next process:
//
//	no request is read any more ──▶ those under way are answered, for leaveTime
//	 ──▶ what still waits is answered to nobody, and ends ──▶ all is closed
//
// The kernel sends what nobody has answered to the process that comes next, if
// somebody holds the connection until then. After an error the mount is as dead as
// after a crash.
func (s *Server) Leave(ctx context.Context) error {
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // reads of it fail
	if err != nil {
		return err
	}
	defer nobody.Close()
	s.leaving.Store(true)
	patience := leaveTime
	if !s.conn.resends() {
		patience = lastLeaveTime
	}
	device, err := s.conn.served.SyscallConn()
	for began := time.Now(); err == nil; {
		// The threads that sleep in a read of the device are woken, as by abort.
		err = device.Control(func(fd uintptr) { syscall.SetNonblock(int(fd), true) })
		wakeThreads()
		if s.ended(ctx, retry) {
			return nil
		}
		if time.Since(began) > patience {
			// What waits keeps go-fuse's loop, which keeps its descriptor: it
			// is not another's yet.
			s.nodes.waits.cut(func() { err = unix.Dup3(int(nobody.Fd()), s.fd, unix.O_CLOEXEC) })
		}
		if time.Since(began) > patience+abortTime || ctx.Err() != nil {
			return fmt.Errorf("%s is still served", s.dir)
		}
	}
	if s.ended(ctx, retry) {
		return nil // it was unmounted meanwhile
	}
	return err
}

// leave undoes Open for this process: the kernel, and the process that comes next,
// have the file open still.
func (n *nodes) leave(id ID, f *file) {
	if f.counted {
		n.modes.leave(id, f.passing)
	}
	f.handle.Close()
}

// again is what an earlier process has left.
type again struct {
	stop  context.CancelFunc // of prove
	mu    sync.Mutex
	opens map[uint64]opened // by the number of OPEN: some may come again
}

// resume opens what an earlier process had open.
func (n *nodes) resume() error {
	all, err := n.kept.read()
	if err != nil {
		return err
	}
	n.again.opens = map[uint64]opened{}
	var unsure []ID // the kernel reads them, and their Backing cannot be had yet
	for at, o := range all {
		f, err := n.newFile(o.node)
		if err != nil {
			n.log.Warn("an open file cannot be opened again", "id", uint64(o.node), "err", err)
			f = &file{handle: absent{err}, size: math.MaxInt64}
		}
		f.counted, f.passing, f.kept = true, o.pass, at
		n.modes.resume(o.node, o.pass, o.back)
		n.files.put(o.node, o.fh, f)
		n.again.opens[o.unique] = o
		if o.pass && !n.modes.lend(o.node, f.handle) {
			unsure = append(unsure, o.node)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	n.again.stop = stop
	if len(unsure) > 0 {
		n.waits.running.Go(func() { n.prove(ctx, unsure) })
	}
	return nil
}

// prove reads the files that the kernel reads by itself, and that the process which
// lent them was killed too soon to vouch for, until they can be lent by this one.
func (n *nodes) prove(ctx context.Context, files []ID) {
	for _, id := range files {
		if err := n.proveFile(ctx, id); err != nil && ctx.Err() == nil {
			n.log.Error("a file that the kernel reads by itself could not be looked at", "id", uint64(id), "err", err)
		}
	}
}

func (n *nodes) proveFile(ctx context.Context, id ID) error {
	f, err := n.newFile(id)
	if err != nil {
		return err
	}
	defer f.handle.Close()
	for off := uint64(0); off < f.size; off += longestRequest {
		if n.modes.lend(id, f.handle) {
			return nil
		}
		reply, err := f.handle.Read(ctx, int64(off), int(min(longestRequest, f.size-off)), Caller{})
		if err != nil {
			return err
		}
		reply.release()
	}
	n.modes.lend(id, f.handle)
	return nil
}

// opened answers an OPEN that an earlier process had handled, and died before it
// could say so.
func (n *nodes) opened(unique uint64, out *fuse.OpenOut) bool {
	n.again.mu.Lock()
	defer n.again.mu.Unlock()
	o, ok := n.again.opens[unique&^resent]
	if !ok {
		return false
	}
	delete(n.again.opens, unique&^resent)
	out.Fh, out.OpenFlags = o.fh, fuse.FOPEN_KEEP_CACHE
	if o.pass {
		out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH, o.back
	}
	return true
}

// absent is an open file that is here no more.
type absent struct{ err error }

// Read implements Handle.
func (a absent) Read(context.Context, int64, int, Caller) (Reply, error) { return Reply{}, a.err }

// Backing implements Handle.
func (a absent) Backing() (Backing, bool) { return nil, false }

// Close implements Handle.
func (a absent) Close() {}
