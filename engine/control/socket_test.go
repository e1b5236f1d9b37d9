package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestSocketMode: the socket is its owner's; with a group it is the group's too;
// it goes with the daemon.
func TestSocketMode(t *testing.T) {
	for _, c := range []struct {
		gid  int
		mode os.FileMode
	}{{-1, 0o600}, {os.Getegid(), 0o660}} {
		dir := filepath.Join(t.TempDir(), "run", "bipfs")
		l, err := Listen(dir, "/mnt", c.gid)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(l.path)
		if err != nil || st.Mode().Perm() != c.mode {
			t.Errorf("group %d: mode %v, %v", c.gid, st.Mode(), err)
		}
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("the folder has mode %v, %v", st.Mode(), err)
		}
		l.Close()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	}
}

// TestSocketFolder: a folder that others may write to is refused.
func TestSocketFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(dir, "/mnt", -1); err == nil {
		l.Close()
		t.Error("a folder that everybody may write to is taken")
	}
}

// TestSocketLongPath: a folder whose path is longer than the address of a socket.
func TestSocketLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	_, c := serve(t, dir, -1)
	if err := c.Get(t.Context(), "status", &Status{}); err != nil {
		t.Error(err)
	}
}

// TestSocketName: an error has the name of the socket that people know.
func TestSocketName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, name("/gone"))
	if err := (&Client{path}).Get(t.Context(), "status", &Status{}); err == nil || !strings.Contains(err.Error(), path+": ") {
		t.Errorf("nobody is there: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close() // as one does who serves somebody else
		}
	})
	err = (&Client{path}).Get(t.Context(), "status", &Status{})
	if err == nil || strings.Contains(err.Error(), "/proc/") {
		t.Errorf("it hangs up: %v", err)
	}
	l.Close()
	wg.Wait()
}

// TestDeadSocket: the socket of a daemon that was killed is found by nobody, and
// removed by the next mount; a live one stays.
func TestDeadSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name("/dead")), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	f, _ := serve(t, dir, -1)
	if paths := Sockets(dir); len(paths) != 1 || filepath.Base(paths[0]) != name(f.mountpoint) {
		t.Errorf("there are %v", paths)
	}
	g, _ := serve(t, dir, -1) // a second one lets the first be
	found := Find(t.Context(), dir, filepath.Join(dir, "none"))
	if len(found) != 2 {
		t.Fatalf("found are %v", found)
	}
	for _, want := range []*fake{f, g} {
		if one, err := Choose(found, filepath.Join(want.mountpoint, "a", "b")); err != nil || one.Status.Mountpoint != want.mountpoint {
			t.Errorf("%s: %v, %v", want.mountpoint, one.Status.Mountpoint, err)
		}
	}
	if _, err := Choose(found, ""); err == nil || !strings.Contains(err.Error(), f.mountpoint) || !strings.Contains(err.Error(), g.mountpoint) {
		t.Errorf("several: %v", err)
	}
	if _, err := Choose(found, "/elsewhere"); err == nil {
		t.Error("a path in no mount finds one")
	}
	if one, err := Choose(found[:1], ""); err != nil || one.Status != found[0].Status {
		t.Errorf("the only one: %v", err)
	}
	if _, err := Choose(nil, ""); err == nil {
		t.Error("nothing is found where nothing is")
	}
}

// TestNested: of two mounts in which a path lies, the inner one is meant.
func TestNested(t *testing.T) {
	all := []Found{{Status: Status{Mountpoint: "/mnt"}}, {Status: Status{Mountpoint: "/mnt/a"}}, {Status: Status{Mountpoint: "/mnt/ab"}}}
	for path, want := range map[string]string{"/mnt/a/x": "/mnt/a", "/mnt/a": "/mnt/a", "/mnt/abc": "/mnt", "/mnt": "/mnt"} {
		if f, err := Choose(all, path); err != nil || f.Status.Mountpoint != want {
			t.Errorf("%s: %s, %v", path, f.Status.Mountpoint, err)
		}
	}
}

// TestAnotherUser: the kernel lets another user connect where the modes do, and
// then we do not; with a group the modes count.
func TestAnotherUser(t *testing.T) {
	if socket := os.Getenv(childEnv); socket != "" {
		err := (&Client{socket}).Get(context.Background(), "status", &Status{})
		fmt.Printf("got %v\n", err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root has a second user")
	}
	base, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(base, "test")
	if b, err := os.ReadFile("/proc/self/exe"); err != nil || os.WriteFile(self, b, 0o755) != nil {
		t.Fatal("the test cannot be copied to where others may run it")
	}
	for _, c := range []struct {
		name string
		gid  int
		mode os.FileMode // that somebody has set by mistake; 0: none
		want string
	}{
		{"owner only", -1, 0, "got the mount does not answer"},
		{"open by mistake", -1, 0o666, "got the mount does not answer"},
		{"another group", 4321, 0, "got the mount does not answer"},
		{"its group", 65534, 0, "got <nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(base, c.name)
			_, client := serve(t, dir, c.gid)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if c.mode != 0 {
				if err := os.Chmod(client.socket, c.mode); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(self, "-test.run", "^TestAnotherUser$", "-test.v")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), childEnv+"="+client.socket)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if !strings.Contains(string(out), c.want) {
				t.Errorf("another user: %s", out)
			}
		})
	}
}

// childEnv makes the test a client of the socket that it names.
const childEnv = "BIPFS_CONTROL_CHILD"
