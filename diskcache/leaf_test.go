package diskcache

import (
	"bytes"
	"context"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/wire"
	"bipfs/wire/merkle"
)

// proofOf is the range of 1<<run leaves of a piece that block i is in, and the
// hashes that prove it.
func (x *truth) proofOf(s Spec, p wire.Piece, i, run int) (r wire.HashRange, hashes []wire.Hash) {
	_, layer := s.Node(p)
	run = max(1, min(run, layer))
	var leaves []wire.Hash
	for b := range slices.Chunk(x.piece(p), wire.BlockSize) {
		leaves = append(leaves, merkle.Leaf(b))
	}
	length := int64(1) << layer * wire.BlockSize // a tree of just the piece
	tree := merkle.Tree{Length: length, PieceLength: length}
	up := merkle.Layers(leaves, 0, layer)
	r = wire.HashRange{Index: uint32(i) &^ (1<<run - 1), Length: 1 << run}
	if layer > run {
		r.Proof = uint32(layer - 1)
	}
	hashes, ok := tree.Answer(r, func(layer int, index int64) (wire.Hash, bool) {
		if index >= int64(len(up[layer])) {
			return merkle.Pad(layer), true
		}
		return up[layer][index], true
	})
	if !ok || len(hashes) != 1<<run+bits.Len(uint(1<<layer))-1-run {
		panic("no proof")
	}
	return r, hashes
}

func (b *bench) prove(p wire.Piece, i, run int) {
	b.t.Helper()
	if r, hashes := b.truth.proofOf(b.spec, p, i, run); !b.Prove(p, r, hashes) {
		b.t.Fatalf("block %d of piece %d is not proven", i, p)
	}
}

// leafSpecs calls f with both formats of a torrent of two long pieces and one
// that ends within a block.
func leafSpecs(t *testing.T, f func(t *testing.T, x *truth, spec Spec)) {
	x := newTruthV2(256<<10, 600_000, 40_000)
	for name, spec := range map[string]func(string) Spec{"v2 only": x.specV2, "hybrid": x.specHybrid} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, x, spec("/x")) })
		})
	}
}

// TestLeaves: a block of an open piece is read when its leaf is proven, whatever
// comes first, and no other is.
func TestLeaves(t *testing.T) {
	for _, before := range []bool{true, false} {
		leafSpecs(t, func(t *testing.T, x *truth, spec Spec) {
			b := newBenchOf(t, x, Config{FS: newSimFS(), Memory: 16 << 20}, spec)
			for _, p := range []wire.Piece{0, 1, 2, 3} {
				b.Open(p, 0)
				lease := b.want(Granted, p).Lease
				spare := b.Spare()
				order := rand.New(rand.NewPCG(1, uint64(p))).Perm(x.Blocks(p))
				for k, i := range order {
					e := wire.Extent(x.Block(p, i))
					if before {
						b.prove(p, i, 0)
					}
					if k == len(order)-1 && len(order) > 1 {
						break // one is missing
					}
					spare, _ = b.bring(spare, x.Block(p, i), false)
					if !before {
						synctest.Wait()
						if known := slices.Contains(order[:k], i^1); !known && b.read(e) != ErrAbsent {
							t.Fatalf("piece %d block %d is read unproven", p, i)
						}
						b.prove(p, i, 0)
					}
					if n := b.want(Proven, p); !slices.Equal(n.Blocks, []int{i}) || n.Lease != lease {
						t.Fatalf("piece %d block %d: %+v", p, i, n)
					}
					if err := b.read(e); err != nil {
						t.Fatalf("piece %d block %d: %v", p, i, err)
					}
					if b.read(x.Whole(p)) != ErrAbsent || b.Local(e) {
						t.Fatalf("piece %d is here", p)
					}
				}
				spare, _ = b.bring(spare, x.Block(p, order[len(order)-1]), false)
				if !b.want(Verified, p).OK {
					t.Fatalf("piece %d is bad", p)
				}
				b.Return(spare)
			}
			b.readAll(50_000)
			b.close()
		})
	}
}

// TestSpoiled: a block that is not its leaf's goes again, and who brought it is
// named; the rest of the piece stays.
func TestSpoiled(t *testing.T) {
	for _, before := range []bool{true, false} {
		leafSpecs(t, func(t *testing.T, x *truth, spec Spec) {
			b := newBenchOf(t, x, Config{FS: newSimFS(), Memory: 16 << 20}, spec)
			for _, p := range []wire.Piece{0, 2} {
				b.Open(p, 0)
				lease := b.want(Granted, p).Lease
				spare := b.Spare()
				bad := x.Blocks(p) / 2
				if before {
					b.prove(p, bad, 2)
				}
				for i := range x.Blocks(p) - 1 {
					spare, _ = b.bring(spare, x.Block(p, i), i == bad)
				}
				synctest.Wait() // the frontier has gone over it
				if !before {
					b.prove(p, bad, 2)
				}
				if n := b.want(Spoiled, p); !slices.Equal(n.Blocks, []int{bad}) || n.From != 1 || n.Lease != lease {
					t.Fatalf("%+v", n)
				}
				if b.read(wire.Extent(x.Block(p, bad))) != ErrAbsent {
					t.Fatal("a bad block is read")
				}
				spare, _ = b.bring(spare, x.Block(p, x.Blocks(p)-1), false)
				spare, got := b.bring(spare, x.Block(p, bad), false)
				if got != lease || !b.want(Verified, p).OK {
					t.Fatal("the good copy is refused")
				}
				b.Return(spare)
			}
			if w := b.Wasted(); w.Failed != 2*wire.BlockSize {
				t.Errorf("%+v", w)
			}
			b.close()
		})
	}
}

// TestSpoiledLast: the last block of a piece is bad, and its leaf is heard of
// while the piece is judged by its SHA-1, or after.
func TestSpoiledLast(t *testing.T) {
	leafSpecs(t, func(t *testing.T, x *truth, spec Spec) {
		b := newBenchOf(t, x, Config{FS: newSimFS(), Memory: 16 << 20}, spec)
		for round := range 20 {
			b.Open(0, 0)
			b.want(Granted, 0)
			spare := b.Spare()
			last := x.Blocks(0) - 1
			for i := range last + 1 {
				spare, _ = b.bring(spare, x.Block(0, i), i == last)
			}
			if round%2 == 0 {
				b.prove(0, last, 4)
			}
			synctest.Wait()
			b.Return(spare)
			b.Close(0)
		}
		if b.Local(x.Whole(0)) || b.read(wire.Extent(x.Block(0, x.Blocks(0)-1))) != ErrAbsent {
			t.Error("a bad block is here")
		}
		b.close()
	})
}

// TestFalseLeaves: what does not lead to the node proves nothing.
func TestFalseLeaves(t *testing.T) {
	leafSpecs(t, func(t *testing.T, x *truth, spec Spec) {
		b := newBenchOf(t, x, Config{FS: newSimFS(), Memory: 16 << 20}, spec)
		b.Open(0, 0)
		b.want(Granted, 0)
		for run := 1; run <= 4; run++ {
			r, hashes := x.proofOf(spec, 0, 3, run)
			for i := range hashes {
				bad := slices.Clone(hashes)
				bad[i][31] ^= 1
				if b.Prove(0, r, bad) {
					t.Errorf("%+v: hash %d is false", r, i)
				}
			}
			wrong := r
			wrong.Index ^= r.Length
			up := r
			up.Base = 1
			if b.Prove(0, r, hashes[1:]) || run < 4 && b.Prove(0, wrong, hashes) || b.Prove(1, r, hashes) || b.Prove(99, r, hashes) || b.Prove(0, up, hashes) {
				t.Errorf("%+v proves another", r)
			}
		}
		spare, _ := b.bring(b.Spare(), x.Block(0, 3), false)
		synctest.Wait()
		if b.read(wire.Extent(x.Block(0, 3))) != ErrAbsent {
			t.Error("a block is read unproven")
		}
		b.Return(spare)
		b.close()
	})
}

// TestProvenOutlives: what a reader has of a piece that is given up stays what
// it was, and its memory comes back.
func TestProvenOutlives(t *testing.T) {
	leafSpecs(t, func(t *testing.T, x *truth, spec Spec) {
		b := newBenchOf(t, x, Config{FS: newSimFS(), Memory: 16 << 20}, spec)
		b.Open(0, 0)
		b.want(Granted, 0)
		b.prove(0, 4, 2)
		spare := b.Spare()
		for i := range 6 {
			spare, _ = b.bring(spare, x.Block(0, i), false)
		}
		synctest.Wait()
		e := wire.Extent{Begin: 4 * wire.BlockSize, Length: 2 * wire.BlockSize}
		loans, err := b.Acquire(t.Context(), []wire.Extent{e})
		if err != nil {
			t.Fatal(err)
		}
		b.Close(0)
		if s := b.disk.Stats(); s.Held != 2 || s.Leased != 0 {
			t.Errorf("%+v", s)
		}
		if b.read(e) != ErrAbsent {
			t.Error("it is still here")
		}
		if got := slices.Concat(loans[0].Bytes, loans[1].Bytes); !bytes.Equal(got, x.extent(e)) {
			t.Error("the bytes have changed")
		}
		releaseAll(loans)
		b.Return(spare)
		b.close()
	})
}

// TestKnownLeaves: the leaves of a piece that is here can be told, from memory
// or from the store.
func TestKnownLeaves(t *testing.T) {
	x := newTruthV2(256<<10, 600_000, 40_000)
	for name, spec := range map[string]func(string) Spec{"v2 only": x.specV2, "hybrid": x.specHybrid} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for round := range 2 {
				b := newBenchOf(t, x, Config{}, spec(dir))
				for p := range wire.Piece(x.Pieces()) {
					if round == 0 {
						if _, err := b.Leaves(t.Context(), p); err != ErrAbsent {
							t.Error(err)
						}
						b.fetch(p, rand.New(rand.NewPCG(1, 2)))
						if _, ok := b.Known(p); ok != (name == "v2 only" && x.Blocks(p) > 1) {
							t.Errorf("piece %d: known is %v", p, ok)
						}
					}
					leaves, err := b.Leaves(t.Context(), p)
					_, hashes := x.proofOf(b.spec, p, 0, 9)
					if err != nil || len(leaves) != x.Blocks(p) || leaves[0] != hashes[0] {
						t.Errorf("piece %d: %d leaves, %v", p, len(leaves), err)
					}
					if _, ok := b.Known(p); !ok {
						t.Errorf("piece %d is not known", p)
					}
				}
				b.close()
			}
		})
	}
}

// TestLeafCacheBound: the oldest give way.
func TestLeafCacheBound(t *testing.T) {
	var c leafCache
	for k := range uint64(10) {
		c.add(k, make([]wire.Hash, mostLeaves/4))
		c.add(k, make([]wire.Hash, 1)) // is there
	}
	c.add(99, make([]wire.Hash, mostLeaves+1))
	if c.count != mostLeaves || len(c.of) != 4 || len(c.order) != 4 || c.get(5) != nil || c.get(6) == nil || c.get(99) != nil {
		t.Errorf("%d leaves of %d pieces", c.count, len(c.of))
	}
}

// TestLeafStress: peers, provers, readers and closers at random; never a wrong
// byte, and no block is lost.
func TestLeafStress(t *testing.T) {
	x := newTruthV2(256<<10, 1_500_000, 40_000)
	for name, spec := range map[string]Spec{"v2 only": x.specV2(t.TempDir()), "hybrid": x.specHybrid(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			b := newBenchOf(t, x, Config{Memory: Least(4) + 200*wire.BlockSize}, spec)
			s := &leafStress{newStressSwarm(b)}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() { s.listen(ctx) })
			for i := range uint64(3) {
				wg.Go(func() { s.peer(ctx, rand.New(rand.NewPCG(i, 1))) })
				wg.Go(func() { s.reader(ctx, rand.New(rand.NewPCG(i, 2))) })
			}
			wg.Go(func() { s.prover(ctx, rand.New(rand.NewPCG(1, 3))) })
			wg.Wait()
			if s.read.Load() == 0 {
				t.Error("nothing was read")
			}
			b.close()
		})
	}
}

type leafStress struct{ *stressSwarm }

func (s *leafStress) peer(ctx context.Context, r *rand.Rand) {
	spare := s.Spare()
	defer func() { s.Return(spare) }()
	for ctx.Err() == nil {
		time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
		if p, ok := s.anyOpen(r); ok {
			i := r.IntN(s.truth.Blocks(p))
			spare, _ = s.bring(spare, s.truth.Block(p, i), r.IntN(30) == 0)
		}
	}
}

func (s *leafStress) prover(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
		if p, ok := s.anyOpen(r); ok {
			s.prove(p, r.IntN(s.truth.Blocks(p)), r.IntN(5))
			if r.IntN(40) == 0 {
				s.Close(p)
				s.mu.Lock()
				delete(s.open, p)
				s.mu.Unlock()
			}
		}
	}
}

func (s *leafStress) reader(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		p := wire.Piece(r.IntN(s.truth.Pieces()))
		first := r.IntN(s.truth.Blocks(p))
		e := wire.Extent(s.truth.Block(p, first))
		if first+1 < s.truth.Blocks(p) {
			e.Length += s.truth.Block(p, first+1).Length
		}
		s.Open(p, time.Duration(r.IntN(100)))
		wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		if s.Await(wait, []wire.Extent{e}, 0) == nil {
			if loans, err := s.Acquire(wait, []wire.Extent{e}); err == nil {
				time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
				var got []byte
				for _, l := range loans {
					got = append(got, l.Bytes...)
				}
				if !bytes.Equal(got, s.truth.extent(e)) {
					s.t.Errorf("wrong bytes in %v", e)
				}
				releaseAll(loans)
				s.read.Add(1)
			}
		}
		cancel()
	}
}
