// Package fs shows a tree of immutable files to the kernel by FUSE. It knows no
// BitTorrent: a Tree answers what is where, a Handle answers what is inside.
//
//	process ── read(2) ──► kernel ── /dev/fuse ──► go-fuse ──► handlers ──► Tree, Handle
//	                         ▲                                   │
//	                         ├── writev of Reply.Slices ◄────────┘  then Reply.Done
//	                         └── Kernel: Entry, Gone, Invalidate    (a goroutine of its own)
//
// Three things keep it simple. Node ids are computed by the Tree and never used
// again, so there is no table of inodes here and Forget is nothing. Nothing but
// a READ, the opening of a directory and a Walk may wait, so one dead file never
// stops a listing. And bytes never change, so the kernel may cache them for ever.
//
// The process that serves a mount must not read files on it: with all its
// threads in the kernel nobody would be left to answer.
package fs

import (
	"context"
	"time"
)

// ID names a file or directory for ever: it is the FUSE node id and the inode
// number. An ID is never given to another file, in no later mount either.
type ID uint64

// Root is the directory that is mounted.
const Root ID = 1

// Attr is what stat(2) shows of a file, before the mount's masks and owner.
type Attr struct {
	ID    ID
	Mode  uint32    // syscall.S_IFREG, S_IFDIR or S_IFLNK and the permission bits
	Size  uint64    // bytes; below 2^63
	Links uint32    // 0 is shown as 1
	Mtime time.Time // the zero time is shown as 1970
	Ctime time.Time

	// Fixed tells that name and attributes never change, or that Kernel is told
	// of each change: the kernel may keep them for a year. Otherwise it asks
	// each time, for a directory at every path through it: a Root that is not
	// Fixed makes ls -l of 20,000 files ten times as long.
	Fixed bool
}

// Entry is a name in a directory.
type Entry struct {
	Name string // 1 to 255 bytes, without '/' and NUL, neither "." nor ".."
	Attr
}

// Statfs is what df(1) shows.
type Statfs struct {
	Size  uint64 // bytes of all files
	Free  uint64 // bytes that may still be stored
	Files uint64 // number of files
}

// Tree is what is mounted. Its methods are called by many goroutines at once
// and never wait for the network; OpenDir is the one exception, and Walk (walk.go).
//
// A syscall.Errno, alone or wrapped, reaches the application as it is
// (ENOENT for what is not there), the error of a context becomes EINTR, and
// every other error becomes EIO and a line in the log.
type Tree interface {
	// Lookup finds a name in a directory, listed or not. "." and ".." never come.
	Lookup(dir ID, name string) (Attr, error)
	// Attr is asked for ids of earlier mounts too: those that are no more are ENOENT.
	Attr(id ID) (Attr, error)
	// Parent is the directory of id; that of Root is Root.
	Parent(id ID) (ID, error)
	// OpenDir may wait, until ctx ends at most, until a directory can be listed to
	// the end. A directory that cannot is an error.
	OpenDir(ctx context.Context, id ID) error
	// List yields the entries of a directory after the place from, in the same
	// order always, without "." and "..", until yield returns false. Place 0 is
	// the start, next is the place after e: above 0, below 2^62, and valid
	// without an open directory, in another mount too.
	List(id ID, from uint64, yield func(next uint64, e Entry) bool) error
	// Link is the target of a symbolic link.
	Link(id ID) (string, error)
	// Open begins to read a regular file.
	Open(id ID) (Handle, error)
	Statfs() Statfs
}

// Holder is a Tree that is told what the kernel reads by itself, since an earlier
// process, and what is in the tree no more: its bytes must stay.
type Holder interface{ HoldGone(ID) }

// Handle is one open file. Read is called by many goroutines at once.
type Handle interface {
	// Read returns exactly n bytes from off, all inside the file, or an error:
	// a short reply in the middle of a file truncates the application's copy
	// without an error. Read may wait and must return soon after ctx ends,
	// which it does when the reader was interrupted or is gone, when the file is
	// closed and when the mount ends. It is not called for what the kernel reads
	// from a Backing.
	Read(ctx context.Context, off int64, n int, c Caller) (Reply, error)
	// Backing lends a plain file with the same bytes that the kernel may read by
	// itself, if there is one now.
	Backing() (b Backing, ok bool)
	// Hold is Backing of a file that the kernel reads by itself since an earlier
	// process: its bytes must stay, whatever is known of them. Its Fd is not asked.
	Hold() (b Backing, ok bool)
	// Close is called once, when no Read is running.
	Close()
}

// Backing is a plain file that is lent to the kernel. Until Close, which is called
// once, its bytes must be right and stay.
type Backing interface {
	Fd() int
	Close()
}

// Caller is the thread that reads.
type Caller struct {
	TID uint32 // 0: in a process that this one cannot see
	UID uint32
}

// Reply is the answer to a Read. Its slices are sent as they are, without a
// copy, and must not change until Done is called, once, when they are out.
type Reply struct {
	Slices [][]byte
	Done   func() // may be nil
}

func (r Reply) size() (n int) {
	for _, s := range r.Slices {
		n += len(s)
	}
	return n
}

func (r Reply) release() {
	if r.Done != nil {
		r.Done()
	}
}
