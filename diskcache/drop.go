package diskcache

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// expectedFor is how long a reader's expectation keeps a piece that is not
// written from being dropped. A reader that was paused for longer must not
// stop the others when the store is frozen.
const expectedFor = time.Minute

// victim is a piece that may be dropped, and when it is needed.
type victim struct {
	piece    *piece
	deadline time.Duration
}

// lastFirst sorts what is needed last to the front.
func lastFirst(vs []victim) []victim {
	slices.SortStableFunc(vs, func(a, b victim) int { return cmp.Compare(b.deadline, a.deadline) })
	return vs
}

// drop gives up verified pieces that are not written: first those that no
// reader expects, the oldest first, until soft blocks are free; then those
// that are needed later than head, the last first, until hard ones are.
func (w *writer) drop(soft, hard int, head time.Duration) (dropped bool) {
	w.mu.Lock()
	queue := slices.Clone(w.queue)
	w.mu.Unlock()
	var later []victim
	n, now := 0, w.disk.now()
	for _, p := range queue {
		if n >= soft {
			break
		}
		p.t.mu.Lock()
		can, wanted := p.state == dirty, p.t.pinned.Has(p.number) || p.t.expected[p.number] > 0 && now-p.last < expectedFor
		v := victim{p, p.deadline}
		p.t.mu.Unlock()
		switch {
		case can && wanted && v.deadline > head:
			later = append(later, v)
		case can && !wanted && w.claim(p):
			n += p.count
			p.t.dropped(p)
		}
	}
	for _, v := range lastFirst(later) {
		if n >= hard {
			break
		}
		if w.claim(v.piece) {
			n += v.piece.count
			v.piece.t.dropped(v.piece)
		}
	}
	return n > 0
}

// claim takes a piece out of the queue, unless a worker was quicker.
func (w *writer) claim(p *piece) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, p)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// dropped makes a verified piece that was not written absent.
func (t *Torrent) dropped(p *piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have.Clear(p.number)
	t.leaveDebris(p.number) // what a write that failed has left
	t.wasted.Dropped += int64(t.spec.PieceSize(p.number))
	t.tell(News{Kind: Evicted, Piece: p.number})
	t.disk.mu.Lock()
	t.disk.ledger.Clean(p.count)
	t.disk.mu.Unlock()
	t.unkeep(p, false)
	t.users--
	t.retire()
}

// abandoned gives up a piece that was not written when everything ends.
func (t *Torrent) abandoned(p *piece) {
	if p.state == dirty {
		t.dropped(p)
		return
	}
	t.mu.Lock()
	t.letGo(p)
	t.mu.Unlock()
}

// latest is a heap of victims, what is needed last at its top. A fetch keeps a
// thousand pieces and lets go of one at a time: to sort them each time was a
// seventh of all that it did.
type latest []victim

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i].deadline > l[j].deadline }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(v any)        { *l = append(*l, v.(victim)) }

func (l *latest) Pop() any {
	last := len(*l) - 1
	v := (*l)[last]
	*l = (*l)[:last]
	return v
}

// yield lets go of blocks that are in the store and are kept for readers who
// are about to come; those first that are needed last. It reports how many. The
// keeper alone calls it.
func (d *Disk) yield(n int) (yielded int) {
	kept := d.kept[:0]
	for _, t := range d.all() {
		t.mu.Lock()
		for _, p := range t.pieces {
			if p.state == clean {
				kept = append(kept, victim{p, p.deadline})
			}
		}
		t.mu.Unlock()
	}
	d.kept = kept
	heap.Init(&kept)
	for yielded < n && len(kept) > 0 {
		p := heap.Pop(&kept).(victim).piece
		p.t.mu.Lock()
		if p.state == clean {
			yielded += len(p.blocks)
			p.t.unkeep(p, false)
		}
		p.t.mu.Unlock()
	}
	clear(d.kept)
	return yielded
}
