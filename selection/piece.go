package selection

import (
	"time"

	"bipfs/wire"
)

// A piece that is wanted or under way walks through
//
//	           Open            Granted            last Stored
//	closed ──────────▶ opening ────────▶ open ───────────────▶ checking
//	   ▲                  │               │                       │
//	   └──────────────────┴───────────────┴───────────────────────┘
//	      Close by us        Close or Revoke        Verified
//
// and is forgotten when nobody wants it and it is closed.
//
// While it is wanted and not here, it is in one of three lists by deadline:
// ready (a peer could be asked for something of it, or it could be opened),
// opening (waits for its grant), busy (all is asked, or there is no room).
type piece struct {
	index    wire.Piece
	wants    []*want
	deadline time.Duration
	class    Class

	state  state
	where  place
	listed state // when it was put there
	dirty  bool  // has something to ask for that idle peers do not know of
	lease  wire.Lease
	room   int // blocks that may still be asked for
	blocks []block
	first  int // no block before it is free
	free   int
	heat   heat
	begun  time.Duration // when the first block was asked for; 0: none was
	asked  int
	stored int
	shares []share
	early  []early // blocks of leases that are not known yet
	spoilt []spoilt

	opener  *peer     // for whom it was opened, while it waits for its grant
	suspect bool      // failed before: one peer alone is to deliver it
	mends   bool      // several are, each block of another than before
	sole    *peer     // that peer, while it can
	only    wire.Peer // from whom the disk cache takes blocks; 0: from all
}

type state uint8

const (
	closed state = iota
	opening
	open
	checking
)

type place uint8

const (
	nowhere place = iota
	inReady
	inOpening
	inBusy
)

// block is the state of one block of an open piece:
//
//	free ◀──▶ asked ──▶ stored        free ──▶ stored: it came after all
type block struct {
	state  blockState
	sender int16 // share that stored it
	hot    int16 // reads that wait for it, where blocks are verified by leaves
	proven bool  // it is stored, and right
	askers [mostAskers]asker
}

type blockState uint8

const (
	blockFree   blockState = iota
	blockAsked             // of at least one peer that is expected to answer
	blockStored            // in the disk cache
)

// asker is a peer with an outstanding request for a block.
type asker struct {
	peer  *peer // nil: none
	probe bool  // it is not expected to answer: the block is free for others
}

// share is what one peer has in an open piece.
type share struct {
	peer   *peer // it may be gone by now
	asked  int   // requests outstanding
	stored int   // and not proven
	proven int
}

// live tells whether the peer has anything unverified in the piece.
func (s *share) live() bool { return s.asked+s.stored > 0 }

// piece is the record of piece i, made if there is none.
func (m *Machine) piece(i wire.Piece) *piece {
	pc := m.pieces[i]
	if pc == nil {
		pc = &piece{index: i, deadline: never, class: Background, suspect: m.failed(i), mends: m.mendable(i)}
		m.pieces[i] = pc
	}
	return pc
}

// forget drops the record of a piece nobody wants and nothing is under way of.
func (m *Machine) forget(pc *piece) {
	if len(pc.wants) == 0 && pc.state == closed {
		delete(m.pieces, pc.index)
		if pc.mends {
			m.command(Close{pc.index}) // what is kept of it
		}
	}
}

// place puts a piece into the list where it belongs now.
func (m *Machine) place(pc *piece) {
	where := nowhere
	if m.needed.Has(pc.index) {
		switch {
		case pc.state == opening:
			where = inOpening
		case pc.state == closed, pc.state == open && pc.free > 0 && pc.room > 0:
			where = inReady
		case pc.state == open:
			where = inBusy
		}
	}
	if where == pc.where && pc.state == pc.listed {
		return
	}
	m.unplace(pc)
	pc.where, pc.listed = where, pc.state
	switch where {
	case inReady:
		m.ready.insert(pc)
		m.askable.Set(pc.index)
		if pc.state == open {
			m.readyOpen++
		}
	case inOpening:
		m.opening.insert(pc)
		m.promised += m.geo.Blocks(pc.index)
	case inBusy:
		m.busy.insert(pc)
	}
}

// unplace takes a piece out of its list, before its deadline changes.
func (m *Machine) unplace(pc *piece) {
	switch pc.where {
	case inReady:
		m.ready.remove(pc)
		m.askable.Clear(pc.index)
		if pc.listed == open {
			m.readyOpen--
		}
	case inOpening:
		m.opening.remove(pc)
		m.promised -= m.geo.Blocks(pc.index)
		m.budget = true
	case inBusy:
		m.busy.remove(pc)
	}
	pc.where = nowhere
}

// changed notes that peers with nothing to do should look at the piece.
func (m *Machine) changed(pc *piece) {
	if !pc.dirty {
		pc.dirty = true
		m.dirtyPieces = append(m.dirtyPieces, pc)
	}
}

// share is the number of p's share in the piece.
func (pc *piece) share(p *peer) int {
	for i := range pc.shares {
		if pc.shares[i].peer == p {
			return i
		}
	}
	return -1
}

// join is share, made if there is none.
func (pc *piece) join(p *peer) int {
	if i := pc.share(p); i >= 0 {
		return i
	}
	pc.shares = append(pc.shares, share{peer: p})
	return len(pc.shares) - 1
}

// granted takes in a grant. A newer lease than the known one says that this is over,
// and no verdict on it will come. A grant that nobody waits for is given back: usually
// it crossed our Close, or an Open that a late verdict made superfluous was before it.
func (m *Machine) granted(e Granted) {
	pc := m.pieces[e.Piece]
	if pc == nil || pc.state == closed {
		m.command(Close{e.Piece})
		return
	}
	if e.Lease < pc.lease || e.Lease == pc.lease && pc.state == checking {
		return
	}
	if pc.state == opening || e.Lease > pc.lease {
		m.adopt(pc, e.Lease)
	}
	early := pc.early
	pc.early = nil
	for _, b := range early {
		switch {
		case b.lease > e.Lease:
			pc.early = append(pc.early, b)
		case b.lease == e.Lease && pc.blocks[b.index].state != blockStored:
			m.keep(b.peer, pc, b.index)
		}
	}
	m.widen(pc, e.Room)
	m.complete(pc)
	if pc.state == open && len(pc.wants) == 0 { // the verdict on the lease before was to come, and will not
		m.abandon(pc)
	}
}

// complete notes that the last block is here, and the verdict is awaited.
func (m *Machine) complete(pc *piece) {
	if pc.state == open && pc.stored == len(pc.blocks) {
		pc.state = checking
		m.place(pc)
	}
}

// adopt starts the life of a piece under a lease, with no room yet. Requests
// that a former life left outstanding stay: their blocks can only come into
// this one.
func (m *Machine) adopt(pc *piece, l wire.Lease) {
	n := m.geo.Blocks(pc.index)
	if pc.blocks == nil {
		pc.blocks = make([]block, n)
		pc.free = n
		m.reheat(pc)
	}
	for i := range pc.blocks {
		if b := &pc.blocks[i]; b.state == blockStored {
			m.unstore(pc, i)
		}
	}
	delete(m.leases, pc.lease)
	m.opened(pc)
	pc.lease, pc.state = l, open
	pc.room = -pc.asked
	m.leases[l] = pc
	pc.suspect = m.failed(pc.index)
	m.restrict(pc)
	m.place(pc)
}

// opened notes that a piece waits for its grant no more.
func (m *Machine) opened(pc *piece) {
	if p := pc.opener; p != nil {
		pc.opener = nil
		p.opens--
		m.touch(p)
	}
}

// unstore forgets a block that was stored under a lease that is over. Who
// brought it may have been asked for it again since.
func (m *Machine) unstore(pc *piece, i int) {
	b := &pc.blocks[i]
	if b.sender >= 0 {
		s := &pc.shares[b.sender]
		if b.proven {
			s.proven--
		} else {
			s.stored--
			m.lessen(s)
		}
	}
	b.proven = false
	pc.stored--
	if b.expected() {
		b.state = blockAsked
		pc.asked++
		return
	}
	b.state = blockFree
	m.freed(pc, i)
}

// widen adds room to an open piece.
func (m *Machine) widen(pc *piece, n int) {
	pc.room += n
	m.place(pc)
	if pc.where == inReady {
		m.changed(pc)
	}
}

// moreRoom takes in room for a lease; that of a lease that is over is ignored.
func (m *Machine) moreRoom(e Room) {
	if pc := m.leases[e.Lease]; pc != nil && pc.state == open {
		m.widen(pc, e.N)
	}
}

// revoke ends a life of a piece from outside.
func (m *Machine) revoke(e Revoke) {
	pc := m.leases[e.Lease]
	if pc == nil {
		return
	}
	m.blameSilent(pc)
	m.end(pc, true)
	m.over(pc)
	m.place(pc)
	m.changed(pc)
	m.forget(pc)
}

// blameSilent snubs the peers for whose silence a lease may have been revoked.
// The disk cache may lose its patience before we lose ours; the requests are
// taken back then, and a peer that owes nothing is never found silent.
func (m *Machine) blameSilent(pc *piece) {
	for i := range pc.shares {
		if s := &pc.shares[i]; s.asked > 0 && !s.peer.snubbed && m.now-s.peer.quiet >= leastSilence/2 {
			m.snub(s.peer)
		}
	}
}

// over makes sure that a piece whose life ended from outside is closed in the
// disk cache too. If we ever closed the piece ourselves, what ended may be the
// life before that, its news having crossed our Close, and the life that our
// last Open began goes on there.
func (m *Machine) over(pc *piece) {
	if m.crossed.Has(pc.index) {
		m.command(Close{pc.index})
	}
}

// end closes the books on one life of a piece: requests for it are taken back
// (and cancelled), and its peers' exposure ends.
func (m *Machine) end(pc *piece, cancel bool) {
	for i := range pc.shares {
		s := &pc.shares[i]
		p := s.peer
		for j := len(p.asked) - 1; j >= 0 && s.asked > 0; j-- {
			if p.asked[j].piece == pc {
				m.unask(p, j, cancel)
			}
		}
		if s.stored > 0 {
			s.stored = 0
			m.lessen(s)
		}
	}
	m.unplace(pc)
	m.opened(pc)
	m.dismiss(pc)
	delete(m.leases, pc.lease)
	pc.state, pc.lease, pc.room, pc.only = closed, 0, 0, 0
	m.cool(pc)
	pc.blocks, pc.shares, pc.early, pc.spoilt = nil, nil, nil, nil
	pc.first, pc.free, pc.asked, pc.stored, pc.begun = 0, 0, 0, 0, 0
}

// lessen follows a change that left less in a share: with nothing in it, its
// peer's exposure ends.
func (m *Machine) lessen(s *share) {
	if !s.live() {
		s.peer.exposed--
		m.touch(s.peer)
	}
}
