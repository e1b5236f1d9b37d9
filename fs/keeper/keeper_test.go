package keeper

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"bipfs/fs"
)

// keeping is a keeper of a test, in this process, which must not touch the mount
// itself: somebody has to answer first.
type keeping struct {
	*Keeper
	dir     string
	signals chan os.Signal
	code    chan int
	served  chan struct{}
	log     lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// keep mounts, and keeps a worker that does as it is told.
func keep(t *testing.T, do string) *keeping {
	t.Helper()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip(err)
	} else {
		f.Close()
	}
	k := &keeping{dir: t.TempDir(), signals: make(chan os.Signal, 4), code: make(chan int, 1), served: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(&k.log, nil))
	c, err := fs.Attach(k.dir, fs.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "caf\xe9") // any bytes
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	k.Keeper = &Keeper{
		Connection: c, Mountpoint: k.dir, Data: data, Program: filepath.Join(t.TempDir(), "program"), Log: log,
		Served: func() { close(k.served) }, Tend: func() {},
	}
	k.tell(t, do)
	k.install(t)
	var running sync.WaitGroup
	running.Go(func() { k.code <- k.Run(k.signals) })
	t.Cleanup(func() {
		select {
		case k.signals <- syscall.SIGTERM:
		default:
		}
		running.Wait()
		if t.Failed() {
			t.Log(k.log.String())
		}
		if mounts, _ := os.ReadFile("/proc/self/mounts"); strings.Contains(string(mounts), k.dir) {
			t.Error("its mount is left")
		}
	})
	return k
}

// tell says what the next worker is to do.
func (k *keeping) tell(t *testing.T, do string) {
	t.Helper()
	name := filepath.Join(k.Data, "do")
	if err := os.WriteFile(name+".new", []byte(do+" "+k.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// install puts this program where the keeper looks for one.
func (k *keeping) install(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", `cp "$1" "$2.new" && mv "$2.new" "$2"`, "sh", os.Args[0], k.Program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// workers are the notes of those that have served.
func (k *keeping) workers() []string {
	b, _ := os.ReadFile(filepath.Join(k.Data, "done"))
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// serving waits until n workers have served, and is the pid of the latest.
func (k *keeping) serving(t *testing.T, n int) (pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d workers have served", n), func() bool {
		all := k.workers()
		_, err := fmt.Sscanf(all[len(all)-1], "serving %d", &pid)
		return err == nil && len(all) >= n
	})
	return pid
}

// kill kills the latest of n workers, and returns when it is dead: a request that a
// dying thread is just taking from the kernel ends with EIO.
func (k *keeping) kill(t *testing.T, n int) {
	t.Helper()
	pid := k.serving(t, n)
	syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "it is dead", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// read reads the beginning of the file, or says why not.
func (k *keeping) read() string {
	out, _ := exec.Command("timeout", "20", "dd", "if="+k.dir+"/file", "bs=24", "count=1", "iflag=direct", "status=none").CombinedOutput()
	return strings.TrimSpace(string(out))
}

// TestFirstFails: a first worker that does not serve ends all, with its exit code.
func TestFirstFails(t *testing.T) {
	k := keep(t, "exit +++")
	if code := <-k.code; code != 3 {
		t.Errorf("exit code %d", code)
	}
}

// TestEnds: a signal to either ends keeper and worker, an unmount too.
func TestEnds(t *testing.T) {
	for _, how := range []string{"signal", "unmount", "worker"} {
		k := keep(t, "serve")
		<-k.served
		if got := k.read(); got != fileBytes {
			t.Errorf("read: %s", got)
		}
		if how == "signal" {
			k.signals <- syscall.SIGTERM
		} else if how == "worker" { // which does not even catch it
			syscall.Kill(k.serving(t, 1), syscall.SIGTERM)
		} else if out, err := exec.Command("umount", k.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		<-k.code
		if n := len(k.workers()); n != 1 {
			t.Errorf("%s: %d workers", how, n)
		}
	}
}

// TestKilled: a worker that is killed is followed by another, which answers the
// read that waited; when that was too often, reads are refused, and served again.
func TestKilled(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	for n := 1; n < mostDeaths; n++ {
		k.kill(t, n)
		if got := k.read(); got != fileBytes {
			t.Errorf("after death %d: %s", n, got)
		}
	}
	pid := k.serving(t, mostDeaths)
	waits, said := k.wait(t)
	k.tell(t, "exit +")
	syscall.Kill(pid, syscall.SIGKILL)
	if waits.Wait(); !strings.Contains(said.String(), "Input/output error") {
		t.Errorf("a read that waits for a worker that does not come: %s", said)
	}
	if got := k.read(); !strings.Contains(got, "Input/output error") {
		t.Errorf("refused: %s", got)
	}
	if !strings.Contains(k.log.String(), "died too often") {
		t.Error("the log does not say why")
	}
	k.tell(t, "serve")
	k.serving(t, mostDeaths+1)
	eventually(t, "it is read again", func() bool { return k.read() == fileBytes })
}

// TestKilledOld: where the kernel sends nothing again, reads that waited for a worker
// that is killed fail, and all else goes on; who waits for one that leaves is told so
// when it has gone.
func TestKilledOld(t *testing.T) {
	k := keep(t, "old")
	<-k.served
	for n, signal := range []syscall.Signal{syscall.SIGKILL, 0} {
		pid := k.serving(t, n+1)
		waits, said := k.wait(t)
		if got := k.read(); got != fileBytes {
			t.Errorf("before: %s", got)
		}
		if signal == 0 {
			k.signals <- syscall.SIGUSR2
		} else {
			syscall.Kill(pid, signal)
		}
		if err := waits.Wait(); err == nil || !strings.Contains(said.String(), "connection abort") {
			t.Errorf("a read that waited: %v, %s", err, said)
		}
		if got := k.read(); got != fileBytes {
			t.Errorf("after: %s", got)
		}
	}
}

// wait starts a read that waits, and returns when the worker has it.
func (k *keeping) wait(t *testing.T) (waits *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	name := filepath.Join(k.Data, "waits")
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	waits, said = exec.Command("timeout", "60", "dd", "if="+k.dir+"/file", "bs=4096", "skip=200", "count=1", "iflag=direct", "status=none"), &bytes.Buffer{}
	waits.Stderr = said
	if err := waits.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waits.Process.Kill() })
	eventually(t, "it waits", func() bool { _, err := os.Stat(name); return err == nil })
	return waits, said
}

// TestAside: what crashes a worker is set aside the second time.
func TestAside(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	k.tell(t, "crash feed")
	syscall.Kill(k.serving(t, 1), syscall.SIGKILL)
	k.serving(t, 2)
	if got := k.workers()[1]; !strings.Contains(got, "true [feed]") {
		t.Errorf("the worker after it: %s", got)
	}
	if log := k.log.String(); !strings.Contains(log, "panic: as it was told") || !strings.Contains(log, "set aside") {
		t.Error("the log does not say so")
	}
	if got := k.read(); got != fileBytes {
		t.Errorf("read: %s", got)
	}
}

// TestExchange: another program takes over, also what waits; one that does not
// run, or not serve, does not.
func TestExchange(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	waits, said := k.wait(t)
	first := k.serving(t, 1)
	k.install(t)
	k.signals <- syscall.SIGUSR2
	if second := k.serving(t, 2); second == first {
		t.Error("the same worker")
	}
	if got := k.read(); got != fileBytes {
		t.Errorf("read: %s", got)
	}
	if err := os.Rename(k.Program, k.Program+".good"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.Program, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	k.signals <- syscall.SIGUSR2
	eventually(t, "it is refused", func() bool { return strings.Contains(k.log.String(), "does not run") })
	if err := os.Remove(k.Program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.Program, []byte("#!/bin/sh\ntest \"$1\" = version\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	k.signals <- syscall.SIGUSR2
	k.serving(t, 3)
	if !strings.Contains(k.log.String(), "the one before goes on") {
		t.Error("the log does not say so")
	}
	if got := k.read(); got != fileBytes {
		t.Errorf("read: %s", got)
	}
	k.signals <- syscall.SIGTERM
	// The kernel says the one if nobody has taken the read, the other if somebody has.
	if waits.Wait(); !strings.Contains(said.String(), "not connected") && !strings.Contains(said.String(), "connection abort") {
		t.Errorf("a read that waited until the end: %s", said)
	}
}
