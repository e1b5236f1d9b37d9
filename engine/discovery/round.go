package discovery

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// trial is one tracker that is being asked, all ways at once.
type trial struct {
	of       *tracker
	asked    Announce
	under    int  // ways that have not ended
	answered bool // by some way
	err      error
}

// outcome is how one announce, by one way, ended.
type outcome struct {
	*trial
	answer Answer
	err    error
}

// round asks the trackers that are due, in order, until one answers.
func (t *Trackers) round(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	due := t.due(time.Now())
	outcomes := make(chan outcome, len(due)*len(t.c.Ways)) // each announce finds room, so none outlives the round
	var asking sync.WaitGroup
	var won *trial
	var impatient <-chan time.Time
	for under, next := 0, true; won == nil && ctx.Err() == nil; {
		if next && len(due) > 0 {
			t.ask(ctx, &asking, due[0], outcomes)
			due, under, impatient = due[1:], under+1, nil
			if len(due) > 0 {
				impatient = time.After(Patience)
			}
		}
		if under == 0 {
			break
		}
		next = true
		select {
		case o := <-outcomes:
			// Our own end is no failure of the tracker's.
			if ctx.Err() != nil && o.err != nil {
				break
			}
			if t.settle(o) {
				won = o.trial
			}
			if next = o.trial.under == 0; next {
				under--
			}
		case <-impatient:
		case <-ctx.Done():
		}
	}
	t.otherWays(ctx, won, outcomes)
	// Whoever was asked beside the one that answered is told no more; what it
	// said in the meantime counts, for `stopped` has to be told to it too.
	cancel()
	asking.Wait()
	close(outcomes)
	for o := range outcomes {
		if o.err == nil {
			t.settle(o)
		}
	}
}

// ask has tr asked, all ways at once.
func (t *Trackers) ask(ctx context.Context, asking *sync.WaitGroup, tr *tracker, outcomes chan<- outcome) {
	asked := &trial{of: tr, asked: t.question(tr), under: len(t.c.Ways)}
	t.told(tr)
	for _, way := range t.c.Ways {
		asking.Go(func() {
			answer, err := way.announce(ctx, tr.url, asked.asked)
			outcomes <- outcome{asked, answer, err}
		})
	}
}

// otherWays waits for the other ways to a tracker that has answered, Patience
// at most: the peers of the first way are in use already.
func (t *Trackers) otherWays(ctx context.Context, won *trial, outcomes <-chan outcome) {
	enough := time.After(Patience)
	for won != nil && won.under > 0 {
		select {
		case o := <-outcomes:
			if o.trial == won || o.err == nil {
				t.settle(o)
			}
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}

// due are the trackers of the next round. If no one is left to answer, the
// round before has failed.
func (t *Trackers) due(now time.Time) (due []*tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered = nil
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if tr.unusable == nil && !tr.retry.After(now) {
				due = append(due, tr)
			}
		}
	}
	return due
}

// question is what tr is told and asked now.
func (t *Trackers) question(tr *tracker) Announce {
	a := t.c.State()
	a.NumWant = min(max(a.NumWant, MinNumWant), MaxNumWant)
	t.mu.Lock()
	defer t.mu.Unlock()
	a.Event, a.TrackerID = "", tr.id
	switch {
	case !tr.started:
		a.Event = Started
	case t.completed:
		a.Event = Completed
	}
	return a
}

// settle takes the outcome of one announce and reports whether it ends the
// round.
func (t *Trackers) settle(o outcome) bool {
	o.under--
	if o.err != nil {
		o.trial.err = telling(o.trial.err, o.err)
		if o.under > 0 || o.answered {
			return false // another way has answered, or may yet
		}
		o.err = o.trial.err
	}
	now := time.Now()
	t.mu.Lock()
	news := ""
	if o.answered {
		o.of.also(o.answer)
	} else {
		news = o.of.settle(o, now, t.chance)
	}
	if o.err == nil {
		o.answered = true
		t.front(o.of)
		t.answered, t.at, t.more, t.moved = o.of, now, false, false
		t.soonest = max(o.answer.MinInterval, t.c.Least)
		t.interval = max(o.answer.Interval, t.soonest)
		// One that is told `started` with nothing left knows all it must; a
		// private one counts who said `completed`.
		if o.asked.Event == Completed || o.asked.Event == Started && o.asked.Left == 0 && !t.c.Private {
			t.completed = false
		}
	}
	t.mu.Unlock()
	if news != "" {
		t.c.Log.Warn(news, "tracker", o.of.shown)
		if t.c.News != nil {
			t.c.News(o.of.shown, news)
		}
	}
	if o.err == nil && !t.c.Private {
		t.note(o.of, keeps(o.answer, now))
	}
	if o.err == nil && o.answer.Seeders > 0 && t.c.Seeders != nil {
		t.c.Seeders(o.answer.Seeders)
	}
	if len(o.answer.Peers) > 0 {
		t.c.Peers(o.answer.Peers)
	}
	if t.c.Us != nil && o.answer.Us.IsValid() && o.answer.From.IsValid() {
		t.c.Us(o.answer.From, o.answer.Us)
	}
	return o.err == nil
}

// telling is the one of two errors, of two ways to one tracker, that tells a
// person more: that there is no way over one family says nothing when the other
// has been tried.
func telling(first, second error) error {
	var addr *net.AddrError
	var name *net.DNSError
	if first == nil || errors.Is(first, syscall.ENETUNREACH) || errors.Is(first, syscall.EADDRNOTAVAIL) ||
		errors.As(first, &addr) || errors.As(first, &name) && name.IsNotFound {
		return second
	}
	return first
}

// front moves tr to the front of its tier (BEP 12).
func (t *Trackers) front(tr *tracker) {
	for _, tier := range t.tiers {
		if i := slices.Index(tier, tr); i >= 0 {
			copy(tier[1:i+1], tier[:i])
			tier[0] = tr
		}
	}
}
