package engine

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bipfs/engine/discovery"
	"bipfs/engine/metainfo"
)

// oneLink is a link that nobody else is on: what is sent to it can be read, and
// what it is to hear written.
type oneLink struct {
	sent   chan string
	hears  chan string
	closed chan struct{}
}

func (l *oneLink) Links() string { return "" }

func (l *oneLink) Join(group netip.AddrPort) ([]discovery.Group, error) {
	if group.Addr().Is6() {
		return nil, errors.New("no IPv6")
	}
	return []discovery.Group{l}, nil
}

func (l *oneLink) Send(b []byte) error { l.sent <- string(b); return nil }

func (l *oneLink) Receive(b []byte) (int, netip.Addr, bool, error) {
	select {
	case s := <-l.hears:
		return copy(b, s), netip.MustParseAddr("127.0.0.1"), true, nil
	case <-l.closed:
		return 0, netip.Addr{}, false, errors.New("closed")
	}
}

func (l *oneLink) Close() error { close(l.closed); return nil }

// TestLSDAnnounces: a torrent that searches is announced, and who announces it
// is a candidate, unless it is dormant or private.
func TestLSDAnnounces(t *testing.T) {
	c := testClient(t, Config{})
	on := &oneLink{make(chan string, 10), make(chan string), make(chan struct{})}
	c.cfg.LSD, c.lsd = true, discovery.NewLSD(discovery.LSDConfig{Port: 6881, Links: on, Log: c.log, Peer: c.near})
	c.spawn(func() { c.lsd.Run(c.ctx) })
	add := func(m *metainfo.Torrent) *Torrent {
		to, err := c.Add(Source{Torrent: m})
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	dormant := add(newContent(t, 16<<10, 10_000).meta)
	private, open := add(privateTorrent(t)), add(newContent(t, 16<<10, 20_000).meta)
	for _, to := range []*Torrent{private, open} {
		if err := to.Start(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case s := <-on.sent:
		if !strings.Contains(s, "Infohash: "+open.hash.String()+"\r\n") || strings.Count(s, "Infohash") != 1 {
			t.Errorf("announced as %q", s)
		}
	case <-time.After(longEnough):
		t.Fatal("nothing is announced")
	}
	said := discovery.Search{Port: 9, Infohashes: [][20]byte{dormant.hash, private.hash, {1}, open.hash}}
	on.hears <- string(said.Append(nil, netip.MustParseAddrPort("239.192.152.143:6771")))
	on.hears <- "" // the one before has been taken
	for to, want := range map[*Torrent]int{dormant: 0, private: 0, open: 1} {
		if n := c.hand.Stats(to.hash).Candidates; n != want {
			t.Errorf("%s has %d candidates, want %d", to.Name(), n, want)
		}
	}
	if len(on.sent) > 0 {
		t.Errorf("more is announced: %q", <-on.sent)
	}
}
