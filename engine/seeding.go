package engine

import (
	"cmp"
	"slices"
	"time"
)

// Who has got something gives it back: a torrent that has data seeds until it
// has given as much as SeedRatio says, or was offered for SeedTime.
//
//	dormant ◀──goal met, or others are scarcer──┐
//	   └──data, goal not met, a place──▶ seeding┘   announced, dialled for, served
//
// One goroutine looks at all torrents each seedEvery. Those that somebody reads
// take no place: they are awake anyway. A torrent whose goal is met still
// answers who connects.

// seedGoals is when a torrent has given enough.
type seedGoals struct {
	ratio float64       // bytes given by bytes got; 0 and less are met at once
	time  time.Duration // offered to others
}

// met reports whether a torrent has given enough. What was not fetched, but is
// here, counts as fetched.
func (g seedGoals) met(r record) bool {
	got := max(r.Downloaded, r.Here)
	return float64(r.Uploaded) >= g.ratio*float64(got) || time.Duration(r.Offered)*time.Second >= g.time
}

// A seed is a torrent that could seed, as seeds are chosen among.
type seed struct {
	t       *Torrent
	private bool          // its tracker may count who leaves early
	turn    time.Duration // how long it has been seeding; 0 = it is not
	seeders int           // others, as far as is known
	used    int64         // when a file of it was last open
}

// chooseSeeds puts those that are to seed first: those whose turn has begun
// lately, or each look would exchange some; private ones; those that the fewest
// others seed; those that were read last.
func chooseSeeds(all []seed) {
	slices.SortStableFunc(all, func(a, b seed) int {
		last := func(x, y bool) int { // true before false
			switch {
			case x == y:
				return 0
			case x:
				return -1
			}
			return 1
		}
		return cmp.Or(last(a.turn > 0 && a.turn < seedTurn, b.turn > 0 && b.turn < seedTurn),
			last(a.private, b.private), cmp.Compare(a.seeders, b.seeders), -cmp.Compare(a.used, b.used))
	})
}

// seeds reports whether torrents of the client ever seed.
func (c *Client) seeds() bool {
	return c.cfg.MaxSeeding > 0 && c.cfg.SeedRatio > 0 && c.cfg.SeedTime > 0 && !c.cfg.NoUpload
}

// tend chooses who seeds, and records what is here, until the client ends.
func (c *Client) tend() {
	ticker := time.NewTicker(c.cfg.seedEvery)
	defer ticker.Stop()
	for c.ctx.Err() == nil {
		c.scrapeWaiting(c.chooseAll())
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
		}
	}
	for _, t := range c.Torrents() {
		if t.running() == nil { // else its loop does it
			t.noteHere()
		}
	}
}

// chooseAll is one look at all torrents. It returns those that wait for a place.
func (c *Client) chooseAll() (waiting []seed) {
	goals := seedGoals{c.cfg.SeedRatio, c.cfg.SeedTime}
	var all []seed
	for _, t := range c.Torrents() {
		running := t.running() != nil
		if running {
			t.account()
		} else {
			t.noteHere()
		}
		t.mu.Lock()
		r := t.recordNow()
		s := seed{t: t, private: t.private(), seeders: r.Seeders, used: r.Used}
		if !t.seedingSince.IsZero() {
			s.turn = max(1, time.Since(t.seedingSince))
		}
		read, was := t.handles > 0 || t.strives(), !t.seedingSince.IsZero()
		t.mu.Unlock()
		switch {
		case !c.seeds() || t.Info() == nil || t.refusal() != nil || t.Paused() || r.Here == 0 || goals.met(r) && !t.hasToGive(r):
			t.setSeeding(false)
		case read:
		default:
			all = append(all, s)
		}
		if running || was {
			t.saveChanges()
		}
	}
	chooseSeeds(all)
	for i, s := range all {
		s.t.setSeeding(i < c.cfg.MaxSeeding)
	}
	return all[min(len(all), c.cfg.MaxSeeding):]
}

// seedingChanged is that a torrent is to seed, or no more.
type seedingChanged struct{ seeds bool }

// setSeeding has t seed, or seed no more.
func (t *Torrent) setSeeding(seeds bool) {
	t.mu.Lock()
	same := seeds != t.seedingSince.IsZero()
	switch {
	case same && (!seeds || t.loop != nil):
		t.mu.Unlock()
		return
	case seeds:
		t.seedingSince = time.Now()
	default:
		t.seedingSince = time.Time{}
	}
	l := t.loop
	t.mu.Unlock()
	if seeds {
		l, _ = t.activate() // what is wrong with its store has been said
	}
	if l != nil {
		l.put(t.c.ctx, seedingChanged{seeds})
	}
}

// seed is the loop's part of that.
func (l *loop) seed(e seedingChanged) {
	if e.seeds {
		l.spent = false
		l.search()
		return
	}
	l.spent = true
}

// account adds the time since it was last called, in this life of the loop, to
// the time that t was offered, if there is anything to offer.
func (t *Torrent) account() {
	info, store := t.Info(), t.store.Load()
	if info == nil || store == nil {
		return
	}
	here := info.Length - t.missing()
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if here > 0 {
		t.offered += now.Sub(t.accounted)
		whole := t.offered.Truncate(time.Second)
		t.record.Offered += int64(whole / time.Second)
		t.offered -= whole
	}
	t.accounted = now
	t.record.Here = here
	if t.handles > 0 {
		t.record.Used = now.Unix()
	}
}

// noteHere records what is here of a torrent, if that has changed since it was recorded:
// of one that is dormant something may have been evicted.
func (t *Torrent) noteHere() {
	info := t.Info()
	if info == nil || t.store.Load() == nil {
		return
	}
	here := info.Length - t.missing()
	t.mu.Lock()
	same := here == t.record.Here
	t.record.Here = here
	t.mu.Unlock()
	if !same {
		t.saveChanges()
	}
}

// saveChanges writes the record of a torrent that has given, got or offered
// something since it was written.
func (t *Torrent) saveChanges() {
	t.mu.Lock()
	r := t.recordNow()
	dealt := [4]int64{r.Downloaded, r.Uploaded, r.Offered, r.Here}
	same := dealt == t.dealt
	t.dealt = dealt
	t.mu.Unlock()
	if same {
		return
	}
	if err := t.saveRecord(); err != nil {
		t.c.log.Warn("what a torrent has given cannot be stored", "torrent", t.id, "err", err)
	}
}

// settle is the end of a loop's life: what it has dealt is counted and stored.
func (t *Torrent) settle() {
	t.c.shares.forget(t)
	t.account()
	t.saveChanges()
}
