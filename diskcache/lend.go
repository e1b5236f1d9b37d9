package diskcache

import (
	"os"
	"sync"

	"bipfs/wire"
)

// A file that is here whole can be lent: the kernel reads it by itself then, and
// nobody compares CRCs. So it is lent only while every byte of it has been seen to
// be right since the file was last changed.
//
//	written by us, from verified memory ──┐
//	read back, every CRC right ───────────┼──▶ piece confirmed ──▶ all of the file's ──▶ Lend
//	stamped by an earlier run, unchanged ─┘         │
//	                             the file's stamp is not ours: forgotten
//
// What is lent stays as it is. A damaged piece of such a file is neither fetched
// again nor spilled over until it is given back.
//
// The kernel goes on reading when the process that lent it a file has died. The next
// one Holds what was lent, and says so by Settle; before that nothing is evicted.

// leastLent is the shortest file that is lent: to read a shorter one by ourselves
// costs less than to ask for its loan.
const leastLent = 1 << 20

// mostPartly is the number of pieces that are remembered to be confirmed in part.
const mostPartly = 64

// Stamp tells one state of a file from another. Times are in ns.
type Stamp struct {
	Inode        uint64
	Size         int64
	Mtime, Ctime int64
}

// lending is what a torrent knows of the files that it may lend. Under t.mu.
type lending struct {
	files     map[int]*lendable
	confirmed wire.Bitfield                // nil before the first
	partly    map[wire.Piece]wire.Bitfield // by block
	forgot    int                          // how often a file was changed by others
}

// lendable is a file that may be lent.
type lendable struct {
	look sync.Mutex // over every look at the file that changes stamp or writers

	known   bool // there is a stamp
	stamp   Stamp
	writers int // of ours, under way

	// Under t.mu.
	whole   bool // confirmed by its stamp
	stamped bool // the stamp is in the table
	lent    int
	counts  bool // it is part of what may be lent at most
}

// Lent is a file that is lent. Its bytes are right, and stay, until Close.
type Lent struct {
	t      *Torrent
	of     *lendable
	number int    // of the file
	handle Handle // nil: Hold
}

// Fd is the descriptor of the file, opened for reading; of one of Hold, -1.
func (l *Lent) Fd() int {
	if l.handle == nil {
		return -1
	}
	return l.handle.Fd()
}

// Close gives the file back. It is called once.
func (l *Lent) Close() {
	if l.handle != nil {
		l.handle.Close()
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if l.of.lent--; l.of.lent == 0 {
		l.t.returned(l.number, l.of.counts)
		l.t.unlender()
	}
}

// returned is that a file is lent no more. It may have been read until now. The
// caller holds t.mu.
func (t *Torrent) returned(number int, counted bool) {
	length := t.spec.Files[number].Length
	if counted {
		t.disk.unlend(length)
	}
	first, last := t.starts[number], t.starts[number]+length-1
	t.clock.touchAll(wire.Piece(first/t.spec.PieceLength), wire.Piece(last/t.spec.PieceLength), t.disk.now())
}

// Lend lends file number, unless some of it is not here, or not stored yet, or
// not known to be right.
func (t *Torrent) Lend(number int) (*Lent, bool) {
	if f := t.spec.Files[number]; f.Length < leastLent || f.Pad {
		return nil, false
	}
	t.mu.Lock()
	stored := !t.closed && t.storedFile(number)
	t.mu.Unlock()
	if !stored {
		return nil, false
	}
	handle, err := t.disk.files.openFile(t.dataFile(number), os.O_RDONLY)
	if err != nil {
		return nil, false // who reads it hears of it
	}
	l := t.lendable(number)
	l.look.Lock()
	defer l.look.Unlock()
	if l.writers > 0 || !t.compare(number, l, handle) {
		handle.Close()
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || l.stamp.Size != t.spec.Files[number].Length || !t.storedFile(number) || !t.confirmedFile(number, l) ||
		l.lent == 0 && !t.mayLend(number, l) {
		handle.Close()
		return nil, false
	}
	l.lent++
	return &Lent{t, l, number, handle}, true
}

// Hold is Lend for a file that the kernel reads already, since an earlier process: it
// was right then, so that it stays, whatever is known of it by now and however much is
// lent. It is false once the torrent is closed.
func (t *Torrent) Hold(number int) (*Lent, bool) {
	l := t.lendable(number)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false
	}
	if l.lent++; l.lent == 1 {
		if l.counts = !t.pinnedFile(number); l.counts {
			t.disk.lendMore(t.spec.Files[number].Length)
		}
	}
	return &Lent{t, l, number, nil}, true
}

// Settle says that all is held that an earlier process has lent: what is not may be
// evicted from now on. It is called once, where Config.Lent is set.
func (d *Disk) Settle() { close(d.settled) }

// isSettled waits until that is so; it is not when the Disk is closed before.
func (d *Disk) isSettled() bool {
	select {
	case <-d.settled:
	case <-d.closing:
	}
	select {
	case <-d.settled:
		return true
	default:
		return false
	}
}

// lendable is what is known of a file, which is long enough.
func (t *Torrent) lendable(number int) *lendable {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lending.files[number]
	if l == nil {
		l = &lendable{}
		if t.lending.files == nil {
			t.lending.files = map[int]*lendable{}
		}
		t.lending.files[number] = l
	}
	return l
}

// compare looks whether the file is as we left it. If it is not, nothing is confirmed
// of it any more. The caller holds l.look.
func (t *Torrent) compare(number int, l *lendable, h Handle) (same bool) {
	now, err := h.Stamp()
	if err != nil {
		return false
	}
	if !l.known {
		l.known, l.stamp = true, now
		if t.stamps.has(number, now) {
			t.mu.Lock()
			l.whole, l.stamped = true, true
			t.mu.Unlock()
		}
		return true
	}
	if now == l.stamp {
		return true
	}
	l.stamp = now
	t.mu.Lock()
	t.forget(number, l)
	t.mu.Unlock()
	return false
}

// beginWrite is called before a file is written to, and its result after.
func (t *Torrent) beginWrite(number int, h Handle) (end func()) {
	if t.spec.Files[number].Length < leastLent {
		return func() {}
	}
	l := t.lendable(number)
	l.look.Lock()
	defer l.look.Unlock()
	if l.writers == 0 {
		t.compare(number, l, h)
	}
	l.writers++
	return func() {
		l.look.Lock()
		defer l.look.Unlock()
		if l.writers--; l.writers > 0 {
			return
		}
		now, err := h.Stamp()
		l.stamp, l.known = now, err == nil
		t.mu.Lock()
		l.stamped = false
		if err != nil {
			t.forget(number, l)
		}
		t.mu.Unlock()
	}
}

// beginRead is called before blocks are read back, so that a later change shows.
func (t *Torrent) beginRead(number int, h Handle) {
	if t.spec.Files[number].Length < leastLent {
		return
	}
	l := t.lendable(number)
	l.look.Lock()
	defer l.look.Unlock()
	if !l.known {
		t.compare(number, l, h)
	}
}

// age changes when something that was confirmed is not any more.
func (t *Torrent) age() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lending.forgot
}

// confirm notes that blocks [first, first+n) of a piece that is stored are right, as
// they were read since age. The caller holds t.mu.
func (t *Torrent) confirm(p wire.Piece, first, n, age int) {
	g := &t.lending
	if g.forgot != age || g.confirmed.Has(p) || !t.have.Has(p) {
		return
	}
	blocks := t.spec.Blocks(p)
	if n < blocks {
		part := g.partly[p]
		if part == nil {
			part = wire.NewBitfield(blocks)
			for other := range g.partly { // any one: it is read again some time
				if len(g.partly) >= mostPartly {
					delete(g.partly, other)
				}
			}
			if g.partly == nil {
				g.partly = map[wire.Piece]wire.Bitfield{}
			}
			g.partly[p] = part
		}
		for i := first; i < first+n; i++ {
			part.Set(wire.Piece(i))
		}
		if part.Count() < blocks {
			return
		}
		delete(g.partly, p)
	}
	if g.confirmed == nil {
		g.confirmed = wire.NewBitfield(t.spec.Pieces())
	}
	g.confirmed.Set(p)
}

// doubt takes back what was confirmed of a piece. The caller holds t.mu.
func (t *Torrent) doubt(p wire.Piece) {
	g := &t.lending
	if g.confirmed != nil {
		g.confirmed.Clear(p)
	}
	delete(g.partly, p)
	g.forgot++
}

// unconfirm is that a piece is stored no more. The caller holds t.mu.
func (t *Torrent) unconfirm(p wire.Piece) {
	if t.lending.confirmed != nil {
		t.lending.confirmed.Clear(p)
	}
	delete(t.lending.partly, p)
	for number := range t.filesOf(p) {
		if l := t.lending.files[number]; l != nil {
			l.whole = false
		}
	}
}

// forget takes back what was confirmed of a file. The caller holds t.mu.
func (t *Torrent) forget(number int, l *lendable) {
	l.whole, l.stamped = false, false
	for p := range t.piecesOf(number) {
		t.doubt(p)
	}
}

// damaged takes back what was confirmed of the files of a piece, and tells whether
// one of them is lent. The caller holds t.mu.
func (t *Torrent) damaged(p wire.Piece) (lent bool) {
	t.doubt(p)
	for number := range t.filesOf(p) {
		if l := t.lending.files[number]; l != nil {
			l.whole = false
		}
		lent = lent || t.isLent(number)
	}
	return lent
}

// storedFile reports whether all of a file is here and stored. The caller holds
// t.mu.
func (t *Torrent) storedFile(number int) bool {
	for p := range t.piecesOf(number) {
		if !t.have.Has(p) {
			return false
		}
	}
	first, end := t.starts[number], t.starts[number]+t.spec.Files[number].Length
	for n, p := range t.pieces {
		off := t.spec.Offset(n, 0)
		if p.state == dirty && off < end && off+int64(t.spec.PieceSize(n)) > first {
			return false
		}
	}
	return true
}

// confirmedFile reports whether all of a file is known to be right. The caller holds
// t.mu.
func (t *Torrent) confirmedFile(number int, l *lendable) bool {
	if l.whole {
		return true
	}
	for p := range t.piecesOf(number) {
		if !t.lending.confirmed.Has(p) {
			return false
		}
	}
	return true
}
