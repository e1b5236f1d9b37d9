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
	foreign(t)
	t.Parallel() // with the other tests that wait for transmission most of the time
	needFuse(t)
	needLibtorrent(t)
	links := func(t *testing.T) (ours *namespace, at place) {
		ours, theirs := neighbours(t)
		return ours, place{address: "10.77.9.2", prefix: slices.Clip(append(theirs.prefix(), "env", "LSD=1")), lsd: true}
	}
	for name, sources := range map[string][]string{ // that peers come by
		"libtorrent":   {"incoming", "LSD"},
		"transmission": {"LSD"}, // it hears us, and waits for us to come
	} {
		t.Run(name, func(t *testing.T) {
			if name == "transmission" {
				long(t) // it lets nobody in for up to 10 s
			}
			t.Parallel()
			ours, at := links(t)
			to := torrentOf(t, smallFile(t), 256<<10)
			seeder := programs[name].seed(t, at, contentDir(), to)
			m := mountBipfs(t, mounting{prefix: ours.prefix(), sources: []string{to.magnet(nil, nil)},
				flags: []string{"--lsd", "--listen", "0.0.0.0:0", "--log-level", "debug"}})
			resolved(t, m, to)
			same(t, to.shown(m), to.content)
			seeder.kill()
			dir := tempDir(t)
			leech := programs[name].leech(t, at, dir, to)
			eventually(t, 90*time.Second, "the leech has it all", func() bool {
				return try(10*time.Second, "cmp", filepath.Join(dir, to.Info.Name), to.content).code == 0
			})
			leech.kill()
			m.stop(5 * time.Second)
			for _, source := range sources {
				if !strings.Contains(m.printed(), "source="+source+" ") {
					t.Errorf("no peer came by %s", source)
				}
			}
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		t.Parallel()
		ours, at := links(t)
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
