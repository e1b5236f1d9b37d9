package selection

import (
	"container/heap"
	"slices"
	"time"
)

// alarms is when peers are due, earliest first. A peer's entry may be earlier
// than it is due, never later: work that puts a time off leaves the heap
// alone, and next corrects what comes to the top.
type alarms []*peer

func (a alarms) Len() int { return len(a) }
func (a alarms) Less(i, j int) bool {
	if a[i].alarm != a[j].alarm {
		return a[i].alarm < a[j].alarm
	}
	return a[i].id < a[j].id
}
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarmAt, a[j].alarmAt = i, j
}

// Push is heap.Interface's.
func (a *alarms) Push(x any) {
	p := x.(*peer)
	p.alarmAt = len(*a)
	*a = append(*a, p)
}

// Pop is heap.Interface's.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	p.alarmAt, p.alarm = -1, never
	return p
}

// set makes sure that p has an entry no later than it is due.
func (a *alarms) set(p *peer) {
	due := p.due()
	switch {
	case due >= p.alarm:
	case p.alarmAt < 0:
		p.alarm = due
		heap.Push(a, p)
	default:
		p.alarm = due
		heap.Fix(a, p.alarmAt)
	}
}

// next is when the first peer is due, or never.
func (a *alarms) next() time.Duration {
	for len(*a) > 0 {
		p := (*a)[0]
		due := p.due()
		switch {
		case due <= p.alarm:
			return p.alarm
		case due == never:
			heap.Pop(a)
		default:
			p.alarm = due
			heap.Fix(a, 0)
		}
	}
	return never
}

func (a *alarms) pop() *peer { return heap.Pop(a).(*peer) }

func (a *alarms) remove(p *peer) {
	if p.alarmAt >= 0 {
		heap.Remove(a, p.alarmAt)
	}
}

// due is when p needs a look if nothing happens, or never.
func (p *peer) due() time.Duration {
	at := never
	switch {
	case p.dropped:
		return never
	case p.snubbed && p.muted > 0:
		at = p.muted
	case len(p.asked) > 0:
		at = p.quiet + p.patience()
	}
	if p.mayStall() {
		at = min(at, p.quiet+p.stallTime())
	}
	if p.again > 0 {
		at = min(at, p.again)
	}
	if p.tardy() {
		at = min(at, p.quiet+shareTime)
	}
	for _, r := range p.refused {
		at = min(at, r.until)
	}
	if p.suspect > 0 {
		at = min(at, p.suspect)
	}
	at = min(at, p.trialEnds())
	if len(p.ghosts) > 0 {
		at = min(at, p.ghosts[0].until)
	}
	return at
}

// tardy tells whether p is fresh and not known to be late, and may be.
func (p *peer) tardy() bool { return p.streak == 0 && !p.late && !p.snubbed && len(p.asked) > 0 }

// alarmed does what p was due for.
func (m *Machine) alarmed(p *peer) {
	p.refused = slices.DeleteFunc(p.refused, func(r refusal) bool { return r.until <= m.now })
	if n := len(p.ghosts); n > 0 && p.ghosts[0].until <= m.now {
		p.ghosts = slices.DeleteFunc(p.ghosts, func(g ghost) bool { return g.until <= m.now })
		p.forget(n - len(p.ghosts))
	}
	if p.suspect <= m.now {
		p.suspect = 0
	}
	if p.again > 0 && p.again <= m.now {
		p.again = 0
		if p.stalled {
			m.handOver(p)
		}
	}
	if p.trialEnds() <= m.now {
		m.trust(p)
	}
	if p.tardy() && p.quiet+shareTime <= m.now {
		p.late = true
		for _, r := range p.asked {
			m.changed(r.piece)
		}
	}
	if p.mayStall() && p.quiet+p.stallTime() <= m.now {
		m.stall(p)
	}
	switch {
	case p.snubbed && p.muted > 0 && p.muted <= m.now:
		m.unmute(p)
	case !(p.snubbed && p.muted > 0) && len(p.asked) > 0 && p.quiet+p.patience() <= m.now:
		m.snub(p)
	}
}
