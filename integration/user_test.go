package integration

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An account is an ordinary user: no capabilities, no way back to root.
type account struct{ uid, gid string }

// ordinary is a user that every Debian machine has; fusermount3 wants a name.
func ordinary(t testing.TB, name string) account {
	t.Helper()
	needRoot(t)
	need(t, "setpriv", "fusermount3")
	u, err := user.Lookup(name)
	if err != nil {
		t.Skip(err)
	}
	return account{u.Uid, u.Gid}
}

func (a account) prefix() []string {
	return []string{"setpriv", "--reuid", a.uid, "--regid", a.gid, "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "env", "HOME=/nonexistent"}
}

// owns makes a folder of the user's own.
func (a account) owns(t testing.TB) string {
	t.Helper()
	dir := tempDir(t)
	run(t, 5*time.Second, "chown", a.uid+":"+a.gid, dir)
	return dir
}

// openFuse lets everybody open /dev/fuse, as udev does where it runs. It is locked
// meanwhile: the tests of fs do the same, at the same time.
func openFuse(t testing.TB) {
	t.Helper()
	device, err := os.Open("/dev/fuse")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { device.Close() })
	if err := syscall.Flock(int(device.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	st, err := device.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("/dev/fuse", 0o666); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod("/dev/fuse", st.Mode().Perm()); err != nil {
			t.Error(err)
		}
	})
}

// TestOrdinaryUser: the same bytes and the same stops without any privilege.
func TestOrdinaryUser(t *testing.T) {
	needFuse(t)
	a := ordinary(t, "nobody")
	openFuse(t)
	to := torrentOf(t, file(t, "killed.bin", 256<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	o := mounting{dir: a.owns(t), data: filepath.Join(a.owns(t), "data"), prefix: a.prefix(), flags: peerFlags(seeder), sources: []string{to.file}}
	read := func(t *testing.T, m *mount) {
		t.Helper()
		run(t, readPatience, append(a.prefix(), "cmp", to.shown(m), to.content)...)
	}
	t.Run("reads and stops", func(t *testing.T) {
		m := mountBipfs(t, o)
		read(t, m)
		if caps := m.status("CapEff"); caps != 0 {
			t.Errorf("bipfs has capabilities: %x", caps)
		}
		m.stop(300 * time.Millisecond)
	})
	t.Run("killed, cleaned at the next start", func(t *testing.T) {
		m := mountBipfs(t, o)
		m.kill()
		again := mountBipfs(t, o)
		if again.took > 2*time.Second {
			t.Errorf("the restart took %v", again.took)
		}
		read(t, again)
		run(t, 5*time.Second, append(a.prefix(), bipfs, "unmount", again.dir)...)
		if code := again.exits(5 * time.Second); code != 0 {
			t.Errorf("exit code %d after an unmount", code)
		}
	})
	t.Run("blocked reads", func(t *testing.T) {
		dead := madeUp(t, "dead.bin", 1<<30, 16<<20, "")
		blocked := o
		blocked.sources = []string{dead.file}
		m := mountBipfs(t, blocked)
		r := start(t, "reader", append(a.prefix(), "cat", dead.shown(m))...)
		time.Sleep(500 * time.Millisecond)
		m.stop(5 * time.Second)
		if code := r.exits(5 * time.Second); code == 0 {
			t.Error("a read of nothing has succeeded")
		}
	})
	t.Run("fusermount3 is told to end, too", func(t *testing.T) {
		// As the rest of a service is, when that is stopped.
		dir := a.owns(t)
		told := filepath.Join(dir, "told")
		script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = -u ] && mkdir %s; then kill -TERM $$; fi\nexec /usr/bin/fusermount3 \"$@\"\n", told)
		if err := os.WriteFile(filepath.Join(dir, "fusermount3"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		with := o
		with.prefix = append(a.prefix(), "PATH="+dir+":"+os.Getenv("PATH"))
		m := mountBipfs(t, with)
		m.stop(5 * time.Second)
		if _, err := os.Stat(told); err != nil {
			t.Error("it was not started:", err)
		}
	})
	t.Run("private data", func(t *testing.T) {
		st, err := os.Stat(o.data)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o700 {
			t.Errorf("the data folder has mode %v", st.Mode())
		}
	})
}

// TestSecondUser: who did not mount reads nothing, unless told otherwise.
func TestSecondUser(t *testing.T) {
	needFuse(t)
	other := ordinary(t, "nobody")
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := scripted(t, manner{}, to)
	for _, c := range []struct {
		name, options string
		reads         bool
	}{
		{"default", "", false},
		{"allow_other", "allow_other", true},
		{"allow_other, umask=077", "allow_other,umask=077", false},
		{"allow_other, fmask=0377", "allow_other,fmask=0377", false},
		{"allow_other, uid of the other, umask=077", fmt.Sprintf("allow_other,uid=%s,umask=077", other.uid), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := mounting{flags: peerFlags(seeder), sources: []string{to.file}}
			if c.options != "" {
				o.flags = append(o.flags, "-o", c.options)
			}
			m := mountBipfs(t, o)
			r := try(20*time.Second, append(other.prefix(), "cmp", to.shown(m), to.content)...)
			switch {
			case c.reads && r.code != 0:
				t.Errorf("cannot read: %v", r)
			case !c.reads && (r.code == 0 || !strings.Contains(r.err, "Permission denied")):
				t.Errorf("not refused with EACCES: %v", r)
			}
			same(t, to.shown(m), to.content) // root always may
			m.stop(time.Second)
		})
	}
}
