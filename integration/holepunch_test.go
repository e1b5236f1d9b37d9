package integration

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An internet is a network with a router, a helper whom everybody reaches, and
// two homes behind routers of their own that let only answers in:
//
//	home a ── router a ─┐
//	10.1.0.2   20.0.0.1 ├── world, with the helper at 20.0.0.9
//	home b ── router b ─┘
//	10.2.0.2   20.0.0.2
//
// A router keeps the port of what it lets out, whomever that is for, as most of
// those at home do.
type internet struct {
	helper *namespace
	home   [2]*namespace
}

const helperAddress = "20.0.0.9"

func homeAddress(i int) string { return fmt.Sprintf("10.%d.0.2", 1+i) }

func newInternet(t *testing.T) *internet {
	t.Helper()
	need(t, "nft")
	n := &internet{helper: newNamespace(t)}
	n.helper.ip("link", "add", "world", "type", "bridge")
	n.helper.ip("address", "add", helperAddress+"/24", "dev", "world")
	n.helper.ip("link", "set", "world", "up")
	for i := range n.home {
		home, router := newNamespace(t), newNamespace(t)
		port := fmt.Sprint("to", i)
		n.helper.ip("link", "add", port, "type", "veth", "peer", "name", "wan", "netns", router.name)
		n.helper.ip("link", "set", port, "master", "world", "up")
		router.ip("address", "add", fmt.Sprintf("20.0.0.%d/24", 1+i), "dev", "wan")
		router.ip("link", "set", "wan", "up")
		router.ip("link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", home.name)
		router.ip("address", "add", fmt.Sprintf("10.%d.0.1/24", 1+i), "dev", "lan")
		router.ip("link", "set", "lan", "up")
		home.ip("address", "add", homeAddress(i)+"/24", "dev", "lan")
		home.ip("link", "set", "lan", "up")
		home.ip("route", "add", "default", "via", fmt.Sprintf("10.%d.0.1", 1+i))
		run(t, 10*time.Second, append(router.prefix(), "sh", "-ec", `echo 1 > /proc/sys/net/ipv4/ip_forward; exec nft "$0"`,
			"table ip nat { chain out { type nat hook postrouting priority 100; oifname wan masquerade; }; };"+
				"table ip guard { chain in { type filter hook input priority 0; iifname wan ct state new drop; };"+
				" chain through { type filter hook forward priority 0; iifname wan ct state new drop; }; }")...)
		n.home[i] = home
	}
	return n
}

// TestHolepunch: two who cannot reach each other meet by a third that both are
// connected to, and that has nothing itself (BEP 55). First libtorrent has the
// content and bipfs asks to be brought together with it, then the other way
// round.
func TestHolepunch(t *testing.T) {
	t.Parallel() // it waits most of the time
	needFuse(t)
	needLibtorrent(t)
	to := torrentOf(t, smallFile(t), 128<<10)
	for _, relay := range []string{"bipfs", "libtorrent"} {
		t.Run("by "+relay, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			helper := n.relay(t, relay, to)
			at := place{address: homeAddress(0), prefix: n.home[0].prefix(), utp: true, peer: helper}
			seeder := libtorrent(t, at, contentDir(), to)
			seeder.prints("external IP received: 20.0.0.1", 20*time.Second) // the helper knows it, and names it at once
			m := mountBipfs(t, mounting{prefix: n.home[1].prefix(), sources: []string{to.file},
				flags: []string{"--listen", ":6881", "--peer", helper, "--log-level", "debug"}})
			same(t, to.shown(m), to.content)
			seeder.kill()

			dir := tempDir(t)
			leech := libtorrentLeech(t, at, dir, "-", to)
			leech.prints("done\n", time.Minute)
			same(t, filepath.Join(dir, to.Info.Name), to.content)
			leech.kill()
			m.stop(5 * time.Second)
			if log := m.printed(); !strings.Contains(log, "source=holepunch over=udp") {
				t.Errorf("no hole was punched: %s", tail(log, 4<<10))
			}
		})
	}
}

// relay starts the helper.
func (n *internet) relay(t *testing.T, program string, to *torrent) (addr string) {
	t.Helper()
	if program == "bipfs" {
		addr = helperAddress + ":6881"
		mountBipfs(t, mounting{prefix: n.helper.prefix(), sources: []string{to.file}, flags: []string{"--listen", addr, "--log-level", "debug"}})
		return addr
	}
	// It names the port of a connection, which is no port of uTP if that is TCP.
	run(t, 10*time.Second, append(n.helper.prefix(), "nft",
		"table ip guard { chain in { type filter hook input priority 0; iifname world meta l4proto tcp drop; }; }")...)
	return libtorrentLeech(t, place{address: helperAddress, prefix: n.helper.prefix(), utp: true, slow: true}, tempDir(t), "-", to).addr
}

// TestNoHole: without a third one to bring them together the two cannot meet,
// though each is told where the other one is.
func TestNoHole(t *testing.T) {
	foreign(t)
	t.Parallel()
	needFuse(t)
	needLibtorrent(t)
	to := torrentOf(t, smallFile(t), 128<<10)
	n := newInternet(t)
	at := place{address: homeAddress(0), prefix: n.home[0].prefix(), utp: true}
	_, port, _ := net.SplitHostPort(libtorrent(t, at, contentDir(), to).addr)
	m := mountBipfs(t, mounting{prefix: n.home[1].prefix(), sources: []string{to.file},
		flags: []string{"--listen", ":6881", "--peer", "20.0.0.1:" + port, "--read-timeout", "4s"}})
	if r := try(20*time.Second, "head", "-c", "1", to.shown(m)); r.code == 0 && r.out != "" {
		t.Error("the routers let anybody in: TestHolepunch proves nothing")
	}
	m.stop(5 * time.Second)
}
