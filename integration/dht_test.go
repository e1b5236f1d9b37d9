package integration

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dhtNode is a bipfs that is nothing but a node of the DHT.
func dhtNode(t *testing.T) (addr string) {
	t.Helper()
	addr = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	mountBipfs(t, mounting{flags: []string{"--listen", addr, "--dht-node", "127.0.0.1:9"}})
	return addr
}

// TestDHT: the DHT alone is enough, both ways: bipfs finds a libtorrent that
// announced itself there, and is found by one.
func TestDHT(t *testing.T) {
	foreign(t)
	t.Parallel()
	needLibtorrent(t)
	to := torrentOf(t, smallFile(t), 64<<10)
	node := dhtNode(t)

	seeder := libtorrent(t, place{address: "127.0.0.2", dht: node}, contentDir(), to)
	begin := time.Now()
	m := mountBipfs(t, mounting{flags: []string{"--dht-node", node}, sources: []string{to.magnet(nil, nil)}})
	resolved(t, m, to)
	same(t, to.shown(m), to.content)
	t.Logf("bipfs found libtorrent and had the content after %v", time.Since(begin).Round(time.Millisecond))
	seeder.kill()

	begin = time.Now()
	dir := tempDir(t)
	leech := libtorrentLeech(t, place{address: "127.0.0.3", dht: node}, dir, "-", to.linked())
	leech.prints("done\n", time.Minute)
	t.Logf("libtorrent found bipfs and had the content after %v", time.Since(begin).Round(time.Millisecond))
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
}

// TestDHTNetwork: in a DHT of 50 nodes, bipfs finds by it alone libtorrent and
// transmission, which announced themselves, and they find bipfs.
func TestDHTNetwork(t *testing.T) {
	long(t)
	t.Parallel() // transmission takes its time
	needFuse(t)
	needLibtorrent(t)
	ns := newNamespace(t)
	for i := range 60 { // transmission speaks to no node in 127.0.0.0/8
		ns.ip("address", "add", fmt.Sprintf("10.78.0.%d/32", 1+i), "dev", "lo")
	}
	const node = "10.78.0.1:6881"
	start(t, "dht", append(ns.prefix(), python, "-W", "ignore", "testdata/dht.py", "50", "10.78.0.1", "6881")...).prints("ready", 30*time.Second)
	to := torrentOf(t, smallFile(t), 32<<10)
	at := func(i int) place { return place{address: fmt.Sprintf("10.78.0.%d", i), prefix: ns.prefix(), dht: node} }
	fetched := func(t *testing.T, i int, to *torrent) *mount {
		begin := time.Now()
		m := mountBipfs(t, mounting{prefix: ns.prefix(), sources: []string{to.magnet(nil, nil)},
			flags: []string{"--listen", at(i).address + ":6881", "--dht-node", node, "--log-level", "debug"}})
		eventually(t, 150*time.Second, "the metadata comes", func() bool {
			return try(10*time.Second, "ls", m.path(to.Info.Name, to.Info.Name)).code == 0
		})
		same(t, to.shown(m), to.content)
		t.Logf("bipfs had the content after %v", time.Since(begin).Round(time.Millisecond))
		return m
	}
	t.Run("libtorrent, then bipfs", func(t *testing.T) {
		t.Parallel()
		seeder := libtorrent(t, at(51), contentDir(), to)
		m := fetched(t, 52, to)
		seeder.kill()
		for i, leech := range []string{"libtorrent", "transmission"} {
			t.Run(leech, func(t *testing.T) {
				begin := time.Now()
				dir := tempDir(t)
				c := programs[leech].leech(t, at(53+i), dir, to.linked())
				eventually(t, 120*time.Second, "the leech has it all", func() bool {
					return try(10*time.Second, "cmp", filepath.Join(dir, to.Info.Name), to.content).code == 0
				})
				t.Logf("it had the content after %v", time.Since(begin).Round(time.Millisecond))
				c.kill()
			})
		}
		m.stop(5 * time.Second)
		if !strings.Contains(m.printed(), "source=DHT ") {
			t.Error("no peer came by the DHT")
		}
	})
	t.Run("transmission", func(t *testing.T) {
		t.Parallel()
		to := torrentOf(t, smallFile(t), 64<<10)
		transmission(t, at(55), contentDir(), to)
		fetched(t, 56, to).stop(5 * time.Second)
	})
}
