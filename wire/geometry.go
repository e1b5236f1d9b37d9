package wire

import (
	"math"
	"sort"
)

// Geometry is the arithmetic of one torrent: which bytes lie in which piece,
// and which in which block. A zero Geometry has no pieces.
//
// In a torrent of BEP 52, hybrid or not, every file begins with a piece of its
// own. Its bytes are numbered as if each piece had PieceLength of them, so a
// piece with the end of a file is a tail: a gap follows it, which is in no
// block, is never asked for, and counts in Length. In a hybrid the gap is a pad,
// which v1 peers ask for and hash like any other bytes.
type Geometry struct {
	Length      int64 // bytes of all files, pads and gaps included
	PieceLength int64 // bytes from one piece to the next; 1..MaxPieceLength

	// Tails are the pieces that have a gap behind them, each as a whole without
	// it, in order; nil in a torrent of BEP 3. Nobody may change them: copies of
	// a Geometry share them.
	Tails []Extent

	V2Only bool // BEP 52, and not BEP 3 too
}

// Pieces is the number of pieces, or 2^31−1 if there are more: it holds for
// the numbers of a torrent that nobody has checked yet, too.
func (g Geometry) Pieces() int {
	if g.PieceLength <= 0 || g.Length <= 0 {
		return 0
	}
	return int(min((g.Length-1)/g.PieceLength+1, math.MaxInt32))
}

// Valid reports whether p is a piece of the torrent.
func (g Geometry) Valid(p Piece) bool { return int64(p) < int64(g.Pieces()) }

// PieceSize is the length of piece p in bytes; p must be Valid.
func (g Geometry) PieceSize(p Piece) uint32 {
	if len(g.Tails) > 0 {
		k := sort.Search(len(g.Tails), func(k int) bool { return g.Tails[k].Piece >= p })
		if k < len(g.Tails) && g.Tails[k].Piece == p {
			return g.Tails[k].Length
		}
	}
	return g.span(p)
}

// span is the length of piece p with its gap.
func (g Geometry) span(p Piece) uint32 {
	return uint32(min(g.PieceLength, g.Length-int64(p)*g.PieceLength))
}

// Gap is the length in bytes of the gap behind piece p, which must be Valid:
// the zeros that the hash of BEP 3 goes on with in a hybrid.
func (g Geometry) Gap(p Piece) uint32 { return g.span(p) - g.PieceSize(p) }

// Blocks is the number of blocks of piece p; p must be Valid.
func (g Geometry) Blocks(p Piece) int {
	return int((g.PieceSize(p) + BlockSize - 1) / BlockSize)
}

// MostBlocks is the largest number of blocks that a piece has room for.
func (g Geometry) MostBlocks() int {
	if g.Pieces() == 0 {
		return 0
	}
	return int((min(g.PieceLength, g.Length) + BlockSize - 1) / BlockSize)
}

// Block is block i of piece p; p must be Valid and i below Blocks(p).
func (g Geometry) Block(p Piece, i int) Block {
	begin := uint32(i) * BlockSize
	return Block{p, begin, min(BlockSize, g.PieceSize(p)-begin)}
}

// Index is the number of a block inside its piece; b must be Aligned.
func (g Geometry) Index(b Block) int { return int(b.Begin / BlockSize) }

// Aligned reports whether b is a block of the torrent, exactly. It is the gate
// for every block that a peer names.
func (g Geometry) Aligned(b Block) bool {
	if !g.Valid(b.Piece) || b.Begin%BlockSize != 0 || b.Begin >= g.PieceSize(b.Piece) {
		return false
	}
	return b.Length == min(BlockSize, g.PieceSize(b.Piece)-b.Begin)
}

// Padded reports whether b is a block that lies in a gap, at least in part: one
// of those that v1 peers see in a hybrid. libtorrent, to which gaps are pads,
// asks in no other way for the end of a file of a V2Only torrent either; to it
// the last piece of that is as long as any other.
func (g Geometry) Padded(b Block) bool {
	if !g.Valid(b.Piece) || b.Begin%BlockSize != 0 || g.Aligned(b) {
		return false
	}
	end := g.span(b.Piece)
	if g.V2Only {
		end = uint32(g.PieceLength)
	}
	return b.Begin < end && b.Length == min(BlockSize, end-b.Begin)
}

// Within reports whether e is a run of at least one byte inside a piece of the
// torrent.
func (g Geometry) Within(e Extent) bool {
	return g.Valid(e.Piece) && e.Length > 0 &&
		uint64(e.Begin)+uint64(e.Length) <= uint64(g.PieceSize(e.Piece))
}

// Offset is the place of a byte of a piece in the torrent.
func (g Geometry) Offset(p Piece, begin uint32) int64 {
	return int64(p)*g.PieceLength + int64(begin)
}

// Extents appends to es the extents that cover n bytes from offset off of the
// torrent, in order. What lies outside the torrent, or in a gap, is left out.
func (g Geometry) Extents(es []Extent, off, n int64) []Extent {
	if off < 0 || n <= 0 || off >= g.Length {
		return es
	}
	n = min(n, g.Length-off)
	for n > 0 {
		p := Piece(off / g.PieceLength)
		begin := off % g.PieceLength
		covered := min(n, g.PieceLength-begin) // up to the next piece, with the gap
		if length := min(covered, int64(g.PieceSize(p))-begin); length > 0 {
			es = append(es, Extent{p, uint32(begin), uint32(length)})
		}
		off, n = off+covered, n-covered
	}
	return es
}

// Whole is the extent of all of piece p; p must be Valid.
func (g Geometry) Whole(p Piece) Extent { return Extent{p, 0, g.PieceSize(p)} }

// Span is the range [first, last] of the blocks that e, which must not be
// empty, touches.
func (e Extent) Span() (first, last int) {
	return int(e.Begin / BlockSize), int((uint64(e.Begin) + uint64(e.Length) - 1) / BlockSize)
}
