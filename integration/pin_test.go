package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folderTorrent is a torrent of a folder with files of so many bytes: a, b, sub/c.
func folderTorrent(t testing.TB, name string, pieceLength int64, sizes ...int64) *torrent {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(contentDir(), name, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		file(t, filepath.Join(name, []string{"a", "b", "sub/c"}[i]), n)
	}
	return torrentOf(t, filepath.Join(contentDir(), name), pieceLength)
}

// TestPin: a folder of a torrent is pinned, fetched in the background, and kept while
// others come and go, over a kill; what cannot fit is refused.
func TestPin(t *testing.T) {
	t.Parallel()
	const disk = 4 << 20
	kept := folderTorrent(t, "pinned", 64<<10, 1_000_000, 3_000_000, 2_000_000)
	other := torrentOf(t, file(t, "pin-other.bin", 6_000_000), 64<<10)
	flags := []string{"--peer", engineSeeder(t, kept, other), "--disk", fmt.Sprint(disk), "--keep-free", "0", "--memory", "16MiB", "--seed-ratio", "0"}
	m, command := controlled(t, flags...)
	for _, to := range []*torrent{kept, other} {
		if r := command("add", to.file); r.code != 0 {
			t.Fatal(r)
		}
	}
	sub := m.path("pinned/sub")
	if r := command("pin", m.path("pinned")); r.code != 1 || !strings.Contains(r.err, fmt.Sprint(disk)) {
		t.Errorf("more than fits is pinned: %v", r)
	}
	if r := command("fetch", sub); r.code != 0 || !strings.Contains(r.err, "100 %") || !strings.Contains(r.out, "pinned/sub") {
		t.Fatalf("fetch: %v", r)
	}
	pinned := func() (here int64, is bool) {
		var p struct {
			Path   string
			Here   int64
			Pinned bool
		}
		r := command("status", "--json", sub)
		if err := json.Unmarshal([]byte(r.out), &p); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
		return p.Here, p.Pinned
	}
	if here, is := pinned(); here != 2_000_000 || !is {
		t.Errorf("%d bytes are here, pinned: %v", here, is)
	}
	if r := command("ls"); !strings.Contains(r.out, "partly pinned") {
		t.Errorf("ls: %v", r)
	}
	same(t, other.shown(m), other.content)
	if here, _ := pinned(); here != 2_000_000 {
		t.Errorf("%d bytes are left of what is pinned", here)
	}
	events := command("events").out
	for _, e := range []string{"pinned", "file-complete"} {
		if !strings.Contains(events, "  "+e+"  pinned/sub") {
			t.Errorf("no event %s in:\n%s", e, events)
		}
	}
	if r := command("unpin", sub); r.code != 0 || !strings.Contains(r.out, "unpinned") {
		t.Errorf("unpin: %v", r)
	}
	if _, is := pinned(); is {
		t.Error("it is still pinned")
	}
}

// TestPinInterrupted: what is pinned stays so when the wait for it is broken off, and
// is fetched after a kill of the mount.
func TestPinInterrupted(t *testing.T) {
	t.Parallel()
	c := torrentOf(t, file(t, "pin-later.bin", 2_000_000), 64<<10)
	dir, data := tempDir(t), tempDir(t)
	o := mounting{data: data, flags: []string{"--control", dir}, sources: []string{c.file}}
	m := mountBipfs(t, o)
	p := start(t, "fetch", bipfs, "fetch", "--control", dir, c.shown(m))
	p.prints("0 %", 10*time.Second)
	p.signal(syscall.SIGINT)
	if code := p.exits(10 * time.Second); code != 130 || !strings.Contains(p.printed(), "stays pinned") {
		t.Errorf("exit code %d", code)
	}
	m.kill()
	o.dir, o.flags = m.dir, append(o.flags, "--peer", engineSeeder(t, c))
	m = mountBipfs(t, o)
	eventually(t, 20*time.Second, "it is not fetched", func() bool {
		return strings.Contains(try(10*time.Second, bipfs, "ls", "--control", dir).out, "100 %")
	})
	same(t, c.shown(m), c.content)
}
