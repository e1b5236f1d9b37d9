// Package ledger is the accounting of block memory: who may have how many
// blocks, and in which order. It holds no memory itself, reads no clock and
// starts no goroutine: the same calls give the same orders, always.
//
// Every block outside the spares is in exactly one of five places:
//
//	         Ready: Grant             Verified             Clean
//	free ───────────────────▶ leased ─────────▶ dirty ─────────────▶ held
//	 ▲ │                         │                                   ▲ │
//	 │ │      Ready: Admit       │ Freed                Loaded       │ │
//	 │ └────────────────────────────▶ loading ───────────────────────┘ │
//	 │                           │       │ Unloaded                    │
//	 └───────────────────────────┴───────┴──────────────── Released ◀──┘
//
//	leased   granted to an open piece, whether a block is in it yet or not
//	dirty    verified, not yet in the store
//	held     verified, and in the store or given up: cached, or lent to a reader
//	loading  being filled from the store
//
// An open request walks through
//
//	queued ──Grant──▶ open ──Close or Revoke──▶ closing ──Freed──▶ gone
//	   │               │                           │
//	   └──Close──▶ gone└──Verified──▶ gone         └──Verified──▶ gone
//
// The rules, with L = blocks that are neither spares nor the reads' share:
//
//   - leased + dirty ≤ L, so that reads from the store always get memory.
//   - While a request waits, what is dirty beyond L/4 and expected by no reader
//     is to be dropped, and beyond L/2 also what is needed later than the
//     request (Excess): so a store that is slow or frozen stops nobody. Dirty
//     blocks that are expected sooner are waited for: that is how a download
//     goes at the speed of its disk.
//   - held blocks give way to leases and reads at once (Shortage).
//   - The queue is in order of deadline, then of arrival, across torrents, and
//     strict: nobody overtakes a head that does not fit yet.
//   - One piece's room is kept: only a request with an earlier deadline than
//     every open lease may take the last of it.
//   - While anyone waits for room, a lease without a block for Patience is
//     revoked. A torrent whose lease was revoked and that had no block at all
//     for that long is penalised until a block comes: its requests go to the
//     back of the queue, are granted only L/4 together with those of its like,
//     have no claim to the kept room and take nothing from a torrent that
//     lives. So torrents whose peers never send cannot starve one whose peers
//     do.
package ledger

import (
	"container/heap"
	"fmt"
	"time"

	"bipfs/wire"
)

// Patience is how long a lease may see no block while others wait for room.
const Patience = 2 * time.Second

// Torrent numbers a torrent of one ledger. A number is used once.
type Torrent uint32

// Load numbers a request for memory to read into. A number is used once.
type Load uint64

// Config is the division of memory, in blocks.
type Config struct {
	Blocks int // all there are
	Spares int // carved out for connections; never anybody else's
	Reads  int // most that may be loading from the store at once; at least 1
}

// Kind is what an order says.
type Kind uint8

// The orders of Ready.
const (
	Grant  Kind = iota // N blocks are leased to Piece under Lease
	Revoke             // the lease is over: its blocks are to be Freed
	Admit              // N blocks are there for Load
)

// Order is something that was decided.
type Order struct {
	Kind    Kind
	Torrent Torrent
	Piece   wire.Piece
	Lease   wire.Lease
	Load    Load
	N       int // blocks
}

// String is the order as scripts write it.
func (o Order) String() string {
	switch o.Kind {
	case Grant:
		return fmt.Sprintf("grant t%d p%d lease %d room %d", o.Torrent, o.Piece, o.Lease, o.N)
	case Revoke:
		return fmt.Sprintf("revoke t%d p%d lease %d", o.Torrent, o.Piece, o.Lease)
	}
	return fmt.Sprintf("admit load %d: %d", o.Load, o.N)
}

// Counts is where the blocks are. Spares is the size of the carved-out region;
// the other five add up to the rest.
type Counts struct{ Spares, Free, Leased, Dirty, Held, Loading int }

// Ledger is the accounting of one memory. It is not safe for concurrent use.
type Ledger struct {
	counts   Counts
	rest     int // blocks that are no spares
	reads    int // most that may be loading
	room     int // most that may be leased or dirty together: L above
	paused   bool
	torrents map[Torrent]*torrent // looked up, never iterated
	joined   []*torrent           // in order of joining
	keep     int                  // blocks of the kept room
	leases   map[wire.Lease]*lease
	open     []*lease // granted, in order of grant
	queue    queue
	loads    []load
	nTorrent Torrent
	nLease   wire.Lease
	nLoad    Load
	orders   []Order
}

type torrent struct {
	number    Torrent
	most      int           // blocks of its longest piece
	leased    int           // blocks of its open and closing leases
	last      time.Duration // when a block came
	penalised bool
}

type state uint8

const (
	queued state = iota
	open
	closing
)

type lease struct {
	number   wire.Lease
	torrent  *torrent
	piece    wire.Piece
	deadline time.Duration
	blocks   int // of the piece
	room     int // blocks that it has, or will have
	stored   int
	last     time.Duration // when it was granted or a block came
	dead     bool          // granted while its torrent was penalised, and no block since
	state    state
	index    int // in the queue
}

type load struct {
	number Load
	n      int
}

// New is a ledger with all blocks free. Memory that is too small for its own
// rules is our bug, and panics: one block beside the spares and the reads'
// share is the least.
func New(c Config) *Ledger {
	rest := c.Blocks - c.Spares
	if c.Spares < 0 || c.Reads < 1 || rest-c.Reads < 1 {
		panic(fmt.Sprintf("ledger: %d blocks cannot have %d spares and %d reads", c.Blocks, c.Spares, c.Reads))
	}
	return &Ledger{
		counts:   Counts{Spares: c.Spares, Free: rest},
		rest:     rest,
		reads:    c.Reads,
		room:     rest - c.Reads,
		torrents: map[Torrent]*torrent{},
		leases:   map[wire.Lease]*lease{},
	}
}

// Share is the most blocks that one lease can have. A longer piece gets its
// room in Parts: so many at first, more as what came is spilled to the store.
func (l *Ledger) Share() int { return max(1, l.room/2) }

// Part is the number of blocks that a piece longer than Share has at a time.
func (l *Ledger) Part() int { return max(1, l.room/4) }

// Counts is where the blocks are now.
func (l *Ledger) Counts() Counts { return l.counts }

// Check reports what is wrong with the sums, if anything. Nothing ever is.
func (l *Ledger) Check() error {
	c := l.counts
	if c.Free+c.Leased+c.Dirty+c.Held+c.Loading != l.rest {
		return fmt.Errorf("%+v do not add up to %d", c, l.rest)
	}
	if min(c.Free, c.Leased, c.Dirty, c.Held, c.Loading) < 0 {
		return fmt.Errorf("%+v: one is negative", c)
	}
	if c.Leased+c.Dirty > l.room || c.Loading > l.reads {
		return fmt.Errorf("%+v: over room %d or reads %d", c, l.room, l.reads)
	}
	leased, byTorrent := 0, 0
	for _, e := range l.open {
		leased += e.room
	}
	for _, t := range l.joined {
		byTorrent += t.leased
	}
	if leased != c.Leased || byTorrent != c.Leased {
		return fmt.Errorf("%+v: leases have %d, torrents %d", c, leased, byTorrent)
	}
	return nil
}

// Join adds a torrent whose longest piece has most blocks.
func (l *Ledger) Join(most int) Torrent {
	l.nTorrent++
	t := &torrent{number: l.nTorrent, most: most}
	l.torrents[t.number] = t
	l.joined = append(l.joined, t)
	l.measure()
	return t.number
}

// Leave takes out a torrent that has neither requests nor leases left.
func (l *Ledger) Leave(n Torrent) {
	t := l.torrents[n]
	if t.leased != 0 {
		panic("ledger: a torrent leaves with blocks on lease")
	}
	delete(l.torrents, n)
	for i, other := range l.joined {
		if other == t {
			l.joined = append(l.joined[:i], l.joined[i+1:]...)
			break
		}
	}
	l.measure()
}

// measure sets the kept room: that of the longest piece, in moderation.
func (l *Ledger) measure() {
	l.keep = 0
	for _, t := range l.joined {
		l.keep = max(l.keep, min(t.most, l.Part()))
	}
}

// Open queues a request for the room of a piece of so many blocks. Its number
// becomes that of the lease.
func (l *Ledger) Open(n Torrent, p wire.Piece, blocks int, deadline time.Duration) wire.Lease {
	l.nLease++
	e := &lease{
		number: l.nLease, torrent: l.torrents[n], piece: p,
		deadline: deadline, blocks: blocks, room: blocks,
	}
	if blocks > l.Share() {
		e.room = l.Part()
	}
	l.leases[e.number] = e
	heap.Push(&l.queue, e)
	return e.number
}

// Reprioritise gives a request or lease another deadline. A number that is no
// more is ignored.
func (l *Ledger) Reprioritise(n wire.Lease, deadline time.Duration) {
	e := l.leases[n]
	if e == nil || e.state == closing {
		return
	}
	e.deadline = deadline
	if e.state == queued {
		heap.Fix(&l.queue, e.index)
	}
}

// Close ends a request or a lease and tells how many blocks have to be Freed:
// 0 for a request that was not granted or a number that is no more.
func (l *Ledger) Close(n wire.Lease) (blocks int) {
	e := l.leases[n]
	switch {
	case e == nil:
		return 0
	case e.state == queued:
		heap.Remove(&l.queue, e.index)
		delete(l.leases, n)
		return 0
	}
	e.state = closing
	if e.room == 0 { // all of it was Kept
		l.drop(e)
	}
	return e.room
}

// Stored tells that so many blocks came for a lease. It renews the lease.
func (l *Ledger) Stored(n wire.Lease, blocks int, now time.Duration) {
	e := l.leases[n]
	if e == nil || e.state != open {
		return
	}
	e.stored += blocks
	e.last = max(e.last, now)
	e.torrent.last = max(e.torrent.last, now)
	if e.torrent.penalised {
		e.torrent.penalised = false
		for _, o := range l.open {
			o.dead = o.dead && o.torrent != e.torrent
		}
		heap.Init(&l.queue)
	}
}

// Verified ends a lease: its blocks are dirty now. That goes for a lease that
// is being revoked, too: the piece was quicker. It tells whether there was one.
func (l *Ledger) Verified(n wire.Lease) bool {
	e := l.leases[n]
	if e == nil || e.state == queued {
		return false
	}
	l.drop(e)
	l.counts.Dirty += e.room
	return true
}

// Freed gives back all blocks of a lease that was closed or revoked.
func (l *Ledger) Freed(n wire.Lease) {
	e := l.leases[n]
	if e == nil || e.state != closing {
		panic(fmt.Sprintf("ledger: lease %d is not closing", n))
	}
	l.drop(e)
	l.counts.Free += e.room
}

// drop takes a granted lease and its blocks out of the books.
func (l *Ledger) drop(e *lease) {
	delete(l.leases, e.number)
	for i, other := range l.open {
		if other == e {
			l.open = append(l.open[:i], l.open[i+1:]...)
			break
		}
	}
	e.torrent.leased -= e.room
	l.counts.Leased -= e.room
}

// Clean tells that so many dirty blocks are in the store, or were given up.
func (l *Ledger) Clean(blocks int) {
	l.counts.Dirty -= blocks
	l.counts.Held += blocks
}

// Released tells that so many held blocks are no longer held by anyone.
func (l *Ledger) Released(blocks int) {
	l.counts.Held -= blocks
	l.counts.Free += blocks
}

// Load asks for memory to read so many blocks into; all or none. More than the
// reads' share can never be had: ok is false.
func (l *Ledger) Load(blocks int) (n Load, ok bool) {
	if blocks > l.reads {
		return 0, false
	}
	l.nLoad++
	l.loads = append(l.loads, load{l.nLoad, blocks})
	return l.nLoad, true
}

// Unload withdraws a Load. It tells whether it was waiting; if not, it was
// admitted, and its blocks have to be given back by Unloaded.
func (l *Ledger) Unload(n Load) (waiting bool) {
	for i := range l.loads {
		if l.loads[i].number == n {
			l.loads = append(l.loads[:i], l.loads[i+1:]...)
			return true
		}
	}
	return false
}

// Unloaded gives back blocks that were admitted and not used.
func (l *Ledger) Unloaded(blocks int) {
	l.counts.Loading -= blocks
	l.counts.Free += blocks
}

// Loaded tells that so many admitted blocks were read and are held now.
func (l *Ledger) Loaded(blocks int) {
	l.counts.Loading -= blocks
	l.counts.Held += blocks
}

// Pause tells whether the store takes nothing at present. Then what is dirty
// gives way to leases at once.
func (l *Ledger) Pause(on bool) { l.paused = on }
