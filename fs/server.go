package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// closeTime is how long readers whose reads were ended get to close their
	// files before they are left behind.
	closeTime = 150 * time.Millisecond
	// endTime is how long the kernel may take to end an unmounted connection
	// before it is aborted. It takes longer only when another mount of it is
	// left: a file that is open, or a copy in another mount namespace.
	endTime = 100 * time.Millisecond
	retry   = 10 * time.Millisecond
	// abortTime is how long the threads of a busy mount are woken for.
	abortTime = 4 * time.Second
)

// readAheadKiB is the kernel's read-ahead for the mount, if this process may set
// it; its own 128 KiB make one small request after the other. It is the length of
// the longest request: more would glue more bytes that are here to ones that are
// not.
const readAheadKiB = longestRequest >> 10

// Server serves one mount until it is unmounted, by Unmount or from outside.
type Server struct {
	dir     string
	mount   mountPoint
	conn    *Connection // go-fuse has its own descriptor of it
	fd      int         // that one, until go-fuse ends
	log     *slog.Logger
	nodes   *nodes
	notices *notices
	deeds   *deeds // nil: nothing can be shown
	most    int    // MaxBackground that was asked for
	leaving atomic.Bool
	done    chan struct{} // closed when everything has ended
	serving sync.WaitGroup
}

// Serve answers the kernel, from where the process before left off. The connection
// belongs to the server then, and is closed when it ends; after an error it is not.
func (c *Connection) Serve(t Tree, o Options) (*Server, error) {
	o = o.withDefaults()
	if c.Ended() {
		return nil, errors.New("it was unmounted")
	}
	n := newNodes(t, o, &handles{file: c.state})
	if err := n.resume(); err != nil {
		return nil, err
	}
	raw, fd, err := c.resume(n, o)
	if err != nil {
		n.files.closeAll(n.leave)
		return nil, err
	}
	if err := c.resend(); err != nil {
		o.Log.Error("who waits for the answer of an earlier process goes on waiting", "err", err)
	}
	s := &Server{
		dir: c.dir, mount: c.mount, conn: c, log: o.Log, nodes: n, most: o.MaxBackground, fd: fd,
		notices: startNotices(raw, o.Log), done: make(chan struct{}),
	}
	if !o.ReadOnly {
		s.deeds = startDeeds(n, s.Kernel(), func() (worker, error) { return startHand(c.dir, c.mount.device) }, o.Log)
	}
	s.serving.Go(func() { s.run(raw) })
	if !c.inherited { // or who is killed meanwhile waits for the next process (Answers)
		if err := answers(c.dir); err != nil {
			n.waits.close()
			s.abort(context.Background())
			return nil, err
		}
	}
	s.setReadAhead()
	return s, nil
}

// run ends when the mount does, or is left, and joins everything that belongs to
// it.
func (s *Server) run(raw *fuse.Server) {
	defer close(s.done)
	raw.Serve()
	s.nodes.waits.close()
	s.nodes.waits.running.Wait()
	close := s.nodes.close
	if s.leaving.Load() {
		close = s.nodes.leave
	}
	s.nodes.files.closeAll(close)
	s.nodes.sinks.closeAll()
	s.conn.Close()
	s.deeds.close()
	s.notices.close()
}

// Wait returns when the mount has ended and nothing of it is left.
func (s *Server) Wait() { s.serving.Wait() }

// Kernel is for telling the kernel what changed.
func (s *Server) Kernel() Kernel { return Kernel{s.notices} }

// Connection is what is served: as long as somebody else has its Files, another
// process may go on.
func (s *Server) Connection() *Connection { return s.conn }

// Answers asks what the kernel would ask of the root, and returns when that is
// answered. It does not go through the kernel: a thread that waits there when its
// process is killed waits for the process that comes next, and keeps that from being
// started.
func (s *Server) Answers() error {
	root := fuse.InHeader{NodeId: uint64(Root)}
	s.nodes.StatFs(nil, &root, &fuse.StatfsOut{})
	if status := s.nodes.GetAttr(nil, &fuse.GetAttrIn{InHeader: root}, &fuse.AttrOut{}); !status.Ok() {
		return syscall.Errno(status)
	}
	return nil
}

// Show is for having who watches the mount see what changed.
func (s *Server) Show() Show { return Show{s.deeds} }

// Waiting is the number of reads and openings of directories under way.
func (s *Server) Waiting() int { return s.nodes.waits.count() }

// Unmount ends all waiting reads, unmounts and returns when nothing is left. A
// mount that is in use then is taken away from its users, who get ENOTCONN. An
// error means that the connection lives on, or that ctx ended.
func (s *Server) Unmount(ctx context.Context) error {
	s.nodes.waits.close()
	err := s.leave(ctx)
	if s.ended(ctx, endTime) || s.abort(ctx) {
		return err
	}
	return errors.Join(fmt.Errorf("%s is still served", s.dir), err)
}

// leave takes the mount from its directory, unless somebody did. One that is in
// use for longer than closeTime, or than ctx, leaves lazily.
func (s *Server) leave(ctx context.Context) error {
	for began := time.Now(); ; {
		at, mounted, err := mountAt(s.dir)
		if err != nil || !mounted || at != s.mount {
			return err
		}
		lazy := time.Since(began) > closeTime || ctx.Err() != nil
		if err = detach(s.dir, lazy); lazy || !errors.Is(err, syscall.EBUSY) {
			return err
		}
		s.ended(ctx, retry)
	}
}

// ended waits for the end, for at most d.
func (s *Server) ended(ctx context.Context, d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-s.done:
	case <-late.C:
	case <-ctx.Done():
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// abort ends the connection, whoever uses it. The kernel does that when the last
// descriptor of the device is closed, and none is while a thread sleeps in a
// read of it. So the device is made to wait no more, and the threads are woken by
// the signal that Go uses to stop its own: their reads are begun again and fail.
// fusectl could abort too, but it is not mounted everywhere.
func (s *Server) abort(ctx context.Context) bool {
	device, err := s.conn.served.SyscallConn()
	if err != nil {
		return s.ended(ctx, answerTime) // it is closed, so the end has come
	}
	for began := time.Now(); ; {
		device.Control(func(fd uintptr) { syscall.SetNonblock(int(fd), true) })
		wakeThreads()
		if s.ended(context.Background(), retry) {
			return true
		}
		if time.Since(began) > abortTime || ctx.Err() != nil {
			return false
		}
	}
}

func wakeThreads() {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(tid), uintptr(syscall.SIGURG))
	}
}

// setReadAhead is for root: others keep the kernel's read-ahead.
func (s *Server) setReadAhead() {
	knob := "/sys/class/bdi/" + s.mount.device + "/read_ahead_kb"
	if err := os.WriteFile(knob, []byte(strconv.Itoa(readAheadKiB)), 0); err != nil {
		s.log.Info("the kernel's read-ahead stays as it is", "err", err)
	}
}

// MaxBackground is how many reads the kernel has under way for this mount at
// most. More of them queue in the kernel, before every read of every file.
func (s *Server) MaxBackground() int {
	control := "/sys/fs/fuse/connections/" + s.mount.connection()
	if n, err := readNumber(control + "/max_background"); err == nil && n > 0 {
		return n
	}
	if Privileged() == nil {
		return s.most
	}
	return min(s.most, MaxUserBackground())
}

// MaxUserBackground is the most reads under way that the kernel allows a mount of
// an ordinary user: fuse's max_user_bgreq. Where the kernel does not say it is the
// 12 that every kernel allows.
func MaxUserBackground() int {
	if n, err := readNumber("/sys/module/fuse/parameters/max_user_bgreq"); err == nil && n > 0 {
		return n
	}
	return 12
}

// RequestTimeout is how long the kernel lets a request wait before it ends the
// whole mount, if an administrator has set that (kernels from 6.14): reads should
// give up before. 0 is for ever.
func RequestTimeout() (shortest time.Duration) {
	for _, name := range []string{"default_request_timeout", "max_request_timeout"} {
		n, err := readNumber("/proc/sys/fs/fuse/" + name)
		if d := time.Duration(n) * time.Second; err == nil && d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

func readNumber(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
