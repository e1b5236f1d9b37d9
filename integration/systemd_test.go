package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A systemd is what that is to a service with Type=notify, WatchdogSec= and
// FileDescriptorStoreMax=: it hears what is said, keeps the descriptors that it is
// sent, and hands them to the next process.
type systemd struct {
	socket string
	mu     sync.Mutex
	said   []string
	stored map[string]*os.File
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	m := &systemd{socket: filepath.Join(tempDir(t), "notify"), stored: map[string]*os.File{}}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var hearing sync.WaitGroup
	hearing.Go(func() { m.hear(t, c) })
	t.Cleanup(func() {
		c.Close()
		hearing.Wait()
		for _, f := range m.stored {
			f.Close()
		}
		if t.Failed() {
			t.Logf("the service manager heard %q", m.said)
		}
	})
	return m
}

func (m *systemd) hear(t *testing.T, c *net.UnixConn) {
	b, rights := make([]byte, 4096), make([]byte, syscall.CmsgSpace(4*4))
	for {
		n, oob, _, _, err := c.ReadMsgUnix(b, rights)
		if err != nil {
			return
		}
		message := string(b[:n])
		state, name, _ := strings.Cut(message, "\nFDNAME=")
		m.mu.Lock()
		m.said = append(m.said, message)
		switch all, _ := syscall.ParseSocketControlMessage(rights[:oob]); {
		case len(all) == 1 && state == "FDSTORE=1":
			fds, err := syscall.ParseUnixRights(&all[0])
			if err != nil || len(fds) != 1 || m.stored[name] != nil {
				t.Errorf("%q: %d descriptors, %v", message, len(fds), err)
			}
			for _, fd := range fds {
				syscall.CloseOnExec(fd)
				m.stored[name] = os.NewFile(uintptr(fd), name)
			}
		case len(all) > 0 || state == "FDSTORE=1":
			t.Errorf("%q: %d messages of descriptors", message, len(all))
		case state == "FDSTOREREMOVE=1" && m.stored[name] != nil:
			m.stored[name].Close()
			delete(m.stored, name)
		}
		m.mu.Unlock()
	}
}

// count is how often something was said.
func (m *systemd) count(message string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.said {
		if s == message {
			n++
		}
	}
	return n
}

func (m *systemd) holds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored)
}

// starts is the next process of the service. It is ready when that is returned.
func (m *systemd) starts(t *testing.T, o mounting) *mount {
	t.Helper()
	ready := m.count("READY=1")
	cmd := o.command()
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.socket, "WATCHDOG_USEC=200000")
	var names []string
	m.mu.Lock()
	for name, f := range m.stored {
		names = append(names, name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	m.mu.Unlock()
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)
		sh, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = sh
	}
	k := &mount{process: startCommand(t, "bipfs", cmd), dir: o.dir, data: o.data}
	eventually(t, longEnough, "it is not ready", func() bool { return m.count("READY=1") > ready || !k.runs() })
	if !k.runs() {
		t.Fatalf("it has ended: %s", k.printed())
	}
	return k
}

// TestSystemd: a service manager is told what happens, and gets signs of life; a mount
// that it holds goes on over a restart and a kill, and ends with a stop.
func TestSystemd(t *testing.T) {
	t.Parallel()
	needFuse(t)
	to := torrentOf(t, file(t, "managed.bin", 4<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	m := newSystemd(t)
	o := mounting{dir: tempDir(t), data: filepath.Join(tempDir(t), "data"), flags: peerFlags(seeder), sources: []string{to.file}}
	first := m.starts(t, o)
	if m.holds() != 2 {
		t.Errorf("ready, it has stored %d descriptors", m.holds())
	}
	eventually(t, longEnough, "no signs of life", func() bool { return m.count("WATCHDOG=1") > 2 })
	same(t, to.shown(first), to.content)
	h := hold(t, to.shown(first))
	first.signal(syscall.SIGUSR2) // RestartKillSignal=
	if code := first.exits(longEnough); code != 0 || !isMounted(o.dir) {
		t.Fatalf("left: exit code %d: %s", code, first.printed())
	}
	eventually(t, longEnough, "it does not say that it stops", func() bool { return m.count("STOPPING=1") == 1 })
	if m.holds() != 2 {
		t.Errorf("left, %d descriptors are stored", m.holds())
	}
	second := m.starts(t, o)
	h.read(t, to, 1<<20)
	freshPages(t, to.shown(second))
	h.read(t, to, 2<<20)
	second.kill()
	third := m.starts(t, o)
	h.read(t, to, 3<<20)
	same(t, to.shown(third), to.content)
	h.in.Close()
	if code := h.exits(longEnough); code != 0 {
		t.Errorf("a reader ended with %d", code)
	}
	third.stop(10 * time.Second)
	eventually(t, longEnough, "stopped, it leaves something", func() bool { return m.count("STOPPING=1") == 2 && m.holds() == 0 })
}

// TestSystemdStale: a mount that ended while nobody served it is given up, and mounted
// anew.
func TestSystemdStale(t *testing.T) {
	t.Parallel()
	needRoot(t)
	needFuse(t)
	m := newSystemd(t)
	o := mounting{dir: tempDir(t), data: filepath.Join(tempDir(t), "data")}
	m.starts(t, o).kill()
	run(t, longEnough, "umount", "-l", o.dir)
	m.mu.Lock()
	dead := m.stored["bipfs-device"]
	m.mu.Unlock()
	if dead == nil {
		t.Fatal("it is not stored")
	}
	k := m.starts(t, o)
	if !isMounted(o.dir) || m.holds() != 2 {
		t.Errorf("mounted: %v, %d descriptors are stored", isMounted(o.dir), m.holds())
	}
	k.stop(10 * time.Second)
}

// TestSystemdKeeper: -d under a service manager: the command says that the mount is
// ready and whom to look at, who passes on signs of life, of each worker.
func TestSystemdKeeper(t *testing.T) {
	t.Parallel()
	needFuse(t)
	m := newSystemd(t)
	o := mounting{prefix: []string{"env", "NOTIFY_SOCKET=" + m.socket, "WATCHDOG_USEC=200000"}}
	k := mountKept(t, o)
	ready := fmt.Sprintf("READY=1\nMAINPID=%d", k.keeper)
	eventually(t, longEnough, "it is not ready", func() bool { return m.count(ready) == 1 })
	k.killed(t, k.asked(t))
	alive := m.count("WATCHDOG=1")
	eventually(t, longEnough, "no signs of life", func() bool { return m.count("WATCHDOG=1") > alive+3 })
	if m.holds() != 0 {
		t.Error("the keeper has it, and so has the service manager")
	}
	_ = syscall.Kill(k.keeper, syscall.SIGTERM)
	eventually(t, longEnough, "it does not stop", func() bool { return m.count("STOPPING=1") == 1 && !isMounted(k.dir) })
}
