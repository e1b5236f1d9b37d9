package selection

import (
	"slices"

	"bipfs/wire"
)

// A bad copy that peers share who have proven nothing is not in vain: the disk cache
// keeps it, and each block is asked of another of them than before. The two copies
// differ where one of the two has lied, and the hash of the piece tells which of them:
//
//	shared, bad ──▶ each block of another of those who shared it ──▶ put together: good
//	    ▲                                             │
//	    └──────── bad, and not each has sent all ◀────┘
//
// After as many bad copies as there are liars among them, each block has come from
// somebody who did not lie: so a liar costs a piece, as if it had been alone, and the
// piece comes in a fraction of the time. Others are asked for a block only if none of
// those who shared it is left for it, or only slow ones: whoever joins may be one liar more.
//
// If somebody is here that has proven good, that one fetches the piece alone. If all are
// convicted who shared it, others share it anew.

// mendsAny tells whether pieces of this torrent may be mended.
func (m *Machine) mendsAny() bool { return !m.leaves && m.geo.PieceLength <= mendLength }

// mendable tells whether the next copy of a piece may be mended by those that failed:
// whether the disk cache keeps the latest.
func (m *Machine) mendable(i wire.Piece) bool {
	if m.proven(i) {
		return false
	}
	for _, f := range slices.Backward(m.bad) {
		if f.piece == i && f.good == nil {
			return f.kept
		}
	}
	return false
}

// proven tells whether a peer that has proven good could bring a piece. It may have a part
// in the bad copy: it is more likely to be one of those who have not.
func (m *Machine) proven(i wire.Piece) bool {
	return slices.ContainsFunc(m.peers, func(p *peer) bool {
		return p.verified > 0 && m.able(p, i, Now)
	})
}

// able tells whether p could be asked for a piece that failed.
func (m *Machine) able(p *peer, i wire.Piece, c Class) bool {
	return !p.dropped && !p.snubbed && p.interest.does && p.has.Has(i) && !p.refuses(i) && !m.bars(p, i, c)
}

// mending tells whether a piece is being mended still. It is given up when nobody is left
// for one of its blocks but who has sent it.
func (m *Machine) mending(pc *piece) bool {
	for i := pc.first; pc.mends && pc.state == open && i < len(pc.blocks); i++ {
		pc.mends = pc.blocks[i].state != blockFree || slices.ContainsFunc(m.peers, func(p *peer) bool {
			return m.able(p, pc.index, pc.class) && !m.hasSent(p, pc.index, i) && !m.busyElsewhere(p, pc.index)
		})
	}
	return pc.mends
}

// withdraws has those who mend look at their pieces again: one of them is gone, or can
// no longer deliver.
func (m *Machine) withdraws() {
	for _, f := range m.bad {
		if pc := m.pieces[f.piece]; pc != nil && pc.mends {
			m.changed(pc)
		}
	}
}

// hasSent tells whether p has sent block i of a bad copy of a piece.
func (m *Machine) hasSent(p *peer, piece wire.Piece, i int) bool {
	return slices.ContainsFunc(m.bad, func(f *failure) bool {
		return f.piece == piece && f.good == nil && f.by[i] >= 0 && f.who[f.by[i]].peer == p.id
	})
}

// nextFor is the block of an open piece that p is asked for next; below 0 there is
// none for it.
func (m *Machine) nextFor(p *peer, pc *piece) int {
	switch {
	case pc.free == 0:
		return -1
	case p.snubbed:
		return m.untried(p, pc)
	case !pc.mends:
		return pc.next()
	}
	if p.verified == 0 && !m.partOf(p, pc.index) {
		if i := pc.next(); !m.sharerLeft(pc, i) && !m.hasSent(p, pc.index, i) {
			return i
		}
		return -1
	}
	for i := pc.first; i < len(pc.blocks); i++ {
		if pc.blocks[i].state == blockFree && !m.hasSent(p, pc.index, i) {
			return i
		}
	}
	return -1
}

// untried is the block that a snubbed peer is asked for: one that nobody has been asked
// for, or two of them would be asked for it in turns.
func (m *Machine) untried(p *peer, pc *piece) int {
	for i := pc.first; i < len(pc.blocks); i++ {
		b := &pc.blocks[i]
		if b.state == blockFree && b.askers == [mostAskers]asker{} && !(pc.mends && m.hasSent(p, pc.index, i)) {
			return i
		}
	}
	return -1
}

// sharerLeft tells whether one of those who shared a bad copy of a piece is left to be
// asked for one of its blocks.
func (m *Machine) sharerLeft(pc *piece, i int) bool {
	return slices.ContainsFunc(m.bad, func(f *failure) bool {
		return f.piece == pc.index && f.good == nil && slices.ContainsFunc(f.who, func(c culprit) bool {
			q := m.index[c.peer]
			return q != nil && !q.stalled && !q.crawls() && m.able(q, pc.index, pc.class) && !m.hasSent(q, pc.index, i)
		})
	})
}

// crawls tells whether a single block takes p too long for who waits.
func (p *peer) crawls() bool {
	rate := p.rate.shown()
	return rate > 0 && blockTime(rate, 1) >= slowQueue
}

// busyElsewhere tells whether p is suspected for a bad copy of another piece, and of no
// use for this one until that is judged.
func (m *Machine) busyElsewhere(p *peer, i wire.Piece) bool {
	return p.suspect > 0 && !m.partOf(p, i)
}

// takesPart tells whether p takes part in mending a piece: nobody is given another one
// whom a bad copy makes suspect.
func (m *Machine) takesPart(p *peer, pc *piece) bool {
	if m.busyElsewhere(p, pc.index) {
		return false
	}
	return pc.state != open || m.nextFor(p, pc) >= 0
}

// indict bans who is proven to have sent a bad copy of a piece alone.
func (m *Machine) indict(i wire.Piece, guilty []wire.Peer) {
	for _, id := range guilty {
		for _, f := range slices.Clone(m.bad) {
			n := slices.IndexFunc(f.who, func(c culprit) bool { return c.peer == id })
			if f.piece == i && n >= 0 {
				m.convict(f.who[n], badBlocks)
				break
			}
		}
	}
	for _, f := range slices.Clone(m.bad) {
		if f.piece == i && f.unknown == 0 && !slices.ContainsFunc(f.who, func(c culprit) bool { return !c.convicted }) {
			m.acquit(f) // it is clear who did it
		}
	}
}
