package diskcache

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bipfs/wire"
)

// What goes when room is needed: what removed torrents have left (remains.go), then
// what was read longest ago and no reader expects, the ends of films and archives after
// all else.
//
//	look ──▶ rows, in order ──▶ victims ──▶ give up ──▶ unmark ──▶ sync ──▶ punch
//	                            by torrent   have, news  └─── the journal ┘    └ the data
//
// A kill before the sync leaves the pieces marked and whole, or unmarked; a kill
// after it leaves them unmarked. Nothing is ever marked and punched: between give up
// and punch nothing is written to the torrent's files (Torrent.hole).

// row is some pieces of a torrent that follow each other: see readClock. Of a
// torrent that is not open it is all of them.
type row struct {
	t      *Torrent
	tenant *Tenant // nil: it is open
	number int
	ends   bool          // those of its pieces that are ends of files, or the others
	read   time.Duration // when, on the ledger's clock
}

// evict gives n bytes back to the file system, or what can be had, and returns how
// many. It waits for the disk, and until it is known what is lent.
func (d *Disk) evict(n int64) (freed int64) {
	if !d.isSettled() {
		return 0
	}
	b := &d.bound
	b.turn.Lock()
	defer b.turn.Unlock()
	if b.unable {
		return 0
	}
	if freed = d.evictRemains(n); freed >= n {
		return freed
	}
	n -= freed
	victims := map[*Torrent][]wire.Piece{}
	var order []*Torrent
	chosen := d.chooseDebris(victims)
	for looked := false; chosen < n; b.next++ {
		if b.next == len(b.rows) {
			if looked {
				break
			}
			looked = true
			b.rows, b.next = d.rows(), 0
			if len(b.rows) == 0 {
				break
			}
		}
		r := b.rows[b.next]
		if r.tenant != nil {
			d.wakeTenant(r)
			continue
		}
		more, cost, done := r.t.choose(r, n-chosen, victims[r.t])
		victims[r.t] = more
		chosen += cost
		if !done {
			break // the rest of it is first the next time
		}
	}
	for t := range victims {
		order = append(order, t)
	}
	slices.SortFunc(order, func(a, b *Torrent) int { return cmp.Compare(a.id, b.id) })
	for _, t := range order {
		if len(victims[t]) > 0 && d.canPunch(t, victims[t][0]) {
			freed += t.evict(victims[t])
		}
	}
	return freed
}

// mostNext is the most rows that are known to be next. It is looked again when they
// are through.
const mostNext = 1024

// rows is what is to go next, in order.
func (d *Disk) rows() (rows []row) {
	for _, t := range d.all() {
		rows = t.rows(rows)
	}
	for _, x := range d.tenants() {
		if !x.Kept() {
			rows = append(rows, row{tenant: &x, read: x.Used.Sub(d.epoch)})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if a.ends != b.ends {
			if b.ends {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.read, b.read)
	})
	return slices.Clone(rows[:min(mostNext, len(rows))])
}

// rows appends those of an open torrent of which something may go.
func (t *Torrent) rows(rows []row) []row {
	if t.spec.Kept != nil && t.spec.Kept() {
		return rows
	}
	for i, n := 0, t.rowCount(); i < n; i++ {
		rows = t.addRow(rows, i)
	}
	return rows
}

func (t *Torrent) rowCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted == nil || t.closed {
		return 0
	}
	return len(t.clock.ticks)
}

// addRow is rows for one of them: readers do not wait until all have been looked at.
func (t *Torrent) addRow(rows []row, i int) []row {
	t.mu.Lock()
	defer t.mu.Unlock()
	var some [2]bool
	for p := range t.rowOf(i) {
		if end := btoi(t.ends.Has(p)); !some[end] && t.counted.Has(p) {
			some[end] = t.evictable(p, nil)
		}
	}
	for end, any := range some {
		if any {
			rows = append(rows, row{t: t, number: i, ends: end == 1, read: t.clock.read(i, t.spec.Used.Sub(t.disk.epoch))})
		}
	}
	return rows
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rowOf is the pieces of a row.
func (t *Torrent) rowOf(i int) func(yield func(wire.Piece) bool) {
	return func(yield func(wire.Piece) bool) {
		from := wire.Piece(i) * t.clock.row
		for p := from; p < from+t.clock.row && t.spec.Valid(p); p++ {
			if !yield(p) {
				return
			}
		}
	}
}

// wakeTenant opens a torrent, and puts its rows where it was itself.
func (d *Disk) wakeTenant(r row) {
	t, err := r.tenant.Open()
	if err != nil {
		d.log.Debug("a torrent cannot be opened to evict something of it", "err", err)
		return
	}
	b := &d.bound
	rows := t.rows(nil)
	// What it has of ends goes after all that there is now.
	rest := slices.Clone(b.rows[b.next+1:])
	b.rows = b.rows[:b.next+1]
	var ends []row
	for _, r := range rows {
		if r.ends {
			ends = append(ends, r)
		} else {
			b.rows = append(b.rows, r)
		}
	}
	b.rows = append(append(b.rows, rest...), ends...)
}

// choose adds to victims the pieces of a row that may go, until they cost n. It is
// done if no more of the row are to be had.
func (t *Torrent) choose(r row, n int64, victims []wire.Piece) (all []wire.Piece, cost int64, done bool) {
	used := t.spec.Used.Sub(t.disk.epoch)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted == nil || t.closed || t.clock.read(r.number, used) > r.read {
		return victims, 0, true
	}
	reading := t.reading()
	for p := range t.rowOf(r.number) {
		if t.ends.Has(p) != r.ends || !t.evictable(p, reading) {
			continue
		}
		if cost >= n {
			return victims, cost, false
		}
		victims = append(victims, p)
		cost += t.cost(p)
	}
	return victims, cost, true
}

// chooseDebris takes what is of no use to anybody first.
func (d *Disk) chooseDebris(victims map[*Torrent][]wire.Piece) (cost int64) {
	for _, t := range d.all() {
		t.mu.Lock()
		for _, p := range slices.Sorted(maps.Keys(t.debris)) {
			if !t.closed && t.evictable(p, nil) { // or it is being fetched again
				victims[t] = append(victims[t], p)
				cost += t.cost(p)
			}
		}
		t.mu.Unlock()
	}
	return cost
}

// reading is the pieces of which something is being read from the store. The caller
// holds t.mu.
func (t *Torrent) reading() map[wire.Piece]bool {
	reading := map[wire.Piece]bool{}
	for _, j := range t.jobs {
		reading[j.piece] = true
	}
	return reading
}

// evictable reports whether the bytes of a piece may go: it is stored, or debris, and
// no reader waits for it, expects it, or has a file of it from us. The caller holds
// t.mu.
func (t *Torrent) evictable(p wire.Piece, reading map[wire.Piece]bool) bool {
	x, here := t.pieces[p], t.have.Has(p)
	switch {
	case !t.counted.Has(p), t.expected[p] > 0, t.awaited[p] != nil, reading[p]:
		return false
	case here && (t.pinned.Has(p) || x != nil && x.state != clean):
		return false // it is pinned, or about to be written
	case !here:
		_, debris := t.debris[p]
		if !debris || x != nil {
			return false
		}
	}
	for number := range t.filesOf(p) {
		if t.isLent(number) {
			return false
		}
	}
	return true
}

// evict gives up pieces of a torrent, as far as they still may go, and returns how
// many bytes that has freed.
func (t *Torrent) evict(pieces []wire.Piece) (freed int64) {
	t.hole.Lock()
	defer t.hole.Unlock()
	slices.Sort(pieces)
	pieces = t.giveUp(slices.Compact(pieces))
	entries := make([]entry, len(pieces))
	for i, p := range pieces {
		entries[i] = entry{piece: p, mark: none}
	}
	err := t.journal.put(entries...)
	if err == nil {
		err = t.journal.sync()
	}
	if err != nil {
		t.disk.log.Warn("the journal cannot be written: nothing is evicted", "dir", t.spec.Dir, "err", err)
		return 0 // they are debris
	}
	for from := 0; from < len(pieces); {
		to := from + 1
		for to < len(pieces) && pieces[to] == pieces[to-1]+1 {
			to++
		}
		if err := t.punch(pieces[from], pieces[to-1]); err != nil {
			t.disk.log.Warn("the space of evicted pieces does not come back", "dir", t.spec.Dir, "err", err)
			return freed
		}
		freed += t.punched(pieces[from:to])
		from = to
	}
	t.disk.evicted.Add(freed)
	return freed
}

// giveUp has the pieces be here no more, but for those that are needed by now.
func (t *Torrent) giveUp(pieces []wire.Piece) (gone []wire.Piece) {
	kept := t.spec.Kept != nil && t.spec.Kept()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted == nil {
		return nil
	}
	reading := t.reading()
	for _, p := range pieces {
		if !t.evictable(p, reading) || kept && t.have.Has(p) { // debris that has come again
			continue
		}
		gone = append(gone, p)
		if !t.have.Has(p) {
			continue
		}
		t.have.Clear(p)
		t.leaveDebris(p) // until it is punched
		delete(t.unsynced, p)
		t.crcs.forget(p)
		if x := t.pieces[p]; x != nil {
			t.unkeep(x, true)
		}
		t.unconfirm(p)
		t.tell(News{Kind: Evicted, Piece: p})
	}
	return gone
}

// punched is that pieces have no bytes in the store any more.
func (t *Torrent) punched(pieces []wire.Piece) (freed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range pieces {
		delete(t.debris, p)
		t.counted.Clear(p)
		freed += t.cost(p)
	}
	t.disk.uncount(freed)
	return freed
}
