package selection

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"bipfs/wire"
)

// BenchmarkStep is the cost of one block, everything that belongs to it
// included: its Stored, its share of the piece's Want, Granted, Verified and
// Unwant, and the slots that come back.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		peers, pieces, window int
		seeds                 bool
	}{
		{1, 20_000, 64, true},
		{4, 20_000, 64, true},
		{1000, 20_000, 64, false},
		{1000, 20_000, 2000, false},
		{1000, 20_000, 20_000, false},
	} {
		b.Run(fmt.Sprintf("peers=%d/window=%d", c.peers, c.window), func(b *testing.B) {
			s := newSwarm(c.peers, c.pieces, c.window, c.seeds)
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			for s.blocks < b.N {
				s.turn()
			}
			b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/block")
		})
	}
}

// cpu is the processor time of this process: a busy machine does not change it.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// swarm is the outside world of a benchmark: every request is answered in the
// order in which all were made, every piece is granted and good at once, and a
// reader keeps so many pieces wanted.
type swarm struct {
	m      *Machine
	now    time.Duration
	geo    wire.Geometry
	window int
	next   wire.Piece
	queue  []Send
	head   int
	stored map[wire.Piece]int
	lease  map[wire.Piece]wire.Lease
	leases wire.Lease
	spent  map[wire.Peer]int
	blocks int
}

func newSwarm(peers, pieces, window int, seeds bool) *swarm {
	s := &swarm{
		m: New(Config{}), window: window, geo: wire.Geometry{Length: int64(pieces) << 18, PieceLength: 1 << 18},
		stored: map[wire.Piece]int{}, lease: map[wire.Piece]wire.Lease{}, spent: map[wire.Peer]int{},
	}
	s.step(Geometry{Geometry: s.geo})
	for i := range peers {
		p := wire.Peer(i + 1)
		s.step(PeerConnect{Peer: p, Slots: 64, Loads: 8, Fast: true})
		field := wire.FullBitfield(pieces)
		if !seeds { // each has about half, none the same
			for j := range field {
				field[j] = byte((uint64(j)*2654435761 + uint64(i)*40503) >> 3)
			}
			s.step(Received{Peer: p, Message: wire.Message{Kind: wire.HaveBitfield}, Payload: field})
		} else {
			s.step(Received{Peer: p, Message: wire.Message{Kind: wire.HaveAll}})
		}
		s.step(Received{Peer: p, Message: wire.Message{Kind: wire.Unchoke}})
	}
	for range window {
		s.want()
	}
	return s
}

func (s *swarm) want() {
	i := s.next % wire.Piece(s.geo.Pieces())
	if s.next >= wire.Piece(s.geo.Pieces()) {
		s.step(Evicted{i})
	}
	s.next++
	s.step(Want{wire.Reader(s.next), s.geo.Whole(i), time.Duration(s.next) * time.Millisecond, ReadAhead})
}

// turn answers one request.
func (s *swarm) turn() {
	if s.head == len(s.queue) {
		panic("the swarm stands still")
	}
	q := s.queue[s.head]
	if s.head++; s.head > 4096 {
		s.queue = append(s.queue[:0], s.queue[s.head:]...)
		s.head = 0
	}
	s.now += 20 * time.Microsecond
	b := q.Message.Block()
	s.step(Stored{q.Peer, b, s.lease[b.Piece]})
	s.blocks++
	if s.stored[b.Piece]++; s.stored[b.Piece] == s.geo.Blocks(b.Piece) {
		delete(s.stored, b.Piece)
		s.step(Verified{Piece: b.Piece, Lease: s.lease[b.Piece], OK: true})
		n := s.next - wire.Piece(s.window)
		s.want()
		s.step(Unwant{wire.Reader(n + 1)})
	}
}

func (s *swarm) step(e Event) {
	s.m.Step(s.now, e)
	for _, c := range append([]Command(nil), s.m.Ready()...) {
		switch c := c.(type) {
		case Send:
			if c.Message.Kind == wire.Request {
				s.queue = append(s.queue, c)
			}
			if s.spent[c.Peer]++; s.spent[c.Peer] == 32 {
				s.spent[c.Peer] = 0
				s.step(Written{Peer: c.Peer, Messages: 32})
			}
		case Open:
			s.leases++
			s.lease[c.Piece] = s.leases
			s.step(Granted{c.Piece, s.leases, s.geo.Blocks(c.Piece)})
		}
	}
}

// BenchmarkDontHaveAgain is a peer that takes lt_donthave back and claims it again, for
// ever, in the largest torrent.
func BenchmarkDontHaveAgain(b *testing.B) {
	m := New(Config{})
	m.Step(0, Geometry{Geometry: geometryOf(wire.MaxPieces, 1), Have: wire.FullBitfield(wire.MaxPieces)})
	m.Step(0, PeerConnect{Peer: 1, Slots: 1000, Loads: 1, Fast: true})
	m.Step(0, Evicted{5})
	for b.Loop() {
		m.Step(0, Limits{Peer: 1})
		m.Step(0, Limits{Peer: 1, DontHave: 7})
	}
}
