package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// added is a torrent that a client has just been given.
func added(t *testing.T, c *Client, from Source) *Torrent {
	t.Helper()
	torrent, err := c.Add(from)
	if err != nil {
		t.Fatal(err)
	}
	return torrent
}

// only tells one file from the others.
func only(file int) func(int) bool { return func(i int) bool { return i == file } }

// TestPin: a file that is pinned is fetched, and nothing else; it is kept, and so is
// the torrent active, until then.
func TestPin(t *testing.T) {
	c := newContent(t, 16<<10, 100_000, 200_000, 300_000) // numbers 0, 2 and 1
	client := testClient(t, Config{Peers: []string{seeder(t, c).addr()}, dormantAfter: 100 * time.Millisecond})
	torrent := added(t, client, Source{Torrent: c.meta})
	if err := client.Pin(torrent, only(1), "folder/1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not fetched", func() bool {
		length, here, err := torrent.Held(only(1))
		return err == nil && length == 300_000 && here == length
	})
	eventually(t, "it does not end", func() bool { return torrent.running() == nil })
	info := torrent.Info()
	if want := int(info.Length-torrent.missing()) / int(info.PieceLength); want > 300_000>>14+2 {
		t.Errorf("%d pieces are here", want)
	}
	if !torrent.Pinned(only(1)) || torrent.Pinned(only(0)) || torrent.Pinned(nil) || torrent.Status().Pinned != "part" {
		t.Error("it is not as it was asked for")
	}
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not all is fetched", func() bool { return torrent.missing() == 0 })
	if err := client.Unpin(torrent, only(2), "folder/2"); err != nil {
		t.Fatal(err)
	}
	if !torrent.Pinned(only(0)) || torrent.Pinned(only(2)) || torrent.pins() != "0-1" {
		t.Errorf("pinned is %q", torrent.pins())
	}
}

// TestPinLink: a torrent is pinned before its metadata is here, and not a part of it.
func TestPinLink(t *testing.T) {
	c := newContent(t, 16<<10, 100_000, 300_000)
	client := testClient(t, Config{Peers: []string{seeder(t, c).addr()}})
	torrent := added(t, client, Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not fetched", func() bool { return torrent.Info() != nil && torrent.Status().Complete })
	if torrent.Status().Pinned != "all" {
		t.Error("it is not pinned")
	}
}

// TestPinLinkWhileItIsStored: a link may be resolved while the pins are looked at that were
// there at the start; then it is known what is pinned of it, and nobody has the metadata yet.
func TestPinLinkWhileItIsStored(t *testing.T) {
	c := newContent(t, 16<<10, 100_000)
	client := testClient(t, Config{})
	torrent := added(t, client, Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(client.folder.torrentDir(torrent.id), ".torrent.new")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := torrent.resolve(c.meta.Info); err == nil || torrent.pinned.Load() == nil {
		t.Fatalf("resolved: %v", err)
	}
	client.striveAll()
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := torrent.resolve(c.meta.Info); err != nil || !torrent.strives() {
		t.Errorf("it is not to be fetched: %v", err)
	}
}

// TestPinOverRestart: what is pinned is fetched on after a restart, and after a stop
// and a pause.
func TestPinOverRestart(t *testing.T) {
	c := newContent(t, 16<<10, 100_000, 300_000)
	dir := t.TempDir()
	client := testClient(t, Config{Dir: dir})
	torrent := added(t, client, Source{Torrent: c.meta})
	if err := client.Pin(torrent, only(1), "folder/1"); err != nil {
		t.Fatal(err)
	}
	closeClient(t, client)

	s := seeder(t, c)
	client = testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
	torrent = client.Torrents()[0]
	here := func(file int) func() bool {
		return func() bool {
			length, here, err := torrent.Held(only(file))
			return err == nil && here == length
		}
	}
	eventually(t, "it is not fetched after a restart", here(1))
	if err := client.Stop(torrent); err != nil {
		t.Fatal(err)
	}
	if err := client.Pin(torrent, only(0), "folder/0"); err != nil {
		t.Fatal(err)
	}
	if torrent.running() != nil {
		t.Error("a stopped torrent was woken")
	}
	if err := client.Pause(torrent); err != nil {
		t.Fatal(err)
	}
	if err := client.Start(torrent); err != nil {
		t.Fatal(err)
	}
	if here(0)() {
		t.Error("a paused torrent has fetched")
	}
	if err := client.Resume(torrent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not fetched after a stop and a pause", here(0))
}

// TestPinWhilePaused: nothing is fetched while a torrent that is awake is paused.
func TestPinWhilePaused(t *testing.T) {
	c := newContent(t, 16<<10, 3_000_000)
	client, torrent, r := leeching(t, Config{Peers: []string{seeder(t, c).addr()}}, c)
	defer r.Close()
	if err := client.Pause(torrent); err != nil {
		t.Fatal(err)
	}
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	if torrent.missing() == 0 {
		t.Error("it was fetched")
	}
	if err := client.Resume(torrent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not fetched", func() bool { return torrent.missing() == 0 })
}

// TestPinsFit: what cannot fit is refused with both numbers, and what is pinned stays
// while others come and go.
func TestPinsFit(t *testing.T) {
	kept, other := newContent(t, 16<<10, 100_000, 200_000), newContent(t, 16<<10, 500_000)
	client := testClient(t, Config{
		Dir: t.TempDir(), Evict: true, Disk: 262_144,
		Peers: []string{seeder(t, kept).addr(), seeder(t, other).addr()},
	})
	a, b := added(t, client, Source{Torrent: kept.meta}), added(t, client, Source{Torrent: other.meta})
	err := client.Pin(a, nil, "folder")
	if !errors.Is(err, ErrPinTooBig) {
		t.Fatalf("more is pinned than is stored: %v", err)
	}
	for _, n := range []string{"352256", "262144"} {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%v does not tell %s", err, n)
		}
	}
	if err := client.Pin(a, only(0), "folder/0"); err != nil {
		t.Fatal(err)
	}
	if err := client.Pin(a, only(1), "folder/1"); !errors.Is(err, ErrPinTooBig) || a.Pinned(only(1)) {
		t.Errorf("both are pinned: %v", err)
	}
	if err := client.Pin(b, nil, "folder"); !errors.Is(err, ErrPinTooBig) {
		t.Errorf("another is pinned as well: %v", err)
	}
	eventually(t, "it is not fetched", func() bool { _, here, _ := a.Held(only(0)); return here == 100_000 })
	readAll(t, b, other)
	eventually(t, "nothing is evicted", func() bool { return client.disk.Stats().Evicted > 0 })
	if _, here, _ := a.Held(only(0)); here != 100_000 {
		t.Errorf("%d bytes of what is pinned are left", here)
	}
	if err := client.Unpin(a, only(0), "folder/0"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is unpinned is not evicted", func() bool {
		readAll(t, b, other)
		_, here, _ := a.Held(only(0))
		return here < 100_000
	})
}

// TestPinLinkTooBig: a link that is pinned and turns out to be too big is pinned no
// more, and the event says why.
func TestPinLinkTooBig(t *testing.T) {
	c := newContent(t, 16<<10, 300_000)
	client := testClient(t, Config{Evict: true, Disk: 100_000, Peers: []string{seeder(t, c).addr()}})
	torrent := added(t, client, Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err := client.Pin(torrent, nil, "folder"); err != nil {
		t.Fatal(err)
	}
	<-torrent.Resolved()
	eventually(t, "no event says why", func() bool {
		events, _, _ := client.Events(0)
		for _, e := range events {
			if e.Event == evError && e.Error != "" {
				return true
			}
		}
		return false
	})
	if torrent.Status().Pinned != "" {
		t.Error("it is pinned")
	}
}
