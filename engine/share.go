package engine

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// How the rates are shared among the torrents. A loop whose machine could spend more
// than it has (selection/budget.go) asks for it, and comes again soon while that is so:
//
//	Demand ──▶ share ──▶ Credit                        of all
//	             │   ┌── the torrent's buckets ──┐  ┌── down ──────┐
//	             └──▶│ down, up                  │─▶│ up           │
//	                 └───────────────────────────┘  │ background   │
//	                                                └──────────────┘
//
// Each that waits gets an equal part of what there is. What nobody waits for gets
// nothing while another torrent has reads that are short, and leaves half of what the
// buckets hold to reads that come.

// Rates are limits in bytes a second; 0: none.
type Rates struct {
	Down       int64 // of blocks that come
	Background int64 // of those of them that nobody waits for; of all torrents together
	Up         int64 // of blocks that are sent
}

// LeastRate is the lowest limit, bytes a second: at a lower one a block takes longer
// than a read waits.
const LeastRate = 1000

// Pauses between two askings of a loop: for each that waits there is crowdPause more,
// so that a crowd takes no more of the processor.
const (
	sharePause = 15 * time.Millisecond
	crowdPause = 400 * time.Microsecond
)

// shares are the buckets, and who waits for them.
type shares struct {
	age atomic.Int64 // changes with the rates

	mu      sync.Mutex
	all     buckets
	of      map[*Torrent]*buckets // those with rates of their own
	waiting []*waiter
}

// waiter is a torrent that could spend more than it has got.
type waiter struct {
	t      *Torrent
	demand selection.Credit
	// got is what it has got since it waits, and at the beginning as much as the one
	// that had got the least: nobody is further ahead of that one than one part.
	got selection.Credit
}

// The budgets that there are shares of.
func ofDown(c *selection.Credit) *int64       { return &c.Down }
func ofBackground(c *selection.Credit) *int64 { return &c.Background }
func ofUp(c *selection.Credit) *int64         { return &c.Up }

// buckets are those of all torrents, or of one.
type buckets struct{ down, background, up bucket }

func (b *buckets) set(r Rates, now time.Duration) {
	b.down.set(r.Down, now)
	b.background.set(r.Background, now)
	b.up.set(r.Up, now)
}

func (b *buckets) rates() Rates { return Rates{b.down.rate, b.background.rate, b.up.rate} }

func (b *buckets) fill(now time.Duration) {
	b.down.fill(now)
	b.background.fill(now)
	b.up.fill(now)
}

func (s *shares) init(r Rates) {
	s.of = map[*Torrent]*buckets{}
	s.all.set(r, 0)
	s.age.Add(1)
}

// set changes the rates of a torrent, or of all (nil).
func (s *shares) set(t *Torrent, r Rates, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.all
	if t != nil {
		if b = s.of[t]; b == nil {
			b = &buckets{}
			s.of[t] = b
		}
	}
	b.set(r, now)
	if t != nil && r == (Rates{}) {
		delete(s.of, t)
	}
	s.age.Add(1)
}

// rates are those of a torrent, or of all (nil).
func (s *shares) rates(t *Torrent) Rates {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t == nil {
		return s.all.rates()
	}
	if b := s.of[t]; b != nil {
		return b.rates()
	}
	return Rates{}
}

// limited is what is limited for a torrent. Where all that comes is, the background
// has a budget of its own, so that what is given for reads is spent on reads.
func (s *shares) limited(t *Torrent) selection.Limited {
	own, all := s.rates(t), s.rates(nil)
	down := own.Down > 0 || all.Down > 0
	return selection.Limited{Down: down, Background: down || all.Background > 0, Up: own.Up > 0 || all.Up > 0}
}

// take is what a torrent gets of what it demands, and when it should come again; 0:
// when it demands more. One that demands nothing is not waited for any more.
func (s *shares) take(t *Torrent, demand selection.Credit, now time.Duration) (credit selection.Credit, again time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wait(t, demand)
	if w == nil {
		return credit, 0
	}
	own := s.of[t]
	if own == nil {
		own = &buckets{}
	}
	own.fill(now)
	s.all.fill(now)
	credit.Down = s.part(w, ofDown, own.down.left(), s.all.down.left())
	own.down.use(credit.Down)
	s.all.down.use(credit.Down)
	if credit.Down == demand.Down && !s.othersShort(w) {
		n := s.part(w, ofBackground, own.down.spare(), min(s.all.down.spare(), s.all.background.left()))
		own.down.use(n)
		s.all.down.use(n)
		s.all.background.use(n)
		credit.Down += n
		credit.Background = n
	}
	credit.Up = s.part(w, ofUp, own.up.left(), s.all.up.left())
	own.up.use(credit.Up)
	s.all.up.use(credit.Up)
	return credit, sharePause + time.Duration(len(s.waiting))*crowdPause
}

// othersShort reports whether reads of another torrent are short.
func (s *shares) othersShort(w *waiter) bool {
	return slices.ContainsFunc(s.waiting, func(o *waiter) bool { return o != w && o.demand.Down > 0 })
}

// part is how much one gets for the budget that of names: of what is left of its own
// and of all, whole blocks, one at least if anything is left, as long as it has not
// got a part more than another that waits for the same. One that its own limit holds
// back is not waited for by the others.
func (s *shares) part(w *waiter, of func(*selection.Credit) *int64, own, all int64) int64 {
	want, got, n, least := *of(&w.demand), of(&w.got), int64(1), *of(&w.got)
	if want <= 0 {
		return 0
	}
	for _, o := range s.waiting {
		if o != w && *of(&o.demand) > 0 {
			n++
			least = min(least, *of(&o.got))
		}
	}
	part := int64(0)
	if own > 0 && all > 0 {
		part = max(all/n, 1)
		part = min(own, part, part-(*got-least))
		part = (part + wire.BlockSize - 1) / wire.BlockSize * wire.BlockSize
		part = max(0, min(want, part))
	}
	*got += part
	if own < all/n {
		*got = max(*got, s.least(w, of))
	}
	return part
}

// wait notes what a torrent waits for; nil: for nothing.
func (s *shares) wait(t *Torrent, demand selection.Credit) *waiter {
	i := slices.IndexFunc(s.waiting, func(w *waiter) bool { return w.t == t })
	switch {
	case demand == (selection.Credit{}) && i >= 0:
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return nil
	case demand == (selection.Credit{}):
		return nil
	case i < 0:
		i = len(s.waiting)
		s.waiting = append(s.waiting, &waiter{t: t})
	}
	w := s.waiting[i]
	for _, of := range []func(*selection.Credit) *int64{ofDown, ofBackground, ofUp} {
		if *of(&w.demand) == 0 && *of(&demand) > 0 {
			*of(&w.got) = s.least(w, of)
		}
	}
	w.demand = demand
	return w
}

// least is what the one of the others has got that has got the least.
func (s *shares) least(w *waiter, of func(*selection.Credit) *int64) int64 {
	least := int64(math.MaxInt64)
	for _, o := range s.waiting {
		if o != w && *of(&o.demand) > 0 {
			least = min(least, *of(&o.got))
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// forget is that a torrent has no loop any more.
func (s *shares) forget(t *Torrent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait(t, selection.Credit{})
}
