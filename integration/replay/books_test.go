package replay

import (
	"slices"

	"bipfs/selection"
	"bipfs/wire"
)

// books keeps count, from outside, of what the machine was told and what it
// did, and complains when the two do not go together.
type books struct {
	w     *world
	have  wire.Bitfield
	lives map[wire.Piece]*account
	asked map[wire.Peer][]ask
	slots map[wire.Peer]int                 // free, as the machine was told
	early map[wire.Lease][]selection.Stored // before the grant was told of
	// opens are the pieces that the machine has opened and not closed since:
	// every lease of another is dead, even if its grant is still to be told.
	opens map[wire.Piece]bool

	proven map[wire.Peer]bool  // a block of it was
	spoilt map[spoilt]struct{} // blocks that are gone, and whose arrival is to be told yet
}

type spoilt struct {
	lease wire.Lease
	peer  wire.Peer
	block wire.Block
}

// ask is an outstanding request, and the lease it was made under.
type ask struct {
	block wire.Block
	lease wire.Lease
}

// account is a granted piece as the machine was told of it.
type account struct {
	lease  wire.Lease
	room   int
	stored map[wire.Block]bool
	from   map[wire.Peer]bool // who brought any of them
	by     map[wire.Block][]wire.Peer
}

func (k *books) init(w *world) {
	k.w = w
	k.have = wire.NewBitfield(w.geo.Pieces())
	k.lives = map[wire.Piece]*account{}
	k.slots = map[wire.Peer]int{}
	k.early, k.opens = map[wire.Lease][]selection.Stored{}, map[wire.Piece]bool{}
	k.asked = map[wire.Peer][]ask{}
	k.proven, k.spoilt = map[wire.Peer]bool{}, map[spoilt]struct{}{}
}

func (k *books) verified(p wire.Piece) bool { return k.have.Has(p) }

// event notes what the machine is about to be told.
func (k *books) event(e selection.Event) {
	switch e := e.(type) {
	case selection.Granted:
		if a := k.life(e.Piece, e.Lease); a.lease == e.Lease {
			a.room += e.Room
		}
	case selection.Room:
		for _, a := range k.lives {
			if a.lease == e.Lease {
				a.room += e.N
			}
		}
	case selection.Revoke:
		for p, a := range k.lives {
			if a.lease == e.Lease {
				delete(k.lives, p)
			}
		}
	case selection.Stored:
		k.settle(e.Peer, e.Block)
		if s := (spoilt{e.Lease, e.Peer, e.Block}); e.Lease != 0 {
			if _, gone := k.spoilt[s]; gone {
				delete(k.spoilt, s)
			} else if a := k.lives[e.Block.Piece]; a != nil && a.lease == e.Lease {
				a.stored[e.Block] = true
				a.by[e.Block] = append(a.by[e.Block], e.Peer)
				a.from[e.Peer] = true
			} else if k.opens[e.Block.Piece] {
				k.early[e.Lease] = append(k.early[e.Lease], e)
			}
		}
	case selection.Verified:
		if e.OK {
			k.have.Set(e.Piece)
		}
		if a := k.lives[e.Piece]; a != nil && a.lease == e.Lease {
			delete(k.lives, e.Piece)
		}
	case selection.Evicted:
		k.have.Clear(e.Piece)
	case selection.Proven, selection.Spoiled:
		k.leaf(e)
	case selection.PeerConnect:
		k.slots[e.Peer] = e.Slots
	case selection.Written:
		k.slots[e.Peer] += e.Messages
	case selection.PeerDisconnect:
		delete(k.asked, e.Peer)
	case selection.Starved:
		k.settle(e.Peer, e.Block)
	case selection.Received:
		switch c := k.w.conns[e.Peer]; e.Message.Kind {
		case wire.Reject:
			k.settle(e.Peer, e.Message.Block())
		case wire.Choke:
			if c != nil && !c.h.fast {
				delete(k.asked, e.Peer)
			}
		}
	}
}

// leaf notes what a leaf told.
func (k *books) leaf(e selection.Event) {
	switch e := e.(type) {
	case selection.Proven:
		if a := k.lives[e.Piece]; a != nil && a.lease == e.Lease {
			for _, i := range e.Blocks {
				for _, p := range a.by[k.w.geo.Block(e.Piece, i)] {
					k.proven[p] = true
				}
			}
		}
	case selection.Spoiled:
		for _, i := range e.Blocks {
			b := k.w.geo.Block(e.Piece, i)
			a := k.lives[e.Piece]
			if a == nil || a.lease != e.Lease || !slices.Contains(a.by[b], e.Peer) {
				k.spoilt[spoilt{e.Lease, e.Peer, b}] = struct{}{}
				continue
			}
			a.by[b] = slices.DeleteFunc(a.by[b], func(p wire.Peer) bool { return p == e.Peer })
			if len(a.by[b]) == 0 { // else another's has come since
				delete(a.stored, b)
			}
		}
	}
}

// life is the account of a piece under a lease; a newer lease ends an older.
func (k *books) life(p wire.Piece, l wire.Lease) *account {
	a := k.lives[p]
	if a == nil || a.lease < l {
		a = &account{lease: l, stored: map[wire.Block]bool{}, from: map[wire.Peer]bool{}, by: map[wire.Block][]wire.Peer{}}
		for _, e := range k.early[l] {
			a.stored[e.Block], a.from[e.Peer] = true, true
			a.by[e.Block] = append(a.by[e.Block], e.Peer)
		}
		k.lives[p] = a
	}
	return a
}

func (k *books) settle(p wire.Peer, b wire.Block) {
	if i := k.find(p, b); i >= 0 {
		k.asked[p] = slices.Delete(k.asked[p], i, i+1)
	}
}

func (k *books) find(p wire.Peer, b wire.Block) int {
	return slices.IndexFunc(k.asked[p], func(a ask) bool { return a.block == b })
}

// command notes what the machine wants done.
func (k *books) command(c selection.Command) {
	switch c := c.(type) {
	case selection.Drop:
		delete(k.asked, c.Peer)
	case selection.Open:
		k.opens[c.Piece] = true
	case selection.Close:
		delete(k.lives, c.Piece)
		delete(k.opens, c.Piece)
		for l, all := range k.early {
			if all[0].Block.Piece == c.Piece {
				delete(k.early, l)
			}
		}
	case selection.Send:
		k.slots[c.Peer]--
		switch b := c.Message.Block(); c.Message.Kind {
		case wire.Request:
			k.request(c.Peer, b)
		case wire.Cancel:
			k.settle(c.Peer, b)
		}
	}
}

// request checks that what is outstanding of a piece has room in its lease.
func (k *books) request(p wire.Peer, b wire.Block) {
	a := k.lives[b.Piece]
	switch {
	case a == nil:
		k.w.fail("%v is asked of peer %d without a lease", b, p)
		return
	case k.find(p, b) >= 0:
		k.w.fail("%v is asked of peer %d twice", b, p)
	case k.have.Has(b.Piece):
		k.w.fail("%v is asked of peer %d, and is here", b, p)
	}
	k.expose(p, b.Piece, a)
	k.asked[p] = append(k.asked[p], ask{b, a.lease})
	silent := map[wire.Peer]bool{}
	for s := range k.w.machine.Peers {
		silent[s.Peer] = s.Snubbed || s.Stalled
	}
	outstanding := map[wire.Block]bool{}
	copies := 0
	for q, asks := range k.asked {
		if q != p && (k.slots[q] == 0 || silent[q]) {
			continue // a cancel may wait for a slot; a silent peer is not expected to answer
		}
		for _, o := range asks {
			if o.block.Piece == b.Piece && o.lease == a.lease && !a.stored[o.block] {
				outstanding[o.block] = true
				if o.block == b {
					copies++
				}
			}
		}
	}
	// A late block takes room that others were asked for, so only a request
	// for one block more must have room; another copy takes none.
	if n := len(outstanding) + len(a.stored); n > a.room && copies == 1 {
		k.w.fail("%v: %d blocks asked or stored, with room for %d", b, n, a.room)
	}
	if copies > 2 {
		k.w.fail("%v is asked of %d peers", b, copies)
	}
}

// expose checks that a peer that has proven nothing has nothing unverified in
// another piece when it is asked for the first block of one.
func (k *books) expose(p wire.Peer, i wire.Piece, a *account) {
	in := func(q wire.Piece, a *account) bool {
		return a.from[p] || slices.ContainsFunc(k.asked[p], func(o ask) bool { return o.block.Piece == q })
	}
	if in(i, a) {
		return
	}
	for s := range k.w.machine.Peers {
		if s.Peer != p || s.Verified > 0 || k.proven[p] {
			continue
		}
		for other, b := range k.lives {
			if other != i && in(other, b) {
				k.w.fail("peer %d has proven nothing and is asked for pieces %d and %d", p, other, i)
			}
		}
	}
}

// end counts what is left when all is quiet.
func (k *books) end() {
	c := k.w.disk.ledger.Counts()
	if len(k.w.disk.lives) > 0 || c.Leased > 0 || c.Loading > 0 || c.Dirty > 0 || c.Held != k.w.disk.held {
		k.w.fail("at the end %d pieces are open, and blocks are %+v", len(k.w.disk.lives), c)
	}
	for id, c := range k.w.conns {
		if c.used != 0 || c.using != 0 {
			k.w.fail("peer %d: %d slots and %d load slots never came back", id, c.used, c.using)
		}
		for i := range k.w.geo.Pieces() {
			p := wire.Piece(i)
			if has, told := k.have.Has(p), c.ours.Has(p); !c.h.says.Has(p) && c.open && has != told && (has || c.h.speaks) {
				k.w.fail("peer %d was not told that piece %d came or went: %v", id, p, has)
			}
		}
		if n := len(k.asked[id]); n > 0 {
			k.w.fail("peer %d: %d requests are outstanding and nobody reads", id, n)
		}
	}
	if at, ok := k.w.machine.Next(); ok {
		k.w.fail("nobody wants anything, and the machine wants to be woken at %v", at)
	}
}
