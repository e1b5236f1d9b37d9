package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// link is a fake of the links that we are on: one device, in both groups.
type link struct {
	mu    sync.Mutex
	name  string
	alone bool // no group can be joined
	open  int
	sent  []sentSearch
	heard map[netip.AddrPort]chan overheard
}

type sentSearch struct {
	at time.Duration
	to netip.AddrPort
	Search
}

type overheard struct {
	b    []byte
	from netip.Addr
	near bool
}

func (l *link) Links() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name
}

func (l *link) Join(group netip.AddrPort) ([]Group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alone {
		return nil, errors.New("nobody is there")
	}
	l.open++
	l.heard[group] = make(chan overheard)
	return []Group{&fakeGroup{link: l, group: group, packets: l.heard[group], closed: make(chan struct{})}}, nil
}

type fakeGroup struct {
	link    *link
	group   netip.AddrPort
	packets chan overheard
	closed  chan struct{}
}

func (g *fakeGroup) Send(b []byte) error {
	s, err := ParseSearch(b)
	if err != nil {
		panic(err)
	}
	g.link.mu.Lock()
	defer g.link.mu.Unlock()
	g.link.sent = append(g.link.sent, sentSearch{time.Since(began), g.group, s})
	return nil
}

func (g *fakeGroup) Receive(b []byte) (int, netip.Addr, bool, error) {
	select {
	case p := <-g.packets:
		return copy(b, p.b), p.from, p.near, nil
	case <-g.closed:
		return 0, netip.Addr{}, false, errors.New("closed")
	}
}

func (g *fakeGroup) Close() error {
	g.link.mu.Lock()
	g.link.open--
	g.link.mu.Unlock()
	close(g.closed)
	return nil
}

// lan runs an LSD on a fake link, in false time.
func lan(t *testing.T, port uint16, f func(l *LSD, on *link, peers func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		began = time.Now()
		on := &link{name: "a", heard: map[netip.AddrPort]chan overheard{}}
		var mu sync.Mutex
		var taken []string
		l := NewLSD(LSDConfig{Port: port, Links: on, Log: slog.New(slog.DiscardHandler), Peer: func(hash [20]byte, at netip.AddrPort) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, fmt.Sprintf("%d %v", hash[0], at))
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		f(l, on, func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			defer func() { taken = nil }()
			return taken
		})
		cancel()
		running.Wait()
		if n := on.joined(); n != 0 {
			t.Errorf("%d groups are left", n)
		}
	})
}

// both are the messages to each group since the last call, as "when: torrents".
func (l *link) both() (four, six []string) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sent {
		to := &four
		if s.to == lsdGroup6 {
			to = &six
		}
		*to = append(*to, fmt.Sprintf("%v: %d", s.at, len(s.Infohashes)))
	}
	l.sent = nil
	return four, six
}

// said are those over IPv4.
func (l *link) said() []string {
	four, _ := l.both()
	return four
}

// joined is how many groups are.
func (l *link) joined() int {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func TestLSDAnnounces(t *testing.T) {
	lan(t, 6881, func(l *LSD, on *link, _ func() []string) {
		time.Sleep(time.Hour)
		if on.said() != nil || on.joined() != 0 {
			t.Error("a socket is open, though nothing is searched for")
		}
		ctx, leave := context.WithCancel(context.Background()) // of the bubble
		var announcing sync.WaitGroup
		announcing.Go(func() { l.Announce(ctx, [20]byte{1}) })
		l.add([20]byte{1}) // its next life, which begins before the last has ended
		synctest.Wait()
		leave()
		announcing.Wait()
		for i := range 60 {
			l.add([20]byte{2, byte(i)})
		}
		time.Sleep(10*time.Minute + 30*time.Second)
		want := []string{"1h0m0s: 1", "1h0m1s: 24", "1h0m2s: 24", "1h0m3s: 12",
			"1h5m0s: 1", "1h5m1s: 24", "1h5m2s: 24", "1h5m3s: 12", "1h10m0s: 1", "1h10m1s: 24", "1h10m2s: 24", "1h10m3s: 12"}
		four, six := on.both()
		if !slices.Equal(four, want) || !slices.Equal(six, want) {
			t.Errorf("%v, over IPv6 %v, want %v", four, six, want)
		}
		for i := range 60 {
			l.remove([20]byte{2, byte(i)})
		}
		l.remove([20]byte{1})
		time.Sleep(2 * time.Second)
		if on.joined() != 0 {
			t.Errorf("%d groups are still joined", on.joined())
		}
		l.add([20]byte{1}) // 32 s after the last time
		time.Sleep(20 * time.Second)
		if got := on.said(); got != nil {
			t.Errorf("announced again within %v: %v", LSDSoonest, got)
		}
		time.Sleep(time.Minute)
		if got := on.said(); !slices.Equal(got, []string{"1h11m0s: 1"}) {
			t.Errorf("announced anew at %v", got)
		}
	})
}

// TestLSDMoves: when the links change, they are told at once, or after a minute.
func TestLSDMoves(t *testing.T) {
	lan(t, 6881, func(l *LSD, on *link, _ func() []string) {
		on.mu.Lock()
		on.alone = true
		on.mu.Unlock()
		l.add([20]byte{1})
		time.Sleep(90 * time.Second)
		on.mu.Lock()
		on.alone, on.name = false, "b"
		on.mu.Unlock()
		time.Sleep(time.Minute)
		if got := on.said(); !slices.Equal(got, []string{"2m0s: 1"}) {
			t.Errorf("after the first link came: %v", got)
		}
		on.mu.Lock()
		on.name = "c"
		on.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if got := on.said(); !slices.Equal(got, []string{"3m0s: 1"}) || on.joined() != 2 {
			t.Errorf("after a change: %v, %d groups", got, on.joined())
		}
	})
}

func TestLSDHears(t *testing.T) {
	near, far := netip.MustParseAddr("192.168.1.7"), netip.MustParseAddr("198.51.100.1")
	message := func(port uint16, cookie string, torrents ...byte) []byte {
		s := Search{Port: port, Cookie: cookie}
		for _, n := range torrents {
			s.Infohashes = append(s.Infohashes, [20]byte{n})
		}
		return s.Append(nil, lsdGroup4)
	}
	lan(t, 0, func(l *LSD, on *link, peers func() []string) {
		for n := range byte(3) {
			l.add([20]byte{n})
		}
		l.remove([20]byte{2})
		synctest.Wait()
		for _, c := range []struct {
			overheard
			want []string
		}{
			{overheard{message(6881, "x", 0, 1, 2, 3), near, true}, []string{"0 192.168.1.7:6881", "1 192.168.1.7:6881"}},
			{overheard{message(6881, "x", 0, 1, 2, 3), near, true}, nil}, // known
			{overheard{message(6882, "", 0), far, false}, nil},
			{overheard{message(6882, l.cookie, 0), near, true}, nil}, // our own
			{overheard{[]byte("garbage"), near, true}, nil},
			{overheard{append(message(6882, "", 0), make([]byte, MaxSearch)...), near, true}, nil},
			{overheard{message(6882, "", 0), near, true}, []string{"0 192.168.1.7:6882"}},
		} {
			on.heard[lsdGroup4] <- c.overheard
			if got := peers(); !slices.Equal(got, c.want) {
				t.Errorf("%.80q from %v: %v, want %v", c.b, c.from, got, c.want)
			}
		}
		time.Sleep(LSDEvery)
		if got := on.said(); got != nil {
			t.Errorf("announced without a port: %v", got)
		}
		on.heard[lsdGroup6] <- overheard{message(6881, "x", 0), near, true}
		if got := peers(); len(got) != 1 {
			t.Errorf("once more, %v later: %v", LSDEvery, got)
		}
	})
}

// TestLSDFlood: a neighbour that floods is heard as far as the bounds go.
func TestLSDFlood(t *testing.T) {
	lan(t, 6881, func(l *LSD, on *link, peers func() []string) {
		l.add([20]byte{1})
		synctest.Wait()
		flood := func(from netip.Addr, n int) time.Duration {
			start := time.Now()
			for i := range n {
				s := Search{Port: uint16(1 + i), Infohashes: [][20]byte{{1}}}
				on.heard[lsdGroup4] <- overheard{s.Append(nil, lsdGroup4), from, true}
			}
			return time.Since(start)
		}
		if took := flood(netip.MustParseAddr("10.0.0.1"), 10*LSDHeard); took < 8*LSDGap {
			t.Errorf("%d messages were read in %v", 10*LSDHeard, took)
		}
		if got := peers(); len(got) != LSDPorts {
			t.Errorf("%d ports of one address were taken, want %d", len(got), LSDPorts)
		}
		for i := range 2 * LSDPeers {
			flood(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 1)
		}
		if got := peers(); len(got) != LSDPeers-LSDPorts {
			t.Errorf("%d peers were taken, want %d", len(got)+LSDPorts, LSDPeers)
		}
		l.remove([20]byte{1}) // while the reading rests: it ends all the same
	})
}
