package selection

import (
	"slices"

	"bipfs/wire"
)

// Allowed-fast (BEP 6): a newcomer that we choke, with so few pieces that it has
// nothing to trade, may ask for some pieces all the same. They are the same for
// its whole network, from everybody, and a connection may take two of them, so
// that connecting again and again brings little, and nothing new.

// give decides, when p wants something and is choked, whether it is a newcomer.
func (m *Machine) give(p *peer) {
	if !m.known || !m.upload || !p.fast || !p.interested || !p.choke.should || p.newcomer ||
		len(p.gifts) == 0 || p.mostLoads == 0 || p.has.Count() >= mostGifts {
		return
	}
	p.newcomer = true
	p.allowance = max(2*int64(m.geo.PieceSize(0)), giftBytes)
	m.touch(p)
}

// grant tells a newcomer of its gifts, as far as they are here.
func (m *Machine) grant(p *peer) {
	for ; p.newcomer && p.choke.does && p.given < len(p.gifts) && p.slots > 0; p.given++ {
		if i := p.gifts[p.given]; m.have.Has(i) && !p.has.Has(i) {
			m.send(p, wire.Message{Kind: wire.AllowedFast, Piece: i})
		}
	}
}

// takesGift tells whether p may have block b although it is choked, and takes
// that off its allowance.
func (m *Machine) takesGift(p *peer, b wire.Block) bool {
	if !m.upload || p.allowance < int64(b.Length) || !slices.Contains(p.gifts[:p.given], b.Piece) {
		return false
	}
	p.allowance -= int64(b.Length)
	return true
}
