package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bipfs/engine"
	"bipfs/engine/metainfo"
	"bipfs/fs"
)

// boxTree is a tree over a client without torrents.
func boxTree(t *testing.T) *tree {
	t.Helper()
	return treeIn(t, t.TempDir())
}

// treeIn is a tree over the client of a data folder.
func treeIn(t testing.TB, dir string) *tree {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := engine.Open(engine.Config{
		Dir: dir, Memory: engine.LeastMemory, Listen: []string{"127.0.0.1:0"}, NoUTP: true, NoPortMap: true, Version: "0", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return newTree(c, log)
}

func writeTo(t *testing.T, s fs.Sink, off int64, b string) error {
	t.Helper()
	return s.Write(t.Context(), off, []byte(b))
}

// TestSpoolBounds: so many names, so many bytes of one file and of all, and no more;
// what is closed makes room.
func TestSpoolBounds(t *testing.T) {
	tr := boxTree(t)
	_, big, err := tr.Create(addID, "big")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeTo(t, big, metainfo.MaxFile-1, "d"); err != nil {
		t.Errorf("the longest: %v", err)
	}
	if err := writeTo(t, big, metainfo.MaxFile, "d"); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("longer: %v", err)
	}
	_, other, err := tr.Create(addID, "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeTo(t, other, 0, "d"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("beside the longest: %v", err)
	}
	if err := big.Flush(t.Context()); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("what is no .torrent: %v", err)
	}
	big.Close()
	if err := writeTo(t, other, 0, "d"); err != nil {
		t.Errorf("after the longest is closed: %v", err)
	}
	other.Close()
	if tr.spool.held != 0 {
		t.Errorf("%d bytes are held", tr.spool.held)
	}
	if said := string(tr.spool.said()); !strings.Contains(said, "big: neither a .torrent") || strings.Count(said, "\n") != 2 {
		t.Errorf("errors says %q", said)
	}
	for i := len(tr.spool.letters); i < mostLetters; i++ {
		if _, s, err := tr.Create(addID, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		} else {
			s.Close()
		}
	}
	if _, _, err := tr.Create(addID, "one more"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("one more name: %v", err)
	}
	if _, err := tr.Symlink(addID, "a link more", "magnet:?xt=urn:btih:"+strings.Repeat("1", 40)); !errors.Is(err, syscall.ENOSPC) || len(tr.client.Torrents()) != 0 {
		t.Errorf("one more link: %v, and there are %v", err, tr.client.Torrents())
	}
	for _, l := range tr.spool.letters {
		l.closed = l.closed.Add(-letterTime)
	}
	if _, s, err := tr.Create(addID, "one more"); err != nil || len(tr.spool.letters) != 1 {
		t.Errorf("after %v: %v", letterTime, err)
	} else {
		s.Close()
	}
	for range mostRefused + 5 {
		tr.spool.refuse("x", errors.New("y"))
	}
	if n := strings.Count(string(tr.spool.said()), "\n"); n != mostRefused {
		t.Errorf("errors has %d lines", n)
	}
}

// TestSpoolLetters: names come, are looked up, listed, renamed and removed, and each
// has an id of its own.
func TestSpoolLetters(t *testing.T) {
	tr := boxTree(t)
	seen := map[fs.ID]bool{}
	for _, name := range []string{"a", "b", "c"} {
		a, s, err := tr.Create(addID, name)
		if err != nil || seen[a.ID] || a.ID <= torrentsID {
			t.Fatalf("%+v, %v", a, err)
		}
		seen[a.ID] = true
		s.Close()
		if got, err := tr.Lookup(addID, name); err != nil || got.ID != a.ID {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if p, err := tr.Parent(a.ID); p != addID || err != nil {
			t.Errorf("%s lies in %v, %v", name, p, err)
		}
		if _, err := tr.Open(a.ID); !errors.Is(err, syscall.EACCES) {
			t.Errorf("to read %s: %v", name, err)
		}
	}
	if err := tr.Rename(addID, "a", "b"); err != nil {
		t.Error(err)
	}
	if err := tr.Remove(addID, "c", false); err != nil {
		t.Error(err)
	}
	var names []string
	if err := tr.List(addID, 0, func(_ uint64, e fs.Entry) bool { names = append(names, e.Name); return true }); err != nil {
		t.Error(err)
	}
	if got := strings.Join(names, " "); got != "links errors b" {
		t.Errorf("listed are %s", got)
	}
	for what, err := range map[string]error{
		"rename of links":     tr.Rename(addID, "links", "x"),
		"rename over links":   tr.Rename(addID, "b", "links"),
		"rename of nothing":   tr.Rename(addID, "nothing", "x"),
		"rename in torrents":  tr.Rename(torrentsID, "a", "b"),
		"removal of errors":   tr.Remove(addID, "errors", false),
		"rmdir of add":        tr.Remove(controlID, "add", true),
		"removal in torrents": tr.Remove(torrentsID, "a", false),
	} {
		if !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{"rename": tr.Rename(rootID, "a", "b"), "rmdir": tr.Remove(rootID, "a", true)} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s in the root: %v", what, err)
		}
	}
}

// TestSpoolLinks: a list comes in any parts, and a line that is too long is refused.
func TestSpoolLinks(t *testing.T) {
	tr := boxTree(t)
	s, err := tr.Sink(linksID)
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := strings.Repeat("1", 40), strings.Repeat("2", 40), strings.Repeat("3", 40)
	for _, part := range []string{"# first\n" + one[:10], one[10:], "\n\n" + two + "\n" + three} {
		if err := writeTo(t, s, 0, part); err != nil {
			t.Errorf("%q: %v", part, err)
		}
	}
	if tr.client.ByInfohash(one) == nil || tr.client.ByInfohash(two) == nil || tr.client.ByInfohash(three) != nil {
		t.Error("whole lines, and only those, are added at once")
	}
	if err := s.Flush(t.Context()); err != nil || tr.client.ByInfohash(three) == nil {
		t.Errorf("the last line: %v", err)
	}
	if err := writeTo(t, s, 0, strings.Repeat("x", longestLine)); err != nil {
		t.Error(err)
	}
	if err := writeTo(t, s, 0, "x"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a line that is too long: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ended, 0, []byte(strings.Repeat("4", 40)+"\n")); !errors.Is(err, context.Canceled) || tr.client.ByInfohash(strings.Repeat("4", 40)) != nil {
		t.Errorf("who has gone: %v", err)
	}
	s.Close()
}

// TestVisits: so many infohashes are remembered; ids are made of them, and stay.
func TestVisits(t *testing.T) {
	tr := boxTree(t)
	if _, err := tr.Walk(t.Context(), rootID, strings.Repeat("a", 40), fs.Caller{}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("off: %v", err)
	}
	tr.who, tr.owner, tr.patience = onDemandOwner, 7, time.Millisecond
	first, err := tr.Walk(t.Context(), rootID, fmt.Sprintf("%040x", 0), fs.Caller{UID: 7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Walk(t.Context(), rootID, fmt.Sprintf("%040x", 0), fs.Caller{UID: 8}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("somebody else: %v", err)
	}
	for i := range 10_000 {
		name := fmt.Sprintf("%016X%024x", i, i)
		a, err := tr.Walk(t.Context(), rootID, name, fs.Caller{UID: 7})
		if err != nil || a.ID&visitBit == 0 {
			t.Fatalf("%s: %+v, %v", name, a, err)
		}
	}
	if len(tr.of) != mostVisits || tr.order.Len() != mostVisits {
		t.Errorf("%d are remembered", len(tr.of))
	}
	if _, err := tr.Attr(first.ID); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("one that is forgotten: %v", err)
	}
	if again, err := tr.Walk(t.Context(), rootID, fmt.Sprintf("%040x", 0), fs.Caller{}); err != nil || again.ID != first.ID {
		t.Errorf("looked up again: %+v, %v", again, err)
	}
	if n := len(tr.client.Torrents()); n != 0 {
		t.Errorf("%d torrents", n)
	}
	// One that is open is known however many are looked up.
	if err := tr.OpenDir(t.Context(), first.ID); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("opened: %v", err)
	}
	for i := range mostVisits {
		tr.note(visit{visitBit | fs.ID(i+1), fmt.Sprint(i)})
	}
	if a, err := tr.Attr(first.ID); err != nil || a.Mode&0o777 != 0o500 {
		t.Errorf("one that is open: %+v, %v", a, err)
	}
	if _, err := tr.Lookup(first.ID, "x"); !errors.Is(err, fs.ErrWalk) {
		t.Errorf("in one without metadata: %v", err)
	}
	if _, err := tr.Walk(t.Context(), first.ID, ".git", fs.Caller{}); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("a name that shells look for: %v", err)
	}
}

// TestSpoolURLs: a URL that nobody will fetch is an error of who writes it.
func TestSpoolURLs(t *testing.T) {
	dir := t.TempDir()
	tr := treeIn(t, dir)
	if err := os.RemoveAll(dir); err != nil { // nothing can be remembered any more
		t.Fatal(err)
	}
	if err := tr.spool.addLink("http://127.0.0.1:1/x.torrent"); err == nil {
		t.Error("a URL that cannot be remembered is taken")
	}
}

// TestSpoolRename: a letter may get another name while it is closed.
func TestSpoolRename(t *testing.T) {
	tr := boxTree(t)
	_, s, err := tr.Create(addID, "0")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeTo(t, s, 0, "d"); err != nil {
		t.Fatal(err)
	}
	renamed := make(chan error)
	go func() {
		var wrong error
		for n := range 1000 {
			wrong = errors.Join(wrong, tr.Rename(addID, fmt.Sprint(n), fmt.Sprint(n+1)))
		}
		renamed <- wrong
	}()
	s.Close()
	if err := <-renamed; err != nil {
		t.Error(err)
	}
}
