package engine

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSurroundings(t *testing.T) {
	addrs := func(list ...string) map[netip.Addr]bool {
		m := map[netip.Addr]bool{}
		for _, a := range list {
			m[netip.MustParseAddr(a)] = true
		}
		return m
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := surroundings{start, time.Minute, addrs("10.0.0.1", "fd00::1")}
	for name, l := range map[string]struct {
		now          surroundings
		slept, moved bool
	}{
		"nothing":                {surroundings{start.Add(2 * time.Second), time.Minute + 2*time.Second, before.addrs}, false, false},
		"a busy machine":         {surroundings{start.Add(time.Hour), time.Minute + time.Hour, before.addrs}, false, false},
		"the clock is corrected": {surroundings{start.Add(leap + 2*time.Second), time.Minute + 2*time.Second, before.addrs}, false, false},
		"a sleep":                {surroundings{start.Add(leap + 3*time.Second), time.Minute + 2*time.Second, before.addrs}, true, false},
		"the clock is set back":  {surroundings{start.Add(-time.Hour), time.Minute + 2*time.Second, before.addrs}, true, false},
		"an address more":        {surroundings{start, time.Minute, addrs("10.0.0.1", "fd00::1", "10.0.0.2")}, false, true},
		"an address less":        {surroundings{start, time.Minute, addrs("10.0.0.1")}, false, true},
		"another address":        {surroundings{start, time.Minute, addrs("10.0.0.1", "fd00::2")}, false, true},
		"no network":             {surroundings{start, time.Minute, addrs()}, false, true},
	} {
		if slept, moved := l.now.since(before); slept != l.slept || moved != l.moved {
			t.Errorf("%s: slept %v, moved %v", name, slept, moved)
		}
	}
}

// A pit is a relay to a peer through which, while it is shut, no byte passes
// and no connection ends: what a peer looks like after a sleep.
type pit struct {
	addr string
	shut atomic.Bool
	news atomic.Int32 // connections
}

func newPit(t *testing.T, to string) *pit {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pit{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	carry := func(from, to net.Conn, lost bool) {
		defer from.Close()
		defer to.Close()
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if lost = lost || p.shut.Load(); !lost { // what is lost breaks the stream for good
				to.Write(b[:n])
			}
		}
	}
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.news.Add(1)
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			wg.Go(func() { carry(in, out, false) })
			wg.Go(func() { carry(out, in, false) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return p
}

// TestWake: a read that waits when the machine goes to sleep, or to another
// network, gets its bytes soon after, over new connections, and has all of its
// time again; nobody is banned.
func TestWake(t *testing.T) {
	for _, name := range []string{"sleep", "another network"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContent(t, 64<<10, 6_000_000)
			p := newPit(t, seeder(t, c).addr())
			var ahead atomic.Int64
			var addr atomic.Pointer[net.IPNet]
			home, away := net.IPNet{IP: net.IPv4(10, 0, 0, 1), Mask: net.CIDRMask(24, 32)}, net.IPNet{IP: net.IPv4(10, 9, 9, 9), Mask: net.CIDRMask(24, 32)}
			addr.Store(&home)
			leech := testClient(t, Config{
				Peers: []string{p.addr}, ReadTimeout: 6 * time.Second, watchEvery: 100 * time.Millisecond,
				wall:  func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) },
				addrs: func() ([]net.Addr, error) { return []net.Addr{addr.Load()}, nil },
			})
			torrent, err := leech.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
				t.Fatal(err)
			}
			p.shut.Store(true)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := readRange(t.Context(), r, 5_000_000, 100_000); err != nil {
					t.Errorf("the read that waited: %v", err)
				}
			})
			time.Sleep(4 * time.Second)
			p.shut.Store(false)
			before := p.news.Load()
			if name == "sleep" {
				ahead.Store(int64(8 * time.Hour))
			} else {
				addr.Store(&away)
				// The connection of this test is over loopback, which does not
				// go away: it is said to.
				leech.wake(func(netip.Addr) bool { return true })
			}
			wg.Wait()
			if p.news.Load() == before {
				t.Error("no new connection was made: the test tests nothing")
			}
			if leech.hand.Stats(torrent.hash).Standing == 0 {
				t.Error("nobody is connected")
			}
		})
	}
}
