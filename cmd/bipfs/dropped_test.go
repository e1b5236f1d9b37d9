package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bipfs/engine"
)

// dropTest is a folder of --watch in false time.
type dropTest struct {
	*dropFolder
	t    *testing.T
	now  time.Time
	here []string          // infohashes that were added, without those that were removed
	in   map[string]string // the folder of each
	log  bytes.Buffer
}

func (d *dropTest) drop(s engine.Source) (string, error) {
	hash := s.Magnet.ID().String()
	if strings.HasPrefix(hash, "bad") {
		return "", errors.New("refused")
	}
	if !slices.Contains(d.here, hash) {
		d.here = append(d.here, hash)
		d.in[hash] = s.Folder
	}
	return hash, nil
}

func (d *dropTest) lift(infohash string) error {
	d.here = slices.DeleteFunc(d.here, func(h string) bool { return h == infohash })
	return nil
}

func (d *dropTest) follow(infohash, from, to string) error {
	if d.in[infohash] == from {
		d.in[infohash] = to
	}
	return nil
}

func newDropTest(t *testing.T, keep bool) *dropTest {
	t.Helper()
	d := &dropTest{t: t, now: time.Now(), in: map[string]string{}}
	f, err := newDropFolder(filepath.Join(t.TempDir(), "."), keep, d, &dropNames{in: map[string][]*dropFolder{}}, slog.New(slog.NewTextHandler(&d.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	d.dropFolder = f
	return d
}

// after looks every second, for n seconds.
func (d *dropTest) after(n int, want ...string) {
	d.t.Helper()
	for range n {
		d.now = d.now.Add(time.Second)
		d.look(d.t.Context(), d.now)
	}
	if got := slices.Sorted(slices.Values(d.here)); !slices.Equal(got, want) {
		d.t.Fatalf("there are %.8q, not %.8q\n%s", got, want, d.log.String())
	}
}

// put writes a file; its time is now in false time.
func (d *dropTest) put(name string, lines ...string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		d.t.Fatal(err)
	}
	d.touch(path)
}

func (d *dropTest) touch(paths ...string) {
	d.t.Helper()
	for _, path := range append(paths, d.dir) {
		if err := os.Chtimes(path, d.now, d.now); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *dropTest) remove(name string) {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
		d.t.Fatal(err)
	}
	d.touch()
}

func hashOf(digit string) string { return strings.Repeat(digit, 40) }

// TestDropped goes through the life of files: half written, whole, changed, renamed,
// replaced, deleted.
func TestDropped(t *testing.T) {
	d := newDropTest(t, false)
	a, b, c := hashOf("a"), hashOf("b"), hashOf("c")
	d.after(1)
	d.put("x.magnet", a)
	d.put("notes.txt", c)
	d.put(".hidden.magnet", c)
	d.after(1)
	d.put("x.magnet", a, b) // somebody goes on writing
	d.after(1)
	d.after(1, a, b)
	d.put("Y.MAGNET", b, c)
	d.after(2, a, b, c)

	d.put("x.magnet", c) // b is named by the other
	d.after(2, b, c)
	d.remove("Y.MAGNET")
	d.after(10, b, c)
	d.after(1, c)

	if err := os.Rename(filepath.Join(d.dir, "x.magnet"), filepath.Join(d.dir, "z.magnet")); err != nil {
		t.Fatal(err)
	}
	d.touch()
	d.after(30, c)
	d.remove("z.magnet")
	d.after(5, c)
	d.put("z.magnet", c) // it was only replaced
	d.after(30, c)
	if err := os.WriteFile(filepath.Join(d.dir, "z.magnet"), []byte(a), 0o644); err != nil { // in its place, in no time
		t.Fatal(err)
	}
	d.after(int(lookAgain/time.Second)+2, a)
}

// TestDroppedElsewhere: while the folder is another one, or none, nothing is removed;
// when it is itself again, nothing that it has.
func TestDroppedElsewhere(t *testing.T) {
	d := newDropTest(t, false)
	a, b := hashOf("a"), hashOf("b")
	d.put("a.magnet", a)
	d.put("b.magnet", b)
	d.after(2, a, b)
	away := d.dir + " away"
	for _, other := range []bool{false, true} {
		if err := os.Rename(d.dir, away); err != nil {
			t.Fatal(err)
		}
		if other {
			if err := os.Mkdir(d.dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		d.after(60, a, b)
		if n := strings.Count(d.log.String(), "nothing is removed"); n != map[bool]int{false: 1, true: 2}[other] {
			t.Errorf("it is said %d times:\n%s", n, d.log.String())
		}
		if other {
			if err := os.Remove(d.dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(away, d.dir); err != nil {
			t.Fatal(err)
		}
		d.after(20, a, b)
	}
	// What is missing when the folder goes begins to be missing anew when it is back.
	d.remove("a.magnet")
	d.after(8, a, b)
	if err := os.Rename(d.dir, away); err != nil {
		t.Fatal(err)
	}
	d.after(8, a, b)
	if err := os.Rename(away, d.dir); err != nil {
		t.Fatal(err)
	}
	d.after(10, a, b)
	d.after(1, b)
}

// TestDroppedKeep: --watch-keep.
func TestDroppedKeep(t *testing.T) {
	d := newDropTest(t, true)
	d.put("a.magnet", hashOf("a"))
	d.after(2, hashOf("a"))
	d.remove("a.magnet")
	d.after(30, hashOf("a"))
}

// TestDroppedBad: what cannot be added is said once, takes nothing with it, and is
// tried again when it changes.
func TestDroppedBad(t *testing.T) {
	d := newDropTest(t, false)
	a := hashOf("a")
	d.put("bad.torrent", "no torrent")
	d.put("mixed.magnet", "nonsense", "http://example.org/x.torrent", "bad"+hashOf("0")[3:], a)
	if err := os.Mkdir(filepath.Join(d.dir, "folder.torrent"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(d.dir, "link.torrent")); err != nil {
		t.Fatal(err)
	}
	d.after(100, a)
	if n := strings.Count(d.log.String(), "is not added"); n != 2 {
		t.Errorf("said %d times:\n%s", n, d.log.String())
	}
	d.put("mixed.magnet", a, hashOf("b"))
	d.after(2, a, hashOf("b"))
}

// TestDroppedBadAgain: what a file with mistakes names is remembered once, however often it
// changes.
func TestDroppedBadAgain(t *testing.T) {
	d := newDropTest(t, false)
	a := hashOf("a")
	for n := range 20 {
		d.put("mixed.magnet", a, a, fmt.Sprint("nonsense ", n))
		d.after(2, a)
	}
	if got := d.files["mixed.magnet"].torrents; !slices.Equal(got, []string{a}) {
		t.Errorf("%d times", len(got))
	}
	d.put("mixed.magnet", a, hashOf("b"))
	d.after(2, a, hashOf("b"))
}

// TestDroppedBeside: a torrent that a file in another folder of --watch names stays.
func TestDroppedBeside(t *testing.T) {
	one, two := newDropTest(t, false), newDropTest(t, false)
	two.to, two.all = one, one.all // one mount
	a := hashOf("a")
	after := func(n int, want ...string) {
		t.Helper()
		for range n {
			for _, d := range []*dropTest{one, two} {
				d.now = d.now.Add(time.Second)
				d.look(t.Context(), d.now)
			}
		}
		if !slices.Equal(one.here, want) {
			t.Fatalf("there are %.8q, not %.8q", one.here, want)
		}
	}
	one.put("x.magnet", a)
	after(3, a)
	two.put("x.magnet", a)
	one.remove("x.magnet")
	after(20, a)
	two.remove("x.magnet")
	after(20)
}

// TestDroppedMany: in a folder with more files than are looked at no deletion counts.
func TestDroppedMany(t *testing.T) {
	d := newDropTest(t, false)
	d.put("a.magnet", hashOf("a"))
	d.after(2, hashOf("a"))
	for i := range mostDropped {
		if err := os.Symlink("nowhere", filepath.Join(d.dir, fmt.Sprint(i, ".magnet"))); err != nil {
			t.Fatal(err)
		}
	}
	d.remove("a.magnet")
	d.after(3, hashOf("a")) // exactly as many as are looked at
	d.put("a", "")
	if err := os.Symlink("nowhere", filepath.Join(d.dir, "more.magnet")); err != nil {
		t.Fatal(err)
	}
	d.touch()
	d.after(12, hashOf("a"))
	if !strings.Contains(d.log.String(), "no deletion counts") {
		t.Error("it is not said")
	}
}

// TestDroppedForReal: a torrent comes and goes, and may have gone before.
func TestDroppedForReal(t *testing.T) {
	d := &daemon{Client: boxTree(t).client}
	s, err := engine.ParseLink(hashOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	infohash, err := d.drop(s)
	if err != nil || infohash != hashOf("a") || d.ByInfohash(infohash) == nil {
		t.Errorf("%s, %v", infohash, err)
	}
	for range 2 {
		if err := d.lift(infohash); err != nil || d.ByInfohash(infohash) != nil {
			t.Error(err)
		}
	}
}

// TestWatchFlags: what cannot be watched is a mistake of who typed it.
func TestWatchFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for watched, ok := range map[string]bool{dir: true, file: false, filepath.Join(dir, "none"): false} {
		m := mountCommand{Watch: []string{watched}}
		all, err := m.watchFolders("/elsewhere", "/data", nil, nil)
		if usage := errors.As(err, &usageError{}); usage == ok || (len(all) == 1) != ok {
			t.Errorf("%s: %v", watched, err)
		}
	}
	m := mountCommand{Watch: []string{dir}}
	if _, err := m.watchFolders(filepath.Dir(dir), "/data", nil, nil); !errors.As(err, &usageError{}) {
		t.Errorf("inside the mount: %v", err)
	}
}
