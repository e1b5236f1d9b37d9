// Package selection decides for one torrent who is asked for what, when, and
// who is served. It is a pure state machine: time and chance are arguments, it
// reads no clock, opens no socket, starts no goroutine and iterates no map. The
// same events give the same commands, always.
//
//	      wants ─────▶ deadline.go   which piece first: earliest deadline
//	                        │
//	peers' words ──▶ peer.go│        what each has, lets us do, knows of us
//	                        ▼
//	                    pick.go ───▶ queue.go   who is asked: soonest delivery
//	                        │           │
//	      Open, Close ◀─────┤           ├─────▶ Send: request, cancel
//	      Granted, Room ────▶ piece.go  │
//	      Revoke, Verified      │       ▼
//	                            │   endgame.go  the last blocks, twice
//	                            ▼
//	                         ban.go ──────────▶ Drop: bad blocks
//	peers' requests ─▶ serve.go, choke.go ────▶ Send: choke; Load
//	                   talk.go  ──────────────▶ Send: bitfield, have, interest
//
// A torrent without wants fetches nothing and soon says it is not interested. What
// a peer should know of us is state, not a queue of messages: while its slots
// are used up nothing is lost, it is only told later.
//
// No step costs O(peers × pieces): a peer with a change looks at the pieces in
// order, a piece with a change looks at the peers that have nothing to do.
package selection

import (
	"math/rand/v2"
	"slices"
	"time"

	"bipfs/wire"
)

// Config is what a machine is made from.
type Config struct {
	Seed   uint64 // of its chance
	Upload bool   // serve peers
}

// Machine is the state of one torrent. It is not safe for concurrent use.
type Machine struct {
	now    time.Duration
	chance *rand.Rand
	upload bool

	known  bool
	leaves bool // blocks may be verified one by one
	proved bool // one was
	geo    wire.Geometry
	full   wire.Bitfield // all pieces; shared by all seeds
	have   wire.Bitfield // verified, with the disk cache
	held   int           // how many
	given  []wire.Piece  // the pieces that others were given last, the last one at the end
	log    []wire.Piece  // every piece that came or went, in order: what peers are told
	gone   bool          // a piece has gone: what each peer knows is kept; see news.go

	peers []*peer
	index map[wire.Peer]*peer
	clock alarms
	purse purse

	wants    map[wire.Reader]*want
	pieces   map[wire.Piece]*piece // looked up, never iterated
	leases   map[wire.Lease]*piece
	needed   wire.Bitfield // wanted and not here
	missing  int           // how many
	standing [3]int        // wants, by their classes
	asideTo  time.Duration // until when the background steps aside, or never
	restAt   time.Duration // when interest ends if nothing is needed until then
	crossed  wire.Bitfield // closed by us at some time: see over
	askable  wire.Bitfield // the pieces of ready
	ready    edf
	// readyOpen is how many of ready are open: they have free blocks.
	readyOpen int
	opening   edf
	busy      edf
	promised  int // blocks of the pieces in opening

	dirtyPeers  []*peer
	dirtyPieces []*piece
	hungry      []*peer       // could be sent a request now
	hunger      int           // how many requests they could take
	fresh       int           // unchoked peers that have proven nothing
	hold        []*peer       // wanted to open a piece and were told to wait
	budget      bool          // fewer pieces wait for their grant than did
	trip        time.Duration // how long peers take to answer first, on average; 0: none has
	copies      int64         // bytes that may be asked for twice of peers that are stalled
	doubles     int           // requests for blocks that another peer was asked for too
	hot         int           // wants of blocks, where they are verified by leaves
	offers      []offer

	interested int // peers that want something of us
	roundAt    time.Duration
	rounds     int
	optimistic *peer

	bad         []*failure
	badDigests  int
	verdicts    [mostVerdicts]verdict
	nextVerdict int

	wasted   int64
	failures int
	dropped  int
	banned   int

	commands []Command
}

const never = time.Duration(1<<63 - 1)

// New is the machine of a torrent without geometry, peers or wants.
func New(c Config) *Machine {
	return &Machine{
		chance:  rand.New(rand.NewPCG(c.Seed, 0)),
		upload:  c.Upload,
		index:   map[wire.Peer]*peer{},
		wants:   map[wire.Reader]*want{},
		pieces:  map[wire.Piece]*piece{},
		leases:  map[wire.Lease]*piece{},
		roundAt: never,
		restAt:  never,
		asideTo: never,
		copies:  mostCopies * wire.BlockSize,
	}
}

// Step takes in an event. now never goes back; if it does, the latest counts.
func (m *Machine) Step(now time.Duration, e Event) {
	m.now = max(m.now, now)
	m.take(e)
	m.ring()
	m.work()
}

// Ready is what is to be done, in order, since Ready was last called. It is
// valid until the next Step.
func (m *Machine) Ready() []Command {
	c := m.commands
	m.commands = m.commands[:0]
	return c
}

// Next is when the machine wants a Wake at the latest, if it does.
func (m *Machine) Next() (time.Duration, bool) {
	at := min(m.clock.next(), m.roundAt, m.restAt, m.asideTo)
	return at, at != never
}

func (m *Machine) take(e Event) {
	switch e := e.(type) {
	case Geometry:
		m.geometry(e)
	case PeerConnect:
		m.connect(e)
	case PeerDisconnect:
		m.disconnect(e.Peer)
	case Received:
		if p := m.index[e.Peer]; p != nil && !p.dropped {
			m.received(p, e)
		}
	case Limits:
		if p := m.index[e.Peer]; p != nil {
			m.limit(p, e)
		}
	case DontHave:
		if p := m.index[e.Peer]; p != nil && !p.dropped {
			m.lost(p, e.Piece)
		}
	case Allow:
		if p := m.index[e.Peer]; p != nil && !p.dropped {
			p.gifts = e.Pieces[:min(len(e.Pieces), mostGifts)]
			m.give(p)
		}
	case Stored:
		m.store(e)
	case Written:
		if p := m.index[e.Peer]; p != nil {
			m.written(p, e)
		}
	case Unloaded:
		if p := m.index[e.Peer]; p != nil {
			m.written(p, Written{Loads: 1})
			m.pay(-int64(e.Block.Length))
			m.reject(p, e.Block)
		}
	case Starved:
		if p := m.index[e.Peer]; p != nil {
			m.starved(p, e.Block)
		}
	case Granted:
		m.granted(e)
	case Room:
		m.moreRoom(e)
	case Revoke:
		m.revoke(e)
	case Verified:
		m.verify(e)
	case Proven:
		m.prove(e)
	case Spoiled:
		m.spoil(e)
	case Evicted:
		m.evicted(e.Piece)
	case Want:
		m.want(e)
	case Unwant:
		m.unwant(e.Reader)
	case Upload:
		m.upload = e.On
		m.appraise()
	case Aside:
		m.stepAside()
	case Limited:
		m.limited(e)
	case Credit:
		m.credited(e)
	}
}

// command adds to what is to be done.
func (m *Machine) command(c Command) { m.commands = append(m.commands, c) }

// geometry takes in the shape of the torrent.
func (m *Machine) geometry(e Geometry) {
	n := e.Pieces()
	if m.known || n == 0 {
		return
	}
	m.known, m.geo, m.leaves = true, e.Geometry, e.Leaves
	m.full = wire.FullBitfield(n)
	m.have = wire.NewBitfield(n)
	m.needed, m.askable, m.crossed = wire.NewBitfield(n), wire.NewBitfield(n), wire.NewBitfield(n)
	if e.Have.Fits(n) {
		copy(m.have, e.Have)
	}
	m.held = m.have.Count()
	for i := range n {
		if p := wire.Piece(i); m.have.Has(p) {
			m.log = append(m.log, p)
		}
	}
	for _, p := range slices.Clone(m.peers) {
		m.settle(p)
		m.touch(p)
	}
}

// ring handles what is due at this time.
func (m *Machine) ring() {
	for m.clock.next() <= m.now {
		p := m.clock.pop()
		m.alarmed(p)
		m.touch(p)
	}
	if m.roundAt <= m.now {
		m.round()
	}
	if m.restAt <= m.now {
		m.rest()
	}
	if m.asideTo <= m.now {
		m.comeBack()
	}
}

// work gives all that a step changed its consequences. Each peer with a change
// looks at the pieces, each piece with a change at the hungry peers.
func (m *Machine) work() {
	for len(m.dirtyPeers) > 0 || len(m.dirtyPieces) > 0 || m.budget && len(m.hold) > 0 {
		peers, pieces := m.dirtyPeers, m.dirtyPieces
		m.dirtyPeers, m.dirtyPieces = nil, nil
		for _, p := range peers {
			p.dirty = false
			m.control(p)
			m.refresh(p)
		}
		slices.SortFunc(pieces, order)
		for _, pc := range pieces {
			pc.dirty = false
			m.deal(pc)
		}
		for _, p := range peers {
			m.feed(p)
			m.serve(p)
			m.tell(p)
		}
		m.release()
		if m.dirtyPeers == nil {
			clear(peers)
			m.dirtyPeers = peers[:0]
		}
		if m.dirtyPieces == nil {
			clear(pieces)
			m.dirtyPieces = pieces[:0]
		}
	}
	m.budget = false
}

// Counters is what a torrent has cost so far.
type Counters struct {
	Wasted       int64 // bytes of asked blocks that nothing took
	HashFailures int   // pieces that did not verify
	Dropped      int   // connections dropped for what the peer did
	Banned       int   // addresses banned for bad blocks
}

// Counters is what the torrent has cost so far.
func (m *Machine) Counters() Counters {
	return Counters{m.wasted, m.failures, m.dropped, m.banned}
}

// Useful reports whether a peer is here that could bring something that is
// wanted: it has it, is not silent, and has unchoked us or soon may.
func (m *Machine) Useful() bool {
	for _, p := range m.peers {
		if p.dropped || p.snubbed || p.chokes && m.now-p.chokedSince > hopeTime && len(p.allowed) == 0 {
			continue
		}
		if _, ok := common(m.needed, p.has); ok {
			return true
		}
	}
	return false
}

// Status is what is known of one peer.
type Status struct {
	Peer        wire.Peer
	Rate        int64         // bytes a second it can deliver; 0 is unknown
	RTT         time.Duration // 0 is unknown
	Outstanding int           // requests it has not answered
	Verified    int           // pieces that verified with blocks of it
	Pieces      int           // pieces it has
	Chokes      bool          // it chokes us
	Choked      bool          // we choke it
	Interested  bool          // it is interested in us
	Snubbed     bool          // it owes us blocks and is silent
	Stalled     bool          // the same, but not yet for so long that it is given up
}

// Peers yields the peers in the order of a list that changes with the peers.
func (m *Machine) Peers(yield func(Status) bool) {
	for _, p := range m.peers {
		if !yield(Status{
			Peer: p.id, Rate: p.rate.rate, RTT: p.rate.rtt, Outstanding: len(p.asked),
			Verified: p.verified, Pieces: p.has.Count(), Chokes: p.chokes, Choked: p.choke.does,
			Interested: p.interested, Snubbed: p.snubbed, Stalled: p.stalled,
		}) {
			return
		}
	}
}
