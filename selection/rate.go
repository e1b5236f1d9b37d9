package selection

import (
	"time"

	"bipfs/wire"
)

// meter measures what a peer delivers, over the time in which it owed us
// something: idle time says nothing about a peer. Arithmetic is in integers,
// so that a replay is exact everywhere.
type meter struct {
	rate   int64 // bytes a second; 0 is unknown
	last   int64 // the sample before
	bytes  int64 // in this sample
	since  time.Duration
	steady bool // the rate has stopped growing: slow start is over

	rtt   time.Duration // from a request on an empty queue to its block; 0 is unknown
	depth int           // of the queue in slow start
}

// begin starts a sample: the queue was empty and is no longer.
func (r *meter) begin(now time.Duration) { r.since, r.bytes = now, 0 }

// block counts a block that came. alone is the time since its request if
// nothing else was outstanding then, else 0.
func (r *meter) block(now time.Duration, n uint32, alone time.Duration) {
	r.bytes += int64(n)
	if !r.steady {
		r.depth++
	}
	switch {
	case alone <= 0:
	case r.rtt == 0 || alone < r.rtt:
		r.rtt = alone
	default:
		r.rtt += (alone - r.rtt) / 8
	}
	if now-r.since >= sampleTime {
		r.sample(now)
	}
}

// idle ends a sample early: nothing is outstanding any more.
func (r *meter) idle(now time.Duration) {
	if r.bytes >= 4*wire.BlockSize && now-r.since >= time.Millisecond {
		r.sample(now)
	}
}

func (r *meter) sample(now time.Duration) {
	took := now - r.since
	rate := max(1, r.bytes*int64(time.Second/time.Microsecond)/max(1, int64(took/time.Microsecond)))
	if rate < r.last+r.last/8 {
		r.steady = true
	}
	r.last = rate
	if r.rate == 0 {
		r.rate = rate
	} else {
		r.rate = (r.rate + rate) / 2
	}
	r.since, r.bytes = now, 0
}

// guess is the rate, or a guess.
func (r *meter) guess() int64 {
	if r.rate == 0 {
		return guessedRate
	}
	return r.rate
}

// trip is the round trip, or a guess.
func (r *meter) trip() time.Duration {
	if r.rtt == 0 {
		return guessedRTT
	}
	return r.rtt
}
