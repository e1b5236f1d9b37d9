package integration

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// utpOnly starts a libtorrent session that speaks uTP alone.
func utpOnly(t testing.TB, role string, at place, folder string, args ...string) *client {
	t.Helper()
	needLibtorrent(t)
	c := &client{addr: net.JoinHostPort(at.address, freePort(t, at.address))}
	argv := append([]string{python, "testdata/client.py", "utp-" + role, c.addr, folder}, args...)
	c.process = start(t, "libtorrent", append(at.prefix, argv...)...)
	c.prints("ready", 20*time.Second)
	return c
}

// TestUTP: libtorrent without TCP seeds to bipfs, and downloads from it, by
// .torrent and by magnet.
func TestUTP(t *testing.T) {
	to := torrentOf(t, smallFile(t), 128<<10)
	seeder := utpOnly(t, "seed", place{address: "127.0.4.1"}, contentDir(), to.file)
	data := ""
	for name, source := range map[string]string{"torrent": to.file, "magnet": to.magnet(nil, []string{seeder.addr})} {
		t.Run(name, func(t *testing.T) {
			data = filepath.Join(base, "over-utp-"+name)
			m := mountBipfs(t, mounting{data: data, flags: []string{"--peer", seeder.addr, "--log-level", "debug"}, sources: []string{source}})
			resolved(t, m, to)
			same(t, to.shown(m), to.content)
			m.stop(5 * time.Second)
			if log := m.printed(); !strings.Contains(log, "over=udp") {
				t.Errorf("they did not meet over uTP: %s", tail(log, 4<<10))
			}
		})
	}
	t.Run("the other way", func(t *testing.T) {
		listen := net.JoinHostPort("127.0.4.2", freePort(t, "127.0.4.2"))
		m := mountBipfs(t, mounting{data: data, flags: []string{"--listen", listen, "--log-level", "debug"}, sources: []string{to.file}})
		dir := tempDir(t)
		leech := utpOnly(t, "leech", place{address: "127.0.4.3"}, dir, listen, to.file)
		leech.prints("done\n", time.Minute)
		leech.kill()
		same(t, filepath.Join(dir, to.Info.Name), to.content)
		m.stop(5 * time.Second)
		if log := m.printed(); !strings.Contains(log, "source=incoming over=udp") {
			t.Errorf("they did not meet over uTP: %s", tail(log, 4<<10))
		}
	})
}

// TestIPv6: libtorrent seeds to bipfs, and downloads from it, over IPv6.
func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6")
	} else {
		l.Close()
	}
	to := torrentOf(t, smallFile(t), 128<<10)
	seeder := libtorrent(t, place{address: "::1"}, contentDir(), to)
	data := filepath.Join(tempDir(t), "data")
	m := mountBipfs(t, mounting{data: data, sources: []string{to.magnet(nil, []string{seeder.addr})}})
	resolved(t, m, to)
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
	listen := net.JoinHostPort("::1", freePort(t, "::1"))
	m = mountBipfs(t, mounting{data: data, flags: []string{"--listen", listen}, sources: []string{to.file}})
	dir := tempDir(t)
	leech := libtorrentLeech(t, place{address: "::1"}, dir, listen, to)
	leech.prints("done\n", time.Minute)
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
	m.stop(5 * time.Second)
}

// TestPEX: libtorrent knows only bipfs, which uploads nothing, and finds the
// seeder by it.
func TestPEX(t *testing.T) {
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
