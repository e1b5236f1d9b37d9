package selection

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"bipfs/wire"
)

// peer is all that is known of one connection.
type peer struct {
	id      wire.Peer
	addr    netip.Addr
	kind    Kind
	at      int // in Machine.peers
	fast    bool
	dropped bool // a Drop was commanded: nothing more is sent or heard
	dirty   bool

	convicted bool // it was dropped, or banned when it was already, for bad blocks

	slots, mostSlots int // messages
	loads, mostLoads int // blocks to it

	// What it has. Before the geometry is known: its words as they came.
	has        wire.Bitfield
	told       bool // it has said which pieces it has
	earlyField []byte
	earlyAll   bool
	earlyHaves []wire.Piece

	// What it lets us do, and does.
	chokes      bool
	chokedSince time.Duration
	allowed     []wire.Piece  // although it chokes (BEP 6)
	eager       time.Duration // until when it is asked ahead of its unchoke; 0: it is not
	refused     []refusal
	reqq        int  // requests it says it queues
	most        int  // requests it seems to queue
	filling     bool // its queue, which is of Ranges, is filled up
	asked       []request
	cancels     []wire.Block // cancelled, the cancel not sent yet
	ghosts      []ghost      // cancelled, and BEP 6 promises an answer
	forgets     bool         // it has broken that promise
	rate        meter
	quiet       time.Duration // since when it owes us something and is silent
	snubbed     bool
	stalled     bool           // silent for stallTime
	owed        time.Duration  // how long it had been silent when the last of what it owed was taken back
	trip        *time.Duration // Machine.trip
	way         time.Duration  // about a round trip, as connecting took; 0: unknown
	again       time.Duration  // when what it leaves to others is looked at again; 0: never
	late        bool           // it is fresh, and silent for shareTime
	mute        time.Duration  // how long it was left alone last
	muted       time.Duration  // until when it is left alone
	hungryAt    int            // in Machine.hungry, or -1
	hunger      int            // its part of Machine.hunger
	thirst      int            // its part of purse.thirst
	countsFresh bool           // it is counted in Machine.fresh
	held        bool           // it is in Machine.hold
	soleOf      []*piece       // it alone may deliver these

	// How far it is trusted.
	verified int
	streak   int           // verified pieces since one with a part in it failed
	proven   int           // blocks of it in them
	leaves   int           // blocks proven by their leaves since then
	first    time.Duration // when its first block came; 0: none has
	trusted  bool          // its trial is over
	exposed  int           // open pieces with something unverified of it
	suspect  time.Duration // until when it may only fetch suspect pieces; 0: it is not suspected
	opens    int           // pieces that wait for a grant on its behalf
	unasked  int
	noise    int
	noiseAt  time.Duration

	// What it should know of us, and does.
	greeted  bool
	announce int           // of Machine.log: it was told so many
	knows    wire.Bitfield // what it believes we have; nil until a piece has gone
	behind   bool          // it is to be told all that it does not know
	unsure   wire.Bitfield // of these it may believe anything; nil: none
	dontHave uint8         // what it calls lt_donthave (BEP 54); 0: it does not speak it
	interest fact
	choke    fact

	// What it wants of us.
	interested bool
	since      time.Duration // of its interest
	requests   []wire.Block
	gifts      []wire.Piece // what it may ask for while choked (BEP 6)
	given      int          // of them, it was told so many
	allowance  int64        // bytes it may still take so
	newcomer   bool         // it is told of gifts
	advice     []wire.Piece // still to be suggested to it
	turn       int64        // bytes since it was unchoked
	turnAt     time.Duration
	rejects    []wire.Block
	received   int64 // payload bytes in this round
	sent       int64

	alarm   time.Duration
	alarmAt int // in the heap, or -1
}

// fact is something about us that a peer should know, and does.
type fact struct{ should, does bool }

// ghost is a cancelled request that is not answered yet. While there is one,
// nothing of its piece is asked of its peer: the answer to the cancelled
// request could not be told from that to the new one. The ghosts are in the
// order of until, when the peer has broken the promise of an answer: it is not
// believed again.
type ghost struct {
	block  wire.Block
	until  time.Duration
	lacked bool // when it was cancelled: the answer may still be taken
}

// refusal is a piece a peer rejected a request for.
type refusal struct {
	piece wire.Piece
	until time.Duration
}

func (m *Machine) connect(e PeerConnect) {
	if m.index[e.Peer] != nil {
		panic("selection: a peer's number was used twice")
	}
	p := &peer{
		id: e.Peer, addr: e.Addr, kind: e.Kind, fast: e.Fast, at: len(m.peers),
		slots: e.Slots, mostSlots: e.Slots, loads: e.Loads, mostLoads: e.Loads,
		chokes: true, chokedSince: m.now, reqq: defaultReqq, most: defaultReqq,
		hungryAt: -1, alarm: never, alarmAt: -1, noiseAt: m.now,
		choke: fact{true, true}, rate: meter{depth: firstDepth}, trip: &m.trip, way: e.Trip,
	}
	m.peers = append(m.peers, p)
	m.index[p.id] = p
	m.touch(p)
}

func (m *Machine) disconnect(id wire.Peer) {
	p := m.index[id]
	if p == nil {
		return
	}
	m.quit(p)
	m.clock.remove(p)
	last := m.peers[len(m.peers)-1]
	m.peers[p.at], last.at = last, p.at
	m.peers = m.peers[:len(m.peers)-1]
	delete(m.index, id)
}

// quit takes a peer out of everything but the list of peers: it is gone, or
// about to be.
func (m *Machine) quit(p *peer) {
	for j := len(p.asked) - 1; j >= 0; j-- {
		pc := p.asked[j].piece
		m.unask(p, j, false)
		m.changed(pc)
	}
	p.dropped = true
	m.yield(p)
	m.hear(p, false)
	p.requests, p.rejects, p.cancels = nil, nil, nil
	m.refresh(p)
}

// drop ends a connection for what the peer did.
func (m *Machine) drop(p *peer, why string) {
	if p.dropped {
		return
	}
	m.dropped++
	m.quit(p)
	m.command(Drop{Peer: p.id, Reason: why, Addr: p.addr})
}

// touch notes that something about p changed.
func (m *Machine) touch(p *peer) {
	if !p.dirty {
		p.dirty = true
		m.dirtyPeers = append(m.dirtyPeers, p)
	}
}

// received takes in a message.
func (m *Machine) received(p *peer, e Received) {
	switch w := e.Message; w.Kind {
	case wire.Choke, wire.Unchoke:
		m.choked(p, w.Kind == wire.Choke)
	case wire.Interested, wire.NotInterested:
		if p.interested == (w.Kind == wire.Interested) {
			m.noisy(p)
		}
		m.hear(p, w.Kind == wire.Interested)
	case wire.Have:
		m.hasPiece(p, w.Piece)
	case wire.HaveBitfield:
		m.hasField(p, e.Payload)
	case wire.HaveAll, wire.HaveNone:
		m.hasAll(p, w.Kind == wire.HaveAll)
	case wire.Request:
		m.request(p, w.Block())
	case wire.Cancel:
		m.cancelled(p, w.Block())
	case wire.PieceBlock:
		m.unasked(p)
	case wire.Reject:
		m.rejected(p, w.Block())
	case wire.AllowedFast:
		m.allow(p, w.Piece)
	case wire.Suggest:
		if m.speaksFast(p) {
			m.noisy(p)
		}
	}
}

// settle judges what a peer said before the geometry was known.
func (m *Machine) settle(p *peer) {
	field, all, haves := p.earlyField, p.earlyAll, p.earlyHaves
	p.earlyField, p.earlyHaves = nil, nil
	n := m.geo.Pieces()
	switch {
	case all:
		p.has = m.full
	case field != nil:
		if !wire.Bitfield(field).Fits(n) {
			m.drop(p, badBitfield)
			return
		}
		p.has = field
	}
	for _, i := range haves {
		if !m.geo.Valid(i) {
			m.drop(p, badHave)
			return
		}
		if p.has == nil {
			p.has = wire.NewBitfield(n)
		}
		if !p.has.Has(i) {
			p.has.Set(i)
		}
	}
}

// look finds out whether p has anything that is needed.
func (m *Machine) look(p *peer) {
	_, ok := common(m.needed, p.has)
	p.interest.should = ok && !p.dropped
	m.touch(p)
}

// aloof yields the peers that nothing of interest was known of.
func (m *Machine) aloof() func(func(int, *peer) bool) {
	return func(yield func(int, *peer) bool) {
		for i, p := range m.peers {
			if !p.interest.should && !p.dropped && !yield(i, p) {
				return
			}
		}
	}
}

// attract notes that p has something that is needed.
func (m *Machine) attract(p *peer) {
	if !p.interest.should {
		p.interest.should = true
		m.touch(p)
	}
}

// choked takes in a choke or unchoke of us. Without BEP 6 a choke drops all
// requests; with it each is rejected by a message of its own.
func (m *Machine) choked(p *peer, chokes bool) {
	if p.chokes == chokes {
		m.noisy(p)
		return
	}
	p.chokes = chokes
	m.touch(p)
	if !chokes {
		p.refused = p.refused[:0]
		return
	}
	m.noisy(p)
	p.chokedSince = m.now
	m.yield(p)
	p.eager = 0
	if p.fast {
		return
	}
	p.forgive(len(p.asked))
	for j := len(p.asked) - 1; j >= 0; j-- {
		m.unask(p, j, false)
	}
	p.cancels = p.cancels[:0]
}

// allow takes in an allowed-fast (BEP 6).
func (m *Machine) allow(p *peer, i wire.Piece) {
	switch {
	case !m.speaksFast(p):
	case m.known && !m.geo.Valid(i):
		m.drop(p, badAllowed)
	case len(p.allowed) < mostAllowed && !slices.Contains(p.allowed, i):
		p.allowed = append(p.allowed, i)
		m.touch(p)
	default:
		m.noisy(p)
	}
}

// written takes back slots.
func (m *Machine) written(p *peer, e Written) {
	p.slots += e.Messages
	p.loads += e.Loads
	if p.slots > p.mostSlots || p.loads > p.mostLoads {
		panic("selection: more slots came back than were taken")
	}
	m.touch(p)
}

// common is the first piece that is in both sets.
func common(a, b wire.Bitfield) (wire.Piece, bool) { return commonFrom(a, b, 0) }

// commonFrom is common from a piece on, which must be a multiple of 8.
func commonFrom(a, b wire.Bitfield, from wire.Piece) (wire.Piece, bool) {
	n := min(len(a), len(b))
	i := int(from / 8)
	for ; i+8 <= n; i += 8 {
		if w := binary.BigEndian.Uint64(a[i:]) & binary.BigEndian.Uint64(b[i:]); w != 0 {
			return wire.Piece(i*8 + bits.LeadingZeros64(w)), true
		}
	}
	for ; i < n; i++ {
		if w := a[i] & b[i]; w != 0 {
			return wire.Piece(i*8 + bits.LeadingZeros8(w)), true
		}
	}
	return 0, false
}
