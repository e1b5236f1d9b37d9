package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The mount is read-only by these answers and not by a mount flag (unless asked):
// with the flag nothing could be shown by a deed (deed.go), and nothing written to an
// Inbox (inbox.go). A process that lacks the permission bits gets EACCES from the
// kernel before it comes here.

// Mknod answers MKNOD: nobody may.
func (n *nodes) Mknod(<-chan struct{}, *fuse.MknodIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

// Link answers LINK: nobody may.
func (n *nodes) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.EROFS
}

// Tmpfile answers TMPFILE: nobody may.
func (n *nodes) Tmpfile(<-chan struct{}, *fuse.CreateIn, *fuse.CreateOut) fuse.Status {
	return fuse.EROFS
}

// Mkdir answers MKDIR, which the hand alone may ask.
func (n *nodes) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	d := n.deed(&in.InHeader)
	if !d.may(n.tree, creates, in.NodeId, name, 0, "") {
		return fuse.EROFS
	}
	a, err := n.tree.Attr(d.id)
	if err != nil {
		return n.status("mkdir", d.id, err)
	}
	n.fillEntry(out, a)
	return fuse.OK
}

// Rmdir answers RMDIR, of the hand and of who writes to an Inbox.
func (n *nodes) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if n.deed(h).may(n.tree, removes, h.NodeId, name, 0, "") {
		return fuse.OK
	}
	return n.status("rmdir", ID(h.NodeId), n.inbox().Remove(ID(h.NodeId), name, true))
}

// renameExchange is RENAME_EXCHANGE of renameat2(2).
const renameExchange = 2

// Rename answers RENAME, of the hand and of who writes to an Inbox.
func (n *nodes) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, to string) fuse.Status {
	if in.Flags&renameExchange != 0 {
		return fuse.EROFS
	}
	if n.deed(&in.InHeader).may(n.tree, moves, in.NodeId, name, in.Newdir, to) {
		return fuse.OK
	}
	if in.Newdir != in.NodeId {
		return fuse.EROFS
	}
	return n.status("rename", ID(in.NodeId), n.inbox().Rename(ID(in.NodeId), name, to))
}

// writes tells whether an open(2) with these flags means to change the file.
func writes(flags uint32) bool { return flags&syscall.O_ACCMODE != syscall.O_RDONLY }
