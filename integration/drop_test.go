package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatchFolder: what is dropped into a folder of --watch is mounted, however it gets
// there, with what was there before; what cannot be is said. (Deletions: cmd/bipfs, in
// false time.)
func TestWatchFolder(t *testing.T) {
	t.Parallel()
	first, second, third := torrentOf(t, file(t, "drop first.bin", 300_000), 32<<10), torrentOf(t, file(t, "drop second.bin", 200_000), 32<<10), torrentOf(t, file(t, "drop third.bin", 100_000), 32<<10)
	one, two := tempDir(t), tempDir(t)
	sh(t, 10*time.Second, `cp "$1" "$2/there before.torrent"`, first.file, one)
	m, _ := controlled(t, "--peer", engineSeeder(t, first, second, third), "--seed-ratio", "0", "--watch", one, "--watch", two)
	shows := func(to *torrent) {
		t.Helper()
		eventually(t, 20*time.Second, to.Info.Name+" is there", func() bool { return try(5*time.Second, "test", "-f", to.shown(m)).code == 0 })
		same(t, to.shown(m), to.content)
	}
	shows(first)
	sh(t, 10*time.Second, `head -c 100 "$1" >"$2/x.torrent"; sleep 0.5; tail -c +101 "$1" >>"$2/x.torrent"`, second.file, two)
	shows(second)
	if err := os.WriteFile(filepath.Join(one, "y.magnet"), []byte("magnet:?xt=urn:btih:"+third.hash()), 0o644); err != nil {
		t.Fatal(err)
	}
	shows(third)
	if err := os.WriteFile(filepath.Join(two, "bad.torrent"), []byte("bad"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.prints("is not added", 20*time.Second)
	sh(t, 10*time.Second, `rm "$1"/*`, one)
	same(t, first.shown(m), first.content)
	m.stop(5 * time.Second)
}
