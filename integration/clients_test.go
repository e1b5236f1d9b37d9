package integration

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lastPort is the port that freePort gave last, counted from a number that is
// each run's own.
var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(1 << 16)) }

// freePort is a port that nobody has, for TCP or UDP, on an address of this
// machine. It is given once, and is none of those that the kernel gives to who
// names none: it stays free until it is used.
func freePort(t testing.TB, address string) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(12_000 + lastPort.Add(1)%20_000) // the kernel's begin at 32768
		ln, err := net.Listen("tcp", net.JoinHostPort(address, port))
		if err != nil {
			continue
		}
		ln.Close()
		if udp, err := net.ListenPacket("udp", net.JoinHostPort(address, port)); err == nil {
			udp.Close()
			return port
		}
	}
	t.Fatalf("no port of %s is free", address)
	return ""
}

// A place is where a client runs: an address of its own, in a network namespace
// or in that of the test.
type place struct {
	address    string
	prefix     []string // enters the namespace
	encryption string   // of the client that runs there: off, require, or as it likes
	lsd        bool     // the client looks for peers on its links; libtorrent has LSD=1 in the prefix
	utp        bool     // the client speaks uTP beside TCP
	peer       string   // libtorrent connects to it, and gives up soon on others
	slow       bool     // libtorrent downloads 1 kB/s: it has as good as nothing
	dht        string   // a node by which the client finds the DHT; empty: it takes no part
}

// isSix reports whether the address is one of IPv6.
func (at place) isSix() bool { return strings.Contains(at.address, ":") }

// environment is the prefix with what libtorrent is told by its environment.
func (at place) environment() []string {
	argv := append(slices.Clone(at.prefix), "env")
	if at.utp {
		argv = append(argv, "UTP=1")
	}
	if at.slow {
		argv = append(argv, "SLOW=1")
	}
	for name, value := range map[string]string{"PEER": at.peer, "DHT_NODE": at.dht} {
		if value != "" {
			argv = append(argv, name+"="+value)
		}
	}
	return argv
}

// listening waits until something accepts connections there.
func (at place) listening(t testing.TB, addr string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	eventually(t, 15*time.Second, addr+" accepts connections", func() bool {
		probe := fmt.Sprintf("exec 3<>/dev/tcp/%s/%s", host, port)
		return try(2*time.Second, append(at.prefix, "bash", "-c", probe)...).code == 0
	})
}

// A client is a real BitTorrent program.
type client struct {
	*process
	addr string                  // where it accepts peers
	done func(to *torrent) error // whether it has all of a torrent
}

// transmission starts transmission-daemon with torrents whose content lies, or
// is to lie, in folder.
func transmission(t testing.TB, at place, folder string, torrents ...*torrent) *client {
	t.Helper()
	need(t, "transmission-daemon", "transmission-remote")
	config := tempDir(t)
	peers, rpc := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	four, six := at.address, "::1" // what is not an address of its family is taken for all of them
	if at.isSix() {
		four, six = "127.0.0.1", at.address
	}
	settings, err := json.Marshal(map[string]any{
		"encryption":       map[string]int{"off": 0, "": 1, "require": 2}[at.encryption], // 0 is plain first: it has no off
		"rpc-bind-address": "127.0.0.1", "rpc-port": json.Number(rpc), "rpc-whitelist-enabled": false,
		"rpc-host-whitelist-enabled": false, "rpc-authentication-required": false,
		"bind-address-ipv4": four, "bind-address-ipv6": six, "peer-port": json.Number(peers), "port-forwarding-enabled": false,
		"dht-enabled": at.dht != "", "lpd-enabled": at.lsd, "pex-enabled": false, "utp-enabled": at.utp,
		"download-dir": folder, "incomplete-dir-enabled": false, "preallocation": 0, "umask": 18,
		"cache-size-mb": 16, "peer-limit-global": 200, "peer-limit-per-torrent": 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "settings.json"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	if host, port, ok := strings.Cut(at.dht, ":"); ok {
		if err := os.WriteFile(filepath.Join(config, "dht.bootstrap"), []byte(host+" "+port+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &client{addr: net.JoinHostPort(at.address, peers)}
	c.process = start(t, "transmission", append(at.prefix,
		"transmission-daemon", "--foreground", "--log-error", "--config-dir", config)...)
	remote := append(at.prefix, "transmission-remote", "127.0.0.1:"+rpc)
	at.listening(t, "127.0.0.1:"+rpc)
	for _, to := range torrents {
		run(t, 20*time.Second, append(remote, "--add", to.file, "--download-dir", folder)...)
	}
	c.done = func(to *torrent) error {
		r := try(10*time.Second, append(remote, "--torrent", to.hash(), "--info")...)
		if strings.Contains(r.out, "Percent Done: 100%") && (strings.Contains(r.out, "State: Idle") || strings.Contains(r.out, "State: Seeding")) {
			return nil
		}
		return fmt.Errorf("not complete: %s%s", r.out, r.err)
	}
	return c
}

// python is the Python that Debian's bindings are for.
const python = "/usr/bin/python3"

// needLibtorrent skips the test unless libtorrent's Python binding is there.
func needLibtorrent(t testing.TB) {
	t.Helper()
	if r := try(20*time.Second, python, "-c", "import libtorrent"); r.code != 0 {
		t.Skip("python3-libtorrent is not installed (integration/need test installs it)")
	}
}

// libtorrent starts a libtorrent session that seeds.
func libtorrent(t testing.TB, at place, folder string, torrents ...*torrent) *client {
	t.Helper()
	var files []string
	for _, to := range torrents {
		files = append(files, to.file)
	}
	return session(t, at, "seed", folder, files...)
}

// libtorrentLeech starts a libtorrent session that downloads a torrent from one
// peer, - for whom it finds; it prints `done` when it has it.
func libtorrentLeech(t testing.TB, at place, folder, peer string, to *torrent) *client {
	t.Helper()
	return session(t, at, "leech", folder, peer, to.file)
}

// session starts testdata/client.py, and waits until it listens.
func session(t testing.TB, at place, role, folder string, args ...string) *client {
	t.Helper()
	needLibtorrent(t)
	c := &client{addr: net.JoinHostPort(at.address, freePort(t, "127.0.0.1"))}
	argv := append(at.environment(), python, "testdata/client.py", role+at.encryption, c.addr, folder)
	c.process = start(t, "libtorrent", append(argv, args...)...)
	c.prints("ready", 20*time.Second)
	return c
}

// aria2 starts an aria2c that seeds, or downloads from the tracker's peers what
// is not in the folder.
func aria2(t testing.TB, at place, folder string, torrents ...*torrent) *client {
	t.Helper()
	need(t, "aria2c")
	port := freePort(t, "127.0.0.1")
	c := &client{addr: net.JoinHostPort(at.address, port)}
	argv := append(at.prefix, "aria2c", "--no-conf", "--dir="+folder, "--listen-port="+port, "--interface="+at.address,
		"--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", fmt.Sprint("--disable-ipv6=", !at.isSix()),
		"--check-integrity=true", "--bt-hash-check-seed=true", "--seed-ratio=0.0", "--seed-time=600",
		"--max-concurrent-downloads=20", "--bt-max-open-files=400", "--allow-overwrite=true", "--auto-file-renaming=false",
		"--file-allocation=none", "--summary-interval=0", "--quiet=true", "--follow-torrent=false")
	if at.encryption == "require" { // it has no off
		argv = append(argv, "--bt-require-crypto=true", "--bt-min-crypto-level=arc4")
	}
	for _, to := range torrents {
		argv = append(argv, to.file)
	}
	c.process = start(t, "aria2c", argv...)
	at.listening(t, c.addr)
	return c
}

// A tracker is an opentracker.
type tracker struct {
	*process
	at  place
	url string // to announce to
	udp string // the same by UDP
}

// opentracker starts the tracker program. Debian's knows only the torrents that
// it is told.
func opentracker(t testing.TB, at place, torrents ...*torrent) *tracker {
	t.Helper()
	need(t, "opentracker", "curl")
	needRoot(t) // it changes its user
	dir := tempDir(t)
	var list strings.Builder
	for _, to := range torrents {
		fmt.Fprintln(&list, to.hash())
	}
	if err := os.WriteFile(filepath.Join(dir, "whitelist"), []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePort(t, "127.0.0.1")
	argv := append(at.prefix, "opentracker", "-i", at.address, "-p", port, "-P", port, "-d", dir, "-u", "nobody", "-w", "whitelist")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	host := net.JoinHostPort(at.address, port)
	tr := &tracker{startCommand(t, "opentracker", cmd), at, "http://" + host + "/announce", "udp://" + host + "/announce"}
	at.listening(t, host)
	return tr
}

// knows waits until the tracker knows n seeders of a torrent.
func (tr *tracker) knows(to *torrent, n int) {
	tr.t.Helper()
	scrape := strings.Replace(tr.url, "/announce", "/scrape?info_hash=", 1)
	for _, b := range to.Info.Hash { // QueryEscape makes + of a space, which opentracker does not know
		scrape += fmt.Sprintf("%%%02x", b)
	}
	var answer string
	deadline := time.Now().Add(60 * time.Second)
	for {
		answer = try(5*time.Second, append(tr.at.prefix, "curl", "-s", scrape)...).out
		_, rest, _ := strings.Cut(answer, "8:completei")
		var seeders int
		if _, err := fmt.Sscanf(rest, "%de", &seeders); err == nil && seeders >= n {
			return
		}
		if time.Now().After(deadline) {
			tr.t.Fatalf("the tracker does not know %d seeders of %s: %s", n, filepath.Base(to.file), hex.EncodeToString([]byte(answer)))
		}
		time.Sleep(50 * time.Millisecond)
	}
}
