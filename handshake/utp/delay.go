package utp

import "time"

// A base is the least value of a µs clock difference in the last baseMinutes
// minutes, one minimum a minute (RFC 6817 §3.4.2, BASE_HISTORY). Values wrap,
// and mean nothing but in comparison with each other: the two clocks are not
// set alike.
type base struct {
	minutes [baseMinutes]uint32 // the newest last
	n       int                 // of minutes that are known
	turn    time.Duration       // when the newest one began
	least   uint32
}

// add takes in one value and returns the least.
func (b *base) add(now time.Duration, v uint32) uint32 {
	steps := int(min((now-b.turn)/time.Minute, baseMinutes))
	switch {
	case b.n == 0 || steps == baseMinutes:
		b.minutes[baseMinutes-1], b.n, b.turn, b.least = v, 1, now, v
	case steps > 0:
		copy(b.minutes[:], b.minutes[steps:])
		for i := range steps {
			b.minutes[baseMinutes-1-i] = v
		}
		b.n = min(b.n+steps, baseMinutes)
		b.turn += time.Duration(steps) * time.Minute
		b.find()
	case earlier(v, b.minutes[baseMinutes-1]):
		b.minutes[baseMinutes-1] = v
		if earlier(v, b.least) {
			b.least = v
		}
	}
	return b.least
}

func (b *base) find() {
	b.least = b.minutes[baseMinutes-1]
	for _, v := range b.minutes[baseMinutes-b.n:] {
		if earlier(v, b.least) {
			b.least = v
		}
	}
}

// raise moves all that is known by d µs.
func (b *base) raise(d uint32) {
	for i := range b.minutes {
		b.minutes[i] += d
	}
	b.least += d
}

// delay measures the queues on the way from us to the peer: one-way delays as
// the peer sees them, less their base.
//
// Clocks that drift apart make a base untrue. Two things hold against that.
// When the base of the other way sinks by a little, the clocks have drifted by
// as much, and ours is raised by it. And no queue is longer than the round trip
// has grown, which one clock alone has measured.
type delay struct {
	ours, theirs base
	trips        base              // of round-trip times
	filter       [filterLen]uint32 // the last samples, in µs above the base
	n            int               // samples ever
	trip         uint32            // µs: the last round trip
}

// mostDrift bounds the step of the other way's base that is taken for drift; a
// larger one is a clock that was set, or a route that changed.
const mostDrift = 10_000 // µs

// came takes in the time that a packet of the peer took to us, as clocks say.
func (d *delay) came(now time.Duration, v uint32) {
	was, known := d.theirs.least, d.theirs.n > 0
	if is := d.theirs.add(now, v); known && earlier(is, was) && was-is <= mostDrift {
		d.ours.raise(was - is)
	}
}

// went takes in the time that a packet of ours took, as the peer said.
func (d *delay) went(now time.Duration, v uint32) {
	d.filter[d.n%filterLen] = v - d.ours.add(now, v)
	if earlier(v, d.ours.least) { // a raised base
		d.filter[d.n%filterLen] = 0
	}
	d.n++
}

// tripped takes in a round-trip time.
func (d *delay) tripped(now, rtt time.Duration) {
	d.trip = uint32(min(rtt/time.Microsecond, 1<<30))
	d.trips.add(now, d.trip)
}

// queue is how long a packet waits on its way to the peer: the least of the
// last samples, so that one that was held up says nothing.
func (d *delay) queue() time.Duration {
	if d.n == 0 {
		return 0
	}
	least := d.filter[0]
	for _, v := range d.filter[:min(d.n, filterLen)] {
		least = min(least, v)
	}
	if d.trips.n > 0 {
		least = min(least, d.trip-d.trips.least)
	}
	return time.Duration(least) * time.Microsecond
}
