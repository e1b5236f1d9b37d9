package engine

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
)

// listener is a tracker that notes what it is asked, and gives no peers.
type listener struct {
	url string

	mu    sync.Mutex
	heard []url.Values
}

func newListener(t *testing.T, answer string) *listener {
	t.Helper()
	l := &listener{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.heard = append(l.heard, r.URL.Query())
		l.mu.Unlock()
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	l.url = server.URL + "/announce"
	return l
}

const quick = "d8:intervali1800e12:min intervali1e5:peers0:e"

// said is the values of one argument, of all announces.
func (l *listener) said(name string) (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.heard {
		all = append(all, q.Get(name))
	}
	return all
}

// of is the events of one client.
func (l *listener) of(c *Client) (events []string) {
	for i, port := range l.said("port") {
		if port == strconv.Itoa(c.Port()) {
			events = append(events, l.said("event")[i])
		}
	}
	return events
}

// started is said of the announces that begin.
func (l *listener) started(name string) (all []string) {
	for i, event := range l.said("event") {
		if event == "started" {
			all = append(all, l.said(name)[i])
		}
	}
	return all
}

// TestPrivateIdentity: key and peer ID of a private torrent outlive the process,
// and peers hear the same one; those of an open one do not.
func TestPrivateIdentity(t *testing.T) {
	for _, private := range []bool{true, false} {
		c, l := newContent(t, 32<<10, 100_000), newListener(t, quick)
		if c.meta.Trackers = [][]string{{l.url}}; private {
			c.makePrivate(t, l.url)
		}
		cfg := Config{Dir: t.TempDir()}
		var met []string
		for round := range 2 {
			client := testClient(t, cfg)
			torrent, err := client.Add(Source{Torrent: c.meta})
			if err == nil {
				err = torrent.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is announced", func() bool { return len(l.started("key")) > round })
			met = append(met, meets(t, client, torrent.Hash()))
			closeClient(t, client)
		}
		ids, keys := l.started("peer_id"), l.started("key")
		if same := ids[0] == ids[1] && keys[0] == keys[1]; len(ids) != 2 || same != private || !strings.HasPrefix(ids[1], "-bi0000-") {
			t.Errorf("private %v: peer IDs %q, keys %q", private, ids, keys)
		}
		if !slices.Equal(met, ids) {
			t.Errorf("private %v: peers meet %q, and trackers %q", private, met, ids)
		}
		// Of an open one the stop waits 0.2 s, which may be too short when the
		// machine is busy.
		if events := l.said("event"); private && !slices.Equal(events, []string{"started", "stopped", "started", "stopped"}) {
			t.Errorf("%q", events)
		}
	}
}

// meets is the peer ID that a client answers a handshake with.
func meets(t *testing.T, c *Client, hash [20]byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(longEnough))
	var answer [68]byte
	if _, err := conn.Write(handshake.Append(nil, [8]byte{}, hash, [20]byte{'x'})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(bufio.NewReader(conn), answer[:]); err != nil {
		t.Fatal(err)
	}
	return string(answer[48:])
}

// TestPrivateOldState: a private torrent that an older program has stored gets
// an identity, once; one that is no identity leaves it alone.
func TestPrivateOldState(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	c.makePrivate(t)
	cfg := Config{Dir: t.TempDir()}
	first := testClient(t, cfg)
	torrent, err := first.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(first.folder.torrentDir(torrent.id), "state")
	closeClient(t, first)
	rewrite := func(peerID string) {
		var s torrentState
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil || len(s.PeerID) != 40 {
			t.Fatal(s, err)
		}
		if s.PeerID, s.Key = peerID, 0; peerID != "" {
			s.Key = 7
		}
		b, _ = json.Marshal(s)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("")
	var ids []identity
	for range 2 {
		client := testClient(t, cfg)
		ids = append(ids, client.Torrents()[0].identity())
		closeClient(t, client)
	}
	if ids[0] != ids[1] || ids[0].peerID == [20]byte{} {
		t.Errorf("the identity is %v, then %v", ids[0], ids[1])
	}
	rewrite(hex.EncodeToString([]byte("-bi9999-abcdefghijkl")))
	client := testClient(t, cfg)
	if own := client.Torrents()[0].identity(); string(own.peerID[:]) != "-bi0000-abcdefghijkl" || own.key != 7 {
		t.Errorf("of another version: %+v", own)
	}
	closeClient(t, client)
	rewrite("xyz")
	if n := len(testClient(t, cfg).Torrents()); n != 0 {
		t.Error("a broken peer ID is taken")
	}
}

// TestPrivateLink: once the metadata says private, peers that the link names are
// left, all trackers are told `stopped`, and one of them is asked.
func TestPrivateLink(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	c.makePrivate(t)
	s := seeder(t, c)
	one, two := newListener(t, quick), newListener(t, quick)
	client := testClient(t, Config{})
	link := &metainfo.Magnet{Hash: c.meta.Info.Hash, Trackers: []string{one.url, two.url}, Peers: []string{s.addr()}}
	torrent, err := client.Add(Source{Magnet: link})
	if err != nil {
		t.Fatal(err)
	}
	resolved(t, torrent)
	if err := torrent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its peer stays", func() bool { return client.hand.Stats(torrent.hash).Candidates == 0 })
	events := func() []string { return append(one.said("event"), two.said("event")...) }
	eventually(t, "it is not announced privately", func() bool { return len(events()) >= 3 })
	time.Sleep(1500 * time.Millisecond)
	if got := slices.Compact(append(one.said("peer_id"), two.said("peer_id")...)); len(got) != 1 {
		t.Errorf("peer IDs: %q", got)
	}
	// The first that answered was told `started` and `stopped`, and then is the
	// only one that is told.
	eventually(t, "another number of trackers than one is told", func() bool {
		got := strings.Join(events(), " ")
		return strings.Count(got, "started") == 1+strings.Count(got, "stopped")
	})
	if err := torrent.learn(Source{Magnet: &metainfo.Magnet{Hash: link.Hash, Trackers: []string{"http://other/announce"}, Peers: []string{"127.0.0.1:9"}}}); err != nil {
		t.Fatal(err)
	}
	again := &metainfo.Torrent{Info: c.meta.Info, Trackers: [][]string{{two.url}}}
	if len(torrent.trackers) != 2 || torrent.learn(Source{Torrent: again}) != nil || len(torrent.trackers) != 1 {
		t.Errorf("its trackers are %v", torrent.trackers)
	}
}

// TestPrivateRefused: with NoUpload a private torrent is an error, and a link
// that turns out to be one is left alone.
func TestPrivateRefused(t *testing.T) {
	c := newContent(t, 32<<10, 100_000)
	c.makePrivate(t)
	client := testClient(t, Config{NoUpload: true})
	if _, err := client.Add(Source{Torrent: c.meta}); err != ErrNoUpload {
		t.Errorf("added: %v", err)
	}
	torrent, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, Peers: []string{seeder(t, c).addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	resolved(t, torrent)
	eventually(t, "it has a loop", func() bool { return torrent.running() == nil })
	r, err := torrent.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := readRange(t.Context(), r, 0, 10); err == nil || bytes.Contains([]byte(err.Error()), []byte("time")) {
		t.Errorf("read: %v, %v", b, err)
	}
	if client.known(torrent.hash) {
		t.Error("peers may ask for it")
	}
	if _, err := client.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash}}); err != ErrNoUpload {
		t.Errorf("added again: %v", err)
	}
}
