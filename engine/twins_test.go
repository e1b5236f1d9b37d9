package engine

import (
	"slices"
	"testing"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// TestTwins: by a link of either infohash of a hybrid its peers are found through
// a tracker, and the torrent that came by one is found by the other from then on.
func TestTwins(t *testing.T) {
	c := contentV2(t, metainfo.Hybrid)
	a := newTracker(t)
	c.meta.Trackers = [][]string{{a.url}}
	s := seeder(t, c)
	if err := s.Torrents()[0].Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not announced twice", func() bool { return len(a.of(s)) >= 2 })
	info := c.meta.Info
	both := []wire.Digest{info.Hash, info.V2.Short()}
	for name, link := range map[string]*metainfo.Magnet{
		"v1": {Hash: info.Hash}, "v2": {Hash: info.V2.Short(), V2: info.V2},
	} {
		t.Run(name, func(t *testing.T) {
			link.Trackers = []string{a.url}
			leech := testClient(t, Config{})
			torrent, err := leech.Add(Source{Magnet: link})
			if err != nil {
				t.Fatal(err)
			}
			if got := torrent.infohashes(); len(got) != 1 || got[0] != link.Hash {
				t.Errorf("unresolved, it is looked for by %v", got)
			}
			resolved(t, torrent)
			readAll(t, torrent, c)
			if got := torrent.infohashes(); !slices.Equal(got, both) {
				t.Errorf("it is looked for by %v", got)
			}
			eventually(t, "it is not announced twice", func() bool { return len(a.of(leech)) >= 2 })
		})
	}
}

// TestOneHash: other torrents, and private hybrids, are known by one.
func TestOneHash(t *testing.T) {
	for name, c := range map[string]*content{
		"v1": newContent(t, 64<<10, 100_000), "v2": contentV2(t, metainfo.V2Only), "private": contentV2(t, metainfo.Hybrid),
	} {
		c.meta.Info.Private = name == "private"
		torrent, err := testClient(t, Config{}).Add(Source{Torrent: c.meta})
		if err != nil {
			t.Fatal(err)
		}
		if got := torrent.infohashes(); len(got) != 1 || got[0] != c.meta.Info.Hash {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestLeavesBetweenUs: we ask each other for leaves, of a hybrid when the
// handshake has agreed on v2.
func TestLeavesBetweenUs(t *testing.T) {
	for name, format := range map[string]metainfo.Format{"hybrid": metainfo.Hybrid, "v2 only": metainfo.V2Only} {
		t.Run(name, func(t *testing.T) {
			c := oneLong(t, format)
			s := seeder(t, c)
			readSome(t, leafClient(t, c, s.addr()), c, 1<<20+300_000, 100_000)
			eventually(t, "the seed is not asked for leaves", func() bool {
				_, ok := s.Torrents()[0].store.Load().Known(1)
				return ok
			})
		})
	}
}
