package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
)

// TestDHTAlone: the DHT alone is enough to find metadata and content, and the
// table is kept.
func TestDHTAlone(t *testing.T) {
	hub := testClient(t, Config{DHT: true})
	node := []string{fmt.Sprintf("127.0.0.1:%d", hub.Port())}
	c := newContent(t, 16<<10, 100_000, 5_000)

	seeder := testClient(t, Config{DHT: true, DHTNodes: node})
	s, _, err := seeder.Seed(t.Context(), c.meta, c.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	leech := testClient(t, Config{DHT: true, DHTNodes: node, Dir: dir})
	l, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Resolved():
	case <-time.After(60 * time.Second):
		t.Fatal("the metadata does not come")
	}
	closeClient(t, leech)
	b, err := os.ReadFile(filepath.Join(dir, "dht"))
	if err != nil || !strings.Contains(string(b), node[0]) {
		t.Errorf("saved: %s, %v", b, err)
	}
}

// TestDHTPrivate: a private torrent has no DHT; one that turns out to be
// private leaves it, with the peers from there.
func TestDHTPrivate(t *testing.T) {
	hub, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	m := privateTorrent(t)
	c := testClient(t, Config{DHT: true, DHTNodes: []string{hub.LocalAddr().String()}})
	known, err := c.Add(Source{Torrent: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := known.Start(); err != nil {
		t.Fatal(err)
	}
	hub.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, _, err := hub.ReadFrom(make([]byte, 2000)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("something was asked of the DHT: %v", err)
	}

	l := newLoop(known)
	left := false
	l.leaveOpen = func() { left = true }
	far := netip.MustParseAddrPort("127.0.0.1:9")
	c.hand.Offer(known.hash, handshake.DHT, far)
	before := c.hand.Stats(known.hash).Candidates
	c.hand.Want(known.hash, 0)
	l.keepPrivate()
	if !left || before-c.hand.Stats(known.hash).Candidates > 1 || !l.foreign(&link{hand: &handshake.Conn{Source: handshake.DHT}}) ||
		l.foreign(&link{hand: &handshake.Conn{Source: handshake.Tracker}}) {
		t.Errorf("left: %v", left)
	}
}

// privateTorrent is a .torrent whose metadata says that it is private.
func privateTorrent(t *testing.T) *metainfo.Torrent {
	t.Helper()
	info := "d6:lengthi5e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa7:privatei1ee"
	m, err := metainfo.Parse([]byte("d4:info" + info + "e"))
	if err != nil || !m.Info.Private {
		t.Fatal(err)
	}
	return m
}

// TestDHTPort: two peers that meet learn of each other's nodes (BEP 5).
func TestDHTPort(t *testing.T) {
	c := newContent(t, 16<<10, 10_000)
	seeder := testClient(t, Config{DHT: true})
	if _, _, err := seeder.Seed(t.Context(), c.meta, c.path); err != nil {
		t.Fatal(err)
	}
	leech := testClient(t, Config{DHT: true, Peers: []string{fmt.Sprintf("127.0.0.1:%d", seeder.Port())}})
	if _, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(longEnough); leech.dht.Nodes() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node of the peer is not met")
		}
	}
}
