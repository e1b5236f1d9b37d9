package utp

import (
	"container/heap"
	"testing"
	"time"
)

// A rival is a flow of TCP Reno through the queue of end 0: a packet more a
// round trip, half after a loss.
type rival struct {
	w        *world
	window   float64
	onWay    int
	arrived  int
	recovery time.Duration // no second cut before
}

const rivalPacket = 1500

// fill sends what the window has room for.
func (r *rival) fill() {
	p := &r.w.ends[0].path
	for float64(r.onWay) < r.window {
		r.onWay++
		p.busy = max(p.busy, r.w.now)
		l := letter{at: p.busy + 2*p.delay, to: 2, order: r.w.order, b: []byte{1}}
		if p.busy-r.w.now > p.queue {
			l.b = nil // lost: it shows by those behind it
		} else {
			p.busy += rivalPacket * time.Second / time.Duration(p.rate)
			l.at = p.busy + 2*p.delay
		}
		r.w.order++
		heap.Push(&r.w.mail, l)
	}
}

// hear is the acknowledgement of a packet, or what shows its loss.
func (r *rival) hear(arrived bool) {
	r.onWay--
	switch {
	case arrived:
		r.arrived += rivalPacket
		r.window += 1 / r.window
	case r.w.now >= r.recovery:
		r.window = max(r.window/2, 2)
		r.recovery = r.w.now + 2*r.w.ends[0].path.delay + max(0, r.w.ends[0].path.busy-r.w.now)
	}
	r.fill()
}

// TestYields: beside a flow of TCP ours takes what is left, if the queue is long
// enough to be seen: that is LEDBAT's promise. Alone it takes all.
func TestYields(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and the same each time")
	}
	for _, c := range []struct {
		queue time.Duration
		most  float64 // of the link, beside TCP
	}{
		{400 * ms, 0.1}, {200 * ms, 0.1}, {100 * ms, 0.5}, {50 * ms, 0.65}, {20 * ms, 0.65}, {8 * ms, 0.65}, {4 * ms, 0.7},
	} {
		there := ethernet()
		there.rate, there.queue = 1_000_000, c.queue
		w := newWorld(t, 1, 0, there, ethernet())
		w.ends[0].toWrite = 1 << 30
		never := func() bool { return false }
		w.run(30*time.Second, never)
		alone := float64(w.ends[1].read) / 30
		w.rival = &rival{w: w, window: 2}
		w.rival.fill()
		w.run(20*time.Second, never)
		ours, theirs := w.ends[1].read, w.rival.arrived
		w.run(time.Minute, never)
		beside, tcp := float64(w.ends[1].read-ours)/60, float64(w.rival.arrived-theirs)/60
		t.Logf("a queue of %v: alone %.0f kB/s; beside TCP %.0f kB/s, TCP %.0f kB/s", c.queue, alone/1e3, beside/1e3, tcp/1e3)
		if alone < 800e3 && c.queue >= 20*ms {
			t.Errorf("a queue of %v: alone %.0f kB/s of 1,000", c.queue, alone/1e3)
		}
		if beside > c.most*1e6 {
			t.Errorf("a queue of %v: ours takes %.0f kB/s of 1,000 beside TCP", c.queue, beside/1e3)
		}
	}
}
