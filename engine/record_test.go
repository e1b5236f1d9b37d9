package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/discovery"
)

// TestRecord: what is not a record, or a newer one, is an error: a torrent
// without its record would tell its trackers too much.
func TestRecord(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`{"url":"u"},`, discovery.MaxTrackers), ",")
	peers := strings.TrimSuffix(strings.Repeat(`"1.2.3.4:5",`, discovery.MaxKept), ",")
	for text, ok := range map[string]bool{
		`{"version":1}`: true,
		`{"version":1,"uploaded":9223372036854775807}`: true,
		`{"version":1,"trackers":[` + many + `]}`:      true,
		`{"version":1,"peers":[` + peers + `]}`:        true,
		``:                                             false,
		`{}`:                                           false,
		`{"version":2}`:                                false,
		`{"version":1,"uploaded":-1}`:                  false,
		`{"version":1,"offered":1e40}`:                 false,
		`{"version":1,"peers":["x"]}`:                  false,
		`{"version":1,"trackers":[` + many + `,{}]}`:   false,
		`{"version":1,"peers":[` + peers + `,"1.2.3.4:5"]}`: false,
	} {
		if _, err := parseRecord([]byte(text)); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// FuzzRecord: whatever is read can be used, and written again.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"downloaded":5,"trackers":[{"url":"http://a/announce","at":1,"least":1800}],"peers":["1.2.3.4:5"]}`))
	f.Add([]byte(`{"version":1,"trackers":[{"url":"u","at":-9223372036854775808,"least":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		torrent := &Torrent{record: r}
		for _, tr := range r.Trackers {
			if k := (ledger{torrent}).Kept(tr.URL); k.Least < 0 || k.Least > discovery.MaxInterval {
				t.Errorf("kept: %+v", k)
			}
		}
		seedGoals{1, time.Hour}.met(r)
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseRecord(again)
		if b, _ := json.Marshal(back); err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s, %v; it was %s", b, err, again)
		}
	})
}

// TestLedgerBound: as many trackers are kept as are asked; those that were told
// last.
func TestLedgerBound(t *testing.T) {
	l := ledger{&Torrent{}}
	for i := range discovery.MaxTrackers + 2 {
		if err := l.Keep(fmt.Sprint(i), discovery.Kept{At: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
		l.Keep("first", discovery.Kept{At: time.Unix(int64(i), 0), Least: time.Minute, Peers: make([]netip.AddrPort, 3)})
	}
	if n := len(l.t.record.Trackers); n != discovery.MaxTrackers || l.Kept("0").At != (time.Time{}) || l.Kept("first").Least != time.Minute {
		t.Errorf("%d are kept: %+v", n, l.t.record.Trackers)
	}
	if n := len(l.t.keptPeers()); n != 3 {
		t.Errorf("%d peers are kept", n)
	}
}

// TestRecordThatCannotBeRead: the torrent is left alone, others are not.
func TestRecordThatCannotBeRead(t *testing.T) {
	c, other := newContent(t, 32<<10, 50_000), newContent(t, 16<<10, 60_000, 7)
	dir := t.TempDir()
	first := testClient(t, Config{Dir: dir})
	for _, m := range []*content{c, other} {
		if _, err := first.Add(Source{Torrent: m.meta}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(first.folder.torrentDir(first.Torrents()[0].id), "record")
	closeClient(t, first)
	if err := os.WriteFile(path, []byte(`{"version":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	second := testClient(t, Config{Dir: dir})
	if all := second.Torrents(); len(all) != 1 || all[0].Hash() != other.meta.Info.Hash {
		t.Errorf("%d torrents are shown", len(all))
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != `{"version":2}` {
		t.Errorf("the record is %q now: %v", b, err)
	}
}

// TestUnrecorded: of a torrent whose process was killed before it wrote a record it is
// known what is here all the same, and it seeds.
func TestUnrecorded(t *testing.T) {
	c := newContent(t, 32<<10, 300_000)
	cfg := seeding(t)
	cfg.Peers = []string{seeder(t, c).addr()}
	first := testClient(t, cfg)
	torrent, err := first.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, torrent, c)
	closeClient(t, first)
	path := filepath.Join(first.folder.torrentDir(torrent.id), "record")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	torrent = testClient(t, cfg).Torrents()[0]
	eventually(t, "it is not known what is here", func() bool { return torrent.Status().Here == 300_000 })
	eventually(t, "it does not seed", func() bool { return torrent.running() != nil && torrent.onlySeeds() })
	eventually(t, "it is not recorded", func() bool { _, err := os.Stat(path); return err == nil })
}
