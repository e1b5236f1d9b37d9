package replay

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// strategy decides which blocks are asked of whom. selection.Machine is one;
// others, simpler, are in strategy_test.go.
type strategy interface {
	Step(time.Duration, selection.Event)
	Ready() []selection.Command
	Next() (time.Duration, bool)
}

// Of a course.
const (
	courseTime  = 100 * time.Second
	courseSeek  = 20 * time.Second // the player jumps so often
	courseAhead = 16               // pieces that it wants ahead
	courseFill  = time.Second      // and plays so long after it at the earliest
	coursePiece = 1 << 20
)

// course is a swarm of uneven peers and a player that jumps: what a strategy is
// measured by. Unlike world it has no faults of ours and keeps no books: memory
// is plenty, pieces are right, and a strategy may be as simple as it likes.
//
//	player ─wants─▶ strategy ─requests─▶ peers ─blocks─▶ pieces ─▶ player
type course struct {
	future
	geo      wire.Geometry
	by       strategy
	pending  []selection.Event
	stepping bool
	wakeAt   time.Duration

	peers map[wire.Peer]*courser
	lives map[wire.Piece]*courseLife
	have  wire.Bitfield
	lease wire.Lease

	rate   int64 // of the player, bytes a second
	at     wire.Piece
	jumped int                        // how often it has
	since  time.Duration              // when it did last
	played bool                       // the first piece after that has come
	late   bool                       // it waits for a later one
	wants  map[wire.Piece]wire.Reader // and their numbers
	ids    wire.Reader

	starts           []time.Duration // from a jump to its first piece
	pieces, misses   int             // played after that, and those that were late
	received, wasted int             // blocks that came, and those in vain
}

// courseLife is an open piece.
type courseLife struct {
	lease  wire.Lease
	here   []bool
	stored int
}

// courser is a peer that sends what it is asked for in order, at its own pace.
type courser struct {
	c       *course
	id      wire.Peer
	each    time.Duration // a block
	trip    time.Duration // one way
	silent  bool
	stalls  bool // it does nothing for two seconds, now and then
	idleAt  time.Duration
	out, in lane
	queue   []wire.Block
	busy    bool
}

func newCourse(seed uint64, by strategy) *course {
	c := &course{by: by, wakeAt: -1, peers: map[wire.Peer]*courser{}, lives: map[wire.Piece]*courseLife{}, wants: map[wire.Piece]wire.Reader{}}
	c.chance = rand.New(rand.NewPCG(seed, 3))
	c.geo = wire.Geometry{Length: 1024 * coursePiece, PieceLength: coursePiece}
	c.have = wire.NewBitfield(c.geo.Pieces())
	c.step(selection.Geometry{Geometry: c.geo, Have: wire.NewBitfield(c.geo.Pieces())})
	var sum int64
	for i := range 4 + c.chance.IntN(12) {
		p := &courser{c: c, id: wire.Peer(i + 1), trip: c.between(5*time.Millisecond, 80*time.Millisecond), out: lane{f: &c.future}, in: lane{f: &c.future}}
		rate := int64(200_000) << c.chance.IntN(5)
		switch n := c.chance.IntN(10); {
		case i < 3:
			sum += rate // some are sound in each course
		case n == 0:
			p.silent = true
		case n == 1:
			rate = 20_000
		case n <= 3:
			p.stalls = true
		default:
			sum += rate
		}
		p.each = time.Duration(int64(wire.BlockSize) * int64(time.Second) / rate)
		c.peers[p.id] = p
		c.step(selection.PeerConnect{Peer: p.id, Slots: 1 << 20, Loads: 1, Fast: true, Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
		c.after(c.between(0, 200*time.Millisecond), func() {
			c.step(selection.Received{Peer: p.id, Message: wire.Message{Kind: wire.HaveAll}})
			c.step(selection.Received{Peer: p.id, Message: wire.Message{Kind: wire.Unchoke}})
		})
	}
	c.rate = sum / 2
	c.after(300*time.Millisecond, c.jump)
	return c
}

// run plays to the end.
func (c *course) run() {
	for c.now < courseTime && c.next() {
	}
}

// jump is the player's seek.
func (c *course) jump() {
	c.jumped++
	c.at = wire.Piece(c.chance.IntN(c.geo.Pieces() - 128))
	c.since, c.played, c.late = c.now, false, false
	c.look()
	c.after(courseSeek, c.jump)
}

// look moves the player's wants to where it is.
func (c *course) look() {
	each := time.Duration(coursePiece * int64(time.Second) / c.rate)
	last := c.at + courseAhead
	for _, p := range slices.Sorted(maps.Keys(c.wants)) {
		if p < c.at || p > last || c.have.Has(p) {
			id := c.wants[p]
			delete(c.wants, p)
			c.step(selection.Unwant{Reader: id})
		}
	}
	for p := c.at; p <= last; p++ {
		if c.have.Has(p) {
			continue
		}
		id, wanted := c.wants[p]
		if wanted && p > c.at {
			continue
		}
		if !wanted {
			c.ids++
			id = c.ids
			c.wants[p] = id
		}
		w := selection.Want{Reader: id, Extent: c.geo.Whole(p), Class: selection.ReadAhead, Deadline: c.now + time.Duration(p-c.at)*each}
		if p == c.at {
			w.Class = selection.Now
		}
		c.step(w)
	}
	if c.have.Has(c.at) {
		c.play(each)
	}
}

// play takes the piece that the player is at, and looks at the next when it is due.
func (c *course) play(each time.Duration) {
	wait := each
	if !c.played {
		c.played = true
		c.starts = append(c.starts, c.now-c.since)
		wait += max(0, c.since+courseFill-c.now)
	}
	mine := c.jumped
	c.at++
	c.after(wait, func() {
		if mine != c.jumped {
			return
		}
		c.pieces++
		if !c.have.Has(c.at) {
			c.misses++
			c.late = true
		}
		c.look()
	})
}

// step tells the strategy, and does as it says.
func (c *course) step(e selection.Event) {
	c.pending = append(c.pending, e)
	if c.stepping {
		return
	}
	c.stepping = true
	for len(c.pending) > 0 {
		e := c.pending[0]
		c.pending = c.pending[1:]
		c.by.Step(c.now, e)
		for _, cmd := range slices.Clone(c.by.Ready()) {
			c.do(cmd)
		}
	}
	c.stepping = false
	at, ok := c.by.Next()
	if !ok || c.wakeAt >= c.now && c.wakeAt <= at {
		return
	}
	c.wakeAt = max(at, c.now)
	mine := c.wakeAt
	c.after(mine-c.now, func() {
		if c.wakeAt == mine {
			c.wakeAt = -1
			c.step(selection.Wake{})
		}
	})
}

func (c *course) do(cmd selection.Command) {
	switch cmd := cmd.(type) {
	case selection.Send:
		p := c.peers[cmd.Peer]
		p.out.post(p.trip, func() { p.hear(cmd.Message) })
		c.step(selection.Written{Peer: cmd.Peer, Messages: 1})
	case selection.Open:
		c.lease++
		c.lives[cmd.Piece] = &courseLife{lease: c.lease, here: make([]bool, c.geo.Blocks(cmd.Piece))}
		c.step(selection.Granted{Piece: cmd.Piece, Lease: c.lease, Room: c.geo.Blocks(cmd.Piece)})
	case selection.Close:
		if l := c.lives[cmd.Piece]; l != nil {
			c.wasted += l.stored
			delete(c.lives, cmd.Piece)
		}
	}
}

// hear is a message that came to the peer.
func (p *courser) hear(m wire.Message) {
	switch m.Kind {
	case wire.Request:
		p.queue = append(p.queue, m.Block())
		if !p.busy && !p.silent {
			p.send()
		}
	case wire.Cancel:
		if i := slices.Index(p.queue, m.Block()); i >= 0 && (i > 0 || !p.busy) {
			p.queue = slices.Delete(p.queue, i, i+1)
			p.in.post(p.trip, func() {
				p.c.step(selection.Received{Peer: p.id, Message: wire.Of(wire.Reject, m.Block())})
			})
		}
	}
}

// send sends the oldest block that was asked for, then the next.
func (p *courser) send() {
	p.busy = len(p.queue) > 0
	if !p.busy {
		return
	}
	c := p.c
	took := p.each/2 + c.between(0, p.each)
	if p.stalls && c.now >= p.idleAt {
		if p.idleAt > 0 {
			took += 2 * time.Second
		}
		p.idleAt = c.now + c.between(3*time.Second, 12*time.Second)
	}
	c.after(took, func() {
		b := p.queue[0]
		p.queue = p.queue[1:]
		p.in.post(p.trip, func() { c.arrive(p, b) })
		p.send()
	})
}

// arrive is a block that came.
func (c *course) arrive(p *courser, b wire.Block) {
	c.received++
	l, i := c.lives[b.Piece], c.geo.Index(b)
	if l == nil || l.here[i] {
		c.wasted++
		c.step(selection.Stored{Peer: p.id, Block: b})
		return
	}
	l.here[i] = true
	l.stored++
	c.step(selection.Stored{Peer: p.id, Block: b, Lease: l.lease})
	if l.stored < len(l.here) || c.lives[b.Piece] != l {
		return
	}
	delete(c.lives, b.Piece)
	c.have.Set(b.Piece)
	c.step(selection.Verified{Piece: b.Piece, Lease: l.lease, OK: true})
	if b.Piece == c.at && (!c.played || c.late) {
		c.late = false
		c.look()
	}
}
