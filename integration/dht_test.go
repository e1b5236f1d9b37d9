package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// libtorrentNode starts a libtorrent session that takes part in the DHT.
func libtorrentNode(t *testing.T, node, address, role, folder string, args ...string) *client {
	t.Helper()
	needLibtorrent(t)
	c := &client{addr: net.JoinHostPort(address, freePort(t, address))}
	cmd := exec.Command(python, append([]string{"testdata/client.py", role, c.addr, folder}, args...)...)
	cmd.Env = append(os.Environ(), "DHT_NODE="+node)
	c.process = startCommand(t, "libtorrent", cmd)
	c.prints("ready", 20*time.Second)
	return c
}

// TestDHT: the DHT alone is enough, both ways: bipfs finds a libtorrent that
// announced itself there, and is found by one.
func TestDHT(t *testing.T) {
	needLibtorrent(t)
	to := torrentOf(t, smallFile(t), 64<<10)
	magnet := "magnet:?xt=urn:btih:" + to.hash()
	node := dhtNode(t)

	seeder := libtorrentNode(t, node, "127.0.0.2", "seed", contentDir(), to.file)
	begin := time.Now()
	m := mountBipfs(t, mounting{flags: []string{"--dht-node", node}, sources: []string{magnet}})
	resolved(t, m, to)
	same(t, to.shown(m), to.content)
	t.Logf("bipfs found libtorrent and had the content after %v", time.Since(begin).Round(time.Millisecond))
	seeder.kill()

	begin = time.Now()
	dir := tempDir(t)
	leech := libtorrentNode(t, node, "127.0.0.3", "leech", dir, "-", magnet)
	leech.prints("done\n", time.Minute)
	t.Logf("libtorrent found bipfs and had the content after %v", time.Since(begin).Round(time.Millisecond))
	leech.kill()
	same(t, filepath.Join(dir, to.Info.Name), to.content)
}
