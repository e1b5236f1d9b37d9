package selection

import (
	"net/netip"
	"slices"

	"bipfs/wire"
)

// Who sent the bad block? A piece has one hash, its blocks may come from many.
//
//	all blocks from one peer, hash wrong ──────────────▶ that peer is guilty
//	from several ──▶ keep digest and sender of each block
//	                 one here has proven good: it fetches the piece once more, alone
//	                 else they go on, each block from another of them: see mend.go
//	                 good: senders of blocks that differ ──▶ guilty, only they
//	                 bad:  who has sent a whole copy alone ─▶ guilty; once more
//
// So nobody is banned without proof, and everybody who harmed is found by the
// first good copy, however many bad ones came before it.
//
// Waste is bounded by exposure: a peer may have something unverified in one
// open piece only, then in two, then in as many as it has proven blocks for; a
// failed piece with a part of it starts it at one again. Who had a part in a bad
// piece and has never brought anything good is given nothing else until the good
// copy is here, or suspectTime has passed: else a liar would spoil a piece after
// another while the first is fetched again. So is a fresh one whose requests were taken
// back in favour of others, until it has answered them: it may spoil that piece still.
//
// Fresh peers, which have proven nothing, share what a read waits for: so it comes
// soon, and if it is bad it is mended. Ahead of the reads each gets a piece of its own,
// where a lie convicts it at once. A piece that is too long to be mended is shared if
// that is faster by far, or if the one that brings it is late; of more than
// freshSharers only half do, so that a good one is left to fetch it again.
//
// The one that fetches a suspect piece alone is the one that would take the shortest
// time for it; a peer that had a part in the bad copy counts as slower, and
// one that has proven nothing as slower still. The disk cache takes the piece from
// nobody else: a block of the bad copy that was cancelled may still come.

// freshSharers is how many fresh peers may always share a piece; what they share may be
// mended, so there is no need for one that keeps out of it.
const freshSharers = 4

// loneLength is the longest piece that is always one fresh peer's ahead of the
// reads. A longer one takes a stranger too long: if the reader comes to it
// meanwhile, and if the reader's own piece fails, nobody has proven good yet who
// could fetch that again.
const loneLength = 4 << 20

// exposure is how many open pieces p may have something unverified in: one
// until a piece with a part of it verified, then two, then as many as it has
// proven blocks for, if each step is a piece that verified. Blocks count, not
// pieces: who lies in one block of ten brings small parts of many good pieces.
func (m *Machine) exposure(p *peer) int {
	return max(min(1<<p.streak, max(2, p.proven/m.geo.MostBlocks())), p.leafExposure())
}

// joins tells whether p should join those who bring a piece. It is a matter of
// preference: if nobody else brings it, anybody may. What a stranger was silent about is
// not left to another one, who may be silent as well, if those who answer are fast.
func (m *Machine) joins(p *peer, pc *piece) bool {
	if p.streak > 0 || p.leaves > 0 || pc.suspect {
		return true
	}
	if pc.sharedBy(p) {
		return !m.waits(p, pc)
	}
	mended := m.mendsAny()
	most := freshSharers
	if !mended {
		most = max(most, m.fresh/2)
	}
	if pc.class != Now && (m.geo.PieceLength <= loneLength || m.ready.len()+m.opening.len() >= m.fresh) {
		most = 1
	}
	n, rate, silent := 0, int64(0), false
	for i := range pc.shares {
		s := &pc.shares[i]
		silent = silent || s.asked > 0 && s.peer.stalled && s.peer.rate.rtt == 0
		if s.asked > 0 && s.peer.streak == 0 && !s.peer.snubbed && !s.peer.stalled && !s.peer.late && (!s.peer.chokes || m.isEager(s.peer)) {
			n++
			rate += s.peer.rate.guess()
		}
	}
	return n == 0 || n < most && (mended && pc.class == Now && !silent || blockTime(rate, len(pc.blocks)-pc.stored) > shareTime)
}

// waits tells whether p, which is fresh and has begun a piece that a read waits for, should
// leave the rest to others for a moment: they connect when it does.
func (m *Machine) waits(p *peer, pc *piece) bool {
	s := &pc.shares[pc.share(p)]
	until := pc.begun + shareWait
	if m.now >= until || pc.class != Now || !m.mendsAny() || s.asked < max(fewBlocks, len(pc.blocks)/freshSharers) {
		return false
	}
	if p.again == 0 || p.again > until {
		p.again = until
		m.clock.set(p)
	}
	return true
}

// appoint chooses the one that fetches a suspect piece.
func (m *Machine) appoint(pc *piece) {
	if m.mending(pc) {
		return
	}
	var best *peer
	var least int64
	for _, p := range m.peers {
		if !m.able(p, pc.index, pc.class) || p.haunted(pc.index) || m.depends(p, pc) {
			continue
		}
		cost := int64(m.geo.PieceSize(pc.index)) * 1000 / p.rate.guess()
		if m.partOf(p, pc.index) {
			cost *= 4
		}
		if p.streak == 0 && p.verified == 0 {
			cost *= 16
		}
		if best == nil || cost < least {
			best, least = p, cost
		}
	}
	if best != nil {
		pc.sole = best
		best.soleOf = append(best.soleOf, pc)
		m.restrict(pc)
	}
}

// depends tells whether p may not join a piece before another one brings the rest of a suspect
// piece that p has a part in. The other may depend on p then: neither would go on.
func (m *Machine) depends(p *peer, pc *piece) bool {
	return !m.mayJoin(p, pc) && slices.ContainsFunc(m.bad, func(f *failure) bool {
		other := m.pieces[f.piece]
		return other != nil && other.sole != nil && other.sole != p && other.sharedBy(p)
	})
}

// restrict sees to it that the disk cache takes a suspect piece from the one
// that is to fetch it and from nobody else.
func (m *Machine) restrict(pc *piece) {
	only := pc.only
	switch {
	case pc.state != opening && pc.state != open:
		return
	case !pc.suspect:
		only = 0
	case pc.sole != nil:
		only = pc.sole.id
	}
	if only != pc.only {
		pc.only = only
		m.command(Only{pc.index, only})
	}
}

// dismiss ends an appointment.
func (m *Machine) dismiss(pc *piece) {
	if p := pc.sole; p != nil {
		p.soleOf = slices.DeleteFunc(p.soleOf, func(other *piece) bool { return other == pc })
		pc.sole = nil
		m.changed(pc)
	}
}

// yield takes all appointments from a peer that can no longer deliver.
func (m *Machine) yield(p *peer) {
	m.withdraws()
	for len(p.soleOf) > 0 {
		m.dismiss(p.soleOf[0])
	}
}

// failure is a copy of a piece that did not verify.
type failure struct {
	piece   wire.Piece
	lease   wire.Lease
	digests []wire.Digest // of each block
	kept    bool          // the disk cache has it, to mend the next by
	by      []int16       // who sent each block: of who, or one of those below
	who     []culprit
	unknown int           // blocks whose sender is not known
	good    []wire.Digest // of the good copy, if there is one and unknown > 0
}

// Who sent a block, where it is nobody of who.
const (
	unknown = -1 // it is not known yet
	nobody  = -2 // the block was proven: who did has not lied
)

// culprit is a peer that may be guilty. It may be gone.
type culprit struct {
	peer      wire.Peer
	addr      netip.Addr
	convicted bool
}

// failed tells whether a copy of a piece failed and none was good since.
func (m *Machine) failed(i wire.Piece) bool {
	return slices.ContainsFunc(m.bad, func(f *failure) bool { return f.piece == i && f.good == nil })
}

// partOf tells whether p had a part in a failed copy of a piece.
func (m *Machine) partOf(p *peer, i wire.Piece) bool {
	return slices.ContainsFunc(m.bad, func(f *failure) bool {
		return f.piece == i && slices.ContainsFunc(f.who, func(c culprit) bool { return c.peer == p.id })
	})
}

// fail keeps a copy that did not verify. pc is nil if the piece is forgotten.
func (m *Machine) fail(e Verified, pc *piece) {
	f := &failure{piece: e.Piece, lease: e.Lease, digests: e.Digests, kept: e.Kept, by: make([]int16, m.geo.Blocks(e.Piece))}
	if e.Came != nil {
		f.digests = e.Came
	}
	f.unknown = len(f.by)
	for i := range f.by {
		f.by[i] = unknown
	}
	if pc != nil && pc.lease == e.Lease && pc.blocks != nil {
		for i := range pc.blocks {
			switch b := &pc.blocks[i]; {
			case b.state != blockStored || b.sender < 0:
			case b.proven:
				f.by[i] = nobody
				f.unknown--
			default:
				m.blame(f, i, pc.shares[b.sender].peer)
			}
		}
		for i := range pc.shares {
			if s := &pc.shares[i]; s.stored > 0 || s.proven == 0 {
				s.peer.doubt()
			}
		}
	}
	m.waitOn(e.Piece)
	m.bad = append(m.bad, f)
	m.badDigests += len(f.digests)
	for len(m.bad) > mostFailures || m.badDigests > mostDigests && len(m.bad) > 1 {
		m.acquit(m.bad[0])
	}
	m.judge(f)
	m.indict(e.Piece, e.Guilty)
	m.withdraws()
}

// waitOn has the suspects of earlier copies of a piece wait on, as one more copy of
// it was bad.
func (m *Machine) waitOn(i wire.Piece) {
	for _, f := range m.bad {
		if f.piece != i || f.good != nil {
			continue
		}
		for _, c := range f.who {
			if p := m.index[c.peer]; p != nil && p.suspect > 0 {
				p.suspect = m.now + suspectTime
				m.touch(p)
			}
		}
	}
}

// doubt takes from a peer what it has earned: a piece with a part of it failed.
func (p *peer) doubt() { p.streak, p.proven, p.leaves = 0, 0, 0 }

// blame notes who sent block i.
func (m *Machine) blame(f *failure, i int, p *peer) {
	if f.by[i] != unknown {
		return
	}
	if p.verified == 0 && f.good == nil {
		p.suspect = m.now + suspectTime
		m.touch(p)
	}
	n := slices.IndexFunc(f.who, func(c culprit) bool { return c.peer == p.id })
	if n < 0 {
		n = len(f.who)
		f.who = append(f.who, culprit{peer: p.id, addr: p.addr})
	}
	f.by[i] = int16(n)
	f.unknown--
}

// acquit forgets a failed copy.
func (m *Machine) acquit(f *failure) {
	m.badDigests -= len(f.digests)
	m.bad = slices.DeleteFunc(m.bad, func(other *failure) bool { return other == f })
}

// lateSender takes in who sent a block of a lease that is over. If the lease
// failed, that was the missing testimony.
func (m *Machine) lateSender(p *peer, l wire.Lease, i int) {
	for _, f := range m.bad {
		if f.lease == l && i < len(f.by) {
			p.doubt()
			m.blame(f, i, p)
			m.judge(f)
			return
		}
	}
}

// compare holds every failed copy of a piece against the good one.
func (m *Machine) compare(i wire.Piece, good []wire.Digest) {
	for _, f := range slices.Clone(m.bad) {
		if f.piece == i && f.good == nil {
			f.good = good
			m.judge(f)
			if len(good) == 0 {
				m.acquit(f)
			}
		}
	}
}

// judge convicts whom a failed copy proves guilty, and keeps it only if it may
// prove more.
func (m *Machine) judge(f *failure) {
	if f.good == nil {
		if f.unknown == 0 && len(f.who) == 1 {
			m.acquit(f)
			m.convict(f.who[0], badBlocks)
		}
		return
	}
	for _, c := range f.who {
		if p := m.index[c.peer]; p != nil && p.suspect > 0 {
			p.suspect = 0
			m.touch(p)
		}
	}
	guilty := make([]bool, len(f.who))
	for i, n := range f.by {
		if n >= 0 && i < len(f.good) && i < len(f.digests) && f.good[i] != f.digests[i] {
			guilty[n] = true
		}
	}
	for n, c := range f.who {
		if guilty[n] {
			m.convict(c, badBlocks)
		}
	}
	if f.unknown == 0 {
		m.acquit(f)
	}
}

// convict bans a peer, gone or not, or about to go for something else. If another peer of
// its address has proven good, the address is not banned: it may be the door of many. That
// of a web seed is one source, whatever the connection.
func (m *Machine) convict(c culprit, why string) {
	p := m.index[c.peer]
	if c.convicted || p != nil && p.convicted {
		return
	}
	for _, f := range m.bad {
		for i := range f.who {
			f.who[i].convicted = f.who[i].convicted || f.who[i].peer == c.peer
		}
	}
	ban := c.addr.IsValid() && !slices.ContainsFunc(m.peers, func(q *peer) bool {
		return q != p && q.addr == c.addr && q.kind != Ranges && q.verified > 0 && !q.dropped
	})
	if !ban && (p == nil || p.dropped) {
		return
	}
	if ban {
		m.banned++
	}
	if p != nil {
		p.convicted = true
		if !p.dropped {
			m.dropped++
			m.quit(p)
		}
	}
	m.command(Drop{Peer: c.peer, Reason: why, Ban: ban, Addr: c.addr})
}
