package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFetch downloads to a folder, without a mount.
func TestFetch(t *testing.T) {
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := scripted(t, manner{}, to)
	dir := tempDir(t)
	run(t, readPatience, append([]string{bipfs, "fetch", "--no-dht", "--listen", "127.0.0.1:0", to.file, "-o", dir},
		peerFlags(seeder)...)...)
	same(t, filepath.Join(dir, to.Info.Name), to.content)
}

// TestCreate makes a torrent and its magnet link, and another program reads the
// torrent as the same.
func TestCreate(t *testing.T) {
	need(t, "transmission-show")
	out := filepath.Join(tempDir(t), "made.torrent")
	printed := run(t, time.Minute, bipfs, "create", "--piece-length", "256KiB", "--tracker", "http://127.0.0.1:6969/announce", "-o", out, smallFile(t)).out
	to := torrentOf(t, smallFile(t), 256<<10)
	if !strings.Contains(printed, "magnet:?xt=urn:btih:"+to.hash()) {
		t.Errorf("create printed %q, the infohash is %s", printed, to.hash())
	}
	if shown := run(t, 10*time.Second, "transmission-show", out).out; !strings.Contains(shown, to.hash()) || !strings.Contains(shown, "127.0.0.1:6969/announce") {
		t.Errorf("transmission-show: %s", shown)
	}
}

// TestDemo: the demonstration works, and leaves nothing behind.
func TestDemo(t *testing.T) {
	foreign(t)
	needFuse(t)
	if r := run(t, time.Minute, "env", "HOME="+tempDir(t), "TMPDIR="+tempDir(t), bipfs, "demo", "--once"); len(r.out) == 0 {
		t.Error("the demonstration says nothing")
	}
}

// TestTemporary: a temporary mount keeps nothing.
func TestTemporary(t *testing.T) {
	needFuse(t)
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := scripted(t, manner{}, to)
	temp, dir := tempDir(t), tempDir(t)
	p := start(t, "bipfs", append([]string{"env", "TMPDIR=" + temp, bipfs, "mount", "--temporary", "--no-dht", "--listen", "127.0.0.1:0", dir, to.file}, peerFlags(seeder)...)...)
	m := &mount{process: p, dir: dir}
	t.Cleanup(m.unmountDead)
	m.prints("mounted "+dir, 10*time.Second)
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
