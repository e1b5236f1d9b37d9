package fs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestManyEntries lists directories of 20,000 and 100,000 files, by READDIRPLUS
// and with seeks to places of an earlier, closed listing.
func TestManyEntries(t *testing.T) {
	m := mount(t, t.TempDir(), Options{})
	for _, n := range []int{20_000, 100_000} {
		name := fmt.Sprintf("n%d", n)
		if got := run(t, `ls -f "$1" | wc -l`, m.path(name)); got != fmt.Sprint(n+2) {
			t.Errorf("ls -f %s: %s entries", name, got)
		}
		entries, err := os.ReadDir(m.path(name))
		if err != nil || len(entries) != n {
			t.Fatalf("%s: %d entries, %v", name, len(entries), err)
		}
		if !sort.SliceIsSorted(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() }) ||
			entries[n-1].Name() != fmt.Sprintf("file%06d.dat", n-1) {
			t.Errorf("%s: wrong names", name)
		}
	}
	if got := run(t, `ls -l "$1" | tail -1`, m.path("n20000")); !strings.Contains(got, " 19999 ") {
		t.Error(got)
	}
	places := dirents(t, m.path("n20000"), 0, -1)
	if len(places) != 20_002 || places[0].name != "." || places[1].name != ".." {
		t.Fatalf("%d places, the first two %v", len(places), places[:2])
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		i := r.IntN(len(places) - 1)
		if got := dirents(t, m.path("n20000"), places[i].place, 1); got[0] != places[i+1] {
			t.Fatalf("after the place of %v comes %v, not %v", places[i], got[0], places[i+1])
		}
	}
}

type dirent struct {
	name  string
	ino   uint64
	place int64
}

// dirents are the entries of a directory after a place, at least n of them.
func dirents(t *testing.T, dir string, from int64, n int) (out []dirent) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Seek(fd, from, unix.SEEK_SET); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 5000); n < 0 || len(out) < n; {
		k, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			break
		}
		for b := buf[:k]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			name, _, _ := bytes.Cut(b[unsafe.Offsetof(d.Name):d.Reclen], []byte{0})
			out = append(out, dirent{string(name), d.Ino, d.Off})
			b = b[d.Reclen:]
		}
	}
	return out
}

// TestRemount: inode numbers, places and file handles of a mount hold in the next.
func TestRemount(t *testing.T) {
	dir := t.TempDir()
	inos := func() (out string) {
		h := sha256.New()
		filepath.WalkDir(filepath.Join(dir, "files"), func(path string, _ fs.DirEntry, _ error) error {
			var st unix.Stat_t
			err := unix.Lstat(path, &st)
			fmt.Fprintln(h, path, st.Ino, st.Mtim, st.Ctim, err)
			return nil
		})
		return hex.EncodeToString(h.Sum(nil))
	}
	m := mount(t, dir, Options{})
	before := inos()
	places := dirents(t, m.path("n20000"), 0, 12_000)
	path := m.path("files/nested/deeper/x y\\ z")
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		t.Fatal(err)
	}
	folder, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Dir(path), 0)
	if err != nil {
		t.Fatal(err)
	}
	m.end()

	m = mount(t, dir, Options{})
	if after := inos(); before != after {
		t.Error("inode numbers or times changed")
	}
	if got := dirents(t, m.path("n20000"), places[11_000].place, 1); got[0] != places[11_001] {
		t.Errorf("a place of the former mount is not the same: %v, %v", got[0], places[11_001])
	}
	m.end()

	mount(t, dir, Options{}) // nothing looked up yet
	if os.Geteuid() != 0 {
		t.Skip("open_by_handle_at needs root")
	}
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	fd, err := unix.OpenByHandleAt(at, handle, unix.O_RDONLY)
	if err != nil {
		t.Fatalf("open_by_handle_at: %v", err)
	}
	f := os.NewFile(uintptr(fd), "by handle")
	got := make([]byte, 70000)
	if n, err := f.ReadAt(got, 0); n != 70000 || !bytes.Equal(got, content(nil, 202, 0, 70000)) {
		t.Errorf("by handle: %d bytes, %v", n, err)
	}
	f.Close()
	if fd, err = unix.OpenByHandleAt(at, folder, unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
		t.Fatalf("a directory by handle: %v", err)
	}
	up, err := unix.Openat(fd, "..", unix.O_RDONLY|unix.O_DIRECTORY, 0) // LOOKUP of ".."
	if err != nil {
		t.Errorf("the parent of a directory by handle: %v", err)
	}
	var st unix.Stat_t
	if unix.Fstat(up, &st); st.Ino != 200 {
		t.Errorf("the parent is %d, not 200", st.Ino)
	}
	unix.Close(up)
	unix.Close(fd)
}
