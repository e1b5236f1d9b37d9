package selection

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"bipfs/wire"
)

// crowd is a machine with peers that have what they are said to.
func crowd(t testing.TB, pieces int, has ...wire.Bitfield) *Machine {
	m := New(Config{})
	m.Step(0, Geometry{Geometry: wire.Geometry{Length: int64(pieces) << 14, PieceLength: 1 << 14}})
	for i, field := range has {
		p := wire.Peer(i + 1)
		m.Step(0, PeerConnect{Peer: p, Slots: 8, Fast: true})
		e := Received{Peer: p, Message: wire.Message{Kind: wire.HaveBitfield}, Payload: field.Clone()}
		if field == nil {
			e = Received{Peer: p, Message: wire.Message{Kind: wire.HaveAll}}
		}
		m.Step(0, e)
		m.Ready()
	}
	return m
}

func fieldOf(n int, pieces ...wire.Piece) wire.Bitfield {
	b := wire.NewBitfield(n)
	for _, p := range pieces {
		b.Set(p)
	}
	return b
}

func TestRarest(t *testing.T) {
	all := wire.FullBitfield(10)
	some := []wire.Bitfield{fieldOf(10, 0, 1, 2, 3, 4), fieldOf(10, 2, 3, 4), fieldOf(10, 4, 5)}
	for i, c := range []struct {
		has  []wire.Bitfield
		set  wire.Bitfield
		n    int
		from wire.Piece
		want []wire.Piece
	}{
		{nil, all, 5, 0, nil},
		{some, all, 10, 0, []wire.Piece{0, 1, 5, 2, 3, 4}},
		{some, all, 10, 1, []wire.Piece{1, 5, 0, 2, 3, 4}},
		{some, all, 4, 0, []wire.Piece{0, 1, 5, 2}},
		{some, all, 4, 3, []wire.Piece{5, 0, 1, 3}},
		{some, all, 1, 9, []wire.Piece{0}},
		{some, fieldOf(10, 4, 9), 5, 0, []wire.Piece{4}},
		{some, all, 0, 0, nil},
		{[]wire.Bitfield{nil, nil}, all, 3, 8, []wire.Piece{8, 9, 0}},
		{append(slices.Clone(some), nil), all, 7, 0, []wire.Piece{6, 7, 8, 9, 0, 1, 5}},
	} {
		m := crowd(t, 10, c.has...)
		if got := m.Rarest(c.set, c.n, c.from, 0); !slices.Equal(got, c.want) {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
}

func TestHad(t *testing.T) {
	m := crowd(t, 10, fieldOf(10, 1, 2), fieldOf(10, 9))
	if got := m.Had(); !slices.Equal(got, fieldOf(10, 1, 2, 9)) {
		t.Errorf("%08b", got)
	}
	m.Step(0, PeerDisconnect{Peer: 2})
	if got := m.Had(); !slices.Equal(got, fieldOf(10, 1, 2)) {
		t.Errorf("without one: %08b", got)
	}
}

// TestRarestOfACrowd: of a crowd not all are counted, but in turn.
func TestRarestOfACrowd(t *testing.T) {
	var has []wire.Bitfield
	for range MostCounted {
		has = append(has, fieldOf(8, 0, 1))
	}
	has = append(has, fieldOf(8, 7))
	m := crowd(t, 8, has...)
	set := wire.FullBitfield(8)
	if got := m.Rarest(set, 8, 0, 0); !slices.Equal(got, []wire.Piece{0, 1}) {
		t.Errorf("%v", got)
	}
	if got := m.Rarest(set, 8, 0, MostCounted); !slices.Equal(got, []wire.Piece{7, 0, 1}) {
		t.Errorf("the next time: %v", got)
	}
}

// BenchmarkRarest: what is rare among 1,000 leeches with half of 20,000 pieces.
func BenchmarkRarest(b *testing.B) {
	for _, peers := range []int{60, 1000} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			chance := rand.New(rand.NewPCG(1, 1))
			var has []wire.Bitfield
			for range peers {
				field := wire.NewBitfield(20_000)
				for i := range field {
					field[i] = byte(chance.Uint32())
				}
				has = append(has, field)
			}
			m := crowd(b, 20_000, has...)
			set := wire.FullBitfield(20_000)
			skip := 0
			for b.Loop() {
				m.Rarest(set, 256, 7, skip)
				skip += MostCounted
			}
		})
	}
}
