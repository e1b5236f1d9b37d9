package utp

import "time"

// ledbat decides how many bytes may be on their way (RFC 6817):
//
//	          slow start                    congestion avoidance
//	cwnd += acknowledged        cwnd += gain · off target · acknowledged / cwnd
//	      until ssthresh,             off target = (target − queue) / target
//	      a loss, or a queue of
//	      three quarters of target
//
//	loss, once a round trip: cwnd /= 2         time-out: cwnd = 1 packet
//	… with no queue: cwnd *= 0.8
//
// A loss without a queue is one that no congestion of a queue has caused: it
// says less of the path's rate than of its radio. TCP Veno (Fu and Liew 2003)
// cuts by a fifth then, and by half else. A queue is no less than what TCP would
// keep at a narrow place, so where TCP flows are, losses still halve.
//
// The gain is 3,000 bytes a round trip, that of libutp and libtorrent, or one
// packet where packets are longer (RFC 6817: GAIN 1). docs/adr/0008-utp.md has
// the reasons.
//
// A flow that always keeps a queue of target would forget how short the way is
// without it: the base is ten minutes long, and a clock that drifts moves it.
// So it pauses for two round trips when the queue was not empty for drainEvery
// (LEDBAT++ pauses much more often; this costs a thousandth of the rate).
type ledbat struct {
	window    float64 // cwnd, in bytes
	threshold float64 // ssthresh
	delay     delay
	empty     time.Duration // when the queue was last nearly empty
	resume    time.Duration // the end of a pause
}

func newLedbat(mss int) ledbat {
	return ledbat{window: float64(firstWindow * mss), threshold: mostBuffer}
}

// bytes is how many may be on their way.
func (l *ledbat) bytes() int { return int(l.window) }

// acknowledged takes in that n bytes arrived. A window that was not full does
// not grow.
func (l *ledbat) acknowledged(now time.Duration, n, mss int, full bool, rtt time.Duration) {
	queue := l.delay.queue()
	switch {
	case queue <= target/4 || l.empty == 0:
		l.empty = max(now, 1)
	case now-l.empty > drainEvery:
		l.empty, l.resume = now, now+2*rtt
		l.threshold = l.window
		l.window = float64(leastWindow * mss)
	}
	if now < l.resume {
		return
	}
	if l.window < l.threshold {
		if queue > target*3/4 {
			l.threshold = l.window
		} else if full {
			l.window = min(l.window+float64(n), l.threshold)
		}
		return
	}
	off := max(float64(target-queue)/float64(target), -1)
	if off > 0 && !full {
		return
	}
	gain := float64(max(mostGain, mss))
	l.window += gain * off * float64(n) / l.window
	l.window = min(max(l.window, float64(leastWindow*mss)), mostBuffer)
}

// lost makes the window smaller. The caller does so once for all that was on its
// way at one time.
func (l *ledbat) lost(mss int) {
	keep := congestedKeep
	if l.delay.n >= filterLen && l.delay.queue() < noQueue {
		keep = strayKeep
	}
	l.window = max(l.window*keep, float64(leastWindow*mss))
	l.threshold = l.window
}

// timedOut starts again from one packet.
func (l *ledbat) timedOut(mss int) {
	l.threshold = max(l.window/2, float64(leastWindow*mss))
	l.window = float64(mss)
}

// idle takes back what was learnt too long ago to be true (RFC 5681 §4.1).
func (l *ledbat) idle(mss int) {
	if restart := float64(firstWindow * mss); l.window > restart {
		l.threshold = max(l.threshold, l.window*3/4)
		l.window = restart
	}
}

// roundTrip is the time-out of BEP 29.
type roundTrip struct {
	mean, variance time.Duration // mean 0: nothing measured yet
}

func (r *roundTrip) add(rtt time.Duration) {
	if r.mean == 0 {
		r.mean, r.variance = max(rtt, 1), rtt/2
		return
	}
	off := r.mean - rtt
	if off < 0 {
		off = -off
	}
	r.variance += (off - r.variance) / 4
	r.mean = max(r.mean+(rtt-r.mean)/8, 1)
}

// timeout is how long to wait for an acknowledgement, after n time-outs in a
// row.
func (r *roundTrip) timeout(n int) time.Duration {
	t := firstTimeout
	if r.mean != 0 {
		t = max(r.mean+4*r.variance, leastTimeout)
	}
	return min(t<<min(n, 16), mostTimeout)
}

// probe is how long to wait before the last packet of a flight is sent a second
// time. A packet that is alone may be acknowledged late on purpose.
func (r *roundTrip) probe(alone bool) time.Duration {
	t := max(2*r.mean, leastProbe)
	if alone {
		t += mostAckDelay
	}
	return t
}
