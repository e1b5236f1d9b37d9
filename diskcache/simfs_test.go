package diskcache

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// simFS is a file system in memory that can fail, freeze, fill up, be copied
// as a kill -9 leaves it, and be cut off the power.
type simFS struct {
	mu     sync.Mutex
	files  map[string]*simFile
	ops    int
	fault  func(n int, op, name string) error // asked before operation n, from 1
	frozen chan struct{}                      // operations on handles wait for its end
	size   int64                              // bytes of the file system; 0: no end
	open   int

	descriptors int // most that may be open; 0: no bound
	mostOpen    int
}

type simFile struct {
	data    []byte
	durable []byte
	writes  []simWrite  // since the last sync
	pages   map[int]int // 4 KiB pages in use
	changes int64       // how often it was changed
}

type simWrite struct {
	off  int64
	data []byte
}

func newSimFS() *simFS { return &simFS{files: map[string]*simFile{}} }

const errShort = unix.Errno(0xfff) // a fault that is a short write, no error

func (s *simFS) begin(op, name string) error {
	s.mu.Lock()
	s.ops++
	n, frozen, fault := s.ops, s.frozen, s.fault
	s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if fault != nil {
		if err := fault(n, op, name); err != nil {
			if err == errShort {
				return err
			}
			return &os.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

func (s *simFS) freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	s.frozen = c
	return func() {
		s.mu.Lock()
		s.frozen = nil
		s.mu.Unlock()
		close(c)
	}
}

func (s *simFS) MkdirAll(dir string) error { return real(s.begin("mkdir", dir)) }

// real turns a short write where there is none into success.
func real(err error) error {
	if err == errShort {
		return nil
	}
	return err
}

func (s *simFS) OpenFile(name string, flag int, _ os.FileMode) (Handle, error) {
	if err := real(s.begin("open", name)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	if f == nil {
		isDir := slices.ContainsFunc(keys(s.files), func(n string) bool { return strings.HasPrefix(n, name+"/") })
		if flag&os.O_CREATE == 0 && !isDir {
			return nil, &os.PathError{Op: "open", Path: name, Err: unix.ENOENT}
		}
		f = &simFile{pages: map[int]int{}}
		if !isDir {
			s.files[name] = f
		}
	}
	if s.descriptors > 0 && s.open >= s.descriptors {
		return nil, &os.PathError{Op: "open", Path: name, Err: unix.EMFILE}
	}
	s.open++
	s.mostOpen = max(s.mostOpen, s.open)
	return &simHandle{fs: s, f: f, name: name}, nil
}

func keys(m map[string]*simFile) (names []string) {
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (s *simFS) Rename(from, to string) error {
	if err := real(s.begin("rename", from)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, n := range keys(s.files) {
		if n == from || strings.HasPrefix(n, from+"/") {
			s.files[to+strings.TrimPrefix(n, from)] = s.files[n]
			delete(s.files, n)
			found = true
		}
	}
	if !found {
		return &os.PathError{Op: "rename", Path: from, Err: unix.ENOENT}
	}
	return nil
}

func (s *simFS) used() (n int64) {
	for _, f := range s.files {
		n += int64(len(f.pages)) * 4096
	}
	return n
}

func (s *simFS) usedNow() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used()
}

func (s *simFS) Free(dir string) (int64, error) {
	if err := real(s.begin("statfs", dir)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size == 0 {
		return 1 << 50, nil
	}
	return s.size - s.used(), nil
}

// Used is the pages of the files of a folder.
func (s *simFS) Used(dir string) (n int64, err error) {
	if err := real(s.begin("list", dir)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range s.files {
		if filepath.Dir(name) == dir {
			n += int64(len(f.pages)) * Page
		}
	}
	return n, nil
}

type simHandle struct {
	fs     *simFS
	f      *simFile
	name   string
	closed bool
}

func (h *simHandle) Preadv(bufs [][]byte, off int64) (n int, err error) {
	err = h.fs.begin("read", h.name)
	if real(err) != nil {
		return 0, err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	for _, b := range bufs {
		k := copy(b, h.f.data[min(int64(len(h.f.data)), off+int64(n)):])
		n += k
		if k < len(b) || err == errShort {
			break
		}
	}
	return n, nil
}

func (h *simHandle) Pwritev(bufs [][]byte, off int64) (n int, err error) {
	err = h.fs.begin("write", h.name)
	if real(err) != nil {
		return 0, err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	data := slices.Concat(bufs...)
	if err == errShort {
		data = data[:(len(data)+1)/2]
	}
	if h.fs.size > 0 && h.fs.used()+int64(len(data))+8192 > h.fs.size {
		return 0, &os.PathError{Op: "write", Path: h.name, Err: unix.ENOSPC}
	}
	h.f.changes++
	h.f.grow(off + int64(len(data)))
	copy(h.f.data[off:], data)
	h.f.writes = append(h.f.writes, simWrite{off, data})
	for page := off / 4096; page*4096 < off+int64(len(data)); page++ {
		h.f.pages[int(page)] = 1
	}
	return len(data), nil
}

func (f *simFile) grow(n int64) {
	if n > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, n-int64(len(f.data)))...)
	}
}

func (h *simHandle) Sync() error {
	if err := real(h.fs.begin("sync", h.name)); err != nil {
		return err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.f.durable, h.f.writes = slices.Clone(h.f.data), nil
	return nil
}

func (h *simHandle) Fd() int { return -1 }

// Stamp has the number of changes as its time. Files that were only damaged in
// memory have the old one.
func (h *simHandle) Stamp() (Stamp, error) {
	if err := real(h.fs.begin("stat", h.name)); err != nil {
		return Stamp{}, err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return Stamp{Inode: 1, Size: int64(len(h.f.data)), Mtime: h.f.changes, Ctime: h.f.changes}, nil
}

func (h *simHandle) Truncate(n int64) error {
	if err := real(h.fs.begin("truncate", h.name)); err != nil {
		return err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.f.changes++
	h.f.grow(n)
	h.f.data = h.f.data[:n]
	return nil
}

func (h *simHandle) Punch(off, n int64) error {
	if err := real(h.fs.begin("punch", h.name)); err != nil {
		return err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if off%4096 != 0 || n%4096 != 0 {
		panic("parts of pages are punched")
	}
	h.f.changes++
	for page := off / 4096; page*4096 < off+n; page++ {
		delete(h.f.pages, int(page))
	}
	if end := min(off+n, int64(len(h.f.data))); off < end {
		zeros := make([]byte, end-off)
		copy(h.f.data[off:], zeros)
		h.f.writes = append(h.f.writes, simWrite{off, zeros})
	}
	return nil
}

func (h *simHandle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		panic("a handle is closed twice")
	}
	h.closed = true
	h.fs.open--
	return nil
}

// killed is a copy as a kill -9 leaves it: all that was written is there.
func (s *simFS) killed() *simFS {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newSimFS()
	for name, f := range s.files {
		c.files[name] = &simFile{data: slices.Clone(f.data), durable: slices.Clone(f.data), pages: maps.Clone(f.pages), changes: f.changes}
	}
	return c
}

// powerCut is a copy as a power cut leaves it: of what was written since the
// last sync, sectors are there or not, as chance will have it.
func (s *simFS) powerCut(r *rand.Rand) *simFS {
	const sector = 512
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newSimFS()
	for _, name := range keys(s.files) {
		f := s.files[name]
		d := make([]byte, len(f.data))
		copy(d, f.durable)
		for _, w := range f.writes {
			for i := 0; i < len(w.data); {
				n := min(len(w.data)-i, sector-int((w.off+int64(i))%sector))
				if at := w.off + int64(i); r.IntN(2) == 0 && at < int64(len(d)) {
					copy(d[at:], w.data[i:i+n])
				}
				i += n
			}
		}
		c.files[name] = &simFile{data: d, durable: slices.Clone(d), pages: map[int]int{}, changes: f.changes}
	}
	return c
}

func (s *simFS) data(dir string, file string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[filepath.Join(dir, file)]; f != nil {
		return f.data
	}
	return nil
}
