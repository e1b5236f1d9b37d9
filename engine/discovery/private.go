package discovery

// The trackers of a private torrent (BEP 27) count what they hear, and ban who
// says it twice. One is asked at a time, one way, the tiers strictly in order
// (BEP 12), and each remembers beyond this process when it was told last:
//
//	first that has not failed ── too soon? ─▶ waited for, no other is asked
//	        │
//	   kept on disk ─▶ sent ──answers──▶ kept with its peers; whoever was
//	        │                            with us before is told `stopped`
//	        └─fails─▶ backs off; the next one, if this one cannot have heard
//	                  us or has refused us
//
// `started` and the announces at the interval keep the tracker's least interval,
// over restarts and kills. `completed` and `stopped` are said when they are so.

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Grace is how long an announce under way goes on after the end of Run: one
// that was broken off may have been heard, and would be neither known nor
// followed by `stopped`.
const Grace = 500 * time.Millisecond

// outlive is ctx with Grace after its end.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(Grace):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// MaxKept is how many peers of a tracker's latest answer are kept.
const MaxKept = 200

// unsure is added to the least interval after an announce whose answer was not
// seen: the tracker may have heard it later than it was sent.
const unsure = 2 * time.Second

// Kept is what is kept of one tracker beyond the process.
type Kept struct {
	At     time.Time        // when it was last told anything, by the wall clock; zero: never
	Unsure bool             // whether and when that came there
	Least  time.Duration    // how long it wants to be left alone after that, 0..MaxInterval; 0: it has not said
	Peers  []netip.AddrPort // of its latest answer, MaxKept at most
}

// wait is how long the tracker is to be left alone after At.
func (k Kept) wait() time.Duration {
	d := k.Least
	if d == 0 {
		d = MinInterval
	}
	if k.Unsure {
		d += unsure
	}
	return d
}

// Ledger keeps what the trackers of a torrent were told. Its methods are called
// by one goroutine at a time.
type Ledger interface {
	// Kept is what was kept of a tracker last.
	Kept(tracker string) Kept
	// Keep keeps it, before the tracker is told anything. It returns when a crash
	// cannot undo it; on an error nothing is announced.
	Keep(tracker string, k Kept) error
	// Owe is whether `completed` is still to be said; the next Keep keeps it.
	Owe(completed bool)
}

// recall takes from the ledger when each tracker may be asked.
func (t *Trackers) recall(now time.Time) {
	for _, tier := range t.tiers {
		for _, tr := range tier {
			tr.kept = t.c.Ledger.Kept(tr.url)
			// A clock that was set back makes nobody wait longer than that.
			if !tr.kept.At.IsZero() {
				wait := tr.kept.wait()
				tr.soonest = now.Add(min(wait, tr.kept.At.Add(wait).Sub(now.Round(0))))
			}
		}
	}
}

// dueAt is when a tracker that has not failed may be told the next thing. The
// lock is held.
func (t *Trackers) dueAt(tr *tracker, now time.Time) time.Time {
	switch {
	case tr == t.with && t.completed:
		return now
	case tr != t.with || t.more || t.moved:
		return tr.soonest
	}
	return later(tr.latest.Add(t.interval), tr.soonest)
}

// waitPrivate is wait for a private torrent. The lock is held.
func (t *Trackers) waitPrivate(now time.Time) (wait time.Duration, ever bool) {
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if tr.unusable != nil {
				continue
			}
			due := tr.retry
			if tr.failures == 0 {
				due = t.dueAt(tr, now)
			}
			if d := due.Sub(now); !ever || d < wait {
				wait, ever = d, true
			}
			if tr.failures == 0 {
				return wait, ever
			}
		}
	}
	return wait, ever
}

// roundPrivate asks the trackers in order until one answers, or has to be
// waited for.
func (t *Trackers) roundPrivate(ctx context.Context) {
	for _, tr := range t.inOrder() {
		t.mu.Lock()
		now := time.Now()
		failed := tr.failures > 0 && tr.retry.After(now)
		early := tr.failures == 0 && t.dueAt(tr, now).After(now)
		t.mu.Unlock()
		switch {
		case failed:
		case early || ctx.Err() != nil, t.tell(ctx, tr):
			return
		}
	}
}

// inOrder are the trackers that can be asked, in order.
func (t *Trackers) inOrder() (all []*tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if tr.unusable == nil {
				all = append(all, tr)
			}
		}
	}
	return all
}

// tell announces to one tracker and reports whether the round is over.
func (t *Trackers) tell(ctx context.Context, tr *tracker) (over bool) {
	a := t.question(tr)
	longer, cancel := outlive(ctx)
	answer, heard, err := t.say(longer, tr, a)
	cancel()
	if ctx.Err() != nil && err != nil {
		return true // our own end is no failure of the tracker's
	}
	if err == nil {
		t.leaveFor(ctx, tr)
	}
	t.settle(outcome{&trial{of: tr, asked: a, under: 1}, answer, err})
	now := time.Now()
	if err == nil {
		t.note(tr, keeps(answer, now))
	} else if !heard {
		t.note(tr, tr.kept)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.with, tr.latest, tr.soonest = tr, now, now.Add(tr.kept.wait())
		return true
	}
	if heard { // it may have counted this one
		tr.soonest = now.Add(max(tr.kept.wait(), MinInterval))
		tr.retry = later(tr.retry, tr.soonest)
		t.completed = t.completed && a.Event != Completed
	}
	return false
}

// keeps is what is kept of an answer.
func keeps(a Answer, now time.Time) Kept {
	k := Kept{At: now.Round(0), Least: MinInterval, Peers: a.Peers[:min(len(a.Peers), MaxKept)]}
	if a.MinInterval > 0 {
		k.Least = a.MinInterval
	}
	return k
}

// note keeps what is known of a tracker now. That it could not be kept costs an
// announce that comes too late, or a restart that knows no peers.
func (t *Trackers) note(tr *tracker, k Kept) {
	if t.c.Ledger == nil {
		return
	}
	tr.kept = k
	if err := t.c.Ledger.Keep(tr.url, k); err != nil {
		t.c.Log.Warn("what a tracker was told cannot be kept", "tracker", tr.shown, "err", err)
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// say tells a tracker a, after it is kept that it will be, by the way that it
// last answered by. Another way is tried only if nothing of this one can have
// come there. heard is whether it may have.
func (t *Trackers) say(ctx context.Context, tr *tracker, a Announce) (answer Answer, heard bool, err error) {
	k := tr.kept
	k.At, k.Unsure = time.Now().Round(0), true
	completed := a.Event == Completed
	if completed {
		t.c.Ledger.Owe(false) // once: not again when this process is killed before the answer
	}
	if err := t.c.Ledger.Keep(tr.url, k); err != nil {
		return Answer{}, false, err
	}
	defer func() {
		if completed && !heard {
			t.c.Ledger.Owe(true)
		}
	}()
	for i := range t.c.Ways {
		n := (tr.way + i) % len(t.c.Ways)
		answer, e := t.c.Ways[n].announce(ctx, tr.url, a)
		if e == nil {
			tr.way = n
			return answer, true, nil
		}
		err = telling(err, e)
		if reached(e) {
			return Answer{}, true, err
		}
	}
	return Answer{}, false, err
}

// reached reports whether the tracker may have heard an announce that failed
// so: all but what is known to have failed before anything was sent.
func reached(err error) bool {
	var op *net.OpError
	var name *net.DNSError
	var addr *net.AddrError
	switch {
	case errors.As(err, &name), errors.As(err, &addr), errors.Is(err, ErrNoUDP),
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return false
	case errors.As(err, &op):
		return op.Op != "dial"
	}
	return true
}

// leaveFor is that tr has answered: whoever was told `started` beside it is
// told `stopped`, and its peers are those of another swarm.
func (t *Trackers) leaveFor(ctx context.Context, tr *tracker) {
	if t.with == nil || t.with == tr {
		return
	}
	if t.c.Switched != nil {
		t.c.Switched()
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	t.sayStopped(ctx, t.with)
}

// sayStopped tells a tracker `stopped`, if it has answered a `started`.
func (t *Trackers) sayStopped(ctx context.Context, tr *tracker) {
	t.mu.Lock()
	started := tr.started
	tr.started = false
	t.mu.Unlock()
	if !started {
		return
	}
	a := t.c.State()
	a.Event, a.NumWant, a.TrackerID = Stopped, 0, tr.id
	_, heard, err := t.say(ctx, tr, a)
	if !heard {
		return
	}
	k, now := tr.kept, time.Now()
	k.At, k.Unsure = now.Round(0), err != nil
	t.note(tr, k)
	t.mu.Lock()
	defer t.mu.Unlock()
	tr.soonest = now.Add(k.wait())
}

// stopPrivate is Stop for a private torrent.
func (t *Trackers) stopPrivate(ctx context.Context) {
	for _, tr := range t.inOrder() {
		t.sayStopped(ctx, tr)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.with, t.completed, t.more = nil, false, false
}

// told keeps that a tracker of a torrent that may turn out to be private is
// about to be told something.
func (t *Trackers) told(tr *tracker) {
	k := tr.kept
	k.At, k.Unsure = time.Now().Round(0), true
	t.note(tr, k)
}
