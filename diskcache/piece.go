package diskcache

import (
	"slices"
	"time"

	"bipfs/diskcache/ledger"
	"bipfs/wire"
)

// File is one file of a torrent, in the torrent's order.
type File struct {
	Length int64
	Pad    bool // zeros that only fill up a piece (BEP 47): never stored

	// Ends is how much of its beginning, and of its end, is evicted after all else,
	// bytes; 0: nothing.
	Ends int64

	// Root is the pieces root (BEP 52), in a torrent that is v2 only. It tells
	// the journal of one content from that of another.
	Root wire.Hash
}

// pieceState is where a piece is in its life:
//
//	absent ──Open──▶ waiting ──Grant──▶ opened ──all blocks, hash right──▶ dirty ──written──▶ clean
//	                    │                  │                                 │                  │
//	                    └─Close─▶ ended ◀──┴─Close, Revoke, hash wrong     dropped:     Unexpect, or memory
//	                                                                       absent       is short: stored only
//
// A piece longer than the ledger's share is parted: its blocks go to their
// place in the store as they come, are hashed from there when they are in
// order, and once it is verified it is stored only.
type pieceState uint8

const (
	waiting pieceState = iota
	opened
	dirty
	clean
	ended
)

// piece is a piece that has memory or waits for it. t.mu guards it, but for
// what the one worker that has it (busy) may touch: next, proof and crcs.
type piece struct {
	t        *Torrent
	number   wire.Piece
	state    pieceState
	count    int // blocks
	lease    wire.Lease
	deadline time.Duration
	only     wire.Peer // from whom blocks are taken; 0: from all

	bufs    []*wire.Buf // what came, by block
	from    []wire.Peer // who brought it; nil: it does not matter
	empty   []*wire.Buf // what is on lease still
	parted  bool
	spilled []bool // by block, of a parted piece
	room    int    // blocks of its lease
	given   int    // of them, and of those that came back by spilling, what was granted
	come    int    // blocks that came
	held    int    // of them, those in bufs
	fresh   int    // of them, those that the ledger has not heard of
	last    time.Duration

	busy  bool // queued for, or with, a hasher or writer
	next  int  // the first block that is not hashed yet
	proof *proof
	crcs  []uint32

	leaves []leaf // by block; nil: it is verified whole only. See leaf.go
	known  int    // of them, those whose hash is proven
	todo   []int  // blocks that came and are to be held against their leaf

	blocks []*block // when verified

	failures int           // to write it
	queued   time.Duration // when it came into the writer's queue
	pauses   int           // the writer's, when it began to write it
	retry    time.Duration // when it may be tried again
}

// Open asks for memory for a piece; Granted is the answer, in time. Deadlines
// are compared with each other only.
func (t *Torrent) Open(n wire.Piece, deadline time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.spec.Valid(n) {
		return
	}
	if t.have.Has(n) {
		t.tell(News{Kind: Verified, Piece: n, OK: true})
		return
	}
	if t.pieces[n] != nil {
		return
	}
	p := &piece{t: t, number: n, count: t.spec.Blocks(n), deadline: deadline}
	t.pieces[n] = p
	d := t.disk
	d.mu.Lock()
	p.lease = d.ledger.Open(t.number(), n, p.count, deadline)
	d.mu.Unlock()
	d.ring()
}

func (t *Torrent) number() ledger.Torrent { return ledger.Torrent(t.id) }

// Reprioritise gives an open or waiting piece another deadline.
func (t *Torrent) Reprioritise(n wire.Piece, deadline time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pieces[n]
	if p == nil {
		return
	}
	p.deadline = deadline
	d := t.disk
	d.mu.Lock()
	d.ledger.Reprioritise(p.lease, deadline)
	d.mu.Unlock()
	d.ring()
}

// Only has the blocks of an open or waiting piece taken from one peer alone; 0:
// from all. What has come stays.
func (t *Torrent) Only(n wire.Piece, from wire.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pieces[n]; p != nil {
		p.only = from
	}
}

// Close gives up a piece that is waiting or open, with what came of it. There
// is no news of it afterwards but what is on its way.
func (t *Torrent) Close(n wire.Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pieces[n]; p != nil {
		t.abandon(p)
	}
	t.forgetSpoilt(n)
}

// abandon ends a piece that is waiting or open. The caller holds t.mu.
func (t *Torrent) abandon(p *piece) {
	if p.state == waiting || p.state == opened {
		t.wasted.Lost += int64(p.come) * wire.BlockSize
		t.end(p)
	}
}

// granted gives a piece its memory.
func (t *Torrent) granted(o ledger.Order) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pieces[o.Piece]
	if p == nil || p.lease != o.Lease || p.state != waiting {
		return // closed since, and freed
	}
	p.state = opened
	p.last = t.disk.now()
	p.bufs = make([]*wire.Buf, p.count)
	p.empty = make([]*wire.Buf, o.N, p.count)
	p.proof = t.spec.newProof(p.count)
	p.crcs = make([]uint32, 0, p.count)
	p.room, p.given = o.N, o.N
	if o.N < p.count {
		p.parted = true
		p.spilled = make([]bool, p.count)
	} else if t.spec.Node != nil && p.count > 1 {
		p.leaves, p.todo = make([]leaf, p.count), make([]int, 0, p.count)
	} else if t.mends() {
		p.from = make([]wire.Peer, p.count)
	}
	t.disk.memory.take(p.empty)
	t.tell(News{Kind: Granted, Piece: p.number, Lease: p.lease, N: o.N})
}

func (t *Torrent) revoked(o ledger.Order) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pieces[o.Piece]
	if p == nil || p.lease != o.Lease || p.state != opened {
		return // closed or verified since
	}
	t.tell(News{Kind: Revoke, Piece: p.number, Lease: p.lease})
	t.wasted.Lost += int64(p.come) * wire.BlockSize
	t.end(p)
}

// end ends a piece that is waiting or open. If a worker has it, that worker
// gives its memory back.
func (t *Torrent) end(p *piece) {
	delete(t.pieces, p.number)
	if !t.have.Has(p.number) {
		t.leaveDebris(p.number) // what was spilled
	}
	if p.state == waiting {
		p.state = ended
		t.disk.endLease(p.lease, 0)
		return
	}
	p.state = ended
	if p.busy {
		t.users++ // until the worker lets go
		return
	}
	t.recycle(p)
}

// recycle gives back the memory of an ended piece.
func (t *Torrent) recycle(p *piece) {
	d := t.disk
	proven := p.takeProven()
	d.memory.give(d.now(), p.bufs...)
	d.memory.give(d.now(), p.empty...)
	p.bufs, p.empty = nil, nil
	d.endLease(p.lease, len(proven))
	for _, b := range proven {
		b.Release()
	}
}

// letGo is what a worker does with a piece that ended while it had it.
func (t *Torrent) letGo(p *piece) {
	p.busy = false
	t.recycle(p)
	t.users--
	t.retire()
}

// endLease gives all of a lease back to the ledger, but for so many blocks that
// readers may have.
func (d *Disk) endLease(n wire.Lease, kept int) {
	d.mu.Lock()
	d.ledger.Keep(n, kept)
	if d.ledger.Close(n) > 0 {
		d.ledger.Freed(n)
	}
	d.mu.Unlock()
	d.ring()
}

// Spare lends a connection the block of memory that it reads into. It never
// waits; nil means that there are as many connections as there may be, or that
// the torrent has left.
func (t *Torrent) Spare() *wire.Buf {
	d := t.disk
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	if d.spares.Add(1) > int64(d.config.Connections) {
		d.spares.Add(-1)
		return nil
	}
	var b [1]*wire.Buf
	d.memory.take(b[:])
	return b[0]
}

// Return takes a spare back.
func (t *Torrent) Return(b *wire.Buf) {
	t.disk.memory.give(t.disk.now(), b)
	t.disk.spares.Add(-1)
}

// Swap takes a full block and gives an empty one for it, out of the lease of
// the block's piece, whose number it returns. A block that is not wanted (any
// more) comes back itself, with lease 0. It never waits and never allocates.
func (t *Torrent) Swap(from wire.Peer, b wire.Block, full *wire.Buf) (empty *wire.Buf, lease wire.Lease) {
	now := t.disk.now()
	t.mu.Lock()
	p := t.pieces[b.Piece]
	i := int(b.Begin / wire.BlockSize)
	if p == nil || p.state != opened || p.only != 0 && p.only != from || !t.spec.Aligned(b) ||
		p.bufs[i] != nil || len(p.empty) == 0 || p.parted && p.spilled[i] {
		t.wasted.Unwanted += int64(b.Length)
		t.mu.Unlock()
		return full, 0
	}
	last := len(p.empty) - 1
	empty, p.empty = p.empty[last], p.empty[:last]
	p.bufs[i] = full
	p.cameFrom(i, from)
	p.come++
	p.held++
	p.fresh++
	p.last = now
	if a := t.awaited[b.Piece]; a != nil {
		a.last = now
	}
	work := !p.busy && p.ready(i)
	if work {
		p.busy = true
	}
	lease, parted := p.lease, p.parted
	t.mu.Unlock()
	switch {
	case work && parted:
		t.disk.writer.add(p)
	case work:
		t.disk.hashes.push(p)
	}
	return empty, lease
}

// ready reports whether block i, which just came, gives a worker something to
// do: the hash can go on for a while, a leaf can be looked at, or enough has come to
// be spilled.
func (p *piece) ready(i int) bool {
	switch {
	case p.parted:
		return p.come == p.count || 2*len(p.empty) <= p.held
	case p.come == p.count, len(p.todo) > 0:
		return true
	case i < p.next || i >= p.next+leastStretch || p.next+leastStretch > p.count:
		return false
	}
	return !slices.Contains(p.bufs[p.next:p.next+leastStretch], nil)
}
