package replay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// nature is how a peer behaves.
type nature int

const (
	honest  nature = iota
	slow           // a block now and then
	silent         // unchokes and never sends
	boaster        // says it has everything, and has half
	corrupt        // sends bad blocks, by habit
	flapper        // chokes and unchokes all the time
	natures
)

var names = [...]string{"honest", "slow", "silent", "boaster", "corrupt", "flapper"}

// theirDontHave is what they call lt_donthave.
const theirDontHave = 9

// host is somebody in the swarm, with one address and one connection at a time.
type host struct {
	w      *world
	nature nature
	habit  habit // of a corrupt one
	turn   int   // its own, of liars that take turns
	guilty bool  // a piece with a lie of it failed
	addr   netip.Addr
	fast   bool
	speaks bool          // lt_donthave (BEP 54)
	lost   wire.Bitfield // what it has had
	kind   selection.Kind
	has    wire.Bitfield
	says   wire.Bitfield
	each   time.Duration // per block
	trip   time.Duration // one way
	conn   *conn
	banned bool
	steady bool // its connections do not break
	prompt bool // it unchokes whoever is interested
}

// lose takes a piece from a host, and says so if it speaks the word. The first
// host and corrupt ones keep what they have.
func (h *host) lose(p wire.Piece) {
	c := h.conn
	if h == h.w.hosts[0] || h.nature != honest || !h.has.Has(p) || !h.speaks || c == nil || !c.open {
		return
	}
	h.has.Clear(p) // says is the same set
	if h.lost == nil {
		h.lost = wire.NewBitfield(h.w.geo.Pieces())
	}
	h.lost.Set(p)
	for _, b := range slices.Clone(c.queue) {
		if b.Piece == p {
			c.queue = slices.DeleteFunc(c.queue, func(o wire.Block) bool { return o == b })
			c.refuse(b)
		}
	}
	c.in.post(h.trip, func() {
		if c.open {
			c.post(selection.DontHave{Peer: c.id, Piece: p})
		}
	})
}

// conn is one connection, both of its ends and what is between them.
type conn struct {
	h      *host
	id     wire.Peer
	open   bool
	reader lane // their messages to the loop
	writer lane // slots to the loop
	out    lane // our messages to them
	in     lane // their messages to our end
	slots  int
	loads  int
	used   int // slots in use, as the shell sees it
	using  int // load slots
	asked  map[wire.Block]int

	queue  []wire.Block // at their end
	busy   bool
	chokes bool
	choked bool
	ours   wire.Bitfield // what we said we have
	gifts  wire.Bitfield // what we allowed it while choked
	hunger int           // blocks they still ask us for
}

func (h *host) connect() {
	w := h.w
	if h.conn != nil || h.banned {
		return
	}
	w.ids++
	f := &w.future
	c := &conn{
		h: h, id: w.ids, open: true, chokes: true, choked: true, asked: map[wire.Block]int{},
		ours: wire.NewBitfield(w.geo.Pieces()), gifts: wire.NewBitfield(w.geo.Pieces()), hunger: w.chance.IntN(60),
		slots: 1 + w.chance.IntN(8), loads: 1 + w.chance.IntN(3),
		reader: lane{f: f}, writer: lane{f: f}, out: lane{f: f}, in: lane{f: f},
	}
	h.conn = c
	w.conns[c.id] = c
	c.post(selection.PeerConnect{Peer: c.id, Slots: c.slots, Loads: c.loads, Kind: h.kind, Fast: h.fast, Addr: h.addr, Trip: 2 * h.trip})
	if h.speaks {
		c.post(selection.Limits{Peer: c.id, DontHave: theirDontHave})
	}
	if h.fast {
		c.post(selection.Allow{Peer: c.id, Pieces: []wire.Piece{0, wire.Piece(w.geo.Pieces() / 2)}})
	}
	if h.fast && h.says.Count() == w.geo.Pieces() {
		c.say(wire.Message{Kind: wire.HaveAll}, nil)
	} else {
		c.say(wire.Message{Kind: wire.HaveBitfield}, h.says.Clone())
	}
	if h.has.Count() < w.geo.Pieces() && w.faults() {
		c.say(wire.Message{Kind: wire.Interested}, nil)
		w.after(w.between(0, 2*faultTime), func() { c.say(wire.Message{Kind: wire.NotInterested}, nil) })
	}
	hesitates := 3 * time.Second
	if h.steady {
		hesitates = 300 * time.Millisecond
	}
	if !h.prompt {
		w.after(w.between(0, hesitates), c.unchoke)
	}
	if h.nature == flapper {
		w.after(w.between(time.Second, 5*time.Second), c.flap)
	}
	if w.faults() && !h.steady {
		w.after(w.between(0, 40*time.Second), func() {
			if w.faults() && w.odds(50) {
				c.end()
			}
		})
	}
}

// end breaks the connection, at both ends at once.
func (c *conn) end() {
	if !c.open {
		return
	}
	c.open = false
	c.h.conn = nil
	c.reader.post(0, func() {
		c.h.w.step(selection.PeerDisconnect{Peer: c.id})
		delete(c.h.w.conns, c.id)
	})
	c.h.w.after(c.h.w.between(0, 10*time.Second), c.h.connect)
}

// post is an event of this connection's reader.
func (c *conn) post(e selection.Event) {
	c.reader.post(c.h.w.between(0, c.h.w.inbox), func() { c.h.w.step(e) })
}

// say sends a message of theirs to us.
func (c *conn) say(m wire.Message, payload []byte) {
	c.in.post(c.h.trip, func() {
		if c.open {
			m.Payload = uint32(len(payload))
			if m.Kind == wire.Reject {
				delete(c.asked, m.Block())
			}
			c.post(selection.Received{Peer: c.id, Message: m, Payload: payload})
		}
	})
}

func (c *conn) unchoke() {
	if c.open && c.chokes {
		c.chokes = false
		c.say(wire.Message{Kind: wire.Unchoke}, nil)
	}
}

func (c *conn) flap() {
	if !c.open {
		return
	}
	if w := c.h.w; w.faults() {
		w.after(w.between(0, 4*time.Second), c.flap)
		if !c.chokes {
			c.chokes = true
			c.say(wire.Message{Kind: wire.Choke}, nil)
			for _, b := range c.queue {
				c.refuse(b)
			}
			c.queue = nil
			return
		}
	}
	c.unchoke()
}

func (c *conn) refuse(b wire.Block) {
	if c.h.fast {
		c.say(wire.Of(wire.Reject, b), nil)
	}
}

// send is a command of the machine: the message is in the lane until it is on
// the socket, then it travels.
func (c *conn) send(m wire.Message, payload []byte) {
	w := c.h.w
	if c.used++; c.used > c.slots {
		w.fail("peer %d: %v overflows its %d slots", c.id, m, c.slots)
	}
	c.out.post(w.between(0, w.writing), func() {
		c.used--
		if !c.open {
			return
		}
		starved := m.Kind == wire.Request && w.scarce && w.faults() && w.odds(20)
		if m.Kind == wire.Request && !starved {
			c.asked[m.Block()]++
		}
		c.writer.post(w.between(0, w.inbox), func() {
			if w.conns[c.id] != nil {
				w.step(selection.Written{Peer: c.id, Messages: 1})
			}
		})
		if starved {
			c.writer.post(w.between(0, w.inbox), func() {
				if w.conns[c.id] != nil {
					w.step(selection.Starved{Peer: c.id, Block: m.Block()})
				}
			})
			return
		}
		w.after(c.h.trip, func() { c.hear(m, payload) })
	})
}

// load is a command of the machine too.
func (c *conn) load(b wire.Block) {
	w := c.h.w
	if c.using++; c.using > c.loads {
		w.fail("peer %d: %v overflows its %d load slots", c.id, b, c.loads)
	}
	if !c.h.w.loadable(b) {
		w.fail("peer %d: %v is served and not there", c.id, b)
	}
	w.after(w.between(0, 100*time.Millisecond), func() {
		c.using--
		if !c.open {
			return
		}
		c.writer.post(w.between(0, w.inbox), func() {
			if w.conns[c.id] != nil {
				w.step(selection.Written{Peer: c.id, Loads: 1})
			}
		})
		w.served++
		c.want()
	})
}

// hear is their end taking in a message of ours.
func (c *conn) hear(m wire.Message, payload []byte) {
	if !c.open {
		return
	}
	switch m.Kind {
	case wire.Request:
		c.hearRequest(m.Block())
	case wire.Cancel:
		if c.h.nature == corrupt && c.h.habit == tooLate {
			return
		}
		if i := slices.Index(c.queue, m.Block()); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
			c.refuse(m.Block())
		}
	case wire.Interested:
		if c.h.prompt {
			c.unchoke()
		}
	case wire.Choke, wire.Unchoke:
		c.choked = m.Kind == wire.Choke
		c.want()
	case wire.HaveAll:
		c.ours = wire.FullBitfield(c.h.w.geo.Pieces())
	case wire.HaveBitfield:
		c.ours = wire.Bitfield(payload).Clone()
	case wire.Have:
		if c.ours.Has(m.Piece) && !c.h.lost.Has(m.Piece) {
			c.h.w.fail("peer %d is told twice of piece %d", c.id, m.Piece)
		}
		c.ours.Set(m.Piece)
		c.want()
	case wire.Extended:
		p := wire.Piece(binary.BigEndian.Uint32(payload))
		if m.ID != theirDontHave || !c.ours.Has(p) && !c.h.lost.Has(p) {
			c.h.w.fail("peer %d is told by %d that piece %d is gone", c.id, m.ID, p)
		}
		c.ours.Clear(p)
	case wire.AllowedFast:
		c.gifts.Set(m.Piece)
		c.want()
	}
}

func (c *conn) hearRequest(b wire.Block) {
	switch {
	case !c.h.says.Has(b.Piece) && !c.h.lost.Has(b.Piece):
		c.h.w.fail("peer %d is asked for %v, which it never said it has", c.id, b)
	case c.chokes, !c.h.has.Has(b.Piece) && c.h.fast:
		c.refuse(b)
	case c.h.nature == silent, !c.h.has.Has(b.Piece):
	default:
		c.queue = append(c.queue, b)
		c.work()
	}
}

// work sends the blocks of the queue, one after another.
func (c *conn) work() {
	if c.busy || len(c.queue) == 0 {
		return
	}
	c.busy = true
	b := c.queue[0]
	c.queue = slices.Delete(c.queue, 0, 1)
	c.h.w.after(c.h.w.between(c.h.each/2, c.h.each*3/2), func() {
		c.busy = false
		if !c.open {
			return
		}
		content := c.h.content(b)
		c.in.post(c.h.trip, func() { c.arrive(b, content) })
		c.work()
	})
}

// content is what they send for a block.
func (h *host) content(b wire.Block) wire.Digest {
	if h.nature != corrupt || !h.lies(b) {
		return digest(b, 0)
	}
	h.w.lies++
	if h.habit == inUnison {
		return digest(b, 1)
	}
	return digest(b, uint64(h.w.lies))
}

// arrive is a block at our end: into the disk cache, if it was asked for.
func (c *conn) arrive(b wire.Block, content wire.Digest) {
	if !c.open {
		return
	}
	c.h.w.received++
	if c.asked[b] == 0 {
		c.post(selection.Received{Peer: c.id, Message: wire.Of(wire.PieceBlock, b)})
		return
	}
	if c.asked[b]--; c.asked[b] == 0 {
		delete(c.asked, b)
	}
	if c.h.banned {
		c.h.w.fail("peer %d is banned and still heard", c.id)
	}
	c.post(selection.Stored{Peer: c.id, Block: b, Lease: c.h.w.disk.swap(c, b, content)})
}

// want has them ask us for a few blocks they lack and we have.
func (c *conn) want() {
	w := c.h.w
	for range 3 {
		p := wire.Piece(w.chance.IntN(w.geo.Pieces()))
		if c.choked && !c.gifts.Has(p) || !c.open || c.hunger == 0 || c.h.has.Has(p) || !c.ours.Has(p) {
			continue
		}
		c.hunger--
		b := w.geo.Block(p, w.chance.IntN(w.geo.Blocks(p)))
		c.say(wire.Of(wire.Request, b), nil)
		if w.odds(20) {
			c.say(wire.Of(wire.Cancel, b), nil)
		}
	}
}

func (h *host) String() string {
	return fmt.Sprintf("%s fast=%v has=%d", names[h.nature], h.fast, h.has.Count())
}
