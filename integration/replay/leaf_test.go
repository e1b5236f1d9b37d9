package replay

import (
	"slices"
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// hearLeaves has the leaves of a piece that was granted come to be known: all at
// once, a while later, or never.
func (d *disk) hearLeaves(l *life) {
	w := d.w
	if !w.leaves || l.part < len(l.blocks) || w.untold && w.odds(10) {
		return
	}
	w.after(w.between(0, w.leafTime), func() {
		for i := range l.known {
			l.known[i] = true
			if l.blocks[i] != (wire.Digest{}) {
				d.judge(l, i)
			}
		}
	})
}

// judge holds a block against its leaf.
func (d *disk) judge(l *life, i int) {
	if d.lives[l.piece] != l || l.blocks[i] == (wire.Digest{}) || l.proven[i] {
		return
	}
	if l.blocks[i] == digest(d.w.geo.Block(l.piece, i), 0) {
		l.proven[i] = true
		d.tell(selection.Proven{Piece: l.piece, Lease: l.lease, Blocks: []int{i}})
		d.w.arrived(l.piece)
		return
	}
	from := l.from[i]
	l.senders[i].guilty = true
	l.blocks[i] = wire.Digest{}
	l.stored--
	l.filled--
	d.w.wasted++
	d.tell(selection.Spoiled{Peer: from, Piece: l.piece, Lease: l.lease, Blocks: []int{i}})
}

// isProven reports whether a part of an open piece can be read.
func (d *disk) isProven(e wire.Extent) bool {
	l := d.lives[e.Piece]
	if l == nil {
		return false
	}
	first, last := e.Span()
	return !slices.Contains(l.proven[first:last+1], false)
}

// TestPoisonersByLeaf: where blocks are verified by leaves, a liar that never
// sends a good block costs one block, and no other more than two.
func TestPoisonersByLeaf(t *testing.T) {
	for h := range habits {
		for _, liars := range []int{1, 3, 9} {
			t.Run(habitNames[h]+"/"+string(rune('0'+liars))+" of 10", func(t *testing.T) {
				t.Parallel()
				poisonByLeaf(t, h, liars)
			})
		}
	}
}

func poisonByLeaf(t *testing.T, h habit, liars int) {
	bound := 2 * liars
	if h.constant() {
		bound = liars
	}
	worst, sum, banned := 0, 0, 0
	for seed := range uint64(fewer(poisonRuns)) {
		w := newTen(shapes[0], seed, h, liars, 10*time.Millisecond)
		if err := w.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, h := range w.hosts {
			if h.banned {
				banned++
			}
			if h.guilty && !h.banned {
				t.Errorf("seed %d: host %d sent a bad block and is not banned", seed, i)
			}
		}
		if w.wasted > bound {
			t.Errorf("seed %d: %d bad blocks", seed, w.wasted)
		}
		worst, sum = max(worst, w.wasted), sum+w.wasted
	}
	t.Logf("bad blocks of each liar: %.2f at worst, %.2f on average; %d of %d liars banned",
		float64(worst)/float64(liars), float64(sum)/float64(liars*fewer(poisonRuns)), banned, liars*fewer(poisonRuns))
}
