package diskcache

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"bipfs/wire"
)

// TestPinned: what is pinned is not evicted, and is again once it is not; it may be
// lent whatever is lent beside it, and counts when it is unpinned meanwhile.
func TestPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(10, 3<<20, 64<<10)
		x.files = []File{{Length: 1 << 20}, {Length: 2 << 20}}
		b := newBounded(t, x, newSimFS(), 3<<20)
		r := rand.New(rand.NewPCG(10, 10))
		for p := range wire.Piece(x.Pieces()) {
			b.readOnce(p, r)
		}
		b.readAll(1 << 20)
		all := wire.FullBitfield(x.Pieces())
		if n := b.spec.Cost(all); n != 3<<20 {
			t.Errorf("all of it costs %d bytes", n)
		}
		first := wire.NewBitfield(x.Pieces())
		second := all.Clone()
		for p := range wire.Piece(16) {
			first.Set(p)
			second.Clear(p)
		}
		b.Pin(second)
		lent, ok := b.Lend(1)
		if !ok {
			t.Fatal("a pinned file is not lent, though nothing is kept by that")
		}
		if !b.lends(0) {
			t.Error("the half that may be lent is used up by what is pinned")
		}
		b.Pin(nil)
		if b.lends(0) {
			t.Error("what is not pinned any more counts for nothing")
		}
		b.Pin(second)
		if !b.lends(0) {
			t.Error("what is pinned again counts")
		}
		lent.Close()
		b.Pin(first)
		for b.disk.evict(1<<20) > 0 {
		}
		have := b.Have()
		for p := range wire.Piece(x.Pieces()) {
			if have.Has(p) != first.Has(p) {
				t.Errorf("piece %d: here %v, pinned %v", p, have.Has(p), first.Has(p))
			}
		}
		b.Pin(nil)
		for b.disk.evict(1<<20) > 0 {
		}
		if n := b.Have().Count(); n > 0 {
			t.Errorf("%d pieces are left, none is pinned", n)
		}
		if n := b.disk.bound.lent; n != 0 {
			t.Errorf("%d bytes count as lent at the end", n)
		}
		b.close()
	})
}
