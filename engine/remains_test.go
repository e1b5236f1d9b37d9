package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bipfs/wire"
)

// TestRemains: what a removed torrent keeps counts after a restart, is room for what is
// pinned, and is used without a peer when it is added again.
func TestRemains(t *testing.T) {
	c := newContent(t, 16<<10, 600_000)
	cfg := Config{Dir: t.TempDir(), Evict: true, Disk: 10 << 20, KeepFree: 1 << 60, Peers: []string{seeder(t, c).addr()}}
	roomy := cfg
	roomy.KeepFree = 0
	client := testClient(t, roomy)
	torrent := added(t, client, Source{Torrent: c.meta})
	readAll(t, torrent, c)
	eventually(t, "it is not stored", func() bool { return client.disk.Stats().Dirty == 0 })
	if err := client.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it does not count while the client runs", func() bool { return client.disk.Remaining() >= 600_000 })
	closeClient(t, client)

	roomy.Peers, cfg.Peers = nil, nil
	client = testClient(t, cfg) // nothing is free
	if n := client.disk.Remaining(); n < 600_000 || client.disk.Stats().Stored != n {
		t.Errorf("%d bytes may go, %d are counted", n, client.disk.Stats().Stored)
	}
	other := added(t, client, Source{Torrent: newContent(t, 16<<10, 500_000).meta})
	for cost, want := range map[int64]error{600_000: nil, 2 << 20: ErrPinTooBig} {
		if err := client.fits(other, &pinned{wire.NewBitfield(1), cost}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", cost, err)
		}
	}
	closeClient(t, client)

	client = testClient(t, roomy)
	torrent = added(t, client, Source{Torrent: c.meta})
	if n := client.disk.Remaining(); n != 0 {
		t.Errorf("%d bytes of what was added again may go first", n)
	}
	readAll(t, torrent, c)
	if n := client.disk.Stats().Stored; n < 600_000 || n > 700_000 {
		t.Errorf("%d bytes are counted", n)
	}
}

// TestRemainsAfterAFailure: what is left of a torrent that could not be added again, as
// the disk is full, goes first as before.
func TestRemainsAfterAFailure(t *testing.T) {
	c := newContent(t, 16<<10, 600_000)
	client := testClient(t, Config{Evict: true, Disk: 10 << 20})
	torrent, _, err := client.Seed(t.Context(), c.meta, c.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it does not count", func() bool { return client.disk.Remaining() >= 600_000 })
	if err := os.Mkdir(filepath.Join(client.folder.torrentDir(torrent.id), ".state.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Add(Source{Torrent: c.meta}); err == nil {
		t.Error("it is added")
	}
	if _, _, err := client.Visit(torrent.ID()); err == nil {
		t.Error("it is opened")
	}
	if n := client.disk.Remaining(); n < 600_000 {
		t.Errorf("%d bytes may go", n)
	}
}

// TestRemainsGiveWay: a store that is too large when it is opened is brought down by what
// removed torrents keep, and by nothing else; folders that are not known stay as they are.
func TestRemainsGiveWay(t *testing.T) {
	gone, stays := newContent(t, 16<<10, 400_000), newContent(t, 16<<10, 300_000)
	cfg := Config{Dir: t.TempDir(), Evict: true, Disk: 10 << 20, Peers: []string{seeder(t, gone).addr(), seeder(t, stays).addr()}}
	client := testClient(t, cfg)
	removed, other := added(t, client, Source{Torrent: gone.meta}), added(t, client, Source{Torrent: stays.meta})
	readAll(t, other, stays)
	readAll(t, removed, gone)
	eventually(t, "it is not stored", func() bool { return client.disk.Stats().Dirty == 0 })
	if err := client.Remove(removed, false); err != nil {
		t.Fatal(err)
	}
	closeClient(t, client)
	torrents := filepath.Join(cfg.Dir, "torrents")
	stranger := filepath.Join(torrents, numbered(9), "data", "0") // no state says what it is
	for _, name := range []string{stranger, filepath.Join(torrents, "mine", "film.mkv"), filepath.Join(torrents, removed.ID(), "data", "mine")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, make([]byte, 50_000), 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if b, err := os.ReadFile(name); err != nil || len(b) != 50_000 {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}()
	}
	cfg.Disk = 450_000
	client = testClient(t, cfg)
	client.disk.Remaining() // so that all is counted
	eventually(t, "the store stays too large", func() bool { return client.disk.Stats().Stored <= cfg.Disk })
	if n := client.disk.Stats().Stored; n < 350_000 {
		t.Errorf("%d bytes are counted", n)
	}
	if other = client.Torrents()[0]; other.store.Load() != nil {
		t.Error("a torrent was opened to evict something of it")
	}
	readAll(t, other, stays)
	if n := here(other); n != other.Info().Pieces() {
		t.Errorf("%d pieces are left", n)
	}
	readAll(t, added(t, client, Source{Torrent: gone.meta}), gone)
}

// TestHoldRemoved: what the kernel reads of a torrent by a slot that it had before it was
// removed stays, whatever becomes of the torrent.
func TestHoldRemoved(t *testing.T) {
	c := newContent(t, 16<<10, 400_000)
	cfg := Config{Dir: t.TempDir(), Evict: true, Disk: 10 << 20, Peers: []string{seeder(t, c).addr()}}
	client := testClient(t, cfg)
	var slots []uint32
	for range 3 { // the third stays
		torrent := added(t, client, Source{Torrent: c.meta})
		readAll(t, torrent, c)
		eventually(t, "it is not stored", func() bool { return client.disk.Stats().Dirty == 0 })
		if slots = append(slots, torrent.Slot()); len(slots) < 3 {
			if err := client.Remove(torrent, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeClient(t, client)
	cfg.Lent = true
	client = testClient(t, cfg)
	if err := client.HoldRemoved(slots[2] + 1); err == nil {
		t.Error("a slot that no torrent has had")
	}
	torrent := client.BySlot(slots[2])
	if torrent.kept() {
		t.Error("it is held, and nobody reads it")
	}
	for _, slot := range slots[:2] {
		if err := client.HoldRemoved(slot); err != nil || !torrent.kept() {
			t.Errorf("slot %d: %v", slot, err)
		}
	}
	client.Settle()
	if err := client.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	if n := client.disk.Remaining(); n != 0 {
		t.Errorf("%d bytes may go", n)
	}
	if again := added(t, client, Source{Torrent: c.meta}); !again.kept() {
		t.Error("it is added again, and not held")
	}
}

// TestRemainsWithoutMetadata: what cannot be opened stays, and counts.
func TestRemainsWithoutMetadata(t *testing.T) {
	c := newContent(t, 16<<10, 400_000)
	cfg := Config{Dir: t.TempDir(), Evict: true, Disk: 10 << 20, Peers: []string{seeder(t, c).addr()}}
	client := testClient(t, cfg)
	torrent := added(t, client, Source{Torrent: c.meta})
	readAll(t, torrent, c)
	eventually(t, "it is not stored", func() bool { return client.disk.Stats().Dirty == 0 })
	if err := client.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	closeClient(t, client)
	if err := os.Truncate(filepath.Join(cfg.Dir, "torrents", torrent.ID(), "torrent"), 40); err != nil {
		t.Fatal(err)
	}
	cfg.Disk = 100_000
	client = testClient(t, cfg)
	eventually(t, "it may go for ever", func() bool { return client.disk.Remaining() == 0 })
	if n := client.disk.Stats().Stored; n < 400_000 {
		t.Errorf("%d bytes are counted", n)
	}
	readAll(t, added(t, client, Source{Torrent: c.meta}), c)
}

// TestGuestGoesOn: who goes on with the mount of another process goes on with its
// guests; who begins anew has none.
func TestGuestGoesOn(t *testing.T) {
	c := newContent(t, 16<<10, 300_000)
	dir := t.TempDir()
	client := testClient(t, Config{Dir: dir, Peers: []string{seeder(t, c).addr()}})
	visit := func(infohash string) *Torrent {
		t.Helper()
		g, done, err := client.Visit(infohash)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(done)
		return g
	}
	g, waits := visit(c.meta.Info.Hash.String()), visit(numbered(1))
	resolved(t, g)
	readAll(t, g, c)
	slots := []uint32{g.Slot(), waits.Slot()}
	client.Entrust()
	closeClient(t, client)

	client = testClient(t, Config{Dir: dir, Lent: true, guestTime: time.Hour})
	for i, infohash := range []string{g.ID(), waits.ID()} {
		again := client.ByInfohash(infohash)
		if again == nil || !again.Guest() || again.Slot() != slots[i] || client.BySlot(slots[i]) != again {
			t.Fatalf("%s is no guest any more", infohash)
		}
		if _, listed := client.ByName(infohash); listed {
			t.Errorf("%s is listed", infohash)
		}
	}
	client.Settle()
	readAll(t, client.BySlot(slots[0]), c) // of what is here
	client.forgetIdle(time.Hour / 2)
	if n := len(client.guests()); n != 2 {
		t.Errorf("%d guests: they are forgotten at once", n)
	}
	if client.BySlot(slots[1]).running() == nil {
		t.Error("the other looks no more for its metadata")
	}
	client.Entrust()
	closeClient(t, client)

	client = testClient(t, Config{Dir: dir})
	if n := len(client.Torrents()); n != 0 {
		t.Errorf("%d torrents of a mount that is another", n)
	}
	eventually(t, "something is left", func() bool {
		left, err := os.ReadDir(filepath.Join(dir, "torrents"))
		return err == nil && len(left) == 0
	})
}

// BenchmarkRemoved is a start of a client with 1,000 removed torrents that keep
// something.
func BenchmarkRemoved(b *testing.B) {
	const n = 1000
	dir := b.TempDir()
	for i := range n {
		folder := filepath.Join(dir, "torrents", numbered(i))
		if err := os.MkdirAll(filepath.Join(folder, "data"), 0o700); err != nil {
			b.Fatal(err)
		}
		for name, text := range map[string]string{
			"state":  fmt.Sprintf(`{"slot":%d,"name":"x","added":1,"removed":%d}`, i+1, i+1),
			"data/0": string(make([]byte, 10_000)),
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		c := testClient(b, Config{Dir: dir, Evict: true, Disk: 1 << 40})
		if got := c.disk.Remaining(); got < n*10_000 {
			b.Fatalf("%d bytes", got)
		}
		closeClient(b, c)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/torrent")
}
