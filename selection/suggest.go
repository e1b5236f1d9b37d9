package selection

import (
	"slices"

	"bipfs/wire"
)

// Suggest (BEP 6): whom a seed unchokes hears of the pieces that others were given
// last. They are in memory, so to give them again costs the disk nothing. It is
// advice, and of use where many come for the same torrent at once.

// gave notes that a block of piece i is on its way to a peer.
func (m *Machine) gave(i wire.Piece) {
	if n := slices.Index(m.given, i); n >= 0 {
		m.given = slices.Delete(m.given, n, n+1)
	} else if len(m.given) == mostSuggested {
		m.given = slices.Delete(m.given, 0, 1)
	}
	m.given = append(m.given, i)
}

// advise lists what is suggested to p, which has just been unchoked. While we fetch
// ourselves what is in memory are the newest pieces, and p has been told of them.
func (m *Machine) advise(p *peer) {
	p.advice = p.advice[:0]
	if p.fast && m.known && m.held == m.geo.Pieces() {
		p.advice = append(p.advice, m.given...)
	}
}

// suggest sends the advice, as far as slots allow.
func (m *Machine) suggest(p *peer) {
	n := 0
	for ; n < len(p.advice) && p.slots > 0 && !p.choke.does; n++ {
		if i := p.advice[n]; m.have.Has(i) && !p.has.Has(i) {
			m.send(p, wire.Message{Kind: wire.Suggest, Piece: i})
		}
	}
	p.advice = append(p.advice[:0], p.advice[n:]...)
}
