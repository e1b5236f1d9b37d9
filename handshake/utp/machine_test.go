package utp

import (
	"fmt"
	"testing"
	"time"
)

const ms = time.Millisecond

// ethernet is a path of the world: 25 ms, datagrams of an IPv4 ethernet.
func ethernet() path { return path{delay: 25 * ms, mtu: 1472} }

// TestTransfer moves bytes both ways over all kinds of paths; each is right,
// and nothing is left in the books.
func TestTransfer(t *testing.T) {
	kinds := map[string]func(*path){
		"good":      func(*path) {},
		"lossy":     func(p *path) { p.loss = 0.01 },
		"terrible":  func(p *path) { p.loss = 0.15; p.twice = 0.1; p.jitter = 10 * ms },
		"reordered": func(p *path) { p.jitter = 5 * ms },
		"twice":     func(p *path) { p.twice = 0.5 },
		"narrow":    func(p *path) { p.rate = 100_000; p.queue = 300 * ms },
		"short":     func(p *path) { p.mtu = 1300 },
		"loopback":  func(p *path) { p.mtu = 65507; p.delay = ms / 10 },
		"skewed":    func(p *path) { p.skew = 40 * time.Minute },
	}
	for name, change := range kinds {
		for _, start := range []time.Duration{0, 1<<32*time.Microsecond - time.Second} {
			t.Run(fmt.Sprintf("%s from %v", name, start), func(t *testing.T) {
				for seed := range uint64(4) {
					if testing.Short() && seed > 0 {
						break
					}
					there, back := ethernet(), ethernet()
					change(&there)
					change(&back)
					w := newWorld(t, seed, start, there, back)
					a, b := w.ends[0], w.ends[1]
					a.toWrite, b.toWrite = 1<<20, 200<<10
					a.close, b.close = true, true
					if !w.run(10*time.Minute, func() bool { return b.read == 1<<20 && a.read == 200<<10 && a.m.eof && b.m.eof }) {
						t.Fatalf("seed %d: read %d and %d bytes; %s", seed, b.read, a.read, describe(a.m))
					}
					a.m.close(a.clock())
					b.m.close(b.clock())
					if !w.run(time.Minute, func() bool { return a.m.phase == dead && b.m.phase == dead }) {
						t.Fatalf("seed %d: not dead: %s; %s", seed, describe(a.m), describe(b.m))
					}
					if a.m.err != nil || b.m.err != nil {
						t.Errorf("seed %d: ended with %v, %v", seed, a.m.err, b.m.err)
					}
					if a.memory.used.Load() != 0 || b.memory.used.Load() != 0 {
						t.Errorf("seed %d: %d and %d bytes are lost", seed, a.memory.used.Load(), b.memory.used.Load())
					}
				}
			})
		}
	}
}

func describe(m *machine) string {
	if m == nil {
		return "no machine"
	}
	return fmt.Sprintf("phase %d, err %v, out %d, cut %d, flight %d, on way %d, lost %d, window %.0f/%.0f, peer %d, timeouts %d, in %d, held %d, rtt %v±%v, queue %v, rung %d, eof %v, fin %v",
		m.phase, m.err, m.out.size, m.cut, m.flight.len(), m.onWay, m.lostPackets, m.ledbat.window, m.ledbat.threshold, m.peerWindow, m.timeouts,
		m.in.size, m.held.count, m.trip.mean, m.trip.variance, m.ledbat.delay.queue(), m.mtu.rung, m.eof, m.finSent)
}

// rate is how fast one end writes to the other for a while, in bytes a second.
func rate(t *testing.T, seed uint64, there, back path, long time.Duration) (float64, *world) {
	w := newWorld(t, seed, 0, there, back)
	w.ends[0].toWrite = 1 << 30
	w.run(long, func() bool { return false })
	return float64(w.ends[1].read) / long.Seconds(), w
}

// TestRate: what LEDBAT does with paths of known capacity.
func TestRate(t *testing.T) {
	lossy := ethernet()
	lossy.loss = 0.01
	r, w := rate(t, 1, lossy, ethernet(), time.Minute)
	t.Logf("50 ms, 1%% loss: %.0f kB/s; %s", r/1e3, describe(w.ends[0].m))
	// Mathis: 1452/0.05 · sqrt(3·gain/2p), the gain being two packets.
	if r < 350e3 {
		t.Errorf("50 ms, 1%% loss: %.0f kB/s", r/1e3)
	}
	both := lossy
	r, w = rate(t, 1, both, both, time.Minute)
	t.Logf("50 ms, 1%% loss both ways: %.0f kB/s; %s", r/1e3, describe(w.ends[0].m))

	queue := ethernet()
	queue.rate, queue.queue = 1_000_000, time.Second
	r, w = rate(t, 1, queue, ethernet(), time.Minute)
	t.Logf("1 MB/s with a queue of 1 s: %.0f kB/s; %s", r/1e3, describe(w.ends[0].m))
	if r < 850e3 {
		t.Errorf("a link of 1 MB/s carries %.0f kB/s", r/1e3)
	}
	if q := w.ends[0].path.busy - w.now; q > 150*ms {
		t.Errorf("the queue is %v long; target 100 ms", q)
	}
}
