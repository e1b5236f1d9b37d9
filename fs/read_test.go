package fs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run runs a shell script in a process of its own.
func run(t testing.TB, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-e", "-c", script, "sh"}, args...)...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// sample are the ids and sizes of the files below /files.
func sample() map[string]*memNode {
	m, out := newMemory(), map[string]*memNode{}
	var walk func(n *memNode, path string)
	walk = func(n *memNode, path string) {
		for _, c := range n.children {
			p := filepath.Join(path, c.name)
			if c.mode&syscall.S_IFMT == syscall.S_IFREG {
				out[p] = c
			}
			walk(c, p)
		}
	}
	walk(m.nodes[idFiles], "")
	return out
}

// equal compares a folder with the sample files.
func equal(t *testing.T, dir string) {
	t.Helper()
	for name, n := range sample() {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want := content(nil, n.id, 0, int(n.size)); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, other than the %d that are right", name, len(got), len(want))
		}
	}
}

// TestTools copies the tree by the tools that people use.
func TestTools(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	for _, c := range []struct{ name, needs, script string }{
		{"cp", "cp", `cp -r "$1"/files/. "$2"`},
		{"cp sparse", "cp", `cp -r --sparse=always "$1"/files/. "$2"`},
		{"tar", "tar", `tar -C "$1"/files -cf - . | tar -C "$2" -xf -`},
		{"tar sparse", "tar", `tar -C "$1"/files -cSf - . | tar -C "$2" -xSf -`},
		{"rsync", "rsync", `rsync -a "$1"/files/ "$2"`},
		{"rsync checksum", "rsync", `rsync -ac --inplace "$1"/files/ "$2"; test -z "$(rsync -acni "$1"/files/ "$2" | grep -v '^\.d')"`},
		{"cat", "cat", `cd "$1"/files; find . -type d -exec mkdir -p "$2"/{} \; ; find . -type f -exec sh -c 'cat "$1" >"$2/$1"' sh {} "$2" \;`},
		{"dd", "dd", `cd "$1"/files; find . -type d -exec mkdir -p "$2"/{} \; ; find . -type f -exec sh -c 'dd if="$1" of="$2/$1" bs=7777 2>/dev/null' sh {} "$2" \;`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); err != nil {
				t.Skipf("%s is not installed", c.needs)
			}
			to := t.TempDir()
			run(t, c.script+"; chmod -R u+w \"$2\"", m.dir, to)
			equal(t, to)
		})
	}
	t.Run("ls and find", func(t *testing.T) {
		run(t, `ls -lRi "$1"/files`, m.dir)
		got := strings.Split(run(t, `cd "$1"/files; find . -type f`, m.dir), "\n")
		if want := sample(); len(got) != len(want) {
			t.Errorf("find: %d files, not %d", len(got), len(want))
		}
	})
}

// TestRandomReads compares random reads of every kind with the known bytes.
func TestRandomReads(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	r := rand.New(rand.NewPCG(3, 4))
	for name, n := range sample() {
		f, err := os.Open(m.path("files", name))
		if err != nil {
			t.Fatal(err)
		}
		direct, err := os.OpenFile(f.Name(), os.O_RDONLY|syscall.O_DIRECT, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			off, l := r.Int64N(int64(n.size)+10), r.IntN(200_000)
			want := content(nil, n.id, off, int(max(0, min(int64(l), int64(n.size)-off))))
			for _, from := range []*os.File{f, direct} {
				got := make([]byte, l)
				k, _ := from.ReadAt(got, off)
				if !bytes.Equal(got[:k], want) {
					t.Fatalf("%s: %d bytes at %d: got %d, other than the %d that are right", name, l, off, k, len(want))
				}
			}
		}
		if n.size > 0 {
			for _, flag := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE} {
				b, err := unix.Mmap(int(f.Fd()), 0, int(n.size), unix.PROT_READ, flag)
				if err != nil {
					t.Fatalf("%s: mmap: %v", name, err)
				}
				if !bytes.Equal(b, content(nil, n.id, 0, int(n.size))) {
					t.Errorf("%s: mmap: wrong bytes", name)
				}
				unix.Munmap(b)
			}
		}
		f.Close()
		direct.Close()
	}
}

// TestStat: what stat, statfs, lseek and readlink show.
func TestStat(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	for name, n := range sample() {
		var st unix.Stat_t
		if err := unix.Lstat(m.path("files", name), &st); err != nil {
			t.Fatal(err)
		}
		if uint64(st.Size) != n.size || st.Ino != uint64(n.id) || uint32(st.Mode) != n.mode || st.Nlink != 1 ||
			st.Blocks != (st.Size+511)/512 || int(st.Blksize) != blockSize || st.Mtim.Sec != 1700000000 || st.Mtim.Nsec != 5 {
			t.Errorf("%s: %+v", name, st)
		}
		fd, err := unix.Open(m.path("files", name), unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, st.Size / 2, st.Size - 1} {
			if off < 0 || st.Size == 0 {
				continue
			}
			if at, err := unix.Seek(fd, off, unix.SEEK_DATA); at != off || err != nil {
				t.Errorf("%s: SEEK_DATA from %d: %d, %v", name, off, at, err)
			}
			if at, err := unix.Seek(fd, off, unix.SEEK_HOLE); at != st.Size || err != nil {
				t.Errorf("%s: SEEK_HOLE from %d: %d, %v", name, off, at, err)
			}
		}
		if _, err := unix.Seek(fd, st.Size, unix.SEEK_DATA); err != unix.ENXIO {
			t.Errorf("%s: SEEK_DATA from the end: %v", name, err)
		}
		unix.Close(fd)
	}
	var sf unix.Statfs_t
	if err := unix.Statfs(m.dir, &sf); err != nil {
		t.Fatal(err)
	}
	if sf.Blocks != (10<<30)/unit+1 || sf.Bfree != (3<<30)/unit || sf.Bavail != sf.Bfree || sf.Bsize != unit ||
		sf.Frsize != unit || sf.Namelen != 255 || sf.Files != 77 {
		t.Errorf("statfs: %+v", sf)
	}
	if to, err := os.Readlink(m.path("files/nested/link")); to != "deeper/x y\\ z" || err != nil {
		t.Errorf("readlink: %q, %v", to, err)
	}
	if b, err := os.ReadFile(m.path("files/nested/link")); len(b) != 70000 || err != nil {
		t.Errorf("through the link: %d bytes, %v", len(b), err)
	}
	line := run(t, `grep " $1 " /proc/self/mounts`, m.dir)
	for _, want := range []string{"bipfs ", " fuse.bipfs ", "rw,", "nosuid", "nodev", "default_permissions", "max_read=1048576"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
}

// TestErrors: every failure of a handle is an error, and nothing is cut short.
func TestErrors(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	for _, c := range []struct {
		name string
		want error
	}{
		{"panic", syscall.EIO}, {"short", syscall.EIO}, {"enosys", syscall.EIO}, {"other", syscall.EIO},
		{"errno", syscall.ETIMEDOUT}, {"nothing", syscall.ENOENT}, {"live/x", syscall.ENOTDIR},
	} {
		for range 2 { // an error is not remembered as something else
			if _, err := os.ReadFile(m.path(c.name)); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, not %v", c.name, err, c.want)
			}
		}
	}
	if b, err := os.ReadFile(m.path("crumbs")); err != nil || !bytes.Equal(b, content(nil, 17, 0, 300<<10)) {
		t.Errorf("a reply of thousands of slices: %d bytes, %v", len(b), err)
	}
	m.until("waiting", "0")
}

// TestWrites: nothing can be changed, by anybody.
func TestWrites(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	live, dir := m.path("live"), m.path("files/nested")
	x := func(f func() error) func() error { return f }
	for name, change := range map[string]func() error{
		"create":   x(func() error { _, err := os.Create(m.path("new")); return err }),
		"open w":   x(func() error { _, err := os.OpenFile(live, os.O_WRONLY, 0); return err }),
		"open rw":  x(func() error { _, err := os.OpenFile(live, os.O_RDWR, 0); return err }),
		"append":   x(func() error { _, err := os.OpenFile(live, os.O_WRONLY|os.O_APPEND, 0); return err }),
		"truncate": x(func() error { return os.Truncate(live, 1) }),
		"unlink":   x(func() error { return syscall.Unlink(live) }),
		"rmdir":    x(func() error { return syscall.Rmdir(dir) }),
		"mkdir":    x(func() error { return os.Mkdir(m.path("new"), 0o777) }),
		"rename":   x(func() error { return syscall.Rename(live, m.path("new")) }),
		"exchange": x(func() error {
			return unix.Renameat2(unix.AT_FDCWD, live, unix.AT_FDCWD, m.path("big"), unix.RENAME_EXCHANGE)
		}),
		"link":    x(func() error { return os.Link(live, m.path("new")) }),
		"symlink": x(func() error { return os.Symlink("live", m.path("new")) }),
		"mkfifo":  x(func() error { return syscall.Mkfifo(m.path("new"), 0o666) }),
		"chmod":   x(func() error { return os.Chmod(live, 0o777) }),
		"chown":   x(func() error { return os.Lchown(live, 1, 1) }),
		"utimes":  x(func() error { return os.Chtimes(live, time.Now(), time.Now()) }),
		"tmpfile": x(func() error { _, err := unix.Open(m.dir, unix.O_TMPFILE|unix.O_WRONLY, 0o666); return err }),
	} {
		err := change()
		if !errors.Is(err, syscall.EROFS) && (os.Geteuid() == 0 || !errors.Is(err, syscall.EACCES)) {
			t.Errorf("%s: %v, not EROFS", name, err)
		}
	}
	if err := unix.Setxattr(live, "user.x", []byte("x"), 0); err == nil {
		t.Error("setxattr worked")
	}
}

// TestUnknownHandle: a descriptor goes on after the server has lost its open files.
func TestUnknownHandle(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	f, err := os.OpenFile(m.path("live"), os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	m.ask("forget")
	got := make([]byte, 64<<10)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content(nil, idLive, 0, len(got))) {
		t.Errorf("after the server forgot: %v", err)
	}
	if n := m.ask("opens"); n != "2" {
		t.Errorf("opened %s times, not once more", n)
	}
	f.Close()
}

// TestNotices: what comes, grows and goes is seen, though the kernel may keep
// names for a year.
func TestNotices(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	path := m.path("fresh")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	m.ask("add fresh")
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			return -1
		}
		return st.Size()
	}
	eventually(t, "the name came", func() bool { return size() == 10 })
	m.ask("grow")
	eventually(t, "the file grew", func() bool { return size() == 20 })
	m.ask("remove fresh")
	eventually(t, "the name went", func() bool { return size() == -1 })
}

// longEnough is how long a test waits for what is sure to come on a busy machine.
const longEnough = 30 * time.Second

// soon is what is at once on a busy machine: what it is told from never ends.
const soon = 10 * time.Second

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > longEnough {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestSecondRead: what was read once does not leave the kernel a second time, by
// another process that opens the file anew.
func TestSecondRead(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	path := m.path("files", "file-5255225")
	run(t, `cat "$1" >/dev/null`, path)
	asked := m.ask("reads")
	if asked == "0" {
		t.Fatal("nothing was asked for")
	}
	run(t, `cat "$1" >/dev/null; dd if="$1" of=/dev/null bs=1M status=none`, path)
	if again := m.ask("reads"); again != asked {
		t.Errorf("%s reads after the first time, %s after the next", asked, again)
	}
}
