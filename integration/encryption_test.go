package integration

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// How two meet, as our log has it: by the handshake of BEP 3 alone, or by an
// encrypted one that leaves the stream plain or not.
const (
	metPlainly = "none"
	metHidden  = "plain"
	metInRC4   = "rc4"
	metNever   = ""
)

// TestEncryptedSeeders fetches from real clients, each of which encrypts as it
// likes, always or never, with every policy of ours.
func TestEncryptedSeeders(t *testing.T) {
	foreign(t)
	t.Parallel() // with the other tests that wait for transmission most of the time
	to := torrentOf(t, smallFile(t), 128<<10)
	type program func(testing.TB, place, string, ...*torrent) *client
	for i, c := range []struct {
		name       string
		start      program
		encryption string
		how        map[string]string // for each policy
	}{
		{"libtorrent", libtorrent, "", map[string]string{"prefer": metHidden, "require": metInRC4, "off": metPlainly}},
		{"libtorrent, off", libtorrent, "off", map[string]string{"prefer": metPlainly, "require": metNever, "off": metPlainly}},
		{"libtorrent, forced", libtorrent, "force", map[string]string{"prefer": metHidden, "require": metInRC4, "off": metNever}},
		{"libtorrent, required", libtorrent, "require", map[string]string{"prefer": metInRC4, "require": metInRC4, "off": metNever}},
		{"aria2", aria2, "", map[string]string{"prefer": metHidden, "require": metInRC4, "off": metPlainly}},
		{"aria2, required", aria2, "require", map[string]string{"prefer": metInRC4, "require": metInRC4, "off": metNever}},
		{"transmission, off", transmission, "off", map[string]string{"prefer": metPlainly, "require": metInRC4, "off": metPlainly}}, // chooses a plain stream, then takes the encrypted IA for one
		{"transmission, required", transmission, "require", map[string]string{"prefer": metInRC4, "require": metInRC4, "off": metNever}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "transmission") {
				long(t) // it lets nobody in for up to 10 s
			}
			t.Parallel()
			at := place{address: fmt.Sprintf("127.0.3.%d", 1+i), encryption: c.encryption}
			seeder := c.start(t, at, contentDir(), to)
			for _, policy := range []string{"prefer", "require", "off"} {
				t.Run(policy, func(t *testing.T) { fetchEncrypted(t, to, seeder.addr, policy, c.how[policy]) })
			}
		})
	}
}

// stood is how a connection that we dialled, and that stood, was encrypted.
var stood = regexp.MustCompile(`msg="peer ended" .* mse=(\w+) lasted=[1-9]`)

func fetchEncrypted(t *testing.T, to *torrent, peer, policy, how string) {
	t.Helper()
	dir, within := tempDir(t), readPatience
	if how == metNever {
		within = 1500 * time.Millisecond
	}
	r := try(within, bipfs, "fetch", "--listen", "127.0.0.1:0", "--log-level", "debug",
		"--encryption", policy, "--peer", peer, to.file, "-o", dir)
	if how == metNever {
		if r.code == 0 {
			t.Errorf("fetched from a peer that it must not meet: %v", r)
		}
		return
	}
	if r.code != 0 {
		t.Fatal(r)
	}
	same(t, filepath.Join(dir, to.Info.Name), to.content)
	if got := stood.FindStringSubmatch(r.err); got == nil || got[1] != how {
		t.Errorf("met as %v, want %q: %v", got, how, r)
	}
}

// TestEncryptedLeeches has real clients download from bipfs, each of which
// encrypts as it likes, always or never.
func TestEncryptedLeeches(t *testing.T) {
	long(t)
	t.Parallel() // with the other tests that wait for transmission most of the time
	needLibtorrent(t)
	ns := newNamespace(t)
	for i := range 20 {
		ns.ip("address", "add", fmt.Sprintf("10.77.2.%d/24", 1+i), "dev", "lo")
	}
	at := func(i int, encryption string) place {
		return place{address: fmt.Sprintf("10.77.2.%d", i), prefix: ns.prefix(), encryption: encryption}
	}
	to := torrentOf(t, smallFile(t), 64<<10)
	data := filepath.Join(tempDir(t), "data")
	first := mountBipfs(t, mounting{data: data, flags: peerFlags(scripted(t, manner{}, to)), sources: []string{to.file}})
	same(t, to.shown(first), to.content)
	first.stop(5 * time.Second)

	libtorrent := func(t *testing.T, at place, dir, peer string) *client { return libtorrentLeech(t, at, dir, peer, to) }
	others := func(start func(testing.TB, place, string, ...*torrent) *client) func(*testing.T, place, string, string) *client {
		return func(t *testing.T, p place, dir, peer string) *client {
			return start(t, p, dir, to.tracked(t, fixedTracker(t, at(1, ""), peer)))
		}
	}
	for i, c := range []struct {
		policy, name string
		start        func(t *testing.T, at place, dir, peer string) *client
		encryption   string
		how          string
	}{
		{"prefer", "libtorrent", libtorrent, "off", metPlainly},
		{"prefer", "libtorrent", libtorrent, "force", metHidden},
		{"prefer", "libtorrent", libtorrent, "require", metInRC4},
		{"prefer", "aria2", others(aria2), "require", metInRC4},
		{"prefer", "transmission", others(transmission), "off", metPlainly},
		{"require", "libtorrent", libtorrent, "off", metNever},
		{"require", "libtorrent", libtorrent, "require", metInRC4},
		{"require", "aria2", others(aria2), "require", metInRC4},
		{"require", "aria2", others(aria2), "", metInRC4},
		{"require", "transmission", others(transmission), "require", metInRC4},
		{"off", "libtorrent", libtorrent, "require", metNever},
		{"off", "libtorrent", libtorrent, "", metPlainly},
		{"off", "aria2", others(aria2), "", metPlainly},
	} {
		t.Run(fmt.Sprintf("%s, %s %s", c.policy, c.name, c.encryption), func(t *testing.T) {
			t.Parallel()
			own := filepath.Join(tempDir(t), "data")
			run(t, 10*time.Second, "cp", "-a", data, own)
			listen := fmt.Sprintf("10.77.2.1:%d", 6881+i)
			m := mountBipfs(t, mounting{data: own, prefix: ns.prefix(), sources: []string{to.file},
				flags: []string{"--listen", listen, "--encryption", c.policy, "--log-level", "debug"}})
			dir := tempDir(t)
			leech := c.start(t, at(2+i, c.encryption), dir, listen)
			got := filepath.Join(dir, to.Info.Name)
			if c.how == metNever {
				time.Sleep(2 * time.Second)
				if strings.Contains(leech.printed(), "done") {
					t.Error("downloaded, which it must not")
				}
			} else {
				eventually(t, 90*time.Second, "the leech has it all", func() bool {
					return try(10*time.Second, "cmp", got, to.content).code == 0
				})
			}
			leech.kill()
			m.stop(5 * time.Second)
			log := m.printed()
			if met := strings.Contains(log, "source=incoming over=tcp mse="+c.how+" "); c.how != metNever && !met {
				t.Errorf("they did not meet as %q: %s", c.how, tail(log, 4<<10))
			}
			for _, other := range []string{metInRC4, metHidden} {
				if c.how != other && strings.Contains(log, "source=incoming over=tcp mse="+other+" ") {
					t.Errorf("they met as %q, want %q", other, c.how)
				}
			}
		})
	}
}

// TestFirstBytes listens for what bipfs sends to a peer that only listens:
// nothing plain where encryption is required, nothing else where it is off.
func TestFirstBytes(t *testing.T) {
	foreign(t)
	t.Parallel()
	const greeting = "\x13BitTorrent protocol"
	to := torrentOf(t, smallFile(t), 256<<10)
	for _, policy := range []string{"require", "off"} {
		t.Run(policy, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			start(t, "bipfs", bipfs, "fetch", "--listen", "127.0.0.1:0", "--encryption", policy,
				"--peer", l.Addr().String(), to.file, "-o", tempDir(t))
			for range 3 { // after pauses of one and two seconds
				l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				first := make([]byte, len(greeting))
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err = io.ReadFull(c, first)
				c.Close()
				if plain := string(first) == greeting; err != nil || plain != (policy == "off") {
					t.Errorf("the first bytes are %q, %v", first, err)
				}
			}
		})
	}
}
