package engine

import (
	"testing"
	"time"

	"bipfs/selection"
	"bipfs/wire"
)

// sharing are torrents that share rates in false time. Each comes as often as it is
// told to, and spends what it gets at once.
type sharing struct {
	s     shares
	all   []*Torrent
	due   []time.Duration
	wants []selection.Credit
	got   []selection.Credit
	now   time.Duration
}

func newSharing(r Rates, n int) *sharing {
	x := &sharing{}
	x.s.init(r)
	for range n {
		x.all = append(x.all, &Torrent{})
	}
	x.due, x.wants, x.got = make([]time.Duration, n), make([]selection.Credit, n), make([]selection.Credit, n)
	return x
}

// run lets time pass in steps of a millisecond.
func (x *sharing) run(d time.Duration) {
	for end := x.now + d; x.now < end; x.now += time.Millisecond {
		for i, t := range x.all {
			if x.now < x.due[i] {
				continue
			}
			c, again := x.s.take(t, x.wants[i], x.now)
			x.got[i].Down += c.Down
			x.got[i].Background += c.Background
			x.got[i].Up += c.Up
			x.due[i] = x.now + again
		}
	}
}

func (x *sharing) want(i int, c selection.Credit) { x.wants[i] = c }

// near tells whether two numbers differ by so many hundredths at most.
func near(a, b int64, hundredths int64) bool { return 100*max(a-b, b-a) <= hundredths*max(a, b) }

const plenty = 4 << 20

// TestRate: what many get together is the rate, and each gets as much as the others.
func TestRate(t *testing.T) {
	for _, rate := range []int64{LeastRate, 20_000, 5_000_000, 400_000_000} {
		for _, n := range []int{1, 2, 8, 300} {
			x := newSharing(Rates{Down: rate, Up: rate}, n)
			for i := range n {
				x.want(i, selection.Credit{Down: 64 << 20, Up: 64 << 20})
			}
			x.run(time.Second)
			clear(x.got)
			const span = 20
			x.run(span * time.Second)
			var down, up, least, most int64
			least = x.got[0].Down
			for _, g := range x.got {
				down, up = down+g.Down, up+g.Up
				least, most = min(least, g.Down), max(most, g.Down)
			}
			if d := rate*span - down; max(d, -d) > rate*span/100+2*wire.BlockSize {
				t.Errorf("%d torrents at %d: %d bytes in %d s", n, rate, down, span)
			}
			if d := rate*span - up; max(d, -d) > rate*span/100+2*wire.BlockSize {
				t.Errorf("%d torrents at %d: %d bytes up in %d s", n, rate, up, span)
			}
			if most-least > max(4*wire.BlockSize, most/5) {
				t.Errorf("%d torrents at %d: one gets %d, another %d", n, rate, least, most)
			}
		}
	}
}

// TestRateReadsFirst: what nobody waits for gets what the reads of all torrents
// leave, and leaves them something to begin with.
func TestRateReadsFirst(t *testing.T) {
	x := newSharing(Rates{Down: 1_000_000}, 3)
	x.want(0, selection.Credit{Background: plenty})
	x.want(1, selection.Credit{Background: plenty})
	x.run(2 * time.Second)
	if got := x.got[0].Background + x.got[1].Background; !near(got, 2_000_000, 10) {
		t.Errorf("%d bytes in the background, alone", got)
	}
	if c, _ := x.s.take(x.all[2], selection.Credit{Down: 64 << 10}, x.now); c.Down < 64<<10 {
		t.Errorf("a read gets %d bytes at once", c.Down)
	}
	x.want(2, selection.Credit{Down: plenty})
	x.run(100 * time.Millisecond)
	clear(x.got)
	x.run(2 * time.Second)
	if x.got[0].Background+x.got[1].Background > 0 || !near(x.got[2].Down, 2_000_000, 5) {
		t.Errorf("beside a read: %+v", x.got)
	}
	x.want(2, selection.Credit{})
	x.run(200 * time.Millisecond)
	clear(x.got)
	x.run(2 * time.Second)
	if got := x.got[0].Background + x.got[1].Background; !near(got, 2_000_000, 10) {
		t.Errorf("%d bytes in the background, after the read", got)
	}
}

// TestRateOfOne: a torrent's own limit, and that of the background, hold beside that
// of all; a change acts at once, and none is none.
func TestRateOfOne(t *testing.T) {
	x := newSharing(Rates{Background: 300_000}, 2)
	if l := x.s.limited(x.all[0]); l != (selection.Limited{Background: true}) {
		t.Errorf("%+v", l)
	}
	x.s.set(x.all[1], Rates{Down: 100_000}, 0)
	if l := x.s.limited(x.all[1]); l != (selection.Limited{Down: true, Background: true}) {
		t.Errorf("%+v", l)
	}
	x.want(0, selection.Credit{Background: plenty})
	x.want(1, selection.Credit{Background: plenty})
	x.run(time.Second)
	clear(x.got)
	x.run(10 * time.Second)
	if !near(x.got[1].Background, 1_000_000, 5) || !near(x.got[0].Background+x.got[1].Background, 3_000_000, 5) {
		t.Errorf("%+v", x.got)
	}
	x.s.set(nil, Rates{Background: 50_000}, x.now)
	clear(x.got)
	x.run(4 * time.Second)
	if got := x.got[0].Background + x.got[1].Background; !near(got, 200_000, 20) {
		t.Errorf("%d bytes after a change", got)
	}
	x.s.set(nil, Rates{}, x.now)
	x.s.set(x.all[1], Rates{}, x.now)
	if l := x.s.limited(x.all[1]); l != (selection.Limited{}) || len(x.s.of) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestRatesCheck(t *testing.T) {
	for r, ok := range map[Rates]bool{
		{}: true, {Down: LeastRate}: true, {Up: 1 << 40}: true,
		{Down: -1}: false, {Up: LeastRate - 1}: false, {Background: 1}: false, {Down: 1<<63 - 1}: false,
	} {
		if err := r.check(); (err == nil) != ok {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
