package fs

import (
	"context"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Inbox is what a Tree may be besides: one that takes what is written to some of its
// directories. All else is EROFS, which is what it answers for it.
//
//	open, create ──▶ Sink ──write(2)──▶ Write ──close(2), fsync(2)──▶ Flush ──last close──▶ Close
//	                                      └── error                     └── error
//
// The kernel has checked the permission bits before.
type Inbox interface {
	// Create makes a regular file.
	Create(dir ID, name string) (Attr, Sink, error)
	// Sink begins to write to a file that is there.
	Sink(id ID) (Sink, error)
	// Symlink makes a symbolic link.
	Symlink(dir ID, name, target string) (Attr, error)
	// Rename gives a name in a directory to what has another one there.
	Rename(dir ID, from, to string) error
	// Remove takes a name from a directory; folder tells rmdir(2) from unlink(2).
	Remove(dir ID, name string, folder bool) error
	// Change is asked for new attributes. Whether they are taken is not said.
	Change(id ID) (Attr, error)
}

// Sink takes what is written to one open file. Its methods are called by many
// goroutines at once. What takes long ends soon after ctx does.
type Sink interface {
	// Write takes bytes, which are not the Sink's afterwards.
	Write(ctx context.Context, off int64, b []byte) error
	// Flush may be called more than once, also before the last Write.
	Flush(ctx context.Context) error
	// Close is the end; nobody waits for it.
	Close()
}

// Text is a Handle of a file whose bytes are made when it is opened. Its Attr has no
// size, and the kernel keeps nothing of it.
type Text []byte

// Read implements Handle.
func (t Text) Read(_ context.Context, off int64, n int, _ Caller) (Reply, error) {
	return Reply{Slices: [][]byte{t[off : off+int64(n)]}}, nil
}

// Backing implements Handle.
func (t Text) Backing() (Backing, bool) { return nil, false }

// Hold implements Handle.
func (t Text) Hold() (Backing, bool) { return nil, false }

// Close implements Handle.
func (t Text) Close() {}

// sinks are the files that are open to be written to, by the kernel's number.
type sinks struct {
	mu   sync.Mutex
	open map[uint64]Sink
}

func (ss *sinks) put(fh uint64, s Sink) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.open == nil {
		ss.open = map[uint64]Sink{}
	}
	ss.open[fh] = s
}

func (ss *sinks) get(fh uint64) Sink {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.open[fh]
}

func (ss *sinks) take(fh uint64) Sink {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.open[fh]
	delete(ss.open, fh)
	return s
}

// closeAll closes what the kernel did not.
func (ss *sinks) closeAll() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.open {
		s.Close()
	}
	clear(ss.open)
}

// inbox is the Tree as an Inbox; one that is none takes nothing.
func (n *nodes) inbox() Inbox {
	if in, ok := n.tree.(Inbox); ok {
		return in
	}
	return sealed{}
}

// sealed is an Inbox that takes nothing.
type sealed struct{}

func (sealed) Create(ID, string) (Attr, Sink, error)    { return Attr{}, nil, syscall.EROFS }
func (sealed) Sink(ID) (Sink, error)                    { return nil, syscall.EROFS }
func (sealed) Symlink(ID, string, string) (Attr, error) { return Attr{}, syscall.EROFS }
func (sealed) Rename(ID, string, string) error          { return syscall.EROFS }
func (sealed) Remove(ID, string, bool) error            { return syscall.EROFS }
func (sealed) Change(ID) (Attr, error)                  { return Attr{}, syscall.EROFS }

// Create answers CREATE. The kernel keeps no bytes of what is written: each write(2)
// is a WRITE, and its error is that of write(2).
func (n *nodes) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	a, s, err := n.inbox().Create(ID(in.NodeId), name)
	if err != nil {
		return n.status("create", ID(in.NodeId), err)
	}
	n.fillEntry(&out.EntryOut, a)
	n.openSink(s, &out.OpenOut)
	return fuse.OK
}

func (n *nodes) openSink(s Sink, out *fuse.OpenOut) {
	out.Fh, out.OpenFlags = n.files.number(), fuse.FOPEN_DIRECT_IO
	n.sinks.put(out.Fh, s)
}

// Symlink answers SYMLINK.
func (n *nodes) Symlink(_ <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	a, err := n.inbox().Symlink(ID(h.NodeId), name, target)
	if err == nil {
		n.fillEntry(out, a)
	}
	return n.status("symlink", ID(h.NodeId), err)
}

// Unlink answers UNLINK.
func (n *nodes) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return n.status("unlink", ID(h.NodeId), n.inbox().Remove(ID(h.NodeId), name, false))
}

// SetAttr answers SETATTR.
func (n *nodes) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := n.inbox().Change(ID(in.NodeId))
	if err == nil {
		n.fill(&out.Attr, a)
	}
	return n.status("setattr", ID(in.NodeId), err)
}

// Write answers WRITE: all of it or an error.
func (n *nodes) Write(cancel <-chan struct{}, in *fuse.WriteIn, b []byte) (uint32, fuse.Status) {
	s := n.sinks.get(in.Fh)
	if s == nil {
		return 0, fuse.EROFS
	}
	if int64(in.Offset) < 0 {
		return 0, fuse.EINVAL
	}
	w := n.waits.begin(cancel, in.Pid, nil)
	defer n.waits.end(w)
	if err := s.Write(w, int64(in.Offset), b); err != nil {
		return 0, n.status("write", ID(in.NodeId), err)
	}
	return uint32(len(b)), fuse.OK
}

// Flush answers FLUSH, which kernels from 5.16 ask only for what is written.
func (n *nodes) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return n.flush(cancel, &in.InHeader, in.Fh)
}

// Fsync answers FSYNC.
func (n *nodes) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return n.flush(cancel, &in.InHeader, in.Fh)
}

func (n *nodes) flush(cancel <-chan struct{}, h *fuse.InHeader, fh uint64) fuse.Status {
	s := n.sinks.get(fh)
	if s == nil {
		return fuse.OK
	}
	w := n.waits.begin(cancel, h.Pid, nil)
	defer n.waits.end(w)
	return n.status("flush", ID(h.NodeId), s.Flush(w))
}
