package diskcache

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writer stores verified pieces, some time after their readers had them, and
// spills parted ones. What is in its queue and verified can be dropped
// unwritten: then the piece is absent again. So a store that is slow, frozen
// or full costs memory up to the ledger's bound, and no speed.
type writer struct {
	disk *Disk
	most int // blocks that may be with the workers, so held by a frozen store; one piece may always

	mu       sync.Mutex
	more     sync.Cond
	queue    []*piece // oldest first
	active   int      // blocks with the workers
	paused   bool     // the store is full
	bounded  bool     // by its own bound
	pauses   int      // how often it was
	until    time.Duration
	stopping bool
	sleeping bool // a worker waits for more pieces to write at once

	tight atomic.Bool // the file system has no room, whatever it says
}

const (
	// leastDelay and mostDelay bound the time before a failed write is tried
	// again. It doubles.
	leastDelay = 50 * time.Millisecond
	mostDelay  = 30 * time.Second
	// pause is how long storing rests when there is no room.
	pause = time.Second
)

func newWriter(d *Disk, most int) *writer {
	w := &writer{disk: d, most: most}
	w.more.L = &w.mu
	return w
}

// add takes a piece to be written or spilled.
func (w *writer) add(p *piece) {
	w.mu.Lock()
	p.queued = w.disk.now()
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	w.more.Signal()
}

// look wakes workers that wait for a time.
func (w *writer) look() {
	w.mu.Lock()
	waiting := len(w.queue) > 0
	w.mu.Unlock()
	if waiting {
		w.more.Broadcast()
	}
}

// close ends the workers. What they have not written stays in the queue.
func (w *writer) close() {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	w.more.Broadcast()
}

// take empties the queue.
func (w *writer) take() []*piece {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queue
	w.queue = nil
	return q
}

func (w *writer) isPaused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused
}

// isBounded reports whether it is paused as the store has its size.
func (w *writer) isBounded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused && w.bounded
}

func (w *writer) run() {
	for l := w.next(); l != nil; l = w.next() {
		w.done(l, l[0].t.put(l))
	}
}

// done puts pieces that could not be written back.
func (w *writer) done(l lot, err error) {
	p := l[0]
	bound := errors.Is(err, errBound)
	w.mu.Lock()
	w.active -= l.room()
	p.t.storing = p.t.storing && p.parted // spilling is none of its business
	resumed, stopped, now := false, false, w.disk.now()
	switch {
	case err == nil:
		// A write that was under way when the store was full says nothing; nor does a
		// long piece, which has its room whatever the bound.
		resumed = w.paused && p.pauses == w.pauses && !(w.bounded && p.parted)
		w.paused = w.paused && !resumed
	case bound && p.parted: // nobody waits for it yet, and others may not wait for it
		p.retry = now + pause
		w.queue = append(w.queue, l...)
	case full(err):
		if stopped = !w.paused; stopped {
			w.pauses++
		}
		w.paused, w.bounded, w.until = true, bound, now+pause
		if bound {
			w.until = now + tick // as readers go on, something may go
		}
		if !bound && !errors.Is(err, errKeepFree) {
			w.tight.Store(true)
		}
		w.queue = slices.Insert(w.queue, 0, l...)
	default:
		for _, p := range l {
			p.failures++
			p.retry = now + min(mostDelay, leastDelay<<min(p.failures-1, 16))
		}
		w.queue = append(w.queue, l...)
	}
	// A lock that another program has for a moment is no news.
	again := err != nil && !full(err) && (p.failures == 1 && !fleeting(err) || p.failures == 5)
	w.mu.Unlock()
	w.more.Broadcast()
	switch {
	case stopped, resumed:
		w.disk.pause(stopped)
		w.disk.tellStoring(stopped, err, p.t)
	case again:
		w.disk.log.Warn("a piece could not be stored, it is tried again", "dir", p.t.spec.Dir, "piece", p.number, "err", err)
	}
}

func (d *Disk) pause(on bool) {
	d.mu.Lock()
	d.ledger.Pause(on)
	d.mu.Unlock()
	d.ring()
}

// put does a worker's job on pieces: what lies side by side is written in one call,
// and one more writes the records of all.
func (t *Torrent) put(l lot) error {
	t.mu.Lock()
	spill := l[0].state == opened || l[0].state == ended
	t.mu.Unlock()
	if spill {
		return t.spill(l[0])
	}
	length := int64(0)
	for _, p := range l {
		length += int64(t.spec.PieceSize(p.number))
	}
	claim, err := t.room(length)
	if err != nil {
		return err
	}
	defer t.disk.writing.Add(-claim)
	if err := t.claimed(l...); err != nil {
		return err
	}
	defer t.hole.RUnlock()
	t.mu.Lock()
	// What is found out from now on, that the file was changed by others, undoes it.
	for _, p := range l {
		t.confirm(p.number, 0, p.count, t.lending.forgot)
	}
	t.mu.Unlock()
	for rest := l; len(rest) > 0; {
		n, vector := t.row(rest)
		if err := t.write(t.spec.Offset(rest[0].number, 0), vector); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := t.mark(l...); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range l {
		t.note(p)
		p.state = clean
		t.disk.mu.Lock()
		t.disk.ledger.Clean(p.count)
		t.disk.mu.Unlock()
		if t.expected[p.number] == 0 {
			t.unkeep(p, true)
		}
		t.users--
	}
	t.retire()
	return nil
}

// row is the bytes of the first pieces of a sorted lot, as many as lie side by
// side and go into one call.
func (t *Torrent) row(l lot) (n int, vector [][]byte) {
	end := t.spec.Offset(l[0].number, 0)
	for n < len(l) && t.spec.Offset(l[n].number, 0) == end && (n == 0 || len(vector)+l[n].count <= mostRow) {
		for _, block := range l[n].blocks {
			vector = append(vector, block.bytes())
		}
		end += int64(t.spec.PieceSize(l[n].number))
		n++
	}
	return n, vector
}

// mark writes the journal's records of pieces whose data is written.
func (t *Torrent) mark(pieces ...*piece) error {
	entries := make([]entry, len(pieces))
	for i, p := range pieces {
		entries[i] = entry{piece: p.number, mark: written, crcs: p.crcs}
	}
	return t.journal.put(entries...)
}

// note has the syncer sync a piece. The caller holds t.mu.
func (t *Torrent) note(p *piece) {
	t.unsynced[p.number] = &unsynced{p.crcs}
	if n := t.disk.unsynced.Add(int64(t.spec.PieceSize(p.number))); n >= syncBytes {
		t.disk.ringSync()
	}
}

// unkeep takes the blocks of a clean piece out of the table: they go to the
// cache, or are let go. The caller holds t.mu.
func (t *Torrent) unkeep(p *piece, cache bool) {
	delete(t.pieces, p.number)
	p.state = ended
	blocks := p.blocks
	p.blocks = nil
	if cache {
		t.disk.cache.add(blocks)
		return
	}
	for _, b := range blocks {
		b.Release()
	}
}
