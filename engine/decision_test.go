package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// leeching is a client that has read a little of a torrent of one file, and the
// file, open.
func leeching(t *testing.T, cfg Config, c *content) (*Client, *Torrent, *Reader) {
	t.Helper()
	leech := testClient(t, cfg)
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
		t.Fatal(err)
	}
	return leech, torrent, r
}

// TestReadWhileItStops: a read that begins while a torrent is being stopped or removed does
// not wait either: nobody would end it.
func TestReadWhileItStops(t *testing.T) {
	for want, end := range map[error]func(c *Client, t *Torrent) error{
		ErrStopped: (*Client).Stop,
		ErrRemoved: func(c *Client, t *Torrent) error { return c.Remove(t, false) },
	} {
		client := testClient(t, Config{})
		torrent := added(t, client, Source{Torrent: newContent(t, 16<<10, 300_000).meta})
		r, err := torrent.OpenFile(0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		l, err := torrent.activate()
		if err != nil {
			t.Fatal(err)
		}
		read, free := make(chan error, 2), make(chan struct{})
		begin := func() { _, err := readRange(t.Context(), r, 0, 4096); read <- err }
		go begin()
		eventually(t, "it does not wait", func() bool { return client.waiting.count(&torrent.waits) == 1 })
		l.put(t.Context(), order(func(*loop) { <-free })) // it has much to do
		ended := make(chan error, 1)
		go func() { ended <- end(client, torrent) }()
		if err := <-read; !errors.Is(err, want) {
			t.Errorf("who waited: %v", err)
		}
		begin()
		if err := <-read; !errors.Is(err, want) {
			t.Errorf("who came: %v", err)
		}
		close(free)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestStop: a stopped torrent has no peers and no loop, also while a file of it
// is open; a read that waits ends, one of what is here goes on; it stays stopped
// over a restart, and goes on after Start.
func TestStop(t *testing.T) {
	c := newContent(t, 16<<10, 3_000_000)
	s := seeder(t, c)
	dir := t.TempDir()
	leech, torrent, r := leeching(t, Config{Dir: dir, Peers: []string{s.addr()}}, c)
	if err := leech.Stop(torrent); err != nil {
		t.Fatal(err)
	}
	if torrent.running() != nil || leech.hand.Stats(torrent.hash).Standing != 0 {
		t.Error("a stopped torrent has a loop or peers")
	}
	if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
		t.Errorf("what is here is not read: %v", err)
	}
	if _, err := readRange(t.Context(), r, 2_900_000, 1000); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("what is not here: %v", err)
	}
	r.Close()
	closeClient(t, leech)

	again := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
	torrent, _ = again.ByName("folder")
	if torrent == nil || !torrent.Stopped() || again.known(torrent.hash) {
		t.Fatal("it is not stopped after a restart")
	}
	if r, err := torrent.OpenFile(0); err != nil {
		t.Error(err)
	} else {
		if err := again.Start(torrent); err != nil {
			t.Error(err)
		}
		if _, err := readRange(t.Context(), r, 2_900_000, 1000); err != nil {
			t.Errorf("after Start: %v", err)
		}
		r.Close()
	}
}

// TestStopWhileFetching: a torrent that is stopped in the middle of pieces keeps no memory,
// and goes on with them after Start; also if its loop had to be ended.
func TestStopWhileFetching(t *testing.T) {
	for name, busy := range map[string]bool{"at rest": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContent(t, 64<<10, 1_000_000)
			s := seeder(t, c)
			if err := s.SetLimits(Rates{Up: 200_000}); err != nil {
				t.Fatal(err)
			}
			client := testClient(t, Config{Peers: []string{s.addr()}})
			torrent := added(t, client, Source{Torrent: c.meta})
			if err := client.Pin(torrent, nil, "folder"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing comes", func() bool { return torrent.missing() < 1_000_000 && client.disk.Stats().Leased > 0 })
			if busy {
				torrent.running().put(t.Context(), order(func(l *loop) { <-l.ctx.Done() }))
			}
			if err := client.Stop(torrent); err != nil {
				t.Fatal(err)
			}
			eventually(t, "memory is kept", func() bool { return client.disk.Stats().Leased == 0 })
			if err := s.SetLimits(Rates{}); err != nil {
				t.Fatal(err)
			}
			if err := client.Start(torrent); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it does not go on", func() bool { return torrent.missing() == 0 })
		})
	}
}

// TestStopWhileReading: reads that wait for the swarm end when the torrent is
// stopped or removed, those that queue for a place too.
func TestStopWhileReading(t *testing.T) {
	c := newContent(t, 16<<10, 1_000_000)
	for _, way := range []struct {
		name string
		do   func(*Client, *Torrent) error
		want error
	}{
		{"stop", (*Client).Stop, ErrStopped},
		{"remove", func(c *Client, t *Torrent) error { return c.Remove(t, false) }, ErrRemoved},
		{"remove with data", func(c *Client, t *Torrent) error { return c.Remove(t, true) }, ErrRemoved},
	} {
		t.Run(way.name, func(t *testing.T) {
			leech := testClient(t, Config{ReadTimeout: time.Hour, WaitingReads: 3})
			torrent, err := leech.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var wg sync.WaitGroup
			ends := make(chan error, 5)
			for i := range 5 {
				wg.Go(func() {
					_, err := readRange(t.Context(), r, int64(i)*100_000, 1)
					ends <- err
				})
			}
			eventually(t, "nobody waits", func() bool {
				leech.waiting.mu.Lock()
				defer leech.waiting.mu.Unlock()
				return leech.waiting.taken.Len() == 3 && leech.waiting.queue.Len() == 2
			})
			if err := way.do(leech, torrent); err != nil {
				t.Error(err)
			}
			wg.Wait()
			for range 5 {
				if err := <-ends; !errors.Is(err, way.want) {
					t.Errorf("a read ends with %v", err)
				}
			}
			if _, err := readRange(t.Context(), r, 0, 1); !errors.Is(err, way.want) {
				t.Errorf("the next read: %v", err)
			}
			if leech.waiting.taken.Len()+leech.waiting.queue.Len() != 0 {
				t.Error("places are left over")
			}
		})
	}
}

// TestPause: a paused torrent keeps its peers and transfers nothing, whatever is
// read; what waits goes on at Resume. Neither does a paused seeder.
func TestPause(t *testing.T) {
	c := newContent(t, 16<<10, 3_000_000)
	s := seeder(t, c)
	seed := s.Torrents()[0]
	leech, torrent, r := leeching(t, Config{Peers: []string{s.addr()}}, c)
	defer r.Close()
	for _, side := range []struct {
		c *Client
		t *Torrent
	}{{leech, torrent}, {s, seed}} {
		if err := side.c.Pause(side.t); err != nil {
			t.Fatal(err)
		}
		off := int64(1_500_000)
		if side.t == seed {
			off = 2_900_000
		}
		ended := make(chan error, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := readRange(t.Context(), r, off, 1)
			ended <- err
		})
		eventually(t, "the read does not wait", func() bool {
			leech.waiting.mu.Lock()
			defer leech.waiting.mu.Unlock()
			return leech.waiting.taken.Len() == 1
		})
		select {
		case err := <-ended:
			t.Errorf("a read of a paused torrent ends: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if n := leech.hand.Stats(torrent.hash).Standing; n != 1 {
			t.Errorf("a paused torrent has %d peers", n)
		}
		if err := side.c.Resume(side.t); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := <-ended; err != nil && side.t == torrent {
			t.Errorf("after Resume: %v", err)
		}
	}
}

// TestRemove: a removed torrent is gone, by every name, also after a restart;
// what is here of it is here again when it is added again, under another slot.
func TestRemove(t *testing.T) {
	c := newContent(t, 16<<10, 500_000)
	s := seeder(t, c)
	dir := t.TempDir()
	leech, torrent, r := leeching(t, Config{Dir: dir, Peers: []string{s.addr()}}, c)
	r.Close()
	readAll(t, torrent, c)
	if err := leech.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	if err := leech.Remove(torrent, false); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed twice: %v", err)
	}
	gone := func(c *Client) {
		t.Helper()
		if other, _ := c.ByName("folder"); other != nil || c.BySlot(torrent.slot) != nil || len(c.Torrents()) != 0 || c.known(torrent.hash) {
			t.Error("a removed torrent is still here")
		}
	}
	gone(leech)
	closeClient(t, leech)

	again := testClient(t, Config{Dir: dir}) // without peers
	gone(again)
	second, err := again.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil {
		t.Fatal(err)
	}
	if second.Slot() == torrent.Slot() {
		t.Error("a slot is used again")
	}
	if second.Info() == nil {
		t.Fatal("the metadata is not here any more")
	}
	readAll(t, second, c)
	if n := again.disk.Stats().Hashed; n != 0 {
		t.Errorf("%d bytes were hashed again", n)
	}
}

// TestRemoveWithData: the folder goes, at the next start at the latest, and the
// same torrent can be added at once.
func TestRemoveWithData(t *testing.T) {
	c := newContent(t, 16<<10, 500_000)
	s := seeder(t, c)
	dir := t.TempDir()
	leech, torrent, r := leeching(t, Config{Dir: dir, Peers: []string{s.addr()}}, c)
	defer r.Close()
	if err := leech.Remove(torrent, true); err != nil {
		t.Fatal(err)
	}
	left := func() []os.DirEntry {
		entries, err := os.ReadDir(filepath.Join(dir, "torrents"))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	if n := left(); len(n) != 0 {
		t.Errorf("left are %v", n)
	}
	if _, err := readRange(t.Context(), r, 0, 1); !errors.Is(err, ErrRemoved) {
		t.Errorf("a read of a removed torrent: %v", err)
	}
	second, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, second, c)
	// A kill between the decision and the deed.
	state := second.state
	state.Removed, state.Discard = 1, true
	if err := leech.folder.saveTorrent(second.id, state); err != nil {
		t.Fatal(err)
	}
	closeClient(t, leech)
	again := testClient(t, Config{Dir: dir})
	eventually(t, "it is not deleted", func() bool { return len(left()) == 0 })
	if n := len(again.Torrents()); n != 0 {
		t.Errorf("%d torrents", n)
	}
}

// TestDecideAtOnce: whatever is decided at the same time, nothing hangs, and the
// torrent is readable or says why not.
func TestDecideAtOnce(t *testing.T) {
	c := newContent(t, 16<<10, 2_000_000)
	s := seeder(t, c)
	leech, torrent, r := leeching(t, Config{Peers: []string{s.addr()}}, c)
	defer r.Close()
	var deciding, wg sync.WaitGroup
	for _, do := range []func(*Client, *Torrent) error{(*Client).Stop, (*Client).Start, (*Client).Pause, (*Client).Resume} {
		deciding.Go(func() {
			for range 10 {
				if err := do(leech, torrent); err != nil && !isOurs(err) {
					t.Error(err)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		for i := range 50 {
			_, err := readRange(ctx, r, int64(i)*40_000, 1)
			if err != nil && !isOurs(err) && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	deciding.Wait()
	cancel() // it may be paused by now
	wg.Wait()
	for _, do := range []func(*Client, *Torrent) error{(*Client).Start, (*Client).Resume} {
		if err := do(leech, torrent); err != nil {
			t.Error(err)
		}
	}
	if _, err := readRange(t.Context(), r, 1_999_000, 1); err != nil {
		t.Error(err)
	}
}

// TestDecisionsAreStored: what was decided holds after a restart, for a link
// without metadata too, and ends with the torrent.
func TestDecisionsAreStored(t *testing.T) {
	dir := t.TempDir()
	magnet := Source{Magnet: &metainfo.Magnet{Hash: [20]byte{7}}}
	client := testClient(t, Config{Dir: dir})
	torrent, err := client.Add(magnet)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(*Torrent) error{client.Pause, client.Stop} {
		if err := do(torrent); err != nil {
			t.Fatal(err)
		}
	}
	if torrent.running() != nil {
		t.Error("a stopped link is looked for")
	}
	closeClient(t, client)
	client = testClient(t, Config{Dir: dir})
	torrent = client.Torrents()[0]
	if !torrent.Paused() || !torrent.Stopped() || torrent.running() != nil {
		t.Error("it is forgotten at a restart")
	}
	if st := torrent.Status(); st.State != "stopped" || !st.Paused {
		t.Errorf("%+v", st)
	}
	if err := client.Start(torrent); err != nil {
		t.Fatal(err)
	}
	if torrent.running() == nil {
		t.Error("a link is not looked for after Start")
	}
	if err := client.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	if torrent, err = client.Add(magnet); err != nil || torrent.Paused() {
		t.Errorf("what was decided of an earlier one holds: %v", err)
	}
}

// TestRemoveMakesRoom: what is deleted does not count for --disk any more.
func TestRemoveMakesRoom(t *testing.T) {
	c := newContent(t, 16<<10, 500_000)
	leech, torrent, r := leeching(t, Config{Evict: true, Disk: 100 << 20, Peers: []string{seeder(t, c).addr()}}, c)
	r.Close()
	readAll(t, torrent, c)
	eventually(t, "nothing is counted", func() bool { return leech.disk.Stats().Stored > 400_000 })
	if err := leech.Remove(torrent, true); err != nil {
		t.Fatal(err)
	}
	if n := leech.disk.Stats().Stored; n != 0 {
		t.Errorf("%d bytes are counted", n)
	}
}
