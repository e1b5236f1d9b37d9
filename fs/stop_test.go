package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// blocked starts n processes that each read a dead file, and returns when all
// their reads have come.
func blocked(t *testing.T, m *mounted, n int) (cats []*exec.Cmd) {
	t.Helper()
	for i := range n {
		cat := exec.Command("cat", m.path("dead", fmt.Sprintf("%03d", i)))
		if err := cat.Start(); err != nil {
			t.Fatal(err)
		}
		cats = append(cats, cat)
	}
	t.Cleanup(func() {
		for _, c := range cats {
			c.Process.Kill()
			c.Wait()
		}
	})
	eventually(t, "all reads came", func() bool {
		var waiting int
		fmt.Sscan(m.ask("waiting"), &waiting)
		return waiting >= n
	})
	return cats
}

// TestDeadBesideLive: reads that wait do not slow down those that need not.
func TestDeadBesideLive(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	blocked(t, m, 14)
	began := time.Now()
	if b, err := os.ReadFile(m.path("live")); err != nil || !bytes.Equal(b, content(nil, idLive, 0, 64<<10)) {
		t.Errorf("live: %d bytes, %v", len(b), err)
	}
	run(t, `ls -lR "$1"/files "$1"/dead`, m.dir)
	if took := time.Since(began); took > soon {
		t.Errorf("a live file and a listing took %v beside 14 dead files", took)
	}
}

// TestKilledReader: the kernel does not tell that a reader of a buffered file was
// killed; the sweep does. A reader of the same page that lives goes on waiting.
func TestKilledReader(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	cats := blocked(t, m, 1)
	other := exec.Command("cat", m.path("dead/000"))
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	cats[0].Process.Kill()
	cats[0].Wait()
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	select {
	case err := <-ended:
		t.Errorf("the living reader of the same page ended: %v", err)
	case <-time.After(1200 * time.Millisecond):
	}
	other.Process.Kill()
	<-ended
	m.until("waiting", "0")
	t.Log("both gone after", time.Since(began))
}

// TestZombieReader: a killed reader that its parent does not reap is gone too.
func TestZombieReader(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	cats := blocked(t, m, 1)
	cats[0].Process.Kill()
	m.until("waiting", "0")
}

// TestInterruptedDirectRead ends soon, with EINTR or the death of the reader.
func TestInterruptedDirectRead(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	dd := exec.Command("dd", "if="+m.path("dead/000"), "iflag=direct", "bs=64k", "of=/dev/null")
	var said bytes.Buffer
	dd.Stderr = &said
	if err := dd.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("waiting", "1")
	began := time.Now()
	dd.Process.Signal(syscall.SIGINT)
	dd.Wait()
	m.until("waiting", "0")
	if took := time.Since(began); took > soon {
		t.Errorf("took %v: %s", took, said.String())
	}
}

// TestInterruptedOpenDir: waiting for a directory can be interrupted, and no
// stat waits.
func TestInterruptedOpenDir(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	ls := exec.Command("ls", m.path("unresolved"))
	if err := ls.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("waiting", "1")
	run(t, `stat "$1"/unresolved`, m.dir)
	ls.Process.Kill()
	ls.Wait()
	m.until("waiting", "0")
}

// TestUnmountIdle is the usual end: at once.
func TestUnmountIdle(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	run(t, `cat "$1"/live >/dev/null`, m.dir)
	took(t, m.ask("unmount"))
	if got := m.ask("unmount"); !strings.HasSuffix(got, "s") {
		t.Errorf("once more: %s", got)
	}
}

// took judges how long an unmounting took. That users see it end at once is
// measured with the program (integration).
func took(t *testing.T, answer string) {
	t.Helper()
	d, err := time.ParseDuration(answer)
	if err != nil || d > soon {
		t.Errorf("unmounting: %s, more than %v", answer, soon)
	}
	t.Log("unmounted in", answer)
}

// TestUnmountBlocked: reads that wait do not hold up the end, and get an error.
func TestUnmountBlocked(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	cats := blocked(t, m, 300)
	took(t, m.ask("unmount"))
	for _, c := range cats {
		if err := c.Wait(); err == nil {
			t.Error("a blocked reader ended without an error")
		}
	}
}

// TestUnmountUnderLoad: every reply on its way is given back, whatever becomes of
// it; the child counts them.
func TestUnmountUnderLoad(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	for i := range 8 {
		args := []string{"if=" + m.path("big"), "of=/dev/null", "bs=1M"}
		if i%2 == 0 {
			args = append(args, "iflag=direct")
		}
		dd := exec.Command("dd", args...)
		if err := dd.Start(); err != nil {
			t.Fatal(err)
		}
		defer dd.Wait()
		if i%4 == 1 {
			defer dd.Process.Kill()
		}
	}
	eventually(t, "all files open", func() bool { return m.ask("opens") == "8" })
	took(t, m.ask("unmount"))
}

// TestUnmountInUse: a shell in the mount and an open file do not hold up the end.
func TestUnmountInUse(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	sh := exec.Command("sleep", "60")
	sh.Dir = m.path("files/nested")
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sh.Process.Kill(); sh.Wait() }()
	f, err := os.Open(m.path("live"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	took(t, m.ask("unmount"))
	if _, err := f.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("a file of an ended mount can be read")
	}
}

// TestUnmountCopied: a copy of the mount in another mount namespace (a container
// that was started meanwhile) does not hold up the end.
func TestUnmountCopied(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace needs root")
	}
	m := mount(t, t.TempDir(), Options{})
	c := exec.Command("sleep", "60")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	took(t, m.ask("unmount"))
}

// TestUnmountOutside: Wait returns when somebody else unmounts.
func TestUnmountOutside(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		m := mount(t, t.TempDir(), Options{})
		if err := Unmount(m.dir, lazy); err != nil {
			t.Error(err)
		}
		m.ask("wait")
		if err := Unmount(m.dir, lazy); err == nil || !strings.Contains(err.Error(), "is not mounted by bipfs") {
			t.Error(err)
		}
	}
	m := mount(t, t.TempDir(), Options{})
	f, err := os.Open(m.path("live"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Unmount(m.dir, false); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Unmount(m.dir, false) }()
	f.Close() // as a program that ends, before or after
	if err := <-ended; err != nil {
		t.Errorf("a mount that was in use a moment ago: %v", err)
	}
}

// TestStoppedServer: a mount whose server does not answer holds nobody up for long.
func TestStoppedServer(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	m.cmd.Process.Signal(syscall.SIGSTOP)
	defer m.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "all threads stopped", func() bool {
		states, _ := exec.Command("ps", "-L", "-o", "state=", "-p", fmt.Sprint(m.cmd.Process.Pid)).Output()
		return strings.Trim(string(states), "T\n") == ""
	})
	if err := Clean(m.dir); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
}

// TestKilledServer: what kill -9 leaves is cleaned, and nothing else is.
func TestKilledServer(t *testing.T) {
	dir := t.TempDir()
	if err := Clean(dir); err != nil {
		t.Errorf("nothing mounted: %v", err)
	}
	m := mount(t, dir, Options{})
	if err := Clean(dir); err == nil || !strings.Contains(err.Error(), "already mounted") {
		t.Errorf("a living mount: %v", err)
	}
	_, said := tryMount(t, dir, Options{})
	if !strings.Contains(said, "already mounted") {
		t.Error(said)
	}
	cats := blocked(t, m, 3)
	m.kill()
	for _, c := range cats {
		c.Wait()
	}
	if _, err := os.ReadDir(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("not a dead mount: %v", err)
	}
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	m = mount(t, dir, Options{})
	run(t, `cat "$1"/live >/dev/null`, m.dir)
}
