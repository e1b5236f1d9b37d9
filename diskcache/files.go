package diskcache

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostFiles is the number of data files that are kept open.
const mostFiles = 128

// files keeps data files open, those used last, for all torrents.
type files struct {
	fs FS

	mu      sync.Mutex
	open    map[fileKey]*openFile
	opening map[fileKey]bool // somebody is about to put it into open
	opened  sync.Cond
	// Users' order: the least recently used first. Few enough to move about.
	order []*openFile
}

func newFiles(fs FS) *files {
	f := &files{fs: fs, open: map[fileKey]*openFile{}, opening: map[fileKey]bool{}}
	f.opened.L = &f.mu
	return f
}

type fileKey struct {
	torrent uint32
	number  int
}

type openFile struct {
	Handle
	key      fileKey
	writable bool
	users    int
	gone     bool // out of the table: the last user closes it
}

// get opens a data file. For writing it is made, sparse and of its full
// length, if it is not there.
func (fs *files) get(t *Torrent, number int, write bool) (*openFile, error) {
	key := fileKey{t.id, number}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for {
		if f := fs.open[key]; f != nil && (f.writable || !write) {
			f.users++
			fs.touch(f)
			return f, nil
		}
		if !fs.opening[key] {
			break
		}
		fs.opened.Wait()
	}
	for len(fs.order) >= mostFiles && fs.closeOldest() {
	}
	fs.opening[key] = true
	fs.mu.Unlock() // the disk may take its time
	f, err := fs.create(t, number, write)
	fs.mu.Lock()
	delete(fs.opening, key)
	fs.opened.Broadcast()
	if err != nil {
		return nil, err
	}
	if old := fs.open[key]; old != nil {
		fs.remove(old) // it was open for reading only
	}
	f.key, f.users = key, 1
	fs.open[key] = f
	fs.order = append(fs.order, f)
	return f, nil
}

func (fs *files) create(t *Torrent, number int, write bool) (*openFile, error) {
	name := t.dataFile(number)
	flag := os.O_RDWR
	if write {
		flag |= os.O_CREATE
	}
	f, err := fs.openFile(name, flag)
	if write && errors.Is(err, os.ErrNotExist) {
		if err = fs.fs.MkdirAll(filepath.Dir(name)); err == nil {
			f, err = fs.openFile(name, flag)
		}
	}
	if !write && (errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)) {
		f, err = fs.openFile(name, os.O_RDONLY)
		return &openFile{Handle: f}, err
	}
	if err != nil || !write {
		return &openFile{Handle: f, writable: true}, err
	}
	now, err := f.Stamp()
	if err == nil && now.Size != t.spec.Files[number].Length {
		err = f.Truncate(t.spec.Files[number].Length)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &openFile{Handle: f, writable: true}, nil
}

// openFile opens a file; out of descriptors it closes others.
func (fs *files) openFile(name string, flag int) (Handle, error) {
	for {
		f, err := fs.fs.OpenFile(name, flag, 0o600)
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			return f, err
		}
		fs.mu.Lock()
		closed := fs.closeOldest()
		fs.mu.Unlock()
		if !closed {
			return f, err
		}
	}
}

func (fs *files) touch(f *openFile) {
	for i, other := range fs.order {
		if other == f {
			copy(fs.order[i:], fs.order[i+1:])
			fs.order[len(fs.order)-1] = f
			return
		}
	}
}

// closeOldest closes the file that nobody uses for the longest time.
func (fs *files) closeOldest() bool {
	for _, f := range fs.order {
		if f.users == 0 {
			fs.remove(f)
			return true
		}
	}
	return false
}

func (fs *files) remove(f *openFile) {
	delete(fs.open, f.key)
	for i, other := range fs.order {
		if other == f {
			fs.order = append(fs.order[:i], fs.order[i+1:]...)
			break
		}
	}
	f.gone = true
	if f.users == 0 {
		f.Close()
	}
}

func (fs *files) put(f *openFile) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.users--
	if f.gone && f.users == 0 {
		f.Close()
	}
}

// leave closes the files of a torrent.
func (fs *files) leave(torrent uint32) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := len(fs.order) - 1; i >= 0; i-- {
		if fs.order[i].key.torrent == torrent {
			fs.remove(fs.order[i])
		}
	}
}

func (t *Torrent) dataFile(number int) string {
	return filepath.Join(t.spec.Dir, "data", strconv.Itoa(number))
}

// fileAt is the number of the file that holds byte off of the torrent. Empty
// files hold none.
func (t *Torrent) fileAt(off int64) int {
	low, high := 0, len(t.starts)-1
	for low < high {
		mid := (low + high + 1) / 2
		if t.starts[mid] <= off {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

// write stores bufs, which lie in a row from byte off of the torrent on, and
// notes which files have to be synced. Pads are not stored.
func (t *Torrent) write(off int64, bufs [][]byte) error {
	return t.each(off, bufs, func(number int, at int64, part [][]byte) error {
		if t.spec.Files[number].Pad {
			return nil
		}
		f, err := t.disk.files.get(t, number, true)
		if err != nil {
			return err
		}
		defer t.disk.files.put(f)
		defer t.beginWrite(number, f)()
		for row := range slices.Chunk(part, mostRow) {
			if err := writeVector(f, row, at); err != nil {
				return err
			}
			for _, b := range row {
				at += int64(len(b))
			}
		}
		return nil
	})
}

// read fills bufs from the store, from byte off of the torrent on. Pads are
// zeros. A file that is too short is io.ErrUnexpectedEOF.
func (t *Torrent) read(off int64, bufs [][]byte) error {
	return t.each(off, bufs, func(number int, at int64, part [][]byte) error {
		if t.spec.Files[number].Pad {
			for _, b := range part {
				clear(b)
			}
			return nil
		}
		f, err := t.disk.files.get(t, number, false)
		if err != nil {
			return err
		}
		defer t.disk.files.put(f)
		t.beginRead(number, f)
		for len(part) > 0 {
			n, err := f.Preadv(part, at)
			if err != nil {
				return err
			}
			if n == 0 {
				return io.ErrUnexpectedEOF
			}
			_, part = cut(part, int64(n))
			at += int64(n)
		}
		return nil
	})
}

// each calls do for every file that the bytes from off on lie in.
func (t *Torrent) each(off int64, bufs [][]byte, do func(number int, at int64, part [][]byte) error) error {
	for number := t.fileAt(off); len(bufs) > 0; number++ {
		at := off - t.starts[number]
		left := t.spec.Files[number].Length - at
		if left <= 0 {
			continue
		}
		part, rest := cut(bufs, left)
		if err := do(number, at, part); err != nil {
			return err
		}
		bufs = rest
		for _, b := range part {
			off += int64(len(b))
		}
	}
	return nil
}

// cut divides a vector after n bytes. Empty parts are nil.
func cut(bufs [][]byte, n int64) (head, tail [][]byte) {
	for i, b := range bufs {
		if n >= int64(len(b)) {
			n -= int64(len(b))
			continue
		}
		if n == 0 {
			return bufs[:i:i], bufs[i:]
		}
		head = append(bufs[:i:i], b[:n])
		tail = append([][]byte{b[n:]}, bufs[i+1:]...)
		return head, tail
	}
	return bufs, nil
}

// fleeting reports whether an error may be gone in a moment: another program
// has the file locked, descriptors are short.
func fleeting(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.EBUSY, unix.EAGAIN, unix.EACCES, unix.EMFILE, unix.ENFILE, unix.EINTR, unix.ETXTBSY:
		return true
	}
	return false
}

// full reports whether an error says that there is no room in the store.
func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, errKeepFree) || errors.Is(err, errBound)
}

var errKeepFree = errors.New("storing would leave less free space than is to be kept")
