package selection

import (
	"slices"
	"time"

	"bipfs/wire"
)

// Where blocks are verified one by one (BEP 52), a read waits for its blocks and
// not for their piece:
//
//	a read waits ──▶ its blocks are hot ──▶ asked for before all others ──▶ Proven: it goes on
//	                                                                   └──▶ Spoiled: banned, asked again
//
// The rest of the piece is asked for as ever, from behind the last hot block on:
// there the reader goes on, if it does. What is proven is no risk any more: it
// does not count as exposure. A bad block names its sender at once.

// run is the blocks [first, last] of a piece, if it is any.
type run struct {
	any         bool
	first, last int
	next        int // no block before it is free
}

// heat is what a piece knows of its hot blocks.
type heat struct {
	wants int // that have hot blocks
	free  int // hot blocks that are free
	from  int // where cold blocks are asked for from
}

// hotRun is the blocks that a want waits for.
func (m *Machine) hotRun(e Want) (r run) {
	if m.leaves && e.Class == Now && !m.have.Has(e.Extent.Piece) {
		r.any = true
		r.first, r.last = e.Extent.Span()
		r.next = r.first
	}
	return r
}

// turn gives a want other hot blocks.
func (m *Machine) turn(w *want, hot run) {
	m.warm(w, -1)
	w.hot = hot
	m.warm(w, 1)
	if hot.any {
		w.piece.heat.from = hot.last + 1
		if w.piece.heat.free > 0 && w.piece.where == inReady {
			m.changed(w.piece)
		}
	}
}

// warm counts the hot blocks of a want in or out.
func (m *Machine) warm(w *want, n int) {
	if !w.hot.any {
		return
	}
	m.hot += n
	w.piece.heat.wants += n
	m.warmBlocks(w, n)
}

func (m *Machine) warmBlocks(w *want, n int) {
	pc := w.piece
	if pc.blocks == nil {
		return // reheat will
	}
	for i := w.hot.first; i <= w.hot.last; i++ {
		b := &pc.blocks[i]
		was := b.hot > 0
		if b.hot += int16(n); b.state == blockFree && was != (b.hot > 0) {
			pc.heat.free += n
		}
	}
}

// reheat counts the hot blocks of a piece that has just been opened.
func (m *Machine) reheat(pc *piece) {
	pc.heat.free = 0
	for _, w := range pc.wants {
		if w.hot.any {
			w.hot.next = w.hot.first
			m.warmBlocks(w, 1)
		}
	}
}

// cool forgets the blocks of a piece that is closed.
func (m *Machine) cool(pc *piece) { pc.heat.free, pc.heat.from = 0, 0 }

// taken counts a block of a piece that is free no longer.
func (m *Machine) taken(pc *piece, b *block) {
	pc.free--
	if b.hot > 0 {
		pc.heat.free--
	}
}

// freed counts a block that is free again.
func (m *Machine) freed(pc *piece, i int) {
	pc.free++
	pc.first = min(pc.first, i)
	if pc.blocks[i].hot == 0 {
		return
	}
	pc.heat.free++
	for _, w := range pc.wants {
		if w.hot.any && w.hot.first <= i && i <= w.hot.last {
			w.hot.next = min(w.hot.next, i)
		}
	}
}

// next is the block that is asked for next, of an open piece that has a free
// one: a hot one; or one behind those; or the first.
func (pc *piece) next() int {
	if pc.heat.free > 0 {
		return pc.nextHot()
	}
	for ; pc.heat.from > 0; pc.heat.from++ {
		if pc.heat.from >= len(pc.blocks) {
			pc.heat.from = 0
			break
		}
		if pc.blocks[pc.heat.from].state == blockFree {
			return pc.heat.from
		}
	}
	for pc.blocks[pc.first].state != blockFree {
		pc.first++
	}
	return pc.first
}

func (pc *piece) nextHot() int {
	for _, w := range pc.wants {
		for r := &w.hot; r.any && r.next <= r.last; r.next++ {
			if pc.blocks[r.next].state == blockFree {
				return r.next
			}
		}
	}
	panic("selection: a hot block is free and cannot be found")
}

// feedHot asks p for what reads wait for, before feed asks it for anything else.
func (m *Machine) feedHot(p *peer) {
	if m.hot == 0 || p.snubbed {
		return
	}
	for i := 0; i < min(m.ready.len(), horizon) && p.hunger > 0; {
		pc := m.ready.at(i)
		switch {
		case pc.heat.wants == 0 || !m.takes(p, pc):
		case pc.state == closed:
			if !m.exhausted(p) {
				m.open(p, pc)
			}
		default:
			for p.hunger > 0 && pc.where == inReady && pc.heat.free > 0 && m.joins(p, pc) {
				m.ask(p, pc, pc.next())
			}
			m.hedge(p, pc)
		}
		if i < m.ready.len() && m.ready.at(i) == pc {
			i++
		}
	}
}

// hedge asks p for hot blocks that will be late, as repeat does for the last
// blocks of a piece.
func (m *Machine) hedge(p *peer, pc *piece) {
	if pc.heat.wants == 0 || pc.heat.free > 0 || p.snubbed || pc.suspect || pc.state != open {
		return
	}
	for _, w := range pc.wants {
		for i := w.hot.first; w.hot.any && i <= w.hot.last; i++ {
			if p.hunger == 0 || m.doubles >= mostDoubles {
				return
			}
			if m.worthwhile(p, pc, i) {
				m.ask(p, pc, i)
			}
		}
	}
}

// prove takes in that blocks are right.
func (m *Machine) prove(e Proven) {
	pc := m.leases[e.Lease]
	if pc == nil || pc.index != e.Piece {
		return
	}
	m.proved = true
	for _, i := range e.Blocks {
		if i >= len(pc.blocks) || pc.blocks[i].state != blockStored || pc.blocks[i].proven {
			continue
		}
		b := &pc.blocks[i]
		b.proven = true
		if b.sender < 0 {
			continue
		}
		s := &pc.shares[b.sender]
		s.stored--
		s.proven++
		s.peer.leaves++
		m.trust(s.peer)
		m.lessen(s)
	}
}

// spoil takes in that blocks were bad, and that the disk cache wants them anew.
func (m *Machine) spoil(e Spoiled) {
	pc := m.leases[e.Lease]
	if pc == nil || pc.index != e.Piece {
		m.accuse(culprit{peer: e.Peer})
		return
	}
	c := culprit{peer: e.Peer}
	for _, i := range e.Blocks {
		if i >= len(pc.blocks) {
			continue
		}
		b := &pc.blocks[i]
		if b.state != blockStored {
			pc.spoilt = append(pc.spoilt, spoilt{e.Peer, i})
			continue
		}
		m.wasted += int64(m.geo.Block(pc.index, i).Length)
		if b.sender >= 0 {
			p := pc.shares[b.sender].peer
			if p.id != e.Peer {
				continue // another's has come since, and was told of first
			}
			c.addr = p.addr // it may be gone
		}
		m.unstore(pc, i)
		if b.state == blockFree {
			pc.room++
		}
	}
	if pc.state == checking {
		pc.state = open
	}
	if len(pc.wants) == 0 { // its verdict was to come, and will not
		m.abandon(pc)
	} else {
		m.place(pc)
		m.changed(pc)
	}
	m.accuse(c)
}

// spoilt is a bad block whose arrival is still to be told: it is not there.
type spoilt struct {
	peer  wire.Peer
	index int
}

// wasSpoilt tells whether a block that p brought has been thrown away already.
func (pc *piece) wasSpoilt(p wire.Peer, i int) bool {
	k := slices.Index(pc.spoilt, spoilt{p, i})
	if k >= 0 {
		pc.spoilt = slices.Delete(pc.spoilt, k, k+1)
	}
	return k >= 0
}

// accuse bans who brought a bad block: a leaf leaves no doubt.
func (m *Machine) accuse(c culprit) {
	if p := m.index[c.peer]; p != nil {
		c.addr = p.addr
	}
	m.convict(c, badLeaf)
}

// onTrial tells whether p may be asked for one block only: nothing of it has been
// proven, and there are others to ask. So a liar costs one block. The trial
// ends when the first block is proven, or is not for trialTime; and it is not
// begun in a hybrid torrent before anybody has told leaves, nor for a web seed,
// which tells none.
func (m *Machine) onTrial(p *peer) bool {
	return m.leaves && p.kind == Swarm && !p.trusted && p.streak == 0 && len(m.peers) > 1 && (m.geo.V2Only || m.proved)
}

// trial is how many requests may be outstanding with a peer on trial.
func (p *peer) trial() int {
	if p.first > 0 {
		return 0
	}
	return 1
}

// tried notes that p has brought a block, its first maybe.
func (m *Machine) tried(p *peer) {
	if m.leaves && p.first == 0 {
		p.first = max(m.now, 1)
	}
}

// trialEnds is when p is trusted although nothing is proven, or never.
func (p *peer) trialEnds() time.Duration {
	if p.trusted || p.first == 0 {
		return never
	}
	return p.first + trialTime
}

// trust ends p's trial.
func (m *Machine) trust(p *peer) {
	if !p.trusted {
		p.trusted = true
		m.touch(p)
	}
}

// leafExposure is how many open pieces p may have something unverified in for
// what leaves have proven of it.
func (p *peer) leafExposure() int { return min(1+p.leaves, mostLeafExposure) }
