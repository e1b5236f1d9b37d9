package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// neighbours are two namespaces with one link between them, and nothing else:
// 10.77.9.1 and 10.77.9.2, and the addresses of IPv6 that links have.
func neighbours(t *testing.T) (a, b *namespace) {
	t.Helper()
	a, b = newNamespace(t), newNamespace(t)
	a.ip("link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", b.name)
	for i, n := range []*namespace{a, b} {
		// An address that is being checked for a double cannot be listened at.
		run(t, 5*time.Second, append(n.prefix(), "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/lan/accept_dad")...)
		n.ip("address", "add", []string{"10.77.9.1/24", "10.77.9.2/24"}[i], "dev", "lan")
		n.ip("link", "set", "lan", "up")
		n.ip("route", "add", "224.0.0.0/4", "dev", "lan") // transmission joins where a route leads
	}
	return a, b
}

// TestLSD: two clients on one link find each other by local service discovery
// alone: first one that we tell of us, then one that we hear of.
func TestLSD(t *testing.T) {
	t.Parallel() // with the other tests that wait for transmission most of the time
	needFuse(t)
	needLibtorrent(t)
	ours, theirs := neighbours(t)
	at := place{address: "10.77.9.2", prefix: slices.Clip(append(theirs.prefix(), "env", "LSD=1")), lsd: true}
	for i, c := range []struct {
		name        string
		seed, leech func(*testing.T, string, *torrent) *client
		sources     []string // that peers come by
	}{
		{"libtorrent",
			func(t *testing.T, dir string, to *torrent) *client { return libtorrent(t, at, dir, to) },
			func(t *testing.T, dir string, to *torrent) *client { return libtorrentLeech(t, at, dir, "-", to) },
			[]string{"incoming", "LSD"}},
		{"transmission",
			func(t *testing.T, dir string, to *torrent) *client { return transmission(t, at, dir, to) },
			func(t *testing.T, dir string, to *torrent) *client { return transmission(t, at, dir, to) },
			[]string{"LSD"}}, // it hears us, and waits for us to come
	} {
		t.Run(c.name, func(t *testing.T) {
			if i > 0 {
				long(t) // it lets nobody in for up to 10 s
			}
			to := torrentOf(t, smallFile(t), 256<<10)
			seeder := c.seed(t, contentDir(), to)
			m := mountBipfs(t, mounting{prefix: ours.prefix(), sources: []string{to.magnet(nil, nil)},
				flags: []string{"--lsd", "--listen", "0.0.0.0:0", "--log-level", "debug"}})
			resolved(t, m, to)
			same(t, to.shown(m), to.content)
			seeder.kill()
			dir := tempDir(t)
			leech := c.leech(t, dir, to)
			eventually(t, 90*time.Second, "the leech has it all", func() bool {
				return try(10*time.Second, "cmp", filepath.Join(dir, to.Info.Name), to.content).code == 0
			})
			leech.kill()
			m.stop(5 * time.Second)
			for _, source := range c.sources {
				if !strings.Contains(m.printed(), "source="+source+" ") {
					t.Errorf("no peer came by %s", source)
				}
			}
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		to := torrentOf(t, smallFile(t), 256<<10)
		libtorrent(t, at, contentDir(), to)
		m := mountBipfs(t, mounting{prefix: ours.prefix(), sources: []string{to.file},
			flags: []string{"--no-lsd", "--listen", "0.0.0.0:0", "--read-timeout", "3s"}})
		if r := try(20*time.Second, "cat", to.shown(m)); r.code == 0 {
			t.Error("without --lsd a peer was found")
		}
		m.stop(5 * time.Second)
	})
}
