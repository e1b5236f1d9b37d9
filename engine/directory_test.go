package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// linkIn is a magnet link with a name, to stand in a folder.
func linkIn(i int, name, folder string) Source {
	return Source{Magnet: &metainfo.Magnet{Hash: wire.Digest{0xab, byte(i >> 8), byte(i)}, Name: name}, Folder: folder}
}

// addIn adds such a link, stopped: it looks for nobody.
func addIn(t *testing.T, c *Client, i int, name, folder string) *Torrent {
	t.Helper()
	torrent, err := c.Add(linkIn(i, name, folder))
	if err == nil {
		err = c.Stop(torrent)
	}
	if err != nil {
		t.Fatalf("%s in %q: %v", name, folder, err)
	}
	return torrent
}

// shownIn are the paths of all that a client shows, with slots.
func shownIn(c *Client) (all []string) {
	var list func(d *Directory)
	list = func(d *Directory) {
		for _, m := range d.After(0, 1<<20) {
			at := d.Below(m.Name)
			all = append(all, fmt.Sprint(at, " ", m.Slot))
			if m.Directory != nil {
				list(m.Directory)
			}
		}
	}
	list(c.Root())
	slices.Sort(all)
	return all
}

func pathsIn(c *Client) (all []string) {
	for _, s := range shownIn(c) {
		all = append(all, s[:strings.LastIndexByte(s, ' ')])
	}
	slices.Sort(all)
	return all
}

// TestParseFolder: what a folder is called, and what is none.
func TestParseFolder(t *testing.T) {
	deep := strings.Repeat("a/", MaxFolderDepth-1) + "a"
	for s, want := range map[string]string{
		"": "", "/": "", "films": "films", "/films/2024/": "films/2024", deep: deep,
		"a\x01b/c\xff": "a%01b/c%FF", "..a/...": "..a/...", "Ünï/ co:de": "Ünï/ co:de",
		strings.Repeat("x", 300): metainfo.SafeName(strings.Repeat("x", 300)),
	} {
		if got, err := ParseFolder(s); err != nil || got != want {
			t.Errorf("%q is %q, not %q: %v", s, got, want, err)
		}
	}
	for _, s := range []string{"..", "a/..", "../a", "a//b", "./a", "a/./b", deep + "/a"} {
		if got, err := ParseFolder(s); !errors.Is(err, ErrFolder) {
			t.Errorf("%q is %q: %v", s, got, err)
		}
	}
}

// FuzzParseFolder: whatever is read is read as itself again, and no element of it means
// another directory.
func FuzzParseFolder(f *testing.F) {
	for _, s := range []string{"", "/", "films/2024", "../x", "a//b", "a\x00b/\xff", strings.Repeat("é", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		folder, err := ParseFolder(s)
		if err != nil || folder == "" {
			return
		}
		elements := strings.Split(folder, "/")
		for _, e := range elements {
			if e == "" || e == "." || e == ".." || len(e) > maxName || strings.ContainsAny(e, "\x00") {
				t.Errorf("%q: %q", s, e)
			}
		}
		if again, err := ParseFolder(folder); err != nil || again != folder || len(elements) > MaxFolderDepth {
			t.Errorf("%q is %q, and that %q: %v", s, folder, again, err)
		}
	})
}

// TestFolders: names are of their folder, directories come with their first torrent and
// go with their last, and who comes later gives way.
func TestFolders(t *testing.T) {
	c := testClient(t, Config{})
	first := addIn(t, c, 1, "x", "films/2024")
	addIn(t, c, 2, "x", "films")
	addIn(t, c, 3, "x", "")
	twin := addIn(t, c, 4, "x", "films/2024")
	addIn(t, c, 5, "films", "")           // a directory has the name
	blocked := addIn(t, c, 6, "y", "x/y") // torrents have the name x, and then y
	addIn(t, c, 7, "y", "x (folder)/y")
	addIn(t, c, 8, "z", strings.Repeat("a", 40))
	if again := addIn(t, c, 1, "x", "elsewhere"); again != first {
		t.Error("it is there twice")
	}
	want := []string{
		strings.Repeat("a", 40) + " (folder)", strings.Repeat("a", 40) + " (folder)/z",
		"films", "films [ab000500]", "films/2024", "films/2024/x", "films/2024/x [ab000400]", "films/x",
		"x", "x (folder)", "x (folder)/y", "x (folder)/y/y", "x (folder)/y/y [ab000700]",
	}
	if got := pathsIn(c); !slices.Equal(got, want) {
		t.Fatalf("shown are\n%q, not\n%q", got, want)
	}
	for path, to := range map[string]*Torrent{
		"films/2024/x": first, "x (folder)/y/y": blocked, first.ID(): first,
		"films/2024": nil, "films/2024/x/y": nil, "2024/x": nil, "": nil, "films/" + first.ID(): nil,
	} {
		if got, _ := c.ByName(path); got != to {
			t.Errorf("%q is %v", path, got)
		}
	}
	if w := first.Where(); w.Path != "films/2024/x" || len(w.Slots) != 3 || c.DirectoryBySlot(w.Slots[1]) != c.Directory("films/2024") {
		t.Errorf("it is at %+v", w)
	}
	inner := c.Directory("films/2024")
	for _, gone := range []*Torrent{first, twin} {
		if c.Directory("films/2024") != inner {
			t.Error("it has gone with the first")
		}
		if err := c.Remove(gone, false); err != nil {
			t.Fatal(err)
		}
	}
	if c.Directory("films/2024") != nil || c.DirectoryBySlot(inner.Slot()) != nil || c.Directory("films") == nil {
		t.Errorf("left are %q", pathsIn(c))
	}
	addIn(t, c, 1, "x", "films/2024")
	if d := c.Directory("films/2024"); d == nil || d.Slot() <= inner.Slot() {
		t.Errorf("it has come again as %+v", d)
	}
	if _, err := c.Add(linkIn(9, "x", "../etc")); !errors.Is(err, ErrFolder) || c.ByInfohash(linkIn(9, "", "").id().String()) != nil {
		t.Errorf("a bad folder: %v", err)
	}
}

// TestFoldersOverRestarts: everything stands where it stood, with the slots that it had,
// also what has got its name meanwhile; a state without folders is of the root, and one that
// cannot be leaves its torrent there.
func TestFoldersOverRestarts(t *testing.T) {
	content := newContent(t, 32<<10, 100_000)
	cfg := Config{Dir: t.TempDir(), Peers: []string{seeder(t, content).addr()}}
	first := testClient(t, cfg)
	addIn(t, first, 1, "x", "films/2024")
	addIn(t, first, 2, "y", "")
	addIn(t, first, 3, "z", "films/old")
	link, err := first.Add(Source{Magnet: &metainfo.Magnet{Hash: content.meta.Info.Hash, Name: "early"}, Folder: "films/2024"})
	if err != nil {
		t.Fatal(err)
	}
	<-link.Resolved()
	if path := link.Path(); path != "films/2024/folder" {
		t.Fatalf("it is at %q", path)
	}
	before := shownIn(first)
	for _, id := range []string{link.ID(), "films/2024/early"} {
		if to, listed := first.ByName(id); to != link || listed {
			t.Errorf("%q is %v", id, to)
		}
	}
	closeClient(t, first)
	for range 2 {
		c := testClient(t, cfg)
		if after := shownIn(c); !slices.Equal(after, before) {
			t.Fatalf("there is %q, not %q", after, before)
		}
		if to, _ := c.ByName("films/2024/early"); to == nil || to.Path() != "films/2024/folder" {
			t.Error("its earlier name has gone")
		}
		closeClient(t, c)
	}

	state := filepath.Join(cfg.Dir, "torrents", linkIn(3, "", "").id().String(), "state")
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for bad, where := range map[string]string{
		`"folder":"../../etc"`:              "z",
		`"folder":"y"`:                      "y (folder)/z", // y is a torrent
		`"folder":"films/new"`:              "films/new/z",
		`"folder":"films/2024/a/b"`:         "films/2024/a/b/z",
		`"folder":"` + deepFolder(17) + `"`: "z",
	} {
		changed := strings.Replace(string(b), `"folder":"films/old"`, bad, 1)
		if changed == string(b) {
			t.Fatalf("%s", b)
		}
		if err := os.WriteFile(state, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		c := testClient(t, cfg)
		if to, _ := c.ByName(where); to == nil {
			t.Errorf("%s: there is %q", bad, pathsIn(c))
		}
		slots := map[string]bool{}
		for _, s := range shownIn(c) {
			slots[s[strings.LastIndexByte(s, ' '):]] = true
		}
		if len(slots) != len(shownIn(c)) {
			t.Errorf("%s: a slot is there twice: %q", bad, shownIn(c))
		}
		was := shownIn(c)
		closeClient(t, c)
		c = testClient(t, cfg)
		if again := shownIn(c); !slices.Equal(again, was) {
			t.Errorf("%s: after a restart there is %q, not %q", bad, again, was)
		}
		closeClient(t, c)
	}
}

func deepFolder(n int) string { return strings.Repeat("d/", n-1) + "d" }

// TestFolderBounds: so many directories, and no more; who is refused leaves none.
func TestFolderBounds(t *testing.T) {
	c := testClient(t, Config{})
	addIn(t, c, 1, "x", deepFolder(MaxFolderDepth))
	made := len(c.directories)
	if made != MaxFolderDepth {
		t.Fatalf("%d directories", made)
	}
	c.mu.Lock() // as if others had made them
	for i := range MaxFolders - made - 1 {
		at := fmt.Sprint("made ", i)
		c.directories[at], c.bySlot[1<<20+uint32(i)] = c.root, c.root
	}
	c.mu.Unlock()
	if _, err := c.Add(linkIn(2, "x", "two/more")); !errors.Is(err, ErrFolders) {
		t.Errorf("one too many: %v", err)
	}
	if c.Directory("two") != nil || c.ByInfohash(linkIn(2, "", "").id().String()) != nil {
		t.Error("it is there all the same")
	}
	addIn(t, c, 2, "x", "last")
	addIn(t, c, 3, "x", "last")
	if _, err := c.Add(linkIn(4, "x", "one more")); !errors.Is(err, ErrFolders) {
		t.Errorf("one too many: %v", err)
	}
	addIn(t, c, 4, "x", "")
}

// TestMove: a torrent goes to another folder with its slot and its earlier names; the
// folder that it leaves empty goes.
func TestMove(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	c := testClient(t, cfg)
	torrent := addIn(t, c, 1, "x", "a/b")
	addIn(t, c, 2, "x", "c")
	for _, step := range []struct{ to, path string }{{"c", "c/x [ab000100]"}, {"", "x"}, {"a", "a/x"}, {"a", "a/x"}} {
		if err := c.Move(torrent, step.to); err != nil || torrent.Path() != step.path {
			t.Fatalf("in %q it is %q: %v", step.to, torrent.Path(), err)
		}
	}
	if got := pathsIn(c); !slices.Equal(got, []string{"a", "a/x", "c", "c/x"}) {
		t.Errorf("there is %q", got)
	}
	if err := c.Move(torrent, "../a"); !errors.Is(err, ErrFolder) {
		t.Errorf("to a bad folder: %v", err)
	}
	moved := 0
	events, _, _ := c.Events(0)
	for _, e := range events {
		if e.Event == evMoved {
			moved++
		}
	}
	if moved != 3 {
		t.Errorf("%d events", moved)
	}
	before := shownIn(c)
	closeClient(t, c)
	c = testClient(t, cfg)
	if after := shownIn(c); !slices.Equal(after, before) {
		t.Errorf("after a restart there is %q, not %q", after, before)
	}
	if err := c.Remove(c.ByInfohash(torrent.ID()), true); err != nil || c.Directory("a") != nil {
		t.Errorf("it is removed, and its folder is there: %v", err)
	}
}

// TestGuestInFolder: an infohash that was opened, and is added, stands in its folder.
func TestGuestInFolder(t *testing.T) {
	c := testClient(t, Config{})
	g, done, err := c.Visit(linkIn(1, "", "").id().String())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if got := pathsIn(c); len(got) > 0 {
		t.Errorf("it is listed: %q", got)
	}
	if torrent := addIn(t, c, 1, "x", "films"); torrent != g || g.Path() != "films/"+g.ID() {
		t.Errorf("it is at %q", g.Path())
	}
	if got := pathsIn(c); !slices.Equal(got, []string{"films", "films/" + g.ID()}) {
		t.Errorf("there is %q", got)
	}
}
