package engine

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
)

// TestPrivateSwitch: when the first tracker is back, the backup is told
// `stopped`, and the peers that it gave are left: those that the first one gives
// are not.
func TestPrivateSwitch(t *testing.T) {
	t.Parallel() // it waits for a back-off
	c := newContent(t, 32<<10, 300_000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := "http://" + ln.Addr().String() + "/announce"
	ln.Close() // it is down
	c.makePrivate(t)
	one, two := seeder(t, c), seeder(t, c)
	gives := func(s *Client) string {
		at := netip.MustParseAddrPort(s.addr())
		return fmt.Sprintf("d8:intervali1800e12:min intervali1e5:peers6:\x7f\x00\x00\x01%se", []byte{byte(at.Port() >> 8), byte(at.Port())})
	}
	backup := newListener(t, gives(two))
	c.meta.Trackers = [][]string{{first}, {backup.url}}
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
	if back.Listener, err = net.Listen("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	back.Start()
	defer back.Close()
	eventually(t, "the peer of the first is not connected", func() bool { return standing(one) == 1 })
	eventually(t, "the peer of the backup stays", func() bool { return standing(two) == 0 })
	if n := client.hand.Stats(torrent.hash).Candidates; n != 1 {
		t.Errorf("%d peers are known", n)
	}
	eventually(t, "the backup is not told", func() bool { return slices.Equal(backup.said("event"), []string{"started", "stopped"}) })
}
