package engine

import (
	"slices"
	"testing"
	"time"
)

// TestGoals: at the edge of each.
func TestGoals(t *testing.T) {
	g := seedGoals{ratio: 1.5, time: time.Hour}
	for _, c := range []struct {
		goals seedGoals
		r     record
		met   bool
	}{
		{g, record{Here: 100, Downloaded: 100, Uploaded: 149}, false},
		{g, record{Here: 100, Downloaded: 100, Uploaded: 150}, true},
		{g, record{Here: 50, Downloaded: 100, Uploaded: 149}, false}, // the rest was evicted
		{g, record{Here: 100, Uploaded: 149}, false},                 // it was here before
		{g, record{Here: 100, Uploaded: 150}, true},
		{g, record{Here: 100, Offered: 3599}, false},
		{g, record{Here: 100, Offered: 3600}, true},
		{seedGoals{0, time.Hour}, record{Here: 100}, true},
		{seedGoals{1, 0}, record{Here: 100}, true},
		{seedGoals{1e300, 1 << 62}, record{Here: 1, Uploaded: 1 << 62, Offered: 1 << 30}, false},
	} {
		if c.goals.met(c.r) != c.met {
			t.Errorf("%+v: %+v is met: %v", c.goals, c.r, !c.met)
		}
	}
}

// TestChooseSeeds: whose turn has begun lately, then private ones, then those
// that the fewest seed, then those that were read last.
func TestChooseSeeds(t *testing.T) {
	name := map[*Torrent]string{}
	seedOf := func(n string, s seed) seed {
		s.t = &Torrent{}
		name[s.t] = n
		return s
	}
	all := []seed{
		seedOf("many seeds, read lately", seed{seeders: 9, used: 9}),
		seedOf("few seeds", seed{seeders: 1, used: 1}),
		seedOf("few seeds, read lately", seed{seeders: 1, used: 9}),
		seedOf("turn is over", seed{seeders: 5, turn: seedTurn}),
		seedOf("turn", seed{seeders: 100, turn: seedTurn - 1}),
		seedOf("private", seed{seeders: 50, private: true}),
	}
	chooseSeeds(all)
	var got []string
	for _, s := range all {
		got = append(got, name[s.t])
	}
	want := []string{"turn", "private", "few seeds, read lately", "few seeds", "turn is over", "many seeds, read lately"}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %q", got)
	}
}

// seeding is a configuration that seeds, and looks often.
func seeding(t *testing.T) Config {
	return Config{
		Dir: t.TempDir(), SeedRatio: 1, SeedTime: 24 * time.Hour, MaxSeeding: 50,
		dormantAfter: 50 * time.Millisecond, seedEvery: 20 * time.Millisecond,
	}
}

// TestSeeding: a torrent that was read seeds once nobody reads it, again after a
// restart, until it has given as much as it got; then it is dormant, stays so
// over a restart, and still answers.
func TestSeeding(t *testing.T) {
	c, l := newContent(t, 32<<10, 300_000), newListener(t, quick)
	c.meta.Trackers = [][]string{{l.url}}
	cfg := seeding(t)
	cfg.Peers = []string{seeder(t, c).addr()}
	client := testClient(t, cfg)
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if torrent.running() != nil {
		t.Fatal("a torrent without data is awake")
	}
	readAll(t, torrent, c)
	seeds := func(torrent *Torrent) bool { return torrent.running() != nil && torrent.onlySeeds() }
	eventually(t, "it does not seed", func() bool { return seeds(torrent) })
	time.Sleep(200 * time.Millisecond)
	if !seeds(torrent) {
		t.Error("it is dormant, and has given nothing")
	}
	closeClient(t, client)

	cfg.Peers = nil
	client = testClient(t, cfg)
	torrent = client.Torrents()[0]
	eventually(t, "it does not seed after a restart", func() bool { return seeds(torrent) })
	eventually(t, "it is not announced", func() bool { return len(l.of(client)) == 1 })
	fetchFrom(t, client, c)
	eventually(t, "it is awake, and has given enough", func() bool { return torrent.running() == nil })
	if s := torrent.record; torrent.recordNow().Uploaded < 300_000 || s.Here != 300_000 {
		t.Errorf("recorded: %+v", s)
	}
	eventually(t, "its tracker is not told", func() bool { return slices.Equal(l.of(client), []string{"started", "stopped"}) })
	closeClient(t, client)

	client = testClient(t, cfg)
	torrent = client.Torrents()[0]
	time.Sleep(150 * time.Millisecond)
	if torrent.running() != nil {
		t.Error("it seeds again after a restart")
	}
	fetchFrom(t, client, c)
	if got := l.of(client); got != nil {
		t.Errorf("of what seeds no more the tracker heard %q", got)
	}
	eventually(t, "it stays awake", func() bool { return torrent.running() == nil })
}

// fetchFrom has another client fetch everything from one.
func fetchFrom(t *testing.T, from *Client, c *content) {
	t.Helper()
	leech := testClient(t, Config{Peers: []string{from.addr()}})
	meta := *c.meta
	meta.Trackers = nil
	torrent, err := leech.Add(Source{Torrent: &meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
	closeClient(t, leech)
}

// TestSeedTime: what was offered for long enough seeds no more, and the time
// counts over restarts.
func TestSeedTime(t *testing.T) {
	c := newContent(t, 32<<10, 300_000)
	cfg := seeding(t)
	client := testClient(t, cfg)
	torrent, right, err := client.Seed(t.Context(), c.meta, c.path)
	if err != nil || right == 0 {
		t.Fatal(right, err)
	}
	if err := torrent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it does not seed", func() bool {
		torrent.mu.Lock()
		defer torrent.mu.Unlock()
		return torrent.record.Offered >= 1
	})
	closeClient(t, client)
	before := torrent.record.Offered
	cfg.SeedTime = time.Duration(before+2) * time.Second
	client = testClient(t, cfg)
	torrent = client.Torrents()[0]
	offered := func() int64 {
		torrent.mu.Lock()
		defer torrent.mu.Unlock()
		return torrent.record.Offered
	}
	if n := offered(); n != before {
		t.Errorf("offered for %d s, and after a restart for %d", before, n)
	}
	eventually(t, "it does not seed after a restart", func() bool { return offered() >= before+2 })
	eventually(t, "it seeds for too long", func() bool { return torrent.running() == nil })
}

// TestMaxSeeding: no more than that seed at a time; when one has given enough
// another does. With 0, or if nothing is uploaded, none does.
func TestMaxSeeding(t *testing.T) {
	all := []*content{newContent(t, 32<<10, 300_000), newContent(t, 32<<10, 200_000, 5), newContent(t, 32<<10, 100_000, 5, 6)}
	cfg := seeding(t)
	cfg.MaxSeeding = 2
	client := testClient(t, cfg)
	for i, c := range all {
		torrent, _, err := client.Seed(t.Context(), c.meta, c.path)
		if err != nil {
			t.Fatal(err)
		}
		torrent.mu.Lock()
		torrent.record.Here, torrent.record.Seeders = c.meta.Info.Length, i
		torrent.mu.Unlock()
	}
	awake := func(c *Client) (n int) {
		for _, t := range c.Torrents() {
			if t.running() != nil {
				n++
			}
		}
		return n
	}
	eventually(t, "two do not seed", func() bool { return awake(client) == 2 })
	time.Sleep(200 * time.Millisecond)
	if n := awake(client); n != 2 {
		t.Errorf("%d torrents seed", n)
	}
	first := client.Torrents()[0]
	if first.running() == nil {
		t.Error("the one that nobody else seeds does not")
	}
	first.mu.Lock()
	first.record.Uploaded = 1 << 40
	first.mu.Unlock()
	eventually(t, "none takes its place", func() bool { return first.running() == nil && awake(client) == 2 })
	closeClient(t, client)

	for _, off := range []func(*Config){func(c *Config) { c.MaxSeeding = 0 }, func(c *Config) { c.NoUpload = true }, func(c *Config) { c.SeedTime = 0 }} {
		quiet := cfg
		off(&quiet)
		client := testClient(t, quiet)
		time.Sleep(100 * time.Millisecond)
		if n := awake(client); n != 0 {
			t.Errorf("%d torrents seed", n)
		}
		closeClient(t, client)
	}
}
