package diskcache

import (
	"cmp"
	"slices"
	"time"
)

// A lot is what a worker of the writer writes at once: pieces of one torrent,
// sorted, or a single one that is spilled, or that could not be written before: one
// bad piece does not hold up good ones.
//
// A torrent has one lot at a time with the workers: two that wrote to one file would
// wait for each other in the kernel, and burn a processor meanwhile.
//
// A worker that finds little in the queue waits a moment for more. A call for each
// piece, and another for its record, is what writing costs when the disk is fast.
type lot []*piece

const (
	// gatherTime is how long a piece waits for others at most.
	gatherTime = 40 * time.Millisecond
	// mostLot is the most blocks of one lot, if it is of more than one piece. So
	// many wait for no more.
	mostLot = 1024
	// mostRow is the most blocks that one call writes: 1 MiB (ADR 18).
	mostRow = 64
)

// room is the blocks that a lot holds.
func (l lot) room() (n int) {
	for _, p := range l {
		n += p.room
	}
	return n
}

// next waits for pieces whose time has come. It is nil at the end.
func (w *writer) next() lot {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopping {
		l, wait := w.ready(w.disk.now())
		switch {
		case l != nil:
			return l
		case wait > 0 && !w.sleeping:
			w.sleeping = true
			w.mu.Unlock()
			time.Sleep(wait)
			w.mu.Lock()
			w.sleeping = false
		default:
			w.more.Wait()
		}
	}
	return nil
}

// ready takes a lot out of the queue, or tells for how long more pieces are waited
// for. The caller holds w.mu.
func (w *writer) ready(now time.Duration) (l lot, wait time.Duration) {
	resting := w.paused && w.until > now
	if resting && !w.bounded || !w.disk.isSurveyed() {
		return nil, 0
	}
	first := slices.IndexFunc(w.queue, func(p *piece) bool {
		return p.retry <= now && (p.parted || !p.t.storing && !resting)
	})
	if first < 0 {
		return nil, 0
	}
	p := w.queue[first]
	alone := p.failures > 0 || p.parted || w.paused
	if wait = p.queued + gatherTime - now; !alone && wait > 0 && !w.isMuch() {
		return nil, wait
	}
	if w.active > 0 && w.active+p.room > w.most {
		return nil, 0
	}
	room := min(mostLot, w.most-w.active, w.disk.lotShare())
	kept := w.queue[:0]
	for i, q := range w.queue {
		if i == first || i > first && !alone && q.room <= room && q.t == p.t && !q.parted && q.failures == 0 {
			l = append(l, q)
			room -= q.room
			continue
		}
		kept = append(kept, q)
	}
	clear(w.queue[len(kept):])
	w.queue = kept
	for _, p := range l {
		p.pauses = w.pauses
	}
	p.t.storing = p.t.storing || !p.parted
	w.active += l.room()
	slices.SortFunc(l, func(a, b *piece) int { return cmp.Compare(a.number, b.number) })
	return l, 0
}

// isMuch reports whether there is enough in the queue for a lot. With little memory
// that is little: what is not written is the first to be dropped. The caller holds
// w.mu.
func (w *writer) isMuch() bool {
	enough := min(mostLot, w.most/4)
	for _, p := range w.queue {
		if enough -= p.room; enough <= 0 {
			return true
		}
	}
	return false
}
