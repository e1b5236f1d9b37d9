package wire

import "math/bits"

// Bitfield is a set of pieces as the wire carries it: the high bit of the
// first byte is piece 0, spare bits at the end are zero (BEP 3).
type Bitfield []byte

// NewBitfield is an empty set with room for n pieces.
func NewBitfield(n int) Bitfield { return make(Bitfield, (n+7)/8) }

// FullBitfield is the set of all of n pieces.
func FullBitfield(n int) Bitfield {
	b := NewBitfield(n)
	for i := range b {
		b[i] = 0xff
	}
	if spare := n % 8; spare != 0 {
		b[len(b)-1] = byte(0xff << (8 - spare))
	}
	return b
}

// Fits reports whether b is a well-formed set of n pieces: the right length
// and no spare bit set.
func (b Bitfield) Fits(n int) bool {
	if len(b) != (n+7)/8 {
		return false
	}
	spare := n % 8
	return spare == 0 || b[len(b)-1]<<spare == 0
}

// Has reports whether p is in the set. Pieces past its end are not.
func (b Bitfield) Has(p Piece) bool {
	i := int(p / 8)
	return i < len(b) && b[i]&(0x80>>(p%8)) != 0
}

// Set puts p, which must be inside the set's room, into the set.
func (b Bitfield) Set(p Piece) { b[p/8] |= 0x80 >> (p % 8) }

// Clear takes p, which must be inside the set's room, out of the set.
func (b Bitfield) Clear(p Piece) { b[p/8] &^= 0x80 >> (p % 8) }

// Count is the number of pieces in the set.
func (b Bitfield) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// Clone is a copy that shares no memory with b.
func (b Bitfield) Clone() Bitfield { return append(Bitfield(nil), b...) }
