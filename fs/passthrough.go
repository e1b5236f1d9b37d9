package fs

import (
	"log/slog"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A file that has a Backing is read by the kernel itself (FOPEN_PASSTHROUGH,
// Linux 6.9): this process sees no READ. The kernel wants an inode to be read in
// one way at a time, and answers EIO to whoever opens it in the other:
//
//	            ┌── open, no Backing ──▶ cached ×1, ×2, … ──last release──┐
//	nobody ─────┤                                                         ├──▶ nobody
//	            └── open, Backing ─────▶ passing ×1, ×2, … ─last release──┘
//
// So the first to open decides for all who come while it is open.
type modes struct {
	kernel backer
	log    *slog.Logger

	mu      sync.Mutex
	refused bool
	of      map[ID]*mode // those that somebody has open, or is opening
}

// backer is the part of fuse.Server that knows backing files.
type backer interface {
	RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(int32) syscall.Errno
}

// mode is how an inode is open.
type mode struct {
	users int // descriptors, and those that are being opened; under modes.mu

	mu      sync.Mutex // held while the file is asked for its Backing
	cached  int
	passing int
	id      int32 // the kernel's name of backing
	backing Backing
}

func (ms *modes) init(log *slog.Logger) { ms.log, ms.of = log, map[ID]*mode{} }

// serve begins to use passthrough. It is called before the first request.
func (ms *modes) serve(kernel backer) { ms.kernel = kernel }

// open decides how a file is opened, and tells the kernel in out. Each is undone
// by one release.
func (ms *modes) open(id ID, h Handle, out *fuse.OpenOut) (passing bool) {
	ms.mu.Lock()
	m := ms.of[id]
	if m == nil {
		m = &mode{}
		ms.of[id] = m
	}
	m.users++
	can := ms.kernel != nil && !ms.refused
	ms.mu.Unlock()

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passing == 0 && (m.cached > 0 || !can || !ms.register(m, h)) {
		m.cached++
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
		return false
	}
	m.passing++
	// Without KEEP_CACHE, which the kernel refuses here.
	out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH, m.id
	return true
}

// resume takes over one open of an earlier process, before anything else is asked. A
// file that the kernel reads by itself, by the name id, is held, and reports whether
// it could be.
func (ms *modes) resume(of ID, h Handle, passing bool, id int32) (held bool) {
	m := ms.of[of]
	if m == nil {
		m = &mode{}
		ms.of[of] = m
	}
	m.users++
	if !passing {
		m.cached++
		return true
	}
	m.passing, m.id = m.passing+1, id
	if m.backing == nil {
		if b, ok := h.Hold(); ok {
			m.backing = b
		}
	}
	return m.backing != nil
}

// register names the backing file of h to the kernel, if there is one. The first
// refusal is the last: this process lacks CAP_SYS_ADMIN, the kernel is too old, or
// the data lies on a file system that cannot be stacked upon.
func (ms *modes) register(m *mode, h Handle) bool {
	b, ok := h.Backing()
	if !ok {
		return false
	}
	id, errno := ms.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(b.Fd())})
	if errno != 0 {
		b.Close()
		ms.mu.Lock()
		ms.refused = true
		ms.mu.Unlock()
		ms.log.Debug("the kernel reads no file by itself", "err", errno)
		return false
	}
	m.id, m.backing = id, b
	return true
}

// release undoes one open.
func (ms *modes) release(id ID, passing bool) {
	ms.mu.Lock()
	m := ms.of[id]
	if m.users--; m.users == 0 {
		delete(ms.of, id)
	}
	ms.mu.Unlock()

	m.mu.Lock()
	defer m.mu.Unlock()
	if !passing {
		m.cached--
		return
	}
	if m.passing--; m.passing > 0 {
		return
	}
	_ = ms.kernel.UnregisterBackingFd(m.id) // it ends with the connection anyway
	if m.backing != nil {
		m.backing.Close()
	}
	m.backing, m.id = nil, 0
}
