package engine

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/discovery/tracker"
	"bipfs/engine/metainfo"
)

// announced is a tracker that notes who told it what.
type announced struct {
	url string

	mu    sync.Mutex
	heard map[string][]told // by the port of the peer
}

// told is one announce: its event, and what is left.
type told struct {
	event string
	left  int64
}

func newTracker(t *testing.T) *announced {
	t.Helper()
	a := &announced{heard: map[string][]told{}}
	inner := tracker.New(tracker.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		left, _ := strconv.ParseInt(q.Get("left"), 10, 64)
		a.mu.Lock()
		a.heard[q.Get("port")] = append(a.heard[q.Get("port")], told{q.Get("event"), left})
		a.mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL + "/announce"
	return a
}

func (a *announced) of(c *Client) []told {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.heard[strconv.Itoa(c.Port())])
}

// TestTrackerHearsTheTruth: started with all that is left, completed once and
// with nothing left, stopped at the end, each tracker once.
func TestTrackerHearsTheTruth(t *testing.T) {
	c := newContent(t, 32<<10, 300_000)
	a := newTracker(t)
	c.meta.Trackers = [][]string{{a.url}}
	s := seeder(t, c)
	if err := s.Torrents()[0].Start(); err != nil {
		t.Fatal(err)
	}
	leech := testClient(t, Config{Peers: []string{s.addr()}})
	torrent, err := leech.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	magnet := &metainfo.Magnet{Hash: c.meta.Info.Hash, Trackers: []string{a.url}}
	for range 3 { // named again, it is announced to once
		if _, err := leech.Add(Source{Magnet: magnet}); err != nil {
			t.Fatal(err)
		}
	}
	if err := torrent.Start(); err != nil {
		t.Fatal(err)
	}
	// What comes before the announce is not left any more.
	eventually(t, "started is not announced by both", func() bool { return len(a.of(s)) > 0 && len(a.of(leech)) > 0 })
	readAll(t, torrent, c)
	closeClient(t, leech)
	closeClient(t, s)
	got := a.of(leech)
	length := c.meta.Info.Length
	last := len(got) - 1
	// The stop waits 0.2 s for its announces, which may be too short when the
	// machine is busy.
	if len(got) < 1 || got[0] != (told{"started", length}) || got[last].event == "stopped" && got[last].left != 0 {
		t.Errorf("the tracker heard %+v", got)
	}
	for i, said := range got {
		if said.event == "completed" && said.left != 0 || i > 0 && said.event == "started" {
			t.Errorf("the tracker heard %+v", got)
		}
	}
	want := []told{{"started", 0}, {"stopped", 0}}
	if got := a.of(s); !slices.Equal(got, want) && !slices.Equal(got, want[:1]) {
		t.Errorf("of the seeder, the tracker heard %+v", got)
	}
}

// TestCompletedIsSaidOnce: at the end of the download, and not again when a
// piece goes and comes back.
func TestCompletedIsSaidOnce(t *testing.T) {
	c := newContent(t, 32<<10, 300_000)
	a := newTracker(t)
	c.meta.Trackers = [][]string{{a.url}}
	cfg := Config{Dir: t.TempDir(), Peers: []string{seeder(t, c).addr()}}
	run := func(before int) (heard []told) { // so many announces before the stop
		leech := testClient(t, cfg)
		torrent, err := leech.Add(Source{Torrent: c.meta})
		if err != nil {
			t.Fatal(err)
		}
		if err := torrent.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "started is not announced", func() bool { return len(a.of(leech)) > 0 })
		readAll(t, torrent, c)
		if torrent.Fetch(t.Context(), func(int64, int64) {}) != nil {
			t.Fatal("not all was stored")
		}
		eventually(t, "the end is not announced", func() bool { return len(a.of(leech)) >= before })
		file := torrent.DataFile(0)
		closeClient(t, leech)
		if err := os.Truncate(file, 100_000); err != nil {
			t.Fatal(err)
		}
		return a.of(leech)
	}
	length := c.meta.Info.Length
	// The stop waits 0.2 s for its announces, which may be too short when the
	// machine is busy.
	want := []told{{"started", length}, {"completed", 0}, {"stopped", 0}}
	if got := run(2); !slices.Equal(got, want) && !slices.Equal(got, want[:2]) {
		t.Errorf("the tracker heard %+v", got)
	}
	want = []told{{"started", 0}, {"stopped", 0}}
	if got := run(1); !slices.Equal(got, want) && !slices.Equal(got, want[:1]) {
		t.Errorf("after a piece was lost and came back, the tracker heard %+v", got)
	}
}

// TestAnnounceSooner: while a read waits and nobody has what it needs, a tracker is
// asked again before it wants to be.
func TestAnnounceSooner(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	at := netip.MustParseAddrPort(seeder(t, c).addr())
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		peers := ""
		if asked.Add(1) > 1 {
			peers = string(binary.BigEndian.AppendUint16(at.Addr().AsSlice(), at.Port()))
		}
		fmt.Fprintf(w, "d8:intervali1800e5:peers%d:%se", len(peers), peers)
	}))
	t.Cleanup(server.Close)
	c.meta.Trackers = [][]string{{server.URL + "/announce"}}
	client := testClient(t, Config{Dir: t.TempDir(), announceEvery: 100 * time.Millisecond})
	torrent, err := client.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
}
