package engine

import (
	"net/netip"
	"testing"
	"time"

	"bipfs/wire/extension"
)

// TestSpares: a peer that there is no memory for stays, and is asked when there
// is some.
func TestSpares(t *testing.T) {
	c := newContent(t, 64<<10, 500_000)
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	taken := int64(spares(leech.cfg.Memory))
	leech.spares.Add(taken)
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := make(chan error, 1)
	go func() {
		_, err := readRange(t.Context(), r, 0, 1000)
		read <- err
	}()
	standing := func() int { return leech.hand.Stats(torrent.hash).Standing }
	eventually(t, "the peer is not connected", func() bool { return standing() == 1 })
	select {
	case err := <-read:
		t.Fatalf("read without a spare: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	if n := standing(); n != 1 {
		t.Errorf("%d peers are connected", n)
	}
	leech.spares.Add(-taken)
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// TestMoves: each peer is told what came after what it was told last, and no
// more than is kept.
func TestMoves(t *testing.T) {
	var m moves
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
	}
	for i := range 5 * mostMoves {
		if n := len(m.since(m.end())); n != 0 {
			t.Fatalf("%d moves after the last", n)
		}
		at := m.end()
		m.add(move{extension.Exchanged{Addr: addr(i)}, false})
		if s := m.since(at); len(s) != 1 || s[0].Addr != addr(i) {
			t.Fatalf("move %d: %v", i, s)
		}
		s := m.since(0)
		if want := min(i+1, mostMoves); len(s) != want || s[len(s)-1].Addr != addr(i) || s[0].Addr != addr(i+1-want) {
			t.Fatalf("move %d: %d moves, want %d", i, len(s), want)
		}
		if len(m.list) > 2*mostMoves {
			t.Fatalf("%d moves are kept", len(m.list))
		}
	}
}
