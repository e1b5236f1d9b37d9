package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bipfs/engine/control"
	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// TestChronicle: numbers go up by one; what is not kept any more is counted; a
// number of an earlier process gets all.
func TestChronicle(t *testing.T) {
	var c chronicle
	if events, missed, _ := c.after(7); len(events) != 0 || missed != 0 {
		t.Errorf("before the first event: %v, %d", events, missed)
	}
	_, _, more := c.after(0)
	const n = mostEvents + 10
	for i := range n {
		c.add(control.Event{Event: fmt.Sprint(i + 1)})
	}
	select {
	case <-more:
	default:
		t.Error("who waits is not told")
	}
	for _, x := range []struct{ since, first, missed uint64 }{
		{0, 11, 10}, {9, 11, 1}, {10, 11, 0}, {11, 12, 0}, {n - 1, n, 0}, {n, n + 1, 0}, {n + 1, 11, 10},
	} {
		events, missed, more := c.after(x.since)
		if missed != x.missed || uint64(len(events)) != n+1-x.first {
			t.Errorf("since %d: %d events, %d missed", x.since, len(events), missed)
		}
		for i, e := range events {
			if e.Seq != x.first+uint64(i) || e.Event != fmt.Sprint(e.Seq) || e.Time.IsZero() {
				t.Fatalf("since %d: event %d is %+v", x.since, i, e)
			}
		}
		select {
		case <-more:
			t.Error("there are more, and there are not")
		default:
		}
	}
}

// TestCompletion: whatever comes and goes, a file is complete with the last of
// its pieces, and only then.
func TestCompletion(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		info := &metainfo.Info{}
		for range 1 + chance.IntN(30) {
			n := int64(chance.IntN(4)) * int64(chance.IntN(100))
			info.Files = append(info.Files, metainfo.File{Offset: info.Length, Length: n, Pad: chance.IntN(8) == 0})
			info.Length += n
		}
		info.PieceLength = 32
		have := wire.NewBitfield(info.Pieces())
		for p := range info.Pieces() {
			if chance.IntN(3) == 0 {
				have.Set(wire.Piece(p))
			}
		}
		whole := func(i int) bool {
			f := info.Files[i]
			for off := f.Offset; off < f.Offset+f.Length; off++ {
				if !have.Has(wire.Piece(off / info.PieceLength)) {
					return false
				}
			}
			return f.Length > 0 && !f.Pad
		}
		c := newCompletion(info, have)
		for range 200 {
			p := wire.Piece(chance.IntN(info.Pieces() + 1))
			if chance.IntN(3) == 0 {
				c.went(p)
				if info.Valid(p) {
					have.Clear(p)
				}
				continue
			}
			var want []int
			for i := range info.Files {
				if !whole(i) {
					want = append(want, i)
				}
			}
			if info.Valid(p) {
				have.Set(p)
			}
			want = slices.DeleteFunc(want, func(i int) bool { return !whole(i) })
			if got := c.came(p); !slices.Equal(got, want) {
				t.Fatalf("round %d, piece %d: files %v are complete, not %v", round, p, got, want)
			}
		}
	}
}

// words are the words of what has happened.
func words(c *Client) (all []string) {
	events, _, _ := c.Events(0)
	for _, e := range events {
		all = append(all, e.Event)
	}
	return all
}

// TestEvents: the life of a torrent, as it is told.
func TestEvents(t *testing.T) {
	c := newContent(t, 16<<10, 200_000, 100, 70_000)
	s := seeder(t, c)
	leech := testClient(t, Config{Peers: []string{s.addr()}})
	torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}})
	if err != nil {
		t.Fatal(err)
	}
	resolved(t, torrent)
	readAll(t, torrent, c)
	eventually(t, "it is not complete", func() bool { return slices.Contains(words(leech), evComplete) })
	for _, do := range []func(*Torrent) error{leech.Stop, leech.Stop, leech.Start, leech.Pause, leech.Resume} {
		if err := do(torrent); err != nil {
			t.Fatal(err)
		}
	}
	if err := leech.Remove(torrent, false); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(words(leech), func(w string) bool { return w == evFile })
	want := []string{evAdded, evMetadata, evComplete, evStopped, evStarted, evPaused, evResumed, evRemoved}
	if !slices.Equal(got, want) {
		t.Errorf("it is told %q", got)
	}
	events, _, _ := leech.Events(0)
	var files []string
	for _, e := range events {
		if e.Infohash != torrent.ID() || e.Name == "" {
			t.Errorf("it does not say of what: %+v", e)
		}
		if e.Event == evFile {
			files = append(files, e.Path)
		}
	}
	if slices.Sort(files); !slices.Equal(files, []string{"folder/d0/f0", "folder/d0/f2", "folder/d1/f1"}) {
		t.Errorf("complete are %q", files)
	}
}

// TestStatus: what is told of a torrent, and of its peers; URLs are told without
// what may be a passkey.
func TestStatus(t *testing.T) {
	c := newContent(t, 16<<10, 1_000_000)
	s := seeder(t, c)
	c.meta.Trackers = [][]string{{"http://user:secret@127.0.0.1:1/secret/announce?passkey=secret"}}
	c.meta.WebSeeds = []string{"http://127.0.0.1:1/secret/"}
	leech, torrent, r := leeching(t, Config{Peers: []string{s.addr()}}, c)
	defer r.Close()
	eventually(t, "the bytes are not counted", func() bool { return torrent.Status().Downloaded > 0 }) // a moment after they are here
	st := torrent.Status()
	if st.State != "active" || st.Open != 1 || st.Here == 0 || st.Complete || st.Length != 1_000_000 || st.Pieces != 62 || st.Downloaded == 0 {
		t.Errorf("%+v", st)
	}
	if told := fmt.Sprint(st); strings.Contains(told, "secret") || !strings.Contains(told, "http://127.0.0.1:1") {
		t.Errorf("its URLs are told as %s", told)
	}
	eventually(t, "that the tracker fails is not told", func() bool { return slices.Contains(words(leech), evTrackerFailed) })
	events, _, _ := leech.Events(0)
	if told := fmt.Sprint(events); strings.Contains(told, "secret") {
		t.Errorf("an event tells a URL: %s", told)
	}
	peers, err := torrent.Peers(t.Context())
	if err != nil || len(peers) == 0 {
		t.Fatalf("%v, %v", peers, err)
	}
	seeds := slices.DeleteFunc(peers, func(p control.Peer) bool { return p.Kind != "peer" })
	if len(seeds) != 1 || seeds[0].Address != s.addr() || seeds[0].Pieces != 62 || seeds[0].Source != "user" || seeds[0].Downloaded == 0 || seeds[0].Client != "bipfs 0" {
		t.Errorf("its peers are %+v", seeds)
	}
	for want, of := range map[int64]func(int) bool{1_000_000: func(i int) bool { return i == 0 }, 0: func(int) bool { return false }} {
		if length, here, err := torrent.Held(of); err != nil || length != want || here > length || (here > 0) != (want > 0) {
			t.Errorf("of %d bytes %d are here, %v", length, here, err)
		}
	}
	if leech.ByInfohash(torrent.ID()) != torrent || leech.ByInfohash("x") != nil {
		t.Error("it is not found by its infohash")
	}
	if all := leech.Status(); all.Torrents != 1 || all.Peers != 1 || all.Downloaded < st.Downloaded || all.Seq == 0 {
		t.Errorf("%+v", all)
	}
}

// TestVerifyStored: a damaged piece is found, is not here any more and fetched
// again; one that lies there unknown is found.
func TestVerifyStored(t *testing.T) {
	c := newContent(t, 32<<10, 500_000)
	s := seeder(t, c)
	dir := t.TempDir()
	leech, torrent, r := leeching(t, Config{Dir: dir, Peers: []string{s.addr()}}, c)
	r.Close()
	readAll(t, torrent, c)
	file := torrent.DataFile(0)
	closeClient(t, leech)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[100_000] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	again := testClient(t, Config{Dir: dir, Peers: []string{s.addr()}})
	torrent, _ = again.ByName("folder")
	if torrent == nil {
		t.Fatal("it is not there")
	}
	for _, want := range []control.Verified{{Pieces: 16, Here: 15, Damaged: 1}, {Pieces: 16, Here: 15}} {
		if v, err := torrent.Verify(t.Context()); err != nil || v != want {
			t.Errorf("%+v, %v", v, err)
		}
	}
	readAll(t, torrent, c)
	closeClient(t, again)
	if err := os.Remove(filepath.Join(filepath.Dir(filepath.Dir(file)), "journal")); err != nil {
		t.Fatal(err)
	}
	again = testClient(t, Config{Dir: dir})
	torrent, _ = again.ByName("folder")
	if v, err := torrent.Verify(t.Context()); err != nil || v != (control.Verified{Pieces: 16, Here: 16, Found: 16}) {
		t.Errorf("without its journal: %+v, %v", v, err)
	}
}

// TestDiskEvents: that the store is full, and has room again, is told once.
func TestDiskEvents(t *testing.T) {
	c := testClient(t, Config{})
	if !c.lookAtDisk(false) || !c.lookAtDisk(true) {
		t.Error("an empty store has no room")
	}
	if got := words(c); !slices.Equal(got, []string{evDiskFree}) {
		t.Errorf("%q", got)
	}
}
