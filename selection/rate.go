package selection

import (
	"time"

	"bipfs/wire"
)

// meter measures how fast a peer delivers when it is asked for enough.
//
//	requests   ─a─────b─────c──────────────
//	blocks     ───────a─────b─────c────────
//	               └──────┘ └─────┘          rounds: one ends with the answer
//	                                         to a request made in it
//
// A block's own rate is what came between its request and itself, over that
// time: right for a peer that sends evenly and for one that sends what is asked
// in bursts. A round's rate is the highest of its blocks', but those with little
// before them count only where there are no others: many a peer sends the first
// block at once and the rest as its line lets it. Where the requests were too few
// to keep the peer busy, a round says only what it can do at least.
// Arithmetic is in integers, so that a replay is exact everywhere.
type meter struct {
	delivered int64 // bytes so far
	rate      int64 // bytes a second; 0 is unknown
	last      int64 // of the round before
	steady    bool  // the rate has stopped growing: slow start is over

	since   time.Duration // begin of the round
	best    int64         // of its blocks
	long    bool          // of those that have fewBlocks or more to tell of
	limited bool          // in it, the peer could have been asked for more
	asked   time.Duration // when it was asked last with an empty queue
	first   time.Duration // when the block came that was asked for then

	pause time.Duration // the longest silence of late, while it owed us something
	rtt   time.Duration // from a request on an empty queue to its block; 0 is unknown
	depth int           // of the queue in slow start
}

// block counts a block that came unasked.
func (r *meter) block(n uint32) { r.delivered += int64(n) }

// answer counts a block that answers a request, made at at when so much had
// been delivered. limited says that fewer requests than could be were out.
func (r *meter) answer(now time.Duration, n uint32, q request, limited bool) {
	r.block(n)
	took := max(now-q.at, shortestAnswer)
	if q.alone {
		r.trip(took)
		r.asked, r.first = q.at, now
	}
	if !r.steady {
		r.depth++
	}
	if r.best > 0 && q.at >= r.since && now-r.since >= sampleTime {
		r.round()
	}
	if r.best == 0 {
		r.since = now
	}
	came := r.delivered - q.before
	long := came >= fewBlocks*wire.BlockSize
	switch busy := now - r.first; {
	case !long:
	case q.at != r.asked: // others were on their way
		limited = limited && took <= 2*r.rtt
	case busy > max(r.first-r.asked, shortestAnswer): // longer than the trip, of which the first block tells
		came, took, limited = came-wire.BlockSize, busy, false
	}
	if long && !r.long {
		r.best, r.long, r.limited = 0, true, false
	}
	if long == r.long {
		r.limited = r.limited || limited
		r.best = max(r.best, 1, came*int64(time.Second/time.Microsecond)/int64(took/time.Microsecond))
	}
}

// trip takes in a round trip. It follows a longer one at once: a queue that is
// too short for a peer that answers twice a second wastes most of its time,
// one that is too long costs a seek a little.
func (r *meter) trip(took time.Duration) {
	switch {
	case r.rtt == 0:
		r.rtt = took
	case took > r.rtt:
		r.rtt += (took - r.rtt) / 2
	default:
		r.rtt -= (r.rtt - took) / 8
	}
}

// round ends a round.
func (r *meter) round() {
	best, limited := r.best, r.limited
	r.best, r.long, r.limited = 0, false, false
	switch {
	case r.rate == 0:
		r.rate = best
	case limited:
		r.rate = max(r.rate, best)
		return
	default:
		r.rate = (r.rate + best) / 2
	}
	if !limited && best < r.last+r.last/8 {
		r.steady = true
	}
	r.last = best
}

// guess is the rate, or what the first round says so far, or a guess.
func (r *meter) guess() int64 {
	switch {
	case r.rate > 0:
		return r.rate
	case r.best > 0 && r.delivered >= fewBlocks*wire.BlockSize:
		return r.best
	}
	return guessedRate
}

// roundTrip is the round trip, or a guess.
func (r *meter) roundTrip() time.Duration {
	if r.rtt == 0 {
		return guessedRTT
	}
	return r.rtt
}
