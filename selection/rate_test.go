package selection

import (
	"testing"
	"time"

	"bipfs/wire"
)

// A supplier answers requests at its own pace; serve is when the answer to a
// request made at now comes, given when the one before it came.
type supplier func(now, before time.Duration) time.Duration

// evenly sends one block each, a round trip after its request at the earliest.
func evenly(each, trip time.Duration) supplier {
	return func(now, before time.Duration) time.Duration { return max(now+trip, before+each) }
}

// inBursts looks at its queue at each pulse only.
func inBursts(pulse, each time.Duration) supplier {
	return func(now, before time.Duration) time.Duration {
		return max((now/pulse+1)*pulse, before+each)
	}
}

// supply has a peer asked for blocks as far as its depth allows, but never for
// more than busy at once, until end; it is what the meter then says, and what
// came in the last second.
func supply(serve supplier, busy int, end time.Duration) (p *peer, second int64) {
	p = &peer{rate: meter{depth: firstDepth}, most: mostDepth}
	type answer struct {
		request
		comes time.Duration
	}
	var out []answer
	var before time.Duration
	for now := time.Duration(0); now < end; {
		for len(out) < min(p.depth(), busy) {
			before = serve(now, before)
			out = append(out, answer{request{at: now, alone: len(out) == 0, before: p.rate.delivered}, before})
		}
		now = out[0].comes
		p.rate.answer(now, wire.BlockSize, out[0].request, len(out) < p.depth()/2)
		if out = out[1:]; now > end-time.Second {
			second += wire.BlockSize
		}
	}
	return p, second
}

// TestDepth: the queue is as long as it has to be for the peer to be busy, and
// little longer.
func TestDepth(t *testing.T) {
	const ms = time.Millisecond
	for name, l := range map[string]struct {
		serve supplier
		busy  int   // blocks wanted at once
		rate  int64 // blocks a second that come at last
		least int   // depth
		most  int
	}{
		"50 ms away, 64 blocks/s":     {evenly(time.Second/64, 50*ms), 1000, 63, 20, 50},
		"200 ms away, 640 blocks/s":   {evenly(time.Second/640, 200*ms), 1000, 620, 250, 500},
		"1 ms away, 8000 blocks/s":    {evenly(time.Second/8000, ms), 1000, 7900, 500, 500},
		"pulses of 500 ms, no limit":  {inBursts(500*ms, 10*time.Microsecond), 1000, 990, 500, 500},
		"pulses of 500 ms, 100 a s":   {inBursts(500*ms, 10*ms), 1000, 95, 50, 130},
		"pulses of 500 ms, few asked": {inBursts(500*ms, 10*ms), 4, 8, firstDepth, 100},
		"hardly alive":                {evenly(2*time.Second, 100*ms), 1000, 0, leastDepth, firstDepth},
	} {
		t.Run(name, func(t *testing.T) {
			p, second := supply(l.serve, l.busy, 30*time.Second)
			if got := second / wire.BlockSize; got < l.rate {
				t.Errorf("%d blocks came in the last second, at least %d can", got, l.rate)
			}
			if d := p.depth(); d < l.least || d > l.most {
				t.Errorf("depth %d, want %d to %d (%d bytes/s, round trip %v)", d, l.least, l.most, p.rate.rate, p.rate.rtt)
			}
		})
	}
}

// TestRateOfTheUnasked: a peer that is asked for little is not taken for slow.
func TestRateOfTheUnasked(t *testing.T) {
	serve := evenly(time.Millisecond, 20*time.Millisecond)
	p, _ := supply(serve, 1000, 5*time.Second)
	want, now := p.rate.rate, 5*time.Second
	for range 100 {
		q := request{at: now, alone: true, before: p.rate.delivered}
		now = serve(now, 0)
		p.rate.answer(now, wire.BlockSize, q, true)
		now += 50 * time.Millisecond
	}
	if p.rate.rate < want {
		t.Errorf("%d bytes/s, before it was asked for little %d", p.rate.rate, want)
	}
}

// atOnce sends the first block that it is asked for at once, and the others evenly: as a
// line does that saves something of its rate while nobody asks.
func atOnce(each time.Duration) supplier {
	return func(now, before time.Duration) time.Duration { return max(now+time.Millisecond, before+each) }
}

// reads has a peer asked n times for some blocks at a time, with pauses.
func reads(p *peer, serve supplier, now time.Duration, n, blocks int) time.Duration {
	for range n {
		before := time.Duration(0)
		at, delivered := now, p.rate.delivered
		for i := range blocks {
			before = serve(at, before)
			now = before
			p.rate.answer(now, wire.BlockSize, request{at: at, alone: i == 0, before: delivered}, blocks-i-1 < p.depth()/2)
		}
		now += 300 * time.Millisecond
	}
	return now
}

// TestRateOfReads: what a few blocks at a time tell of a peer is its rate, whether the
// first of them comes at once or not, also when the peer becomes slower.
func TestRateOfReads(t *testing.T) {
	const ms = time.Millisecond
	within := func(p *peer, each time.Duration) {
		t.Helper()
		if want := int64(wire.BlockSize * time.Second / each); p.rate.rate < want*9/10 || p.rate.rate > want*11/10 {
			t.Errorf("%d bytes/s, and it sends %d", p.rate.rate, want)
		}
	}
	for name, serve := range map[string]func(each time.Duration) supplier{
		"first at once": atOnce,
		"evenly":        func(each time.Duration) supplier { return evenly(each, 10*ms) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{rate: meter{depth: firstDepth}, most: mostDepth}
			now := reads(p, serve(8*ms), 0, 4, 6)
			within(p, 8*ms)
			reads(p, serve(16*ms), now, 8, 6)
			within(p, 16*ms)
		})
	}
}
