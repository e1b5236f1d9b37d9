package diskcache

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// The store of all torrents takes no more than Config.Most bytes of the file
// system, in whole pages of data files (cost). Every piece that may have bytes
// there is counted in its torrent:
//
//	              claim: room is made first             evict.go
//	not counted ─────────────────────────────▶ counted ─────────▶ not counted
//	                  put, spill, Verify          │ ▲    punched
//	                                   had, or its│ │claim
//	                                   writer's   ▼ │
//	                                            debris: given up, with bytes left
//
// Torrents that are not open count with what their journals said when the store
// was surveyed, once, before anything is written.

// Unbounded is a Config.Most that is no bound of its own: only Config.KeepFree is.
const Unbounded = math.MaxInt64

// Page is what holes consist of, bytes. Where blocks of the file system are longer,
// a hole that is no multiple of them gives less back.
const Page = 4096

// bound is what is known of the store's size.
type bound struct {
	// turn is for who evicts. It is no part of the order of locks: its holder waits
	// for the disk.
	turn   sync.Mutex
	rows   []row // what is to go next, in order; under turn
	next   int   // of rows
	unable bool  // the file system punches no holes; under turn
	tried  bool  // that has been found out; under turn

	known []Tenant      // under turn
	at    time.Duration // when they were asked for; under turn

	surveyed atomic.Bool // used is true
	remain   remain

	mu      sync.Mutex
	ask     func() []Tenant    // nil before Bound
	entered map[string]bool    // until it is surveyed: the folders of torrents that were opened
	used    int64              // bytes that are counted
	asleep  map[string]sleeper // of them, those of torrents that are not open, by folder
	said    bool               // that it has come to its bound, or back from there
	lent    int64              // bytes of files that the kernel reads by itself
}

// errBound is that the store has its size, and that all of it is needed.
var errBound = errors.New("the store is as large as it may be, and nothing of it can go now")

// Bound tells which torrents there are beside those that are open, and begins to
// keep the store within its bound. It is called once, when nothing is to be Added
// before it that is not a Tenant.
func (d *Disk) Bound(tenants func() []Tenant) {
	d.bound.mu.Lock()
	d.bound.ask = tenants
	d.bound.mu.Unlock()
	close(d.bounded)
}

// isBounded reports whether there is a bound beside Config.KeepFree.
func (d *Disk) isBounded() bool { return d.config.Evict && d.config.Most < Unbounded }

// isSurveyed reports whether it is known how much is stored.
func (d *Disk) isSurveyed() bool {
	return !d.isBounded() || d.bound.surveyed.Load()
}

const (
	// step is the most bytes that are given up at a time to bring a store down.
	step = 64 << 20
	// spareRoom is how much more than is needed is evicted at a time, bytes; of a small
	// store it is less.
	spareRoom = 16 << 20
	// boundTick is how often it is looked whether that is to be done.
	boundTick = time.Second
)

// govern is the goroutine that surveys the store, and brings it down when it is
// over its bound: as that was lowered, or as pieces were found by Verify.
func (d *Disk) govern() {
	select {
	case <-d.bounded:
	case <-d.stop:
		return
	}
	d.weighRemains()
	if d.isBounded() {
		d.survey()
	}
	t := time.NewTimer(boundTick)
	defer t.Stop()
	for {
		d.sweepAll()
		d.bound.mu.Lock()
		over := d.bound.used - d.config.Most
		d.bound.mu.Unlock()
		wait := boundTick
		switch {
		case over <= 0:
		case d.evict(min(over, step)) > 0:
			wait = 0
		default: // all of it is being read, or kept
			wait = tenantsAge
		}
		t.Reset(wait)
		select {
		case <-t.C:
		case <-d.stop:
			return
		}
	}
}

// cost is the most bytes of whole pages that a piece takes in its files. A page that
// two pieces share counts twice.
func (t *Torrent) cost(p wire.Piece) (n int64) {
	off, end := t.spec.Offset(p, 0), t.spec.Offset(p, t.spec.PieceSize(p))
	for number := range t.filesOf(p) {
		f := t.spec.Files[number]
		from, to := max(0, off-t.starts[number]), min(f.Length, end-t.starts[number])
		if !f.Pad && from < to {
			n += pageUp(to) - pageDown(from)
		}
	}
	return n
}

func pageUp(n int64) int64   { return (n + Page - 1) / Page * Page }
func pageDown(n int64) int64 { return n / Page * Page }

// costOf is the cost of a set of pieces.
func (t *Torrent) costOf(pieces wire.Bitfield) (n int64) {
	for p := range wire.Piece(t.spec.Pieces()) {
		if pieces.Has(p) {
			n += t.cost(p)
		}
	}
	return n
}

// enterStore counts what a torrent has stored, once it is open. The caller holds
// t.mu.
func (t *Torrent) enterStore() {
	d := t.disk
	if !d.config.Evict {
		return
	}
	t.counted, t.unswept = t.have.Clone(), true
	t.clock = newReadClock(t.spec.Pieces())
	n := t.costOf(t.counted)
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.asleep[t.spec.Dir]
	b.used += n - s.bytes
	if t.impatient {
		t.removed, t.unswept = s.removed, !s.swept
	}
	delete(b.asleep, t.spec.Dir)
	if b.entered != nil {
		b.entered[t.spec.Dir] = true
	}
}

// leaveStore is that the torrent is open no more: its bytes stay.
func (t *Torrent) leaveStore() {
	t.hole.Lock()
	defer t.hole.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted == nil {
		return
	}
	b := &t.disk.bound
	b.mu.Lock()
	if n := t.costOf(t.counted); n > 0 {
		b.asleep[t.spec.Dir] = sleeper{n, t.removed, t.after, !t.unswept}
	}
	b.mu.Unlock()
	t.counted = nil
}

// lotShare is the most blocks of pieces that are written together: a lot that is as
// long as the store would never find room.
func (d *Disk) lotShare() int {
	if !d.isBounded() {
		return mostLot
	}
	return int(min(mostLot, d.config.Most/16/wire.BlockSize))
}

// claim counts pieces that are about to be written, when there is room for them:
// others are evicted for that. It is errBound if nothing can go. A piece that a
// reader waits for, and that memory is too small for, has its room whatever it takes.
func (t *Torrent) claim(pieces ...*piece) error {
	if !t.disk.config.Evict {
		return nil
	}
	n, needed := int64(0), false
	t.mu.Lock()
	for _, p := range pieces {
		if !t.counted.Has(p.number) {
			n += t.cost(p.number)
		}
		needed = needed || p.parted && t.awaited[p.number] != nil
	}
	t.mu.Unlock()
	if n > 0 {
		if err := t.disk.makeRoom(n, needed); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.disk.now()
	for _, p := range pieces {
		delete(t.debris, p.number)
		t.clock.touch(p.number, now)
		if !t.counted.Has(p.number) {
			t.counted.Set(p.number)
			n -= t.cost(p.number)
		}
	}
	if n != 0 { // somebody else has counted one of them meanwhile, or given it up
		t.disk.uncount(n)
	}
	return nil
}

// claimed is claim, and then t.hole shared: the caller gives that back.
func (t *Torrent) claimed(pieces ...*piece) error {
	for {
		if err := t.claim(pieces...); err != nil {
			return err
		}
		t.hole.RLock()
		if t.isCounted(pieces) {
			return nil
		}
		t.hole.RUnlock() // one of them was being evicted: it has been fetched again since
	}
}

func (t *Torrent) isCounted(pieces []*piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range pieces {
		if t.counted != nil && !t.counted.Has(p.number) {
			return false
		}
	}
	return true
}

// makeRoom counts n bytes more when there is room for them, or if they must have it.
func (d *Disk) makeRoom(n int64, must bool) error {
	b := &d.bound
	for {
		b.mu.Lock()
		over := b.used - d.config.Most + n
		if over <= 0 {
			b.used += n
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		// A little more than is needed, or each piece would cost a sync.
		if n <= d.config.Most && d.evict(over+min(spareRoom, d.config.Most/64)) > 0 {
			continue
		}
		if !must {
			return errBound
		}
		b.mu.Lock()
		b.used += n
		b.mu.Unlock()
		return nil
	}
}

// uncount takes n bytes off what is counted.
func (d *Disk) uncount(n int64) {
	d.bound.mu.Lock()
	d.bound.used -= n
	d.bound.mu.Unlock()
}

// countFound counts a piece that lies in the store already. The caller holds t.mu.
func (t *Torrent) countFound(p wire.Piece) {
	delete(t.debris, p)
	if t.counted == nil || t.counted.Has(p) {
		return
	}
	t.counted.Set(p)
	t.clock.touch(p, t.disk.now())
	t.disk.uncount(-t.cost(p))
}

// leaveDebris notes that what was written of a piece is of no use. The caller holds
// t.mu.
func (t *Torrent) leaveDebris(p wire.Piece) {
	if t.counted.Has(p) {
		if t.debris == nil {
			t.debris = map[wire.Piece]struct{}{}
		}
		t.debris[p] = struct{}{}
	}
}

// mayLend reports whether a file of so many bytes may be lent: what is lent is not
// evicted, so it is half of the store at most.
func (d *Disk) mayLend(n int64) bool {
	if !d.isBounded() {
		return true
	}
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > d.config.Most/2-b.lent {
		return false
	}
	b.lent += n
	return true
}

// unlend gives that back.
func (d *Disk) unlend(n int64) {
	if d.isBounded() {
		d.bound.mu.Lock()
		d.bound.lent -= n
		d.bound.mu.Unlock()
	}
}
