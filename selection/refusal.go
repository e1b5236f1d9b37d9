package selection

import (
	"slices"
	"time"

	"bipfs/wire"
)

// What a peer will not bring: pieces whose blocks it rejects, and pieces of
// which a cancelled request is not answered yet.

// rejected takes in a reject (BEP 6). One that answers a cancelled request
// says nothing new.
func (m *Machine) rejected(p *peer, b wire.Block) {
	if !m.speaksFast(p) {
		return
	}
	if p.exorcise(b) {
		m.touch(p)
		return
	}
	j := -1
	if pc := m.pieces[b.Piece]; pc != nil && m.known && m.geo.Aligned(b) {
		j = p.find(pc, m.geo.Index(b))
	}
	if j < 0 {
		m.noisy(p)
		return
	}
	m.unask(p, j, false)
	if p.chokes {
		p.eager = 0
		if i := slices.Index(p.allowed, b.Piece); i >= 0 {
			p.allowed = slices.Delete(p.allowed, i, i+1)
		}
		return
	}
	if n := len(p.asked); n > leastDepth {
		p.most = n // it may queue less than it says
		p.refuse(b.Piece, m.now+overflowTime)
	} else {
		p.refuse(b.Piece, m.now+refusalTime)
	}
	if i := slices.IndexFunc(p.soleOf, func(pc *piece) bool { return pc.index == b.Piece }); i >= 0 {
		m.dismiss(p.soleOf[i])
	}
	m.withdraws()
}

// refuse remembers that p rejects requests for a piece.
func (p *peer) refuse(i wire.Piece, until time.Duration) {
	if p.refuses(i) {
		return
	}
	if len(p.refused) == mostRefusals {
		p.refused = slices.Delete(p.refused, 0, 1)
	}
	p.refused = append(p.refused, refusal{i, until})
}

func (p *peer) refuses(i wire.Piece) bool {
	for _, r := range p.refused {
		if r.piece == i {
			return true
		}
	}
	return false
}

// exorcise forgets that a cancelled request awaits its answer.
func (p *peer) exorcise(b wire.Block) bool {
	i := slices.IndexFunc(p.ghosts, func(g ghost) bool { return g.block == b })
	if i >= 0 {
		p.ghosts = slices.Delete(p.ghosts, i, i+1)
	}
	return i >= 0
}

// lingers tells whether p, which is fresh, may still answer a cancelled request with a
// block of a piece that others bring: it has a part in that piece as long. One that is
// snubbed is only tried with a block.
func (p *peer) lingers() bool {
	return p.streak == 0 && !p.snubbed && slices.ContainsFunc(p.ghosts, func(g ghost) bool { return g.lacked })
}

// lacks tells whether a block of an open piece is still to come.
func (m *Machine) lacks(b wire.Block) bool {
	pc := m.pieces[b.Piece]
	return pc != nil && pc.state == open && pc.blocks[m.geo.Index(b)].state != blockStored
}

// haunted tells whether an answer is awaited to a cancelled request of a piece.
func (p *peer) haunted(i wire.Piece) bool {
	return slices.ContainsFunc(p.ghosts, func(g ghost) bool { return g.block.Piece == i })
}
