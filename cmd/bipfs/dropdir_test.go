//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bipfs/engine"
)

func (d *dropTest) path(name string) string { return filepath.Join(d.dir, name) }

func (d *dropTest) mkdir(names ...string) {
	d.t.Helper()
	for _, name := range names {
		if err := os.Mkdir(d.path(name), 0o755); err != nil {
			d.t.Fatal(err)
		}
		d.touch(d.path(name), filepath.Dir(d.path(name)))
	}
}

func (d *dropTest) rename(from, to string) {
	d.t.Helper()
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		d.t.Fatal(err)
	}
	d.touch(filepath.Dir(d.path(from)), filepath.Dir(d.path(to)))
}

// putIn is put below a folder.
func (d *dropTest) putIn(name string, lines ...string) {
	d.t.Helper()
	d.put(name, lines...)
	d.touch(filepath.Dir(d.path(name)))
}

func (d *dropTest) removeAll(name string) {
	d.t.Helper()
	if err := os.RemoveAll(d.path(name)); err != nil {
		d.t.Fatal(err)
	}
	d.touch(filepath.Dir(d.path(name)))
}

// stands fails the test unless a torrent was added in a folder, or has followed to it.
func (d *dropTest) stands(infohash, folder string) {
	d.t.Helper()
	if d.in[infohash] != folder {
		d.t.Fatalf("%.8s stands in %q, not in %q", infohash, d.in[infohash], folder)
	}
}

func (d *dropTest) saidTimes(words string, n int) {
	d.t.Helper()
	if got := strings.Count(d.log.String(), words); got != n {
		d.t.Errorf("%q is said %d times, not %d:\n%s", words, got, n, d.log.String())
	}
}

// TestDroppedTree: sub-folders are looked at, whenever they come, and what they have
// stands in the same ones; a deleted one is what was in it deleted.
func TestDroppedTree(t *testing.T) {
	d := newDropTest(t, false)
	a, b, c := hashOf("a"), hashOf("b"), hashOf("c")
	d.mkdir("films", "films/2024")
	d.putIn("films/2024/x.magnet", a)
	d.after(3, a)
	d.stands(a, "films/2024")
	d.after(30, a)
	d.mkdir("films/old", ".hidden")
	d.putIn("films/old/x.magnet", b) // in one that was not there when its parent was looked into
	d.putIn(".hidden/x.magnet", c)
	d.after(3, a, b)
	d.stands(b, "films/old")
	d.after(30, a, b)
	d.putIn("c.magnet", c)
	d.after(3, a, b, c)
	d.stands(c, "")

	d.remove("films/old/x.magnet")
	d.touch(d.path("films/old"))
	d.after(10, a, b, c)
	d.after(2, a, c)
	d.removeAll("films")
	d.after(10, a, c)
	d.after(2, c)
	if len(d.dirs) != 1 || len(d.files) != 1 {
		t.Errorf("%d folders and %d files are remembered", len(d.dirs), len(d.files))
	}
	d.mkdir("films")
	d.putIn("films/x.magnet", a)
	d.after(3, a, c)
	d.stands(a, "films")
}

// TestDroppedMoves: a torrent follows its file to another folder, also when a folder is
// renamed, and is never removed in between.
func TestDroppedMoves(t *testing.T) {
	d := newDropTest(t, false)
	a, b := hashOf("a"), hashOf("b")
	d.mkdir("films", "films/2024", "series")
	d.putIn("films/2024/a.magnet", a)
	d.putIn("films/2024/b.magnet", b)
	d.after(5, a, b)
	d.rename("films/2024/a.magnet", "series/a.magnet")
	d.after(3, a, b)
	d.stands(a, "series")
	d.after(20, a, b)
	d.rename("films", "old films")
	d.after(3, a, b)
	d.stands(b, "old films/2024")
	d.after(20, a, b)
	d.in[b] = "elsewhere" // somebody has put it there
	d.rename("old films/2024/b.magnet", "b.magnet")
	d.after(20, a, b)
	d.stands(b, "elsewhere")
	d.remove("b.magnet")
	d.after(12, a)

	// Two files name it: it stays while one is replaced, and goes to where the other is.
	d.mkdir("two")
	d.putIn("two/a.magnet", a)
	d.after(5, a)
	d.stands(a, "series")
	d.remove("series/a.magnet")
	d.touch(d.path("series"))
	d.after(1, a)
	d.putIn("series/a.magnet", a)
	d.after(20, a)
	d.stands(a, "series")
	d.rename("series/a.magnet", ".a.magnet")
	d.after(5, a)
	d.stands(a, "two")
	d.rename(".a.magnet", "series/a.magnet") // the very same
	d.after(20, a)
	d.remove("two/a.magnet")
	d.touch(d.path("two"))
	d.after(5, a)
	d.stands(a, "series")
	d.after(20, a)
	d.remove("series/a.magnet")
	d.touch(d.path("series"))
	d.after(10, a)
	d.after(1)
}

// threeDropped is a folder that has brought three torrents: by films/a.magnet,
// films/in/b.magnet and other/c.magnet.
func threeDropped(t *testing.T) (d *dropTest, a, b, c string) {
	t.Helper()
	d = newDropTest(t, false)
	a, b, c = hashOf("a"), hashOf("b"), hashOf("c")
	d.mkdir("films", "films/in", "other")
	d.putIn("films/a.magnet", a)
	d.putIn("films/in/b.magnet", b)
	d.putIn("other/c.magnet", c)
	d.after(3, a, b, c)
	return d, a, b, c
}

// TestDroppedElsewhereBelow: while a sub-folder is another one, or cannot be read, nothing
// that came of it is removed; what the other one has is added.
func TestDroppedElsewhereBelow(t *testing.T) {
	d, a, b, c := threeDropped(t)
	// Another one at its place, at once.
	d.mkdir(".new")
	d.putIn(".new/a.magnet", a)
	d.rename("films", ".away")
	d.rename(".new", "films")
	d.after(60, a, b, c)
	d.saidTimes("is another one than before", 1)
	d.remove("films/a.magnet")
	d.touch(d.path("films"))
	d.after(12, b, c) // the new one is what counts now
	d.rename("films", ".new")
	d.after(3, b, c)
	d.rename(".away", "films")
	d.after(60, a, b, c)
	d.removeAll("films")
	d.after(12, c)
}

// TestDroppedUnreadable: what lies in a sub-folder that cannot be read is not missing, nor
// what lies below it; its neighbours are looked at.
func TestDroppedUnreadable(t *testing.T) {
	d, a, b, c := threeDropped(t)
	if err := os.Chmod(d.path("films"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // who reads everything
		if err := os.Chmod(filepath.Dir(d.dir), 0o755); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	d.after(int(lookAgain/time.Second)+30, a, b, c)
	d.saidTimes("is not looked at, and nothing that came of it", 2) // first what lies in it
	if os.Geteuid() == 0 {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}
	d.remove("other/c.magnet")
	d.touch(d.path("other"))
	d.after(12, a, b)
	if err := os.Chmod(d.path("films"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.after(20, a, b)
	d.saidTimes("is looked at again", 2)
	d.remove("films/in/b.magnet")
	d.touch(d.path("films/in"))
	d.after(12, a)
}

// TestDroppedOtherDevice: a folder on another file system is not looked at, and what came
// of the one that it hides stays.
func TestDroppedOtherDevice(t *testing.T) {
	d := newDropTest(t, false)
	a, b := hashOf("a"), hashOf("b")
	d.mkdir("films", "films/in")
	d.putIn("films/a.magnet", a)
	d.putIn("films/in/b.magnet", b)
	d.after(3, a, b)
	d.dirs[""].dev++ // as if that were the other: root alone may mount
	l := dropLook{f: d.dropFolder, now: d.now, names: map[string]dropState{}}
	d.round++
	d.dirs["films"].calm = false
	if err := l.visit("films", 1); err == nil || !strings.Contains(err.Error(), "another file system") {
		t.Errorf("it is looked at: %v", err)
	}
	d.dirs[""].round, l.news = d.round, true
	d.prune()
	d.now = d.now.Add(time.Hour)
	l.now = d.now
	d.compare(&l)
	d.dirs[""].dev--
	d.after(20, a, b)
}

// TestDroppedLinks: links to folders are not followed, and neither the mount nor the data
// folder is looked at.
func TestDroppedLinks(t *testing.T) {
	d := newDropTest(t, false)
	d.mkdir("films", "mnt", "data")
	d.skip = []string{d.path("mnt"), d.path("data")}
	for _, name := range []string{"mnt/x.magnet", "data/x.magnet"} {
		d.putIn(name, hashOf("b"))
	}
	for link, to := range map[string]string{"films/loop": "..", "loop.torrent": ".", "out": t.TempDir()} {
		if err := os.Symlink(to, d.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	d.putIn("films/x.magnet", hashOf("a"))
	d.after(20, hashOf("a"))
	if len(d.dirs) != 2 {
		t.Errorf("%d folders are looked at", len(d.dirs))
	}
}

// TestDroppedDirBounds: so deep, and so many folders; where there are more no deletion counts.
func TestDroppedDirBounds(t *testing.T) {
	d := newDropTest(t, false)
	a, b := hashOf("a"), hashOf("b")
	deep := strings.TrimSuffix(strings.Repeat("d/", engine.MaxFolderDepth), "/")
	if err := os.MkdirAll(d.path(deep), 0o755); err != nil {
		t.Fatal(err)
	}
	d.putIn(deep+"/a.magnet", a)
	d.putIn("b.magnet", b)
	d.after(3, a, b)
	d.stands(a, deep)
	if d.said != "" {
		t.Error(d.said)
	}
	d.mkdir(deep + "/e")
	d.remove("b.magnet")
	d.after(20, a, b)
	d.saidTimes("are not looked at, and no deletion counts", 1)
	d.removeAll(deep + "/e")
	d.after(10, a, b)
	d.after(3, a)

	for i := range mostDropDirs - 1 - engine.MaxFolderDepth {
		if err := os.Mkdir(d.path(fmt.Sprint("many ", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.putIn("many 0/b.magnet", b)
	d.after(3, a, b)
	if d.said != "" {
		t.Error(d.said)
	}
	d.mkdir("one more")
	d.remove("many 0/b.magnet")
	d.touch(d.path("many 0"))
	d.after(20, a, b)
	d.saidTimes("the others are not looked at, and no deletion counts", 1)
}

// TestDroppedShed: while more is there than is looked at, what has gone is remembered up to
// a bound.
func TestDroppedShed(t *testing.T) {
	d := newDropTest(t, false)
	d.mkdir("here")
	d.putIn("here/a.magnet", hashOf("a"))
	d.after(5, hashOf("a"))
	for _, over := range []int{0, 1} {
		for i := len(d.dirs); i < 2*mostDropDirs+over; i++ {
			d.dirs[fmt.Sprint("gone ", i)] = &dropDir{}
		}
		for i := len(d.files); i < 2*mostDropped+over; i++ {
			d.files[fmt.Sprint("gone ", i, "/x.magnet")] = &dropped{}
		}
		d.shed(&dropLook{f: d.dropFolder})
		dirs, files := 2*mostDropDirs, 2*mostDropped
		if over > 0 {
			dirs, files = 2, 1
		}
		if len(d.dirs) != dirs || len(d.files) != files {
			t.Errorf("%d folders and %d files are remembered", len(d.dirs), len(d.files))
		}
	}
	d.after(5, hashOf("a"))
}
