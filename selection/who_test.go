package selection

import (
	"testing"

	"bipfs/wire"
)

// TestWho: peers are counted by what they say, and changing nothing.
func TestWho(t *testing.T) {
	m := New(Config{})
	if w := m.Who(0); w != (Who{}) {
		t.Errorf("without anything: %+v", w)
	}
	m.Step(0, Geometry{Geometry: wire.Geometry{PieceLength: 32 << 10, Length: 320 << 10}, Have: wire.NewBitfield(10)})
	for p := wire.Peer(1); p <= 3; p++ {
		m.Step(0, PeerConnect{Peer: p, Slots: 8, Loads: 8, Fast: true})
	}
	m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.HaveAll}})
	m.Step(0, Received{Peer: 2, Message: wire.Message{Kind: wire.HaveNone}})
	m.Step(0, Received{Peer: 2, Message: wire.Message{Kind: wire.Have, Piece: 4}})
	m.Step(0, Received{Peer: 2, Message: wire.Message{Kind: wire.Unchoke}})
	for piece, want := range map[wire.Piece]Who{4: {Peers: 3, Have: 2, Choke: 1}, 5: {Peers: 3, Have: 1, Choke: 1}, 10: {Peers: 3}, 1 << 30: {Peers: 3}} {
		if w := m.Who(piece); w != want {
			t.Errorf("piece %d: %+v, not %+v", piece, w, want)
		}
	}
	m.Step(0, Want{Reader: 1, Extent: wire.Extent{Piece: 4, Length: 100}})
	m.Step(0, Granted{Piece: 4, Lease: 1, Room: 2})
	if w := m.Who(4); w.Asked != 1 {
		t.Errorf("asked: %+v", w)
	}
	m.Step(0, PeerDisconnect{Peer: 2})
	if w := m.Who(4); w != (Who{Peers: 2, Have: 1, Choke: 1}) {
		t.Errorf("after one has gone: %+v", w)
	}
}
