//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/fs"
	"bipfs/wire"
)

// drops adds links by name, each in a folder: "films/x" is x in films. They are stopped.
func drops(t testing.TB, c *engine.Client, paths ...string) {
	t.Helper()
	for _, path := range paths {
		sum := wire.Digest{0xfd}
		copy(sum[1:], path)
		torrent, err := c.Add(engine.Source{Magnet: &metainfo.Magnet{Hash: sum, Name: filepath.Base(path)}, Folder: folderOf(path)})
		if err == nil {
			err = c.Stop(torrent)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// walk is what a tree shows: path, id and kind, as List has it. What Lookup, Attr and
// Parent say has to be the same.
func walk(t *testing.T, tr *tree, dir fs.ID, at string) (all []string) {
	t.Helper()
	err := tr.List(dir, 0, func(_ uint64, e fs.Entry) bool {
		path := filepath.Join(at, e.Name)
		all = append(all, fmt.Sprintf("%s %x", path, e.ID))
		found, err := tr.Lookup(dir, e.Name)
		if err != nil || found != e.Attr {
			t.Errorf("%s is listed as %+v, and found as %+v: %v", path, e.Attr, found, err)
		}
		if a, err := tr.Attr(e.ID); err != nil || a != e.Attr {
			t.Errorf("%s is %+v: %v", path, a, err)
		}
		if parent, err := tr.Parent(e.ID); err != nil || parent != dir {
			t.Errorf("%s lies in %x: %v", path, parent, err)
		}
		if tr.client.DirectoryBySlot(uint32(e.ID>>32)) != nil {
			if err := tr.OpenDir(t.Context(), e.ID); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			all = append(all, walk(t, tr, e.ID, path)...)
		}
		return true
	})
	if err != nil {
		t.Errorf("%s: %v", at, err)
	}
	return all
}

// TestTreeFolders: folders are listed, found and left as directories are, have the same
// ids after a restart, and links in them lead where they did.
func TestTreeFolders(t *testing.T) {
	dir := t.TempDir()
	tr := treeIn(t, dir)
	drops(t, tr.client, "films/2024/x", "root", "films/2024/y", "films/x", "series/x")
	first := walk(t, tr, rootID, "")
	var paths []string
	for _, line := range first {
		paths = append(paths, strings.Fields(line)[0])
	}
	want := []string{"films", "films/2024", "films/2024/x", "films/2024/y", "films/x", "root", "series", "series/x"}
	if !slices.Equal(slices.Sorted(slices.Values(paths)), want) {
		t.Fatalf("listed are %q", paths)
	}
	torrent, _ := tr.client.ByName("films/2024/x")
	link, err := tr.Lookup(rootID, torrent.ID())
	if err != nil || link.Mode&syscall.S_IFMT != syscall.S_IFLNK || link.Size != uint64(len("films/2024/x")) {
		t.Errorf("the link from its infohash: %+v, %v", link, err)
	}
	if to, err := tr.Link(link.ID); err != nil || to != "films/2024/x" {
		t.Errorf("it leads to %q: %v", to, err)
	}
	if parent, err := tr.Parent(link.ID); err != nil || parent != rootID {
		t.Errorf("it lies in %x: %v", parent, err)
	}
	films, err := tr.Lookup(rootID, "films")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"..", ".", "", "2024/x", "films", "x/", "../root", torrent.ID(), strings.Repeat("a", 40), ".bipfs", "x\x00", strings.Repeat("x", 5000)} {
		if a, err := tr.Lookup(films.ID, name); !errors.Is(err, syscall.ENOENT) || errors.Is(err, fs.ErrWalk) {
			t.Errorf("%q in a folder is %+v: %v", name, a, err)
		}
	}
	if _, err := tr.Lookup(rootID, "films/x"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a path is a name: %v", err)
	}
	if _, err := tr.Attr(films.ID + 1); err == nil {
		t.Error("a folder has entries of its own")
	}
	if err := tr.List(films.ID, 1<<40, func(uint64, fs.Entry) bool { t.Error("an entry"); return true }); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tr.client.Close(ctx)
	if again := walk(t, treeIn(t, dir), rootID, ""); !slices.Equal(again, first) {
		t.Errorf("after a restart there is\n%q, not\n%q", again, first)
	}
}

// TestTreeFoldersChange: who lists a folder while things come and go sees each once that
// was there all the time.
func TestTreeFoldersChange(t *testing.T) {
	tr := boxTree(t)
	for i := range listStep + 22 {
		drops(t, tr.client, fmt.Sprintf("f/%03d", i))
	}
	dir, err := tr.Lookup(rootID, "f")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	from := uint64(0)
	for more := true; more; {
		more = false
		if err := tr.List(dir.ID, from, func(next uint64, e fs.Entry) bool {
			seen = append(seen, e.Name)
			from, more = next, true
			return len(seen)%30 != 0
		}); err != nil {
			t.Fatal(err)
		}
		if n := len(seen); n < 90 {
			drops(t, tr.client, fmt.Sprintf("f/new %d", n))
			gone, _ := tr.client.ByName(fmt.Sprintf("f/%03d", n-1))
			if err := tr.client.Remove(gone, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) || len(seen) < listStep+22 {
		t.Errorf("seen are %d: %q", len(seen), seen)
	}
}

// FuzzLookupFolder: whatever name is looked up, nothing but what is listed is found.
func FuzzLookupFolder(f *testing.F) {
	for _, name := range []string{"2024", "..", "2024/x", "x", "/", "\x00", strings.Repeat("a", 40)} {
		f.Add(name)
	}
	tr := treeIn(f, f.TempDir())
	drops(f, tr.client, "films/2024/x", "films/x")
	films, err := tr.Lookup(rootID, "films")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a, err := tr.Lookup(films.ID, name)
		if listed := name == "2024" || name == "x"; listed == (err != nil) || err != nil && !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%q is %+v: %v", name, a, err)
		}
	})
}

// forgotten is what a daemon has the kernel forget.
func forgotten(d *daemon) *[]string {
	var all []string
	d.forget = func(w engine.Where, dead bool) {
		p := placeOf(w)
		all = append(all, fmt.Sprintf("%s %v %d", p.Path, dead, len(p.IDs)))
	}
	return &all
}

// TestDaemonFolders: a path is found below a folder; the kernel forgets a torrent, and
// the folders that have gone with it.
func TestDaemonFolders(t *testing.T) {
	d := &daemon{Client: boxTree(t).client}
	drops(t, d.Client, "films/2024/x", "films/y", "z")
	for path, want := range map[string]string{
		"films/2024/x": "films/2024/x", "/films/y/": "films/y", "z": "z",
		"films": "folder", "films/2024/": "folder", "films/2024/z": "", "2024/x": "", "": "", "films//y": "", "films/..": "",
	} {
		torrent, _, _, err := d.place(path)
		switch {
		case want == "folder":
			if !errors.Is(err, control.ErrRefused) || !strings.Contains(err.Error(), "folder of torrents") {
				t.Errorf("%q: %v", path, err)
			}
		case want == "":
			if !errors.Is(err, control.ErrUnknown) {
				t.Errorf("%q: %v", path, err)
			}
		case err != nil || torrent.Path() != want:
			t.Errorf("%q: %v", path, err)
		}
	}
	if e, err := d.Stat("films/2024"); err != nil || !e.Dir || e.Name != "2024" || e.Path != "films/2024" {
		t.Errorf("it is shown as %+v: %v", e, err)
	}
	var names []string
	for _, path := range []string{"", "films", "films/2024"} {
		entries, all, err := d.List(path, 0, 100)
		if err != nil || all != len(entries) {
			t.Errorf("%q has %d entries: %v", path, all, err)
		}
		for _, e := range entries {
			names = append(names, e.Name)
		}
	}
	if want := []string{"films", "z", "2024", "y", "x"}; !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(want))) {
		t.Errorf("shown are %q", names)
	}
	x, _ := d.ByName("films/2024/x")
	y, _ := d.ByName("films/y")
	told := forgotten(d)
	for _, torrent := range []*engine.Torrent{x, y} {
		if err := d.remove(torrent, false); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"films/2024/x true 3", "films/2024 false 2", "films/y true 2", "films false 1"}; !slices.Equal(*told, want) {
		t.Errorf("forgotten are %q", *told)
	}
	if _, err := d.Add(t.Context(), control.Source{Link: hashOf("b"), Folder: "../etc"}); !errors.Is(err, control.ErrBad) {
		t.Errorf("a bad folder: %v", err)
	}
	added, err := d.Add(t.Context(), control.Source{Link: hashOf("b"), Folder: "/films/"})
	if err != nil || added.Folder != "films" {
		t.Errorf("added as %+v: %v", added, err)
	}
}

// TestDaemonFollow: a torrent follows its file, unless somebody has it stand elsewhere.
func TestDaemonFollow(t *testing.T) {
	d := &daemon{Client: boxTree(t).client}
	drops(t, d.Client, "films/x")
	x, _ := d.ByName("films/x")
	told := forgotten(d)
	for _, step := range []struct{ from, to, path string }{{"films", "old/films", "old/films/x"}, {"films", "series", "old/films/x"}, {"old/films", "", "x"}} {
		if err := d.follow(x.ID(), step.from, step.to); err != nil || x.Path() != step.path {
			t.Errorf("from %q to %q: %q, %v", step.from, step.to, x.Path(), err)
		}
	}
	if want := []string{"films/x false 2", "films false 1", "old/films/x false 3", "old/films false 2", "old false 1"}; !slices.Equal(*told, want) {
		t.Errorf("forgotten are %q", *told)
	}
	if err := d.follow(hashOf("c"), "", "films"); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}

// TestShownFolders: folders are shown before what comes in them, and after what goes.
func TestShownFolders(t *testing.T) {
	w := watched{names: map[string]fs.Place{}, below: map[fs.ID]int{}}
	var first []string
	for infohash, p := range map[string]fs.Place{"x": {Path: "a/b/x", IDs: []fs.ID{1 << 32, 2 << 32, 3 << 32}}} {
		for _, folder := range w.keep(infohash, p) {
			first = append(first, folder.Path)
		}
	}
	if !slices.Equal(first, []string{"a", "a/b"}) {
		t.Errorf("first are %q", first)
	}
	if more := w.keep("y", fs.Place{Path: "a/y", IDs: []fs.ID{1 << 32, 4 << 32}}); len(more) > 0 {
		t.Errorf("shown again are %v", more)
	}
	w.leave(w.names["x"])
	if len(w.below) != 1 || w.below[1<<32] != 1 {
		t.Errorf("left are %v", w.below)
	}
	w.leave(w.names["y"])
	if len(w.below) > 0 {
		t.Errorf("left are %v", w.below)
	}
}
