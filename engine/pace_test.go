package engine

import (
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/selection"
	"bipfs/wire"
)

// TestLimitedRates: what is read of peers, of a web seed, and what is sent, takes the
// time that a limit says at least, and comes. Of what comes while the bucket is full
// a fifth of a second is for nothing.
func TestLimitedRates(t *testing.T) {
	const size, rate = 300_000, 200_000
	for name, from := range map[string]func(t *testing.T, c *content) (*Client, *Torrent){
		"peer": func(t *testing.T, c *content) (*Client, *Torrent) {
			client := testClient(t, Config{Limits: Rates{Down: rate}, Peers: []string{seeder(t, c).addr()}})
			return client, added(t, client, Source{Torrent: c.meta})
		},
		"web seed": func(t *testing.T, c *content) (*Client, *Torrent) {
			return fromWeb(t, c, Config{Limits: Rates{Down: rate}}, web(t, c, nil))
		},
		"background": func(t *testing.T, c *content) (*Client, *Torrent) {
			client := testClient(t, Config{Limits: Rates{Background: rate}, Peers: []string{seeder(t, c).addr()}})
			torrent := added(t, client, Source{Torrent: c.meta})
			if err := client.Pin(torrent, nil, "folder"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is not fetched", func() bool { return torrent.missing() == 0 })
			return client, torrent
		},
		"own limit": func(t *testing.T, c *content) (*Client, *Torrent) {
			client := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
			torrent := added(t, client, Source{Torrent: c.meta})
			if err := client.LimitTorrent(torrent, Rates{Down: rate}); err != nil {
				t.Fatal(err)
			}
			return client, torrent
		},
		"upload": func(t *testing.T, c *content) (*Client, *Torrent) {
			s := testClient(t, Config{Limits: Rates{Up: rate}})
			if _, _, err := s.Seed(t.Context(), c.meta, c.path); err != nil {
				t.Fatal(err)
			}
			client := testClient(t, Config{Peers: []string{s.addr()}})
			return client, added(t, client, Source{Torrent: c.meta})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContent(t, 16<<10, size)
			begin := time.Now()
			_, torrent := from(t, c)
			readAll(t, torrent, c)
			// The bucket may fill while nobody is there to be asked.
			if took, least := time.Since(begin), time.Second*(size-rate/5-3<<14)/rate; took < least {
				t.Errorf("it takes %v, %v at least", took, least)
			}
		})
	}
}

// TestLimitChanges: a limit that is taken away while reads wait holds no longer.
func TestLimitChanges(t *testing.T) {
	c := newContent(t, 16<<10, 2_000_000)
	client := testClient(t, Config{Limits: Rates{Down: LeastRate, Up: LeastRate}, Peers: []string{seeder(t, c).addr()}})
	torrent := added(t, client, Source{Torrent: c.meta})
	var wg sync.WaitGroup
	wg.Go(func() { readAll(t, torrent, c) })
	eventually(t, "nobody is asked", func() bool {
		client.shares.mu.Lock()
		defer client.shares.mu.Unlock()
		return len(client.shares.waiting) > 0
	})
	if err := client.SetLimits(Rates{Down: 1}); err == nil || client.Limits().Down != LeastRate {
		t.Errorf("%+v, %v", client.Limits(), err)
	}
	if err := client.SetLimits(Rates{}); err != nil {
		t.Error(err)
	}
	wg.Wait()
	eventually(t, "it still waits", func() bool {
		client.shares.mu.Lock()
		defer client.shares.mu.Unlock()
		return len(client.shares.waiting) == 0
	})
}

// TestPinV2: what is pinned of torrents of BEP 52 is fetched.
func TestPinV2(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := contentV2(t, format)
			client := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
			torrent := added(t, client, Source{Torrent: c.meta})
			if err := client.Pin(torrent, nil, "folder"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is not fetched", func() bool { return torrent.Status().Complete })
		})
	}
}

// TestMostPeers: the bounds that are asked for hold where they are less than our own.
func TestMostPeers(t *testing.T) {
	own := Config{}.peers()
	if l := (Config{MaxPeers: 7, MaxTorrentPeers: 5}).peers(); l.AllPeers != 7 || l.Peers != 5 {
		t.Errorf("%+v", l)
	}
	if l := (Config{MaxPeers: 1 << 30, MaxTorrentPeers: 1 << 30}).peers(); l != own {
		t.Errorf("%+v, want %+v", l, own)
	}
}

// TestElbow: a read that somebody can serve has the other torrents told of which
// something that is pinned is missing, and not too often.
func TestElbow(t *testing.T) {
	client := testClient(t, Config{})
	var loops []*loop
	for i := range 3 {
		torrent := added(t, client, Source{Torrent: newContent(t, 16<<10, 100_000+i).meta})
		l := newLoop(torrent)
		t.Cleanup(l.cancel)
		torrent.mu.Lock()
		torrent.loop = l // it does not run
		torrent.mu.Unlock()
		t.Cleanup(func() {
			torrent.mu.Lock()
			torrent.loop = nil
			torrent.mu.Unlock()
		})
		loops = append(loops, l)
	}
	loops[1].t.striving.Store(true)
	reads := loops[0]
	reads.elbow()
	if n := len(loops[1].inbox); n != 0 {
		t.Errorf("%d words of a read that nobody can serve", n)
	}
	for _, e := range []selection.Event{
		selection.Geometry{Geometry: reads.t.Info().Geometry},
		selection.PeerConnect{Peer: 1, Slots: 9, Fast: true},
		selection.Received{Peer: 1, Message: wire.Message{Kind: wire.HaveAll}},
		selection.Want{Reader: 1, Extent: wire.Extent{Length: 1}, Class: selection.Now},
	} {
		reads.m.Step(0, e)
	}
	reads.elbow()
	client.asideAt.Store(int64(client.clock.now() + time.Hour))
	reads.elbow()
	if n := len(loops[1].inbox); n != 1 {
		t.Errorf("%d words", n)
	}
	if n := len(reads.inbox) + len(loops[2].inbox); n != 0 {
		t.Errorf("%d words to others", n)
	}
}
