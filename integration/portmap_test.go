package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A home is a network behind a router that translates addresses: 192.168.77.2,
// the router 192.168.77.1 with 20.0.0.1 outside, and somebody there, 20.0.0.2.
type home struct {
	t                       testing.TB
	inside, router, outside *namespace
}

func newHome(t *testing.T) *home {
	t.Helper()
	need(t, "nft", "miniupnpd")
	h := &home{t, newNamespace(t), newNamespace(t), newNamespace(t)}
	h.router.ip("link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", h.inside.name)
	h.router.ip("link", "add", "wan", "type", "veth", "peer", "name", "eth", "netns", h.outside.name)
	for _, a := range []struct {
		n            *namespace
		device, addr string
	}{{h.router, "lan", "192.168.77.1/24"}, {h.router, "wan", "20.0.0.1/24"}, {h.inside, "eth", "192.168.77.2/24"}, {h.outside, "eth", "20.0.0.2/24"}} {
		a.n.ip("address", "add", a.addr, "dev", a.device)
		a.n.ip("link", "set", a.device, "up")
	}
	h.inside.ip("route", "add", "default", "via", "192.168.77.1")
	run(t, 5*time.Second, append(h.router.prefix(), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")...)
	return h
}

// serve has the router let ports be mapped, by UPnP, and if asked by PCP.
func (h *home) serve(pcp string) *process {
	h.t.Helper()
	dir := tempDir(h.t)
	rules, conf := filepath.Join(dir, "rules"), filepath.Join(dir, "conf")
	for file, text := range map[string]string{
		rules: `flush ruleset
table inet filter {
	chain forward { type filter hook forward priority 0; policy accept; }
	chain miniupnpd { }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
}
`,
		conf: `ext_ifname=wan
listening_ip=lan
port=5000
enable_upnp=yes
enable_natpmp=` + pcp + `
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000001
lease_file=` + filepath.Join(dir, "leases") + `
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	if r := try(5*time.Second, append(h.router.prefix(), "nft", "-f", rules)...); r.code != 0 {
		h.t.Skipf("no packet filter here: %v", r)
	}
	p := start(h.t, "miniupnpd", append(h.router.prefix(), "miniupnpd", "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))...)
	place{address: "192.168.77.1", prefix: h.router.prefix()}.listening(h.t, "192.168.77.1:5000")
	return p
}

// mapped are the ports that lead inside.
func (h *home) mapped() int {
	h.t.Helper()
	out := run(h.t, 5*time.Second, append(h.router.prefix(), "nft", "list", "ruleset")...).out
	return strings.Count(out, "dnat ip to 192.168.77.2")
}

var letIn = regexp.MustCompile(`msg="the router lets peers in" protocol=(\S+) port=(\d+) transport=TCP outside=20\.0\.0\.1:(\d+)`)

// TestPortMap: a real router lets a peer from outside in, in the first protocol
// that it speaks, and no longer when bipfs has stopped.
func TestPortMap(t *testing.T) {
	foreign(t)
	t.Parallel()
	needFuse(t)
	h := newHome(t)
	to := torrentOf(t, smallFile(t), 256<<10)
	data := filepath.Join(tempDir(t), "data")
	first := mountBipfs(t, mounting{data: data, flags: peerFlags(scripted(t, manner{}, to)), sources: []string{to.file}})
	same(t, to.shown(first), to.content)
	first.stop(5 * time.Second)
	for protocol, pcp := range map[string]string{"PCP": "yes", "UPnP": "no"} {
		t.Run(protocol, func(t *testing.T) {
			h.t = t
			daemon := h.serve(pcp)
			magnet := fmt.Sprintf("magnet:?xt=urn:btih:%040x", 7) // that nobody has: it searches
			m := mountBipfs(t, mounting{data: data, prefix: h.inside.prefix(), flags: []string{"--listen", "0.0.0.0:0"}, sources: []string{magnet}})
			eventually(t, 15*time.Second, "the router lets peers in", func() bool { return letIn.MatchString(m.printed()) })
			said := letIn.FindStringSubmatch(m.printed())
			if said[1] != protocol || h.mapped() != 2 { // TCP and UDP
				t.Errorf("%q, %d ports are mapped", said, h.mapped())
			}
			dir := tempDir(t)
			leech := libtorrentLeech(t, place{address: "20.0.0.2", prefix: h.outside.prefix()}, dir, "20.0.0.1:"+said[3], to)
			leech.prints("done", 30*time.Second)
			same(t, filepath.Join(dir, to.Info.Name), to.content)
			leech.kill()
			m.stop(5 * time.Second)
			eventually(t, 2*time.Second, "the port is closed again", func() bool { return h.mapped() == 0 })
			daemon.kill()
		})
	}
	t.Run("not wanted", func(t *testing.T) {
		h.t = t
		daemon := h.serve("yes")
		for _, c := range []struct {
			source string
			flags  []string
		}{
			{fmt.Sprintf("magnet:?xt=urn:btih:%040x", 7), []string{"--no-port-map", "--listen", "0.0.0.0:0"}},
			{fmt.Sprintf("magnet:?xt=urn:btih:%040x", 7), []string{"--listen", "127.0.0.1:0"}},
			{to.file, []string{"--listen", "0.0.0.0:0", "--lsd"}}, // dormant
		} {
			before := sent(t, h.inside)
			m := mountBipfs(t, mounting{prefix: h.inside.prefix(), flags: c.flags, sources: []string{c.source}})
			time.Sleep(time.Second)
			if n := sent(t, h.inside) - before; n != 0 {
				t.Errorf("%q: %d packets were sent", c.flags, n)
			}
			m.stop(5 * time.Second)
		}
		daemon.kill()
	})
}

// sent is how many packets of IPv4 a namespace has sent; IPv6 announces itself.
func sent(t testing.TB, n *namespace) (packets int64) {
	t.Helper()
	for line := range strings.Lines(run(t, 5*time.Second, append(n.prefix(), "cat", "/proc/net/snmp")...).out) {
		f := strings.Fields(line)
		if len(f) > 10 && f[0] == "Ip:" && f[10] != "OutRequests" {
			_, _ = fmt.Sscan(f[10], &packets)
		}
	}
	return packets
}
