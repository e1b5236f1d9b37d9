package diskcache

import (
	"crypto/sha1"
	"slices"
	"testing"
	"testing/synctest"

	"bipfs/diskcache/mend"
	"bipfs/wire"
)

// bringFrom opens a piece and brings each block of it from the peer that who names; bad
// tells which of theirs are.
func (b *bench) bringFrom(p wire.Piece, who func(i int) wire.Peer, bad func(i int) bool) News {
	b.t.Helper()
	b.Open(p, 0)
	b.want(Granted, p)
	spare := b.Spare()
	defer func() { b.Return(spare) }()
	for i := range b.truth.Blocks(p) {
		w := b.truth.Block(p, i)
		copy(spare[:], b.truth.extent(wire.Extent(w)))
		if bad(i) {
			spare[0] ^= byte(who(i)) // each has lies of its own
		}
		var lease wire.Lease
		if spare, lease = b.Swap(who(i), w, spare); lease == 0 {
			b.t.Fatalf("block %d is not wanted", i)
		}
	}
	return b.want(Verified, p)
}

// share names the peer that brings block i of a copy, of n that share it.
func share(copies, n int) func(i int) wire.Peer {
	return func(i int) wire.Peer { return wire.Peer((i+copies)%n + 1) }
}

// by tells which blocks are brought by one peer.
func by(who func(i int) wire.Peer, liars ...wire.Peer) func(i int) bool {
	return func(i int) bool { return slices.Contains(liars, who(i)) }
}

// TestMend: of two bad copies, in each of which one of four lied, a good one is put
// together, which is read, stored and read back like any other.
func TestMend(t *testing.T) {
	for name, length := range map[string]int64{"4 blocks": 64 << 10, "a short last block": 256<<10 - 5, "4 MiB": longestMended} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTruth(1, length, length)
				fs := newSimFS()
				c := Config{FS: fs, Memory: Least(4) + 3*longestMended}
				b := newBench(t, x, c, "/x")
				first := b.bringFrom(0, share(0, 4), by(share(0, 4), 3))
				if first.OK || !first.Kept || len(first.Guilty) > 0 || b.Local(wire.Extent{Length: 1}) {
					t.Fatalf("a bad copy: %+v", first)
				}
				if n := b.disk.spoilt.Load(); n != length {
					t.Errorf("%d bytes are kept of a copy of %d", n, length)
				}
				second := b.bringFrom(0, share(1, 4), by(share(1, 4), 3))
				if !second.OK || second.Kept || len(second.Came) != x.Blocks(0) {
					t.Fatalf("it is not mended: %+v", second)
				}
				for i := range x.Blocks(0) {
					good := sha1.Sum(x.extent(wire.Extent(x.Block(0, i))))
					if second.Digests[i] != good || (second.Came[i] != good) != (share(1, 4)(i) == 3) {
						t.Errorf("block %d: digests do not tell", i)
					}
				}
				if n := b.disk.spoilt.Load(); n != 0 || b.Wasted().Failed != length {
					t.Errorf("%d bytes are kept, %d wasted", n, b.Wasted().Failed)
				}
				b.readAll(1 << 20)
				b.close()
				b = newBench(t, x, Config{FS: fs}, "/x")
				b.readAll(1 << 20)
				b.close()
			})
		})
	}
}

// TestMendAllLie: who has sent a whole copy of its own, and a bad one, is guilty, and
// nothing is kept of it.
func TestMendAllLie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 64<<10, 64<<10)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		all := func(int) bool { return true }
		for copies := range mend.MostCopies {
			n := b.bringFrom(0, share(copies, mend.MostCopies), all)
			last := copies == mend.MostCopies-1
			if n.OK || n.Kept == last || last != (len(n.Guilty) == mend.MostCopies) {
				t.Fatalf("copy %d: %+v", copies, n)
			}
		}
		if n := b.disk.spoilt.Load(); n != 0 {
			t.Errorf("%d bytes are kept", n)
		}
		if n := b.bringFrom(0, share(0, 1), by(share(0, 1))); !n.OK || n.Came != nil {
			t.Errorf("a good copy: %+v", n)
		}
		b.close()
	})
}

// TestSpoiltKeptNoLonger: what is kept of a bad copy is bounded, and forgotten with the
// want, the torrent and the end of the mending.
func TestSpoiltKeptNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 1<<20, 64<<10)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		bad := func(p wire.Piece) News { return b.bringFrom(p, share(0, 2), by(share(0, 2), 1)) }

		if n := b.bringFrom(0, share(0, 1), by(share(0, 1), 1)); n.Kept || b.disk.spoilt.Load() > 0 {
			t.Error("a copy of one peer is kept")
		}
		bad(1)
		b.Close(1)
		if n := b.disk.spoilt.Load(); n != 0 {
			t.Errorf("%d bytes are kept of what nobody wants", n)
		}
		b.disk.spoilt.Store(mostSpoilt - 64<<10)
		if n := bad(2); !n.Kept {
			t.Error("there is room, and it is not kept")
		}
		b.Close(2)
		b.disk.spoilt.Store(mostSpoilt - 64<<10 + 1)
		if n := bad(3); n.Kept || b.disk.spoilt.Load() != mostSpoilt-64<<10+1 {
			t.Errorf("there is no room: kept %v, %d bytes", n.Kept, b.disk.spoilt.Load())
		}
		b.disk.spoilt.Store(0)
		bad(4)
		b.close()
		if n := b.disk.spoilt.Load(); n != 0 {
			t.Errorf("%d bytes are kept of a torrent that left", n)
		}
	})
}

// TestTooLongToMend: no copy of a longer piece is kept, nor of one that is in the store.
func TestTooLongToMend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, longestMended+wire.BlockSize, longestMended+wire.BlockSize)
		b := newBench(t, x, Config{FS: newSimFS(), Memory: Least(4) + 3*longestMended}, "/x")
		if n := b.bringFrom(0, share(0, 2), by(share(0, 2), 1)); n.Kept || n.OK || b.disk.spoilt.Load() > 0 {
			t.Errorf("it is kept: %+v", n)
		}
		b.close()
	})
}
