package diskcache

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// system is the real file system.
type system struct{}

func (system) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o700) }
func (system) Rename(from, to string) error { return os.Rename(from, to) }

// OpenFile is open(2), not os.OpenFile: regular files need no poller.
func (system) OpenFile(name string, flag int, perm os.FileMode) (Handle, error) {
	for {
		fd, err := unix.Open(name, flag|unix.O_CLOEXEC|unix.O_NOFOLLOW, uint32(perm.Perm()))
		switch err {
		case nil:
			return &file{fd, name}, nil
		case unix.EINTR:
			continue
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
}

func (system) Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// usedBatch is how many files of a folder are looked at at a time.
const usedBatch = 1024

func (system) Used(dir string) (n int64, err error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for err == nil {
		var entries []os.DirEntry
		entries, err = f.ReadDir(usedBatch)
		for _, e := range entries {
			if _, numbered := strconv.ParseUint(e.Name(), 10, 32); numbered != nil || !e.Type().IsRegular() {
				continue // it is not ours
			}
			var s unix.Stat_t
			if err := unix.Fstatat(int(f.Fd()), e.Name(), &s, unix.AT_SYMLINK_NOFOLLOW); err == nil { // or it has gone
				n += int64(s.Blocks) * 512
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

type file struct {
	fd   int
	name string
}

// mostVectors is IOV_MAX.
const mostVectors = 1024

func (f *file) vector(op string, call func(int, [][]byte, int64) (int, error), bufs [][]byte, off int64) (int, error) {
	if len(bufs) > mostVectors {
		bufs = bufs[:mostVectors]
	}
	for {
		n, err := call(f.fd, bufs, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return max(0, n), &os.PathError{Op: op, Path: f.name, Err: err}
		}
		return n, nil
	}
}

func (f *file) Preadv(bufs [][]byte, off int64) (int, error) {
	return f.vector("read", preadv, bufs, off)
}

func (f *file) Pwritev(bufs [][]byte, off int64) (int, error) {
	return f.vector("write", pwritev, bufs, off)
}

func (f *file) path(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.name, Err: err}
}

func (f *file) Sync() error               { return f.path("sync", syncData(f.fd)) }
func (f *file) Truncate(size int64) error { return f.path("truncate", unix.Ftruncate(f.fd, size)) }
func (f *file) Close() error              { return f.path("close", unix.Close(f.fd)) }
func (f *file) Fd() int                   { return f.fd }

func (f *file) Punch(off, n int64) error {
	for {
		err := punchHole(f.fd, off, n)
		if err != unix.EINTR {
			return f.path("punch a hole in", err)
		}
	}
}

func (f *file) Stamp() (Stamp, error) {
	var s unix.Stat_t
	err := unix.Fstat(f.fd, &s)
	return Stamp{Inode: s.Ino, Size: s.Size, Mtime: s.Mtim.Nano(), Ctime: s.Ctim.Nano()}, f.path("stat", err)
}

// bootID tells one run of the machine from the next. Without /proc it is zero,
// which no record has: then no mark is taken for one of this run.
func bootID() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id
	}
	b = bytes.ReplaceAll(bytes.TrimSpace(b), []byte("-"), nil)
	if len(b) == 2*len(id) {
		_, _ = hex.Decode(id[:], b) // what is no id leaves zeros or part of one
	}
	return id
}
