package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is every process that was started and has not ended: pid to name.
var running sync.Map

// A process is a program that runs beside the test. What it prints goes to a
// file, which is printed if the test fails.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  string        // the file
	done chan struct{} // closed when the process has ended
}

// start starts a program; it ends with the test at the latest.
func start(t testing.TB, name string, argv ...string) *process {
	t.Helper()
	return startCommand(t, name, exec.Command(argv[0], argv[1:]...))
}

func startCommand(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, log: filepath.Join(tempDir(t), name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	pid := cmd.Process.Pid
	running.Store(pid, name)
	go func() {
		_ = cmd.Wait() // the state is asked later
		running.Delete(pid)
		close(p.done)
	}()
	t.Cleanup(p.cleanup)
	return p
}

// cleanup ends the process if it still runs. Only a process that does not obey
// SIGTERM is a failure.
func (p *process) cleanup() {
	if p.runs() {
		p.signal(syscall.SIGTERM)
		if !p.ended(10 * time.Second) {
			p.t.Errorf("%s (pid %d) still ran 10 s after SIGTERM", p.name, p.pid())
			p.kill()
		}
	}
	if p.t.Failed() {
		p.t.Logf("--- %s printed:\n%s", p.name, tail(p.printed(), 16<<10))
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ended waits until the process has ended, at most within.
func (p *process) ended(within time.Duration) bool {
	w := startWatch()
	select {
	case <-p.done:
	case <-time.After(within):
	}
	for p.runs() && !w.over(within) {
		time.Sleep(5 * time.Millisecond)
	}
	return !p.runs()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process as a crash would.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	if !p.ended(10 * time.Second) {
		p.t.Errorf("%s (pid %d) still runs 10 s after SIGKILL", p.name, p.pid())
	}
}

// exits waits until the process ends by itself, and is its exit code.
func (p *process) exits(within time.Duration) int {
	p.t.Helper()
	if !p.ended(within) {
		p.t.Fatalf("%s still runs after %v", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// printed is what the process has printed up to now.
func (p *process) printed() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// prints waits until the process has printed text.
func (p *process) prints(text string, within time.Duration) {
	p.t.Helper()
	w := startWatch()
	for !strings.Contains(p.printed(), text) {
		if !p.runs() && !strings.Contains(p.printed(), text) {
			p.t.Fatalf("%s ended before it printed %q", p.name, text)
		}
		if w.over(within) {
			p.t.Fatalf("%s did not print %q within %v", p.name, text, within)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// status is a field of /proc/PID/status, in bytes where it is in kB.
func (p *process) status(field string) int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if name != field {
			continue
		}
		var n int64
		var unit string
		_, _ = fmt.Sscan(value, &n, &unit) // a field without a unit ends the scan early
		if unit == "kB" {
			n <<= 10
		}
		return n
	}
	p.t.Fatalf("/proc/%d/status has no %s", p.pid(), field)
	return 0
}

// A result is how a program ended.
type result struct {
	argv     []string
	out, err string // what it printed on either stream
	code     int    // -1: ended by a signal or a deadline
	took     time.Duration
	own      time.Duration // what it took by a watch
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit %d after %v\n%s%s", strings.Join(r.argv, " "), r.code, r.took.Round(time.Millisecond), tail(r.out, 2<<10), tail(r.err, 4<<10))
}

// try runs a program to its end, or kills it after within.
func try(within time.Duration, argv ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	w := startWatch()
	err := cmd.Run()
	r := result{argv: argv, out: out.String(), err: errs.String(), took: time.Since(w.begin), own: w.took()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		r.code = -1
		r.err += err.Error()
	}
	return r
}

// run is try for a program that has to succeed, however busy the machine is.
func run(t testing.TB, within time.Duration, argv ...string) result {
	t.Helper()
	r := try(max(within, longEnough), argv...)
	if r.code != 0 {
		t.Fatalf("failed: %v", r)
	}
	return r
}

// sh runs a line of shell with the arguments $1, $2 …; it has to succeed.
func sh(t testing.TB, within time.Duration, line string, args ...string) result {
	t.Helper()
	return run(t, within, append([]string{"sh", "-euc", line, "sh"}, args...)...)
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
