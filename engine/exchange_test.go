package engine

import (
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// exchangers are a seeder, a client that is connected to it and uploads
// nothing, and one that knows only the second.
func exchangers(t *testing.T, private bool, middle, last Config) (seed *Client, torrent *Torrent, c *content) {
	t.Helper()
	c = newContent(t, 64<<10, 3_000_000)
	if private {
		c.makePrivate(t)
	}
	seed = seeder(t, c)
	middle.Peers, middle.NoUpload = []string{seed.addr()}, !private // who would not fetch that one
	between := testClient(t, middle)
	first, err := between.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	r, err := first.OpenFile(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if _, err := readRange(t.Context(), r, 0, 1000); err != nil {
		t.Fatal(err)
	}
	last.Peers = []string{between.addr()}
	torrent, err = testClient(t, last).Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	return seed, torrent, c
}

// makePrivate has c's torrent be a private one.
func (c *content) makePrivate(t *testing.T, trackers ...string) {
	t.Helper()
	raw := c.meta.Info.Raw
	info, err := metainfo.ParseInfo(append(raw[:len(raw)-1:len(raw)-1], "7:privatei1ee"...))
	if err != nil || !info.Private {
		t.Fatal(info, err)
	}
	c.meta = &metainfo.Torrent{Info: info}
	for _, url := range trackers {
		c.meta.Trackers = append(c.meta.Trackers, []string{url})
	}
}

// TestPeerExchange: a peer that has nothing to give knows somebody who has.
func TestPeerExchange(t *testing.T) {
	_, torrent, c := exchangers(t, false, Config{}, Config{})
	readAll(t, torrent, c)
}

// TestNoPeerExchange: who exchanges no peers neither tells nor listens, and
// nobody does for a private torrent.
func TestNoPeerExchange(t *testing.T) {
	for name, l := range map[string]struct {
		private      bool
		middle, last Config
	}{
		"the one who knows": {middle: Config{NoPEX: true}},
		"the one who asks":  {last: Config{NoPEX: true}},
		"private":           {private: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l.last.ReadTimeout = 500 * time.Millisecond
			seed, torrent, _ := exchangers(t, l.private, l.middle, l.last)
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := readRange(t.Context(), r, 2_900_000, 1000); err == nil {
				t.Error("a peer was found")
			}
			if n := seed.hand.Stats(torrent.hash).Standing; n != 1 {
				t.Errorf("the seeder has %d connections, it is to have one", n)
			}
		})
	}
}
