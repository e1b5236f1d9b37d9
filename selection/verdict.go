package selection

import (
	"slices"

	"bipfs/wire"
)

// credit tells a peer that n blocks of it in a piece were verified.
func (p *peer) credit(n int) {
	p.verified++
	p.streak = min(p.streak+1, mostStreak)
	p.proven = min(p.proven+n, mostProven)
}

// verdict is a verified lease, remembered for blocks that are reported late.
type verdict struct {
	lease wire.Lease
	peers []wire.Peer // credited already
}

// verify takes in the verdict on a piece.
func (m *Machine) verify(e Verified) {
	if !m.geo.Valid(e.Piece) {
		return
	}
	pc := m.pieces[e.Piece]
	if pc != nil && e.Lease < pc.lease {
		return
	}
	if !e.OK || e.Came != nil {
		m.failures++
		m.fail(e, pc)
	}
	if e.OK {
		m.passed(e, pc)
	}
	if pc == nil {
		return
	}
	if pc.state != closed && (e.OK || pc.state != opening) {
		m.end(pc, true)
		m.over(pc)
	}
	pc.suspect, pc.mends = m.failed(pc.index), m.mendable(pc.index)
	m.place(pc)
	if m.needed.Has(pc.index) {
		m.changed(pc)
	}
	m.forget(pc)
}

// passed is verify for a good piece.
func (m *Machine) passed(e Verified, pc *piece) {
	v := verdict{lease: e.Lease}
	m.compare(e.Piece, e.Digests)
	if pc != nil && pc.lease == e.Lease {
		for i := range pc.shares {
			if s := &pc.shares[i]; s.stored+s.proven > 0 && !s.peer.dropped {
				v.peers = append(v.peers, s.peer.id)
				s.peer.credit(s.stored + s.proven)
			}
		}
	}
	m.verdicts[m.nextVerdict] = v
	m.nextVerdict = (m.nextVerdict + 1) % mostVerdicts
	if m.have.Has(e.Piece) {
		return
	}
	m.have.Set(e.Piece)
	m.held++
	if pc != nil && m.needed.Has(e.Piece) {
		m.unneed(pc)
	}
	m.note(e.Piece)
}

// late credits a peer whose block of a verified lease is reported only now.
func (m *Machine) late(p *peer, l wire.Lease) {
	for i := range m.verdicts {
		v := &m.verdicts[i]
		if v.lease == l && !slices.Contains(v.peers, p.id) {
			v.peers = append(v.peers, p.id)
			p.credit(1)
		}
	}
}

// evicted takes in that a piece is gone from the disk cache.
func (m *Machine) evicted(i wire.Piece) {
	if !m.geo.Valid(i) || !m.have.Has(i) {
		return
	}
	m.remember()
	m.have.Clear(i)
	m.held--
	m.note(i)
	if pc := m.pieces[i]; pc != nil && len(pc.wants) > 0 {
		m.need(pc)
	}
}
