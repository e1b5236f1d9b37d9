package discovery

// A torrent's trackers stand in tiers (BEP 12). A round asks them in order
// until one answers:
//
//	tier 1   a ──fails──> b ──fails──┐         the one that answers moves
//	tier 2   ┌───────────────────────┘         to the front of its tier
//	         └> c ──answers──> peers, and the interval until the next round
//
// A tracker that failed is left out of rounds until its back-off has passed.
// One that is silent for Patience does not hold the round up: the next is asked
// beside it, and the first to answer ends the round.
//
// Each tracker is asked every way at once, that is over IPv4 and over IPv6
// (BEP 7): it learns both our addresses, and gives peers of both families. It
// has failed when every way has.

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Bounds of a torrent's trackers.
const (
	MaxTrackers = 100             // of one torrent; more are left out
	Patience    = 5 * time.Second // silence after which the next tracker is asked too
	MinBackOff  = 5 * time.Second // after the first failure; it doubles with each
	MaxBackOff  = 30 * time.Minute
)

// Config is what the trackers of one torrent are made of.
type Config struct {
	Tiers [][]string                   // URLs of trackers
	Ways  []Way                        // one for each address family, or one for all
	State func() Announce              // the torrent's figures now; Event and TrackerID are not read
	Peers func(ps []netip.AddrPort)    // takes what a tracker gave; may wait
	Us    func(tracker, us netip.Addr) // takes what a tracker says our address is (BEP 24); nil: nobody does
	Log   *slog.Logger                 // nil: no log
	Seed  uint64                       // of the order of trackers and of the jitter
}

// Way is one way to trackers, over one address family for example. Ways may be
// shared by any number of torrents.
type Way struct {
	HTTP HTTP
	UDP  *UDP // nil: UDP trackers are not asked this way
}

// announce asks the tracker at tracker by the protocol that its URL names.
func (w Way) announce(ctx context.Context, tracker string, a Announce) (Answer, error) {
	switch u, err := checkURL(tracker); {
	case err != nil:
		return Answer{}, err
	case u.Scheme != "udp":
		return w.HTTP.Announce(ctx, tracker, a)
	case w.UDP == nil:
		return Answer{}, ErrNoUDP
	}
	return w.UDP.Announce(ctx, tracker, a)
}

// Trackers are the trackers of one torrent. Run asks them; it calls State and
// Peers in its own goroutine. All other methods may be called from any.
type Trackers struct {
	c    Config
	wake chan struct{} // holds one ring: the wait has to be reckoned anew

	mu        sync.Mutex // never held while anything waits
	tiers     [][]*tracker
	chance    *rand.Rand
	answered  *tracker      // who ended the latest round; nil if all failed
	at        time.Time     // when
	interval  time.Duration // until the next round, unless peers are wanted sooner
	soonest   time.Duration // until the next round, if they are
	completed bool          // `completed` waits to be told
	more      bool          // peers are wanted sooner
}

// NewTrackers puts each tier in an order of its own (BEP 12). Trackers that
// appear twice, and what is over MaxTrackers, are left out. Those that cannot
// be asked (wss, say) are in the Status only.
func NewTrackers(c Config) *Trackers {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Trackers{c: c, wake: make(chan struct{}, 1), chance: rand.New(rand.NewPCG(c.Seed, 0))}
	seen := make(map[string]bool)
	for _, urls := range c.Tiers {
		var tier []*tracker
		for _, u := range urls {
			if !seen[u] && len(seen) < MaxTrackers {
				seen[u] = true
				tier = append(tier, newTracker(u))
			}
		}
		t.chance.Shuffle(len(tier), func(i, j int) { tier[i], tier[j] = tier[j], tier[i] })
		if len(tier) > 0 {
			t.tiers = append(t.tiers, tier)
		}
	}
	return t
}

// Run announces until ctx ends: `started` first, then at the interval that the
// tracker gave. Its caller waits for it to return before it calls Stop, and
// may run it again later. Between rounds nothing of it runs.
func (t *Trackers) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait, ever := t.wait(time.Now())
		if ever && wait <= 0 {
			t.round(ctx)
			continue
		}
		var due <-chan time.Time
		if ever {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-t.wake:
		case <-ctx.Done():
		}
	}
}

// Completed has `completed` announced at once: the last byte has come. It is
// not for a torrent that was complete when it started.
func (t *Trackers) Completed() { t.want(&t.completed) }

// More has peers asked for as soon as the tracker's least interval allows, and
// MinInterval at the soonest: a reader waits and nobody has what it needs.
func (t *Trackers) More() { t.want(&t.more) }

func (t *Trackers) want(what *bool) {
	t.mu.Lock()
	*what = true
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// wait is how long it is until the next round; ever is false if there is no
// tracker to ask.
func (t *Trackers) wait(now time.Time) (wait time.Duration, ever bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answered != nil {
		due := t.at.Add(t.interval)
		if t.more {
			due = t.at.Add(t.soonest)
		}
		if t.completed {
			due = now
		}
		return due.Sub(now), true
	}
	var first time.Time
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if tr.unusable == nil && (!ever || tr.retry.Before(first)) {
				first, ever = tr.retry, true
			}
		}
	}
	return first.Sub(now), ever
}

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
		t.answered, t.at, t.more = o.of, now, false
		t.soonest = max(o.answer.MinInterval, MinInterval)
		t.interval = max(o.answer.Interval, t.soonest)
		// One that is told `started` with nothing left knows all it must.
		if o.asked.Event == Completed || o.asked.Event == Started && o.asked.Left == 0 {
			t.completed = false
		}
	}
	t.mu.Unlock()
	if news != "" {
		t.c.Log.Warn(news, "tracker", o.of.shown)
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

// Stop tells `stopped` to the trackers that answered a `started`, all at once,
// and waits for them or for ctx. Run must have returned.
func (t *Trackers) Stop(ctx context.Context) {
	var asking sync.WaitGroup
	t.mu.Lock()
	var told []*tracker
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if tr.started {
				told = append(told, tr)
			}
			tr.started = false
		}
	}
	t.answered, t.completed, t.more = nil, false, false
	t.mu.Unlock()
	for _, tr := range told {
		a := t.c.State()
		a.Event, a.NumWant, a.TrackerID = Stopped, 0, tr.id
		for _, way := range t.c.Ways {
			asking.Go(func() { way.announce(ctx, tr.url, a) })
		}
	}
	asking.Wait()
}
