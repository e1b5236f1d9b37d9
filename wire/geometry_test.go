package wire

import (
	"math"
	"testing"
)

// small is every torrent of up to 5 pieces whose piece length and tail lie
// around the places where the arithmetic could be one off: a byte, a block,
// two blocks.
func small(yield func(Geometry) bool) {
	lengths := []int64{1, 2, 3, BlockSize - 1, BlockSize, BlockSize + 1, 2*BlockSize - 1, 2 * BlockSize, 2*BlockSize + 1}
	for _, piece := range lengths {
		for pieces := int64(0); pieces <= 5; pieces++ {
			for _, tail := range append([]int64{0}, lengths...) {
				if tail < piece && !yield(Geometry{Length: pieces*piece + tail, PieceLength: piece}) {
					return
				}
			}
		}
	}
}

// TestGeometryCounts counts pieces and blocks up one after another, which is
// the definition, and compares.
func TestGeometryCounts(t *testing.T) {
	for g := range small {
		var off int64
		var p Piece
		most := 0
		for ; off < g.Length; p++ {
			size := min(g.PieceLength, g.Length-off)
			if !g.Valid(p) || int64(g.PieceSize(p)) != size || g.Whole(p) != (Extent{p, 0, uint32(size)}) {
				t.Fatalf("%+v: piece %d: valid=%v size=%d, want %d", g, p, g.Valid(p), g.PieceSize(p), size)
			}
			if g.Offset(p, 0) != off {
				t.Fatalf("%+v: piece %d begins at %d, want %d", g, p, g.Offset(p, 0), off)
			}
			blocks := 0
			for begin := int64(0); begin < size; begin += BlockSize {
				want := Block{p, uint32(begin), uint32(min(BlockSize, size-begin))}
				if b := g.Block(p, blocks); b != want || g.Index(b) != blocks || !g.Aligned(b) {
					t.Fatalf("%+v: block %d is %v, want %v", g, blocks, b, want)
				}
				blocks++
			}
			if g.Blocks(p) != blocks {
				t.Fatalf("%+v: piece %d has %d blocks, want %d", g, p, g.Blocks(p), blocks)
			}
			most = max(most, blocks)
			off += size
		}
		if g.Pieces() != int(p) || g.Valid(p) || g.Valid(math.MaxUint32) || g.MostBlocks() != most {
			t.Fatalf("%+v: %d pieces of up to %d blocks, want %d of %d", g, g.Pieces(), g.MostBlocks(), p, most)
		}
	}
}

// edges are the numbers that a peer could put into a message about g.
func edges(g Geometry) []uint32 {
	size := uint32(g.PieceLength)
	return []uint32{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, 2 * BlockSize, 3 * BlockSize,
		size - 1, size, size + 1, size % BlockSize, uint32(g.Length % g.PieceLength),
		1 << 31, math.MaxUint32 - BlockSize, math.MaxUint32 - BlockSize + 1, math.MaxUint32}
}

// TestGeometryGates holds Aligned against the list of all blocks, and Within
// against counting in 64 bits.
func TestGeometryGates(t *testing.T) {
	for g := range small {
		blocks := map[Block]bool{}
		for p := range Piece(g.Pieces()) {
			for i := range g.Blocks(p) {
				blocks[g.Block(p, i)] = true
			}
		}
		n := uint32(g.Pieces())
		for _, piece := range []Piece{0, 1, Piece(n - 1), Piece(n), Piece(n + 1), math.MaxUint32} {
			for _, begin := range edges(g) {
				for _, length := range edges(g) {
					b := Block{piece, begin, length}
					if g.Aligned(b) != blocks[b] {
						t.Fatalf("%+v: Aligned(%v) is %v", g, b, !blocks[b])
					}
					first := int64(piece)*g.PieceLength + int64(begin)
					end := min(int64(piece+1)*g.PieceLength, g.Length)
					in := int64(piece) < int64(n) && length > 0 && first+int64(length) <= end
					if g.Within(Extent(b)) != in {
						t.Fatalf("%+v: Within(%v) is %v", g, b, !in)
					}
				}
			}
		}
	}
}

// TestExtents: the extents of every range near every boundary are the bytes of
// the range, in order, none twice, each inside its piece.
func TestExtents(t *testing.T) {
	var es []Extent
	for g := range small {
		var offsets []int64
		for p := int64(0); p <= int64(g.Pieces()); p++ {
			for d := int64(-1); d <= 1; d++ {
				offsets = append(offsets, p*g.PieceLength+d)
			}
		}
		offsets = append(offsets, g.Length-1, g.Length, g.Length+1, math.MinInt64, math.MaxInt64)
		for _, off := range offsets {
			for _, n := range append(offsets, 1) {
				es = g.Extents(es[:0], off, n)
				at, end := off, off
				if off >= 0 && off < g.Length && n > 0 {
					end = off + min(n, g.Length-off)
				}
				for _, e := range es {
					if !g.Within(e) || g.Offset(e.Piece, e.Begin) != at {
						t.Fatalf("%+v: Extents(%d, %d) = %v", g, off, n, es)
					}
					first, last := e.Span()
					if first != int(e.Begin)/BlockSize || last != int(e.Begin+e.Length-1)/BlockSize {
						t.Fatalf("%v spans [%d, %d]", e, first, last)
					}
					at += int64(e.Length)
				}
				if at != end {
					t.Fatalf("%+v: Extents(%d, %d) = %v ends at %d, want %d", g, off, n, es, at, end)
				}
			}
		}
	}
}

// TestGeometryLimits: the largest torrent that is accepted, and numbers of one
// that is not.
func TestGeometryLimits(t *testing.T) {
	g := Geometry{Length: MaxPieces * MaxPieceLength, PieceLength: MaxPieceLength}
	last := Piece(MaxPieces - 1)
	if g.Pieces() != MaxPieces || g.PieceSize(last) != MaxPieceLength || g.MostBlocks() != MaxPieceLength/BlockSize {
		t.Errorf("%d pieces, the last of %d bytes", g.Pieces(), g.PieceSize(last))
	}
	b := g.Block(last, g.Blocks(last)-1)
	if !g.Aligned(b) || g.Offset(last, b.Begin)+BlockSize != g.Length {
		t.Errorf("the last block is %v", b)
	}
	es := g.Extents(nil, g.Length-1, math.MaxInt64)
	if len(es) != 1 || es[0] != (Extent{last, MaxPieceLength - 1, 1}) {
		t.Errorf("the last byte is in %v", es)
	}
	if first, last := g.Whole(last).Span(); first != 0 || last != MaxPieceLength/BlockSize-1 {
		t.Errorf("a whole piece spans [%d, %d]", first, last)
	}
	for _, c := range []struct {
		Geometry
		pieces int
	}{
		{Geometry{}, 0},
		{Geometry{Length: 0, PieceLength: 1}, 0},
		{Geometry{Length: 1, PieceLength: 0}, 0},
		{Geometry{Length: 1, PieceLength: -1}, 0},
		{Geometry{Length: -1, PieceLength: 1}, 0},
		{Geometry{Length: math.MinInt64, PieceLength: BlockSize}, 0},
		{Geometry{Length: math.MaxInt64, PieceLength: 1}, math.MaxInt32},
		{Geometry{Length: math.MaxInt64, PieceLength: math.MaxInt64}, 1},
		{Geometry{Length: MaxPieces*BlockSize + 1, PieceLength: BlockSize}, MaxPieces + 1},
	} {
		if n := c.Pieces(); n != c.pieces {
			t.Errorf("%+v has %d pieces, want %d", c.Geometry, n, c.pieces)
		}
	}
}

// tailed is every torrent of up to four pieces of two blocks and a torrent
// where each of them may be a tail of any interesting length.
func tailed(yield func(g Geometry, sizes []uint32) bool) {
	const piece = 2 * BlockSize
	sizes := []uint32{1, BlockSize - 1, BlockSize, BlockSize + 1, piece - 1, piece}
	var all [][]uint32
	for _, a := range sizes {
		all = append(all, []uint32{a})
		for _, b := range sizes {
			all = append(all, []uint32{a, b})
			for _, c := range sizes {
				all = append(all, []uint32{a, b, c}, []uint32{a, piece, b, c})
			}
		}
	}
	for _, sizes := range all {
		last := len(sizes) - 1
		g := Geometry{Length: int64(last)*piece + int64(sizes[last]), PieceLength: piece}
		for p, size := range sizes[:last] {
			if size < piece {
				g.Tails = append(g.Tails, Extent{Piece(p), 0, size})
			}
		}
		if !yield(g, sizes) {
			return
		}
	}
}

// TestTails counts as TestGeometryCounts does, where pieces have gaps behind
// them, and finds the extents of each byte and each range of a few.
func TestTails(t *testing.T) {
	for g, sizes := range tailed {
		if g.Pieces() != len(sizes) || g.MostBlocks() < g.Blocks(0) {
			t.Fatalf("%+v: %d pieces, want %d", g, g.Pieces(), len(sizes))
		}
		in := map[int64]bool{} // the bytes around each edge that are in no gap
		for p, size := range sizes {
			if g.PieceSize(Piece(p)) != size || g.Whole(Piece(p)).Length != size {
				t.Fatalf("%+v: piece %d has %d bytes, want %d", g, p, g.PieceSize(Piece(p)), size)
			}
			at := uint32(0)
			for i := range g.Blocks(Piece(p)) {
				b := g.Block(Piece(p), i)
				longer := b
				longer.Length++
				if b.Begin != at || !g.Aligned(b) || g.Aligned(longer) {
					t.Fatalf("%+v: block %d of piece %d is %v", g, i, p, b)
				}
				at += b.Length
			}
			checkPadded(t, g, Piece(p), size)
			if at != size || g.Within(Extent{Piece(p), 0, size + 1}) || g.Aligned(Block{Piece(p), at, 1}) {
				t.Fatalf("%+v: the blocks of piece %d are %d bytes, want %d", g, p, at, size)
			}
			start := int64(p) * g.PieceLength
			for _, off := range []int64{0, int64(size) / 2, int64(size) - 1} {
				in[start+off] = true
			}
			for _, e := range g.Extents(nil, start, g.PieceLength) {
				if e != g.Whole(Piece(p)) {
					t.Fatalf("%+v: %v is in piece %d", g, e, p)
				}
			}
			if gap := int64(size); gap < g.PieceLength && len(g.Extents(nil, start+gap, g.PieceLength-gap)) > 0 {
				t.Fatalf("%+v: the gap of piece %d is somewhere", g, p)
			}
		}
		for off := range in {
			if es := g.Extents(nil, off, 1); len(es) != 1 || g.Offset(es[0].Piece, es[0].Begin) != off || !g.Within(es[0]) {
				t.Fatalf("%+v: byte %d is in %v", g, off, es)
			}
		}
		if es := g.Extents(nil, 0, g.Length); len(es) != len(sizes) {
			t.Fatalf("%+v: all of it is %v", g, es)
		}
	}
}

// checkPadded: of all blocks that a peer could ask for of a piece, those may
// reach into the gap that v1 peers see, and no other.
func checkPadded(t *testing.T, g Geometry, p Piece, size uint32) {
	t.Helper()
	for _, g.V2Only = range []bool{false, true} {
		span := uint32(g.PieceLength)
		if last := g.Pieces() - 1; int(p) == last && !g.V2Only {
			span = uint32(g.Length - int64(last)*g.PieceLength)
		}
		for begin := uint32(0); begin <= 3*BlockSize; begin += BlockSize / 2 {
			for _, length := range []uint32{0, 1, size, size % BlockSize, BlockSize - 1, BlockSize, BlockSize + 1, 1<<32 - 1} {
				b := Block{p, begin, length}
				want := begin%BlockSize == 0 && begin < span && length == min(BlockSize, span-begin) && begin+length > size
				if g.Padded(b) != want {
					t.Fatalf("%+v: Padded(%v) is %v", g, b, !want)
				}
			}
		}
	}
	if g.Padded(Block{Piece(g.Pieces()), 0, BlockSize}) {
		t.Fatalf("%+v: a piece too far", g)
	}
}

// A hybrid may have a pad behind its last file, too.
func TestGap(t *testing.T) {
	g := Geometry{Length: 3 * BlockSize, PieceLength: 2 * BlockSize, Tails: []Extent{{0, 0, 5}, {1, 0, BlockSize - 1}}}
	if g.Gap(0) != 2*BlockSize-5 || g.Gap(1) != 1 || g.PieceSize(1) != BlockSize-1 || g.Blocks(0) != 1 {
		t.Errorf("gaps of %d and %d bytes", g.Gap(0), g.Gap(1))
	}
	for b, want := range map[Block]bool{
		{0, 0, 5}: false, {0, 0, BlockSize}: true, {0, BlockSize, BlockSize}: true, {0, 2 * BlockSize, BlockSize}: false,
		{1, 0, BlockSize - 1}: false, {1, 0, BlockSize}: true, {1, BlockSize, BlockSize}: false,
	} {
		if g.Padded(b) != want {
			t.Errorf("Padded(%v) is %v", b, !want)
		}
	}
}
