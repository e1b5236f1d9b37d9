package engine

import (
	"errors"
	"testing"
)

// TestAside: a torrent that is set aside is not there, cannot be added, and is as it
// was when it is set aside no more.
func TestAside(t *testing.T) {
	c, other := newContent(t, 32<<10, 100_000), newContent(t, 32<<10, 200_000)
	dir := t.TempDir()
	first := testClient(t, Config{Dir: dir})
	torrent, err := first.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Add(Source{Torrent: other.meta}); err != nil {
		t.Fatal(err)
	}
	slot, name := torrent.Slot(), torrent.Name()
	closeClient(t, first)
	without := testClient(t, Config{Dir: dir, Aside: []string{torrent.Hash().String()}})
	if all := without.Torrents(); len(all) != 1 || all[0].Hash() == torrent.Hash() {
		t.Errorf("%d torrents are there", len(all))
	}
	if _, err := without.Add(Source{Torrent: c.meta}); !errors.Is(err, ErrAside) {
		t.Errorf("added: %v", err)
	}
	closeClient(t, without)
	again := testClient(t, Config{Dir: dir})
	if got := again.BySlot(slot); got == nil || got.Name() != name || got.Hash() != torrent.Hash() {
		t.Errorf("afterwards: %v", got)
	}
}
