package selection

import (
	"cmp"
	"math/bits"
	"slices"

	"bipfs/wire"
)

// MostCounted is how many peers that do not have everything are counted to find what
// is rare: so the cost of it does not grow with the crowd.
const MostCounted = 40

// Rarest is up to n of the pieces of a set, those that the fewest peers have first,
// and none that nobody is known to have. Among those that are equally rare the first
// from a piece on comes first: who fetches for later begins elsewhere than others do,
// and then asks for pieces that follow each other. Of a crowd MostCounted are counted,
// from the skip-th on; which they are should change from call to call. Rarest changes
// nothing.
func (m *Machine) Rarest(set wire.Bitfield, n int, from wire.Piece, skip int) []wire.Piece {
	pieces := m.geo.Pieces()
	if !m.known || n <= 0 || pieces == 0 {
		return nil
	}
	counts := m.copiesOf(set, skip)
	var having [MostCounted + 2]int // pieces, by their copies
	for i, c := range counts {
		if set.Has(wire.Piece(i)) {
			having[c]++
		}
	}
	last, rarer := 1, 0 // so many are rarer than those with last copies
	for ; last <= MostCounted && rarer+having[last] < n; last++ {
		rarer += having[last]
	}
	room := n - rarer // for pieces with last copies
	var rarest []wire.Piece
	for k := range pieces {
		p := wire.Piece((int(from) + k) % pieces)
		c := int(counts[p])
		if c == 0 || c > last || !set.Has(p) || c == last && room == 0 {
			continue
		}
		if c == last {
			room--
		}
		rarest = append(rarest, p)
	}
	slices.SortStableFunc(rarest, func(a, b wire.Piece) int { return cmp.Compare(counts[a], counts[b]) })
	return rarest
}

// Had is the pieces that anybody who is connected has. It changes nothing.
func (m *Machine) Had() wire.Bitfield {
	had := wire.NewBitfield(m.geo.Pieces())
	for _, p := range m.peers {
		if p.dropped {
			continue
		}
		for i := range min(len(had), len(p.has)) {
			had[i] |= p.has[i]
		}
	}
	return had
}

// copiesOf is how many of the peers that are counted have each piece of a set. All
// that have everything count as one: they tell no piece from another.
func (m *Machine) copiesOf(set wire.Bitfield, skip int) []uint8 {
	counts := make([]uint8, 8*len(m.needed))
	counted, all := 0, uint8(0)
	for k := range m.peers {
		p := m.peers[(skip+k)%len(m.peers)]
		switch {
		case p.dropped || len(p.has) == 0:
			continue
		case &p.has[0] == &m.full[0]:
			all = 1
			continue
		case counted == MostCounted:
			continue // but who has everything may come
		}
		counted++
		for i := range min(len(set), len(p.has)) {
			for x := set[i] & p.has[i]; x != 0; {
				bit := bits.LeadingZeros8(x)
				x &^= 0x80 >> bit
				counts[8*i+bit]++
			}
		}
	}
	counts = counts[:m.geo.Pieces()]
	for i := range counts {
		counts[i] += all
	}
	return counts
}
