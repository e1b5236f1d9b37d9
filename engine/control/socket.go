package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A socket lies in a folder of its owner's. It is made beside its place and
// renamed, so that whoever sees it can connect, and one to which nobody answers
// is of a daemon that is dead.
//
//	bind .new-PID ─▶ listen ─▶ chown, chmod ─▶ rename HASH.sock ─▶ … ─▶ remove

const (
	// suffix is how the names of sockets end; before it stand digits of a hash of
	// the mount point.
	suffix = ".sock"
	// mostSockets is how many sockets of a folder are looked at.
	mostSockets = 256
	// dialTime is how long a daemon may take to accept.
	dialTime = 2 * time.Second
)

// Listener accepts the connections of those who may control the daemon, and
// closes all others.
type Listener struct {
	*net.UnixListener
	path  string
	file  fs.FileInfo
	group bool
	slots chan struct{} // one for each connection
}

// Listen opens the socket of a mount in dir, which it makes where it is missing,
// for the owner of this process and root. Members of the group gid may connect as
// well, unless it is negative and as far as dir lets them in. Sockets of dead
// daemons are removed.
func Listen(dir, mountpoint string, gid int) (*Listener, error) {
	if err := folder(dir); err != nil {
		return nil, err
	}
	for _, path := range Sockets(dir) {
		removeDead(path)
	}
	at, done, err := short(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	fresh := ".new-" + strconv.Itoa(os.Getpid()) + "-" + name(mountpoint)
	path := filepath.Join(dir, fresh)
	_ = os.Remove(path) // of a process that had our pid
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(at, fresh), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the control socket cannot be opened in %s: %w", dir, named(err, path))
	}
	l.SetUnlinkOnClose(false)
	mode := os.FileMode(0o600)
	if gid >= 0 {
		mode = 0o660
		err = os.Chown(path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	final := filepath.Join(dir, name(mountpoint))
	if err == nil {
		err = os.Rename(path, final)
	}
	var file fs.FileInfo
	if err == nil {
		file, err = os.Lstat(final)
	}
	if err != nil {
		l.Close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("the control socket cannot be opened in %s: %w", dir, err)
	}
	return &Listener{l, final, file, gid >= 0, make(chan struct{}, mostConnections)}, nil
}

// folder makes dir where it is missing, and refuses one that others may write
// to: they could put a socket of theirs into our place.
func folder(dir string) error {
	mode := os.FileMode(0o700)
	if dir == rootDir {
		mode = 0o755 // for --control-group
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("the folder of the control socket cannot be made: %w", err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := st.Sys().(*syscall.Stat_t).Uid
	if st.Mode()&0o022 != 0 || owner != 0 && owner != uint32(os.Geteuid()) {
		return fmt.Errorf("%s is no folder for a control socket: others may write to it", dir)
	}
	return nil
}

// rootDir is where the sockets of root's mounts are, who may have no runtime
// directory.
const rootDir = "/run/bipfs"

// Dir is the folder of this user's sockets; "" if there is none for them, and
// they lie in the data folders.
func Dir() string {
	if os.Geteuid() == 0 {
		return rootDir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bipfs")
	}
	return ""
}

// name is the name of a mount's socket.
func name(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return fmt.Sprintf("%x%s", sum[:8], suffix)
}

// Sockets are the sockets in dir, dead ones too.
func Sockets(dir string) (paths []string) {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(mostSockets)
	for _, n := range names {
		if strings.HasSuffix(n, suffix) && !strings.HasPrefix(n, ".") {
			paths = append(paths, filepath.Join(dir, n))
		}
	}
	return paths
}

// removeDead removes a socket that nobody listens at any more.
func removeDead(path string) {
	conn, err := dial(path)
	if err == nil {
		conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // or it is another's, who removes it
	}
}

// dial connects to a socket. One whose queue is full is refused with EAGAIN: it
// is asked again for a while.
func dial(path string) (*net.UnixConn, error) {
	at, done, err := short(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer done()
	addr := &net.UnixAddr{Name: filepath.Join(at, filepath.Base(path)), Net: "unix"}
	for deadline := time.Now().Add(dialTime); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialUnix("unix", nil, addr)
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) {
			return conn, named(err, path)
		}
	}
}

// named is an error of a socket that was called by its short name, with the name that
// people know.
func named(err error, path string) error {
	var op *net.OpError
	if errors.As(err, &op) {
		op.Addr = &net.UnixAddr{Name: path, Net: "unix"}
	}
	return err
}

// Path is where the socket is.
func (l *Listener) Path() string { return l.path }

// Accept is the next connection of somebody who may control the daemon.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if l.admits(conn) {
			select {
			case l.slots <- struct{}{}:
				return &served{UnixConn: conn, slots: l.slots}, nil
			default: // there are enough
			}
		}
		conn.Close()
	}
}

// admits reports whether who connects is the owner of this process, or root. With
// a group the modes of the socket say who may connect, and the kernel has looked.
func (l *Listener) admits(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	admitted := false
	err = raw.Control(func(fd uintptr) {
		uid, err := peerUser(fd)
		admitted = err == nil && (l.group || uid == 0 || uid == uint32(os.Geteuid()))
	})
	return err == nil && admitted
}

// Close stops listening, and removes the socket, unless it is another's by now.
func (l *Listener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		_ = os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// served is a connection that has one of the slots.
type served struct {
	*net.UnixConn
	slots chan struct{}
	once  sync.Once
}

// Close gives the slot back.
func (s *served) Close() error {
	s.once.Do(func() { <-s.slots })
	return s.UnixConn.Close()
}
