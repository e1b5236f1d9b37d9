package diskcache

import "os"

// FS is the file system as the store needs it. Tests put faults into it; the
// errors are those of package os or golang.org/x/sys/unix (errors.Is finds the
// errno).
type FS interface {
	MkdirAll(dir string) error
	OpenFile(name string, flag int, perm os.FileMode) (Handle, error)
	Rename(from, to string) error
	Free(dir string) (int64, error) // bytes that may still be used
	Used(dir string) (int64, error) // bytes that the numbered files in a folder take; 0 without one
}

// Handle is an open file of an FS. Its methods may be called at the same time.
type Handle interface {
	// Preadv fills bufs from off on; fewer bytes mean the end of the file.
	Preadv(bufs [][]byte, off int64) (int, error)
	// Pwritev writes bufs at off; it may write fewer bytes.
	Pwritev(bufs [][]byte, off int64) (int, error)
	Sync() error
	Stamp() (Stamp, error)
	Truncate(size int64) error
	// Punch gives the space of n bytes from off on back to the file system: they
	// are zeros then. The length stays. Both are multiples of Page.
	Punch(off, n int64) error
	Fd() int // for the kernel
	Close() error
}
