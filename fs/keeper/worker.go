package keeper

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// worker is the keeper's view of one.
type worker struct {
	cmd     *exec.Cmd
	line    *os.File
	crash   *os.File // what the Go runtime says of a crash
	said    chan message
	ended   chan struct{}
	running sync.WaitGroup

	since    time.Time // when it began to serve
	leaving  bool      // it was told to
	left     bool
	stopping bool
	report   string // of its crash, when it has ended
}

// executable names an open program, which may have been replaced since.
func executable(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// start starts a worker.
func (k *Keeper) start(program *os.File) (*worker, error) {
	orders, err := json.Marshal(Orders{
		Version: ordersVersion, Keeper: os.Getpid(), Again: k.served, Data: k.Data, Aside: k.aside, Watch: k.Watch,
		Folder: []byte(k.Data), Mountpoint: []byte(k.Mountpoint),
	})
	if err != nil {
		return nil, err
	}
	line, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	fd, err := unix.MemfdCreate("bipfs-crash", unix.MFD_CLOEXEC)
	if err != nil {
		line.Close()
		return nil, os.NewSyscallError("memfd_create", err)
	}
	w := &worker{
		line: line, crash: os.NewFile(uintptr(fd), "bipfs-crash"),
		said: make(chan message, mostMessages), ended: make(chan struct{}),
	}
	files := k.Connection.Files()
	w.cmd = exec.Command(executable(program), k.Args...)
	w.cmd.Args[0] = "bipfs"
	// A crash is to say whose the goroutine was (Label).
	w.cmd.Env = append(os.Environ(), ordersEnv+"="+string(orders), "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",tracebacklabels=1", ","))
	if !k.served {
		w.cmd.Stdin = os.Stdin // a list of torrents may come from there
	}
	w.cmd.Stderr = os.Stderr
	w.cmd.ExtraFiles = []*os.File{files[0], files[1], theirs, w.crash}
	if err := w.cmd.Start(); err != nil {
		w.crash.Close()
		line.Close()
		return nil, err
	}
	if k.Watch > 0 {
		k.Alive()
	}
	w.running.Go(func() { listen(line, w.said) })
	w.running.Go(func() {
		_ = w.cmd.Wait() // the state is asked
		close(w.ended)
	})
	return w, nil
}

// close lets go of a worker that has ended and was heard to the end.
func (w *worker) close() {
	w.running.Wait()
	w.line.Close()
	b := make([]byte, longestCrash)
	n, _ := w.crash.ReadAt(b, 0)
	w.report = string(b[:n])
	w.crash.Close()
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

func (w *worker) signal(s syscall.Signal) { _ = w.cmd.Process.Signal(s) }

func (w *worker) say(m message) { _, _ = w.line.Write([]byte(m)) } // a dead one does not hear

// servedFor is how long it has served; a worker that could not be started, not at
// all.
func (w *worker) servedFor() time.Duration {
	if w == nil || w.since.IsZero() {
		return 0
	}
	return time.Since(w.since)
}

// code is the exit code of a worker that has ended; of one that a signal has ended,
// 128 and the number of it.
func (w *worker) code() int {
	if s, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return w.cmd.ProcessState.ExitCode()
}

// told reports whether a worker that has ended was told to, before it could listen.
func (w *worker) told() bool {
	if w == nil {
		return false
	}
	s, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && (s.Signal() == syscall.SIGTERM || s.Signal() == syscall.SIGINT)
}

// longestCrash is how much is read of what the runtime says of a crash: the reason
// and the goroutine that crashed stand first.
const longestCrash = 16 << 10

// why a worker ended, in a line.
func (w *worker) why() string {
	if w == nil {
		return "it could not be started"
	}
	why := w.cmd.ProcessState.String()
	if reason, _, _ := strings.Cut(w.report, "\n"); reason != "" {
		why += ": " + reason
	}
	return why
}

// subject is what the goroutine that crashed a worker was busy with: its label
// "torrent" (GODEBUG tracebacklabels), or nothing.
func (w *worker) subject() string {
	if w == nil {
		return ""
	}
	return labelled(w.report)
}

// labelled finds the label in the head of the first goroutine of a crash report:
// goroutine 7 [running labels:{"torrent": "0123"}]:
func labelled(report string) string {
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "goroutine ") {
			continue
		}
		_, labels, _ := strings.Cut(line, "labels:{")
		_, value, ok := strings.Cut(labels, `"`+Label+`": "`)
		value, _, end := strings.Cut(value, `"`)
		if !ok || !end {
			return ""
		}
		return value
	}
	return ""
}
