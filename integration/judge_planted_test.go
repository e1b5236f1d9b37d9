package integration

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// said is an announce of a transcript: when it comes, and its query. What is
// not said is as a good client has it.
type said struct {
	second float64
	query  string
	change func(*heard)
}

// tried judges a transcript. A query "killed" or "ended" is what the test says.
func tried(transcript ...said) *judge {
	j := &judge{infohash: "hash", length: 1000, least: 10 * time.Second, trackerID: "id"}
	begin := time.Unix(1e9, 0)
	for _, s := range transcript {
		switch s.query {
		case "killed":
			j.killed()
			continue
		case "ended":
			j.stopped()
			continue
		}
		q, err := url.ParseQuery(s.query)
		if err != nil {
			panic(err)
		}
		numwant := "50"
		if q.Get("event") == "stopped" {
			numwant = "0"
		}
		for name, value := range map[string]string{"info_hash": "hash", "peer_id": "-bi0100-abcdefghijkl", "key": "0A", "port": "1",
			"uploaded": "0", "downloaded": "0", "left": "1000", "compact": "1", "numwant": numwant, "trackerid": "id"} {
			if !q.Has(name) {
				q.Set(name, value)
			}
		}
		h := &heard{at: begin.Add(time.Duration(s.second * float64(time.Second))), tier: 1, path: "announce", query: q,
			agent: "bipfs/1", from: netip.MustParseAddr("127.0.0.1")}
		if s.change != nil {
			s.change(h)
		}
		j.hear(h)()
	}
	return j
}

// honest is what the judge must let pass: two sessions, one of them killed.
var honest = []said{
	{0, "event=started", nil},
	{10, "left=600&downloaded=400", nil},
	{11, "event=completed&left=0&downloaded=1000", nil},
	{30, "left=0&downloaded=1000&uploaded=5", nil},
	{0, "killed", nil},
	{40, "event=started&left=0", nil},
	{41, "event=stopped&left=0&uploaded=7", nil},
	{0, "ended", nil},
	{51, "event=started&left=0", nil},
	{52, "event=stopped&left=0", nil},
}

// TestJudge: each rule catches who breaks it, and no other rule does.
func TestJudge(t *testing.T) {
	if j := tried(honest...); len(j.against) > 0 || j.sessions != 3 || j.finished != 1 {
		t.Fatalf("an honest client is accused: %v", j.against)
	}
	started := said{0, "event=started", nil}
	for _, c := range []struct {
		rule       string
		transcript []said
	}{
		{"scrape", []said{started, {20, "", func(h *heard) { h.path = "scrape" }}}},
		{"infohash", []said{{0, "event=started&info_hash=other", nil}}},
		{"tier", []said{{0, "event=started", func(h *heard) { h.tier = 2 }}}},
		{"key", []said{started, {20, "key=0B", nil}}},
		{"key", []said{{0, "event=started&key=", nil}}},
		{"peer_id", []said{started, {0, "killed", nil}, {20, "event=started&peer_id=-bi0100-mnopqrstuvwx", nil}}},
		{"port", []said{started, {20, "port=2", nil}}},
		{"agent", []said{started, {20, "", func(h *heard) { h.agent = "bipfs/2" }}}},
		{"family", []said{started, {20, "", func(h *heard) { h.from = netip.IPv6Loopback() }}}},
		{"compact", []said{{0, "event=started&compact=0", nil}}},
		{"numwant", []said{{0, "event=started&numwant=201", nil}}},
		{"numwant", []said{{0, "event=started&numwant=0", nil}}},
		{"numwant", []said{started, {1, "event=stopped&numwant=50", nil}}},
		{"form", []said{{0, "event=started&peer_id=short", nil}}},
		{"form", []said{{0, "event=started&left=1000&left=0", nil}}},
		{"tracker id", []said{started, {20, "trackerid=other", nil}}},
		{"interval", []said{started, {9.9, "", nil}}},
		{"interval", []said{started, {1, "event=stopped", nil}, {10.9, "event=started", nil}}},
		{"interval", []said{started, {0, "killed", nil}, {5, "event=started", nil}}},
		{"order", []said{started, {20, "event=started", nil}}},
		{"order", []said{{0, "", nil}}},
		{"order", []said{{0, "event=stopped", nil}}},
		{"order", []said{started, {1, "event=stopped", nil}, {20, "", nil}}},
		{"order", []said{started, {1, "event=paused", nil}}},
		{"completed", []said{started, {1, "event=completed&left=0&downloaded=1000", nil}, {2, "event=completed&left=0&downloaded=1000", nil}}},
		{"completed", []said{started, {1, "event=completed&left=1&downloaded=999", nil}}},
		{"completed", []said{{0, "event=started&left=0", nil}, {1, "event=completed&left=0", nil}}},
		{"figures", []said{{0, "event=started&left=1001", nil}}},
		{"figures", []said{{0, "event=started&left=-1", nil}}},
		{"figures", []said{{0, "event=started&downloaded=9", nil}, {20, "downloaded=8", nil}}},
		{"figures", []said{{0, "event=started&uploaded=9", nil}, {20, "uploaded=8", nil}}},
		{"figures", []said{started, {20, "left=500&downloaded=499", nil}}},
		{"stopped", []said{started, {0, "ended", nil}}},
	} {
		j := tried(c.transcript...)
		if len(j.against) != 1 || !strings.HasPrefix(j.against[0], c.rule+": ") {
			t.Errorf("%s: %+v: accused of %q", c.rule, c.transcript, j.against)
		}
	}
	j := tried(started)
	answered := j.hear(&heard{path: "scrape"})
	j.hear(&heard{path: "scrape"})()
	answered()
	if len(j.against) != 3 || !strings.HasPrefix(j.against[1], "parallel: ") {
		t.Errorf("two at a time are not seen: %v", j.against)
	}
}
