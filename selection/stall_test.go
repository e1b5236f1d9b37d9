package selection

import (
	"testing"
	"time"

	"bipfs/wire"
)

// TestCopiesArePaidFor: of what a stalled peer owes, as many blocks as the bucket has
// are free for others, and what comes fills it again, up to its brim.
func TestCopiesArePaidFor(t *testing.T) {
	m := New(Config{})
	const blocks = 2 * mostCopies
	m.Step(0, Geometry{Geometry: geometryOf(1, blocks)})
	m.Step(0, PeerConnect{Peer: 1, Slots: 1000, Loads: 1, Fast: true})
	p := m.index[1]
	p.rate.rate, p.rate.steady, p.trusted, p.most, p.streak = 100<<20, true, true, blocks, 1 // it was fast before
	m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.HaveAll}})
	m.Step(0, Received{Peer: 1, Message: wire.Message{Kind: wire.Unchoke}})
	m.Step(0, wantOf(m, 0))
	lease := 0
	answer(m, 0, &lease)
	if len(p.asked) != blocks {
		t.Fatalf("%d blocks are asked for, want %d", len(p.asked), blocks)
	}
	m.Step(firstStall, Wake{})
	if pc := m.pieces[0]; !p.stalled || pc.free != mostCopies || m.copies != 0 {
		t.Errorf("stalled %v, %d of %d blocks are free for others, %d bytes are left", p.stalled, pc.free, blocks, m.copies)
	}
	m.earn(wire.BlockSize)
	if m.copies != wire.BlockSize*copyShare/100 {
		t.Errorf("a block earned %d bytes", m.copies)
	}
	m.earn(1 << 30)
	if m.copies != mostCopies*wire.BlockSize {
		t.Errorf("the bucket holds %d bytes, more than its brim", m.copies)
	}
}

// TestPause: the longest silence counts at once, unless it is no way to answer, and is
// forgotten.
func TestPause(t *testing.T) {
	var r meter
	r.silent(mostPause + 1)
	if r.pause != 0 {
		t.Errorf("after a stop %v is expected again", r.pause)
	}
	r.silent(mostPause)
	if r.pause != mostPause {
		t.Errorf("after a silence of %v %v is expected again", mostPause, r.pause)
	}
	for range 100 {
		r.silent(time.Millisecond)
	}
	if r.pause > 10*time.Millisecond {
		t.Errorf("100 blocks later %v is still expected", r.pause)
	}
}

// A peer that has not answered has the more time the further away it is, and the more
// the less is known of that.
func TestFirstSilence(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ trip, way, want time.Duration }{
		{0, 0, firstStall}, {0, 40 * ms, firstStall}, // nobody has answered
		{40 * ms, 20 * ms, leastFirst + 50*ms}, {40 * ms, 100 * ms, leastFirst + 125*ms},
		{40 * ms, 0, leastFirst + 120*ms}, // an incoming one
		{900 * ms, 900 * ms, firstStall}, {40 * ms, 900 * ms, firstStall}, {900 * ms, 0, firstStall},
	} {
		if got := firstSilence(c.trip, c.way); got != c.want {
			t.Errorf("others took %v, it is %v away: %v, want %v", c.trip, c.way, got, c.want)
		}
	}
}
