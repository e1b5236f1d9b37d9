package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/merkle"
)

// leafSwarm is a leafing and what it was told of.
type leafSwarm struct {
	*leafing
	t     *testing.T
	now   time.Time
	known map[wire.Block]bool
}

// leafTruth has pieces of 64 blocks, a tail, a short file and one of one block.
func leafTruth(t *testing.T, f metainfo.Format) *content {
	t.Helper()
	return newContent(t, 1<<20, 3<<20-5, 40_000, 5).inFormat(t, f)
}

func newLeafSwarm(t *testing.T, info *metainfo.Info) *leafSwarm {
	return &leafSwarm{newLeafing(info), t, time.Unix(1, 0), map[wire.Block]bool{}}
}

// want says that a block is asked of a peer, and whether leaves are, too.
func (s *leafSwarm) want(p wire.Peer, piece wire.Piece, i int, ok bool) wire.HashRange {
	s.t.Helper()
	r, got := s.request(p, s.info.Block(piece, i), s.now)
	if got != ok {
		s.t.Fatalf("leaves of block %d of piece %d are asked of %d: %v", i, piece, p, got)
	}
	return r
}

func (s *leafSwarm) came(p wire.Peer, piece wire.Piece, i int, ok bool) wire.HashRange {
	s.t.Helper()
	r, got := s.block(p, s.info.Block(piece, i), s.now)
	if got != ok {
		s.t.Fatalf("leaves of block %d of piece %d are asked of %d: %v", i, piece, p, got)
	}
	return r
}

// TestLeafing: who is asked for what, when.
func TestLeafing(t *testing.T) {
	info := leafTruth(t, metainfo.V2Only).meta.Info
	s := newLeafSwarm(t, info)
	r := s.want(1, 1, 33, true)
	if r.Base != 0 || r.Index != 64+32 || r.Length != leafGroup || r.Uncles() != 1 {
		t.Fatalf("%+v", r)
	}
	s.want(1, 1, 40, false) // it is on its way
	s.want(2, 1, 63, false)
	s.want(1, 1, 31, true) // another group
	s.rejected(1, r)
	s.want(1, 1, 41, false) // not of the same, before it has brought a block
	s.came(1, 1, 33, true)
	s.rejected(1, r)
	s.came(1, 1, 34, false) // it was asked twice
	s.came(2, 1, 63, true)  // the other was not
	s.gone(2)
	s.came(3, 1, 35, true)
	s.now = s.now.Add(leafTimeout)
	r = s.want(4, 1, 36, true) // 3 is silent
	if _, _, ok := s.answered(3, r); ok {
		t.Error("an answer that comes too late is taken")
	}
	piece, inside, ok := s.answered(4, r)
	if !ok || piece != 1 || inside.Index != 32 || inside.Length != r.Length {
		t.Errorf("%d, %+v, %v", piece, inside, ok)
	}
	s.want(5, 1, 37, false)
	if _, _, ok := s.answered(4, r); ok {
		t.Error("an answer is taken twice")
	}
	s.forget(1)
	s.want(5, 1, 37, true)
	s.want(1, 3, 0, false) // it is one block
	if r := s.want(1, 4, 1, true); r.Length != 4 || r.Proof != 0 {
		t.Errorf("a short file: %+v", r)
	}
}

// TestLeafingBounds: a peer that never answers, and many that do not.
func TestLeafingBounds(t *testing.T) {
	info := leafTruth(t, metainfo.V2Only).meta.Info
	s := newLeafSwarm(t, info)
	for p := range wire.Peer(leafPeers) {
		s.rejected(p, s.want(p, 0, 0, true))
	}
	s.want(leafPeers, 0, 0, false)
	s.came(leafPeers, 0, 0, false)
	long := newContent(t, 1<<20, 20<<20).inFormat(t, metainfo.V2Only).meta.Info
	s = newLeafSwarm(t, long)
	for k := range leafWindow {
		s.want(1, wire.Piece(k/2), k%2*leafGroup, true)
	}
	s.want(1, leafWindow/2, 0, false)
	s.want(2, leafWindow/2, 0, true)
	if len(s.asked) != leafWindow+1 {
		t.Errorf("%d are asked for", len(s.asked))
	}
}

// TestLeafingHybrid: without a piece layer nothing can be proven by it.
func TestLeafingHybrid(t *testing.T) {
	c := leafTruth(t, metainfo.Hybrid)
	bare, err := metainfo.ParseInfo(c.meta.Info.Raw)
	if err != nil {
		t.Fatal(err)
	}
	newLeafSwarm(t, bare).want(1, 0, 0, false)
	newLeafSwarm(t, c.meta.Info).want(1, 0, 0, true)
}

// TestLeafAnswers: what is asked for is what a seed can answer, and proves what it
// is to prove; whatever else is asked below the piece layer is answered rightly or
// not at all.
func TestLeafAnswers(t *testing.T) {
	c := leafTruth(t, metainfo.V2Only)
	info := c.meta.Info
	leaves := func(p wire.Piece) (leaves []wire.Hash) {
		b := c.at(info, info.Offset(p, 0))
		for block := range slices.Chunk(b[:info.PieceSize(p)], wire.BlockSize) {
			leaves = append(leaves, merkle.Leaf(block))
		}
		return leaves
	}
	s := newLeafSwarm(t, info)
	for p := range wire.Piece(info.Pieces()) {
		if info.Blocks(p) == 1 {
			continue
		}
		for i := 0; i < info.Blocks(p); i += leafGroup {
			r := s.want(1, p, i, true)
			from, ok := info.Below(r)
			if !ok || from != p {
				t.Fatalf("%+v is of piece %d, %v", r, from, ok)
			}
			hashes, ok := leafAnswer(info, r, p, leaves(p))
			if !ok {
				t.Fatalf("%+v is not answered", r)
			}
			at, inside, _ := s.answered(1, r)
			node, layer := info.Node(at)
			top, ok := merkle.Fold(inside, hashes)
			if up, _ := merkle.Top(inside); !ok || top != node || up != layer {
				t.Errorf("%+v proves nothing of piece %d", inside, at)
			}
		}
	}
	chance := rand.New(rand.NewPCG(1, 2))
	tree := info.TreeOf(0)
	answered := 0
	for range 20_000 {
		length := uint32(2) << chance.IntN(9)
		r := wire.HashRange{
			Root: tree.Root, Base: uint32(chance.IntN(8)), Index: uint32(chance.IntN(300)) / length * length,
			Length: length, Proof: uint32(chance.IntN(10)),
		}
		p, ok := info.Below(r)
		if !ok {
			continue
		}
		hashes, ok := leafAnswer(info, r, p, leaves(p))
		top, folded := merkle.Fold(r, hashes)
		layer, index := merkle.Top(r)
		want := merkle.Root(leaves(p), 0, tree.PieceLayer())
		if layer != tree.PieceLayer() || !ok {
			continue
		}
		if answered++; !folded || top != want || wire.Piece(index) != p {
			t.Fatalf("%+v is answered falsely", r)
		}
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
}
