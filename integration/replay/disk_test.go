package replay

import (
	"encoding/binary"
	"slices"
	"time"

	"bipfs/diskcache/ledger"
	"bipfs/diskcache/mend"
	"bipfs/selection"
	"bipfs/wire"
)

// disk is a disk cache without bytes: the real ledger, and for each block the
// digest of what it would hold.
type disk struct {
	w       *world
	ledger  *ledger.Ledger
	torrent ledger.Torrent
	rival   ledger.Torrent // competes for the memory
	rivals  []wire.Lease
	lives   map[wire.Piece]*life
	have    wire.Bitfield
	failed  map[wire.Piece]bool
	spoilt  map[wire.Piece]*mend.Piece
	held    int // verified blocks in memory
	news    lane
	timer   time.Duration
}

// life is a piece from its open to its verdict, close or revoke.
type life struct {
	piece   wire.Piece
	lease   wire.Lease
	granted bool
	only    wire.Peer // from whom it takes blocks; 0: from all
	part    int       // blocks of memory
	filled  int       // of which hold a block that is not spilled
	blocks  []wire.Digest
	senders []*host
	from    []wire.Peer
	known   []bool // leaves
	proven  []bool
	stored  int
}

func digest(b wire.Block, lie uint64) (d wire.Digest) {
	binary.BigEndian.PutUint32(d[:], uint32(b.Piece)+1)
	binary.BigEndian.PutUint32(d[4:], b.Begin)
	binary.BigEndian.PutUint64(d[8:], lie)
	return d
}

func newDisk(w *world, blocks int) *disk {
	d := &disk{
		w: w, ledger: ledger.New(ledger.Config{Blocks: blocks + 1, Reads: 1}), lives: map[wire.Piece]*life{},
		failed: map[wire.Piece]bool{}, spoilt: map[wire.Piece]*mend.Piece{}, have: wire.NewBitfield(w.geo.Pieces()), news: lane{f: &w.future}, timer: -1,
	}
	d.torrent = d.ledger.Join(w.geo.MostBlocks())
	d.rival = d.ledger.Join(w.geo.MostBlocks())
	return d
}

func (d *disk) tell(e selection.Event) {
	d.news.post(d.w.between(0, d.w.inbox), func() { d.w.step(e) })
}

func (d *disk) open(p wire.Piece, deadline time.Duration) {
	if d.lives[p] != nil {
		d.w.fail("piece %d is opened twice", p)
		return
	}
	if d.have.Has(p) {
		return // its verdict is on its way
	}
	n := d.w.geo.Blocks(p)
	d.lives[p] = &life{piece: p, lease: d.ledger.Open(d.torrent, p, n, deadline), blocks: make([]wire.Digest, n), senders: make([]*host, n), from: make([]wire.Peer, n), known: make([]bool, n), proven: make([]bool, n)}
	d.pump()
}

func (d *disk) close(p wire.Piece) {
	delete(d.spoilt, p)
	l := d.lives[p]
	if l == nil {
		return
	}
	delete(d.lives, p)
	if d.ledger.Close(l.lease) > 0 {
		d.ledger.Freed(l.lease)
	}
	d.pump()
}

func (d *disk) only(p wire.Piece, peer wire.Peer) {
	if l := d.lives[p]; l != nil {
		l.only = peer
	}
}

func (d *disk) reprioritise(p wire.Piece, deadline time.Duration) {
	if l := d.lives[p]; l != nil {
		d.ledger.Reprioritise(l.lease, deadline)
		d.pump()
	}
}

// swap takes a block in, if somebody wants it and there is room.
func (d *disk) swap(c *conn, b wire.Block, content wire.Digest) wire.Lease {
	l, i := d.lives[b.Piece], d.w.geo.Index(b)
	if l == nil || !l.granted || l.only != 0 && l.only != c.id || l.blocks[i] != (wire.Digest{}) || l.filled == l.part {
		return 0
	}
	l.blocks[i], l.senders[i], l.from[i] = content, c.h, c.id
	l.stored++
	l.filled++
	d.ledger.Stored(l.lease, 1, d.w.now)
	if l.known[i] {
		d.w.after(d.w.between(0, d.w.hashing), func() { d.judge(l, i) })
	}
	switch {
	case l.stored == len(l.blocks):
		d.w.after(d.w.between(0, d.w.hashing), func() { d.verify(l) })
	case l.part < len(l.blocks):
		d.w.after(d.w.between(0, d.w.hashing), func() { d.spill(l) })
	}
	d.pump()
	return l.lease
}

// spill writes one block out, unverified.
func (d *disk) spill(l *life) {
	if d.lives[l.piece] == l && l.stored < len(l.blocks) {
		l.filled--
		d.tell(selection.Room{Lease: l.lease, N: 1})
	}
}

func (d *disk) verify(l *life) {
	if d.lives[l.piece] != l {
		return
	}
	for i, known := range l.known {
		if known {
			d.judge(l, i)
		}
	}
	if l.stored < len(l.blocks) || d.lives[l.piece] != l {
		return
	}
	delete(d.lives, l.piece)
	ok := true
	sent := make([]mend.Sent, len(l.blocks))
	for i, x := range l.blocks {
		if x != digest(d.w.geo.Block(l.piece, i), 0) {
			ok, l.senders[i].guilty = false, true
		}
		sent[i] = mend.Sent{From: l.from[i], Digest: x}
	}
	e := selection.Verified{Piece: l.piece, Lease: l.lease, OK: ok}
	if !ok || d.failed[l.piece] {
		e.Digests = l.blocks
	}
	if !ok {
		ok = d.mend(l, &e, sent)
	}
	if !ok {
		d.w.wasted += len(l.blocks)
		d.failed[l.piece] = true
		d.ledger.Close(l.lease)
		d.ledger.Freed(l.lease)
		d.tell(e)
		d.pump()
		return
	}
	if !d.ledger.Verified(l.lease) {
		d.w.fail("piece %d is verified without a lease", l.piece)
	}
	d.have.Set(l.piece)
	d.tell(e)
	d.w.after(d.w.between(0, time.Second), func() {
		d.ledger.Clean(l.part)
		d.held += l.part
		d.pump()
	})
	d.w.arrived(l.piece)
	d.pump()
}

// mend tries to put a bad copy right with those before it, as the disk cache does.
func (d *disk) mend(l *life, e *selection.Verified, sent []mend.Sent) bool {
	s := d.spoilt[l.piece]
	delete(d.spoilt, l.piece)
	if d.w.leaves || l.part < len(l.blocks) || s == nil && !slices.ContainsFunc(l.from, func(p wire.Peer) bool { return p != l.from[0] }) {
		return false
	}
	if s == nil {
		s = mend.New(len(l.blocks))
	}
	s.Add(sent, func(int) []byte { return nil })
	choice, guilty := s.Mend(func(choice []mend.Content) bool {
		for i, c := range choice {
			if c.Digest != digest(d.w.geo.Block(l.piece, i), 0) {
				return false
			}
		}
		return true
	})
	e.Guilty, e.Kept = guilty, s.More()
	if choice == nil {
		if e.Kept {
			d.spoilt[l.piece] = s
		}
		return false
	}
	e.OK, e.Kept, e.Came, e.Digests = true, false, e.Digests, nil
	for _, c := range choice {
		e.Digests = append(e.Digests, c.Digest)
	}
	return true
}

// evict takes a verified piece out of the store.
func (d *disk) evict(p wire.Piece) {
	if d.have.Has(p) {
		d.have.Clear(p)
		d.tell(selection.Evicted{Piece: p})
	}
}

// compete has another torrent ask for memory, for a while.
func (d *disk) compete() {
	n := d.ledger.Open(d.rival, 0, d.w.geo.MostBlocks(), d.w.now+d.w.between(-5*time.Second, 5*time.Second))
	d.rivals = append(d.rivals, n)
	d.w.after(d.w.between(0, 8*time.Second), func() {
		for i, r := range d.rivals {
			if r == n {
				d.rivals = append(d.rivals[:i], d.rivals[i+1:]...)
				if d.ledger.Close(n) > 0 {
					d.ledger.Freed(n)
				}
				break
			}
		}
		d.pump()
	})
	d.pump()
}

// pump carries out what the ledger orders.
func (d *disk) pump() {
	for {
		if n := d.ledger.Shortage(); n > 0 && d.held > 0 {
			n = min(n, d.held)
			d.held -= n
			d.ledger.Released(n)
		}
		orders := d.ledger.Ready(d.w.now)
		if len(orders) == 0 {
			break
		}
		for _, o := range orders {
			d.order(o)
		}
	}
	if at, ok := d.ledger.Next(); ok && (d.timer < d.w.now || at < d.timer) {
		d.timer = max(at, d.w.now)
		mine := d.timer
		d.w.after(mine-d.w.now, func() {
			if d.timer == mine {
				d.timer = -1
				d.pump()
			}
		})
	}
	if err := d.ledger.Check(); err != nil {
		d.w.fail("ledger: %v", err)
	}
}

func (d *disk) order(o ledger.Order) {
	l := d.lives[o.Piece]
	mine := o.Torrent == d.torrent && l != nil && l.lease == o.Lease
	switch {
	case o.Kind == ledger.Grant && mine:
		l.granted, l.part = true, o.N
		d.hearLeaves(l)
		d.tell(selection.Granted{Piece: o.Piece, Lease: o.Lease, Room: o.N})
	case o.Kind == ledger.Revoke:
		d.ledger.Freed(o.Lease)
		if mine {
			delete(d.lives, o.Piece)
			d.tell(selection.Revoke{Lease: o.Lease})
			return
		}
		for i, r := range d.rivals {
			if r == o.Lease {
				d.rivals = append(d.rivals[:i], d.rivals[i+1:]...)
				break
			}
		}
	}
}
