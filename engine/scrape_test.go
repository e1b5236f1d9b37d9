package engine

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bipfs/engine/discovery"
)

// TestScrapes: torrents of one tracker share a request, as many as one takes;
// private ones, and those without a tracker, are asked for at none.
func TestScrapes(t *testing.T) {
	var waiting []seed
	add := func(n int, tracker string, private bool) {
		for range n {
			s := seed{t: &Torrent{}, private: private}
			if tracker != "" {
				s.t.trackers = [][]string{{tracker, "http://other/announce"}, {"http://backup/announce"}}
			}
			waiting = append(waiting, s)
		}
	}
	add(discovery.MaxScrape+1, "http://a/announce", false)
	add(1, "http://b/announce", false)
	add(3, "http://p/announce", true)
	add(2, "", false)
	for i := range 2 * mostScrapes {
		add(1, fmt.Sprintf("http://%d/announce", i), false)
	}
	all := scrapes(waiting)
	if len(all) != mostScrapes || len(all[0].of) != discovery.MaxScrape || len(all[1].of) != 1 || all[1].tracker != "http://a/announce" ||
		all[2].tracker != "http://b/announce" || all[3].tracker != "http://0/announce" {
		t.Errorf("%d requests: %+v", len(all), all)
	}
}

// TestScrapeWaiting: how many seed those that wait is known after one request; a
// private one is not asked for.
func TestScrapeWaiting(t *testing.T) {
	var asked []string
	contents := []*content{newContent(t, 32<<10, 300_000), newContent(t, 32<<10, 200_000, 5), newContent(t, 32<<10, 100_000, 5, 6)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "scrape") {
			fmt.Fprint(w, quick)
			return
		}
		asked = append(asked, r.URL.Query()["info_hash"]...)
		fmt.Fprint(w, "d5:filesd")
		for _, h := range r.URL.Query()["info_hash"] {
			n := 3 + binary.BigEndian.Uint32([]byte(h))%7
			fmt.Fprintf(w, "20:%sd8:completei%de10:downloadedi0e10:incompletei0ee", h, n)
		}
		fmt.Fprint(w, "ee")
	}))
	defer server.Close()
	cfg := seeding(t)
	cfg.MaxSeeding = 0 // the test looks
	client := testClient(t, cfg)
	var waiting []seed
	for i, c := range contents {
		if c.meta.Trackers = [][]string{{server.URL + "/announce"}}; i == 2 {
			c.makePrivate(t, server.URL+"/announce")
		}
		torrent, err := client.Add(Source{Torrent: c.meta})
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, seed{t: torrent, private: torrent.private()})
	}
	// The door lets nobody scrape a tracker on this machine.
	client.ways = []discovery.Way{{HTTP: discovery.HTTP{Client: server.Client()}}}
	client.scrapeWaiting(waiting)
	client.scrapeWaiting(waiting) // not due
	if len(asked) != 2 {
		t.Fatalf("asked for %d torrents", len(asked))
	}
	for i, s := range waiting {
		want := 0
		if i < 2 {
			want = int(3 + binary.BigEndian.Uint32(s.t.hash[:4])%7)
		}
		if s.t.record.Seeders != want {
			t.Errorf("torrent %d has %d seeders, not %d", i, s.t.record.Seeders, want)
		}
	}
}
