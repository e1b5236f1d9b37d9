package engine

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire/bencode"
	"bipfs/wire/webseed"
)

// oddFile is a file of a torrent that no file system need have.
type oddFile struct {
	Attr   string   `bencode:"attr,omitempty"`
	Length int64    `bencode:"length"`
	Path   []string `bencode:"path"`
}

// oddTorrent is a torrent of files with names and places of all kinds, and its
// bytes.
func oddTorrent(t *testing.T, private int64) (*metainfo.Torrent, []byte) {
	t.Helper()
	files := []oddFile{
		{"", 3, []string{"a b", "#1?x=%41&;+.txt"}}, {"", 0, []string{"empty"}}, {"", 40_000, []string{"音楽", "アルバム", "曲"}},
		{"p", 25_533, []string{".pad", "25533"}}, {"", 1, []string{"one"}}, {"", 0, []string{"one"}}, {"", 30_000, []string{"\xff\xfe", "x\x01y"}},
		{"p", 5, []string{".pad", "5"}}, {"", 7, []string{strings.Repeat("long", 90)}},
	}
	var all []byte
	for i, f := range files {
		for k := range f.Length {
			b := byte(i+1) ^ byte(k*7) ^ byte(k>>8)
			if f.Attr == "p" {
				b = 0
			}
			all = append(all, b)
		}
	}
	var pieces []byte
	for c := range slices.Chunk(all, 32<<10) {
		d := sha1.Sum(c)
		pieces = append(pieces, d[:]...)
	}
	raw, err := bencode.Encode(struct {
		Files       []oddFile `bencode:"files"`
		Name        string    `bencode:"name"`
		PieceLength int64     `bencode:"piece length"`
		Pieces      []byte    `bencode:"pieces"`
		Private     int64     `bencode:"private,omitempty"`
	}{files, "od d#", 32 << 10, pieces, private})
	if err != nil {
		t.Fatal(err)
	}
	info, err := metainfo.ParseInfo(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &metainfo.Torrent{Info: info}, all
}

// TestOddNames: files are asked for by the names that the torrent has, pads and
// empty files not at all.
func TestOddNames(t *testing.T) {
	m, all := oddTorrent(t, 0)
	spelled := m.Info.SpelledPaths()
	var mu sync.Mutex
	asked := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i, f := range m.Info.Files {
			if r.URL.Path == "/base/"+path.Join(spelled(i)...) && f.Length > 0 && !f.Pad {
				mu.Lock()
				asked[r.URL.Path] = true
				mu.Unlock()
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(all[f.Offset:f.Offset+f.Length]))
				return
			}
		}
		t.Errorf("asked for %q", r.URL.Path)
		http.NotFound(w, r)
	}))
	defer s.Close()
	leech := testClient(t, Config{})
	m.WebSeeds = []string{s.URL + "/base"}
	torrent, err := leech.Add(Source{Torrent: m})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Info.Files {
		r, err := torrent.OpenFile(i)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRange(t.Context(), r, 0, int(f.Length)+1)
		if err != nil || !bytes.Equal(got, all[f.Offset:f.Offset+f.Length]) {
			t.Errorf("%q: %d bytes, %v", f.Path, len(got), err)
		}
		r.Close()
	}
	if len(asked) < 4 {
		t.Errorf("asked for %v", asked)
	}
}

// TestWebSeedsOfOneTorrent: so many are asked at a time, and the next take the
// place of those that fail for good.
func TestWebSeedsOfOneTorrent(t *testing.T) {
	c := newContent(t, 64<<10, 3_000_000)
	var good, bad []string
	var asked atomic.Int64 // a bit for each of the good
	for i := range mostWebSeeds + 2 {
		good = append(good, web(t, c, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Or(1 << i); h.ServeHTTP(w, r) })
		}))
		bad = append(bad, web(t, c, func(http.Handler) http.Handler { return http.NotFoundHandler() }))
	}
	_, torrent := fromWeb(t, c, Config{}, good...)
	readAll(t, torrent, c)
	if n := asked.Load(); n >= 1<<mostWebSeeds {
		t.Errorf("asked: %b", n)
	}
	_, torrent = fromWeb(t, c, Config{}, append(bad, good[0])...)
	readAll(t, torrent, c)
}

// TestWebSeedsGoDormant: with the torrent, and then nothing of them is left.
func TestWebSeedsGoDormant(t *testing.T) {
	c := newContent(t, 64<<10, 500_000)
	var open atomic.Int64
	s := httptest.NewUnstartedServer(http.FileServer(http.Dir(path.Dir(c.path))))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	leech, torrent := fromWeb(t, c, Config{dormantAfter: 100 * time.Millisecond}, s.URL)
	readAll(t, torrent, c)
	for deadline := time.Now().Add(longEnough); torrent.running() != nil || len(leech.lanes) > 0 || open.Load() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d places taken, %d connections open", len(leech.lanes), open.Load())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestPlacesOfWebSeeds: a lane waits for its place, and a place comes back.
func TestPlacesOfWebSeeds(t *testing.T) {
	c := newContent(t, 64<<10, 100_000)
	leech, torrent := fromWeb(t, c, Config{ReadTimeout: 200 * time.Millisecond}, web(t, c, nil))
	for range allLanes {
		leech.lanes <- struct{}{}
	}
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := readRange(t.Context(), r, 0, 1); !errors.Is(err, ErrNoPeers) {
		t.Errorf("without a place: %v", err)
	}
	<-leech.lanes
	for deadline := time.Now().Add(longEnough); ; {
		if _, err = readRange(t.Context(), r, 0, 1); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Errorf("with a place: %v", err)
	}
}

// TestWebSeedPauses: they double to a bound, both lanes' failures count as one,
// Retry-After counts, and what came begins it anew.
func TestWebSeedPauses(t *testing.T) {
	s := &webSeed{}
	want := webSeedPause
	for range 10 {
		if got := s.failed(false, io.EOF, webSeedPause); got != want {
			t.Errorf("pause %v, want %v", got, want)
		}
		if got := s.failed(false, io.EOF, webSeedPause); got != want {
			t.Errorf("the other lane: pause %v, want %v", got, want)
		}
		s.until = time.Now()
		want = min(2*want, longestWebSeedPause)
	}
	if got := s.failed(true, io.EOF, webSeedPause); got != webSeedPause {
		t.Errorf("after something came: %v", got)
	}
	busy := fmt.Errorf("x: %w", &webseed.StatusError{Code: 503, RetryAfter: time.Hour})
	if got := s.failed(false, busy, webSeedPause); got != time.Hour || time.Until(s.until) < 59*time.Minute {
		t.Errorf("Retry-After: %v", got)
	}
}

// TestWebSeedsAreKept: over restarts, before and after the metadata is here,
// and what another source adds; but a link adds none to a private torrent.
func TestWebSeedsAreKept(t *testing.T) {
	for private := range int64(2) {
		m, _ := oddTorrent(t, private)
		link := &metainfo.Magnet{Hash: m.Info.Hash, WebSeeds: []string{"http://127.0.0.1:1/link"}}
		m.WebSeeds = []string{"http://127.0.0.1:1/torrent"}
		dir := t.TempDir()
		keeps := func(what string, source *Source, want ...string) {
			t.Helper()
			c := testClient(t, Config{Dir: dir})
			defer closeClient(t, c)
			if source != nil {
				if _, err := c.Add(*source); err != nil {
					t.Fatal(err)
				}
			}
			if source != nil && source.Torrent != nil {
				resolved(t, c.torrents[m.Info.Hash])
			}
			if got := c.torrents[m.Info.Hash].webURLs(); !slices.Equal(got, want) {
				t.Errorf("private %d, %s: %q, want %q", private, what, got, want)
			}
		}
		keeps("a link", &Source{Magnet: link}, link.WebSeeds...)
		keeps("after a restart", nil, link.WebSeeds...)
		both := append(slices.Clone(link.WebSeeds), m.WebSeeds...)
		if private == 1 {
			both = m.WebSeeds
		}
		keeps("and the .torrent", &Source{Torrent: m}, both...)
		keeps("after a restart", nil, both...)
		more := *link
		more.WebSeeds = []string{"http://127.0.0.1:1/more"}
		if private == 0 {
			both = append(both, more.WebSeeds...)
		}
		keeps("another link", &Source{Magnet: &more}, both...)
		keeps("after a restart", nil, both...)
	}
}

// TestWebSeedsOfRemoved: a torrent that was removed has its web seeds and trackers again,
// once each, when it is added by its infohash.
func TestWebSeedsOfRemoved(t *testing.T) {
	for name, private := range map[string]bool{"open": false, "private": true} {
		t.Run(name, func(t *testing.T) {
			c := newContent(t, 16<<10, 100_000)
			if private {
				c.makePrivate(t)
			}
			c.meta.WebSeeds = []string{"http://127.0.0.1:1/a", "http://127.0.0.1:1/b"}
			c.meta.Trackers = [][]string{{"http://127.0.0.1:1/t"}}
			client := testClient(t, Config{})
			torrent := added(t, client, Source{Torrent: c.meta})
			for range 2 {
				if err := client.Remove(torrent, false); err != nil {
					t.Fatal(err)
				}
				link := &metainfo.Magnet{Hash: c.meta.Info.Hash, Trackers: c.meta.Trackers[0], WebSeeds: c.meta.WebSeeds[1:]}
				torrent = added(t, client, Source{Magnet: link})
			}
			if got := slices.Sorted(slices.Values(torrent.webURLs())); !slices.Equal(got, c.meta.WebSeeds) {
				t.Errorf("web seeds: %q", got)
			}
			if got := torrent.Status().Trackers; len(got) != 1 {
				t.Errorf("trackers: %q", got)
			}
		})
	}
}
