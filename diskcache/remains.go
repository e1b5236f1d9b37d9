package diskcache

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"bipfs/wire"
)

// What a removed torrent has stored stays, counts, and is the first to go. Nobody has
// it open:
//
//	            Removed                      room is needed
//	Torrent ───────────────▶ remains ──opened, swept, evicted, closed──▶ remains, or none
//	   ▲                        │
//	   └────── Add ◀── Restored ┘   what is left is used as it is
//
// Remains that the store finds when it starts are weighed: the file system says how
// much their files take, whatever their journals say. So nothing has to be known of
// their torrents, and what a kill left of them in no journal is counted, too.

// Remains is what is left of a torrent that was removed, or cannot be used.
type Remains struct {
	Dir     string    // as that of its Spec
	Removed time.Time // zero: it cannot be used, and nothing of it goes
}

// remain is what is known of them, beside those that are told of while it runs.
type remain struct {
	list     []Remains                      // until they are weighed
	spec     func(dir string) (Spec, error) // of one that was removed; nil: there are none
	restored map[string]bool                // so long, those that were restored
	weighed  chan struct{}                  // closed when they are
}

// sleeper is a torrent that has something in the store and is not open.
type sleeper struct {
	bytes   int64
	removed int64         // when, Unix ns; 0: it was not, or what there is of it has to stay
	after   time.Duration // before that, on the ledger's clock, nothing of it can go
	swept   bool          // what a kill has left of it has been found
}

// evictedAtOnce is how much is evicted at least of remains, bytes; of a small store it
// is less. They are opened for that, and closed again.
const evictedAtOnce = 16 << 20

// Remain tells what is left of removed torrents, and how the Spec of one is found. It
// is called once, before Bound.
func (d *Disk) Remain(list []Remains, spec func(dir string) (Spec, error)) {
	d.bound.remain.list, d.bound.remain.spec = list, spec
}

// weighRemains counts what Remain told of. Nothing is evicted meanwhile.
func (d *Disk) weighRemains() {
	b := &d.bound
	b.turn.Lock()
	defer b.turn.Unlock()
	defer close(b.remain.weighed)
	for _, r := range b.remain.list {
		if d.isClosed() {
			return
		}
		removed := int64(0)
		if !r.Removed.IsZero() {
			removed = r.Removed.UnixNano()
		}
		d.weigh(filepath.Clean(r.Dir), removed)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remain.list, b.remain.restored = nil, nil
}

// weigh counts what lies in the folder of a torrent that is not open, unless that is
// counted already.
func (d *Disk) weigh(dir string, removed int64) {
	n, err := d.fs.Used(filepath.Join(dir, "data"))
	if err != nil {
		d.log.Warn("it is not known how much is left of a removed torrent", "dir", dir, "err", err)
	}
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.asleep[dir]; known || b.entered[dir] || n == 0 {
		return
	}
	if b.remain.restored[dir] {
		removed = 0
	}
	b.asleep[dir] = sleeper{bytes: n, removed: removed}
	b.used += n
}

// Removed tells that a torrent was removed and that its data stays: it goes before all
// else. A Torrent that is open is to Leave next.
func (d *Disk) Removed(dir string, at time.Time) {
	if !d.config.Evict {
		return
	}
	dir = filepath.Clean(dir)
	d.mu.Lock()
	t := d.dirs[dir]
	d.mu.Unlock()
	open := false
	if t != nil {
		t.mu.Lock()
		t.removed, open = at.UnixNano(), t.counted != nil
		t.mu.Unlock()
	}
	b := &d.bound
	b.mu.Lock()
	s, known := b.asleep[dir]
	if known {
		s.removed, s.after = at.UnixNano(), 0
		b.asleep[dir] = s
	}
	delete(b.remain.restored, dir)
	b.mu.Unlock()
	if !known && !open {
		d.weigh(dir, at.UnixNano())
	}
}

// Restored tells that a removed torrent is about to be used again: what is left of it
// is like all else.
func (d *Disk) Restored(dir string) {
	dir = filepath.Clean(dir)
	d.stay(dir)
	d.mu.Lock()
	t := d.dirs[dir]
	d.mu.Unlock()
	if t != nil { // something of it is being evicted
		t.mu.Lock()
		t.removed = 0
		t.mu.Unlock()
	}
	d.stay(dir) // or it left just now
}

func (d *Disk) stay(dir string) {
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.asleep[dir]; ok {
		s.removed = 0
		b.asleep[dir] = s
	} else if b.remain.restored != nil {
		b.remain.restored[dir] = true
	}
}

// Remaining is how many bytes of removed torrents may go. It waits until that is known.
func (d *Disk) Remaining() (n int64) {
	if !d.config.Evict {
		return 0
	}
	b := &d.bound
	select {
	case <-b.remain.weighed:
	case <-d.closing:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.asleep {
		if s.removed != 0 {
			n += s.bytes
		}
	}
	return n
}

// remains are the folders of removed torrents of which something may go, the one that
// was removed first in front.
func (d *Disk) remains() (dirs []string) {
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	now := d.now()
	for dir, s := range b.asleep {
		if s.removed != 0 && s.after <= now && b.remain.spec != nil {
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(x, y string) int {
		return cmp.Or(cmp.Compare(b.asleep[x].removed, b.asleep[y].removed), cmp.Compare(x, y))
	})
	return dirs
}

// evictRemains is evict for what is left of removed torrents. The caller holds
// bound.turn.
func (d *Disk) evictRemains(n int64) (freed int64) {
	for _, dir := range d.remains() {
		if freed >= n || d.bound.unable || d.isClosed() {
			break
		}
		freed += d.evictFrom(dir, max(n-freed, min(evictedAtOnce, d.config.Most/8)))
	}
	return freed
}

// evictFrom evicts n bytes of what is left of a removed torrent, or what can be had.
func (d *Disk) evictFrom(dir string, n int64) (freed int64) {
	b := &d.bound
	b.mu.Lock()
	before := b.asleep[dir].bytes
	b.mu.Unlock()
	t, err := d.openRemains(dir)
	if err != nil {
		if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrClosed) {
			d.log.Warn("what is left of a removed torrent cannot give way: delete its folder, when nothing is mounted", "dir", dir, "err", err)
		}
		d.spare(dir, err)
		return 0
	}
	defer t.gone()
	victims := t.chooseUntil(before - n)
	if len(victims) == 0 || d.canPunch(t, victims[0]) {
		if err := t.sweepOnce(); err == nil && len(victims) > 0 {
			t.evict(victims)
		}
	}
	t.mu.Lock()
	left := t.costOf(t.counted)
	if left >= before { // it is being read, or the disk fails
		t.after = d.now() + tenantsAge
	}
	t.closed = true
	t.mu.Unlock()
	return max(0, before-left)
}

// sweepOnce gives back what is in no journal, unless that was done.
func (t *Torrent) sweepOnce() (err error) {
	t.mu.Lock()
	due := t.unswept
	t.mu.Unlock()
	for p := wire.Piece(0); due && err == nil && t.spec.Valid(p); {
		p, err = t.sweep(p)
	}
	if err == nil {
		t.mu.Lock()
		t.unswept = false
		t.mu.Unlock()
	}
	return err
}

// openRemains opens what is left of a removed torrent, unless somebody else has it open.
func (d *Disk) openRemains(dir string) (*Torrent, error) {
	s, err := d.bound.remain.spec(dir)
	if err != nil {
		return nil, err
	}
	t, err := d.newTorrent(s)
	if err != nil {
		return nil, err
	}
	t.impatient, t.deaf = true, true
	return t, d.enterTorrent(t)
}

// spare has nothing go of a removed torrent: for a while, as it is in use, or at all.
func (d *Disk) spare(dir string, why error) {
	b := &d.bound
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.asleep[dir]
	if !ok {
		return
	}
	if s.after = d.now() + tenantsAge; !errors.Is(why, ErrBusy) {
		s.removed = 0
	}
	b.asleep[dir] = s
}

// chooseUntil is pieces that may go, until the others cost no more than left, if there
// are enough; the ends of films last.
func (t *Torrent) chooseUntil(left int64) (victims []wire.Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.costOf(t.counted)
	for _, ends := range []bool{false, true} {
		for p := wire.Piece(0); t.spec.Valid(p) && n > left; p++ {
			if t.ends.Has(p) == ends && t.evictable(p, nil) {
				victims = append(victims, p)
				n -= t.cost(p)
			}
		}
	}
	return victims
}
