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
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
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
	// Seeders takes how many have the whole torrent, by a tracker's word; nil:
	// nobody does.
	Seeders func(n int)
	// News takes what is worth a line of the log: the first failure of a row, or a
	// warning. The tracker is without path and query. nil: nobody does.
	News func(tracker, text string)
	Log  *slog.Logger // nil: no log
	Seed uint64       // of the order of trackers and of the jitter
	// Least is how long one that has answered is not asked again, at least; 0: MinInterval.
	Least time.Duration

	// Ledger keeps what the trackers are told; nil: nobody does, and the torrent
	// is not private.
	Ledger  Ledger
	Private bool // the torrent is private (private.go)
	// Switched is called when another tracker of a private torrent than before
	// has answered, before its peers are given: those of the former are of
	// another swarm (BEP 27). It may wait.
	Switched func()
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
	moved     bool          // our address may be another one
	with      *tracker      // of a private torrent: who was told `started` and answered last
}

// NewTrackers puts each tier in an order of its own (BEP 12). Trackers that
// appear twice, and what is over MaxTrackers, are left out. Those that cannot
// be asked (wss, say) are in the Status only.
func NewTrackers(c Config) *Trackers {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Least == 0 {
		c.Least = MinInterval
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
	if c.Ledger != nil {
		t.recall(time.Now())
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
			if t.c.Private {
				t.roundPrivate(ctx)
			} else {
				t.round(ctx)
			}
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
// Config.Least: a reader waits and nobody has what it needs.
func (t *Trackers) More() { t.want(&t.more) }

// Moved has the trackers told at once that we may have another address: those
// that answered, and those that failed as well, for which that may be why.
func (t *Trackers) Moved() {
	t.mu.Lock()
	for _, tier := range t.tiers {
		for _, tr := range tier {
			if !t.c.Private || !tr.soonest.After(time.Now()) {
				tr.retry = time.Time{}
			}
		}
	}
	t.mu.Unlock()
	t.want(&t.moved)
}

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
	if t.c.Private {
		return t.waitPrivate(now)
	}
	if t.answered != nil {
		due := t.at.Add(t.interval)
		if t.more {
			due = t.at.Add(t.soonest)
		}
		if t.completed || t.moved {
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

// Stop tells `stopped` to the trackers that answered a `started`, all at once,
// and waits for them or for ctx. Run must have returned.
func (t *Trackers) Stop(ctx context.Context) {
	if t.c.Private {
		t.stopPrivate(ctx)
		return
	}
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
		t.told(tr)
		for _, way := range t.c.Ways {
			asking.Go(func() { way.announce(ctx, tr.url, a) })
		}
	}
	asking.Wait()
}
