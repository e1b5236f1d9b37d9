package selection

import (
	"slices"
	"time"

	"bipfs/wire"
)

// Who is asked for what. There are two ways in: a peer that can take requests
// looks for pieces (feed), and a piece with something to ask for looks for
// peers that can take requests (deal). Between them no pair is missed: a pair
// becomes possible only by a change of one of the two.
//
//   - Pieces go in the order of their deadlines, blocks in order inside them.
//   - Blocks are dealt to the peers that will bring them soonest, so that
//     several peers bring one piece, each according to its rate.
//   - A piece is opened only for a peer that could be asked for it at once,
//     and no more pieces than such peers can take requests for: memory is
//     lent to who uses it.

// takes tells whether p may be asked for blocks of a piece at all.
func (m *Machine) takes(p *peer, pc *piece) bool {
	if m.withholds(pc) || !p.has.Has(pc.index) || m.bars(p, pc.index, pc.class) {
		return false
	}
	if len(p.refused) > 0 && p.refuses(pc.index) {
		return false
	}
	if len(p.ghosts) > 0 && p.haunted(pc.index) {
		return false
	}
	switch {
	case pc.mends:
		if !m.takesPart(p, pc) {
			return false
		}
	case (pc.suspect || p.suspect > 0) && pc.sole != p:
		return false
	}
	return m.mayJoin(p, pc)
}

// mayJoin tells whether p may have something unverified in the piece.
func (m *Machine) mayJoin(p *peer, pc *piece) bool {
	return pc.sharedBy(p) || p.exposed < m.exposure(p) && !p.lingers()
}

// sharedBy tells whether p has something unverified in the piece.
func (pc *piece) sharedBy(p *peer) bool {
	i := pc.share(p)
	return i >= 0 && pc.shares[i].live()
}

// offer is a peer that could bring a block, and when.
type offer struct {
	eta  time.Duration
	peer *peer
}

func (a offer) before(b offer) bool {
	return a.eta < b.eta || a.eta == b.eta && a.peer.id < b.peer.id
}

// deal gives the free blocks of a piece to the hungry peers.
func (m *Machine) deal(pc *piece) {
	if pc.where != inReady || len(m.hungry) == 0 {
		return
	}
	if pc.suspect && pc.sole == nil {
		m.appoint(pc)
	}
	o := m.offers[:0]
	for _, p := range m.hungry {
		if m.takes(p, pc) && !(pc.state == closed && m.exhausted(p)) {
			o = append(o, offer{p.eta(), p})
		}
	}
	m.offers = o
	if len(o) == 0 {
		return
	}
	for i := len(o)/2 - 1; i >= 0; i-- {
		sift(o, i)
	}
	if pc.state == closed {
		m.open(o[0].peer, pc)
		return
	}
	for len(o) > 0 && pc.where == inReady {
		p := o[0].peer
		m.hedge(p, pc)
		passes := m.passes(p, pc) || m.withholds(pc)
		i := -1
		if p.hunger > 0 && !passes && m.joins(p, pc) {
			i = m.nextFor(p, pc)
		}
		if i >= 0 {
			m.ask(p, pc, i)
			if p.kind == Ranges {
				m.fill(p, pc)
			}
		}
		if i >= 0 && p.hunger > 0 && m.takes(p, pc) {
			o[0].eta = p.eta()
		} else {
			o[0] = o[len(o)-1]
			o = o[:len(o)-1]
		}
		sift(o, 0)
	}
}

// sift restores the heap below i.
func sift(o []offer, i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(o); c++ {
			if o[c].before(o[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		o[i], o[least] = o[least], o[i]
		i = least
	}
}

// open asks for memory for a closed piece that p would be asked for. If enough
// is asked for already, p is told later.
func (m *Machine) open(p *peer, pc *piece) bool {
	if !m.affords(pc) {
		if !p.held {
			p.held = true
			m.hold = append(m.hold, p)
		}
		return false
	}
	pc.state, pc.opener = opening, p
	p.opens++
	m.place(pc)
	m.command(Open{pc.index, pc.deadline})
	m.restrict(pc)
	return true
}

// exhausted tells whether p may have nothing unverified in one more piece.
func (m *Machine) exhausted(p *peer) bool { return p.exposed+p.opens >= m.exposure(p) }

// affords tells whether a piece may be opened: of those that wait for their
// grant, the ones due before it are neither too many, nor do they promise all
// the requests that the hungry peers can take.
func (m *Machine) affords(pc *piece) bool {
	if m.opening.len() < mostOpens && m.promised < m.hunger {
		return true
	}
	blocks := 0
	for i, other := range m.opening.sorted() {
		if !before(other, pc) {
			break
		}
		blocks += m.geo.Blocks(other.index)
		if i+1 >= mostOpens || blocks >= m.hunger {
			return false
		}
	}
	return true
}

// release lets peers that wait to open a piece try again.
func (m *Machine) release() {
	for m.budget && len(m.hold) > 0 {
		p := m.hold[0]
		m.hold = slices.Delete(m.hold, 0, 1)
		p.held = false
		m.feed(p)
		m.budget = !p.held
	}
	m.budget = false
}

// feed gives p as much to do as it can take.
func (m *Machine) feed(p *peer) {
	if p.hunger == 0 {
		return
	}
	m.feedHot(p)
	broke := m.exhausted(p) // no more pieces can be opened for it
	open := m.readyOpen
	for i := 0; i < m.ready.len() && p.hunger > 0 && !(broke && open == 0); {
		if i == horizon {
			if !broke {
				m.feedFar(p)
			}
			break
		}
		pc := m.ready.at(i)
		if pc.suspect && pc.sole == nil {
			m.appoint(pc)
		}
		if pc.state != closed {
			open--
		}
		switch {
		case !m.takes(p, pc) || pc.state == closed && broke || m.passes(p, pc):
		case pc.state == closed:
			broke = !m.open(p, pc) || m.exhausted(p)
		default:
			m.fill(p, pc)
		}
		if pc.where == inReady {
			i++
		}
	}
	if p.hunger > 0 && m.missing > 0 {
		m.repeat(p)
	}
}

// fill asks p for as much of an open piece as it can take.
func (m *Machine) fill(p *peer, pc *piece) {
	for p.hunger > 0 && pc.where == inReady && m.joins(p, pc) && !m.passes(p, pc) && !m.withholds(pc) {
		i := m.nextFor(p, pc)
		if i < 0 {
			return
		}
		m.ask(p, pc, i)
	}
}

// feedFar is feed for pieces past the horizon. Their deadlines are far, so
// their order matters little: they are taken by number.
func (m *Machine) feedFar(p *peer) {
	from := wire.Piece(0)
	for tries := 0; tries < horizon && p.hunger > 0; tries++ {
		first, ok := commonFrom(m.askable, p.has, from)
		if !ok {
			return
		}
		from = first/8*8 + 8
		for i := first; i < from && p.hunger > 0; i++ {
			if !m.askable.Has(i) || !m.takes(p, m.pieces[i]) {
				continue
			}
			if pc := m.pieces[i]; pc.state != closed {
				m.fill(p, pc)
			} else if m.exhausted(p) || !m.open(p, pc) {
				return
			}
		}
	}
}
