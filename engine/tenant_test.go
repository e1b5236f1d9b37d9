package engine

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"bipfs/wire"
)

// here is how many pieces of a torrent are here.
func here(t *Torrent) int { return t.store.Load().Have().Count() }

// TestEvictedIsTold: who has been told of a piece hears that it has been evicted, and
// does not get it.
func TestEvictedIsTold(t *testing.T) {
	c := newContent(t, 16<<10, 600_000)
	client := testClient(t, Config{Evict: true, Disk: 150_000, Peers: []string{seeder(t, c).addr()}})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	p := meet(t, client, c.meta.Info.Hash)
	p.Write(wire.Append(nil, wire.Message{Kind: wire.HaveNone}))
	p.Write(wire.Append(nil, wire.Message{Kind: wire.Interested}))
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	told := map[wire.Piece]bool{}
	gone := wire.Piece(0)
	read := make(chan error, 1)
	go func() {
		var err error
		for off := 0; off < 600_000 && err == nil; off += 32 << 10 {
			_, err = readRange(t.Context(), r, int64(off), 32<<10)
		}
		read <- err
	}()
	unchoked := false
	p.until(t, "what is gone", func(m wire.Message, payload []byte) bool {
		switch {
		case m.Kind == wire.Have:
			told[m.Piece] = true
		case m.Kind == wire.Unchoke:
			unchoked = true
		case m.Kind == wire.Extended && m.ID == 5:
			gone = wire.Piece(binary.BigEndian.Uint32(payload))
			if !told[gone] {
				t.Errorf("piece %d was never told of", gone)
			}
			return true
		}
		return false
	})
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if !unchoked {
		p.until(t, "unchoke", func(m wire.Message, _ []byte) bool { return m.Kind == wire.Unchoke })
	}
	if torrent.store.Load().Local(wire.Extent{Piece: gone, Length: 1}) {
		return // it has been read ahead again since
	}
	p.Write(wire.Append(nil, wire.Of(wire.Request, wire.Block{Piece: gone, Length: 1 << 14})))
	p.until(t, "a rejection", func(m wire.Message, _ []byte) bool {
		if m.Kind == wire.PieceBlock && m.Piece == gone {
			t.Error("what is gone was sent")
			return true
		}
		return m.Kind == wire.Reject && m.Piece == gone
	})
}

// TestPrivateIsKept: nothing of a private torrent is evicted before it has given
// enough, whether it is open or not.
func TestPrivateIsKept(t *testing.T) {
	kept, other := newContent(t, 16<<10, 100_000), newContent(t, 16<<10, 200_000, 300_000)
	kept.makePrivate(t)
	cfg := Config{
		Dir: t.TempDir(), Evict: true, Disk: 250_000, PrivateSeedRatio: 1, PrivateSeedTime: time.Hour,
		Peers: []string{seeder(t, kept).addr(), seeder(t, other).addr()},
	}
	client := testClient(t, cfg)
	torrents := func() (a, b *Torrent) {
		a, err := client.Add(Source{Torrent: kept.meta})
		if err != nil {
			t.Fatal(err)
		}
		if b, err = client.Add(Source{Torrent: other.meta}); err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	a, b := torrents()
	readAll(t, a, kept)
	all := a.Info().Pieces()
	eventually(t, "it is not stored", func() bool { return client.disk.Stats().Stored >= 100_000 })
	readAll(t, b, other)
	eventually(t, "nothing is evicted", func() bool { return client.disk.Stats().Evicted > 0 })
	if n := here(a); n != all {
		t.Errorf("%d of %d pieces are left", n, all)
	}
	closeClient(t, client)

	client = testClient(t, cfg)
	a, b = torrents()
	readAll(t, b, other)
	eventually(t, "nothing is evicted", func() bool { return client.disk.Stats().Evicted > 0 })
	if a.store.Load() != nil {
		t.Error("it was opened to evict something of it")
	}
	a.mu.Lock()
	a.record.Uploaded = 1 << 20
	a.mu.Unlock()
	eventually(t, "it is kept when it has given enough", func() bool {
		readAll(t, b, other)
		return a.store.Load() != nil && here(a) < all
	})
	if n := client.disk.Stats().Stored; n > cfg.Disk {
		t.Errorf("%d bytes are stored, %d are allowed", n, cfg.Disk)
	}
}

// TestEndsOfFilms: the disk cache is told which files have ends that matter.
func TestEndsOfFilms(t *testing.T) {
	c := newContent(t, 16<<10, 100_000)
	client := testClient(t, Config{})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	info := *torrent.Info()
	info.Files = append(info.Files[:0:0], info.Files...)
	if torrent.spec(&info).Files[0].Ends != 0 {
		t.Error("a file of no kind")
	}
	info.Files[0].Path = []string{"a", "film.MKV"}
	if torrent.spec(&info).Files[0].Ends != keptEnds {
		t.Error("a film")
	}
}

// evicted is a torrent of which something was evicted while it was dormant.
func evicted(t *testing.T, cfg Config, c *content) (*Client, *Torrent) {
	t.Helper()
	other := newContent(t, 16<<10, 100_000, 200_000)
	from := []*Client{seeder(t, c), seeder(t, other)}
	cfg.Evict, cfg.Disk, cfg.dormantAfter = true, 350_000, 50*time.Millisecond
	cfg.Peers = []string{from[0].addr(), from[1].addr()}
	client := testClient(t, cfg)
	torrent := added(t, client, Source{Torrent: c.meta})
	for _, c := range []*content{c, other} {
		by := added(t, client, Source{Torrent: c.meta})
		readAll(t, by, c)
		eventually(t, "it is not stored", func() bool { return client.disk.Stats().Dirty == 0 })
		eventually(t, "it is not dormant", func() bool { return by.running() == nil })
	}
	if torrent.missing() == 0 {
		t.Fatal("nothing is evicted")
	}
	for _, c := range from {
		closeClient(t, c)
	}
	return client, torrent
}

// TestEvictedIsRecorded: what was evicted while its torrent was dormant is known to be
// gone after a restart.
func TestEvictedIsRecorded(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	client, torrent := evicted(t, cfg, newContent(t, 16<<10, 200_000))
	here := torrent.Status().Here
	closeClient(t, client)
	if s := testClient(t, cfg).ByInfohash(torrent.ID()).Status(); s.Here != here || s.Complete {
		t.Errorf("%d bytes are here, complete: %v; it were %d", s.Here, s.Complete, here)
	}
}

// TestEvictedIsPinned: what is pinned after it was evicted is fetched, even if the
// process is killed first.
func TestEvictedIsPinned(t *testing.T) {
	c, cfg := newContent(t, 16<<10, 200_000), Config{Dir: t.TempDir()}
	client, torrent := evicted(t, cfg, c)
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	killed := Config{Dir: t.TempDir(), Peers: []string{seeder(t, c).addr()}}
	if err := os.CopyFS(killed.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	torrent = testClient(t, killed).ByInfohash(torrent.ID())
	eventually(t, "it is not fetched", func() bool { return torrent.store.Load() != nil && torrent.missing() == 0 })
}
