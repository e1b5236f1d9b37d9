package selection

import (
	"slices"

	"bipfs/wire"
)

// A peer with a free slot unchokes at once whoever is interested. So what a read waits
// for is asked for right behind our interest, which is worked off before it: that
// saves the round trip to the unchoke.
//
//	interest, requests ──▶ unchoke ──▶ they are answered like all others
//	                  └──▶ reject ───▶ it is asked again when it has unchoked us
//
// BEP 6 promises one of the two. So this is for peers that speak it, and while nobody
// is here who has unchoked us and could be asked as well.

// presume lets p be asked ahead of its unchoke. Our interest has just been sent.
func (m *Machine) presume(p *peer) {
	if !p.fast || !p.chokes || slices.ContainsFunc(m.peers, func(q *peer) bool {
		return !q.chokes && !q.dropped && !q.snubbed && !q.stalled && q.interest.should
	}) {
		return
	}
	p.eager = m.now + eagerTime
	m.touch(p)
}

// bars tells whether p would reject, as far as is known, a request for a piece,
// because it chokes us.
func (m *Machine) bars(p *peer, i wire.Piece, c Class) bool {
	return p.chokes && !slices.Contains(p.allowed, i) && !(c == Now && m.isEager(p))
}

// isEager tells whether p may be asked for what a read waits for although it chokes.
func (m *Machine) isEager(p *peer) bool { return m.now < p.eager }
