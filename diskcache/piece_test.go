package diskcache

import (
	"context"
	"crypto/sha1"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
)

// TestSwap: what comes back for a block that is wanted and for those that are
// not.
func TestSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 100_000, 40_000)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		spare := b.Spare()
		unwanted := func(why string, w wire.Block) {
			t.Helper()
			got, lease := b.Swap(1, w, spare)
			if got != spare || lease != 0 {
				t.Errorf("%s: swapped", why)
			}
		}
		unwanted("not open", x.Block(0, 0))
		b.Open(0, 0)
		g := b.want(Granted, 0)
		unwanted("not aligned", wire.Block{Piece: 0, Begin: 1, Length: wire.BlockSize})
		unwanted("too short", wire.Block{Piece: 0, Begin: 0, Length: 5})
		unwanted("no such piece", wire.Block{Piece: 99, Begin: 0, Length: wire.BlockSize})
		unwanted("other piece", x.Block(1, 0))
		b.Only(0, 2)
		unwanted("from another than the only one", x.Block(0, 1))
		b.Only(0, 1)
		empty, lease := b.bring(spare, x.Block(0, 1), false)
		if lease != g.Lease || empty == spare {
			t.Error("a wanted block was not swapped")
		}
		spare = empty
		unwanted("twice", x.Block(0, 1))
		b.Close(0)
		unwanted("closed", x.Block(0, 0))
		if w := b.Wasted(); w.Unwanted == 0 || w.Lost != wire.BlockSize {
			t.Errorf("%+v", w)
		}
		b.Return(spare)
		b.close()
	})
}

// TestSpares: there are as many as connections, and no more.
func TestSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newTruth(1, 100, 100), Config{FS: newSimFS(), Connections: 3}, "/x")
		var spares []*wire.Buf
		for range 3 {
			spares = append(spares, b.Spare())
		}
		if slices.Contains(spares, nil) || b.Spare() != nil {
			t.Error("not exactly 3 spares")
		}
		for _, s := range spares {
			b.Return(s)
		}
		b.close()
	})
}

// TestBadPiece: a corrupt piece is never here; its digests and those of the
// good copy tell which block was bad.
func TestBadPiece(t *testing.T) {
	for name, length := range map[string]int64{"in memory": 64 << 10, "spilled": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTruth(1, length, length)
				b := newBench(t, x, Config{FS: newSimFS()}, "/x")
				bad := x.Blocks(0) / 2
				first := b.bringAll(0, bad)
				if first.OK || b.Local(wire.Extent{Length: 1}) || b.read(wire.Extent{Length: 1}) != ErrAbsent {
					t.Fatal("a bad piece is here")
				}
				second := b.bringAll(0, -1)
				if !second.OK || second.Lease == first.Lease {
					t.Fatalf("%+v", second)
				}
				for i := range x.Blocks(0) {
					if (first.Digests[i] != second.Digests[i]) != (i == bad) {
						t.Errorf("block %d: digests do not tell", i)
					}
					if second.Digests[i] != sha1.Sum(x.extent(wire.Extent(x.Block(0, i)))) {
						t.Errorf("block %d: wrong digest", i)
					}
				}
				b.readAll(1 << 20)
				b.close()
			})
		})
	}
}

// bringAll opens a piece and brings all of it in order, one block corrupted.
func (b *bench) bringAll(p wire.Piece, corrupt int) News {
	b.t.Helper()
	b.Open(p, 0)
	room := b.want(Granted, p).N
	spare := b.Spare()
	for i := range b.truth.Blocks(p) {
		for room == 0 {
			room = b.want(Room, p).N
		}
		room--
		spare, _ = b.bring(spare, b.truth.Block(p, i), i == corrupt)
	}
	b.Return(spare)
	return b.want(Verified, p)
}

// TestSpill: a piece longer than all memory is fetched in parts, in any order,
// and read from the store.
func TestSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(4, 20<<20, 8<<20)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		r := rand.New(rand.NewPCG(1, 1))
		for p := range wire.Piece(x.Pieces()) {
			b.fetch(p, r)
		}
		b.readAll(1 << 20)
		b.close()
	})
}

// TestOpenOfWhatIsHere answers at once.
func TestOpenOfWhatIsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newTruth(1, 100_000, 50_000), Config{FS: newSimFS()}, "/x")
		b.fetch(0, rand.New(rand.NewPCG(1, 1)))
		b.Open(0, 5)
		if n := b.want(Verified, 0); !n.OK || n.Lease != 0 {
			t.Errorf("%+v", n)
		}
		b.close()
	})
}

// TestDeafen: what is open when nobody listens any more is given up with its memory, and
// opened anew by who listens next.
func TestDeafen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 100_000, 50_000)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		b.Open(0, 5)
		first := b.want(Granted, 0)
		spare, _ := b.bring(b.Spare(), x.Block(0, 0), false)
		b.Return(spare)
		b.Deafen()
		if n := b.disk.Stats().Leased; n != 0 {
			t.Errorf("%d blocks are leased", n)
		}
		b.Listen()
		b.Open(0, 5)
		if n := b.want(Granted, 0); n.Lease == first.Lease {
			t.Errorf("%+v", n)
		}
		b.Close(0)
		b.close()
	})
}

// TestRevoke: a lease without blocks goes to who waits; one with blocks stays.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 40<<20, 16*wire.BlockSize)
		b := newBench(t, x, Config{FS: newSimFS(), Memory: Least(4) + 64*wire.BlockSize}, "/x")
		for p := range wire.Piece(6) {
			b.Open(p, time.Duration(p))
		}
		live := b.want(Granted, 0)
		spare := b.Spare()
		lost := 0
		for i := range 12 {
			time.Sleep(500 * time.Millisecond)
			var lease wire.Lease
			if spare, lease = b.bring(spare, x.Block(0, i), false); lease != live.Lease {
				t.Fatal("the live piece lost its lease")
			}
		}
		for _, n := range b.News(nil) {
			if n.Kind == Revoke {
				lost++
				if n.Piece == 0 {
					t.Error("the live lease was revoked")
				}
			}
		}
		if lost == 0 {
			t.Error("no silent lease was revoked")
		}
		b.Return(spare)
		b.close()
	})
}

// TestAwait: everything that ends a wait.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 200_000, 100_000)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		r := rand.New(rand.NewPCG(1, 1))
		both := []wire.Extent{{Piece: 0, Begin: 99_999, Length: 1}, {Piece: 1, Begin: 0, Length: 5}}
		begin := time.Now()
		if err := b.Await(t.Context(), both, time.Minute); err != ErrNoProgress || time.Since(begin) != time.Minute {
			t.Error("patience:", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := b.Await(ctx, both, 0); err != context.DeadlineExceeded {
			t.Error("context:", err)
		}
		cancel()
		done := make(chan error)
		go func() { done <- b.Await(t.Context(), both, time.Minute) }()
		time.Sleep(50 * time.Second)
		b.fetch(0, r) // progress, and not enough
		time.Sleep(50 * time.Second)
		b.fetch(1, r)
		if err := <-done; err != nil {
			t.Error("both came:", err)
		}
		if err := b.Await(t.Context(), both, 0); err != nil {
			t.Error("both are here:", err)
		}
		if err := b.Await(t.Context(), []wire.Extent{{Piece: 7, Length: 1}}, 0); err != ErrAbsent {
			t.Error("outside:", err)
		}
		if len(b.awaited) != 0 {
			t.Error("waits are left")
		}
		b.close()
	})
}

// TestLeaveEndsWaits: a torrent that leaves lets go of everybody.
func TestLeaveEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTruth(1, 200_000, 100_000)
		b := newBench(t, x, Config{FS: newSimFS()}, "/x")
		done := make(chan error, 1)
		go func() { done <- b.Await(t.Context(), []wire.Extent{x.Whole(0)}, 0) }()
		b.Open(1, 0)
		synctest.Wait()
		b.Leave()
		b.Leave()
		if err := <-done; err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.Acquire(t.Context(), []wire.Extent{x.Whole(0)}); err != ErrClosed {
			t.Error(err)
		}
		again, err := b.disk.Add(x.spec("/x"))
		if err != nil {
			t.Fatal(err)
		}
		again.Leave()
		b.close()
	})
}

// TestEverybodyAtOnce: connections, readers, uploads and a torrent that comes
// and goes, in the least memory; no wrong byte, no buffer left.
func TestEverybodyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { everybodyAtOnce(t, newSimFS(), Config{}) })
}

func everybodyAtOnce(t *testing.T, fs *simFS, c Config) {
	x := newTruth(9, 6<<20, 128<<10)
	c.FS, c.Connections, c.Memory = fs, 6, Least(6)+16*wire.BlockSize
	b := newBench(t, x, c, "/x")
	var log strings.Builder
	b.disk.log = plainLog(&log)
	if c.Evict {
		b.disk.Bound(func() []Tenant { return nil })
	}
	span, least := 5*time.Second, int64(100)
	if racing {
		span, least = time.Second, 10
	}
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var all sync.WaitGroup
	swarm := newStressSwarm(b)
	all.Go(func() { swarm.listen(ctx) })
	for i := range uint64(4) {
		all.Go(func() { swarm.peer(ctx, rand.New(rand.NewPCG(i, 1))) })
		all.Go(func() { swarm.reader(ctx, rand.New(rand.NewPCG(i, 2))) })
	}
	all.Go(func() { swarm.uploader(ctx, rand.New(rand.NewPCG(1, 3))) })
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			other, err := b.disk.Add(newTruth(3, 100_000, 50_000).spec("/y"))
			if err != nil {
				t.Error(err)
				return
			}
			other.Open(0, time.Duration(i))
			other.Leave()
			time.Sleep(10 * time.Millisecond)
		}
	})
	all.Wait()
	b.close()
	if log.Len() > 0 {
		t.Error(log.String())
	}
	if swarm.read.Load() < least || swarm.loaded.Load() < least {
		t.Errorf("%d reads and %d uploads prove nothing", swarm.read.Load(), swarm.loaded.Load())
	}
}
