package diskcache

import (
	"slices"
	"sync"
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
	pauses   int      // how often it was
	until    time.Duration
	stopping bool
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

func (w *writer) run() {
	for p := w.next(); p != nil; p = w.next() {
		err := p.t.put(p)
		w.done(p, err)
	}
}

// next waits for a piece whose time has come.
func (w *writer) next() *piece {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopping {
		now := w.disk.now()
		for i, p := range w.queue {
			if p.retry > now {
				continue
			}
			if w.paused && w.until > now || w.active > 0 && w.active+p.room > w.most {
				break
			}
			w.queue = slices.Delete(w.queue, i, i+1)
			w.active += p.room
			p.pauses = w.pauses
			return p
		}
		w.more.Wait()
	}
	return nil
}

// done puts a piece that could not be written back.
func (w *writer) done(p *piece, err error) {
	w.mu.Lock()
	w.active -= p.room
	resumed, stopped := false, false
	now := w.disk.now()
	switch {
	case err == nil:
		// A write that was under way when the store was full says nothing.
		resumed = w.paused && p.pauses == w.pauses
		w.paused = w.paused && !resumed
	case full(err):
		stopped = !w.paused
		if stopped {
			w.pauses++
		}
		w.paused, w.until = true, now+pause
		w.queue = slices.Insert(w.queue, 0, p)
	default:
		p.failures++
		p.retry = now + min(mostDelay, leastDelay<<min(p.failures-1, 16))
		w.queue = append(w.queue, p)
	}
	// A lock that another program has for a moment is no news.
	again := err != nil && !full(err) && (p.failures == 1 && !fleeting(err) || p.failures == 5)
	w.mu.Unlock()
	w.more.Broadcast()
	switch {
	case stopped:
		w.disk.pause(true)
		w.disk.log.Warn("storing is paused, reads go on from memory and network: free some space", "dir", p.t.spec.Dir, "err", err)
	case resumed:
		w.disk.pause(false)
		w.disk.log.Info("storing goes on")
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

// put does a worker's job on a piece.
func (t *Torrent) put(p *piece) error {
	t.mu.Lock()
	spill := p.state == opened || p.state == ended
	t.mu.Unlock()
	if spill {
		return t.spill(p)
	}
	vector := make([][]byte, p.count)
	for i, b := range p.blocks {
		vector[i] = b.bytes()
	}
	claim, err := t.room(int64(t.spec.PieceSize(p.number)))
	if err != nil {
		return err
	}
	defer t.disk.writing.Add(-claim)
	t.mu.Lock()
	// What is found out from now on, that the file was changed by others, undoes it.
	t.confirm(p.number, 0, p.count, t.lending.forgot)
	t.mu.Unlock()
	if err := t.write(t.spec.Offset(p.number, 0), vector); err != nil {
		return err
	}
	if err := t.mark(p); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(p)
	p.state = clean
	t.disk.mu.Lock()
	t.disk.ledger.Clean(p.count)
	t.disk.mu.Unlock()
	if t.expected[p.number] == 0 {
		t.unkeep(p, true)
	}
	t.users--
	t.retire()
	return nil
}

// mark writes the journal's record of a piece whose data is written.
func (t *Torrent) mark(p *piece) error {
	return t.journal.put(p.number, written, p.crcs, func() bool { return true })
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
