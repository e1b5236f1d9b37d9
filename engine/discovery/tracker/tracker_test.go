package tracker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bipfs/engine/discovery"
	"bipfs/engine/discovery/tracker"
)

// asks sends one announce from addr as a client would, with more arguments.
func asks(t *tracker.Tracker, addr string, args ...string) string {
	q := url.Values{"info_hash": {strings.Repeat("h", 20)}, "peer_id": {strings.Repeat("p", 20)}, "port": {"6881"}, "left": {"1"}}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		if q.Set(k, v); v == "" {
			q.Del(k)
		}
	}
	r := httptest.NewRequest("GET", "/announce?"+q.Encode(), nil)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return string(b)
}

func peers(t *testing.T, body string) []string {
	t.Helper()
	a, err := discovery.ParseAnswer([]byte(body))
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	var out []string
	for _, p := range a.Peers {
		out = append(out, p.String())
	}
	slices.Sort(out)
	return out
}

func TestSwarm(t *testing.T) {
	now := time.Unix(0, 0)
	tr := tracker.New(tracker.Config{Interval: time.Minute, Now: func() time.Time { return now }})
	expect := func(body string, want ...string) {
		t.Helper()
		if got := peers(t, body); !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	expect(asks(tr, "1.1.1.1:1"))
	expect(asks(tr, "1.1.1.1:2")) // itself, over another connection
	expect(asks(tr, "[::ffff:2.2.2.2]:1", "left=0"), "1.1.1.1:6881")
	expect(asks(tr, "3.3.3.3:1", "left=0"), "1.1.1.1:6881") // a seeder is told of no seeder
	expect(asks(tr, "[2001:db8::4]:1"), "1.1.1.1:6881", "2.2.2.2:6881", "3.3.3.3:6881")
	expect(asks(tr, "1.1.1.1:1"), "2.2.2.2:6881", "3.3.3.3:6881", "[2001:db8::4]:6881")
	expect(asks(tr, "1.1.1.1:1", "compact=0"), "2.2.2.2:6881", "3.3.3.3:6881", "[2001:db8::4]:6881")
	expect(asks(tr, "1.1.1.1:1", "compact=0", "no_peer_id=1"), "2.2.2.2:6881", "3.3.3.3:6881", "[2001:db8::4]:6881")
	if n := len(peers(t, asks(tr, "1.1.1.1:1", "numwant=1"))); n != 1 {
		t.Errorf("one peer wanted, %d told of", n)
	}
	expect(asks(tr, "9.9.9.9:1", "info_hash="+strings.Repeat("o", 20)))
	expect(asks(tr, "2.2.2.2:1", "event=stopped"))
	expect(asks(tr, "1.1.1.1:1"), "3.3.3.3:6881", "[2001:db8::4]:6881")
	if a, _ := discovery.ParseAnswer([]byte(asks(tr, "1.1.1.1:1"))); a.Seeders != 1 || a.Leechers != 2 || a.Interval != time.Minute {
		t.Errorf("figures %+v", a)
	}
	now = now.Add(2 * time.Minute)
	expect(asks(tr, "5.5.5.5:1"), "1.1.1.1:6881", "3.3.3.3:6881", "[2001:db8::4]:6881")
	now = now.Add(time.Minute + 1)
	expect(asks(tr, "1.1.1.1:1"), "5.5.5.5:6881") // the others said nothing for two intervals
}

func TestRefused(t *testing.T) {
	tr := tracker.New(tracker.Config{})
	for _, bad := range []string{"info_hash=", "info_hash=short", "peer_id=" + strings.Repeat("p", 21), "port=", "port=0", "port=65536", "port=x",
		"x=" + strings.Repeat("y", tracker.MaxQuery)} {
		if _, err := discovery.ParseAnswer([]byte(asks(tr, "1.1.1.1:1", bad))); err == nil {
			t.Errorf("%.30s was accepted", bad)
		}
	}
	for _, odd := range []string{"left=", "left=x", "numwant=-1", "numwant=1000000", "numwant=x", "event=paused", "ip=8.8.8.8"} {
		if _, err := discovery.ParseAnswer([]byte(asks(tr, "1.1.1.1:1", odd))); err != nil {
			t.Errorf("%s: %v", odd, err)
		}
	}
	if got := peers(t, asks(tr, "2.2.2.2:1")); !slices.Equal(got, []string{"1.1.1.1:6881"}) {
		t.Errorf("the swarm is %v: a peer's word on its own address was believed", got)
	}
	w := httptest.NewRecorder()
	tr.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("another path: %d", w.Code)
	}
}

func TestBounds(t *testing.T) {
	now := time.Unix(0, 0)
	tr := tracker.New(tracker.Config{Interval: time.Minute, Now: func() time.Time { return now }})
	refused := func(body string) bool { _, err := discovery.ParseAnswer([]byte(body)); return err != nil }
	for i := range tracker.MaxPeers {
		if refused(asks(tr, fmt.Sprintf("1.1.%d.%d:1", i>>8, i&255))) {
			t.Fatalf("peer %d of %d was refused", i, tracker.MaxPeers)
		}
	}
	if !refused(asks(tr, "2.2.2.2:1")) || refused(asks(tr, "1.1.0.0:1")) {
		t.Error("one peer too many is refused, one that is known is not")
	}
	if n := len(peers(t, asks(tr, "1.1.0.0:1", "numwant=100000"))); n != tracker.MaxAnswer {
		t.Errorf("an answer of %d peers", n)
	}
	for i := range tracker.MaxTorrents - 1 {
		if refused(asks(tr, "1.1.1.1:1", fmt.Sprintf("info_hash=%020d", i))) {
			t.Fatalf("torrent %d of %d was refused", i, tracker.MaxTorrents)
		}
	}
	if !refused(asks(tr, "1.1.1.1:1", "info_hash="+strings.Repeat("x", 20))) {
		t.Error("one torrent too many was not refused")
	}
	now = now.Add(time.Hour)
	if refused(asks(tr, "1.1.1.1:1", "info_hash="+strings.Repeat("x", 20))) {
		t.Error("there was no room when all the others were gone")
	}
}

// TestAgainstDiscovery: the two ends of the protocol understand each other over
// a real connection.
func TestAgainstDiscovery(t *testing.T) {
	s := httptest.NewServer(tracker.New(tracker.Config{}))
	defer s.Close()
	http := discovery.HTTP{Client: s.Client()}
	one := discovery.Announce{Infohash: [20]byte{0, 255, '%', ' ', '&'}, PeerID: [20]byte{1}, Port: 1001, Event: discovery.Started, NumWant: 50}
	two := one
	two.PeerID[0], two.Port, two.Left = 2, 1002, 5
	if _, err := http.Announce(t.Context(), s.URL+"/announce", one); err != nil {
		t.Fatal(err)
	}
	a, err := http.Announce(t.Context(), s.URL+"/key/announce", two)
	if err != nil || len(a.Peers) != 1 || a.Peers[0].String() != "127.0.0.1:1001" || a.Seeders != 1 || a.Interval != 30*time.Minute {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzAnnounce(f *testing.F) {
	f.Add("info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=pppppppppppppppppppp&port=1&left=0", "1.1.1.1:1")
	f.Add("info_hash=%00&compact=0&numwant=-1&event=stopped", "[::1]:0")
	f.Add("%zz", "pipe")
	f.Fuzz(func(t *testing.T, query, from string) {
		tr := tracker.New(tracker.Config{})
		for range 2 {
			r := httptest.NewRequest("GET", "/announce", nil)
			r.URL.RawQuery, r.RemoteAddr = query, from
			w := httptest.NewRecorder()
			tr.ServeHTTP(w, r)
			if w.Body.Len() == 0 {
				t.Fatal("no answer")
			}
		}
	})
}
