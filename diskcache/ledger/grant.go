package ledger

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// Ready decides what can be decided at now and returns the orders since the
// last call. The slice is the caller's until the next call.
func (l *Ledger) Ready(now time.Duration) []Order {
	l.orders = l.orders[:0]
	l.admit()
	for len(l.queue) > 0 && l.grant(l.queue[0], now) {
	}
	for l.revoke(now) { // that may change who is first
		for len(l.queue) > 0 && l.grant(l.queue[0], now) {
		}
	}
	return l.orders
}

// Waiting reports whether anybody waits for memory.
func (l *Ledger) Waiting() bool { return len(l.queue)+len(l.loads) > 0 }

// Next is the time at which Ready will have a lease to revoke, if nothing else
// happens before.
func (l *Ledger) Next() (time.Duration, bool) {
	if l.need() == 0 {
		return 0, false
	}
	var first time.Duration
	found := false
	for _, o := range l.open {
		if at, ok := l.due(o); ok && (!found || at < first) {
			first, found = at, true
		}
	}
	return first, found
}

// due is when an open lease may be revoked for the head of the queue. For a
// penalised one a torrent that lives loses nothing.
func (l *Ledger) due(o *lease) (at time.Duration, ok bool) {
	e := l.queue[0]
	switch {
	case o.state != open:
		return 0, false
	case l.overDead(e) > 0 && !o.dead: // this would not help
		return 0, false
	case !e.torrent.penalised || o.torrent.penalised:
		return o.last + Patience, true
	}
	return max(o.last, o.torrent.last) + Patience, true
}

// Shortage is the number of held blocks that have to be Released before the
// first of those who wait can go on.
func (l *Ledger) Shortage() int {
	wanted := 0
	if len(l.loads) > 0 && l.counts.Loading+l.loads[0].n <= l.reads {
		wanted += l.loads[0].n
	}
	if len(l.queue) > 0 {
		if e := l.queue[0]; l.allowed(e) {
			wanted += e.room
		}
	}
	return min(l.counts.Held, max(0, wanted-l.counts.Free))
}

// Excess is the number of dirty blocks that have to be given up so that the
// first request can be granted: soft of pieces that no reader expects, hard
// (part of soft) of any that is needed later than the request. While nobody
// waits, nothing has to: the store may still come round to it.
func (l *Ledger) Excess() (soft, hard int) {
	if len(l.queue) == 0 {
		return 0, 0
	}
	e := l.queue[0]
	over := max(0, l.counts.Leased+l.counts.Dirty+e.room-l.limit(e))
	floor := l.room / 4
	if l.paused {
		floor = 0
	}
	soft = max(0, min(over, l.counts.Dirty-floor))
	hard = max(0, min(over, l.counts.Dirty-l.room/2))
	return soft, hard
}

// Head is the deadline of the first request that waits, if one does.
func (l *Ledger) Head() (deadline time.Duration, ok bool) {
	if len(l.queue) == 0 {
		return 0, false
	}
	return l.queue[0].deadline, true
}

// admit gives memory to reads, in order of arrival.
func (l *Ledger) admit() {
	for len(l.loads) > 0 {
		first := l.loads[0]
		if first.n > l.counts.Free || l.counts.Loading+first.n > l.reads {
			return
		}
		l.loads = slices.Delete(l.loads, 0, 1)
		l.counts.Free -= first.n
		l.counts.Loading += first.n
		l.orders = append(l.orders, Order{Kind: Admit, Load: first.number, N: first.n})
	}
}

// grant gives the head of the queue its room if there is so much.
func (l *Ledger) grant(e *lease, now time.Duration) bool {
	if !l.allowed(e) || e.room > l.counts.Free {
		return false
	}
	heap.Pop(&l.queue)
	e.state, e.last, e.dead = open, now, e.torrent.penalised
	e.torrent.leased += e.room
	l.open = append(l.open, e)
	l.counts.Free -= e.room
	l.counts.Leased += e.room
	l.orders = append(l.orders, Order{
		Kind: Grant, Torrent: e.torrent.number, Piece: e.piece, Lease: e.number, N: e.room,
	})
	return true
}

// allowed reports whether e may have its room as soon as that many blocks are
// free.
func (l *Ledger) allowed(e *lease) bool {
	if l.overDead(e) > 0 {
		return false
	}
	return l.counts.Leased+l.counts.Dirty+e.room <= l.limit(e)
}

// overDead is the number of blocks that penalised torrents would have on lease
// beyond their bound with e. One lease they may always have, and those that
// they were granted before do not count.
func (l *Ledger) overDead(e *lease) int {
	if !e.torrent.penalised {
		return 0
	}
	dead := 0
	for _, o := range l.open {
		if o.dead {
			dead += o.room
		}
	}
	if dead == 0 {
		return 0
	}
	return max(0, dead+e.room-l.room/4)
}

// limit is the most that may be leased or dirty after e has been granted.
func (l *Ledger) limit(e *lease) int {
	if l.first(e) {
		return l.room
	}
	return l.room - l.keep
}

// first reports whether e has an earlier deadline than every open lease that
// counts: then the kept room is for it. With nothing open the kept room is
// anybody's, a penalised torrent's too: there is nobody to keep it for.
func (l *Ledger) first(e *lease) bool {
	for _, o := range l.open {
		if e.torrent.penalised {
			return false
		}
		if !o.torrent.penalised && o.deadline <= e.deadline {
			return false
		}
	}
	return true
}

// need is the number of blocks that leases have to give back before the head
// of the queue can have its room.
func (l *Ledger) need() int {
	if len(l.queue) == 0 {
		return 0
	}
	e := l.queue[0]
	n := l.counts.Leased + l.counts.Dirty + e.room - l.limit(e)
	n = max(n, l.overDead(e))
	for _, o := range l.open {
		if o.state == closing {
			n -= o.room
		}
	}
	return max(0, n)
}

// revoke ends leases that saw no block for Patience, as many as the head of
// the queue needs; those first that lose the fewest blocks. It
// reports whether there were any.
func (l *Ledger) revoke(now time.Duration) bool {
	need := l.need()
	if need == 0 {
		return false
	}
	var stale []*lease
	for _, o := range l.open {
		if at, ok := l.due(o); ok && at <= now {
			stale = append(stale, o)
		}
	}
	slices.SortStableFunc(stale, func(a, b *lease) int {
		if a.stored != b.stored {
			return a.stored - b.stored
		}
		return cmp.Compare(b.deadline, a.deadline)
	})
	for _, e := range stale {
		if need <= 0 {
			break
		}
		need -= e.room
		e.state = closing
		if now-e.torrent.last >= Patience {
			e.torrent.penalised = true
		}
		l.orders = append(l.orders, Order{
			Kind: Revoke, Torrent: e.torrent.number, Piece: e.piece, Lease: e.number,
		})
	}
	heap.Init(&l.queue)
	return len(stale) > 0
}

// queue is a heap of requests: the live torrents' before the penalised ones',
// then by deadline, then by arrival.
type queue []*lease

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	switch {
	case a.torrent.penalised != b.torrent.penalised:
		return b.torrent.penalised
	case a.deadline != b.deadline:
		return a.deadline < b.deadline
	}
	return a.number < b.number
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	e := x.(*lease)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
