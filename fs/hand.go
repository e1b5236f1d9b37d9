package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The hand is a child of the process that serves a mount: this program, started
// again. A process that waits for an answer of its own cannot be killed, and keeps
// what would answer it; a child that waits is freed when its parent dies.
//
// It is told a deed in a line of JSON on its standard input, does it, and answers
// with a line. It ends with its input. A thread of its own does all, and is named in
// its first line.

// handEnv makes a process a hand.
const handEnv = "BIPFS_HAND"

const (
	// idleTime is how long a hand stays that has nothing to do.
	idleTime = 30 * time.Second
	// deedTime is how long a deed may take, and the start of a hand: what it asks of
	// this process is answered at once, but the kernel may have others before it.
	deedTime = 10 * time.Second
	// hireAgain is how long none is started after that has failed.
	hireAgain = time.Minute
	// goneTime is how long a hand may take to go.
	goneTime = time.Second
)

// errHand is that a hand does not answer.
var errHand = errors.New("the process that acts for inotify does not answer")

// order is a deed as the hand is told it. Names need not be UTF-8.
type order struct {
	Act      act
	Dir      string // the mount point
	Device   string // of the mount: whatever else is there is let alone
	Name, To []byte // paths below it
}

// outcome is its answer.
type outcome struct {
	TID   uint32        `json:",omitempty"` // in the first line, which answers nothing
	Errno syscall.Errno `json:",omitempty"`
}

// IsHand reports whether this process was started to act on a mount: main has to call
// Hand then, and nothing else.
func IsHand() bool { return os.Getenv(handEnv) != "" }

// Hand is the life of such a process, until the one that serves the mount closes its
// standard input. It returns the exit code.
func Hand() int {
	runtime.LockOSThread() // the thread is how it is known
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	if out.Encode(outcome{TID: uint32(unix.Gettid())}) != nil {
		return 1
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return 0
		}
		var did outcome
		if err := o.do(); err != nil && !errors.As(err, &did.Errno) {
			did.Errno = syscall.EINVAL
		}
		if out.Encode(did) != nil {
			return 1
		}
	}
}

// do acts on the mount, and on nothing else that may be at its place by now. Only
// for that moment the mount is in use.
func (o order) do() error {
	root, err := unix.Open(o.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return err
	}
	if deviceNumber(uint64(st.Dev)) != o.Device {
		return syscall.ESTALE
	}
	name, to := string(o.Name), string(o.To)
	switch o.Act {
	case creates:
		return unix.Mkdirat(root, name, 0o555)
	case removes:
		return unix.Unlinkat(root, name, unix.AT_REMOVEDIR)
	case moves:
		return unix.Renameat(root, name, root, to)
	}
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_WRONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// deviceNumber is a device as /proc/self/mountinfo writes it.
func deviceNumber(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// hand is a hand as its parent has it.
type hand struct {
	dir, device string
	cmd         *exec.Cmd
	in, out     *os.File
	answers     *json.Decoder
	tid         uint32
	gone        chan struct{} // closed when the process has ended
}

// startHand starts a hand for the mount of a device at dir.
func startHand(dir, device string) (*hand, error) {
	h := &hand{dir: dir, device: device, gone: make(chan struct{})}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	h.in, h.out, h.answers = in, out, json.NewDecoder(out)
	h.cmd = exec.Command("/proc/self/exe")
	h.cmd.Args[0], h.cmd.Dir, h.cmd.Env = "bipfs-hand", "/", []string{handEnv + "=1", "GOMAXPROCS=1"}
	h.cmd.Stdin, h.cmd.Stdout = theirIn, theirOut
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := h.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	// Not joined: only the kernel can end a process that waits for an answer of a
	// mount. dismiss waits for goneTime.
	go func() {
		_ = h.cmd.Wait() // how it ended tells nothing
		close(h.gone)
	}()
	first, err := h.answer()
	if err == nil && first.TID == 0 {
		err = errHand
	}
	if err != nil {
		h.dismiss()
		return nil, err
	}
	h.tid = first.TID
	return h, nil
}

func (h *hand) answer() (o outcome, err error) {
	if err := h.out.SetReadDeadline(time.Now().Add(deedTime)); err != nil {
		return o, err
	}
	if err := h.answers.Decode(&o); err != nil {
		return o, fmt.Errorf("%w: %w", errHand, err)
	}
	return o, nil
}

func (h *hand) thread() uint32 { return h.tid }

func (h *hand) do(x deed) error {
	b, err := json.Marshal(order{Act: x.act, Dir: h.dir, Device: h.device, Name: []byte(x.place.Path), To: []byte(x.to.Path)})
	if err != nil {
		return err
	}
	if _, err := h.in.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errHand, err)
	}
	o, err := h.answer()
	if err == nil && o.Errno != 0 {
		err = o.Errno
	}
	return err
}

// dismiss ends the hand, and has who waits for its answer wait no more.
func (h *hand) dismiss() {
	h.in.Close()
	h.out.Close()
	_ = h.cmd.Process.Kill() // it may have gone by itself
	timer := time.NewTimer(goneTime)
	defer timer.Stop()
	select {
	case <-h.gone:
	case <-timer.C:
	}
}
