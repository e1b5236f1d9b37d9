package wire

import "math"

// Geometry is the arithmetic of one torrent: which bytes lie in which piece,
// and which in which block. A zero Geometry has no pieces.
type Geometry struct {
	Length      int64 // bytes of all files, pads included
	PieceLength int64 // bytes of every piece but the last; 1..MaxPieceLength
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
	return uint32(min(g.PieceLength, g.Length-int64(p)*g.PieceLength))
}

// Blocks is the number of blocks of piece p; p must be Valid.
func (g Geometry) Blocks(p Piece) int {
	return int((g.PieceSize(p) + BlockSize - 1) / BlockSize)
}

// MostBlocks is the number of blocks of the longest piece.
func (g Geometry) MostBlocks() int {
	if g.Pieces() == 0 {
		return 0
	}
	return g.Blocks(0)
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
// torrent, in order. What lies outside the torrent is left out.
func (g Geometry) Extents(es []Extent, off, n int64) []Extent {
	if off < 0 || n <= 0 || off >= g.Length {
		return es
	}
	n = min(n, g.Length-off)
	for n > 0 {
		p := Piece(off / g.PieceLength)
		begin := uint32(off % g.PieceLength)
		length := uint32(min(n, int64(g.PieceSize(p)-begin)))
		es = append(es, Extent{p, begin, length})
		off, n = off+int64(length), n-int64(length)
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
