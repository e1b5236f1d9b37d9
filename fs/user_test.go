package fs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An ordinary user has no capabilities and mounts by fusermount3, which is setuid
// root. On some machines only root may open the FUSE device: the test changes
// that and changes it back.

const (
	nobody  = 65534
	another = 65533
)

// asUser starts a child as an ordinary user.
func asUser(uid uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		cmd.Dir = "/"
	}
}

// readAs reads a file as a user; the error is the words of cat.
func readAs(uid uint32, path string) error {
	cmd := exec.Command("cat", path)
	asUser(uid)(cmd)
	var words strings.Builder
	cmd.Stderr = &words
	if err := cmd.Run(); err != nil {
		return errors.New(words.String())
	}
	return nil
}

// userDir is a mountpoint of an ordinary user, and a change of a child's command
// so that it runs as that user, from a program that the user can read.
func userDir(t *testing.T) (dir string, start func(*exec.Cmd)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	if _, err := fusermount(); err != nil {
		t.Skip(err)
	}
	open, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { open.Close() })
	// The tests of integration change its mode as well, at the same time.
	if err := syscall.Flock(int(open.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	st, err := open.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm()&0o006 != 0o006 {
		if err := os.Chmod(device, 0o666); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(device, st.Mode().Perm()) })
	}
	base, err := os.MkdirTemp("", "bipfs-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	dir = filepath.Join(base, "a mount,point")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(base, "program")
	run(t, `chmod 755 "$1"; mkdir "$2"; chown 65534:65534 "$2"; cp "$3" "$4"; chmod 755 "$4"`, base, dir, exe, program)
	return dir, func(cmd *exec.Cmd) {
		asUser(nobody)(cmd)
		cmd.Path = program
	}
}

func TestUser(t *testing.T) {
	dir, user := userDir(t)
	m := mount(t, dir, Options{}, user)
	if err := readAs(nobody, m.path("live")); err != nil {
		t.Error(err)
	}
	to := filepath.Join(filepath.Dir(dir), "to")
	run(t, `mkdir "$1"; chown 65534:65534 "$1"`, to)
	cp := exec.Command("cp", "-r", m.path("files")+"/.", to)
	asUser(nobody)(cp)
	if out, err := cp.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	equal(t, to)
	for who, uid := range map[string]uint32{"root": 0, "another user": another} {
		if err := readAs(uid, m.path("live")); err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("%s: %v", who, err)
		}
	}
	if got := m.ask("background"); got != "1024" {
		t.Errorf("max_background is %s", got)
	}
	took(t, m.ask("unmount"))
}

// TestUserStops: an ordinary user's mount ends as root's does.
func TestUserStops(t *testing.T) {
	dir, user := userDir(t)
	t.Run("blocked and in use", func(t *testing.T) {
		m := mount(t, dir, Options{}, user)
		cat := exec.Command("cat", m.path("dead/000"))
		asUser(nobody)(cat)
		sleep := exec.Command("sh", "-c", `cd "$0" && exec sleep 60`, m.path("files"))
		asUser(nobody)(sleep) // who, unlike root, may enter
		for _, c := range []*exec.Cmd{cat, sleep} {
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { c.Process.Kill(); c.Wait() }()
		}
		m.until("waiting", "1")
		time.Sleep(100 * time.Millisecond)
		took(t, m.ask("unmount"))
	})
	t.Run("killed", func(t *testing.T) {
		m := mount(t, dir, Options{}, user)
		m.kill()
		m = mount(t, dir, Options{}, user, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, cleanEnv+"=1") })
		if err := readAs(nobody, m.path("live")); err != nil {
			t.Error(err)
		}
	})
}

func TestUserMayNotShare(t *testing.T) {
	dir, user := userDir(t)
	if othersAllowed() {
		t.Skip("/etc/fuse.conf has user_allow_other")
	}
	if _, said := tryMount(t, dir, Options{AllowOther: true}, user); !strings.Contains(said, "user_allow_other") {
		t.Error(said)
	}
}

// TestOthers: who may read what, of a mount that root shares.
func TestOthers(t *testing.T) {
	dir, _ := userDir(t)
	owner := uint32(nobody)
	for _, c := range []struct {
		name        string
		o           Options
		user, other bool // the owner by uid=, and another user, may read
	}{
		{"root's own", Options{UID: &owner}, false, false},
		{"allow_other", Options{UID: &owner, GID: &owner, AllowOther: true}, true, true},
		{"allow_other, umask=077", Options{UID: &owner, AllowOther: true, Umask: 0o077}, true, false},
		{"allow_other, dmask=077", Options{UID: &owner, AllowOther: true, Dmask: 0o077}, true, false},
		{"allow_other, fmask=077", Options{UID: &owner, AllowOther: true, Fmask: 0o077}, true, false},
		{"allow_root", Options{UID: &owner, AllowRoot: true}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, dir, c.o)
			for uid, may := range map[uint32]bool{0: true, nobody: c.user, another: c.other} {
				switch err := readAs(uid, m.path("live")); {
				case may && err != nil:
					t.Errorf("%d: %v", uid, err)
				case !may && (err == nil || !strings.Contains(err.Error(), "Permission denied")):
					t.Errorf("%d: %v, not EACCES", uid, err)
				}
			}
			if !c.other {
				return
			}
			touch := exec.Command("touch", m.path("new"))
			asUser(nobody)(touch)
			if out, err := touch.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
				t.Errorf("touch by the owner: %s", out)
			}
		})
	}
}

// TestRefusals: each thing that is in the way is said in a sentence.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at, want string
		o        Options
	}{
		{file, "is not a directory", Options{}},
		{filepath.Join(dir, "none"), "does not exist", Options{}},
		{filepath.Join(dir, "none/none"), "does not exist", Options{}},
		{dir, "is not empty", Options{}},
		{"/proc/self/fdinfo/0", "is not a directory", Options{}},
	} {
		if _, said := tryMount(t, c.at, c.o); !strings.Contains(said, c.want) {
			t.Errorf("%s: %s, not %s", c.at, said, c.want)
		}
	}
	m := mount(t, dir, Options{NonEmpty: true, ReadOnly: true, NoExec: true, Source: "my, source"})
	line := run(t, `grep " $1 " /proc/self/mounts`, m.dir)
	for _, want := range []string{" ro,", "noexec", "nosuid", `my,\040source `} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	if err := os.Mkdir(m.path("new"), 0o777); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	m.end()
	base := t.TempDir()
	link, loop := filepath.Join(base, "link"), filepath.Join(base, "loop")
	run(t, `ln -s "$1" "$2/middle"; ln -s middle "$2/link"; ln -s loop "$2/loop"`, dir, base)
	if err := Clean(loop); err == nil || !strings.Contains(err.Error(), "loop cannot be used: too many") {
		t.Error(err)
	}
	mount(t, link, Options{NonEmpty: true})
	if err := Unmount(link, false); err != nil {
		t.Errorf("by a link: %v", err)
	}
}
