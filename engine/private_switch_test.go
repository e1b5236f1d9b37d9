package engine

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// refusing is an address that refuses connections, and is nobody else's, until
// listen is called.
func refusing(t *testing.T) (addr string, listen func() net.Listener) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "refusing")
	t.Cleanup(func() { file.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port), func() net.Listener {
		if err := unix.Listen(fd, 16); err != nil {
			t.Fatal(err)
		}
		l, err := net.FileListener(file) // has a descriptor of its own
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// TestPrivateSwitch: when the first tracker is back, the backup is told
// `stopped`, and the peers that it gave are left: those that the first one gives
// are not.
func TestPrivateSwitch(t *testing.T) {
	t.Parallel() // it waits for a back-off
	c := newContent(t, 32<<10, 300_000)
	c.makePrivate(t)
	one, two := seeder(t, c), seeder(t, c)
	gives := func(s *Client) string {
		at := netip.MustParseAddrPort(s.addr())
		return fmt.Sprintf("d8:intervali1800e12:min intervali1e5:peers6:\x7f\x00\x00\x01%se", []byte{byte(at.Port() >> 8), byte(at.Port())})
	}
	first, listen := refusing(t)
	backup := newListener(t, gives(two))
	c.meta.Trackers = [][]string{{"http://" + first + "/announce"}, {backup.url}}
	client := testClient(t, Config{})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err == nil {
		err = torrent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	standing := func(s *Client) int { return s.hand.Stats(torrent.hash).Standing }
	eventually(t, "the peer of the backup is not connected", func() bool { return standing(two) == 1 })

	back := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, gives(one)) }))
	back.Listener.Close()
	back.Listener = listen()
	back.Start()
	defer back.Close()
	eventually(t, "the peer of the first is not connected", func() bool { return standing(one) == 1 })
	eventually(t, "the peer of the backup stays", func() bool { return standing(two) == 0 })
	eventually(t, "the peer of the backup is known", func() bool { return client.hand.Stats(torrent.hash).Candidates == 1 })
	eventually(t, "the backup is not told", func() bool { return slices.Equal(backup.said("event"), []string{"started", "stopped"}) })
}
