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
// have the file open still. What is lent stays lent until this process ends: the
// kernel reads it.
func (n *nodes) leave(_ ID, f *file) { f.handle.Close() }

// again is what an earlier process has left.
type again struct {
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
	for at, o := range all {
		f, err := n.newFile(o.node)
		if err != nil {
			n.log.Warn("an open file cannot be opened again", "id", uint64(o.node), "err", err)
			f = &file{handle: absent{err}, size: math.MaxInt64}
			if h, ok := n.tree.(Holder); ok && o.pass {
				h.HoldGone(o.node)
			}
		}
		if n.files.put(o.node, o.fh, f) != f { // no process writes that: it is damaged
			f.handle.Close()
			n.kept.drop(at)
			continue
		}
		f.counted, f.passing, f.kept = true, o.pass, at
		if held := n.modes.resume(o.node, f.handle, o.pass, o.back); !held && err == nil {
			n.log.Error("a file that the kernel reads by itself cannot be held", "id", uint64(o.node))
		}
		n.again.opens[o.unique] = o
	}
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
	out.OpenFlags |= fuse.FOPEN_NOFLUSH
	return true
}

// absent is an open file that is here no more.
type absent struct{ err error }

// Read implements Handle.
func (a absent) Read(context.Context, int64, int, Caller) (Reply, error) { return Reply{}, a.err }

// Backing implements Handle.
func (a absent) Backing() (Backing, bool) { return nil, false }

// Hold implements Handle.
func (a absent) Hold() (Backing, bool) { return nil, false }

// Close implements Handle.
func (a absent) Close() {}
