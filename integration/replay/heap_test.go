package replay

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// future is what will happen: one goroutine, one clock, one order.
type future struct {
	now    time.Duration
	seq    int
	acts   acts
	chance *rand.Rand
}

type act struct {
	at  time.Duration
	seq int
	do  func()
}

type acts []act

func (a acts) Len() int { return len(a) }
func (a acts) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a acts) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *acts) Push(x any)   { *a = append(*a, x.(act)) }
func (a *acts) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

// after has something done after a while.
func (f *future) after(d time.Duration, do func()) {
	f.seq++
	heap.Push(&f.acts, act{f.now + d, f.seq, do})
}

// next does what comes next, if anything does.
func (f *future) next() bool {
	if len(f.acts) == 0 {
		return false
	}
	a := heap.Pop(&f.acts).(act)
	f.now = a.at
	a.do()
	return true
}

// between is a time by chance.
func (f *future) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(f.chance.Int64N(int64(most-least)))
}

// odds is true so many times of a hundred.
func (f *future) odds(percent int) bool { return f.chance.IntN(100) < percent }

// lane delivers in order, each item after its own delay.
type lane struct {
	f    *future
	last time.Duration
}

func (l *lane) post(delay time.Duration, do func()) {
	at := max(l.last, l.f.now+delay)
	l.last = at
	l.f.after(at-l.f.now, do)
}
