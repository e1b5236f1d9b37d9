package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// qbittorrent starts a qbittorrent-nox that seeds what is in the folder and
// downloads what is not.
func qbittorrent(t testing.TB, at place, folder string, torrents ...*torrent) *client {
	t.Helper()
	need(t, "qbittorrent-nox")
	profile := tempDir(t)
	peers, web := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	settings := []string{
		"[LegalNotice]", "Accepted=true",
		"[BitTorrent]", `Session\DHTEnabled=false`, `Session\LSDEnabled=false`, `Session\PeXEnabled=false`,
		`Session\Port=` + peers, `Session\InterfaceAddress=` + at.address, `Session\QueueingSystemEnabled=false`,
		`Session\BTProtocol=` + map[bool]string{false: "TCP", true: "Both"}[at.utp],
		`Session\Encryption=` + map[string]string{"": "0", "require": "1", "off": "2"}[at.encryption],
		"[Network]", "PortForwardingEnabled=false",
		"[Preferences]", `WebUI\Address=127.0.0.1`, `WebUI\UseUPnP=false`, `General\Locale=en`,
	}
	config := filepath.Join(profile, "qBittorrent", "config", "qBittorrent.conf")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Join(settings, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &client{addr: net.JoinHostPort(at.address, peers)}
	argv := append(at.prefix, "qbittorrent-nox", "--profile="+profile, "--webui-port="+web,
		"--save-path="+folder, "--add-paused=false", "--skip-dialog=true")
	for _, to := range torrents {
		argv = append(argv, to.file)
	}
	c.process = start(t, "qbittorrent", argv...)
	at.listening(t, c.addr)
	return c
}

// rtorrent starts an rtorrent that seeds what is in the folder and downloads
// what is not. It loads no torrent without a tracker.
func rtorrent(t testing.TB, at place, folder string, torrents ...*torrent) *client {
	t.Helper()
	need(t, "rtorrent")
	dir, port := tempDir(t), freePort(t, "127.0.0.1")
	lines := []string{
		"system.daemon.set = true", "session.path.set = " + dir, "directory.default.set = " + folder,
		fmt.Sprintf("network.port_range.set = %s-%s", port, port), "network.port_random.set = no",
		"dht.mode.set = disable", "protocol.pex.set = no",
		"trackers.use_udp.set = no", "system.umask.set = 0022",
		"protocol.encryption.set = " + map[string]string{
			"": "allow_incoming,try_outgoing,enable_retry", "require": "allow_incoming,try_outgoing,require,require_RC4", "off": "none",
		}[at.encryption],
		`log.open_file = "log", "/dev/stdout"`, `log.add_output = "info", "log"`, `log.add_output = "tracker_info", "log"`,
		`log.add_output = "torrent_info", "log"`,
	}
	if !at.isSix() { // it can be bound to IPv4 only
		lines = append(lines, "network.bind_address.set = "+at.address)
	}
	for _, to := range torrents {
		lines = append(lines, `load.start = "`+to.file+`"`)
	}
	rc := filepath.Join(dir, "rtorrent.rc")
	if err := os.WriteFile(rc, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &client{addr: net.JoinHostPort(at.address, port)}
	c.process = start(t, "rtorrent", append(at.prefix, "rtorrent", "-n", "-o", "import="+rc)...)
	at.listening(t, c.addr)
	return c
}
