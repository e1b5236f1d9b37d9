package diskcache

import "bipfs/wire"

// A kill leaves bytes that no journal speaks of: of a long piece that was coming in
// parts, of pieces that were written and not marked yet. They would take space that
// is not counted. So in a bounded store the files of a torrent are swept once it is
// open: holes are made wherever no piece is counted.

// sweepRuns is how many holes are made before others may write again.
const sweepRuns = 64

// sweepAll sweeps the torrents that were opened lately. It waits for the disk.
func (d *Disk) sweepAll() {
	if !d.isBounded() {
		return
	}
	for _, t := range d.all() {
		t.mu.Lock()
		due := t.unswept && !t.closed
		t.unswept = false
		t.mu.Unlock()
		for from, done := wire.Piece(0), !due; !done; {
			var err error
			if from, err = t.sweep(from); err != nil {
				d.log.Debug("a torrent is not swept", "dir", t.spec.Dir, "err", err)
			}
			done = err != nil || !t.spec.Valid(from) || d.isClosed()
		}
	}
}

// sweep makes some of the holes from a piece on, and returns where it goes on.
func (t *Torrent) sweep(from wire.Piece) (next wire.Piece, err error) {
	t.hole.Lock()
	defer t.hole.Unlock()
	for range sweepRuns {
		first, end, ok := t.uncounted(from)
		if !ok {
			return wire.Piece(t.spec.Pieces()), nil
		}
		if err := t.punch(first, end-1); err != nil {
			return 0, err
		}
		from = end
	}
	return from, nil
}

// uncounted is the first pieces [first, end) from a piece on that are not counted.
func (t *Torrent) uncounted(from wire.Piece) (first, end wire.Piece, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted == nil {
		return 0, 0, false
	}
	for first = from; t.spec.Valid(first) && t.counted.Has(first); first++ {
	}
	for end = first; t.spec.Valid(end) && !t.counted.Has(end); end++ {
	}
	return first, end, end > first
}
