package selection

import (
	"math/bits"

	"bipfs/wire"
)

// What peers say that they have.

// hasField takes in a bitfield. It should be the first word about pieces, but
// aria2 sends one in the place of many haves.
func (m *Machine) hasField(p *peer, field []byte) {
	switch {
	case !m.known:
		if len(field) > (wire.MaxPieces+7)/8 {
			m.drop(p, badBitfield)
			return
		}
		p.told, p.earlyField = true, field
		return
	case !wire.Bitfield(field).Fits(m.geo.Pieces()):
		m.drop(p, badBitfield)
		return
	case p.told:
		m.hasMore(p, field)
		return
	}
	p.told, p.has = true, field
	m.look(p)
}

// hasMore takes in a bitfield that came late as the haves that are new in it.
func (m *Machine) hasMore(p *peer, field wire.Bitfield) {
	m.noisy(p)
	for at, b := range field {
		if p.has != nil {
			b &^= p.has[at]
		}
		for ; b != 0 && !p.dropped; b &= b - 1 {
			m.hasPiece(p, wire.Piece(8*at+7-bits.TrailingZeros8(b)))
		}
	}
}

// hasAll takes in a have-all or have-none (BEP 6).
func (m *Machine) hasAll(p *peer, all bool) {
	switch {
	case !m.speaksFast(p):
		return
	case p.told:
		m.drop(p, lateAll)
		return
	}
	p.told = true
	if !m.known {
		p.earlyAll = all
		return
	}
	if all {
		p.has = m.full
		m.look(p)
	}
}

// hasPiece takes in a have.
func (m *Machine) hasPiece(p *peer, i wire.Piece) {
	p.told = true
	switch {
	case !m.known:
		if int64(i) >= wire.MaxPieces {
			m.drop(p, badHave)
		} else if len(p.earlyHaves) < mostEarlyHaves {
			p.earlyHaves = append(p.earlyHaves, i)
		} else {
			m.noisy(p)
		}
		return
	case !m.geo.Valid(i):
		m.drop(p, badHave)
		return
	case p.has.Has(i):
		m.noisy(p)
		return
	}
	if p.has == nil {
		p.has = wire.NewBitfield(m.geo.Pieces())
	}
	p.has.Set(i)
	if m.needed.Has(i) {
		m.attract(p)
		m.touch(p)
	}
}
