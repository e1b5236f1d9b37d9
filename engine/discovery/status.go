package discovery

import (
	"math/rand/v2"
	"time"
)

// tracker is one tracker of a torrent; Trackers.mu guards what changes.
type tracker struct {
	url      string
	shown    string // without path and query, which may hold a secret
	unusable error  // it is never asked

	started  bool   // it answered a `started`
	id       string // what it calls us
	failures int    // in a row
	retry    time.Time
	status   Status

	// Of a torrent with a Ledger:
	kept    Kept
	way     int       // of Config.Ways, the one that it answered by
	latest  time.Time // when it answered last
	soonest time.Time // before, it is told nothing that can wait
}

// Status is the latest news of one tracker, for people.
type Status struct {
	Tier     int       // from 0
	Tracker  string    // scheme and host
	Error    string    // why it is not asked or has not answered; empty if it has
	Warning  string    // what it wants a person to know
	Peers    int       // of its latest answer
	Seeders  int       // in the swarm, by its word
	Leechers int       // in the swarm, by its word
	Answered time.Time // the latest answer; zero if none
	Retry    time.Time // when it may be asked again after a failure; zero if it has not failed
}

func newTracker(raw string) *tracker {
	tr := &tracker{url: raw, shown: Shown(raw)}
	if _, tr.unusable = checkURL(raw); tr.unusable != nil {
		tr.status.Error = tr.unusable.Error()
	}
	return tr
}

// settle takes the outcome of an announce. What is new and worth a line of the
// log is returned: the first failure of a row, and a warning that was not
// there before.
func (tr *tracker) settle(o outcome, now time.Time, chance *rand.Rand) (news string) {
	if o.err != nil {
		text := forPeople(withoutSecrets(o.err.Error(), tr.url))
		if tr.failures == 0 {
			news = text
		}
		tr.retry = now.Add(backOff(tr.failures, chance))
		tr.failures++
		tr.status.Error = text
		return news
	}
	o.answer.Warning = withoutSecrets(o.answer.Warning, tr.url)
	if o.answer.Warning != tr.status.Warning && o.answer.Warning != "" {
		news = "the tracker warns: " + o.answer.Warning
	}
	tr.started, tr.failures, tr.retry = true, 0, time.Time{}
	if o.answer.TrackerID != "" { // BEP 3: an answer without one leaves the former
		tr.id = o.answer.TrackerID
	}
	tr.status = Status{
		Warning: o.answer.Warning, Peers: len(o.answer.Peers),
		Seeders: o.answer.Seeders, Leechers: o.answer.Leechers, Answered: now,
	}
	return news
}

// also takes the answer of another way to a tracker that has answered by one.
func (tr *tracker) also(a Answer) {
	tr.status.Peers += len(a.Peers)
	tr.status.Seeders = max(tr.status.Seeders, a.Seeders)
	tr.status.Leechers = max(tr.status.Leechers, a.Leechers)
}

// backOff is the wait after one more failure than n in a row: MinBackOff
// doubled n times, MaxBackOff at most, less up to a quarter by chance, so that
// those who lost a tracker together do not come back together.
func backOff(n int, chance *rand.Rand) time.Duration {
	d := MaxBackOff
	if n < 16 { // MinBackOff doubled 16 times is days
		d = min(MinBackOff<<n, MaxBackOff)
	}
	return d - time.Duration(chance.Int64N(int64(d/4)))
}

// Status gives the latest news of each tracker, in the order they are asked.
func (t *Trackers) Status() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Status
	for tier, trackers := range t.tiers {
		for _, tr := range trackers {
			s := tr.status
			s.Tier, s.Tracker, s.Retry = tier, tr.shown, tr.retry
			all = append(all, s)
		}
	}
	return all
}
