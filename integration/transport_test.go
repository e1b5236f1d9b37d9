package integration

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPEX: libtorrent knows only bipfs, which uploads nothing, and finds the
// seeder by it.
func TestPEX(t *testing.T) {
	foreign(t)
	t.Parallel()
	to := torrentOf(t, file(t, "exchanged.bin", 64<<20), 128<<10)
	seeder := libtorrent(t, place{address: "127.0.5.1"}, contentDir(), to)
	listen := net.JoinHostPort("127.0.5.3", freePort(t, "127.0.5.3"))
	m := mountBipfs(t, mounting{flags: []string{"--listen", listen, "--peer", seeder.addr, "--no-upload"}, sources: []string{to.file}})
	run(t, 20*time.Second, "head", "-c", "1000000", to.shown(m))
	dir := tempDir(t)
	leech := libtorrentLeech(t, place{address: "127.0.5.4"}, dir, listen, to)
	leech.prints("done\n", time.Minute)
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
	m.stop(5 * time.Second)
}

// TestPEXHeard: bipfs knows only a libtorrent that has next to nothing, and finds
// the seeder by it.
func TestPEXHeard(t *testing.T) {
	foreign(t)
	t.Parallel()
	to := torrentOf(t, smallFile(t), 512<<10)
	middle := libtorrentLeech(t, place{address: "127.0.5.12", slow: true}, tempDir(t), "-", to)
	libtorrent(t, place{address: "127.0.5.11", peer: middle.addr}, contentDir(), to)
	middle.prints("1 peers", 10*time.Second)
	listen := net.JoinHostPort("127.0.5.13", freePort(t, "127.0.5.13"))
	m := mountBipfs(t, mounting{flags: []string{"--listen", listen, "--peer", middle.addr, "--log-level", "debug"}, sources: []string{to.file}})
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
	if log := m.printed(); !strings.Contains(log, "source=pex ") {
		t.Errorf("no peer came by PEX: %s", tail(log, 4<<10))
	}
}
