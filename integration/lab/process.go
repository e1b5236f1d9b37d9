package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// lines is what a process prints, line by line, each within commandTime: those that
// are asked so are this program, or a shell.
type lines struct {
	file *os.File
	scan *bufio.Scanner
}

// linesOf is to be called before the start of the process.
func linesOf(cmd *exec.Cmd) (*lines, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	file, ok := out.(*os.File)
	if !ok {
		return nil, fmt.Errorf("a pipe of type %T", out)
	}
	return &lines{file, bufio.NewScanner(file)}, nil
}

// next is the next line.
func (l *lines) next() ([]byte, error) {
	if err := l.file.SetReadDeadline(time.Now().Add(commandTime)); err != nil {
		return nil, err
	}
	if !l.scan.Scan() {
		return nil, cmp.Or(l.scan.Err(), io.ErrUnexpectedEOF)
	}
	return l.scan.Bytes(), nil
}

// expect fails unless the next line is this one.
func (l *lines) expect(want string) error {
	got, err := l.next()
	if err == nil && string(got) != want {
		err = fmt.Errorf("it says %q, not %q", got, want)
	}
	return err
}

// sampling is how often the memory of a process is looked at: the kernel keeps
// its peak, so only what a process adds in its last moments can be missed.
const sampling = 20 * time.Millisecond

// stopTime is how long a process may take to obey SIGTERM.
const stopTime = 10 * time.Second

// process is a program under measurement.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	log   *bytes.Buffer // what it prints; read it when it has ended
	wg    sync.WaitGroup
	done  chan struct{}

	mu   sync.Mutex
	peak int64 // bytes
	err  error // how it ended
}

// startProcess starts a program in a namespace.
func startProcess(namespace string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: new(bytes.Buffer), done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.log
	}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the laboratory, which ends the others in order
	p.began = time.Now()
	if err := inside(namespace, cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.wg.Go(func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.done)
	})
	p.wg.Go(p.sample)
	return p, nil
}

func (p *process) sample() {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	for {
		peak := field("/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/status", "VmHWM:") << 10
		p.mu.Lock()
		p.peak = max(p.peak, peak)
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-p.done:
			return
		}
	}
}

// memory is the most that was resident so far, in bytes.
func (p *process) memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

// hertz is the unit of the kernel's clocks in /proc, which is the same on all
// architectures of Linux.
const hertz = 100

// cpu is the processor time it has used so far.
func (p *process) cpu() time.Duration {
	select {
	case <-p.done:
		return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	default:
	}
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / hertz
}

// wrote is how many bytes it has written anywhere: a mount answers reads with them.
func (p *process) wrote() int64 {
	return field("/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/io", "wchar:")
}

// field is the number behind a name in a file of /proc; 0 if it is not there.
func field(file, name string) (n int64) {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait waits for its end. An error is also that it did not succeed.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.cmd.Path, p.err, tail(p.log.String()))
	}
	return nil
}

// stop ends it, by force if it does not obey; obeyed is whether it did. One that
// waits in a mount may outlive even that, until the mount has ended.
func (p *process) stop() (obeyed bool) {
	if !p.runs() {
		p.wg.Wait()
		return true
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if p.ended(stopTime) {
		return true
	}
	p.kill()
	return false
}

// kill ends it by force.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	if !p.ended(stopTime) {
		fmt.Fprintf(os.Stderr, "lab: %s (pid %d) still runs %v after SIGKILL\n", p.cmd.Path, p.cmd.Process.Pid, stopTime)
	}
}

// ended waits for its end, at most within, and then for its goroutines.
func (p *process) ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.done:
		p.wg.Wait()
		return true
	case <-timer.C:
		return false
	}
}

// tail is the end of what a program printed.
func tail(s string) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-400):]
}
