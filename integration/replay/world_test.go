// Package replay runs whole swarms in false time over the pure machines: the
// selection of one torrent and the ledger of the disk cache. Everything around
// them is simulated, single-threaded, and comes from one seed: links, peers,
// memory, readers, and an inbox that reorders what different sources say.
package replay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

const (
	faultTime = 40 * time.Second
	// mostEvents is far above what any seed needs.
	mostEvents = 200_000
	endTime    = 15 * time.Minute // of virtual time; every want must be met by then
)

// world is a swarm, and us in it.
type world struct {
	future
	geo     wire.Geometry
	machine *selection.Machine
	disk    *disk
	hosts   []*host
	conns   map[wire.Peer]*conn
	books   books
	all     []*reader
	ids     wire.Peer
	readers wire.Reader
	wakeAt  time.Duration

	inbox, hashing, writing, calm time.Duration

	liars  int  // of those that take turns
	scarce bool // while there are faults, some requests find no memory

	leaves   bool          // blocks may be verified one by one
	leafTime time.Duration // when the leaves of a piece are known after its grant, at most
	untold   bool          // some never are

	events, read, served, lies int
	received                   int // blocks that came
	wasted                     int // blocks of copies that failed

	came, paid int64         // bytes, while they are rationed
	pins       []wire.Reader // of every piece, in the background; nil: there are none

	plant  plant
	trace  func(string)
	broken error
}

// plant falsifies what passes between the machine and the world: a planted
// bug. The zero plant changes nothing.
type plant struct {
	event   func(*world, selection.Event) []selection.Event
	command func(*world, selection.Command) []selection.Command
}

func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

func (w *world) faults() bool { return w.now < faultTime }

func newWorld(seed uint64, pl plant, trace func(string)) *world {
	w := &world{conns: map[wire.Peer]*conn{}, plant: pl, trace: trace, wakeAt: -1, liars: 2, scarce: seed%2 == 0}
	w.chance = rand.New(rand.NewPCG(seed, 1))
	blocks := 1 + w.chance.IntN(8)
	length := int64(blocks) * wire.BlockSize
	w.geo = wire.Geometry{Length: length*int64(w.chance.IntN(48)) + 1 + w.chance.Int64N(length), PieceLength: length}
	pace := []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond}
	w.inbox = pace[w.chance.IntN(len(pace))]
	w.hashing = pace[w.chance.IntN(len(pace))]
	w.writing = pace[w.chance.IntN(len(pace))]
	w.calm = w.between(10*time.Millisecond, 3*time.Second)
	memory := blocks + w.chance.IntN(1+4*blocks)
	w.disk = newDisk(w, memory)
	w.books.init(w)
	w.machine = selection.New(selection.Config{Seed: seed, Upload: true})
	w.leaves, w.leafTime, w.untold = seed%2 == 1, pace[w.chance.IntN(len(pace))], true
	w.step(selection.Geometry{Geometry: w.geo, Leaves: w.leaves})
	w.populate()
	for range 1 + w.chance.IntN(4) {
		w.all = append(w.all, w.newReader())
	}
	w.trouble()
	if seed%5 == 3 {
		w.ration()
	}
	if seed%7 == 2 {
		w.pin()
	}
	return w
}

// populate makes the hosts. One of them is honest, has all, and is not slow.
func (w *world) populate() {
	n := 1 + w.chance.IntN(12)
	for i := range n {
		h := &host{
			w: w, fast: w.odds(50), speaks: w.odds(50), addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), habit: habit(w.chance.IntN(int(habits))),
			each: w.between(time.Millisecond, 200*time.Millisecond), trip: w.between(0, 200*time.Millisecond),
			has: wire.FullBitfield(w.geo.Pieces()),
		}
		if i > 0 {
			h.nature = nature(w.chance.IntN(int(natures)))
		}
		if h.nature == slow {
			h.each = w.between(2*time.Second, 6*time.Second)
		}
		if i > 0 && w.odds(40) || h.nature == boaster {
			for p := range w.geo.Pieces() {
				if w.odds(50) {
					h.has.Clear(wire.Piece(p))
				}
			}
		}
		h.says = h.has
		if h.nature == boaster {
			h.says = wire.FullBitfield(w.geo.Pieces())
		}
		if h.fast && w.odds(30) {
			h.kind = selection.Ranges // a web seed never chokes, but whoever does may be one to the machine
		}
		w.hosts = append(w.hosts, h)
		w.after(w.between(0, 5*time.Second), h.connect)
	}
}

// trouble happens until the faults stop: seeks, evictions, rivals for memory.
func (w *world) trouble() {
	if !w.faults() {
		return
	}
	w.after(w.between(0, w.calm), w.trouble)
	switch w.chance.IntN(5) {
	case 0:
		if r := w.all[w.chance.IntN(len(w.all))]; r.left > 0 {
			r.seek()
		}
	case 1:
		w.disk.evict(wire.Piece(w.chance.IntN(w.geo.Pieces())))
	case 2:
		w.disk.compete()
	case 3:
		w.hosts[w.chance.IntN(len(w.hosts))].lose(wire.Piece(w.chance.IntN(w.geo.Pieces())))
	}
}

// arrived is a piece that is verified: readers that wait for it go on.
func (w *world) arrived(p wire.Piece) {
	for _, r := range w.all {
		if r.left > 0 && r.at == p {
			r.look()
		}
	}
}

// loadable tells whether the machine may have a block served: its piece is
// verified, or the word of its eviction is on its way.
func (w *world) loadable(b wire.Block) bool { return w.books.verified(b.Piece) }

// step gives the machine an event and carries out its commands.
func (w *world) step(e selection.Event) {
	events := []selection.Event{e}
	if w.plant.event != nil {
		events = w.plant.event(w, e)
	}
	w.events++
	if s, ok := e.(selection.Stored); ok {
		w.came += int64(s.Block.Length)
	}
	w.books.event(e)
	for _, e := range events {
		if w.trace != nil {
			w.trace(selection.Line(w.now, e))
		}
		w.machine.Step(w.now, e)
		for _, c := range append([]selection.Command(nil), w.machine.Ready()...) {
			if w.trace != nil {
				w.trace("  " + c.String())
			}
			commands := []selection.Command{c}
			if w.plant.command != nil {
				commands = w.plant.command(w, c)
			}
			for _, c := range commands {
				w.books.command(c)
				w.do(c)
			}
		}
	}
	w.wake()
}

// wake sees to it that the machine is woken when it wants to be.
func (w *world) wake() {
	at, ok := w.machine.Next()
	if !ok || w.wakeAt >= w.now && w.wakeAt <= at {
		return
	}
	w.wakeAt = max(at, w.now)
	mine := w.wakeAt
	w.after(mine-w.now, func() {
		if w.wakeAt == mine {
			w.wakeAt = -1
			w.step(selection.Wake{})
		}
	})
}

func (w *world) do(c selection.Command) {
	switch c := c.(type) {
	case selection.Send:
		if p := w.conns[c.Peer]; p != nil {
			p.send(c.Message, c.Payload)
		} else {
			w.fail("%v to a peer that is gone", c)
		}
	case selection.Load:
		if p := w.conns[c.Peer]; p != nil {
			p.load(c.Block)
		} else {
			w.fail("%v to a peer that is gone", c)
		}
	case selection.Open:
		w.disk.open(c.Piece, c.Deadline)
	case selection.Only:
		w.disk.only(c.Piece, c.Peer)
	case selection.Reprioritise:
		w.disk.reprioritise(c.Piece, c.Deadline)
	case selection.Close:
		w.disk.close(c.Piece)
	case selection.Drop:
		w.drop(c)
	}
}

func (w *world) drop(c selection.Drop) {
	for _, h := range w.hosts {
		if h.addr == c.Addr {
			if h.nature != corrupt || !c.Ban {
				w.fail("%v, which is %v", c, h)
			}
			h.banned = true
			if h.conn != nil {
				h.conn.end()
			}
			return
		}
	}
}

// run lets the world go until every reader is content and all is quiet.
func (w *world) run() error {
	for w.broken == nil && w.next() {
		if w.now > endTime {
			for i, r := range w.all {
				if r.left > 0 {
					w.fail("reader %d waits for piece %d since %v", i, r.at, r.since)
				}
			}
			w.fail("it never gets quiet")
		}
		if w.events > mostEvents {
			w.fail("it runs hot")
		}
	}
	if w.broken != nil {
		return w.broken
	}
	for i, r := range w.all {
		if r.left > 0 {
			w.fail("reader %d waits for piece %d since %v, and nothing will happen", i, r.at, r.since)
		}
	}
	w.books.end()
	return w.broken
}
