package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// numbered is an infohash that no torrent has.
func numbered(i int) string { return fmt.Sprintf("%040x", 0xabc0000+i) }

// TestGuest: an infohash that is opened is in the swarm, is not shown, and leaves
// nothing when it is forgotten or the client ends.
func TestGuest(t *testing.T) {
	dir := t.TempDir()
	c := testClient(t, Config{Dir: dir, guestTime: time.Hour})
	g, done, err := c.Visit(numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	if again, done, err := c.Visit(numbered(1)); again != g || err != nil {
		t.Errorf("the second visit: %v, %v", again, err)
	} else {
		done()
	}
	if !g.Guest() || g.running() == nil {
		t.Error("it is no guest that looks for its metadata")
	}
	if other, listed := c.ByName(numbered(1)); other != g || listed {
		t.Errorf("by name: %v, %v", other, listed)
	}
	if events, _, _ := c.Events(0); len(events) > 0 {
		t.Errorf("events: %v", events)
	}
	if _, _, err := c.Visit("no infohash"); err == nil {
		t.Error("no infohash is opened")
	}
	c.forgetIdle(0)
	if g.Removed() {
		t.Fatal("it is forgotten while it is used")
	}
	done()
	c.forgetIdle(0)
	if !g.Removed() || c.ByInfohash(numbered(1)) != nil || c.BySlot(g.Slot()) != nil {
		t.Error("it is not forgotten")
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "torrents")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	g, _, err = c.Visit(numbered(2))
	if err != nil {
		t.Fatal(err)
	}
	closeClient(t, c)
	if left, _ := os.ReadDir(filepath.Join(dir, "torrents")); len(left) > 0 {
		t.Errorf("left by a client that was closed: %v", left)
	}
	c = testClient(t, Config{Dir: dir})
	if c.ByInfohash(numbered(2)) != nil {
		t.Error("a guest is there after a restart")
	}
	if again, done, err := c.Visit(numbered(2)); err != nil || again.Slot() == g.Slot() {
		t.Errorf("it is there again: slots %d and %d, %v", again.Slot(), g.Slot(), err)
	} else {
		done()
	}
}

// TestGuestIsDeletedWhole: whenever a kill comes, what is left of a guest says that it is to
// be deleted; also when it is opened again while that goes on.
func TestGuestIsDeletedWhole(t *testing.T) {
	for name, deleted := range map[string]func(c *Client, g *Torrent) error{
		"at the end": func(c *Client, _ *Torrent) error { closeClient(t, c); return nil },
		"at the next visit": func(c *Client, g *Torrent) error {
			closeClient(t, c)
			return newTorrent(c, g.id, torrentState{}).revive()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := testClient(t, Config{})
			g, done, err := c.Visit(numbered(1))
			if err != nil {
				t.Fatal(err)
			}
			done()
			dir := c.folder.torrentDir(g.id)
			if name == "at the next visit" {
				c.Entrust() // it stays
			}
			for i := range 500 {
				if err := os.MkdirAll(filepath.Join(dir, "data", fmt.Sprint(i)), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			ended := make(chan error, 1)
			go func() { ended <- deleted(c, g) }()
			for {
				_, noState := os.Stat(filepath.Join(dir, "state"))
				if _, err := os.Stat(dir); err == nil && noState != nil {
					t.Fatal("nothing says what its folder is")
				}
				select {
				case err := <-ended:
					if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 || err != nil {
						t.Errorf("left: %v, %v", left, err)
					}
					return
				default:
				}
			}
		})
	}
}

// TestGuestKept: who is added stays who it is.
func TestGuestKept(t *testing.T) {
	dir := t.TempDir()
	c := testClient(t, Config{Dir: dir})
	for i, keep := range []func(*Torrent) error{
		c.Keep,
		func(g *Torrent) error {
			s, err := ParseLink("magnet:?xt=urn:btih:" + g.ID() + "&dn=x")
			if err == nil {
				_, err = c.Add(s)
			}
			return err
		},
	} {
		g, done, err := c.Visit(numbered(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := keep(g); err != nil {
			t.Fatal(err)
		}
		done()
		if again, listed := c.ByName(g.Name()); again != g || !listed || g.Guest() {
			t.Errorf("%d: it is not shown", i)
		}
		if events, _, _ := c.Events(0); len(events) != i+1 || events[i].Event != evAdded {
			t.Errorf("%d: events %+v", i, events)
		}
	}
	c.forgetIdle(0)
	closeClient(t, c)
	c = testClient(t, Config{Dir: dir})
	if n := len(c.Torrents()); n != 2 {
		t.Errorf("%d torrents after a restart", n)
	}
}

// TestGuestOfRemoved: what is here of a torrent that was removed with its data kept is
// used, and not deleted.
func TestGuestOfRemoved(t *testing.T) {
	dir := t.TempDir()
	c := testClient(t, Config{Dir: dir})
	s, err := ParseLink(numbered(5))
	if err != nil {
		t.Fatal(err)
	}
	was, err := c.Add(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(was, false); err != nil {
		t.Fatal(err)
	}
	_, done, err := c.Visit(numbered(5))
	if err != nil {
		t.Fatal(err)
	}
	done()
	c.forgetIdle(0)
	if _, err := os.Stat(filepath.Join(dir, "torrents", numbered(5), "state")); err != nil {
		t.Errorf("it is deleted: %v", err)
	}
}

// TestGuestBound: so many may be open; one more takes the place of the one that was
// not used for the longest time, if there is one.
func TestGuestBound(t *testing.T) {
	c := testClient(t, Config{Dir: t.TempDir(), guestTime: time.Hour})
	var last func()
	for i := range mostGuests {
		_, done, err := c.Visit(numbered(i))
		if err != nil {
			t.Fatal(err)
		}
		if last = done; i == 3 {
			done()
		}
	}
	if _, _, err := c.Visit(numbered(mostGuests)); err != nil {
		t.Fatal(err)
	}
	if c.ByInfohash(numbered(3)) != nil || len(c.guests()) != mostGuests {
		t.Errorf("%d guests", len(c.guests()))
	}
	if _, _, err := c.Visit(numbered(mostGuests + 1)); !errors.Is(err, ErrGuests) {
		t.Errorf("one more: %v", err)
	}
	last()
	if _, _, err := c.Visit(numbered(mostGuests + 1)); err != nil {
		t.Error(err)
	}
}

// TestGuestForgottenInTime: nobody has to ask for it.
func TestGuestForgottenInTime(t *testing.T) {
	c := testClient(t, Config{Dir: t.TempDir(), guestTime: 50 * time.Millisecond})
	g, done, err := c.Visit(numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	done()
	for began := time.Now(); !g.Removed(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("it stays")
		}
	}
}
