package integration

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestLSD: two machines of one network, bipfs and a libtorrent, find each other
// by local service discovery alone.
func TestLSD(t *testing.T) {
	needLibtorrent(t)
	here, there := newNamespace(t), newNamespace(t)
	here.ip("link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", there.name)
	for n, address := range map[*namespace]string{here: "10.77.2.1/24", there: "10.77.2.2/24"} {
		n.ip("address", "add", address, "dev", "lan")
		n.ip("link", "set", "lan", "up")
		n.ip("route", "add", "default", "dev", "lan")
	}
	to := torrentOf(t, smallFile(t), 64<<10)
	m := mountBipfs(t, mounting{prefix: here.prefix(), flags: []string{"--lsd", "--listen", "10.77.2.1:6881"},
		sources: []string{"magnet:?xt=urn:btih:" + to.hash()}})
	// bipfs announced the torrent when nobody was there to hear it: it hears
	// the seeder.
	time.Sleep(time.Second)
	cmd := exec.Command("nsenter", append(there.prefix()[1:], python, "testdata/client.py", "seed", net.JoinHostPort("10.77.2.2", "6881"), contentDir(), to.file)...)
	cmd.Env = append(os.Environ(), "LSD=1")
	seeder := startCommand(t, "libtorrent", cmd)
	seeder.prints("ready", 20*time.Second)
	begin := time.Now()
	resolved(t, m, to)
	same(t, to.shown(m), to.content)
	t.Logf("found and read within %v", time.Since(begin).Round(time.Millisecond))
	m.stop(5 * time.Second)
}
