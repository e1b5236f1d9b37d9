package engine

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// TestReadWhileGoingDormant: a file that is opened at the very moment at which
// its torrent goes dormant is read, though its peers are known from the start
// only.
func TestReadWhileGoingDormant(t *testing.T) {
	c := newContent(t, 16<<10, 1_000_000)
	want := c.files["d0/f0"]
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr()}, dormantAfter: 10 * time.Millisecond})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		r, err := torrent.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		off := i * 20_000
		got, err := readRange(t.Context(), r, int64(off), 1000)
		if err != nil || !bytes.Equal(got, want[off:off+1000]) {
			t.Fatalf("read %d: %v", i, err)
		}
		r.Close()
		time.Sleep(10*time.Millisecond + time.Duration(i%10-5)*200*time.Microsecond)
	}
	eventually(t, "the torrent stays awake", func() bool { return torrent.running() == nil })
	if s := leech.hand.Stats(torrent.hash); s.Candidates+s.Want+s.Standing != 0 {
		t.Errorf("of the dormant torrent is left: %+v", s)
	}
}

// TestManyReadersOfOneFile read and seek at the same time, and some give up in
// the middle.
func TestManyReadersOfOneFile(t *testing.T) {
	c := newContent(t, 64<<10, 8_000_000, 77, 3_000_000)
	leech := testClient(t, Config{Peers: []string{seeder(t, c).addr(), seeder(t, c).addr()}})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 0))
			file := i % len(torrent.Info().Files)
			want := c.files[filepath.Join(torrent.Info().Files[file].Path...)]
			r, err := torrent.OpenFile(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			var reads sync.WaitGroup
			defer reads.Wait()
			for off := 0; off < len(want); {
				n := min(1+chance.IntN(200_000), len(want)-off)
				if chance.IntN(4) == 0 { // one beside it, that is given up
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(chance.IntN(3000))*time.Microsecond)
					from := int64(off)
					reads.Go(func() {
						defer cancel()
						_, err := readRange(ctx, r, from, 1)
						if err != nil && !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
					})
				}
				got, err := readRange(t.Context(), r, int64(off), n)
				if err != nil || !bytes.Equal(got, want[off:off+n]) {
					t.Errorf("file %d at %d: %v", file, off, err)
					return
				}
				if off += n; chance.IntN(10) == 0 {
					off += chance.IntN(500_000)
				}
			}
		})
	}
	wg.Wait()
	if leech.waiting.taken.Len()+leech.waiting.queue.Len()+torrent.waits.n != 0 {
		t.Error("places of waiting reads are left over")
	}
}

// TestCloseAtAnyMoment: whatever is going on, Close ends it, and every read
// returns.
func TestCloseAtAnyMoment(t *testing.T) {
	c := newContent(t, 64<<10, 4_000_000)
	s := seeder(t, c)
	for i := range 20 {
		leech := testClient(t, Config{Peers: []string{s.addr()}})
		var wg sync.WaitGroup
		wg.Go(func() {
			torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
			if err != nil {
				return
			}
			select {
			case <-torrent.Resolved():
			case <-leech.ctx.Done():
				return
			}
			r, err := torrent.OpenFile(0)
			if err != nil {
				return
			}
			defer r.Close()
			for off := int64(0); off < r.Size(); off += 100_000 {
				if _, err := readRange(t.Context(), r, off, 100_000); err != nil {
					return
				}
			}
		})
		wg.Go(func() { leech.Add(Source{Torrent: c.meta}) })
		time.Sleep(time.Duration(i) * time.Millisecond)
		closeClient(t, leech)
		wg.Wait()
	}
}

// TestAddAtOnce: one torrent that many add at the same time, in both forms, is
// one.
func TestAddAtOnce(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	client := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	magnet := &metainfo.Magnet{Hash: c.meta.Info.Hash, Name: "a name"}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s := Source{Magnet: magnet}
			if i%2 == 0 {
				s = Source{Torrent: c.meta}
			}
			torrent, err := client.Add(s)
			if err != nil || torrent != client.Torrents()[0] {
				t.Errorf("added: %v", err)
			}
		})
	}
	wg.Wait()
	torrent := client.Torrents()[0]
	resolved(t, torrent)
	readAll(t, torrent, c)
	if n := len(client.Torrents()); n != 1 || torrent.Name() != "folder" {
		t.Errorf("%d torrents, %q", n, torrent.Name())
	}
}

// TestNothingInATorrent: one of empty files has no piece.
func TestNothingInATorrent(t *testing.T) {
	c := newContent(t, 16<<10, 0, 0)
	dir := t.TempDir()
	s := seeder(t, c)
	for range 2 { // the second time from the folder
		leech := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
		torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
		if err != nil {
			t.Fatal(err)
		}
		resolved(t, torrent)
		readAll(t, torrent, c)
		r, err := torrent.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := readRange(t.Context(), r, 0, 10); len(b) != 0 || err != nil {
			t.Errorf("read %d bytes of nothing: %v", len(b), err)
		}
		r.Close()
		if err := torrent.Fetch(t.Context(), func(int64, int64) {}); err != nil {
			t.Error(err)
		}
		if left := torrent.announce(torrent.hash).Left; left != 0 {
			t.Errorf("%d bytes are left of nothing", left)
		}
		closeClient(t, leech)
	}
}

// TestDueNeverOverflows: the deadline of the last byte of the longest torrent
// is after that of the first.
func TestDueNeverOverflows(t *testing.T) {
	last := time.Duration(-1)
	for distance := int64(0); distance <= wire.MaxPieces*wire.MaxPieceLength; distance = distance*2 + 1 {
		if d := due(distance); d < last {
			t.Fatalf("%d bytes ahead are due after %v, less than %v", distance, d, last)
		} else {
			last = d
		}
	}
}

// TestSeederThatLosesItsData says so, and the others bring what it cannot.
func TestSeederThatLosesItsData(t *testing.T) {
	c := newContent(t, 64<<10, 2_000_000)
	broken, whole := seeder(t, c), seeder(t, c)
	if err := os.Truncate(broken.Torrents()[0].DataFile(0), 100_000); err != nil {
		t.Fatal(err)
	}
	leech := testClient(t, Config{Peers: []string{broken.addr(), whole.addr()}, ReadTimeout: 10 * time.Second})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
}

// TestBrokenTorrentHeals: after a time-out reads fail soon, until a peer comes.
func TestBrokenTorrentHeals(t *testing.T) {
	c := newContent(t, 32<<10, 200_000)
	leech := testClient(t, Config{ReadTimeout: 2 * brokenPatience})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1); err != ErrNoPeers {
		t.Fatalf("read without a peer: %v", err)
	}
	if d, short := torrent.patience(); d != brokenPatience || !short {
		t.Errorf("the next read waits %v", d)
	}
	s := seeder(t, c)
	magnet := &metainfo.Magnet{Hash: c.meta.Info.Hash, Peers: []string{s.addr()}}
	if _, err := leech.Add(Source{Magnet: magnet}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the torrent stays broken", func() bool {
		_, err := readRange(t.Context(), r, 0, 1)
		return err == nil
	})
	eventually(t, "it counts as broken", func() bool { return !torrent.broken.Load() })
	eventually(t, "not all comes", func() bool { // a read may be too short for a busy machine
		_, err := readRange(t.Context(), r, 0, 200_000)
		return err == nil
	})
	readAll(t, torrent, c)
}
