package selection

import (
	"slices"

	"bipfs/wire"
)

// starved takes back a request that was not sent: more peers are connected than
// there is memory to read from at once. Nobody is to blame; who owes us blocks
// already has the memory, and is asked for this one, or the peer a little later.
func (m *Machine) starved(p *peer, b wire.Block) {
	if p.exorcise(b) { // cancelled meanwhile: nothing will answer that
		m.touch(p)
		return
	}
	pc := m.pieces[b.Piece]
	if pc == nil {
		return
	}
	j := p.find(pc, m.geo.Index(b))
	if j < 0 {
		return
	}
	m.unask(p, j, false)
	p.refuse(b.Piece, m.now+overflowTime)
	if slices.Contains(p.soleOf, pc) {
		m.dismiss(pc)
	}
}
