package fs

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// blockSize is st_blksize: what cp(1) and cat(1) read at a time. It is the
	// kernel's own read-ahead window.
	blockSize = 128 << 10
	// unit is the unit of statfs. It is f_bsize and f_frsize both, because many
	// programs multiply by the wrong one of the two.
	unit = 4 << 10
	// longestName is NAME_MAX.
	longestName = 255
	// forever is how long the kernel keeps what is Fixed, in seconds.
	forever = 365 * 24 * 60 * 60
)

// nodes answers the kernel. What it does not answer is ENOSYS by the embedded
// default: the kernel then never asks again and does the right thing itself.
// That is wanted of
//   - LSEEK: SEEK_DATA and SEEK_HOLE see one run of data, so that tar -S and cp
//     take bytes that are not here yet for what they are, bytes to be read;
//   - ACCESS: default_permissions is always set.
type nodes struct {
	fuse.RawFileSystem
	tree   Tree
	opt    Options
	log    *slog.Logger
	files  files
	modes  modes
	waits  waits
	kept   *handles
	again  again
	sinks  sinks
	coming coming
	doing  atomic.Pointer[doing] // nil: nothing is done for show
}

// newNodes answers for t. Open files are written down in kept.
func newNodes(t Tree, o Options, kept *handles) *nodes {
	n := &nodes{RawFileSystem: fuse.NewDefaultRawFileSystem(), tree: t, opt: o, log: o.Log, kept: kept}
	n.files.init()
	n.modes.init(o.Log)
	n.waits.init(threadAlive)
	return n
}

// String is the name in go-fuse's log.
func (n *nodes) String() string { return subtype }

// Init is called before the first request.
func (n *nodes) Init(s *fuse.Server) { n.modes.serve(s) }

// status is the answer to the kernel for err.
func (n *nodes) status(op string, id ID, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		// ENOSYS would switch the operation off for the whole mount, and the
		// kernel refuses a reply with an error of 512 or more: the
		// application would wait for ever.
		if errno > 0 && errno < 512 && errno != syscall.ENOSYS {
			return fuse.Status(errno)
		}
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if n.waits.stopped() {
			// What the application would see a moment later anyway. EINTR
			// would make it try again.
			return fuse.Status(syscall.ENOTCONN)
		}
		return fuse.EINTR
	}
	n.log.Error("answered EIO", "op", op, "id", uint64(id), "err", err)
	return fuse.EIO
}

// panicked makes a panic in a handler an error of one request.
func (n *nodes) panicked(v any) fuse.Status {
	n.log.Error("panic in a handler, answered EIO", "panic", v, "stack", string(debug.Stack()))
	return fuse.EIO
}

// Lookup answers LOOKUP. "." and ".." come with a file handle of an earlier
// mount, from open_by_handle_at(2) or an NFS server.
func (n *nodes) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	id := ID(h.NodeId)
	var a Attr
	var err error
	switch name {
	case ".":
		a, err = n.tree.Attr(id)
	case "..":
		if id, err = n.tree.Parent(id); err == nil {
			a, err = n.tree.Attr(id)
		}
	default:
		a, err = n.lookup(cancel, h, name)
	}
	if err != nil {
		return n.status("lookup", id, err)
	}
	n.fillEntry(out, a)
	if n.coming.has(ID(h.NodeId), name) {
		out.EntryValid = 0
	}
	return fuse.OK
}

// GetAttr answers GETATTR.
func (n *nodes) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := n.tree.Attr(ID(in.NodeId))
	deed := n.deed(&in.InHeader)
	if was, ok := deed.attr(ID(in.NodeId)); ok && errors.Is(err, syscall.ENOENT) {
		a, err = was, nil
	}
	if err != nil {
		return n.status("getattr", ID(in.NodeId), err)
	}
	if a.Fixed {
		out.AttrValid = forever
	}
	n.fill(&out.Attr, a)
	if deed != nil {
		out.AttrValid, out.Mode = 0, writable(out.Mode) // nobody else is to see it
	}
	return fuse.OK
}

// Readlink answers READLINK.
func (n *nodes) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := n.tree.Link(ID(h.NodeId))
	return []byte(target), n.status("readlink", ID(h.NodeId), err)
}

// StatFs answers STATFS. No more than everything is shown as free: df(1) would
// show what is in use as a negative number.
func (n *nodes) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s := n.tree.Statfs()
	*out = fuse.StatfsOut{
		Blocks: s.Size/unit + min(1, s.Size%unit), Bsize: unit, Frsize: unit,
		Bfree: min(s.Free, s.Size) / unit, Bavail: min(s.Free, s.Size) / unit,
		Files: s.Files, NameLen: longestName,
	}
	return fuse.OK
}

// fillEntry leaves the generation 0: ids are never used again.
func (n *nodes) fillEntry(out *fuse.EntryOut, a Attr) {
	out.NodeId = uint64(a.ID)
	if a.Fixed {
		out.EntryValid, out.AttrValid = forever, forever
	}
	n.fill(&out.Attr, a)
}

func (n *nodes) fill(out *fuse.Attr, a Attr) {
	out.Ino, out.Size, out.Mode = uint64(a.ID), a.Size, n.opt.masked(a.Mode)
	// Never 0 for a file with bytes: tar -S would store it as a hole.
	out.Blocks = a.Size/512 + min(1, a.Size%512)
	out.Blksize = blockSize
	out.Nlink = max(1, a.Links)
	out.Uid, out.Gid = *n.opt.UID, *n.opt.GID
	out.Mtime, out.Mtimensec = seconds(a.Mtime)
	out.Ctime, out.Ctimensec = seconds(a.Ctime)
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
}

func seconds(t time.Time) (sec uint64, nsec uint32) {
	if t.IsZero() {
		return 0, 0
	}
	return uint64(t.Unix()), uint32(t.Nanosecond())
}
