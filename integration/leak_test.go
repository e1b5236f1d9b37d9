package integration

import (
	"strings"
	"testing"
	"time"
)

// talkative mounts a magnet link that names whom there is to name, in a
// namespace, with every way to find peers on, and has it read.
func talkative(t *testing.T, ns *namespace, flags ...string) *mount {
	t.Helper()
	to := madeUp(t, "talkative.bin", 1<<30, 1<<20, "http://198.51.100.1/announce")
	m := mountBipfs(t, mounting{prefix: ns.prefix(), sources: []string{to.file,
		"magnet:?xt=urn:btih:" + strings.Repeat("ab", 20) + "&tr=udp%3A%2F%2F198.51.100.2%3A80&tr=http%3A%2F%2Ftracker.example%2Fannounce" +
			"&ws=http%3A%2F%2F198.51.100.3%2F&x.pe=198.51.100.4:6881"},
		anywhere: true, flags: append([]string{"--peer", "198.51.100.5:6881", "--peer", "peer.example:6881", "--lsd",
			"--dht-node", "198.51.100.6:6881", "--read-timeout", "30s"}, flags...)})
	readers(t, to.shown(m), 1, 0, 0)
	return m
}

// TestBind: with --bind nothing leaves over another device, names and trackers
// included, also when the one is gone.
func TestBind(t *testing.T) {
	foreign(t)
	t.Parallel()
	ns := newNamespace(t)
	ns.nowhere()
	ns.ip("link", "add", "bound", "type", "veth", "peer", "name", "far")
	ns.ip("link", "set", "far", "up")
	ns.ip("address", "add", "192.0.2.1/24", "dev", "bound")
	ns.ip("link", "set", "bound", "up")
	ns.ip("route", "add", "default", "via", "192.0.2.2", "dev", "bound", "metric", "500")
	before := ns.sentBy("out")                            // on loopback the kernel tells itself of who does not answer
	for _, bind := range []string{"192.0.2.1", "bound"} { // the last one stays
		m := talkative(t, ns, "--bind", bind)
		eventually(t, 10*time.Second, "packets leave over the device", func() bool { return ns.sentBy("bound") > 0 })
		time.Sleep(3 * time.Second)
		if n := ns.sentBy("out") - before; n != 0 {
			t.Errorf("--bind %s: %d packets left elsewhere", bind, n)
		}
		if bind == "bound" {
			ns.ip("link", "delete", "bound")
			time.Sleep(8 * time.Second)
			if n := ns.sentBy("out") - before; n != 0 {
				t.Errorf("without the device %d packets left elsewhere", n)
			}
		}
		m.stop(5 * time.Second)
	}
}

// refusing is a SOCKS5 proxy that prints what it is asked for, and refuses.
const refusing = `
import socket, struct, threading
s = socket.create_server(("127.0.0.1", 1080))
print("ready", flush=True)
def serve(c):
    with c:
        c.recv(c.recv(2)[1]); c.sendall(b"\x05\x00")
        kind = c.recv(4)[3]
        host = socket.inet_ntoa(c.recv(4)) if kind == 1 else c.recv(c.recv(1)[0]).decode() if kind == 3 else c.recv(16).hex()
        print(host, struct.unpack(">H", c.recv(2))[0], flush=True)
        c.sendall(b"\x05\x05\x00\x01" + bytes(6))
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`

// TestProxyOnly: behind a proxy nothing goes around it; it is asked for peers
// and trackers, by name where they have one.
func TestProxyOnly(t *testing.T) {
	foreign(t)
	t.Parallel()
	ns := newNamespace(t)
	ns.nowhere()
	proxy := start(t, "proxy", append(ns.prefix(), python, "-c", refusing)...)
	proxy.prints("ready", 10*time.Second)
	before := ns.sentBy("out")
	m := talkative(t, ns, "--proxy", "socks5://127.0.0.1:1080")
	for _, want := range []string{"198.51.100.1 80", "tracker.example 80", "198.51.100.4 6881", "198.51.100.5 6881"} {
		proxy.prints(want, 10*time.Second)
	}
	time.Sleep(3 * time.Second)
	if n := ns.sentBy("out") - before; n != 0 {
		t.Errorf("%d packets went around the proxy", n)
	}
	if out := run(t, 5*time.Second, append(ns.prefix(), "sh", "-c", "cat /proc/net/udp /proc/net/udp6 /proc/net/tcp6 | grep -vc local_address || true")...).out; strings.TrimSpace(out) != "0" {
		t.Errorf("%s sockets are open besides those to the proxy", strings.TrimSpace(out))
	}
	m.stop(5 * time.Second)
}
